//! The control API: plain HTTP on loopback, JSON. Here: inventory, settings, faults, journal.
//!
//! Each provider adds its own routes, for playing the outside world by hand; the README lists all of them. Nothing here
//! is journaled.

mod journal;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::agentmail::AgentMail;
use crate::agents::Agents;
use crate::bankr::Bankr;
use crate::exa::Exa;
use crate::gate::Gate;
use crate::inventory::Inventory;
use crate::openrouter::OpenRouter;
use crate::railway::Railway;
use crate::registry::Registry;
use crate::settings::{SettingError, SettingsStore, TABLE};
use crate::telnyx::Telnyx;

/// What the control API can reach.
#[derive(Clone)]
pub(crate) struct Desk {
    pub gate: Arc<Gate>,
    pub settings: SettingsStore,
    pub railway: Arc<Railway>,
    pub registry: Arc<Registry>,
    pub agents: Arc<Agents>,
    pub openrouter: Arc<OpenRouter>,
    pub exa: Arc<Exa>,
    pub agentmail: Arc<AgentMail>,
    pub telnyx: Arc<Telnyx>,
    pub bankr: Arc<Bankr>,
}

/// A refusal of the control API: `{"error": …}`.
#[derive(Debug)]
pub(crate) struct Sorry(StatusCode, String);

impl Sorry {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<SettingError> for Sorry {
    fn from(error: SettingError) -> Self {
        Self::bad(error.to_string())
    }
}

pub(crate) type Outcome = Result<Json<Value>, Sorry>;

pub(crate) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/inventory", get(inventory))
        .route("/settings", get(settings).put(set))
        .route("/settings/table", get(table))
        .route("/faults", get(faults).post(post_fault).delete(clear_faults))
        .route("/faults/{id}", axum::routing::delete(remove_fault))
        .route("/journal", get(journal::read))
        .route("/refused", get(refused))
        .merge(crate::railway::routes())
        .merge(crate::registry::routes())
        .merge(crate::agents::routes())
        .merge(crate::openrouter::routes())
        .merge(crate::exa::routes())
        .merge(crate::agentmail::routes())
        .merge(crate::telnyx::routes())
        .merge(crate::bankr::routes())
        .with_state(desk)
}

async fn inventory(State(desk): State<Desk>) -> Json<Inventory> {
    let providers = desk.gate.hosts.providers();
    let resources = providers.iter().flat_map(|provider| provider.resources());
    Json(Inventory::of(resources.collect()))
}

async fn settings(State(desk): State<Desk>) -> Json<BTreeMap<String, String>> {
    Json(desk.settings.entries())
}

async fn table() -> Json<Value> {
    let row = |row: &crate::settings::Row| json!({ "key": row.key, "default": row.default, "meaning": row.meaning });
    Json(TABLE.iter().map(row).collect())
}

/// `{"key": value, …}`; numbers and booleans may be written as such.
async fn set(State(desk): State<Desk>, Json(pairs): Json<BTreeMap<String, Value>>) -> Outcome {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let pairs: Vec<(&str, String)> = pairs
        .iter()
        .map(|(key, value)| (key.as_str(), text(value)))
        .collect();
    desk.settings
        .set_all(pairs.iter().map(|(key, value)| (*key, value.as_str())))?;
    Ok(Json(json!(desk.settings.entries())))
}

async fn faults(State(desk): State<Desk>) -> Json<Value> {
    Json(desk.gate.faults.list())
}

async fn post_fault(State(desk): State<Desk>, Json(order): Json<Value>) -> Outcome {
    desk.gate.faults.post(order).map(Json).map_err(Sorry::bad)
}

async fn clear_faults(State(desk): State<Desk>) -> Json<Value> {
    desk.gate.faults.clear();
    Json(json!([]))
}

async fn remove_fault(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    match desk.gate.faults.remove(&id) {
        true => Ok(Json(json!({ "id": id }))),
        false => Err(Sorry::not_found(format!("there is no fault {id}"))),
    }
}

/// Hosts that somebody asked for and that are not simulated, with how often.
async fn refused(State(desk): State<Desk>) -> Json<BTreeMap<String, u64>> {
    Json(desk.gate.hosts.refused())
}
