//! What a workspace's projects have cost this month, as Railway last told.
//!
//! Holds: it is asked for once in an hour, and what was told stands until it tells again, so that no status goes back and forth;
//! that it does not answer is no outage. Nothing here writes to Kubernetes.

use crate::api::money::Money;
use crate::controllers::held;
use crate::engine::costs::{AGAIN, EVERY, month};
use crate::railway::Gateway;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;

/// What projects have cost, and when to ask again.
#[derive(Default)]
pub struct Costs(Mutex<ToldCosts>);

#[derive(Default)]
struct ToldCosts {
    next: Option<Timestamp>,
    by_project: Option<HashMap<String, Money>>,
}

impl Costs {
    /// Asks again where it is time. Answers whether Railway told.
    pub async fn renew(&self, account: &str, gateway: &Gateway, now: Timestamp) -> bool {
        if held(&self.0).next.is_some_and(|next| now < next) {
            return false;
        }
        let read = gateway.costs(month(now)).await;
        let mut known = held(&self.0);
        match read {
            Ok(costs) => {
                known.by_project = Some(costs);
                known.next = Some(now + EVERY);
                true
            }
            Err(fault) => {
                known.next = Some(now + AGAIN);
                tracing::warn!(account, "what projects cost is not told anew: {fault}");
                false
            }
        }
    }

    /// What a project has cost. `None`: not known yet.
    pub fn of(&self, project: &str) -> Option<Money> {
        let known = held(&self.0);
        let costs = known.by_project.as_ref()?;
        Some(costs.get(project).copied().unwrap_or_default())
    }
}
