//! AgentPool: each visit counts its agents, makes and deletes as many as are wanted, gives back what no claim wants any more, and
//! tells.
//!
//! What holds: nothing is decided here (`engine::pool`); an agent is deleted exactly as it was seen, so that a claim which takes it
//! meanwhile keeps it; the status is written once a second at most, and a large pool is not counted for each of its claims. Deliberately absent: claims (`claim`).

mod beside;
mod strays;
mod writes;

use super::context::Context;
use super::ended::Ended;
use super::kind::Kind;
use super::paused::is_unread;
use super::queue::Rank;
use super::store::Store;
use super::stores::Stores;
use super::turned::Ref;
use super::uid::Uid;
use super::unreadable;
use crate::api::condition::{is_true, kind};
use crate::api::{AgentPool, AgentPoolStatus, FINALIZER, Seen};
use crate::cluster::{ClusterError, finalizer, status};
use crate::engine::pool::{PoolAccount, PoolAround, PoolPlan, plan};
use crate::engine::report::transitions;
use beside::look;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use writes::{create, create_again, delete, update};

/// The status is written once in so long.
const TOLD: Duration = Duration::from_secs(1);

/// What is held back is looked at again after so long.
const HELD: Duration = Duration::from_secs(10);

impl Kind for AgentPool {
    const NAME: &'static str = "AgentPool";

    const GIVES_WAY: bool = true;

    fn store(stores: &Stores) -> &Store<AgentPool> {
        &stores.pools
    }

    async fn reconcile(seen: &Seen<AgentPool>, ctx: &Arc<Context>) -> Result<Ended, ClusterError> {
        let (uid, now) = (Uid::of(seen), ctx.around.now());
        if let Some(next) = ctx.memories.paces.not_before(&uid, now) {
            return Ok(Ended::until(
                Duration::try_from(next.duration_since(now)).ok(),
            ));
        }
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
        let again = strays::left_over(ctx, named).await.unwrap_or_else(|error| {
            let pool = named.name.as_str();
            tracing::warn!(%error, pool, namespace = named.namespace, "an agent of a pool that is gone is left; it is looked at again");
            true
        });
        if again {
            let queue = &ctx.stores.pools.queue;
            queue.add(named.clone(), Rank::Fleet, HELD);
        }
    }
}

fn pools(ctx: &Context, namespace: &str) -> Api<AgentPool> {
    Api::namespaced(ctx.around.client.clone(), namespace)
}

async fn run(ctx: &Arc<Context>, pool: &AgentPool) -> Result<Ended, ClusterError> {
    let (uid, now) = (Uid::of(pool), ctx.around.now());
    // One that the API server refuses keeps nothing else from being done, nor told.
    let mut refused = Ok(());
    for one in strays::look_for(ctx, pool, now).await? {
        // Without an answer again it counts as before, and everything else goes on.
        refused = refused.and(create_again(ctx, pool, &one).await);
    }
    let begun = ctx.around.now();
    let around = look(ctx, pool, now);
    let plan = plan(pool, &around, now);
    ctx.memories.paces.counted(&uid, begun, ctx.around.now());
    show(ctx, pool, &around);
    pass_over(strays::give_back(ctx, pool).await, &mut refused)?;
    // One that was taken meanwhile stays: it comes back as what it is now.
    for agent in &plan.delete {
        pass_over(delete(ctx, pool, agent).await, &mut refused)?;
    }
    let shown = plan.create.is_empty() || strays::are_shown(ctx, pool, &around.agents).await?;
    for account in plan.create.iter().filter(|_| shown) {
        pass_over(create(ctx, pool, account).await, &mut refused)?;
    }
    for asked in &plan.update {
        pass_over(update(ctx, pool, asked).await, &mut refused)?;
    }
    let namespace = pool.namespace().unwrap_or_default();
    if plan.let_go && !strays::has_more(ctx, pool).await? {
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
    // Nobody tells of one that is gone before it was shown.
    let unseen = around.agents.iter().any(|one| one.version.is_none());
    let later = (held || closed || unseen).then(|| now + HELD);
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
