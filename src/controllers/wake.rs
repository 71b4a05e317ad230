//! Which change wakes whom, how urgently and how soon: one table for all of them.
//!
//! Holds: what somebody is woken for is a [`Change`], and [`news`] alone says for whom it is news; our own status writes wake
//! nobody by themselves, because the pass that made them has asked for the time at which to come again; nothing wakes
//! everybody at an interval. Deliberately absent: who the followers and users of something are (`stores`).

mod change;
mod pools;

pub use change::{Change, Dependent, NearPool, Wake, Whom};
pub use pools::{persona_of, pool_of, pool_of_member};

use super::memories::places::GLANCE;
use super::queue::Rank;
use super::turned::{Ref, Turned};
use crate::api::condition::{self, kind, reason};
use crate::api::{
    AgentInstance, AgentInstanceStatus, AgentTemplate, FINALIZER, NamespacedName, ProviderAccount,
    Seen, Slot, SlotState,
};
use crate::engine::account::usable;
use crate::model::left::counts;
use crate::model::pause::annotated;
use change::{TOGETHER, as_people_left_it, differs, named, now, trouble};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;

/// For whom a change is news.
pub fn news(change: &Change) -> Vec<Wake> {
    let one = |whom| vec![now(whom, Rank::News)];
    let fleet = |whom| vec![now(whom, Rank::Fleet)];
    let account = |name: &String| one(Whom::Account(name.clone()));
    let instances = |whose: &[NamespacedName], rank: Rank| -> Vec<Wake> {
        let whom = whose.iter().map(|who| Whom::Instance(reference(who)));
        whom.map(|whom| now(whom, rank)).collect()
    };
    match change {
        Change::Instance(turned) => of_instance(turned),
        Change::Template(turned) => of_template(turned),
        Change::Account(turned) => of_account(turned),
        Change::Pool(turned) => pools::of_pool(turned),
        Change::Claim(turned) => pools::of_claim(turned),
        Change::Shown(whose) | Change::Turn(whose) | Change::Word(whose) => {
            instances(whose, Rank::News)
        }
        // With a month they are all of them.
        Change::Costs(whose) => instances(whose, Rank::Fleet),
        Change::FirstRead(name) => fleet(Whom::Unidentified(name.clone())),
        // There may be a place where something is gone that was left behind.
        Change::Counted(name) => {
            let mut wakes = account(name);
            wakes.push(placeless(name.clone()));
            wakes
        }
        Change::Doubt(name) | Change::Swept(name) | Change::Restored(name) => account(name),
        Change::Room(name) => {
            let pools = Whom::Near(NearPool::PoolsOver(name.clone()));
            vec![
                now(Whom::Users(name.clone()), Rank::Fleet),
                now(pools, Rank::Fleet),
            ]
        }
        Change::Usable(name) => fleet(Whom::Users(name.clone())),
        Change::PlaceFree(name) => one(Whom::Placeless(name.clone())),
        Change::Outage(name) | Change::Recovery(name) => {
            let mut wakes = account(name);
            wakes.extend(fleet(Whom::Users(name.clone())));
            wakes
        }
        Change::Source(Dependent::Instance(who)) => one(Whom::Instance(reference(who))),
        Change::Source(Dependent::Template(who)) => one(Whom::Template(reference(who))),
        Change::Source(Dependent::Account(name)) => account(name),
        Change::Source(Dependent::Claim(who)) => one(Whom::Near(NearPool::Claim(reference(who)))),
        Change::Labels(namespace) => fleet(Whom::Inhabitants(namespace.clone())),
        Change::Answered(template) | Change::Values(template) => {
            one(Whom::Template(template.clone()))
        }
        Change::Neighbours(names) => names.iter().flat_map(account).collect(),
    }
}

/// Those that wait for a place look for it when no glance from before serves them any more.
fn placeless(account: String) -> Wake {
    Wake {
        whom: Whom::Placeless(account),
        rank: Rank::News,
        after: GLANCE,
    }
}

/// The reference to a namespaced object.
pub fn reference<K>(named: &NamespacedName) -> Ref<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    Ref::new(&named.name).within(&named.namespace)
}

fn of_instance(turned: &Turned<AgentInstance>) -> Vec<Wake> {
    let freed = freed(turned).into_iter();
    let mut wakes: Vec<Wake> = freed.map(placeless).collect();
    if (differs(turned, as_people_left_it) || forgets(turned))
        && let Some(named) = named(turned)
    {
        wakes.push(pools::itself(turned, named));
    }
    wakes.extend(pools::of_member(turned));
    if differs(turned, as_member) {
        let mut templates: Vec<Ref<AgentTemplate>> = Vec::new();
        for one in [&turned.before, &turned.after].into_iter().flatten() {
            let template = one.read().map(|one| template_of(one));
            templates.extend(template.filter(|found| !templates.contains(found)));
        }
        let together = |template| Wake {
            whom: Whom::Template(template),
            rank: Rank::News,
            after: TOGETHER,
        };
        wakes.extend(templates.into_iter().map(together));
    }
    wakes
}

/// The accounts in which an instance has given up a place.
fn freed(turned: &Turned<AgentInstance>) -> BTreeSet<String> {
    let begun = |one: &Option<Seen<AgentInstance>>| -> BTreeSet<(String, Slot)> {
        let status = one.as_ref().and_then(|one| one.read()?.status.as_ref());
        let entries = status.into_iter().flat_map(|status| &status.external);
        entries
            .filter(|entry| counts(entry.slot) && entry.state != SlotState::Planned)
            .filter(|entry| !entry.account.is_empty())
            .map(|entry| (entry.account.clone(), entry.slot))
            .collect()
    };
    let (before, after) = (begun(&turned.before), begun(&turned.after));
    let gone = before.difference(&after);
    gone.map(|(account, _)| account.clone()).collect()
}

