//! The families of metrics: their names, labels and buckets.

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReconcileLabels {
    pub(super) kind: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabels {
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) provider: &'static str,
    pub(super) operation: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OperationLabels {
    pub(super) provider: &'static str,
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AccountLabels {
    pub(super) account: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SlotLabels {
    pub(super) slot: String,
    pub(super) state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LineLabels {
    pub(super) account: String,
    pub(super) gate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct OrphanLabels {
    pub(super) account: String,
    pub(super) kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct MoneyLabels {
    pub(super) account: String,
    pub(super) namespace: String,
    pub(super) what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SweptLabels {
    pub(super) account: String,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HeldBackLabels {
    pub(super) account: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct PoolLabels {
    pub(super) namespace: String,
    pub(super) pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ClaimLabels {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub(super) version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ObjectLabels {
    pub(super) kind: String,
}

pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// From a reconcile without effects to one that waits for a slow provider, in seconds.
pub(super) const RECONCILE_SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// From a near API to the longest exchange allowed, in seconds.
pub(super) const REQUEST_SECONDS: [f64; 10] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// From a claim that a warm agent serves to one that waits for a pool to fill, in seconds.
pub(super) const CLAIM_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3600.0,
];

/// Claims that wait for an agent of a pool, and since when the first of them does.
pub(super) type WaitingOfPool = (usize, Option<Timestamp>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) registry: Registry,
    pub(super) reconciles: Family<ReconcileLabels, Counter>,
    pub(super) reconcile_seconds: Histograms<KindLabels>,
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) request_seconds: Histograms<OperationLabels>,
    pub(super) budget: Family<AccountLabels, Gauge>,
    pub(super) healthy: Family<AccountLabels, Gauge>,
    pub(super) waiting: Family<LineLabels, Gauge>,
    pub(super) slots: Family<SlotLabels, Gauge>,
    pub(super) orphans: Family<OrphanLabels, Gauge>,
    /// Kinds of orphans that an account was ever shown to have: what is gone is shown as 0.
    pub(super) orphan_kinds: Mutex<BTreeSet<OrphanLabels>>,
    pub(super) orphans_usd: Family<AccountLabels, Gauge<f64, AtomicU64>>,
    pub(super) monthly_usd: Family<MoneyLabels, Gauge<f64, AtomicU64>>,
    /// What is shown of each account: a namespace that has nothing there any more is shown no more.
    pub(super) monthly_shown: Mutex<BTreeSet<MoneyLabels>>,
    pub(super) swept: Family<SweptLabels, Counter>,
    pub(super) held_back: Family<HeldBackLabels, Gauge>,
    /// Why the sweep of each account is held back: what is over is shown no more.
    pub(super) held_back_for: Mutex<BTreeMap<String, &'static str>>,
    pub(super) recovery: Family<AccountLabels, Gauge>,
    pub(super) unreadable: Family<ObjectLabels, Gauge>,
    pub(super) watch_failures: Family<ObjectLabels, Counter>,
    /// Of every pool, by namespace and name.
    pub(super) pools_waiting: Mutex<BTreeMap<(String, String), WaitingOfPool>>,
    pub(super) pools_shown: Mutex<BTreeSet<PoolLabels>>,
    pub(super) pool_waiting: Family<PoolLabels, Gauge>,
    pub(super) pool_waiting_since: Family<PoolLabels, Gauge>,
    pub(super) claims: Family<ClaimLabels, Counter>,
    pub(super) bound_seconds: Histogram,
    pub(super) ready_seconds: Histogram,
    pub(super) leader: Gauge,
}

impl Inner {
    /// The names and HELP texts; `_total` and `yardmaster_` are added by the registry.
    pub(super) fn register(&mut self, build: Family<BuildLabels, Gauge>) {
        self.register_claims();
        let registry = &mut self.registry;
        registry.register(
            "reconciles",
            "Reconciles by kind of object and outcome",
            self.reconciles.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "How long reconciles took",
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "outside_requests",
            "Requests to outside providers, by operation and by how they ended (Done or a fault class)",
            self.requests.clone(),
        );
        registry.register(
            "outside_request_duration_seconds",
            "How long requests to outside providers took, waiting for a budget not counted",
            self.request_seconds.clone(),
        );
        registry.register(
            "account_budget_remaining_requests",
            "Requests left to an account in its provider's current window",
            self.budget.clone(),
        );
        registry.register(
            "account_healthy",
            "1 if the account's provider answers and accepts its credential, else 0",
            self.healthy.clone(),
        );
        registry.register(
            "account_waiting_instances",
            "Instances that wait for their turn to make what the account's provider allows only once in a while",
            self.waiting.clone(),
        );
        registry.register(
            "slots",
            "Ledger entries of all instances, by slot and state",
            self.slots.clone(),
        );
        registry.register(
            "orphans",
            "Resources that bear this installation's full marker and stand in no ledger, by account and kind",
            self.orphans.clone(),
        );
        registry.register(
            "orphans_monthly_usd",
            "What an account's orphans can cost within a month in US dollars, as far as the provider tells: numbers their price, keys what they may still spend",
            self.orphans_usd.clone(),
        );
        registry.register(
            "monthly_usd",
            "What an account's things cost a month in US dollars, by namespace: committed (what they can cost at most) and spent (what is known of this month); the namespaces that have committed most by name, the others together",
            self.monthly_usd.clone(),
        );
        registry.register(
            "swept",
            "Orphans that the sweep tried to take back, by how that ended (done or a fault class)",
            self.swept.clone(),
        );
        registry.register(
            "sweep_held_back",
            "1 while the sweep of an account does not go on, by the reason of its condition SweepHeldBack",
            self.held_back.clone(),
        );
        registry.register(
            "account_recovery_mode",
            "1 while nothing is changed through the account because less is remembered of it than was (condition RecoveryMode), else 0",
            self.recovery.clone(),
        );
        registry.register(
            "unreadable_objects",
            "Objects that this version cannot read and leaves alone, by kind; the objects say why",
            self.unreadable.clone(),
        );
        registry.register(
            "watch_failures",
            "Watches that failed and were begun again, by the kind of object whose controller they feed",
            self.watch_failures.clone(),
        );
        registry.register(
            "leader",
            "1 if this process leads, else 0",
            self.leader.clone(),
        );
        registry.register(
            "build_info",
            "Always 1; the label says which version runs",
            build,
        );
    }

    fn register_claims(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "pool_waiting_claims",
            "Claims that wait for an agent of a pool; of many pools those for which most wait by name, the others together",
            self.pool_waiting.clone(),
        );
        registry.register(
            "pool_oldest_waiting_claim_timestamp_seconds",
            "When the claim was made that has waited longest for an agent of a pool, in seconds since 1970; 0 where none waits",
            self.pool_waiting_since.clone(),
        );
        registry.register(
            "claims",
            "What came of claims: bound, ready, acceptance_pending, refused, agent_rejected, provision_failed, deadline_exceeded, agent_lost, expired",
            self.claims.clone(),
        );
        registry.register(
            "claim_bound_seconds",
            "How long after it was made a claim had an agent",
            self.bound_seconds.clone(),
        );
        registry.register(
            "claim_ready_seconds",
            "How long after it was made a claim's agent had answered",
            self.ready_seconds.clone(),
        );
    }
}
