//! What is paused, and by whom: an object by its annotation, an account by its spec or by its RecoveryMode, everything by the
//! process's own flag.
//!
//! Holds: a pause is said on purpose, RecoveryMode aside; what is left out, or is anything else than `true`, pauses nothing.
//! Deliberately absent: what a pause holds back (`engine::paused`).

use crate::api::PAUSED_ANNOTATION;
use crate::api::condition::reason;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PausedBy {
    /// The whole installation: its process only observes.
    Installation,
    /// The object's own annotation.
    Object,
    /// The annotation of the template that the instance follows.
    Template(String),
    /// The spec of an account.
    Account(String),
    /// An account of which less is remembered than was.
    Recovery(String),
}

impl PausedBy {
    /// The reason of conditions that tell it.
    pub fn reason(&self) -> &'static str {
        match self {
            PausedBy::Recovery(_) => reason::RECOVERY_MODE,
            _ => reason::PAUSED,
        }
    }

    /// What ends it, in a sentence.
    pub fn ends(&self) -> &'static str {
        match self {
            PausedBy::Installation => "it goes on when the operator runs without that flag",
            PausedBy::Object | PausedBy::Template(_) => {
                "it goes on when the annotation is taken off"
            }
            PausedBy::Account(_) => "it goes on when the account's owner ends that",
            PausedBy::Recovery(_) => {
                "it goes on when that is known again, or the account's owner has said so, as the account's condition RecoveryMode tells"
            }
        }
    }
}

impl fmt::Display for PausedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PausedBy::Installation => write!(f, "the operator runs with --observe-only"),
            PausedBy::Object => write!(f, "the annotation {PAUSED_ANNOTATION} of this object"),
            PausedBy::Template(name) => {
                write!(
                    f,
                    "the annotation {PAUSED_ANNOTATION} of AgentTemplate {name}"
                )
            }
            PausedBy::Account(name) => write!(f, "spec.paused of ProviderAccount {name}"),
            PausedBy::Recovery(name) => write!(
                f,
                "RecoveryMode of ProviderAccount {name} (this cluster remembers less of what is there than it did)"
            ),
        }
    }
}

/// Whether an object's annotations pause it.
pub fn annotated(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get(PAUSED_ANNOTATION)
        .is_some_and(|value| value == "true")
}

/// Who paused what, of all that concerns an instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pauses {
    /// What pauses the instance as a whole.
    pub whole: Option<PausedBy>,
    /// The accounts that are paused.
    pub accounts: BTreeSet<String>,
    /// Those of which less is remembered than was.
    pub recovering: BTreeSet<String>,
    /// Those of which this process does not know yet whether it is so, and from when on it may know, where that is known: over in
    /// a moment, mostly, and told nobody.
    pub unread: BTreeMap<String, Option<Timestamp>>,
}

impl Pauses {
    /// Whether anything is paused that people are told of.
    pub fn any(&self) -> bool {
        self.whole.is_some() || !self.accounts.is_empty() || !self.recovering.is_empty()
    }

    /// What pauses changes in an account; empty for what is made here.
    pub fn of(&self, account: &str) -> Option<PausedBy> {
        let whole = self.whole.clone();
        let paused = self.accounts.contains(account);
        let recovering = self.recovering.contains(account);
        whole
            .or_else(|| paused.then(|| PausedBy::Account(account.to_owned())))
            .or_else(|| recovering.then(|| PausedBy::Recovery(account.to_owned())))
    }
}
