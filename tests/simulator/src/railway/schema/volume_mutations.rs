//! Mutations of volumes.

use async_graphql::{Context, InputObject, Object, Result};
use serde_json::json;

use super::call;
use super::volume::{Volume, VolumeState};
use crate::identity::short;
use crate::railway::access::{Call, Refusal};
use crate::railway::{change, cost, naming, rows};

#[derive(Debug, InputObject)]
pub(crate) struct VolumeCreateInput {
    environment_id: Option<String>,
    mount_path: String,
    project_id: String,
    region: Option<String>,
    service_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct VolumeUpdateInput {
    name: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct VolumeInstanceUpdateInput {
    mount_path: Option<String>,
    service_id: Option<String>,
    state: Option<VolumeState>,
}

fn create(
    call: &Call,
    project: &mut rows::Project,
    input: &VolumeCreateInput,
) -> Result<usize, Refusal> {
    if !input.mount_path.starts_with('/') {
        return Err(Refusal::new("Invalid input"));
    }
    let environment = match &input.environment_id {
        Some(id) => Some(
            project
                .environment(id)
                .ok_or_else(|| Refusal::not_found("Environment"))?,
        ),
        None => None,
    };
    if let Some(service_id) = &input.service_id {
        let index = project.service(service_id);
        let service = index.map(|index| &project.services[index]);
        if !service.is_some_and(|service| call.finds(service.created_at)) {
            return Err(Refusal::not_found("Service"));
        }
        let mut rows = project.environments.iter().flat_map(|row| &row.deployments);
        if !call.settings.volume_after_deploy && rows.any(|row| row.service_id == *service_id) {
            return Err(Refusal::problem());
        }
    }
    let id = project.bear();
    let name = format!("volume-{}", short());
    project.volumes.push(rows::Volume {
        id: id.clone(),
        name,
        created_at: call.now,
    });
    project.updated_at = call.now;
    // Without an environment it is a ghost: a volume that has no instance anywhere.
    if let Some(environment) = environment {
        let instance = rows::VolumeInstance {
            id: project.bear(),
            volume_id: id.clone(),
            mount_path: input.mount_path.clone(),
            service_id: None,
            region: Some(
                input
                    .region
                    .clone()
                    .unwrap_or_else(|| "us-west2".to_owned()),
            ),
            created_at: call.now,
            deleted_at: None,
        };
        let size = cost::default_volume_mb(call.settings.plan);
        let region = instance.region.clone();
        project.environments[environment]
            .volume_instances
            .push(instance);
        let mut patch = json!({ "volumes": { &id: { "sizeMB": size, "region": region } } });
        if let Some(service_id) = &input.service_id {
            let mount = json!({ &id: { "mountPath": input.mount_path } });
            patch["services"] = json!({ service_id: { "volumeMounts": mount } });
        }
        change::apply(project, environment, &patch, false, &call.moment());
    }
    Ok(project.volumes.len() - 1)
}

#[derive(Default)]
pub(crate) struct VolumeMutations;

#[Object]
impl VolumeMutations {
    async fn volume_create(
        &self,
        context: &Context<'_>,
        input: VolumeCreateInput,
    ) -> Result<Volume> {
        let call = call(context)?;
        // A first look decides who is throttled; nothing is made before the throttle is passed.
        let ((), seen) = call.change(&input.project_id, "Project", |_| Ok(()))?;
        let workspace = seen.project.workspace.clone();
        let whose = (workspace.as_str(), &call.token);
        let (limits, settings) = (&call.railway.limits, &call.settings);
        if limits.too_soon(
            "volumeCreate",
            settings.volume_interval,
            whose,
            call.now,
            settings,
        ) {
            return Err(Refusal::new(naming::VOLUMES_TOO_QUICKLY).into());
        }
        let (index, seen) = call.change(&input.project_id, "Project", |project| {
            create(call, project, &input)
        })?;
        limits.created("volumeCreate", whose, call.now, settings);
        Ok(Volume { seen, index })
    }

    async fn volume_update(
        &self,
        context: &Context<'_>,
        input: VolumeUpdateInput,
        volume_id: String,
    ) -> Result<Volume> {
        let call = call(context)?;
        let (index, seen) = call.change(&volume_id, "Volume", |project| {
            let taken = |row: &rows::Volume| {
                row.id != volume_id && input.name.as_ref().is_some_and(|name| *name == row.name)
            };
            if project.volumes.iter().any(taken) {
                return Err(Refusal::new("Volume name already exists"));
            }
            let index = project.volumes.iter().position(|row| row.id == volume_id);
            let index = index.ok_or_else(|| Refusal::not_found("Volume"))?;
            if let Some(name) = input.name {
                project.volumes[index].name = name;
            }
            Ok(index)
        })?;
        Ok(Volume { seen, index })
    }

    async fn volume_instance_update(
        &self,
        context: &Context<'_>,
        environment_id: Option<String>,
        input: VolumeInstanceUpdateInput,
        volume_id: String,
    ) -> Result<bool> {
        let call = call(context)?;
        let _ = input.state;
        call.change(&volume_id, "VolumeInstance", |project| {
            let mut found = false;
            for environment in 0..project.environments.len() {
                let row = &project.environments[environment];
                if environment_id.as_ref().is_some_and(|id| *id != row.id) {
                    continue;
                }
                let own = row.volume_instances.iter();
                let own = own.filter(|row| row.volume_id == volume_id && row.deleted_at.is_none());
                for instance in own.cloned().collect::<Vec<_>>() {
                    found = true;
                    remount(call, project, environment, &instance, &input);
                }
            }
            if found {
                Ok(())
            } else {
                Err(Refusal::not_found("VolumeInstance"))
            }
        })?;
        Ok(true)
    }

    async fn volume_delete(&self, context: &Context<'_>, volume_id: String) -> Result<bool> {
        let call = call(context)?;
        call.change(&volume_id, "Volume", |project| {
            let known = project.volumes.iter().any(|row| row.id == volume_id);
            if !known {
                return Err(Refusal::not_found("Volume"));
            }
            change::delete_volume(project, &volume_id, &call.moment());
            // A ghost has nothing that could wait for its deletion.
            let mut rows = project
                .environments
                .iter()
                .flat_map(|row| &row.volume_instances);
            if !rows.any(|row| row.volume_id == volume_id) {
                project.volumes.retain(|row| row.id != volume_id);
            }
            Ok(())
        })?;
        Ok(true)
    }
}

/// Moves a volume to the service that the input names; without one it is disconnected.
fn remount(
    call: &Call,
    project: &mut rows::Project,
    environment: usize,
    instance: &rows::VolumeInstance,
    input: &VolumeInstanceUpdateInput,
) {
    let path = input.mount_path.as_ref().unwrap_or(&instance.mount_path);
    let mut services = json!({});
    if let Some(old) = &instance.service_id {
        services[old] = json!({ "volumeMounts": { &instance.volume_id: null } });
    }
    if let Some(new) = &input.service_id {
        services[new] = json!({ "volumeMounts": { &instance.volume_id: { "mountPath": path } } });
    }
    let patch = json!({ "services": services });
    change::apply(project, environment, &patch, false, &call.moment());
    let rows = &mut project.environments[environment].volume_instances;
    if let Some(row) = rows.iter_mut().find(|row| row.id == instance.id) {
        row.mount_path.clone_from(path);
    }
}
