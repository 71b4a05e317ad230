//! The way back (design 3.3): ranks downwards, from the ledger alone. Each resource is deleted, then observed to be
//! gone, then the next; the finalizer goes last.
//!
//! What holds: a failure keeps the finalizer; an outage is no proof of absence; what may still land is waited for. The
//! only way past a slot is the annotation that names it.

use super::ledger;
use super::plan::{Draft, Phase, RECHECK, act, wait};
use super::step::Step;
use super::world::{AccountView, World};
use super::{adopt, parts, report, retry};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::DeletionPolicy;
use crate::api::{ABANDON_ANNOTATION, FINALIZER, LedgerEntry, Slot, SlotState};
use crate::model::Announcement;
use crate::model::Sight;
use crate::model::slot::{SLOTS, Undo};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use std::ops::ControlFlow::Continue;

/// Takes back what the ledger lists, then lets the object go.
pub(super) fn teardown(w: &World, d: &mut Draft) -> Phase {
    if !w.instance.finalizers().iter().any(|name| name == FINALIZER) {
        return wait(None);
    }
    if w.instance.spec.deletion_protection {
        let message = "deletion was asked for, and deletionProtection is on: nothing is taken back until it is set to false";
        d.say(Statement::no(kind::SYNCED, reason::PROTECTED, message));
        d.stalled(reason::PROTECTED, message);
        return wait(None);
    }
    let mut left: Vec<LedgerEntry> = SLOTS
        .iter()
        .rev()
        .filter(|row| adopt::undo(&w.instance, row) == Undo::Delete)
        .flat_map(|row| d.status.external.iter().filter(|entry| row.is_of(entry)))
        .filter(|entry| entry.state != SlotState::Planned || entry.attempt > 1)
        .cloned()
        .collect();
    if w.instance.spec.deletion_policy == DeletionPolicy::Retain {
        if !left.is_empty() {
            d.announcements.push(left_behind(
                reason::RETAINED,
                "deletionPolicy is Retain",
                &left,
            ));
        }
        return act(Step::LetGo);
    }
    let given_up = w
        .instance
        .annotations()
        .get(ABANDON_ANNOTATION)
        .cloned()
        .unwrap_or_default();
    let (abandoned, rest): (Vec<_>, Vec<_>) = left
        .into_iter()
        .partition(|entry| entry.slot.to_string() == given_up);
    if !abandoned.is_empty() {
        d.announcements.push(left_behind(
            reason::ABANDONED,
            "given up by annotation",
            &abandoned,
        ));
    }
    left = rest;
    d.say(being_taken_back());
    if let Some(fault) = &w.fault {
        return report::faulted(d, fault, wait(None));
    }
    adopt::in_order(&mut left);
    for entry in left {
        take_back(w, d, entry)?;
    }
    adopt::stays_behind(w, d);
    act(Step::LetGo)
}

pub(super) fn being_taken_back() -> Statement {
    Statement::no(kind::READY, reason::DELETING, "being taken back")
}

