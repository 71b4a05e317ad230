//! ProviderAccount, of Railway or of a tool provider: its credential is checked at once and whenever it may have changed,
//! the way to its provider follows its spec, and it stays while an instance still needs it.

use super::accounts::learn::learn;
use super::context::Context;
use super::failures;
use super::restored;
use super::unreadable;
use crate::api::condition::{self, kind};
use crate::api::{
    AgentInstance, FINALIZER, IN_USE_FINALIZER, ProviderAccount, ProviderAccountSpec, Seen,
};
use crate::cluster::{ClusterError, credentials, finalizer, installation, left_behind, status};
use crate::engine::account::{Beside, Credential, heard, same_place, status as conclude};
use crate::engine::report;
use crate::engine::restored::word;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reconciles one account.
pub async fn reconcile(
    account: Arc<Seen<ProviderAccount>>,
    ctx: Arc<Context>,
) -> Result<Action, Infallible> {
    ctx.caches_read().await;
    let begun = Instant::now();
    let result = run(&account, &ctx).await;
    let (outcome, action) = match result {
        Ok(action) => {
            failures::none(&ctx, account.as_ref());
            ("done", action)
        }
        Err(error) => {
            if let Some(account) = account.read() {
                refused(&ctx, account, &error).await;
            }
            let ended = failures::again(&ctx, account.as_ref(), &error).await;
            // Who waits for its set-up is told that there is none.
            let name = account.name_any();
            if !ctx.accounts.has(&name) && failures::known(&ctx, account.as_ref()) {
                ctx.wake_users(&name);
            }
            ended
        }
    };
    ctx.gauge
        .reconciled("ProviderAccount", outcome, begun.elapsed());
    Ok(action)
}

