//! Who comes when.

use super::*;
use futures::FutureExt;
use std::sync::Arc;

const NOW: Duration = Duration::ZERO;

impl InLine for &'static str {
    fn namespace(&self) -> &str {
        ""
    }
}

impl InLine for (&'static str, u32) {
    fn namespace(&self) -> &str {
        self.0
    }
}

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
    // Persons who keep coming pass the fleet by for some turns, and no longer.
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
    }
    assert_eq!(persons, TURNS.len() - 1);
}

#[tokio::test(start_paused = true)]
async fn one_namespace_keeps_no_other_waiting() {
    for (quiet, most) in [(Rank::Person, 1), (Rank::News, 3), (Rank::Fleet, 8)] {
        let queue: Queue<(&str, u32)> = Queue::default();
        queue.open();
        for n in 0..10_000 {
            queue.add(("loud", n), Rank::Person, NOW);
        }
        tokio::time::advance(ms(1)).await;
        queue.add(("quiet", 0), quiet, NOW);
        let mut before = 0;
        loop {
            let next = queue.next().await;
            queue.done(&next, None);
            if next.0 == "quiet" {
                break;
            }
            before += 1;
        }
        assert!(before <= most, "{before} came before one of {quiet:?}");
    }
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
    let queue: Arc<Queue<(&str, u32)>> = Arc::default();
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
        queue.add(("", who), Rank::News, NOW);
    }
    while workers.join_next().await.is_some() {}
    // None of them waited for another's pass.
    assert!(begun.elapsed() < ms(1_500), "{:?}", begun.elapsed());
}
