//! Who has paused what, read from the objects as last watched: an account's spec, an annotation, the process's own flag.
//!
//! Holds: it costs no request, so that it is asked before each step. Deliberately absent: what a pause means (`engine::paused`).

use super::context::Context;
use super::wake::{reference, template_of};
use crate::api::{AgentInstance, AgentTemplate, NamespacedName, Seen};
use crate::engine::World;
use crate::model::pause::annotated;
use crate::model::{PausedBy, Pauses};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

/// All that is paused of what concerns an instance.
pub fn pauses(ctx: &Context, world: &World) -> Pauses {
    let instance = &world.instance;
    let recorded = instance.status.iter().flat_map(|status| &status.external);
    let tools = world.tools.accounts.keys().map(|(account, _)| account);
    let accounts = recorded
        .map(|entry| &entry.account)
        .chain(tools)
        .chain([&instance.spec.account_ref.name.0]);
    Pauses {
        whole: whole(ctx, instance),
        accounts: accounts
            .filter(|name| !name.is_empty() && spec(ctx, name))
            .cloned()
            .collect(),
    }
}

/// What pauses the instance as a whole. The object as it was read and as it was watched may differ for a moment: either counts.
fn whole(ctx: &Context, instance: &AgentInstance) -> Option<PausedBy> {
    if ctx.around.settings.observe_only {
        return Some(PausedBy::Installation);
    }
    let watched = ctx
        .stores
        .instances
        .get(&reference(&NamespacedName::of(instance)));
    let watched = watched.is_some_and(|watched| annotated(watched.annotations()));
    if watched || annotated(instance.annotations()) {
        return Some(PausedBy::Object);
    }
    let template = ctx.stores.templates.get(&template_of(instance))?;
    annotated(template.annotations()).then(|| PausedBy::Template(template.name_any()))
}

/// What pauses a template.
pub fn of_template(ctx: &Context, template: &AgentTemplate) -> Option<PausedBy> {
    if ctx.around.settings.observe_only {
        return Some(PausedBy::Installation);
    }
    annotated(template.annotations()).then_some(PausedBy::Object)
}

/// What pauses an account.
pub fn of_account(ctx: &Context, name: &str) -> Option<PausedBy> {
    if ctx.around.settings.observe_only {
        return Some(PausedBy::Installation);
    }
    spec(ctx, name).then(|| PausedBy::Account(name.to_owned()))
}

/// Whether an account's spec pauses it. What cannot be read is changed by nobody anyway.
fn spec(ctx: &Context, name: &str) -> bool {
    let account = ctx.stores.accounts.get(&ObjectRef::new(name));
    matches!(account, Some(Seen::Read(account)) if account.spec.paused)
}
