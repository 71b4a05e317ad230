//! ProviderAccount, of Railway or of a tool provider: its credential is checked at once and whenever it may have changed,
//! the way to its provider follows its spec, and it stays while an instance still needs it.

use super::accounts::Account;
use super::context::Context;
use super::credential;
use super::failures;
use super::observer::Observed;
use super::providers::{self, connection};
use super::restored;
use super::tool_accounts::{ToolAccount, proof};
use super::unreadable;
use crate::api::account::{KeyRef, RailwayAccount};
use crate::api::condition::{self, kind};
use crate::api::text::Span;
use crate::api::{
    AgentInstance, FINALIZER, IN_USE_FINALIZER, ProviderAccount, ProviderAccountSpec, Seen,
};
use crate::cluster::call::Written;
use crate::cluster::credentials::Credentials;
use crate::cluster::{ClusterError, credentials, finalizer, installation, left_behind, status};
use crate::engine::account::{Beside, Credential, Learned, heard, same_place, status as conclude};
use crate::engine::meaning;
use crate::engine::restored::word;
use crate::model::identity::known_again;
use crate::model::slot::RAILWAY;
use crate::railway::{AccountSettings, Gateway};
use crate::tools::ProviderSettings;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use secrecy::SecretString;
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
            let set_up =
                ctx.accounts.get(&name).is_some() || ctx.tool_accounts.get(&name).is_some();
            if !set_up && failures::known(&ctx, account.as_ref()) {
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
    let Some(provider) = account.spec.provider() else {
        return Ok(Action::await_change());
    };
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
    let mut learned = match (&account.spec.railway, providers::settings(&account.spec)) {
        (Some(railway), _) => learn_home(ctx, &account, railway, &found).await?,
        (None, Some(settings)) => learn_tool(ctx, &account, provider, settings, &found).await?,
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

/// Says in the status what the API server refuses. Where it refuses that, too, the event has to do.
async fn refused(ctx: &Context, account: &ProviderAccount, error: &ClusterError) {
    let ClusterError::Refused { what, refusal } = error else {
        return;
    };
    let mut new = account.status.clone().unwrap_or_default();
    let generation = account.metadata.generation;
    let fault = refusal.fault(what);
    new.conditions = meaning::refused(&new.conditions, &fault, generation, ctx.now());
    if account.status.as_ref() != Some(&new)
        && let Err(error) = status::write_account(&ctx.client, account, &new).await
    {
        tracing::debug!(%error, "a refusal is not told in the status");
    }
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

/// Brings the gateway up to the spec and its Secrets, and asks who we are where that may have changed.
async fn learn_home(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    railway: &RailwayAccount,
    found: &Credentials,
) -> Written<Learned> {
    let (name, generation, now) = (&object.name_any(), object.metadata.generation, ctx.now());
    let uid = object.uid().unwrap_or_default();
    let known = ctx.accounts.get(name).filter(|known| known.uid == uid);
    let new_here = known.is_none();
    let account = match known {
        Some(account) => {
            account.gateway.adjust(settings(railway));
            if account.allow(most_projects(railway)) {
                // Somebody may have been waiting for room.
                ctx.wake_users(name);
            }
            // A Secret that is gone takes nothing away: the tokens in memory serve until others come.
            if !found.tokens.is_empty() && account.gateway.replace_tokens(found.tokens.clone()) {
                account.credential.check_again();
                // Whatever the old token was refused is tried anew.
                forgive(ctx, name);
            }
            account
        }
        None => {
            let opened = open_railway(ctx, (name, &uid), railway, found.tokens.clone());
            ctx.accounts.add(ctx, opened)
        }
    };
    let kept_in = told(ctx, object.spec.credentials());
    let who = async {
        match account.identity().await {
            Err(fault) => Ok(Err(fault)),
            // Railway tells the workspace of every token, and others are set aside.
            Ok(whose) => {
                let place = kept_in.join(" and ");
                let proof = account.proof(ctx);
                credential::judge(ctx, object, (&place, ""), whose, proof, |_| {}).await
            }
        }
    };
    let missing = found.none();
    let (credential, news) = account
        .credential
        .ask(generation, missing, now, who)
        .await?;
    if news || new_here {
        ctx.wake_users(name);
    }
    let budget = account.gateway.budget();
    let refused = account.gateway.refused();
    let refused = refused.iter().filter_map(|&token| found.kept_in.get(token));
    let refused = refused.map(|place| {
        let place = place.told(&ctx.settings.namespace);
        format!("the provider refuses the token in {place}: put another one there")
    });
    Ok(Learned {
        credential,
        lacking: found.missing.iter().cloned().chain(refused).collect(),
        kept_in,
        outage: account.outage(),
        budget: Some((budget.remaining, budget.limit)),
        resources: account.ours(&ctx.installation.id),
        beside: Beside::default(),
        restored: false,
    })
}

/// Brings the way to a tool's provider up to the spec and its Secret, and asks who we are where that may have changed.
/// Another credential serves only once it was judged, and the one before it until then.
async fn learn_tool(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    provider: &'static str,
    settings: ProviderSettings,
    found: &Credentials,
) -> Written<Learned> {
    let (name, generation, now) = (&object.name_any(), object.metadata.generation, ctx.now());
    let uid = object.uid().unwrap_or_default();
    let open = |credential: Option<&SecretString>| {
        providers::open(ctx, provider, settings.clone(), credential)
    };
    let known = ctx
        .tool_accounts
        .get(name)
        .filter(|known| known.is_of(&uid));
    let new_here = known.is_none();
    // A Secret that is gone takes nothing away: the credential in memory serves until another comes.
    let fresh = found.tokens.first();
    let account = match known {
        Some(account) if account.opened_with(&settings) => account,
        former => {
            let serving = former.as_ref().map(|former| former.in_service());
            let opened = open(serving.as_ref().or(fresh));
            let former = former.as_deref();
            let account =
                ToolAccount::new((name, &uid), provider, settings.clone(), opened, former);
            account.check_again();
            let account = ctx.tool_accounts.add(ctx, account);
            forgive(ctx, name);
            account
        }
    };
    let fresh_one = fresh.filter(|fresh| !account.serves(fresh));
    let candidate = fresh_one.map(|fresh| (fresh, open(Some(fresh))));
    if candidate.is_some() {
        account.check_again();
    }
    let kept_in = told(ctx, object.spec.credentials());
    let who = async {
        let asked = candidate
            .as_ref()
            .map_or(&account.provider, |(_, opened)| &opened.provider);
        let whose = match asked.identity().await {
            Err(fault) => return Ok(Err(fault)),
            Ok(whose) => whose,
        };
        let serving = account.in_service();
        let known_by = known_again(&ctx.installation.seal, fresh_one.unwrap_or(&serving));
        let place = kept_in.join(" and ");
        let proof = proof(ctx, name, asked.as_ref());
        let serve = |moved| match &candidate {
            Some((_, opened)) if moved => {
                ctx.tool_accounts.add(ctx, account.moved(opened.clone()));
            }
            Some((fresh, _)) => account.replace(fresh),
            None => {}
        };
        credential::judge(ctx, object, (&place, &known_by), whose, proof, serve).await
    };
    let missing = found.none();
    let (credential, news) = account
        .credential()
        .ask(generation, missing, now, who)
        .await?;
    let account = ctx.tool_accounts.get(name).unwrap_or(account);
    if fresh_one.is_some_and(|fresh| account.serves(fresh)) {
        // Whatever the old credential was refused is tried anew.
        forgive(ctx, name);
    }
    if news || new_here {
        ctx.wake_users(name);
    }
    Ok(Learned {
        credential,
        lacking: found.missing.clone(),
        kept_in,
        outage: account.outage(),
        budget: None,
        resources: account.ours(ctx),
        beside: Beside::default(),
        restored: false,
    })
}

/// Opens a Railway account. Nothing is sent.
pub(super) fn open_railway(
    ctx: &Context,
    names: (&str, &str),
    railway: &RailwayAccount,
    tokens: Vec<SecretString>,
) -> Account {
    let gateway = Gateway::new(settings(railway), tokens, connection(ctx, RAILWAY));
    Account::new(names, gateway, most_projects(railway))
}

fn most_projects(railway: &RailwayAccount) -> usize {
    usize::try_from(railway.max_projects).unwrap_or(usize::MAX)
}

/// Where credentials are kept, for people.
fn told(ctx: &Context, references: &[KeyRef]) -> Vec<String> {
    let namespace = &ctx.settings.namespace;
    references.iter().map(|one| one.told(namespace)).collect()
}

fn settings(railway: &RailwayAccount) -> AccountSettings {
    AccountSettings {
        workspace: railway.workspace_id.0.clone(),
        requests_per_hour: u32::try_from(railway.requests_per_hour).unwrap_or(1),
        requests_per_second: u32::try_from(railway.requests_per_second).unwrap_or(1),
        project_interval: Span::or(Some(&railway.project_interval), Duration::from_secs(30)),
    }
}

/// Forgets the faults of everyone who uses the account, and wakes them.
fn forgive(ctx: &Context, name: &str) {
    for instance in ctx.users(name) {
        ctx.retries.forget(&instance.uid().unwrap_or_default());
    }
    ctx.wake_users(name);
}

/// `reconcile` gives every error its time itself.
pub fn on_error(_: Arc<Seen<ProviderAccount>>, error: &Infallible, _: Arc<Context>) -> Action {
    match *error {}
}
