//! The workqueue of a kind: who is to be reconciled, when, and in which order.
//!
//! Holds: an object is in the line once, and is worked on by one worker at a time; who is woken while its pass runs comes
//! again after it; of those that are due the higher [`Rank`] comes first, and nobody is passed over for longer than his
//! rank's handicap. A closed queue takes nobody in. Deliberately absent: why somebody is woken (`wake`), and how a pass
//! ends (`kind`).

use super::held;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
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

impl Rank {
    /// By how much those of higher rank that become due later may come first.
    fn handicap(self) -> Duration {
        match self {
            Rank::Person => Duration::ZERO,
            Rank::News => Duration::from_secs(1),
            Rank::Fleet => Duration::from_secs(10),
        }
    }
}

/// A line of objects to be reconciled.
#[derive(Debug)]
pub struct Queue<T> {
    line: Mutex<QueueState<T>>,
    more: Notify,
}

/// When somebody comes: not before `due`, and of those who are due the earliest `order` first.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    due: Instant,
    order: Instant,
}

impl Schedule {
    fn sooner(self, other: Schedule) -> Schedule {
        Schedule {
            due: self.due.min(other.due),
            order: self.order.min(other.order),
        }
    }
}

/// A place, told apart from others of the same moment.
type Numbered = (Instant, u64);

