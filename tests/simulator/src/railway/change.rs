//! Changing a project: patches of the environment's config and what follows from them.
//!
//! Every change of configuration, typed mutation or patch, comes through [`apply`], so the config, the objects it names
//! and the deployments it causes never disagree.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::access::Refusal;
use super::config;
use super::deploying::{Moment, Source, deploy};
use super::rows::{Domain, Instance, Project, VolumeInstance};
use crate::clock::after;

/// Applies a patch to an environment and deploys every service that it changed.
pub(crate) fn apply(
    project: &mut Project,
    environment: usize,
    patch: &Value,
    deploys: bool,
    moment: &Moment<'_>,
) {
    let Some(row) = project.environments.get(environment) else {
        return;
    };
    let before = row.config.clone();
    let mut patch = patch.clone();
    let removed = take_known(project, environment, &mut patch, moment);
    if let Some(row) = project.environments.get_mut(environment) {
        config::merge(&mut row.config, &patch, false);
    }
    for service_id in &removed {
        forget_service(project, environment, service_id, moment);
    }
    settle_domains(project, environment, moment);
    settle_volumes(project, environment);
    let Some(row) = project.environments.get_mut(environment) else {
        return;
    };
    if row.config == before {
        return;
    }
    row.revision += 1;
    row.updated_at = moment.now;
    let now_shared = &row.config["sharedVariables"];
    let shared_changed = *now_shared != before["sharedVariables"];
    let services = row.config["services"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let changed = services.iter().filter(|(id, part)| {
        let uses_shared = || part["variables"].to_string().contains("${{shared.");
        **part != before["services"][id.as_str()] || (shared_changed && uses_shared())
    });
    let changed: Vec<String> = changed.map(|(id, _)| id.clone()).collect();
    for instance in &mut row.instances {
        if changed.contains(&instance.service_id) {
            instance.updated_at = moment.now;
        }
    }
    project.updated_at = moment.now;
    if deploys {
        for service_id in changed {
            deploy(
                project,
                environment,
                &service_id,
                &Source::Configured,
                moment,
            );
        }
    }
}

/// Drops what the patch says about services and volumes that are not here, and the marks that are no configuration.
/// Answers the services that the patch deletes.
fn take_known(
    project: &mut Project,
    environment: usize,
    patch: &mut Value,
    moment: &Moment<'_>,
) -> Vec<String> {
    let mut removed = Vec::new();
    let mut created = Vec::new();
    if let Some(services) = patch.get_mut("services").and_then(Value::as_object_mut) {
        services.retain(|id, part| project.service(id).is_some() && part.is_object());
        for (id, part) in services.iter_mut() {
            match marks(part) {
                (_, true) => removed.push(id.clone()),
                (true, false) => created.push(id.clone()),
                (false, false) => {}
            }
        }
    }
    for id in created {
        add_instance(project, environment, &id, moment.now);
    }
    let here = |project: &Project, id: &str| {
        let instances = project
            .environments
            .get(environment)
            .map(|row| &row.instances);
        instances.is_some_and(|rows| rows.iter().any(|instance| instance.service_id == *id))
    };
    if let Some(services) = patch.get_mut("services").and_then(Value::as_object_mut) {
        services.retain(|id, _| here(project, id));
    }
    let mut dropped = Vec::new();
    if let Some(volumes) = patch.get_mut("volumes").and_then(Value::as_object_mut) {
        let known = |id: &str| project.volumes.iter().any(|volume| volume.id == *id);
        volumes.retain(|id, part| known(id) && part.is_object());
        for (id, part) in volumes.iter_mut() {
            if let (_, true) = marks(part) {
                dropped.push(id.clone());
            }
        }
    }
    for id in dropped {
        delete_volume(project, &id, moment);
    }
    removed
}

fn marks(part: &mut Value) -> (bool, bool) {
    let Some(fields) = part.as_object_mut() else {
        return (false, false);
    };
    let created = fields.remove("isCreated");
    let deleted = fields.remove("isDeleted");
    (
        created == Some(Value::Bool(true)),
        deleted == Some(Value::Bool(true)),
    )
}

pub(crate) fn add_instance(
    project: &mut Project,
    environment: usize,
    service_id: &str,
    now: Timestamp,
) {
    let id = project.bear();
    let Some(row) = project.environments.get_mut(environment) else {
        return;
    };
    if row
        .instances
        .iter()
        .any(|instance| instance.service_id == service_id)
    {
        return;
    }
    let service_id = service_id.to_owned();
    row.instances.push(Instance {
        id,
        service_id,
        created_at: now,
        updated_at: now,
    });
}

/// Takes a service out of one environment, with its domains and deployments.
pub(crate) fn forget_service(
    project: &mut Project,
    environment: usize,
    service_id: &str,
    moment: &Moment<'_>,
) {
    let Some(row) = project.environments.get_mut(environment) else {
        return;
    };
    row.instances
        .retain(|instance| instance.service_id != service_id);
    row.domains.retain(|domain| domain.service_id != service_id);
    row.deployments
        .retain(|deployment| deployment.service_id != service_id);
    for volume in &mut row.volume_instances {
        if volume.service_id.as_deref() == Some(service_id) {
            volume.service_id = None;
        }
    }
    if let Some(services) = row.config["services"].as_object_mut()
        && services.remove(service_id).is_some()
    {
        row.revision += 1;
        row.updated_at = moment.now;
    }
    project.updated_at = moment.now;
}

/// Everywhere, or in one environment only.
pub(crate) fn delete_service(
    project: &mut Project,
    index: usize,
    environment_id: Option<&str>,
    moment: &Moment<'_>,
) -> Result<(), Refusal> {
    let id = project.services[index].id.clone();
    let environments: Vec<usize> = match environment_id {
        Some(id) => {
            vec![
                project
                    .environment(id)
                    .ok_or_else(|| Refusal::not_found("Environment"))?,
            ]
        }
        None => (0..project.environments.len()).collect(),
    };
    for environment in environments {
        forget_service(project, environment, &id, moment);
    }
    let mut rows = project.environments.iter().flat_map(|row| &row.instances);
    if !rows.any(|row| row.service_id == id) {
        project.services.retain(|service| service.id != id);
    }
    Ok(())
}

pub(crate) fn delete_domain(
    project: &mut Project,
    environment: usize,
    index: usize,
    moment: &Moment<'_>,
) {
    let row = &project.environments[environment].domains[index];
    let domains = json!({ row.domain.clone(): null });
    let networking = json!({ "networking": { "serviceDomains": domains } });
    let patch = json!({ "services": { row.service_id.clone(): networking } });
    apply(project, environment, &patch, false, moment);
}

/// Softly: the volume stays listed as pending deletion until its grace period is over.
pub(crate) fn delete_volume(project: &mut Project, volume_id: &str, moment: &Moment<'_>) {
    let gone_at = after(moment.now, moment.settings.delete_grace);
    for row in &mut project.environments {
        for instance in row
            .volume_instances
            .iter_mut()
            .filter(|row| row.volume_id == volume_id)
        {
            instance.deleted_at.get_or_insert(gone_at);
            instance.service_id = None;
        }
        let before = row.config.clone();
        let patch = json!({ "volumes": { volume_id: null } });
        config::merge(&mut row.config, &patch, false);
        for service in row.config["services"]
            .as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
        {
            let unmount = json!({ "volumeMounts": { volume_id: null } });
            if service.get("volumeMounts").is_some() {
                config::merge(service, &unmount, false);
            }
        }
        if row.config != before {
            row.revision += 1;
            row.updated_at = moment.now;
        }
    }
    project.updated_at = moment.now;
}

/// Domains are what the config says: named in it, they exist; no longer named, they are gone.
fn settle_domains(project: &mut Project, environment: usize, moment: &Moment<'_>) {
    let Some(row) = project.environments.get(environment) else {
        return;
    };
    let mut wanted: Vec<(String, String, Option<i32>)> = Vec::new();
    for (service_id, part) in row.config["services"].as_object().into_iter().flatten() {
        let domains = part["networking"]["serviceDomains"].as_object();
        for (domain, settings) in domains.into_iter().flatten() {
            let port = settings["port"]
                .as_i64()
                .and_then(|port| i32::try_from(port).ok());
            wanted.push((domain.clone(), service_id.clone(), port));
        }
    }
    let new = wanted
        .iter()
        .filter(|(name, ..)| row.domains.iter().all(|row| row.domain != *name));
    let new: Vec<_> = new.cloned().collect();
    let new: Vec<Domain> = new
        .into_iter()
        .map(|(domain, service_id, target_port)| Domain {
            id: project.bear(),
            domain,
            service_id,
            target_port,
            created_at: moment.now,
            updated_at: moment.now,
        })
        .collect();
    let Some(row) = project.environments.get_mut(environment) else {
        return;
    };
    row.domains.extend(new);
    row.domains.retain_mut(|row| {
        let Some((_, _, port)) = wanted.iter().find(|(name, ..)| *name == row.domain) else {
            return false;
        };
        if row.target_port != *port {
            row.target_port = *port;
            row.updated_at = moment.now;
        }
        true
    });
}

/// A volume is mounted where the config says.
fn settle_volumes(project: &mut Project, environment: usize) {
    let Some(row) = project.environments.get_mut(environment) else {
        return;
    };
    let services = row.config["services"].as_object();
    let mounted = |instance: &VolumeInstance| {
        services
            .into_iter()
            .flatten()
            .find_map(|(service_id, part)| {
                let mut mounts = config::mounts(part);
                let (_, path) = mounts.find(|(volume, _)| **volume == instance.volume_id)?;
                Some((service_id.clone(), path.to_owned()))
            })
    };
    for instance in &mut row.volume_instances {
        match mounted(instance) {
            Some((service_id, path)) => {
                instance.service_id = Some(service_id);
                instance.mount_path = path;
            }
            None => instance.service_id = None,
        }
    }
}

/// Applies what is due by now: patches on their way, a scheduled deletion.
pub(crate) fn settle(project: &mut Project, moment: &Moment<'_>) {
    project.due_at = None;
    for environment in 0..project.environments.len() {
        let patches = project.environments[environment].patches.iter();
        let due = patches.enumerate().filter(|(_, patch)| !patch.applied);
        let due: Vec<_> = due.map(|(at, patch)| (at, patch.clone())).collect();
        for (at, patch) in due {
            if patch.apply_at > moment.now {
                project.wake_at(patch.apply_at);
                continue;
            }
            let then = Moment {
                now: patch.apply_at,
                ..*moment
            };
            apply(project, environment, &patch.patch, true, &then);
            project.environments[environment].patches[at].applied = true;
        }
    }
    match project.scheduled_at {
        Some(at) if at <= moment.now => {
            project.deleted_at.get_or_insert(at);
            project.scheduled_at = None;
        }
        Some(at) => project.wake_at(at),
        None => {}
    }
}
