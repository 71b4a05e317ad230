//! An attempt of unknown outcome: what it left is adopted or taken back, or it is certain that it left nothing.
//!
//! Holds: nothing is made again before that is known; what earlier attempts left goes before something new is kept.

use super::make::{begin, make, settle, take_up};
use super::naming::{find, named};
use super::subject::{Held, Next, Subject, kept};
use crate::api::LedgerEntry;
use crate::api::condition::reason;
use crate::engine::draft::Draft;
use crate::engine::ledger;
use crate::engine::step::Step;
use crate::engine::world::World;
use crate::model::slot::FoundBy;
use crate::model::tool::{Resource, Stage};
use jiff::SignedDuration;

/// An attempt's answer was lost: adopt what it left, or take it back, or be sure that it left nothing.
pub(super) fn recover(
    w: &World,
    d: &mut Draft,
    subject: &Subject<'_>,
    entry: &LedgerEntry,
) -> Next {
    let slot = subject.slot;
    match subject.row.found_by {
        FoundBy::Kept => {
            if take_up(w, d, subject) {
                return Next::Fine;
            }
            return Next::Step(make(w, d, subject));
        }
        // Asking again is looking it up. It is another attempt all the same: whatever is said to this one, the first may
        // have left something.
        FoundBy::SameAgain | FoundBy::RemakeToLook => {
            begin(w, d, subject);
            return Next::Step(make(w, d, subject));
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
        return Next::Fine;
    }
    let Some((begun, found)) = w.tools.found.get(&slot) else {
        return Next::Step(find(&d.status, entry));
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
        return Next::Step(Step::DeleteTool {
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
        return Next::Again;
    }
    let landed_by = w.limits.landed_by(entry.started_at.0);
    if *begun >= landed_by {
        ledger::lost(&mut d.status, slot);
        return Next::Again;
    }
    Next::Held(Held::waits(
        reason::OUTCOME_UNKNOWN,
        "the answer to an earlier attempt was lost; looking for what it left before another is made",
        landed_by.max(w.now + SignedDuration::from_millis(200)),
    ))
}
