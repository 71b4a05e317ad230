//! The agent's tools: each of their resources is made, found again, kept in order and taken back by what its row in the
//! slot table says, whatever it is. A tool more is a row more, and nothing here.
//!
//! What holds: an attempt of unknown outcome is looked up before anything is made again; a credential is in the
//! instance's Secret before the ledger says `Exists`; what holds an address, a number or money is never made a second time
//! by itself; one tool's trouble holds up the others only where the agent is of no use without it.
//!
//! In `wish` what is asked for, in `given` what it gives the agent, in `make` how it comes to be, in `keep` what becomes of what is on record, in `adjust` what of that
//! is changed in place, in `resting` what of it may be used while nothing runs, in `back` the way back, in `tell` what the status
//! says of it, in `spent` what it has spent.

mod adjust;
mod back;
mod found;
mod given;
mod keep;
mod make;
mod naming;
mod recover;
mod resting;
mod spent;
mod subject;
mod tell;
mod wish;

pub(super) use back::{Back, in_order_of_teardown, leave_here, monthly, one_back, retire};
pub use given::{GivenByTools, GivenVariables, given};
pub(super) use resting::rest;
pub(super) use spent::news as spending;
pub(super) use tell::{all_there, billed_at_rest, no_longer};
pub use wish::{for_claims, wanted};

use self::subject::{
    Held, Next, Subject, above, closed, crowded, goes, kept, not_allowed, not_left_to_rest,
    obstacle, subjects, untold,
};
use super::draft::{Draft, Phase, act, wait};
use super::following::{follows, prepares};
use super::ledger;
use super::step::Step;
use super::world::{Desired, World};
use crate::api::condition::{kind, reason};
use crate::api::instance::OperatingMode;
use crate::api::template::ReclaimPolicy;
use crate::api::{Slot, SlotState};
use crate::model::PausedBy;
use crate::model::tool::Wish;
use jiff::SignedDuration;
use std::ops::ControlFlow;
use std::ops::ControlFlow::{Break, Continue};

/// Whether the credentials are still in their Secrets is looked at this often.
const SECRETS_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// Puts what the agent shall have into a ledger that was lost.
pub(super) fn recollect(w: &World, d: &mut Draft) {
    if let Some(wanted) = &w.tools.wanted {
        found::recollect(w, d, &subjects(wanted));
    }
}

/// What the agent is of no use without and a person has to make possible first: until then not even a project is made.
pub(super) fn possible(w: &World, d: &mut Draft) -> Phase {
    let wanted = w.tools.wanted.as_deref().unwrap_or_default();
    let status = w.status();
    let missing = |one: &&Subject<'_>| {
        let known = ledger::entry(&status, one.slot).is_some();
        one.tool.required && !one.tool.account.is_empty() && !known
    };
    for subject in subjects(wanted).iter().filter(missing) {
        let closed = closed(w, &subject.tool.account, subject.row.provider);
        let why = closed
            .or_else(|| goes(w, subject))
            .or_else(|| not_allowed(w, subject))
            .or_else(|| above(w, subject, None))
            .or_else(|| crowded(w, subject));
        if let Some(why) = why.filter(|why| why.person) {
            let message = format!("{}: {}", subject.slot, why.message);
            d.stalled_on(kind::TOOLS_READY, why.reason, message);
            return wait(why.wake);
        }
    }
    Continue(())
}

