//! Whom a pool, a claim or an agent of a pool wakes.
//!
//! Holds: a pool's status wakes nobody, a claim wakes no other claim; who can have an agent that is free is known to the line
//! (`lines`), not here. An agent that a claim takes looks at itself a moment later, when nobody waits for its claim any more.

use super::change::{NearPool, TOGETHER, Wake, Whom, as_people_left_it, differs, named, now};
use crate::api::condition::{find, kind};
use crate::api::{AgentClaim, AgentInstance, AgentPool, AgentTemplate, InstanceRef, Seen};
use crate::controllers::queue::Rank;
use crate::controllers::turned::{Ref, Turned};
use crate::engine::claiming::stands_in_line;
use crate::engine::pool::{claimable, is_emptied};
use kube::{Resource, ResourceExt};
use std::time::Duration;

/// A pool counts and tells after so long, an agent that was taken looks at itself.
const CALM: Duration = Duration::from_secs(1);

/// Longer no claim waits between two steps that it does by itself.
const LATE: Duration = Duration::from_secs(5);

fn near(whom: NearPool, rank: Rank, after: Duration) -> Wake {
    let whom = Whom::Near(whom);
    Wake { whom, rank, after }
}

pub(super) fn of_pool(turned: &Turned<AgentPool>) -> Vec<Wake> {
    let Some(named) = named(turned) else {
        return Vec::new();
    };
    let mut wakes = Vec::new();
    if differs(turned, as_people_left_it) {
        let itself = NearPool::Pool(named.clone());
        wakes.push(now(Whom::Near(itself), Rank::Person));
    }
    if differs(turned, whether_it_gives) {
        wakes.push(near(NearPool::Waiting(named), Rank::Fleet, Duration::ZERO));
    }
    wakes
}

/// Whether it is there for claims, and what it says of them.
fn whether_it_gives(pool: &Seen<AgentPool>) -> impl PartialEq + use<> {
    let meta = pool.meta();
    let defaults = pool
        .read()
        .and_then(|pool| pool.spec.claim_defaults.clone());
    let goes = meta.deletion_timestamp.is_some();
    (meta.uid.clone(), goes, defaults)
}

pub(super) fn of_claim(turned: &Turned<AgentClaim>) -> Vec<Wake> {
    let mut wakes = Vec::new();
    if differs(turned, as_people_left_it)
        && let Some(named) = named(turned)
    {
        wakes.push(now(Whom::Near(NearPool::Claim(named)), Rank::Person));
    }
    if differs(turned, whether_it_waits) {
        let either = turned.after.as_ref().or(turned.before.as_ref());
        let pool = either.and_then(Seen::read).map(|claim| pool_of(claim));
        wakes.extend(pool.map(|pool| near(NearPool::Pool(pool), Rank::Fleet, CALM)));
    }
    wakes
}

fn whether_it_waits(claim: &Seen<AgentClaim>) -> impl PartialEq + use<> {
    let waits = claim.read().filter(|claim| stands_in_line(claim));
    // One that says only later that an agent is to be made for it is news for its pool, too.
    waits.map(|claim| claim.spec.when_empty)
}

/// The pool that a claim names.
pub fn pool_of(claim: &AgentClaim) -> Ref<AgentPool> {
    let namespace = claim.namespace().unwrap_or_default();
    Ref::new(claim.spec.pool_ref.name.as_str()).within(&namespace)
}

/// The template whose persona a claim's agent is to be told.
pub fn persona_of(claim: &AgentClaim) -> Option<Ref<AgentTemplate>> {
    let namespace = claim.namespace().unwrap_or_default();
    let named = claim.spec.persona_ref.as_ref()?;
    Some(Ref::new(named.name.as_str()).within(&namespace))
}

/// The pool for which an instance was made.
pub fn pool_of_member(instance: &AgentInstance) -> Option<Ref<AgentPool>> {
    let namespace = instance.namespace().unwrap_or_default();
    let named = instance.spec.pool_ref.as_ref()?;
    Some(Ref::new(named.name.as_str()).within(&namespace))
}

/// An instance by what is changed of itself.
pub(super) fn itself(turned: &Turned<AgentInstance>, named: Ref<AgentInstance>) -> Wake {
    let spec = |one: &Option<Seen<AgentInstance>>| {
        let one = one.as_ref().and_then(Seen::read)?;
        let (hold, asked) = (one.spec.claim_ref.clone(), one.spec.update_to.clone());
        let mut spec = one.spec.clone();
        (spec.claim_ref, spec.update_to, spec.from_claim) = (None, None, None);
        let deleted = one.metadata.deletion_timestamp.is_some();
        let rest = (spec, deleted, one.metadata.annotations.clone());
        Some((hold, asked, rest))
    };
    let mut wake = now(Whom::Instance(named), Rank::Person);
    if let (Some((hold, asked, rest)), Some((holds, asks, now))) =
        (spec(&turned.before), spec(&turned.after))
        && rest == now
    {
        if hold != holds {
            (wake.rank, wake.after) = (Rank::News, CALM);
        } else if asked != asks {
            wake.rank = Rank::Fleet;
        }
    }
    wake
}

