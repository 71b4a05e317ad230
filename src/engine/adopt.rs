//! Taking over what runs already (`spec.adopt`): a project that a person or another manager made, with the agent in it.
//!
//! What holds: adopting looks, writes the ledger and changes nothing outside, so that it may be interrupted and repeated
//! anywhere; what runs is left as it was found until the instance takes its template's revision; of a project that
//! others live in nothing is ever deleted but the agent's own service and volume; nothing adopted is made again by
//! itself, because the variables that it ran with are known to nobody here. Two objects never hold the same thing: the
//! ledger decides, and where it does not yet, the older object.
//!
//! Deliberately absent: the tools of an adopted agent (`tools`), and finding projects (`import`).

use super::draft::{Draft, Phase, act, wait};
use super::ledger;
use super::step::Step;
use super::world::{AccountView, World};
use crate::api::condition::{kind, reason};
use crate::api::instance::{Adopt, DeletionPolicy, OperatingMode, Ownership, UpdatePolicy};
use crate::api::template::ResolvedImage;
use crate::api::{
    AgentInstance, AgentInstanceStatus, DeploymentState, DeploymentStatus, LedgerEntry, Origin,
    Slot, SlotState,
};
use crate::engine::world::{RolloutTurn, TemplateReady};
use crate::model::slot::{RAILWAY, SlotKind, SlotRow, Undo};
use crate::model::{Announcement, Deployment, Home, Sight};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::ops::ControlFlow::Continue;

/// Two objects of the same second may come to us in either order: until so long after its creation nothing is adopted,
/// and by then both are known and the same one wins for everyone.
pub(super) const TOGETHER: SignedDuration = SignedDuration::from_secs(2);

/// A project that could not be adopted is looked at again after so long: each look is a request.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// A listing that is too old to show what is to be adopted is followed by another within an interval; looking whether it has
/// come is no request.
const LISTED: SignedDuration = SignedDuration::from_secs(5);

/// Whether an adopted agent stays as it was found for now, so that nothing is made for a revision that it does not take.
pub(super) fn stays(w: &World, d: &Draft, template: &TemplateReady) -> bool {
    let takes = w.instance.spec.update_policy == UpdatePolicy::Automatic
        && w.instance.spec.operating_mode == OperatingMode::Running
        && template.turn == RolloutTurn::Yes;
    ledger::as_found(&d.status) && !takes
}

/// Whether a project is shared with others.
pub(super) fn shared(instance: &AgentInstance) -> bool {
    let adopt = instance.spec.adopt.as_ref();
    adopt.is_some_and(|adopt| adopt.ownership == Ownership::Shared)
}

/// Takes the project over, or says why not.
pub(super) fn project(w: &World, d: &mut Draft, wanted: &Adopt) -> Phase {
    if let Some(other) = &w.adopted_by {
        // Of other namespaces nobody learns who is there.
        let own = format!("{}/", w.instance.namespace().unwrap_or_default());
        let other = match other.starts_with(&own) {
            true => other.as_str(),
            false => "an instance of another namespace",
        };
        let message = format!(
            "project {} is already adopted by {other}; delete one of the two instances",
            wanted.project_id.0
        );
        return failed(d, message, w.recheck());
    }
    let created = w.instance.metadata.creation_timestamp.as_ref();
    if let Some(until) = created.map(|created| created.0 + TOGETHER)
        && until > w.now
    {
        looking(d);
        return wait(Some(until));
    }
    let home = match &w.outside.looked {
        // One listing is read for all, once an interval: what it does not show is not asked for by itself.
        None if !shown(w, wanted) => return not_shown(w, d, wanted),
        None => {
            looking(d);
            let project = wanted.project_id.0.clone();
            return act(Step::Look { project });
        }
        Some(Sight::Unknown) => {
            looking(d);
            return wait(Some(w.now + SignedDuration::from_secs(1)));
        }
        Some(Sight::Seen(home)) if !home.deleted && home.id == wanted.project_id.0 => home,
        Some(_) => return not_there(w, d, wanted),
    };
    if let Some(why) = unfit(w, wanted, home) {
        return failed(d, why, w.now + AGAIN);
    }
    record(w, d, wanted, home);
    d.announcements.push(Announcement {
        warning: false,
        reason: reason::ADOPTED,
        action: "Adopt",
        note: format!(
            "adopted project {} ({}) as it is; nothing was changed there",
            home.id, home.name
        ),
    });
    Continue(())
}

/// Whether the last believed listing shows the project.
fn shown(w: &World, wanted: &Adopt) -> bool {
    let mut homes = w.outside.homes.iter();
    homes.any(|home| !home.deleted && home.id == wanted.project_id.0)
}

