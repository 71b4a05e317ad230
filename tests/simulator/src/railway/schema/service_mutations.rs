//! Mutations of services and their domains.

use async_graphql::{Context, InputObject, Object, Result};
use serde_json::{Map, Value, json};

use super::call;
use super::domain::ServiceDomain;
use super::scalars::EnvironmentVariables;
use super::service::Service;
use crate::railway::access::{Call, Refusal};
use crate::railway::{change, naming, rows};
use crate::settings::SecondDomain;

#[derive(Debug, InputObject)]
pub(crate) struct RegistryCredentialsInput {
    password: String,
    username: String,
}

impl RegistryCredentialsInput {
    pub(super) fn patch(&self) -> Value {
        json!({ "username": self.username, "password": self.password })
    }
}

#[derive(Debug, InputObject)]
pub(crate) struct ServiceSourceInput {
    image: Option<String>,
    repo: Option<String>,
}

impl ServiceSourceInput {
    pub(super) fn patch(&self) -> Value {
        json!({ "image": self.image, "repo": self.repo })
    }
}

#[derive(Debug, InputObject)]
pub(crate) struct ServiceCreateInput {
    branch: Option<String>,
    environment_id: Option<String>,
    icon: Option<String>,
    name: Option<String>,
    project_id: String,
    registry_credentials: Option<RegistryCredentialsInput>,
    source: Option<ServiceSourceInput>,
    template_id: Option<String>,
    template_service_id: Option<String>,
    variables: Option<EnvironmentVariables>,
}

#[derive(Debug, InputObject)]
pub(crate) struct ServiceUpdateInput {
    icon: Option<String>,
    name: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct ServiceDomainCreateInput {
    environment_id: String,
    service_id: String,
    target_port: Option<i32>,
}

#[derive(Debug, InputObject)]
pub(crate) struct ServiceDomainUpdateInput {
    domain: String,
    environment_id: String,
    service_domain_id: String,
    service_id: String,
    target_port: Option<i32>,
}

fn check_free(project: &rows::Project, name: &str) -> Result<(), Refusal> {
    match project.services.iter().any(|service| service.name == name) {
        true => Err(Refusal(format!(
            "A service named \"{name}\" already exists in this project"
        ))),
        false => Ok(()),
    }
}

/// Variables as a config holds them.
pub(super) fn variables_patch(variables: &EnvironmentVariables) -> Value {
    let rows = variables.0.iter();
    let rows: Map<String, Value> = rows
        .map(|(name, value)| (name.clone(), json!({ "value": value })))
        .collect();
    Value::Object(rows)
}

/// A service in an environment that a mutation finds.
pub(super) fn instance_in(
    call: &Call,
    project: &rows::Project,
    environment_id: &str,
    service_id: &str,
) -> Result<usize, Refusal> {
    let environment = project.environment(environment_id);
    let environment = environment.ok_or_else(|| Refusal::not_found("Environment"))?;
    let instances = &project.environments[environment].instances;
    let instance = instances.iter().find(|row| row.service_id == service_id);
    match instance {
        Some(row) if call.finds(row.created_at) => Ok(environment),
        _ => Err(Refusal::not_found("ServiceInstance")),
    }
}

fn create_service(
    call: &Call,
    project: &mut rows::Project,
    input: ServiceCreateInput,
) -> Result<usize, Refusal> {
    let name = input.name.unwrap_or_else(naming::made_up);
    check_free(project, &name)?;
    let environments: Vec<usize> = match &input.environment_id {
        Some(id) => {
            vec![
                project
                    .environment(id)
                    .ok_or_else(|| Refusal::not_found("Environment"))?,
            ]
        }
        None => (0..project.environments.len()).collect(),
    };
    let id = project.bear();
    project.services.push(rows::Service {
        id: id.clone(),
        name,
        icon: input.icon,
        created_at: call.now,
        updated_at: call.now,
        nature: None,
    });
    project.updated_at = call.now;
    let credentials = input
        .registry_credentials
        .as_ref()
        .map(RegistryCredentialsInput::patch);
    let patch = json!({ "services": { &id: {
        "source": input.source.as_ref().map(ServiceSourceInput::patch),
        "variables": input.variables.as_ref().map(variables_patch),
        "deploy": { "registryCredentials": credentials },
    } } });
    for environment in environments {
        change::add_instance(project, environment, &id, call.now);
        // An image deploys at once; without one there is nothing to deploy.
        change::apply(project, environment, &patch, true, &call.moment());
    }
    Ok(project.services.len() - 1)
}

fn create_domain(
    call: &Call,
    project: &mut rows::Project,
    input: &ServiceDomainCreateInput,
) -> Result<(usize, usize), Refusal> {
    let environment = instance_in(call, project, &input.environment_id, &input.service_id)?;
    let row = &project.environments[environment];
    let first = row
        .domains
        .iter()
        .position(|domain| domain.service_id == input.service_id);
    match (first, call.settings.second_domain) {
        (Some(_), SecondDomain::Refuse) => {
            return Err(Refusal::new(
                "A service domain already exists for this service",
            ));
        }
        (Some(first), SecondDomain::Same) => return Ok((environment, first)),
        (Some(_), SecondDomain::Another) | (None, _) => {}
    }
    let service = project
        .service(&input.service_id)
        .map(|index| &project.services[index]);
    let name = service
        .map(|service| service.name.clone())
        .unwrap_or_default();
    let domain = naming::service_domain(&name, &row.name);
    let patch = json!({ "services": { &input.service_id: { "networking": { "serviceDomains": {
        domain: { "port": input.target_port },
    } } } } });
    // Networking is applied at once and deploys nothing.
    change::apply(project, environment, &patch, false, &call.moment());
    Ok((
        environment,
        project.environments[environment].domains.len() - 1,
    ))
}

#[derive(Default)]
pub(crate) struct ServiceMutations;

#[Object]
impl ServiceMutations {
    async fn service_create(
        &self,
        context: &Context<'_>,
        input: ServiceCreateInput,
    ) -> Result<Service> {
        let call = call(context)?;
        let project_id = input.project_id.clone();
        let (index, seen) = call.change(&project_id, "Project", |project| {
            create_service(call, project, input)
        })?;
        Ok(Service { seen, index })
    }

