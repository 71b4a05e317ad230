//! How a resource comes to be: intended, made, found again after an answer that was lost, or taken over.
//!
//! What holds: the intent is written before anything is asked for; an attempt of unknown outcome is looked up before another;
//! what earlier attempts left goes before something new is kept; what costs money by the piece is ordered only so often.

use super::keep::keep;
use super::{Held, LISTED, Slotted, Subject, kept, no_place};
use crate::api::condition::reason;
use crate::api::{AgentInstanceStatus, LedgerEntry, Part, Slot, SlotState, ToolSlot, Unknown};
use crate::engine::parts::made_once;
use crate::engine::plan::Draft;
use crate::engine::step::Step;
use crate::engine::world::World;
use crate::engine::{adopt, ledger};
use crate::model::Announcement;
use crate::model::marker;
use crate::model::slot::FoundBy;
use crate::model::tool::{Named, Order, Resource, Sought, Stage};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};

/// Attempts after which something that costs money by the piece is not ordered again: whatever goes wrong there will not
/// mend by buying.
pub(super) const MOST_ORDERS: i32 = 3;

/// The first intent covers every resource that can be made now: their names are known.
pub(super) fn intend(w: &World, d: &mut Draft, subjects: &[Subject<'_>]) {
    for subject in subjects {
        let state = ledger::entry(&d.status, subject.slot).map(|entry| entry.state);
        let due = matches!(state, None | Some(SlotState::Planned));
        if due && take_up(w, d, subject) {
            continue;
        }
        // What would wait for another is not begun and taken off again in each pass: that is a write each time.
        let waits = subject.parents().any(|slot| {
            let there = ledger::entry(&d.status, slot)
                .is_some_and(|entry| entry.state == SlotState::Exists && subject.made(entry));
            !there && !d.untried.contains(&slot)
        });
        let may = subject.tool.adopt.is_none()
            && !waits
            && !ordered_out(d, subject)
            && lost_one(w, d, subject).is_none();
        if due && may && no_place(w, subject).is_none() {
            begin(w, d, subject);
        }
    }
}

/// Begins an attempt. The name stays the same as long as the entry does, so that one search finds what every attempt
/// left; what is made again under an old slot has a new entry, and so a new name.
pub(super) fn begin(w: &World, d: &mut Draft, subject: &Subject<'_>) {
    let key = ledger::entry(&d.status, subject.slot)
        .map(|entry| entry.key.clone())
        .filter(|key| !key.is_empty())
        .unwrap_or_else(|| new_name(w, d, subject.slot));
    ledger::begin(
        &mut d.status,
        subject.slot,
        subject.row.provider,
        &subject.tool.account,
        key,
        w.now,
    );
    d.untried.insert(subject.slot);
}

/// A name that this slot's resource never had. That of its first life is known without a record, until the agent is
/// complete: so what was ordered under it is found again although the ledger was lost.
fn new_name(w: &World, d: &Draft, slot: Slot) -> String {
    let marker = w.marker(slot);
    let created = w.instance.metadata.creation_timestamp.as_ref();
    let first = created
        .filter(|_| !made_once(&d.status))
        .map(|created| marker.tool_name(&w.seal, created.0));
    let had = |name: &String| {
        let recorded = w.entry(slot).is_some_and(|entry| entry.key == *name);
        let seen = w.tools.unclaimed.get(&slot).into_iter().flatten();
        recorded || seen.into_iter().any(|one| one.name == *name)
    };
    first
        .filter(|name| !had(name))
        .unwrap_or_else(|| marker.tool_name(&w.seal, ledger::micros(w.now)))
}

/// What became of a slot that is not on record, before anything is made for it: `None` where it never had anything.
enum Lost<'a> {
    /// No listing tells yet.
    Unread,
    /// A listing shows this under a name that was given to the slot.
    Seen(&'a Resource),
}

/// An entry may have been lost alone. Only a listing tells, and only where the agent was complete once is it waited for.
fn lost_one<'a>(w: &'a World, d: &Draft, subject: &Subject<'_>) -> Option<Lost<'a>> {
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
fn best(w: &World, slot: Slot) -> Option<&Resource> {
    let seen = w.tools.unclaimed.get(&slot)?;
    let opened = |one: &&Resource| {
        let kept = w.tools.kept.get(&slot);
        kept.is_some_and(|kept| kept.id == one.id)
    };
    seen.iter().find(opened).or_else(|| seen.first())
}

fn on_record_again(w: &World, d: &mut Draft, subject: &Subject<'_>, resource: &Resource) {
    let entry = LedgerEntry {
        slot: subject.slot,
        provider: subject.row.provider.to_owned(),
        account: subject.tool.account.clone(),
        state: SlotState::Exists,
        key: resource.name.clone(),
        id: Some(resource.id.clone()),
        settings: resource.settings.clone().unwrap_or_default(),
        attempt: 1,
        started_at: MicroTime(ledger::micros(w.now)),
        unknown: Unknown::default(),
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
                slot: subject.slot,
                provider: subject.row.provider.to_owned(),
                account: subject.tool.account.clone(),
                state: SlotState::Creating,
                key,
                id: None,
                settings: String::new(),
                // What is ordered by the piece is counted, and of a lost ledger nobody knows an order.
                attempt: if subject.row.precious { 1 } else { 2 },
                started_at: MicroTime(ledger::micros(w.now)),
                unknown: Unknown::default(),
            },
        );
    }
}

