//! What lives at Railway and what it costs a month, by the prices of facts/railway.md 1.6.
//!
//! A running deployment is charged for its limits: the most it can cost. A volume is charged for its size. Everything
//! else is free.

use jiff::Timestamp;

use super::Railway;
use super::config;
use super::deployment::Status;
use super::rows::{Environment, Project};
use crate::clock::text;
use crate::inventory::Resource;
use crate::settings::PlanName;

const USD_PER_VCPU: f64 = 20.0;
const USD_PER_GB_MEMORY: f64 = 10.0;
const USD_PER_GB_VOLUME: f64 = 0.15;

/// Size of a volume that was created without one.
pub(crate) fn default_volume_mb(plan: PlanName) -> i64 {
    match plan {
        PlanName::Free | PlanName::Trial => 500,
        PlanName::Hobby => 5_000,
        PlanName::Pro => 50_000,
    }
}

pub(crate) fn volume_size_mb(environment: &Environment, volume_id: &str) -> i64 {
    environment.config["volumes"][volume_id]["sizeMB"]
        .as_i64()
        .unwrap_or(0)
}

/// Everything that lives now, of all workspaces.
pub(crate) fn resources(railway: &Railway, now: Timestamp) -> Vec<Resource> {
    railway
        .projects(now)
        .iter()
        .flat_map(|project| of_project(project, now))
        .collect()
}

fn of_project(project: &Project, now: Timestamp) -> Vec<Resource> {
    let resource = |kind, id: &str, name: &str, created_at, monthly_usd| Resource {
        provider: "railway",
        kind,
        id: id.to_owned(),
        name: name.to_owned(),
        workspace: project.workspace.clone(),
        description: None,
        parent: Some(project.id.clone()),
        created_at: text(created_at),
        monthly_usd,
        spent_usd: 0.0,
    };
    let mut rows = vec![Resource {
        description: project.description.clone(),
        parent: None,
        ..resource(
            "project",
            &project.id,
            &project.name,
            project.created_at,
            0.0,
        )
    }];
    for service in &project.services {
        rows.push(resource(
            "service",
            &service.id,
            &service.name,
            service.created_at,
            0.0,
        ));
    }
    for volume in &project.volumes {
        let instances = project.environments.iter().flat_map(|row| {
            let own = row
                .volume_instances
                .iter()
                .filter(|at| at.volume_id == volume.id);
            own.map(move |instance| (row, instance))
        });
        let instances: Vec<_> = instances.collect();
        let living: Vec<_> = instances
            .iter()
            .filter(|(_, at)| at.deleted_at.is_none())
            .collect();
        if living.is_empty() && !instances.is_empty() {
            continue;
        }
        let size: i64 = living
            .iter()
            .map(|(row, _)| volume_size_mb(row, &volume.id))
            .sum();
        let usd = size as f64 / 1000.0 * USD_PER_GB_VOLUME;
        rows.push(resource(
            "volume",
            &volume.id,
            &volume.name,
            volume.created_at,
            usd,
        ));
    }
    for environment in &project.environments {
        for domain in &environment.domains {
            rows.push(resource(
                "domain",
                &domain.id,
                &domain.domain,
                domain.created_at,
                0.0,
            ));
        }
        for (index, deployment) in environment.deployments.iter().enumerate() {
            let Some(state) = environment.state(index, now) else {
                continue;
            };
            if state.stopped || !state.status.is_alive() {
                continue;
            }
            let (cpu, memory) = config::limits(&deployment.config);
            let usd = match state.status {
                Status::Sleeping => 0.0,
                _ => cpu * USD_PER_VCPU + memory * USD_PER_GB_MEMORY,
            };
            let image = &deployment.image;
            rows.push(resource(
                "deployment",
                &deployment.id,
                image,
                deployment.created_at,
                usd,
            ));
        }
    }
    rows
}
