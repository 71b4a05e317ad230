//! What a workspace's projects have cost this month, as Railway last told.
//!
//! Holds: it is asked for once in an hour, and anew when a month begins; what was told stands until it tells again, but for the
//! month; who does not answer is asked more and more seldom, and that is no outage. Deliberately absent: who asks and who is told
//! (`spending`).

use crate::api::money::Money;
use crate::controllers::held;
use crate::engine::costs::{again, month, next};
use crate::model::Done;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;

/// What projects have cost, and when to ask again.
#[derive(Default)]
pub struct Costs(Mutex<ToldCosts>);

#[derive(Default)]
struct ToldCosts {
    next: Option<Timestamp>,
    /// How often in a row it was not told.
    failed: u32,
    /// When its month began, and what each project has cost since.
    told: Option<(Timestamp, HashMap<String, Money>)>,
}

impl ToldCosts {
    fn of(&self, now: Timestamp) -> Option<&HashMap<String, Money>> {
        let told = self.told.as_ref();
        told.filter(|(since, _)| *since == month(now))
            .map(|(_, costs)| costs)
    }
}

impl Costs {
    /// Whether it is time to ask.
    pub fn due(&self, now: Timestamp) -> bool {
        held(&self.0).next.is_none_or(|next| next <= now)
    }

    /// Takes in what was asked for at a moment.
    pub fn take(&self, asked: Timestamp, told: Done<HashMap<String, Money>>) {
        let mut known = held(&self.0);
        match told {
            Ok(costs) => {
                known.told = Some((month(asked), costs));
                known.failed = 0;
                known.next = Some(next(asked));
            }
            Err(_) => {
                known.next = Some(again(asked, known.failed));
                known.failed += 1;
            }
        }
    }

    /// Asks at once, and as if for the first time: the credential is another.
    pub fn ask_anew(&self) {
        let mut known = held(&self.0);
        (known.next, known.failed) = (None, 0);
    }

    /// Whether this month's costs are known.
    pub fn known(&self, now: Timestamp) -> bool {
        held(&self.0).of(now).is_some()
    }

    /// Whether they were asked for in vain.
    pub fn untold(&self, now: Timestamp) -> bool {
        let known = held(&self.0);
        known.failed > 0 && known.of(now).is_none()
    }

    /// What a project has cost this month. `None`: not known yet.
    pub fn of(&self, project: &str, now: Timestamp) -> Option<Money> {
        let known = held(&self.0);
        let costs = known.of(now)?;
        Some(costs.get(project).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fault;
    use jiff::SignedDuration;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_told_stands_for_its_month_whoever_fails_to_tell_it_again() {
        let costs = Costs::default();
        let first = at("2026-11-30T23:20:00Z");
        assert!(costs.due(first) && !costs.known(first) && !costs.untold(first));
        costs.take(
            first,
            Ok(HashMap::from([("a".to_owned(), Money::cents(150))])),
        );
        assert_eq!(costs.of("a", first), Some(Money::cents(150)));
        assert_eq!(costs.of("b", first), Some(Money::ZERO));
        // With the month, not an hour later.
        let last = at("2026-11-30T23:59:59Z");
        assert!(!costs.due(last) && costs.known(last));
        let mut now = at("2026-12-01T00:00:00Z");
        assert!(costs.due(now) && costs.of("a", now).is_none());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let fault = Fault::Denied {
                message: "no".into(),
            };
            costs.take(now, Err(fault));
            assert!(costs.untold(now) && !costs.due(now));
            let asked = now;
            while !costs.due(now) {
                now += SignedDuration::from_secs(30);
            }
            pauses.push(now.duration_since(asked).as_mins());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let fault = Fault::Denied {
            message: "no".into(),
        };
        costs.take(now, Err(fault));
        assert!(!costs.due(now));
        costs.ask_anew();
        assert!(costs.due(now) && !costs.untold(now));
        costs.take(now, Ok(HashMap::new()));
        assert!(!costs.untold(now) && costs.of("a", now) == Some(Money::ZERO));
    }
}
