//! What is on record without being named by the template now: it may be used only while its agent may run.
//!
//! What holds: before an agent runs again, what it has is in use again; what cannot be put into use because it is gone stops nobody.
//! Deliberately absent: how it is put into use and out of it (`adjust`), and what the template names (`tools`).

use super::adjust;
use super::keep::unlisted;
use super::subject::{Held, Next, Subject};
use super::{HELD, runs};
use crate::api::condition::{Statement, is_true, kind, reason};
use crate::api::{LedgerEntry, Origin, SlotState};
use crate::engine::draft::{Draft, Phase, PhaseEnd, act, wait};
use crate::engine::following::{follows, prepares};
use crate::engine::world::World;
use crate::model::Fault;
use crate::model::tool::Wish;
use std::ops::ControlFlow;
use std::ops::ControlFlow::Continue;

/// What the agent has until its turn although its template no longer names it, is in use only while the agent may run. Answers
/// whether the agent must wait for that.
pub(super) fn dropped(
    w: &World,
    d: &mut Draft,
    subjects: &[Subject<'_>],
) -> ControlFlow<PhaseEnd, bool> {
    let named = |entry: &LedgerEntry| {
        let mut subjects = subjects.iter();
        subjects.any(|subject| subject.slot == entry.slot && subject.made(entry))
    };
    let has = |entry: &&LedgerEntry| entry.state == SlotState::Exists && !named(entry);
    let dropped: Vec<LedgerEntry> = d.status.external.iter().filter(has).cloned().collect();
    let mut waits = false;
    for entry in dropped.iter().filter(|_| !follows(w)) {
        let Some(held) = used(w, d, entry)? else {
            continue;
        };
        if let Some(wake) = held.wake {
            d.again(wake);
        }
        // What is gone is of use to nobody, and the revision that waits needs none of it.
        let gone = matches!(w.tools.faults.get(&entry.slot), Some(Fault::Missing { .. }));
        if held.complete || gone || unlisted(w, entry) || !runs(w) || prepares(w) {
            continue;
        }
        let message = format!("{}: {}", entry.slot, held.message);
        if held.person {
            d.stalled(held.reason, message);
        } else if !HELD.contains(&held.reason) {
            d.working(held.reason, message);
        }
        waits = true;
    }
    Continue(waits)
}

/// Puts what is on record into use or out of it, as its agent may run. Answers what keeps it from that.
fn used(w: &World, d: &mut Draft, entry: &LedgerEntry) -> ControlFlow<PhaseEnd, Option<Held>> {
    d.stands(w);
    let step = match adjust::no_longer_named(w, d, entry) {
        Next::Step(step) => step,
        Next::Held(held) => return Continue(Some(held)),
        Next::Again | Next::Fine => return Continue(None),
    };
    if let Some(by) = step.paused(w, &d.status) {
        d.hold(by.clone());
        let held = Held::paused(&by);
        // With what is out of use the agent can do nothing.
        return Continue(Some(match Wish::is_out_of_use(&entry.settings) {
            true => held,
            false => held.but_complete(),
        }));
    }
    let message = format!("making sure of {}", entry.slot);
    d.working_on(kind::TOOLS_READY, reason::CREATING, message);
    act(step)?;
    Continue(None)
}

/// Nothing of the agent runs, and nothing will: whatever it has is out of use. What was made before there was anything to run is
/// out of use once that was said.
pub(in crate::engine) fn rest(w: &World, d: &mut Draft) -> Phase {
    let all: Vec<LedgerEntry> = d.status.external.clone();
    let exists = all
        .iter()
        .filter(|entry| entry.state == SlotState::Exists && entry.origin == Origin::Made);
    for entry in exists {
        if let Some(wake) = used(w, d, entry)?.and_then(|held| held.wake) {
            d.again(wake);
        }
    }
    let could_be_used = |entry: &LedgerEntry| {
        entry.state == SlotState::Exists
            && Wish::in_use(entry, false).is_some()
            && !Wish::is_out_of_use(&entry.settings)
    };
    if d.status.tools.iter().any(|tool| !tool.ready) {
        let message = "what the agent has not got yet is made when it runs";
        d.say(Statement::unknown(
            kind::TOOLS_READY,
            reason::SUSPENDED,
            message,
        ));
    }
    let said = is_true(&w.status().conditions, kind::SUSPENDED);
    wait((!said && all.iter().any(could_be_used)).then_some(w.now))
}
