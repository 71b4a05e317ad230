//! OpenRouter's management API: keys with spending limits, in the workspaces of an account, as facts/tool-providers.md 1
//! describes it.
//!
//! Its oddities are kept: names are not unique, a key is shown once, a listing that names no workspace shows the default
//! one alone, and PATCH ignores `expires_at` and `workspace_id`. What agents do with their keys is in `models`. Deliberately
//! absent: guardrails, budgets, and making workspaces through the API.

mod account;
mod control;
mod key;
mod models;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{self, text};
use crate::exchange::{Answer, Request};
use crate::inventory::Resource;
use crate::provider::Provider;
use crate::rest::{self, Call, Rate};
use crate::settings::{Settings, SettingsStore, UnknownWorkspace};
use account::Account;
pub(crate) use control::routes;
use key::{Key, Period};
pub(crate) use models::Unpaid;

/// Test credentials: `sk-or-mgmt-<account>_<anything>`. The account exists on demand.
const MANAGEMENT: &str = "sk-or-mgmt-";

pub(crate) struct OpenRouter {
    settings: SettingsStore,
    accounts: Mutex<BTreeMap<String, Account>>,
    rate: Rate,
}

/// Whose credential a request carries.
enum Caller {
    Management(String),
    /// A key of that account, which opens nothing but itself here.
    Agent(String, Box<Key>),
}

impl Caller {
    fn account(&self) -> &str {
        match self {
            Self::Management(account) | Self::Agent(account, _) => account,
        }
    }
}

/// The body of `POST /keys`. Other fields are ignored.
#[derive(Deserialize)]
struct Order {
    name: String,
    limit: Option<f64>,
    limit_reset: Option<Period>,
    #[serde(default)]
    include_byok_in_limit: bool,
    expires_at: Option<String>,
    workspace_id: Option<String>,
    creator_user_id: Option<String>,
}

/// The body of `PATCH /keys/{hash}`. Other fields are ignored.
#[derive(Deserialize)]
struct Edit {
    name: Option<String>,
    disabled: Option<bool>,
    #[serde(default, deserialize_with = "rest::given")]
    limit: Option<Option<f64>>,
    #[serde(default, deserialize_with = "rest::given")]
    limit_reset: Option<Option<Period>>,
    include_byok_in_limit: Option<bool>,
}

