//! Conditions: what a plan has said, completed to the whole list that people and tools read.
//!
//! What holds: every type is there from the first visit on (the two of kstatus only while they are true); Ready is
//! true exactly while the deployment that was last applied runs and its agent has said that it is ready; a message
//! says nothing that changes from pass to pass, so that nothing is written at rest.

use super::plan::{Draft, Phase};
use super::world::World;
use crate::api::condition::{self, Statement, find, is_true, kind, reason};
use crate::api::instance::{OperatingMode, ProjectStatus};
use crate::api::{AgentInstanceStatus, Slot, SlotState};
use crate::engine::ledger;
use crate::model::slot;
use crate::model::tool::is_id;
use crate::model::{Announcement, Fault};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Whether an object is at rest: ready, with nothing under way and nobody needed.
pub(super) fn settled(status: &AgentInstanceStatus) -> bool {
    let conditions = &status.conditions;
    let suspended = is_true(conditions, kind::SUSPENDED);
    (is_true(conditions, kind::READY) || suspended)
        && !is_true(conditions, kind::RECONCILING)
        && !is_true(conditions, kind::STALLED)
}

/// What people read where an account is missing or not for them: one sentence for both, so that nobody learns which.
pub(super) fn not_available(account: &str, namespace: &str) -> String {
    format!(
        "ProviderAccount {account} is not available to namespace {namespace}: it does not exist, or its allowedNamespaces do not include this namespace; ask whoever runs Yardmaster here"
    )
}

/// What people read where an account is at another provider than the one that is needed.
pub(super) fn elsewhere(account: &str, provider: &str, needed: &str) -> String {
    format!(
        "ProviderAccount {account} is an account at {provider}, and one at {needed} is needed here"
    )
}

/// What people read where something new was to be made in an account that is being deleted.
pub(super) fn account_goes(account: &str) -> String {
    format!("ProviderAccount {account} is being deleted: nothing new is made in it")
}

/// What a fault means: a stable reason, whether a person has to do something, and a sentence.
pub(super) fn meaning(fault: &Fault) -> (&'static str, bool, String) {
    let text = fault.message();
    match fault {
        Fault::Throttled { .. } => (
            reason::THROTTLED,
            false,
            format!("the provider lets us go on later: {text}"),
        ),
        Fault::Transient { .. } => (
            reason::RETRYING,
            false,
            format!("will be tried again: {text}"),
        ),
        Fault::Missing { .. } => (
            reason::RETRYING,
            false,
            format!("will be looked at again: {text}"),
        ),
        Fault::Uncertain { .. } => (
            reason::OUTCOME_UNKNOWN,
            false,
            format!("the outcome of a request is being looked up: {text}"),
        ),
        Fault::Denied { .. } => (
            reason::CREDENTIALS_DENIED,
            true,
            format!(
                "the provider refuses the account's credential: {text}; check the ProviderAccount and its Secret"
            ),
        ),
        Fault::Rejected { .. } => (
            reason::REJECTED,
            true,
            format!("the provider refuses what the spec asks for: {text}; correct the spec"),
        ),
        Fault::Exhausted { .. } => (
            reason::LIMIT_REACHED,
            true,
            format!(
                "a limit of the provider's plan is used up: {text}; raise it there or delete something"
            ),
        ),
        Fault::Refused { passes, .. } => (reason::REFUSED_BY_CLUSTER, !passes, text.to_owned()),
        Fault::Bug { .. } => (
            reason::UNEXPECTED,
            true,
            format!("an answer that Yardmaster does not understand: {text}; please report it"),
        ),
    }
}

/// Says what a fault means for the instance, and ends the plan as given.
pub(super) fn faulted(d: &mut Draft, fault: &Fault, end: Phase) -> Phase {
    let (reason, person, message) = meaning(fault);
    d.say(Statement::no(kind::SYNCED, reason, message.clone()));
    if person {
        d.stalled(reason, message);
    } else {
        d.working(reason, message);
    }
    end
}

