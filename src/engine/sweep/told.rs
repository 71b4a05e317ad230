//! What people are told of an account's sweep: what it found, and why it is held back.

use crate::api::account::{AccountSweep, SweepMode};
use crate::api::condition::{Statement, kind, reason};
use std::collections::BTreeMap;

/// What a sweep has found in an account, and whether it goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What the last believed comparison showed. `None` before the first.
    pub report: Option<AccountSweep>,
    /// How many orphans of each kind.
    pub kinds: BTreeMap<String, usize>,
    /// Why the sweep is held back, where it is.
    pub held_back: Option<HeldBack>,
}

/// Why nothing is told anew, or nothing taken back that would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldBack {
    /// A listing, ledgers or records of what was left behind could not be read.
    Unread,
    /// The provider lists nothing, and ledgers know of something.
    ListingEmpty,
    /// The provider lists less than half of what it listed before.
    ListingShrunk,
    /// An instance cannot be read, and what its ledger names is not known.
    Unreadable,
    /// As many were taken back as an hour allows.
    HourlyLimit,
    /// Instances bear the names of others, whose resources are there still.
    Restored,
    /// The account is paused, or everything is.
    Paused,
}

impl HeldBack {
    /// Every one.
    pub const ALL: [HeldBack; 7] = [
        HeldBack::Unread,
        HeldBack::ListingEmpty,
        HeldBack::ListingShrunk,
        HeldBack::Unreadable,
        HeldBack::HourlyLimit,
        HeldBack::Restored,
        HeldBack::Paused,
    ];

    /// A stable word: the condition's reason, and a metric's label.
    pub fn reason(self) -> &'static str {
        match self {
            HeldBack::Unread => reason::NOT_EVERYTHING_READ,
            HeldBack::ListingEmpty => reason::LISTING_EMPTY,
            HeldBack::ListingShrunk => reason::LISTING_SHRUNK,
            HeldBack::Unreadable => reason::NOT_READABLE,
            HeldBack::HourlyLimit => reason::HOURLY_LIMIT,
            HeldBack::Restored => reason::RESTORED,
            HeldBack::Paused => reason::PAUSED,
        }
    }

    /// Whether the next reading mostly ends it.
    pub(super) fn may_pass(self) -> bool {
        !matches!(
            self,
            HeldBack::Unreadable | HeldBack::HourlyLimit | HeldBack::Restored | HeldBack::Paused
        )
    }

    fn message(self) -> &'static str {
        match self {
            HeldBack::Unread => {
                "not everything could be read that says whose things are: nothing is told anew or taken back until it can be; the operator's log says what was refused"
            }
            HeldBack::ListingEmpty => {
                "the provider lists nothing, and ledgers know of something there: nothing is told anew or taken back until it is listed again, or its instances have found it gone"
            }
            HeldBack::ListingShrunk => {
                "the provider lists less than half of what it listed before: nothing is told anew or taken back until the listing is whole again, or has stayed so for sweep.gracePeriod, and for 10 minutes at least"
            }
            HeldBack::Unreadable => {
                "an AgentInstance cannot be read, and what its ledger names is not known: no tool is taken back until the field that its condition names is corrected, or a version that reads it is installed"
            }
            HeldBack::HourlyLimit => {
                "as many orphans were taken back as sweep.maxDeletionsPerHour allows; the others follow, or raise it"
            }
            HeldBack::Paused => {
                "the account is paused, or the operator only observes (condition Paused): nothing is taken back until that ends"
            }
            HeldBack::Restored => {
                "instances bear the names of others, whose resources they may want back: nothing is taken back here until the owner of the account of their projects says whether they go on with it; that account says how"
            }
        }
    }
}

/// The conditions of an account about its sweep: only what is so is said.
pub fn conditions(findings: &Findings, mode: SweepMode) -> Vec<Statement> {
    let mut said = Vec::new();
    if let Some(report) = findings.report.as_ref().filter(|report| report.orphans > 0) {
        let kinds: Vec<String> = findings
            .kinds
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let cost = if report.monthly_cost_usd > 0.0 {
            format!(
                ", and can cost {:.2} USD a month as far as is known",
                report.monthly_cost_usd
            )
        } else {
            String::new()
        };
        let then = match mode {
            SweepMode::Report => {
                "delete it at the provider, or set spec.sweep.mode to Delete and the operator does"
            }
            SweepMode::Delete => "it is taken back when it was seen for sweep.gracePeriod",
        };
        said.push(Statement::yes(
            kind::ORPHANS_FOUND,
            reason::ORPHANS_FOUND,
            format!(
                "what bears this installation's marker and stands in no ledger: {}{cost}; status.sweep.oldest names the oldest, `yardmaster sweep` all; {then}",
                kinds.join(", ")
            ),
        ));
    }
    if let Some(why) = findings.held_back {
        said.push(Statement::yes(
            kind::SWEEP_HELD_BACK,
            why.reason(),
            why.message(),
        ));
    }
    said
}
