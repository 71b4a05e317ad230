//! What the process counts and times.
//!
//! What holds: base units, `_total` on counters, a HELP text each; labels take few values: kinds, providers, operations,
//! outcomes and the names of ProviderAccounts, never of instances or claims, of namespaces those that have committed most
//! money ([`MOST_NAMESPACES`] of an account), and of pools those for which most claims wait. A [`Metrics`] is a handle:
//! cheap to clone, and recording never fails. Deliberately absent: what the objects say of themselves (conditions are
//! for that), and anything a person could be named by.

mod claims;
mod families;

use crate::api::limits::MonthlyUsd;
use crate::api::money::Money;
use crate::railway::Gate;
use crate::wire::held;
use families::{
    AccountLabels, BuildLabels, CLAIM_SECONDS, HeldBackLabels, Inner, KindLabels, LineLabels,
    MoneyLabels, ObjectLabels, OperationLabels, OrphanLabels, RECONCILE_SECONDS, REQUEST_SECONDS,
    ReconcileLabels, RequestLabels, SlotLabels, SweptLabels,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Content type of [`Metrics::open_metrics`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of [`Metrics::plain_text`].
pub const PLAIN_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Namespaces of an account whose money is shown by name.
const MOST_NAMESPACES: usize = 50;

/// All the others: no namespace can be called so.
const OTHERS: &str = "(others)";

/// A handle to the metrics of this process.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Metrics {
        let build = Family::<BuildLabels, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&BuildLabels { version }).set(1);
        let mut inner = Inner {
            registry: Registry::with_prefix("yardmaster"),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(|| Histogram::new(RECONCILE_SECONDS)),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            budget: Family::default(),
            healthy: Family::default(),
            waiting: Family::default(),
            slots: Family::default(),
            orphans: Family::default(),
            orphan_kinds: Mutex::default(),
            orphans_usd: Family::default(),
            monthly_usd: Family::default(),
            monthly_shown: Mutex::default(),
            swept: Family::default(),
            held_back: Family::default(),
            held_back_for: Mutex::default(),
            recovery: Family::default(),
            unreadable: Family::default(),
            watch_failures: Family::default(),
            pools_waiting: Mutex::default(),
            pools_shown: Mutex::default(),
            pool_waiting: Family::default(),
            pool_waiting_since: Family::default(),
            claims: Family::default(),
            bound_seconds: Histogram::new(CLAIM_SECONDS),
            ready_seconds: Histogram::new(CLAIM_SECONDS),
            leader: Gauge::default(),
        };
        inner.register(build);
        Metrics {
            inner: Arc::new(inner),
        }
    }

    /// One reconcile of a `kind` ended in `outcome` (`done`, `waiting`, or a fault class) after `took`.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        let labels = ReconcileLabels { kind, outcome };
        self.inner.reconciles.get_or_create(&labels).inc();
        let seconds = self
            .inner
            .reconcile_seconds
            .get_or_create(&KindLabels { kind });
        seconds.observe(took.as_secs_f64());
    }

    /// One request to `provider` ended in `outcome` (`ok`, or a fault class) after `took`.
    pub fn requested(
        &self,
        provider: &'static str,
        operation: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = RequestLabels {
            provider,
            operation,
            outcome,
        };
        self.inner.requests.get_or_create(&labels).inc();
        let labels = OperationLabels {
            provider,
            operation,
        };
        let seconds = self.inner.request_seconds.get_or_create(&labels);
        seconds.observe(took.as_secs_f64());
    }

    /// So many requests are left to `account` in its provider's current window.
    pub fn budget(&self, account: &str, remaining: u64) {
        let remaining = i64::try_from(remaining).unwrap_or(i64::MAX);
        self.inner.budget.get_or_create(&of(account)).set(remaining);
    }

    /// Whether `account`'s provider answers and accepts its credential.
    pub fn account_healthy(&self, account: &str, healthy: bool) {
        self.inner
            .healthy
            .get_or_create(&of(account))
            .set(i64::from(healthy));
    }

    /// Whether less is remembered of what is in `account` than was, and nothing is changed there before its owner says so.
    pub fn account_recovery(&self, account: &str, recovers: bool) {
        self.inner
            .recovery
            .get_or_create(&of(account))
            .set(i64::from(recovers));
    }

    /// So many instances wait in the line at this gate of `account`.
    pub fn waiting(&self, account: &str, gate: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let account = account.to_owned();
        let labels = LineLabels { account, gate };
        self.inner.waiting.get_or_create(&labels).set(count);
    }

    /// `account` is gone: it is shown no more.
    pub fn forget_account(&self, account: &str) {
        self.inner.budget.remove(&of(account));
        self.inner.healthy.remove(&of(account));
        self.inner.recovery.remove(&of(account));
        self.inner.orphans_usd.remove(&of(account));
        for gate in Gate::ALL.map(Gate::word) {
            let account = account.to_owned();
            self.inner.waiting.remove(&LineLabels { account, gate });
        }
        self.sweep_held_back(account, None);
        self.monthly(account, &BTreeMap::new());
        let mut kinds = self.orphan_kinds();
        for labels in kinds.iter().filter(|labels| labels.account == account) {
            self.inner.orphans.remove(labels);
        }
        kinds.retain(|labels| labels.account != account);
    }

    /// `account` has so many orphans of each kind, for so much a month.
    pub fn orphans(&self, account: &str, kinds: &BTreeMap<String, usize>, monthly_usd: Money) {
        let mut known = self.orphan_kinds();
        known.extend(kinds.keys().map(|kind| OrphanLabels {
            account: account.to_owned(),
            kind: kind.clone(),
        }));
        for labels in known.iter().filter(|labels| labels.account == account) {
            let count = kinds.get(&labels.kind).copied().unwrap_or(0);
            self.inner
                .orphans
                .get_or_create(labels)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.inner
            .orphans_usd
            .get_or_create(&of(account))
            .set(monthly_usd.in_dollars());
    }

    /// What is in `account` costs so much a month, by namespace. Of many namespaces the dearest are shown by name.
    pub fn monthly(&self, account: &str, costs: &BTreeMap<String, MonthlyUsd>) {
        let mut dearest: Vec<(&String, &MonthlyUsd)> = costs.iter().collect();
        dearest.sort_by_key(|(namespace, costs)| (Reverse(costs.committed), *namespace));
        let others = dearest.split_off(dearest.len().min(MOST_NAMESPACES));
        let rest = MonthlyUsd {
            committed: others.iter().map(|(_, costs)| costs.committed).sum(),
            spent: others.iter().map(|(_, costs)| costs.spent).sum(),
        };
        let named = dearest
            .into_iter()
            .map(|(name, costs)| (name.as_str(), *costs));
        let rest = (!others.is_empty()).then_some((OTHERS, rest));
        let mut now = BTreeSet::new();
        for (namespace, costs) in named.chain(rest) {
            for (what, usd) in [("committed", costs.committed), ("spent", costs.spent)] {
                let labels = MoneyLabels {
                    account: account.to_owned(),
                    namespace: namespace.to_owned(),
                    what,
                };
                let gauge = self.inner.monthly_usd.get_or_create(&labels);
                gauge.set(usd.in_dollars());
                now.insert(labels);
            }
        }
        let mut shown = held(&self.inner.monthly_shown);
        let own = shown.iter().filter(|labels| labels.account == account);
        for labels in own.filter(|labels| !now.contains(labels)) {
            self.inner.monthly_usd.remove(labels);
        }
        shown.retain(|labels| labels.account != account);
        shown.extend(now);
    }

    /// The sweep of `account` has tried to take an orphan back, with this outcome.
    pub fn swept(&self, account: &str, outcome: &'static str) {
        let labels = SweptLabels {
            account: account.to_owned(),
            outcome,
        };
        self.inner.swept.get_or_create(&labels).inc();
    }

    /// The sweep of `account` is held back for this reason, or goes on.
    pub fn sweep_held_back(&self, account: &str, reason: Option<&'static str>) {
        let labels = |reason| HeldBackLabels {
            account: account.to_owned(),
            reason,
        };
        let mut known = held(&self.inner.held_back_for);
        let before = match reason {
            Some(reason) => known.insert(account.to_owned(), reason),
            None => known.remove(account),
        };
        if let Some(before) = before.filter(|before| Some(*before) != reason) {
            self.inner.held_back.remove(&labels(before));
        }
        if let Some(reason) = reason {
            self.inner.held_back.get_or_create(&labels(reason)).set(1);
        }
    }

    /// So many objects of a `kind` cannot be read.
    pub fn unreadable(&self, kind: &str, count: usize) {
        let labels = ObjectLabels {
            kind: kind.to_owned(),
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.inner.unreadable.get_or_create(&labels).set(count);
    }

    /// A watch of a `kind` failed.
    pub fn watch_failed(&self, kind: &str) {
        let labels = ObjectLabels {
            kind: kind.to_owned(),
        };
        self.inner.watch_failures.get_or_create(&labels).inc();
    }

    fn orphan_kinds(&self) -> MutexGuard<'_, BTreeSet<OrphanLabels>> {
        held(&self.inner.orphan_kinds)
    }

    /// So many ledger entries of `slot` are in `state`.
    pub fn slots(&self, slot: &str, state: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.inner
            .slots
            .get_or_create(&SlotLabels {
                slot: slot.to_owned(),
                state,
            })
            .set(count);
    }

    /// Whether this process leads.
    pub fn leader(&self, leads: bool) {
        self.inner.leader.set(i64::from(leads));
    }

    /// Everything, as OpenMetrics text ([`OPEN_METRICS`]).
    pub fn open_metrics(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail; a metric that cannot be written would end the text early.
        if let Err(error) = encode(&mut text, &self.inner.registry) {
            tracing::error!(%error, "the metrics could not be written");
        }
        text
    }

    /// Everything, as the older text format ([`PLAIN_TEXT`]), for readers that do not ask for OpenMetrics.
    pub fn plain_text(&self) -> String {
        plain(&self.open_metrics())
    }
}

fn of(account: &str) -> AccountLabels {
    AccountLabels {
        account: account.to_owned(),
    }
}

/// OpenMetrics text as the older format: there a counter's HELP and TYPE name its samples, `_total` and all, and there
/// is no end mark. Counters, gauges and histograms are all we have, so this is the whole difference.
fn plain(open: &str) -> String {
    let counters: Vec<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(&name) => {
                text.push_str(&format!("# {what} {name}_total {rest}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