/// The conditions of an object of which the API server refuses to let more be known: what was said stands.
pub fn refused(
    before: &[Condition],
    fault: &Fault,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let (reason, person, message) = meaning(fault);
    let told = if person {
        kind::STALLED
    } else {
        kind::RECONCILING
    };
    let mut said = vec![Statement::yes(told, reason, message.clone())];
    if find(before, kind::READY).is_none() {
        said.insert(0, Statement::no(kind::READY, reason, message));
    }
    let mut conditions = before.to_vec();
    conditions.retain(|old| ![kind::STALLED, kind::RECONCILING].contains(&old.type_.as_str()));
    conditions.extend(condition::conclude(before, &said, generation, now));
    conditions
}

/// Completes what was said to the whole list of conditions.
pub(super) fn conclude(w: &World, d: &mut Draft) {
    if d.unchanged {
        return;
    }
    let before = w.status().conditions;
    if d.said.iter().any(|said| said.kind == kind::STALLED) {
        d.said.retain(|said| said.kind != kind::RECONCILING);
    }
    let ready = ready(w, d);
    d.said.retain(|said| said.kind != kind::READY);
    d.said.insert(0, ready);
    for default in defaults(w, d, &before) {
        d.say(default);
    }
    const ORDER: [&str; 10] = [
        kind::READY,
        kind::SYNCED,
        kind::RECONCILING,
        kind::STALLED,
        kind::TOOLS_READY,
        kind::PROJECT_READY,
        kind::DEPLOYED,
        kind::HEALTHY,
        kind::TEMPLATE_SYNCED,
        kind::SUSPENDED,
    ];
    d.said
        .sort_by_key(|said| ORDER.iter().position(|kind| *kind == said.kind));
    d.status.project = page(&d.status).map(|link| ProjectStatus { link });
    let generation = w.instance.metadata.generation;
    d.status.conditions = condition::conclude(&before, &d.said, generation, w.now);
    d.status.observed_generation = generation;
}

/// The page on which people see the agent's project, and in it what no status can say.
fn page(status: &AgentInstanceStatus) -> Option<String> {
    let project = ledger::entry(status, Slot::Project)?;
    let id = project.id.as_deref().filter(|id| is_id(id))?;
    Some(slot::page(id))
}

/// Where an agent's logs are.
pub(super) fn logs(status: &AgentInstanceStatus) -> String {
    page(status).map_or_else(
        || "its logs at the provider".to_owned(),
        |page| format!("its logs at {page}"),
    )
}

fn ready(w: &World, d: &Draft) -> Statement {
    let said = |kind: &str| d.said.iter().find(|said| said.kind == kind);
    if let Some(ready) = said(kind::READY) {
        return ready.clone();
    }
    let denied = [kind::DEPLOYED, kind::HEALTHY]
        .iter()
        .any(|kind| said(kind).is_some_and(|said| said.status == "False"));
    if serves(w, d) && !denied {
        return Statement::yes(
            kind::READY,
            reason::READY,
            "the agent runs and has said that it is ready",
        );
    }
    let cause = said(kind::STALLED)
        .or_else(|| said(kind::SUSPENDED).filter(|said| said.status == "True"))
        .or_else(|| said(kind::HEALTHY).filter(|said| said.status != "True"))
        .or_else(|| said(kind::DEPLOYED).filter(|said| said.status != "True"))
        .or_else(|| said(kind::RECONCILING))
        .or_else(|| said(kind::SYNCED).filter(|said| said.status != "True"));
    match cause {
        Some(cause) => Statement::no(kind::READY, cause.reason, cause.message.clone()),
        None => Statement::unknown(kind::READY, reason::PENDING, "not looked at yet"),
    }
}

/// Whether what was last applied runs, and its agent has said that it is ready.
fn serves(w: &World, d: &Draft) -> bool {
    let applied = ledger::entry(&d.status, Slot::Configuration)
        .is_some_and(|entry| entry.state == SlotState::Exists);
    let home = ledger::entry(&d.status, Slot::Project)
        .is_some_and(|entry| entry.state == SlotState::Exists);
    let up = d
        .status
        .deployment
        .as_ref()
        .is_some_and(|known| known.ready && known.state.is_up());
    applied
        && home
        && up
        && !w.deleting()
        && w.instance.spec.operating_mode == OperatingMode::Running
}

