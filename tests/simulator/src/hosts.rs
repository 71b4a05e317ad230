//! The host table: which provider answers below which name. Every other host is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::provider::Provider;

pub(crate) struct Hosts {
    rows: Vec<(&'static str, Arc<dyn Provider>)>,
    refused: Mutex<BTreeMap<String, u64>>,
}

impl Hosts {
    /// A row is a host name, or `*.` and what follows the first label.
    pub(crate) fn new(rows: Vec<(&'static str, Arc<dyn Provider>)>) -> Self {
        Self {
            rows,
            refused: Mutex::default(),
        }
    }

    pub(crate) fn find(&self, host: &str) -> Option<Arc<dyn Provider>> {
        let row = self
            .rows
            .iter()
            .find(|(pattern, _)| match pattern.strip_prefix('*') {
                Some(suffix) => host
                    .strip_suffix(suffix)
                    .is_some_and(|label| !label.is_empty()),
                None => *pattern == host,
            });
        row.map(|(_, provider)| Arc::clone(provider))
    }

    /// Remembers that somebody asked for a host that is not here, and says so.
    pub(crate) fn refuse(&self, host: &str) -> String {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(host.to_owned()).or_insert(0) += 1;
        let known: Vec<&str> = self.rows.iter().map(|(pattern, _)| *pattern).collect();
        format!(
            "This simulated internet has no host {host}. It has {}.\n",
            known.join(", ")
        )
    }

    /// Hosts that were asked for and are not here, with how often.
    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Each provider once.
    pub(crate) fn providers(&self) -> Vec<Arc<dyn Provider>> {
        let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
        for (_, provider) in &self.rows {
            if !providers
                .iter()
                .any(|known| known.name() == provider.name())
            {
                providers.push(Arc::clone(provider));
            }
        }
        providers
    }
}