/// Who hears of an agent of a pool.
pub(super) fn of_member(turned: &Turned<AgentInstance>) -> Vec<Wake> {
    let mut wakes = Vec::new();
    let both = [&turned.before, &turned.after].into_iter().flatten();
    let mut read = both.filter_map(Seen::read);
    if differs(turned, as_its_pool_counts_it)
        && let Some(pool) = read.find_map(|one| pool_of_member(one))
    {
        wakes.push(near(NearPool::Pool(pool), Rank::News, TOGETHER));
    }
    // What its own claim writes is no news for that claim.
    let before = turned.before.as_ref().and_then(Seen::read);
    let hold = before.and_then(|before| before.spec.claim_ref.as_ref());
    if let (Some(hold), Some(before), true) = (hold, before, differs(turned, as_its_claim_has_it)) {
        let namespace = before.namespace().unwrap_or_default();
        let claim = Ref::new(hold.name.as_str()).within(&namespace);
        wakes.push(near(NearPool::Claim(claim), Rank::News, Duration::ZERO));
    }
    // A take that lands after everybody has stopped waiting for it: its claim looks at it, once it would have gone on with it by itself.
    let taken = taken_for(turned.after.as_ref());
    if let (Some((claim, _)), Some(after)) = (taken, &turned.after)
        && taken != taken_for(turned.before.as_ref())
    {
        let namespace = after.namespace().unwrap_or_default();
        let claim = Ref::new(claim).within(&namespace);
        wakes.push(near(NearPool::Claim(claim), Rank::News, LATE));
    }
    wakes
}

/// The claim for which an agent was taken, and not handed over.
fn taken_for(instance: Option<&Seen<AgentInstance>>) -> Option<(&str, &str)> {
    let hold = instance?.read()?.spec.claim_ref.as_ref()?;
    let between = hold.handed_over_at.is_none();
    between.then_some((hold.name.as_str(), hold.uid.as_str()))
}

/// What a pool counts of an agent.
fn as_its_pool_counts_it(instance: &Seen<AgentInstance>) -> impl PartialEq + use<> {
    let read = instance.read();
    let conditions = read.and_then(|one| one.status.as_ref()).map(|status| {
        let said = status.conditions.iter();
        let said =
            said.filter(|one| ["Ready", "Stalled", "TemplateSynced"].contains(&one.type_.as_str()));
        said.map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone()))
            .collect::<Vec<_>>()
    });
    let spec = read.map(|one| {
        let (status, asked) = (one.status.as_ref(), one.spec.update_to.clone());
        let begun = status.and_then(|status| status.rollout.as_ref()?.begun_at.clone());
        let revision = status.and_then(|status| status.template_revision.clone());
        let update = (asked, begun, revision);
        (one.spec.claim_ref.clone(), claimable(one), update)
    });
    let meta = instance.meta();
    let pool = read.and_then(|one| one.spec.pool_ref.as_ref().map(|pool| pool.name.clone()));
    let whole = (meta.uid.clone(), meta.deletion_timestamp.is_some());
    pool.map(|pool| (pool, whole, spec, conditions))
}

/// What a claim sees of its agent's tools, and whether somebody has to see to the agent.
fn its_tools(instance: &AgentInstance) -> impl PartialEq + use<> {
    let status = instance.status.as_ref();
    let tools = status.iter().flat_map(|status| &status.tools);
    let tools = tools.map(|one| {
        let why = Some(one.message.clone()).filter(|_| !one.ready);
        (one.name.clone(), one.ready, one.reason.clone(), why)
    });
    let said = status.and_then(|status| find(&status.conditions, kind::STALLED));
    let stalled = said.map(|said| (said.status.clone(), said.reason.clone()));
    (tools.collect::<Vec<_>>(), stalled)
}

/// What a claim sees of its agent.
fn as_its_claim_has_it(instance: &Seen<AgentInstance>) -> impl PartialEq + use<> {
    let meta = instance.meta();
    let hold = instance.read().and_then(|one| one.spec.claim_ref.clone());
    let its = InstanceRef {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
    };
    let deleted = meta.deletion_timestamp.is_some();
    let emptied = instance.read().is_some_and(|one| is_emptied(one));
    let tools = instance.read().map(|one| its_tools(one));
    (its, deleted, hold.map(|hold| hold.uid), emptied, tools)
}
