//! The phases of an instance's life, in the order in which they are gone through. Each either has nothing to say and
//! lets the next one speak, or ends the plan with a step or a wait.
//!
//! What holds: the same world gives the same plan; an outside change is planned only with its intent in the ledger of
//! the plan's status; nothing is concluded from silence, from an outage or from a reading begun too early.

use super::draft::{Draft, Phase, PhaseEnd, act, earliest, wait};
use super::following::{self, follows};
use super::step::{Plan, Step};
use super::whose;
use super::world::{Patience, TemplateReady, TemplateView, World};
use super::{
    access, configuration, deployment, expiry, home, inside, ledger, meaning, paused, report,
    rights, teardown, tools,
};
use crate::api::Slot;
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::OperatingMode;
use crate::model::{Fault, Sight};
use std::ops::ControlFlow;

/// What to do next for one instance.
pub fn plan(w: &World) -> Plan {
    let mut d = Draft::new(w);
    d.stands(w);
    let end = match life(w, &mut d) {
        // What was deleted at the provider is off the ledger: the same life from its beginning.
        ControlFlow::Break(PhaseEnd::Anew) => {
            d.stands(w);
            life(w, &mut d)
        }
        end => end,
    };
    let end = match end {
        ControlFlow::Break(end) => end,
        ControlFlow::Continue(()) => PhaseEnd::Wait(None),
    };
    let end = paused::unread(w, &mut d, end);
    let end = paused::gate(w, &mut d, end);
    let end = patience(w, end, &mut d);
    paused::told(w, &mut d);
    if let PhaseEnd::Wait(until) = &end {
        following::not_taken(w, &mut d, *until);
    }
    let (step, wake) = match end {
        PhaseEnd::Do(step) => (Some(*step), None),
        PhaseEnd::Anew => (None, Some(w.now)),
        PhaseEnd::Wait(until) => {
            // One that has passed wakes nobody: what it asked for is done, or held back by `deletionProtection`.
            let expiry = d.status.expires_at.as_ref().map(|at| at.0);
            let expiry = expiry.filter(|at| *at > w.now);
            (None, earliest(earliest(until, d.again), expiry))
        }
    };
    report::conclude(w, &mut d);
    Plan {
        status: d.status,
        step,
        wake,
        untried: d.untried,
        announcements: d.announcements,
        line: d.line,
    }
}

fn life(w: &World, d: &mut Draft) -> Phase {
    if w.deleting() {
        return teardown::teardown(w, d);
    }
    // Before the finalizer: an account would wait for one that has nothing in it.
    access::account_goes(w, d)?;
    // Before anything that the API server may refuse: a refusal ends the pass.
    if let Some(fault) = &w.pass.fault {
        return meaning::faulted(d, fault, wait(None));
    }
    whose::whose(w, d)?;
    expiry::settle(w, d);
    d.stands(w);
    if expiry::passed(w, d) {
        d.working(
            reason::EXPIRED,
            "its time is over (status.expiresAt); the instance deletes itself",
        );
        return act(Step::Expire);
    }
    d.status
        .timings
        .get_or_insert_default()
        .queued
        .get_or_insert_with(|| ledger::moment(w.now));
    access::account(w, d)?;
    rights::adoption(w, d)?;
    rights::retention(w, d)?;
    home::open_ledger(w, d)?;
    following::as_it_was(w, d);
    // An empty project is nothing that could run or cost yet.
    let begun = d
        .status
        .external
        .iter()
        .any(|entry| entry.slot == Slot::Service);
    // What is to be adopted runs already: it is taken over, and then suspended.
    let adopts = w.instance.spec.adopt.is_some();
    if !begun && !adopts && w.instance.spec.operating_mode == OperatingMode::Suspended {
        d.say(Statement::yes(
            kind::SUSPENDED,
            reason::SUSPENDED,
            "nothing runs yet, and nothing more is made",
        ));
        return tools::rest(w, d);
    }
    if !begun {
        // Nothing is made outside before it is certain what shall run there.
        template(w, d)?;
        configuration::desired(w, d)?;
        tools::possible(w, d)?;
    }
    d.stands(w);
    if !w.token {
        return act(Step::MintToken);
    }
    // Nothing that costs is made before there is a project for it, and a wrong one that was to be adopted can be
    // corrected in another object only: deleting this one must not take tools with it.
    home::project(w, d)?;
    if let ControlFlow::Break(end) = tools::provide(w, d) {
        return match end {
            PhaseEnd::Do(_) | PhaseEnd::Anew => ControlFlow::Break(end),
            // What runs already is still watched over.
            PhaseEnd::Wait(_) => watch_over(w, d, ControlFlow::Break(end)),
        };
    }
    // A template that has gone leaves the agent as it is: it is told, and nothing is mended.
    let template = template(w, d)?;
    d.stands(w);
    inside::inside(w, d, template)?;
    d.stands(w);
    configuration::configuration(w, d, template)?;
    if follows(w) {
        tools::retire(w, d)?;
    }
    d.stands(w);
    deployment::deployment(w, d, template)
}

