//! The agent in a deployment: it is asked until it has said that it is ready, and what it answers is told.
//!
//! Holds: an answer of another kind is written ever more seldom while an agent wavers; a usual start is written once.

use super::draft::{Draft, Phase, act, wait};
use super::step::Step;
use super::world::{TemplateReady, World};
use super::{ledger, retry, rollout};
use crate::api::condition::{Statement, find, kind, reason};
use crate::api::deployment::{AnswerStatus, HarnessStatus};
use crate::api::{AgentInstanceStatus, DeploymentStatus};
use crate::model::{Answer, Health, ReadinessProbe, harness};
use jiff::{SignedDuration, Timestamp};

/// The deployment is up: is the agent?
pub(super) fn up(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
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
        d.say(ready());
        // Between some harnesses a template changes without a deployment.
        if let Some(known) = &mut d.status.harness
            && known.name != template.harness
            && d.status.template_revision.as_ref() == Some(&template.revision)
        {
            *known = harness_status(template, None);
        }
        return wait(None);
    }
    match (&w.pass.agent, host(&d.status)) {
        (_, None) => starting(w, d, template),
        (None, Some(host)) => act(Step::AskAgent {
            host,
            readiness: template.readiness.clone(),
        }),
        (Some(Health::Ready { version }), _) => {
            d.status.harness = Some(harness_status(template, version.as_deref()));
            if let Some(known) = &mut d.status.deployment {
                known.ready = true;
                known.answer = None;
            }
            rollout::over(&mut d.status);
            let now = ledger::moment(w.now);
            let timings = d.status.timings.get_or_insert_default();
            timings.ready.get_or_insert(now);
            d.say(ready());
            wait(None)
        }
        (Some(Health::NotReady(answer)), Some(host)) => {
            hear(w, d, *answer);
            let heard = heard(d, &host, template);
            d.say(Statement::no(
                kind::HEALTHY,
                reason::WAITING_FOR_AGENT,
                format!("the agent is not ready: {heard}"),
            ));
            starting(w, d, template)
        }
    }
}

fn ready() -> Statement {
    let message = "the agent has said that it is ready";
    Statement::yes(kind::HEALTHY, reason::READY, message)
}

/// The program that has said that it is ready.
fn harness_status(template: &TemplateReady, version: Option<&str>) -> HarnessStatus {
    HarnessStatus {
        name: template.harness.to_owned(),
        version: version.map(str::to_owned),
    }
}

/// That the agent's program is of a version that its row was not tried with. Nothing where that is not known.
pub(super) fn unsupported(status: &AgentInstanceStatus) -> Option<Statement> {
    let HarnessStatus { name, version } = status.harness.as_ref()?;
    let (version, versions) = (version.as_ref()?, harness::named(name)?.versions?);
    (versions.holds(version) == Some(false)).then(|| {
        Statement::no(
            kind::HARNESS_SUPPORTED,
            reason::VERSION_NOT_SUPPORTED,
            format!(
                "the agent says that it is {name} {version}, and Yardmaster was tried with {name} {}: what it is started with and asked may mean something else there; take an image of a version inside, or harness http",
                versions.range()
            ),
        )
    })
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
fn heard(d: &Draft, host: &str, template: &TemplateReady) -> String {
    let answer = d.status.deployment.as_ref().and_then(told);
    let readiness = &template.readiness;
    let ReadinessProbe { path, expects, .. } = readiness;
    match answer {
        Some(answer) if template.runner => format!(
            "GET https://{host}{path} {answer}; expected {expects}{}",
            of_a_runner(answer)
        ),
        Some(answer) => format!(
            "GET https://{host}{path} {answer}; expected {expects} (runtime.contract.health){}",
            refused(answer, readiness)
        ),
        None => format!("GET https://{host}{path} has not been answered yet"),
    }
}

/// What it means that the runner does not say that its program is ready.
fn of_a_runner(answer: Answer) -> &'static str {
    match answer {
        Answer::Status(502..=504) | Answer::NotRunning | Answer::NotReached | Answer::NoAnswer => {
            ", which the runner answers once its program is ready; the agent's log at the provider says how that starts, or why it does not"
        }
        _ => {
            "; the runner answers nothing else than that and 503: the image's entrypoint is not yardmaster-runner, see images/README.md"
        }
    }
}

/// What it means that an agent does not let us in.
fn refused(answer: Answer, readiness: &ReadinessProbe) -> String {
    match (answer, &readiness.credential) {
        (Answer::Status(401 | 403), Some(shown)) => format!(
            "; it refuses its token, which was sent as {} and is in its variable {}: it reads another variable (runtime.contract.tokenVariable), or wants it in another form (runtime.contract.auth)",
            shown.form, shown.variable
        ),
        (Answer::Status(401 | 403), None) => {
            "; it wants a credential, and none is sent there: write another path (runtime.contract.health), or how it takes its token (runtime.contract.auth)".to_owned()
        }
        _ => String::new(),
    }
}

/// The answer that the status tells of.
fn told(deployment: &DeploymentStatus) -> Option<Answer> {
    Answer::of_word(&deployment.answer.as_ref()?.kind)
}

/// Waits for a deployment to come up, and says so when it takes too long.
pub(super) fn starting(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
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
            Some(host) => heard(d, &host, template),
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

/// Every stage that a deployment goes through within its first minute is the same to people: it is on its way. Only
/// what comes of it, or that it takes longer, is written (design 5: at most six writes from apply to Ready).
pub(super) fn quietly(w: &World, d: &mut Draft, since: Timestamp) {
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

/// The agent's host name.
fn host(status: &AgentInstanceStatus) -> Option<String> {
    status
        .url
        .as_deref()?
        .strip_prefix("https://")
        .map(str::to_owned)
}
