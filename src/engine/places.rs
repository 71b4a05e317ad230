//! How much of an account is taken, and whether there is room for another thing in it.
//!
//! Holds: what stands in a ledger counts from its intent on until it is confirmed gone, and what was left behind until no believed
//! listing shows it, each with what it may cost a month; a thing that two records name counts once. Deliberately absent: what one agent may have (`engine::quota`),
//! and who is about to begin something that no store shows yet (`controllers::accounts::places`).

use crate::api::limits::AccountLimits;
use crate::api::money::Money;
use crate::api::{AgentInstance, LedgerEntry, ProviderAccountSpec, Slot, SlotState};
use crate::model::left::{LeftThing, counts};
use crate::model::monthly;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Places of an account that others take, and what those cost a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenPlaces {
    /// Of all namespaces.
    pub all: usize,
    /// Of the namespace that asks.
    pub namespace: usize,
    /// US dollars of all namespaces.
    pub usd: Money,
    /// US dollars of the namespace that asks.
    pub namespace_usd: Money,
}

/// What is asked for in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceAsked {
    /// Whether it is one thing more; otherwise one that has its place is to cost more.
    pub thing: bool,
    /// What it may cost a month then.
    pub usd: Money,
    /// Whether only its use will tell what it costs.
    pub metered: bool,
}

impl PlaceAsked {
    /// A project more.
    pub const PROJECT: PlaceAsked = PlaceAsked {
        thing: true,
        usd: Money::ZERO,
        metered: true,
    };
}

/// Most places of an account, and most that they may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Of all namespaces.
    pub all: usize,
    /// The field that says so, within `spec`.
    pub field: &'static str,
    /// Of one namespace.
    pub namespace: usize,
    /// US dollars a month.
    pub usd: Option<Money>,
    /// US dollars a month of one namespace.
    pub namespace_usd: Option<Money>,
}

impl Most {
    /// What an account's owner allows.
    pub fn of(spec: &ProviderAccountSpec) -> Most {
        let AccountLimits {
            resources,
            resources_per_namespace,
            monthly_usd,
            monthly_usd_per_namespace,
            ..
        } = spec.limits;
        let own = spec.railway.as_ref().and_then(|own| own.max_projects);
        let (all, field) = match own.filter(|own| *own < resources) {
            Some(own) => (own, "railway.maxProjects"),
            None => (resources, "limits.resources"),
        };
        let number = |number: i32| usize::try_from(number).unwrap_or(0);
        Most {
            all: number(all),
            field,
            namespace: number(resources_per_namespace),
            usd: monthly_usd,
            namespace_usd: monthly_usd_per_namespace,
        }
    }

    /// Whether it matters what things cost.
    pub fn has_price(self) -> bool {
        self.usd.is_some() || self.namespace_usd.is_some()
    }

    /// Whether there is room for what is asked for.
    pub fn room(self, taken: TakenPlaces, asked: PlaceAsked) -> bool {
        self.full(taken, asked, "", "").is_none()
    }

    /// Why there is no room beside what others take: who has how much, and which field says what may be.
    pub fn full(
        self,
        taken: TakenPlaces,
        asked: PlaceAsked,
        account: &str,
        namespace: &str,
    ) -> Option<String> {
        let places = asked
            .thing
            .then(|| self.no_place(taken, account, namespace));
        places
            .flatten()
            .or_else(|| self.no_money(taken, asked, account, namespace))
    }

