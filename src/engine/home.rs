//! The outside resources that an instance stands on: first the project, then what is made inside it.
//!
//! What holds: a slot is made only after its intent is in the ledger; an attempt whose outcome is unknown is looked
//! for before it is repeated, and given up only when it can no longer land unseen. What the ledger has lost is found again
//! and put on record, never made a second time. Of several projects that are ours the recorded one stays; another one is
//! taken back only while it is empty, and told where something runs or is kept in it.

use super::draft::{Draft, Phase, PhaseEnd, act, wait};
use super::places::PlaceAsked;
use super::sight::{Doubt, doubt};
use super::step::Step;
use super::world::{AccountView, TemplateReady, TemplateView, World};
use super::{access, adopt, ledger, paused, retry, tools};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::{OnExternalDeletion, OperatingMode};
use crate::api::{LedgerEntry, Slot, SlotState};
use crate::model::Announcement;
use crate::model::slot::RAILWAY;
use crate::model::{DeploymentState, Gate, Home, Sight, Turn};
use jiff::SignedDuration;
use kube::ResourceExt;
use std::ops::ControlFlow::{Break, Continue};

/// Makes sure of the project.
pub(super) fn project(w: &World, d: &mut Draft) -> Phase {
    let entry = ledger::entry(&d.status, Slot::Project).cloned();
    match entry.as_ref().map(|entry| entry.state) {
        None | Some(SlotState::Planned) => match &w.instance.spec.adopt {
            Some(wanted) => adopt::project(w, d, wanted),
            None => begin_project(w, d),
        },
        Some(SlotState::Creating) if w.pass.untried.contains(&Slot::Project) => {
            create_project(w, d)
        }
        Some(SlotState::Creating) => find_project(w, d, entry.as_ref()),
        Some(SlotState::Exists | SlotState::Deleting) => keep_project(w, d),
    }
}

/// Opens the ledger of an instance that says nothing of a project, before anything is made.
///
/// That there is nothing is certain in the pass that puts the finalizer on, and is written down then (`Planned`), so that
/// it is known later, at no request. Without that entry the ledger was lost, or never begun: what was made later than the
/// ledger's beginning tells which. The token comes right before the first thing that is made, `timings.created` with the
/// last; either one, or any other entry, means that there may be a project, which is then looked for as after a lost
/// answer. Deciding it from a listing alone would miss what is younger, and searching for each new instance would cost two
/// requests. One that goes is always searched for: with its namespace go the Secrets that would tell, and nobody looks later.
pub(super) fn open_ledger(w: &World, d: &mut Draft) -> Phase {
    if w.instance.spec.adopt.is_some() || ledger::entry(&d.status, Slot::Project).is_some() {
        return Continue(());
    }
    let listed = !w.ours().is_empty();
    let others = d.status.external.iter().any(|entry| !entry.is_blank());
    let goes = w.deleting() && !matches!(w.account, AccountView::NotAvailable);
    if !w.pass.new && (goes || w.token || others || ledger::made_once(&d.status) || listed) {
        let template = match &w.template {
            TemplateView::Ready(template) => Some(template),
            _ => None,
        };
        paused::remembered(w, d)?;
        if !w.tools.unread.is_empty() {
            creating(d, "looking at what is there already");
            return wait(Some(w.now + SignedDuration::from_secs(1)));
        }
        lost_entries(w, d, &wanted_slots(template));
        tools::recollect(w, d);
    } else {
        ledger::put(&mut d.status, w.blank(Slot::Project));
    }
    Continue(())
}

/// Of these slots nothing is known: each may be there, and is looked for before it is made.
fn lost_entries(w: &World, d: &mut Draft, slots: &[Slot]) {
    for slot in slots {
        if ledger::entry(&d.status, *slot).is_none_or(LedgerEntry::is_blank) {
            let entry = LedgerEntry {
                state: SlotState::Creating,
                // Of the project, as after an outcome that was once unknown. In it, what is found beside what is taken
                // is not what an attempt of ours left.
                doubtful: *slot == Slot::Project,
                ..w.blank(*slot)
            };
            ledger::put(&mut d.status, entry);
        }
    }
}

/// The slots of a project that may be in it, each of which has a name or is the only one of its kind.
fn wanted_slots(template: Option<&TemplateReady>) -> Vec<Slot> {
    let mut slots = vec![Slot::Project, Slot::Service, Slot::Domain];
    if template.is_some_and(|template| template.volume_mount.is_some()) {
        slots.push(Slot::Volume);
    }
    slots
}

/// Nothing is on record: what is there all the same is taken, and only then something made.
fn begin_project(w: &World, d: &mut Draft) -> Phase {
    if let Some(home) = w.ours().first() {
        let mut slots = wanted_slots(None);
        if !home.volumes.is_empty() {
            slots.push(Slot::Volume);
        }
        lost_entries(w, d, &slots);
        adopt_project(w, d, home);
        return keep_project(w, d);
    }
    if !w.pass.new && w.outside.listing.is_none() {
        creating(d, "looking at what is there already");
        return wait(Some(w.now + SignedDuration::from_secs(1)));
    }
    if ledger::made_once(&d.status) && reports_deletion(w, d) {
        return told_deleted(w, d);
    }
    make_project(w, d)
}

