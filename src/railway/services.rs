//! Operations on what lives in a project: service, volume, domain, configuration, deployment.

use super::account::Class;
use super::documents::{
    Configuration as ConfigurationQuery, Deploy, DeploymentRemove, DomainCreate, DomainDelete,
    PatchCommit, ServiceCreate, ServiceDelete, VariablesSet, VolumeCreate, VolumeDelete,
    VolumeMount, configuration, deploy, deployment_remove, domain_create, domain_delete,
    patch_commit, service_create, service_delete, variables_set, volume_create, volume_delete,
    volume_mount,
};
use super::faults::{About, Meant};
use super::gateway::Gateway;
use super::projects::confirmed;
use super::{drift, patch};
use crate::model::words::{quotes, sayable};
use crate::model::{Configuration, Domain, Done, Fault, Gate};
use crate::wire::held;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Shown beside each change in Railway's own pages.
const COMMIT_MESSAGE: &str = "Yardmaster";

impl Gateway {
    /// Makes a service without a source, so that nothing is deployed yet (`facts/railway.md` 3.1 B); its id.
    ///
    /// `Uncertain` where the name is taken: an earlier attempt landed after all, the project shows it.
    pub async fn create_service(
        &self,
        project: &str,
        environment: &str,
        name: &str,
    ) -> Done<String> {
        let input = service_create::ServiceCreateInput {
            project_id: project.to_owned(),
            environment_id: Some(environment.to_owned()),
            name: Some(name.to_owned()),
        };
        let answer = self
            .inner
            .ask::<ServiceCreate>(Class::User, service_create::Variables { input })
            .await
            .map_err(|meant| self.soften(meant, &[project, environment]))?;
        let id = answer.service_create.id;
        held(&self.inner.fresh).made(&id, self.inner.now());
        Ok(id)
    }

    /// Makes a volume and attaches it; its id. To be done before the first deployment (`facts/railway.md` 2.7). Takes
    /// a turn like `create_project`.
    ///
    /// Not idempotent: after `Uncertain` the project shows it, perhaps half a minute later.
    pub async fn create_volume(
        &self,
        project: &str,
        environment: &str,
        service: &str,
        mount_path: &str,
    ) -> Done<String> {
        let input = volume_create::VolumeCreateInput {
            project_id: project.to_owned(),
            environment_id: Some(environment.to_owned()),
            service_id: Some(service.to_owned()),
            mount_path: mount_path.to_owned(),
        };
        let answer = self
            .inner
            .gated::<VolumeCreate>(
                Gate::Volumes,
                Class::User,
                volume_create::Variables { input },
            )
            .await
            .map_err(|meant| self.soften(meant, &[project, environment, service]))?;
        let id = answer.volume_create.id;
        held(&self.inner.fresh).made(&id, self.inner.now());
        Ok(id)
    }

    /// Attaches a volume to this service at this path, wherever it was. The same again changes nothing.
    pub async fn mount_volume(
        &self,
        environment: &str,
        service: &str,
        volume: &str,
        mount_path: &str,
    ) -> Done<()> {
        let variables = volume_mount::Variables {
            volume: volume.to_owned(),
            environment: environment.to_owned(),
            input: volume_mount::VolumeInstanceUpdateInput {
                service_id: Some(service.to_owned()),
                mount_path: Some(mount_path.to_owned()),
            },
        };
        let answer = self
            .inner
            .ask::<VolumeMount>(Class::User, variables)
            .await
            .map_err(|meant| match self.soften(meant, &[environment, service, volume]) {
                Fault::Rejected { message } => Fault::Rejected {
                    message: format!(
                        "{message}; volume {volume} is not attached to service {service} at {mount_path}: attach it there at Railway"
                    ),
                },
                other => other,
            })?;
        confirmed(answer.volume_instance_update)
    }

    /// Gives a service a public host name, answered by this port (`None`: the one that it listens on).
    ///
    /// Whether a second one would be made is not known: look first, and after `Uncertain` (`facts/railway.md` 2.8).
    pub async fn create_domain(
        &self,
        environment: &str,
        service: &str,
        port: Option<u16>,
    ) -> Done<Domain> {
        let input = domain_create::ServiceDomainCreateInput {
            environment_id: environment.to_owned(),
            service_id: service.to_owned(),
            target_port: port.map(i64::from),
        };
        let answer = self
            .inner
            .ask::<DomainCreate>(Class::User, domain_create::Variables { input })
            .await
            .map_err(|meant| self.soften(meant, &[environment, service]))?;
        Ok(Domain {
            id: answer.service_domain_create.id,
            service: service.to_owned(),
            host: answer.service_domain_create.domain,
        })
    }

