//! Claims that wait, and for which their pool makes one agent more than it keeps idle (`whenEmpty: Create`).
//!
//! Holds: it is what the watch shows, so that a claim which stands aside for a moment is counted still. Deliberately absent: who
//! gets the agent that is made. Whoever is first in line does.

use crate::api::claim::WhenEmpty;
use crate::api::{AgentClaim, AgentPool, Seen};
use crate::controllers::held;
use crate::controllers::turned::{Ref, Turned};
use crate::controllers::wake::pool_of;
use crate::engine::claiming::stands_in_line;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

/// A claim by namespace and name.
type ClaimName = (String, String);

/// The claims of all pools, by name, and their UIDs.
#[derive(Debug, Default)]
pub(super) struct AskingClaims(Mutex<HashMap<Ref<AgentPool>, BTreeMap<ClaimName, String>>>);

impl AskingClaims {
    /// A claim changed.
    pub(super) fn note(&self, turned: &Turned<AgentClaim>) {
        let read = |one: &Option<Seen<AgentClaim>>| one.as_ref().and_then(Seen::read).cloned();
        let (before, after) = (read(&turned.before), read(&turned.after));
        let name = |claim: &AgentClaim| (claim.namespace().unwrap_or_default(), claim.name_any());
        let asks = |claim: &AgentClaim| {
            claim.spec.when_empty == WhenEmpty::Create && stands_in_line(claim)
        };
        if !before.iter().chain(&after).any(|one| asks(one)) {
            return;
        }
        let mut pools = held(&self.0);
        if let Some(before) = before {
            let pool = pool_of(&before);
            let own = pools.get_mut(&pool);
            if let Some(own) = own {
                own.remove(&name(&before));
                if own.is_empty() {
                    pools.remove(&pool);
                }
            }
        }
        if let Some(after) = after.filter(|after| asks(after)) {
            let own = pools.entry(pool_of(&after)).or_default();
            own.insert(name(&after), after.uid().unwrap_or_default());
        }
    }

    /// The UIDs of those of a pool.
    pub(super) fn of(&self, pool: &Ref<AgentPool>) -> Vec<String> {
        let pools = held(&self.0);
        let own = pools.get(pool);
        own.map_or_else(Vec::new, |own| own.values().cloned().collect())
    }
}