/// Holds back an outside step while an earlier fault asks for patience; and every step where the API server refused one.
fn patience(w: &World, end: PhaseEnd, d: &mut Draft) -> PhaseEnd {
    let asks = |patience: &Patience, step: &Step| {
        let refused = matches!(patience.fault, Fault::Refused { .. });
        (refused || step.is_outside()) && patience.until > w.now
    };
    match (&w.patience, end) {
        (Some(patience), PhaseEnd::Do(step)) if asks(patience, &step) => {
            // Nothing of a step that is not taken may stand, and nothing be told of it: what is said is what was said
            // when the fault came.
            *d = Draft::new(w);
            if w.deleting() {
                d.say(meaning::being_taken_back());
            }
            let _ = meaning::faulted(d, &patience.fault, ControlFlow::Continue(()));
            PhaseEnd::Wait(Some(patience.until))
        }
        (_, end) => end,
    }
}

fn template<'a>(w: &'a World, d: &mut Draft) -> ControlFlow<PhaseEnd, &'a TemplateReady> {
    let name = &w.instance.spec.template_ref.name;
    match &w.template {
        TemplateView::Ready(ready) => ControlFlow::Continue(ready),
        TemplateView::Missing => {
            let message = format!(
                "AgentTemplate {name} does not exist in this namespace; create it, or delete this instance"
            );
            d.say(Statement::no(
                kind::TEMPLATE_SYNCED,
                reason::TEMPLATE_NOT_FOUND,
                message.clone(),
            ));
            let until = access::missing(w, d, reason::TEMPLATE_NOT_FOUND, message);
            watch_over(w, d, until)
        }
        TemplateView::NotReady {
            stalled,
            reason,
            message,
        } => {
            let message = format!("AgentTemplate {name} is not ready: {message}");
            if *stalled {
                d.stalled_on(kind::TEMPLATE_SYNCED, reason, message);
            } else {
                let said = Statement::unknown(kind::TEMPLATE_SYNCED, reason, message.clone());
                d.say(said);
                d.working(reason, message);
            }
            watch_over(w, d, wait(Some(w.recheck())))
        }
    }
}

/// Without a usable template what runs is left alone; only whether it runs is still told.
fn watch_over<T>(w: &World, d: &mut Draft, end: Phase) -> ControlFlow<PhaseEnd, T> {
    if let (Sight::Seen(home), Some(mut known)) = (w.home(), d.status.deployment.clone())
        && let Some(newest) = home.deployments.iter().find(|seen| known.is(&seen.id))
    {
        known.state = newest.state.clone();
        d.status.deployment = Some(known);
    }
    match end {
        ControlFlow::Break(end) => ControlFlow::Break(end),
        ControlFlow::Continue(()) => ControlFlow::Break(PhaseEnd::Wait(None)),
    }
}
