//! Seats against a record in memory, in paused time.

use super::*;
use std::sync::{Arc, Mutex};

/// A record that two seats share, and how it treats them.
#[derive(Clone, Default)]
struct Memory {
    shared: Arc<Mutex<Shared>>,
    identity: String,
}

#[derive(Default)]
struct Shared {
    record: Option<Record>,
    writes: u64,
    reads: u64,
    /// Names whose calls hang for ever.
    cut_off: Vec<String>,
    /// Names whose writes are applied without an answer.
    deaf: Vec<String>,
}

impl Memory {
    fn of(&self, identity: &str) -> Memory {
        Memory {
            shared: Arc::clone(&self.shared),
            identity: identity.to_owned(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shared) -> T) -> T {
        act(&mut self.shared.lock().unwrap())
    }

    async fn reach(&self) {
        if self.with(|shared| shared.cut_off.contains(&self.identity)) {
            std::future::pending::<()>().await;
        }
    }
}

impl Records for Memory {
    async fn read(&mut self) -> Result<Option<Record>, kube::Error> {
        self.reach().await;
        Ok(self.with(|shared| {
            shared.reads += 1;
            shared.record.clone()
        }))
    }

    async fn write(
        &mut self,
        replaces: Option<&str>,
        hold: bool,
        transitions: i32,
    ) -> Result<Record, WriteError> {
        self.reach().await;
        let identity = self.identity.clone();
        let record = self.with(|shared| {
            let current = shared.record.as_ref().map(|record| record.version.as_str());
            if current != replaces {
                return Err(WriteError::Conflict);
            }
            shared.writes += 1;
            let record = Record {
                version: shared.writes.to_string(),
                holder: hold.then_some(identity),
                transitions,
                duration: Duration::from_secs(15),
            };
            shared.record = Some(record.clone());
            Ok(record)
        })?;
        if self.with(|shared| shared.deaf.contains(&self.identity)) {
            std::future::pending::<()>().await;
        }
        Ok(record)
    }
}

fn seat(memory: &Memory, identity: &str) -> Seat {
    let config = LeaseConfig {
        name: "yardmaster".to_owned(),
        identity: identity.to_owned(),
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    };
    Seat::campaign_on(memory.of(identity), &config, Heartbeat::default())
}

async fn seconds(n: u64) {
    time::sleep(Duration::from_secs(n)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_leads_and_stays() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    assert_eq!(a.won().await.unwrap().term, 0);
    let b = seat(&memory, "b");
    seconds(3600).await;
    assert!(a.permit().is_current(Instant::now()));
    assert!(!b.permit().is_current(Instant::now()));
    let holder = Some("a".to_owned());
    assert_eq!(*b.leadership().borrow(), Leadership::Standby { holder });
    // A renewal every two seconds, and no read before it.
    memory.with(|shared| assert!((1795..=1801).contains(&shared.writes), "{}", shared.writes));
    memory.with(|shared| assert!(shared.reads <= 1802, "{}", shared.reads));
}

#[tokio::test(start_paused = true)]
async fn a_release_hands_over_within_three_seconds() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    let b = seat(&memory, "b");
    seconds(7).await;
    let permit = a.permit();
    let freed = Instant::now();
    a.release().await;
    assert!(!permit.is_current(Instant::now()));
    assert_eq!(b.won().await.unwrap().term, 1);
    assert!(freed.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_is_lost_before_another_leads() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    let b = seat(&memory, "b");
    seconds(5).await;
    memory.with(|shared| shared.cut_off.push("a".to_owned()));
    let cut = Instant::now();
    assert_eq!(a.lost().await, Loss::Expired);
    assert!(cut.elapsed() <= Duration::from_secs(10));
    assert!(!a.permit().is_current(Instant::now()));
    assert!(!b.permit().is_current(Instant::now()));
    b.won().await.unwrap();
    assert!(
        cut.elapsed() <= Duration::from_secs(18),
        "{:?}",
        cut.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_survived() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    seconds(4).await;
    memory.with(|shared| shared.cut_off.push("a".to_owned()));
    seconds(6).await;
    memory.with(|shared| shared.cut_off.clear());
    seconds(60).await;
    assert_eq!(a.permit().leader(Instant::now()).unwrap().term, 0);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_an_answer_is_looked_up() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    memory.with(|shared| shared.deaf.push("a".to_owned()));
    seconds(4).await;
    memory.with(|shared| shared.deaf.clear());
    seconds(60).await;
    assert_eq!(a.permit().leader(Instant::now()).unwrap().term, 0);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_an_answer_is_released_too() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    memory.with(|shared| shared.deaf.push("a".to_owned()));
    seconds(3).await;
    memory.with(|shared| shared.deaf.clear());
    a.release().await;
    memory.with(|shared| assert_eq!(shared.record.clone().unwrap().holder, None));
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_it_taken_is_lost() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    memory.with(|shared| {
        if let Some(record) = &mut shared.record {
            record.version = "stolen".to_owned();
            record.holder = Some("b".to_owned());
        }
    });
    assert_eq!(a.lost().await, Loss::Taken);
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_it_deleted_is_lost() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    memory.with(|shared| shared.record = None);
    assert_eq!(a.lost().await, Loss::Deleted);
}

#[tokio::test(start_paused = true)]
async fn a_restart_under_the_same_name_leads_at_once_in_a_new_term() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    a.task.abort();
    assert_eq!(seat(&memory, "a").won().await.unwrap().term, 1);
}

#[tokio::test(start_paused = true)]
async fn two_of_one_name_do_not_lead_together() {
    let memory = Memory::default();
    let first = seat(&memory, "a");
    first.won().await.unwrap();
    let second = seat(&memory, "a");
    second.won().await.unwrap();
    assert_eq!(first.lost().await, Loss::Taken);
    assert!(second.permit().is_current(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_is_released_leaves_the_record_alone() {
    let memory = Memory::default();
    let a = seat(&memory, "a");
    a.won().await.unwrap();
    let b = seat(&memory, "b");
    seconds(3).await;
    b.release().await;
    assert!(a.permit().is_current(Instant::now()));
    memory.with(|shared| assert_eq!(shared.record.clone().unwrap().holder.as_deref(), Some("a")));
}
