//! What others do to the keys of an account behind the API's back, for tests: making, spending, switching off, deleting.
//!
//! Nothing here is throttled or needs a credential.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::account::Account;
use super::key::Key;
use crate::clock;
use crate::control::{Desk, Outcome, Sorry};

pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/openrouter/workspaces", post(create_workspace))
        .route("/openrouter/keys", post(create))
        .route("/openrouter/keys/{hash}", get(show).put(edit))
        .route("/openrouter/keys/{hash}/delete", post(delete))
}

fn account<'a>(accounts: &'a mut BTreeMap<String, Account>, name: &str) -> &'a mut Account {
    let new = || Account::new(name, clock::now());
    accounts.entry(name.to_owned()).or_insert_with(new)
}

fn no_key(hash: &str) -> Sorry {
    Sorry::not_found(format!("there is no key with the hash {hash}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWorkspace {
    account: String,
    name: String,
}

async fn create_workspace(State(desk): State<Desk>, Json(order): Json<NewWorkspace>) -> Outcome {
    let mut accounts = desk.openrouter.accounts();
    let account = account(&mut accounts, &order.account);
    let made = account.add_workspace(order.name, clock::now());
    Ok(Json(json!({ "id": made.id, "slug": made.slug })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Foreign {
    account: String,
    name: String,
    workspace_id: Option<String>,
    limit: Option<f64>,
}

async fn create(State(desk): State<Desk>, Json(order): Json<Foreign>) -> Outcome {
    let mut accounts = desk.openrouter.accounts();
    let account = account(&mut accounts, &order.account);
    let workspace = match order.workspace_id {
        None => account.default_workspace(),
        Some(id) if account.workspace(&id).is_some() => id,
        Some(id) => {
            return Err(Sorry::bad(format!(
                "{} has no workspace {id}",
                order.account
            )));
        }
    };
    let somebody = "user_somebody_else".to_owned();
    let key = Key {
        limit: order.limit,
        ..Key::new(order.name, workspace, somebody, clock::now())
    };
    let made = json!({ "hash": key.hash, "key": key.secret, "workspaceId": key.workspace_id });
    account.keys.push(key);
    Ok(Json(made))
}

async fn show(State(desk): State<Desk>, Path(hash): Path<String>) -> Outcome {
    let mut accounts = desk.openrouter.accounts();
    let mut found = accounts.values_mut().filter_map(|row| row.key(&hash));
    let key = found.next().ok_or_else(|| no_key(&hash))?;
    Ok(Json(key.json(clock::now())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// The new total, in USD.
    usage: Option<f64>,
    name: Option<String>,
    disabled: Option<bool>,
}

async fn edit(
    State(desk): State<Desk>,
    Path(hash): Path<String>,
    Json(edit): Json<Edit>,
) -> Outcome {
    let now = clock::now();
    let mut accounts = desk.openrouter.accounts();
    let mut found = accounts.values_mut().filter_map(|row| row.key(&hash));
    let key = found.next().ok_or_else(|| no_key(&hash))?;
    if edit.name.is_some() || edit.disabled.is_some() {
        key.updated_at = Some(now);
    }
    if let Some(usage) = edit.usage {
        key.set_usage(usage, now);
    }
    if let Some(name) = edit.name {
        key.name = name;
    }
    key.disabled = edit.disabled.unwrap_or(key.disabled);
    Ok(Json(key.json(now)))
}

async fn delete(State(desk): State<Desk>, Path(hash): Path<String>) -> Outcome {
    let mut accounts = desk.openrouter.accounts();
    match accounts.values_mut().any(|row| row.delete(&hash)) {
        true => Ok(Json(json!({ "deleted": true }))),
        false => Err(no_key(&hash)),
    }
}
