//! Inboxes at AgentMail, and the keys that open one inbox each (`facts/tool-providers.md` 2).
//!
//! What holds: an inbox's id is its address; the same client id gives the same inbox, so making again is looking. AgentMail
//! answers 404 also for what a credential may not see: only a credential that sees everything (or the whole pod of this
//! account) proves that something is gone; with a narrower one the answer is `Denied`. Deliberately absent: webhooks,
//! domains, making or deleting pods.

mod answers;
mod dialect;

use super::ask::{Ask, piece};
use super::line::Line;
use super::provider::{Provider, not_ours, unless_missing, whose};
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stock, Wish};
use crate::model::{Done, Fault};
use crate::wire::held;
use answers::{Inbox, InboxKey, Me, NewInboxKey, TokenPage};
pub(super) use dialect::MANNERS;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Inboxes or keys on a page.
const PAGE: usize = 100;

/// So many requests for one listing are enough for every account that exists.
const MOST_PAGES: usize = 2_000;

/// The longest value of an inbox's metadata, in characters.
const VALUE: usize = 256;

/// Where in an account inboxes are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentmailSettings {
    /// The pod; `None`: the default one.
    pub pod: Option<String>,
    /// The domain of the addresses; `None`: the provider's own.
    pub domain: Option<String>,
}

/// One AgentMail organisation, or a pod of it.
pub struct Agentmail {
    settings: AgentmailSettings,
    line: Line,
    /// Whether the credential sees everything that is ours, and of which credential that was found out.
    sight: Mutex<Option<(u64, Result<(), String>)>>,
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
        return Err(not_ours("AgentMail"));
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

impl Agentmail {
    /// The organisation or pod that the key opens.
    pub fn new(settings: AgentmailSettings, line: Line) -> Agentmail {
        Agentmail {
            settings,
            line,
            sight: Mutex::default(),
        }
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
            let page: TokenPage<T> = self.line.ask(Ask::get(what, page)).await?;
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
    async fn keys_of(&self, inbox: &str) -> Done<Vec<InboxKey>> {
        let keys = self.pages("inbox-keys", &keys(inbox)).await;
        let keys = unless_missing(self.believed(keys).await)?;
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
        let made: NewInboxKey = self.line.ask(ask).await?;
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
                    Ok(whose(Some(me.organization_id), name))
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
                Part::Profile => Err(not_ours("AgentMail")),
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
                    Ok(ours.map(InboxKey::resource).collect())
                }
                Part::Profile => Err(not_ours("AgentMail")),
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
                    let seen: Option<Inbox> = unless_missing(self.believed(seen).await)?;
                    Ok(seen.map(Inbox::resource))
                }
                Part::Key => {
                    let Some(inbox) = named.parts.get(&Part::Main) else {
                        return Ok(None);
                    };
                    let mut keys = self.keys_of(inbox).await?.into_iter();
                    let seen = keys.find(|key| key.api_key_id == named.id);
                    Ok(seen.map(InboxKey::resource))
                }
                Part::Profile => Err(not_ours("AgentMail")),
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
                Part::Profile => return Err(not_ours("AgentMail")),
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
mod tests;
