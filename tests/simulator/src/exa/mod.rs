//! Exa's team management: the API keys of a team, as facts/tool-providers.md 7 describes it.
//!
//! Two APIs, by `exa.api`. In the legacy one the id of a key IS the key: it is listed, and it stands in the path of
//! every request about it. In the new one a key has a `publicId`, and its secret is shown once. Deliberately absent:
//! rotation, and searching.

mod control;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{self, after, text};
use crate::exchange::{Answer, Request};
use crate::identity;
use crate::inventory::Resource;
use crate::provider::Provider;
use crate::rest::{self, Call, Rate};
use crate::settings::{ExaApi, Settings, SettingsStore};
pub(crate) use control::routes;

/// Test credentials, in `x-api-key`: `exa-svc-<account>_<anything>`. The account exists on demand.
const SERVICE: &str = "exa-svc-";

pub(crate) struct Exa {
    settings: SettingsStore,
    /// The keys of each account, in the order of creation.
    accounts: Mutex<BTreeMap<String, Vec<Key>>>,
    rate: Rate,
}

#[derive(Debug)]
struct Key {
    /// The key itself; also its id in the legacy API.
    secret: String,
    public_id: String,
    name: Option<String>,
    rate_limit: Option<i64>,
    budget_cents: Option<u64>,
    used_cents: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The body of a creation or a change. Other fields are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Order {
    name: Option<String>,
    rate_limit: Option<i64>,
    #[serde(default, deserialize_with = "rest::given")]
    budget_cents: Option<Option<u64>>,
}

impl Key {
    fn new(now: Timestamp) -> Self {
        Self {
            secret: identity::uuid(),
            public_id: format!("key_{}", &identity::long()[..24]),
            name: None,
            rate_limit: None,
            budget_cents: None,
            used_cents: 0,
            created_at: now,
            updated_at: now,
        }
    }

    fn id(&self, api: ExaApi) -> &str {
        match api {
            ExaApi::Legacy => &self.secret,
            ExaApi::New => &self.public_id,
        }
    }

    /// What stands for the key where no secret may: in the inventory and the control API.
    fn inventory_id(&self, api: ExaApi) -> String {
        match api {
            ExaApi::Legacy => identity::sha256(self.secret.as_bytes()),
            ExaApi::New => self.public_id.clone(),
        }
    }

    fn change(&mut self, order: Order, now: Timestamp) {
        self.name = order.name.or_else(|| self.name.take());
        self.rate_limit = order.rate_limit.or(self.rate_limit);
        self.budget_cents = order.budget_cents.unwrap_or(self.budget_cents);
        self.updated_at = now;
    }

    fn is_shown(&self, now: Timestamp, settings: &Settings) -> bool {
        after(self.created_at, settings.exa_read_lag) <= now
    }

    fn json(&self, account: &str, api: ExaApi) -> Value {
        let over = self
            .budget_cents
            .is_some_and(|budget| self.used_cents >= budget);
        let mut shown = json!({
            "rateLimit": self.rate_limit,
            "budgetCents": self.budget_cents,
            "isOverBudget": over,
            "teamId": identity::uuid_of(&format!("team of {account}")),
            "userId": identity::uuid_of(&format!("user of {account}")),
            "createdAt": text(self.created_at),
        });
        let id = match api {
            ExaApi::Legacy => "id",
            ExaApi::New => "publicId",
        };
        shown[id] = json!(self.id(api));
        if let Some(name) = &self.name {
            shown["name"] = json!(name);
        }
        if api == ExaApi::New {
            shown["updatedAt"] = json!(text(self.updated_at));
        }
        shown
    }
}

impl Exa {
    pub(crate) fn new(settings: SettingsStore) -> Self {
        Self {
            settings,
            accounts: Mutex::default(),
            rate: Rate::default(),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Key>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry_out(&self, request: &Request) -> Result<Answer, Answer> {
        let now = clock::now();
        let call = Call::below("/team-management", request)
            .ok_or_else(|| Answer::error(404, "Not Found"))?;
        let name = self
            .account(request)
            .ok_or_else(|| Answer::error(401, "Invalid service key"))?;
        let settings = self.settings.of(&name);
        let api = settings.exa_api;
        if self.rate.exceeded(&name, settings.exa_per_second, now) {
            return Err(self.throttled(request));
        }
        let mut accounts = self.accounts();
        let keys = accounts.entry(name.clone()).or_default();
        let one = |key: &Key| Answer::json(200, json!({ "apiKey": key.json(&name, api) }));
        let find = |keys: &[Key], id: &str| {
            let shown = |key: &&Key| key.id(api) == id && key.is_shown(now, &settings);
            keys.iter().find(shown).map(one).ok_or_else(no_key)
        };
        match (request.method.as_str(), &call.parts()[..]) {
            ("GET", ["api-keys"]) => match call.query("api_key_id") {
                Some(id) => find(keys, id),
                None => {
                    let shown = keys.iter().filter(|key| key.is_shown(now, &settings));
                    let shown: Vec<Value> = shown.map(|key| key.json(&name, api)).collect();
                    Ok(Answer::json(200, json!({ "apiKeys": shown })))
                }
            },
            ("POST", ["api-keys"]) => {
                let mut key = Key::new(now);
                key.change(order(request)?, now);
                let mut made = key.json(&name, api);
                if api == ExaApi::New {
                    made["secret"] = json!(key.secret);
                }
                keys.push(key);
                Ok(Answer::json(200, json!({ "apiKey": made })))
            }
            ("GET", ["api-keys", id]) => find(keys, id),
            ("PUT", ["api-keys", id]) => {
                let mut found = keys.iter_mut().filter(|key| key.id(api) == *id);
                let key = found.next().ok_or_else(no_key)?;
                key.change(order(request)?, now);
                Ok(one(key))
            }
            ("DELETE", ["api-keys", id]) => {
                let at = keys.iter().position(|key| key.id(api) == *id);
                keys.remove(at.ok_or_else(no_key)?);
                Ok(Answer::json(200, json!({ "success": true })))
            }
            _ => Err(Answer::error(404, "Not Found")),
        }
    }
}

fn no_key() -> Answer {
    Answer::error(404, "API key not found")
}

fn order(request: &Request) -> Result<Order, Answer> {
    rest::body(request).map_err(|problem| Answer::error(400, &problem))
}

#[async_trait]
impl Provider for Exa {
    fn name(&self) -> &'static str {
        "exa"
    }

    fn account(&self, request: &Request) -> Option<String> {
        rest::account(request.header("x-api-key"), SERVICE)
    }

    async fn answer(&self, request: &Request) -> Answer {
        self.carry_out(request).unwrap_or_else(|refusal| refusal)
    }

    fn resources(&self) -> Vec<Resource> {
        let accounts = self.accounts();
        let mut rows = Vec::new();
        for (account, keys) in accounts.iter() {
            let api = self.settings.of(account).exa_api;
            rows.extend(keys.iter().map(|key| Resource {
                provider: "exa",
                kind: "key",
                id: key.inventory_id(api),
                name: key.name.clone().unwrap_or_default(),
                workspace: account.clone(),
                description: None,
                parent: None,
                created_at: text(key.created_at),
                // The most it can cost, as with everything here; one without a budget says nothing.
                monthly_usd: key.budget_cents.map_or(0.0, |cents| cents as f64 / 100.0),
                spent_usd: 0.0,
            }));
        }
        rows
    }
}