    /// Why nobody may commit so much more there. What costs nothing is always free; of what only its use tells, nothing more is
    /// made where the month has cost what it may.
    fn no_money(
        self,
        taken: TakenPlaces,
        asked: PlaceAsked,
        account: &str,
        namespace: &str,
    ) -> Option<String> {
        let above = |taken: Money, most: Option<Money>| {
            most.filter(|most| match asked.metered {
                true => taken >= *most,
                false => asked.usd > Money::ZERO && taken + asked.usd > *most,
            })
        };
        let of_namespace = above(taken.namespace_usd, self.namespace_usd);
        if asked.metered {
            // What all have cost together is nobody's business but the owner's.
            let what = match (of_namespace, above(taken.usd, self.usd)) {
                (Some(most), _) => format!(
                    "the projects of namespace {namespace} in ProviderAccount {account} have cost {} US dollars this month, and spec.limits.monthlyUSDPerNamespace there is {most}",
                    taken.namespace_usd.whole()
                ),
                (None, Some(most)) => format!(
                    "the projects in ProviderAccount {account} have cost this month what its spec.limits.monthlyUSD lets them, {most} US dollars"
                ),
                (None, None) => return None,
            };
            return Some(format!(
                "{what}: no project is added; delete what is not needed there, let the account's owner raise it, or wait for the next month"
            ));
        }
        let mend =
            "ask for less, delete what is not needed there, or let the account's owner raise it";
        if let Some(most) = of_namespace {
            return Some(format!(
                "{} US dollars a month are asked for beside {} of namespace {namespace} in ProviderAccount {account}, and spec.limits.monthlyUSDPerNamespace there is {most}: {mend}",
                asked.usd, taken.namespace_usd
            ));
        }
        let most = above(taken.usd, self.usd)?;
        Some(format!(
            "{} US dollars a month are asked for beside {} in ProviderAccount {account}, and its spec.limits.monthlyUSD is {most}: {mend}",
            asked.usd, taken.usd
        ))
    }

    fn no_place(self, taken: TakenPlaces, account: &str, namespace: &str) -> Option<String> {
        let mend = "delete what is not needed there, or let the account's owner raise it";
        if taken.namespace >= self.namespace {
            return Some(format!(
                "namespace {namespace} has {} resources in ProviderAccount {account}, and spec.limits.resourcesPerNamespace there is {}: {mend}",
                taken.namespace, self.namespace
            ));
        }
        (taken.all >= self.all).then(|| {
            format!(
                "ProviderAccount {account} has {} resources, and its spec.{} is {}: {mend}",
                taken.all, self.field, self.all
            )
        })
    }
}

/// How many more projects of a namespace there may be, and why no more where that is none. `coming`: agents that have no project yet
/// and will ask for one.
pub fn room(
    most: Most,
    taken: TakenPlaces,
    coming: TakenPlaces,
    (account, namespace): (&str, &str),
) -> (usize, Option<String>) {
    if let Some(full) = most.full(taken, PlaceAsked::PROJECT, account, namespace) {
        return (0, Some(full));
    }
    let all = most.all.saturating_sub(taken.all + coming.all);
    let own = taken.namespace + coming.namespace;
    let own = most.namespace.saturating_sub(own);
    let room = all.min(own);
    let full = (room == 0).then(|| {
        format!(
            "agents on their way take the last places of ProviderAccount {account}: {} of namespace {namespace} have one and {} have none yet, and spec.limits.resourcesPerNamespace there is {}; {} of all have one and {} have none yet, and spec.{} is {}",
            taken.namespace, coming.namespace, most.namespace, taken.all, coming.all, most.field, most.all
        )
    });
    (room, full)
}

/// Who asks for a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Taker {
    /// The identity of the instance.
    pub identity: String,
    /// What for.
    pub slot: Slot,
    /// Its namespace.
    pub namespace: String,
}

impl Taker {
    /// A place for a thing of an instance.
    pub fn of(instance: &AgentInstance, slot: Slot) -> Taker {
        Taker {
            identity: instance.identity(),
            slot,
            namespace: instance.namespace().unwrap_or_default(),
        }
    }

    /// Whether the instance's ledger says that it has begun it.
    pub fn begun(&self, instance: &AgentInstance) -> bool {
        self.entry(instance).is_some()
    }

    /// Whether the instance's ledger says what was asked for.
    pub fn shows(&self, instance: &AgentInstance, asked: PlaceAsked) -> bool {
        let entry = self.entry(instance);
        entry.is_some_and(|entry| asked.thing || monthly::ordered(entry) >= asked.usd)
    }

    fn entry<'a>(&self, instance: &'a AgentInstance) -> Option<&'a LedgerEntry> {
        let mut entries = instance.status.iter().flat_map(|status| &status.external);
        entries.find(|entry| entry.slot == self.slot && entry.state != SlotState::Planned)
    }
}

