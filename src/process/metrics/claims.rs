//! Metrics of claims: who waits, how long it takes, what comes of it.
//!
//! Holds: pools are shown by name as long as they are few; of many those for which most claims wait, the others together.

use super::families::{ClaimLabels, PoolLabels};
use super::{Metrics, OTHERS};
use crate::wire::held;
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

/// Pools that are shown by name.
const MOST_POOLS: usize = 100;

impl Metrics {
    /// So many claims wait for an agent of a pool (its namespace and name), the first of them since then.
    pub fn pool_waiting(&self, pool: (&str, &str), count: usize, since: Option<Timestamp>) {
        let pool = (pool.0.to_owned(), pool.1.to_owned());
        let now = Some((count, since));
        let before = held(&self.inner.pools_waiting).insert(pool, (count, since));
        if before != now {
            self.show_pools();
        }
    }

    /// A pool is gone: it is shown no more.
    pub fn forget_pool(&self, pool: (&str, &str)) {
        let pool = (pool.0.to_owned(), pool.1.to_owned());
        if held(&self.inner.pools_waiting).remove(&pool).is_some() {
            self.show_pools();
        }
    }

    fn show_pools(&self) {
        let all = held(&self.inner.pools_waiting);
        let mut pools: Vec<_> = all.iter().collect();
        pools.sort_by_key(|(pool, (count, _))| (Reverse(*count), *pool));
        let mut now = BTreeSet::new();
        for (place, (pool, (count, since))) in pools.into_iter().enumerate() {
            let (namespace, name) = match place < MOST_POOLS {
                true => (pool.0.as_str(), pool.1.as_str()),
                false => (OTHERS, OTHERS),
            };
            let labels = PoolLabels {
                namespace: namespace.to_owned(),
                pool: name.to_owned(),
            };
            let first = now.insert(labels.clone());
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            let since = since.map_or(0, |since| since.as_second());
            let waiting = self.inner.pool_waiting.get_or_create(&labels);
            let oldest = self.inner.pool_waiting_since.get_or_create(&labels);
            if first {
                waiting.set(count);
                oldest.set(since);
            } else {
                waiting.inc_by(count);
                let before = oldest.get();
                if since > 0 && (before == 0 || since < before) {
                    oldest.set(since);
                }
            }
        }
        let mut shown = held(&self.inner.pools_shown);
        for labels in shown.difference(&now) {
            self.inner.pool_waiting.remove(labels);
            self.inner.pool_waiting_since.remove(labels);
        }
        *shown = now;
    }

    /// Something became so of a claim, so long after it was made.
    pub fn claim(&self, outcome: &'static str, after: Option<Duration>) {
        self.inner
            .claims
            .get_or_create(&ClaimLabels { outcome })
            .inc();
        let seconds = match outcome {
            "bound" => &self.inner.bound_seconds,
            "ready" => &self.inner.ready_seconds,
            _ => return,
        };
        if let Some(after) = after {
            seconds.observe(after.as_secs_f64());
        }
    }
}
