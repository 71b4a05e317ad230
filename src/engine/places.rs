//! How much of an account is taken, and whether there is room for another thing in it.
//!
//! Holds: what stands in a ledger counts from its intent on until it is confirmed gone, and what was left behind until no believed
//! listing shows it; a thing that two records name counts once. Deliberately absent: what one agent may have (`engine::quota`),
//! and who is about to begin something that no store shows yet (`controllers::accounts::places`).

use crate::api::limits::AccountLimits;
use crate::api::{AgentInstance, ProviderAccountSpec, Slot, SlotState};
use crate::model::left::{LeftThing, counts};
use kube::ResourceExt;
use std::collections::HashMap;

/// Places of an account that others take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenPlaces {
    /// Of all namespaces.
    pub all: usize,
    /// Of the namespace that asks.
    pub namespace: usize,
}

/// Most places of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Of all namespaces.
    pub all: usize,
    /// The field that says so, within `spec`.
    pub field: &'static str,
    /// Of one namespace.
    pub namespace: usize,
}

impl Most {
    /// What an account's owner allows.
    pub fn of(spec: &ProviderAccountSpec) -> Most {
        let AccountLimits {
            resources,
            resources_per_namespace,
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
        }
    }

    /// Whether there is room for one more.
    pub fn room(self, taken: TakenPlaces) -> bool {
        taken.all < self.all && taken.namespace < self.namespace
    }

    /// Why there is no room beside what others take: who has how much, and which field says what may be.
    pub fn full(self, taken: TakenPlaces, account: &str, namespace: &str) -> Option<String> {
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
        let mut entries = instance.status.iter().flat_map(|status| &status.external);
        entries.any(|entry| entry.slot == self.slot && entry.state != SlotState::Planned)
    }
}

/// Everything in an account that is known to take a place, each once, with the namespace whose it is.
#[derive(Debug, Default)]
pub struct Things(HashMap<Thing, String>);

#[derive(Debug, PartialEq, Eq, Hash)]
enum Thing {
    Id(String),
    Named(String),
    Slot(String, Slot),
}

impl Things {
    /// What the ledger of an instance says of an account, but for what is asked for.
    pub fn record(&mut self, account: &str, asks: &Taker, instance: &AgentInstance) {
        let entries = instance.status.iter().flat_map(|status| &status.external);
        let here = entries.filter(|entry| {
            entry.account == account && counts(entry.slot) && entry.state != SlotState::Planned
        });
        for entry in here {
            let identity = instance.identity();
            if identity == asks.identity && entry.slot == asks.slot {
                continue;
            }
            let thing = match (&entry.id, entry.key.as_str()) {
                (Some(id), _) => Thing::Id(id.clone()),
                (None, "") => Thing::Slot(identity, entry.slot),
                (None, key) => Thing::Named(key.to_owned()),
            };
            let whose = instance.namespace().unwrap_or_default();
            self.0.entry(thing).or_insert(whose);
        }
    }

    /// A project that the provider shows.
    pub fn listed(&mut self, id: &str, namespace: &str) {
        let thing = Thing::Id(id.to_owned());
        self.0.insert(thing, namespace.to_owned());
    }

    /// Something that was left behind.
    pub fn left(&mut self, one: &LeftThing) {
        let thing = match &one.id {
            Some(id) => Thing::Id(id.clone()),
            None => Thing::Named(one.key.clone()),
        };
        self.0.insert(thing, one.namespace.clone());
    }

    /// What another is about to begin.
    pub fn about_to(&mut self, other: &Taker) {
        let thing = Thing::Slot(other.identity.clone(), other.slot);
        self.0.insert(thing, other.namespace.clone());
    }

    /// How many that is.
    pub fn taken(&self, namespace: &str) -> TakenPlaces {
        let own = self.0.values().filter(|whose| *whose == namespace);
        TakenPlaces {
            all: self.0.len(),
            namespace: own.count(),
        }
    }
}

#[cfg(test)]
mod tests;
