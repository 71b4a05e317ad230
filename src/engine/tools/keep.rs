//! A resource that is on record: whether it is there, as it should be, and of use to the agent; and what is done where not.
//!
//! What holds: absence is believed from the provider's own late enough word; what cannot be had again is told and not made
//! again by itself; a lost credential is revoked before another is made, and a wallet's never made again.

use super::adjust::{adjust, stopped_by_somebody};
use super::back::{Back, one_back};
use super::make::{MOST_ORDERS, begin, make};
use super::naming::named;
use super::subject::{Held, Next, Subject, above, costs_more, kept, not_left_to_rest, obstacle};
use super::tell::address;
use crate::api::condition::reason;
use crate::api::instance::OnExternalDeletion;
use crate::api::money::Money;
use crate::api::template::ReclaimPolicy;
use crate::api::{LedgerEntry, Origin, Part, Slot, SlotState};
use crate::engine::draft::Draft;
use crate::engine::retry;
use crate::engine::step::Step;
use crate::engine::world::World;
use crate::engine::{ledger, quota};
use crate::model::Announcement;
use crate::model::left::counts;
use crate::model::monthly;
use crate::model::slot::{self, FoundBy, Undo};
use crate::model::tool::Stage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::ops::ControlFlow::{Break, Continue};

/// It is on record: is it there, is it as it should be, and can the agent use it?
pub(super) fn keep(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Next {
    let slot = subject.slot;
    let adopted = entry.origin == Origin::Adopted;
    unpriced(w, d, subject, entry);
    if subject.row.gives.secret.is_some() && !adopted && kept(w, entry).is_none() {
        // Another in its place would be in use.
        return match stopped_by_somebody(w, entry) {
            Some(held) => Next::Held(held),
            None => secret_lost(w, d, subject, entry),
        };
    }
    if subject.row.undo == Undo::Rest {
        remember_reclaim(w, d, subject);
    }
    if subject.row.found_by == FoundBy::Kept {
        return Next::Fine;
    }
    let looked = w.tools.looked.get(&slot);
    let missing = looked.is_some_and(|(_, resource)| resource.is_none())
        || looked.is_none() && unlisted(w, entry);
    if missing {
        return gone(w, d, subject, entry);
    }
    if let Some(step) = namesake(w, d, subject, entry) {
        return Next::Step(step);
    }
    // What nobody lists is asked for once, until it was seen to be ready.
    let told_ready = w
        .status()
        .tools
        .iter()
        .any(|told| told.name == subject.tool.name && told.ready);
    let resource = w.resource(slot);
    let unset = !told_ready && waits_for_provider(subject);
    // Nothing is deployed without an address, and only the provider's word tells it.
    let nowhere =
        subject.row.gives.address.is_some() && address(w, &d.status, subject.tool).is_none();
    if looked.is_none() && (unset || nowhere) {
        return look_if_open(w, d, subject, entry);
    }
    match resource.map(|resource| &resource.stage) {
        Some(Stage::Pending { why }) => {
            let next = retry::next_look(entry.started_at.0, w.now);
            if looked.is_none() {
                return look_if_open(w, d, subject, entry);
            }
            return Next::Held(Held::waits(
                reason::PENDING,
                format!("the provider is at work on it: {why}"),
                next,
            ));
        }
        Some(Stage::Failed { why }) => {
            if looked.is_none() {
                return look_if_open(w, d, subject, entry);
            }
            // It is nothing: the next attempt is one more of those that are counted.
            let why = why.clone();
            ledger::lost(&mut d.status, slot);
            forget_address(d, subject);
            d.announcements.push(Announcement {
                warning: true,
                reason: reason::REJECTED,
                action: "Provide",
                note: format!("{slot}: the provider could not deliver it: {why}"),
            });
            return Next::Again;
        }
        Some(Stage::Resting) => {
            return Next::Held(
                Held::person(
                    reason::SUSPENDED,
                    "it was suspended at the provider; resume it there",
                )
                .but_complete(),
            );
        }
        Some(Stage::Ready) if nowhere => {
            return Next::Held(Held::waits(
                reason::PENDING,
                "the provider tells no address of it yet",
                w.recheck(),
            ));
        }
        Some(Stage::Ready) if waits_for_provider(subject) => {
            if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
                entry.shown = true;
            }
        }
        Some(Stage::Ready) | None => {}
    }
    if let Some(parent) = later_parent(d, subject, entry) {
        // It was set up with a predecessor: a look at it sets it up anew.
        if looked.is_none() {
            return match obstacle(w, subject) {
                Some(held) => Next::Held(held.but_complete()),
                None => Next::Step(look(d, entry)),
            };
        }
        if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
            entry.started_at = parent;
        }
    }
    adjust(w, subject, entry, resource, d)
}

