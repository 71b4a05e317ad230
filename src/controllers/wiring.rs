//! Which watch wakes whom.
//!
//! An instance is woken by its own changes, by its template's revision and rollout, by its accounts' specs, by what an
//! observer saw of it, and by a value that it refers to. Nothing wakes everybody at an interval.

use super::context::Context;
use super::{account, instance, sources, sweep, template};
use crate::api::condition;
use crate::api::{AgentInstance, AgentTemplate, ProviderAccount};
use crate::engine::account::usable;
use futures::channel::mpsc::UnboundedReceiver;
use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::runtime::controller::{self, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, WatchStreamExt, predicates, watcher};
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Receivers of `Wake`.
pub struct Woken {
    /// Instances.
    pub instances: UnboundedReceiver<ObjectRef<AgentInstance>>,
    /// Templates.
    pub templates: UnboundedReceiver<ObjectRef<AgentTemplate>>,
    /// Accounts.
    pub accounts: UnboundedReceiver<ObjectRef<ProviderAccount>>,
}

/// The three controllers before they run, with the stores that everyone reads.
pub struct Controllers {
    instances: Controller<AgentInstance>,
    templates: Controller<AgentTemplate>,
    accounts: Controller<ProviderAccount>,
}

impl Controllers {
    /// Prepares the watches; nothing is sent before `run`.
    pub fn new(client: &Client) -> Controllers {
        Controllers {
            instances: prepare(client),
            templates: prepare(client),
            accounts: prepare(client),
        }
    }

    /// The watched objects: instances, templates, accounts.
    pub fn stores(
        &self,
    ) -> (
        Store<AgentInstance>,
        Store<AgentTemplate>,
        Store<ProviderAccount>,
    ) {
        (
            self.instances.store(),
            self.templates.store(),
            self.accounts.store(),
        )
    }

    /// Runs until `stop`; passes that are under way come to their end.
    pub async fn run<S>(self, ctx: Arc<Context>, woken: Woken, stop: S)
    where
        S: Future<Output = ()> + Send + Sync + Clone + 'static,
    {
        let config = || controller::Config::default().concurrency(ctx.settings.concurrency);
        let (of_template, of_account) = (Arc::clone(&ctx), Arc::clone(&ctx));
        let of_rollouts = Arc::clone(&ctx);
        let every = watcher::Config::default;
        let instances = self
            .instances
            .with_config(config())
            .watches_stream(news_of_templates(&ctx.client), move |template| {
                followers(&of_template, &template)
            })
            .watches_stream(news_of_accounts(&ctx.client), move |account| {
                users(&of_account, &account.name_any())
            })
            .reconcile_on(woken.instances)
            .graceful_shutdown_on(stop.clone())
            .run(
                // Nothing is let go before it is on record that it stays.
                instance::reconcile,
                instance::on_error,
                Arc::clone(&ctx),
            );
        let templates = self
            .templates
            .with_config(config())
            .watches(
                Api::<AgentInstance>::all(ctx.client.clone()),
                every(),
                |instance| {
                    let name = instance.spec.template_ref.name.as_str();
                    instance
                        .namespace()
                        .map(|namespace| ObjectRef::new(name).within(&namespace))
                },
            )
            .watches_stream(turns_of_accounts(&ctx.client), move |account| {
                rolled_out_over(&of_rollouts, &account.name_any())
            })
            .reconcile_on(woken.templates)
            .graceful_shutdown_on(stop.clone())
            .run(template::reconcile, template::on_error, Arc::clone(&ctx));
        let accounts = self
            .accounts
            .with_config(config())
            .reconcile_on(woken.accounts)
            .graceful_shutdown_on(stop)
            .run(account::reconcile, account::on_error, Arc::clone(&ctx));
        let all = async {
            futures::join!(
                instances.for_each(drop_result),
                templates.for_each(drop_result),
                accounts.for_each(drop_result)
            )
        };
        tokio::select! {
            _ = all => {}
            () = sources::watch(Arc::clone(&ctx)) => {}
            () = sweep::watch(Arc::clone(&ctx)) => {}
        }
    }
}

