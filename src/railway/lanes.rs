//! Who may send next, when more want to than the account allows a second.
//!
//! What holds: a permit goes to the one with the earliest virtual deadline: the moment it asked, plus a handicap that
//! grows with the class. So a higher class overtakes, and whoever waits long enough is overtaken no more (aging without
//! anything that moves). Only the head of the queue watches the clock; whoever leaves the queue, served or not, wakes
//! the next head. Deliberately absent: the hour's budget and refusals (`allowance`), what is sent.

use super::account::Class;
use crate::wire::held;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What each class below the highest concedes to it: after so much waiting a request is as urgent as a fresh one of
/// the class above.
const STEP: Duration = Duration::from_secs(1);

/// The longest wait for a permit; then the caller hears `Throttled` and can do something else meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// The queue before the requests of one account.
pub(super) struct Lanes {
    inner: Mutex<PermitQueue>,
}

struct PermitQueue {
    rate: SlidingSecond,
    waiting: BTreeMap<Deadline, Arc<Notify>>,
    tickets: u64,
}

/// Virtual deadline, then order of arrival.
type Deadline = (Instant, u64);

/// The exact rule: no span of a second sees more than so many requests. Unlike a bucket, which lets either few go at once
/// or more than the rate through in some second, it lets the four or five requests of a creation go out together.
struct SlidingSecond {
    per_second: usize,
    sent: VecDeque<Instant>,
}

/// A second, and what requests may lose on each other on their way.
const SECOND: Duration = Duration::from_millis(1050);

impl SlidingSecond {
    fn new(per_second: u32) -> SlidingSecond {
        let per_second = usize::try_from(per_second).unwrap_or(1).max(1);
        SlidingSecond {
            per_second,
            sent: VecDeque::with_capacity(per_second),
        }
    }

    /// Takes a permit, or tells how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        while self
            .sent
            .front()
            .is_some_and(|first| now.duration_since(*first) >= SECOND)
        {
            self.sent.pop_front();
        }
        match self.sent.front() {
            Some(first) if self.sent.len() >= self.per_second => {
                Err(SECOND - now.duration_since(*first))
            }
            _ => {
                self.sent.push_back(now);
                Ok(())
            }
        }
    }

    /// Another rate; what was sent under the old one counts.
    fn adjust(&mut self, per_second: u32) {
        self.per_second = usize::try_from(per_second).unwrap_or(1).max(1);
    }
}

/// A place in the queue; leaving it, in whatever way, wakes the next head.
struct Waiting<'a> {
    lanes: &'a Lanes,
    place: Deadline,
    bell: Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = held(&self.lanes.inner);
        inner.waiting.remove(&self.place);
        inner.wake_head();
    }
}

impl PermitQueue {
    fn wake_head(&self) {
        if let Some((_, bell)) = self.waiting.first_key_value() {
            bell.notify_one();
        }
    }
}

impl Lanes {
    pub(super) fn new(per_second: u32) -> Lanes {
        Lanes {
            inner: Mutex::new(PermitQueue {
                rate: SlidingSecond::new(per_second),
                waiting: BTreeMap::new(),
                tickets: 0,
            }),
        }
    }

    /// Another rate from now on; whoever waits stays in place.
    pub(super) fn adjust(&self, per_second: u32) {
        let mut inner = held(&self.inner);
        inner.rate.adjust(per_second);
        inner.wake_head();
    }

    /// Waits for a permit, at most for `PATIENCE`. `false`: none came.
    pub(super) async fn permit(&self, class: Class) -> bool {
        let waiting = self.queue(class);
        tokio::time::timeout(PATIENCE, waiting.turn()).await.is_ok()
    }

    fn queue(&self, class: Class) -> Waiting<'_> {
        let mut inner = held(&self.inner);
        inner.tickets += 1;
        let place = (
            Instant::now() + STEP * u32::from(class as u8),
            inner.tickets,
        );
        let bell = Arc::new(Notify::new());
        inner.waiting.insert(place, Arc::clone(&bell));
        Waiting {
            lanes: self,
            place,
            bell,
        }
    }
}

