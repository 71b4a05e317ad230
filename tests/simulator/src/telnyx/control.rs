//! What people do at Telnyx's portal: buy, edit and delete numbers and profiles, and settle an order.

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::numbers::Number;
use super::profiles::Profile;
use super::{Account, Offer, Telnyx, serve};
use crate::clock;
use crate::control::{Desk, Outcome, Sorry};
use crate::rest::given;

pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/telnyx/numbers", get(list).post(buy))
        .route("/telnyx/numbers/{id}", put(edit))
        .route("/telnyx/numbers/{id}/delete", post(delete))
        .route("/telnyx/profiles", post(create_profile))
        .route("/telnyx/profiles/{id}", put(edit_profile))
        .route("/telnyx/profiles/{id}/delete", post(delete_profile))
        .route("/telnyx/orders/{id}", put(settle))
}

/// Numbers of all accounts, deleted ones too.
async fn list(State(desk): State<Desk>) -> Json<Value> {
    let now = clock::now();
    let accounts = desk.telnyx.accounts();
    let mut rows = Vec::new();
    for (name, account) in &accounts.0 {
        for number in account.numbers.iter().filter(|number| number.since <= now) {
            let mut row = number.json(account);
            row["account"] = json!(name);
            rows.push(row);
        }
    }
    Json(Value::Array(rows))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Foreign {
    account: String,
    phone_number: Option<String>,
    customer_reference: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    messaging_profile_id: Option<String>,
}

async fn buy(State(desk): State<Desk>, Json(order): Json<Foreign>) -> Outcome {
    let settings = desk.settings.of(&order.account);
    let mut accounts = desk.telnyx.accounts();
    let phone = order.phone_number;
    let phone = phone.unwrap_or_else(|| serve::random_number("US", "local", None));
    if accounts.is_taken(&phone) {
        return Err(Sorry::bad(format!("somebody has {phone}")));
    }
    let offer = Offer {
        country: "US".to_owned(),
        kind: "local".to_owned(),
        monthly_cost: settings.telnyx_monthly_cost,
    };
    let mut number = Number::new(&phone, &offer, clock::now());
    number.reference = order.customer_reference;
    number.tags = order.tags;
    number.profile = order.messaging_profile_id;
    let account = accounts.of(&order.account);
    let row = number.json(account);
    account.numbers.push(number);
    Ok(Json(row))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Edit {
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    customer_reference: Option<Option<String>>,
    tags: Option<Vec<String>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    messaging_profile_id: Option<Option<String>>,
    deletion_lock: Option<bool>,
}

async fn edit(State(desk): State<Desk>, Path(id): Path<String>, Json(edit): Json<Edit>) -> Outcome {
    number_by_hand(&desk.telnyx, &id, |number| {
        if let Some(reference) = edit.customer_reference {
            number.reference = reference;
        }
        if let Some(profile) = edit.messaging_profile_id {
            number.profile = profile;
        }
        number.tags = edit
            .tags
            .unwrap_or_else(|| std::mem::take(&mut number.tags));
        number.locked = edit.deletion_lock.unwrap_or(number.locked);
        number.updated_at = clock::now();
    })
}

async fn delete(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    number_by_hand(&desk.telnyx, &id, |number| {
        number.deleted_at.get_or_insert_with(clock::now);
    })
}

/// By id, or by E.164 for one that lives.
fn number_by_hand(telnyx: &Telnyx, id: &str, change: impl FnOnce(&mut Number)) -> Outcome {
    let mut accounts = telnyx.accounts();
    let is =
        |number: &Number| number.id == id || (number.phone == id && number.deleted_at.is_none());
    for account in accounts.0.values_mut() {
        if let Some(at) = account.numbers.iter().position(is) {
            change(&mut account.numbers[at]);
            return Ok(Json(account.numbers[at].json(account)));
        }
    }
    Err(Sorry::not_found(format!("there is no number {id}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignProfile {
    account: String,
    name: String,
}

async fn create_profile(
    State(desk): State<Desk>,
    Json(order): Json<ForeignProfile>,
) -> Json<Value> {
    let now = clock::now();
    let profile = Profile::new(&order.account, &json!({ "name": order.name }), now, now);
    let row = profile.json();
    let mut accounts = desk.telnyx.accounts();
    accounts.of(&order.account).profiles.push(profile);
    Json(row)
}

/// The fields are Telnyx's own: `{"name": …, "webhook_url": …}`.
async fn edit_profile(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(edit): Json<Value>,
) -> Outcome {
    profile_by_hand(&desk.telnyx, &id, |account| {
        let mut profiles = account.profiles.iter_mut();
        let profile = profiles.find(|profile| profile.id == id)?;
        profile.edit(&edit, clock::now());
        Some(profile.json())
    })
}

async fn delete_profile(State(desk): State<Desk>, Path(id): Path<String>) -> Outcome {
    profile_by_hand(&desk.telnyx, &id, |account| {
        account.delete_profile(&id).map(|profile| profile.json())
    })
}

fn profile_by_hand(
    telnyx: &Telnyx,
    id: &str,
    change: impl Fn(&mut Account) -> Option<Value>,
) -> Outcome {
    let mut accounts = telnyx.accounts();
    let row = accounts.0.values_mut().find_map(change);
    row.map(Json)
        .ok_or_else(|| Sorry::not_found(format!("there is no messaging profile {id}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    status: String,
}

/// Ends a pending order now, as `success` or `failure`.
async fn settle(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(settled): Json<Settled>,
) -> Outcome {
    let fails = match settled.status.as_str() {
        "success" => false,
        "failure" => true,
        other => {
            return Err(Sorry::bad(format!(
                "{other:?} is neither success nor failure"
            )));
        }
    };
    let now = clock::now();
    let mut accounts = desk.telnyx.accounts();
    for (name, account) in &mut accounts.0 {
        let Some(at) = account.orders.iter().position(|order| order.id == id) else {
            continue;
        };
        let mut order = account.orders.remove(at);
        let pending = order.is_pending(now);
        if pending {
            (order.ends_at, order.fails) = (now, fails);
            account.empty(&id);
            if !fails {
                account.fill(&order, &desk.settings.of(name));
            }
        }
        let row = order.whole(now);
        account.orders.insert(at, order);
        return match pending {
            true => Ok(Json(row)),
            false => Err(Sorry::bad(format!("order {id} is {}", row["status"]))),
        };
    }
    Err(Sorry::not_found(format!("there is no order {id}")))
}
