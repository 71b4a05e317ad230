//! What a project costs at Railway: from when on it counts, how often it is asked for, and which change is worth telling.
//!
//! Holds: it counts from the first of the month on, in UTC, as keys do at their providers; an agent's status is written for each
//! whole dollar more, and when a month begins. Deliberately absent: the reading (`railway`), and who is told.

use crate::api::money::Money;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// How long what was read serves. Ten thousand projects take two hundred requests.
const EVERY: SignedDuration = SignedDuration::from_hours(1);

/// After so long one is asked again who did not answer once; twice as long each further time, up to [`EVERY`].
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// An agent's status tells each such step.
const STEP: Money = Money::dollars(1);

/// When the month of a moment began.
pub fn month(now: Timestamp) -> Timestamp {
    let today = now.to_zoned(TimeZone::UTC);
    let first = today.first_of_month().and_then(|day| day.start_of_day());
    first.map_or(now, |day| day.timestamp())
}

/// When to ask again what was told at a moment: after a while, and when another month begins.
pub fn next(asked: Timestamp) -> Timestamp {
    let today = asked.to_zoned(TimeZone::UTC);
    let first = today.last_of_month().and_then(|day| day.tomorrow());
    let first = first.and_then(|day| day.start_of_day());
    let later = asked + EVERY;
    first.map_or(later, |day| later.min(day.timestamp()))
}

/// When to ask again who did not tell, `failed` times in a row before.
pub fn again(asked: Timestamp, failed: u32) -> Timestamp {
    let times = 1_i32 << failed.min(6);
    asked + (AGAIN * times).min(EVERY)
}

/// What is to be told, where so much was told and so much is known.
pub fn told(before: Option<Money>, known: Option<Money>) -> Option<Money> {
    let Some(known) = known else {
        return before;
    };
    let worth = match before {
        None => known > Money::ZERO,
        Some(before) => known < before || known >= before + STEP,
    };
    if worth { Some(known) } else { before }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_on_its_first_day_in_utc() {
        for (now, began) in [
            ("2026-11-27T15:04:05Z", "2026-11-01T00:00:00Z"),
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("2027-01-31T23:59:59.999Z", "2027-01-01T00:00:00Z"),
        ] {
            let began: Timestamp = began.parse().unwrap();
            assert_eq!(month(now.parse().unwrap()), began);
        }
    }

    #[test]
    fn a_cost_is_told_by_the_dollar_and_when_a_month_begins() {
        for (before, known, after) in [
            (None, None, None),
            (None, Some(0), None),
            (None, Some(1), Some(1)),
            (Some(1), Some(100), Some(1)),
            (Some(1), Some(101), Some(101)),
            (Some(101), Some(101), Some(101)),
            (Some(1234), Some(3), Some(3)),
            (Some(1234), Some(0), Some(0)),
            (Some(5), None, Some(5)),
        ] {
            let cents = |sum: Option<u64>| sum.map(Money::cents);
            assert_eq!(
                told(cents(before), cents(known)),
                cents(after),
                "{before:?} {known:?}"
            );
        }
    }
}
