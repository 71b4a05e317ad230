//! How ledger entries change: the only functions that write them.

use crate::api::{AgentInstanceStatus, LedgerEntry, Slot, SlotState, Unknown};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// Begins an attempt: the entry says `Creating`, and under which key.
///
/// The number goes up unless the last attempt is known not to have landed (`Planned`): so a number above 1 means that
/// an outcome was once unknown, and a teardown looks for what it may have left.
pub fn begin(
    status: &mut AgentInstanceStatus,
    slot: Slot,
    provider: &str,
    account: &str,
    key: String,
    now: Timestamp,
) {
    let attempt = match entry(status, slot) {
        Some(entry) if entry.state == SlotState::Planned => entry.attempt,
        Some(entry) => entry.attempt + 1,
        None => 1,
    };
    put(
        status,
        LedgerEntry {
            slot,
            provider: provider.to_owned(),
            account: account.to_owned(),
            state: SlotState::Creating,
            key,
            id: None,
            settings: String::new(),
            attempt,
            started_at: MicroTime(micros(now)),
            unknown: Unknown::default(),
        },
    );
}

/// Records that it is there.
pub fn exists(status: &mut AgentInstanceStatus, slot: Slot, id: Option<String>) {
    if let Some(entry) = entry_mut(status, slot) {
        entry.state = SlotState::Exists;
        entry.id = id;
    }
}

/// Records that the attempt certainly did not land.
pub fn planned(status: &mut AgentInstanceStatus, slot: Slot) {
    if let Some(entry) = entry_mut(status, slot) {
        entry.state = SlotState::Planned;
        entry.id = None;
    }
}

/// Gives an attempt up whose outcome was unknown and that was not found: the next one has a new number.
pub fn lost(status: &mut AgentInstanceStatus, slot: Slot) {
    if let Some(entry) = entry_mut(status, slot) {
        entry.state = SlotState::Planned;
        entry.id = None;
        entry.attempt += 1;
    }
}

/// The entry of a slot.
pub fn entry(status: &AgentInstanceStatus, slot: Slot) -> Option<&LedgerEntry> {
    status.external.iter().find(|entry| entry.slot == slot)
}

/// The entry of a slot, to change it.
pub fn entry_mut(status: &mut AgentInstanceStatus, slot: Slot) -> Option<&mut LedgerEntry> {
    status.external.iter_mut().find(|entry| entry.slot == slot)
}

/// Puts an entry in the place of the slot's old one; the ledger stays in the table's order.
pub fn put(status: &mut AgentInstanceStatus, mut entry: LedgerEntry) {
    if let Some(old) = self::entry(status, entry.slot) {
        entry.unknown = old.unknown.clone();
    }
    status.external.retain(|old| old.slot != entry.slot);
    status.external.push(entry);
    status.external.sort_by_key(|entry| entry.row().rank);
}

/// Kubernetes keeps these times in microseconds; ours must compare equal after the round trip.
pub fn micros(now: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