/// A number whose price stands on no record, because the ledger was lost, or it was adopted, or ordered before prices were
/// recorded: no listing of its provider has one, so it counts at the most that its account lets a number cost.
fn unpriced(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) {
    let ordered = subject.row.provider == "telnyx" && counts(subject.slot);
    if !ordered || entry.monthly_usd.is_some() {
        return;
    }
    // What its template says now need not be what it was ordered by.
    let most = quota::most_of_account(w, subject.tool).filter(|usd| *usd > Money::ZERO);
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        entry.monthly_usd = most;
    }
}

/// A request that landed after it had been given up: the listing shows another one under the name. What nobody was ever
/// given and what holds nothing is taken back; an address or money stays, and is told.
fn namesake(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Option<Step> {
    let slot = subject.slot;
    let glance = w.tools.seen.get(&slot)?;
    if entry.origin == Origin::Adopted {
        return None;
    }
    let other = glance.resources.iter().find(|one| {
        let lives = !matches!(one.stage, Stage::Failed { .. } | Stage::Resting);
        one.part == subject.part
            && one.name == entry.key
            && Some(&one.id) != entry.id.as_ref()
            && lives
    })?;
    let believable = w.limits.landed_by(entry.started_at.0);
    if glance.begun < believable {
        // It may show one that is gone by now. The next listing shows no change that would bring us back.
        d.again(believable.max(w.recheck()));
        return None;
    }
    if subject.row.precious && !matches!(other.stage, Stage::Pending { .. }) {
        d.once(
            w,
            reason::SURPLUS,
            "KeepSurplus",
            format!(
                "{} bears the name of {slot} as well, which is {}: an earlier request came late; it is left alone and billed: look at it, and delete it at the provider",
                other.id,
                entry.id.as_deref().unwrap_or("another")
            ),
        );
        return None;
    }
    if obstacle(w, subject).is_some() {
        return None;
    }
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::SURPLUS,
        action: "DropSurplus",
        note: format!("a second {slot} that came late was given to nobody, and is taken back"),
    });
    Some(Step::DeleteTool {
        slot,
        account: entry.account.clone(),
        named: named(&d.status, entry, &other.id),
        for_good: true,
        surplus: true,
    })
}

