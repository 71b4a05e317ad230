//! The disk: made, found again, mounted where it belongs, and deployed with.
//!
//! Holds: nothing runs without its disk, nor with a former one; what holds data is never deleted as one too many where it may be
//! somebody's.

use super::attempt::{begin_again, look_again, open, unseen};
use super::draft::{Draft, Phase, PhaseEnd, act};
use super::following::{self};
use super::home::{creating, turn};
use super::sight::{Doubt, doubt, look_at, seen_now};
use super::step::Step;
use super::world::{Desired, TemplateReady, World};
use super::{ledger, rollout};
use crate::api::DeploymentStatus;
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::OperatingMode;
use crate::api::{Slot, SlotState};
use crate::model::Announcement;
use crate::model::{Deployment, DeploymentState, Gate, Home, Sight, Volume};
use std::ops::ControlFlow::{Break, Continue};

pub(super) fn volume(
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
    let never_complete = w.instance.spec.adopt.is_none() && !ledger::made_once(&d.status);
    let again = ledger::entry(&d.status, Slot::Volume)
        .is_some_and(|entry| entry.state == SlotState::Exists && entry.doubtful);
    let never_ran = |home: &Home| match home.deployments.is_empty() {
        true => never_complete,
        // A service with two disks does not start.
        false => never_deployed(w, d) && home.deployments.iter().all(failed),
    };
    // Only an earlier attempt leaves one too many: another one is somebody's.
    if let (Some(kept), Sight::Seen(home), true) =
        (ledger::id(&d.status, Slot::Volume), w.home(), again)
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
        let kept = ledger::id(&d.status, Slot::Volume);
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
        if matches!(held, PhaseEnd::Wait(_)) {
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
pub(super) fn never_deployed(w: &World, d: &Draft) -> bool {
    let timings = d.status.timings.as_ref();
    w.instance.spec.adopt.is_none() && timings.is_none_or(|timings| timings.deployed.is_none())
}

pub(super) fn failed(deployment: &Deployment) -> bool {
    deployment.state == DeploymentState::Failed
}

/// The volume is there: is it where it belongs? Nothing is deployed before it is, because what would run had no disk; and
/// what runs may have none, so that it is deployed anew when it has.
pub(super) fn attachment(
    w: &World,
    d: &mut Draft,
    template: &TemplateReady,
    environment: &str,
    service: &str,
) -> Phase {
    let (Some(mount), Some(id)) = (&template.volume_mount, ledger::id(&d.status, Slot::Volume))
    else {
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
    let takes = following::follows(w) && matches!(w.desired, Desired::Composed(_));
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
pub(super) fn deploy_with_disk(w: &World, d: &mut Draft, template: &TemplateReady, home: &Home) {
    let runs = w.instance.spec.operating_mode == OperatingMode::Running;
    let news = runs && outlived(w, d, home);
    let waits = rollout::behind(&d.status, &template.revision) && !following::follows(w);
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

/// What runs has no disk, or a former one: another deployment is to come in its place. Whether that is news.
pub(super) fn outlived(w: &World, d: &mut Draft, home: &Home) -> bool {
    let Some(newest) =
        ledger::id(&d.status, Slot::Service).and_then(|service| home.newest(&service))
    else {
        return false;
    };
    let known = d.status.deployment.as_ref();
    if known.is_some_and(|known| known.is(&newest.id) && known.is_superseded()) {
        return false;
    }
    d.status.deployment = Some(DeploymentStatus {
        id: Some(newest.id.clone()),
        state: DeploymentState::Superseded,
        ready: false,
        since: ledger::moment(w.now),
        answer: None,
    });
    true
}
