//! Brings the way to an account's provider up to its spec and Secrets, and asks whose the credential is where that may have
//! changed.
//!
//! Holds: a Secret that is gone takes nothing away: the credential in memory serves until another comes, which serves only
//! once it was judged. Deliberately absent: what is told of it (`engine::account`).

use super::judge::judge;
use super::open::{open_railway, open_tool, railway_settings, tool_settings};
use super::tools::proof;
use super::{Account, ToolAccount, Workspace, spending};
use crate::api::ProviderAccount;
use crate::api::account::{KeyRef, RailwayAccount};
use crate::api::limits::MonthlyUsd;
use crate::cluster::call::Written;
use crate::cluster::credentials::Credentials;
use crate::controllers::context::Context;
use crate::controllers::places;
use crate::controllers::uid::Uid;
use crate::controllers::wake::Change;
use crate::engine::account::{Beside, Credential, Learned};
use crate::engine::places::Most;
use crate::model::identity::known_again;
use crate::tools::ProviderSettings;
use kube::ResourceExt;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What people are told where measurements are not.
const UNTOLD: &str = "what its projects cost is not known, because the provider does not tell it: where the account has a monthly limit no project is added until it does (may the token read usage?)";

/// What is known of an account by now. `None`: its spec names no provider.
pub async fn learn(
    ctx: &Arc<Context>,
    account: &ProviderAccount,
    found: &Credentials,
) -> Written<Option<Learned>> {
    let spec = &account.spec;
    match (&spec.railway, spec.provider(), tool_settings(spec)) {
        (Some(railway), _, _) => Ok(Some(learn_home(ctx, account, railway, found).await?)),
        (None, Some(provider), Some(settings)) => Ok(Some(
            learn_tool(ctx, account, provider, settings, found).await?,
        )),
        _ => Ok(None),
    }
}

/// Brings the gateway up to the spec and its Secrets, and asks who we are where that may have changed.
async fn learn_home(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    railway: &RailwayAccount,
    found: &Credentials,
) -> Written<Learned> {
    let (name, generation, now) = (
        &object.name_any(),
        object.metadata.generation,
        ctx.around.now(),
    );
    let (account, new_here) = workspace(ctx, object, railway, found);
    let place = told(ctx, object.spec.credentials()).join(" and ");
    let who = async {
        match account.identity().await {
            Err(fault) => Ok(Err(fault)),
            // Railway tells the workspace of every token, and others are set aside.
            Ok(whose) => {
                let proof = account.proof(&ctx.stores);
                judge(ctx, object, (&place, ""), whose, proof, |_| {}).await
            }
        }
    };
    let asked = account
        .credential()
        .ask(generation, found.none(), now, who)
        .await;
    let (credential, news) = asked?;
    if news || new_here {
        ctx.stores.tell(&Change::Usable(name.clone()));
    }
    let budget = account.gateway.budget();
    let refused = account.gateway.refused();
    let refused = refused.iter().filter_map(|&token| found.kept_in.get(token));
    let refused = refused.map(|place| {
        let place = place.told(&ctx.around.settings.namespace);
        format!("the provider refuses the token in {place}: put another one there")
    });
    let untold = account.costs.untold(now);
    let untold = untold.then(|| UNTOLD.to_owned());
    let lacking = found.missing.iter().cloned().chain(refused);
    let lacking = lacking.chain(untold).collect();
    let monthly = spending::monthly(&ctx.around, &ctx.stores, &account);
    if let Some(costs) = &monthly {
        ctx.around.gauge.monthly(name, costs);
    }
    Ok(Learned {
        lacking,
        monthly,
        budget: Some((budget.remaining, budget.limit)),
        ..learned(ctx, object, account.as_ref(), (credential, found))
    })
}

/// The Railway account as its spec and Secrets are now, and whether it was set up just now.
fn workspace(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    railway: &RailwayAccount,
    found: &Credentials,
) -> (Arc<Workspace>, bool) {
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    let (known, most) = (ctx.accounts.workspace(&name), Most::of(&object.spec).all);
    let Some(account) = known.filter(|known| known.uid == uid) else {
        let opened = open_railway(
            &ctx.around,
            (&name, &uid),
            (railway, most),
            found.tokens.clone(),
        );
        return (ctx.accounts.add(opened), true);
    };
    account.gateway.adjust(railway_settings(railway));
    if account.allow(most) {
        // Somebody may have been waiting for room.
        ctx.stores.tell(&Change::Room(name.clone()));
    }
    if !found.tokens.is_empty() && account.gateway.replace_tokens(found.tokens.clone()) {
        account.credential().check_again();
        account.costs.ask_anew();
        // Whatever the old token was refused is tried anew.
        forgive(ctx, &name);
    }
    (account, false)
}

