//! ProviderAccount, of Railway or of a tool provider: its credential is checked at once and whenever it may have changed,
//! the way to its provider follows its spec, and it stays while an instance still needs it.

use super::accounts::learn::learn;
use super::context::Context;
use super::ended::Ended;
use super::failures;
use super::kind::Kind;
use super::paused::of_account;
use super::places;
use super::restored;
use super::store::Store;
use super::stores::Stores;
use super::unreadable;
use super::wake::Change;
use crate::api::condition::{self, kind};
use crate::api::{
    AgentInstance, FINALIZER, IN_USE_FINALIZER, NamespacedName, ProviderAccount,
    ProviderAccountSpec, ProviderAccountStatus, Seen,
};
use crate::cluster::{ClusterError, credentials, finalizer, installation, left_behind, status};
use crate::engine::account::{Beside, Credential, heard, same_place, status as conclude};
use crate::engine::restored::word;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Kind for ProviderAccount {
    const NAME: &'static str = "ProviderAccount";

    fn store(stores: &Stores) -> &Store<ProviderAccount> {
        &stores.accounts
    }

    async fn reconcile(
        seen: &Seen<ProviderAccount>,
        ctx: &Arc<Context>,
    ) -> Result<Ended, ClusterError> {
        let api = Api::all(ctx.around.client.clone());
        let found = unreadable::get(ctx, &api, "reading the account", seen).await?;
        match found.as_ref().and_then(Seen::read) {
            Some(account) if account.spec.provider().is_some() => run(ctx, account).await,
            _ => Ok(Ended::at_rest()),
        }
    }

    fn conditions(status: &mut ProviderAccountStatus) -> Option<&mut Vec<Condition>> {
        Some(&mut status.conditions)
    }

    /// Who waits for its set-up is told that there is none.
    fn failed(seen: &Seen<ProviderAccount>, ctx: &Context) {
        let name = seen.name_any();
        if !ctx.accounts.has(&name) && failures::known(ctx, seen) {
            ctx.stores.tell(&Change::Usable(name));
        }
    }

    fn gone(last: &Seen<ProviderAccount>, ctx: &Context) {
        forget(ctx, &last.name_any());
    }
}

async fn run(ctx: &Arc<Context>, account: &ProviderAccount) -> Result<Ended, ClusterError> {
    let (around, name) = (&ctx.around, account.name_any());
    let (client, namespace) = (&around.client, &around.settings.namespace);
    let api: Api<ProviderAccount> = Api::all(client.clone());
    let mut account = account.clone();
    let mut users = Vec::new();
    if account.metadata.deletion_timestamp.is_some() {
        users = waits_for(ctx, &name).await?;
        if users.is_empty() {
            return leave(ctx, &account, &api).await;
        }
    } else if !account
        .finalizers()
        .iter()
        .any(|one| one == IN_USE_FINALIZER)
    {
        account = finalizer::hold(&api, &account, IN_USE_FINALIZER, None).await?;
    }
    let found = credentials::read(client, namespace, account.spec.credentials()).await?;
    // What was left behind costs something as well.
    places::recollect(ctx).await?;
    let Some(mut learned) = learn(ctx, &account, &found).await? else {
        return Ok(Ended::at_rest());
    };
    let waiting = restored::waiting(ctx, &account).await?;
    learned.restored = !waiting.is_empty();
    learned.paused = of_account(ctx, &name);
    let failed = !matches!(learned.credential, Credential::Good(_));
    learned.beside = Beside {
        users,
        secrets_going: found.going,
        same_place: neighbours(ctx, &account),
        sweep: ctx.memories.sweeps.findings(&name),
        recovery: ctx
            .accounts
            .account(&name)
            .and_then(|account| account.recollection().standing()),
    };
    let mut new = conclude(&account, &learned, around.now());
    // The account's users go by the tokens in memory; a Secret that it refers to no longer is nobody's business here.
    new.held_secrets = named(&account.spec).into_iter().collect();
    let unneeded = no_longer(ctx, &account, &new.held_secrets);
    credentials::let_go(client, namespace, &unneeded).await?;
    let recovers = condition::is_true(&new.conditions, kind::RECOVERY_MODE);
    around.gauge.recovery(&name, recovers);
    if account.status.as_ref() != Some(&new) {
        tell(ctx, &account, &new).await?;
    }
    Ok(Ended::until(comes_again(ctx, &account, waiting, failed)))
}

/// Lets go of an account that nobody uses any more.
async fn leave(
    ctx: &Context,
    account: &ProviderAccount,
    api: &Api<ProviderAccount>,
) -> Result<Ended, ClusterError> {
    let (client, namespace) = (&ctx.around.client, &ctx.around.settings.namespace);
    forget(ctx, &account.name_any());
    ctx.stores
        .tell(&Change::Neighbours(neighbours(ctx, account)));
    installation::unpin(client, namespace, &account.uid().unwrap_or_default()).await?;
    credentials::let_go(client, namespace, &no_longer(ctx, account, &[])).await?;
    finalizer::let_go(api, account, IN_USE_FINALIZER).await?;
    Ok(Ended::at_rest())
}