/// Everything in an account that is known to take a place, each once.
#[derive(Debug, Default)]
pub struct Things(HashMap<Thing, TakenBy>);

/// The namespace whose a thing is, and what it may cost a month.
#[derive(Debug)]
struct TakenBy {
    namespace: String,
    usd: Money,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Thing {
    Id(String),
    Named(String),
    Slot(String, Slot),
}

impl Things {
    /// What the ledger of an instance says of an account, but for what is asked for.
    pub fn record(&mut self, account: &str, asks: Option<&Taker>, instance: &AgentInstance) {
        let Some(status) = &instance.status else {
            return;
        };
        let here = status.external.iter().filter(|entry| {
            entry.account == account && counts(entry.slot) && entry.state != SlotState::Planned
        });
        for entry in here {
            let identity = instance.identity();
            if asks.is_some_and(|asks| identity == asks.identity && entry.slot == asks.slot) {
                continue;
            }
            let whose = TakenBy {
                namespace: instance.namespace().unwrap_or_default(),
                usd: monthly::committed(entry, status),
            };
            self.0.entry(thing(identity, entry)).or_insert(whose);
        }
    }

    /// What another, who has it already, is about to let cost more.
    fn raised(&mut self, other: &Taker, instance: &AgentInstance, usd: Money) {
        let entry = other.entry(instance);
        let known = entry.and_then(|entry| self.0.get_mut(&thing(instance.identity(), entry)));
        if let Some(known) = known {
            known.usd = known.usd.max(usd);
        }
    }

    /// A project that the provider shows, and what it has cost this month.
    pub fn listed(&mut self, id: &str, namespace: &str, usd: Money) {
        let thing = Thing::Id(id.to_owned());
        let whose = TakenBy {
            namespace: namespace.to_owned(),
            usd,
        };
        self.0.insert(thing, whose);
    }

    /// Something that was left behind.
    pub fn left(&mut self, one: &LeftThing) {
        let thing = match &one.id {
            Some(id) => Thing::Id(id.clone()),
            None => Thing::Named(one.key.clone()),
        };
        let whose = TakenBy {
            namespace: one.namespace.clone(),
            usd: one.usd,
        };
        self.0.insert(thing, whose);
    }

    /// What another is about to begin, or to let cost more. `instances`: those that are recorded.
    pub fn about_to(&mut self, other: &Taker, asked: PlaceAsked, instances: &[Arc<AgentInstance>]) {
        if !asked.thing {
            let mut all = instances.iter();
            if let Some(one) = all.find(|one| one.identity() == other.identity) {
                self.raised(other, one, asked.usd);
            }
            return;
        }
        let thing = Thing::Slot(other.identity.clone(), other.slot);
        let whose = TakenBy {
            namespace: other.namespace.clone(),
            usd: asked.usd,
        };
        self.0.insert(thing, whose);
    }

    /// How many that is, and what they cost.
    pub fn taken(&self, namespace: &str) -> TakenPlaces {
        let mut taken = TakenPlaces::default();
        for whose in self.0.values() {
            taken.all += 1;
            taken.usd = taken.usd + whose.usd;
            if whose.namespace == namespace {
                taken.namespace += 1;
                taken.namespace_usd = taken.namespace_usd + whose.usd;
            }
        }
        taken
    }

    /// What they cost a month, by namespace.
    pub fn committed(&self) -> BTreeMap<String, Money> {
        let mut all = BTreeMap::<String, Money>::new();
        for whose in self.0.values() {
            let sum = all.entry(whose.namespace.clone()).or_default();
            *sum = *sum + whose.usd;
        }
        all
    }
}

fn thing(identity: String, entry: &LedgerEntry) -> Thing {
    match (&entry.id, entry.key.as_str()) {
        (Some(id), _) => Thing::Id(id.clone()),
        (None, "") => Thing::Slot(identity, entry.slot),
        (None, key) => Thing::Named(key.to_owned()),
    }
}

#[cfg(test)]
mod tests;
