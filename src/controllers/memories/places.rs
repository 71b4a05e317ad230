//! Places in accounts that are about to be taken: whoever is told that there is room has it, before a ledger says so.
//!
//! Holds: of two who ask for the last place at once one gets it; a place is held until the store shows the intent, and, where a pass
//! ends without one, for [`LAG`] after it. Deliberately absent: what is taken already (`engine::places`). Two processes that
//! both believe that they lead know nothing of each other's.

use crate::api::AgentInstance;
use crate::controllers::held;
use crate::engine::places::{Most, TakenPlaces, Taker, Things};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long after a pass the store may show its intent.
const LAG: SignedDuration = SignedDuration::from_secs(30);

/// How long what was counted for a glance serves others of the namespace: each agent of a fleet glances at all its accounts in each
/// pass until it has its tools, and counting looks at every instance.
pub const GLANCE: Duration = Duration::from_secs(1);

/// Who is about to take a place, and until when it is held. `None`: its pass runs.
type AboutTo = HashMap<Taker, Option<Timestamp>>;

/// Places about to be taken, by account, and what was counted last, by account and namespace.
#[derive(Debug, Default)]
pub struct Places {
    about_to: Mutex<HashMap<String, AboutTo>>,
    glances: Mutex<HashMap<(String, String), (Timestamp, TakenPlaces)>>,
}

/// What is known to take a place in an account.
pub struct KnownPlaces {
    /// The instances that name the account.
    pub instances: Vec<Arc<AgentInstance>>,
    /// What they and others have there.
    pub things: Things,
}

impl Places {
    /// What others take of an account. With `most`, the place is taken where there is room. `known` is looked at while nobody else
    /// takes a place; `None`: it cannot be said yet.
    pub fn count(
        &self,
        account: &str,
        asks: &Taker,
        now: Timestamp,
        most: Option<Most>,
        known: impl FnOnce() -> Option<KnownPlaces>,
    ) -> Option<TakenPlaces> {
        let mut all = held(&self.about_to);
        let KnownPlaces {
            instances,
            mut things,
        } = known()?;
        let about_to = all.entry(account.to_owned()).or_default();
        about_to.retain(|_, until| until.is_none_or(|until| until > now));
        if !about_to.is_empty() {
            for one in &instances {
                let identity = one.identity();
                about_to.retain(|place, _| place.identity != identity || !place.begun(one));
            }
        }
        for other in about_to.keys().filter(|other| *other != asks) {
            things.about_to(other);
        }
        let taken = things.taken(&asks.namespace);
        if most.is_some_and(|most| most.room(taken)) {
            about_to.insert(asks.clone(), None);
        }
        if about_to.is_empty() {
            all.remove(account);
        }
        Some(taken)
    }

    /// What others take of an account, as it was within the last moment, for somebody who has nothing in it yet. Whoever takes a
    /// place counts anew.
    pub fn glance(
        &self,
        account: &str,
        asks: &Taker,
        now: Timestamp,
        known: impl FnOnce() -> Option<KnownPlaces>,
    ) -> Option<TakenPlaces> {
        let whose = (account.to_owned(), asks.namespace.clone());
        let fresh = |(at, _): &(Timestamp, TakenPlaces)| {
            *at <= now && now.duration_since(*at).unsigned_abs() < GLANCE
        };
        if let Some((_, taken)) = held(&self.glances).get(&whose).filter(|one| fresh(one)) {
            return Some(*taken);
        }
        let taken = self.count(account, asks, now, None, known)?;
        let mut glances = held(&self.glances);
        glances.retain(|_, one| fresh(one));
        glances.insert(whose, (now, taken));
        Some(taken)
    }

    /// The pass of an instance has ended.
    pub fn ended(&self, identity: &str, now: Timestamp) {
        let until = now + LAG;
        for about_to in held(&self.about_to).values_mut() {
            let own = about_to
                .iter_mut()
                .filter(|(place, until)| place.identity == identity && until.is_none());
            for (_, held) in own {
                *held = Some(until);
            }
        }
    }