fn left_behind(reason: &'static str, why: &str, entries: &[LedgerEntry]) -> Announcement {
    let list: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{} {} ({} in account {})",
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

fn take_back(w: &World, d: &mut Draft, entry: LedgerEntry) -> Phase {
    let slot = entry.slot;
    let since = w
        .instance
        .metadata
        .deletion_timestamp
        .as_ref()
        .map(|time| time.0.to_string())
        .unwrap_or_default();
    let unusable = match &w.account {
        AccountView::Ready(_) => None,
        AccountView::NotAvailable => Some(format!(
            "ProviderAccount {} does not exist; make it again",
            entry.account
        )),
        AccountView::NotReady { message } => Some(format!(
            "ProviderAccount {} is not ready: {message}",
            entry.account
        )),
        AccountView::Unreachable => Some(format!(
            "the provider of ProviderAccount {} cannot be reached",
            entry.account
        )),
    };
    if let Some(why) = unusable {
        let message = format!(
            "the {slot} cannot be taken back (asked for {since}): {why}; or give it up with the annotation {ABANDON_ANNOTATION}: {slot}"
        );
        d.say(Statement::no(
            kind::SYNCED,
            reason::DELETING,
            message.clone(),
        ));
        d.working(reason::DELETING, message);
        return wait(Some(w.now + RECHECK));
    }
    let message = format!("taking back the {slot}, asked for {since}");
    d.say(Statement::no(
        kind::SYNCED,
        reason::DELETING,
        message.clone(),
    ));
    d.working(reason::DELETING, message);
    if let Some(surplus) = w
        .ours()
        .into_iter()
        .find(|home| entry.id.is_some() && Some(&home.id) != entry.id.as_ref())
    {
        return act(Step::Delete {
            slot,
            id: surplus.id.clone(),
            surplus: true,
        });
    }
    match (entry.state, entry.id.clone()) {
        (SlotState::Exists | SlotState::Deleting, Some(id)) => delete(w, d, &entry, id),
        // Nothing recorded: an attempt may have left something all the same.
        _ => find(w, &entry),
    }
}

/// Deletes by id, and observes that it is gone.
fn delete(w: &World, d: &mut Draft, entry: &LedgerEntry, id: String) -> Phase {
    let step = Step::Delete {
        slot: entry.slot,
        id: id.clone(),
        surplus: false,
    };
    if entry.state == SlotState::Exists {
        if let Some(entry) = ledger::entry_mut(&mut d.status, entry.slot) {
            entry.state = SlotState::Deleting;
            entry.started_at = MicroTime(ledger::micros(w.now));
        }
        return act(step);
    }
    let gone = match &w.outside.looked {
        // What was asked for in this pass is looked at first; an older request may have been lost, and is repeated:
        // deleting twice does no harm.
        None if w.stopped => {
            let project = parts::id(&d.status, Slot::Project).unwrap_or(id);
            return act(Step::Look { project });
        }
        None => return act(step),
        Some(Sight::Seen(home)) => adopt::is_gone(home, entry.slot, &id),
        // After a plain "done" absence is what was to be expected. Otherwise the provider may just not show yet what it
        // would not delete yet, either: `facts/railway.md` 1.5, "not authorized" of what was made a moment ago.
        Some(Sight::Absent { begun }) => {
            w.outside.taken || *begun >= entry.started_at.0 + w.limits.settle
        }
        Some(Sight::Unknown) => false,
    };
    if !gone {
        let next = retry::next_look(entry.started_at.0, w.now);
        return wait(Some(next.max(w.now + SignedDuration::from_secs(1))));
    }
    if entry.slot != Slot::Project {
        // The next one waits in the ledger.
        d.status.external.retain(|kept| kept.slot != entry.slot);
        return Continue(());
    }
    if entry.attempt > 1 {
        // An earlier attempt's outcome was once unknown: nothing of it may be left either.
        return find(w, entry);
    }
    d.status.external.clear();
    Continue(())
}

/// Looks for what an attempt of unknown outcome may have left, until it can no longer land.
fn find(w: &World, entry: &LedgerEntry) -> Phase {
    let recorded = entry.id.as_deref();
    if let Some(home) = w
        .ours()
        .into_iter()
        .find(|home| Some(home.id.as_str()) != recorded)
    {
        return act(Step::Delete {
            slot: entry.slot,
            id: home.id.clone(),
            surplus: true,
        });
    }
    let landed_by = w.limits.landed_by(entry.started_at.0);
    // Only a search is proof (`parts::find_project`).
    if w.outside.searched && w.outside.listing.is_some_and(|begun| begun >= landed_by) {
        return Continue(());
    }
    if w.outside.searched {
        let soon = w.now + SignedDuration::from_secs(5);
        return wait(Some(
            landed_by
                .max(w.now + SignedDuration::from_millis(200))
                .min(soon),
        ));
    }
    act(Step::Search)
}
