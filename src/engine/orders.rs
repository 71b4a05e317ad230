//! Orders of what costs money by the piece: how many an hour an account allows.
//!
//! Holds: an order is on record in the account's status before it is sent, whoever sends it; one that a crash kept from being sent counts, too,
//! and one that certainly came to nothing does not.

use crate::api::limits::MOST_ORDERS;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The record with one more order; or when the next one may be, where an hour's are sent.
pub fn order(known: &[Time], most: i32, now: Timestamp) -> Result<Vec<Time>, Timestamp> {
    let most = usize::try_from(most).unwrap_or(0);
    let mut recent: Vec<Time> = known
        .iter()
        .filter(|at| at.0 + HOUR > now)
        .cloned()
        .collect();
    recent.sort_unstable_by_key(|at| at.0);
    if recent.len() >= most {
        // As many must leave the hour that one fewer than allowed is in it.
        let leaves = recent.len() - most;
        return Err(recent.get(leaves).map_or(now + HOUR, |at| at.0 + HOUR));
    }
    let mut all: Vec<Time> = known.to_vec();
    all.push(Time(now));
    all.sort_unstable_by_key(|at| at.0);
    Ok(all.split_off(all.len().saturating_sub(MOST_ORDERS)))
}

/// The record without the newest order, which certainly was none: there was nothing to be had, or nobody to ask. Else whoever wants
/// what cannot be had would use up everybody's hour.
pub fn strike(known: &[Time]) -> Vec<Time> {
    let mut all = known.to_vec();
    all.sort_unstable_by_key(|at| at.0);
    all.pop();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn an_hour_has_so_many_orders_and_no_more() {
        let mut known = Vec::new();
        for second in [0, 10, 20] {
            known = order(&known, 3, at(second).0).unwrap();
        }
        assert_eq!(order(&known, 3, at(30).0), Err(at(3600).0));
        // What was lowered waits for so many to leave the hour.
        assert_eq!(order(&known, 2, at(30).0), Err(at(3610).0));
        assert_eq!(order(&known, 0, at(30).0), Err(at(3630).0));
        assert!(order(&known, 3, at(3599).0).is_err());
        assert_eq!(order(&known, 3, at(3600).0).unwrap().len(), 4);
    }

    #[test]
    fn what_was_no_order_gives_its_place_back() {
        let known = order(&[at(5)], 2, at(7).0).unwrap();
        assert!(order(&known, 2, at(8).0).is_err());
        let struck = strike(&known);
        assert_eq!(struck, [at(5)]);
        assert!(order(&struck, 2, at(8).0).is_ok());
        assert!(strike(&[]).is_empty());
    }

    #[test]
    fn the_record_is_bounded_and_keeps_the_newest() {
        let mut known = Vec::new();
        for second in 0..200 {
            known = order(&known, 64, at(second * 60).0).unwrap();
        }
        assert_eq!(known.len(), MOST_ORDERS);
        assert_eq!(known.last(), Some(&at(199 * 60)));
    }
}
