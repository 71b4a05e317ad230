//! What one thing that lives in an account is to us.

use super::claims::{Claims, Item, Provenance};
use jiff::Timestamp;

/// What something is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A ledger or a living instance lays claim to it.
    Claimed,
    /// It is not ours.
    Foreign,
    /// Ours, and left there on purpose.
    LeftBehind,
    /// Ours, and nobody's.
    Orphan {
        /// Since when, as far as is known.
        since: Timestamp,
    },
}

/// What one thing is to us. `first_seen` stands in where the provider does not tell when it was made.
pub fn verdict(item: &Item, claims: &Claims, first_seen: Timestamp) -> Verdict {
    if claims.claim(item) {
        return Verdict::Claimed;
    }
    let Provenance::Ours(_) = item.bears else {
        return Verdict::Foreign;
    };
    if claims.left(item) || (item.may_hold_money && item.resting) {
        return Verdict::LeftBehind;
    }
    Verdict::Orphan {
        since: item.created.unwrap_or_else(|| hour(first_seen)),
    }
}

/// The beginning of the hour: a time that a restart changes seldom.
fn hour(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(3600) * 3600).unwrap_or(at)
}
