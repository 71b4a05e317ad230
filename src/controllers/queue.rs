//! The workqueue of a kind: who is to be reconciled, when, and in which order.
//!
//! Holds: an object is in the line once, and is worked on by one worker at a time; who is woken while its pass runs comes
//! again after it; of those that are due the higher [`Rank`] comes first, and every rank has its share of the turns
//! ([`TURNS`]); within a rank namespaces take turns, so that none keeps another waiting, however many it wakes. A closed
//! queue takes nobody in. Deliberately absent: why somebody is woken (`wake`), and how a pass ends (`kind`).

use super::held;
use super::turned::Ref;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How urgent a wake-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Somebody has changed the object, and waits.
    Person,
    /// Something that the object depends on has changed, or its own time has come.
    News,
    /// One of many that are woken together.
    Fleet,
}

/// Whose turn each is: the rank that is named, or else the highest of which somebody is due.
const TURNS: [Rank; 8] = [
    Rank::Person,
    Rank::Person,
    Rank::News,
    Rank::Person,
    Rank::Person,
    Rank::News,
    Rank::Person,
    Rank::Fleet,
];

/// Who can stand in a line.
pub trait InLine: Clone + Eq + Hash {
    /// Among whom turns are taken.
    fn namespace(&self) -> &str;
}

impl<K> InLine for Ref<K>
where
    Ref<K>: Clone + Eq + Hash,
    K: kube::Resource<DynamicType = ()> + Clone,
{
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// A line of objects to be reconciled.
#[derive(Debug)]
pub struct Queue<T> {
    line: Mutex<QueueState<T>>,
    more: Notify,
}

/// When somebody comes: not before `due`, and then in the line of `rank`.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    due: Instant,
    rank: Rank,
}

impl Schedule {
    fn after(wait: Duration, rank: Rank) -> Schedule {
        let due = Instant::now() + wait;
        Schedule { due, rank }
    }

    fn sooner(self, other: Schedule) -> Schedule {
        Schedule {
            due: self.due.min(other.due),
            rank: self.rank.min(other.rank),
        }
    }
}

/// A moment, told apart from others of the same.
type Numbered = (Instant, u64);

/// Those of one rank that are due.
#[derive(Debug)]
struct Due<T> {
    /// By namespace, and in each by when they were due.
    namespaces: BTreeMap<String, BTreeMap<Numbered, T>>,
    /// Whose turn was last.
    last: String,
}

impl<T: InLine> Due<T> {
    fn put(&mut self, at: Numbered, who: T) {
        let own = self.namespaces.entry(who.namespace().to_owned());
        own.or_default().insert(at, who);
    }

    fn remove(&mut self, at: Numbered, who: &T) {
        if let Some(own) = self.namespaces.get_mut(who.namespace()) {
            own.remove(&at);
            if own.is_empty() {
                self.namespaces.remove(who.namespace());
            }
        }
    }

    fn take(&mut self) -> Option<T> {
        let after = (Excluded(self.last.as_str()), Unbounded);
        let next = self.namespaces.range::<str, _>(after).next();
        let next = next.or_else(|| self.namespaces.first_key_value());
        let (namespace, own) = next?;
        let (at, who) = own.first_key_value()?;
        let (at, who) = (*at, who.clone());
        self.last = namespace.clone();
        self.remove(at, &who);
        Some(who)
    }
}

#[derive(Debug)]
struct QueueState<T> {
    open: bool,
    /// Who waits, until when, with the number under which it is in `later` or in one of `ready`.
    waiting: HashMap<T, (Schedule, u64)>,
    /// Who is not due yet, by when it is.
    later: BTreeMap<Numbered, T>,
    /// Who is due, by rank.
    ready: [Due<T>; 3],
    /// How many turns were taken.
    turns: usize,
    /// Who is being worked on, and who of them comes again.
    running: HashMap<T, Option<Schedule>>,
    numbers: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        let due = || Due {
            namespaces: BTreeMap::new(),
            last: String::new(),
        };
        let line = QueueState {
            open: false,
            waiting: HashMap::new(),
            later: BTreeMap::new(),
            ready: [due(), due(), due()],
            turns: 0,
            running: HashMap::new(),
            numbers: 0,
        };
        Queue {
            line: Mutex::new(line),
            more: Notify::new(),
        }
    }
}