/// Makes sure of every tool that the instance shall have.
pub(super) fn provide(w: &World, d: &mut Draft) -> Phase {
    let Some(wanted) = &w.tools.wanted else {
        return Continue(());
    };
    let subjects = subjects(wanted);
    let prepares = prepares(w);
    d.stands(w);
    // What is for its claim is in no revision: it is the agent's whatever it runs.
    let takes = |subject: &Subject<'_>| prepares || subject.tool.for_claim;
    let taken: Vec<Subject<'_>> = subjects.iter().copied().filter(|one| takes(one)).collect();
    if let Some((subject, step)) = make::unplaced(w, d, &taken) {
        return act_on(d, subject, step);
    }
    make::intend(w, d, &taken);
    let mut held: Vec<(&Subject<'_>, Held)> = Vec::new();
    for subject in &subjects {
        let known = ledger::entry(&d.status, subject.slot).is_some();
        if !takes(subject) && !known && subject.tool.adopt.is_none() {
            continue;
        }
        match one(w, d, subject) {
            Break(step) => return act_on(d, subject, step),
            Continue(Ok(())) => {}
            Continue(Err(why)) => held.push((subject, why)),
        }
    }
    let dropped = resting::dropped(w, d, &subjects)?;
    not_tried(w, d);
    if !w.tools.kept.is_empty() {
        // Nobody tells that a Secret was deleted: to be told, one would have to be allowed to read every Secret.
        d.again(w.now + SECRETS_EVERY);
    }
    tell::tell(w, d, wanted, &held);
    if w.tools.regather || lacks(w, d, &subjects) {
        // What was just made reaches the agent as values, and those are gathered when a pass begins.
        d.working(reason::CREATING, "giving the agent what was made for it");
        return wait(Some(w.now));
    }
    conclude(w, d, &held)?;
    match dropped {
        true => wait(None),
        false => Continue(()),
    }
}

fn runs(w: &World) -> bool {
    w.instance.spec.operating_mode == OperatingMode::Running
}

/// Whether what exists by now gives the agent something that was not there yet when its values were gathered: what an
/// earlier attempt left was found, say.
fn lacks(w: &World, d: &Draft, subjects: &[Subject<'_>]) -> bool {
    let Desired::Composed(composed) = &w.desired else {
        return false;
    };
    let names = composed.names();
    subjects.iter().any(|subject| {
        let Some(entry) =
            ledger::entry(&d.status, subject.slot).filter(|entry| entry.state == SlotState::Exists)
        else {
            return false;
        };
        // Under the name there may still be what another row made: the agent is given that.
        let gives = entry.row().gives;
        let told = d
            .status
            .tools
            .iter()
            .find(|told| told.name == subject.tool.name);
        let address = told.and_then(|told| told.address.as_ref());
        let given = [
            gives.secret.filter(|_| kept(w, entry).is_some()),
            gives.address.filter(|_| address.is_some()),
            gives.id.filter(|_| entry.id.is_some()),
        ];
        given
            .into_iter()
            .flatten()
            .any(|name| !names.iter().any(|known| known == name))
    })
}

fn act_on(d: &mut Draft, subject: &Subject<'_>, step: Step) -> Phase {
    let message = format!("making sure of {}", subject.slot);
    d.working_on(kind::TOOLS_READY, reason::CREATING, message);
    act(step)
}

/// Reasons of what is held back, which is no work that is under way.
const HELD: [&str; 3] = [reason::PAUSED, reason::RECOVERY_MODE, reason::CLAIM_GONE];

/// What the tools' state means for the rest of the life.
fn conclude(w: &World, d: &mut Draft, held: &[(&Subject<'_>, Held)]) -> Phase {
    for wake in held.iter().filter_map(|(_, why)| why.wake) {
        d.again(wake);
    }
    let stops = |subject: &Subject<'_>, why: &Held| {
        // A variable that the agent has may not be taken from it because its source is in trouble.
        let has = |name: &str| w.status().variables.iter().any(|known| known == name);
        // What is for its claim is told, and nothing that is deployed waits for it.
        let needs = subject.tool.required && !subject.tool.for_claim;
        !why.complete && (needs || subject.row.gives.names().any(has))
    };
    let told = |(subject, why): &&(&Subject<'_>, Held)| {
        subject.tool.required || why.reason == reason::QUOTA_EXCEEDED
    };
    for (subject, why) in held.iter().filter(told) {
        let message = format!("{}: {}", subject.slot, why.message);
        if why.person {
            d.stalled(why.reason, message);
        } else if !HELD.contains(&why.reason) && (prepares(w) || !why.complete) {
            // What waits for the agent's turn is no work that is under way.
            d.working(why.reason, message);
        }
    }
    if let Some(refusal) = w.tools.refused.first() {
        d.stalled(reason::NOT_ALLOWED, refusal.message.clone());
    }
    // One that is suspended is given nothing, and its suspension waits for nobody.
    if runs(w) && held.iter().any(|(subject, why)| stops(subject, why)) {
        return wait(None);
    }
    Continue(())
}

/// What was intended and has not been tried when the pass ends certainly left nothing.
fn not_tried(w: &World, d: &mut Draft) {
    let tools: Vec<Slot> = d
        .untried
        .iter()
        .copied()
        .filter(|slot| slot.as_tool().is_some())
        .collect();
    for slot in tools {
        // The name and the number stay, for earlier attempts that may have left something.
        if !w.tools.fresh.contains_key(&slot) {
            ledger::planned(&mut d.status, slot);
            d.untried.remove(&slot);
        }
    }
}

/// What the agent has stays until its turn.
fn next_revision(w: &World) -> Held {
    Held::waits(
        reason::PENDING,
        "what the template says of it now comes with the template's next revision",
        w.recheck(),
    )
    .but_complete()
}

/// Most turns of a resource within one plan: on record again, kept, lost, begun anew.
const MOST_TURNS: usize = 8;

/// One resource: the step that it needs next, or how it is. Handlers never call each other: each may change the ledger, which is
/// then looked at again.
fn one(w: &World, d: &mut Draft, subject: &Subject<'_>) -> ControlFlow<Step, Result<(), Held>> {
    for _ in 0..MOST_TURNS {
        d.stands(w);
        match handled(w, d, subject) {
            Next::Again => {}
            Next::Step(step) => match step.paused(w, &d.status) {
                None if matches!(step, Step::MakeTool { .. }) => {
                    return match make::order(w, subject) {
                        None => Break(step),
                        Some(Ok(first)) => Break(first),
                        Some(Err(held)) => Continue(Err(held)),
                    };
                }
                None => return Break(step),
                Some(by) => {
                    d.hold(by.clone());
                    return Continue(Err(paused(d, subject, &by)));
                }
            },
            Next::Held(held) => return Continue(Err(held)),
            Next::Fine => return Continue(Ok(())),
        }
    }
    Continue(Err(Held::waits(
        reason::PENDING,
        "its state changes with every look; it is looked at again",
        w.recheck(),
    )))
}

/// What would be done for a resource is held back. What the agent has of it stays.
fn paused(d: &Draft, subject: &Subject<'_>, by: &PausedBy) -> Held {
    // With what is out of use the agent can do nothing.
    let has = ledger::entry(&d.status, subject.slot).is_some_and(|entry| {
        entry.state == SlotState::Exists
            && subject.made(entry)
            && !Wish::is_out_of_use(&entry.settings)
    });
    match has {
        true => Held::paused(by).but_complete(),
        false => Held::paused(by),
    }
}

/// What becomes of one resource, by how it is on record.
fn handled(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Next {
    let other = |slot: Slot| {
        ledger::entry(&d.status, slot)
            .is_some_and(|entry| entry.state != SlotState::Deleting && !subject.made(entry))
    };
    if !follows(w) && subject.parents().any(other) {
        return Next::Held(next_revision(w));
    }
    if let Some(held) = untold(w, &d.status, subject) {
        return Next::Held(held);
    }
    let exists = |slot: Slot| {
        ledger::entry(&d.status, slot)
            .is_some_and(|entry| entry.state == SlotState::Exists && subject.made(entry))
    };
    if !subject.parents().all(exists) {
        return Next::Held(Held::waits(
            reason::PENDING,
            "waits for what it belongs to",
            w.recheck(),
        ));
    }
    let entry = ledger::entry(&d.status, subject.slot).cloned();
    match entry {
        // Under this name the agent had something at another provider, or in another account: that goes first.
        Some(entry) if !subject.made(&entry) => {
            if !follows(w) && entry.state != SlotState::Deleting {
                // One that was passed over stays so until its turn would bring it further.
                if let Some(held) = back::hindrance(w, &entry).filter(|_| prepares(w)) {
                    return Next::Held(held);
                }
                return Next::Held(next_revision(w));
            }
            keep::remake(w, d, subject, &entry)
        }
        Some(entry) if entry.state == SlotState::Exists => {
            let kept = keep::keep(w, d, subject, &entry);
            let goes = entry.reclaim == Some(ReclaimPolicy::Delete);
            match not_left_to_rest(w, subject).filter(|_| goes) {
                Some(why) if matches!(kept, Next::Fine) => Next::Held(why.but_complete()),
                _ => kept,
            }
        }
        Some(entry) if entry.state == SlotState::Deleting => keep::remake(w, d, subject, &entry),
        Some(entry) if entry.state == SlotState::Creating => {
            if let Some(held) = obstacle(w, subject) {
                return Next::Held(held);
            }
            if w.tools.fresh.contains_key(&subject.slot) {
                return Next::Step(Step::KeepSecret { slot: subject.slot });
            }
            if d.untried.contains(&subject.slot) {
                Next::Step(make::make(w, d, subject))
            } else {
                recover::recover(w, d, subject, &entry)
            }
        }
        _ => make::fresh_start(w, d, subject),
    }
}
