//! `Service` and `ServiceInstance`: a service, and what it is in one environment.

use async_graphql::{Enum, ID, Object, SimpleObject};
use serde_json::Value;

use super::connection::{Page, Paging, connection};
use super::deployment::Deployment;
use super::domain::{AllDomains, domains_of};
use super::project::Project;
use super::scalars::{DateTime, Json};
use crate::railway::access::Seen;
use crate::railway::rows;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RestartPolicyType {
    Always,
    Never,
    OnFailure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum Builder {
    Heroku,
    Nixpacks,
    Paketo,
    Railpack,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct ServiceSource {
    image: Option<String>,
    repo: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub seen: Seen,
    pub index: usize,
}

connection!(
    ServiceServiceInstancesConnection,
    ServiceServiceInstancesConnectionEdge,
    ServiceInstance
);

impl Service {
    fn row(&self) -> &rows::Service {
        &self.seen.project.services[self.index]
    }
}

#[Object]
impl Service {
    async fn id(&self) -> ID {
        ID(self.row().id.clone())
    }

    async fn name(&self) -> &str {
        &self.row().name
    }

    async fn icon(&self) -> Option<&str> {
        self.row().icon.as_deref()
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

    async fn updated_at(&self) -> DateTime {
        DateTime(self.row().updated_at)
    }

    async fn deleted_at(&self) -> Option<DateTime> {
        self.seen.project.deleted_at.map(DateTime)
    }

    async fn template_id(&self) -> Option<String> {
        None
    }

    #[graphql(deprecation = "Use environment.serviceInstances for properly scoped access control")]
    async fn service_instances(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> ServiceServiceInstancesConnection {
        let mut nodes = Vec::new();
        for (environment, row) in self.seen.project.environments.iter().enumerate() {
            let own = row
                .instances
                .iter()
                .position(|row| row.service_id == self.row().id);
            let own = own.filter(|index| self.seen.view.sees(row.instances[*index].created_at));
            nodes.extend(own.map(|index| ServiceInstance {
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
pub(crate) struct ServiceInstance {
    pub seen: Seen,
    pub environment: usize,
    pub index: usize,
}

impl ServiceInstance {
    fn environment_row(&self) -> &rows::Environment {
        &self.seen.project.environments[self.environment]
    }

    fn row(&self) -> &rows::Instance {
        &self.environment_row().instances[self.index]
    }

    fn part(&self) -> &Value {
        self.environment_row().of_service(&self.row().service_id)
    }

    fn deploy(&self, name: &str) -> &Value {
        &self.part()["deploy"][name]
    }

    fn text(&self, part: &str, name: &str) -> Option<String> {
        self.part()[part][name].as_str().map(str::to_owned)
    }

    fn number(&self, name: &str) -> Option<i32> {
        self.deploy(name)
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
    }

    /// Deployments that the reader sees, newest first.
    fn deployments(&self) -> impl Iterator<Item = Deployment> + '_ {
        let row = self.environment_row();
        let indices = row.deployments_of(&self.row().service_id);
        let seen = indices.filter(|at| self.seen.view.sees(row.deployments[*at].created_at));
        seen.map(|index| Deployment {
            seen: self.seen.clone(),
            environment: self.environment,
            index,
        })
    }
}

#[Object]
impl ServiceInstance {
    async fn id(&self) -> ID {
        ID(self.row().id.clone())
    }

    async fn service_id(&self) -> &str {
        &self.row().service_id
    }

    async fn environment_id(&self) -> &str {
        &self.environment_row().id
    }

    async fn service_name(&self) -> String {
        let index = self.seen.project.service(&self.row().service_id);
        index
            .map(|index| self.seen.project.services[index].name.clone())
            .unwrap_or_default()
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

    async fn is_updatable(&self) -> bool {
        true
    }

    async fn source(&self) -> Option<ServiceSource> {
        let image = self.text("source", "image");
        let repo = self.text("source", "repo");
        (image.is_some() || repo.is_some()).then_some(ServiceSource { image, repo })
    }

    async fn start_command(&self) -> Option<String> {
        self.text("deploy", "startCommand")
    }

    async fn build_command(&self) -> Option<String> {
        self.text("build", "buildCommand")
    }

    async fn builder(&self) -> Builder {
        Builder::Railpack
    }

    async fn cron_schedule(&self) -> Option<String> {
        self.text("deploy", "cronSchedule")
    }

    async fn healthcheck_path(&self) -> Option<String> {
        self.text("deploy", "healthcheckPath")
    }

    async fn healthcheck_timeout(&self) -> Option<i32> {
        self.number("healthcheckTimeout")
    }

    async fn num_replicas(&self) -> Option<i32> {
        self.number("numReplicas")
    }

    async fn draining_seconds(&self) -> Option<i32> {
        self.number("drainingSeconds")
    }

    async fn overlap_seconds(&self) -> Option<i32> {
        self.number("overlapSeconds")
    }

    async fn pre_deploy_command(&self) -> Option<Json> {
        Some(self.deploy("preDeployCommand"))
            .filter(|value| !value.is_null())
            .cloned()
            .map(Json)
    }

    /// Null at Railway too; where it runs is in the deployment's `meta`.
    async fn region(&self) -> Option<String> {
        None
    }

    async fn restart_policy_type(&self) -> RestartPolicyType {
        match self.deploy("restartPolicyType").as_str() {
            Some("ALWAYS") => RestartPolicyType::Always,
            Some("NEVER") => RestartPolicyType::Never,
            _ => RestartPolicyType::OnFailure,
        }
    }

    async fn restart_policy_max_retries(&self) -> i32 {
        self.number("restartPolicyMaxRetries").unwrap_or(10)
    }

    async fn sleep_application(&self) -> Option<bool> {
        self.deploy("sleepApplication").as_bool()
    }

    async fn domains(&self) -> AllDomains {
        domains_of(&self.seen, self.environment, &self.row().service_id)
    }

    async fn latest_deployment(&self) -> Option<Deployment> {
        self.deployments().next()
    }

    async fn active_deployments(&self) -> Vec<Deployment> {
        self.deployments().filter(Deployment::is_active).collect()
    }
}
