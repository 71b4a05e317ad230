//! What Railway keeps: projects with everything in them.
//!
//! A project is one value, replaced as a whole when something in it changes, so that whoever reads it holds a snapshot
//! and no lock. What a service is configured to be stands in its environment's `config` alone; nothing repeats it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployment::{Deployment, State};
use super::usage::Measurement;
use crate::identity::uuid;
use crate::nature::Nature;

#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub id: String,
    /// Position in the order of creation.
    pub seq: u64,
    pub name: String,
    pub description: Option<String>,
    pub workspace: String,
    pub is_public: bool,
    pub pr_deploys: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// What each service has used, by measurement, since ever: only said by hand.
    pub used: BTreeMap<String, Vec<(Measurement, f64)>>,
    /// When a scheduled deletion takes effect.
    pub scheduled_at: Option<Timestamp>,
    pub environments: Vec<Environment>,
    pub services: Vec<Service>,
    pub volumes: Vec<Volume>,
    /// The next moment at which something happens to it by itself.
    pub due_at: Option<Timestamp>,
    /// Objects made since the estate last looked: it keeps an index of them.
    pub born: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Railway's EnvironmentConfig.
    pub config: Value,
    /// Counts changes of `config`.
    pub revision: u64,
    pub instances: Vec<Instance>,
    pub volume_instances: Vec<VolumeInstance>,
    pub domains: Vec<Domain>,
    /// Oldest first.
    pub deployments: Vec<Arc<Deployment>>,
    pub patches: Vec<Patch>,
}

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub id: String,
    pub name: String,
    pub icon: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// A nature set by hand, for this and later deployments.
    pub nature: Option<Nature>,
}

/// A service in one environment.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub id: String,
    pub service_id: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
}

/// A volume in one environment; what mounts it is in the config as well, which decides.
#[derive(Debug, Clone)]
pub(crate) struct VolumeInstance {
    pub id: String,
    pub volume_id: String,
    pub mount_path: String,
    pub service_id: Option<String>,
    pub region: Option<String>,
    pub created_at: Timestamp,
    /// When a deleted volume is gone for good.
    pub deleted_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub id: String,
    pub domain: String,
    pub service_id: String,
    pub target_port: Option<i32>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Patch {
    pub id: String,
    pub message: Option<String>,
    pub patch: Value,
    pub created_at: Timestamp,
    pub apply_at: Timestamp,
    pub applied: bool,
}

impl Environment {
    pub(crate) fn new(name: &str, now: Timestamp) -> Self {
        Self {
            id: uuid(),
            name: name.to_owned(),
            created_at: now,
            updated_at: now,
            config: json!({ "services": {}, "sharedVariables": {}, "volumes": {} }),
            revision: 1,
            instances: Vec::new(),
            volume_instances: Vec::new(),
            domains: Vec::new(),
            deployments: Vec::new(),
            patches: Vec::new(),
        }
    }

    /// Names the config as it is now.
    pub(crate) fn config_tag(&self) -> String {
        format!("{}-{}", &self.id[..8], self.revision)
    }

    /// The part of the config that belongs to a service.
    pub(crate) fn of_service(&self, service_id: &str) -> &Value {
        &self.config["services"][service_id]
    }

    /// When a newer deployment of the same service took this one's place.
    fn superseded(&self, index: usize, now: Timestamp) -> Option<Timestamp> {
        let deployment = self.deployments.get(index)?;
        let later = self.deployments.get(index + 1..)?.iter();
        let same = later.filter(|newer| newer.service_id == deployment.service_id);
        same.filter_map(|newer| newer.started(now)).min()
    }

    pub(crate) fn state(&self, index: usize, now: Timestamp) -> Option<State> {
        Some(
            self.deployments
                .get(index)?
                .state(now, self.superseded(index, now)),
        )
    }

    /// Indices of a service's deployments, newest first.
    pub(crate) fn deployments_of<'a>(
        &'a self,
        service_id: &'a str,
    ) -> impl Iterator<Item = usize> + 'a {
        let indices = (0..self.deployments.len()).rev();
        indices.filter(move |index| self.deployments[*index].service_id == service_id)
    }

    /// The deployment that answers for a service: the newest that started and was not taken away.
    pub(crate) fn serving(
        &self,
        service_id: &str,
        now: Timestamp,
    ) -> Option<(&Arc<Deployment>, State)> {
        let mut indices = self.deployments_of(service_id);
        let index = indices.find(|index| self.deployments[*index].started(now).is_some())?;
        Some((self.deployments.get(index)?, self.state(index, now)?))
    }
}

impl Project {
    /// A project with one environment and nothing in it.
    pub(crate) fn new(
        seq: u64,
        workspace: &str,
        name: String,
        description: Option<String>,
        environment: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            id: uuid(),
            seq,
            name,
            description,
            workspace: workspace.to_owned(),
            is_public: false,
            pr_deploys: false,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            used: BTreeMap::new(),
            scheduled_at: None,
            environments: vec![Environment::new(environment, now)],
            services: Vec::new(),
            volumes: Vec::new(),
            due_at: None,
            born: Vec::new(),
        }
    }

    pub(crate) fn environment(&self, id: &str) -> Option<usize> {
        self.environments
            .iter()
            .position(|environment| environment.id == id)
    }

    pub(crate) fn service(&self, id: &str) -> Option<usize> {
        self.services.iter().position(|service| service.id == id)
    }

    /// Environment and position of an object that lives in an environment.
    pub(crate) fn find<T>(
        &self,
        rows: impl Fn(&Environment) -> &Vec<T>,
        is: impl Fn(&T) -> bool,
    ) -> Option<(usize, usize)> {
        self.environments
            .iter()
            .enumerate()
            .find_map(|(environment, row)| {
                rows(row)
                    .iter()
                    .position(&is)
                    .map(|index| (environment, index))
            })
    }

    pub(crate) fn deployment(&self, id: &str) -> Option<(usize, usize)> {
        self.find(
            |environment| &environment.deployments,
            |deployment| deployment.id == id,
        )
    }

    pub(crate) fn domain(&self, id: &str) -> Option<(usize, usize)> {
        self.find(|environment| &environment.domains, |domain| domain.id == id)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// A new id in this project, known to the estate's index from now on.
    pub(crate) fn bear(&mut self) -> String {
        let id = uuid();
        self.born.push(id.clone());
        id
    }

    /// Remembers that something will happen by itself at `moment`.
    pub(crate) fn wake_at(&mut self, moment: Timestamp) {
        self.due_at = Some(self.due_at.map_or(moment, |due| due.min(moment)));
    }
}
