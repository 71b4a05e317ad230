//! The way back (design 3.3): ranks downwards, from the ledger alone. Each resource is deleted, then observed to be
//! gone, then the next; the finalizer goes last.
//!
//! What holds: a failure keeps the finalizer; an outage is no proof of absence; what may still land is waited for. The
//! only way past a slot is the annotation that names it.

use super::draft::{Draft, Phase, act, wait};
use super::restored::IdentityState;
use super::step::Step;
use super::tools::Back;
use super::world::{AccountView, World};
use super::{adopt, home, leave, ledger, meaning, restored, retry, rights, tools};
use crate::api::condition::{kind, reason};
use crate::api::instance::DeletionPolicy;
use crate::api::{ABANDON_ANNOTATION, FINALIZER, LedgerEntry, Slot, SlotState};
use crate::model::Announcement;
use crate::model::Sight;
use crate::model::slot::{FoundBy, SLOTS, SlotKind, Undo};
use jiff::SignedDuration;
use kube::ResourceExt;
use std::ops::ControlFlow::{Break, Continue};

/// Takes back what the ledger lists, then lets the object go.
pub(super) fn teardown(w: &World, d: &mut Draft) -> Phase {
    if !w.instance.finalizers().iter().any(|name| name == FINALIZER) {
        return wait(None);
    }
    if w.instance.spec.deletion_protection {
        let message = "deletion was asked for, and deletionProtection is on: nothing is taken back until it is set to false";
        d.stalled_on(kind::SYNCED, reason::PROTECTED, message);
        return wait(None);
    }
    d.say(meaning::being_taken_back());
    d.stands(w);
    if let Some(fault) = &w.pass.fault {
        return meaning::faulted(d, fault, wait(None));
    }
    if restored::touches_nothing(&w.standing) {
        let left: Vec<LedgerEntry> = d.status.external.clone();
        let why = "restored from a backup and never taken over";
        if !left.is_empty() {
            d.announcements
                .push(leave::left_behind(w, reason::RETAINED, why, &left));
        } else if let IdentityState::Held { identities, .. } = &w.standing
            && !identities.is_empty()
        {
            let all: Vec<&str> = identities.iter().map(String::as_str).collect();
            d.announcements.push(Announcement {
                warning: true,
                reason: reason::RETAINED,
                action: "LeaveBehind",
                note: format!(
                    "{why}; still there at the providers, and billed: what it had as {}",
                    all.join(", ")
                ),
            });
        }
        return act(Step::LetGo);
    }
    let retains = w.instance.spec.deletion_policy == DeletionPolicy::Retain;
    if w.standing == IdentityState::Unread && !retains && !d.status.external.is_empty() {
        being_told(d, "its account is being read for the first time".into());
        return wait(Some(w.recheck()));
    }
    home::open_ledger(w, d)?;
    d.stands(w);
    adopt::find_volume(w, d)?;
    let mut homes: Vec<LedgerEntry> = SLOTS
        .iter()
        .rev()
        .filter(|row| matches!(row.slot, SlotKind::One(_)))
        .filter(|row| adopt::undo(&w.instance, row) == Undo::Delete)
        .flat_map(|row| d.status.external.iter().filter(|entry| row.is_of(entry)))
        .filter(|entry| !entry.is_blank())
        .cloned()
        .collect();
    if retains {
        let has_something = d.status.external.iter().any(|entry| !entry.is_blank());
        if let Some(why) = rights::in_vain(w, &d.status).filter(|_| has_something) {
            d.stalled_on(kind::SYNCED, reason::RETENTION_NOT_ALLOWED, why);
            return wait(None);
        }
        let mut left = tools::in_order_of_teardown(&d.status);
        left.retain(|entry| !entry.is_blank());
        for wallet in left.iter().filter(|entry| is_here(entry)) {
            tools::leave_here(w, d, wallet);
        }
        left.retain(|entry| !is_here(entry));
        left.extend(homes);
        if !left.is_empty() {
            d.announcements.push(leave::left_behind(
                w,
                reason::RETAINED,
                "deletionPolicy is Retain",
                &left,
            ));
        }
        return act(Step::LetGo);
    }
    the_tools(w, d)?;
    adopt::in_order(&mut homes);
    for entry in homes {
        d.stands(w);
        if leave::given_up(w, &entry) {
            leave::abandon(w, d, &entry);
        } else {
            take_back(w, d, entry)?;
        }
    }
    adopt::stays_behind(w, d);
    act(Step::LetGo)
}

/// Whether it is nowhere but in a Secret.
fn is_here(entry: &LedgerEntry) -> bool {
    entry.row().found_by == FoundBy::Kept
}

