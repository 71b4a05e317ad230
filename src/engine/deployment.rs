//! What came of a configuration: the newest deployment, the agent in it, and their end where the instance is suspended.
//!
//! What holds: a reading begun before the last change says nothing about what came of it; a deployment is asked for on
//! fresh sight alone; the agent is asked only until it has said that it is ready.

use super::plan::{Draft, Phase, act, at_rest, wait};
use super::step::Step;
use super::world::{TemplateReady, World};
use super::{adopt as adoption, ledger, parts, report, retry, rollout};
use crate::api::condition::{Statement, find, is_true, kind, reason};
use crate::api::deployment::AnswerStatus;
use crate::api::instance::OperatingMode;
use crate::api::{AgentInstanceStatus, DeploymentStatus, Slot, SlotState};
use crate::model::{
    Announcement, Answer, Deployment, DeploymentState, Health, Home, Readiness, Sight,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// Whether the newest deployment runs what was applied, and the agent in it is ready.
pub(super) fn deployment(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let suspended = w.instance.spec.operating_mode == OperatingMode::Suspended;
    let (Some(project), Some(environment), Some(service)) = (
        parts::id(&d.status, Slot::Project),
        parts::id(&d.status, Slot::Environment),
        parts::id(&d.status, Slot::Service),
    ) else {
        return wait(None);
    };
    let applied_at = ledger::entry(&d.status, Slot::Configuration).map(|entry| entry.started_at.0);
    let known = d.status.deployment.clone();
    let pending = known
        .as_ref()
        .is_none_or(|known| known.is_superseded() || !known.ready);
    let asked_at = known.as_ref().map(|known| known.since.0).max(applied_at);
    let up_already = known.as_ref().is_some_and(|known| known.state.is_up());
    let home = match w.home() {
        // A reading begun before we last changed something says nothing about what came of it.
        Sight::Seen(home) if asked_at.is_none_or(|at| home.begun >= at) => Some(home),
        _ => None,
    };
    let home = match home {
        // While something is expected, what the listing showed some time ago is not enough.
        // Of a suspended one everything counts that still runs: its end may have crossed a beginning.
        Some(home) if suspended || !pending || up_already || w.outside.looked.is_some() => home,
        _ if suspended && at_rest(w) => {
            d.unchanged = true;
            return wait(None);
        }
        _ if suspended => return look(w, d, project, asked_at),
        // It runs; what is waited for is the agent's word, which costs the provider nothing.
        None if up_already && pending => return up(w, d, template),
        _ if pending => return look(w, d, project, asked_at),
        _ => return still(w, d),
    };
    let newest = newest(&home, &service);
    if !suspended && let (Some(newest), Some(known)) = (newest, &known) {
        let other = !known.is(&newest.id);
        if other && !known.is_superseded() && w.outside.looked.is_none() {
            // The listing may lag behind what we have seen ourselves since.
            return look(w, d, project, asked_at);
        }
        let begins = matches!(
            newest.state,
            DeploymentState::Starting | DeploymentState::Other(_)
        );
        if !other && begins && up_already && w.outside.looked.is_none() {
            // So may what we have seen to be up. What the listing shows would be written, and the sight of it after that,
            // in turn, until the next listing.
            return look(w, d, project, asked_at);
        }
        let fresh = asked_at.is_some_and(|at| home.begun < at + w.limits.settle);
        if other && fresh && newest.created < known.since.0 {
            // Older than the one that was asked for: the reading lags behind the asking.
            return if pending {
                look(w, d, project, asked_at)
            } else {
                still(w, d)
            };
        }
    }
    if suspended {
        return suspend(w, d, newest, project);
    }
    d.say(Statement::no(
        kind::SUSPENDED,
        reason::RUNNING,
        "operatingMode is Running",
    ));
    let superseded = known.as_ref().filter(|known| known.is_superseded());
    // What runs as it was found is begun only where we ended it.
    let held = ledger::as_found(&d.status)
        && superseded.is_none()
        && !is_true(&w.status().conditions, kind::SUSPENDED);
    let newest = match newest {
        Some(newest) if !superseded.is_some_and(|known| known.is(&newest.id)) => newest,
        None if held => return adoption::not_deployed(d),
        _ => return not_begun(w, d, project, environment, service, asked_at),
    };
    adopt(w, d, &known, newest);
    adoption::follow(&mut d.status, newest);
    if applied_at.is_some_and(|at| home.begun <= at + AT_ONCE) {
        record_tag(d, &home);
    }
    // The image on record may be that of an attempt that was refused: then nothing says what was applied.
    let applied =
        ledger::entry(&d.status, Slot::Configuration).is_some_and(|entry| !entry.key.is_empty());
    let old_image = newest
        .image
        .as_deref()
        .zip(d.status.image.as_ref().filter(|_| applied))
        .is_some_and(|(runs, wanted)| runs.contains("@sha256:") && !runs.ends_with(&wanted.digest));
    let ours = ledger::entry(&d.status, Slot::Configuration)
        .is_some_and(|entry| entry.id.is_none() || entry.id == home.configuration_tag);
    match &newest.state {
        // A deployment is asked for on fresh sight alone: the listing may be older than our own asking.
        DeploymentState::Removed if w.outside.looked.is_none() => look(w, d, project, asked_at),
        DeploymentState::Removed if held => adoption::not_deployed(d),
        DeploymentState::Removed
            if known
                .as_ref()
                .is_some_and(|known| known.is_superseded() && w.now < known.since.0 + REDEPLOY) =>
        {
            // Asked for a moment ago and taken away at once: asking again at once would go on for ever.
            d.say(Statement::no(
                kind::DEPLOYED,
                reason::DEPLOYING,
                "the provider took the deployment away at once; it is asked for again",
            ));
            d.working(
                reason::DEPLOYING,
                "the provider took the deployment away at once",
            );
            // It stays what was asked for, so that the time of asking is kept.
            d.status.deployment = known.clone();
            wait(known.map(|known| known.since.0 + REDEPLOY))
        }
        DeploymentState::Removed => {
            // Taken away by ourselves where it was suspended until now.
            if !is_true(&w.status().conditions, kind::SUSPENDED) {
                d.announcements.push(Announcement {
                    warning: true,
                    reason: reason::DRIFTED,
                    action: "Deploy",
                    note: "the deployment was taken away at the provider; deploying again".into(),
                });
            }
            act(Step::Deploy {
                environment,
                service,
            })
        }
        // Not what was applied last: `drift` sets that back as soon as a reading of it is to be believed.
        _ if old_image && !ours => {
            let message = "something else than what was applied is deployed; it is being looked at";
            d.say(Statement::no(kind::SYNCED, reason::DRIFTED, message));
            d.working_on(kind::DEPLOYED, reason::DRIFTED, message);
            let believable = applied_at.map(|at| at + w.limits.settle);
            wait(believable.map(|at| at.max(w.now + SignedDuration::from_secs(1))))
        }
        _ if old_image && newest.state != DeploymentState::Starting => {
            d.say(Statement::no(
                kind::SYNCED,
                reason::DRIFTED,
                "the newest deployment runs an older image; deploying what is configured",
            ));
            act(Step::Deploy {
                environment,
                service,
            })
        }
        DeploymentState::Running | DeploymentState::Sleeping => up(w, d, template),
        DeploymentState::Failed => {
            let message = format!(
                "the deployment failed: see {}, and correct the image, the command or the variables",
                report::logs(&d.status)
            );
            d.stalled_on(kind::DEPLOYED, reason::DEPLOYMENT_FAILED, message);
            wait(None)
        }
        DeploymentState::Crashed => {
            let message = format!(
                "the agent's process ended: see {}; it is started again as restartPolicy says, and a new spec is deployed at once",
                report::logs(&d.status)
            );
            d.stalled_on(kind::HEALTHY, reason::CRASHED, message);
            wait(None)
        }
        DeploymentState::Starting | DeploymentState::Superseded | DeploymentState::Other(_) => {
            d.say(Statement::no(
                kind::DEPLOYED,
                reason::DEPLOYING,
                "the provider is starting the deployment",
            ));
            starting(w, d, template)
        }
    }
}

/// A deployment that does not stay is asked for again after so long at the earliest.
const REDEPLOY: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn newest<'a>(home: &'a Home, service: &str) -> Option<&'a Deployment> {
    home.deployments
        .iter()
        .filter(|seen| seen.service == service)
        .max_by_key(|seen| seen.created)
}

