//! What is in the project: service, volume and domain, each found again, made, kept and mounted where it belongs.
//!
//! Holds: what holds data is never deleted as one too many where it may be somebody's; nothing runs without its disk.

use super::attempt::{begin_again, is_there, look_again, open, unseen};
use super::disk::{attachment, deploy_with_disk, volume};
use super::draft::{Draft, Phase, act, wait};
use super::home::creating;
use super::sight::{Doubt, doubt, look_at, seen_now};
use super::step::Step;
use super::world::{TemplateReady, World};
use super::{adopt, configuration, ledger};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::OnExternalDeletion;
use crate::api::{Slot, SlotState};
use crate::model::Announcement;
use crate::model::Sight;
use crate::model::slot::RAILWAY;
use std::ops::ControlFlow::Continue;

/// Makes sure of environment, service, volume and domain.
pub(super) fn inside(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let Some(project) = ledger::id(&d.status, Slot::Project) else {
        return wait(None);
    };
    forget_what_is_gone(w, d, template, &project)?;
    d.stands(w);
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