async fn run(watched: &Seen<ProviderAccount>, ctx: &Arc<Context>) -> Result<Action, ClusterError> {
    let (name, seen) = (watched.name_any(), Api::all(ctx.client.clone()));
    let mut account = match unreadable::get(ctx, &seen, "reading the account", watched).await? {
        Some(Seen::Read(account)) => Arc::unwrap_or_clone(account),
        Some(Seen::Unreadable(_)) => return Ok(Action::await_change()),
        None => {
            forget(ctx, &name);
            return Ok(Action::await_change());
        }
    };
    let api: Api<ProviderAccount> = Api::all(ctx.client.clone());
    if account.spec.provider().is_none() {
        return Ok(Action::await_change());
    }
    let uid = account.uid().unwrap_or_default();
    let mut users = Vec::new();
    if account.metadata.deletion_timestamp.is_some() {
        users = waits_for(ctx, &name).await?;
    }
    if account.metadata.deletion_timestamp.is_some() && users.is_empty() {
        forget(ctx, &name);
        wake_neighbours(ctx, &account);
        installation::unpin(&ctx.client, &ctx.settings.namespace, &uid).await?;
        credentials::let_go(
            &ctx.client,
            &ctx.settings.namespace,
            &no_longer(ctx, &account, &[]),
        )
        .await?;
        finalizer::let_go(&api, &account, IN_USE_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    if account.metadata.deletion_timestamp.is_none()
        && !account
            .finalizers()
            .iter()
            .any(|one| one == IN_USE_FINALIZER)
    {
        account = finalizer::hold(&api, &account, IN_USE_FINALIZER, None).await?;
    }
    let found = credentials::read(
        &ctx.client,
        &ctx.settings.namespace,
        account.spec.credentials(),
    )
    .await?;
    let Some(mut learned) = learn(ctx, &account, &found).await? else {
        return Ok(Action::await_change());
    };
    let waiting = restored::waiting(ctx, &account).await?;
    learned.restored = !waiting.is_empty();
    let failed = !matches!(learned.credential, Credential::Good(_));
    learned.beside = Beside {
        users,
        secrets_going: found.going,
        same_place: neighbours(ctx, &account),
        sweep: ctx.sweeps.findings(&name),
    };
    let mut new = conclude(&account, &learned, ctx.now());
    // The account's users go by the tokens in memory; a Secret that it refers to no longer is nobody's business here.
    new.held_secrets = named(&account.spec).into_iter().collect();
    credentials::let_go(
        &ctx.client,
        &ctx.settings.namespace,
        &no_longer(ctx, &account, &new.held_secrets),
    )
    .await?;
    if account.status.as_ref() != Some(&new) {
        status::write_account(&ctx.client, &account, &new).await?;
        let before = account
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.conditions);
        let heard = heard(before, &new.conditions);
        ctx.events.publish(&account.object_ref(&()), &heard).await;
        let shared = |conditions| condition::is_true(conditions, kind::SHARED);
        if shared(before) != shared(&new.conditions) {
            wake_neighbours(ctx, &account);
        }
    }
    let given = word(&account).given;
    if given || word(&account).since.is_none() {
        for (namespace, name) in &waiting {
            ctx.wake.instance(namespace, name);
        }
    }
    if !waiting.is_empty() && given {
        // Until they have gone on it is told that they wait, and the next such is to be another occurrence.
        return Ok(Action::requeue(Duration::from_secs(2)));
    }
    if account.metadata.deletion_timestamp.is_some() {
        // Waits for its instances; to look for them costs nothing.
        return Ok(Action::requeue(Duration::from_secs(if failed {
            30
        } else {
            2
        })));
    }
    Ok(if failed {
        Action::requeue(ctx.settings.observe_interval.min(Duration::from_secs(30)))
    } else {
        // Shows the budget as it goes down, in tenths.
        Action::requeue(ctx.settings.observe_interval * 10)
    })
}

/// Says in the status what the API server refuses. Where it refuses that, too, the event has to do.
async fn refused(ctx: &Context, account: &ProviderAccount, error: &ClusterError) {
    let ClusterError::Refused { what, refusal } = error else {
        return;
    };
    let mut new = account.status.clone().unwrap_or_default();
    let generation = account.metadata.generation;
    let fault = refusal.fault(what);
    new.conditions = report::refused(&new.conditions, &fault, generation, ctx.now());
    if account.status.as_ref() != Some(&new)
        && let Err(error) = status::write_account(&ctx.client, account, &new).await
    {
        tracing::debug!(%error, "a refusal is not told in the status");
    }
}

/// Ends what was set up for an account.
fn forget(ctx: &Context, name: &str) {
    ctx.accounts.remove(name);
    ctx.sweeps.forget(name);
    ctx.gauge.forget(name);
}

/// Instances that have something in the account, or may have, by their names. Nobody but the API server itself says that
/// there are none: an instance puts its finalizer on, writes its intent, and then looks whether its account is being deleted
/// (`Workshop::account_goes`); so either it is seen here, or it sees the deletion.
async fn waits_for(ctx: &Context, name: &str) -> Result<Vec<String>, ClusterError> {
    let read = ctx.users(name);
    let mut users: Vec<String> = read.iter().filter_map(|one| held(one.as_ref())).collect();
    let unread = ctx.instances.unreadable();
    let unread = unread.iter().filter(|one| one.mentions(name));
    users.extend(unread.map(|one| one.title()));
    if users.is_empty() {
        let all = left_behind::instances(&ctx.client).await?;
        users.extend(all.iter().filter_map(|one| match one {
            Seen::Read(one) => ctx.uses(one, name).then(|| held(one)).flatten(),
            // What it is cannot be said: it counts.
            Seen::Unreadable(one) => one.mentions(name).then(|| one.title()),
        }));
    }
    users.sort_unstable();
    Ok(users)
}

/// `namespace/name` of one that has something outside, or may have.
fn held(instance: &AgentInstance) -> Option<String> {
    let (namespace, name) = (
        instance.namespace().unwrap_or_default(),
        instance.name_any(),
    );
    let ours = instance.finalizers().iter().any(|one| one == FINALIZER);
    ours.then(|| format!("{namespace}/{name}"))
}

/// Other accounts that lead to the same place at the provider.
fn neighbours(ctx: &Context, account: &ProviderAccount) -> Vec<String> {
    let mut names: Vec<String> = ctx
        .provider_accounts
        .state()
        .iter()
        .filter(|other| other.name_any() != account.name_any())
        .filter(|other| same_place(&account.spec, &other.spec))
        .map(|other| other.name_any())
        .collect();
    names.sort_unstable();
    names
}

fn wake_neighbours(ctx: &Context, account: &ProviderAccount) {
    for name in neighbours(ctx, account) {
        ctx.wake.account(&name);
    }
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
        .provider_accounts
        .state()
        .iter()
        .filter(|other| other.name_any() != name)
        .flat_map(|other| named(&other.spec))
        .collect();
    let unread = ctx.provider_accounts.unreadable();
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

/// `reconcile` gives every error its time itself.
pub fn on_error(_: Arc<Seen<ProviderAccount>>, error: &Infallible, _: Arc<Context>) -> Action {
    match *error {}
}
