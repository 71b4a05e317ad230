//! Reads of services and of what belongs to one: volumes, deployments, domains, variables.

use async_graphql::{Context, InputObject, Object, Result};

use super::call;
use super::connection::{Page, Paging, connection};
use super::deployment::Deployment;
use super::domain::{AllDomains, domains_of};
use super::query::environment_in;
use super::scalars::{EnvironmentVariables, ServiceInstanceLimit};
use super::service::{Service, ServiceInstance};
use super::volume::VolumeInstance;
use crate::railway::access::{Call, Refusal};
use crate::railway::deployment::Status;
use crate::railway::{config, deploying};

#[derive(Debug, InputObject)]
pub(crate) struct DeploymentStatusInput {
    r#in: Option<Vec<Status>>,
    not_in: Option<Vec<Status>>,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeploymentListInput {
    environment_id: Option<String>,
    include_deleted: Option<bool>,
    project_id: Option<String>,
    service_id: Option<String>,
    status: Option<DeploymentStatusInput>,
}

connection!(
    QueryDeploymentsConnection,
    QueryDeploymentsConnectionEdge,
    Deployment
);

fn instance_in(call: &Call, environment_id: &str, service_id: &str) -> Result<ServiceInstance> {
    let (seen, environment) = environment_in(call, environment_id)?;
    let rows = &seen.project.environments[environment].instances;
    let index = rows.iter().position(|row| row.service_id == service_id);
    let index = index.filter(|index| seen.view.sees(rows[*index].created_at));
    let index = index.ok_or_else(|| Refusal::not_found("ServiceInstance"))?;
    Ok(ServiceInstance {
        seen,
        environment,
        index,
    })
}

#[derive(Default)]
pub(crate) struct ServiceQueries;

#[Object]
impl ServiceQueries {
    async fn service(&self, context: &Context<'_>, id: String) -> Result<Service> {
        let seen = call(context)?.read(&id, "Service")?;
        let index = seen.project.service(&id);
        let index = index.filter(|index| seen.view.sees(seen.project.services[*index].created_at));
        let index = index.ok_or_else(|| Refusal::not_found("Service"))?;
        Ok(Service { seen, index })
    }

    async fn service_instance(
        &self,
        context: &Context<'_>,
        environment_id: String,
        service_id: String,
    ) -> Result<ServiceInstance> {
        instance_in(call(context)?, &environment_id, &service_id)
    }

    async fn service_instance_limits(
        &self,
        context: &Context<'_>,
        environment_id: String,
        service_id: String,
    ) -> Result<ServiceInstanceLimit> {
        let node = instance_in(call(context)?, &environment_id, &service_id)?;
        let row = &node.seen.project.environments[node.environment];
        let part = row.of_service(&service_id);
        Ok(ServiceInstanceLimit(
            part["deploy"]["limitOverride"].clone(),
        ))
    }

    async fn volume_instance(&self, context: &Context<'_>, id: String) -> Result<VolumeInstance> {
        let seen = call(context)?.read(&id, "VolumeInstance")?;
        let found = seen
            .project
            .find(|row| &row.volume_instances, |instance| instance.id == id);
        let found = found.filter(|(environment, index)| {
            let row = &seen.project.environments[*environment].volume_instances[*index];
            seen.view.sees_volume(row.created_at)
        });
        let (environment, index) = found.ok_or_else(|| Refusal::not_found("VolumeInstance"))?;
        Ok(VolumeInstance {
            seen,
            environment,
            index,
        })
    }

    async fn deployment(&self, context: &Context<'_>, id: String) -> Result<Deployment> {
        let seen = call(context)?.read(&id, "Deployment")?;
        let found = seen.project.deployment(&id).filter(|(environment, index)| {
            let row = &seen.project.environments[*environment].deployments[*index];
            seen.view.sees(row.created_at)
        });
        let (environment, index) = found.ok_or_else(|| Refusal::not_found("Deployment"))?;
        Ok(Deployment {
            seen,
            environment,
            index,
        })
    }

    /// Newest first.
    async fn deployments(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        input: DeploymentListInput,
        last: Option<i32>,
    ) -> Result<QueryDeploymentsConnection> {
        let call = call(context)?;
        let anchors = [
            (&input.project_id, "Project"),
            (&input.environment_id, "Environment"),
            (&input.service_id, "Service"),
        ];
        let anchor = anchors
            .into_iter()
            .find_map(|(id, what)| Some((id.as_deref()?, what)));
        let (id, what) = anchor.ok_or_else(Refusal::problem)?;
        let seen = call.read(id, what)?;
        let _ = input.include_deleted;
        let mut nodes = Vec::new();
        for (environment, row) in seen.project.environments.iter().enumerate() {
            if input
                .environment_id
                .as_ref()
                .is_some_and(|id| *id != row.id)
            {
                continue;
            }
            let of_service = |at: &usize| {
                input
                    .service_id
                    .as_ref()
                    .is_none_or(|id| *id == row.deployments[*at].service_id)
            };
            let indices = (0..row.deployments.len()).rev().filter(of_service);
            let indices = indices.filter(|at| seen.view.sees(row.deployments[*at].created_at));
            nodes.extend(indices.map(|index| Deployment {
                seen: seen.clone(),
                environment,
                index,
            }));
        }
        if let Some(wanted) = &input.status {
            nodes.retain(|node| {
                let status = node.state().status;
                wanted
                    .r#in
                    .as_ref()
                    .is_none_or(|list| list.contains(&status))
                    && !wanted
                        .not_in
                        .as_ref()
                        .is_some_and(|list| list.contains(&status))
            });
        }
        Ok(Page::of(
            nodes,
            &Paging {
                after,
                before,
                first,
                last,
            },
        )
        .into())
    }

    async fn domains(
        &self,
        context: &Context<'_>,
        environment_id: String,
        project_id: String,
        service_id: String,
    ) -> Result<AllDomains> {
        let call = call(context)?;
        call.read(&project_id, "Project")?;
        let node = instance_in(call, &environment_id, &service_id)?;
        Ok(domains_of(&node.seen, node.environment, &service_id))
    }

    async fn variables(
        &self,
        context: &Context<'_>,
        environment_id: String,
        project_id: String,
        service_id: Option<String>,
        unrendered: Option<bool>,
    ) -> Result<EnvironmentVariables> {
        let call = call(context)?;
        call.read(&project_id, "Project")?;
        let (seen, index) = environment_in(call, &environment_id)?;
        let open = config::unsealed(&seen.project.environments[index].config, true);
        let Some(service_id) = service_id else {
            return Ok(EnvironmentVariables(config::variables(
                &open["sharedVariables"],
            )));
        };
        let plain = config::variables(&open["services"][&service_id]["variables"]);
        if unrendered == Some(true) {
            return Ok(EnvironmentVariables(plain));
        }
        let mut rendered = deploying::rendered(&seen.project, index, &service_id);
        rendered.retain(|name, _| plain.contains_key(name) || name.starts_with("RAILWAY_"));
        Ok(EnvironmentVariables(rendered))
    }

    async fn variables_for_service_deployment(
        &self,
        context: &Context<'_>,
        environment_id: String,
        project_id: String,
        service_id: String,
    ) -> Result<EnvironmentVariables> {
        let call = call(context)?;
        call.read(&project_id, "Project")?;
        let (seen, index) = environment_in(call, &environment_id)?;
        Ok(EnvironmentVariables(deploying::rendered(
            &seen.project,
            index,
            &service_id,
        )))
    }
}
