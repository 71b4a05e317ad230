//! Notices changes of what specs refer to: Secrets, ConfigMaps, the credentials of accounts, and the labels of namespaces by which
//! accounts select.
//!
//! What holds: each object that is referred to is read once an interval, by name, however many refer to it; nothing is
//! listed or watched, so that the controller could not enumerate a cluster's Secrets if it wanted to
//! (a watch on Secrets is a right to read them all). Deliberately absent: the values, which are read by those who use them.

use super::access::labels;
use super::context::Context;
use super::memories::sources::SourcePlace;
use super::stores::InstanceBy;
use super::wake::{Change, Dependent, persona_of};
use crate::api::{NamespacedName, Seen, SlotState};
use crate::cluster::values::read_one;
use crate::engine::claiming::is_untold;
use crate::engine::compose::{references, template_references};
use crate::engine::persona;
use crate::model::slot::SLOTS;
use crate::model::values::{References, Source};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Requests that are sent at once for this.
const AT_ONCE: usize = 16;

/// Which version of an object was seen last, by the object; of one namespace.
type Versions = BTreeMap<Source, Option<String>>;

/// Runs until the process ends. Each namespace is looked at by itself: one that refers to much is looked at more seldom, and
/// delays no other.
pub async fn watch(ctx: Arc<Context>) {
    let mut known: HashMap<String, Versions> = HashMap::new();
    let mut looks: JoinSet<(String, Versions)> = JoinSet::new();
    let mut under_way: HashSet<String> = HashSet::new();
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut intervals = interval(ctx.around.settings.observe_interval);
    intervals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    intervals.tick().await;
    loop {
        tokio::select! {
            _ = intervals.tick() => {}
            Some(looked) = looks.join_next() => {
                match looked {
                    Ok((namespace, versions)) => {
                        under_way.remove(&namespace);
                        known.insert(namespace, versions);
                    }
                    // Else that namespace would never be looked at again.
                    Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                    Err(_) => return,
                }
                continue;
            }
        }
        count(&ctx);
        let mut wanted = wanted(&ctx);
        known.retain(|namespace, _| wanted.contains_key(namespace));
        let remembered = |(namespace, source): &SourcePlace| {
            let own = wanted.get(namespace);
            own.is_some_and(|own| own.contains_key(source))
        };
        ctx.memories.sources.retain(remembered);
        wanted.retain(|namespace, _| under_way.insert(namespace.clone()));
        for (namespace, wanted) in wanted {
            let versions = known.remove(&namespace).unwrap_or_default();
            let (ctx, at_once) = (Arc::clone(&ctx), Arc::clone(&at_once));
            looks.spawn(async move {
                let versions = look(&ctx, &namespace, wanted, versions, &at_once).await;
                (namespace, versions)
            });
        }
        look_at_namespaces(&ctx).await;
    }
}

/// Looks once at everything that is referred to in a namespace.
async fn look(
    ctx: &Context,
    namespace: &str,
    wanted: BTreeMap<Source, BTreeSet<Dependent>>,
    mut versions: Versions,
    at_once: &Semaphore,
) -> Versions {
    let memory = &ctx.memories.sources;
    versions.retain(|source, _| wanted.contains_key(source));
    for (source, dependents) in wanted {
        let turn = at_once.acquire().await;
        let read = read_one(&ctx.around.client, namespace, &source).await;
        drop(turn);
        let Ok(found) = read else {
            // Not known is not changed.
            continue;
        };
        let (version, place) = (
            found.map(|found| found.version),
            (namespace.to_owned(), source),
        );
        // The first look wakes, too, where passes have read another version, or none.
        let read = || memory.version(&place);
        let before = versions.get(&place.1).cloned().unwrap_or_else(read);
        let stale = memory.seen(&place, version.as_deref());
        if before != version || stale {
            for dependent in dependents {
                ctx.stores.tell(&Change::Source(dependent));
            }
        }
        versions.insert(place.1, version);
    }
    versions
}

/// Looks once at every namespace whose labels were asked for.
async fn look_at_namespaces(ctx: &Context) {
    let memory = &ctx.memories.namespaces;
    for namespace in memory.names() {
        let inhabited = InstanceBy::Namespace(namespace.clone());
        if ctx.stores.instances.names_by(&inhabited).is_empty() {
            memory.forget(&namespace);
        } else if let Ok(Some(labels)) = labels(&ctx.around.client, &namespace).await
            && memory.keep(&namespace, labels)
        {
            ctx.stores.tell(&Change::Labels(namespace));
        }
    }
}

/// Shows how many ledger entries are in which state: an interval is often enough for that, too.
fn count(ctx: &Context) {
    let states = [
        (SlotState::Planned, "Planned"),
        (SlotState::Creating, "Creating"),
        (SlotState::Exists, "Exists"),
        (SlotState::Deleting, "Deleting"),
    ];
    let all = ctx.stores.instances.state();
    for row in SLOTS {
        for (state, word) in states {
            let entries = all
                .iter()
                .filter_map(|one| one.status.as_ref())
                .flat_map(|status| &status.external);
            let count = entries
                .filter(|entry| row.is_of(entry) && entry.state == state)
                .count();
            ctx.around.gauge.slots(&row.word(), word, count);
        }
    }
}

/// Every object referred to, by namespace, with those who refer to it.
type ReferredTo = BTreeMap<String, BTreeMap<Source, BTreeSet<Dependent>>>;

fn wanted(ctx: &Context) -> ReferredTo {
    let mut wanted = ReferredTo::new();
    let mut add = |namespace: &str, source: Source, dependent: Dependent| {
        let own = wanted.entry(namespace.to_owned()).or_default();
        own.entry(source).or_default().insert(dependent);
    };
    for template in ctx.stores.templates.state() {
        let (named, spec) = (NamespacedName::of(template.as_ref()), &template.spec);
        // What only has a persona is told of it by itself; of all others the claims are.
        let alone = spec.persona.iter().filter(|_| spec.runtime.is_none());
        let persona = alone.flat_map(|persona| persona::sources(persona).into_keys());
        let own = template_references(spec);
        let own = own.into_iter().flat_map(References::into_keys);
        for source in own.chain(persona) {
            add(&named.namespace, source, Dependent::Template(named.clone()));
        }
    }
    for claim in ctx.stores.claims.state() {
        if !persona::refers(&claim) || !is_untold(&claim) {
            continue;
        }
        let template = persona_of(&claim).and_then(|named| ctx.stores.templates.get(&named));
        let template = template.as_ref().and_then(Seen::read);
        let named = NamespacedName::of(claim.as_ref());
        let referred = persona::references(&claim, template.map(|template| &template.spec));
        for source in referred.into_iter().flat_map(References::into_keys) {
            add(&named.namespace, source, Dependent::Claim(named.clone()));
        }
    }
    for instance in ctx.stores.instances.state() {
        let named = NamespacedName::of(instance.as_ref());
        let brought = instance.spec.from_claim.iter();
        let brought = brought.flat_map(|brought| references(None, &brought.env).into_keys());
        let own = references(None, &instance.spec.env).into_keys();
        for source in own.chain(brought) {
            add(&named.namespace, source, Dependent::Instance(named.clone()));
        }
    }
    for account in ctx.stores.accounts.state() {
        for reference in account.spec.credentials() {
            let source = Source::Secret(reference.name.0.clone());
            let dependent = Dependent::Account(account.name_any());
            add(&ctx.around.settings.namespace, source, dependent);
        }
    }
    wanted
}
