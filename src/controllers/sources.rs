//! Notices changes of what specs refer to: Secrets, ConfigMaps, and the credentials of accounts.
//!
//! What holds: each object that is referred to is read once an interval, by name, however many refer to it; nothing is
//! listed or watched, so that the controller could not enumerate a cluster's Secrets if it wanted to
//! (a watch on Secrets is a right to read them all). Deliberately absent: the values, which are read by those who use them.

use super::context::Context;
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
    let mut versions: BTreeMap<(String, Source), Option<String>> = BTreeMap::new();
    loop {
        tokio::time::sleep(ctx.around.settings.observe_interval).await;
        count(&ctx);
        let wanted = wanted(&ctx);
        versions.retain(|source, _| wanted.contains_key(source));
        for ((namespace, source), dependents) in wanted {
            let version = match read_one(&ctx.around.client, &namespace, &source).await {
                Ok(found) => found.map(|(version, _)| version),
                // Not known is not changed.
                Err(_) => continue,
            };
            let before = versions.insert((namespace, source), version.clone());
            // The first look wakes, too: what it shows may be newer than what the last pass read.
            if before.is_none_or(|before| before != version) {
                for dependent in dependents {
                    ctx.stores.tell(&Change::Source(dependent));
                }
            }
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
fn wanted(ctx: &Context) -> BTreeMap<(String, Source), BTreeSet<Dependent>> {
    let mut wanted: BTreeMap<(String, Source), BTreeSet<Dependent>> = BTreeMap::new();
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