impl<T: InLine> Queue<T> {
    /// Takes in who is woken, from now on.
    pub fn open(&self) {
        held(&self.line).open = true;
    }

    /// Whether anybody is taken in.
    pub fn is_open(&self) -> bool {
        held(&self.line).open
    }

    /// Wakes somebody, `after` that time. Who waits already comes at the sooner of both times, in the higher of both ranks.
    pub fn add(&self, who: T, rank: Rank, after: Duration) {
        let mut line = held(&self.line);
        if line.open {
            line.add(who, Schedule::after(after, rank));
            self.more.notify_one();
        }
    }

    /// Who comes next, as soon as somebody is due. It is worked on until [`done`](Self::done).
    pub async fn next(&self) -> T {
        loop {
            let first = {
                let mut line = held(&self.line);
                match line.take(Instant::now()) {
                    Ok(who) => {
                        if !line.waiting.is_empty() {
                            // Another worker takes the next one, or waits for it.
                            self.more.notify_one();
                        }
                        return who;
                    }
                    Err(first) => first,
                }
            };
            match first {
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.more.notified() => {}
                },
                None => self.more.notified().await,
            }
        }
    }

    /// Whether anybody is due whom a person waits for.
    pub fn presses(&self) -> bool {
        let (line, now) = (held(&self.line), Instant::now());
        let due = line.later.range(..=(now, u64::MAX));
        let mut ranks = due.filter_map(|(_, who)| Some(line.waiting.get(who)?.0.rank));
        !line.ready[Rank::Person as usize].namespaces.is_empty()
            || ranks.any(|rank| rank == Rank::Person)
    }

    /// The pass over it has ended; it comes again by itself `again` later, if at all.
    pub fn done(&self, who: &T, again: Option<Duration>) {
        let mut line = held(&self.line);
        let woken = line.running.remove(who).flatten();
        let again = again.map(|after| Schedule::after(after, Rank::News));
        let schedule = match (woken, again) {
            (Some(woken), Some(again)) => Some(woken.sooner(again)),
            (woken, again) => woken.or(again),
        };
        if let Some(schedule) = schedule {
            line.add(who.clone(), schedule);
            self.more.notify_one();
        }
    }

    /// Whether anybody is due or worked on.
    pub fn is_busy(&self) -> bool {
        let line = held(&self.line);
        let next = line.later.first_key_value();
        let due = next.is_some_and(|((due, _), _)| *due <= Instant::now());
        let ready = line.ready.iter().any(|one| !one.namespaces.is_empty());
        due || ready || !line.running.is_empty()
    }

    /// How many wait, due or not.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        held(&self.line).waiting.len()
    }
}

impl<T: InLine> QueueState<T> {
    fn add(&mut self, who: T, schedule: Schedule) {
        if let Some(woken) = self.running.get_mut(&who) {
            *woken = Some(woken.map_or(schedule, |woken| woken.sooner(schedule)));
            return;
        }
        let schedule = match self.waiting.remove(&who) {
            Some((before, number)) => {
                let at = (before.due, number);
                self.later.remove(&at);
                self.ready[before.rank as usize].remove(at, &who);
                before.sooner(schedule)
            }
            None => schedule,
        };
        self.numbers += 1;
        self.later.insert((schedule.due, self.numbers), who.clone());
        self.waiting.insert(who, (schedule, self.numbers));
    }

    /// The next one; else when the first one is due, if anybody waits.
    fn take(&mut self, now: Instant) -> Result<T, Option<Instant>> {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let (at, who) = first.remove_entry();
            if let Some((schedule, _)) = self.waiting.get(&who) {
                self.ready[schedule.rank as usize].put(at, who);
            }
        }
        let turn = TURNS[self.turns % TURNS.len()] as usize;
        let next = match self.ready[turn].take() {
            Some(who) => Some(who),
            None => self.ready.iter_mut().find_map(Due::take),
        };
        match next {
            Some(who) => {
                self.turns += 1;
                self.waiting.remove(&who);
                self.running.insert(who.clone(), None);
                Ok(who)
            }
            None => Err(self.later.first_key_value().map(|((due, _), _)| *due)),
        }
    }
}

#[cfg(test)]
mod tests;
