//! Whether an instance takes its template's revision: whether it follows, whether it waits for its turn, and what is said of it.
//!
//! Holds: what runs is changed in its turn only; who would have its turn and cannot use it says so, and nobody waits for it.

use super::draft::Draft;
use super::world::{RolloutTurn, TemplateReady, TemplateView, World};
use super::{ledger, rollout};
use crate::api::condition::{Statement, find, kind, reason};
use crate::api::instance::{OperatingMode, UpdatePolicy};
use crate::api::{AgentInstanceStatus, Slot, SlotState};
use crate::model::PausedBy;
use jiff::{SignedDuration, Timestamp};

/// Whether the instance takes what its template says now: it is new, or as new as its template, or it is its turn.
pub(super) fn follows(w: &World) -> bool {
    let TemplateView::Ready(template) = &w.template else {
        return false;
    };
    let status = w.status();
    if status.template_revision.as_ref() == Some(&template.revision) {
        return true;
    }
    if !waits_its_turn(&status) {
        // One that is being adopted stays as it was found until it takes a revision.
        return w.instance.spec.adopt.is_none();
    }
    takes_part(w)
        && template.turn == RolloutTurn::Yes
        // Nothing of it can be applied meanwhile: what runs keeps what it has.
        && w.paused_in(w.instance.spec.account_ref.name.as_str()).is_none()
}

/// Whether the instance follows its template by itself, or its pool asks it to take this revision.
pub(super) fn moves(w: &World, template: &TemplateReady) -> bool {
    let spec = &w.instance.spec;
    spec.update_policy == UpdatePolicy::Automatic
        || rollout::is_asked(&w.instance, &template.revision)
}

/// Whether something runs that another revision must wait for. An attempt under way is brought to its end, and what was
/// never deployed needs nobody's leave. An attempt that was refused has changed nothing: what ran before runs on.
pub(super) fn waits_its_turn(status: &AgentInstanceStatus) -> bool {
    let configuration = ledger::entry(status, Slot::Configuration);
    match configuration.map(|entry| entry.state) {
        Some(SlotState::Exists | SlotState::Deleting) => true,
        Some(SlotState::Planned) => status.deployment.is_some(),
        Some(SlotState::Creating) | None => false,
    }
}

/// A change that was refused, and may not be tried again before the agent's turn, has changed nothing: what was applied
/// before it is what is there. What that was made from, nothing on record says.
pub(super) fn as_it_was(w: &World, d: &mut Draft) {
    let TemplateView::Ready(template) = &w.template else {
        return;
    };
    let refused = ledger::entry(&d.status, Slot::Configuration)
        .is_some_and(|entry| entry.state == SlotState::Planned);
    let behind = rollout::behind(&d.status, &template.revision);
    if refused && behind && waits_its_turn(&d.status) {
        ledger::exists(&mut d.status, Slot::Configuration, None);
        if let Some(entry) = ledger::entry_mut(&mut d.status, Slot::Configuration) {
            entry.key.clear();
        }
    }
}

/// Whether the instance is made ready for what its template says now: it follows, or it would if it could.
pub(super) fn prepares(w: &World) -> bool {
    let passed =
        matches!(&w.template, TemplateView::Ready(ready) if ready.turn == RolloutTurn::Passed);
    follows(w) || passed && takes_part(w)
}

/// Whether the instance takes part in rollouts, its template's or its pool's.
fn takes_part(w: &World) -> bool {
    let TemplateView::Ready(template) = &w.template else {
        return false;
    };
    w.instance.spec.operating_mode == OperatingMode::Running && moves(w, template)
}

/// So long a rollout waits for an instance whose turn it is and that is still trying.
const TRYING: SignedDuration = SignedDuration::from_mins(1);

