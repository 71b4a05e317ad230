//! Wallets at Bankr, and the keys that open them (`facts/tool-providers.md` 4).
//!
//! What holds: the same idempotency key gives the same wallet; a wallet is never destroyed unless that is said, only
//! suspended. Bankr has no listing of keys and keys have no ids: a key is known by a fingerprint, and nobody can look for
//! one. So *finding* a key is revoking all keys of its wallet and answering "none": after a creation whose answer got lost,
//! every key that the wallet has is one that nobody holds. And finding a wallet is asking for it again, which makes it where
//! it was not. Deliberately absent: a listing of wallets, which Bankr does not
//! have; fingers on anybody's money.

use super::ask::{Ask, piece};
use super::faults::{Dialect, Objection, plain};
use super::line::{Line, Manners};
use super::provider::{Provider, not_ours, unless_missing, whose};
use super::taken_back::{ALL, TakenBack};
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stage, Stock, Wish, fingerprint};
use crate::model::{Done, Fault};
use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const MANNERS: Manners = Manners {
    base: "https://api.bankr.bot",
    header: Some("X-Partner-Key"),
    dialect: Dialect {
        name: "Bankr",
        objection: |body| Objection {
            code: body["error"].as_str().unwrap_or_default().to_owned(),
            sentence: sentence(body),
        },
        meaning: plain,
    },
};

/// The longest name that a key can have.
const NAME: usize = 64;

/// No wallet has this id: asking for it shows whether Bankr knows our partner key, which it has no request for.
const NOBODY: &str = "wlt_yardmaster-asks-who-it-is";

fn sentence(body: &Value) -> String {
    let said = |name: &str| body[name].as_str();
    let sentence = said("message").or_else(|| said("error"));
    sentence.unwrap_or_default().to_owned()
}

/// One Bankr partner organisation.
pub struct Bankr {
    line: Line,
    /// Wallets whose keys were revoked here and that have got none since: all that anybody can know of absent keys.
    keyless: TakenBack,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BankrWallet {
    id: String,
    evm_address: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewWalletKey {
    api_key: SecretString,
}

impl BankrWallet {
    /// How far it is; `None` where it is closed: it is there for the books only.
    fn stage(&self) -> Option<Stage> {
        match self
            .status
            .as_deref()
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("closed") => None,
            Some("suspended") => Some(Stage::Resting),
            Some("pending" | "creating" | "provisioning") => Some(Stage::Pending {
                why: "Bankr is still making the wallet".to_owned(),
            }),
            _ => Some(Stage::Ready),
        }
    }

    fn resource(self, stage: Stage) -> Resource {
        Resource {
            address: self.evm_address,
            ..Resource::bare(Part::Main, self.id, String::new(), stage)
        }
    }
}

fn wallet(id: &str) -> String {
    format!("/partner/wallets/{}", piece(id))
}

fn keys(wallet_id: &str) -> String {
    format!("{}/api-keys", wallet(wallet_id))
}

/// What an agent may do with its own wallet. Without `readOnly: false`, which is not the default, it could do nothing.
fn key_body(name: &str) -> Value {
    let name: String = name.chars().take(NAME).collect();
    json!({
        "name": name,
        "permissions": {
            "agentApiEnabled": true,
            "walletApiEnabled": true,
            "llmGatewayEnabled": false,
            "tokenLaunchApiEnabled": false,
            "readOnly": false,
        },
    })
}

fn wallet_of(parts: &BTreeMap<Part, String>) -> Done<&str> {
    let id = parts.get(&Part::Main).map(String::as_str);
    id.ok_or_else(|| Fault::Missing {
        message: "Bankr: there is no wallet whose key it could be".to_owned(),
    })
}

impl Bankr {
    /// The organisation that the partner key opens.
    pub fn new(line: Line) -> Bankr {
        Bankr {
            line,
            keyless: TakenBack::default(),
        }
    }

    /// The wallet, unless it is gone or closed.
    async fn wallet(&self, id: &str) -> Done<Option<Resource>> {
        let seen = self.line.ask(Ask::get("wallet", wallet(id))).await;
        let seen: Option<BankrWallet> = unless_missing(seen)?;
        Ok(seen.and_then(|seen| {
            let stage = seen.stage()?;
            Some(seen.resource(stage))
        }))
    }

    async fn revoke(&self, wallet: &str) -> Done<()> {
        let ask = Ask::delete("wallet-keys.revoke", keys(wallet));
        let answer = self.line.tell(ask).await;
        if matches!(answer, Ok(()) | Err(Fault::Missing { .. })) {
            self.keyless.note(wallet, ALL);
        }
        answer
    }

    async fn make_wallet(&self, key: &str) -> Done<Made> {
        // No key with it: a replay would not show it again, and the agent's key is a part of its own.
        let body = json!({ "idempotencyKey": key });
        let ask = Ask::post("wallet.make", "/partner/wallets", body);
        // 201, or 200 for a replay; one client of Bankr's has seen 409 for it (facts 4).
        let made: BankrWallet = self.line.ask(ask.also_good(409)).await?;
        let stage = made.stage().unwrap_or_else(|| Stage::Failed {
            why: "Bankr has closed this wallet".to_owned(),
        });
        Ok(Made {
            resource: made.resource(stage),
            secret: None,
        })
    }