    async fn service_update(
        &self,
        context: &Context<'_>,
        id: String,
        input: ServiceUpdateInput,
    ) -> Result<Service> {
        let call = call(context)?;
        let (index, seen) = call.change(&id, "Service", |project| {
            let index = project
                .service(&id)
                .ok_or_else(|| Refusal::not_found("Service"))?;
            if let Some(name) = &input.name
                && project.services[index].name != *name
            {
                check_free(project, name)?;
            }
            let service = &mut project.services[index];
            service.name = input.name.unwrap_or_else(|| service.name.clone());
            service.icon = input.icon.or_else(|| service.icon.clone());
            service.updated_at = call.now;
            Ok(index)
        })?;
        Ok(Service { seen, index })
    }

    async fn service_delete(
        &self,
        context: &Context<'_>,
        environment_id: Option<String>,
        id: String,
    ) -> Result<bool> {
        let call = call(context)?;
        call.change(&id, "Service", |project| {
            let index = project
                .service(&id)
                .ok_or_else(|| Refusal::not_found("Service"))?;
            if !call.finds(project.services[index].created_at) {
                return Err(Refusal::not_found("Service"));
            }
            change::delete_service(project, index, environment_id.as_deref(), &call.moment())
        })?;
        Ok(true)
    }

    async fn service_domain_create(
        &self,
        context: &Context<'_>,
        input: ServiceDomainCreateInput,
    ) -> Result<ServiceDomain> {
        let call = call(context)?;
        let ((environment, index), seen) =
            call.change(&input.service_id, "Service", |project| {
                create_domain(call, project, &input)
            })?;
        let row = &seen.project.environments[environment].domains[index];
        Ok(ServiceDomain::of(&seen, environment, row))
    }

    async fn service_domain_update(
        &self,
        context: &Context<'_>,
        input: ServiceDomainUpdateInput,
    ) -> Result<bool> {
        let call = call(context)?;
        if !input.domain.ends_with(".up.railway.app") {
            return Err(Refusal::new(format!("{} is not a valid domain", input.domain)).into());
        }
        call.change(&input.service_domain_id, "ServiceDomain", |project| {
            let found = project.domain(&input.service_domain_id);
            let (environment, index) = found.ok_or_else(|| Refusal::not_found("ServiceDomain"))?;
            let row = &mut project.environments[environment].domains[index];
            let old = std::mem::replace(&mut row.domain, input.domain.clone());
            let mut domains = json!({ input.domain.clone(): { "port": input.target_port } });
            if old != input.domain {
                domains[old] = Value::Null;
            }
            let networking = json!({ "networking": { "serviceDomains": domains } });
            let patch = json!({ "services": { row.service_id.clone(): networking } });
            change::apply(project, environment, &patch, false, &call.moment());
            Ok(())
        })?;
        Ok(true)
    }

    async fn service_domain_delete(&self, context: &Context<'_>, id: String) -> Result<bool> {
        let call = call(context)?;
        call.change(&id, "ServiceDomain", |project| {
            let found = project.domain(&id);
            let (environment, index) = found.ok_or_else(|| Refusal::not_found("ServiceDomain"))?;
            change::delete_domain(project, environment, index, &call.moment());
            Ok(())
        })?;
        Ok(true)
    }
}
