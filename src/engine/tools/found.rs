//! What a ledger that was lost knew of tools: found again by the names that were given to the slots.
//!
//! Holds: what bears a slot's name is on record again before anything is made in its place; where nothing can be seen, the slot
//! counts as made with an answer that was lost.

use super::subject::Subject;
use crate::api::condition::reason;
use crate::api::instance::OperatingMode;
use crate::api::{LedgerEntry, Part, Slot, SlotState};
use crate::engine::draft::Draft;
use crate::engine::ledger;
use crate::engine::ledger::made_once;
use crate::engine::world::World;
use crate::model::Announcement;
use crate::model::slot::FoundBy;
use crate::model::tool::{Resource, Wish};

/// What became of a slot that is not on record, before anything is made for it: `None` where it never had anything.
pub(super) enum Lost<'a> {
    /// No listing tells yet.
    Unread,
    /// A listing shows this under a name that was given to the slot.
    Seen(&'a Resource),
}

/// An entry may have been lost alone. Only a listing tells, and only where the agent was complete once is it waited for.
pub(super) fn lost_one<'a>(w: &'a World, d: &Draft, subject: &Subject<'_>) -> Option<Lost<'a>> {
    let slot = subject.slot;
    if ledger::entry(&d.status, slot).is_some() || subject.tool.adopt.is_some() {
        return None;
    }
    if w.tools.unread.contains(&slot) && made_once(&d.status) {
        return Some(Lost::Unread);
    }
    let gone = matches!(w.tools.looked.get(&slot), Some((_, None)));
    best(w, slot).filter(|_| !gone).map(Lost::Seen)
}

/// Of what a listing shows under a slot's names that which its Secret opens, else the first.
pub(super) fn best(w: &World, slot: Slot) -> Option<&Resource> {
    let seen = w.tools.unclaimed.get(&slot)?;
    let opened = |one: &&Resource| {
        let kept = w.tools.kept.get(&slot);
        kept.is_some_and(|kept| kept.id == one.id)
    };
    seen.iter().find(opened).or_else(|| seen.first())
}

/// What a resource that is there is on record as.
pub(super) fn on_record(w: &World, subject: &Subject<'_>, resource: &Resource) -> LedgerEntry {
    let settings = resource.settings.as_deref().unwrap_or_default();
    // Of one that is suspended it was put out of use by us; else by somebody whose it is to put it back.
    let suspended = w.instance.spec.operating_mode == OperatingMode::Suspended;
    let settings = match suspended && subject.tool.adopt.is_none() {
        true => settings,
        false => Wish::unmarked(settings),
    };
    LedgerEntry {
        state: SlotState::Exists,
        id: Some(resource.id.clone()),
        settings: settings.to_owned(),
        ..subject.blank(w)
    }
}

pub(super) fn on_record_again(
    w: &World,
    d: &mut Draft,
    subject: &Subject<'_>,
    resource: &Resource,
) {
    let entry = LedgerEntry {
        key: resource.name.clone(),
        ..on_record(w, subject, resource)
    };
    ledger::put(&mut d.status, entry);
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::LEDGER_LOST,
        action: "Recover",
        note: format!(
            "status.external said nothing of {}, and {} bears a name that was given to it: it is on record again",
            subject.slot, resource.id
        ),
    });
}

/// The whole ledger was lost: what bears a name that was given to one of the slots is on record again, and everything else
/// counts as made with an answer that was lost, so that it is looked for as its row says before another is made.
pub(super) fn recollect(w: &World, d: &mut Draft, subjects: &[Subject<'_>]) {
    for subject in subjects {
        let known = ledger::entry(&d.status, subject.slot).is_some();
        if known || subject.tool.adopt.is_some() || subject.row.found_by == FoundBy::Kept {
            continue;
        }
        if let Some(resource) = best(w, subject.slot) {
            on_record_again(w, d, subject, resource);
            continue;
        }
        let marker = w.marker(subject.slot);
        // A Secret is its namespace's: a name that was not given to this slot may be anybody's.
        let kept = w.tools.kept.get(&subject.slot).map(|kept| kept.key.clone());
        let kept = kept.or_else(|| named_by_its_key(w, subject));
        let key = kept.filter(|key| marker.named(&w.seal, key));
        let key = key.unwrap_or_else(|| {
            let created = w.instance.metadata.creation_timestamp.as_ref();
            marker.tool_name(&w.seal, created.map_or(w.now, |created| created.0))
        });
        ledger::put(
            &mut d.status,
            LedgerEntry {
                state: SlotState::Creating,
                key,
                doubtful: true,
                ..subject.blank(w)
            },
        );
    }
}

/// What the Secret says of the name of a thing that no listing shows, beside a key of it.
pub(super) fn named_by_its_key(w: &World, subject: &Subject<'_>) -> Option<String> {
    let key = subject.slot.beside(Part::Key)?;
    let kept = w
        .tools
        .kept
        .get(&key)
        .filter(|_| subject.part == Part::Main);
    kept?.main.clone()
}
