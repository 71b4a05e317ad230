//! Railway: its public GraphQL API over a world of projects, as facts/railway.md describes it.
//!
//! Layers, each knowing only those below: `edge` (HTTP, limits, error shapes) → `schema` (GraphQL types, a subset of
//! Railway's) → `access` (who sees what, when) → `estate`, `change`, `deploying`, `copying` (what happens to projects) → `rows`,
//! `deployment`, `config` (values). Deliberately absent: builds from a repository, several replicas, custom domains,
//! logs, subscriptions and usage.

mod access;
mod change;
mod config;
mod control;
mod copying;
mod cost;
pub(crate) mod deploying;
pub(crate) mod deployment;
mod edge;
mod estate;
mod limits;
mod naming;
pub(crate) mod rows;
pub(crate) mod schema;
mod token;
mod usage;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::registry::Registry;
use crate::settings::{Settings, SettingsStore};
use deploying::Moment;
use estate::Estate;
use limits::Limits;
use rows::Project;

pub(crate) use access::Refusal;
pub(crate) use control::routes;
pub(crate) use edge::Edge;

pub(crate) struct Railway {
    settings: SettingsStore,
    registry: Arc<Registry>,
    estate: Mutex<Estate>,
    limits: Limits,
}

impl Railway {
    pub(crate) fn new(settings: SettingsStore, registry: Arc<Registry>) -> Self {
        Self {
            settings,
            registry,
            estate: Mutex::default(),
            limits: Limits::default(),
        }
    }

    fn estate(&self) -> MutexGuard<'_, Estate> {
        self.estate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment<'a>(&'a self, now: Timestamp, settings: &'a Settings) -> Moment<'a> {
        Moment {
            now,
            settings,
            registry: &self.registry,
        }
    }

    /// The living project that holds this domain name, as it is now.
    pub(crate) fn project_at(&self, domain: &str, now: Timestamp) -> Option<Arc<Project>> {
        let settings = self.settings.base();
        let mut estate = self.estate();
        let id = estate.holder_of_domain(domain)?.to_owned();
        let project = estate.get(&id, &self.moment(now, &settings))?;
        (!project.is_gone()).then_some(project)
    }

    /// Every living project, as it is now.
    pub(crate) fn projects(&self, now: Timestamp) -> Vec<Arc<Project>> {
        let mut estate = self.estate();
        let mut projects = Vec::new();
        for workspace in estate.workspaces() {
            let settings = self.settings.of(&workspace);
            projects.extend(estate.of_workspace(&workspace, &self.moment(now, &settings)));
        }
        projects.retain(|project| !project.is_gone());
        projects
    }
}