/// Takes the tools back, in the order of the slot table, each seen to be gone before the next.
fn the_tools(w: &World, d: &mut Draft) -> Phase {
    let left = tools::in_order_of_teardown(&d.status);
    if !left.is_empty() {
        tools::no_longer(d);
    }
    for entry in left {
        match tools::one_back(w, d, &entry) {
            Continue(()) => d.stands(w),
            Break(Back::Step(step)) => {
                being_told(
                    d,
                    format!("taking back {}, asked for {}", entry.slot, asked_for(w)),
                );
                return act(step);
            }
            Break(Back::Wait(held)) => {
                let message = format!(
                    "{} cannot be taken back yet (asked for {}): {}; or give it up with the annotation {ABANDON_ANNOTATION}: {}",
                    entry.slot,
                    asked_for(w),
                    held.message,
                    entry.slot
                );
                if held.person {
                    d.stalled_on(kind::SYNCED, held.reason, message);
                } else {
                    being_told(d, message);
                }
                return wait(held.wake);
            }
        }
    }
    Continue(())
}

fn being_told(d: &mut Draft, message: String) {
    d.working_on(kind::SYNCED, reason::DELETING, message);
}

/// When the deletion was asked for.
fn asked_for(w: &World) -> String {
    w.instance
        .metadata
        .deletion_timestamp
        .as_ref()
        .map(|time| time.0.to_string())
        .unwrap_or_default()
}

fn take_back(w: &World, d: &mut Draft, entry: LedgerEntry) -> Phase {
    let slot = entry.slot;
    let since = asked_for(w);
    let unusable = match &w.account {
        AccountView::Ready(_) => None,
        AccountView::NotAvailable => Some(format!(
            "ProviderAccount {} does not exist; make it again",
            entry.account
        )),
        AccountView::Elsewhere { provider } => Some(format!(
            "{}; make that one again",
            meaning::elsewhere(&entry.account, provider, &entry.provider)
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
        being_told(d, message);
        return wait(Some(w.recheck()));
    }
    being_told(d, format!("taking back the {slot}, asked for {since}"));
    if entry.id.is_some() {
        home::one_too_many(w, entry.id.as_deref())?;
    }
    match (entry.state, entry.id.clone()) {
        (SlotState::Exists | SlotState::Deleting, Some(id)) => delete(w, d, &entry, id),
        // Nothing recorded: an attempt may have left something all the same.
        _ => find(w, d, &entry),
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
            entry.started_at = ledger::moment(w.now);
        }
        return act(step);
    }
    let gone = match &w.outside.looked {
        // What was asked for in this pass is looked at first; an older request may have been lost, and is repeated:
        // deleting twice does no harm.
        None if w.pass.stopped => {
            let project = ledger::id(&d.status, Slot::Project).unwrap_or(id);
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
    if entry.doubtful {
        // An earlier attempt's outcome was once unknown: nothing of it may be left either.
        return find(w, d, entry);
    }
    forget_project(w, d, entry)
}

/// It is gone. What else is the instance's, and was not taken for empty, stays behind: told once.
fn forget_project(w: &World, d: &mut Draft, entry: &LedgerEntry) -> Phase {
    let left = home::one_too_many(w, entry.id.as_deref())?;
    if !left.is_empty() {
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::SURPLUS,
            action: "KeepSurplus",
            note: home::left_alone(&left),
        });
    }
    d.status.external.clear();
    if w.instance.spec.adopt.is_none() {
        // That nothing is left stays on record until the finalizer is off: an empty ledger would count as lost.
        ledger::put(&mut d.status, w.blank(Slot::Project));
    }
    Continue(())
}

/// Looks for what an attempt of unknown outcome may have left, until it can no longer land.
fn find(w: &World, d: &mut Draft, entry: &LedgerEntry) -> Phase {
    match (w.ours().first(), &entry.id) {
        // Its making was never answered, or the ledger lost it: it is on record from here on, and goes as such.
        (Some(home), None) => {
            ledger::exists(&mut d.status, entry.slot, Some(home.id.clone()));
            let found = ledger::entry(&d.status, entry.slot).cloned();
            return match found {
                Some(found) => delete(w, d, &found, home.id.clone()),
                None => Continue(()),
            };
        }
        (_, recorded) => home::one_too_many(w, recorded.as_deref())?,
    };
    let landed_by = w.limits.landed_by(entry.started_at.0);
    // Only a search is proof (`home::find_project`).
    if w.outside.searched && w.outside.listing.is_some_and(|begun| begun >= landed_by) {
        return forget_project(w, d, entry);
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