/// Brings the way to a tool's provider up to the spec and its Secret, and asks who we are where that may have changed.
async fn learn_tool(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    provider: &'static str,
    settings: ProviderSettings,
    found: &Credentials,
) -> Written<Learned> {
    let (name, generation, now) = (
        &object.name_any(),
        object.metadata.generation,
        ctx.around.now(),
    );
    let fresh = found.tokens.first();
    let (account, new_here) = tool_account(ctx, object, provider, &settings, fresh);
    let fresh = fresh.filter(|fresh| !account.serves(fresh));
    let open = |fresh| open_tool(&ctx.around, provider, settings.clone(), Some(fresh));
    let candidate = fresh.map(|fresh| (fresh, open(fresh)));
    if candidate.is_some() {
        account.credential().check_again();
    }
    let place = told(ctx, object.spec.credentials()).join(" and ");
    let who = async {
        let asked = candidate
            .as_ref()
            .map_or(&account.provider, |(_, opened)| &opened.provider);
        let whose = match asked.identity().await {
            Err(fault) => return Ok(Err(fault)),
            Ok(whose) => whose,
        };
        let serving = account.in_service();
        let known_by = known_again(&ctx.around.installation.seal, fresh.unwrap_or(&serving));
        let proof = proof(&ctx.around, &ctx.stores, name, asked.as_ref());
        let serve = |moved| match &candidate {
            Some((_, opened)) if moved => {
                ctx.accounts.add(account.moved(opened.clone()));
            }
            Some((fresh, _)) => account.replace(fresh),
            None => {}
        };
        judge(ctx, object, (&place, &known_by), whose, proof, serve).await
    };
    let asked = account
        .credential()
        .ask(generation, found.none(), now, who)
        .await;
    let (credential, news) = asked?;
    let account = ctx.accounts.tool_account(name).unwrap_or(account);
    if fresh.is_some_and(|fresh| account.serves(fresh)) {
        // Whatever the old credential was refused is tried anew.
        forgive(ctx, name);
    }
    if news || new_here {
        ctx.stores.tell(&Change::Usable(name.clone()));
    }
    Ok(learned(ctx, object, account.as_ref(), (credential, found)))
}

/// What is known of an account, whatever its provider is.
fn learned(
    ctx: &Context,
    object: &ProviderAccount,
    account: &dyn Account,
    (credential, found): (Credential, &Credentials),
) -> Learned {
    Learned {
        credential,
        lacking: found.missing.clone(),
        kept_in: told(ctx, object.spec.credentials()),
        outage: account.outage(),
        budget: None,
        resources: account.ours(ctx.around.reader()),
        monthly: monthly(ctx, &object.name_any()),
        beside: Beside::default(),
        restored: false,
        paused: None,
    }
}

/// What is in an account of tools costs a month, told as a metric as well.
fn monthly(ctx: &Context, name: &str) -> Option<BTreeMap<String, MonthlyUsd>> {
    let account = ctx.accounts.tool_account(name)?;
    let costs = places::monthly(ctx, &account)?;
    ctx.around.gauge.monthly(name, &costs);
    Some(costs)
}

/// The account of tools as its spec is now, and whether it was set up just now.
fn tool_account(
    ctx: &Arc<Context>,
    object: &ProviderAccount,
    provider: &'static str,
    settings: &ProviderSettings,
    fresh: Option<&SecretString>,
) -> (Arc<ToolAccount>, bool) {
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    let known = ctx.accounts.tool_account(&name);
    let known = known.filter(|known| known.is_of(&uid));
    let new_here = known.is_none();
    let former = match known {
        Some(account) if account.opened_with(settings) => return (account, new_here),
        former => former,
    };
    let serving = former.as_ref().map(|former| former.in_service());
    let opened = open_tool(
        &ctx.around,
        provider,
        settings.clone(),
        serving.as_ref().or(fresh),
    );
    let (names, settings) = ((name.as_str(), uid.as_str()), settings.clone());
    let account = ToolAccount::new(names, provider, settings, opened, former.as_deref());
    account.credential().check_again();
    let account = ctx.accounts.add(account);
    forgive(ctx, &name);
    (account, new_here)
}

/// Where credentials are kept, for people.
fn told(ctx: &Context, references: &[KeyRef]) -> Vec<String> {
    let namespace = &ctx.around.settings.namespace;
    references.iter().map(|one| one.told(namespace)).collect()
}

/// Forgets the faults of everyone who uses the account, and wakes them.
fn forgive(ctx: &Context, name: &str) {
    for instance in ctx.stores.users(name) {
        ctx.memories.retries.forget(&Uid::of(instance.as_ref()));
    }
    ctx.stores.tell(&Change::Usable(name.to_owned()));
}
