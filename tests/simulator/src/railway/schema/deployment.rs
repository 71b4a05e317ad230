//! `Deployment` as a reader sees it now.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use serde_json::json;

use super::scalars::{DateTime, DeploymentMeta};
use super::service::Service;
use super::{call, environment};
use crate::railway::access::{Refusal, Seen};
use crate::railway::deployment::{State, Status};
use crate::railway::{deployment, rows};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum DeploymentInstanceStatus {
    Crashed,
    Created,
    Exited,
    Initializing,
    Removed,
    Removing,
    Restarting,
    Running,
    Skipped,
    Stopped,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct DeploymentDeploymentInstance {
    id: String,
    status: DeploymentInstanceStatus,
}

#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub seen: Seen,
    pub environment: usize,
    pub index: usize,
}

impl Deployment {
    fn environment_row(&self) -> &rows::Environment {
        &self.seen.project.environments[self.environment]
    }

    fn row(&self) -> &deployment::Deployment {
        &self.environment_row().deployments[self.index]
    }

    pub(super) fn state(&self) -> State {
        let row = self.row();
        let state = self.environment_row().state(self.index, self.seen.view.now);
        state.unwrap_or_else(|| row.state(self.seen.view.now, None))
    }

    /// It runs, or is on its way.
    pub(super) fn is_active(&self) -> bool {
        let state = self.state();
        !state.stopped && (state.status.is_alive() || state.status == Status::Crashed)
    }

    fn domain(&self) -> Option<String> {
        let domains = &self.environment_row().domains;
        let own = domains
            .iter()
            .find(|domain| domain.service_id == self.row().service_id);
        own.map(|domain| domain.domain.clone())
    }
}

#[Object]
impl Deployment {
    async fn id(&self) -> ID {
        ID(self.row().id.clone())
    }

    async fn status(&self) -> Status {
        self.state().status
    }

    async fn status_updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.state().since))
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.row().created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.state().since)
    }

    async fn deployment_stopped(&self) -> bool {
        self.state().stopped
    }

    async fn service_id(&self) -> Option<&str> {
        Some(&self.row().service_id)
    }

    /// Fails once the service is gone, as at Railway.
    async fn service(&self) -> async_graphql::Result<Service> {
        let index = self.seen.project.service(&self.row().service_id);
        let index = index.ok_or_else(|| Refusal::not_found("Service"))?;
        Ok(Service {
            seen: self.seen.clone(),
            index,
        })
    }

    async fn environment_id(&self) -> &str {
        &self.environment_row().id
    }

    async fn environment(&self) -> environment::Environment {
        environment::Environment {
            seen: self.seen.clone(),
            index: self.environment,
        }
    }

    async fn project_id(&self) -> &str {
        &self.seen.project.id
    }

    async fn can_redeploy(&self) -> bool {
        self.row().digest.is_some()
    }

    async fn can_rollback(&self) -> bool {
        self.row().digest.is_some()
    }

    async fn snapshot_id(&self) -> Option<String> {
        None
    }

    async fn suggest_add_service_domain(&self) -> bool {
        false
    }

    async fn url(&self) -> Option<String> {
        self.domain()
    }

    async fn static_url(&self) -> Option<String> {
        self.domain()
    }

    async fn instances(&self) -> Vec<DeploymentDeploymentInstance> {
        let state = self.state();
        let status = match (state.status, state.stopped) {
            (Status::Success, false) => DeploymentInstanceStatus::Running,
            (Status::Crashed, _) => DeploymentInstanceStatus::Crashed,
            (Status::Sleeping, false) => DeploymentInstanceStatus::Exited,
            (Status::Success | Status::Sleeping, true) => DeploymentInstanceStatus::Stopped,
            (Status::Removed, _) => DeploymentInstanceStatus::Removed,
            (Status::Deploying, _) => DeploymentInstanceStatus::Initializing,
            _ => return Vec::new(),
        };
        vec![DeploymentDeploymentInstance {
            id: format!("{}-0", self.row().id),
            status,
        }]
    }

    /// What was really deployed: the service's source may say something else by now.
    async fn meta(&self, context: &Context<'_>) -> async_graphql::Result<Option<DeploymentMeta>> {
        let _ = call(context)?;
        let row = self.row();
        let deploy = row.config["deploy"].as_object();
        let regions = deploy
            .and_then(|deploy| deploy.get("multiRegionConfig"))
            .cloned();
        let shown = deploy.into_iter().flatten();
        let mut manifest: serde_json::Map<_, _> = shown
            .filter(|(name, _)| *name != "registryCredentials")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let default = json!({ "us-west2": { "numReplicas": 1 } });
        manifest.insert("multiRegionConfig".to_owned(), regions.unwrap_or(default));
        let mut meta = json!({
            "image": row.image,
            "reason": "deploy",
            "serviceManifest": { "deploy": manifest },
        });
        if let Some(digest) = &row.digest {
            meta["imageDigest"] = json!(digest);
        }
        if let Some(problem) = row.problem {
            meta["error"] = json!(problem);
        }
        Ok(Some(DeploymentMeta(meta)))
    }
}
