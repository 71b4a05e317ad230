//! Search keys at Exa (`facts/tool-providers.md` 7).
//!
//! What holds: at the API as it was, a key's id is the key itself, so outside this file such a key is known by a
//! fingerprint, and what is done to it by its fingerprint is done after a listing; at the API as it is becoming, a key
//! has a `publicId`, which is its id here. The legacy listing would show a secret again; it is not taken from there: who
//! has lost a secret makes another key, as everywhere. Deliberately absent: rotation in place.

use super::faults::{Complaint, Dialect, plain};
use super::rest::{Ask, Connection, Line, Manners, piece};
use super::{Provider, held};
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::{
    FINGERPRINT, Made, Named, Order, Resource, Sought, Stage, Stock, Wish, fingerprint,
};
use crate::model::{Done, Fault};
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

const MANNERS: Manners = Manners {
    base: "https://admin-api.exa.ai/team-management",
    header: Some("x-api-key"),
    dialect: Dialect {
        name: "Exa",
        complaint: |body| Complaint {
            code: String::new(),
            sentence: body["error"].as_str().unwrap_or_default().to_owned(),
        },
        meaning: plain,
    },
};

/// One Exa team.
pub struct Exa {
    line: Line,
    /// What keys are shown as since they were set: Exa may show a default where nothing was wished, and knows no fractions
    /// of a cent. Otherwise such a key would look edited for ever. Lost with the process; then it is set once more.
    became: Mutex<BTreeMap<String, Became>>,
    /// Since when the listing has been empty.
    empty: Mutex<Option<Timestamp>>,
    /// Keys whose deletion was asked for here.
    deleted: Mutex<BTreeSet<String>>,
}

/// For so many request timeouts an empty listing is no proof that a key is gone: a fingerprint can be looked up nowhere else.
const EMPTY: i32 = 10;

fn doubt() -> Fault {
    Fault::Transient {
        message: "Exa lists no keys at all, which is believed when it has lasted".to_owned(),
    }
}

/// What a wish became.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Became {
    shown: String,
    wished: String,
}

/// A key as it is told. Neither printable nor sent anywhere but to Exa.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    /// At the legacy API: the key itself.
    id: Option<SecretString>,
    public_id: Option<String>,
    secret: Option<SecretString>,
    #[serde(default)]
    name: Option<String>,
    rate_limit: Option<i64>,
    budget_cents: Option<i64>,
    created_at: Option<String>,
    team_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    api_key: Key,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct All {
    api_keys: Vec<Key>,
}

impl Key {
    /// Its id outside this file.
    fn shown(&self) -> Done<String> {
        let shown = self
            .public_id
            .clone()
            .or_else(|| self.id.as_ref().map(fingerprint));
        shown.ok_or_else(|| Fault::Bug {
            message: "Exa shows a key without an id".to_owned(),
        })
    }

    /// Its id inside a path.
    fn path(&self) -> Done<String> {
        let id = match (&self.public_id, &self.id) {
            (Some(public), _) => piece(public),
            (None, Some(id)) => piece(id.expose_secret()),
            (None, None) => self.shown()?,
        };
        Ok(format!("/api-keys/{id}"))
    }

    /// What opens Exa: told beside the public id, or the legacy id itself.
    fn secret(&self) -> Option<SecretString> {
        match (&self.secret, &self.public_id) {
            (Some(secret), _) => Some(secret.clone()),
            (None, None) => self.id.clone(),
            // With a public id, what `id` is, is not documented: better no secret than a wrong one.
            (None, Some(_)) => None,
        }
    }

    fn settings(&self) -> String {
        let wish = Wish::Exa {
            rate_limit: self
                .rate_limit
                .map(|rate| i32::try_from(rate).unwrap_or(i32::MAX)),
            budget_usd: self.budget_cents.map(dollars),
        };
        wish.settings()
    }

    fn resource(self) -> Done<Resource> {
        Ok(Resource {
            part: Part::Main,
            id: self.shown()?,
            settings: Some(self.settings()),
            monthly_usd: self.budget_cents.map_or(0.0, dollars),
            created: self.created_at.and_then(|at| at.parse().ok()),
            name: self.name.unwrap_or_default(),
            address: None,
            stage: Stage::Ready,
            usage: None,
        })
    }
}

/// Whether an id stands for one that is a secret.
fn is_fingerprint(id: &str) -> bool {
    id.starts_with(FINGERPRINT)
}

