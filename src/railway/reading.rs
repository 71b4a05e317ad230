//! From Railway's project to `model::Home`.
//!
//! What holds: nothing that Railway may add later makes a reading fail; what is on its way out is left aside. A
//! project shows at most 20 environments, 100 services and 100 volumes here: more than that is no agent's home
//! (`facts/railway.md` 1.6). Deliberately absent: requests.

use super::documents::{DeploymentMeta, projects};
use crate::model::words::{SENTENCE, cut};
use crate::model::{Deployment, DeploymentState, Domain, Home, Marker, Service, Volume};
use jiff::Timestamp;
use projects::{
    DeploymentStatus, HomeParts, HomePartsEnvironmentsEdgesNode as Environment,
    HomePartsEnvironmentsEdgesNodeServiceInstancesEdgesNode as Instance, VolumeState,
};
use std::collections::BTreeSet;

/// The home that these parts make up, in a reading begun at that moment.
pub(super) fn home(parts: HomeParts, begun: Timestamp) -> Home {
    let volumes = volumes(&parts);
    let services_without_instance = services_without_instance(&parts);
    let environment = environment(&parts);
    let living: Vec<&Instance> = environment
        .into_iter()
        .flat_map(|environment| &environment.service_instances.edges)
        .map(|edge| &edge.node)
        .filter(|instance| instance.deleted_at.is_none())
        .collect();
    let services = living
        .iter()
        .map(|instance| Service {
            id: instance.service_id.clone(),
            name: instance.service_name.clone(),
        })
        .chain(services_without_instance)
        .collect();
    Home {
        services,
        volumes,
        domains: living
            .iter()
            .flat_map(|instance| domains(instance))
            .collect(),
        deployments: living
            .iter()
            .filter_map(|instance| deployment(instance, begun))
            .collect(),
        configuration_tag: environment.map(|environment| environment.config_etag.clone()),
        environment: environment
            .map(|environment| environment.id.clone())
            .or_else(|| parts.primary_environment_id.clone()),
        marker: parts.description.as_deref().and_then(Marker::parse),
        created: moment(&parts.created_at, begun),
        deleted: parts.deleted_at.is_some(),
        id: parts.id,
        name: parts.name,
        begun,
    }
}

/// A time of Railway's. One that nobody can read counts as just now: what looks young is left alone.
fn moment(text: &str, begun: Timestamp) -> Timestamp {
    text.parse().unwrap_or(begun)
}

/// The primary environment, else the first that lives.
fn environment(parts: &HomeParts) -> Option<&Environment> {
    let living = || {
        parts
            .environments
            .edges
            .iter()
            .map(|edge| &edge.node)
            .filter(|environment| environment.deleted_at.is_none())
    };
    living()
        .find(|environment| Some(&environment.id) == parts.primary_environment_id.as_ref())
        .or_else(|| living().next())
}

/// Services that no environment shows yet (`facts/railway.md` 4: reads lag writes).
fn services_without_instance(parts: &HomeParts) -> Vec<Service> {
    let shown: BTreeSet<&str> = parts
        .environments
        .edges
        .iter()
        .flat_map(|edge| &edge.node.service_instances.edges)
        .map(|edge| edge.node.service_id.as_str())
        .collect();
    parts
        .services
        .edges
        .iter()
        .map(|edge| &edge.node)
        .filter(|service| service.deleted_at.is_none() && !shown.contains(service.id.as_str()))
        .map(|service| Service {
            id: service.id.clone(),
            name: service.name.clone(),
        })
        .collect()
}

/// Volumes of the environment, and those that show no instance yet (`facts/railway.md` 2.7: up to half a minute).
fn volumes(parts: &HomeParts) -> Vec<Volume> {
    let mut shown = BTreeSet::new();
    let ours = environment(parts).map(|environment| environment.id.as_str());
    let mut volumes = Vec::new();
    for edge in &parts.environments.edges {
        for instance in edge
            .node
            .volume_instances
            .edges
            .iter()
            .map(|edge| &edge.node)
        {
            shown.insert(instance.volume_id.as_str());
            let leaving = instance.is_pending_deletion
                || instance.deleted_at.is_some()
                || matches!(
                    instance.state,
                    Some(VolumeState::DELETED | VolumeState::DELETING)
                );
            if Some(edge.node.id.as_str()) == ours && !leaving {
                volumes.push(Volume {
                    id: instance.volume_id.clone(),
                    service: instance.service_id.clone(),
                    mount_path: Some(instance.mount_path.clone()),
                });
            }
        }
    }
    let not_yet = parts
        .volumes
        .edges
        .iter()
        .filter(|edge| !shown.contains(edge.node.id.as_str()));
    volumes.extend(not_yet.map(|edge| Volume {
        id: edge.node.id.clone(),
        service: None,
        mount_path: None,
    }));
    volumes
}

fn domains(instance: &Instance) -> Vec<Domain> {
    instance
        .domains
        .service_domains
        .iter()
        .filter(|domain| domain.deleted_at.is_none())
        .map(|domain| Domain {
            id: domain.id.clone(),
            service: domain.service_id.clone(),
            host: domain.domain.clone(),
        })
        .collect()
}

fn deployment(instance: &Instance, begun: Timestamp) -> Option<Deployment> {
    let latest = instance.latest_deployment.as_ref()?;
    Some(Deployment {
        id: latest.id.clone(),
        service: instance.service_id.clone(),
        state: state(&latest.status),
        created: moment(&latest.created_at, begun),
        image: latest.meta.as_ref().and_then(image),
    })
}

/// `facts/railway.md` 2.5.
fn state(status: &DeploymentStatus) -> DeploymentState {
    match status {
        DeploymentStatus::BUILDING
        | DeploymentStatus::DEPLOYING
        | DeploymentStatus::INITIALIZING
        | DeploymentStatus::QUEUED
        | DeploymentStatus::WAITING => DeploymentState::Starting,
        DeploymentStatus::SUCCESS => DeploymentState::Running,
        DeploymentStatus::SLEEPING => DeploymentState::Sleeping,
        DeploymentStatus::FAILED => DeploymentState::Failed,
        DeploymentStatus::CRASHED => DeploymentState::Crashed,
        DeploymentStatus::REMOVED | DeploymentStatus::REMOVING => DeploymentState::Removed,
        DeploymentStatus::NEEDS_APPROVAL => DeploymentState::Other("NeedsApproval".to_owned()),
        DeploymentStatus::SKIPPED => DeploymentState::Other("Skipped".to_owned()),
        DeploymentStatus::Other(word) => DeploymentState::Other(cut(word, SENTENCE)),
    }
}

/// What a deployment runs: an image that was configured by digest is itself the answer (what it resolved to may be
/// one platform's part of it); a tag is replaced by the digest that it resolved to.
fn image(meta: &DeploymentMeta) -> Option<String> {
    let image = meta.image.as_deref().filter(|image| !image.is_empty());
    let digest = meta.digest.as_deref().filter(|digest| !digest.is_empty());
    match (image, digest) {
        (Some(image), _) if image.contains('@') => Some(image.to_owned()),
        (_, Some(digest)) if digest.contains('@') => Some(digest.to_owned()),
        (Some(image), Some(digest)) => Some(format!("{}@{digest}", without_tag(image))),
        (image, digest) => image.or(digest).map(str::to_owned),
    }
}

/// A colon after the last slash begins a tag; before it, a port.
fn without_tag(image: &str) -> &str {
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[name..].find(':') {
        Some(colon) => &image[..name + colon],
        None => image,
    }
}

#[cfg(test)]
mod tests;
