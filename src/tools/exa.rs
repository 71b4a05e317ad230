//! Search keys at Exa (`facts/tool-providers.md` 7).
//!
//! What holds: at the API as it was, a key's id is the key itself, so outside this file such a key is known by a
//! fingerprint, and what is done to it by its fingerprint is done after a listing; at the API as it is becoming, a key
//! has a `publicId`, which is its id here. The legacy listing would show a secret again; it is not taken from there: who
//! has lost a secret makes another key, as everywhere. Deliberately absent: rotation in place.

mod key;
mod memory;

use super::ask::{Ask, piece};
use super::faults::{Dialect, Objection, plain};
use super::line::{Line, Manners};
use super::provider::{Provider, unless_missing, whose};
use crate::model::identity::Whose;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stock, Wish};
use crate::model::{Done, Fault};
use futures::future::BoxFuture;
use key::{ExaKey, ExaKeys, OneKey, is_fingerprint, wished};
use memory::KeyMemory;
use reqwest::Method;
use serde_json::{Value, json};

pub(super) const MANNERS: Manners = Manners {
    base: "https://admin-api.exa.ai/team-management",
    header: Some("x-api-key"),
    dialect: Dialect {
        name: "Exa",
        objection: |body| Objection {
            code: String::new(),
            sentence: body["error"].as_str().unwrap_or_default().to_owned(),
        },
        meaning: plain,
    },
};

/// One Exa team.
pub struct Exa {
    line: Line,
    memory: KeyMemory,
}

/// For so many request timeouts an empty listing is no proof that a key is gone: a fingerprint can be looked up nowhere else.
const EMPTY: i32 = 10;

fn doubt() -> Fault {
    Fault::Transient {
        message: "Exa lists no keys at all, which is believed when it has lasted".to_owned(),
    }
}

impl Exa {
    /// The team that the service key opens.
    pub fn new(line: Line) -> Exa {
        Exa {
            line,
            memory: KeyMemory::default(),
        }
    }

    fn told(&self, key: ExaKey) -> Done<Resource> {
        Ok(self.memory.told(key.resource()?))
    }

    /// All keys: the listing has no pages.
    async fn keys(&self) -> Done<Vec<ExaKey>> {
        let all: ExaKeys = self.line.ask(Ask::get("keys", "/api-keys")).await?;
        self.memory.listed(all.api_keys.is_empty(), self.line.now());
        Ok(all.api_keys)
    }

    /// The key, by its public id, or out of the listing: a fingerprint leads nowhere else. One that was made at the API as
    /// it was may have got a public id since, and is known by its name.
    async fn key(&self, named: &Named) -> Done<Option<ExaKey>> {
        if !is_fingerprint(&named.id) {
            let ask = Ask::get("key", format!("/api-keys/{}", piece(&named.id)));
            let one: Option<OneKey> = unless_missing(self.line.ask(ask).await)?;
            // At the API as it was, a key answers to itself; an id that is a secret is no id here.
            let is_it = |key: &ExaKey| key.shown().is_ok_and(|shown| shown == named.id);
            return Ok(one.map(|one| one.api_key).filter(is_it));
        }
        let mut namesake = None;
        for key in self.keys().await? {
            if key.shown()? == named.id {
                return Ok(Some(key));
            }
            // Two may bear one name; at the API as it was, each answers to its own fingerprint.
            let renamed = key.public_id.is_some() && !named.key.is_empty();
            if renamed && key.name.as_deref() == Some(&named.key) {
                namesake = Some(key);
            }
        }
        Ok(namesake)
    }

    async fn existing(&self, named: &Named) -> Done<ExaKey> {
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
        let long = EMPTY * self.line.timeout();
        is_fingerprint(&named.id) && self.memory.doubts(&named.id, self.line.now(), long)
    }
}

impl Provider for Exa {
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        Box::pin(async move {
            // Only a key says whose it is: of a team without one nothing is known.
            let team = self.keys().await?.into_iter().find_map(|key| key.team_id);
            Ok(whose(team, "service key of a team"))
        })
    }

    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            let mut body = wished(&order.wish)?;
            body["name"] = json!(order.key);
            let ask = Ask::post("key.make", "/api-keys", body);
            let OneKey { api_key } = self.line.ask(ask).await?;
            let secret = api_key.secret();
            let shown = api_key.settings();
            let made = api_key.resource()?;
            self.memory.learn(&made.id, shown, &order.wish);
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
            if let Ok(OneKey { api_key }) = serde_json::from_value(answer) {
                self.memory.learn(&named.id, api_key.settings(), wish);
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, named: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            let path = self.existing(named).await?.path()?;
            self.memory.deleting(&named.id);
            self.line.tell(Ask::delete("key.delete", path)).await?;
            self.memory.forget(&named.id);
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
mod tests;
