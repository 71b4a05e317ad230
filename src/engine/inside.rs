//! What is in the project: service, volume and domain, each found again, made, kept and mounted where it belongs.
//!
//! Holds: what holds data is never deleted as one too many where it may be somebody's; nothing runs without its disk.

use super::draft::{Draft, Phase, Verdict, act, wait};
use super::following::{self};
use super::home::{creating, turn};
use super::sight::{Doubt, doubt, look_at, seen_now};
use super::step::Step;
use super::world::{Desired, TemplateReady, World};
use super::{adopt, configuration, ledger, rollout};
use crate::api::DeploymentStatus;
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::{OnExternalDeletion, OperatingMode};
use crate::api::{LedgerEntry, Slot, SlotState};
use crate::model::Announcement;
use crate::model::slot::RAILWAY;
use crate::model::{Deployment, DeploymentState, Gate, Home, Sight, Volume};
use jiff::SignedDuration;
use std::ops::ControlFlow::{Break, Continue};

/// Makes sure of environment, service, volume and domain.
pub(super) fn inside(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let Some(project) = ledger::id(&d.status, Slot::Project) else {
        return wait(None);
    };
    forget_what_is_gone(w, d, template, &project)?;
    let Some(environment) = ledger::id(&d.status, Slot::Environment) else {
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
    configuration::intend(w, d, template);
    service(w, d, &project, &environment)?;
    let Some(service) = ledger::id(&d.status, Slot::Service) else {
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
fn deploy_with_disk(w: &World, d: &mut Draft, template: &TemplateReady, home: &Home) {
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
        let (Some(id), Some(entry)) = (ledger::id(&d.status, slot), ledger::entry(&d.status, slot))
        else {
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
