//! What the last believed listing of an account of tools showed, and whom the next one concerns.
//!
//! Holds: an instance is woken by what changed of its own, once by each absence, and by a step of what it has spent at most once
//! in [`USAGE_AGE`], also where its pass does not come so far as to tell it. Deliberately absent: whether a listing is
//! believed (`super::ListingTrial`).

use super::{Newly, Recorded, USAGE_AGE, changed, missing, spent};
use crate::api::NamespacedName;
use crate::engine::breaker::Vanished;
use crate::model::tool::{Resource, Stock, Usage};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What the last believed listing of an account showed.
#[derive(Debug, Default)]
pub struct BelievedStock {
    stock: Option<Arc<Stock>>,
    /// Recorded ids that must be listed, and are not.
    missed: Newly,
    /// For which step of its spending, by its id, somebody was last woken, and when.
    told: HashMap<String, (Usage, Timestamp)>,
}

/// Whom a listing concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StockNews {
    /// Instances of which something is shown otherwise than before, or that have spent something.
    pub wake: BTreeSet<NamespacedName>,
    /// Whether it shows more or fewer resources of ours than the one before.
    pub count: bool,
}

impl BelievedStock {
    /// The listing. `None`: none was believed yet.
    pub fn stock(&self) -> Option<&Arc<Stock>> {
        self.stock.as_ref()
    }

    /// Whether so much of what ledgers know was there at the last believed listing, and is not in this one, that this is more
    /// likely an error.
    pub fn vanished(&self, stock: &Stock, recorded: &[Recorded]) -> Option<Vanished> {
        let told: HashSet<&str> = recorded
            .iter()
            .filter(|one| one.told_gone)
            .map(|one| one.named.id.as_str())
            .collect();
        let gone = missing(stock, recorded)
            .into_iter()
            .filter(|one| !self.missed.has(&one.id) && !told.contains(one.id.as_str()));
        let known = recorded.iter().filter(|one| one.expected).count();
        Vanished::of(gone.count(), known)
    }

    /// When the listing began, and what in it bears that id or that name. A listing shows no `Part::Key`: that hangs at the
    /// thing that it opens, and is asked for there.
    pub fn of(&self, id: &str, key: &str) -> (Option<Timestamp>, Vec<Resource>) {
        let Some(stock) = self.stock() else {
            return (None, Vec::new());
        };
        let bears = |one: &&Resource| one.id == id || (!key.is_empty() && one.name == key);
        let found = stock.resources.iter().filter(bears).cloned();
        (Some(stock.begun), found.collect())
    }

    /// Takes in a listing that is believed. `ours` counts the resources of this installation.
    pub fn take(
        &mut self,
        stock: Stock,
        recorded: &[Recorded],
        now: Timestamp,
        ours: impl Fn(&Stock) -> usize,
    ) -> StockNews {
        let stock = Arc::new(stock);
        let before = self.stock.replace(Arc::clone(&stock));
        let changed = changed(before.as_deref(), &stock, recorded);
        let owner = |one: &Recorded| one.instance.clone();
        let mut wake: BTreeSet<NamespacedName> = changed.into_iter().map(owner).collect();
        let lacks = missing(&stock, recorded).into_iter();
        let newly = self.missed.news(lacks.map(|named| named.id.clone()));
        let missed = recorded.iter();
        wake.extend(
            missed
                .filter(|one| newly.contains(&one.named.id))
                .map(owner),
        );
        let told = &mut self.told;
        told.retain(|_, (_, at)| now.duration_since(*at) < USAGE_AGE);
        for (one, usage) in spent(&stock, recorded) {
            let known = told.get(&one.named.id);
            if known.is_none_or(|(before, _)| usage.is_news(*before)) {
                told.insert(one.named.id.clone(), (usage, now));
                wake.insert(one.instance.clone());
            }
        }
        StockNews {
            wake,
            count: before.map(|before| ours(&before)) != Some(ours(&stock)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Part;
    use crate::api::money::Money;
    use crate::model::tool::{Named, Stage};

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("k-{number}")).collect()
    }

    fn stock(ids: &[String]) -> Stock {
        let resource = |id: &String| Resource {
            part: Part::Main,
            id: id.clone(),
            name: format!("name-of-{id}"),
            address: None,
            stage: Stage::Ready,
            settings: None,
            usage: None,
            created: None,
            monthly_usd: Money::ZERO,
        };
        Stock {
            begun: START,
            resources: ids.iter().map(resource).collect(),
        }
    }

    fn recorded(ids: &[String]) -> Vec<Recorded> {
        let one = |id: &String| Recorded {
            instance: NamespacedName {
                namespace: "team".into(),
                name: format!("agent-{id}"),
            },
            named: Named {
                part: Part::Main,
                id: id.clone(),
                key: format!("name-of-{id}"),
                seen: false,
                parts: Default::default(),
            },
            expected: true,
            told: None,
            told_gone: false,
        };
        ids.iter().map(one).collect()
    }

    #[test]
    fn what_is_seen_bears_the_id_or_the_name() {
        let mut shown = BelievedStock::default();
        assert!(shown.of("k-0", "").0.is_none());
        shown.take(stock(&ids(3)), &[], START, |_| 0);
        let seen = |id, key| -> Vec<String> {
            let (begun, found) = shown.of(id, key);
            assert!(begun.is_some());
            found.into_iter().map(|one| one.id).collect()
        };
        assert_eq!(seen("k-0", ""), ["k-0"]);
        assert_eq!(seen("", "name-of-k-1"), ["k-1"]);
        assert_eq!(seen("k-0", "name-of-k-1"), ["k-0", "k-1"]);
        assert!(seen("", "").is_empty());
    }

    #[test]
    fn an_instance_is_woken_by_changes_and_by_spending_at_a_bounded_rate() {
        let (mut shown, known) = (BelievedStock::default(), recorded(&ids(2)));
        let spending = |dollars| {
            let spent_usd = Money::dollars(dollars);
            let mut stock = stock(&ids(2));
            stock.resources[1].usage = Some(Usage {
                spent_usd,
                limit_usd: Some(Money::dollars(20)),
                month_usd: Money::ZERO,
            });
            stock
        };
        let mut woken_at = |stock, now| {
            let news = shown.take(stock, &known, now, |stock| stock.resources.len());
            let names: Vec<String> = news.wake.into_iter().map(|one| one.name).collect();
            (names.join(" "), news.count)
        };
        let told = |names: &str, count| (names.to_owned(), count);
        let mut woken = |stock| woken_at(stock, START);
        assert_eq!(woken(stock(&ids(2))), told("agent-k-0 agent-k-1", true));
        assert_eq!(woken(stock(&ids(2))), told("", false));
        assert_eq!(woken(stock(&ids(1))), told("agent-k-1", true));
        assert_eq!(woken(stock(&ids(2))), told("agent-k-1", true));
        assert_eq!(woken(spending(1)), told("agent-k-1", false));
        // Nobody has told it: not for each reading is somebody woken.
        assert_eq!(woken(spending(1)), told("", false));
        assert_eq!(woken(spending(2)), told("agent-k-1", false));
        assert_eq!(woken(spending(3)), told("", false));
        assert_eq!(woken(spending(20)), told("agent-k-1", false));
        assert_eq!(
            woken_at(spending(20), START + USAGE_AGE),
            told("agent-k-1", false)
        );
    }
}
