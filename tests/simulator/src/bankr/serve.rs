//! Bankr's HTTP: who asks, and what is done below `/partner/wallets`.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Bankr, MAX_KEYS, State, Wallet, refused};
use crate::clock;
use crate::exchange::{Answer, Body, Request};
use crate::inventory::Resource;
use crate::provider::Provider;
use crate::rest::{self, Call};
use crate::settings::{FundedClose, Replay};

/// The account that a partner key `bk_ptr_<account>_<anything>` belongs to.
fn partner(request: &Request) -> Option<String> {
    rest::account(request.header("x-partner-key"), "bk_ptr_")
}

#[async_trait]
impl Provider for Bankr {
    fn name(&self) -> &'static str {
        "bankr"
    }

    fn account(&self, request: &Request) -> Option<String> {
        partner(request)
    }

    async fn answer(&self, request: &Request) -> Answer {
        let Some(account) = partner(request) else {
            return refused(401, "Unauthorized", "Invalid or missing partner API key");
        };
        let limit = self.settings.of(&account).bankr_per_second;
        if self.rate.exceeded(&account, limit, clock::now()) {
            return self.throttled(request);
        }
        let Some(call) = Call::below("/partner", request) else {
            return no_route();
        };
        match (request.method.as_str(), call.parts().as_slice()) {
            ("POST", ["wallets"]) => self.create(&account, request),
            (method, ["wallets", id, rest @ ..]) => {
                let mut wallets = self.wallets();
                // Clients pass an address as well as an id.
                let wallet = wallets.iter_mut().find(|wallet| {
                    wallet.account == account
                        && (wallet.id == *id || wallet.evm_address.eq_ignore_ascii_case(id))
                });
                let Some(wallet) = wallet else {
                    return refused(404, "Not Found", "Wallet not found");
                };
                self.wallet(wallet, method, rest, request)
            }
            _ => no_route(),
        }
    }

    fn throttled(&self, _: &Request) -> Answer {
        refused(429, "Too Many Requests", "Rate limit exceeded").with("Retry-After", 1)
    }

    fn resources(&self) -> Vec<Resource> {
        self.living()
    }
}

impl Bankr {
    fn create(&self, account: &str, request: &Request) -> Answer {
        let order = request.body.json().unwrap_or(&Value::Null);
        let key = order["idempotencyKey"].as_str();
        if key.is_some_and(|key| key.len() > 128) {
            let sentence = "idempotencyKey must be at most 128 characters";
            return refused(400, "Bad Request", sentence);
        }
        let mut wallets = self.wallets();
        let earlier = wallets.iter().find(|wallet| {
            key.is_some() && wallet.account == account && wallet.idempotency_key.as_deref() == key
        });
        if let Some(wallet) = earlier {
            return match self.settings.of(account).bankr_replay {
                Replay::Ok => Answer::json(200, wallet.json()),
                Replay::Conflict => {
                    let sentence = "A wallet with this idempotencyKey already exists";
                    refused(409, "Conflict", sentence)
                }
            };
        }
        let solana = order["wallet"]["solana"].as_bool().unwrap_or(false);
        let mut wallet = Wallet::new(account, key.map(str::to_owned), solana);
        let secret = wallet.mint(name_of(&order["apiKey"]));
        let mut shown = wallet.json();
        shown["apiKey"] = json!(secret);
        wallets.push(wallet);
        Answer::json(201, shown)
    }

    fn wallet(
        &self,
        wallet: &mut Wallet,
        method: &str,
        rest: &[&str],
        request: &Request,
    ) -> Answer {
        let settings = self.settings.of(&wallet.account);
        let closed = wallet.state == State::Closed;
        let is_closed = || refused(409, "Conflict", "Wallet is closed");
        match (method, rest) {
            ("GET", []) => Answer::json(200, wallet.json()),
            ("POST", ["api-keys"]) if closed => is_closed(),
            ("POST", ["api-keys"]) if wallet.keys.len() >= MAX_KEYS => {
                let sentence = "A wallet can have at most 20 active API keys";
                refused(409, "Conflict", sentence)
            }
            ("POST", ["api-keys"]) => {
                let name = request.body.json().and_then(name_of);
                Answer::json(201, json!({ "apiKey": wallet.mint(name) }))
            }
            // All of them: there is no way to revoke one.
            ("DELETE", ["api-keys"]) => {
                wallet.keys.clear();
                Answer {
                    status: 200,
                    headers: Vec::new(),
                    body: Body::Empty,
                }
            }
            ("POST", ["suspend" | "resume"]) if closed => is_closed(),
            ("POST", ["suspend"]) => to(wallet, State::Suspended),
            ("POST", ["resume"]) => to(wallet, State::Active),
            ("POST", ["close"])
                if wallet.usd > 0.0 && settings.bankr_funded_close == FundedClose::Refuse =>
            {
                refused(409, "Conflict", "Wallet has a balance")
            }
            ("POST", ["close"]) => {
                wallet.close(settings.bankr_close_revokes);
                Answer::json(200, json!({ "status": wallet.state.name() }))
            }
            _ => no_route(),
        }
    }
}

fn no_route() -> Answer {
    refused(404, "Not Found", "Route not found")
}

fn to(wallet: &mut Wallet, state: State) -> Answer {
    wallet.state = state;
    Answer::json(200, json!({ "status": state.name() }))
}

fn name_of(order: &Value) -> Option<String> {
    order["name"].as_str().map(str::to_owned)
}
