//! What can be changed in place of a resource that is there: its limit, when that comes back, and whether it may be used at all.
//!
//! What holds: what is to cost more counts in its account before it does, and only where that has room; what is to cost less counts
//! until it does not. What an agent that is suspended has is out of use once nothing of it runs, and in use again before anything
//! of it runs; what somebody else put out of use is theirs to put back. Deliberately absent: what one agent may have at most
//! (`engine::quota`).

use super::naming::named;
use super::subject::{Held, Next, Subject, above, costs_more, obstacle, out_of_reach};
use crate::api::condition::{is_true, kind, reason};
use crate::api::instance::OperatingMode;
use crate::api::money::Money;
use crate::api::{LedgerEntry, Origin, Part};
use crate::engine::draft::Draft;
use crate::engine::following::follows;
use crate::engine::step::Step;
use crate::engine::world::World;
use crate::engine::{ledger, quota};
use crate::model::monthly;
use crate::model::tool::{Resource, Wish};

/// Brings what can be changed in place to what the spec says.
pub(super) fn adjust(
    w: &World,
    subject: &Subject<'_>,
    entry: &LedgerEntry,
    resource: Option<&Resource>,
    d: &mut Draft,
) -> Next {
    let asked = subject.tool.wish.clone();
    // What was taken over stays as it was found until a revision is taken.
    let as_found = entry.origin == Origin::Adopted && !follows(w);
    if asked.settings().is_empty() || subject.part != Part::Main || as_found {
        return Next::Fine;
    }
    let set = set(w, entry, resource);
    if let Some(next) = use_of(w, d, entry, set) {
        return next;
    }
    let wish = asked.settings();
    let usd = quota::monthly(w, subject.tool);
    if Wish::unmarked(&entry.settings) == wish && set.is_none_or(|set| set == wish) {
        // It was to be raised, and that was taken back before it came to anything.
        if set.is_some() && monthly::ordered(entry) > usd {
            counts_as(d, subject, usd);
        }
        return Next::Fine;
    }
    let held = above(w, subject, Some(entry)).or_else(|| obstacle(w, subject));
    if let Some(held) = held {
        return Next::Held(held.but_complete());
    }
    if usd > monthly::ordered(entry) {
        match costs_more(w, subject, usd) {
            Some(Ok(step)) => return Next::Step(step),
            Some(Err(held)) => return Next::Held(held.but_complete()),
            None => {}
        }
        // On record before it is asked for: from here on it counts, and what is seen from before says nothing of it.
        counts_as(d, subject, usd);
        if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
            entry.started_at = ledger::moment(w.now);
        }
    }
    adjusted(d, entry, asked)
}

/// What the provider shows it to be set to, where that was seen after we last set it.
fn set<'a>(w: &World, entry: &LedgerEntry, resource: Option<&'a Resource>) -> Option<&'a str> {
    let looked = w.tools.looked.get(&entry.slot).map(|(begun, _)| *begun);
    let seen = || Some(w.tools.seen.get(&entry.slot)?.begun);
    let begun = looked.or_else(seen)?;
    let fresh = begun >= w.limits.landed_by(entry.started_at.0);
    resource?.settings.as_deref().filter(|_| fresh)
}

fn adjusted(d: &Draft, entry: &LedgerEntry, wish: Wish) -> Next {
    Next::Step(Step::AdjustTool {
        slot: entry.slot,
        account: entry.account.clone(),
        named: named(&d.status, entry, entry.id.as_deref().unwrap_or_default()),
        wish,
    })
}

/// What the template no longer names, or names otherwise, is the agent's until its turn: what is next for its use.
pub(super) fn no_longer_named(w: &World, d: &mut Draft, entry: &LedgerEntry) -> Next {
    let set = set(w, entry, w.resource(entry.slot));
    use_of(w, d, entry, set).unwrap_or(Next::Fine)
}

/// Whether it may be used now, and what is next where that is not so.
fn use_of(w: &World, d: &mut Draft, entry: &LedgerEntry, set: Option<&str>) -> Option<Next> {
    match out_of_use(w, entry) {
        Some(out) => Some(put_out_of_use(w, d, entry, set, out)),
        None => put_into_use(w, d, entry, set),
    }
}

/// What is wanted of it while its agent is suspended: its limit stays until the agent runs again.
fn out_of_use(w: &World, entry: &LedgerEntry) -> Option<Wish> {
    let suspended = w.instance.spec.operating_mode == OperatingMode::Suspended;
    // It was said that nothing runs: what runs on to its end may still use it. Others may use what was adopted.
    let rests = is_true(&w.status().conditions, kind::SUSPENDED) && entry.origin == Origin::Made;
    let ours = Wish::is_out_of_use(&entry.settings);
    let out = Wish::in_use(entry, false);
    out.filter(|_| suspended && (rests || ours))
}

/// What was put out of use is put into use as it was: more is asked for later. What somebody else put out of use stays so.
fn put_into_use(w: &World, d: &mut Draft, entry: &LedgerEntry, set: Option<&str>) -> Option<Next> {
    let out = set.is_some_and(Wish::is_out_of_use);
    let comes = Wish::comes_into_use(&entry.settings);
    // A request that was given up may have put it out of use after it was put into use.
    if Wish::is_out_of_use(&entry.settings) || comes && out {
        let again = Wish::in_use(entry, true)?;
        return Some(match out_of_reach(w, entry) {
            // With what is out of use the agent can do nothing.
            Some(held) => Next::Held(held),
            None => adjusted(d, entry, again),
        });
    }
    if let Some(held) = stopped_by_somebody(w, entry) {
        return Some(Next::Held(held.but_complete()));
    }
    if comes && set.is_some() {
        if let Some(entry) = ledger::entry_mut(&mut d.status, entry.slot) {
            entry.settings = Wish::unmarked(&entry.settings).to_owned();
        }
    } else if comes {
        let believable = w.limits.landed_by(entry.started_at.0);
        d.again(believable.max(w.recheck()));
    }
    None
}

/// What somebody else put out of use is theirs to put back.
pub(super) fn stopped_by_somebody(w: &World, entry: &LedgerEntry) -> Option<Held> {
    let set = set(w, entry, w.resource(entry.slot))?;
    let ours = Wish::unmarked(&entry.settings) != entry.settings;
    let why = "it was disabled at the provider; enable it there";
    (Wish::is_out_of_use(set) && !ours).then(|| Held::person(reason::SUSPENDED, why))
}

fn put_out_of_use(
    w: &World,
    d: &mut Draft,
    entry: &LedgerEntry,
    set: Option<&str>,
    out: Wish,
) -> Next {
    let (settings, asked) = (out.settings(), out.going_out_of_use());
    let record = |d: &mut Draft, settings| {
        if let Some(entry) = ledger::entry_mut(&mut d.status, entry.slot) {
            entry.settings = settings;
        }
    };
    // What somebody else put out of use is out of use, and not ours.
    let ours = Wish::is_out_of_use(&entry.settings);
    let so = entry.settings == settings && set.is_none_or(|set| set == settings);
    if so || !ours && set.is_some_and(Wish::is_out_of_use) {
        return Next::Fine;
    }
    if entry.settings == asked && set == Some(&settings) {
        record(d, settings);
        return Next::Fine;
    }
    if let Some(held) = out_of_reach(w, entry) {
        return Next::Held(held.but_complete());
    }
    // On record before it is asked for: whose it is to put it back. Until that is answered it is asked for again.
    record(d, asked);
    adjusted(d, entry, out)
}

fn counts_as(d: &mut Draft, subject: &Subject<'_>, usd: Money) {
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        entry.monthly_usd = Some(usd);
    }
}
