//! Telnyx: searching, ordering and releasing phone numbers, and messaging profiles (facts/tool-providers.md 3).
//!
//! Owns what each account has: orders, numbers, profiles, and the numbers that a search has shown it, because only those
//! can be ordered. Nothing at Telnyx is idempotent. Deliberately absent: messages, reservations, bulk jobs, the slim
//! list, and the search filters by locality and pattern.

mod control;
mod numbers;
mod orders;
mod profiles;
mod serve;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::clock::{self, text};
use crate::inventory::Resource;
use crate::rest::Rate;
use crate::settings::SettingsStore;
pub(crate) use control::routes;
use numbers::Number;
use orders::Order;
use profiles::Profile;

pub(crate) struct Telnyx {
    settings: SettingsStore,
    rate: Rate,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts(BTreeMap<String, Account>);

#[derive(Default)]
struct Account {
    offered: HashMap<String, Offer>,
    orders: Vec<Order>,
    numbers: Vec<Number>,
    profiles: Vec<Profile>,
}

/// What a search has shown of a number.
#[derive(Debug, Clone)]
struct Offer {
    country: String,
    kind: String,
    /// In USD.
    monthly_cost: f64,
}

impl Telnyx {
    pub(crate) fn new(settings: SettingsStore) -> Self {
        Self {
            settings,
            rate: Rate::default(),
            accounts: Mutex::default(),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers that are paid for, profiles, and orders while they are pending.
    fn living(&self, now: Timestamp) -> Vec<Resource> {
        let accounts = self.accounts();
        let mut rows = Vec::new();
        for (name, account) in &accounts.0 {
            let resource = |kind, id: &str, called: &str, created_at| Resource {
                provider: "telnyx",
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
            let numbers = account.numbers.iter().filter(|number| number.is_owned(now));
            rows.extend(numbers.map(|number| Resource {
                description: number.reference.clone(),
                parent: number.profile.clone(),
                monthly_usd: number.usd,
                spent_usd: 0.0,
                ..resource("number", &number.id, &number.phone, number.since)
            }));
            let profiles = account.profiles.iter();
            rows.extend(profiles.map(|profile| {
                resource(
                    "messagingProfile",
                    &profile.id,
                    profile.name(),
                    profile.created_at,
                )
            }));
            let orders = account.orders.iter().filter(|order| order.is_pending(now));
            rows.extend(orders.map(|order| {
                let phones: Vec<&str> =
                    order.lines.iter().map(|line| line.phone.as_str()).collect();
                Resource {
                    description: order.reference.clone(),
                    ..resource("order", &order.id, &phones.join(","), order.created_at)
                }
            }));
        }
        rows
    }
}

impl Accounts {
    fn of(&mut self, account: &str) -> &mut Account {
        self.0.entry(account.to_owned()).or_default()
    }

    /// Somebody has this number, or will have it once an order is through.
    fn is_taken(&self, phone: &str) -> bool {
        self.0.values().any(|account| {
            let mut numbers = account.numbers.iter();
            numbers.any(|number| number.phone == phone && number.deleted_at.is_none())
        })
    }
}

impl Account {
    fn has_profile(&self, id: &str) -> bool {
        self.profiles.iter().any(|profile| profile.id == id)
    }

    fn delete_profile(&mut self, id: &str) -> Option<Profile> {
        let at = self.profiles.iter().position(|profile| profile.id == id)?;
        for number in &mut self.numbers {
            if number.profile.as_deref() == Some(id) {
                number.profile = None;
            }
        }
        Some(self.profiles.remove(at))
    }
}

/// When something that is made now can be seen.
fn seen_after(settings: &crate::settings::Settings, made: Timestamp) -> Timestamp {
    clock::after(made, settings.telnyx_read_lag)
}
