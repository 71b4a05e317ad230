//! When to come again: the one place where a fault class becomes a time, and where watching a deployment is paced.

use crate::model::Fault;
use jiff::{SignedDuration, Timestamp};
use std::hash::{DefaultHasher, Hash, Hasher};

/// When to try again after a fault that came so often in a row. `spread` in 0..1 keeps many from coming at once.
pub fn after(fault: &Fault, failures: u32, now: Timestamp, spread: f64) -> Timestamp {
    let (first, most) = match fault {
        // Everybody whom one throttle stops may go on at one moment: they come one after the other, and nobody much later.
        Fault::Throttled { until, .. } => {
            let until = (*until).max(now + SignedDuration::from_millis(100));
            let late = (until.duration_since(now) / 10).min(SignedDuration::from_secs(5));
            return until + part(late, spread);
        }
        Fault::Transient { .. } | Fault::Missing { .. } => (500, 60_000),
        // The lookup that follows is cheap, and people wait for it.
        Fault::Uncertain { .. } => (200, 30_000),
        Fault::Bug { .. } => (2_000, 300_000),
        // To ask the API server once more costs little, and whoever mends a policy or a quota waits for it.
        Fault::Refused { .. } => (5_000, 600_000),
        // These wait for a person; coming back now and then costs little and notices what nobody announces.
        Fault::Denied { .. } | Fault::Rejected { .. } | Fault::Exhausted { .. } => {
            (30_000, 600_000)
        }
    };
    let doubled = i64::from(first) << failures.saturating_sub(1).min(20);
    let capped = doubled.min(most);
    let wait = SignedDuration::from_millis(capped);
    now + wait + part(wait / 5, spread)
}

/// What an earlier fault asks of us.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Not before this.
    pub until: Timestamp,
    /// The fault.
    pub fault: Fault,
    /// How often in a row.
    pub failures: u32,
}

/// A fault that is remembered: how often it came in a row while the same was tried, and until when it asks for patience.
#[derive(Clone, Debug)]
pub struct Trouble<A> {
    about: A,
    failures: u32,
    /// Not before this.
    pub until: Timestamp,
    fault: Fault,
}

impl<A: Clone + PartialEq> Trouble<A> {
    /// A fault came, perhaps once more. `about`: what was tried.
    pub fn again(
        before: Option<&Trouble<A>>,
        about: &A,
        fault: &Fault,
        uid: &str,
        now: Timestamp,
    ) -> Trouble<A> {
        let same = before.filter(|before| before.about == *about);
        let failures = same.map_or(0, |before| before.failures) + 1;
        Trouble {
            about: about.clone(),
            failures,
            until: after(fault, failures, now, spread(uid, failures)),
            fault: fault.clone(),
        }
    }

    /// What it asks for, where the same is tried.
    pub fn patience(&self, about: &A) -> Option<Patience> {
        (self.about == *about).then(|| Patience {
            until: self.until,
            fault: self.fault.clone(),
            failures: self.failures,
        })
    }
}

/// Something is looked at again after so long whose end may be told to nobody: such a look reads a few objects, sends
/// nothing outside and writes nothing.
const RECHECK: SignedDuration = SignedDuration::from_secs(30);

/// When to look again at what nobody tells the end of.
pub fn recheck(uid: &str, now: Timestamp) -> Timestamp {
    now + RECHECK + part(RECHECK / 5, spread(uid, 0))
}

/// Where in 0..1 an object comes when many are to come, the same each time: by its UID, and by how often it has come.
pub fn spread(uid: &str, times: u32) -> f64 {
    let mut hash = DefaultHasher::new();
    (uid, times).hash(&mut hash);
    #[allow(clippy::cast_precision_loss)]
    let place = (hash.finish() >> 32) as f64 / f64::from(u32::MAX);
    place
}

fn part(of: SignedDuration, spread: f64) -> SignedDuration {
    let most = u128::try_from(of.as_millis()).unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let part = (most as f64 * spread.clamp(0.0, 1.0)) as i64;
    SignedDuration::from_millis(part)
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
        assert_eq!(after(&until, 3, at(0), 0.0), at(7_000));
        assert_eq!(after(&until, 3, at(9_000), 0.0), at(9_100));
    }

    #[test]
    fn many_that_may_go_on_at_one_moment_come_one_after_the_other() {
        let until = Fault::Throttled {
            until: at(60_000),
            message: String::new(),
        };
        let uid = |n: u32| format!("5f2c-{n}");
        let come: Vec<Timestamp> = (0..1_000)
            .map(|n| after(&until, 1, at(0), spread(&uid(n), 1)))
            .collect();
        assert!(
            come.iter()
                .all(|one| (at(60_000)..=at(65_000)).contains(one))
        );
        let look: Vec<Timestamp> = (0..1_000).map(|n| recheck(&uid(n), at(0))).collect();
        assert!(
            look.iter()
                .all(|one| (at(30_000)..=at(36_000)).contains(one))
        );
        for (times, first, tenth) in [(come, 60_000, 500), (look, 30_000, 600)] {
            for n in 0..10 {
                let begin = at(first + n * tenth);
                let then = begin..begin + SignedDuration::from_millis(tenth);
                let there = times.iter().filter(|one| then.contains(one)).count();
                assert!((50..=200).contains(&there), "{there} in {then:?}");
            }
        }
        // The same each time: nobody is pushed back by asking again.
        assert_eq!(recheck("5f2c", at(0)), recheck("5f2c", at(0)));
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
