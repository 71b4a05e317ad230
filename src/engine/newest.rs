//! What follows from how the newest deployment stands: it is taken into the status, looked at, asked for, ended or told.
//!
//! Holds: a deployment that does not stay is asked for again after a while; one that was asked for counts from the asking.

use super::draft::{Draft, Phase, act, wait};
use super::hearing::quietly;
use super::sight::{self};
use super::step::Step;
use super::world::World;
use super::{ledger, meaning, retry, rollout, tools};
use crate::api::condition::{Statement, is_true, kind, reason};
use crate::api::{AgentInstanceStatus, DeploymentStatus, Slot, SlotState};
use crate::model::{Announcement, Deployment, DeploymentState, Home};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// The place of a deployment, and when something was last asked for there.
pub(super) struct Place {
    pub(super) project: String,
    pub(super) environment: String,
    pub(super) service: String,
    /// When the configuration was last applied.
    pub(super) applied_at: Option<Timestamp>,
    /// When that was, or a deployment asked for, or first seen.
    pub(super) asked_at: Option<Timestamp>,
}

pub(super) fn place(status: &AgentInstanceStatus) -> Option<Place> {
    let applied_at = ledger::entry(status, Slot::Configuration).map(|entry| entry.started_at.0);
    let known = status.deployment.as_ref().map(|known| known.since.0);
    Some(Place {
        project: ledger::id(status, Slot::Project)?,
        environment: ledger::id(status, Slot::Environment)?,
        service: ledger::id(status, Slot::Service)?,
        applied_at,
        asked_at: known.max(applied_at),
    })
}

/// PlaceAsked for a moment ago and taken away at once: asking again at once would go on for ever.
pub(super) fn removed_at_once(d: &mut Draft, known: Option<DeploymentStatus>) -> Phase {
    d.say(Statement::no(
        kind::DEPLOYED,
        reason::DEPLOYING,
        "the provider took the deployment away at once; it is asked for again",
    ));
    d.working(
        reason::DEPLOYING,
        "the provider took the deployment away at once",
    );
    let again = known.as_ref().map(|known| known.since.0 + REDEPLOY);
    // It stays what was asked for, so that the time of asking is kept.
    d.status.deployment = known;
    wait(again)
}

pub(super) fn removed(w: &World, d: &mut Draft, place: &Place) -> Phase {
    // Taken away by ourselves where it was suspended until now.
    if !is_true(&w.status().conditions, kind::SUSPENDED) {
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::DRIFTED,
            action: "Deploy",
            note: "the deployment was taken away at the provider; deploying again".into(),
        });
    }
    deploy(place)
}

pub(super) fn deploy(place: &Place) -> Phase {
    act(Step::Deploy {
        environment: place.environment.clone(),
        service: place.service.clone(),
    })
}

/// Not what was applied last: `drift` sets that back as soon as a reading of it is to be believed.
pub(super) fn foreign(w: &World, d: &mut Draft, place: &Place) -> Phase {
    let message = "something else than what was applied is deployed; it is being looked at";
    d.say(Statement::no(kind::SYNCED, reason::DRIFTED, message));
    d.working_on(kind::DEPLOYED, reason::DRIFTED, message);
    let believable = place.applied_at.map(|at| at + w.limits.settle);
    wait(believable.map(|at| at.max(w.now + SignedDuration::from_secs(1))))
}

pub(super) fn older(d: &mut Draft, place: &Place) -> Phase {
    d.say(Statement::no(
        kind::SYNCED,
        reason::DRIFTED,
        "the newest deployment runs an older image; deploying what is configured",
    ));
    deploy(place)
}

pub(super) fn failed(d: &mut Draft) -> Phase {
    let message = format!(
        "the deployment failed: see {}, and correct the image, the command or the variables",
        meaning::logs(&d.status)
    );
    d.stalled_on(kind::DEPLOYED, reason::DEPLOYMENT_FAILED, message);
    wait(None)
}

pub(super) fn crashed(d: &mut Draft) -> Phase {
    let message = format!(
        "the agent's process ended: see {}; it is started again as restartPolicy says, and a new spec is deployed at once",
        meaning::logs(&d.status)
    );
    d.stalled_on(kind::HEALTHY, reason::CRASHED, message);
    wait(None)
}

/// A deployment that does not stay is asked for again after so long at the earliest.
pub(super) const REDEPLOY: SignedDuration = SignedDuration::from_secs(30);

