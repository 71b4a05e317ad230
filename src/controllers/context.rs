//! The handles that passes work with. All of them are given; none is global.

use super::accounts::Accounts;
use super::around::Around;
use super::memories::Memories;
use super::stores::Stores;
use crate::agent::Agents;
use crate::cluster::events::Events;
use crate::registry::Registry;
use crate::tools::Provider;
use std::sync::Arc;

/// Everything that a pass needs beside its object.
pub struct Context {
    /// Settings, clock, permission, who we are.
    pub around: Arc<Around>,
    /// The objects as last watched, and whom their changes wake.
    pub stores: Arc<Stores>,
    /// Accounts that are set up, with their observers.
    pub accounts: Accounts,
    /// What this process may forget.
    pub memories: Memories,
    /// Events.
    pub events: Events,
    /// Where wallets are made: here.
    pub wallets: Arc<dyn Provider>,
    /// Image registries.
    pub registry: Registry,
    /// Running agents.
    pub agents: Agents,
}

impl Context {
    /// Whether agents are being taken just now, and more claims wait to be served.
    pub fn claims_press(&self) -> bool {
        self.stores.lines.are_busy(self.around.now()) && self.stores.claims.queue.presses()
    }
}
