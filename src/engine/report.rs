//! Conditions: what a plan has said, completed to the whole list that people and tools read.
//!
//! What holds: every type is there from the first visit on (the two of kstatus only while they are true); Ready is
//! true exactly while the deployment that was last applied runs and its agent has said that it is ready; a message
//! says nothing that changes from pass to pass, so that nothing is written at rest.

use super::draft::Draft;
use super::world::World;
use super::{costs, hearing, ledger, meaning, paused, tools};
use crate::api::condition::{self, Statement, find, is_true, kind, reason};
use crate::api::deployment::ProjectStatus;
use crate::api::instance::OperatingMode;
use crate::api::money::Money;
use crate::api::{AgentInstanceStatus, Slot, SlotState};
use crate::model::Announcement;
use crate::model::monthly;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Completes what was said to the whole list of conditions.
pub(super) fn conclude(w: &World, d: &mut Draft) {
    let before = w.status().conditions;
    let pause = paused::condition(w);
    if d.unchanged {
        return unlooked(w, d, before, pause);
    }
    d.said.extend(pause);
    if d.said.iter().any(|said| said.kind == kind::STALLED) {
        d.said.retain(|said| said.kind != kind::RECONCILING);
    }
    let ready = ready(w, d);
    d.said.retain(|said| said.kind != kind::READY);
    d.said.insert(0, ready);
    for default in defaults(w, d, &before) {
        d.say(default);
    }
    d.said.extend(hearing::unsupported(&d.status));
    const ORDER: [&str; 12] = [
        kind::READY,
        kind::SYNCED,
        kind::RECONCILING,
        kind::STALLED,
        kind::PAUSED,
        kind::TOOLS_READY,
        kind::PROJECT_READY,
        kind::DEPLOYED,
        kind::HEALTHY,
        kind::TEMPLATE_SYNCED,
        kind::SUSPENDED,
        kind::HARNESS_SUPPORTED,
    ];
    d.said
        .sort_by_key(|said| ORDER.iter().position(|kind| *kind == said.kind));
    d.status.project = meaning::page(&d.status).map(|link| ProjectStatus {
        link,
        month_usd: month_usd(w),
    });
    d.status.monthly_usd = monthly::of(&d.status, |_| true);
    let generation = w.instance.metadata.generation;
    d.status.conditions = condition::conclude(&before, &d.said, generation, w.now);
    d.status.observed_generation = generation;
}

/// What the agent's project has cost this month, as it is to be told.
fn month_usd(w: &World) -> Option<Money> {
    let told = w.status().project.and_then(|project| project.month_usd);
    costs::told(told, w.outside.cost)
}

/// What was said before stands, but for whether it is paused: that needs no look.
fn unlooked(w: &World, d: &mut Draft, before: Vec<Condition>, pause: Option<Statement>) {
    let said = find(&before, kind::PAUSED).map(|said| said.message.as_str());
    let paused = pause.as_ref().map(|pause| pause.message.as_str());
    // A tool may have been told to be in trouble in this pass, before it was known that nothing is to be looked at.
    let trouble = d.status.tools.iter().any(|tool| !tool.ready);
    let trouble = (trouble && is_true(&before, kind::TOOLS_READY)).then(|| of_tools(d, &before));
    if said == paused && trouble.is_none() {
        return;
    }
    // What was held back may be done by now.
    let reasons = [reason::PAUSED, reason::RECOVERY_MODE];
    let held =
        find(&before, kind::SYNCED).is_some_and(|said| reasons.contains(&said.reason.as_str()));
    let synced = (held && pause.is_none()).then(|| {
        let message = "not looked at since it was paused";
        Statement::unknown(kind::SYNCED, reason::PENDING, message)
    });
    let synced = match &trouble {
        Some(cause) => Some(Statement::no(
            kind::SYNCED,
            cause.reason,
            cause.message.clone(),
        )),
        None => synced,
    };
    let changed: Vec<Statement> = synced.into_iter().chain(trouble).chain(pause).collect();
    let generation = w.status().observed_generation;
    let changed = condition::conclude(&before, &changed, generation, w.now);
    let mut conditions = before;
    conditions.retain(|old| old.type_ != kind::PAUSED);
    for new in changed {
        match conditions.iter_mut().find(|old| old.type_ == new.type_) {
            Some(old) => *old = new,
            None => conditions.push(new),
        }
    }
    d.status.conditions = conditions;
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
    vec![
        synced(d),
        of_tools(d, before),
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
            OperatingMode::Suspended => match find(before, kind::SUSPENDED) {
                Some(old) if old.status == "True" => {
                    Statement::yes(kind::SUSPENDED, reason::SUSPENDED, old.message.clone())
                }
                _ => Statement::unknown(kind::SUSPENDED, reason::PENDING, "not reached yet"),
            },
        },
    ]
}

/// What is so of the tools as a whole, where no phase came as far as to them: one may have been seen to be gone since.
fn of_tools(d: &Draft, before: &[Condition]) -> Statement {
    if let Some(missing) = d.status.tools.iter().find(|tool| !tool.ready) {
        let reason = stable(&missing.reason).unwrap_or(reason::PENDING);
        let message = format!("{}: {}", missing.name, missing.message);
        return Statement::no(kind::TOOLS_READY, reason, message);
    }
    match find(before, kind::TOOLS_READY) {
        Some(old) if old.status == "True" && old.reason == reason::NONE => {
            Statement::yes(kind::TOOLS_READY, reason::NONE, "the agent has no tools")
        }
        Some(old) if old.status == "True" => tools::all_there(&d.status.tools),
        _ => Statement::unknown(kind::TOOLS_READY, reason::PENDING, "not reached yet"),
    }
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
    heard.extend(tools::spending(before, after));
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
    for reason in [reason::ACCOUNT_UNREACHABLE, reason::VANISHED_TOGETHER] {
        let out = |list| find(list, kind::HEALTHY).filter(|found| found.reason == reason);
        if let (Some(new), None) = (out(after), out(before)) {
            heard.push(Announcement {
                warning: true,
                reason,
                action: "Reconcile",
                note: new.message.clone(),
            });
        }
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

/// The reason that a text is.
pub(super) fn stable(text: &str) -> Option<&'static str> {
    reason::ALL.iter().copied().find(|known| *known == text)
}