    /// Sets everything that a deployment is made from, at once, and thereby starts one deployment, or none where
    /// nothing changes (`facts/railway.md` 0.6). `retired` names variables that were set before and are wanted no more.
    ///
    /// The same again changes nothing, so `Uncertain` may simply be repeated. `Rejected` also where the value of a
    /// variable would not arrive as it is (it contains `${{`).
    pub async fn configure(
        &self,
        environment: &str,
        service: &str,
        volume: Option<&str>,
        wanted: &Configuration,
        retired: &[String],
    ) -> Done<()> {
        let variables = patch_commit::Variables {
            environment: environment.to_owned(),
            patch: patch::patch(service, volume, wanted, retired)?,
            message: COMMIT_MESSAGE.to_owned(),
        };
        let answer = self.inner.ask::<PatchCommit>(Class::User, variables).await;
        match answer {
            Ok(_) => Ok(()),
            // It is what we want already (`facts/railway.md` 1.5).
            Err(meant) if meant.about == About::Unchanged => Ok(()),
            Err(meant) => {
                let fault = self.soften(meant, &[environment, service]);
                let variables = wanted.variables.iter().map(|one| &one.value);
                let password = wanted.registry.iter().map(|one| &one.password);
                let secrets = || variables.clone().chain(password.clone());
                Err(fault.reworded(|words| unquoted(words, secrets())))
            }
        }
    }

    /// Sets variables of a service and deploys nothing: what runs stays as it is, and what is deployed next has them. `place`: project,
    /// environment and service. The same again changes nothing, so `Uncertain` may simply be repeated.
    pub async fn set_variables(
        &self,
        (project, environment, service): (&str, &str, &str),
        variables: &BTreeMap<String, SecretString>,
    ) -> Done<()> {
        let values = variables.iter();
        let values = values.map(|(name, value)| (name.clone(), json!(value.expose_secret())));
        let input = variables_set::VariableCollectionUpsertInput {
            project_id: project.to_owned(),
            environment_id: environment.to_owned(),
            service_id: Some(service.to_owned()),
            skip_deploys: Some(true),
            variables: Value::Object(values.collect()),
        };
        let answer = self
            .inner
            .ask::<VariablesSet>(Class::User, variables_set::Variables { input })
            .await
            .map_err(|meant| {
                let fault = self.soften(meant, &[project, environment, service]);
                fault.reworded(|words| unquoted(words, variables.values()))
            })?;
        confirmed(answer.variable_collection_upsert)
    }

    /// The names of what differs from what `configure` would set: `image`, `startCommand`, `variable FOO` … Never
    /// values. What others have added is no difference.
    pub async fn drift(
        &self,
        environment: &str,
        service: &str,
        wanted: &Configuration,
    ) -> Done<Vec<String>> {
        let variables = configuration::Variables {
            environment: environment.to_owned(),
        };
        let answer = self
            .inner
            .ask::<ConfigurationQuery>(Class::Poll, variables)
            .await
            .map_err(|meant| self.soften(meant, &[environment, service]))?;
        Ok(drift::drift(&answer.environment.config, service, wanted))
    }

    /// Deploys what is configured now; the deployment's id. Twice makes two deployments, of which the later stays.
    pub async fn deploy(&self, environment: &str, service: &str) -> Done<String> {
        let variables = deploy::Variables {
            environment: environment.to_owned(),
            service: service.to_owned(),
        };
        let answer = self
            .inner
            .ask::<Deploy>(Class::User, variables)
            .await
            .map_err(|meant| self.soften(meant, &[environment, service]))?;
        Ok(answer.service_instance_deploy_v2)
    }

    /// Takes a deployment away; what it was made from stays. `Missing`: it was gone.
    pub async fn stop(&self, deployment: &str) -> Done<()> {
        let variables = deployment_remove::Variables {
            deployment: deployment.to_owned(),
        };
        let class = Class::StopBilling;
        let answer = self.inner.ask::<DeploymentRemove>(class, variables).await?;
        confirmed(answer.deployment_remove)
    }

    /// Deletes a service in every environment. Faults as for `delete_project`.
    pub async fn delete_service(&self, service: &str) -> Done<()> {
        let variables = service_delete::Variables {
            service: service.to_owned(),
        };
        let class = Class::StopBilling;
        let answer = self.inner.ask::<ServiceDelete>(class, variables).await?;
        confirmed(answer.service_delete)
    }

    /// Deletes a volume. Railway keeps its data for 48 hours, and no longer shows it as one that lives
    /// (`facts/railway.md` 2.7). Faults as for `delete_project`.
    pub async fn delete_volume(&self, volume: &str) -> Done<()> {
        let variables = volume_delete::Variables {
            volume: volume.to_owned(),
        };
        let class = Class::StopBilling;
        let answer = self.inner.ask::<VolumeDelete>(class, variables).await?;
        confirmed(answer.volume_delete)
    }

    /// Deletes a host name. `Transient` while another deletion is under way. Faults as for `delete_project`.
    pub async fn delete_domain(&self, domain: &str) -> Done<()> {
        let variables = domain_delete::Variables {
            domain: domain.to_owned(),
        };
        let class = Class::StopBilling;
        let answer = self.inner.ask::<DomainDelete>(class, variables).await?;
        confirmed(answer.service_domain_delete)
    }

    fn soften(&self, meant: Meant, ids: &[&str]) -> Fault {
        held(&self.inner.fresh).soften(meant, ids, self.inner.now())
    }
}

/// Railway's words about a configuration, without what is in it: variables and the registry's password are secrets.
fn unquoted<'a>(words: &str, mut values: impl Iterator<Item = &'a SecretString>) -> String {
    if values.any(|value| quotes(words, value.expose_secret())) {
        return "Railway does not take the configuration, and says so in words that quote a value of it; they are not repeated"
            .to_owned();
    }
    sayable(words)
}
