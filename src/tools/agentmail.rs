//! Inboxes at AgentMail, and the keys that open one inbox each (`facts/tool-providers.md` 2).
//!
//! What holds: an inbox's id is its address; the same client id gives the same inbox, so making again is looking. AgentMail
//! answers 404 also for what a credential may not see: only a credential that sees everything (or the whole pod of this
//! account) proves that something is gone; with a narrower one the answer is `Denied`. Deliberately absent: webhooks,
//! domains, making or deleting pods.

use super::faults::{Complaint, Dialect, Meaning};
use super::rest::{Ask, Connection, Line, Manners, piece};
use super::{Provider, held};
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stage, Stock, Wish};
use crate::model::{Done, Fault};
use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;

const MANNERS: Manners = Manners {
    base: "https://api.agentmail.to/v0",
    header: None,
    dialect: Dialect {
        name: "AgentMail",
        complaint,
        meaning,
    },
};

/// What one more inbox costs a month beyond the plan, in US dollars.
const INBOX: f64 = 2.0;

/// Inboxes or keys on a page.
const PAGE: usize = 100;

/// So many requests for one listing are enough for every account that exists.
const MOST_PAGES: usize = 2_000;

/// The longest value of an inbox's metadata, in characters.
const VALUE: usize = 256;

fn complaint(body: &Value) -> Complaint {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let code = text("code");
    let sentence = match code {
        // The provider's sentence does not always say what is to be done.
        "already_exists" | "resource_taken" => {
            format!(
                "the address is taken, choose another username: {}",
                text("message")
            )
        }
        _ => text("message").to_owned(),
    };
    Complaint {
        code: code.to_owned(),
        sentence,
    }
}

/// The codes decide, not the status (vendor). What is not named here means what its status means everywhere.
fn meaning(_: u16, complaint: &Complaint) -> Option<Meaning> {
    match complaint.code.as_str() {
        "limit_exceeded" => Some(Meaning::Exhausted),
        "already_exists" | "resource_taken" | "domain_not_verified" => Some(Meaning::Rejected),
        "race_condition" | "resource_deleting" => Some(Meaning::Transient),
        "account_suspended" => Some(Meaning::Denied),
        "not_found" => Some(Meaning::Missing),
        _ => None,
    }
}

/// Where in an account inboxes are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The pod; `None`: the default one.
    pub pod: Option<String>,
    /// The domain of the addresses; `None`: the provider's own.
    pub domain: Option<String>,
}

/// One AgentMail organisation, or a pod of it.
pub struct Agentmail {
    settings: Settings,
    line: Line,
    /// Whether the credential sees everything that is ours, and of which credential that was found out.
    sight: Mutex<Option<(u64, Result<(), String>)>>,
}

