//! What the owners of accounts leave to those who use them: what may be taken over of what lives there already, and whether
//! something may be left behind.
//!
//! Holds: both are decided before anything is asked outside or made; of what may not be taken over nobody learns whether it is
//! there, is another's or is nowhere; what a ledger holds stays the instance's, and what was retained by leave stays retained.
//! Deliberately absent: who may give a slot up by annotation, which the API server decides (a policy of the chart).

use super::draft::{Draft, Phase, wait};
use super::views::Rights;
use super::world::World;
use super::{ledger, view};
use crate::api::account::Retention;
use crate::api::condition::{kind, reason};
use crate::api::instance::DeletionPolicy;
use crate::api::template::ReclaimPolicy;
use crate::api::{AgentInstance, AgentInstanceStatus, ProviderAccount, Slot, SlotState};
use crate::model::slot::Undo;
use crate::model::tool::Wanted;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;

/// What the owners of its accounts leave to an instance, by what the accounts say. One that is not there grants nothing and
/// denies nothing: its absence is told first.
pub fn of(
    instance: &AgentInstance,
    wanted: &[Wanted],
    account: impl Fn(&str) -> Option<Arc<ProviderAccount>>,
) -> Rights {
    let home = &instance.spec.account_ref.name.0;
    let project = instance.spec.adopt.iter();
    let project = project.map(|adopt| (home, &adopt.project_id.0));
    let tools = wanted
        .iter()
        .filter_map(|tool| Some((&tool.account, tool.adopt.as_ref()?)));
    let lists = |name: &str, id: &str| account(name).is_some_and(|one| one.spec.adoption.lists(id));
    let listed = project
        .chain(tools)
        .filter(|(name, id)| lists(name, id))
        .map(|(name, id)| (name.clone(), id.clone()));
    let used = view::tool_accounts(instance, Some(wanted)).into_iter();
    let used = used.map(|(name, _)| name).chain([home.clone()]);
    let denies =
        |name: &String| account(name).is_some_and(|one| one.spec.retention == Retention::Deny);
    Rights {
        listed: listed.collect(),
        denying: used.filter(denies).collect(),
    }
}

/// What people read where an account does not list what is to be taken over.
fn not_listed(account: &str, named: &str) -> String {
    format!(
        "{named} is nothing that ProviderAccount {account} lets be adopted: its spec.adoption must be policy Listed and name that id in ids; ask whoever runs Yardmaster here to list it, or delete this AgentInstance"
    )
}

/// What people read where something may not be left behind.
fn not_retained(account: &str, field: &str) -> String {
    format!(
        "{field}, and spec.retention of ProviderAccount {account} is Deny: what lives there is not left behind; set it to Delete, or ask whoever runs Yardmaster here to set spec.retention to Allow"
    )
}

/// Holds back an instance that would take over a project which its account does not list.
pub(super) fn adoption(w: &World, d: &mut Draft) -> Phase {
    let account = &w.instance.spec.account_ref.name.0;
    let adopt = w.instance.spec.adopt.as_ref();
    let listed = adopt.is_none_or(|adopt| w.rights.lists(account, &adopt.project_id.0));
    if listed || has(&d.status, Slot::Project) {
        return Continue(());
    }
    let why = not_listed(account, "what adopt.projectId names");
    d.stalled_on(kind::PROJECT_READY, reason::ADOPTION_NOT_ALLOWED, why);
    // The account wakes those who use it when its spec changes.
    wait(None)
}

/// Whether something is, or may be, in a slot.
fn has(status: &AgentInstanceStatus, slot: Slot) -> bool {
    ledger::entry(status, slot).is_some_and(|entry| entry.state != SlotState::Planned)
}

/// Holds back an instance that has nothing yet and would leave behind what it gets; tells one that has something.
///
/// Whether leaving it behind was allowed stands with the project in the ledger, so that an account which forbids it later
/// destroys nothing that somebody was told would stay, and so that nobody comes by it once it is forbidden.
pub(super) fn retention(w: &World, d: &mut Draft) -> Phase {
    let retains = w.instance.spec.deletion_policy == DeletionPolicy::Retain;
    let denied = retains && !w.rights.denying.is_empty();
    if let Some(why) = in_vain(w, &d.status) {
        d.stalled_on(kind::SYNCED, reason::RETENTION_NOT_ALLOWED, why);
        return match has(&d.status, Slot::Project) {
            true => Continue(()),
            false => wait(None),
        };
    }
    let project = ledger::entry_mut(&mut d.status, Slot::Project);
    if let Some(entry) = project.filter(|entry| !denied && entry.state != SlotState::Planned) {
        entry.reclaim = retains.then_some(ReclaimPolicy::Retain);
    }
    Continue(())
}

/// Why the instance may not leave behind what it would, if it would.
pub(super) fn in_vain(w: &World, status: &AgentInstanceStatus) -> Option<String> {
    let account = w.rights.denying.first()?;
    let by_leave = has(status, Slot::Project)
        && ledger::entry(status, Slot::Project)
            .is_some_and(|entry| entry.reclaim == Some(ReclaimPolicy::Retain));
    let retains = w.instance.spec.deletion_policy == DeletionPolicy::Retain;
    (retains && !by_leave).then(|| not_retained(account, "spec.deletionPolicy is Retain"))
}

/// Why the thing that a tool names to adopt may not be taken over, if it may not.
pub(super) fn not_adopted(w: &World, tool: &Wanted) -> Option<String> {
    let id = tool.adopt.as_ref().filter(|_| !tool.account.is_empty())?;
    // The id is not repeated: at some providers what people take for one is the key itself.
    let named = format!("what adopt.tools names for {}", tool.name);
    let listed = w.rights.lists(&tool.account, id);
    (!listed).then(|| not_listed(&tool.account, &named))
}

/// Why a tool that is to rest when it is taken back may not, if it may not.
pub(super) fn not_left_to_rest(w: &World, tool: &Wanted, undo: Undo) -> Option<String> {
    let denied = w.rights.denying.contains(&tool.account);
    denied.then(|| left_in_vain(tool, undo)).flatten()
}

/// Why a tool that is to rest when it is taken back may not where nothing may be left behind.
pub(super) fn left_in_vain(tool: &Wanted, undo: Undo) -> Option<String> {
    let rests = undo == Undo::Rest && tool.reclaim == ReclaimPolicy::Retain;
    rests.then(|| {
        let field = format!(
            "reclaimPolicy of the template's tool {} is Retain (as it is where it is left out)",
            tool.name
        );
        not_retained(&tool.account, &field)
    })
}

#[cfg(test)]
mod tests;
