//! Places in accounts that are about to be taken: whoever is told that there is room has it, before a ledger says so.
//!
//! Holds: of two who ask for the last place at once one gets it; a place is held until the store shows the intent, and, where a pass
//! ends without one, for [`LAG`] after it. Deliberately absent: what is taken already (`engine::places`). Two processes that
//! both believe that they lead know nothing of each other's.

use crate::api::AgentInstance;
use crate::controllers::held;
use crate::engine::places::{Most, PlaceAsked, TakenPlaces, Taker, Things};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long after a pass the store may show its intent.
const LAG: SignedDuration = SignedDuration::from_secs(30);

/// How long what was counted for a glance serves others of the namespace: each agent of a fleet glances at all its accounts in each
/// pass until it has its tools, and counting looks at every instance.
pub const GLANCE: Duration = Duration::from_secs(1);

/// Who is about to take a place, and what for.
type AboutTo = HashMap<Taker, Reserved>;

/// What is reserved, and until when. `None`: its pass runs.
#[derive(Debug)]
struct Reserved {
    asked: PlaceAsked,
    /// Who has reserved before whom.
    turn: u64,
    until: Option<Timestamp>,
}

/// Places about to be taken, by account, and what was counted last, by account and namespace.
#[derive(Debug, Default)]
pub struct Places {
    about_to: Mutex<HashMap<String, AboutTo>>,
    turns: AtomicU64,
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
    /// What others take of an account. With `takes`, what is asked for is taken where there is room for it. `known` is looked at while nobody else
    /// takes a place; `None`: it cannot be said yet.
    pub fn count(
        &self,
        account: &str,
        asks: &Taker,
        now: Timestamp,
        takes: Option<(Most, PlaceAsked)>,
        known: impl FnOnce() -> Option<KnownPlaces>,
    ) -> Option<TakenPlaces> {
        let mut all = held(&self.about_to);
        let KnownPlaces {
            instances,
            mut things,
        } = known()?;
        let about_to = all.entry(account.to_owned()).or_default();
        about_to.retain(|_, held| held.until.is_none_or(|until| until > now));
        if !about_to.is_empty() {
            for one in &instances {
                let identity = one.identity();
                about_to.retain(|place, held| {
                    place.identity != identity || !place.shows(one, held.asked)
                });
            }
        }
        for (other, held) in about_to.iter().filter(|(other, _)| *other != asks) {
            things.about_to(other, held.asked, &instances);
        }
        let taken = things.taken(&asks.namespace);
        if let Some((_, asked)) = takes.filter(|(most, asked)| most.room(taken, *asked)) {
            // Who asks again keeps his turn.
            let known = about_to.get(asks).map(|held| held.turn);
            let reserved = Reserved {
                asked,
                turn: known.unwrap_or_else(|| self.turns.fetch_add(1, Ordering::Relaxed)),
                until: None,
            };
            about_to.insert(asks.clone(), reserved);
            // Whoever glances next is told of it before anything is made.
            held(&self.glances).retain(|(glanced, _), _| glanced != account);
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
        // What others have glanced at counts the place that this one holds already as somebody else's.
        if self.holds(account, asks) {
            return self.count(account, asks, now, None, known);
        }
        if let Some((_, taken)) = held(&self.glances).get(&whose).filter(|one| fresh(one)) {
            return Some(*taken);
        }
        let taken = self.count(account, asks, now, None, known)?;
        let mut glances = held(&self.glances);
        glances.retain(|_, one| fresh(one));
        glances.insert(whose, (now, taken));
        Some(taken)
    }

    fn holds(&self, account: &str, asks: &Taker) -> bool {
        let all = held(&self.about_to);
        all.get(account).is_some_and(|own| own.contains_key(asks))
    }

    /// Who has taken a place in an account before whoever asks; all of them, where it has none. So of two who ask at once one sees
    /// the other, and not each the other.
    pub fn before(&self, account: &str, asks: &Taker, now: Timestamp) -> Vec<Taker> {
        let all = held(&self.about_to);
        let Some(about_to) = all.get(account) else {
            return Vec::new();
        };
        let own = about_to.get(asks).map(|held| held.turn);
        let others = about_to.iter().filter(|(other, held)| {
            let stands = held.until.is_none_or(|until| until > now);
            stands && *other != asks && own.is_none_or(|own| held.turn < own)
        });
        others.map(|(other, _)| other.clone()).collect()
    }

    /// The pass of an instance has ended.
    pub fn ended(&self, identity: &str, now: Timestamp) {
        let until = now + LAG;
        for about_to in held(&self.about_to).values_mut() {
            let own = about_to
                .iter_mut()
                .filter(|(place, held)| place.identity == identity && held.until.is_none());
            for (_, held) in own {
                held.until = Some(until);
            }
        }
    }

    /// What was reserved is not wanted any more.
    pub fn release(&self, account: &str, taker: &Taker) {
        if let Some(about_to) = held(&self.about_to).get_mut(account) {
            about_to.remove(taker);
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
mod tests;
