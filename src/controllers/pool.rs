//! AgentPool: each visit counts its agents, makes and deletes as many as are wanted, gives back what no claim wants any more, and
//! tells.
//!
//! What holds: nothing is decided here (`engine::pool`); an agent is deleted exactly as it was seen, so that a claim which takes it
//! meanwhile keeps it; the status is written once a second at most. Deliberately absent: claims (`claim`).

mod beside;
mod writes;

use super::context::Context;
use super::ended::Ended;
use super::kind::Kind;
use super::paused::is_unread;
use super::store::Store;
use super::stores::{InstanceBy, Stores};
use super::turned::{Ref, named};
use super::uid::Uid;
use super::unreadable;
use crate::api::condition::{is_true, kind};
use crate::api::{AgentClaim, AgentPool, AgentPoolStatus, FINALIZER, Seen};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, claims, finalizer, status};
use crate::engine::claiming::{member, view};
use crate::engine::claims::is_free_again;
use crate::engine::pool::{PoolAccount, PoolAgent, PoolAround, PoolPlan, plan};
use crate::engine::report::transitions;
use beside::{look, seen};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use writes::{create, delete, update};

/// The status is written once in so long.
const TOLD: Duration = Duration::from_secs(1);

/// What is held back is looked at again after so long.
const HELD: Duration = Duration::from_secs(10);

impl Kind for AgentPool {
    const NAME: &'static str = "AgentPool";

    fn store(stores: &Stores) -> &Store<AgentPool> {
        &stores.pools
    }

    async fn reconcile(seen: &Seen<AgentPool>, ctx: &Arc<Context>) -> Result<Ended, ClusterError> {
        let namespace = seen.namespace().unwrap_or_default();
        let api: Api<Seen<AgentPool>> = Api::namespaced(ctx.around.client.clone(), &namespace);
        let Some(Seen::Read(pool)) = unreadable::get(ctx, &api, "reading the pool", seen).await?
        else {
            return Ok(Ended::at_rest());
        };
        let goes = pool.metadata.deletion_timestamp.is_some();
        let holds = pool.finalizers().iter().any(|one| one == FINALIZER);
        if goes && !holds {
            return Ok(Ended::at_rest());
        }
        let pool = match holds {
            true => Arc::unwrap_or_clone(pool),
            false => finalizer::hold(&pools(ctx, &namespace), &pool, FINALIZER, None).await?,
        };
        run(ctx, &pool).await
    }

    fn conditions(status: &mut AgentPoolStatus) -> Option<&mut Vec<Condition>> {
        Some(&mut status.conditions)
    }

    fn gone(last: &Seen<AgentPool>, ctx: &Context) {
        let namespace = last.namespace().unwrap_or_default();
        let pool = (namespace.as_str(), &*last.name_any());
        ctx.around.gauge.forget_pool(pool);
    }

    /// What was made for a pool that is gone by now, and that nobody has, goes as well: no other pool counts it.
    async fn absent(named: &Ref<AgentPool>, ctx: &Arc<Context>) {
        if let Err(error) = left_over(ctx, named).await {
            let pool = named.name.as_str();
            tracing::warn!(%error, pool, namespace = named.namespace, "an agent of a pool that is gone is left; it is looked at again when it changes");
        }
    }
}

