//! Who has paused what, read from the objects as last watched: an account's spec, an annotation, the process's own flag; and of
//! which accounts less is remembered than was.
//!
//! Holds: it costs no request, so that it is asked before each step. Deliberately absent: what a pause means (`engine::paused`).

use super::context::Context;
use super::turned::Ref;
use super::wake::{reference, template_of};
use crate::api::{AgentInstance, AgentTemplate, NamespacedName, Seen};
use crate::engine::World;
use crate::engine::recovery::{self, RecoveryAnswer};
use crate::model::pause::annotated;
use crate::model::{PausedBy, Pauses};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use std::collections::BTreeSet;

/// What is not known of an account yet is looked at again after so long.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// All that is paused of what concerns an instance.
pub fn pauses(ctx: &Context, world: &World) -> Pauses {
    let instance = &world.instance;
    let recorded = instance.status.iter().flat_map(|status| &status.external);
    let tools = world.tools.accounts.keys().map(|(account, _)| account);
    let accounts = recorded
        .map(|entry| &entry.account)
        .chain(tools)
        .chain([&instance.spec.account_ref.name.0]);
    let accounts: BTreeSet<&String> = accounts.filter(|name| !name.is_empty()).collect();
    let those = |are: fn(&Context, &str) -> bool| {
        let these = accounts.iter().copied();
        these.filter(|name| are(ctx, name)).cloned().collect()
    };
    Pauses {
        whole: whole(ctx, instance),
        accounts: those(spec),
        recovering: those(recovers),
        unread: accounts
            .iter()
            .filter_map(|name| Some(((*name).clone(), unread(ctx, name)?)))
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

/// Whether nothing is done to an agent of a pool, or concluded of it, whoever has it: the installation, its account or its template
/// is paused, or less is remembered of the account than was.
pub fn holds(ctx: &Context, account: &str, template: &Ref<AgentTemplate>) -> bool {
    let template = ctx.stores.templates.get(template);
    ctx.around.settings.observe_only
        || spec(ctx, account)
        || recovers(ctx, account)
        || template.is_some_and(|template| annotated(template.annotations()))
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

/// Whether less is remembered of an account than was, and nobody has said that it goes on.
pub fn recovers(ctx: &Context, name: &str) -> bool {
    let object = ctx.stores.accounts.get(&ObjectRef::new(name));
    let told = object.as_ref().and_then(Seen::read);
    let told = told.map_or(RecoveryAnswer::Nothing, |account| recovery::told(account));
    let standing = ctx.accounts.account(name);
    let standing = standing.and_then(|account| account.recollection().standing());
    recovery::holds(standing.as_ref(), told)
}

/// Whether it is soon to be known if an account is remembered: until then nothing is done that could not be taken back. Soon is as well
/// where its object says that it can be used, and this process has not asked yet: agents could be claimed in the meantime.
pub fn is_unread(ctx: &Context, name: &str) -> bool {
    unread_until(ctx, name).is_some()
}

/// When to look again at an account that [`is_unread`]: the longer it is so, the more seldom. An outage makes nothing known of it: its
/// agents can be reached all the same, and what would be told them cannot be taken back.
pub fn unread_until(ctx: &Context, name: &str) -> Option<Timestamp> {
    let now = ctx.around.now();
    let Some(account) = ctx.accounts.account(name) else {
        return ctx.stores.usable(name).then(|| now + SOON);
    };
    let unasked = account.credential().unasked() && ctx.stores.usable(name);
    let again = account.recollection().unread(now);
    again.filter(|_| unasked || account.usable().is_ok())
}

/// Of an account that could be used and of which this process does not know yet whether it is remembered: when to ask again.
fn unread(ctx: &Context, name: &str) -> Option<Option<Timestamp>> {
    let account = ctx.accounts.account(name)?;
    let again = account.recollection().unread(ctx.around.now())?;
    (account.usable().is_ok() && account.outage().is_none()).then_some(Some(again))
}

/// Whether an account's spec pauses it. What cannot be read is changed by nobody anyway.
fn spec(ctx: &Context, name: &str) -> bool {
    let account = ctx.stores.accounts.get(&ObjectRef::new(name));
    matches!(account, Some(Seen::Read(account)) if account.spec.paused)
}