/// What runs has no disk, or a former one: another deployment is to come in its place. Whether that is news.
pub(super) fn outlived(w: &World, d: &mut Draft, home: &Home) -> bool {
    let Some(newest) =
        parts::id(&d.status, Slot::Service).and_then(|service| newest(home, &service))
    else {
        return false;
    };
    let known = d.status.deployment.as_ref();
    if known.is_some_and(|known| known.is(&newest.id) && known.is_superseded()) {
        return false;
    }
    d.status.deployment = Some(DeploymentStatus {
        id: Some(newest.id.clone()),
        state: DeploymentState::Superseded,
        ready: false,
        since: ledger::moment(w.now),
        answer: None,
    });
    true
}

/// Takes a newly seen deployment, or the known one's new state, into the status.
fn adopt(w: &World, d: &mut Draft, known: &Option<DeploymentStatus>, newest: &Deployment) {
    let same = known.as_ref().filter(|known| known.is(&newest.id));
    // One that was asked for counts from the asking, one that came by itself from now.
    let asked = known.as_ref().filter(|known| known.is_superseded());
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

/// So soon after a configuration was applied nobody else has changed it.
pub(super) const AT_ONCE: SignedDuration = SignedDuration::from_secs(2);

/// What has just been applied is what this reading's tag stands for.
fn record_tag(d: &mut Draft, home: &Home) {
    let applied = ledger::entry(&d.status, Slot::Configuration);
    if applied.is_some_and(|entry| entry.state == SlotState::Exists && entry.id.is_none()) {
        let tag = home.configuration_tag.clone();
        ledger::exists(&mut d.status, Slot::Configuration, tag);
    }
}

/// The deployment is up: is the agent?
fn up(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    d.say(Statement::yes(
        kind::DEPLOYED,
        reason::DEPLOYED,
        "the deployment runs what the spec asks for",
    ));
    if d.status
        .deployment
        .as_ref()
        .is_some_and(|known| known.ready)
    {
        d.say(Statement::yes(
            kind::HEALTHY,
            reason::READY,
            "the agent has said that it is ready",
        ));
        return wait(None);
    }
    match (&w.pass.agent, host(&d.status)) {
        (_, None) => starting(w, d, template),
        (None, Some(host)) => act(Step::AskAgent {
            host,
            readiness: template.readiness.clone(),
        }),
        (Some(Health::Ready { .. }), _) => {
            if let Some(known) = &mut d.status.deployment {
                known.ready = true;
                known.answer = None;
            }
            rollout::over(&mut d.status);
            let now = ledger::moment(w.now);
            d.status
                .timings
                .get_or_insert_default()
                .ready
                .get_or_insert(now);
            d.say(Statement::yes(
                kind::HEALTHY,
                reason::READY,
                "the agent has said that it is ready",
            ));
            wait(None)
        }
        (Some(Health::NotReady(answer)), Some(host)) => {
            hear(w, d, *answer);
            let heard = heard(d, &host, &template.readiness);
            d.say(Statement::no(
                kind::HEALTHY,
                reason::WAITING_FOR_AGENT,
                format!("the agent is not ready: {heard}"),
            ));
            starting(w, d, template)
        }
    }
}

/// Takes in what the agent answered. An answer of another kind is written at the earliest as long after the last one as
/// that was after the deployment: one that has lasted is told at once when it changes, and an agent that answers now so,
/// now so costs fewer and fewer writes.
fn hear(w: &World, d: &mut Draft, answer: Answer) {
    let Some(deployment) = &mut d.status.deployment else {
        return;
    };
    let word = answer.word();
    let early = deployment.answer.as_ref().is_some_and(|last| {
        let lasted = last.since.0.duration_since(deployment.since.0);
        let pause = lasted.clamp(SignedDuration::from_secs(2), SignedDuration::from_mins(10));
        last.kind == word || w.now < last.since.0 + pause
    });
    if !early {
        deployment.answer = Some(AnswerStatus {
            kind: word,
            since: ledger::moment(w.now),
        });
    }
}

/// What the status has of the agent's answer, as people read it.
fn heard(d: &Draft, host: &str, readiness: &Readiness) -> String {
    let answer = d.status.deployment.as_ref().and_then(told);
    let Readiness { path, expects } = readiness;
    match answer {
        Some(answer) => format!(
            "GET https://{host}{path} {answer}; expected {expects} (runtime.contract.health)"
        ),
        None => format!("GET https://{host}{path} has not been answered yet"),
    }
}

/// The answer that the status tells of.
fn told(deployment: &DeploymentStatus) -> Option<Answer> {
    Answer::of_word(&deployment.answer.as_ref()?.kind)
}

/// Waits for a deployment to come up, and says so when it takes too long.
fn starting(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let since = d
        .status
        .deployment
        .as_ref()
        .map_or(w.now, |known| known.since.0);
    let next = retry::next_look(since, w.now);
    if w.now.duration_since(since) >= template.startup_deadline {
        let answered = d
            .status
            .deployment
            .as_ref()
            .is_some_and(|one| one.answer.is_some());
        let why = match host(&d.status).filter(|_| answered) {
            Some(host) => heard(d, &host, &template.readiness),
            None => "the deployment has not come up".to_owned(),
        };
        let message = format!(
            "not ready within startupDeadline ({} s): {why}; see the agent's logs at the provider and correct the image, the command, the variables or runtime.contract.health; it is still asked now and then",
            template.startup_deadline.as_secs()
        );
        d.stalled_on(kind::READY, reason::STARTUP_DEADLINE_EXCEEDED, message);
        return wait(Some(next));
    }
    d.working(
        reason::WAITING_FOR_AGENT,
        "waiting for the deployment and the agent in it",
    );
    // What an agent does not answer while it starts is told at once: waiting will not mend it.
    let usual = |status: &AgentInstanceStatus| {
        let answer = status.deployment.as_ref().and_then(told);
        answer.is_none_or(Answer::is_of_a_start)
    };
    if usual(&d.status) && usual(&w.status()) {
        quietly(w, d, since);
    }
    wait(Some(next.min(since + template.startup_deadline)))
}

/// Reads the project by itself, or waits until it is worth reading again.
fn look(w: &World, d: &mut Draft, project: String, asked_at: Option<Timestamp>) -> Phase {
    d.working_on(
        kind::DEPLOYED,
        reason::DEPLOYING,
        "waiting for the provider to show the deployment",
    );
    if w.outside.looked.is_some() {
        quietly(w, d, asked_at.unwrap_or(w.now));
        return wait(Some(retry::next_look(asked_at.unwrap_or(w.now), w.now)));
    }
    act(Step::Look { project })
}

/// Every stage that a deployment goes through within its first minute is the same to people: it is on its way. Only
/// what comes of it, or that it takes longer, is written (design 5: at most six writes from apply to Ready).
fn quietly(w: &World, d: &mut Draft, since: Timestamp) {
    const MINUTE: SignedDuration = SignedDuration::from_mins(1);
    let said = w.status();
    let on_its_way = find(&said.conditions, kind::RECONCILING).is_some_and(|one| {
        matches!(
            one.reason.as_str(),
            reason::DEPLOYING | reason::WAITING_FOR_AGENT
        )
    });
    if on_its_way
        && said.observed_generation == w.instance.metadata.generation
        && w.now.duration_since(since) < MINUTE
    {
        d.status = said;
        d.unchanged = true;
    }
}

/// Nothing newer was seen, and nothing is expected.
fn still(w: &World, d: &mut Draft) -> Phase {
    d.say(Statement::no(
        kind::SUSPENDED,
        reason::RUNNING,
        "operatingMode is Running",
    ));
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
fn not_begun(
    w: &World,
    d: &mut Draft,
    project: String,
    environment: String,
    service: String,
    asked_at: Option<Timestamp>,
) -> Phase {
    let asked = asked_at.unwrap_or(w.now);
    d.working_on(
        kind::DEPLOYED,
        reason::DEPLOYING,
        "waiting for the provider to begin the deployment",
    );
    if w.now >= w.limits.landed_by(asked) && w.outside.looked.is_some() {
        // Applied, and silently no deployment: ask for one.
        return act(Step::Deploy {
            environment,
            service,
        });
    }
    if w.outside.looked.is_some() {
        quietly(w, d, asked);
        return wait(Some(
            retry::next_look(asked, w.now).min(w.limits.landed_by(asked).max(w.now)),
        ));
    }
    act(Step::Look { project })
}

/// Ends what costs money, keeps what holds data.
fn suspend(w: &World, d: &mut Draft, newest: Option<&Deployment>, project: String) -> Phase {
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
    match running {
        None => {
            d.say(Statement::yes(
                kind::SUSPENDED,
                reason::SUSPENDED,
                "nothing runs; project, volume and address are kept",
            ));
            wait(None)
        }
        Some(newest) => {
            d.say(Statement::no(
                kind::SUSPENDED,
                reason::PENDING,
                "ending the deployment",
            ));
            d.working(reason::SUSPENDED, "ending the deployment");
            match &w.outside.looked {
                None => act(Step::Look { project }),
                // Asked for in this pass, and not shown yet.
                Some(_) if w.pass.stopped => wait(Some(w.now + SignedDuration::from_secs(1))),
                Some(_) => act(Step::Stop {
                    deployment: newest.id.clone(),
                }),
            }
        }
    }
}

/// The agent's host name.
fn host(status: &AgentInstanceStatus) -> Option<String> {
    status
        .url
        .as_deref()?
        .strip_prefix("https://")
        .map(str::to_owned)
}
