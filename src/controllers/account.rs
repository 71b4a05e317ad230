//! ProviderAccount, of Railway or of a tool provider: its credential is checked at once and whenever it may have changed,
//! the way to its provider follows its spec, and it stays while an instance still needs it.

use super::accounts::Account;
use super::context::Context;
use super::providers;
use super::restored;
use super::tool_accounts::ToolAccount;
use crate::api::account::RailwayAccount;
use crate::api::condition::{self, kind};
use crate::api::text::Span;
use crate::api::{
    AgentInstance, FINALIZER, IN_USE_FINALIZER, ProviderAccount, ProviderAccountSpec,
};
use crate::cluster::credentials::Credentials;
use crate::cluster::{ClusterError, credentials, finalizer, left_behind, status};
use crate::engine::account::{Beside, Credential, Learned, heard, same_place, status as conclude};
use crate::engine::restored::word;
use crate::model::slot::RAILWAY;
use crate::railway::{AccountSettings, Gateway};
use crate::tools;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reconciles one account.
pub async fn reconcile(
    account: Arc<ProviderAccount>,
    ctx: Arc<Context>,
) -> Result<Action, ClusterError> {
    ctx.caches_read().await;
    let begun = Instant::now();
    let result = run(&account, &ctx).await;
    let (outcome, action) = match result {
        Ok(action) => ("done", action),
        Err(ClusterError::Stale { .. }) => ("stale", Action::requeue(Duration::from_millis(50))),
        Err(ClusterError::Gone { .. }) => ("gone", Action::await_change()),
        Err(error) => {
            tracing::warn!(account = account.name_any(), %error, "pass failed");
            ("error", Action::requeue(Duration::from_secs(2)))
        }
    };
    ctx.gauge
        .reconciled("ProviderAccount", outcome, begun.elapsed());
    Ok(action)
}

