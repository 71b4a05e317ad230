//! The harness table: for each program that an agent may be, how it is spoken to.
//!
//! What holds: a row names everything that differs between programs, and nobody else knows their paths; what a template says itself
//! comes before it (`engine::compose::readiness`). Deliberately absent: fields that nothing reads yet (images, start commands, files,
//! reset).

use super::health::{Expects, ReadinessProbe};
use crate::api::template::Harness;

/// How a harness is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarnessRow {
    /// What it is asked, and what says that it is ready.
    pub readiness: ReadinessProbe,
    /// How it is told who it is. `None`: it cannot be told.
    pub telling: Option<TellingRow>,
}

/// How a harness is told who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TellingRow {
    /// Where it is told.
    pub provision: &'static str,
    /// Where it is told something new.
    pub update: &'static str,
    /// Where it says whose it is.
    pub status: &'static str,
    /// What of its answer everybody may see who sees the claim. All else may be a capability, such as an invite.
    pub shown: &'static [&'static str],
}

/// The row of a harness.
pub fn row(harness: Harness) -> HarnessRow {
    match harness {
        Harness::Convos => HarnessRow {
            readiness: ReadinessProbe {
                path: "/pool/health".to_owned(),
                expects: Expects::default(),
            },
            telling: Some(TellingRow {
                provision: "/pool/provision",
                update: "/pool/update-template",
                status: "/convos/status",
                shown: &["conversationId", "joined", "status"],
            }),
        },
        Harness::Http => HarnessRow {
            readiness: ReadinessProbe {
                path: "/".to_owned(),
                expects: Expects::Status(200),
            },
            telling: None,
        },
    }
}