impl Waiting<'_> {
    async fn turn(&self) {
        loop {
            match self.attempt() {
                Attempt::Served => return,
                Attempt::NotHead => self.bell.notified().await,
                Attempt::In(wait) => {
                    // Woken early where the rate changes; overtaken where someone more urgent has come meanwhile.
                    let _ = tokio::time::timeout(wait, self.bell.notified()).await;
                }
            }
        }
    }

    fn attempt(&self) -> Attempt {
        let mut inner = held(&self.lanes.inner);
        if inner.waiting.first_key_value().map(|(place, _)| *place) != Some(self.place) {
            // The bell may have been meant for whoever is head now.
            inner.wake_head();
            return Attempt::NotHead;
        }
        match inner.rate.take(Instant::now()) {
            Ok(()) => Attempt::Served,
            Err(wait) => Attempt::In(wait.max(Duration::from_millis(1))),
        }
    }
}

enum Attempt {
    Served,
    NotHead,
    In(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for these permits at once, in this order; who was served when, in milliseconds.
    async fn served(lanes: &Arc<Lanes>, classes: &[Class]) -> Vec<(Class, u128)> {
        let begun = Instant::now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for &class in classes {
            let (lanes, order) = (Arc::clone(lanes), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                if lanes.permit(class).await {
                    held(&order).push((class, begun.elapsed().as_millis()));
                }
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        held(&order).clone()
    }

    #[tokio::test(start_paused = true)]
    async fn the_higher_class_goes_first() {
        let lanes = Arc::new(Lanes::new(1));
        use Class::{Claim, Fill, Poll, StopBilling, User};
        let served = served(&lanes, &[Poll, Poll, Fill, User, Claim, StopBilling]).await;
        let classes: Vec<Class> = served.iter().map(|(class, _)| *class).collect();
        // The first found nobody before it.
        assert_eq!(classes, [Poll, StopBilling, Claim, User, Fill, Poll]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_than_the_rate_and_a_few_go_at_once() {
        let lanes = Arc::new(Lanes::new(9));
        let served = served(&lanes, &[Class::User; 40]).await;
        assert_eq!(served.len(), 40);
        assert!(served[8].1 < 5, "{served:?}");
        for window in served.windows(10) {
            assert!(window[9].1 - window[0].1 >= 1000, "{window:?}");
        }
        assert!(served[39].1 < 4500, "{served:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_lifts_so_that_nobody_starves() {
        let lanes = Arc::new(Lanes::new(5));
        let begun = Instant::now();
        // Thirty who always want something urgent: six seconds' worth of permits.
        let flood: Vec<_> = (0..30)
            .map(|_| {
                let lanes = Arc::clone(&lanes);
                tokio::spawn(async move {
                    loop {
                        lanes.permit(Class::StopBilling).await;
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(lanes.permit(Class::Poll).await);
        let waited = begun.elapsed();
        flood.iter().for_each(tokio::task::JoinHandle::abort);
        assert!(waited > Duration::from_secs(6), "{waited:?}");
        assert!(waited < Duration::from_secs(11), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_leaves_no_trace() {
        let lanes = Arc::new(Lanes::new(1));
        let classes = [Class::User; 30];
        let served = served(&lanes, &classes).await;
        assert!((15..=16).contains(&served.len()), "{}", served.len());
        assert!(held(&lanes.inner).waiting.is_empty());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(lanes.permit(Class::Poll).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_wakes_the_next() {
        let lanes = Arc::new(Lanes::new(1));
        assert!(lanes.permit(Class::User).await);
        let head = {
            let lanes = Arc::clone(&lanes);
            tokio::spawn(async move { lanes.permit(Class::StopBilling).await })
        };
        tokio::task::yield_now().await;
        let next = {
            let lanes = Arc::clone(&lanes);
            tokio::spawn(async move { lanes.permit(Class::User).await })
        };
        tokio::task::yield_now().await;
        head.abort();
        let begun = Instant::now();
        assert!(next.await.unwrap());
        assert!(begun.elapsed() < Duration::from_millis(1100));
    }

    #[tokio::test(start_paused = true)]
    async fn another_rate_counts_at_once() {
        let lanes = Arc::new(Lanes::new(1));
        assert!(lanes.permit(Class::User).await);
        let waiting = {
            let lanes = Arc::clone(&lanes);
            tokio::spawn(async move { lanes.permit(Class::User).await })
        };
        tokio::task::yield_now().await;
        let begun = Instant::now();
        lanes.adjust(100);
        assert!(waiting.await.unwrap());
        assert!(begun.elapsed() < Duration::from_millis(100));
    }
}