/// What the Secret says of the name of a thing that no listing shows, beside a key of it.
fn named_by_its_key(w: &World, subject: &Subject<'_>) -> Option<String> {
    let key = subject.slot.beside(Part::Key)?;
    let kept = w
        .tools
        .kept
        .get(&key)
        .filter(|_| subject.part == Part::Main);
    kept?.main.clone()
}

/// Whether something that costs money by the piece was ordered as often as it may be.
fn ordered_out(d: &Draft, subject: &Subject<'_>) -> bool {
    let orders = ledger::entry(&d.status, subject.slot).map_or(1, |entry| entry.attempt);
    subject.row.precious && subject.row.found_by == FoundBy::Name && orders > MOST_ORDERS
}

pub(super) fn fresh_start(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Slotted {
    if let Some(held) = no_place(w, subject) {
        return Continue(Err(held));
    }
    if let Some(id) = &subject.tool.adopt {
        return take_over(w, d, subject, id);
    }
    match lost_one(w, d, subject) {
        None => {}
        Some(Lost::Unread) => {
            return Continue(Err(Held::waits(
                reason::PENDING,
                "looking at what is there already",
                w.now + SignedDuration::from_secs(1),
            )));
        }
        Some(Lost::Seen(resource)) => {
            // It may have been taken back since the listing: its own answer decides.
            if !w.tools.looked.contains_key(&subject.slot) {
                return Break(Step::LookTool {
                    slot: subject.slot,
                    account: subject.tool.account.clone(),
                    named: Named {
                        part: subject.part,
                        id: resource.id.clone(),
                        key: resource.name.clone(),
                        seen: true,
                        parts: siblings(&d.status, subject.slot),
                    },
                });
            }
            on_record_again(w, d, subject, resource);
            return match ledger::entry(&d.status, subject.slot).cloned() {
                Some(entry) => keep(w, d, subject, &entry),
                None => Continue(Ok(())),
            };
        }
    }
    if ordered_out(d, subject) {
        return Continue(Err(Held::person(
            reason::LIMIT_REACHED,
            format!(
                "was ordered {MOST_ORDERS} times and never came to be; look at the account, then begin anew: take the tool out of requestedTools until status.external has it no more and name it again, or make another AgentInstance"
            ),
        )));
    }
    begin(w, d, subject);
    Break(make(w, d, subject))
}

/// An existing resource becomes the instance's, as it is.
fn take_over(w: &World, d: &mut Draft, subject: &Subject<'_>, id: &str) -> Slotted {
    let no = || {
        // The id is not repeated: at some providers what people take for one is the key itself. And nobody learns whether
        // it is not there or another's.
        Continue(Err(Held::person(
            reason::ADOPTION_FAILED,
            format!(
                "what adopt.tools names for {} is not to be had: ProviderAccount {} has nothing of that id, or it is another agent's; set deletionPolicy to Retain, delete this AgentInstance, and make another with the right id",
                subject.tool.name, subject.tool.account
            ),
        )))
    };
    if w.tools.rivals.contains(&subject.tool.name) {
        return no();
    }
    let created = w.instance.metadata.creation_timestamp.as_ref();
    if let Some(until) = created.map(|created| created.0 + adopt::TOGETHER)
        && until > w.now
    {
        return Continue(Err(Held::waits(
            reason::CREATING,
            "looking at what is to be adopted",
            until,
        )));
    }
    match w.tools.looked.get(&subject.slot) {
        None => Break(Step::LookTool {
            slot: subject.slot,
            account: subject.tool.account.clone(),
            named: Named {
                part: subject.part,
                id: id.to_owned(),
                key: String::new(),
                seen: false,
                parts: BTreeMap::new(),
            },
        }),
        Some((_, None)) => no(),
        Some((_, Some(resource))) if resource.name.starts_with(marker::STEM) => no(),
        // Under another name it could be what another agent has on record, and what rests is what an agent left.
        Some((_, Some(resource))) if resource.id != id || resource.stage == Stage::Resting => no(),
        Some((_, Some(resource))) => {
            ledger::put(
                &mut d.status,
                LedgerEntry {
                    slot: subject.slot,
                    provider: subject.row.provider.to_owned(),
                    account: subject.tool.account.clone(),
                    state: SlotState::Exists,
                    key: String::new(),
                    id: Some(resource.id.clone()),
                    settings: resource.settings.clone().unwrap_or_default(),
                    attempt: 1,
                    started_at: MicroTime(ledger::micros(w.now)),
                    unknown: Unknown::default(),
                },
            );
            Continue(Ok(()))
        }
    }
}

pub(super) fn make(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Step {
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        // One intent covers several resources, and when a request can no longer land is counted from its intent.
        let age = w.now.duration_since(entry.started_at.0);
        if age > w.limits.request / 10 {
            entry.started_at = MicroTime(ledger::micros(w.now));
        }
    }
    Step::MakeTool {
        slot: subject.slot,
        account: subject.tool.account.clone(),
        order: Box::new(Order {
            part: subject.part,
            key: ledger::entry(&d.status, subject.slot)
                .map_or_else(String::new, |entry| entry.key.clone()),
            note: w.marker(subject.slot).to_string(),
            wish: subject.tool.wish.clone(),
            parts: siblings(&d.status, subject.slot),
        }),
    }
}

/// Looks for everything that bears a resource's name.
pub(super) fn find(status: &AgentInstanceStatus, entry: &LedgerEntry) -> Step {
    Step::FindTool {
        slot: entry.slot,
        account: entry.account.clone(),
        sought: Box::new(Sought {
            part: part_of(entry),
            key: entry.key.clone(),
            parts: siblings(status, entry.slot),
        }),
    }
}

fn part_of(entry: &LedgerEntry) -> Part {
    entry.slot.as_tool().map_or(Part::Main, |own| own.part)
}

/// Ids of a tool's other resources that exist.
pub(super) fn siblings(status: &AgentInstanceStatus, slot: Slot) -> BTreeMap<Part, String> {
    let Some(own) = slot.as_tool() else {
        return BTreeMap::new();
    };
    status
        .external
        .iter()
        .filter_map(|entry| {
            let ToolSlot { tool, part } = entry.slot.as_tool()?;
            let there = matches!(entry.state, SlotState::Exists | SlotState::Deleting);
            (*tool == own.tool && *part != own.part && there)
                .then(|| entry.id.clone().map(|id| (*part, id)))?
        })
        .collect()
}

pub(super) fn named(status: &AgentInstanceStatus, entry: &LedgerEntry, id: &str) -> Named {
    Named {
        part: part_of(entry),
        id: id.to_owned(),
        key: entry.key.clone(),
        seen: entry.settings == LISTED
            || status.tools.iter().any(|told| {
                told.ready
                    && entry
                        .slot
                        .as_tool()
                        .is_some_and(|own| own.tool.as_str() == told.name)
            }),
        parts: siblings(status, entry.slot),
    }
}

/// An attempt's answer was lost: adopt what it left, or take it back, or be sure that it left nothing.
pub(super) fn recover(
    w: &World,
    d: &mut Draft,
    subject: &Subject<'_>,
    entry: &LedgerEntry,
) -> Slotted {
    let slot = subject.slot;
    match subject.row.found_by {
        FoundBy::Kept => {
            if take_up(w, d, subject) {
                return Continue(Ok(()));
            }
            return Break(make(w, d, subject));
        }
        // Asking again is looking it up. It is another attempt all the same: whatever is said to this one, the first may
        // have left something.
        FoundBy::SameAgain | FoundBy::RemakeToLook => {
            begin(w, d, subject);
            return Break(make(w, d, subject));
        }
        _ => {}
    }
    // The Secret is written right after the answer. It is its namespace's, though: what it says is believed of what the
    // provider shows under the name that we gave, or, where it shows nothing, of the fingerprint that was read with it.
    let kept = kept(w, entry).filter(|_| subject.row.found_by.shown_once());
    if let Some(kept) = kept
        && subject.row.found_by == FoundBy::RevokeToLook
    {
        // Nothing is looked for here: that would be revoking all.
        settle(d, subject, kept.id.clone());
        return Continue(Ok(()));
    }
    let Some((begun, found)) = w.tools.found.get(&slot) else {
        return Break(find(&d.status, entry));
    };
    let adopts = |resource: &&Resource| {
        subject.row.found_by == FoundBy::Name && !matches!(resource.stage, Stage::Failed { .. })
    };
    let own = match kept {
        Some(kept) => found.iter().find(|resource| resource.id == kept.id),
        None => found.iter().find(adopts),
    };
    let own = own.map(|resource| resource.id.clone());
    if let Some(surplus) = found
        .iter()
        .filter(|resource| !matches!(resource.stage, Stage::Failed { .. }))
        .find(|resource| Some(&resource.id) != own.as_ref())
    {
        return Break(Step::DeleteTool {
            slot,
            account: entry.account.clone(),
            named: named(&d.status, entry, &surplus.id),
            for_good: true,
            surplus: true,
        });
    }
    if let Some(id) = own {
        settle(d, subject, id);
        // It is there; whether it is of use yet is another question.
        return match ledger::entry(&d.status, slot).cloned() {
            Some(entry) => keep(w, d, subject, &entry),
            None => Continue(Ok(())),
        };
    }
    let landed_by = w.limits.landed_by(entry.started_at.0);
    if *begun >= landed_by {
        ledger::lost(&mut d.status, slot);
        return fresh_start(w, d, subject);
    }
    Continue(Err(Held::waits(
        reason::OUTCOME_UNKNOWN,
        "the answer to an earlier attempt was lost; looking for what it left before another is made",
        landed_by.max(w.now + SignedDuration::from_millis(200)),
    )))
}

fn settle(d: &mut Draft, subject: &Subject<'_>, id: String) {
    ledger::exists(&mut d.status, subject.slot, Some(id));
    d.untried.remove(&subject.slot);
}

/// A wallet that was made for this instance and left when it was not wanted any more is its wallet still: its address never
/// changes, and what it holds is not lost.
fn take_up(w: &World, d: &mut Draft, subject: &Subject<'_>) -> bool {
    let Some(kept) = w
        .tools
        .kept
        .get(&subject.slot)
        .filter(|_| subject.row.found_by == FoundBy::Kept)
    else {
        return false;
    };
    begin(w, d, subject);
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        entry.key.clone_from(&kept.key);
    }
    settle(d, subject, kept.id.clone());
    true
}