/// Writes the status, and tells people and neighbours what is new in it.
async fn tell(
    ctx: &Context,
    account: &ProviderAccount,
    new: &ProviderAccountStatus,
) -> Result<(), ClusterError> {
    status::write(&ctx.around.client, account, new).await?;
    let before = account
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    let heard = heard(before, &new.conditions);
    ctx.events.publish(&account.object_ref(&()), &heard).await;
    let recovers = |conditions| condition::is_true(conditions, kind::RECOVERY_MODE);
    if recovers(before) != recovers(&new.conditions) {
        ctx.stores.tell(&Change::Usable(account.name_any()));
    }
    let shared = |conditions| condition::is_true(conditions, kind::SHARED);
    if shared(before) != shared(&new.conditions) {
        ctx.stores
            .tell(&Change::Neighbours(neighbours(ctx, account)));
    }
    Ok(())
}

/// When the account is looked at again by itself. `waiting`: its objects that wait for a word; `failed`: whether its
/// credential is not good.
fn comes_again(
    ctx: &Context,
    account: &ProviderAccount,
    waiting: Vec<NamespacedName>,
    failed: bool,
) -> Duration {
    let (word, waits) = (word(account), !waiting.is_empty());
    if word.given || word.since.is_none() {
        ctx.stores.tell(&Change::Word(waiting));
    }
    let interval = ctx.around.settings.observe_interval;
    let deleted = account.metadata.deletion_timestamp.is_some();
    match (waits && word.given, deleted, failed) {
        // Until they have gone on it is told that they wait, and the next such is to be another occurrence.
        (true, ..) => Duration::from_secs(2),
        // Waits for its instances; to look for them costs nothing.
        (_, true, false) => Duration::from_secs(2),
        (_, true, true) => Duration::from_secs(30),
        (_, false, true) => interval.min(Duration::from_secs(30)),
        // Shows the budget as it goes down, in tenths.
        (_, false, false) => interval * 10,
    }
}

/// Ends what was set up for an account.
fn forget(ctx: &Context, name: &str) {
    ctx.accounts.remove(name);
    ctx.memories.sweeps.forget(name);
    ctx.around.gauge.forget(name);
}

/// Instances that have something in the account, or may have, by their names. Nobody but the API server itself says that
/// there are none: an instance puts its finalizer on, writes its intent, and then looks whether its account is being deleted
/// (`Workshop::account_goes`); so either it is seen here, or it sees the deletion.
async fn waits_for(ctx: &Context, name: &str) -> Result<Vec<String>, ClusterError> {
    let read = ctx.stores.users(name);
    let mut users: Vec<String> = read.iter().filter_map(|one| held(one.as_ref())).collect();
    let unread = ctx.stores.instances.unreadable();
    let unread = unread.iter().filter(|one| one.mentions(name));
    users.extend(unread.map(|one| one.title()));
    if users.is_empty() {
        let all = left_behind::instances(&ctx.around.client).await?;
        users.extend(all.iter().filter_map(|one| match one {
            Seen::Read(one) => ctx.stores.uses(one, name).then(|| held(one)).flatten(),
            // What it is cannot be said: it counts.
            Seen::Unreadable(one) => one.mentions(name).then(|| one.title()),
        }));
    }
    users.sort_unstable();
    Ok(users)
}

/// `namespace/name` of one that has something outside, or may have.
fn held(instance: &AgentInstance) -> Option<String> {
    let ours = instance.finalizers().iter().any(|one| one == FINALIZER);
    ours.then(|| NamespacedName::of(instance).to_string())
}

/// Other accounts that lead to the same place at the provider.
fn neighbours(ctx: &Context, account: &ProviderAccount) -> Vec<String> {
    let mut names: Vec<String> = ctx
        .stores
        .accounts
        .state()
        .iter()
        .filter(|other| other.name_any() != account.name_any())
        .filter(|other| same_place(&account.spec, &other.spec))
        .map(|other| other.name_any())
        .collect();
    names.sort_unstable();
    names
}

/// Names of the Secrets that an account refers to.
fn named(spec: &ProviderAccountSpec) -> BTreeSet<String> {
    spec.credentials()
        .iter()
        .map(|reference| reference.name.0.clone())
        .collect()
}

/// Of the Secrets that were held for an account, those that neither it nor another one needs any more.
fn no_longer(ctx: &Context, account: &ProviderAccount, still: &[String]) -> Vec<String> {
    let name = account.name_any();
    let others: BTreeSet<String> = ctx
        .stores
        .accounts
        .state()
        .iter()
        .filter(|other| other.name_any() != name)
        .flat_map(|other| named(&other.spec))
        .collect();
    let unread = ctx.stores.accounts.unreadable();
    let mut held = named(&account.spec);
    held.extend(
        account
            .status
            .iter()
            .flat_map(|status| status.held_secrets.clone()),
    );
    held.into_iter()
        .filter(|secret| !others.contains(secret) && !still.contains(secret))
        .filter(|secret| !unread.iter().any(|other| other.mentions(secret)))
        .collect()
}
