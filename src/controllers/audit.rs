//! The audit log: one line for each change outside that was tried, whatever came of it, at info under a target of its own.
//!
//! What holds: a line says for which object something was changed where, at which price, and how that ended; it has names and
//! ids in it, never a credential or a value. Deliberately absent: what changes nothing, and Kubernetes, which has an audit
//! log itself.

use crate::model::Fault;
use std::time::Duration;

/// Under which the lines are logged.
const TARGET: &str = "yardmaster::audit";

/// A change outside, as it was tried.
#[derive(Debug, Default)]
pub struct AuditEvent<'a> {
    /// Namespace of the object for which it is; empty for an account.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The slot, or what it is where no ledger has it.
    pub slot: String,
    /// Which attempt of the slot; 0 where no ledger has it.
    pub attempt: i32,
    /// What was asked for.
    pub operation: &'a str,
    /// Of whom.
    pub provider: &'a str,
    /// In which account.
    pub account: &'a str,
    /// The provider's id, where there is one before.
    pub id: &'a str,
    /// What it costs, or may cost, where that is known.
    pub price: String,
}

impl AuditEvent<'_> {
    /// Says how it ended, after so long.
    pub fn ended(&self, with: Result<(), &Fault>, took: Duration) {
        let (outcome, fault) = match with {
            Ok(()) => ("done", ""),
            Err(fault) if fault.may_have_landed() => ("unknown", fault.class()),
            Err(fault) => ("refused", fault.class()),
        };
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: TARGET,
            namespace = %self.namespace,
            name = %self.name,
            uid = %self.uid,
            slot = %self.slot,
            attempt = self.attempt,
            operation = self.operation,
            provider = self.provider,
            account = self.account,
            id = self.id,
            price = %self.price,
            outcome,
            fault,
            milliseconds,
            "changed outside"
        );
    }
}
