//! Whose turn it is to create what Railway allows only once in a while (`facts/railway.md` 1.4).
//!
//! What holds: at most one holder of a turn for each open window; within a priority teams are served one after another,
//! and within a team whoever came first, so that many of one team put nobody's first one back; a holder that does not
//! create, and a waiter that does not come back, is passed over after a few seconds. Windows
//! close from the moment we send, and follow what Railway answers: it alone knows whose window it is, so several
//! tokens have one each until it says that the workspace has one. Times are passed in. Deliberately absent: any
//! memory beyond the process; a restart meets closed windows as throttles, which create nothing.

mod windows;

use crate::model::{Fault, Turn};
use crate::wire::later;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::time::Duration;
use windows::{Expected, Windows};
pub(super) use windows::{InUse, Landing};

/// How long a turn is held open for the one whose turn it is.
const GRACE: SignedDuration = SignedDuration::from_secs(5);

/// Nobody is sent away for longer than so many windows, so that those who never return are soon out of the way.
const HORIZON: i32 = 10;

/// How far apart those in line come back at least: where the interval is next to nothing, a creation still takes its time.
const LEAST: SignedDuration = SignedDuration::from_millis(100);

/// Who asks for a turn.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// A name that nobody else in line has.
    pub who: &'a str,
    /// Whose it is: those of one team wait for each other, and not for all of another's.
    pub team: &'a str,
    /// Lower goes first, whatever its team.
    pub priority: u8,
    /// Since when it waits.
    pub since: Timestamp,
}

#[derive(Debug)]
pub(super) struct Turns {
    windows: Windows,
    queue: Vec<Waiter>,
    grants: Vec<Grant>,
    /// Who has let a turn pass: they queue from then on.
    passed_over: HashMap<String, Timestamp>,
    /// The round of the last turn given. In each round every team that waits is given one.
    round: u64,
    /// The round in which a team was last given one, as far as that still matters.
    served: HashMap<String, u64>,
}

#[derive(Debug)]
struct Waiter {
    who: String,
    team: String,
    order: (u8, Timestamp),
    told: Timestamp,
}

impl Waiter {
    fn key(&self) -> (u8, Timestamp, &str) {
        (self.order.0, self.order.1, &self.who)
    }
}

#[derive(Debug)]
struct Grant {
    who: String,
    team: String,
    round: u64,
    window: usize,
    at: Timestamp,
}

impl Turns {
    pub(super) fn new(interval: Duration, tokens: usize) -> Turns {
        Turns {
            windows: Windows::new(interval, tokens),
            queue: Vec::new(),
            grants: Vec::new(),
            passed_over: HashMap::new(),
            round: 0,
            served: HashMap::new(),
        }
    }

    pub(super) fn adjust(&mut self, interval: Duration) {
        self.windows.adjust(interval);
    }

    /// The throttle sees users and workspaces, not tokens: the n-th new token keeps the window of the n-th old one.
    pub(super) fn tokens_replaced(&mut self, tokens: usize) {
        self.windows.resize(tokens);
        self.grants.retain(|grant| grant.window < tokens);
    }

    /// Whether it is this one's turn; asking is waiting in line. `usable` are the tokens that Railway accepts.
    pub(super) fn turn(
        &mut self,
        applicant: Applicant<'_>,
        usable: &[usize],
        now: Timestamp,
    ) -> Turn {
        let Applicant { who, team, .. } = applicant;
        self.tidy(now);
        if self.grants.iter().any(|grant| grant.who == who) {
            return Turn::Now;
        }
        let since = applicant.since;
        let since = self
            .passed_over
            .get(who)
            .copied()
            .unwrap_or(since)
            .max(since);
        self.queue.retain(|waiter| waiter.who != who);
        let waiter = Waiter {
            who: who.to_owned(),
            team: team.to_owned(),
            order: (applicant.priority, since),
            told: now,
        };
        let own = self
            .queue
            .partition_point(|other| other.key() < waiter.key());
        self.queue.insert(own, waiter);
        let rounds = self.rounds();
        let (place, round) = (self.place(own, &rounds), rounds[own]);
        let open = self.open(usable, now);
        if let Some(&window) = open.get(place) {
            let Waiter { who, team, .. } = self.queue.remove(own);
            self.round = self.round.max(round);
            self.served.insert(team.clone(), round);
            self.grants.push(Grant {
                who,
                team,
                round,
                window,
                at: now,
            });
            return Turn::Now;
        }
        let told = self.come_back(place, usable, now);
        self.queue[own].told = told;
        Turn::At {
            when: told,
            ahead: place,
        }
    }

    /// How many wait.
    pub(super) fn waiting(&mut self, now: Timestamp) -> usize {
        self.tidy(now);
        self.queue.len()
    }

    /// In which round each waiter comes: a team's first in the next one that its team has not been served in, its second
    /// in the one after, and so on.
    fn rounds(&self) -> Vec<u64> {
        let mut next: HashMap<&str, u64> = HashMap::new();
        self.queue
            .iter()
            .map(|waiter| {
                let next = next.entry(&waiter.team).or_insert_with(|| {
                    let served = self.served.get(&waiter.team);
                    served.map_or(self.round, |served| self.round.max(served + 1))
                });
                let round = *next;
                *next += 1;
                round
            })
            .collect()
    }