    async fn make_key(&self, order: &Order) -> Done<Made> {
        let wallet = wallet_of(&order.parts)?;
        // Bankr gives a wallet a key with its creation, asked or not (facts 4): nobody holds that one.
        unless_missing(self.revoke(wallet).await)?;
        // From here on it may have one.
        self.keyless.forget(wallet, ALL);
        let ask = Ask::post("wallet-key.make", keys(wallet), key_body(&order.key));
        let made: NewWalletKey = self.line.ask(ask).await?;
        Ok(Made {
            resource: Resource::bare(
                Part::Key,
                fingerprint(&made.api_key),
                order.key.clone(),
                Stage::Ready,
            ),
            secret: Some(made.api_key),
        })
    }

    /// Puts to rest, or closes. Where Bankr objects, it may be so already.
    async fn put_away(&self, id: &str, for_good: bool) -> Done<()> {
        let ask = match for_good {
            true => Ask::act("wallet.close", format!("{}/close", wallet(id))),
            false => Ask::act("wallet.suspend", format!("{}/suspend", wallet(id))),
        };
        let fault = match self.line.tell(ask).await {
            Err(fault @ Fault::Rejected { .. }) => fault,
            other => return other,
        };
        match self.wallet(id).await? {
            None => Ok(()),
            Some(seen) if !for_good && seen.stage == Stage::Resting => Ok(()),
            Some(_) => Err(fault),
        }
    }
}

impl Provider for Bankr {
    /// Bankr tells of no key whose it is.
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        Box::pin(async move {
            let seen = self.line.tell(Ask::get("identity", wallet(NOBODY))).await;
            unless_missing(seen)?;
            // "There is none" is the answer that was hoped for, and in trouble no other request is sent.
            self.line.answered();
            Ok(whose(None, "partner organisation"))
        })
    }

    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            match order.part {
                Part::Main => self.make_wallet(&order.key).await,
                Part::Key => self.make_key(order).await,
                Part::Profile => Err(not_ours("Bankr")),
            }
        })
    }

    /// A key: revokes all of its wallet. A wallet: Bankr has no listing, and the only question that it answers by our name
    /// is to make it (facts 0): where nothing was left, one is made now, for whoever looks to put to rest.
    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        Box::pin(async move {
            match sought.part {
                Part::Main => Ok(vec![self.make_wallet(&sought.key).await?.resource]),
                Part::Key => {
                    let revoked = self.revoke(wallet_of(&sought.parts)?).await;
                    unless_missing(revoked)?;
                    Ok(Vec::new())
                }
                Part::Profile => Err(not_ours("Bankr")),
            }
        })
    }

    /// A key is there as long as its wallet is, unless it was revoked here: Bankr tells no more.
    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        Box::pin(async move {
            match named.part {
                Part::Main => self.wallet(&named.id).await,
                Part::Key => {
                    let Some(wallet) = named.parts.get(&Part::Main) else {
                        return Ok(None);
                    };
                    if self.keyless.has(wallet, ALL) {
                        return Ok(None);
                    }
                    let seen = self.wallet(wallet).await?;
                    let (id, name) = (named.id.clone(), named.key.clone());
                    Ok(seen.map(|seen| Resource::bare(Part::Key, id, name, seen.stage)))
                }
                Part::Profile => Err(not_ours("Bankr")),
            }
        })
    }

    fn adjust<'a>(&'a self, _: &'a Named, _: &'a Wish) -> BoxFuture<'a, Done<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, named: &'a Named, for_good: bool) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            match named.part {
                Part::Main => self.put_away(&named.id, for_good).await,
                Part::Key => self.revoke(wallet_of(&named.parts)?).await,
                Part::Profile => Err(not_ours("Bankr")),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        Box::pin(async { Ok(None) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: Option<&str>) -> BankrWallet {
        let text = json!({ "id": "wlt_1", "evmAddress": "0xabc", "status": status });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_wallet_is_ready_resting_or_gone() {
        assert_eq!(seen(None).stage(), Some(Stage::Ready));
        assert_eq!(seen(Some("active")).stage(), Some(Stage::Ready));
        assert_eq!(seen(Some("SUSPENDED")).stage(), Some(Stage::Resting));
        assert_eq!(seen(Some("closed")).stage(), None);
        let resource = seen(None).resource(Stage::Ready);
        assert_eq!(resource.address.as_deref(), Some("0xabc"));
    }

    #[test]
    fn a_key_can_do_something_and_its_name_fits() {
        let body = key_body(&"n".repeat(99));
        assert_eq!(body["name"].as_str().map(str::len), Some(64));
        assert_eq!(body["permissions"]["readOnly"], json!(false));
    }

    #[test]
    fn its_sentence_is_found() {
        let objection = MANNERS.dialect.objection;
        let both = objection(&json!({ "error": "forbidden", "message": "IP not allowed" }));
        assert_eq!(both.sentence, "IP not allowed");
        assert_eq!(objection(&json!({ "error": "no" })).sentence, "no");
    }

    #[test]
    fn without_a_wallet_there_is_no_key() {
        assert_eq!(wallet_of(&BTreeMap::new()).unwrap_err().class(), "Missing");
    }
}
