//! How ledger entries change: the only functions that write them.

use crate::api::{AgentInstanceStatus, LedgerEntry, Origin, Slot, SlotState};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// Begins an attempt: the entry says `Creating`, and under which key.
///
/// The number goes up unless the last attempt is known not to have landed (`Planned`); the outcome of one before that may be
/// unknown, and a teardown looks for what it may have left.
pub fn begin(
    status: &mut AgentInstanceStatus,
    slot: Slot,
    provider: &str,
    account: &str,
    key: String,
    now: Timestamp,
) {
    let (attempt, doubtful) = match entry(status, slot) {
        Some(entry) if entry.state == SlotState::Planned => (entry.attempt, entry.doubtful),
        Some(entry) => (entry.attempt + 1, true),
        None => (1, false),
    };
    put(
        status,
        LedgerEntry {
            state: SlotState::Creating,
            key,
            attempt,
            doubtful,
            ..LedgerEntry::new(slot, provider, account.to_owned(), moment(now))
        },
    );
}

/// Records the environment that has come with the project.
pub fn environment(status: &mut AgentInstanceStatus, id: String, now: Timestamp) {
    let Some(project) = entry(status, Slot::Project) else {
        return;
    };
    let account = project.account.clone();
    let environment = LedgerEntry {
        state: SlotState::Exists,
        id: Some(id),
        ..LedgerEntry::new(Slot::Environment, &project.provider, account, moment(now))
    };
    put(status, environment);
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
        entry.doubtful = true;
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

/// Whether the agent still runs as it was found: at no revision of its template, so that it takes the current one in its turn.
pub fn as_found(status: &AgentInstanceStatus) -> bool {
    entry(status, Slot::Configuration).is_some_and(|one| one.origin == Origin::Adopted)
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

/// A moment as a status has it.
pub fn moment(now: Timestamp) -> MicroTime {
    MicroTime(micros(now))
}

/// Kubernetes keeps these times in microseconds; ours must compare equal after the round trip.
pub fn micros(now: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// Whether the agent was complete once.
pub fn made_once(status: &AgentInstanceStatus) -> bool {
    let timings = status.timings.as_ref();
    timings.is_some_and(|timings| timings.created.is_some())
}

/// The id of a slot that exists.
pub fn id(status: &AgentInstanceStatus, slot: Slot) -> Option<String> {
    entry(status, slot)
        .filter(|entry| entry.state == SlotState::Exists)?
        .id
        .clone()
}