/// Exact for every budget that exists: cents below 2^53.
#[allow(clippy::cast_precision_loss)]
fn dollars(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// Rounded down: a budget is never more than was wished.
#[allow(clippy::cast_possible_truncation)]
fn cents(dollars: f64) -> i64 {
    // 0.29 dollars are 28.999… in binary.
    (dollars * 100.0 + 1e-6).floor() as i64
}

/// What a wish sends. Unknown fields are refused with 400; a rate cannot be null, a budget can.
fn wished(wish: &Wish) -> Done<Value> {
    let Wish::Exa {
        rate_limit,
        budget_usd,
    } = wish
    else {
        return Err(super::not_ours("Exa"));
    };
    let mut body = json!({ "budgetCents": budget_usd.map(cents) });
    if let Some(rate) = rate_limit {
        body["rateLimit"] = json!(rate);
    }
    Ok(body)
}

impl Exa {
    /// The team that the service key opens.
    pub fn new(credential: &SecretString, connection: Connection) -> Exa {
        Exa {
            line: Line::new(MANNERS, credential, connection),
            became: Mutex::default(),
            empty: Mutex::default(),
            deleted: Mutex::default(),
        }
    }

    /// Its line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Remembers what the wish became for this key.
    fn learn(&self, id: &str, shown: String, wish: &Wish) {
        let wished = wish.settings();
        held(&self.became).insert(id.to_owned(), Became { shown, wished });
    }

    /// A key as it is shown, told as what was wished where nobody has changed it since.
    fn told(&self, key: Key) -> Done<Resource> {
        let mut seen = key.resource()?;
        if let Some(became) = held(&self.became).get(&seen.id)
            && seen.settings.as_ref() == Some(&became.shown)
        {
            seen.settings = Some(became.wished.clone());
        }
        Ok(seen)
    }

    /// All keys: the listing has no pages.
    async fn keys(&self) -> Done<Vec<Key>> {
        let all: All = self.line.ask(Ask::get("keys", "/api-keys")).await?;
        let mut empty = held(&self.empty);
        *empty = match (all.api_keys.is_empty(), *empty) {
            (true, since) => since.or_else(|| Some(self.line.now())),
            (false, _) => None,
        };
        Ok(all.api_keys)
    }

    /// The key, by its public id, or out of the listing: a fingerprint leads nowhere else. One that was made at the API as
    /// it was may have got a public id since, and is known by its name.
    async fn key(&self, named: &Named) -> Done<Option<Key>> {
        if !is_fingerprint(&named.id) {
            let ask = Ask::get("key", format!("/api-keys/{}", piece(&named.id)));
            let one: Option<One> = super::unless_missing(self.line.ask(ask).await)?;
            // At the API as it was, a key answers to itself; an id that is a secret is no id here.
            let is_it = |key: &Key| key.shown().is_ok_and(|shown| shown == named.id);
            return Ok(one.map(|one| one.api_key).filter(is_it));
        }
        let mut namesake = None;
        for key in self.keys().await? {
            if key.shown()? == named.id {
                return Ok(Some(key));
            }
            if !named.key.is_empty() && key.name.as_deref() == Some(&named.key) {
                namesake = Some(key);
            }
        }
        Ok(namesake)
    }

    async fn existing(&self, named: &Named) -> Done<Key> {
        match self.key(named).await? {
            Some(key) => Ok(key),
            None if self.doubtful(named) => Err(doubt()),
            None => Err(Fault::Missing {
                message: format!("Exa lists no key {}", named.id),
            }),
        }
    }

    /// Whether an empty listing is to be doubted, which says that this key is gone.
    fn doubtful(&self, named: &Named) -> bool {
        let young = |since| self.line.now().duration_since(since) < EMPTY * self.line.timeout();
        is_fingerprint(&named.id)
            && !held(&self.deleted).contains(&named.id)
            && held(&self.empty).is_some_and(young)
    }
}

impl Provider for Exa {
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        Box::pin(async move {
            // Only a key says whose it is: of a team without one nothing is known.
            let team = self.keys().await?.into_iter().find_map(|key| key.team_id);
            Ok(super::whose(team, "service key of a team"))
        })
    }

    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            let mut body = wished(&order.wish)?;
            body["name"] = json!(order.key);
            let ask = Ask::post("key.make", "/api-keys", body);
            let One { api_key } = self.line.ask(ask).await?;
            let secret = api_key.secret();
            let shown = api_key.settings();
            let made = api_key.resource()?;
            self.learn(&made.id, shown, &order.wish);
            Ok(Made {
                resource: Resource {
                    settings: Some(order.wish.settings()),
                    ..made
                },
                secret,
            })
        })
    }

    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        Box::pin(async move {
            let keys = self.keys().await?.into_iter();
            let ours = keys.filter(|key| key.name.as_deref() == Some(&sought.key));
            ours.map(|key| self.told(key)).collect()
        })
    }

    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        Box::pin(async move {
            let Some(key) = self.key(named).await? else {
                return match self.doubtful(named) {
                    true => Err(doubt()),
                    false => Ok(None),
                };
            };
            let told = self.told(key)?;
            Ok(Some(Resource {
                id: named.id.clone(),
                ..told
            }))
        })
    }

    fn adjust<'a>(&'a self, named: &'a Named, wish: &'a Wish) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            let body = wished(wish)?;
            let path = self.existing(named).await?.path()?;
            let ask = Ask::patch("key.adjust", path, body).by(Method::PUT);
            let answer: Value = self.line.ask(ask).await?;
            // It is set, whatever the answer shows of it.
            if let Ok(One { api_key }) = serde_json::from_value(answer) {
                self.learn(&named.id, api_key.settings(), wish);
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, named: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            let path = self.existing(named).await?.path()?;
            // From here on an empty listing is what is to be expected.
            held(&self.deleted).insert(named.id.clone());
            self.line.tell(Ask::delete("key.delete", path)).await?;
            held(&self.became).remove(&named.id);
            Ok(())
        })
    }

    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        Box::pin(async move {
            let begun = self.line.now();
            let keys = self.keys().await?.into_iter();
            let resources = keys.map(|key| self.told(key)).collect::<Done<_>>()?;
            Ok(Some(Stock { begun, resources }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: &str = r#"{"apiKey":{"id":"e4d909c2-90d0-4b1c-a068-ffaddf22cbd0","name":"acme-ada-search-g1",
        "rateLimit":5,"budgetCents":2900,"isOverBudget":false,"teamId":"t","userId":"u",
        "createdAt":"2026-11-21T10:00:00Z"}}"#;

    fn key(text: &str) -> Key {
        serde_json::from_str::<One>(text).unwrap().api_key
    }

    #[test]
    fn a_legacy_key_is_its_own_id_and_is_shown_by_its_fingerprint() {
        let legacy = key(LEGACY);
        let secret = legacy.secret().unwrap();
        assert_eq!(
            secret.expose_secret(),
            "e4d909c2-90d0-4b1c-a068-ffaddf22cbd0"
        );
        let shown = legacy.shown().unwrap();
        assert_eq!(shown.len(), "sha256-".len() + 16);
        assert_eq!(shown, fingerprint(&secret));
        let seen = legacy.resource().unwrap();
        assert_eq!(seen.id, shown);
        assert_eq!(seen.settings.as_deref(), Some("rateLimit=5 budgetUSD=29"));
        assert!(!format!("{seen:?}").contains("e4d909c2"));
    }

    #[test]
    fn a_new_key_has_a_public_id_and_a_secret_beside_it() {
        let new =
            key(r#"{"apiKey":{"id":"internal","publicId":"pk_1","secret":"s-1","name":"n"}}"#);
        assert_eq!(new.shown().unwrap(), "pk_1");
        assert_eq!(new.path().unwrap(), "/api-keys/pk_1");
        assert_eq!(new.secret().unwrap().expose_secret(), "s-1");
        let listed = key(r#"{"apiKey":{"id":"internal","publicId":"pk_1","name":"n"}}"#);
        assert!(listed.secret().is_none());
        assert_eq!(key(r#"{"apiKey":{}}"#).shown().unwrap_err().class(), "Bug");
    }

    #[test]
    fn what_a_wish_became_is_told_as_the_wish_until_somebody_edits_it() {
        let connection = Connection {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            timeout: std::time::Duration::from_secs(1),
            requests_per_second: 1,
            clock: std::sync::Arc::new(jiff::Timestamp::now),
        };
        let exa = Exa::new(&SecretString::from("s"), connection);
        let wish = Wish::Exa {
            rate_limit: None,
            budget_usd: Some(29.001),
        };
        let settings = |text: &str| exa.told(key(text)).unwrap().settings;
        assert_eq!(
            settings(LEGACY).as_deref(),
            Some("rateLimit=5 budgetUSD=29")
        );
        let id = key(LEGACY).shown().unwrap();
        exa.learn(&id, key(LEGACY).settings(), &wish);
        assert_eq!(settings(LEGACY), Some(wish.settings()));
        let edited = LEGACY.replace("2900", "9900");
        assert_eq!(
            settings(&edited).as_deref(),
            Some("rateLimit=5 budgetUSD=99")
        );
    }

    #[test]
    fn a_wish_is_sent_in_cents_and_without_what_it_does_not_say() {
        let wish = |rate_limit, budget_usd| {
            wished(&Wish::Exa {
                rate_limit,
                budget_usd,
            })
            .unwrap()
        };
        assert_eq!(
            wish(Some(5), Some(0.29)),
            json!({ "rateLimit": 5, "budgetCents": 29 })
        );
        assert_eq!(wish(None, None), json!({ "budgetCents": null }));
        assert_eq!(cents(10.999), 1099);
        assert_eq!(wished(&Wish::Bankr).unwrap_err().class(), "Bug");
    }
}
