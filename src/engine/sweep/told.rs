//! What people are told of an account's sweep: what it found, and why it is held back.

use super::claims::Item;
use super::verdict::Verdict;
use crate::api::ProviderAccount;
use crate::api::account::{AccountOrphan, AccountSweep, SweepMode};
use crate::api::condition::{Statement, kind, reason};
use crate::api::money::Money;
use crate::engine::breaker;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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
    /// So much is nobody's that ledgers are more likely lost.
    TooMany,
    /// The account is paused, or everything is.
    Paused,
    /// Less is remembered of the account than was.
    Recovery,
}

impl HeldBack {
    /// Every one.
    pub const ALL: [HeldBack; 9] = [
        HeldBack::Unread,
        HeldBack::ListingEmpty,
        HeldBack::ListingShrunk,
        HeldBack::Unreadable,
        HeldBack::HourlyLimit,
        HeldBack::Restored,
        HeldBack::TooMany,
        HeldBack::Paused,
        HeldBack::Recovery,
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
            HeldBack::TooMany => reason::TOO_MANY_ORPHANS,
            HeldBack::Paused => reason::PAUSED,
            HeldBack::Recovery => reason::RECOVERY_MODE,
        }
    }

    /// Whether the next reading mostly ends it.
    pub(super) fn may_pass(self) -> bool {
        !matches!(
            self,
            HeldBack::Unreadable
                | HeldBack::HourlyLimit
                | HeldBack::Restored
                | HeldBack::TooMany
                | HeldBack::Paused
                | HeldBack::Recovery
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
            HeldBack::Recovery => {
                "this cluster remembers less of what is there than it did (condition RecoveryMode): nothing is taken back until that is known again, or acknowledged"
            }
            HeldBack::Restored => {
                "instances bear the names of others, whose resources they may want back: nothing is taken back here until the owner of the account of their projects says whether they go on with it; that account says how"
            }
            HeldBack::TooMany => {
                "so much bears this installation's marker and stands in no ledger that ledgers are more likely lost than so much is nobody's: nothing is taken back until there are fewer"
            }
        }
    }
}

/// The conditions of an account about its sweep: only what is so is said.
pub fn conditions(
    findings: &Findings,
    account: &ProviderAccount,
    now: Timestamp,
) -> Vec<Statement> {
    let mode = account.spec.sweep.mode;
    let mut said = Vec::new();
    if let Some(report) = findings.report.as_ref().filter(|report| report.orphans > 0) {
        let kinds: Vec<String> = findings
            .kinds
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let cost = if report.monthly_cost_usd > Money::ZERO {
            format!(
                ", and can cost {} USD a month as far as is known",
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
        said.push(held_back(why, account, now));
    }
    said
}

fn held_back(why: HeldBack, account: &ProviderAccount, now: Timestamp) -> Statement {
    let yes = |message: String| Statement::yes(kind::SWEEP_HELD_BACK, why.reason(), message);
    if why != HeldBack::TooMany {
        return yes(why.message().to_owned());
    }
    let (since, command) = breaker::opens_sweep(account, now);
    let message = match breaker::may_take_back(account) {
        true => "what bears this installation's marker and stands in no ledger is much, and is taken back, as was acknowledged, where nothing else holds that back".to_owned(),
        false => format!("{}; where all of it may go: {command}", why.message()),
    };
    yes(message).since(since)
}

/// Most orphans that an account's status names.
const TOLD: usize = 10;

/// What an account's status says of a comparison.
pub(super) fn report(
    provider: &str,
    items: &[Item],
    verdicts: &[Verdict],
    orphans: &[(Timestamp, usize)],
) -> AccountSweep {
    let count = |wanted: Verdict| {
        let found = verdicts.iter().filter(|one| **one == wanted).count();
        number(found)
    };
    let costs = orphans.iter().map(|(_, at)| items[*at].monthly_usd);
    AccountSweep {
        orphans: number(orphans.len()),
        foreign: count(Verdict::Foreign),
        left_behind: count(Verdict::LeftBehind),
        monthly_cost_usd: costs.flatten().sum(),
        oldest: orphans
            .iter()
            .take(TOLD)
            .map(|(since, at)| orphan(provider, &items[*at], *since))
            .collect(),
    }
}

fn orphan(provider: &str, item: &Item, since: Timestamp) -> AccountOrphan {
    let cut = |text: &str| text.chars().take(256).collect::<String>();
    AccountOrphan {
        provider: provider.to_owned(),
        kind: item.kind.clone(),
        id: cut(&item.id),
        name: cut(&item.name),
        since: Time(Timestamp::from_second(since.as_second()).unwrap_or(since)),
        monthly_cost_usd: item.monthly_usd,
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
