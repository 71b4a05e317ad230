//! What people and outages do to Railway behind the API's back, for tests: deletions and edits by hand, foreign
//! projects, copies, crashes.
//!
//! Nothing here is throttled, lags or needs a token.

use axum::extract::{Path, State};
use axum::routing::{post, put};
use axum::{Json, Router};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::access::Refusal;
use super::copying::{Difference, copied};
use super::deploying::{Moment, Source, deploy};
use super::deployment::Status;
use super::rows::Project;
use super::usage::Measurement;
use super::{Railway, change};
use crate::clock;
use crate::control::{Desk, Outcome, Sorry};

pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/railway/projects", post(create_project))
        .route("/railway/projects/{id}", put(edit_project))
        .route("/railway/projects/{id}/usage", put(use_project))
        .route("/railway/projects/{id}/copies", post(copy_project))
        .route("/railway/projects/{id}/delete", post(delete_project))
        .route("/railway/services/{id}/delete", post(delete_service))
        .route("/railway/services/{id}/config", put(edit_service))
        .route(
            "/railway/services/{id}/variables/{name}",
            put(edit_variable),
        )
        .route("/railway/volumes/{id}/delete", post(delete_volume))
        .route("/railway/domains/{id}/delete", post(delete_domain))
        .route(
            "/railway/deployments/{id}/status",
            put(set_status).post(set_status),
        )
}

impl From<Refusal> for Sorry {
    fn from(refusal: Refusal) -> Self {
        Self::not_found(refusal.0)
    }
}