fn make_project(w: &World, d: &mut Draft) -> Phase {
    let AccountView::Ready(room) = &w.account else {
        return wait(None);
    };
    access::account_goes(w, d)?;
    let Some(projects) = room.projects else {
        let what = match room.most.has_price() {
            true => "looking at what is in the account already, and at what it costs",
            false => "looking at what is in the account already",
        };
        creating(d, what);
        return wait(Some(w.now + SignedDuration::from_secs(1)));
    };
    let namespace = w.instance.namespace().unwrap_or_default();
    let account = w.instance.spec.account_ref.name.0.clone();
    if let Some(message) = room
        .most
        .full(projects, PlaceAsked::PROJECT, &account, &namespace)
    {
        d.stalled_on(kind::PROJECT_READY, reason::QUOTA_EXCEEDED, message);
        return wait(Some(w.now + SignedDuration::from_mins(1)));
    }
    turn(w, d, Gate::Projects)?;
    ledger::begin(
        &mut d.status,
        Slot::Project,
        RAILWAY,
        &account,
        w.marker(Slot::Project).outside_name(),
        w.now,
    );
    d.untried.insert(Slot::Project);
    create_project(w, d)
}

fn create_project(w: &World, d: &mut Draft) -> Phase {
    creating(d, "making the project");
    let marker = w.marker(Slot::Project);
    act(Step::CreateProject {
        name: marker.outside_name(),
        marker,
    })
}

/// A turn to make what the provider allows only once in a while. It is asked for where making it is the next step, and
/// nowhere else: who cannot use a turn must not stand before those who can.
pub(super) fn turn(w: &World, d: &mut Draft, gate: Gate) -> Phase {
    let AccountView::Ready(room) = &w.account else {
        return wait(None);
    };
    let (when, ahead) = match room.turns.get(&gate) {
        None => return act(Step::TakeTurn { gate }),
        Some(Turn::Now) => return Continue(()),
        Some(Turn::At { when, ahead }) => (*when, *ahead),
    };
    let message = format!(
        "the provider lets {} be made {:#} apart (railway.projectInterval of ProviderAccount {}); waiting for a turn: {}",
        gate.word(),
        room.interval,
        w.instance.spec.account_ref.name,
        place(ahead)
    );
    d.working_on(kind::PROJECT_READY, reason::THROTTLED, message);
    d.line = Some(gate);
    wait(Some(when))
}

/// A place in the line, in steps: exactly, it would be written anew for everyone who waits each time that one is served.
fn place(ahead: usize) -> &'static str {
    match ahead {
        0 => "this one is next",
        1..=10 => "up to 10 come before it",
        11..=100 => "up to 100 come before it",
        101..=1000 => "up to 1,000 come before it",
        _ => "more than 1,000 come before it",
    }
}

pub(super) fn creating(d: &mut Draft, what: &str) {
    d.working_on(kind::PROJECT_READY, reason::CREATING, what);
}

/// An attempt's answer was lost: adopt what it left, or be sure that it left nothing.
fn find_project(w: &World, d: &mut Draft, entry: Option<&LedgerEntry>) -> Phase {
    if let Some(home) = w.ours().first() {
        adopt_project(w, d, home);
        return keep_project(w, d);
    }
    let Some(entry) = entry else {
        return wait(None);
    };
    let landed_by = w.limits.landed_by(entry.started_at.0);
    // Only a search is proof: it is held against the provider's own count, which the observer asks for only where
    // something that ledgers know is missing. An empty listing of an account with one lost attempt lacks nothing.
    if w.outside.searched && w.outside.listing.is_some_and(|begun| begun >= landed_by) {
        ledger::lost(&mut d.status, Slot::Project);
        d.stands(w);
        return begin_project(w, d);
    }
    let message = "the answer to an earlier attempt to make the project was lost; looking for it before another is made";
    d.working_on(kind::PROJECT_READY, reason::OUTCOME_UNKNOWN, message);
    if w.outside.searched {
        let soon = w.now + SignedDuration::from_secs(5);
        return wait(Some(if landed_by > w.now {
            landed_by.min(soon)
        } else {
            soon
        }));
    }
    act(Step::Search)
}

fn adopt_project(w: &World, d: &mut Draft, home: &Home) {
    if !home.is_empty() {
        // A lost answer leaves an empty one. This one was on record once.
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::LEDGER_LOST,
            action: "Recover",
            note: format!(
                "status.external said nothing of project {}, whose name and description say that it is this instance's: it is on record again, with what is in it",
                home.id
            ),
        });
    }
    ledger::exists(&mut d.status, Slot::Project, Some(home.id.clone()));
    if let Some(environment) = &home.environment {
        ledger::environment(&mut d.status, environment.clone(), w.now);
    }
    d.untried.remove(&Slot::Project);
    d.stands(w);
}