/// Whether the finalizer is off, or the ledger knows less than before or another thing in a slot: a person or a restore did that, or
/// the instance's own pass, which a further look costs little.
fn forgets(turned: &Turned<AgentInstance>) -> bool {
    let held = |one: &Option<Seen<AgentInstance>>| {
        let mut finalizers = one.iter().flat_map(|one| one.finalizers());
        finalizers.any(|finalizer| finalizer == FINALIZER)
    };
    if held(&turned.before) && !held(&turned.after) {
        return true;
    }
    let ledger = |one: &Option<Seen<AgentInstance>>| {
        let read = one.as_ref().and_then(Seen::read).cloned();
        read.and_then(|read| read.status.as_ref().map(|status| status.external.clone()))
            .unwrap_or_default()
    };
    let (before, after) = (ledger(&turned.before), ledger(&turned.after));
    before.iter().any(|old| {
        let now = after.iter().find(|now| now.slot == old.slot);
        now.is_none_or(|now| old.id.is_some() && now.id != old.id)
    })
}

fn of_template(turned: &Turned<AgentTemplate>) -> Vec<Wake> {
    let mut wakes = Vec::new();
    let Some(named) = named(turned) else {
        return wakes;
    };
    if differs(turned, as_people_left_it) {
        wakes.push(now(Whom::Template(named.clone()), Rank::Person));
        let told = Whom::Near(NearPool::ToldBy(named.clone()));
        wakes.push(now(told, Rank::News));
    }
    if differs(turned, as_instances_follow_it) {
        wakes.push(now(Whom::Followers(named.clone()), Rank::Fleet));
        wakes.push(now(Whom::Near(NearPool::PoolsOf(named)), Rank::News));
    }
    wakes
}

fn of_account(turned: &Turned<ProviderAccount>) -> Vec<Wake> {
    let mut wakes = Vec::new();
    let Some(name) = named(turned).map(|found| found.name) else {
        return wakes;
    };
    if differs(turned, as_people_left_it) {
        wakes.push(now(Whom::Account(name.clone()), Rank::Person));
    }
    // Whether it can be used is told to its users where that is found out, and what is counted there is no instance's
    // business.
    if differs(turned, as_users_read_it) {
        wakes.push(now(Whom::Users(name.clone()), Rank::Fleet));
        let pools = NearPool::PoolsOver(name.clone());
        wakes.push(now(Whom::Near(pools), Rank::Fleet));
    }
    if differs(turned, whether_usable) {
        wakes.push(now(Whom::RolledOutOver(name.clone()), Rank::News));
        wakes.push(now(Whom::Near(NearPool::PoolsOver(name)), Rank::News));
    }
    wakes
}

/// What its users read of an account.
fn as_users_read_it(account: &Seen<ProviderAccount>) -> impl PartialEq + use<> {
    let meta = account.meta();
    (meta.uid.clone(), meta.generation, trouble(account))
}

/// Whether an account can be used: a rollout passes the instances of those that cannot.
fn whether_usable(account: &Seen<ProviderAccount>) -> impl PartialEq + use<> {
    (account.uid(), account.read().map(|account| usable(account)))
}

/// What instances follow of a template, and whether that pauses them; counting instances is not that.
fn as_instances_follow_it(template: &Seen<AgentTemplate>) -> impl PartialEq + use<> {
    let status = template
        .read()
        .and_then(|template| template.status.clone())
        .unwrap_or_default();
    let said = |kind: &str| {
        condition::find(&status.conditions, kind)
            .map(|found| (found.status.clone(), found.reason.clone()))
    };
    let conditions = (said(kind::READY), said(kind::PROGRESSING));
    (
        template.meta().generation,
        status.observed_generation,
        status.revision,
        conditions,
        (annotated(template.annotations()), trouble(template)),
    )
}

/// What a rollout sees of a member: all of it but what is known to say nothing there. Whoever waits for its turn says so in
/// its status, and that alone is no reason to look at all members again.
fn as_member(instance: &Seen<AgentInstance>) -> impl PartialEq + use<> {
    let instance = instance.read()?;
    let meta = &instance.metadata;
    let status = instance.status.clone().map(|status| AgentInstanceStatus {
        observed_generation: None,
        tools: Vec::new(),
        conditions: conditions_of_member(&status.conditions),
        ..status
    });
    let deleted = meta.deletion_timestamp.is_some();
    // Which claim has it says nothing of a rollout, and what its pool asks of it is none.
    let mut spec = instance.spec.clone();
    (spec.claim_ref, spec.update_to, spec.from_claim) = (None, None, None);
    Some((meta.uid.clone(), deleted, spec, status))
}

fn conditions_of_member(all: &[Condition]) -> Vec<Condition> {
    let silent = |one: &Condition| match one.type_.as_str() {
        kind::RECONCILING => true,
        kind::SYNCED => one.status == "True" || one.reason == reason::OUTDATED,
        kind::TEMPLATE_SYNCED => [reason::CURRENT, reason::OUTDATED].contains(&one.reason.as_str()),
        _ => false,
    };
    let told = |one: &Condition| Condition {
        message: String::new(),
        observed_generation: None,
        ..one.clone()
    };
    all.iter().filter(|one| !silent(one)).map(told).collect()
}

/// The template of an instance.
pub fn template_of(instance: &AgentInstance) -> Ref<AgentTemplate> {
    let namespace = instance.namespace().unwrap_or_default();
    Ref::new(instance.spec.template_ref.name.as_str()).within(&namespace)
}

#[cfg(test)]
mod tests;
