//! What others do to the keys of a team behind the API's back, for tests: making, spending, renaming, deleting.
//!
//! A key is named as the inventory names it. Nothing here is throttled or needs a credential.

use axum::extract::{Path, State};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Exa, Key};
use crate::clock;
use crate::control::{Desk, Outcome, Sorry};

pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/exa/keys", post(create))
        .route("/exa/keys/{id}", put(edit))
        .route("/exa/keys/{id}/delete", post(delete))
}

impl Exa {
    /// Gives the account's keys, and where among them this one is, to `change`.
    fn by_hand<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Vec<Key>, usize) -> T,
    ) -> Result<T, Sorry> {
        for (account, keys) in self.accounts().iter_mut() {
            let api = self.settings.of(account).exa_api;
            if let Some(at) = keys.iter().position(|key| key.inventory_id(api) == id) {
                return Ok(change(keys, at));
            }
        }
        Err(Sorry::not_found(format!("there is no key {id}")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Foreign {
    account: String,
    name: String,
    budget_cents: Option<u64>,
}

async fn create(State(desk): State<Desk>, Json(order): Json<Foreign>) -> Outcome {
    let api = desk.exa.settings.of(&order.account).exa_api;
    let mut key = Key::new(clock::now());
    key.name = Some(order.name);
    key.budget_cents = order.budget_cents;
    let made = json!({ "id": key.inventory_id(api), "key": key.secret });
    let mut accounts = desk.exa.accounts();
    accounts.entry(order.account).or_default().push(key);
    Ok(Json(made))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Edit {
    /// The new total.
    used_cents: Option<u64>,
    name: Option<String>,
}

async fn edit(State(desk): State<Desk>, Path(id): Path<String>, Json(edit): Json<Edit>) -> Outcome {
    desk.exa.by_hand(&id, |keys, at| {
        if let Some(key) = keys.get_mut(at) {
            key.used_cents = edit.used_cents.unwrap_or(key.used_cents);
            key.name = edit.name.or_else(|| key.name.take());
            key.updated_at = clock::now();
        }
    })?;
    Ok(Json(json!({ "id": id })))
}

async fn delete(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    desk.exa.by_hand(&id, |keys, at| {
        keys.remove(at);
    })?;
    Ok(Json(json!({ "deleted": true })))
}