/// A controller over its own watch, whose objects are kept without what nobody here reads: who manages which field is
/// half of an object's memory.
fn prepare<K>(client: &Client) -> Controller<K>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (reader, writer) = reflector::store::<K>();
    let objects = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer)
        .touched_objects();
    // Our own status writes wake nobody: the pass that made them has asked for the time at which to come again.
    let changed = predicates::generation.combine(predicates::annotations);
    Controller::for_stream(
        objects.predicate_filter(changed, Default::default()),
        reader,
    )
}

/// Templates in which something has changed that their instances follow; counting instances is not that.
fn news_of_templates(
    client: &Client,
) -> impl Stream<Item = watcher::Result<AgentTemplate>> + Send + use<> {
    watcher(
        Api::<AgentTemplate>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .touched_objects()
    .predicate_filter(what_instances_follow, Default::default())
}

/// Accounts that were changed by people. Whether one can be used is told to its users where that is found out, and what is
/// counted there is no instance's business.
fn news_of_accounts(
    client: &Client,
) -> impl Stream<Item = watcher::Result<ProviderAccount>> + Send + use<> {
    watcher(
        Api::<ProviderAccount>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .touched_objects()
    .predicate_filter(as_people_left_it, Default::default())
}

/// Accounts that have become usable, or stopped being so: a rollout passes the instances of those that are not.
fn turns_of_accounts(
    client: &Client,
) -> impl Stream<Item = watcher::Result<ProviderAccount>> + Send + use<> {
    watcher(
        Api::<ProviderAccount>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .touched_objects()
    .predicate_filter(
        |account: &ProviderAccount| {
            let mut hash = DefaultHasher::new();
            (account.uid(), usable(account)).hash(&mut hash);
            Some(hash.finish())
        },
        Default::default(),
    )
}

fn as_people_left_it(account: &ProviderAccount) -> Option<u64> {
    let mut hash = DefaultHasher::new();
    (account.uid(), account.metadata.generation).hash(&mut hash);
    Some(hash.finish())
}

fn what_instances_follow(template: &AgentTemplate) -> Option<u64> {
    let status = template.status.clone().unwrap_or_default();
    let said = |kind: &str| {
        condition::find(&status.conditions, kind)
            .map(|found| (found.status.clone(), found.reason.clone()))
    };
    let mut hash = DefaultHasher::new();
    (
        template.metadata.generation,
        status.observed_generation,
        &status.revision,
    )
        .hash(&mut hash);
    (
        said(condition::kind::READY),
        said(condition::kind::PROGRESSING),
    )
        .hash(&mut hash);
    Some(hash.finish())
}

/// What a pass has to say it has said itself.
async fn drop_result<T, E: std::fmt::Display>(result: Result<T, E>) {
    if let Err(error) = result {
        tracing::debug!(%error, "controller");
    }
}

fn followers(ctx: &Context, template: &AgentTemplate) -> Vec<ObjectRef<AgentInstance>> {
    let (name, namespace) = (template.name_any(), template.namespace());
    ctx.instances
        .state()
        .iter()
        .filter(|one| one.namespace() == namespace && one.spec.template_ref.name.as_str() == name)
        .map(|one| ObjectRef::from_obj(one.as_ref()))
        .collect()
}

/// The templates of the instances that live in an account.
fn rolled_out_over(ctx: &Context, account: &str) -> Vec<ObjectRef<AgentTemplate>> {
    let homes = ctx.instances.state();
    let templates: BTreeSet<(String, String)> = homes
        .iter()
        .filter(|one| one.spec.account_ref.name.as_str() == account)
        .map(|one| {
            let template = one.spec.template_ref.name.to_string();
            (one.namespace().unwrap_or_default(), template)
        })
        .collect();
    templates
        .into_iter()
        .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
        .collect()
}

fn users(ctx: &Context, account: &str) -> Vec<ObjectRef<AgentInstance>> {
    ctx.users(account)
        .iter()
        .map(|one| ObjectRef::from_obj(one.as_ref()))
        .collect()
}
