//! The wanted configuration: whether it has been applied, whether it may be now, and whether it is still what was applied.
//!
//! Holds: an attempt is on record with its number before it is applied, so that each is a change of its own; what was edited by
//! hand is compared before it is set back.

use super::compose::Composed;
use super::draft::{Draft, Phase, act, wait};
use super::following::{
    held_back, moves, say_template, stopped, waits_for_its_turn, waits_its_turn,
};
use super::sight::{self, Doubt};
use super::step::Step;
use super::world::{Desired, RolloutTurn, TemplateReady, World};
use super::{ledger, quota, rollout};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::{MOST_VARIABLES, OperatingMode};
use crate::api::{Slot, SlotState};
use crate::model::slot::RAILWAY;
use crate::model::{Announcement, Sight};
use jiff::SignedDuration;
use std::ops::ControlFlow;

/// So soon after a configuration was applied nobody else has changed it.
pub(super) const AT_ONCE: SignedDuration = SignedDuration::from_secs(2);

pub(super) fn desired(w: &World, d: &mut Draft) -> Phase {
    match &w.desired {
        Desired::Composed(composed) => quota::sizes(w, d, &composed.sizes),
        Desired::Broken { reason, message } => {
            d.stalled_on(kind::SYNCED, reason, message.clone());
            wait(None)
        }
        Desired::Unknown => wait(None),
    }
}

/// Whether the wanted configuration has been applied, and if not, whether it may be now.
pub(super) fn configuration(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let suspended = w.instance.spec.operating_mode == OperatingMode::Suspended;
    let applied = ledger::entry(&d.status, Slot::Configuration)
        .filter(|entry| entry.state != SlotState::Planned)
        .cloned();
    let behind = rollout::behind(&d.status, &template.revision);
    let outdated = behind && waits_its_turn(&d.status);
    if suspended {
        say_template(
            d,
            behind,
            reason::OUTDATED,
            "takes the template's new revision when it runs again",
        );
        return ControlFlow::Continue(());
    }
    if outdated {
        if !moves(w, template) {
            say_template(
                d,
                true,
                reason::OUTDATED_MANUAL,
                "runs an older revision of its template; set updatePolicy to Automatic to let it follow",
            );
            return ControlFlow::Continue(());
        }
        if let Some(by) = w.paused_in(w.instance.spec.account_ref.name.as_str())
            && !matches!(template.turn, RolloutTurn::Stopped { .. })
        {
            held_back(d, &by);
            d.held.get_or_insert(by);
            return ControlFlow::Continue(());
        }
        match &template.turn {
            RolloutTurn::Yes => {}
            RolloutTurn::Wait => {
                waits_for_its_turn(d);
                return ControlFlow::Continue(());
            }
            RolloutTurn::Passed => {
                // Nothing keeps it any more, unless its own configuration does.
                desired(w, d)?;
                waits_for_its_turn(d);
                return ControlFlow::Continue(());
            }
            RolloutTurn::Stopped { because } => {
                stopped(d, because);
                return ControlFlow::Continue(());
            }
        }
    }
    desired(w, d)?;
    let Desired::Composed(composed) = &w.desired else {
        return wait(None);
    };
    let same = applied
        .as_ref()
        .is_some_and(|entry| entry.key == composed.key);
    let state = applied.as_ref().map(|entry| entry.state);
    if same && state == Some(SlotState::Exists) {
        return drift(w, d, composed, template);
    }
    if !(same && state == Some(SlotState::Creating)) {
        too_many_names(d, composed)?;
        begin_configuration(w, d, composed, template);
    }
    apply(d, composed, template)
}

/// The first configuration is intended together with what it is applied to: its key is known, and applying the same
/// attempt again changes nothing, so it needs no write of its own (design 5).
pub(super) fn intend(w: &World, d: &mut Draft, template: &TemplateReady) {
    let Desired::Composed(composed) = &w.desired else {
        return;
    };
    let running = w.instance.spec.operating_mode == OperatingMode::Running;
    if running && ledger::entry(&d.status, Slot::Configuration).is_none() {
        begin_configuration(w, d, composed, template);
        record_applied(d, composed, template);
    }
}

fn begin_configuration(w: &World, d: &mut Draft, composed: &Composed, template: &TemplateReady) {
    let own = ledger::entry(&d.status, Slot::Configuration)
        .map(|entry| entry.settings.clone())
        .unwrap_or_default();
    let own_change = !own.is_empty() && own != composed.own;
    let taking = rollout::taking(&d.status, &template.revision, own_change, w.now);
    d.status.rollout = Some(taking);
    let account = w.instance.spec.account_ref.name.0.clone();
    let key = composed.key.clone();
    ledger::begin(
        &mut d.status,
        Slot::Configuration,
        RAILWAY,
        &account,
        key,
        w.now,
    );
    if let Some(entry) = ledger::entry_mut(&mut d.status, Slot::Configuration) {
        // What was applied last, until this attempt is.
        entry.settings = own;
    }
    d.untried.insert(Slot::Configuration);
}