impl Railway {
    /// Changes the project that the object with this id is in, whoever may see it.
    pub(crate) fn by_hand<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Project, &Moment<'_>) -> Result<T, Refusal>,
    ) -> Result<(T, Arc<Project>), Refusal> {
        let mut estate = self.estate();
        let owner = estate
            .owner(id)
            .ok_or_else(|| Refusal::not_found("Object"))?
            .to_owned();
        let now = clock::now();
        let base = self.settings.base();
        let project = estate.get(&owner, &self.moment(now, &base));
        let workspace = project
            .map(|project| project.workspace.clone())
            .unwrap_or_default();
        let settings = self.settings.of(&workspace);
        let moment = self.moment(now, &settings);
        estate.edit(&owner, &moment, |project| change(project, &moment))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Foreign {
    name: String,
    description: Option<String>,
    workspace: String,
    /// How long ago it was made.
    #[serde(default)]
    age_seconds: u32,
}

async fn create_project(State(desk): State<Desk>, Json(order): Json<Foreign>) -> Outcome {
    let mut estate = desk.railway.estate();
    let (seq, now) = (estate.next_seq(), clock::now());
    let Foreign {
        name,
        description,
        workspace,
        age_seconds,
    } = order;
    let made = now - SignedDuration::from_secs(age_seconds.into());
    let project = Project::new(seq, &workspace, name, description, "production", made);
    let project = estate.insert(project);
    let environment = project
        .environments
        .first()
        .map(|environment| &environment.id);
    Ok(Json(
        json!({ "id": project.id, "environmentId": environment }),
    ))
}

/// All or none; the answer says of each copy what everything is called in it.
async fn copy_project(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(differences): Json<Vec<Difference>>,
) -> Outcome {
    let ((), original) = desk.railway.by_hand(&id, |_, _| Ok(()))?;
    let mut estate = desk.railway.estate();
    let copies = differences.into_iter().map(|difference| {
        copied(&original, estate.next_seq(), difference).map_err(|refusal| Sorry::bad(refusal.0))
    });
    let copies: Vec<_> = copies.collect::<Result<_, _>>()?;
    let named = copies.into_iter().map(|(copy, names)| {
        estate.insert(copy);
        names.into_map()
    });
    Ok(Json(named.map(|names| json!(names)).collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectEdit {
    name: Option<String>,
    description: Option<String>,
}

async fn edit_project(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(edit): Json<ProjectEdit>,
) -> Outcome {
    let ((), project) = desk.railway.by_hand(&id, |project, moment| {
        project.name = edit.name.unwrap_or_else(|| project.name.clone());
        project.description = edit.description.or_else(|| project.description.clone());
        project.updated_at = moment.now;
        Ok(())
    })?;
    Ok(Json(
        json!({ "id": id, "name": project.name, "description": project.description }),
    ))
}

/// What a project's first service has used: `[["CPU_USAGE", 100]]`.
async fn use_project(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(used): Json<Vec<(Measurement, f64)>>,
) -> Outcome {
    desk.railway.by_hand(&id, |project, _| {
        let service = project.services.first();
        let service = service.ok_or_else(|| Refusal::not_found("Service"))?;
        project.used.insert(service.id.clone(), used);
        Ok(())
    })?;
    Ok(Json(json!({ "id": id })))
}

async fn delete_project(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    let ((), project) = desk.railway.by_hand(&id, |project, moment| {
        project.deleted_at.get_or_insert(moment.now);
        Ok(())
    })?;
    Ok(Json(
        json!({ "id": id, "deletedAt": project.deleted_at.map(clock::text) }),
    ))
}

async fn delete_service(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    desk.railway.by_hand(&id, |project, moment| {
        let index = project
            .service(&id)
            .ok_or_else(|| Refusal::not_found("Service"))?;
        change::delete_service(project, index, None, moment)
    })?;
    Ok(Json(json!({ "id": id })))
}

/// Patches a service's part of the config in every environment; `?deploy=false` is said by `"deploys": false`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceEdit {
    patch: Value,
    #[serde(default = "yes")]
    deploys: bool,
}

fn yes() -> bool {
    true
}

async fn edit_service(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(edit): Json<ServiceEdit>,
) -> Outcome {
    desk.railway.by_hand(&id, |project, moment| {
        project
            .service(&id)
            .ok_or_else(|| Refusal::not_found("Service"))?;
        let patch = json!({ "services": { &id: edit.patch } });
        for environment in 0..project.environments.len() {
            change::apply(project, environment, &patch, edit.deploys, moment);
        }
        Ok(())
    })?;
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableEdit {
    /// Null deletes.
    value: Option<String>,
    #[serde(default)]
    deploys: bool,
}

async fn edit_variable(
    State(desk): State<Desk>,
    Path((id, name)): Path<(String, String)>,
    Json(edit): Json<VariableEdit>,
) -> Outcome {
    desk.railway.by_hand(&id, |project, moment| {
        project
            .service(&id)
            .ok_or_else(|| Refusal::not_found("Service"))?;
        let row = edit
            .value
            .map_or(Value::Null, |value| json!({ "value": value }));
        let patch = json!({ "services": { &id: { "variables": { &name: row } } } });
        for environment in 0..project.environments.len() {
            change::apply(project, environment, &patch, false, moment);
            if edit.deploys {
                deploy(project, environment, &id, &Source::Configured, moment);
            }
        }
        Ok(())
    })?;
    Ok(Json(json!({ "id": id, "name": name })))
}

async fn delete_volume(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    desk.railway.by_hand(&id, |project, moment| {
        change::delete_volume(project, &id, moment);
        Ok(())
    })?;
    Ok(Json(json!({ "id": id })))
}

async fn delete_domain(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    desk.railway.by_hand(&id, |project, moment| {
        let found = project
            .domain(&id)
            .ok_or_else(|| Refusal::not_found("Domain"))?;
        change::delete_domain(project, found.0, found.1, moment);
        Ok(())
    })?;
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusEdit {
    status: String,
}

async fn set_status(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(edit): Json<StatusEdit>,
) -> Outcome {
    let status = Status::read(&edit.status)
        .ok_or_else(|| Sorry::bad(format!("{:?} is no deployment status", edit.status)))?;
    desk.railway.by_hand(&id, |project, moment| {
        let found = project
            .deployment(&id)
            .ok_or_else(|| Refusal::not_found("Deployment"))?;
        let row = &mut project.environments[found.0].deployments[found.1];
        Arc::make_mut(row).forced = Some((status, moment.now));
        project.updated_at = moment.now;
        Ok(())
    })?;
    Ok(Json(json!({ "id": id, "status": edit.status })))
}
