//! AgentPool: each visit counts its agents, makes and deletes as many as are wanted, gives back what no claim wants any more, and
//! tells.
//!
//! What holds: nothing is decided here (`engine::pool`); an agent is deleted exactly as it was seen, so that a claim which takes it
//! meanwhile keeps it; the status is written once a second at most. Deliberately absent: claims (`claim`).

use super::context::Context;
use super::ended::Ended;
use super::kind::Kind;
use super::paused::{holds, is_unread, recovers};
use super::store::Store;
use super::stores::{InstanceBy, Stores};
use super::turned::{Ref, named};
use super::uid::Uid;
use super::unreadable;
use super::wake::template_of;
use crate::api::condition::{is_true, kind};
use crate::api::pool::WaitingClaims;
use crate::api::{
    AgentClaim, AgentInstance, AgentInstanceSpec, AgentPool, AgentPoolStatus, FINALIZER,
    POOL_LABEL, ProviderAccount, Seen,
};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, claims, finalizer, status};
use crate::engine::claiming::{member, view};
use crate::engine::claims::is_free_again;
use crate::engine::pool::{PoolAccount, PoolAgent, PoolAround, PoolPlan, PoolTemplate, plan};
use crate::engine::report::transitions;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::Api;
use kube::{Resource, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

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

/// An agent as its pool sees it.
fn seen(ctx: &Context, instance: &AgentInstance, now: Timestamp) -> PoolAgent {
    let mut agent = PoolAgent::of(instance, now);
    agent.held |= holds(ctx, &agent.account, &template_of(instance));
    agent.held |= is_unread(ctx, &agent.account);
    agent
}

fn pools(ctx: &Context, namespace: &str) -> Api<AgentPool> {
    Api::namespaced(ctx.around.client.clone(), namespace)
}

async fn run(ctx: &Arc<Context>, pool: &AgentPool) -> Result<Ended, ClusterError> {
    let (uid, now) = (Uid::of(pool), ctx.around.now());
    let around = look(ctx, pool, now);
    let plan = plan(pool, &around, now);
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
    let more = (moves || unread).then(|| now + TOLD);
    // The end of a pause, or of RecoveryMode, is told to instances alone.
    let held = around.agents.iter().any(|one| one.held && one.is_free());
    let closed = around.accounts.iter().any(|one| !one.usable);
    let later = (held || closed).then(|| now + HELD);
    let next = [plan.again, held_back, more, later];
    let next = next.into_iter().flatten().min();
    let wait = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    Ok(Ended::until(
        wait.map(|wait| wait + Duration::from_millis(10)),
    ))
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

/// All that is known beside the pool, by what the watch has shown and what was just written.
fn look(ctx: &Context, pool: &AgentPool, now: Timestamp) -> PoolAround {
    let own = named(&Seen::Read(Arc::new(pool.clone())));
    let found = ctx.stores.instances.by(&InstanceBy::Pool(own.clone()));
    let mut agents: Vec<PoolAgent> = found.iter().map(|one| seen(ctx, one, now)).collect();
    agents.extend(unread(ctx, &own));
    let unseen = &ctx.memories.unseen;
    unseen.of(&Uid::of(pool), |unseen| unseen.complete(&mut agents, now));
    let (count, oldest) = ctx.stores.lines.waiting(&own);
    let accounts = pool.spec.account_refs.iter();
    PoolAround {
        agents,
        template: template(ctx, pool),
        accounts: accounts
            .map(|one| account(ctx, one.name.as_str()))
            .collect(),
        paused: ctx.around.settings.observe_only,
        waiting: (count > 0).then(|| WaitingClaims {
            count: i32::try_from(count).unwrap_or(i32::MAX),
            oldest: oldest.map(Time),
        }),
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
    if template.spec.runtime.is_none() {
        return PoolTemplate::Bare;
    }
    if super::telling::row_of(template).is_none() {
        return PoolTemplate::Mute;
    }
    let status = template.status.as_ref();
    let ready = status.filter(|status| is_true(&status.conditions, kind::READY));
    let revision = ready.and_then(|status| status.revision.clone());
    revision.map_or(PoolTemplate::NotReady, PoolTemplate::Ready)
}

fn account(ctx: &Context, name: &str) -> PoolAccount {
    let found = ctx.stores.accounts.get(&Ref::new(name));
    let read: Option<&Arc<ProviderAccount>> = found.as_ref().and_then(Seen::read);
    let goes = read.is_some_and(|one| one.metadata.deletion_timestamp.is_some());
    let paused = read.is_some_and(|one| one.spec.paused);
    let most = read.map_or(0, |one| one.spec.limits.resources);
    let taken = read
        .and_then(|one| one.status.as_ref()?.resources)
        .unwrap_or(0);
    PoolAccount {
        name: name.to_owned(),
        usable: ctx.stores.usable(name) && !goes && !paused && !recovers(ctx, name),
        room: usize::try_from(most.saturating_sub(taken)).unwrap_or(0),
    }
}

async fn create(ctx: &Context, pool: &AgentPool, account: &str) -> Result<(), ClusterError> {
    let (uid, unseen) = (Uid::of(pool), &ctx.memories.unseen);
    let name = format!("{}-{}", pool.name_any(), suffix(rand::random()));
    let spec: Result<AgentInstanceSpec, _> = serde_json::from_value(json!({
        "templateRef": pool.spec.template_ref,
        "accountRef": {"name": account},
        "poolRef": {"name": pool.name_any()},
        // It stays as it is until a claim has it, and then as long as nobody says otherwise.
        "updatePolicy": "Manual",
    }));
    let Ok(spec) = spec else {
        return Ok(());
    };
    // Who was stopped between the count and here may not lead any more.
    if ctx.around.leave.take().is_err() {
        return Ok(());
    }
    let mut instance = AgentInstance::new(&name, spec);
    instance.metadata.namespace = pool.namespace();
    let label = (POOL_LABEL.to_owned(), pool.name_any());
    instance.metadata.labels = Some([label].into());
    unseen.of(&uid, |unseen| {
        unseen.makes(&name, account, ctx.around.now())
    });
    let made = claims::create(&ctx.around.client, &instance).await;
    // Of every other error nobody knows what came of it.
    if let Err(
        ClusterError::Refused { .. } | ClusterError::Stale { .. } | ClusterError::Gone { .. },
    ) = made
    {
        unseen.of(&uid, |unseen| unseen.not_made(&name));
    }
    match made {
        // Another one has the name.
        Err(ClusterError::Stale { .. }) => Ok(()),
        other => other,
    }
}

/// Five letters and digits that are not mistaken for each other.
fn suffix(random: u32) -> String {
    const LETTERS: [char; 27] = [
        'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'q', 'r', 's', 't', 'v', 'w',
        'x', 'z', '2', '4', '5', '6', '7', '8', '9',
    ];
    let mut rest = usize::try_from(random).unwrap_or_default();
    let mut text = String::new();
    for _ in 0..5 {
        text.push(LETTERS[rest % LETTERS.len()]);
        rest /= LETTERS.len();
    }
    text
}

async fn delete(ctx: &Context, pool: &AgentPool, agent: &PoolAgent) -> Result<(), ClusterError> {
    if agent.uid.is_empty() {
        return Ok(());
    }
    let namespace = pool.namespace().unwrap_or_default();
    let (client, version) = (&ctx.around.client, agent.version.clone());
    let deleted = claims::delete(client, &namespace, &agent.name, &agent.uid, version).await;
    match deleted {
        Ok(()) | Err(ClusterError::Gone { .. }) => {
            let (uid, now) = (Uid::of(pool), ctx.around.now());
            ctx.memories
                .unseen
                .of(&uid, |unseen| unseen.deleted(&agent.uid, now));
            Ok(())
        }
        Err(ClusterError::Stale { .. }) => Ok(()),
        Err(error) => Err(error),
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
