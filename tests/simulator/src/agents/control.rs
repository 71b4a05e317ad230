//! Looking at agents and changing them by hand: `GET /agents`, `PUT /agents/{domain}`, `POST /agents/{domain}/accept`; and what each was
//! told, `GET /tellings`.
//!
//! Variables are shown by name, with a hash of the value: enough to tell whether two are equal, and no secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::memory::Binding;
use super::{Agents, Running};
use crate::clock;
use crate::control::{Desk, Outcome, Sorry};
use crate::identity::{sha256, uuid};
use crate::nature::{Nature, Trait};
use crate::railway::Refusal;
use crate::railway::deployment::{Fate, Status};
use crate::railway::rows::{Environment, Project};

pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/agents", get(list))
        .route("/agents/{domain}", put(edit))
        .route("/agents/{domain}/accept", post(accept))
        .route("/tellings", get(tellings))
}

async fn list(State(desk): State<Desk>) -> Json<Value> {
    let now = clock::now();
    let mut agents = Vec::new();
    for project in desk.railway.projects(now) {
        for (index, row) in project.environments.iter().enumerate() {
            for instance in &row.instances {
                agents.extend(
                    desk.agents
                        .show(&project, index, row, &instance.service_id, now),
                );
            }
        }
    }
    Json(Value::Array(agents))
}

impl Agents {
    /// A service that was deployed at least once, and the agent in it.
    fn show(
        &self,
        project: &Arc<Project>,
        environment: usize,
        row: &Environment,
        service_id: &str,
        now: Timestamp,
    ) -> Option<Value> {
        let latest = row.deployments_of(service_id).next()?;
        let latest_state = row.state(latest, now)?;
        let serving = row.serving(service_id, now);
        let (deployment, state) = serving.unwrap_or((&row.deployments[latest], latest_state));
        let domain = row
            .domains
            .iter()
            .find(|domain| domain.service_id == service_id);
        let service = project
            .services
            .iter()
            .find(|service| service.id == *service_id);
        let started = deployment.started(now);
        let running = Running {
            project: Arc::clone(project),
            environment,
            deployment: Arc::clone(deployment),
            started: started.unwrap_or(now),
        };
        let up = state.status == Status::Success && !state.stopped && started.is_some();
        let memory = self
            .memories()
            .get(&running.key())
            .cloned()
            .unwrap_or_default();
        let hashes = deployment
            .variables
            .iter()
            .map(|(name, value)| (name, hashed(value)));
        let hashes: BTreeMap<&String, String> = hashes.collect();
        let mut shown = json!({
            "domain": domain.map(|domain| &domain.domain),
            "service": service.map(|service| &service.name),
            "serviceId": service_id,
            "project": project.name,
            "projectId": project.id,
            "environmentId": row.id,
            "workspace": project.workspace,
            "deployment": deployment.id,
            "deployments": row.deployments_of(service_id).count(),
            "status": async_graphql::resolver_utils::enum_value(state.status).to_string(),
            "image": deployment.image,
            "digest": deployment.digest,
            "nature": deployment.nature.to_string(),
            "ready": up && running.is_ready(now),
            "volume": running.has_volume(),
            "variables": deployment.variables.keys().collect::<Vec<_>>(),
            "variableHashes": hashes,
            "givenVariables": memory.given,
            "agentName": memory.agent_name,
            "claim": memory.claim,
            "conversationId": memory.conversation(),
            "bound": memory.conversation().is_some(),
            "pending": memory.is_pending(),
            "clean": memory.is_clean(),
            "templateUpdatedAt": memory.template_updated_at,
            "provisions": memory.provisions,
            "joins": memory.joins,
            "resets": memory.resets,
            "updates": memory.updates,
            "clones": memory.clones,
            "requests": memory.requests,
        });
        shown["instructionsHash"] = json!(memory.instructions.as_deref().map(hashed));
        shown["metadata"] = memory.metadata;
        shown["model"] = json!(memory.model);
        if self.is_program(&running) {
            let program = self.programs.show(&deployment.id);
            shown["ready"] = json!(up && program.as_ref().is_some_and(|row| row["serves"] == true));
            shown["program"] = json!(program);
        }
        Some(shown)
    }
}

#[derive(Deserialize)]
struct Part {
    workspace: Option<String>,
    /// Tellings to leave out at the start.
    #[serde(default)]
    since: usize,
}

async fn tellings(State(desk): State<Desk>, Query(part): Query<Part>) -> Json<Value> {
    let (tellings, next) = desk
        .agents
        .tellings
        .since(part.since, part.workspace.as_deref());
    Json(json!({ "tellings": tellings, "next": next }))
}

/// The first 16 digits of the SHA-256.
pub(super) fn hashed(value: &str) -> String {
    let mut hash = sha256(value.as_bytes());
    hash.truncate(16);
    hash
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    nature: String,
}

/// Changes what runs now, and everything that this service deploys later.
async fn edit(
    State(desk): State<Desk>,
    Path(domain): Path<String>,
    Json(edit): Json<Edit>,
) -> Outcome {
    let nature = Nature::read(&edit.nature).map_err(Sorry::bad)?;
    let unknown = || Sorry::not_found(format!("no agent has the domain {domain}"));
    let project = desk
        .railway
        .project_at(&domain, clock::now())
        .ok_or_else(unknown)?;
    desk.railway.by_hand(&project.id, |project, moment| {
        let found = project.find(|row| &row.domains, |row| row.domain == domain);
        let (environment, index) = found.ok_or_else(|| Refusal::not_found("ServiceDomain"))?;
        let row = &mut project.environments[environment];
        let service_id = row.domains[index].service_id.clone();
        let latest = row.deployments_of(&service_id).next();
        if let Some(deployment) = latest.map(|at| Arc::make_mut(&mut row.deployments[at])) {
            deployment.nature = nature.clone();
            let crashes_in = if nature.is(Trait::CrashOnBoot) {
                Some(std::time::Duration::ZERO)
            } else {
                nature
                    .is(Trait::CrashLater)
                    .then_some(moment.settings.crash_after)
            };
            if let Fate::Starts { at, crashes_after } = &mut deployment.fate {
                let up = moment.now.duration_since(*at);
                let up = std::time::Duration::try_from(up).unwrap_or_default();
                *crashes_after = crashes_in.map(|wait| up + wait);
            }
            if nature.is(Trait::Sleepy) {
                deployment.sleep_after = Some(moment.settings.sleepy_after);
            }
        }
        let services = &mut project.services;
        if let Some(service) = services.iter_mut().find(|service| service.id == service_id) {
            service.nature = Some(nature.clone());
        }
        Ok(())
    })?;
    Ok(Json(
        json!({ "domain": domain, "nature": nature.to_string() }),
    ))
}

/// Somebody lets a pending agent into its conversation.
async fn accept(State(desk): State<Desk>, Path(domain): Path<String>) -> Outcome {
    let running = desk.agents.behind(&domain, clock::now());
    let running = running.map_err(|_| Sorry::not_found(format!("no agent runs at {domain}")))?;
    let conversation = desk.agents.remember(&running, |memory| {
        if memory.binding == Binding::Pending {
            memory.binding = Binding::Bound {
                conversation: uuid(),
            };
        }
        memory.conversation().map(str::to_owned)
    });
    match conversation {
        Some(conversation) => Ok(Json(json!({ "conversationId": conversation }))),
        None => Err(Sorry::bad("nothing is pending there")),
    }
}