impl OpenRouter {
    pub(crate) fn new(settings: SettingsStore) -> Self {
        Self {
            settings,
            accounts: Mutex::default(),
            rate: Rate::default(),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caller(&self, request: &Request) -> Option<Caller> {
        let credential = request.bearer();
        if let Some(account) = rest::account(credential, MANAGEMENT) {
            return Some(Caller::Management(account));
        }
        let accounts = self.accounts();
        let mut keys = accounts
            .iter()
            .flat_map(|(name, account)| account.keys.iter().map(move |key| (name, key)));
        let (name, key) = keys.find(|(_, key)| credential == Some(&key.secret))?;
        Some(Caller::Agent(name.clone(), Box::new(key.clone())))
    }

    fn carry_out(&self, request: &Request) -> Result<Answer, Answer> {
        let now = clock::now();
        let call = Call::below("/api/v1", request).ok_or_else(missing)?;
        let caller = self.caller(request).ok_or_else(|| match request.bearer() {
            None => refuse(401, "Missing Authentication header"),
            Some(_) => refuse(401, "User not found."),
        })?;
        let settings = self.settings.of(caller.account());
        if self
            .rate
            .exceeded(caller.account(), settings.openrouter_per_second, now)
        {
            return Err(self.throttled(request));
        }
        let parts = call.parts();
        if (request.method.as_str(), &parts[..]) == ("GET", &["key"]) {
            return own_key(&caller, now);
        }
        let Caller::Management(name) = caller else {
            return Err(refuse(
                403,
                "Only management keys can perform this operation",
            ));
        };
        let mut accounts = self.accounts();
        let account = accounts
            .entry(name.clone())
            .or_insert_with(|| Account::new(&name, now));
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["keys"]) => list(account, &call, now, &settings),
            ("POST", ["keys"]) => create(account, &name, rest::body(request), now, &settings),
            ("GET", ["keys", hash]) => {
                let key = account
                    .shown(now, &settings)
                    .find(|key| key.hash == **hash)
                    .ok_or_else(missing)?;
                Ok(Answer::json(200, json!({ "data": key.json(now) })))
            }
            ("PATCH", ["keys", hash]) => {
                let key = account.key(hash).ok_or_else(missing)?;
                edit(key, rest::body(request), now, &settings)
            }
            ("DELETE", ["keys", hash]) => match account.delete(hash) {
                true => Ok(Answer::json(200, json!({ "deleted": true }))),
                false => Err(missing()),
            },
            ("GET", ["credits"]) => {
                let credits = json!({
                    "total_credits": settings.openrouter_credits,
                    "total_usage": account.total_usage(),
                });
                Ok(Answer::json(200, json!({ "data": credits })))
            }
            ("GET", ["workspaces"]) => {
                let (from, most) = (number(&call, "offset", 0)?, number(&call, "limit", 50)?);
                if !(1..=100).contains(&most) {
                    return Err(refuse(400, "limit must be from 1 to 100"));
                }
                let rows = account.workspaces.iter().skip(from).take(most);
                let rows: Vec<Value> = rows.map(account::Workspace::json).collect();
                let count = account.workspaces.len();
                Ok(Answer::json(
                    200,
                    json!({ "data": rows, "total_count": count }),
                ))
            }
            ("GET", ["workspaces", id]) => {
                let found = account.workspace_or_slug(id).ok_or_else(missing)?;
                Ok(Answer::json(200, json!({ "data": found.json() })))
            }
            _ => Err(missing()),
        }
    }
}

/// `{"error": {"code", "message"}}`
fn refuse(status: u16, message: &str) -> Answer {
    Answer::json(
        status,
        json!({ "error": { "code": status, "message": message } }),
    )
}

fn missing() -> Answer {
    refuse(404, "Resource not found")
}

fn number(call: &Call, name: &str, default: usize) -> Result<usize, Answer> {
    match call.query(name) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| refuse(400, &format!("{name} is no number from 0"))),
    }
}

fn own_key(caller: &Caller, now: Timestamp) -> Result<Answer, Answer> {
    let (key, management) = match caller {
        Caller::Agent(_, key) => ((**key).clone(), false),
        // A management key has no limits, and no name that anybody saw.
        Caller::Management(account) => {
            let creator = format!("user_{account}");
            (Key::new(String::new(), String::new(), creator, now), true)
        }
    };
    if !key.works(now) {
        return Err(refuse(401, "User not found."));
    }
    let mut data = key.budget(now);
    let more = json!({
        "is_free_tier": false,
        "is_management_key": management,
        "is_provisioning_key": management,
        "rate_limit": { "requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore." },
    });
    if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    Ok(Answer::json(200, json!({ "data": data })))
}

fn list(
    account: &Account,
    call: &Call,
    now: Timestamp,
    settings: &Settings,
) -> Result<Answer, Answer> {
    let offset = number(call, "offset", 0)?;
    let disabled = match call.query("include_disabled") {
        None => settings.openrouter_lists_disabled,
        Some(text) => text == "true",
    };
    let workspace = match call.query("workspace_id") {
        None => account.default_workspace(),
        Some(id) => id.to_owned(),
    };
    let refuses = settings.openrouter_unknown_workspace == UnknownWorkspace::Refuse;
    if refuses && account.workspace(&workspace).is_none() {
        return Err(refuse(400, "Workspace not found"));
    }
    let page = usize::try_from(settings.openrouter_page_size).unwrap_or(usize::MAX);
    let keys: Vec<Value> = account
        .shown(now, settings)
        .filter(|key| key.workspace_id == workspace && (disabled || !key.disabled))
        .skip(offset)
        .take(page)
        .map(|key| key.json(now))
        .collect();
    Ok(Answer::json(200, json!({ "data": keys })))
}

