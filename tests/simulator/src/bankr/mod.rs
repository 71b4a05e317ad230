//! Bankr's partner API: wallets that a partner makes for its agents, and the keys to them (facts/tool-providers.md 4).
//!
//! Owns wallets and keys. Nothing lists them: who forgets an id finds a wallet again by its idempotency key alone. A
//! closed wallet stays readable. Deliberately absent: transactions, the way without a partner key (`/cli/…`), and
//! what a wallet's own key may do.

mod control;
mod serve;

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock;
use crate::exchange::Answer;
use crate::identity;
use crate::inventory::Resource;
use crate::rest::Rate;
use crate::settings::SettingsStore;
pub(crate) use control::routes;

/// Keys of one wallet that may be active at once.
const MAX_KEYS: usize = 20;

pub(crate) struct Bankr {
    settings: SettingsStore,
    rate: Rate,
    wallets: Mutex<Vec<Wallet>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Suspended,
    Closed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }
}

struct Wallet {
    id: String,
    account: String,
    idempotency_key: Option<String>,
    evm_address: String,
    sol_address: Option<String>,
    state: State,
    usd: f64,
    keys: Vec<Key>,
    created_at: Timestamp,
}

/// A key that was not revoked. Its secret was shown once and is not kept.
struct Key {
    id: String,
    name: Option<String>,
    created_at: Timestamp,
}

impl Bankr {
    pub(crate) fn new(settings: SettingsStore) -> Self {
        Self {
            settings,
            rate: Rate::default(),
            wallets: Mutex::default(),
        }
    }

    fn wallets(&self) -> MutexGuard<'_, Vec<Wallet>> {
        self.wallets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that lives: wallets until they are closed, and keys until they are revoked.
    fn living(&self) -> Vec<Resource> {
        self.wallets().iter().flat_map(Wallet::resources).collect()
    }
}

impl Wallet {
    fn new(account: &str, idempotency_key: Option<String>, solana: bool) -> Self {
        let address = identity::sha256(identity::uuid().as_bytes());
        let random = identity::uuid().replace('-', "");
        Self {
            id: format!("wlt_{}", &random[..16]),
            account: account.to_owned(),
            idempotency_key,
            evm_address: format!("0x{}", &address[..40]),
            sol_address: solana.then(|| address[20..].replace('0', "z")),
            state: State::Active,
            usd: 0.0,
            keys: Vec::new(),
            created_at: clock::now(),
        }
    }

    /// A new key: its secret, which is said once.
    fn mint(&mut self, name: Option<String>) -> String {
        let id = identity::short();
        let secret = format!("bk_usr_{id}_{}", identity::uuid().replace('-', ""));
        self.keys.push(Key {
            id,
            name,
            created_at: clock::now(),
        });
        secret
    }

    fn close(&mut self, revokes: bool) {
        self.state = State::Closed;
        if revokes {
            self.keys.clear();
        }
    }

    fn json(&self) -> Value {
        let mut wallet = json!({
            "id": self.id,
            "evmAddress": self.evm_address,
            "status": self.state.name(),
        });
        if let Some(address) = &self.sol_address {
            wallet["solAddress"] = json!(address);
        }
        wallet
    }

    fn resources(&self) -> Vec<Resource> {
        let resource = |kind, id: &str, created_at| Resource {
            provider: "bankr",
            kind,
            id: id.to_owned(),
            name: self
                .idempotency_key
                .clone()
                .unwrap_or_else(|| self.id.clone()),
            workspace: self.account.clone(),
            description: None,
            parent: None,
            created_at: clock::text(created_at),
            monthly_usd: 0.0,
            spent_usd: 0.0,
        };
        let wallet = Resource {
            description: Some(self.state.name().to_owned()),
            ..resource("wallet", &self.id, self.created_at)
        };
        let keys = self.keys.iter().map(|key| Resource {
            name: key.name.clone().unwrap_or_else(|| key.id.clone()),
            parent: Some(self.id.clone()),
            ..resource("key", &key.id, key.created_at)
        });
        let wallet = (self.state != State::Closed).then_some(wallet);
        wallet.into_iter().chain(keys).collect()
    }
}

fn refused(status: u16, error: &str, message: &str) -> Answer {
    Answer::json(status, json!({ "error": error, "message": message }))
}
