//! `Volume` and `VolumeInstance`.

use async_graphql::{Enum, ID, Object};

use super::connection::{Page, Paging, connection};
use super::environment::Environment;
use super::project::Project;
use super::scalars::DateTime;
use super::service::Service;
use crate::railway::access::{Refusal, Seen};
use crate::railway::{cost, rows};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum VolumeState {
    Deleted,
    Deleting,
    Error,
    Migrating,
    MigrationPending,
    Ready,
    Restoring,
    Updating,
}

#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub seen: Seen,
    pub index: usize,
}

connection!(
    VolumeVolumeInstancesConnection,
    VolumeVolumeInstancesConnectionEdge,
    VolumeInstance
);

impl Volume {
    fn row(&self) -> &rows::Volume {
        &self.seen.project.volumes[self.index]
    }
}

#[Object]
impl Volume {
    async fn id(&self) -> ID {
        ID(self.row().id.clone())
    }

    async fn name(&self) -> &str {
        &self.row().name
    }

    async fn project_id(&self) -> &str {
        &self.seen.project.id
    }

    async fn project(&self) -> Project {
        Project(self.seen.clone())
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.row().created_at)
    }

    #[graphql(deprecation = "Use environment.volumeInstances for properly scoped access control")]
    async fn volume_instances(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> VolumeVolumeInstancesConnection {
        let mut nodes = Vec::new();
        for (environment, row) in self.seen.project.environments.iter().enumerate() {
            let own = row.volume_instances.iter().enumerate();
            let own = own.filter(|(_, instance)| {
                let view = self.seen.view;
                instance.volume_id == self.row().id && view.sees_volume(instance.created_at)
            });
            nodes.extend(own.map(|(index, _)| VolumeInstance {
                seen: self.seen.clone(),
                environment,
                index,
            }));
        }
        Page::of(
            nodes,
            &Paging {
                after,
                before,
                first,
                last,
            },
        )
        .into()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct VolumeInstance {
    pub seen: Seen,
    pub environment: usize,
    pub index: usize,
}

impl VolumeInstance {
    fn environment_row(&self) -> &rows::Environment {
        &self.seen.project.environments[self.environment]
    }

    fn row(&self) -> &rows::VolumeInstance {
        &self.environment_row().volume_instances[self.index]
    }
}

#[Object]
impl VolumeInstance {
    async fn id(&self) -> ID {
        ID(self.row().id.clone())
    }

    async fn volume_id(&self) -> &str {
        &self.row().volume_id
    }

    async fn volume(&self) -> async_graphql::Result<Volume> {
        let volumes = &self.seen.project.volumes;
        let index = volumes
            .iter()
            .position(|volume| volume.id == self.row().volume_id);
        let index = index.ok_or_else(|| Refusal::not_found("Volume"))?;
        Ok(Volume {
            seen: self.seen.clone(),
            index,
        })
    }

    async fn environment_id(&self) -> &str {
        &self.environment_row().id
    }

    async fn environment(&self) -> Environment {
        Environment {
            seen: self.seen.clone(),
            index: self.environment,
        }
    }

    async fn service_id(&self) -> Option<&str> {
        self.row().service_id.as_deref()
    }

    /// Fails where nothing mounts the volume, as at Railway.
    async fn service(&self) -> async_graphql::Result<Service> {
        let service = self.row().service_id.as_deref();
        let index = service.and_then(|service| self.seen.project.service(service));
        let index = index.ok_or_else(|| Refusal::not_found("Service"))?;
        Ok(Service {
            seen: self.seen.clone(),
            index,
        })
    }

    async fn mount_path(&self) -> &str {
        &self.row().mount_path
    }

    async fn region(&self) -> Option<&str> {
        self.row().region.as_deref()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.row().created_at)
    }

    async fn deleted_at(&self) -> Option<DateTime> {
        self.row().deleted_at.map(DateTime)
    }

    async fn is_pending_deletion(&self) -> bool {
        self.row().deleted_at.is_some()
    }

    async fn state(&self) -> Option<VolumeState> {
        Some(match self.row().deleted_at {
            Some(_) => VolumeState::Deleting,
            None => VolumeState::Ready,
        })
    }

    #[graphql(name = "sizeMB")]
    async fn size_mb(&self) -> i32 {
        let size = cost::volume_size_mb(self.environment_row(), &self.row().volume_id);
        i32::try_from(size).unwrap_or(i32::MAX)
    }

    #[graphql(name = "currentSizeMB")]
    async fn current_size_mb(&self) -> f64 {
        0.0
    }
}
