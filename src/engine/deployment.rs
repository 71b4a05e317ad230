//! What came of a configuration: what is expected of the newest deployment, what is known of it, and what follows.
//!
//! Holds: a reading begun before the last change says nothing about what came of it; a deployment is asked for on fresh sight
//! alone; the agent is asked only until it has said that it is ready. Deliberately absent: what the agent says ([`super::hearing`]).

use super::configuration::AT_ONCE;
use super::draft::{Draft, Phase, wait};
use super::hearing::{starting, up};
use super::newest::{
    Place, REDEPLOY, crashed, failed, foreign, look, not_begun, older, place, record_tag, removed,
    removed_at_once, running, still, suspend, take_in,
};
use super::world::{TemplateReady, World};
use super::{adopt, ledger};
use crate::api::Origin;
use crate::api::condition::{Statement, is_true, kind, reason};
use crate::api::instance::OperatingMode;
use crate::api::{AgentInstanceStatus, DeploymentStatus, Slot};
use crate::model::{Deployment, DeploymentState, Home, Sight};
use jiff::Timestamp;

/// What is expected of the newest deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// That it ends: the instance is suspended.
    End,
    /// That one comes up, or that the agent in it gets ready. `up`: one was seen to be up already.
    Coming { up: bool },
    /// Nothing: the agent has said that it is ready. `up`: it was up when it was last seen.
    Rest { up: bool },
}

impl Expect {
    fn is_up(self) -> bool {
        matches!(
            self,
            Expect::Coming { up: true } | Expect::Rest { up: true }
        )
    }

    fn is_coming(self) -> bool {
        matches!(self, Expect::Coming { .. })
    }
}

fn expected(mode: OperatingMode, known: Option<&DeploymentStatus>) -> Expect {
    if mode == OperatingMode::Suspended {
        return Expect::End;
    }
    let up = known.is_some_and(|known| known.state.is_up());
    match known {
        Some(known) if known.ready && !known.is_superseded() => Expect::Rest { up },
        _ => Expect::Coming { up },
    }
}

/// Where to turn to learn what the newest deployment is.
#[derive(Debug)]
enum Observation {
    /// To this reading of the project.
    Home(Box<Home>),
    /// To the project, which is read by itself.
    Look,
    /// To the agent, which costs the provider nothing.
    Agent,
    /// To nobody: nothing newer was seen, and nothing is expected.
    Still,
    /// To nobody: it is suspended and at rest.
    Rest,
}

fn observation(
    w: &World,
    expect: Expect,
    known: Option<&DeploymentStatus>,
    place: &Place,
) -> Observation {
    let looked = w.outside.looked.is_some();
    // A reading begun before we last changed something says nothing about what came of it.
    let since = |home: &Home| place.asked_at.is_none_or(|at| home.begun >= at);
    let home = match w.home() {
        Sight::Seen(home) if since(&home) => Some(home),
        _ => None,
    };
    let home = match (home, expect) {
        // Of a suspended one everything counts that still runs: its end may have crossed a beginning.
        (Some(home), Expect::End) => return Observation::Home(Box::new(home)),
        (None, Expect::End) if w.at_rest() => return Observation::Rest,
        (None, Expect::End) => return Observation::Look,
        // While something is expected, what the listing showed some time ago is not enough.
        (Some(home), _) if !expect.is_coming() || expect.is_up() || looked => home,
        // It runs; what is waited for is the agent's word.
        (None, Expect::Coming { up: true }) => return Observation::Agent,
        (_, Expect::Coming { .. }) => return Observation::Look,
        (_, Expect::Rest { .. }) => return Observation::Still,
    };
    let (Some(newest), Some(known)) = (home.newest(&place.service), known) else {
        return Observation::Home(Box::new(home));
    };
    let other = !known.is(&newest.id);
    let begins = matches!(
        newest.state,
        DeploymentState::Starting | DeploymentState::Other(_)
    );
    // The listing may be older than our own look: what it shows would be written, and the look after that, in turn.
    let older = (other && !known.is_superseded()) || (!other && begins && expect.is_up());
    if older && !looked {
        return Observation::Look;
    }
    let settle = |at: Timestamp| home.begun < at + w.limits.settle;
    if other && place.asked_at.is_some_and(settle) && newest.created < known.since.0 {
        // Older than the one that was asked for: the reading lags behind the asking.
        return match expect.is_coming() {
            true => Observation::Look,
            false => Observation::Still,
        };
    }
    Observation::Home(Box::new(home))
}

/// How the newest deployment stands to what was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeploymentStage {
    /// None has come of what was applied.
    NotBegun,
    /// Of what is run as it was found nothing is deployed, and not by our doing.
    NotDeployed,
    /// It was taken away, as a listing shows.
    PerhapsRemoved,
    /// It was taken away a moment after it was asked for.
    RemovedAtOnce,
    /// It was taken away.
    Removed,
    /// It runs something else than what was applied, which somebody has changed.
    Foreign,
    /// It runs an older image than the one that was applied.
    Older,
    /// It is up.
    Up,
    /// It never came up.
    Failed,
    /// It went down.
    Crashed,
    /// It is on its way.
    Starting,
}

