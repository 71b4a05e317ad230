//! What is needed to say whose things an instance may touch: what its account shows of it, who else has its identity, what
//! was left behind under its name, and what the account's owner has said.
//!
//! What holds: nothing is decided here (`engine::restored`); where an object states its own UID, which is nearly always,
//! nothing is read for it but what the account's observer has seen.

use super::access::allowed;
use super::accounts::Workspace;
use super::context::Context;
use super::stores::InstanceBy;
use super::wake::Change;
use crate::api::{AgentInstance, IDENTITY_ANNOTATION, NamespacedName, ProviderAccount};
use crate::cluster::{ClusterError, left_behind};
use crate::engine::restored::{self, Facts, IdentityState, Word};
use crate::model::Home;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whose things the instance may touch. `read`: when its account was last read, and what that showed of it.
pub async fn standing(
    ctx: &Context,
    instance: &AgentInstance,
    read: (Option<Timestamp>, &[Home]),
) -> Result<IdentityState, ClusterError> {
    let installation = &ctx.around.installation.id;
    let (begun, homes) = read;
    let stated = instance.annotations().get(IDENTITY_ANNOTATION);
    let own = stated.is_some() && stated == instance.uid().as_ref();
    let mut left = BTreeSet::new();
    if stated.is_none() && !restored::namesakes(instance, homes, installation).is_empty() {
        let all = left_behind::read(&ctx.around.client, &ctx.around.settings.namespace).await?;
        left = left_behind::under_name(&all.words, instance);
    }
    let taken = stated.is_some() && !own && taken(ctx, instance);
    let account = ObjectRef::new(instance.spec.account_ref.name.as_str());
    let word = match own {
        true => Word::default(),
        false => ctx
            .stores
            .accounts
            .get(&account)
            .and_then(|account| account.read().map(|account| restored::word(account)))
            .unwrap_or_default(),
    };
    let standing = restored::standing(
        instance,
        &Facts {
            installation,
            homes: begun.is_some().then_some(homes),
            left_behind: &left,
            taken,
            word,
        },
    );
    let deleting = instance.metadata.deletion_timestamp.is_some();
    let news = match &standing {
        // Once the word is given, its account looks by itself whether all have gone on: told by each that could not, the two
        // would wake each other without a pause.
        IdentityState::Held { word, .. } => deleting || word.since.is_none(),
        // It has waited, and begins anew or has been set right.
        _ => own && restored::on_record(instance).is_some(),
    };
    if news {
        // It has to tell, or to tell no longer.
        ctx.stores.tell(&Change::Restored(account.name));
    }
    Ok(standing)
}

fn taken(ctx: &Context, instance: &AgentInstance) -> bool {
    let identity = instance.identity();
    let says = |account: &Arc<Workspace>| account.bearer(&identity, &ctx.around.installation.id);
    // Who has another account's workspace may write there what he likes.
    let own = ctx
        .accounts
        .workspace(instance.spec.account_ref.name.as_str());
    let bearer = own
        .and_then(|own| says(&own))
        .or_else(|| ctx.accounts.workspaces().iter().find_map(says));
    let near = ctx.stores.instances.by(&InstanceBy::Identity(identity));
    restored::taken(instance, near.iter().map(AsRef::as_ref), bearer.as_ref())
}

/// The instances of an account that wait for its owner's word, of namespaces that may use it.
pub async fn waiting(
    ctx: &Context,
    account: &ProviderAccount,
) -> Result<Vec<NamespacedName>, ClusterError> {
    let may = account.spec.allowed_namespaces.as_ref();
    let mut waiting = Vec::new();
    for one in ctx.stores.recorded_in(&account.name_any()) {
        let here = one.spec.account_ref.name.as_str() == account.name_any();
        let namespace = one.namespace().unwrap_or_default();
        // What another one has is looked up here: its own pass may not have said so yet.
        let waits = here && restored::waits_for_a_word(&one) && !taken(ctx, &one);
        if waits && allowed(ctx, may, &namespace).await? {
            waiting.push(NamespacedName::of(one.as_ref()));
        }
    }
    Ok(waiting)
}
