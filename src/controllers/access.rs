//! An account as an instance may use it: whether it is there, open to its namespace, set up and answered by its provider.
//!
//! Holds: an account that does not exist and one that is not open to a namespace are told alike.

use super::accounts::{Account, ToolAccount, Workspace};
use super::context::Context;
use super::failures;
use super::memories::sources::Labels;
use super::places;
use crate::api::account::AllowedNamespaces;
use crate::api::{AgentInstance, ProviderAccount, Seen};
use crate::cluster::ClusterError;
use crate::cluster::call::find;
use crate::engine::account as account_rules;
use crate::engine::places::Most;
use crate::engine::view;
use crate::engine::world::{AccountRoom, AccountView, ToolAccountView, at_rest};
use crate::model::Home;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type AccountSeen = (AccountView, Option<Arc<Workspace>>);

/// The account as this instance may use it. `None`: it exists and was not set up yet; its set-up wakes the instance.
pub(super) async fn account(
    ctx: &Arc<Context>,
    instance: &AgentInstance,
) -> Result<Option<AccountSeen>, ClusterError> {
    let name = instance.spec.account_ref.name.as_str();
    let Some(object) = open_to(ctx, instance, name).await? else {
        return Ok(Some((AccountView::NotAvailable, None)));
    };
    let Seen::Read(object) = object else {
        let message = UNREADABLE_ACCOUNT.to_owned();
        return Ok(Some((AccountView::NotReady { message }, None)));
    };
    let Some(provider) = object.spec.provider() else {
        let message = NO_PROVIDER.to_owned();
        return Ok(Some((AccountView::NotReady { message }, None)));
    };
    let Some(own) = &object.spec.railway else {
        return Ok(Some((AccountView::Elsewhere { provider }, None)));
    };
    let account = ctx.accounts.workspace(name);
    // One that was made anew under its name is set up by its own pass.
    let account = account.filter(|account| Some(&account.uid) == object.uid().as_ref());
    let Some(account) = account else {
        let message = NOT_SET_UP.to_owned();
        let failed = failures::known(ctx, object.as_ref());
        return Ok(failed.then_some((AccountView::NotReady { message }, None)));
    };
    if let Err(message) = account.usable() {
        return Ok(Some((AccountView::NotReady { message }, None)));
    }
    if account.outage().is_some() {
        return Ok(Some((AccountView::Unreachable, None)));
    }
    let project = view::project(instance);
    let stands = |home: &Home| Some(home.id.as_str()) == project && !home.deleted;
    let room = AccountRoom {
        // Counting looks at every instance: done for those that may have to make a project.
        projects: match account.seen(instance, project).1.iter().any(stands) {
            true => None,
            false => places::of_project(ctx, &account, instance, false),
        },
        most: Most::of(&object.spec),
        per_agent: own.per_agent.clone(),
        interval: SignedDuration::try_from(account.gateway.project_interval())
            .unwrap_or(SignedDuration::MAX),
        turns: BTreeMap::new(),
        deleting: object.metadata.deletion_timestamp.is_some(),
    };
    Ok(Some((AccountView::Ready(room), Some(account))))
}

/// What its users are told of an account on whose behalf the API server lets nothing be done. Its own condition says what.
pub(super) const NOT_SET_UP: &str =
    "it is not set up, because the API server refuses that; ask whoever runs Yardmaster here";

/// What its users are told of an account whose spec names no provider that this version knows.
const NO_PROVIDER: &str = "its spec names no provider that this version of Yardmaster knows";

/// What its users are told of an account that cannot be read. Its owner is told more, on the account.
pub(super) const UNREADABLE_ACCOUNT: &str = "this version of Yardmaster cannot read it";

/// An account, where it is there and open to the instance. What it was open to stays open for the way back.
pub(super) async fn open_to(
    ctx: &Context,
    instance: &AgentInstance,
    name: &str,
) -> Result<Option<Seen<ProviderAccount>>, ClusterError> {
    let Some(object) = ctx.stores.accounts.get(&ObjectRef::new(name)) else {
        return Ok(None);
    };
    let namespace = instance.namespace().unwrap_or_default();
    let may_use = may_use(&object);
    let open = instance.metadata.deletion_timestamp.is_some()
        || remembered(ctx, instance, may_use.as_ref())
        || allowed(ctx, may_use.as_ref(), &namespace).await?;
    Ok(open.then_some(object))
}

