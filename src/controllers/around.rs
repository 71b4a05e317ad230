//! What is around everything here: the process's settings, its clock, its permission to act, who we are.
//!
//! Holds: all of it is given and none of it is global; nothing here changes while the process lives but the time and the
//! permission. Deliberately absent: what is known of objects ([`super::stores`]) and what a process may forget
//! ([`super::memories`]).

use crate::api::limits::MonthlyUsd;
use crate::api::money::Money;
use crate::cluster::installation::Installation;
use crate::engine::sweep::Reader;
use crate::engine::world::Limits;
use crate::wire::{Clock, Leave};
use jiff::Timestamp;
use kube::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the process decides about the controllers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's namespace.
    pub namespace: String,
    /// One listing of each account in so long.
    pub observe_interval: Duration,
    /// Deadline of one outside request.
    pub request_timeout: Duration,
    /// Patience with the outside.
    pub limits: Limits,
    /// Reconciles at once, per kind.
    pub concurrency: u16,
    /// Whether nothing outside is made, changed or deleted by this process.
    pub observe_only: bool,
}

/// What the process wants to be told. Who wants to be told nothing says nothing.
pub trait Gauge: Send + Sync {
    /// A reconcile of a kind ended so, after so long.
    fn reconciled(&self, _kind: &'static str, _outcome: &'static str, _took: Duration) {}
    /// A request to a provider ended so, after so long.
    fn requested(
        &self,
        _provider: &'static str,
        _operation: &'static str,
        _outcome: &'static str,
        _took: Duration,
    ) {
    }
    /// An account stands so: whether it is healthy, requests left where that is known.
    fn account(&self, _name: &str, _healthy: bool, _left: Option<u64>) {}
    /// So many instances wait for a turn at an account.
    fn waiting(&self, _account: &str, _gate: &'static str, _count: usize) {}
    /// So many ledger entries of a slot are in a state.
    fn slots(&self, _slot: &str, _state: &'static str, _count: usize) {}
    /// An account has so many orphans of each kind, for so much a month.
    fn orphans(&self, _account: &str, _kinds: &BTreeMap<String, usize>, _monthly_usd: Money) {}
    /// What is in an account costs so much a month, by namespace.
    fn monthly(&self, _account: &str, _costs: &BTreeMap<String, MonthlyUsd>) {}
    /// An orphan was deleted, or was not: `done` or a fault's class.
    fn swept(&self, _account: &str, _outcome: &'static str) {}
    /// The sweep of an account is held back for this reason, or goes on.
    fn sweep_held_back(&self, _account: &str, _reason: Option<&'static str>) {}
    /// Whether less is remembered of an account than was.
    fn recovery(&self, _account: &str, _recovers: bool) {}
    /// An account is gone.
    fn forget(&self, _account: &str) {}
    /// So many objects of a kind cannot be read.
    fn unreadable(&self, _kind: &str, _count: usize) {}
    /// So many claims wait for an agent of a pool, and the first of them since then.
    fn pool_waiting(&self, _pool: (&str, &str), _count: usize, _since: Option<Timestamp>) {}
    /// A pool is gone.
    fn forget_pool(&self, _pool: (&str, &str)) {}
    /// Something became so of a claim, so long after it was made.
    fn claim(&self, _outcome: &'static str, _after: Option<Duration>) {}
    /// A watch of a kind failed, and is begun again.
    fn watch_failed(&self, _kind: &str) {}
}

/// What is around.
pub struct Around {
    /// The API server.
    pub client: Client,
    /// Process-wide settings.
    pub settings: Settings,
    /// Who we are.
    pub installation: Installation,
    /// The process's ears.
    pub gauge: Arc<dyn Gauge>,
    /// Whether this process may change anything outside now: it leads, provably.
    pub leave: Leave,
    /// The time of day.
    pub clock: Clock,
    /// The outside, for the ways to providers.
    pub http: reqwest::Client,
}

impl Around {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Who reads markers here.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            installation: &self.installation.id,
            seal: &self.installation.seal,
        }
    }
}