    /// An instance is gone.
    pub fn gone(&self, identity: &str) {
        for about_to in held(&self.about_to).values_mut() {
            about_to.retain(|place, _| place.identity != identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Slot;
    use serde_json::json;

    fn instance(name: &str, state: Option<&str>) -> Arc<AgentInstance> {
        let entry = |state: &str| {
            json!({"origin": "Made", "slot": "project", "provider": "railway", "account": "main", "state": state,
                "key": name, "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"})
        };
        let object = json!({
            "metadata": {"namespace": "n", "name": name, "uid": name},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}},
            "status": {"external": state.map(entry).into_iter().collect::<Vec<_>>()},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn most(all: usize) -> Most {
        Most {
            all,
            field: "limits.resources",
            namespace: all,
        }
    }

    struct Account<'a> {
        places: &'a Places,
        instances: Vec<Arc<AgentInstance>>,
    }

    impl Account<'_> {
        fn take(&self, name: &str, at: i64) -> bool {
            let asks = Taker::of(&instance(name, None), Slot::Project);
            let known = || {
                let mut things = Things::default();
                for one in &self.instances {
                    things.record("main", &asks, one);
                }
                let instances = self.instances.clone();
                Some(KnownPlaces { instances, things })
            };
            let now = Timestamp::from_second(at).unwrap();
            let taken = self.places.count("main", &asks, now, Some(most(2)), known);
            most(2).room(taken.unwrap())
        }
    }

    #[test]
    fn the_last_place_is_given_once_however_late_the_store_is() {
        let places = Places::default();
        let at = |instances| Account {
            places: &places,
            instances,
        };
        let nothing_shown = at(vec![]);
        assert!(nothing_shown.take("a", 0) && nothing_shown.take("b", 0));
        // Asked again it is the same place.
        assert!(nothing_shown.take("a", 0));
        assert!(!nothing_shown.take("c", 0));
        // The pass of a has ended with an intent; the store shows it later.
        places.ended("a", Timestamp::from_second(1).unwrap());
        assert!(!nothing_shown.take("c", 2));
        let shown = at(vec![instance("a", Some("Creating"))]);
        assert!(!shown.take("c", 3));
        // What is taken back frees its place.
        let freed = at(vec![instance("a", None)]);
        assert!(freed.take("c", 4));
        assert!(!freed.take("d", 4));
        // One whose pass ended without an intent holds its place no longer than a store may be late.
        places.ended("b", Timestamp::from_second(10).unwrap());
        assert!(!freed.take("d", 39));
        assert!(freed.take("d", 41));
        places.gone("d");
        assert!(freed.take("e", 41));
    }

    #[test]
    fn a_glance_serves_its_namespace_for_a_moment_and_nobody_who_takes_a_place() {
        let (places, asks) = (
            Places::default(),
            Taker::of(&instance("a", None), Slot::Project),
        );
        let at = |second| Timestamp::from_second(second).unwrap();
        let counts = std::cell::Cell::new(0);
        let known = || {
            counts.set(counts.get() + 1);
            let (instances, things) = (Vec::new(), Things::default());
            Some(KnownPlaces { instances, things })
        };
        let glance = |asks: &Taker, second| places.glance("main", asks, at(second), known);
        for _ in 0..3 {
            assert!(glance(&asks, 0).is_some());
        }
        assert_eq!(counts.get(), 1);
        let neighbour = Taker {
            namespace: "other".into(),
            ..asks.clone()
        };
        glance(&neighbour, 0);
        assert_eq!(counts.get(), 2);
        places.count("main", &asks, at(0), Some(most(1)), known);
        assert_eq!(counts.get(), 3);
        glance(&asks, 1);
        assert_eq!(counts.get(), 4);
        assert_eq!(held(&places.glances).len(), 1);
    }

    #[test]
    fn before_the_account_is_read_nobody_takes_a_place() {
        let (places, asks) = (
            Places::default(),
            Taker::of(&instance("a", None), Slot::Project),
        );
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(
            places.count("main", &asks, now, Some(most(1)), || None),
            None
        );
        assert!(held(&places.about_to).is_empty());
    }
}
