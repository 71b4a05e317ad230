//! What others do with wallets: make one, put money in, suspend, resume or close it, revoke its keys.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bankr, State as Condition, Wallet};
use crate::control::{Desk, Outcome, Sorry};

pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/bankr/wallets", get(list).post(create))
        .route("/bankr/wallets/{id}/money", post(pay))
        .route("/bankr/wallets/{id}/keys/delete", post(revoke))
        .route("/bankr/wallets/{id}/{verb}", post(change))
}

fn shown(wallet: &Wallet) -> Value {
    let keys = wallet
        .keys
        .iter()
        .map(|key| json!({ "id": key.id, "name": key.name }));
    let mut row = wallet.json();
    row["account"] = json!(wallet.account);
    row["idempotencyKey"] = json!(wallet.idempotency_key);
    row["usd"] = json!(wallet.usd);
    row["keys"] = keys.collect();
    row
}

/// Closed ones too.
async fn list(State(desk): State<Desk>) -> Json<Value> {
    Json(desk.bankr.wallets().iter().map(shown).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Foreign {
    account: String,
    idempotency_key: Option<String>,
}

async fn create(State(desk): State<Desk>, Json(order): Json<Foreign>) -> Json<Value> {
    let mut wallet = Wallet::new(&order.account, order.idempotency_key, false);
    wallet.mint(None);
    let row = shown(&wallet);
    desk.bankr.wallets().push(wallet);
    Json(row)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Money {
    usd: f64,
}

async fn pay(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(money): Json<Money>,
) -> Outcome {
    by_hand(&desk.bankr, &id, |wallet| wallet.usd = money.usd)
}

async fn revoke(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    by_hand(&desk.bankr, &id, |wallet| wallet.keys.clear())
}

async fn change(State(desk): State<Desk>, Path((id, verb)): Path<(String, String)>) -> Outcome {
    let state = match verb.as_str() {
        "suspend" => Condition::Suspended,
        "resume" => Condition::Active,
        "close" => Condition::Closed,
        _ => {
            return Err(Sorry::bad(format!(
                "{verb:?} is none of suspend, resume, close, money"
            )));
        }
    };
    by_hand(&desk.bankr, &id, |wallet| wallet.state = state)
}

fn by_hand(bankr: &Bankr, id: &str, change: impl FnOnce(&mut Wallet)) -> Outcome {
    let mut wallets = bankr.wallets();
    let wallet = wallets.iter_mut().find(|wallet| wallet.id == id);
    let wallet = wallet.ok_or_else(|| Sorry::not_found(format!("there is no wallet {id}")))?;
    change(wallet);
    Ok(Json(shown(wallet)))
}
