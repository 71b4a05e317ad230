//! Who waits for an agent of a pool, and in which order: first come, first served, and owners take turns.
//!
//! What holds: of claims without an owner the older one comes first; an owner who has several comes once in each round of those
//! who wait, however many he has (start-time fair queueing: the place is settled when a claim joins). Deliberately absent: what they
//! wait for.

use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// A line of claims, named by `C`.
#[derive(Debug)]
pub struct WaitingLine<C> {
    waiting: BTreeSet<LinePlace<C>>,
    places: HashMap<C, LinePlace<C>>,
    /// In which round each owner came last.
    rounds: HashMap<String, u64>,
    /// The round of who was served last.
    round: u64,
}

/// A place in a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LinePlace<C> {
    round: u64,
    since: Timestamp,
    who: C,
}

/// Owners that are remembered before those whose rounds are over are forgotten.
const OWNERS: usize = 1024;

impl<C> Default for WaitingLine<C> {
    fn default() -> WaitingLine<C> {
        WaitingLine {
            waiting: BTreeSet::new(),
            places: HashMap::new(),
            rounds: HashMap::new(),
            round: 0,
        }
    }
}

impl<C: Clone + Ord + Hash> WaitingLine<C> {
    /// Somebody waits, and has since then. Who waits already keeps his place.
    pub fn join(&mut self, who: C, since: Timestamp, owner: Option<&str>) {
        if self.places.contains_key(&who) {
            return;
        }
        let next = owner
            .and_then(|owner| self.rounds.get(owner))
            .map(|at| at + 1);
        let round = next.map_or(self.round, |next| next.max(self.round));
        if let Some(owner) = owner {
            if self.rounds.len() >= OWNERS {
                let now = self.round;
                self.rounds.retain(|_, at| *at >= now);
            }
            self.rounds.insert(owner.to_owned(), round);
        }
        let place = LinePlace {
            round,
            since,
            who: who.clone(),
        };
        self.waiting.insert(place.clone());
        self.places.insert(who, place);
    }

    /// Somebody waits no longer.
    pub fn leave(&mut self, who: &C) {
        if let Some(place) = self.places.remove(who) {
            self.waiting.remove(&place);
        }
    }

    /// Somebody gets what he waits for.
    pub fn serve(&mut self, who: &C) {
        if let Some(place) = self.places.get(who) {
            self.round = self.round.max(place.round);
        }
        self.leave(who);
    }

    /// The first so many.
    pub fn first(&self, many: usize) -> impl Iterator<Item = &C> {
        self.waiting.iter().take(many).map(|place| &place.who)
    }

    /// Since when the one has waited who has longest.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|place| place.since).min()
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests;