async fn left_over(ctx: &Context, pool: &Ref<AgentPool>) -> Result<(), ClusterError> {
    let now = ctx.around.now();
    let found = ctx.stores.instances.by(&InstanceBy::Pool(pool.clone()));
    let agents = found.iter().map(|one| seen(ctx, one, now));
    let left: Vec<PoolAgent> = agents.filter(PoolAgent::is_left_over).collect();
    if left.is_empty() || ctx.around.leave.take().is_err() {
        return Ok(());
    }
    let namespace = pool.namespace.clone().unwrap_or_default();
    let api: Api<Seen<AgentPool>> = Api::namespaced(ctx.around.client.clone(), &namespace);
    if find("looking for a pool", api.get_opt(&pool.name))
        .await?
        .is_some()
    {
        return Ok(());
    }
    for agent in left {
        let (client, version) = (&ctx.around.client, agent.version.clone());
        match claims::delete(client, &namespace, &agent.name, &agent.uid, version).await {
            Ok(()) | Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn pools(ctx: &Context, namespace: &str) -> Api<AgentPool> {
    Api::namespaced(ctx.around.client.clone(), namespace)
}

async fn run(ctx: &Arc<Context>, pool: &AgentPool) -> Result<Ended, ClusterError> {
    let (uid, now) = (Uid::of(pool), ctx.around.now());
    let around = look(ctx, pool, now);
    let plan = plan(pool, &around, now);
    show(ctx, pool, &around);
    // One that the API server refuses keeps nothing else from being done, nor told.
    let mut refused = Ok(());
    pass_over(give_back(ctx, pool).await, &mut refused)?;
    // One that was taken meanwhile stays: it comes back as what it is now.
    for agent in &plan.delete {
        pass_over(delete(ctx, pool, agent).await, &mut refused)?;
    }
    for account in &plan.create {
        pass_over(create(ctx, pool, account).await, &mut refused)?;
    }
    for asked in &plan.update {
        pass_over(update(ctx, pool, asked).await, &mut refused)?;
    }
    let namespace = pool.namespace().unwrap_or_default();
    if plan.let_go && !has_more(ctx, pool).await? {
        finalizer::let_go(&pools(ctx, &namespace), pool, FINALIZER).await?;
        ctx.memories
            .unseen
            .of(&uid, |unseen| *unseen = Default::default());
        return Ok(Ended::at_rest());
    }
    let held_back = tell(ctx, pool, &plan, now).await?;
    refused?;
    // What was just made is counted with it.
    let mut agents = around.agents.iter();
    let unread = agents.any(|one| is_unread(ctx, &one.account));
    let moves = !plan.create.is_empty() || !plan.delete.is_empty() || plan.let_go;
    let moves = moves || !plan.update.is_empty();
    let more = (moves || unread).then(|| now + TOLD);
    // The end of a pause, or of RecoveryMode, is told to instances alone.
    let held = around.agents.iter().any(|one| one.held && one.is_free());
    let short = is_true(&plan.status.conditions, kind::QUOTA_EXCEEDED);
    let shut = |one: &PoolAccount| !one.usable || short && one.full.is_some();
    let closed = around.accounts.iter().any(shut);
    let later = (held || closed).then(|| now + HELD);
    let next = [plan.again, held_back, more, later];
    let next = next.into_iter().flatten().min();
    let wait = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    Ok(Ended::until(
        wait.map(|wait| wait + Duration::from_millis(10)),
    ))
}

/// Shows how many claims wait for one of its agents.
fn show(ctx: &Context, pool: &AgentPool, around: &PoolAround) {
    let waiting = around.waiting.as_ref();
    let count = waiting.map_or(0, |waiting| usize::try_from(waiting.count).unwrap_or(0));
    let since = waiting
        .and_then(|waiting| waiting.oldest.as_ref())
        .map(|oldest| oldest.0);
    let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
    ctx.around
        .gauge
        .pool_waiting((&namespace, &name), count, since);
}

/// A write that is refused is told at the end of the pass; every other fault ends it.
fn pass_over(
    written: Result<(), ClusterError>,
    refused: &mut Result<(), ClusterError>,
) -> Result<(), ClusterError> {
    match written {
        Err(error @ ClusterError::Refused { .. }) => {
            if refused.is_ok() {
                *refused = Err(error);
            }
            Ok(())
        }
        other => other,
    }
}

/// What was taken for a claim that does not want it any more comes back: its claim is gone, or has another one, and nobody else looks.
async fn give_back(ctx: &Context, pool: &AgentPool) -> Result<(), ClusterError> {
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
async fn has_more(ctx: &Context, pool: &AgentPool) -> Result<bool, ClusterError> {
    let (client, now) = (&ctx.around.client, ctx.around.now());
    let namespace = pool.namespace().unwrap_or_default();
    let live = claims::of_pool(client, &namespace, &pool.name_any()).await?;
    let agents = live.iter().map(|one| PoolAgent::of(one, now));
    Ok(!agents.collect::<Vec<_>>().iter().all(PoolAgent::is_parted))
}

/// Writes the status, if it is another. Answers when it may be written, where that is later.
async fn tell(
    ctx: &Context,
    pool: &AgentPool,
    plan: &PoolPlan,
    now: Timestamp,
) -> Result<Option<Timestamp>, ClusterError> {
    if pool.status.as_ref() == Some(&plan.status) {
        return Ok(None);
    }
    let (uid, counted) = (Uid::of(pool), &ctx.memories.counted);
    if let Some(next) = counted.not_before(&uid, now, TOLD) {
        return Ok(Some(next));
    }
    status::write(&ctx.around.client, pool, &plan.status).await?;
    counted.written(&uid, now);
    let old = pool.status.clone().unwrap_or_default();
    let heard = transitions(&old.conditions, &plan.status.conditions);
    ctx.events.publish(&pool.object_ref(&()), &heard).await;
    Ok(None)
}