/// The project is on record: is it still there, and is it the only one?
fn keep_project(w: &World, d: &mut Draft) -> Phase {
    let Some(entry) = ledger::entry(&d.status, Slot::Project).cloned() else {
        return wait(None);
    };
    let left = one_too_many(w, entry.id.as_deref())?;
    if !left.is_empty() {
        d.once(w, reason::SURPLUS, "KeepSurplus", left_alone(&left));
    }
    let gone = match w.home() {
        Sight::Seen(home) => home.deleted,
        Sight::Absent { begun } if doubt(w, d, begun, entry.started_at.0) == Doubt::Wait => false,
        Sight::Absent { .. } => match w.outside.looked {
            // The listing lacks it; only the project's own answer is proof.
            None => {
                return act(Step::Look {
                    project: entry.id.unwrap_or_default(),
                });
            }
            Some(_) => true,
        },
        Sight::Unknown => {
            if w.outside.looked.is_some() {
                // Made so lately that the provider may not show it yet: nothing else brings us back.
                d.again(retry::next_look(entry.started_at.0, w.now));
            }
            false
        }
    };
    if !gone {
        return Continue(());
    }
    if w.instance.spec.adopt.is_some() {
        return adopt::lost(d, "project");
    }
    if reports_deletion(w, d) {
        return told_deleted(w, d);
    }
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::DELETED_EXTERNALLY,
        action: "Recreate",
        note: "the project was deleted at the provider; making it anew".into(),
    });
    // The agent's tools are elsewhere, and are its tools still.
    d.status
        .external
        .retain(|entry| entry.slot.as_tool().is_some());
    ledger::put(&mut d.status, w.blank(Slot::Project));
    d.status.url = None;
    d.status.deployment = None;
    d.status.template_revision = None;
    d.status.sizes = None;
    d.status.variables.clear();
    // Its life begins anew, and so does the question whether it shall run, and what.
    Break(PhaseEnd::Anew)
}

/// Whether a project that was deleted at the provider is told rather than made anew.
fn reports_deletion(w: &World, d: &Draft) -> bool {
    let default = match ledger::entry(&d.status, Slot::Volume) {
        Some(_) => OnExternalDeletion::Report,
        None => OnExternalDeletion::Recreate,
    };
    let reports =
        w.instance.spec.on_external_deletion.unwrap_or(default) == OnExternalDeletion::Report;
    // A new one in its place would know nothing of what the claim told the agent, and be its agent all the same.
    let claim = w.instance.spec.claim_ref.as_ref();
    reports || claim.is_some_and(|claim| claim.handed_over_at.is_some())
}

fn told_deleted(w: &World, d: &mut Draft) -> Phase {
    let message = "the project was deleted at the provider, and its data with it; set onExternalDeletion to Recreate to make it anew, or delete this instance";
    d.stalled_on(kind::PROJECT_READY, reason::DELETED_EXTERNALLY, message);
    if let Some(known) = &mut d.status.deployment {
        known.ready = false;
        known.state = DeploymentState::Removed;
    }
    if w.instance.spec.operating_mode == OperatingMode::Running {
        return wait(None);
    }
    let message = "the project was deleted at the provider, and nothing runs";
    d.say(Statement::yes(kind::SUSPENDED, reason::SUSPENDED, message));
    tools::rest(w, d)
}

/// Projects beside the recorded one that are the instance's as well. One that landed after it had been given up is empty,
/// and goes once it has been seen so by itself. What something runs or is kept in stays: a deletion cannot be taken back.
/// The answer is what stays.
pub(super) fn one_too_many(
    w: &World,
    recorded: Option<&str>,
) -> std::ops::ControlFlow<PhaseEnd, Vec<String>> {
    let mut left = Vec::new();
    let others = w.ours().into_iter();
    for home in others.filter(|home| Some(home.id.as_str()) != recorded) {
        let project = home.id.clone();
        if !home.is_empty() {
            left.push(project);
            continue;
        }
        let step = match w.outside.beside.get(&project) {
            None => Step::Look { project },
            Some(Sight::Seen(now)) if !now.deleted && now.is_empty() => Step::Delete {
                slot: Slot::Project,
                id: project,
                surplus: true,
            },
            Some(Sight::Seen(now)) if !now.deleted => {
                left.push(project);
                continue;
            }
            Some(_) => continue,
        };
        return std::ops::ControlFlow::Break(PhaseEnd::Do(Box::new(step)));
    }
    Continue(left)
}

/// What people read of projects that stay.
pub(super) fn left_alone(projects: &[String]) -> String {
    format!(
        "project {} has this instance's name and description as well, and something runs or is kept in it: it is left alone; look at it, and delete it at the provider or give it another name",
        projects.join(", ")
    )
}
