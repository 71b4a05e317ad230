//! An attempt to make something inside the project whose outcome is unknown: waited for until it can no longer land, and begun
//! again.

use super::draft::{Draft, Phase, act, wait};
use super::home::creating;
use super::ledger;
use super::step::Step;
use super::world::World;
use crate::api::condition::{kind, reason};
use crate::api::{LedgerEntry, Slot, SlotState};
use crate::model::Home;
use crate::model::slot::RAILWAY;
use jiff::SignedDuration;
use std::ops::ControlFlow::Continue;

/// The entry of a slot that is being made.
///
/// The intent of one that was not tried yet is begun anew where it is not of now any more: one intent covers several
/// slots, and when a request can no longer land is counted from its intent.
pub(super) fn open(w: &World, d: &mut Draft, slot: Slot) -> Option<LedgerEntry> {
    let entry = ledger::entry_mut(&mut d.status, slot)
        .filter(|entry| entry.state == SlotState::Creating)?;
    let age = w.now.duration_since(entry.started_at.0);
    if d.untried.contains(&slot) && age > w.limits.request / 10 {
        entry.started_at = ledger::moment(w.now);
    }
    Some(entry.clone())
}

/// A lost attempt was not found: wait until it can no longer land unseen, then begin another.
pub(super) fn unseen(w: &World, d: &mut Draft, entry: &LedgerEntry, home: &Home) -> Phase {
    let landed_by = w.limits.landed_by(entry.started_at.0);
    if home.begun < landed_by {
        let message = format!(
            "the answer to an earlier attempt to make the {} was lost; looking for it before another is made",
            entry.slot
        );
        d.working_on(kind::PROJECT_READY, reason::OUTCOME_UNKNOWN, message);
        return wait(Some(
            landed_by.max(w.now + SignedDuration::from_millis(200)),
        ));
    }
    begin_again(w, d, entry.slot);
    Continue(())
}

pub(super) fn begin_again(w: &World, d: &mut Draft, slot: Slot) {
    let account = w.instance.spec.account_ref.name.0.clone();
    ledger::begin(
        &mut d.status,
        slot,
        RAILWAY,
        &account,
        w.marker(slot).outside_name(),
        w.now,
    );
    d.untried.insert(slot);
}

/// Whether the project was seen with something that could be this slot.
pub(super) fn is_there(w: &World, slot: Slot) -> bool {
    let home = w.home();
    let Some(home) = home.seen() else {
        return false;
    };
    match slot {
        Slot::Service => {
            let name = w.marker(slot).outside_name();
            home.services
                .iter()
                .any(|one| one.name.eq_ignore_ascii_case(&name))
        }
        Slot::Volume => !home.volumes.is_empty(),
        Slot::Domain => !home.domains.is_empty(),
        _ => false,
    }
}

/// The reading of the project made in this pass, or the step that makes it.
pub(super) fn look_again(w: &World, d: &mut Draft, project: String) -> Phase {
    creating(d, "looking at what is there already");
    match w.outside.looked {
        None => act(Step::Look { project }),
        Some(_) => wait(Some(w.now + SignedDuration::from_secs(1))),
    }
}