#[derive(Deserialize)]
struct Inbox {
    inbox_id: String,
    email: Option<String>,
    client_id: Option<String>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Key {
    api_key_id: String,
    name: Option<String>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Fresh {
    #[serde(flatten)]
    key: Key,
    api_key: SecretString,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(alias = "inboxes", alias = "api_keys")]
    items: Vec<T>,
    count: Option<usize>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Me {
    scope_type: String,
    scope_id: String,
    organization_id: String,
    pod_id: Option<String>,
}

impl Me {
    /// Whether what this credential does not see is not there.
    fn sees_all(&self, pod: Option<&str>) -> Result<(), String> {
        let own = self.pod_id.as_deref().unwrap_or(&self.scope_id);
        match (self.scope_type.as_str(), pod) {
            ("organization", _) => Ok(()),
            ("pod", Some(pod)) if pod == own => Ok(()),
            ("pod", _) => Err(format!("the key sees only the pod {own}")),
            (scope, _) => Err(format!("the key sees only one {scope}")),
        }
    }

    fn told(&self) -> String {
        match self.scope_type.as_str() {
            "organization" => format!("organization {}", self.organization_id),
            scope => format!(
                "{scope} {} of organization {}",
                self.scope_id, self.organization_id
            ),
        }
    }
}

fn bare(part: Part, id: String, name: Option<String>, created: Option<&str>) -> Resource {
    Resource {
        part,
        id,
        name: name.unwrap_or_default(),
        address: None,
        stage: Stage::Ready,
        settings: None,
        usage: None,
        created: created.and_then(|at| at.parse().ok()),
        monthly_usd: 0.0,
    }
}

impl Inbox {
    fn resource(self) -> Resource {
        let address = self.email.unwrap_or_else(|| self.inbox_id.clone());
        Resource {
            address: Some(address),
            monthly_usd: INBOX,
            ..bare(
                Part::Main,
                self.inbox_id,
                self.client_id,
                self.created_at.as_deref(),
            )
        }
    }
}

impl Key {
    fn resource(self) -> Resource {
        let created = self.created_at.as_deref();
        bare(Part::Key, self.api_key_id, self.name, created)
    }
}

/// A note as metadata: values are short.
fn metadata(note: &str) -> Value {
    let letters: Vec<char> = note.chars().collect();
    let pieces = letters.chunks(VALUE).enumerate().map(|(at, piece)| {
        let name = match at {
            0 => "note".to_owned(),
            at => format!("note-{}", at + 1),
        };
        (name, Value::String(piece.iter().collect()))
    });
    Value::Object(pieces.collect::<Map<_, _>>())
}

fn inbox_body(order: &Order, domain: Option<&str>) -> Done<Value> {
    let Wish::Agentmail { username, .. } = &order.wish else {
        return Err(super::not_ours("AgentMail"));
    };
    let mut body = json!({ "client_id": order.key, "metadata": metadata(&order.note) });
    if let Some(username) = username {
        body["username"] = json!(username);
    }
    if let Some(domain) = domain {
        body["domain"] = json!(domain);
    }
    Ok(body)
}

fn keys(inbox: &str) -> String {
    format!("/inboxes/{}/api-keys", piece(inbox))
}

fn inbox_of(parts: &BTreeMap<Part, String>) -> Done<&str> {
    let id = parts.get(&Part::Main).map(String::as_str);
    id.ok_or_else(|| Fault::Missing {
        message: "AgentMail: there is no inbox whose key it could be".to_owned(),
    })
}

fn other_part<T>() -> Done<T> {
    Err(super::not_ours("AgentMail"))
}

impl Agentmail {
    /// The organisation or pod that the key opens.
    pub fn new(settings: Settings, credential: &SecretString, connection: Connection) -> Agentmail {
        Agentmail {
            settings,
            line: Line::new(MANNERS, credential, connection),
            sight: Mutex::default(),
        }
    }

    /// Its line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    fn inboxes(&self) -> String {
        match &self.settings.pod {
            Some(pod) => format!("/pods/{}/inboxes", piece(pod)),
            None => "/inboxes".to_owned(),
        }
    }

    fn inbox(&self, id: &str) -> String {
        format!("{}/{}", self.inboxes(), piece(id))
    }

    async fn me(&self) -> Done<Me> {
        let changes = self.line.changes();
        let me: Me = self.line.ask(Ask::get("identity", "/auth/me")).await?;
        let sight = me.sees_all(self.settings.pod.as_deref());
        *held(&self.sight) = Some((changes, sight));
        Ok(me)
    }

    /// Whether a 404 is proof. Found out once for each credential.
    async fn sees_all(&self) -> Done<()> {
        let known = held(&self.sight).clone();
        let sight = match known {
            Some((changes, sight)) if changes == self.line.changes() => sight,
            _ => self.me().await?.sees_all(self.settings.pod.as_deref()),
        };
        sight.map_err(|why| Fault::Denied {
            message: format!(
                "AgentMail answers \"not found\", which proves nothing: {why}; use an organization's key"
            ),
        })
    }

    /// Turns a 404 into what it proves.
    async fn believed<T>(&self, result: Done<T>) -> Done<T> {
        if matches!(result, Err(Fault::Missing { .. })) {
            self.sees_all().await?;
        }
        result
    }

    /// Every page. What is fewer than AgentMail itself counts is no listing.
    async fn pages<T: DeserializeOwned>(&self, what: &'static str, path: &str) -> Done<Vec<T>> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut page = format!("{path}?limit={PAGE}");
            if let Some(token) = &token {
                page.push_str("&page_token=");
                page.push_str(&piece(token));
            }
            let page: Page<T> = self.line.ask(Ask::get(what, page)).await?;
            if page.count.is_some_and(|count| count > page.items.len()) {
                return Err(Fault::Transient {
                    message: "AgentMail: a page shows fewer than it counts".to_owned(),
                });
            }
            all.extend(page.items);
            // An empty page may have a next one.
            match page.next_page_token.filter(|next| !next.is_empty()) {
                None => return Ok(all),
                next => token = next,
            }
        }
        Err(Fault::Transient {
            message: "AgentMail: a listing does not end".to_owned(),
        })
    }

    async fn all_inboxes(&self) -> Done<Vec<Inbox>> {
        self.pages("inboxes", &self.inboxes()).await
    }

