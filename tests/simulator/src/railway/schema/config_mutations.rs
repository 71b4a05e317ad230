//! Mutations of configuration: the one big patch, variables, settings of a service.

use async_graphql::{Context, InputObject, MaybeUndefined, Object, Result};
use serde_json::{Value, json};

use super::call;
use super::scalars::{EnvironmentConfig, EnvironmentVariables, Json};
use super::service::{Builder, RestartPolicyType};
use super::service_mutations::{
    RegistryCredentialsInput, ServiceSourceInput, instance_in, variables_patch,
};
use crate::clock::after;
use crate::railway::access::{Call, Refusal};
use crate::railway::deploying::{Source, deploy};
use crate::railway::{change, config, rows};

#[derive(Debug, InputObject)]
pub(crate) struct VariableCollectionUpsertInput {
    environment_id: String,
    project_id: String,
    replace: Option<bool>,
    service_id: Option<String>,
    skip_deploys: Option<bool>,
    variables: EnvironmentVariables,
}

#[derive(Debug, InputObject)]
pub(crate) struct VariableUpsertInput {
    environment_id: String,
    name: String,
    project_id: String,
    service_id: Option<String>,
    skip_deploys: Option<bool>,
    value: String,
}

#[derive(Debug, InputObject)]
pub(crate) struct VariableDeleteInput {
    environment_id: String,
    name: String,
    project_id: String,
    service_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct ServiceInstanceUpdateInput {
    build_command: MaybeUndefined<String>,
    builder: MaybeUndefined<Builder>,
    cron_schedule: MaybeUndefined<String>,
    dockerfile_path: MaybeUndefined<String>,
    draining_seconds: MaybeUndefined<i32>,
    healthcheck_path: MaybeUndefined<String>,
    healthcheck_timeout: MaybeUndefined<i32>,
    ipv6_egress_enabled: MaybeUndefined<bool>,
    multi_region_config: MaybeUndefined<Json>,
    nixpacks_plan: MaybeUndefined<Json>,
    num_replicas: MaybeUndefined<i32>,
    overlap_seconds: MaybeUndefined<i32>,
    pre_deploy_command: MaybeUndefined<Vec<String>>,
    railway_config_file: MaybeUndefined<String>,
    region: MaybeUndefined<String>,
    registry_credentials: MaybeUndefined<RegistryCredentialsInput>,
    restart_policy_max_retries: MaybeUndefined<i32>,
    restart_policy_type: MaybeUndefined<RestartPolicyType>,
    root_directory: MaybeUndefined<String>,
    sleep_application: MaybeUndefined<bool>,
    source: MaybeUndefined<ServiceSourceInput>,
    start_command: MaybeUndefined<String>,
    watch_patterns: MaybeUndefined<Vec<String>>,
}

#[derive(Debug, InputObject)]
pub(crate) struct ServiceInstanceLimitsUpdateInput {
    environment_id: String,
    #[graphql(name = "memoryGB")]
    memory_gb: Option<f64>,
    service_id: String,
    #[graphql(name = "vCPUs")]
    v_cpus: Option<f64>,
}

impl ServiceInstanceUpdateInput {
    /// The same as a patch of the service's config: null unsets, absent leaves alone.
    fn patch(self) -> Value {
        let mut deploy = json!({});
        let mut put = |name: &str, value: MaybeUndefined<Value>| match value {
            MaybeUndefined::Value(value) => deploy[name] = value,
            MaybeUndefined::Null => deploy[name] = Value::Null,
            MaybeUndefined::Undefined => {}
        };
        let policy = |kind: RestartPolicyType| match kind {
            RestartPolicyType::Always => json!("ALWAYS"),
            RestartPolicyType::Never => json!("NEVER"),
            RestartPolicyType::OnFailure => json!("ON_FAILURE"),
        };
        put("startCommand", self.start_command.map_value(Value::from));
        put("cronSchedule", self.cron_schedule.map_value(Value::from));
        put(
            "healthcheckPath",
            self.healthcheck_path.map_value(Value::from),
        );
        put(
            "healthcheckTimeout",
            self.healthcheck_timeout.map_value(Value::from),
        );
        put(
            "drainingSeconds",
            self.draining_seconds.map_value(Value::from),
        );
        put(
            "overlapSeconds",
            self.overlap_seconds.map_value(Value::from),
        );
        put(
            "ipv6EgressEnabled",
            self.ipv6_egress_enabled.map_value(Value::from),
        );
        put(
            "multiRegionConfig",
            self.multi_region_config.map_value(|json| json.0),
        );
        put("numReplicas", self.num_replicas.map_value(Value::from));
        put(
            "preDeployCommand",
            self.pre_deploy_command.map_value(Value::from),
        );
        put(
            "registryCredentials",
            self.registry_credentials.map_value(|row| row.patch()),
        );
        put(
            "restartPolicyMaxRetries",
            self.restart_policy_max_retries.map_value(Value::from),
        );
        put(
            "restartPolicyType",
            self.restart_policy_type.map_value(policy),
        );
        put(
            "sleepApplication",
            self.sleep_application.map_value(Value::from),
        );
        let mut patch = json!({ "deploy": deploy });
        match self.source {
            MaybeUndefined::Value(source) => patch["source"] = source.patch(),
            MaybeUndefined::Null => patch["source"] = Value::Null,
            MaybeUndefined::Undefined => {}
        }
        // Builds and `region` are taken and do nothing, as `region` does at Railway.
        patch
    }
}

/// Applies a patch at once or, with `railway.applyDelay`, later. Answers the commit's id.
pub(crate) fn commit(
    call: &Call,
    project: &mut rows::Project,
    environment: usize,
    patch: Value,
    message: Option<String>,
) -> String {
    let apply_at = after(call.now, call.settings.apply_delay);
    let applied = apply_at <= call.now;
    if applied {
        change::apply(project, environment, &patch, true, &call.moment());
    } else {
        project.wake_at(apply_at);
    }
    let id = project.bear();
    project.environments[environment].patches.push(rows::Patch {
        id: id.clone(),
        message,
        patch,
        created_at: call.now,
        apply_at,
        applied,
    });
    id
}

/// Sets variables of a service, or shared ones, and deploys unless told not to.
fn set_variables(
    call: &Call,
    (project_id, environment_id, service_id): (&str, &str, Option<&str>),
    skip_deploys: bool,
    variables: impl FnOnce(&Value) -> Value,
) -> Result<bool> {
    call.change(project_id, "Project", |project| {
        let environment = match service_id {
            Some(service_id) => instance_in(call, project, environment_id, service_id)?,
            None => {
                let index = project.environment(environment_id);
                index.ok_or_else(|| Refusal::not_found("Environment"))?
            }
        };
        let row = &project.environments[environment];
        let moment = call.moment();
        match service_id {
            Some(service_id) => {
                let part = variables(&row.of_service(service_id)["variables"]);
                let patch = json!({ "services": { service_id: { "variables": part } } });
                change::apply(project, environment, &patch, false, &moment);
                if !skip_deploys {
                    deploy(
                        project,
                        environment,
                        service_id,
                        &Source::Configured,
                        &moment,
                    );
                }
            }
            None => {
                let part = variables(&row.config["sharedVariables"]);
                let patch = json!({ "sharedVariables": part });
                change::apply(project, environment, &patch, !skip_deploys, &moment);
            }
        }
        Ok(())
    })?;
    Ok(true)
}

#[derive(Default)]
pub(crate) struct ConfigMutations;

#[Object]
impl ConfigMutations {
    async fn environment_patch_commit(
        &self,
        context: &Context<'_>,
        commit_message: Option<String>,
        environment_id: String,
        patch: Option<EnvironmentConfig>,
    ) -> Result<String> {
        let call = call(context)?;
        let patch = patch.map_or_else(|| json!({}), |patch| patch.0);
        if !patch.is_object() {
            return Err(Refusal::new("Invalid input").into());
        }
        let (id, _) = call.change(&environment_id, "Environment", |project| {
            let environment = project.environment(&environment_id);
            let environment = environment.ok_or_else(|| Refusal::not_found("Environment"))?;
            Ok(commit(call, project, environment, patch, commit_message))
        })?;
        Ok(id)
    }