/// The last believed listing does not show the project: one that is older than the instance may only be too old.
fn not_shown(w: &World, d: &mut Draft, wanted: &Adopt) -> Phase {
    let created = w.instance.metadata.creation_timestamp.as_ref();
    let since = created.map_or(w.now, |created| created.0 + TOGETHER);
    if w.outside.listing.is_some_and(|begun| begun >= since) {
        return not_there(w, d, wanted);
    }
    looking(d);
    wait(Some(w.now + LISTED))
}

fn not_there(w: &World, d: &mut Draft, wanted: &Adopt) -> Phase {
    let message = format!(
        "project {} is not in the workspace of ProviderAccount {}; delete this instance, and make one with the right adopt.projectId and accountRef",
        wanted.project_id.0, w.instance.spec.account_ref.name
    );
    failed(d, message, w.now + AGAIN)
}

fn looking(d: &mut Draft) {
    let message = "looking at the project to adopt";
    d.working_on(kind::PROJECT_READY, reason::CREATING, message);
}

fn failed(d: &mut Draft, message: String, again: Timestamp) -> Phase {
    d.stalled_on(kind::PROJECT_READY, reason::ADOPTION_FAILED, message);
    wait(Some(again))
}

/// Why the project that was found cannot be this instance's.
fn unfit(w: &World, wanted: &Adopt, home: &Home) -> Option<String> {
    let (project, remedy) = (
        &home.id,
        "delete this instance, and make one with the right ids",
    );
    if let Some(marker) = &home.marker
        && *marker != w.marker(Slot::Project)
    {
        return Some(format!(
            "project {project} is that of another AgentInstance, as its description at Railway says; if that one is gone for good, whoever runs Yardmaster here can empty the description"
        ));
    }
    if home.environment.as_ref() != Some(&wanted.environment_id.0) {
        return Some(format!(
            "environment {} is not the one that project {project} runs in; {remedy}",
            wanted.environment_id.0
        ));
    }
    let (own, others): (Vec<_>, Vec<_>) = home
        .services
        .iter()
        .partition(|service| service.id == wanted.service_id.0);
    if own.is_empty() {
        return Some(format!(
            "service {} is not in project {project}; {remedy}",
            wanted.service_id.0
        ));
    }
    if wanted.ownership == Ownership::Dedicated && !others.is_empty() {
        // The project would go with this instance, and everything in it.
        return Some(format!(
            "project {project} holds {} other services, which would be deleted with this instance; delete it, and make one with adopt.ownership: Shared",
            others.len()
        ));
    }
    None
}

/// The ledger of what was found. Everything counts from the reading that showed it.
fn record(w: &World, d: &mut Draft, wanted: &Adopt, home: &Home) {
    let seen = ledger::moment(home.begun);
    let mut found = |slot, key: &str, id: Option<String>| {
        let account = w.instance.spec.account_ref.name.0.clone();
        let entry = LedgerEntry {
            origin: Origin::Adopted,
            state: SlotState::Exists,
            key: key.chars().take(128).collect(),
            id,
            ..LedgerEntry::new(slot, RAILWAY, account, seen.clone())
        };
        ledger::put(&mut d.status, entry);
    };
    let service = &wanted.service_id.0;
    found(Slot::Project, &home.name, Some(home.id.clone()));
    found(Slot::Environment, "", home.environment.clone());
    let name = home.services.iter().find(|one| one.id == *service);
    let name = name.map_or("", |one| one.name.as_str());
    found(Slot::Service, name, Some(service.clone()));
    let volume = |volume: &&crate::model::Volume| volume.service.as_ref() == Some(service);
    if let Some(volume) = home.volumes.iter().find(volume) {
        let mount = volume.mount_path.as_deref().unwrap_or_default();
        found(Slot::Volume, mount, Some(volume.id.clone()));
    }
    let domain = home.domains.iter().find(|one| one.service == *service);
    if let Some(domain) = domain {
        found(Slot::Domain, &domain.host, Some(domain.id.clone()));
    }
    found(Slot::Configuration, "", home.configuration_tag.clone());
    d.status.url = domain.map(|domain| format!("https://{}", domain.host));
    let newest = home.newest(service);
    d.status.deployment = newest.map(|newest| DeploymentStatus {
        id: Some(newest.id.clone()),
        state: newest.state.clone(),
        ready: false,
        since: seen,
        answer: None,
    });
    if let Some(newest) = newest {
        follow(&mut d.status, newest);
    }
}

