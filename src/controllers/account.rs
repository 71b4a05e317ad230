//! ProviderAccount: its credential is checked at once and whenever it may have changed, its gateway follows its spec,
//! and it stays while an instance still needs it.

use super::accounts::wake_all;
use super::context::Context;
use crate::api::account::{AccountIdentity, RailwayAccount};
use crate::api::text::Span;
use crate::api::{IN_USE_FINALIZER, ProviderAccount};
use crate::cluster::{ClusterError, credentials, finalizer, status};
use crate::engine::account::{Credential, Learned, status as conclude};
use crate::engine::report;
use crate::model::Fault;
use crate::railway::{AccountSettings, Gateway};
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
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
        ctx.accounts.remove(&name);
        ctx.gauge.forget(&name);
        return Ok(Action::await_change());
    };
    let Some(railway) = account.spec.railway.clone() else {
        return Ok(Action::await_change());
    };
    let users = users(ctx, &name);
    if account.metadata.deletion_timestamp.is_some() && users == 0 {
        ctx.accounts.remove(&name);
        ctx.gauge.forget(&name);
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
        account = finalizer::hold(&api, &account, IN_USE_FINALIZER).await?;
    }
    let learned = learn(ctx, &account, &railway).await?;
    let failed = !matches!(learned.credential, Credential::Good(_));
    let mut new = conclude(&account, &learned, ctx.now());
    // The account's users go by the tokens in memory; a Secret that it refers to no longer is nobody's business here.
    new.held_secrets = named(&railway);
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
        let heard = report::transitions(before, &new.conditions);
        ctx.events.publish(&account.object_ref(&()), &heard).await;
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

/// Instances that have something in the account, or may have.
fn users(ctx: &Context, name: &str) -> usize {
    ctx.instances
        .state()
        .iter()
        .filter(|one| one.spec.account_ref.name.as_str() == name && !one.finalizers().is_empty())
        .count()
}

/// Names of the Secrets that an account refers to.
fn named(railway: &RailwayAccount) -> Vec<String> {
    let names: BTreeSet<String> = railway
        .token_secret_refs
        .iter()
        .map(|reference| reference.name.0.clone())
        .collect();
    names.into_iter().collect()
}

/// Of the Secrets that were held for an account, those that neither it nor another one needs any more.
fn no_longer(ctx: &Context, account: &ProviderAccount, still: &[String]) -> Vec<String> {
    let name = account.name_any();
    let others: BTreeSet<String> = ctx
        .provider_accounts
        .state()
        .iter()
        .filter(|other| other.name_any() != name)
        .filter_map(|other| other.spec.railway.as_ref().map(named))
        .flatten()
        .collect();
    let mut held: BTreeSet<String> = account.spec.railway.iter().flat_map(named).collect();
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
async fn learn(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    railway: &RailwayAccount,
) -> Result<Learned, ClusterError> {
    let (name, generation, now) = (&object.name_any(), object.metadata.generation, ctx.now());
    let found = credentials::read(
        &ctx.client,
        &ctx.settings.namespace,
        &railway.token_secret_refs,
    )
    .await?;
    let known = ctx.accounts.get(name);
    let new_here = known.is_none();
    let max_projects = usize::try_from(railway.max_projects).unwrap_or(usize::MAX);
    let account = match known {
        Some(account) if account.max_projects == max_projects => {
            account.gateway.adjust(settings(ctx, railway));
            // A Secret that is gone takes nothing away: the tokens in memory serve until others come.
            if !found.tokens.is_empty() && account.gateway.replace_tokens(found.tokens.clone()) {
                account.check_again();
                // Whatever the old token was refused is tried anew.
                forgive(ctx, name);
            }
            account
        }
        Some(account) => ctx
            .accounts
            .add(ctx, name, account.gateway.clone(), max_projects),
        None => {
            let clock = Arc::clone(&ctx.clock);
            let gateway = Gateway::new(
                settings(ctx, railway),
                found.tokens.clone(),
                ctx.http.clone(),
                clock,
            );
            let gauge = Arc::clone(&ctx.gauge);
            gateway.report_to(Arc::new(move |operation, outcome, took| {
                gauge.requested("railway", operation, outcome, took);
            }));
            let gauge = Arc::clone(&ctx.gauge);
            gateway.only_while(Arc::new(move || gauge.may_act()));
            ctx.accounts.add(ctx, name, gateway, max_projects)
        }
    };
    let credential = if !found.missing.is_empty() && account.identity().is_none() {
        Credential::Missing(found.missing.join("; "))
    } else if let (Some(identity), false) = (account.identity(), account.check_due(generation, now))
    {
        Credential::Good(identity)
    } else {
        match account.gateway.identity().await {
            Ok(identity) => Credential::Good(AccountIdentity {
                name: identity.name.chars().take(1024).collect(),
                plan: identity.plan.chars().take(256).collect(),
            }),
            Err(
                fault @ (Fault::Denied { .. } | Fault::Missing { .. } | Fault::Rejected { .. }),
            ) => Credential::Refused(fault),
            Err(_) => Credential::NotAsked,
        }
    };
    let news = match &credential {
        Credential::Good(identity) => {
            account.checked(generation, now, Some(identity.clone()), None)
        }
        Credential::Missing(message) => {
            account.checked(generation, now, None, Some(message.clone()))
        }
        Credential::Refused(fault) => {
            account.checked(generation, now, None, Some(fault.message().to_owned()))
        }
        Credential::NotAsked => false,
    };
    if news || new_here {
        wake_all(ctx, name);
    }
    let budget = account.gateway.budget();
    Ok(Learned {
        credential,
        outage: account.outage(),
        budget: Some((budget.remaining, budget.limit)),
        resources: account.ours(&ctx.installation.id),
    })
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
    for instance in ctx.instances.state() {
        if instance.spec.account_ref.name.as_str() == name {
            ctx.retries.clear(&instance.uid().unwrap_or_default());
        }
    }
    wake_all(ctx, name);
}

/// What goes wrong is logged by `reconcile`.
pub fn on_error(_: Arc<ProviderAccount>, error: &ClusterError, _: Arc<Context>) -> Action {
    tracing::warn!(%error, "reconciling an account");
    Action::requeue(Duration::from_secs(2))
}