/// Refuses what the record could not hold: names that were renamed again and again while the provider did not answer.
fn too_many_names(d: &mut Draft, composed: &Composed) -> Phase {
    let names = composed.names();
    let old = d.status.variables.iter();
    let all = names.len() + old.filter(|name| !names.contains(name)).count();
    if all <= MOST_VARIABLES {
        return ControlFlow::Continue(());
    }
    let message = format!(
        "env: the names of variables, old and new together, are {all}, and status.variables holds {MOST_VARIABLES}, because it is not known which of them the provider has; put earlier names back, wait until Deployed is True, and rename fewer at a time"
    );
    d.stalled_on(kind::SYNCED, reason::VALUE_NOT_USABLE, message);
    wait(None)
}

/// Records what is about to be applied. The answer names the variables that are no longer wanted.
fn record_applied(d: &mut Draft, composed: &Composed, template: &TemplateReady) -> Vec<String> {
    d.status.template_revision = Some(template.revision.clone());
    quota::record(d, &composed.sizes);
    d.status.image = Some(template.image.clone());
    let names = composed.names();
    let retired: Vec<String> = d
        .status
        .variables
        .iter()
        .filter(|name| !names.contains(name))
        .cloned()
        .collect();
    // Until the answer is in, both the old and the new ones may be set.
    d.status.variables = names.iter().chain(&retired).cloned().collect();
    d.status.variables.sort();
    retired
}

/// Applies the configuration under the attempt that the draft's ledger has open.
fn apply(d: &mut Draft, composed: &Composed, template: &TemplateReady) -> Phase {
    let (Some(environment), Some(service)) = (
        ledger::id(&d.status, Slot::Environment),
        ledger::id(&d.status, Slot::Service),
    ) else {
        return wait(None);
    };
    let retired = record_applied(d, composed, template);
    let attempt = ledger::entry(&d.status, Slot::Configuration).map_or(1, |entry| entry.attempt);
    let message = format!(
        "applying image {} and {} variables",
        template.image.requested,
        composed.names().len()
    );
    d.working_on(kind::DEPLOYED, reason::DEPLOYING, message);
    say_template(d, false, reason::CURRENT, "");
    act(Step::Configure {
        environment,
        service,
        volume: ledger::id(&d.status, Slot::Volume),
        composed: Box::new(composed.clone()),
        attempt,
        retired,
    })
}

/// Whether what is configured outside is still what was applied.
///
/// The tag recorded in the ledger changes exactly when the configuration does, so that looking costs nothing until
/// somebody has edited something.
fn drift(w: &World, d: &mut Draft, composed: &Composed, template: &TemplateReady) -> Phase {
    say_template(d, false, reason::CURRENT, "");
    let Some(entry) = ledger::entry(&d.status, Slot::Configuration).cloned() else {
        return ControlFlow::Continue(());
    };
    let Sight::Seen(home) = w.home() else {
        return ControlFlow::Continue(());
    };
    if home.configuration_tag.is_none() || entry.id == home.configuration_tag {
        return ControlFlow::Continue(());
    }
    if entry.id.is_some() {
        match sight::doubt(w, d, home.begun, entry.started_at.0) {
            Doubt::None => {}
            Doubt::Look => return sight::look_at(d),
            Doubt::Wait => return ControlFlow::Continue(()),
        }
    } else {
        // No tag was recorded right after the configuration was applied, and somebody may have edited it since: it is
        // compared once, when the deployment that came of it is up.
        let up = ledger::id(&d.status, Slot::Service)
            .and_then(|service| home.newest(&service).map(|newest| newest.state.is_up()));
        let at_once = home.begun <= entry.started_at.0 + AT_ONCE;
        if at_once || up != Some(true) {
            return ControlFlow::Continue(());
        }
    }
    let (Some(environment), Some(service)) = (
        ledger::id(&d.status, Slot::Environment),
        ledger::id(&d.status, Slot::Service),
    ) else {
        return ControlFlow::Continue(());
    };
    match &w.pass.drift {
        None => act(Step::Compare {
            environment,
            service,
            composed: Box::new(composed.clone()),
            attempt: entry.attempt,
        }),
        Some(differences) if differences.is_empty() => {
            ledger::exists(
                &mut d.status,
                Slot::Configuration,
                home.configuration_tag.clone(),
            );
            ControlFlow::Continue(())
        }
        Some(differences) => {
            let note = format!(
                "changed at the provider and set back: {}",
                differences.join(", ")
            );
            d.announcements.push(Announcement {
                warning: true,
                reason: reason::DRIFTED,
                action: "Mend",
                note: note.clone(),
            });
            d.say(Statement::no(kind::SYNCED, reason::DRIFTED, note));
            begin_configuration(w, d, composed, template);
            apply(d, composed, template)
        }
    }
}
