//! What an instance leaves behind on purpose, recorded before the pass that lets go of it.
//!
//! Holds: a record is of the very object that the pass decides upon; a pass that cannot record is put off. Deliberately
//! absent: what a record says (`cluster::left_behind`).

use super::context::Context;
use super::stores::InstanceBy;
use super::uid::Uid;
use crate::api::AgentInstance;
use crate::cluster::left_behind::Left;
use crate::cluster::{ClusterError, left_behind};
use crate::engine::restored::{self, IdentityState};
use crate::engine::world::marker;
use crate::model::Marker;
use kube::ResourceExt;
use std::collections::BTreeSet;

/// Records what an instance leaves behind on purpose.
pub async fn remember(
    instance: &AgentInstance,
    standing: &IdentityState,
    ctx: &Context,
) -> Result<(), ClusterError> {
    let deleting = instance.metadata.deletion_timestamp.is_some();
    let identities = match standing {
        IdentityState::Held { identities, .. } if deleting => identities.clone(),
        IdentityState::Own | IdentityState::Anew => given_away(ctx, instance).into_iter().collect(),
        _ => BTreeSet::new(),
    };
    // What its ledger names is its own, whatever it was held as.
    let own = *standing == IdentityState::Own;
    if identities.is_empty() {
        return keep(instance, &Left::GivenUp, ctx).await;
    }
    let marked = |identity: &String, slot| Marker {
        uid: identity.clone(),
        ..marker(&ctx.around.installation.id, instance, slot)
    };
    let slots = ctx.stores.slots_of(instance);
    let stems = identities.iter().flat_map(|identity| {
        let slots = slots.iter();
        slots.map(move |slot| marked(identity, *slot).tool_stem())
    });
    let left = Left::Former {
        identities: &identities,
        stems: stems.collect(),
        lives: !deleting,
    };
    match own {
        true => keep(&without_ledger(instance), &left, ctx).await,
        false => keep(instance, &left, ctx).await,
    }
}

fn without_ledger(instance: &AgentInstance) -> AgentInstance {
    AgentInstance {
        status: None,
        ..instance.clone()
    }
}

/// The identity that an instance was held as before it began anew, unless it is a living one's.
fn given_away(ctx: &Context, instance: &AgentInstance) -> Option<String> {
    let held_as = restored::on_record(instance)
        .filter(|one| one.taken_over_by.is_none() && Some(&one.identity) != instance.uid().as_ref())
        .map(|one| one.identity.clone())
        .filter(|identity| AgentInstance::is_identity(identity))?;
    let living = InstanceBy::Identity(held_as.clone());
    let lives = !ctx.stores.instances.by(&living).is_empty();
    (!lives).then_some(held_as)
}

/// Records what an instance leaves behind that retains all it has, when it lets go of it: its ledger may have been written
/// anew in this very pass.
pub async fn retain(instance: &AgentInstance, ctx: &Context) -> Result<(), ClusterError> {
    keep(instance, &Left::All, ctx).await
}

async fn keep(
    instance: &AgentInstance,
    left: &Left<'_>,
    ctx: &Context,
) -> Result<(), ClusterError> {
    let Some(record) = left_behind::record(instance, left) else {
        return Ok(());
    };
    let (name, uid) = (record.name.clone(), Uid::of(instance));
    let recorded = &ctx.memories.recorded;
    if !recorded.has(&uid, &name) {
        let things: Vec<_> = record.things().collect();
        left_behind::keep(&ctx.around.client, &ctx.around.settings.namespace, record).await?;
        ctx.memories.left.add(things, ctx.around.now());
        recorded.add(uid, name);
    }
    Ok(())
}