/// What is so where no phase came far enough to say it.
fn defaults(w: &World, d: &Draft, before: &[Condition]) -> Vec<Statement> {
    let exists =
        |slot| ledger::entry(&d.status, slot).is_some_and(|entry| entry.state == SlotState::Exists);
    let made = exists(Slot::Project) && exists(Slot::Service) && exists(Slot::Domain);
    let served = serves(w, d);
    let pending = |kind, yes: bool, yes_reason, yes_text: &str| {
        if yes {
            Statement::yes(kind, yes_reason, yes_text)
        } else {
            Statement::unknown(kind, reason::PENDING, "not reached yet")
        }
    };
    let template = match find(before, kind::TEMPLATE_SYNCED) {
        Some(old) if old.status == "True" => Statement::yes(
            kind::TEMPLATE_SYNCED,
            reason::CURRENT,
            "follows the template's current revision",
        ),
        _ => Statement::unknown(kind::TEMPLATE_SYNCED, reason::PENDING, "not reached yet"),
    };
    let tools = match find(before, kind::TOOLS_READY) {
        Some(old) if old.status == "True" && old.reason == reason::READY => {
            Statement::yes(kind::TOOLS_READY, reason::READY, "the agent has its tools")
        }
        Some(old) if old.status == "True" => {
            Statement::yes(kind::TOOLS_READY, reason::NONE, "the agent has no tools")
        }
        _ => Statement::unknown(kind::TOOLS_READY, reason::PENDING, "not reached yet"),
    };
    vec![
        synced(d),
        tools,
        pending(
            kind::PROJECT_READY,
            made,
            reason::CREATED,
            "project, service and address exist",
        ),
        pending(
            kind::DEPLOYED,
            served,
            reason::DEPLOYED,
            "the deployment runs what the spec asks for",
        ),
        pending(
            kind::HEALTHY,
            served,
            reason::READY,
            "the agent has said that it is ready",
        ),
        template,
        match w.instance.spec.operating_mode {
            OperatingMode::Running => {
                Statement::no(kind::SUSPENDED, reason::RUNNING, "operatingMode is Running")
            }
            OperatingMode::Suspended => {
                Statement::unknown(kind::SUSPENDED, reason::PENDING, "not reached yet")
            }
        },
    ]
}

/// Whether the outside is as the spec wants it, where no phase said so: not while something else that is said, or the
/// ledger, knows of something that is not.
fn synced(d: &Draft) -> Statement {
    let said = |kind: &str| d.said.iter().find(|said| said.kind == kind);
    let cause = said(kind::STALLED)
        .or_else(|| said(kind::RECONCILING))
        .or_else(|| said(kind::TOOLS_READY).filter(|said| said.status != "True"));
    if let Some(cause) = cause {
        // A tool may be pending while nothing is under way: what it belongs to is in trouble.
        let idle = cause.kind == kind::TOOLS_READY && cause.reason == reason::PENDING;
        let why = if idle { reason::RETRYING } else { cause.reason };
        return Statement::no(kind::SYNCED, why, cause.message.clone());
    }
    // A configuration is no resource: of one that is suspended it waits, half applied.
    let mut resources = d.status.external.iter();
    let unsettled = resources.find_map(|entry| match (entry.slot, entry.state) {
        (Slot::Configuration, _) | (_, SlotState::Planned | SlotState::Exists) => None,
        (slot, SlotState::Creating) => Some((reason::CREATING, slot, "is being made")),
        (slot, SlotState::Deleting) => Some((reason::DELETING, slot, "is being taken back")),
    });
    if let Some((reason, slot, what)) = unsettled {
        return Statement::no(kind::SYNCED, reason, format!("{slot} {what}"));
    }
    match said(kind::READY).filter(|ready| ready.reason == reason::PENDING) {
        Some(ready) => Statement::unknown(kind::SYNCED, reason::PENDING, ready.message.clone()),
        None => Statement::yes(
            kind::SYNCED,
            reason::READY,
            "the outside is as the spec wants it",
        ),
    }
}