    async fn variable_collection_upsert(
        &self,
        context: &Context<'_>,
        input: VariableCollectionUpsertInput,
    ) -> Result<bool> {
        let whose = (
            &*input.project_id,
            &*input.environment_id,
            input.service_id.as_deref(),
        );
        let skip = input.skip_deploys == Some(true);
        set_variables(call(context)?, whose, skip, |before| {
            let mut part = variables_patch(&input.variables);
            if input.replace == Some(true) {
                for name in config::variables(before).into_keys() {
                    if !input.variables.0.contains_key(&name) {
                        part[name] = Value::Null;
                    }
                }
            }
            part
        })
    }

    async fn variable_upsert(
        &self,
        context: &Context<'_>,
        input: VariableUpsertInput,
    ) -> Result<bool> {
        let whose = (
            &*input.project_id,
            &*input.environment_id,
            input.service_id.as_deref(),
        );
        let skip = input.skip_deploys == Some(true);
        let part = json!({ &input.name: { "value": input.value } });
        set_variables(call(context)?, whose, skip, |_| part)
    }

    async fn variable_delete(
        &self,
        context: &Context<'_>,
        input: VariableDeleteInput,
    ) -> Result<bool> {
        let whose = (
            &*input.project_id,
            &*input.environment_id,
            input.service_id.as_deref(),
        );
        set_variables(
            call(context)?,
            whose,
            false,
            |_| json!({ &input.name: null }),
        )
    }

    async fn service_instance_update(
        &self,
        context: &Context<'_>,
        environment_id: Option<String>,
        input: ServiceInstanceUpdateInput,
        service_id: String,
    ) -> Result<bool> {
        let call = call(context)?;
        call.change(&service_id, "Service", |project| {
            let part = input.patch();
            let image = part["source"]["image"].as_str();
            let patch = json!({ "services": { &service_id: &part } });
            for environment in 0..project.environments.len() {
                let row = &project.environments[environment];
                if environment_id.as_ref().is_some_and(|id| *id != row.id) {
                    continue;
                }
                let changes =
                    image.is_some() && config::image(row.of_service(&service_id)) != image;
                let deploys = changes && call.settings.instance_update_deploys;
                change::apply(project, environment, &patch, deploys, &call.moment());
            }
            Ok(())
        })?;
        Ok(true)
    }

    async fn service_instance_limits_update(
        &self,
        context: &Context<'_>,
        input: ServiceInstanceLimitsUpdateInput,
    ) -> Result<bool> {
        let call = call(context)?;
        call.change(&input.service_id, "Service", |project| {
            let environment = instance_in(call, project, &input.environment_id, &input.service_id)?;
            let memory = input
                .memory_gb
                .map(|gigabytes| (gigabytes * config::GIGABYTE) as u64);
            let containers = json!({ "cpu": input.v_cpus, "memoryBytes": memory });
            let deploy = json!({ "limitOverride": { "containers": containers } });
            let patch = json!({ "services": { &input.service_id: { "deploy": deploy } } });
            change::apply(project, environment, &patch, false, &call.moment());
            Ok(())
        })?;
        Ok(true)
    }
}
