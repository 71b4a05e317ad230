//! What stays behind when an instance goes, and how that is told: given up by name, or others'.
//!
//! Holds: nothing outside is touched; each thing that stays is told once, with what it costs.

use super::draft::Draft;
use super::tools;
use super::world::World;
use crate::api::condition::reason;
use crate::api::{ABANDON_ANNOTATION, LedgerEntry, Slot};
use crate::model::Announcement;
use crate::model::slot::Undo;
use kube::ResourceExt;

/// Whether a person has given a slot up by name.
pub(super) fn given_up(w: &World, entry: &LedgerEntry) -> bool {
    w.instance
        .annotations()
        .get(ABANDON_ANNOTATION)
        .is_some_and(|name| *name == entry.slot.to_string())
}

/// Told once: with the telling it leaves the ledger.
pub(super) fn abandon(w: &World, d: &mut Draft, entry: &LedgerEntry) {
    d.announcements.push(left_behind(
        w,
        reason::ABANDONED,
        "given up by annotation",
        std::slice::from_ref(entry),
    ));
    let with_it = |other: &LedgerEntry| {
        other.slot == entry.slot
            || entry.slot == Slot::Project && other.row().undo == Undo::WithProject
    };
    d.status.external.retain(|other| !with_it(other));
}

/// An adopted resource that others use as well stays where it was: told once.
pub(super) fn leave_to_others(w: &World, d: &mut Draft, entry: &LedgerEntry) {
    d.announcements.push(left_behind(
        w,
        reason::RETAINED,
        "adopted as Shared",
        std::slice::from_ref(entry),
    ));
    d.status.external.retain(|other| other.slot != entry.slot);
}

pub(super) fn left_behind(
    w: &World,
    reason: &'static str,
    why: &str,
    entries: &[LedgerEntry],
) -> Announcement {
    let list: Vec<String> = entries
        .iter()
        .map(|entry| {
            let cost = tools::monthly(w, entry)
                .map(|usd| format!(", up to {usd} US dollars a month"))
                .unwrap_or_default();
            format!(
                "{} {} ({} in account {}{cost})",
                entry.slot,
                entry.id.as_deref().unwrap_or("of unknown id"),
                entry.key,
                entry.account
            )
        })
        .collect();
    Announcement {
        warning: true,
        reason,
        action: "LeaveBehind",
        note: format!(
            "{why}; still there at the provider, and billed: {}",
            list.join(", ")
        ),
    }
}
