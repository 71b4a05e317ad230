//! Who waits for an agent of a pool, and in which order: first come, first served, and owners take turns.
//!
//! What holds: of claims without an owner the older one comes first; an owner who has several comes once in each round of those
//! who wait, however many he has (start-time fair queueing: the place is settled when a claim joins). Deliberately absent: what they
//! wait for. Who leaves without having been served gives his owner the round back; who was served and got nothing comes back to his place.

use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// A line of claims, named by `C`.
#[derive(Debug)]
pub struct WaitingLine<C> {
    waiting: BTreeSet<LinePlace<C>>,
    places: HashMap<C, LinePlace<C>>,
    /// Of those who were offered something: the place to which they come back, should it have been somebody else's.
    served: HashMap<C, LinePlace<C>>,
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
    owner: Option<String>,
}

/// Owners that are remembered before those whose rounds are over are forgotten.
const OWNERS: usize = 1024;

impl<C> Default for WaitingLine<C> {
    fn default() -> WaitingLine<C> {
        WaitingLine {
            waiting: BTreeSet::new(),
            places: HashMap::new(),
            served: HashMap::new(),
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
        if let Some(place) = self.served.remove(&who) {
            self.stand(place);
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
        self.stand(LinePlace {
            round,
            since,
            who,
            owner: owner.map(str::to_owned),
        });
    }

    fn stand(&mut self, place: LinePlace<C>) {
        self.waiting.insert(place.clone());
        self.places.insert(place.who.clone(), place);
    }

    /// Somebody waits no longer. Answers whether he stood there, and so whether what he could have had is another's.
    pub fn leave(&mut self, who: &C) -> bool {
        self.served.remove(who);
        let Some(place) = self.places.remove(who) else {
            return false;
        };
        self.waiting.remove(&place);
        // Those of his owner who come after him move up, each to the round of the one before him.
        let LinePlace { owner, round, .. } = &place;
        let Some(owner) = owner else {
            return true;
        };
        let own = |other: &&LinePlace<C>| other.owner.as_ref() == Some(owner);
        let later = self.waiting.range(&place..).filter(own);
        let later: Vec<LinePlace<C>> = later.cloned().collect();
        let mut round = *round;
        for mut one in later {
            self.waiting.remove(&one);
            std::mem::swap(&mut one.round, &mut round);
            self.stand(one);
        }
        if self.rounds.get(owner) == Some(&round) {
            match round.checked_sub(1) {
                Some(before) => self.rounds.insert(owner.clone(), before),
                None => self.rounds.remove(owner),
            };
        }
        true
    }

    /// Somebody gets what he waits for, unless he comes back.
    pub fn serve(&mut self, who: &C) {
        if let Some(place) = self.places.remove(who) {
            self.round = self.round.max(place.round);
            self.waiting.remove(&place);
            self.served.insert(who.clone(), place);
        }
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
