//! Mutations of deployments: start the current source, run the old one again, end one.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};
use jiff::Timestamp;

use super::call;
use super::deployment::Deployment;
use super::service_mutations::instance_in;
use crate::railway::access::{Call, Refusal, Seen};
use crate::railway::deploying::{Source, deploy};
use crate::railway::deployment::{End, Status};
use crate::railway::rows;

#[derive(Default)]
pub(crate) struct DeployMutations;

/// Ends everything that runs in a project.
pub(super) fn end_all(project: &mut rows::Project, now: Timestamp) {
    for environment in &mut project.environments {
        for deployment in &mut environment.deployments {
            if deployment.ended.is_none() {
                Arc::make_mut(deployment).ended = Some((End::Removed, now));
            }
        }
    }
}

fn start(call: &Call, environment_id: &str, service_id: &str) -> Result<String, Refusal> {
    let (id, _) = call.change(service_id, "Service", |project| {
        let environment = instance_in(call, project, environment_id, service_id)?;
        let id = deploy(
            project,
            environment,
            service_id,
            &Source::Configured,
            &call.moment(),
        );
        id.ok_or_else(|| Refusal::new("Service has no source to deploy"))
    })?;
    Ok(id)
}

/// Runs again what a deployment ran: the old image, whatever is configured by now.
fn again(
    call: &Call,
    project: &mut rows::Project,
    environment: usize,
    index: usize,
) -> Result<usize, Refusal> {
    let row = &project.environments[environment];
    let earlier = Arc::clone(&row.deployments[index]);
    let latest = row.deployments_of(&earlier.service_id).next();
    let status = latest
        .and_then(|latest| row.state(latest, call.now))
        .map(|state| state.status);
    if matches!(
        status,
        Some(Status::Building | Status::Initializing | Status::Deploying)
    ) {
        return Err(Refusal::new(
            "Cannot redeploy yet, please wait for the original deployment to finish building",
        ));
    }
    if earlier.digest.is_none() {
        return Err(Refusal::new("Cannot redeploy without a snapshot"));
    }
    let service_id = earlier.service_id.clone();
    deploy(
        project,
        environment,
        &service_id,
        &Source::AsBefore(earlier),
        &call.moment(),
    );
    Ok(project.environments[environment].deployments.len() - 1)
}

/// Changes one deployment.
fn on_deployment(
    call: &Call,
    id: &str,
    change: impl FnOnce(&mut rows::Project, usize, usize) -> Result<usize, Refusal>,
) -> Result<(usize, usize, Seen), Refusal> {
    let ((environment, index), seen) = call.change(id, "Deployment", |project| {
        let found = project.deployment(id);
        let (environment, index) = found.ok_or_else(|| Refusal::not_found("Deployment"))?;
        Ok((environment, change(project, environment, index)?))
    })?;
    Ok((environment, index, seen))
}

fn end(call: &Call, id: &str, end: End) -> Result<bool> {
    on_deployment(call, id, |project, environment, index| {
        let deployment = &mut project.environments[environment].deployments[index];
        if deployment.ended.is_none() {
            Arc::make_mut(deployment).ended = Some((end, call.now));
        }
        Ok(index)
    })?;
    Ok(true)
}

#[Object]
impl DeployMutations {
    /// Answers the deployment's id.
    async fn service_instance_deploy_v2(
        &self,
        context: &Context<'_>,
        commit_sha: Option<String>,
        environment_id: String,
        service_id: String,
    ) -> Result<String> {
        let _ = commit_sha;
        Ok(start(call(context)?, &environment_id, &service_id)?)
    }

    async fn service_instance_deploy(
        &self,
        context: &Context<'_>,
        commit_sha: Option<String>,
        environment_id: String,
        latest_commit: Option<bool>,
        service_id: String,
    ) -> Result<bool> {
        let _ = (commit_sha, latest_commit);
        start(call(context)?, &environment_id, &service_id)?;
        Ok(true)
    }

    async fn service_instance_redeploy(
        &self,
        context: &Context<'_>,
        environment_id: String,
        service_id: String,
    ) -> Result<bool> {
        let call = call(context)?;
        call.change(&service_id, "Service", |project| {
            let environment = instance_in(call, project, &environment_id, &service_id)?;
            let row = &project.environments[environment];
            let latest = row.deployments_of(&service_id).next();
            let latest =
                latest.ok_or_else(|| Refusal::new("Cannot redeploy without a snapshot"))?;
            again(call, project, environment, latest)
        })?;
        Ok(true)
    }

    async fn deployment_redeploy(
        &self,
        context: &Context<'_>,
        id: String,
        use_previous_image_tag: Option<bool>,
    ) -> Result<Deployment> {
        let call = call(context)?;
        let _ = use_previous_image_tag;
        let (environment, index, seen) =
            on_deployment(call, &id, |project, environment, index| {
                again(call, project, environment, index)
            })?;
        Ok(Deployment {
            seen,
            environment,
            index,
        })
    }

    /// The same deployment boots again.
    async fn deployment_restart(&self, context: &Context<'_>, id: String) -> Result<bool> {
        let call = call(context)?;
        on_deployment(call, &id, |project, environment, index| {
            let row = &mut project.environments[environment].deployments[index];
            if row.started(call.now).is_none() || row.ended.is_some() {
                return Err(Refusal::new(
                    "Cannot restart a deployment that is not running",
                ));
            }
            let deployment = Arc::make_mut(row);
            deployment.restarted_at = Some(call.now);
            deployment.forced = None;
            Ok(index)
        })?;
        Ok(true)
    }

    async fn deployment_stop(&self, context: &Context<'_>, id: String) -> Result<bool> {
        end(call(context)?, &id, End::Stopped)
    }

    async fn deployment_cancel(&self, context: &Context<'_>, id: String) -> Result<bool> {
        end(call(context)?, &id, End::Removed)
    }

    async fn deployment_remove(&self, context: &Context<'_>, id: String) -> Result<bool> {
        end(call(context)?, &id, End::Removed)
    }
}
