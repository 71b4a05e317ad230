//! Breakers: what stops by itself where too much changes at once, until a person says that it is meant.
//!
//! Holds: a breaker is a condition of the account with a reason of its own and the time since when; the acknowledgement of that
//! one occurrence opens it, never the next. Deliberately absent: one thing that is missing, which stops itself alone
//! (`belief`).

use crate::api::ProviderAccount;
use crate::api::acknowledge::{acknowledged, command};
use crate::api::condition::{find, kind, reason, whole_seconds};
use jiff::Timestamp;
use kube::ResourceExt;
use std::fmt;

/// So few are never too many.
const FEW: usize = 5;

/// How many of so many known things may vanish within an interval.
fn may_vanish(known: usize) -> usize {
    FEW.max(known / 10)
}

/// How many may be nobody's beside so many that are claimed.
fn may_be_orphans(claimed: usize) -> usize {
    FEW.max(claimed / 20)
}

/// Things that ledgers know and that are gone, all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vanished {
    /// How many are gone since the last believed listing.
    pub gone: usize,
    /// Of how many.
    pub known: usize,
}

impl Vanished {
    /// Of what ledgers know, so much was there at the last believed listing, and is not now: `None` where that may be so.
    pub fn of(gone: usize, known: usize) -> Option<Vanished> {
        (gone > may_vanish(known)).then_some(Vanished { gone, known })
    }

    /// Whether a person has said that it is meant.
    pub fn acknowledged(account: &ProviderAccount) -> bool {
        opened(account, kind::HEALTHY, "False", reason::VANISHED_TOGETHER)
    }

    /// The sentence for those who run the account.
    pub fn told(self, account: &str, since: Timestamp) -> String {
        format!(
            "{self}; nothing is made, changed or deleted until they are listed again; where they are really gone: {}",
            command("provideraccount", account, reason::VANISHED_TOGETHER, since)
        )
    }
}

impl fmt::Display for Vanished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vanished { gone, known } = self;
        write!(
            f,
            "{gone} of {known} resources that ledgers know here vanished within one interval, which is more likely the provider's error than so many deletions"
        )
    }
}

/// Whether so many orphans beside so many claimed things are more likely a loss of ledgers than so many orphans.
pub fn too_many_orphans(orphans: usize, claimed: usize) -> bool {
    orphans > may_be_orphans(claimed)
}

/// Whether a person has said that the sweep may take back so many.
pub fn may_take_back(account: &ProviderAccount) -> bool {
    opened(
        account,
        kind::SWEEP_HELD_BACK,
        "True",
        reason::TOO_MANY_ORPHANS,
    )
}

/// What opens the sweep, for those who run the account.
pub fn opens_sweep(account: &ProviderAccount, now: Timestamp) -> (Timestamp, String) {
    let since = since(
        account,
        kind::SWEEP_HELD_BACK,
        "True",
        reason::TOO_MANY_ORPHANS,
    );
    let since = since.unwrap_or_else(|| whole_seconds(now));
    let name = account.name_any();
    (
        since,
        command("provideraccount", &name, reason::TOO_MANY_ORPHANS, since),
    )
}

/// Since when the account's provider counts as having lost things.
pub fn vanished_since(account: &ProviderAccount, now: Timestamp) -> Timestamp {
    let since = since(account, kind::HEALTHY, "False", reason::VANISHED_TOGETHER);
    since.unwrap_or_else(|| whole_seconds(now))
}

fn since(account: &ProviderAccount, kind: &str, status: &str, reason: &str) -> Option<Timestamp> {
    let said = find(&account.status.as_ref()?.conditions, kind)?;
    let same = said.status == status && said.reason == reason;
    same.then_some(said.last_transition_time.0)
}

fn opened(account: &ProviderAccount, kind: &str, status: &str, reason: &str) -> bool {
    since(account, kind, status, reason)
        .is_some_and(|since| acknowledged(account.annotations(), reason, since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::acknowledge::{ACKNOWLEDGE_ANNOTATION, occurrence};
    use serde_json::json;

    #[test]
    fn a_few_may_vanish_and_a_tenth_of_many() {
        for (known, most) in [(0, 5), (6, 5), (59, 5), (60, 6), (1_000, 100)] {
            assert_eq!(Vanished::of(most, known), None, "{most} of {known}");
            assert!(Vanished::of(most + 1, known).is_some(), "{most} of {known}");
        }
        for (claimed, most) in [(0, 5), (119, 5), (120, 6), (1_000, 50)] {
            assert!(!too_many_orphans(most, claimed));
            assert!(too_many_orphans(most + 1, claimed));
        }
    }

    #[test]
    fn an_acknowledgement_opens_the_one_occurrence_that_the_condition_tells_of() {
        let since: Timestamp = "2026-11-26T08:00:00Z".parse().unwrap();
        let account = |reason: &str, said: &str| -> ProviderAccount {
            serde_json::from_value(json!({
                "metadata": {"name": "main", "annotations": {ACKNOWLEDGE_ANNOTATION: said}},
                "spec": {},
                "status": {"conditions": [{"type": "Healthy", "status": "False", "reason": reason, "message": "",
                    "lastTransitionTime": since}]},
            }))
            .unwrap()
        };
        let now = since + jiff::SignedDuration::from_secs(90);
        let word = occurrence(reason::VANISHED_TOGETHER, since);
        assert!(Vanished::acknowledged(&account(
            reason::VANISHED_TOGETHER,
            &word
        )));
        let other = occurrence(reason::VANISHED_TOGETHER, now);
        assert!(!Vanished::acknowledged(&account(
            reason::VANISHED_TOGETHER,
            &other
        )));
        assert!(!Vanished::acknowledged(&account(
            reason::ACCOUNT_UNREACHABLE,
            &word
        )));
        let told = account(reason::VANISHED_TOGETHER, "");
        assert_eq!(vanished_since(&told, now), since);
        let vanished = Vanished { gone: 7, known: 9 };
        let message = vanished.told("main", since);
        assert!(
            message.starts_with("7 of 9 ") && message.contains(&word),
            "{message}"
        );
    }
}