/// What people should hear of when a status goes from `before` to `after`: once.
pub fn news(before: &AgentInstanceStatus, after: &AgentInstanceStatus) -> Vec<Announcement> {
    let mut heard = transitions(&before.conditions, &after.conditions);
    let served = before
        .timings
        .as_ref()
        .is_some_and(|reached| reached.ready.is_some());
    let note = match (&before.url, &after.url) {
        (Some(old), Some(new)) if old != new => {
            format!("the agent is reached at {new}, no longer at {old}")
        }
        (None, Some(new)) if served => {
            format!("the agent is reached at {new}; its former address is gone")
        }
        _ => return heard,
    };
    heard.push(Announcement {
        warning: false,
        reason: reason::ADDRESS_CHANGED,
        action: "Mend",
        note,
    });
    heard
}

/// What people should hear of when the conditions go from `before` to `after`: once, with the condition's own reason.
pub fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Announcement> {
    let became = |kind: &str| {
        let new = find(after, kind).filter(|new| new.status == "True")?;
        let same =
            find(before, kind).is_some_and(|old| old.status == "True" && old.reason == new.reason);
        (!same).then_some(new)
    };
    let stable = |text: &str| REASONS.iter().copied().find(|known| *known == text);
    let mut heard = Vec::new();
    if let Some(new) = became(kind::STALLED) {
        let reason = stable(&new.reason).unwrap_or(reason::UNEXPECTED);
        heard.push(Announcement {
            warning: true,
            reason,
            action: "Reconcile",
            note: new.message.clone(),
        });
    }
    let out = |list: &[Condition]| {
        find(list, kind::HEALTHY).is_some_and(|found| found.reason == reason::ACCOUNT_UNREACHABLE)
    };
    if let (Some(new), false, true) = (find(after, kind::HEALTHY), out(before), out(after)) {
        heard.push(Announcement {
            warning: true,
            reason: reason::ACCOUNT_UNREACHABLE,
            action: "Reconcile",
            note: new.message.clone(),
        });
    }
    if let Some(new) = became(kind::OBJECTS_RESTORED) {
        heard.push(Announcement {
            warning: true,
            reason: reason::RESTORED_ELSEWHERE,
            action: "Reconcile",
            note: new.message.clone(),
        });
    }
    if let Some(new) = became(kind::READY) {
        heard.push(Announcement {
            warning: false,
            reason: reason::READY,
            action: "Reconcile",
            note: new.message.clone(),
        });
    }
    if let Some(new) = became(kind::SUSPENDED) {
        heard.push(Announcement {
            warning: false,
            reason: reason::SUSPENDED,
            action: "Suspend",
            note: new.message.clone(),
        });
    }
    heard
}

/// Reasons that Stalled can have.
const REASONS: &[&str] = &[
    reason::DEPLOYMENT_FAILED,
    reason::CRASHED,
    reason::STARTUP_DEADLINE_EXCEEDED,
    reason::ACCOUNT_NOT_AVAILABLE,
    reason::ACCOUNT_DELETING,
    reason::LIMIT_REACHED,
    reason::TEMPLATE_NOT_FOUND,
    reason::TEMPLATE_NOT_READY,
    reason::REFERENCE_NOT_FOUND,
    reason::VALUE_NOT_USABLE,
    reason::REJECTED,
    reason::CREDENTIALS_DENIED,
    reason::REFUSED_BY_CLUSTER,
    reason::DELETED_EXTERNALLY,
    reason::SECRET_LOST,
    reason::NOT_ALLOWED,
    reason::SUSPENDED,
    reason::PROTECTED,
    reason::UNEXPECTED,
    reason::IMAGE_NOT_FOUND,
    reason::IMAGE_ACCESS_DENIED,
    reason::ROLLOUT_STOPPED,
    reason::ADOPTION_FAILED,
    reason::RESTORED_ELSEWHERE,
    reason::IDENTITY_UNCLEAR,
    reason::IDENTITY_TAKEN,
    reason::NOT_DEPLOYED,
];
