//! Leadership: one process of an installation works, the others stand by.
//!
//! [`Seat::campaign`] keeps trying to hold a `coordination.k8s.io` Lease; the decisions are in [`election`]. What holds:
//! - Every write names the resourceVersion it replaces (or creates), so of two processes that try, one wins.
//! - Every API call has its own timeout, well below the renew deadline: kube itself may retry for minutes.
//! - Leadership is proven with a [`Permit`], asked right before each outside request; it lapses on its own, also when
//!   this task or the whole runtime stands still.
//! - Lost leadership does not come back: [`Seat::lost`] resolves, and its caller ends the process.
//! - [`Seat::release`] frees the Lease at once, so a standby takes over within a retry period. It comes last in a
//!   graceful end, after the work is drained; until then the Lease goes on being renewed.
//!
//! Deliberately absent: a watch on the Lease (a read per retry period is cheaper than its upkeep), and fencing of the
//! outside (no provider takes a token; see [`election`]). A machine suspended as a whole may not count the time it
//! slept; what it then sends is found by looking up, like any request with an unknown outcome.

pub mod election;
mod record;

pub use election::{Leader, Loss};

use super::config::LeaseConfig;
use super::probes::Heartbeat;
use election::{Election, Move, Record, Timing};
use kube::Client;
use rand::RngExt;
use record::{KubeRecords, Records, WriteError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

/// Where this process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Someone else leads, or nobody knows yet.
    Standby {
        /// Who was last seen leading.
        holder: Option<String>,
    },
    /// This process leads, as long as [`Leader::is_current`] says so.
    Leading(Leader),
    /// It led, and does not any more: the process must end.
    Lost(Loss),
    /// It has given its place up.
    Released,
}

/// Proves leadership at the moment of asking. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Permit {
    leadership: watch::Receiver<Leadership>,
}

impl Permit {
    /// The leadership in force at `now`, if this process leads.
    pub fn leader(&self, now: Instant) -> Option<Leader> {
        match &*self.leadership.borrow() {
            Leadership::Leading(leader) if leader.is_current(now) => Some(*leader),
            _ => None,
        }
    }

    /// Whether this process leads at `now`.
    pub fn is_current(&self, now: Instant) -> bool {
        self.leader(now).is_some()
    }
}

/// A place among the contenders; it campaigns in a task of its own until it is released or lost.
#[derive(Debug)]
pub struct Seat {
    leadership: watch::Receiver<Leadership>,
    release: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Seat {
    /// Starts to campaign for the Lease in `namespace`. `heartbeat` beats with every turn, successful or not.
    pub fn campaign(
        client: Client,
        namespace: &str,
        config: &LeaseConfig,
        heartbeat: Heartbeat,
    ) -> Seat {
        Self::campaign_on(
            KubeRecords::new(client, namespace, config),
            config,
            heartbeat,
        )
    }

    fn campaign_on(records: impl Records, config: &LeaseConfig, heartbeat: Heartbeat) -> Seat {
        let (report, leadership) = watch::channel(Leadership::Standby { holder: None });
        let (release, released) = oneshot::channel();
        let timing = Timing {
            duration: config.duration,
            renew_deadline: config.renew_deadline,
        };
        let campaign = Campaign {
            records,
            election: Election::new(config.identity.clone(), timing),
            known: false,
            call_timeout: config.renew_deadline / 3,
            period: config.retry_period,
            report,
            heartbeat,
        };
        let task = tokio::spawn(campaign.run(released));
        Seat {
            leadership,
            release,
            task,
        }
    }

    /// Where this process stands, as it changes (a leader's `valid_until` changes with each renewal).
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// What the path of outside writes asks before each request.
    pub fn permit(&self) -> Permit {
        Permit {
            leadership: self.leadership.clone(),
        }
    }

    /// Waits until this process leads.
    ///
    /// # Errors
    /// [`Loss`] when that cannot happen any more.
    pub async fn won(&self) -> Result<Leader, Loss> {
        let mut leadership = self.leadership.clone();
        let decided = |state: &Leadership| !matches!(state, Leadership::Standby { .. });
        match leadership.wait_for(decided).await.as_deref() {
            Ok(Leadership::Leading(leader)) => Ok(*leader),
            Ok(Leadership::Lost(loss)) => Err(*loss),
            _ => Err(Loss::Stopped),
        }
    }

    /// Waits until leadership is lost, which may be never. Its caller ends the process at once: another may lead.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + 'static {
        let mut leadership = self.leadership.clone();
        async move {
            let over =
                |state: &Leadership| matches!(state, Leadership::Lost(_) | Leadership::Released);
            let loss = match leadership.wait_for(over).await.as_deref() {
                Ok(Leadership::Lost(loss)) => Some(*loss),
                Ok(_) => None,
                Err(_) => Some(Loss::Stopped),
            };
            match loss {
                Some(loss) => loss,
                None => std::future::pending().await,
            }
        }
    }

    /// Stops, and frees the Lease if this process holds it. Best effort, for a few calls' time at most: what is not
    /// freed expires.
    pub async fn release(self) {
        // An ended campaign has nothing to release.
        let _ = self.release.send(());
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the election ended badly; its lease expires by itself");
        }
    }
}