/// When what it belongs to was made, where that was after it.
fn later_parent(d: &Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Option<MicroTime> {
    subject.parents().find_map(|slot| {
        let parent = ledger::entry(&d.status, slot)?;
        let after = parent.state == SlotState::Exists && parent.started_at.0 > entry.started_at.0;
        after.then(|| parent.started_at.clone())
    })
}

fn look(d: &Draft, entry: &LedgerEntry) -> Step {
    Step::LookTool {
        slot: entry.slot,
        account: entry.account.clone(),
        named: named(&d.status, entry, entry.id.as_deref().unwrap_or_default()),
    }
}

fn look_if_open(w: &World, d: &Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Next {
    match obstacle(w, subject) {
        Some(held) => Next::Held(held),
        None => Next::Step(look(d, entry)),
    }
}

/// Whether a resource may come to be later than its order: then its word is needed that it is there.
fn waits_for_provider(subject: &Subject<'_>) -> bool {
    subject.row.found_by == FoundBy::Name && subject.row.precious
}

/// Teardown knows nothing but the ledger: what shall become of something that may hold money stands in it.
fn remember_reclaim(w: &World, d: &mut Draft, subject: &Subject<'_>) {
    // What was to rest by leave does so still; what was to go does not rest from the day on which that is forbidden.
    let forbidden = not_left_to_rest(w, subject).is_some();
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot).filter(|_| !forbidden) {
        let reclaim = Some(subject.tool.reclaim);
        entry.reclaim = reclaim.filter(|reclaim| *reclaim != ReclaimPolicy::Retain);
    }
}

/// Whether a believed listing, begun late enough, lacks what is on record.
pub(super) fn unlisted(w: &World, entry: &LedgerEntry) -> bool {
    w.tools.seen.get(&entry.slot).is_some_and(|glance| {
        glance.begun >= w.limits.landed_by(entry.started_at.0)
            && !glance
                .resources
                .iter()
                .any(|resource| Some(&resource.id) == entry.id.as_ref())
    })
}

/// It was deleted at the provider behind our back: confirmed by its own absence, then told or mended.
fn gone(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Next {
    let slot = subject.slot;
    match w.tools.looked.get(&slot) {
        None => {
            if let Some(held) = obstacle(w, subject) {
                return Next::Held(held.but_complete());
            }
            return Next::Step(look(d, entry));
        }
        Some((begun, _)) if *begun < w.limits.landed_by(entry.started_at.0) => {
            // The provider may not show yet what it has just made.
            return Next::Held(Held::waits(
                reason::PENDING,
                "the provider does not show it yet",
                w.limits.landed_by(entry.started_at.0),
            ));
        }
        Some(_) => {}
    }
    let again = w.instance.spec.on_external_deletion == Some(OnExternalDeletion::Recreate);
    let adopted = entry.origin == Origin::Adopted;
    if (subject.row.precious && !again) || adopted {
        let id = entry.id.as_deref().unwrap_or("it");
        let what_to_do = if adopted {
            "what was adopted is not made again: take the tool out of requestedTools, or make another AgentInstance without it in adopt.tools"
        } else {
            "set onExternalDeletion to Recreate to get another one, or take the tool out of requestedTools or of the template"
        };
        return Next::Held(
            Held::person(
                reason::DELETED_EXTERNALLY,
                format!("{id} was deleted at the provider; {what_to_do}"),
            )
            .but_complete(),
        );
    }
    if let Some(held) = above(w, subject, Some(entry)) {
        return Next::Held(held);
    }
    let usd = quota::monthly(w, subject.tool);
    if usd > monthly::ordered(entry) {
        match costs_more(w, subject, usd) {
            Some(Ok(step)) => return Next::Step(step),
            Some(Err(held)) => return Next::Held(held),
            None => {}
        }
    }
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::DRIFTED,
        action: "Mend",
        note: format!("{slot} was deleted at the provider and is made again"),
    });
    let attempt = entry.attempt;
    d.status.external.retain(|other| other.slot != slot);
    // A credential goes with what it opened, and an address is another one's from here on.
    for (part, row) in slot::parts(subject.row.provider) {
        if row.found_by.shown_once() && row.needs.contains(&subject.row.slot) {
            let own = Slot::tool(&subject.tool.name, part);
            d.status.external.retain(|other| Some(other.slot) != own);
        }
    }
    forget_address(d, subject);
    begin(w, d, subject);
    if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
        entry.attempt = attempt + 1;
        entry.doubtful = true;
        if subject.row.precious && subject.row.found_by == FoundBy::Name && attempt >= MOST_ORDERS {
            entry.state = SlotState::Planned;
            d.untried.remove(&slot);
            return Next::Again;
        }
    }
    Next::Step(make(w, d, subject))
}

fn forget_address(d: &mut Draft, subject: &Subject<'_>) {
    let mut tools = d.status.tools.iter_mut();
    if let Some(told) = tools.find(|told| told.name == subject.tool.name)
        && subject.part == Part::Main
    {
        told.address = None;
    }
}

/// The Secret with a credential was deleted, or the credential taken out of it.
fn secret_lost(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Next {
    let slot = subject.slot;
    if subject.row.found_by == FoundBy::Kept {
        return Next::Held(Held::person(
            reason::SECRET_LOST,
            format!(
                "the Secret with the private key of {} is gone, and Yardmaster makes no other in its place: restore it from a backup; what the wallet holds can be reached by nobody else",
                entry.id.as_deref().unwrap_or("the wallet")
            ),
        ));
    }
    if let Some(held) = obstacle(w, subject) {
        return Next::Held(held);
    }
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::SECRET_LOST,
        action: "Mend",
        note: format!("the credential of {slot} is no longer in its Secret; it is revoked and another one made"),
    });
    // From here as after a lost answer: what bears the name is taken back, then one is made anew. Nothing is on its way,
    // so the old time stands and nothing is waited for.
    if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
        entry.state = SlotState::Creating;
        entry.id = None;
        entry.attempt += 1;
        entry.doubtful = true;
    }
    Next::Again
}

/// Wanted again while it was being taken back, or in place of something else: the old one goes first, or stays where it may
/// not be taken.
pub(super) fn remake(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Next {
    match one_back(w, d, entry) {
        Break(Back::Step(step)) => Next::Step(step),
        Break(Back::Wait(held)) => Next::Held(held),
        Continue(()) => {
            forget_address(d, subject);
            Next::Again
        }
    }
}