async fn run(watched: &ProviderAccount, ctx: &Arc<Context>) -> Result<Action, ClusterError> {
    let api: Api<ProviderAccount> = Api::all(ctx.client.clone());
    let name = watched.name_any();
    let Some(mut account) =
        crate::cluster::call::find("reading the account", api.get_opt(&name)).await?
    else {
        forget(ctx, &name);
        return Ok(Action::await_change());
    };
    let Some(provider) = account.spec.provider() else {
        return Ok(Action::await_change());
    };
    let mut users = Vec::new();
    if account.metadata.deletion_timestamp.is_some() {
        users = waits_for(ctx, &name).await?;
    }
    if account.metadata.deletion_timestamp.is_some() && users.is_empty() {
        forget(ctx, &name);
        wake_neighbours(ctx, &account);
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
    let mut learned = match (&account.spec.railway, providers::settings(&account.spec)) {
        (Some(railway), _) => learn_home(ctx, &account, railway, &found).await,
        (None, Some(settings)) => learn_tool(ctx, &account, provider, settings, &found).await,
        (None, None) => return Ok(Action::await_change()),
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

/// Ends what was set up for an account.
fn forget(ctx: &Context, name: &str) {
    ctx.accounts.remove(name);
    ctx.tool_accounts.remove(name);
    ctx.sweeps.forget(name);
    ctx.gauge.forget(name);
}

/// Instances that have something in the account, or may have, by their names. Nobody but the API server itself says that
/// there are none: an instance puts its finalizer on, writes its intent, and then looks whether its account is being deleted
/// (`Workshop::account_goes`); so either it is seen here, or it sees the deletion.
async fn waits_for(ctx: &Context, name: &str) -> Result<Vec<String>, ClusterError> {
    let mut users: Vec<String> = ctx.users(name).iter().filter_map(|one| held(one)).collect();
    if users.is_empty() {
        let all = left_behind::instances(&ctx.client).await?;
        let mine = all.iter().filter(|one| ctx.uses(one, name));
        users.extend(mine.filter_map(held));
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
    let mut held = named(&account.spec);
    held.extend(
        account
            .status
            .iter()
            .flat_map(|status| status.held_secrets.clone()),
    );
    held.into_iter()
        .filter(|secret| !others.contains(secret) && !still.contains(secret))
        .collect()
}

/// Brings the gateway up to the spec and its Secrets, and asks who we are where that may have changed.
async fn learn_home(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    railway: &RailwayAccount,
    found: &Credentials,
) -> Learned {
    let (name, generation, now) = (&object.name_any(), object.metadata.generation, ctx.now());
    let known = ctx.accounts.get(name);
    let new_here = known.is_none();
    let max_projects = usize::try_from(railway.max_projects).unwrap_or(usize::MAX);
    let account = match known {
        Some(account) if account.max_projects == max_projects => {
            account.gateway.adjust(settings(ctx, railway));
            // A Secret that is gone takes nothing away: the tokens in memory serve until others come.
            if !found.tokens.is_empty() && account.gateway.replace_tokens(found.tokens.clone()) {
                account.credential.check_again();
                // Whatever the old token was refused is tried anew.
                forgive(ctx, name);
            }
            account
        }
        Some(account) => {
            let gateway = account.gateway.clone();
            ctx.accounts
                .add(ctx, Account::new(name, gateway, max_projects))
        }
        None => {
            let opened = open_railway(ctx, name, railway, found.tokens.clone());
            ctx.accounts.add(ctx, opened)
        }
    };
    let (credential, news) = account
        .credential
        .ask(generation, &found.missing, now, account.identity())
        .await;
    if news || new_here {
        ctx.wake_users(name);
    }
    let budget = account.gateway.budget();
    Learned {
        credential,
        outage: account.outage(),
        budget: Some((budget.remaining, budget.limit)),
        resources: account.ours(&ctx.installation.id),
        beside: Beside::default(),
        restored: false,
    }
}

/// Brings the way to a tool's provider up to the spec and its Secret, and asks who we are where that may have changed.
async fn learn_tool(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    provider: &'static str,
    settings: tools::Account,
    found: &Credentials,
) -> Learned {
    let (name, generation, now) = (&object.name_any(), object.metadata.generation, ctx.now());
    let known = ctx.tool_accounts.get(name);
    let new_here = known.is_none();
    let fresh = found.tokens.first();
    let account = match known {
        // A Secret that is gone takes nothing away: the credential in memory serves until another comes.
        Some(account) if account.opened_with(&settings) || fresh.is_none() => {
            if fresh.is_some_and(|fresh| account.replace(fresh)) {
                // Whatever the old credential was refused is tried anew.
                forgive(ctx, name);
            }
            account
        }
        former => {
            let opened = providers::open(ctx, provider, settings.clone(), fresh);
            let account = ToolAccount::new(name, provider, settings, opened, former.as_deref());
            account.check_again();
            let account = ctx.tool_accounts.add(ctx, account);
            forgive(ctx, name);
            account
        }
    };
    let (credential, news) = account.checked(generation, &found.missing, now).await;
    if news || new_here {
        ctx.wake_users(name);
    }
    Learned {
        credential,
        outage: account.outage(),
        budget: None,
        resources: account.ours(ctx),
        beside: Beside::default(),
        restored: false,
    }
}

/// Opens a Railway account. Nothing is sent.
pub(super) fn open_railway(
    ctx: &Context,
    name: &str,
    railway: &RailwayAccount,
    tokens: Vec<SecretString>,
) -> Account {
    let clock = Arc::clone(&ctx.clock);
    let gateway = Gateway::new(settings(ctx, railway), tokens, ctx.http.clone(), clock);
    let gauge = Arc::clone(&ctx.gauge);
    gateway.report_to(Arc::new(move |operation, outcome, took| {
        gauge.requested(RAILWAY, operation, outcome, took);
    }));
    let gauge = Arc::clone(&ctx.gauge);
    gateway.only_while(Arc::new(move || gauge.may_act()));
    let max_projects = usize::try_from(railway.max_projects).unwrap_or(usize::MAX);
    Account::new(name, gateway, max_projects)
}

fn settings(ctx: &Context, railway: &RailwayAccount) -> AccountSettings {
    AccountSettings {
        workspace: railway.workspace_id.0.clone(),
        requests_per_hour: u32::try_from(railway.requests_per_hour).unwrap_or(1),
        requests_per_second: u32::try_from(railway.requests_per_second).unwrap_or(1),
        project_interval: Span::or(Some(&railway.project_interval), Duration::from_secs(30)),
        request_timeout: ctx.settings.request_timeout,
    }
}

/// Forgets the faults of everyone who uses the account, and wakes them.
fn forgive(ctx: &Context, name: &str) {
    for instance in ctx.users(name) {
        ctx.retries.forget(&instance.uid().unwrap_or_default());
    }
    ctx.wake_users(name);
}

/// What goes wrong is logged by `reconcile`.
pub fn on_error(_: Arc<ProviderAccount>, error: &ClusterError, _: Arc<Context>) -> Action {
    tracing::warn!(%error, "reconciling an account");
    Action::requeue(Duration::from_secs(2))
}