    /// The keys of an inbox; none where the inbox is gone.
    async fn keys_of(&self, inbox: &str) -> Done<Vec<Key>> {
        let keys = self.pages("inbox-keys", &keys(inbox)).await;
        let keys = super::unless_missing(self.believed(keys).await)?;
        Ok(keys.unwrap_or_default())
    }

    async fn make_inbox(&self, order: &Order) -> Done<Made> {
        let body = inbox_body(order, self.settings.domain.as_deref())?;
        let ask = Ask::post("inbox.make", self.inboxes(), body);
        let inbox: Inbox = self.line.ask(ask).await?;
        Ok(Made {
            resource: inbox.resource(),
            secret: None,
        })
    }

    async fn make_key(&self, order: &Order) -> Done<Made> {
        let inbox = inbox_of(&order.parts)?;
        // Without a list of permissions it may do everything within its inbox and nothing outside.
        let body = json!({ "name": order.key });
        let ask = Ask::post("inbox-key.make", keys(inbox), body);
        let made: Fresh = self.line.ask(ask).await?;
        Ok(Made {
            resource: made.key.resource(),
            secret: Some(made.api_key),
        })
    }
}

impl Provider for Agentmail {
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        Box::pin(async move {
            let me = self.me().await?;
            match me.sees_all(self.settings.pod.as_deref()) {
                Ok(()) => {
                    let name = me.told();
                    Ok(super::whose(Some(me.organization_id), name))
                }
                Err(why) => Err(Fault::Denied {
                    message: format!(
                        "AgentMail: {why}; use an organization's key, or the pod's own"
                    ),
                }),
            }
        })
    }

    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            match order.part {
                Part::Main => self.make_inbox(order).await,
                Part::Key => self.make_key(order).await,
                Part::Profile => other_part(),
            }
        })
    }

    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        Box::pin(async move {
            let named = |name: Option<&str>| name == Some(sought.key.as_str());
            match sought.part {
                Part::Main => {
                    let all = self.all_inboxes().await?.into_iter();
                    let ours = all.filter(|inbox| named(inbox.client_id.as_deref()));
                    Ok(ours.map(Inbox::resource).collect())
                }
                Part::Key => {
                    let all = self.keys_of(inbox_of(&sought.parts)?).await?.into_iter();
                    let ours = all.filter(|key| named(key.name.as_deref()));
                    Ok(ours.map(Key::resource).collect())
                }
                Part::Profile => other_part(),
            }
        })
    }

    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        Box::pin(async move {
            match named.part {
                Part::Main => {
                    let seen = self
                        .line
                        .ask(Ask::get("inbox", self.inbox(&named.id)))
                        .await;
                    let seen: Option<Inbox> = super::unless_missing(self.believed(seen).await)?;
                    Ok(seen.map(Inbox::resource))
                }
                Part::Key => {
                    let Some(inbox) = named.parts.get(&Part::Main) else {
                        return Ok(None);
                    };
                    let mut keys = self.keys_of(inbox).await?.into_iter();
                    let seen = keys.find(|key| key.api_key_id == named.id);
                    Ok(seen.map(Key::resource))
                }
                Part::Profile => other_part(),
            }
        })
    }

    fn adjust<'a>(&'a self, _: &'a Named, _: &'a Wish) -> BoxFuture<'a, Done<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, named: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            let ask = match named.part {
                Part::Main => Ask::delete("inbox.delete", self.inbox(&named.id)),
                Part::Key => {
                    let keys = keys(inbox_of(&named.parts)?);
                    Ask::delete("inbox-key.delete", format!("{keys}/{}", piece(&named.id)))
                }
                Part::Profile => return other_part(),
            };
            let gone = self.line.tell(ask).await;
            self.believed(gone).await
        })
    }

    /// Inboxes. Keys live and die with theirs.
    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        Box::pin(async move {
            let begun = self.line.now();
            let all = self.all_inboxes().await?.into_iter();
            let resources = all.map(Inbox::resource).collect();
            Ok(Some(Stock { begun, resources }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{Answer, Kind, Reply, classify};
    use super::*;
    use jiff::Timestamp;

    fn order(username: Option<&str>) -> Order {
        Order {
            part: Part::Main,
            key: "acme-ada-mail-g1".into(),
            note: "n".repeat(300),
            wish: Wish::Agentmail {
                username: username.map(str::to_owned),
                key: true,
            },
            parts: BTreeMap::new(),
        }
    }

    #[test]
    fn its_codes_decide() {
        for (status, code, class) in [
            (400, "validation_error", "Rejected"),
            (401, "unknown_api_key", "Denied"),
            (401, "", "Denied"),
            (403, "missing_permission", "Denied"),
            (403, "permission_escalation", "Denied"),
            (403, "account_suspended", "Denied"),
            (403, "limit_exceeded", "Exhausted"),
            (403, "already_exists", "Rejected"),
            (403, "resource_taken", "Rejected"),
            (403, "domain_not_verified", "Rejected"),
            (403, "", "Denied"),
            (404, "not_found", "Missing"),
            (409, "race_condition", "Transient"),
            (409, "resource_deleting", "Transient"),
            (409, "cannot_delete", "Rejected"),
            (422, "unprocessable", "Rejected"),
            (429, "rate_limit_exceeded", "Throttled"),
            (503, "unavailable", "Uncertain"),
        ] {
            let answer = Answer::Reply(Reply {
                status,
                until: None,
                body: Some(json!({ "name": "Error", "code": code, "message": "Says no." })),
            });
            let now = Timestamp::UNIX_EPOCH;
            let fault = classify(&answer, Kind::Change, &MANNERS.dialect, "inbox.make", now);
            assert_eq!(fault.class(), class, "{status} {code}: {fault}");
        }
        let taken = complaint(&json!({ "code": "resource_taken", "message": "Inbox is taken" }));
        assert_eq!(
            taken.sentence,
            "the address is taken, choose another username: Inbox is taken"
        );
    }

    #[test]
    fn an_order_says_whose_it_is_in_short_values() {
        let body = inbox_body(&order(Some("ada")), Some("agents.acme.com")).unwrap();
        assert_eq!(body["client_id"], "acme-ada-mail-g1");
        assert_eq!(body["username"], "ada");
        assert_eq!(body["domain"], "agents.acme.com");
        assert_eq!(body["metadata"]["note"].as_str().map(str::len), Some(256));
        assert_eq!(body["metadata"]["note-2"].as_str().map(str::len), Some(44));
        let plain = inbox_body(&order(None), None).unwrap();
        assert!(plain.get("username").is_none() && plain.get("domain").is_none());
    }

    #[test]
    fn pages_of_both_kinds_are_read() {
        let inboxes = r#"{"count":1,"limit":100,"next_page_token":"t","inboxes":[{"pod_id":"p",
            "inbox_id":"ada@agentmail.to","email":"ada@agentmail.to","client_id":"acme-ada-mail-g1",
            "updated_at":"2026-11-21T10:00:00Z","created_at":"2026-11-21T10:00:00Z"}]}"#;
        let mut page: Page<Inbox> = serde_json::from_str(inboxes).unwrap();
        assert_eq!(page.next_page_token.as_deref(), Some("t"));
        let seen = page.items.remove(0).resource();
        assert_eq!(seen.id, "ada@agentmail.to");
        assert_eq!(seen.name, "acme-ada-mail-g1");
        assert!(seen.created.is_some() && seen.monthly_usd == 2.0);

        let keys = r#"{"count":1,"api_keys":[{"api_key_id":"k1","prefix":"am_12","name":"acme-ada-mail-g1",
            "inbox_id":"ada@agentmail.to","created_at":"2026-11-21T10:00:00Z"}]}"#;
        let page: Page<Key> = serde_json::from_str(keys).unwrap();
        assert_eq!(page.items[0].api_key_id, "k1");
        let fresh =
            r#"{"api_key_id":"k1","api_key":"am_1","prefix":"am_","name":"n","created_at":"x"}"#;
        assert_eq!(
            serde_json::from_str::<Fresh>(fresh).unwrap().key.api_key_id,
            "k1"
        );
    }

    #[test]
    fn only_who_sees_everything_can_miss_something() {
        let me = |scope: &str, pod: Option<&str>| Me {
            scope_type: scope.into(),
            scope_id: "s".into(),
            organization_id: "o".into(),
            pod_id: pod.map(str::to_owned),
        };
        assert!(me("organization", None).sees_all(None).is_ok());
        assert!(me("organization", None).sees_all(Some("p")).is_ok());
        assert!(me("pod", Some("p")).sees_all(Some("p")).is_ok());
        assert!(me("pod", Some("p")).sees_all(None).is_err());
        assert!(me("pod", Some("p")).sees_all(Some("q")).is_err());
        assert!(me("inbox", Some("p")).sees_all(Some("p")).is_err());
        assert_eq!(me("organization", None).told(), "organization o");
    }
}