/// Takes a newly seen deployment, or the known one's new state, into the status.
pub(super) fn take_in(
    w: &World,
    d: &mut Draft,
    known: Option<&DeploymentStatus>,
    newest: &Deployment,
) {
    let same = known.filter(|known| known.is(&newest.id));
    // One that was asked for counts from the asking, one that came by itself from now.
    let asked = known.filter(|known| known.is_superseded());
    let since = same.or(asked).map_or_else(
        || {
            let applied =
                ledger::entry(&d.status, Slot::Configuration).map(|entry| entry.started_at.0);
            MicroTime(ledger::micros(if known.is_none() {
                applied.unwrap_or(w.now)
            } else {
                w.now
            }))
        },
        |known| known.since.clone(),
    );
    let up = newest.state.is_up();
    d.status.deployment = Some(DeploymentStatus {
        id: Some(newest.id.clone()),
        state: newest.state.clone(),
        ready: same.is_some_and(|known| known.ready) && up,
        since,
        answer: same.and_then(|known| known.answer.clone()),
    });
    if up {
        let now = ledger::moment(w.now);
        d.status
            .timings
            .get_or_insert_default()
            .deployed
            .get_or_insert(now);
    }
}

/// What has just been applied is what this reading's tag stands for.
pub(super) fn record_tag(d: &mut Draft, home: &Home) {
    let applied = ledger::entry(&d.status, Slot::Configuration);
    if applied.is_some_and(|entry| entry.state == SlotState::Exists && entry.id.is_none()) {
        let tag = home.configuration_tag.clone();
        ledger::exists(&mut d.status, Slot::Configuration, tag);
    }
}

/// Reads the project by itself, or waits until it is worth reading again.
pub(super) fn look(w: &World, d: &mut Draft, place: &Place) -> Phase {
    d.working_on(
        kind::DEPLOYED,
        reason::DEPLOYING,
        "waiting for the provider to show the deployment",
    );
    if w.outside.looked.is_some() {
        let asked = place.asked_at.unwrap_or(w.now);
        quietly(w, d, asked);
        return wait(Some(retry::next_look(asked, w.now)));
    }
    sight::look(&place.project)
}

/// Nothing newer was seen, and nothing is expected.
pub(super) fn still(w: &World, d: &mut Draft) -> Phase {
    d.say(running());
    if w.home().seen().is_none() {
        // At the start of the process there is no reading yet; what was true stays said.
        d.unchanged = true;
    } else {
        d.say(Statement::yes(
            kind::DEPLOYED,
            reason::DEPLOYED,
            "the deployment runs what the spec asks for",
        ));
        d.say(Statement::yes(
            kind::HEALTHY,
            reason::READY,
            "the agent has said that it is ready",
        ));
    }
    wait(None)
}

/// A change was applied and no deployment has come of it yet.
pub(super) fn not_begun(w: &World, d: &mut Draft, place: &Place) -> Phase {
    let asked = place.asked_at.unwrap_or(w.now);
    d.working_on(
        kind::DEPLOYED,
        reason::DEPLOYING,
        "waiting for the provider to begin the deployment",
    );
    if w.now >= w.limits.landed_by(asked) && w.outside.looked.is_some() {
        // Applied, and silently no deployment: ask for one.
        return deploy(place);
    }
    if w.outside.looked.is_some() {
        quietly(w, d, asked);
        return wait(Some(
            retry::next_look(asked, w.now).min(w.limits.landed_by(asked).max(w.now)),
        ));
    }
    sight::look(&place.project)
}

/// Ends what costs money, keeps what holds data.
pub(super) fn suspend(
    w: &World,
    d: &mut Draft,
    newest: Option<&Deployment>,
    place: &Place,
) -> Phase {
    rollout::over(&mut d.status);
    let running = newest.filter(|newest| newest.state != DeploymentState::Removed);
    if let Some(newest) = newest {
        d.status.deployment = Some(DeploymentStatus {
            id: Some(newest.id.clone()),
            state: newest.state.clone(),
            ready: false,
            since: d
                .status
                .deployment
                .as_ref()
                .map_or_else(|| ledger::moment(w.now), |known| known.since.clone()),
            answer: None,
        });
    }
    d.stands(w);
    match running {
        None => {
            let message = match tools::billed_at_rest(&d.status) {
                None => "nothing runs; project, volume and address are kept".to_owned(),
                Some(billed) => format!(
                    "nothing runs; project, volume and address are kept, and so is what costs on: {billed}"
                ),
            };
            d.say(Statement::yes(kind::SUSPENDED, reason::SUSPENDED, message));
            // What nobody needs then is put out of use after that was said (`tools::adjust`).
            let said = is_true(&w.status().conditions, kind::SUSPENDED);
            wait((!said).then_some(w.now))
        }
        Some(newest) => {
            d.say(Statement::no(
                kind::SUSPENDED,
                reason::PENDING,
                "ending the deployment",
            ));
            d.working(reason::SUSPENDED, "ending the deployment");
            match &w.outside.looked {
                None => sight::look(&place.project),
                // PlaceAsked for in this pass, and not shown yet.
                Some(_) if w.pass.stopped => wait(Some(w.now + SignedDuration::from_secs(1))),
                Some(_) => act(Step::Stop {
                    deployment: newest.id.clone(),
                }),
            }
        }
    }
}

pub(super) fn running() -> Statement {
    Statement::no(kind::SUSPENDED, reason::RUNNING, "operatingMode is Running")
}