/// What the end of a plan means for the template's revision, where no phase came far enough to take it: the rollout
/// passes an instance that would have its turn and cannot use it, so that nobody waits for it.
pub(super) fn not_taken(w: &World, d: &mut Draft, until: Option<Timestamp>) {
    let TemplateView::Ready(template) = &w.template else {
        return;
    };
    let said = |d: &Draft, kind: &str| d.said.iter().find(|said| said.kind == kind).cloned();
    let elsewhere = d.unchanged || w.deleting() || said(d, kind::TEMPLATE_SYNCED).is_some();
    // What comes again at once is only half a plan.
    let again_at_once = until.is_some_and(|at| at <= w.now);
    if elsewhere
        || again_at_once
        || !takes_part(w)
        || !rollout::behind(&d.status, &template.revision)
    {
        return;
    }
    let stopped_by_another = matches!(template.turn, RolloutTurn::Stopped { .. });
    if let Some(by) = d.held.clone().filter(|_| !stopped_by_another) {
        return held_back(d, &by);
    }
    let stalled = said(d, kind::STALLED);
    // What keeps a variable from the agent may keep nothing else of it: a tool that it need not have.
    let kept = |kind: &str| said(d, kind).filter(|said| said.status == "False");
    let why = stalled
        .clone()
        .or_else(|| said(d, kind::RECONCILING))
        .or_else(|| kept(kind::TOOLS_READY))
        .or_else(|| kept(kind::SYNCED));
    let before = w.status().conditions;
    let trying_since = why
        .as_ref()
        .and_then(|why| find(&before, why.kind).filter(|old| old.status == why.status))
        .map_or(w.now, |trying| trying.last_transition_time.0);
    match (&template.turn, why) {
        (RolloutTurn::Yes, Some(_)) if stalled.is_none() && w.now < trying_since + TRYING => {
            d.again(trying_since + TRYING);
            waits_for_its_turn(d);
        }
        (RolloutTurn::Yes | RolloutTurn::Passed, Some(why)) => {
            let message = format!(
                "runs an older revision of its template, and the rollout passes it over because it cannot take the new one now: {}",
                why.message
            );
            d.say(Statement::no(
                kind::TEMPLATE_SYNCED,
                reason::PASSED_OVER,
                message,
            ));
        }
        (RolloutTurn::Stopped { because }, _) => stopped(d, because),
        _ => waits_for_its_turn(d),
    }
}

/// Its turn, if it has one, is not taken while it is paused. One that is paused by itself, or whose account is, is passed over;
/// where all are paused together nobody is.
pub(super) fn held_back(d: &mut Draft, by: &PausedBy) {
    let message = match by {
        PausedBy::Installation | PausedBy::Template(_) => {
            let message = format!(
                "runs an older revision of its template, and takes the new one when the pause ends (by {by})"
            );
            return d.say(Statement::no(
                kind::TEMPLATE_SYNCED,
                reason::OUTDATED,
                message,
            ));
        }
        PausedBy::Object | PausedBy::Account(_) | PausedBy::Recovery(_) => format!(
            "runs an older revision of its template, and the rollout passes it over while it is paused by {by}"
        ),
    };
    d.say(Statement::no(
        kind::TEMPLATE_SYNCED,
        reason::PASSED_OVER,
        message,
    ));
}

pub(super) fn stopped(d: &mut Draft, because: &str) {
    let message = format!(
        "runs an older revision of its template; the rollout has stopped because {because} did not get ready: correct the template or {because}, or set its updatePolicy to Manual"
    );
    say_template(d, true, reason::ROLLOUT_STOPPED, message);
}

pub(super) fn waits_for_its_turn(d: &mut Draft) {
    say_template(
        d,
        true,
        reason::OUTDATED,
        "runs an older revision of its template and waits for its turn",
    );
}

pub(super) fn say_template(
    d: &mut Draft,
    outdated: bool,
    why: &'static str,
    message: impl Into<String>,
) {
    if outdated {
        d.say(Statement::no(
            kind::SYNCED,
            why,
            "changes of this instance are applied together with its template's new revision",
        ));
        d.say(Statement::no(kind::TEMPLATE_SYNCED, why, message));
    } else {
        d.say(Statement::yes(
            kind::TEMPLATE_SYNCED,
            reason::CURRENT,
            "follows the template's current revision",
        ));
    }
}
