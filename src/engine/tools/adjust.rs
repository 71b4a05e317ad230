//! What can be changed in place of a resource that is there: its limit, and when that comes back.
//!
//! What holds: what is to cost more counts in its account before it does, and only where that has room; what is to cost less counts
//! until it does not. Deliberately absent: what one agent may have at most (`engine::quota`).

use super::naming::named;
use super::subject::{Next, Subject, above, costs_more, obstacle};
use crate::api::money::Money;
use crate::api::{LedgerEntry, Origin, Part};
use crate::engine::draft::Draft;
use crate::engine::following::follows;
use crate::engine::step::Step;
use crate::engine::world::World;
use crate::engine::{ledger, quota};
use crate::model::monthly;
use crate::model::tool::Resource;

/// Brings what can be changed in place to what the spec says.
pub(super) fn adjust(
    w: &World,
    subject: &Subject<'_>,
    entry: &LedgerEntry,
    resource: Option<&Resource>,
    d: &mut Draft,
) -> Next {
    let wish = subject.tool.wish.settings();
    // What was taken over stays as it was found until a revision is taken.
    let as_found = entry.origin == Origin::Adopted && !follows(w);
    if wish.is_empty() || subject.part != Part::Main || as_found {
        return Next::Fine;
    }
    // What was seen may be older than what was set.
    let since = w.limits.landed_by(entry.started_at.0);
    let begun = w
        .tools
        .looked
        .get(&subject.slot)
        .map(|(begun, _)| *begun)
        .or_else(|| Some(w.tools.seen.get(&subject.slot)?.begun));
    let fresh = begun.is_some_and(|begun| begun >= since);
    let set = resource
        .filter(|_| fresh)
        .and_then(|resource| resource.settings.as_ref());
    let edited = set.is_some_and(|set| *set != wish);
    let usd = quota::monthly(w, subject.tool);
    if entry.settings == wish && !edited {
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
        // On record before it is asked for: from here on it counts.
        counts_as(d, subject, usd);
        if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
            entry.started_at = ledger::moment(w.now);
        }
    }
    Next::Step(Step::AdjustTool {
        slot: subject.slot,
        account: entry.account.clone(),
        named: named(&d.status, entry, entry.id.as_deref().unwrap_or_default()),
        wish: subject.tool.wish.clone(),
    })
}

fn counts_as(d: &mut Draft, subject: &Subject<'_>, usd: Money) {
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        entry.monthly_usd = Some(usd);
    }
}
