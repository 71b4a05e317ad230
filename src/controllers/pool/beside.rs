//! What is known beside a pool.
//!
//! Holds: it is what the watch has shown and what was just written; nothing is read here.

use crate::api::condition::{is_true, kind};
use crate::api::pool::WaitingClaims;
use crate::api::template::Entrypoint;
use crate::api::{AgentInstance, AgentPool, ProviderAccount, Seen};
use crate::controllers::context::Context;
use crate::controllers::paused::{holds, is_unread, recovers};
use crate::controllers::places::of_pool;
use crate::controllers::stores::InstanceBy;
use crate::controllers::telling::row_of;
use crate::controllers::turned::{Ref, named};
use crate::controllers::uid::Uid;
use crate::controllers::wake::template_of;
use crate::engine::account::allows;
use crate::engine::pool::{AgentStanding, PoolAccount, PoolAgent, PoolAround, PoolTemplate};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::sync::Arc;

/// An agent as its pool sees it.
pub(super) fn seen(ctx: &Context, instance: &AgentInstance, now: Timestamp) -> PoolAgent {
    let mut agent = PoolAgent::of(instance, now);
    agent.held |= holds(ctx, &agent.account, &template_of(instance));
    agent.held |= is_unread(ctx, &agent.account);
    // No claim can have one whose account cannot be used, however well it was when it was last looked at.
    if agent.standing == AgentStanding::Idle && !ctx.stores.usable(&agent.account) {
        agent.standing = AgentStanding::Unhealthy { replaceable: false };
    }
    agent
}

/// All that is known beside the pool, by what the watch has shown and what was just written.
pub(super) fn look(ctx: &Context, pool: &AgentPool, now: Timestamp) -> PoolAround {
    let own = named(&Seen::Read(Arc::new(pool.clone())));
    let found = ctx.stores.instances.by(&InstanceBy::Pool(own.clone()));
    let mut agents: Vec<PoolAgent> = found.iter().map(|one| seen(ctx, one, now)).collect();
    agents.extend(unread(ctx, &own));
    let unseen = &ctx.memories.unseen;
    unseen.of(&Uid::of(pool), |unseen| unseen.complete(&mut agents, now));
    let (count, oldest) = ctx.stores.lines.waiting(&own);
    // One that has an agent already only has to hear of it.
    let mut asking = ctx.stores.lines.asking(&own);
    asking.retain(|uid| {
        let namespace = own.namespace.clone().unwrap_or_default();
        let its = InstanceBy::Claim(namespace, uid.clone());
        ctx.stores.instances.by(&its).is_empty()
    });
    let accounts = pool.spec.account_refs.iter();
    let accounts = accounts.map(|one| account(ctx, &own, one.name.as_str(), &agents));
    PoolAround {
        accounts: accounts.collect(),
        agents,
        template: template(ctx, pool),
        paused: ctx.around.settings.observe_only,
        waiting: (count > 0).then(|| WaitingClaims {
            count: i32::try_from(count).unwrap_or(i32::MAX),
            oldest: oldest.map(Time),
        }),
        asking: asking.len(),
    }
}

/// Instances that this version cannot read, and that may be the pool's: they are there, and nothing is done to them.
fn unread(ctx: &Context, pool: &Ref<AgentPool>) -> Vec<PoolAgent> {
    let all = ctx.stores.instances.unreadable().into_iter();
    let own =
        all.filter(|one| one.metadata.namespace == pool.namespace && one.mentions(&pool.name));
    own.map(|one| PoolAgent::unread(&one.metadata)).collect()
}

fn template(ctx: &Context, pool: &AgentPool) -> PoolTemplate {
    let namespace = pool.namespace().unwrap_or_default();
    let named = Ref::new(pool.spec.template_ref.name.as_str()).within(&namespace);
    let Some(found) = ctx.stores.templates.get(&named) else {
        return PoolTemplate::NotFound;
    };
    let Some(template) = found.read() else {
        return PoolTemplate::NotReady;
    };
    let Some(runtime) = &template.spec.runtime else {
        return PoolTemplate::Bare;
    };
    if row_of(template).is_none() {
        return PoolTemplate::Mute;
    }
    if runtime.entrypoint == Entrypoint::Runner && runtime.volume.is_none() {
        return PoolTemplate::Forgetful;
    }
    let status = template.status.as_ref();
    let ready = status.filter(|status| is_true(&status.conditions, kind::READY));
    let revision = ready.and_then(|status| status.revision.clone());
    revision.map_or(PoolTemplate::NotReady, PoolTemplate::Ready)
}

fn account(ctx: &Context, pool: &Ref<AgentPool>, name: &str, agents: &[PoolAgent]) -> PoolAccount {
    let namespace = pool.namespace.as_deref().unwrap_or_default();
    let found = ctx.stores.accounts.get(&Ref::new(name));
    let read: Option<&Arc<ProviderAccount>> = found.as_ref().and_then(Seen::read);
    let goes = read.is_some_and(|one| one.metadata.deletion_timestamp.is_some());
    // Nothing comes up in the account of another provider, nor in one that its namespace may not use.
    let labels = ctx.memories.namespaces.labels(namespace);
    let lets = read.is_some_and(|one| {
        let allowed = one.spec.allowed_namespaces.as_ref();
        let known = |labels: &_| allows(allowed, namespace, labels);
        one.spec.railway.is_some() && labels.as_ref().is_none_or(known)
    });
    let paused = read.is_some_and(|one| one.spec.paused);
    let made = agents
        .iter()
        .filter(|one| one.account == name && one.uid.is_empty());
    let (room, full) = of_pool(ctx, name, namespace, made.count());
    PoolAccount {
        name: name.to_owned(),
        usable: ctx.stores.usable(name) && lets && !goes && !paused && !recovers(ctx, name),
        room,
        full,
    }
}