#[derive(Debug)]
struct QueueState<T> {
    open: bool,
    /// Who waits, on which schedule, with the number under which it is in `later` or `ready`.
    waiting: HashMap<T, (Schedule, u64)>,
    /// Who is not due yet, by when it is.
    later: BTreeMap<Numbered, T>,
    /// Who is due, by order.
    ready: BTreeMap<Numbered, T>,
    /// Who is being worked on, and who of them comes again.
    running: HashMap<T, Option<Schedule>>,
    numbers: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        let line = QueueState {
            open: false,
            waiting: HashMap::new(),
            later: BTreeMap::new(),
            ready: BTreeMap::new(),
            running: HashMap::new(),
            numbers: 0,
        };
        Queue {
            line: Mutex::new(line),
            more: Notify::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Queue<T> {
    /// Takes in who is woken, from now on.
    pub fn open(&self) {
        held(&self.line).open = true;
    }

    /// Whether anybody is taken in.
    pub fn is_open(&self) -> bool {
        held(&self.line).open
    }

    /// Wakes somebody, `after` that time. Who waits already comes at the sooner of both times.
    pub fn add(&self, who: T, rank: Rank, after: Duration) {
        let mut line = held(&self.line);
        if line.open {
            let due = Instant::now() + after;
            let order = due + rank.handicap();
            line.add(who, Schedule { due, order });
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
                        if !line.ready.is_empty() {
                            // Another worker may take that one.
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

    /// The pass over it has ended; it comes again by itself `again` later, if at all.
    pub fn done(&self, who: &T, again: Option<Duration>) {
        let mut line = held(&self.line);
        let woken = line.running.remove(who).flatten();
        let again = again.map(|after| {
            let due = Instant::now() + after;
            let order = due + Rank::News.handicap();
            Schedule { due, order }
        });
        let place = match (woken, again) {
            (Some(woken), Some(again)) => Some(woken.sooner(again)),
            (woken, again) => woken.or(again),
        };
        if let Some(place) = place {
            line.add(who.clone(), place);
            self.more.notify_one();
        }
    }

    /// How many wait, due or not.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        held(&self.line).waiting.len()
    }
}

impl<T: Clone + Eq + Hash> QueueState<T> {
    fn add(&mut self, who: T, place: Schedule) {
        if let Some(woken) = self.running.get_mut(&who) {
            *woken = Some(woken.map_or(place, |woken| woken.sooner(place)));
            return;
        }
        let place = match self.waiting.remove(&who) {
            Some((before, number)) => {
                self.later.remove(&(before.due, number));
                self.ready.remove(&(before.order, number));
                before.sooner(place)
            }
            None => place,
        };
        self.numbers += 1;
        self.later.insert((place.due, self.numbers), who.clone());
        self.waiting.insert(who, (place, self.numbers));
    }

    /// The next one; else when the first one is due, if anybody waits.
    fn take(&mut self, now: Instant) -> Result<T, Option<Instant>> {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let who = first.remove();
            if let Some((place, number)) = self.waiting.get(&who) {
                self.ready.insert((place.order, *number), who);
            }
        }
        match self.ready.pop_first() {
            Some((_, who)) => {
                self.waiting.remove(&who);
                self.running.insert(who.clone(), None);
                Ok(who)
            }
            None => Err(self.later.first_key_value().map(|((due, _), _)| *due)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Arc;

    const NOW: Duration = Duration::ZERO;

    fn open() -> Queue<&'static str> {
        let queue = Queue::default();
        queue.open();
        queue
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_takes_nobody_in() {
        let queue = Queue::default();
        queue.add("a", Rank::Person, NOW);
        assert_eq!(queue.waiting(), 0);
        queue.open();
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_woken_twice_comes_once_and_at_the_sooner_time() {
        let queue = open();
        queue.add("a", Rank::News, ms(500));
        queue.add("a", Rank::News, ms(100));
        queue.add("a", Rank::News, ms(900));
        let begun = Instant::now();
        assert_eq!(queue.next().await, "a");
        assert_eq!(begun.elapsed().as_millis() / 10, 10);
        queue.done(&"a", None);
        assert_eq!(queue.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_worked_on_twice_at_once_and_who_is_woken_meanwhile_comes_again() {
        let queue = open();
        queue.add("a", Rank::News, NOW);
        assert_eq!(queue.next().await, "a");
        queue.add("a", Rank::News, NOW);
        assert!(queue.next().now_or_never().is_none());
        queue.done(&"a", Some(ms(60_000)));
        // Sooner than it asked for itself.
        assert_eq!(queue.next().now_or_never(), Some("a"));
        queue.done(&"a", Some(ms(70)));
        let begun = Instant::now();
        assert_eq!(queue.next().await, "a");
        assert!(begun.elapsed() >= ms(70));
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_comes_before_a_fleet_and_nobody_waits_for_ever() {
        let queue = open();
        queue.add("fleet", Rank::Fleet, NOW);
        queue.add("news", Rank::News, NOW);
        queue.add("person", Rank::Person, NOW);
        let mut came = Vec::new();
        for _ in 0..3 {
            came.push(queue.next().await);
        }
        assert_eq!(came, ["person", "news", "fleet"]);
        // Persons who keep coming pass the fleet by for its handicap, and no longer.
        let queue = open();
        queue.add("fleet", Rank::Fleet, NOW);
        let mut persons = 0;
        loop {
            queue.add("person", Rank::Person, NOW);
            let next = queue.next().await;
            if next == "fleet" {
                break;
            }
            persons += 1;
            queue.done(&next, None);
            tokio::time::advance(ms(500)).await;
        }
        assert_eq!(persons, 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_higher_rank_brings_a_waiting_one_forward() {
        let queue = open();
        queue.add("a", Rank::Fleet, NOW);
        queue.add("b", Rank::News, NOW);
        queue.add("a", Rank::Person, NOW);
        assert_eq!(queue.next().await, "a");
        assert_eq!(queue.next().await, "b");
    }

    #[tokio::test(start_paused = true)]
    async fn every_worker_that_is_idle_gets_its_share() {
        let queue: Arc<Queue<u32>> = Arc::default();
        queue.open();
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let queue = Arc::clone(&queue);
            workers.spawn(async move {
                let who = queue.next().await;
                tokio::time::sleep(ms(1_000)).await;
                queue.done(&who, None);
            });
        }
        tokio::task::yield_now().await;
        let begun = Instant::now();
        for who in 0..4 {
            queue.add(who, Rank::News, NOW);
        }
        while workers.join_next().await.is_some() {}
        // None of them waited for another's pass.
        assert!(begun.elapsed() < ms(1_500), "{:?}", begun.elapsed());
    }
}
