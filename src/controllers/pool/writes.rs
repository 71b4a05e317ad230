//! The writes of a pool: making an agent, deleting one, asking one to take a revision.
//!
//! Holds: what is there is written exactly as it was seen, so that a claim which takes it meanwhile keeps it.

use crate::api::{AgentInstance, AgentInstanceSpec, AgentPool, POOL_LABEL};
use crate::cluster::{ClusterError, claims};
use crate::controllers::context::Context;
use crate::controllers::uid::Uid;
use crate::engine::pool::{Overdue, PoolAgent, PoolUpdate};
use kube::ResourceExt;
use serde_json::json;

/// Makes an agent in an account.
pub(super) async fn create(
    ctx: &Context,
    pool: &AgentPool,
    account: &str,
) -> Result<(), ClusterError> {
    let name = format!("{}-{}", pool.name_any(), suffix(rand::random()));
    match make(ctx, pool, &name, account).await {
        // Another one has the name.
        Err(ClusterError::Stale { .. }) => {
            let (uid, unseen) = (Uid::of(pool), &ctx.memories.unseen);
            unseen.of(&uid, |unseen| unseen.not_made(&name));
            Ok(())
        }
        other => other,
    }
}

/// Asks once more for one of which nobody knows whether it was made.
pub(super) async fn create_again(
    ctx: &Context,
    pool: &AgentPool,
    one: &Overdue,
) -> Result<(), ClusterError> {
    match make(ctx, pool, &one.name, &one.account).await {
        // It was.
        Err(ClusterError::Stale { .. }) => {
            let (uid, unseen) = (Uid::of(pool), &ctx.memories.unseen);
            unseen.of(&uid, |unseen| unseen.is_made(&one.name));
            Ok(())
        }
        other => other,
    }
}

async fn make(
    ctx: &Context,
    pool: &AgentPool,
    name: &str,
    account: &str,
) -> Result<(), ClusterError> {
    let (uid, unseen) = (Uid::of(pool), &ctx.memories.unseen);
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
    let mut instance = AgentInstance::new(name, spec);
    instance.metadata.namespace = pool.namespace();
    let label = (POOL_LABEL.to_owned(), pool.name_any());
    instance.metadata.labels = Some([label].into());
    unseen.of(&uid, |unseen| unseen.makes(name, account, ctx.around.now()));
    let made = claims::create(&ctx.around.client, &instance).await;
    unseen.of(&uid, |unseen| match &made {
        Ok(_) => unseen.is_made(name),
        Err(ClusterError::Refused { .. } | ClusterError::Gone { .. }) => unseen.not_made(name),
        // Of every other error nobody knows what came of it.
        Err(_) => {}
    });
    made
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

pub(super) async fn delete(
    ctx: &Context,
    pool: &AgentPool,
    agent: &PoolAgent,
) -> Result<(), ClusterError> {
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

/// Asks an agent to take a revision, or takes that back.
pub(super) async fn update(
    ctx: &Context,
    pool: &AgentPool,
    asked: &PoolUpdate,
) -> Result<(), ClusterError> {
    // Who was stopped between the count and here may not lead any more.
    if ctx.around.leave.take().is_err() {
        return Ok(());
    }
    let namespace = pool.namespace().unwrap_or_default();
    let (client, agent, to) = (&ctx.around.client, &asked.agent, asked.to.as_ref());
    let version = agent.version.as_deref();
    match claims::update_to(client, (&namespace, &agent.name), version, to).await {
        Ok(_) => {
            if let Some(to) = to {
                let (uid, unseen) = (Uid::of(pool), &ctx.memories.unseen);
                unseen.of(&uid, |unseen| unseen.asked(&agent.uid, to));
            }
            Ok(())
        }
        // A claim was faster, or it is another by now.
        Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
