//! Keys at OpenRouter, each with a limit of its own (`facts/tool-providers.md` 1).
//!
//! What holds: a key's id is its hash; names are not unique, so one name may find several; what has no limit, or one that
//! comes back at another time than wished, is seen as set otherwise. A listing is every key of the workspace, disabled ones
//! included. Deliberately absent: repeating a creation, and a limit on what other keys of the workspace spend.

use super::ask::{Ask, Data, piece};
use super::faults::{Dialect, Objection, plain};
use super::line::{Line, Manners};
use super::provider::{Provider, not_ours, unless_missing, whose};
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::LimitReset;
use crate::model::tool::Money;
use crate::model::tool::{
    DISABLED, Made, Named, Order, Resource, Sought, Stage, Stock, Usage, Wish, again,
};
use crate::model::{Done, Fault};
use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) const MANNERS: Manners = Manners {
    base: "https://openrouter.ai/api/v1",
    header: None,
    dialect: Dialect {
        name: "OpenRouter",
        objection: |body| Objection {
            code: String::new(),
            sentence: body["error"]["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        },
        meaning: plain,
    },
};

/// So many requests for one listing are enough for every account that exists.
const MOST_PAGES: usize = 2_000;

/// Keys on a page, by the vendor's guide. A page has fewer where the guide is wrong: then what was read further shows it.
const PAGE: usize = 100;

/// How far back a page is read again after keys have gone away in front of it.
const STEP_BACK: usize = 50;

/// So often at most: an account in which more than that goes away is read another time.
const MOST_STEPS_BACK: u32 = 20;

/// Where in an account keys are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenrouterSettings {
    /// The workspace; `None`: the default one.
    pub workspace: Option<String>,
}

/// One OpenRouter organisation.
pub struct Openrouter {
    settings: OpenrouterSettings,
    line: Line,
    /// Keys on a page, as far as is known. 0: no listing has been read to its end yet.
    page: AtomicUsize,
}

/// A key as it is told, without its secret.
#[derive(Clone, Debug, Deserialize)]
struct OpenrouterKey {
    hash: String,
    name: String,
    #[serde(default)]
    disabled: bool,
    limit: Option<f64>,
    limit_remaining: Option<f64>,
    limit_reset: Option<String>,
    usage: f64,
    usage_daily: Option<f64>,
    usage_weekly: Option<f64>,
    usage_monthly: Option<f64>,
    created_at: Option<String>,
    workspace_id: Option<String>,
}

#[derive(Deserialize)]
struct OpenrouterWorkspace {
    id: String,
}

/// The secret stands beside the key, not in it, whatever the vendor's own guide shows.
#[derive(Deserialize)]
struct NewOpenrouterKey {
    data: OpenrouterKey,
    key: SecretString,
}

impl Openrouter {
    /// The organisation that the management key opens.
    pub fn new(settings: OpenrouterSettings, line: Line) -> Openrouter {
        Openrouter {
            settings,
            line,
            page: AtomicUsize::new(0),
        }
    }

    /// The id of the workspace where no key shows it, as far as that can be told: of several nobody says which is the
    /// default one, and where none are shown, nothing is.
    async fn empty_workspace(&self) -> Done<Option<String>> {
        if let Some(workspace) = &self.settings.workspace {
            let ask = Ask::get("workspace", format!("/workspaces/{}", piece(workspace)));
            let found: Option<Data<OpenrouterWorkspace>> =
                unless_missing(self.line.ask(ask).await)?;
            return Ok(found.map(|found| found.data.id));
        }
        let ask = Ask::get("workspaces", "/workspaces?limit=2");
        let all: Option<Data<Vec<OpenrouterWorkspace>>> = unless_missing(self.line.ask(ask).await)?;
        let mut all = all.map(|all| all.data).unwrap_or_default();
        Ok(all.pop().filter(|_| all.is_empty()).map(|only| only.id))
    }

    async fn page(&self, offset: usize) -> Done<Vec<OpenrouterKey>> {
        // Without the workspace only the default one is listed; whether disabled keys are is not documented.
        let mut path = format!("/keys?include_disabled=true&offset={offset}");
        if let Some(workspace) = &self.settings.workspace {
            path.push_str("&workspace_id=");
            path.push_str(&piece(workspace));
        }
        let page: Data<Vec<OpenrouterKey>> = self.line.ask(Ask::get("keys", path)).await?;
        Ok(page.data)
    }

    /// Every key, in as many requests as there are pages. How long a page is was seen when the account was last read to its
    /// end: by the first listing of this process, and by each search since. What a listing lacks in spite of that is held
    /// against the ledgers (`engine::belief`); a search is not, so it does not rely on this.
    async fn listed(&self) -> Done<Vec<OpenrouterKey>> {
        let full = self.page.load(Ordering::Relaxed);
        if full > 0 {
            let first = self.page(0).await?;
            if first.len() < full {
                return Ok(first);
            }
        }
        self.keys().await
    }

    /// Every key. Pages are counted from the newest key, so they move while keys come and go: each page begins with the
    /// last key of the one before, and where it does not, keys have gone away and some would be missed.
    async fn keys(&self) -> Done<Vec<OpenrouterKey>> {
        let mut keys = BTreeMap::new();
        let (mut offset, mut steps_back) = (0_usize, 0);
        // Keys on the last page, and on the shortest that another one with something new came after.
        let (mut last, mut longest) = (0, PAGE);
        // Whether the last page showed nothing new.
        let mut still = true;
        for _ in 0..MOST_PAGES {
            let page = self.page(offset).await?;
            let overlaps = page.first().map(|first| keys.contains_key(&first.hash));
            // A short page is no proof of the end; only an empty one is, and only after one that showed nothing new: where
            // keys go meanwhile, the others move up.
            if overlaps.is_none() && still {
                self.page.store(longest, Ordering::Relaxed);
                return Ok(keys.into_values().collect());
            }
            if offset > 0 && overlaps != Some(true) {
                steps_back += 1;
                if steps_back > MOST_STEPS_BACK {
                    break;
                }
                offset = offset.saturating_sub(STEP_BACK);
                continue;
            }
            let (shown, known) = (page.len(), keys.len());
            if known > 0 && page.iter().any(|key| !keys.contains_key(&key.hash)) {
                longest = longest.min(last);
            }
            last = shown;
            keys.extend(page.into_iter().map(|key| (key.hash.clone(), key)));
            still = keys.len() == known;
            // The next page begins with the last key of this one.
            offset += shown.saturating_sub(1).max(usize::from(still));
        }
        Err(Fault::Transient {
            message: "OpenRouter: the listing of keys does not come to rest".to_owned(),
        })
    }
}

fn key(id: &str) -> String {
    format!("/keys/{}", piece(id))
}

fn settings(key: &OpenrouterKey) -> String {
    let limit = key.limit.map(|limit| {
        let wish = Wish::Openrouter {
            limit_usd: Money::near(limit),
            reset: LimitReset::Never,
            disabled: None,
        };
        wish.settings()
    });
    let limit = limit.unwrap_or_else(|| "limitUSD=none".to_owned());
    let again = key.limit_reset.as_ref().map(|reset| format!("/{reset}"));
    let disabled = if key.disabled { DISABLED } else { "" };
    limit + &again.unwrap_or_default() + disabled
}

/// What counts against the limit: of one that comes back, what was spent since it last did.
fn spent(key: &OpenrouterKey) -> Money {
    let since = match key.limit_reset.as_deref() {
        Some("daily") => key.usage_daily,
        Some("weekly") => key.usage_weekly,
        Some("monthly") => key.usage_monthly,
        _ => None,
    };
    Money::near(since.unwrap_or(key.usage))
}

fn resource(key: OpenrouterKey) -> Resource {
    Resource {
        part: Part::Main,
        settings: Some(settings(&key)),
        usage: Some(Usage {
            spent_usd: spent(&key),
            limit_usd: key.limit.map(Money::near),
            month_usd: Money::near(key.usage_monthly.unwrap_or(0.0)),
        }),
        created: key.created_at.and_then(|at| at.parse().ok()),
        monthly_usd: Money::near(key.limit_remaining.or(key.limit).unwrap_or(0.0)),
        stage: Stage::Ready,
        id: key.hash,
        name: key.name,
        address: None,
    }
}

/// What is sent of a wish. When the limit comes back is said explicitly, also where it never does: each month was once the
/// default of a client (facts 1, XM #838).
fn wished(wish: &Wish) -> Done<Value> {
    match wish {
        Wish::Openrouter {
            limit_usd,
            reset,
            disabled,
        } => {
            let mut sum = json!({ "limit": limit_usd.in_dollars(), "limit_reset": again(*reset) });
            if let Some(disabled) = disabled {
                sum["disabled"] = json!(disabled);
            }
            Ok(sum)
        }
        _ => Err(not_ours("OpenRouter")),
    }
}

fn body(order: &Order, workspace: Option<&str>) -> Done<Value> {
    let mut body = wished(&order.wish)?;
    body["name"] = json!(order.key);
    if let Some(workspace) = workspace {
        body["workspace_id"] = json!(workspace);
    }
    Ok(body)
}

impl Provider for Openrouter {
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        Box::pin(async move {
            // Answered to management keys only; what it says changes all the time and is no identity.
            self.line.tell(Ask::get("credits", "/credits")).await?;
            // Every key says in which workspace it is.
            let first = self.page(0).await?.into_iter().next();
            let id = match first.and_then(|key| key.workspace_id) {
                None => self.empty_workspace().await?,
                told => told,
            };
            Ok(whose(
                id,
                match &self.settings.workspace {
                    Some(workspace) => format!("management key, workspace {workspace}"),
                    None => "management key, default workspace".to_owned(),
                },
            ))
        })
    }

    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            let body = body(order, self.settings.workspace.as_deref())?;
            let fresh: NewOpenrouterKey =
                self.line.ask(Ask::post("key.make", "/keys", body)).await?;
            Ok(Made {
                resource: resource(fresh.data),
                secret: Some(fresh.key),
            })
        })
    }

    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        Box::pin(async move {
            let keys = self.keys().await?.into_iter();
            let ours = keys.filter(|key| key.name == sought.key);
            Ok(ours.map(resource).collect())
        })
    }

    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        Box::pin(async move {
            let seen = self.line.ask(Ask::get("key", key(&named.id))).await;
            let seen = unless_missing(seen)?;
            Ok(seen.map(|seen: Data<OpenrouterKey>| resource(seen.data)))
        })
    }

    fn adjust<'a>(&'a self, named: &'a Named, wish: &'a Wish) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            let ask = Ask::patch("key.adjust", key(&named.id), wished(wish)?);
            self.line.tell(ask).await
        })
    }

    fn delete<'a>(&'a self, named: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            self.line
                .tell(Ask::delete("key.delete", key(&named.id)))
                .await
        })
    }

    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        Box::pin(async move {
            let begun = self.line.now();
            let keys = self.listed().await?.into_iter();
            let resources = keys.map(resource).collect();
            Ok(Some(Stock { begun, resources }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: &str = r#"{"data":{"hash":"f01d52606dc8f0a8303a7b5cc3fa07109c2e346cec7c0a16b40de462992ce943",
        "name":"acme-ada-llm-g1","label":"sk-or-v1-0e6...1c96","disabled":false,"limit":20,"limit_remaining":12.5,
        "limit_reset":null,"include_byok_in_limit":false,"usage":7.5,"usage_daily":1,"usage_weekly":1,"usage_monthly":1,
        "byok_usage":0,"byok_usage_daily":0,"byok_usage_weekly":0,"byok_usage_monthly":0,
        "created_at":"2026-11-21T10:00:00Z","updated_at":null,"creator_user_id":null,"workspace_id":"w","expires_at":null},
        "key":"sk-or-v1-abc"}"#;

    fn wish(reset: LimitReset) -> Wish {
        Wish::Openrouter {
            limit_usd: Money::dollars(20),
            reset,
            disabled: None,
        }
    }

    fn order() -> Order {
        Order {
            part: Part::Main,
            key: "acme-ada-llm-g1".into(),
            note: "acme/ada".into(),
            wish: wish(LimitReset::Never),
            parts: BTreeMap::new(),
        }
    }

    #[test]
    fn a_fresh_key_is_read_and_its_secret_stands_beside_it() {
        let fresh: NewOpenrouterKey = serde_json::from_str(FRESH).unwrap();
        let seen = resource(fresh.data);
        assert!(seen.id.starts_with("f01d") && seen.name == "acme-ada-llm-g1");
        assert_eq!(seen.settings, Some(order().wish.settings()));
        assert_eq!(seen.stage, Stage::Ready);
        assert_eq!(seen.monthly_usd, Money::cents(1250));
        assert!(seen.created.is_some());
        let usage = Usage {
            spent_usd: Money::cents(750),
            limit_usd: Some(Money::dollars(20)),
            month_usd: Money::dollars(1),
        };
        assert_eq!(seen.usage, Some(usage));
    }

    #[test]
    fn a_key_set_otherwise_is_seen_so() {
        let mut key = serde_json::from_str::<NewOpenrouterKey>(FRESH)
            .unwrap()
            .data;
        for (reset, told, since) in [
            (LimitReset::Daily, "daily", 100),
            (LimitReset::Weekly, "weekly", 200),
            (LimitReset::Monthly, "monthly", 300),
        ] {
            (key.usage_weekly, key.usage_monthly) = (Some(2.0), Some(3.0));
            key.limit_reset = Some(told.into());
            assert_eq!(settings(&key), format!("limitUSD=20/{told}"));
            assert_eq!(settings(&key), wish(reset).settings());
            assert_eq!(spent(&key), Money::cents(since));
        }
        key.limit = None;
        key.limit_reset = None;
        assert_eq!(settings(&key), "limitUSD=none");
        key.disabled = true;
        assert_eq!(settings(&key), "limitUSD=none disabled");
        assert_eq!(resource(key).stage, Stage::Ready);
    }

    #[test]
    fn an_order_says_when_the_limit_comes_back() {
        let monthly = wished(&wish(LimitReset::Monthly)).unwrap();
        assert_eq!(monthly, json!({ "limit": 20.0, "limit_reset": "monthly" }));
        assert_eq!(
            body(&order(), Some("w-1")).unwrap(),
            json!({ "name": "acme-ada-llm-g1", "limit": 20.0, "limit_reset": null, "workspace_id": "w-1" })
        );
        assert_eq!(body(&order(), None).unwrap().get("workspace_id"), None);
        let other = Order {
            wish: Wish::Wallet,
            ..order()
        };
        assert_eq!(body(&other, None).unwrap_err().class(), "Bug");
    }

    #[test]
    fn its_sentence_is_found() {
        let body = json!({ "error": { "code": 403, "message": "Only management keys can perform this operation" } });
        let objection = (MANNERS.dialect.objection)(&body);
        assert_eq!(
            objection.sentence,
            "Only management keys can perform this operation"
        );
    }
}
