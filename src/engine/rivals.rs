//! Who has, or wants, what an instance is to adopt, and who comes first.
//!
//! Holds: the same one wins for everyone, in whatever order they look.

use super::ledger;
use crate::api::instance::Ownership;
use crate::api::{AgentInstance, LedgerEntry, NamespacedName, Slot};
use crate::model::tool::Wanted;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::BTreeSet;

/// What an instance holds, or wants to hold: a project, all of it or one service in it.
pub(super) struct Claim<'a> {
    project: &'a str,
    service: Option<&'a str>,
    recorded: bool,
}

pub(super) fn claim(instance: &AgentInstance) -> Option<Claim<'_>> {
    let recorded = instance.status.as_ref().and_then(|status| {
        let entry = ledger::entry(status, Slot::Project)?;
        entry.id.as_deref()
    });
    let adopt = instance.spec.adopt.as_ref();
    let wanted = adopt
        .filter(|_| instance.metadata.deletion_timestamp.is_none())
        .map(|adopt| adopt.project_id.0.as_str());
    Some(Claim {
        project: recorded.or(wanted)?,
        service: adopt
            .filter(|adopt| adopt.ownership == Ownership::Shared)
            .map(|adopt| adopt.service_id.0.as_str()),
        recorded: recorded.is_some(),
    })
}

/// The projects that an instance has or is to adopt.
pub fn projects(instance: &AgentInstance) -> impl Iterator<Item = String> {
    let entries = instance.status.iter().flat_map(|status| &status.external);
    let recorded = entries.filter(|entry| entry.slot == Slot::Project);
    let recorded = recorded.filter_map(|entry| entry.id.clone());
    let wanted = instance
        .spec
        .adopt
        .iter()
        .map(|adopt| adopt.project_id.0.clone());
    recorded.chain(wanted)
}

/// Of two that want the same thing the older one gets it, and of the same second the first by its name.
pub(super) fn age(one: &AgentInstance) -> (Option<Timestamp>, Option<String>, String) {
    let created = one.creation_timestamp().map(|time| time.0);
    (created, one.namespace(), one.name_any())
}

/// Tools of which the instance would adopt what another one has on record, or wants too and is older.
pub fn rivals<'a>(
    instance: &AgentInstance,
    wanted: &[Wanted],
    all: impl Iterator<Item = &'a AgentInstance>,
) -> BTreeSet<String> {
    let adopted: Vec<(&Wanted, &String)> = wanted
        .iter()
        .filter_map(|tool| Some((tool, tool.adopt.as_ref()?)))
        .collect();
    let mut rivals = BTreeSet::new();
    if adopted.is_empty() {
        return rivals;
    }
    for other in all.filter(|other| other.uid() != instance.uid()) {
        let entries = other.status.iter().flat_map(|status| &status.external);
        let recorded: Vec<&LedgerEntry> = entries.collect();
        let asks = other.spec.adopt.iter().flat_map(|adopt| &adopt.tools);
        let asks: Vec<&str> = asks
            .filter(|_| other.metadata.deletion_timestamp.is_none() && age(other) < age(instance))
            .map(|asked| asked.id.0.as_str())
            .collect();
        for (tool, id) in &adopted {
            let has = recorded.iter().any(|entry| {
                entry.provider == tool.kind.provider() && entry.id.as_ref() == Some(*id)
            });
            if has || asks.contains(&id.as_str()) {
                rivals.insert(tool.name.clone());
            }
        }
    }
    rivals
}

/// The other instance that has what this one wants to adopt, as `namespace/name`: one that has it on record, or one that
/// wants it too and is older.
pub fn rival<'a>(
    instance: &AgentInstance,
    all: impl Iterator<Item = &'a AgentInstance>,
) -> Option<String> {
    let own = claim(instance)?;
    let mut rivals: Vec<&AgentInstance> = all
        .filter(|other| other.uid() != instance.uid())
        .filter(|other| {
            claim(other).is_some_and(|other_claim| {
                let same = match (own.service, other_claim.service) {
                    (Some(own), Some(other)) => own == other,
                    // One of them wants all of it.
                    _ => true,
                };
                own.project == other_claim.project
                    && same
                    && (other_claim.recorded || age(other) < age(instance))
            })
        })
        .collect();
    rivals.sort_by_key(|one| age(one));
    let first = rivals.first()?;
    Some(NamespacedName::of(*first).to_string())
}

#[cfg(test)]
mod tests;
