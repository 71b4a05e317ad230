//! Conditions: their types, their reasons, and how a list of them changes.
//!
//! What holds: `lastTransitionTime` moves only when the status does, or a statement says that it is of another occurrence; every condition carries the generation that it
//! speaks of; types and reasons are declared here and nowhere else, so that alerts can rely on them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

mod schema;

pub(super) use schema::list_schema;

/// Declares words, and with them the list of all that are ours.
macro_rules! ours {
    ($($(#[$doc:meta])* pub const $name:ident: &str = $word:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $word;)*

        /// All of them.
        pub const ALL: &[&str] = &[$($word),*];
    };
}

/// Types of conditions.
pub mod kind {
    ours! {
    /// The object does what it is for.
    pub const READY: &str = "Ready";
    /// The outside is as the spec wants it.
    pub const SYNCED: &str = "Synced";
    /// Work is under way (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// Work cannot go on until a person changes something (kstatus).
    pub const STALLED: &str = "Stalled";
    /// Changes outside are held back on purpose.
    pub const PAUSED: &str = "Paused";
    /// The agent has its tools.
    pub const TOOLS_READY: &str = "ToolsReady";
    /// The instance's project, service, volume and domain exist.
    pub const PROJECT_READY: &str = "ProjectReady";
    /// The wanted configuration is deployed.
    pub const DEPLOYED: &str = "Deployed";
    /// The agent runs and has said that it is ready.
    pub const HEALTHY: &str = "Healthy";
    /// The instance follows its template's current revision.
    pub const TEMPLATE_SYNCED: &str = "TemplateSynced";
    /// The instance is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// Objects of an account were restored from a backup, and wait for its owner's word.
    pub const OBJECTS_RESTORED: &str = "ObjectsRestored";
    /// The agent's program is of a version, or its template gives it what, its harness's row was tried with.
    pub const HARNESS_SUPPORTED: &str = "HarnessSupported";
    /// A rollout of the template is under way, or stopped.
    pub const PROGRESSING: &str = "Progressing";
    /// Every instance that follows the template is ready at its current revision.
    pub const ROLLED_OUT: &str = "RolledOut";
    /// A claim can have an agent of the pool now.
    pub const AVAILABLE: &str = "Available";
    /// Fewer agents are made than wanted, because more are not allowed.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// The claim has an agent.
    pub const BOUND: &str = "Bound";
    /// The claim's time is over.
    pub const EXPIRED: &str = "Expired";
    /// The object was deleted, and something still needs it.
    pub const DELETING: &str = "Deleting";
    /// A Secret of the account was deleted, and the account still needs it.
    pub const SECRET_DELETING: &str = "SecretDeleting";
    /// Other accounts lead to the same place at the provider.
    pub const SHARED: &str = "Shared";
    /// Something of ours lives in the account that nobody claims.
    pub const ORPHANS_FOUND: &str = "OrphansFound";
    /// The sweep of the account does not go on.
    pub const SWEEP_HELD_BACK: &str = "SweepHeldBack";
    /// Less is remembered of what is in the account than was, and nothing is changed before its owner says so.
    pub const RECOVERY_MODE: &str = "RecoveryMode";
    }
}

pub mod reason;

/// A statement about one condition, before it has a time and a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Condition type.
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// A stable reason.
    pub reason: &'static str,
    /// What is so, which object, why, and what to do.
    pub message: String,
    /// When it began, where that is not when the status changed: a second occurrence of what is no better.
    pub since: Option<Timestamp>,
}

impl Statement {
    /// The same, as an occurrence that began then.
    #[must_use]
    pub fn since(self, began: Timestamp) -> Statement {
        Statement {
            since: Some(began),
            ..self
        }
    }

    fn new(
        kind: &'static str,
        status: &'static str,
        reason: &'static str,
        message: String,
    ) -> Self {
        Statement {
            kind,
            status,
            reason,
            message,
            since: None,
        }
    }

    /// It is so.
    pub fn yes(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Statement {
        Statement::new(kind, "True", reason, message.into())
    }

    /// It is not so.
    pub fn no(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Statement {
        Statement::new(kind, "False", reason, message.into())
    }

    /// Nobody knows yet.
    pub fn unknown(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Statement {
        Statement::new(kind, "Unknown", reason, message.into())
    }
}

/// Longest message that a condition takes in the Kubernetes schema.
const MESSAGE_LIMIT: usize = 1024;

/// Before the id by which a provider finds one request again, at the end of a sentence about it.
const TRACE: &str = " (traceId ";

/// A sentence about a request, with the id by which its provider finds it again.
pub fn traced(sentence: &str, id: &str) -> String {
    format!("{sentence}{TRACE}{id})")
}

/// A sentence without such ids.
fn untraced(sentence: &str) -> String {
    let mut parts = sentence.split(TRACE);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    text
}

/// The message to write: the old one, where the new one tells of the same by another request. So each try writes nothing.
fn message(before: Option<&Condition>, said: &Statement) -> String {
    let new: String = said.message.chars().take(MESSAGE_LIMIT).collect();
    before
        .filter(|old| (old.status.as_str(), old.reason.as_str()) == (said.status, said.reason))
        .filter(|old| untraced(&old.message) == untraced(&new))
        .map_or(new, |old| old.message.clone())
}

/// The list that says exactly `statements`, keeping each transition time whose status is unchanged.
///
/// A statement that differs from the old condition in nothing keeps its old generation too only where the generation
/// is the same: a condition always speaks of the generation that was looked at. What others say, a newer version among
/// them, stays.
pub fn conclude(
    old: &[Condition],
    statements: &[Statement],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let theirs = old
        .iter()
        .filter(|condition| !kind::ALL.contains(&condition.type_.as_str()))
        .cloned();
    statements
        .iter()
        .map(|said| {
            let before = old.iter().find(|condition| condition.type_ == said.kind);
            let unchanged = before
                .filter(|condition| condition.status == said.status)
                .map(|condition| condition.last_transition_time.0);
            let since = Time(whole_seconds(said.since.or(unchanged).unwrap_or(now)));
            Condition {
                type_: said.kind.to_owned(),
                status: said.status.to_owned(),
                reason: said.reason.to_owned(),
                message: message(before, said),
                last_transition_time: since,
                observed_generation: generation,
            }
        })
        .chain(theirs)
        .collect()
}

/// Kubernetes keeps condition times in whole seconds; ours must compare equal after the round trip.
pub fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The condition of that type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition of that type is True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests;
