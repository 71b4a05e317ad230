//! Which watch wakes whom.
//!
//! An instance is woken by its own changes, by its template's revision and rollout, by its accounts' specs, by what an
//! observer saw of it, and by a value that it refers to. Nothing wakes everybody at an interval.

use super::context::{Cache, Context, Gauge};
use super::{account, instance, sources, sweep, template};
use crate::api::condition;
use crate::api::{AgentInstance, AgentTemplate, ProviderAccount, Seen};
use crate::engine::account::usable;
use futures::channel::mpsc::UnboundedReceiver;
use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::runtime::controller::{self, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Predicate, WatchStreamExt, predicates, watcher};
use kube::{Client, Resource, ResourceExt};
use std::collections::BTreeSet;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Receivers of `Wake`.
pub struct Woken {
    /// Instances.
    pub instances: UnboundedReceiver<ObjectRef<Seen<AgentInstance>>>,
    /// Templates.
    pub templates: UnboundedReceiver<ObjectRef<Seen<AgentTemplate>>>,
    /// Accounts.
    pub accounts: UnboundedReceiver<ObjectRef<Seen<ProviderAccount>>>,
}

/// The three controllers before they run, with the stores that everyone reads.
pub struct Controllers {
    instances: Controller<Seen<AgentInstance>>,
    templates: Controller<Seen<AgentTemplate>>,
    accounts: Controller<Seen<ProviderAccount>>,
}

impl Controllers {
    /// Prepares the watches; nothing is sent before `run`.
    pub fn new(client: &Client, gauge: &Arc<dyn Gauge>) -> Controllers {
        Controllers {
            instances: prepare(client, gauge),
            templates: prepare(client, gauge),
            accounts: prepare(client, gauge),
        }
    }

    /// The watched objects: instances, templates, accounts.
    pub fn stores(
        &self,
    ) -> (
        Cache<AgentInstance>,
        Cache<AgentTemplate>,
        Cache<ProviderAccount>,
    ) {
        (
            Cache(self.instances.store()),
            Cache(self.templates.store()),
            Cache(self.accounts.store()),
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
            .watches_stream(news(&ctx.client, what_instances_follow), move |template| {
                followers(&of_template, &template)
            })
            .watches_stream(news(&ctx.client, as_people_left_it), move |account| {
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
                Api::<Seen<AgentInstance>>::all(ctx.client.clone()),
                every(),
                |instance| {
                    let instance = instance.read()?;
                    let name = instance.spec.template_ref.name.as_str();
                    instance
                        .namespace()
                        .map(|namespace| ObjectRef::new(name).within(&namespace))
                },
            )
            .watches_stream(news(&ctx.client, whether_usable), move |account| {
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
                instances.for_each(|result| ended(&ctx, "AgentInstance", result)),
                templates.for_each(|result| ended(&ctx, "AgentTemplate", result)),
                accounts.for_each(|result| ended(&ctx, "ProviderAccount", result))
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
fn prepare<K>(client: &Client, gauge: &Arc<dyn Gauge>) -> Controller<Seen<K>>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (reader, writer) = reflector::store::<Seen<K>>();
    let (gauge, cache, mut shown) = (Arc::clone(gauge), Cache(reader.clone()), None);
    let api = Api::<Seen<K>>::all(client.clone());
    let objects = watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer)
        .inspect(move |event| {
            if let Ok(event) = event
                && (shown != Some(0) || is_news(event))
            {
                let count = cache.unreadable().len();
                gauge.unreadable(&K::kind(&()), count);
                shown = Some(count);
            }
        })
        .touched_objects();
    // Our own status writes wake nobody: the pass that made them has asked for the time at which to come again. That an
    // object can be read, or cannot any more, may come with a write of its status.
    let changed = predicates::generation
        .combine(predicates::annotations)
        .combine(readable);
    Controller::for_stream(
        objects.predicate_filter(changed, Default::default()),
        reader,
    )
}

/// Whether an event can change how many objects cannot be read, where so far all could.
fn is_news<K>(event: &watcher::Event<Seen<K>>) -> bool {
    match event {
        watcher::Event::Apply(object) => object.unreadable().is_some(),
        watcher::Event::InitDone => true,
        _ => false,
    }
}

fn readable<K>(object: &Seen<K>) -> Option<u64> {
    let mut hash = DefaultHasher::new();
    object
        .unreadable()
        .map(|object| (&object.field, &object.expected))
        .hash(&mut hash);
    Some(hash.finish())
}

/// Objects of a kind in which something has changed that this looks at.
fn news<K>(
    client: &Client,
    what: fn(&Seen<K>) -> Option<u64>,
) -> impl Stream<Item = watcher::Result<Seen<K>>> + Send + use<K>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api = Api::<Seen<K>>::all(client.clone());
    watcher(api, watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .predicate_filter(what, Default::default())
}

/// Whether an account can be used: a rollout passes the instances of those that cannot.
fn whether_usable(account: &Seen<ProviderAccount>) -> Option<u64> {
    let mut hash = DefaultHasher::new();
    (account.uid(), account.read().map(|account| usable(account))).hash(&mut hash);
    Some(hash.finish())
}

/// What people changed in an account. Whether it can be used is told to its users where that is found out, and what is
/// counted there is no instance's business.
fn as_people_left_it(account: &Seen<ProviderAccount>) -> Option<u64> {
    let mut hash = DefaultHasher::new();
    let generation = account.meta().generation;
    (account.uid(), generation, readable(account)).hash(&mut hash);
    Some(hash.finish())
}

/// What instances follow of a template; counting instances is not that.
fn what_instances_follow(template: &Seen<AgentTemplate>) -> Option<u64> {
    let Seen::Read(template) = template else {
        return readable(template);
    };
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

/// What a pass has to say it has said itself. A watch that fails begins again, more slowly each time.
async fn ended<T, R: std::error::Error + 'static>(
    ctx: &Context,
    kind: &str,
    result: Result<T, controller::Error<R, watcher::Error>>,
) {
    match result {
        Err(controller::Error::QueueError(error)) => {
            ctx.gauge.watch_failed(kind);
            tracing::warn!(kind, %error, "a watch failed and is begun again; until then changes are not seen");
        }
        Err(error) => tracing::debug!(kind, %error, "controller"),
        Ok(_) => {}
    }
}

fn followers(ctx: &Context, template: &Seen<AgentTemplate>) -> Vec<ObjectRef<Seen<AgentInstance>>> {
    let (name, namespace) = (template.name_any(), template.namespace());
    ctx.instances
        .state()
        .iter()
        .filter(|one| one.namespace() == namespace && one.spec.template_ref.name.as_str() == name)
        .map(|one| reference(one))
        .collect()
}

/// The templates of the instances that live in an account.
fn rolled_out_over(ctx: &Context, account: &str) -> Vec<ObjectRef<Seen<AgentTemplate>>> {
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

fn users(ctx: &Context, account: &str) -> Vec<ObjectRef<Seen<AgentInstance>>> {
    ctx.users(account)
        .iter()
        .map(|one| reference(one))
        .collect()
}

fn reference(instance: &AgentInstance) -> ObjectRef<Seen<AgentInstance>> {
    ObjectRef::new(&instance.name_any()).within(&instance.namespace().unwrap_or_default())
}
