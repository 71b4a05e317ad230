//! The outside resources that an instance stands on: first the project, then what is made inside it.
//!
//! What holds: a slot is made only after its intent is in the ledger; an attempt whose outcome is unknown is looked
//! for before it is repeated, and given up only when it can no longer land unseen. What the ledger has lost is found again
//! and put on record, never made a second time. Of several projects that are ours the recorded one stays; another one is
//! taken back only while it is empty, and told where something runs or is kept in it.

use super::adopt;
use super::deployment;
use super::ledger;
use super::plan::{self, Draft, Phase, Verdict, act, wait};
use super::retry;
use super::rollout;
use super::step::Step;
use super::tools;
use super::world::{AccountView, Desired, TemplateReady, TemplateView, World};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::{OnExternalDeletion, OperatingMode};
use crate::api::{AgentInstanceStatus, LedgerEntry, Slot, SlotState};
use crate::model::Announcement;
use crate::model::slot::RAILWAY;
use crate::model::{Deployment, DeploymentState, Gate, Home, Sight, Turn, Volume};
use jiff::{SignedDuration, Timestamp};
use std::ops::ControlFlow::{Break, Continue};

/// The id of a slot that exists.
pub(super) fn id(status: &AgentInstanceStatus, slot: Slot) -> Option<String> {
    ledger::entry(status, slot)
        .filter(|entry| entry.state == SlotState::Exists)?
        .id
        .clone()
}

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
    if !w.pass.new && (goes || w.token || others || made_once(&d.status) || listed) {
        let template = match &w.template {
            TemplateView::Ready(template) => Some(template),
            _ => None,
        };
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

/// Whether the agent was complete once.
pub(super) fn made_once(status: &AgentInstanceStatus) -> bool {
    let timings = status.timings.as_ref();
    timings.is_some_and(|timings| timings.created.is_some())
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
    if made_once(&d.status) && reports_deletion(w, d) {
        return told_deleted(d);
    }
    make_project(w, d)
}

fn make_project(w: &World, d: &mut Draft) -> Phase {
    let AccountView::Ready(room) = &w.account else {
        return wait(None);
    };
    plan::account_goes(w, d)?;
    let Some(projects) = room.projects else {
        creating(d, "looking at what is in the account already");
        return wait(Some(w.now + SignedDuration::from_secs(1)));
    };
    if projects >= room.max_projects {
        let message = format!(
            "ProviderAccount {} has its {} projects; raise railway.maxProjects or delete instances",
            w.instance.spec.account_ref.name, room.max_projects
        );
        d.stalled_on(kind::PROJECT_READY, reason::LIMIT_REACHED, message);
        return wait(Some(w.now + SignedDuration::from_mins(1)));
    }
    turn(w, d, Gate::Projects)?;
    let account = w.instance.spec.account_ref.name.0.clone();
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
fn turn(w: &World, d: &mut Draft, gate: Gate) -> Phase {
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

fn creating(d: &mut Draft, what: &str) {
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
        return told_deleted(d);
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
    d.status.variables.clear();
    // Its life begins anew, and so does the question whether it shall run, and what.
    plan::life(w, d)
}

/// Whether a project that was deleted at the provider is told rather than made anew.
fn reports_deletion(w: &World, d: &Draft) -> bool {
    let default = match ledger::entry(&d.status, Slot::Volume) {
        Some(_) => OnExternalDeletion::Report,
        None => OnExternalDeletion::Recreate,
    };
    w.instance.spec.on_external_deletion.unwrap_or(default) == OnExternalDeletion::Report
}

fn told_deleted(d: &mut Draft) -> Phase {
    let message = "the project was deleted at the provider, and its data with it; set onExternalDeletion to Recreate to make it anew, or delete this instance";
    d.stalled_on(kind::PROJECT_READY, reason::DELETED_EXTERNALLY, message);
    if let Some(known) = &mut d.status.deployment {
        known.ready = false;
        known.state = DeploymentState::Removed;
    }
    wait(None)
}

/// Projects beside the recorded one that are the instance's as well. One that landed after it had been given up is empty,
/// and goes once it has been seen so by itself. What something runs or is kept in stays: a deletion cannot be taken back.
/// The answer is what stays.
pub(super) fn one_too_many(
    w: &World,
    recorded: Option<&str>,
) -> std::ops::ControlFlow<plan::Verdict, Vec<String>> {
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
        return std::ops::ControlFlow::Break(plan::Verdict::Do(Box::new(step)));
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

/// Makes sure of environment, service, volume and domain.
pub(super) fn inside(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let Some(project) = id(&d.status, Slot::Project) else {
        return wait(None);
    };
    forget_what_is_gone(w, d, template, &project)?;
    let Some(environment) = id(&d.status, Slot::Environment) else {
        return match w
            .outside
            .looked
            .as_ref()
            .and_then(Sight::seen)
            .and_then(|home| home.environment.clone())
        {
            Some(environment) => {
                ledger::environment(&mut d.status, environment, w.now);
                inside(w, d, template)
            }
            None => look_again(w, d, project),
        };
    };
    // Names are known or found inside the project: one intent covers all of them.
    let wanted = [
        Some(Slot::Service),
        template
            .volume_mount
            .as_ref()
            .filter(|_| !adopt::stays(w, d, template))
            .map(|_| Slot::Volume),
        Some(Slot::Domain),
    ];
    let account = w.instance.spec.account_ref.name.0.clone();
    for slot in wanted.into_iter().flatten() {
        let state = ledger::entry(&d.status, slot).map(|entry| entry.state);
        let due = match state {
            None => true,
            Some(SlotState::Planned) => slot != Slot::Volume,
            Some(_) => false,
        };
        if due {
            ledger::begin(
                &mut d.status,
                slot,
                RAILWAY,
                &account,
                w.marker(slot).outside_name(),
                w.now,
            );
            // What is there already, and on record no more, is looked up first.
            if !is_there(w, slot) {
                d.untried.insert(slot);
            }
        }
    }
    plan::intend_configuration(w, d, template);
    service(w, d, &project, &environment)?;
    let Some(service) = id(&d.status, Slot::Service) else {
        return wait(None);
    };
    volume(w, d, template, &project, &environment, &service)?;
    attachment(w, d, template, &environment, &service)?;
    domain(w, d, template, &project, &environment, &service)?;
    let now = ledger::moment(w.now);
    d.status
        .timings
        .get_or_insert_default()
        .created
        .get_or_insert(now);
    d.say(Statement::yes(
        kind::PROJECT_READY,
        reason::CREATED,
        "project, service and address exist",
    ));
    Continue(())
}

/// Whether the project was seen with something that could be this slot.
fn is_there(w: &World, slot: Slot) -> bool {
    let home = w.home();
    let Some(home) = home.seen() else {
        return false;
    };
    match slot {
        Slot::Service => {
            let name = w.marker(slot).outside_name();
            home.services
                .iter()
                .any(|one| one.name.eq_ignore_ascii_case(&name))
        }
        Slot::Volume => !home.volumes.is_empty(),
        Slot::Domain => !home.domains.is_empty(),
        _ => false,
    }
}

/// The reading of the project made in this pass, or the step that makes it.
fn look_again(w: &World, d: &mut Draft, project: String) -> Phase {
    creating(d, "looking at what is there already");
    match w.outside.looked {
        None => act(Step::Look { project }),
        Some(_) => wait(Some(w.now + SignedDuration::from_secs(1))),
    }
}

fn service(w: &World, d: &mut Draft, project: &str, environment: &str) -> Phase {
    let Some(entry) = open(w, d, Slot::Service) else {
        return Continue(());
    };
    let step = Step::CreateService {
        project: project.to_owned(),
        environment: environment.to_owned(),
        name: entry.key.clone(),
    };
    if !d.untried.contains(&Slot::Service) {
        let Some(home) = seen_now(w) else {
            return look_again(w, d, project.to_owned());
        };
        if let Some(found) = home
            .services
            .iter()
            .find(|service| service.name.eq_ignore_ascii_case(&entry.key))
        {
            ledger::exists(&mut d.status, Slot::Service, Some(found.id.clone()));
            return Continue(());
        }
        // The name is unique in the project: if the lost attempt lands yet, this one is refused and looked up.
        begin_again(w, d, Slot::Service);
    }
    creating(d, "making the service");
    act(step)
}

fn volume(
    w: &World,
    d: &mut Draft,
    template: &TemplateReady,
    project: &str,
    environment: &str,
    service: &str,
) -> Phase {
    let Some(mount) = template.volume_mount.clone() else {
        return Continue(());
    };
    // Not asked of the configuration's entry: that is new, too, where a service was lost that had run.
    // In an adopted project what is not on record is somebody else's.
    let never_complete = w.instance.spec.adopt.is_none() && !made_once(&d.status);
    let again = ledger::entry(&d.status, Slot::Volume)
        .is_some_and(|entry| entry.state == SlotState::Exists && entry.doubtful);
    let never_ran = |home: &Home| match home.deployments.is_empty() {
        true => never_complete,
        // A service with two disks does not start.
        false => never_deployed(w, d) && home.deployments.iter().all(failed),
    };
    // Only an earlier attempt leaves one too many: another one is somebody's.
    if let (Some(kept), Sight::Seen(home), true) = (id(&d.status, Slot::Volume), w.home(), again)
        && never_ran(&home)
        && let Some(surplus) = home.volumes.iter().find(|volume| volume.id != kept)
    {
        // Empty still: nothing ever ran here.
        if w.outside.looked.is_none() {
            return look_at(d);
        }
        if !home.deployments.is_empty() {
            deploy_with_disk(w, d, template, &home);
        }
        return act(Step::Delete {
            slot: Slot::Volume,
            id: surplus.id.clone(),
            surplus: true,
        });
    }
    if again && never_complete {
        // The attempt that was given up may have landed beside this one, and a service with two disks does not start. A
        // reading that shows this one shows the other.
        let kept = id(&d.status, Slot::Volume);
        let shown = |home: &Home| {
            home.volumes
                .iter()
                .any(|one| Some(&one.id) == kept.as_ref())
        };
        if !seen_now(w).is_some_and(shown) {
            return look_again(w, d, project.to_owned());
        }
    }
    // One that has waited for its turn is intended again when it comes: an intent in each pass would be a write in each.
    let waited = ledger::entry(&d.status, Slot::Volume)
        .is_some_and(|entry| entry.state == SlotState::Planned);
    if let Some(entry) = open(w, d, Slot::Volume) {
        if !d.untried.contains(&Slot::Volume) {
            let Some(home) = seen_now(w) else {
                return look_again(w, d, project.to_owned());
            };
            let mounted = |volume: &&Volume| volume.service.as_deref() == Some(service);
            let any = home
                .volumes
                .first()
                .filter(|_| w.instance.spec.adopt.is_none());
            if let Some(found) = home.volumes.iter().find(mounted).or(any) {
                ledger::exists(&mut d.status, Slot::Volume, Some(found.id.clone()));
                return Continue(());
            }
            unseen(w, d, &entry, home)?;
        }
    } else if !waited {
        return Continue(());
    }
    if let Break(held) = turn(w, d, Gate::Volumes) {
        if matches!(held, Verdict::Wait(_)) {
            ledger::planned(&mut d.status, Slot::Volume);
        }
        return Break(held);
    }
    if waited {
        begin_again(w, d, Slot::Volume);
    }
    creating(d, "making the volume");
    act(Step::CreateVolume {
        project: project.to_owned(),
        environment: environment.to_owned(),
        service: service.to_owned(),
        mount,
    })
}

/// Whether no deployment of the agent ever ran.
fn never_deployed(w: &World, d: &Draft) -> bool {
    let timings = d.status.timings.as_ref();
    w.instance.spec.adopt.is_none() && timings.is_none_or(|timings| timings.deployed.is_none())
}

fn failed(deployment: &Deployment) -> bool {
    deployment.state == DeploymentState::Failed
}

/// The volume is there: is it where it belongs? Nothing is deployed before it is, because what would run had no disk; and
/// what runs may have none, so that it is deployed anew when it has.
fn attachment(
    w: &World,
    d: &mut Draft,
    template: &TemplateReady,
    environment: &str,
    service: &str,
) -> Phase {
    let (Some(mount), Some(id)) = (&template.volume_mount, id(&d.status, Slot::Volume)) else {
        return Continue(());
    };
    let since = ledger::entry(&d.status, Slot::Volume).map(|entry| entry.started_at.0);
    let (Sight::Seen(home), Some(since), None) = (w.home(), since, &w.instance.spec.adopt) else {
        return Continue(());
    };
    let volume = home.volumes.iter().find(|volume| volume.id == id);
    // One that was made a moment ago tells neither.
    let Some((volume, path)) = volume.and_then(|one| Some((one, one.mount_path.as_ref()?))) else {
        return Continue(());
    };
    // Another path may be the template's and no drift: it comes with the revision, when the agent can take that.
    let behind = rollout::behind(&d.status, &template.revision);
    let takes = plan::follows(w) && matches!(w.desired, Desired::Composed(_));
    let mount = if behind && !takes { path } else { mount };
    let attached = volume.service.as_deref() == Some(service);
    if attached && path == mount {
        return Continue(());
    }
    match doubt(w, d, home.begun, since) {
        Doubt::None if w.outside.looked.is_some() => {}
        Doubt::None | Doubt::Look => return look_at(d),
        Doubt::Wait => return Continue(()),
    }
    let was = match &volume.service {
        None => "detached".to_owned(),
        Some(other) if other == service => format!("mounted at {path}"),
        Some(other) => format!("attached to service {other}"),
    };
    if attached && behind {
        let note = format!("the volume was {was}; the template's new revision has it at {mount}");
        d.working_on(kind::SYNCED, reason::DEPLOYING, note);
    } else {
        let note = format!("the volume was {was} at the provider, and is mounted at {mount} again");
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::DRIFTED,
            action: "Mend",
            note: note.clone(),
        });
        d.say(Statement::no(kind::SYNCED, reason::DRIFTED, note.clone()));
        d.working(reason::DRIFTED, note);
    }
    deploy_with_disk(w, d, template, &home);
    act(Step::Mount {
        environment: environment.to_owned(),
        service: service.to_owned(),
        volume: id,
        mount: mount.clone(),
    })
}

/// What runs has no disk, or not the one that it shall have. The configuration is applied as a new attempt, because the
/// same one again would deploy nothing; where it has to wait for the agent's turn, what was applied is deployed anew.
fn deploy_with_disk(w: &World, d: &mut Draft, template: &TemplateReady, home: &Home) {
    let runs = w.instance.spec.operating_mode == OperatingMode::Running;
    let news = runs && deployment::outlived(w, d, home);
    let waits = rollout::behind(&d.status, &template.revision) && !plan::follows(w);
    match ledger::entry_mut(&mut d.status, Slot::Configuration) {
        Some(entry) if waits && entry.state == SlotState::Exists => {
            // It is on record before anything is changed that this is to be deployed.
            entry.attempt += i32::from(news);
        }
        Some(entry) if news || entry.state != SlotState::Planned => {
            ledger::lost(&mut d.status, Slot::Configuration);
        }
        _ => {}
    }
}

fn domain(
    w: &World,
    d: &mut Draft,
    template: &TemplateReady,
    project: &str,
    environment: &str,
    service: &str,
) -> Phase {
    if let (Some(kept), Sight::Seen(home)) = (ledger::entry(&d.status, Slot::Domain), w.home())
        && w.instance.spec.adopt.is_none()
        && kept.state == SlotState::Exists
        // Only an earlier attempt leaves one too many: another one is somebody's.
        && kept.doubtful
        && home.begun >= kept.started_at.0
        && let Some(surplus) = home
            .domains
            .iter()
            .find(|domain| Some(&domain.id) != kept.id.as_ref() && domain.service == service)
    {
        // A request that landed after it had been given up.
        if w.outside.looked.is_none() {
            return look_at(d);
        }
        return act(Step::Delete {
            slot: Slot::Domain,
            id: surplus.id.clone(),
            surplus: true,
        });
    }
    let Some(entry) = open(w, d, Slot::Domain) else {
        return Continue(());
    };
    if !d.untried.contains(&Slot::Domain) {
        let Some(home) = seen_now(w) else {
            return look_again(w, d, project.to_owned());
        };
        if let Some(found) = home.domains.iter().find(|domain| domain.service == service) {
            ledger::exists(&mut d.status, Slot::Domain, Some(found.id.clone()));
            d.status.url = Some(format!("https://{}", found.host));
            return Continue(());
        }
        unseen(w, d, &entry, home)?;
    }
    creating(d, "making the public address");
    act(Step::CreateDomain {
        environment: environment.to_owned(),
        service: service.to_owned(),
        port: template.port,
    })
}

/// The entry of a slot that is being made.
///
/// The intent of one that was not tried yet is begun anew where it is not of now any more: one intent covers several
/// slots, and when a request can no longer land is counted from its intent.
fn open(w: &World, d: &mut Draft, slot: Slot) -> Option<LedgerEntry> {
    let entry = ledger::entry_mut(&mut d.status, slot)
        .filter(|entry| entry.state == SlotState::Creating)?;
    let age = w.now.duration_since(entry.started_at.0);
    if d.untried.contains(&slot) && age > w.limits.request / 10 {
        entry.started_at = ledger::moment(w.now);
    }
    Some(entry.clone())
}

/// What to make of something that a reading lacks, or shows otherwise than it was left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The reading began late enough to be believed.
    None,
    /// It did not, and by now one would: look.
    Look,
    /// It did not. Where it shows more than that it is old, there is a time to look again: no news may come of itself,
    /// because the next listing shows the same.
    Wait,
}

/// How far a reading begun then is believed about something that was written at `since`.
pub(super) fn doubt(w: &World, d: &mut Draft, begun: Timestamp, since: Timestamp) -> Doubt {
    let believable = w.limits.landed_by(since);
    if begun >= believable {
        return Doubt::None;
    }
    if begun < since {
        return Doubt::Wait;
    }
    if w.now >= believable && w.outside.looked.is_none() {
        return Doubt::Look;
    }
    d.again(believable.max(w.now + SignedDuration::from_secs(1)));
    Doubt::Wait
}

/// Reads the recorded project.
pub(super) fn look_at(d: &Draft) -> Phase {
    let project = id(&d.status, Slot::Project).unwrap_or_default();
    act(Step::Look { project })
}

/// The project as read by itself in this pass.
fn seen_now(w: &World) -> Option<&Home> {
    w.outside.looked.as_ref().and_then(Sight::seen)
}

/// A lost attempt was not found: wait until it can no longer land unseen, then begin another.
fn unseen(w: &World, d: &mut Draft, entry: &LedgerEntry, home: &Home) -> Phase {
    let landed_by = w.limits.landed_by(entry.started_at.0);
    if home.begun < landed_by {
        let message = format!(
            "the answer to an earlier attempt to make the {} was lost; looking for it before another is made",
            entry.slot
        );
        d.working_on(kind::PROJECT_READY, reason::OUTCOME_UNKNOWN, message);
        return wait(Some(
            landed_by.max(w.now + SignedDuration::from_millis(200)),
        ));
    }
    begin_again(w, d, entry.slot);
    Continue(())
}

fn begin_again(w: &World, d: &mut Draft, slot: Slot) {
    let account = w.instance.spec.account_ref.name.0.clone();
    ledger::begin(
        &mut d.status,
        slot,
        RAILWAY,
        &account,
        w.marker(slot).outside_name(),
        w.now,
    );
    d.untried.insert(slot);
}

/// A service, volume or domain that was deleted at the provider is made again: absence is believed only from a
/// reading begun late enough, and confirmed by the project's own answer.
fn forget_what_is_gone(w: &World, d: &mut Draft, template: &TemplateReady, project: &str) -> Phase {
    let Sight::Seen(home) = w.home() else {
        return Continue(());
    };
    let mut missing = Vec::new();
    for slot in [Slot::Service, Slot::Volume, Slot::Domain] {
        let (Some(id), Some(entry)) = (id(&d.status, slot), ledger::entry(&d.status, slot)) else {
            continue;
        };
        let since = entry.started_at.0;
        let there = match slot {
            Slot::Service => home.services.iter().any(|service| service.id == id),
            Slot::Volume => home.volumes.iter().any(|volume| volume.id == id),
            _ => home.domains.iter().any(|domain| domain.id == id),
        };
        if !there && doubt(w, d, home.begun, since) != Doubt::Wait {
            missing.push(slot);
        }
    }
    if missing.is_empty() {
        return Continue(());
    }
    if w.outside.looked.is_none() {
        return act(Step::Look {
            project: project.to_owned(),
        });
    }
    let adopted = w.instance.spec.adopt.is_some();
    if let Some(slot) = missing
        .iter()
        .find(|slot| adopted && **slot != Slot::Domain)
    {
        return adopt::lost(d, &slot.to_string());
    }
    if missing.contains(&Slot::Volume)
        && w.instance.spec.on_external_deletion != Some(OnExternalDeletion::Recreate)
    {
        let message = "the volume was deleted at the provider, and its data with it; set onExternalDeletion to Recreate to go on with an empty one, or delete this instance";
        d.stalled_on(kind::PROJECT_READY, reason::DELETED_EXTERNALLY, message);
        return wait(None);
    }
    let names: Vec<String> = missing.iter().map(Slot::to_string).collect();
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::DRIFTED,
        action: "Mend",
        note: format!(
            "deleted at the provider and made again: {}",
            names.join(", ")
        ),
    });
    for slot in &missing {
        d.status.external.retain(|entry| entry.slot != *slot);
    }
    if missing.contains(&Slot::Service) {
        // Its address and configuration went with it.
        d.status
            .external
            .retain(|entry| !matches!(entry.slot, Slot::Domain | Slot::Configuration));
        d.status.deployment = None;
        d.status.variables.clear();
    }
    if missing.contains(&Slot::Volume) && !missing.contains(&Slot::Service) {
        deploy_with_disk(w, d, template, &home);
    }
    Continue(())
}