fn create(
    account: &mut Account,
    name: &str,
    order: Result<Order, String>,
    now: Timestamp,
    settings: &Settings,
) -> Result<Answer, Answer> {
    let order = order.map_err(|problem| refuse(400, &problem))?;
    if order.name.is_empty() {
        return Err(refuse(400, "name must have at least 1 character"));
    }
    check_limit(order.limit, settings)?;
    let expires_at = order.expires_at.as_deref().map(utc).transpose()?;
    let workspace_id = match order.workspace_id {
        None => account.default_workspace(),
        Some(id) if account.workspace(&id).is_some() => id,
        Some(_) => return Err(refuse(400, "Workspace not found")),
    };
    let creator = order
        .creator_user_id
        .unwrap_or_else(|| format!("user_{name}"));
    let key = Key {
        limit: order.limit,
        limit_reset: order.limit_reset,
        include_byok_in_limit: order.include_byok_in_limit,
        expires_at,
        ..Key::new(order.name, workspace_id, creator, now)
    };
    let made = json!({ "data": key.json(now), "key": key.secret });
    account.keys.push(key);
    Ok(Answer::json(201, made))
}

fn edit(
    key: &mut Key,
    edit: Result<Edit, String>,
    now: Timestamp,
    settings: &Settings,
) -> Result<Answer, Answer> {
    let edit = edit.map_err(|problem| refuse(400, &problem))?;
    check_limit(edit.limit.flatten(), settings)?;
    if let Some(name) = edit.name {
        key.name = name;
    }
    key.disabled = edit.disabled.unwrap_or(key.disabled);
    key.limit = edit.limit.unwrap_or(key.limit);
    key.limit_reset = edit.limit_reset.unwrap_or(key.limit_reset);
    key.include_byok_in_limit = edit
        .include_byok_in_limit
        .unwrap_or(key.include_byok_in_limit);
    key.updated_at = Some(now);
    Ok(Answer::json(200, json!({ "data": key.json(now) })))
}

fn check_limit(limit: Option<f64>, settings: &Settings) -> Result<(), Answer> {
    match limit {
        Some(limit) if limit < 0.0 || (limit == 0.0 && settings.openrouter_refuses_zero) => {
            Err(refuse(400, "limit must be greater than 0"))
        }
        _ => Ok(()),
    }
}

/// Must be UTC; other timezones are rejected, even those that are UTC in other words.
fn utc(text: &str) -> Result<Timestamp, Answer> {
    let moment = text.parse().ok().filter(|_| text.ends_with('Z'));
    moment.ok_or_else(|| refuse(400, "expires_at must be an ISO 8601 time in UTC"))
}

#[async_trait]
impl Provider for OpenRouter {
    fn name(&self) -> &'static str {
        "openrouter"
    }

    fn account(&self, request: &Request) -> Option<String> {
        self.caller(request)
            .map(|caller| caller.account().to_owned())
    }

    fn is_journaled(&self, request: &Request) -> bool {
        !models::is_for_models(request)
    }

    async fn answer(&self, request: &Request) -> Answer {
        if models::is_for_models(request) {
            return self.ask_model(request).unwrap_or_else(|refusal| refusal);
        }
        self.carry_out(request).unwrap_or_else(|refusal| refusal)
    }

    fn throttled(&self, _request: &Request) -> Answer {
        refuse(429, "Rate limit exceeded").with("Retry-After", 1)
    }

    fn resources(&self) -> Vec<Resource> {
        let accounts = self.accounts();
        let keys = accounts
            .iter()
            .flat_map(|(name, account)| account.keys.iter().map(move |key| (name, key)));
        let resource = |(account, key): (&String, &Key)| Resource {
            provider: "openrouter",
            kind: "key",
            id: key.hash.clone(),
            name: key.name.clone(),
            workspace: account.clone(),
            description: None,
            parent: Some(key.workspace_id.clone()),
            created_at: text(key.created_at),
            monthly_usd: key.can_cost_a_month(),
            spent_usd: key.spent_in_month(clock::now()),
        };
        keys.map(resource).collect()
    }
}
