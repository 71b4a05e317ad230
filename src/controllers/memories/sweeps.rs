//! What sweeps have seen, by account.

use crate::controllers::held;
use crate::engine::sweep::{Findings, Memory};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What sweeps have seen, by account.
#[derive(Default)]
pub struct Sweeps {
    known: Mutex<BTreeMap<String, SweptAccount>>,
}

/// Of one account.
#[derive(Default)]
pub struct SweptAccount {
    /// What the next sweep has to know of the ones before it.
    pub memory: Memory,
    /// What people are told.
    pub findings: Findings,
}

impl Sweeps {
    /// What was found in an account.
    pub fn findings(&self, account: &str) -> Findings {
        let known = held(&self.known);
        known
            .get(account)
            .map(|known| known.findings.clone())
            .unwrap_or_default()
    }

    /// What a sweep remembers of an account, to read it or to change it.
    pub fn of<T>(&self, account: &str, with: impl FnOnce(&mut SweptAccount) -> T) -> T {
        with(held(&self.known).entry(account.to_owned()).or_default())
    }

    /// The account is gone.
    pub fn forget(&self, account: &str) {
        held(&self.known).remove(account);
    }
}