/// The namespaces that may use an account. Of one that cannot be read that part may be readable by itself.
pub(super) fn may_use(object: &Seen<ProviderAccount>) -> Option<AllowedNamespaces> {
    match object {
        Seen::Read(object) => object.spec.allowed_namespaces.clone(),
        Seen::Unreadable(object) => object.part("/spec/allowedNamespaces"),
    }
}

/// Whether an agent for which nothing is to be done may use an account by the labels that its namespace had within the last
/// interval. Whoever wants something new is let in by what they are now.
fn remembered(
    ctx: &Context,
    instance: &AgentInstance,
    allowed: Option<&AllowedNamespaces>,
) -> bool {
    let namespace = instance.namespace().unwrap_or_default();
    let labels = ctx.memories.namespaces.labels(&namespace);
    at_rest(instance)
        && labels.is_some_and(|labels| account_rules::allows(allowed, &namespace, &labels))
}

/// Whether a namespace is among those that may use an account. Its labels are read only where a selector asks for them.
pub(super) async fn allowed(
    ctx: &Context,
    allowed: Option<&AllowedNamespaces>,
    namespace: &str,
) -> Result<bool, ClusterError> {
    if account_rules::allows(allowed, namespace, &BTreeMap::new()) {
        return Ok(true);
    }
    if allowed.is_none_or(|allowed| allowed.selector.is_none()) {
        return Ok(false);
    }
    let labels = labels(&ctx.around.client, namespace).await?;
    let labels = labels.unwrap_or_default();
    let open = account_rules::allows(allowed, namespace, &labels);
    ctx.memories.namespaces.keep(namespace, labels);
    Ok(open)
}

/// The labels of a namespace. `None` where there is no such namespace.
pub(super) async fn labels(
    client: &Client,
    namespace: &str,
) -> Result<Option<Labels>, ClusterError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = find("reading the namespace", api.get_opt(namespace)).await?;
    Ok(found.map(|found| found.metadata.labels.unwrap_or_default()))
}

pub(super) type ToolAccountSeen = (ToolAccountView, Option<Arc<ToolAccount>>);

/// A tool's account as this instance may use it.
pub(super) async fn tool_account(
    ctx: &Context,
    instance: &AgentInstance,
    name: &str,
    provider: &str,
) -> Result<Option<ToolAccountSeen>, ClusterError> {
    let Some(object) = open_to(ctx, instance, name).await? else {
        return Ok(Some((ToolAccountView::NotAvailable, None)));
    };
    Ok(as_tools_see_it(ctx, &object, provider))
}

/// A tool's account as those may use it to whom it is open. `None`: it was not set up yet.
pub(super) fn as_tools_see_it(
    ctx: &Context,
    object: &Seen<ProviderAccount>,
    provider: &str,
) -> Option<ToolAccountSeen> {
    let Seen::Read(object) = object else {
        let message = UNREADABLE_ACCOUNT.to_owned();
        return Some((ToolAccountView::NotReady { message }, None));
    };
    let Some(other) = object.spec.provider() else {
        let message = NO_PROVIDER.to_owned();
        return Some((ToolAccountView::NotReady { message }, None));
    };
    if other != provider {
        return Some((ToolAccountView::Elsewhere { provider: other }, None));
    }
    let account = ctx.accounts.tool_account(&object.name_any());
    let account = account.filter(|one| object.uid().is_some_and(|uid| one.is_of(&uid)));
    let Some(account) = account else {
        let message = NOT_SET_UP.to_owned();
        let failed = failures::known(ctx, object.as_ref());
        return failed.then_some((ToolAccountView::NotReady { message }, None));
    };
    let view = match account.usable() {
        Err(message) => ToolAccountView::NotReady { message },
        Ok(()) if account.outage().is_some() => ToolAccountView::Unreachable,
        Ok(()) if object.metadata.deletion_timestamp.is_some() => {
            return Some((ToolAccountView::Deleting, Some(account)));
        }
        Ok(()) => return Some((ToolAccountView::Ready, Some(account))),
    };
    Some((view, None))
}
