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
use super::wake::{Change, Dependent};
use crate::api::{NamespacedName, SlotState};
use crate::cluster::values::read_one;
use crate::engine::compose::references;
use crate::model::slot::SLOTS;
use crate::model::values::Source;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs until the process ends.
pub async fn watch(ctx: Arc<Context>) {
    let mut versions: BTreeMap<SourcePlace, Option<String>> = BTreeMap::new();
    loop {
        tokio::time::sleep(ctx.around.settings.observe_interval).await;
        count(&ctx);
        look(&ctx, &mut versions).await;
        look_at_namespaces(&ctx).await;
    }
}

/// Looks once at everything that is referred to.
async fn look(ctx: &Context, versions: &mut BTreeMap<SourcePlace, Option<String>>) {
    let (wanted, memory) = (wanted(ctx), &ctx.memories.sources);
    versions.retain(|place, _| wanted.contains_key(place));
    memory.retain(|place| wanted.contains_key(place));
    for (place, dependents) in wanted {
        let version = match read_one(&ctx.around.client, &place.0, &place.1).await {
            Ok(found) => found.map(|found| found.version),
            // Not known is not changed.
            Err(_) => continue,
        };
        // The first look wakes, too, where passes have read another version, or none.
        let read = || memory.version(&place);
        let before = versions.get(&place).cloned().unwrap_or_else(read);
        memory.seen(&place, version.as_deref());
        if before != version {
            for dependent in dependents {
                ctx.stores.tell(&Change::Source(dependent));
            }
        }
        versions.insert(place, version);
    }
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

/// Every object referred to, with those who refer to it.
fn wanted(ctx: &Context) -> BTreeMap<SourcePlace, BTreeSet<Dependent>> {
    let mut wanted: BTreeMap<SourcePlace, BTreeSet<Dependent>> = BTreeMap::new();
    for template in ctx.stores.templates.state() {
        let namespace = template.namespace().unwrap_or_default();
        for source in references(Some(&template.spec.runtime), &template.spec.env).into_keys() {
            let dependent = Dependent::Template(NamespacedName::of(template.as_ref()));
            wanted
                .entry((namespace.clone(), source))
                .or_default()
                .insert(dependent);
        }
    }
    for instance in ctx.stores.instances.state() {
        let namespace = instance.namespace().unwrap_or_default();
        for source in references(None, &instance.spec.env).into_keys() {
            let dependent = Dependent::Instance(NamespacedName::of(instance.as_ref()));
            wanted
                .entry((namespace.clone(), source))
                .or_default()
                .insert(dependent);
        }
    }
    for account in ctx.stores.accounts.state() {
        for reference in account.spec.credentials() {
            let source = Source::Secret(reference.name.0.clone());
            let dependent = Dependent::Account(account.name_any());
            wanted
                .entry((ctx.around.settings.namespace.clone(), source))
                .or_default()
                .insert(dependent);
        }
    }
    wanted
}
