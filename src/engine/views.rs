//! What is known of an instance's account, its template, the accounts of its tools, and of what it would be deployed from.

use super::compose::Composed;
use super::places::{Most, TakenPlaces};
use crate::api::limits::RailwayPerAgent;
use crate::api::template::ResolvedImage;
use crate::model::{Gate, ReadinessProbe, Turn};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the account.
#[derive(Clone, Debug)]
pub enum AccountView {
    /// It does not exist or does not allow this namespace: the two are told alike, so that nobody learns which.
    NotAvailable,
    /// It is an account at another provider.
    Elsewhere {
        /// At which.
        provider: &'static str,
    },
    /// It exists and cannot be used.
    NotReady {
        /// What a person needs to know.
        message: String,
    },
    /// Its provider cannot be reached; the account's own condition says more.
    Unreachable,
    /// It can be used.
    Ready(AccountRoom),
}

/// What there is room for in an account.
#[derive(Clone, Debug)]
pub struct AccountRoom {
    /// Places that others of this installation take there; `None` before the account was read, and where it shows the
    /// instance's own.
    pub projects: Option<TakenPlaces>,
    /// Most that there may be.
    pub most: Most,
    /// Most that one agent may have.
    pub per_agent: RailwayPerAgent,
    /// How far apart the provider lets projects be made, and volumes.
    pub interval: SignedDuration,
    /// The turns that were asked for in this pass, and the answers.
    pub turns: BTreeMap<Gate, Turn>,
    /// Whether the account is being deleted: what is there goes on, and nothing new is made in it.
    pub deleting: bool,
}

/// What is known of the template.
#[derive(Clone, Debug)]
// There is one in a pass.
#[allow(clippy::large_enum_variant)]
pub enum TemplateView {
    /// It does not exist.
    Missing,
    /// It exists and cannot be used, or not yet.
    NotReady {
        /// Whether a person has to do something.
        stalled: bool,
        /// Why, in the word that the instance is told.
        reason: &'static str,
        /// Why, as the template itself says it.
        message: String,
    },
    /// It can be used.
    Ready(TemplateReady),
}

/// A template that can be used.
#[derive(Clone, Debug)]
pub struct TemplateReady {
    /// Names what instances are made from.
    pub revision: String,
    /// The image.
    pub image: ResolvedImage,
    /// Its harness.
    pub harness: &'static str,
    /// Whether the runner is in front of it.
    pub runner: bool,
    /// What says that the agent is ready.
    pub readiness: ReadinessProbe,
    /// How long a deployment may take.
    pub startup_deadline: SignedDuration,
    /// The port for the domain.
    pub port: Option<u16>,
    /// Where a volume is mounted, if there is one.
    pub volume_mount: Option<String>,
    /// Whether it is this instance's turn to take the revision.
    pub turn: RolloutTurn,
}

/// Whether it is an instance's turn to take a new revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutTurn {
    /// It is.
    Yes,
    /// Others come first.
    Wait,
    /// It was, and the instance could not take it: it prepares what it can, and waits again as soon as it could.
    Passed,
    /// The rollout has stopped.
    Stopped {
        /// The instance that did not get ready.
        because: String,
    },
}

/// What a deployment would be made from.
#[derive(Clone, Debug)]
// There is one in a pass.
#[allow(clippy::large_enum_variant)]
pub enum Desired {
    /// Cannot be said: the template is not there.
    Unknown,
    /// Something that the spec refers to is missing or not usable.
    Broken {
        /// A stable reason.
        reason: &'static str,
        /// Which object, which key, what to do.
        message: String,
    },
    /// This.
    Composed(Composed),
}

/// Whether a tool's account can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolAccountView {
    /// It does not exist or does not allow this namespace: told alike.
    NotAvailable,
    /// It is an account at another provider.
    Elsewhere {
        /// At which.
        provider: &'static str,
    },
    /// It cannot be used.
    NotReady {
        /// What a person needs to know.
        message: String,
    },
    /// Its provider cannot be reached.
    Unreachable,
    /// It is being deleted: what is there goes on, and nothing new is made in it.
    Deleting,
    /// It can be used.
    Ready,
}

impl ToolAccountView {
    /// Whether it is known, and nothing can be asked of its provider now.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(
            self,
            ToolAccountView::NotReady { .. } | ToolAccountView::Unreachable
        )
    }

    /// Whether something can be asked of its provider.
    pub fn answers(&self) -> bool {
        matches!(self, ToolAccountView::Deleting | ToolAccountView::Ready)
    }
}

/// What the owners of its accounts leave to an instance.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// What it names to adopt and the account lists: the account, and the provider's id there.
    pub listed: BTreeSet<(String, String)>,
    /// Accounts that let nothing be retained.
    pub denying: BTreeSet<String>,
}

impl Rights {
    /// Whether an account lists what the instance names to adopt there.
    pub fn lists(&self, account: &str, id: &str) -> bool {
        self.listed.contains(&(account.to_owned(), id.to_owned()))
    }
}