/// What is known about the newest deployment, beside its state.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The agent runs as it was found, and we have not ended it.
    held: bool,
    /// The project was read by itself.
    looked: bool,
    /// It was asked for within [`REDEPLOY`].
    just_asked: bool,
    /// It runs another image than the one that was applied last.
    other_image: bool,
    /// What is configured is what was applied.
    ours: bool,
}

/// `newest`: the newest deployment, unless it is the one that another was asked for in place of.
fn stage(newest: Option<&DeploymentState>, known: Known) -> DeploymentStage {
    use DeploymentState as State;
    let Some(newest) = newest else {
        return match known.held {
            true => DeploymentStage::NotDeployed,
            false => DeploymentStage::NotBegun,
        };
    };
    match newest {
        State::Removed if !known.looked => DeploymentStage::PerhapsRemoved,
        State::Removed if known.held => DeploymentStage::NotDeployed,
        State::Removed if known.just_asked => DeploymentStage::RemovedAtOnce,
        State::Removed => DeploymentStage::Removed,
        _ if known.other_image && !known.ours => DeploymentStage::Foreign,
        state if known.other_image && *state != State::Starting => DeploymentStage::Older,
        State::Running | State::Sleeping => DeploymentStage::Up,
        State::Failed => DeploymentStage::Failed,
        State::Crashed => DeploymentStage::Crashed,
        State::Starting | State::Superseded | State::Other(_) => DeploymentStage::Starting,
    }
}

/// Whether the newest deployment runs what was applied, and the agent in it is ready.
pub(super) fn deployment(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let Some(place) = place(&d.status) else {
        return wait(None);
    };
    let known = d.status.deployment.clone();
    let expect = expected(w.instance.spec.operating_mode, known.as_ref());
    let home = match observation(w, expect, known.as_ref(), &place) {
        Observation::Home(home) => home,
        Observation::Look => return look(w, d, &place),
        Observation::Agent => return up(w, d, template),
        Observation::Still => return still(w, d),
        Observation::Rest => {
            d.unchanged = true;
            return wait(None);
        }
    };
    let newest = home.newest(&place.service);
    if expect == Expect::End {
        return suspend(w, d, newest, &place);
    }
    d.say(running());
    let superseded = known.as_ref().filter(|known| known.is_superseded());
    let newest = newest.filter(|newest| !superseded.is_some_and(|known| known.is(&newest.id)));
    // What runs as it was found is begun only where we ended it.
    let mut about = Known {
        held: ledger::as_found(&d.status)
            && superseded.is_none()
            && !is_true(&w.status().conditions, kind::SUSPENDED),
        looked: w.outside.looked.is_some(),
        just_asked: superseded.is_some_and(|known| w.now < known.since.0 + REDEPLOY),
        ..Known::default()
    };
    if let Some(newest) = newest {
        take_in(w, d, known.as_ref(), newest);
        adopt::follow(&mut d.status, newest);
        if place
            .applied_at
            .is_some_and(|at| home.begun <= at + AT_ONCE)
        {
            record_tag(d, &home);
        }
        about.other_image = runs_another_image(&d.status, newest);
        about.ours = ledger::entry(&d.status, Slot::Configuration)
            .is_some_and(|entry| entry.id.is_none() || entry.id == home.configuration_tag);
    }
    d.stands(w);
    match stage(newest.map(|newest| &newest.state), about) {
        DeploymentStage::NotBegun => not_begun(w, d, &place),
        DeploymentStage::NotDeployed => adopt::not_deployed(d),
        // A deployment is asked for on fresh sight alone: the listing may be older than our own asking.
        DeploymentStage::PerhapsRemoved => look(w, d, &place),
        DeploymentStage::RemovedAtOnce => removed_at_once(d, known),
        DeploymentStage::Removed => removed(w, d, &place),
        DeploymentStage::Foreign => foreign(w, d, &place),
        DeploymentStage::Older => older(d, &place),
        DeploymentStage::Up => up(w, d, template),
        DeploymentStage::Failed => failed(d),
        DeploymentStage::Crashed => crashed(d),
        DeploymentStage::Starting => {
            d.say(Statement::no(
                kind::DEPLOYED,
                reason::DEPLOYING,
                "the provider is starting the deployment",
            ));
            starting(w, d, template)
        }
    }
}

/// The image on record may be that of an attempt that was refused: then nothing says what was applied.
fn runs_another_image(status: &AgentInstanceStatus, newest: &Deployment) -> bool {
    let known = ledger::entry(status, Slot::Configuration)
        .is_some_and(|entry| !entry.key.is_empty() || entry.origin == Origin::Adopted);
    let wanted = status.image.as_ref().filter(|_| known);
    newest
        .image
        .as_deref()
        .zip(wanted)
        .is_some_and(|(runs, wanted)| runs.contains("@sha256:") && !runs.ends_with(&wanted.digest))
}

#[cfg(test)]
mod tests;
