//! Agents that no pool counts, or no claim wants: what is left of a pool that is gone, what was taken in vain, what the watch has
//! not shown.
//!
//! Holds: each is looked for live before anything is done about it.

use super::beside::seen;
use crate::api::{AgentClaim, AgentInstance, AgentPool, Seen};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, claims};
use crate::controllers::context::Context;
use crate::controllers::stores::InstanceBy;
use crate::controllers::turned::{Ref, named};
use crate::controllers::uid::Uid;
use crate::engine::claiming::{member, view};
use crate::engine::claims::is_free_again;
use crate::engine::pool::{Overdue, PoolAgent, Unseen};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;
use std::sync::Arc;

/// Deletes what is left of a pool that is gone. Answers whether something stays that may go later.
pub(super) async fn left_over(ctx: &Context, pool: &Ref<AgentPool>) -> Result<bool, ClusterError> {
    let now = ctx.around.now();
    let found = ctx.stores.instances.by(&InstanceBy::Pool(pool.clone()));
    let agents = found.iter().map(|one| seen(ctx, one, now));
    let free = agents.filter(PoolAgent::is_free);
    let (left, stays): (Vec<_>, Vec<_>) = free.partition(PoolAgent::is_left_over);
    if left.is_empty() || ctx.around.leave.take().is_err() {
        return Ok(!stays.is_empty());
    }
    let namespace = pool.namespace.clone().unwrap_or_default();
    let api: Api<Seen<AgentPool>> = Api::namespaced(ctx.around.client.clone(), &namespace);
    if find("looking for a pool", api.get_opt(&pool.name))
        .await?
        .is_some()
    {
        return Ok(false);
    }
    for agent in left {
        let (client, version) = (&ctx.around.client, agent.version.clone());
        match claims::delete(client, &namespace, &agent.name, &agent.uid, version).await {
            Ok(()) | Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(!stays.is_empty())
}

/// What was taken for a claim that does not want it any more comes back: its claim is gone, or has another one, and nobody else looks.
pub(super) async fn give_back(ctx: &Context, pool: &AgentPool) -> Result<(), ClusterError> {
    let own = named(&Seen::Read(Arc::new(pool.clone())));
    let namespace = pool.namespace().unwrap_or_default();
    for instance in ctx.stores.instances.by(&InstanceBy::Pool(own)) {
        let hold = instance.spec.claim_ref.as_ref();
        let Some(hold) = hold.filter(|hold| hold.handed_over_at.is_none()) else {
            continue;
        };
        let named = Ref::new(hold.name.as_str()).within(&namespace);
        let known = ctx.stores.claims.get(&named);
        let known = known.filter(|known| known.uid().as_ref() == Some(&hold.uid));
        let names = |claim: &AgentClaim| {
            let status = claim.status.as_ref();
            let named = status.and_then(|status| status.instance_ref.as_ref());
            named.map(|named| named.uid.clone())
        };
        let elsewhere = match &known {
            None => true,
            Some(Seen::Read(claim)) => {
                view(claim).over || names(claim).is_some_and(|uid| Some(uid) != instance.uid())
            }
            Some(Seen::Unreadable(_)) => false,
        };
        // Its claim goes on with it by itself.
        if !elsewhere {
            continue;
        }
        let api: Api<Seen<AgentClaim>> = Api::namespaced(ctx.around.client.clone(), &namespace);
        let live = find("reading a claim", api.get_opt(hold.name.as_str())).await?;
        let live = live.filter(|live| live.uid().as_ref() == Some(&hold.uid));
        let wanted = match &live {
            Some(Seen::Read(claim)) => Some(view(claim)),
            // What cannot be read may want it.
            Some(Seen::Unreadable(_)) => continue,
            None => None,
        };
        if is_free_again(&member(&instance), wanted.as_ref()) {
            match claims::give_back(&ctx.around.client, &instance.metadata).await {
                Ok(_) | Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Whether there is an agent that the watch has not shown: what another leader made last, say.
pub(super) async fn has_more(ctx: &Context, pool: &AgentPool) -> Result<bool, ClusterError> {
    let (client, now) = (&ctx.around.client, ctx.around.now());
    let namespace = pool.namespace().unwrap_or_default();
    let live = claims::of_pool(client, &namespace, &pool.name_any()).await?;
    let parted = |one: &Seen<AgentInstance>| match one {
        Seen::Read(one) => PoolAgent::of(one, now).is_parted(),
        Seen::Unreadable(_) => false,
    };
    Ok(!live.iter().all(parted))
}

/// Looks live for what was made and is not shown. Who deletes an agent before the watch has shown it leaves nothing to be told of.
/// Answers those of which nobody knows whether they were made; of a pool that goes none is to be.
pub(super) async fn look_for(
    ctx: &Context,
    pool: &AgentPool,
    now: Timestamp,
) -> Result<Vec<Overdue>, ClusterError> {
    let (uid, unseen) = (Uid::of(pool), &ctx.memories.unseen);
    let mut nowhere = unseen.of(&uid, |unseen| unseen.overdue(now));
    if nowhere.is_empty() {
        return Ok(nowhere);
    }
    let namespace = pool.namespace().unwrap_or_default();
    let live = claims::of_pool(&ctx.around.client, &namespace, &pool.name_any()).await?;
    nowhere.retain(|one| !live.iter().any(|live| live.name_any() == one.name));
    let goes = pool.metadata.deletion_timestamp.is_some();
    let (lost, unknown): (Vec<_>, Vec<_>) =
        nowhere.into_iter().partition(|one| one.certain || goes);
    for one in lost {
        unseen.of(&uid, |unseen| unseen.not_made(&one.name));
    }
    Ok(unknown)
}

/// Whether the store shows all agents of a pool: before this process makes the first one for it, and after one that it made was
/// never shown, that is asked. Whoever led before may have made some a moment ago.
pub(super) async fn are_shown(
    ctx: &Context,
    pool: &AgentPool,
    agents: &[PoolAgent],
) -> Result<bool, ClusterError> {
    let (uid, unseen) = (Uid::of(pool), &ctx.memories.unseen);
    if unseen.of(&uid, |unseen| unseen.is_counted()) {
        return Ok(true);
    }
    let namespace = pool.namespace().unwrap_or_default();
    let live = claims::of_pool(&ctx.around.client, &namespace, &pool.name_any()).await?;
    let shown = |name: String| agents.iter().any(|agent| agent.name == name);
    let all = live.iter().all(|one| shown(one.name_any()));
    if all {
        unseen.of(&uid, Unseen::counted);
    }
    Ok(all)
}
