//! AgentMail: inboxes, the pods they are in, and keys that see one inbox (facts/tool-providers.md 2).
//!
//! Owns all accounts, because an address exists once in the world. An account is one organization; its default pod has
//! the organization's id. Deliberately absent: messages, webhooks, adding domains, keys of pods and of the organization
//! (the tokens of tests are its keys), and searching inboxes.

mod control;
mod inboxes;
mod keys;
mod serve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::{self, text};
use crate::identity;
use crate::inventory::Resource;
use crate::rest::Rate;
use crate::settings::SettingsStore;
pub(crate) use control::routes;
use inboxes::Inbox;
use keys::Key;

const DOMAIN: &str = "agentmail.to";
const USD_PER_INBOX: f64 = 2.0;

pub(crate) struct AgentMail {
    settings: SettingsStore,
    rate: Rate,
    office: Mutex<Office>,
}

#[derive(Default)]
struct Office {
    made: u64,
    accounts: BTreeMap<String, Account>,
}

struct Account {
    created_at: Timestamp,
    inboxes: Vec<Inbox>,
    pods: Vec<Pod>,
    keys: Vec<Key>,
    /// What deleted inboxes leave behind.
    gone_client_ids: BTreeSet<String>,
    gone_addresses: BTreeSet<String>,
}

struct Pod {
    seq: u64,
    id: String,
    name: String,
    client_id: Option<String>,
    created_at: Timestamp,
}

impl AgentMail {
    pub(crate) fn new(settings: SettingsStore) -> Self {
        Self {
            settings,
            rate: Rate::default(),
            office: Mutex::default(),
        }
    }

    fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn living(&self) -> Vec<Resource> {
        let office = self.office();
        let mut rows = Vec::new();
        for (name, account) in &office.accounts {
            let resource = |kind, id: &str, called: &str, created_at| Resource {
                provider: "agentmail",
                kind,
                id: id.to_owned(),
                name: called.to_owned(),
                workspace: name.clone(),
                description: None,
                parent: None,
                created_at: text(created_at),
                monthly_usd: 0.0,
                spent_usd: 0.0,
            };
            rows.extend(account.inboxes.iter().map(|inbox| {
                let called = inbox.display_name.as_ref().unwrap_or(&inbox.address);
                Resource {
                    description: inbox.client_id.clone(),
                    parent: Some(inbox.pod.clone()),
                    monthly_usd: USD_PER_INBOX,
                    spent_usd: 0.0,
                    ..resource("inbox", &inbox.address, called, inbox.created_at)
                }
            }));
            rows.extend(account.keys.iter().map(|key| Resource {
                parent: Some(key.inbox.clone()),
                ..resource("key", &key.id, &key.name, key.created_at)
            }));
            rows.extend(account.pods.iter().map(|pod| Resource {
                description: pod.client_id.clone(),
                ..resource("pod", &pod.id, &pod.name, pod.created_at)
            }));
        }
        rows
    }
}

impl Office {
    fn of(&mut self, account: &str) -> &mut Account {
        self.accounts
            .entry(account.to_owned())
            .or_insert_with(|| Account {
                created_at: clock::now(),
                inboxes: Vec::new(),
                pods: Vec::new(),
                keys: Vec::new(),
                gone_client_ids: BTreeSet::new(),
                gone_addresses: BTreeSet::new(),
            })
    }

    fn next_seq(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// The account that has this address.
    fn holder(&self, address: &str) -> Option<&str> {
        let mut accounts = self.accounts.iter();
        let found = accounts.find(|(_, account)| account.inbox(address).is_some());
        found.map(|(name, _)| name.as_str())
    }

    /// The account and the key that a minted secret belongs to.
    fn key(&self, secret: &str) -> Option<(&str, &Key)> {
        self.accounts.iter().find_map(|(name, account)| {
            let mut keys = account.keys.iter();
            let key = keys.find(|key| key.opens(secret))?;
            Some((name.as_str(), key))
        })
    }
}

impl Account {
    fn inbox(&self, address: &str) -> Option<&Inbox> {
        self.inboxes.iter().find(|inbox| inbox.address == address)
    }

    /// Deletes an inbox, and its keys with it.
    fn delete_inbox(&mut self, address: &str) -> bool {
        let Some(at) = self.inboxes.iter().position(|row| row.address == address) else {
            return false;
        };
        let inbox = self.inboxes.remove(at);
        self.keys.retain(|key| key.inbox != inbox.address);
        self.gone_client_ids.extend(inbox.client_id);
        self.gone_addresses.insert(inbox.address);
        true
    }
}

impl Pod {
    fn new(seq: u64, order: &Value) -> Self {
        let id = identity::uuid();
        let name = order["name"].as_str().map(str::to_owned);
        Self {
            seq,
            name: name.unwrap_or_else(|| format!("Pod {}", &id[..8])),
            id,
            client_id: order["client_id"].as_str().map(str::to_owned),
            created_at: clock::now(),
        }
    }

    fn json(&self) -> Value {
        let mut pod = json!({
            "pod_id": self.id,
            "name": self.name,
            "created_at": text(self.created_at),
            "updated_at": text(self.created_at),
        });
        if let Some(client_id) = &self.client_id {
            pod["client_id"] = json!(client_id);
        }
        pod
    }
}
