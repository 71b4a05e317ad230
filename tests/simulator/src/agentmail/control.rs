//! What people do in AgentMail's console: make, edit and delete inboxes, delete keys.

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Office;
use super::inboxes::{Inbox, Wish};
use crate::control::{Desk, Outcome, Sorry};

pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/agentmail/inboxes", get(list).post(create))
        .route("/agentmail/inboxes/{id}", put(edit))
        .route("/agentmail/inboxes/{id}/delete", post(delete))
        .route("/agentmail/keys/{id}/delete", post(delete_key))
}

fn shown(account: &str, inbox: &Inbox, office: &Office) -> Value {
    let mut row = inbox.json();
    let keys = office.accounts.get(account).map(|account| &account.keys);
    let keys = keys.into_iter().flatten();
    let own = keys.filter(|key| key.inbox == inbox.address);
    row["account"] = json!(account);
    row["keys"] = own.map(|key| key.json(&inbox.pod)).collect();
    row
}

/// Inboxes of all accounts, with their keys.
async fn list(State(desk): State<Desk>) -> Json<Value> {
    let office = desk.agentmail.office();
    let mut rows = Vec::new();
    for (name, account) in &office.accounts {
        let inboxes = account.inboxes.iter();
        rows.extend(inboxes.map(|inbox| shown(name, inbox, &office)));
    }
    Json(Value::Array(rows))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Foreign {
    account: String,
    username: String,
    client_id: Option<String>,
    display_name: Option<String>,
    #[serde(default)]
    metadata: Value,
}

async fn create(State(desk): State<Desk>, Json(order): Json<Foreign>) -> Outcome {
    let wish = Wish::read(&json!({
        "username": order.username,
        "client_id": order.client_id,
        "display_name": order.display_name,
        "metadata": order.metadata,
    }));
    let wish = wish.map_err(|wrong| Sorry::bad(wrong.to_string()))?;
    let mut office = desk.agentmail.office();
    let address = wish.address();
    if let Some(holder) = office.holder(&address) {
        return Err(Sorry::bad(format!("{holder} has {address}")));
    }
    let inbox = Inbox::new(office.next_seq(), &order.account, address, wish);
    let row = shown(&order.account, &inbox, &office);
    office.of(&order.account).inboxes.push(inbox);
    Ok(Json(row))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Edit {
    display_name: Option<String>,
    /// Merged as PATCH merges it.
    #[serde(default)]
    metadata: Value,
}

async fn edit(State(desk): State<Desk>, Path(id): Path<String>, Json(edit): Json<Edit>) -> Outcome {
    let mut office = desk.agentmail.office();
    let accounts = office.accounts.values_mut();
    let mut inboxes = accounts.flat_map(|account| &mut account.inboxes);
    let inbox = inboxes.find(|inbox| inbox.address == id);
    let inbox = inbox.ok_or_else(|| no_inbox(&id))?;
    let mut patch = json!({ "display_name": edit.display_name });
    if !edit.metadata.is_null() {
        patch["metadata"] = edit.metadata;
    }
    let edited = inbox.edit(&patch);
    edited.map_err(|wrong| Sorry::bad(wrong.to_string()))?;
    Ok(Json(inbox.json()))
}

async fn delete(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    let mut office = desk.agentmail.office();
    let mut accounts = office.accounts.values_mut();
    match accounts.any(|account| account.delete_inbox(&id)) {
        true => Ok(Json(json!({ "id": id }))),
        false => Err(no_inbox(&id)),
    }
}

async fn delete_key(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    let mut office = desk.agentmail.office();
    for account in office.accounts.values_mut() {
        let before = account.keys.len();
        account.keys.retain(|key| key.id != id);
        if account.keys.len() < before {
            return Ok(Json(json!({ "id": id })));
        }
    }
    Err(Sorry::not_found(format!("there is no key {id}")))
}

fn no_inbox(id: &str) -> Sorry {
    Sorry::not_found(format!("there is no inbox {id}"))
}
