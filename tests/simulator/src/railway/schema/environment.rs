//! `Environment` and its patches.

use async_graphql::{Context, Enum, ID, Object, Result};
use serde_json::Value;

use super::call;
use super::connection::{Page, Paging, connection};
use super::deployment::Deployment;
use super::scalars::{DateTime, EnvironmentConfig, Json};
use super::service::ServiceInstance;
use super::volume::VolumeInstance;
use crate::clock;
use crate::railway::access::Seen;
use crate::railway::{config, rows};

#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub seen: Seen,
    pub index: usize,
}

connection!(
    EnvironmentServiceInstancesConnection,
    EnvironmentServiceInstancesConnectionEdge,
    ServiceInstance
);
connection!(
    EnvironmentVolumeInstancesConnection,
    EnvironmentVolumeInstancesConnectionEdge,
    VolumeInstance
);
connection!(
    EnvironmentDeploymentsConnection,
    EnvironmentDeploymentsConnectionEdge,
    Deployment
);

impl Environment {
    fn row(&self) -> &rows::Environment {
        &self.seen.project.environments[self.index]
    }
}

fn shown(
    context: &Context<'_>,
    config: &Value,
    decrypt_variables: Option<bool>,
) -> Result<EnvironmentConfig> {
    Ok(EnvironmentConfig(match decrypt_variables {
        Some(true) => config::unsealed(config, call(context)?.settings.hide_registry_password),
        _ => config::masked(config),
    }))
}

#[Object]
impl Environment {
    async fn id(&self) -> ID {
        ID(self.row().id.clone())
    }

    async fn name(&self) -> &str {
        &self.row().name
    }

    async fn project_id(&self) -> &str {
        &self.seen.project.id
    }

    async fn can_access(&self) -> bool {
        true
    }

    async fn canvas_group_refs(&self) -> Json {
        Json(serde_json::json!({}))
    }

    async fn is_ephemeral(&self) -> bool {
        false
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.row().created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.row().updated_at)
    }

    async fn deleted_at(&self) -> Option<DateTime> {
        self.seen.project.deleted_at.map(DateTime)
    }

    async fn config(
        &self,
        context: &Context<'_>,
        decrypt_variables: Option<bool>,
    ) -> Result<EnvironmentConfig> {
        shown(context, &self.row().config, decrypt_variables)
    }

    async fn config_etag(&self) -> String {
        self.row().config_tag()
    }

    async fn unmerged_changes_count(&self) -> Option<i32> {
        Some(0)
    }

    async fn service_instances(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> EnvironmentServiceInstancesConnection {
        let rows = self.row().instances.iter().enumerate();
        let rows = rows.filter(|(_, row)| self.seen.view.sees(row.created_at));
        let nodes = rows.map(|(index, _)| ServiceInstance {
            seen: self.seen.clone(),
            environment: self.index,
            index,
        });
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

    async fn volume_instances(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> EnvironmentVolumeInstancesConnection {
        let view = self.seen.view;
        let rows = self.row().volume_instances.iter().enumerate();
        let rows = rows.filter(|(_, row)| view.sees_volume(row.created_at));
        let rows = rows.filter(|(_, row)| row.deleted_at.is_none_or(|gone| gone > view.now));
        let nodes = rows.map(|(index, _)| VolumeInstance {
            seen: self.seen.clone(),
            environment: self.index,
            index,
        });
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

    async fn deployments(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> EnvironmentDeploymentsConnection {
        let rows = (0..self.row().deployments.len()).rev();
        let rows = rows.filter(|index| {
            self.seen
                .view
                .sees(self.row().deployments[*index].created_at)
        });
        let nodes = rows.map(|index| Deployment {
            seen: self.seen.clone(),
            environment: self.index,
            index,
        });
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum EnvironmentPatchStatus {
    Applying,
    Committed,
    Staged,
}

/// A patch that was committed; or, without a row, what is staged: nothing.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentPatch {
    pub seen: Seen,
    pub environment: usize,
    pub index: Option<usize>,
}

impl EnvironmentPatch {
    fn environment_row(&self) -> &rows::Environment {
        &self.seen.project.environments[self.environment]
    }

    fn row(&self) -> Option<&rows::Patch> {
        self.environment_row().patches.get(self.index?)
    }
}

#[Object]
impl EnvironmentPatch {
    async fn id(&self) -> ID {
        match self.row() {
            Some(patch) => ID(patch.id.clone()),
            None => ID(format!("staged-{}", self.environment_row().id)),
        }
    }

    async fn environment_id(&self) -> &str {
        &self.environment_row().id
    }

    async fn status(&self) -> EnvironmentPatchStatus {
        match self.row() {
            Some(patch) if patch.applied => EnvironmentPatchStatus::Committed,
            Some(_) => EnvironmentPatchStatus::Applying,
            None => EnvironmentPatchStatus::Staged,
        }
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.row().map_or_else(clock::now, |patch| patch.created_at))
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.row().map_or_else(clock::now, |patch| patch.apply_at))
    }

    async fn applied_at(&self) -> Option<DateTime> {
        self.row()
            .filter(|patch| patch.applied)
            .map(|patch| DateTime(patch.apply_at))
    }

    async fn last_applied_error(&self) -> Option<String> {
        None
    }

    async fn message(&self) -> Option<String> {
        self.row()?.message.clone()
    }

    async fn patch(
        &self,
        context: &Context<'_>,
        decrypt_variables: Option<bool>,
    ) -> Result<EnvironmentConfig> {
        let patch = self
            .row()
            .map_or_else(|| serde_json::json!({}), |patch| patch.patch.clone());
        shown(context, &patch, decrypt_variables)
    }
}