    /// How many come before the waiter at this position.
    fn place(&self, own: usize, rounds: &[u64]) -> usize {
        let key = |at: usize| {
            let (priority, since, who) = self.queue[at].key();
            (priority, rounds[at], since, who)
        };
        (0..self.queue.len())
            .filter(|&at| key(at) < key(own))
            .count()
    }

    /// Out of the line, if it was in it. A turn that was not used is given back.
    pub(super) fn leave(&mut self, who: &str) -> bool {
        let before = self.queue.len();
        self.queue.retain(|waiter| waiter.who != who);
        self.passed_over.remove(who);
        let Some(held) = self.grants.iter().position(|grant| grant.who == who) else {
            return self.queue.len() < before;
        };
        let grant = self.grants.remove(held);
        if self.served.get(&grant.team) == Some(&grant.round) {
            self.served.remove(&grant.team);
        }
        true
    }

    /// A window to create in; it is closed from now on, whatever becomes of the request.
    ///
    /// Windows are alike, so it takes the one that has been held longest, no matter for whom.
    pub(super) fn begin(&mut self, usable: &[usize], now: Timestamp) -> Result<InUse, Fault> {
        self.tidy(now);
        let held = self
            .grants
            .iter()
            .position(|grant| usable.contains(&grant.window));
        let token = match held {
            Some(index) => {
                let grant = self.grants.remove(index);
                self.passed_over.remove(&grant.who);
                grant.window
            }
            None => match self.open(usable, now).first() {
                Some(&window) => window,
                None => return Err(self.closed(usable, now)),
            },
        };
        Ok(self.windows.begin(token, now))
    }

    /// What became of a request; returns when its window opens again.
    pub(super) fn settle(&mut self, used: &InUse, landing: Landing, now: Timestamp) -> Timestamp {
        self.windows.settle(used, landing, now)
    }

    /// Windows that anyone may take: open, and held for nobody.
    fn open(&self, usable: &[usize], now: Timestamp) -> Vec<usize> {
        if self.windows.shared() && !self.grants.is_empty() {
            return Vec::new();
        }
        let mut open: Vec<usize> = usable
            .iter()
            .copied()
            .filter(|&token| self.windows.opens(token) <= now)
            .filter(|token| self.grants.iter().all(|grant| grant.window != *token))
            .collect();
        // Longest unused first: creations rotate over the tokens.
        open.sort_by_key(|&token| self.windows.opens(token));
        open.truncate(if self.windows.shared() { 1 } else { open.len() });
        open
    }

    fn closed(&self, usable: &[usize], now: Timestamp) -> Fault {
        Fault::Throttled {
            until: self.expected(usable, now).next(),
            message: "Railway allows one in a while, and this one's turn has not come".to_owned(),
        }
    }

    /// When the windows will open, one after another.
    fn expected(&self, usable: &[usize], now: Timestamp) -> Expected {
        let mut opens: Vec<Timestamp> = usable
            .iter()
            .map(|&token| {
                let held = self
                    .grants
                    .iter()
                    .find(|grant| self.windows.shared() || grant.window == token);
                let used = held.map(|grant| later(grant.at, self.windows.interval()));
                used.unwrap_or(now).max(self.windows.opens(token))
            })
            .collect();
        if self.windows.shared() || opens.is_empty() {
            opens.truncate(1);
        }
        if opens.is_empty() {
            opens.push(later(now, self.windows.interval()));
        }
        Expected::new(opens, self.windows.interval().max(LEAST))
    }

    /// When the one at this place should ask again: when a window is expected to be free for it, or a little after one
    /// should have been free for the one before, who may have gone.
    fn come_back(&self, place: usize, usable: &[usize], now: Timestamp) -> Timestamp {
        let horizon = later(now, (self.windows.interval() * HORIZON).max(GRACE));
        let mut expected = self.expected(usable, now);
        let mut before = None;
        let mut own = expected.next();
        for _ in 0..place {
            if own > horizon {
                break;
            }
            before = Some(own);
            own = expected.next();
        }
        let early = before.map_or(own, |before| later(before, GRACE).min(own));
        early
            .min(horizon)
            .max(later(now, SignedDuration::from_millis(5)))
    }

    fn tidy(&mut self, now: Timestamp) {
        let round = self.round;
        self.served.retain(|_, served| *served >= round);
        self.queue.retain(|waiter| later(waiter.told, GRACE) > now);
        let horizon = self.windows.interval() * HORIZON;
        self.passed_over.retain(|_, at| later(*at, horizon) > now);
        let passed_over = &mut self.passed_over;
        self.grants.retain(|grant| {
            let holds = later(grant.at, GRACE) > now;
            if !holds {
                passed_over.insert(grant.who.clone(), now);
            }
            holds
        });
    }
}

#[cfg(test)]
mod tests;