/// What runs as it was found may be changed by those who made it: it is told, never set back.
pub(super) fn follow(status: &mut AgentInstanceStatus, newest: &Deployment) {
    let Some(runs) = newest.image.as_deref().filter(|_| ledger::as_found(status)) else {
        return;
    };
    let digest = runs.split_once('@').map_or("", |(_, digest)| digest);
    status.image = Some(ResolvedImage {
        requested: runs.chars().take(512).collect(),
        digest: digest.chars().take(128).collect(),
    });
}

/// Nothing of the adopted service is deployed, and not because we ended it: to begin it is for those who ended it, or
/// for the template's revision.
pub(super) fn not_deployed(d: &mut Draft) -> Phase {
    let message = "nothing of the adopted service is deployed; deploy it at Railway, or set updatePolicy to Automatic to deploy the template's revision";
    d.stalled_on(kind::DEPLOYED, reason::NOT_DEPLOYED, message);
    wait(None)
}

/// Something adopted was deleted at the provider: it is told, and nothing is made in its place.
pub(super) fn lost(d: &mut Draft, what: &str) -> Phase {
    let message = format!(
        "the adopted {what} was deleted at the provider; what was adopted is not made again: delete this instance"
    );
    d.stalled_on(kind::PROJECT_READY, reason::DELETED_EXTERNALLY, message);
    if let Some(known) = &mut d.status.deployment {
        known.ready = false;
        known.state = DeploymentState::Removed;
    }
    wait(None)
}

/// How a slot of this instance is taken back: in a project that others live in, by itself.
pub(super) fn undo(instance: &AgentInstance, row: &SlotRow) -> Undo {
    match row.slot {
        SlotKind::One(Slot::Project) if shared(instance) => Undo::WithProject,
        SlotKind::One(Slot::Service | Slot::Volume) if shared(instance) => Undo::Delete,
        _ => row.undo,
    }
}

/// The service goes before its volume: Railway refuses to delete one that is attached (`facts/predecessors.md` A9), and
/// the volume is on record, so that it cannot be forgotten.
pub(super) fn in_order(left: &mut [LedgerEntry]) {
    left.sort_by_key(|entry| entry.slot == Slot::Volume);
}

/// A volume whose making was never answered is looked for while its service still shows whose it is.
pub(super) fn find_volume(w: &World, d: &mut Draft) -> Phase {
    let lost = ledger::entry(&d.status, Slot::Volume)
        .filter(|entry| entry.id.is_none() && entry.state == SlotState::Creating)
        .map(|entry| entry.started_at.0);
    let ids = ledger::id(&d.status, Slot::Project).zip(ledger::id(&d.status, Slot::Service));
    let (Some(since), Some((project, service))) = (lost, ids) else {
        return Continue(());
    };
    let kept = w.instance.spec.deletion_policy == DeletionPolicy::Retain;
    let usable = matches!(w.account, AccountView::Ready(_)) && w.pass.fault.is_none();
    if !shared(&w.instance) || kept || !usable {
        return Continue(());
    }
    let home = match &w.outside.looked {
        None => return act(Step::Look { project }),
        Some(Sight::Seen(home)) => home,
        // With the project went everything in it.
        Some(Sight::Absent { .. }) => return Continue(()),
        Some(Sight::Unknown) => return wait(Some(w.now + SignedDuration::from_secs(1))),
    };
    let own = |one: &&crate::model::Volume| one.service.as_ref() == Some(&service);
    let found = home.volumes.iter().find(own).map(|one| one.id.clone());
    let landed_by = w.limits.landed_by(since);
    match found {
        Some(id) => ledger::exists(&mut d.status, Slot::Volume, Some(id)),
        None if home.begun >= landed_by => ledger::planned(&mut d.status, Slot::Volume),
        None => {
            let next = landed_by.max(w.now + SignedDuration::from_secs(1));
            return wait(Some(next));
        }
    }
    Continue(())
}

/// Whether a reading of the project shows that a slot is no longer there.
pub(super) fn is_gone(home: &Home, slot: Slot, id: &str) -> bool {
    home.deleted
        || match slot {
            Slot::Service => home.services.iter().all(|one| one.id != id),
            Slot::Volume => home.volumes.iter().all(|one| one.id != id),
            _ => false,
        }
}

/// What people hear when an instance goes whose project stays.
pub(super) fn stays_behind(w: &World, d: &mut Draft) {
    let Some(adopt) = w
        .instance
        .spec
        .adopt
        .as_ref()
        .filter(|_| shared(&w.instance) && ledger::entry(&d.status, Slot::Project).is_some())
    else {
        return;
    };
    d.announcements.push(Announcement {
        warning: false,
        reason: reason::RETAINED,
        action: "LeaveBehind",
        note: format!(
            "project {} stays with all that is not this agent's, because adopt.ownership is Shared",
            adopt.project_id.0
        ),
    });
}
