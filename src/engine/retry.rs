//! When to come again: the one place where a fault class becomes a time, and where watching a deployment is paced.

use crate::model::Fault;
use jiff::{SignedDuration, Timestamp};

/// When to try again after a fault that came so often in a row. `spread` in 0..1 keeps many from coming at once.
pub fn after(fault: &Fault, failures: u32, now: Timestamp, spread: f64) -> Timestamp {
    let (first, most) = match fault {
        Fault::Throttled { until, .. } => {
            return (*until).max(now + SignedDuration::from_millis(100));
        }
        Fault::Transient { .. } | Fault::Missing { .. } => (500, 60_000),
        // The lookup that follows is cheap, and people wait for it.
        Fault::Uncertain { .. } => (200, 30_000),
        Fault::Bug { .. } => (2_000, 300_000),
        // These wait for a person; coming back now and then costs little and notices what nobody announces.
        Fault::Denied { .. } | Fault::Rejected { .. } | Fault::Exhausted { .. } => {
            (30_000, 600_000)
        }
    };
    let doubled = i64::from(first) << failures.saturating_sub(1).min(20);
    let capped = doubled.min(most);
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let spread = (capped as f64 * 0.2 * spread.clamp(0.0, 1.0)) as i64;
    now + SignedDuration::from_millis(capped + spread)
}

/// When to look again at something asked for at `since`: after as long again as it has taken already, at least 50 ms,
/// at most 10 s or a tenth of that time, at most ten minutes. So a quick start is seen quickly, a slow one costs few
/// requests, and one that never comes up costs fewer and fewer.
pub fn next_look(since: Timestamp, now: Timestamp) -> Timestamp {
    let waited = now.duration_since(since);
    let most = (waited / 10).clamp(SignedDuration::from_secs(10), SignedDuration::from_mins(10));
    now + waited.clamp(SignedDuration::from_millis(50), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn waiting_doubles_up_to_a_limit_that_the_class_sets() {
        let transient = Fault::Transient {
            message: String::new(),
        };
        let rejected = Fault::Rejected {
            message: String::new(),
        };
        for (fault, failures, expected) in [
            (&transient, 1, 500),
            (&transient, 2, 1_000),
            (&transient, 40, 60_000),
            (&rejected, 1, 30_000),
            (&rejected, 9, 600_000),
        ] {
            assert_eq!(
                after(fault, failures, at(0), 0.0),
                at(expected),
                "{fault:?} {failures}"
            );
        }
        let until = Fault::Throttled {
            until: at(7_000),
            message: String::new(),
        };
        assert_eq!(after(&until, 3, at(0), 0.9), at(7_000));
        assert_eq!(after(&until, 3, at(9_000), 0.9), at(9_100));
    }

    #[test]
    fn a_slow_start_is_watched_ever_more_slowly() {
        assert_eq!(next_look(at(0), at(0)), at(50));
        assert_eq!(next_look(at(0), at(400)), at(800));
        assert_eq!(next_look(at(0), at(60_000)), at(70_000));
        assert_eq!(next_look(at(0), at(900_000)), at(990_000));
        assert_eq!(next_look(at(0), at(86_400_000)), at(87_000_000));
    }
}
