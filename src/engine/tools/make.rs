//! How a resource comes to be: intended, made, found again after an answer that was lost, or taken over.
//!
//! What holds: the intent is written before anything is asked for; an attempt of unknown outcome is looked up before another;
//! what earlier attempts left goes before something new is kept; what costs money by the piece is ordered only so often.

use super::found::{Lost, lost_one, on_record, on_record_again};
use super::naming::siblings;
use super::subject::{Held, Next, Subject, no_place, place};
use crate::api::condition::reason;
use crate::api::money::Money;
use crate::api::{LedgerEntry, Origin, Slot, SlotState};
use crate::engine::draft::Draft;
use crate::engine::ledger::made_once;
use crate::engine::step::Step;
use crate::engine::world::World;
use crate::engine::{adopt, ledger, quota};
use crate::model::left::counts;
use crate::model::marker;
use crate::model::slot::FoundBy;
use crate::model::tool::{Named, Order, Stage};
use jiff::SignedDuration;
use std::collections::BTreeMap;

/// Attempts after which something that costs money by the piece is not ordered again: whatever goes wrong there will not
/// mend by buying.
pub(super) const MOST_ORDERS: i32 = 3;

/// The first intent covers every resource that can be made now: their names are known.
pub(super) fn intend(w: &World, d: &mut Draft, subjects: &[Subject<'_>]) {
    for subject in subjects {
        let state = ledger::entry(&d.status, subject.slot).map(|entry| entry.state);
        if !(matches!(state, None | Some(SlotState::Planned)) && take_up(w, d, subject))
            && may_begin(w, d, subject)
        {
            begin(w, d, subject);
        }
    }
}

/// What is asked for before the first intent: a place in its account for each that can be made now.
pub(super) fn unplaced<'a, 'b>(
    w: &World,
    d: &Draft,
    subjects: &'a [Subject<'b>],
) -> Option<(&'a Subject<'b>, Step)> {
    subjects.iter().find_map(|subject| {
        let step = place(w, subject).filter(|_| may_begin(w, d, subject))?;
        Some((subject, step))
    })
}

fn may_begin(w: &World, d: &Draft, subject: &Subject<'_>) -> bool {
    let state = ledger::entry(&d.status, subject.slot).map(|entry| entry.state);
    // What would wait for another is not begun and taken off again in each pass: that is a write each time.
    let waits = subject.parents().any(|slot| {
        let there = ledger::entry(&d.status, slot)
            .is_some_and(|entry| entry.state == SlotState::Exists && subject.made(entry));
        !there && !d.untried.contains(&slot)
    });
    matches!(state, None | Some(SlotState::Planned))
        && subject.tool.adopt.is_none()
        && !waits
        && w.paused_in(&subject.tool.account).is_none()
        && !w.pauses.unread.contains_key(&subject.tool.account)
        && !ordered_out(d, subject)
        && lost_one(w, d, subject).is_none()
        && no_place(w, subject).is_none()
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
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot)
        && counts(subject.slot)
    {
        let usd = quota::monthly(w, subject.tool);
        entry.monthly_usd = Some(usd).filter(|usd| *usd > Money::ZERO);
    }
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

/// Whether something that costs money by the piece was ordered as often as it may be.
fn ordered_out(d: &Draft, subject: &Subject<'_>) -> bool {
    let orders = ledger::entry(&d.status, subject.slot).map_or(1, |entry| entry.attempt);
    is_ordered(subject) && orders > MOST_ORDERS
}

/// Whether it costs money by the piece.
fn is_ordered(subject: &Subject<'_>) -> bool {
    subject.row.precious && subject.row.found_by == FoundBy::Name
}

/// What comes before the request that orders something: the order goes on record in its account, or waits for its hour.
pub(super) fn order(w: &World, subject: &Subject<'_>) -> Option<Result<Step, Held>> {
    if !is_ordered(subject) {
        return None;
    }
    let account = &subject.tool.account;
    match w.tools.orders.get(&subject.slot) {
        None => Some(Ok(Step::RecordOrder {
            slot: subject.slot,
            account: account.clone(),
        })),
        Some(None) => None,
        Some(Some(until)) => {
            let message = format!(
                "ProviderAccount {account} has as many orders within an hour as its spec.limits.ordersPerHour allows; the next may be at {until:.0}"
            );
            Some(Err(Held::waits(reason::QUOTA_EXCEEDED, message, *until)))
        }
    }
}

pub(super) fn fresh_start(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Next {
    if let Some(held) = no_place(w, subject) {
        return Next::Held(held);
    }
    if let Some(id) = &subject.tool.adopt {
        return take_over(w, d, subject, id);
    }
    match lost_one(w, d, subject) {
        None => {}
        Some(Lost::Unread) => {
            return Next::Held(Held::waits(
                reason::PENDING,
                "looking at what is there already",
                w.now + SignedDuration::from_secs(1),
            ));
        }
        Some(Lost::Seen(resource)) => {
            // It may have been taken back since the listing: its own answer decides.
            if !w.tools.looked.contains_key(&subject.slot) {
                return Next::Step(Step::LookTool {
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
            return Next::Again;
        }
    }
    if ordered_out(d, subject) {
        return Next::Held(Held::person(
            reason::LIMIT_REACHED,
            format!(
                "was ordered {MOST_ORDERS} times and never came to be; look at the account, then begin anew: take the tool out of requestedTools until status.external has it no more and name it again, or make another AgentInstance"
            ),
        ));
    }
    if let Some(step) = place(w, subject) {
        return Next::Step(step);
    }
    begin(w, d, subject);
    Next::Step(make(w, d, subject))
}

/// An existing resource becomes the instance's, as it is.
fn take_over(w: &World, d: &mut Draft, subject: &Subject<'_>, id: &str) -> Next {
    let no = || {
        // The id is not repeated: at some providers what people take for one is the key itself. And nobody learns whether
        // it is not there or another's.
        Next::Held(Held::person(
            reason::ADOPTION_FAILED,
            format!(
                "what adopt.tools names for {} is not to be had: ProviderAccount {} has nothing of that id, or it is another agent's; set deletionPolicy to Retain, delete this AgentInstance, and make another with the right id",
                subject.tool.name, subject.tool.account
            ),
        ))
    };
    if w.tools.rivals.contains(&subject.tool.name) {
        return no();
    }
    let created = w.instance.metadata.creation_timestamp.as_ref();
    if let Some(until) = created.map(|created| created.0 + adopt::TOGETHER)
        && until > w.now
    {
        return Next::Held(Held::waits(
            reason::CREATING,
            "looking at what is to be adopted",
            until,
        ));
    }
    match w.tools.looked.get(&subject.slot) {
        None => Next::Step(Step::LookTool {
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
                    origin: Origin::Adopted,
                    ..on_record(w, subject, resource)
                },
            );
            Next::Fine
        }
    }
}

pub(super) fn make(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Step {
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        // One intent covers several resources, and when a request can no longer land is counted from its intent.
        let age = w.now.duration_since(entry.started_at.0);
        if age > w.limits.request / 10 {
            entry.started_at = ledger::moment(w.now);
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

pub(super) fn settle(d: &mut Draft, subject: &Subject<'_>, id: String) {
    ledger::exists(&mut d.status, subject.slot, Some(id));
    d.untried.remove(&subject.slot);
}

/// A wallet that was made for this instance and left when it was not wanted any more is its wallet still: its address never
/// changes, and what it holds is not lost.
pub(super) fn take_up(w: &World, d: &mut Draft, subject: &Subject<'_>) -> bool {
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
