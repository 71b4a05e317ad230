//! Telling a running agent who it is: what it is told, and what came of that.
//!
//! What holds: whatever is not certain is `Unknown`, because a claim's data may reach another agent only where nothing was sent to the
//! first (design 3.4). What may open something is a secret by its type. Deliberately absent: what follows (`engine::claims`), and the
//! call itself (`agent`).

use crate::api::claim::ToldTool;
use secrecy::SecretString;
use std::collections::BTreeMap;

/// What an agent is told.
#[derive(Clone, Debug, Default)]
pub struct Provision {
    /// The claim's UID: the agent keeps the first one before it acts.
    pub claim: String,
    /// Its name.
    pub agent_name: String,
    /// What it is to do. An agent refuses none at all; where it is told of its tools alone, nothing.
    pub instructions: String,
    /// The model that it is to use. Left out, its own.
    pub model: Option<String>,
    /// The conversation that it is to join: whoever has it can join as well. Left out, it makes one.
    pub join_url: Option<SecretString>,
    /// Its picture.
    pub profile_image: Option<String>,
    /// What else it is told.
    pub metadata: BTreeMap<String, String>,
    /// Variables, by name.
    pub env: BTreeMap<String, SecretString>,
}

impl Provision {
    /// Nothing yet, for this claim.
    pub fn of(claim: String) -> Provision {
        Provision {
            claim,
            ..Provision::default()
        }
    }
}

/// What came of telling.
#[derive(Clone, Debug)]
pub enum TellOutcome {
    /// It took it.
    Told(AgentResult),
    /// It understood, and will not: the claim is at fault.
    Refused {
        /// Why, in words that may be repeated.
        message: String,
    },
    /// It keeps another claim, and may have what it was told for that: it took nothing, and never will.
    OfAnother {
        /// Why that is so, in words that may be repeated.
        why: String,
    },
    /// What it is to be told could not be put together: nothing was sent, and nothing is known of the agent.
    Unsaid {
        /// Why, in one stable word.
        reason: &'static str,
        /// Why, and what to do.
        message: String,
    },
    /// Nothing was sent: it is certain that it heard nothing.
    NotSent {
        /// Why, in words that may be repeated.
        why: String,
    },
    /// It may have heard, now or later.
    Unknown {
        /// Why, in words that may be repeated.
        why: String,
    },
}

/// What an agent answered when it was told.
#[derive(Clone, Debug, Default)]
pub struct AgentResult {
    /// Whether somebody has to let it into its conversation first.
    pub pending: bool,
    /// What may be seen in a status.
    pub shown: BTreeMap<String, String>,
    /// What may be a capability.
    pub kept: BTreeMap<String, SecretString>,
    /// The tools of which it was told what they give it.
    pub tools: Vec<ToldTool>,
}

/// What an agent says of whom it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentBinding {
    /// It answered.
    Says {
        /// The claim that it keeps.
        claim: ClaimKept,
        /// Its conversation.
        conversation: Option<String>,
        /// Whether somebody has to let it in first, or it is just joining.
        pending: bool,
        /// Whether nothing of a tenant is left in it.
        clean: bool,
    },
    /// Nobody knows.
    Unknown {
        /// Why, in words that may be repeated.
        why: String,
    },
}

/// Whether what an agent says that it keeps is another claim's UID. Whatever else it may say, an agent that was told of nobody is not
/// kept for somebody by it.
pub fn is_another(kept: &str, own: &str) -> bool {
    let groups = kept.split('-').map(str::len);
    let digits = kept
        .bytes()
        .all(|one| one == b'-' || one.is_ascii_hexdigit());
    kept != own && digits && groups.eq([8, 4, 4, 4, 12])
}

/// The claim that an agent keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimKept {
    /// It never had one.
    Nothing,
    /// The first one's UID.
    Of(String),
    /// It cannot keep one, and says nothing of it.
    Unsaid,
}