/// The task of a [`Seat`].
struct Campaign<R> {
    records: R,
    election: Election,
    /// Whether the record is what we wrote last, for all we know: then a renewal needs no read before it.
    known: bool,
    call_timeout: Duration,
    period: Duration,
    report: watch::Sender<Leadership>,
    heartbeat: Heartbeat,
}

impl<R: Records> Campaign<R> {
    async fn run(mut self, mut released: oneshot::Receiver<()>) {
        loop {
            self.turn().await;
            self.heartbeat.beat(Instant::now());
            let state = self.state();
            let over = matches!(state, Leadership::Lost(_));
            self.tell(state);
            if over {
                return;
            }
            // A turn is never cut short by the release: a write on its way would make its outcome unknown.
            tokio::select! {
                () = time::sleep_until(self.next_turn()) => {}
                _ = &mut released => break,
            }
        }
        self.release().await;
        self.tell(Leadership::Released);
    }

    /// Reads if need be, decides, and writes at most once.
    async fn turn(&mut self) {
        if !self.known && !self.read().await {
            return;
        }
        let sent = Instant::now();
        let (replaces, transitions) = match self.election.next(sent) {
            Move::Create => (None, 0),
            Move::Take {
                version,
                transitions,
            }
            | Move::Renew {
                version,
                transitions,
            } => (Some(version), transitions),
            Move::Read | Move::Wait | Move::Lost(_) => return,
        };
        self.known = false;
        let deadline = self.call_deadline(sent);
        let write = self.records.write(replaces.as_deref(), true, transitions);
        match time::timeout_at(deadline, write).await {
            Ok(Ok(record)) => {
                self.known = true;
                self.election.wrote(record, sent);
            }
            Ok(Err(WriteError::Conflict)) => {
                tracing::debug!("the lease changed under our hands; it is read again");
            }
            Ok(Err(WriteError::Other(error))) => {
                tracing::warn!(%error, "the lease could not be written");
            }
            // Perhaps it was applied: the next turn reads before it decides.
            Err(_) => tracing::warn!("writing the lease took too long"),
        }
    }

    /// Whether the record was read.
    async fn read(&mut self) -> bool {
        let deadline = self.call_deadline(Instant::now());
        match time::timeout_at(deadline, self.records.read()).await {
            Ok(Ok(record)) => {
                self.election.observe(record, Instant::now());
                return true;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be read"),
            Err(_) => tracing::warn!("reading the lease took too long"),
        }
        false
    }

    /// No call goes beyond the leadership it is to prolong.
    fn call_deadline(&self, now: Instant) -> Instant {
        let deadline = now + self.call_timeout;
        match self.election.held() {
            Some(held) => deadline.min(held.valid_until),
            None => deadline,
        }
    }

    fn next_turn(&self) -> Instant {
        let now = Instant::now();
        match self.election.held() {
            Some(held) if self.known => held.valid_until.min(now + self.period),
            // Something went wrong, and time runs.
            Some(held) => held.valid_until.min(now + self.period / 4),
            // Contenders that started together should not go on looking together.
            None => now + self.period.mul_f64(rand::rng().random_range(1.0..1.2)),
        }
    }

    fn state(&self) -> Leadership {
        match (self.election.next(Instant::now()), self.election.held()) {
            (Move::Lost(loss), _) => Leadership::Lost(loss),
            (_, Some(held)) => Leadership::Leading(held),
            (_, None) => Leadership::Standby {
                holder: self.election.holder().map(str::to_owned),
            },
        }
    }

    /// Publishes the state, and logs it when it is another and not only prolonged.
    fn tell(&self, state: Leadership) {
        match (&*self.report.borrow(), &state) {
            (Leadership::Leading(before), Leadership::Leading(now)) if before.term == now.term => {}
            (_, Leadership::Leading(now)) => tracing::info!(term = now.term, "this process leads"),
            (_, Leadership::Lost(loss)) => tracing::error!(%loss, "this process leads no more"),
            (_, Leadership::Released) => tracing::info!("leadership is given up"),
            (before, Leadership::Standby { holder }) if *before != state => {
                let holder = holder.as_deref().unwrap_or("nobody");
                tracing::info!(holder, "another process leads");
            }
            (_, Leadership::Standby { .. }) => {}
        }
        self.report.send_replace(state);
    }

    async fn release(&mut self) {
        // The second try is for a renewal whose outcome we did not learn.
        for _ in 0..2 {
            if !self.known && !self.read().await {
                continue;
            }
            let Some(Record {
                version,
                transitions,
                ..
            }) = self.election.to_release().cloned()
            else {
                return;
            };
            self.known = false;
            let write = self.records.write(Some(&version), false, transitions);
            match time::timeout(self.call_timeout, write).await {
                Ok(Ok(_)) => return,
                Ok(Err(WriteError::Conflict)) => {}
                Ok(Err(WriteError::Other(error))) => {
                    tracing::warn!(%error, "the lease could not be freed; it expires by itself");
                }
                Err(_) => tracing::warn!("freeing the lease took too long"),
            }
        }
    }
}

#[cfg(test)]
#[path = "lease/tests.rs"]
mod tests;
