//! The agents that run in Railway's deployments: the HTTP contract of facts/predecessors.md A6 and A7.
//!
//! An agent is whatever deployment serves a `*.up.railway.app` name. Until it is asked something it is only that
//! deployment; what it remembers (`memory.rs`) begins with the first request, so idle agents cost nothing.

mod contract;
mod control;
mod memory;
mod programs;
mod provision;
mod tellings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;

use crate::clock;
use crate::exchange::{Answer, Request};
use crate::nature::Trait;
use crate::passage;
use crate::programs::Running as Programs;
use crate::provider::Provider;
use crate::railway::Railway;
use crate::railway::deployment::{Deployment, Status};
use crate::railway::rows::{Environment, Project};
use crate::settings::{SettingsStore, Wake};
pub(crate) use control::routes;
use memory::{Memories, Memory};
use tellings::Tellings;

pub(crate) struct Agents {
    settings: SettingsStore,
    railway: Arc<Railway>,
    memories: Mutex<Memories>,
    tellings: Tellings,
    /// A provision call has come to its end.
    joined: Notify,
    /// Programs of this machine, which answer in place of the imitation.
    programs: Arc<Programs>,
}

/// An agent that can be talked to.
struct Running {
    project: Arc<Project>,
    environment: usize,
    deployment: Arc<Deployment>,
    started: Timestamp,
}

impl Running {
    fn key(&self) -> (String, String) {
        let environment = self.environment_row().id.clone();
        (environment, self.deployment.service_id.clone())
    }

    fn environment_row(&self) -> &Environment {
        &self.project.environments[self.environment]
    }

    /// Has it come up far enough to answer?
    fn answers(&self, now: Timestamp) -> bool {
        self.deployment.ready_at(self.started) <= now
    }

    fn is_ready(&self, now: Timestamp) -> bool {
        self.answers(now) && !self.deployment.nature.is(Trait::NeverReady)
    }

    fn has_volume(&self) -> bool {
        let rows = &self.environment_row().volume_instances;
        let service = Some(self.deployment.service_id.as_str());
        rows.iter()
            .any(|row| row.deleted_at.is_none() && row.service_id.as_deref() == service)
    }
}

impl Agents {
    pub(crate) fn new(
        settings: SettingsStore,
        railway: Arc<Railway>,
        programs: Arc<Programs>,
    ) -> Self {
        Self {
            settings,
            railway,
            memories: Mutex::default(),
            tellings: Tellings::default(),
            joined: Notify::new(),
            programs,
        }
    }

    fn memories(&self) -> MutexGuard<'_, Memories> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent behind a domain name, or what the edge answers instead.
    fn behind(&self, host: &str, now: Timestamp) -> Result<Running, Answer> {
        let project = self
            .railway
            .project_at(host, now)
            .ok_or_else(no_application)?;
        let mut environments = project.environments.iter().enumerate();
        let found = environments.find_map(|(index, row)| {
            let domain = row.domains.iter().find(|domain| domain.domain == host)?;
            let (deployment, state) = row.serving(&domain.service_id, now)?;
            Some((index, Arc::clone(deployment), state))
        });
        let (environment, deployment, state) = found.ok_or_else(no_application)?;
        let settings = self.settings.of(&project.workspace);
        match state.status {
            Status::Success if !state.stopped => {}
            Status::Sleeping if !state.stopped => {
                deployment.touch(now);
                match settings.wake {
                    Wake::Serve => {}
                    Wake::BadGateway => return Err(no_response()),
                    Wake::NotFound => return Err(no_application()),
                }
            }
            Status::Crashed => return Err(no_response()),
            _ => return Err(no_application()),
        }
        deployment.touch(now);
        let started = deployment.started(now).ok_or_else(no_application)?;
        Ok(Running {
            project: Arc::clone(&project),
            environment,
            deployment,
            started,
        })
    }

    /// What state the program behind a domain is in, where it is one. Nothing wakes by this.
    fn state_of_program(&self, host: &str) -> Option<Status> {
        let now = clock::now();
        let project = self.railway.project_at(host, now)?;
        let (deployment, state) = project.environments.iter().find_map(|row| {
            let domain = row.domains.iter().find(|domain| domain.domain == host)?;
            row.serving(&domain.service_id, now)
        })?;
        let program = self.programs.covers(&project.workspace, &deployment.image);
        program.then_some(state.status)
    }

    fn is_program(&self, running: &Running) -> bool {
        let workspace = &running.project.workspace;
        self.programs.covers(workspace, &running.deployment.image)
    }

    /// The port of the program behind a domain; of one that was asleep it waits for it.
    async fn port_of(&self, running: &Running) -> Option<u16> {
        let service = running.key();
        match self.programs.port_of(&service) {
            None if running.deployment.sleep_after.is_some() => {
                self.programs.port_when_awake(&service).await
            }
            port => port,
        }
    }

    /// Looks into an agent's memory, which begins anew where a new deployment does not keep it.
    fn remember<T>(&self, running: &Running, look: impl FnOnce(&mut Memory) -> T) -> T {
        let kept = self.settings.of(&running.project.workspace).memory;
        let mut memories = self.memories();
        let memory = memories.entry(running.key()).or_default();
        memory.settle(&running.deployment.id, kept, running.has_volume());
        look(memory)
    }
}

fn no_application() -> Answer {
    Answer::json(
        404,
        json!({ "status": "error", "code": 404, "message": "Application not found" }),
    )
}

pub(crate) fn no_response() -> Answer {
    let message = "Application failed to respond";
    Answer::json(
        502,
        json!({ "status": "error", "code": 502, "message": message }),
    )
}

#[async_trait]
impl Provider for Agents {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn account(&self, request: &Request) -> Option<String> {
        let project = self.railway.project_at(&request.host, clock::now())?;
        Some(project.workspace.clone())
    }

    fn is_unreachable(&self, host: &str) -> bool {
        let Some(project) = self.railway.project_at(host, clock::now()) else {
            return false;
        };
        let serving = project.environments.iter().find_map(|row| {
            let domain = row.domains.iter().find(|domain| domain.domain == host)?;
            row.serving(&domain.service_id, clock::now())
        });
        serving.is_some_and(|(deployment, _)| deployment.nature.is(Trait::Unreachable))
    }

    fn is_journaled(&self, request: &Request) -> bool {
        let own = programs::STATUS_PATHS.contains(&request.path.as_str());
        !own && self.state_of_program(&request.host).is_none()
    }

    /// One that sleeps is not passed to: that is for `answer`, which wakes it.
    async fn program(&self, host: &str) -> Option<u16> {
        if self.state_of_program(host)? == Status::Sleeping {
            return None;
        }
        let running = self.behind(host, clock::now()).ok()?;
        self.port_of(&running).await
    }

    async fn answer(&self, request: &Request) -> Answer {
        let now = clock::now();
        match self.behind(&request.host, now) {
            Ok(running) if self.is_program(&running) => match self.port_of(&running).await {
                Some(port) => passage::whole(port, request).await,
                None => no_response(),
            },
            Ok(running) => self.serve(&running, request, now).await,
            Err(answer) => answer,
        }
    }
}
