//! What a pool says of itself.
//!
//! Holds: a sentence says nothing that changes without a change of what it speaks of.

use super::around::{Counts, PoolAround, PoolTemplate, has_stopped, size};
use super::updates::PoolRollout;
use crate::api::condition::{Statement, conclude, kind, reason};
use crate::api::pool::{ReplacementFailures, StoppedUpdate};
use crate::api::updates::UpdateStrategyType;
use crate::api::{AgentPool, POOL_LABEL};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

/// By which its agents are found.
pub(super) fn selector(pool: &AgentPool) -> String {
    format!("{POOL_LABEL}={}", pool.name_any())
}

/// All conditions of a pool.
pub(super) fn conditions(
    pool: &AgentPool,
    around: &PoolAround,
    (counts, rollout): (Counts, &PoolRollout),
    failures: Option<&ReplacementFailures>,
    moves: bool,
    now: Timestamp,
) -> Vec<Condition> {
    let wanted = size(pool.spec.replicas);
    let filled = counts.idle >= wanted;
    let quota = quota(pool, around, counts);
    let stalled = stalled(pool, around, counts, failures);
    let stalled = stalled.or_else(|| stopped(rollout));
    let mut sum = sum(counts, wanted);
    if let Some(shut) = shut(around).filter(|_| !filled) {
        sum = format!("{sum}; {shut}");
    }
    let mut said = Vec::new();
    said.push(match (&stalled, &quota) {
        _ if pool.metadata.deletion_timestamp.is_some() => Statement::no(
            kind::READY,
            reason::DELETING,
            "agents that no claim has are being deleted; claimed ones stay with their claims",
        ),
        _ if filled => Statement::yes(kind::READY, reason::FILLED, sum),
        (Some((reason, message)), _) => {
            Statement::no(kind::READY, reason, format!("{sum}: {message}"))
        }
        (None, Some(message)) => Statement::no(
            kind::READY,
            reason::QUOTA_EXCEEDED,
            format!("{sum}: {message}"),
        ),
        (None, None) => Statement::no(kind::READY, reason::FILLING, sum),
    });
    said.push(match counts.idle {
        0 if wanted > 0 => Statement::no(
            kind::AVAILABLE,
            reason::NO_AGENT_FREE,
            "a claim waits until an agent is ready",
        ),
        0 => Statement::no(
            kind::AVAILABLE,
            reason::NO_AGENT_FREE,
            "none is kept idle (replicas is 0): an agent is made for claims with whenEmpty Create alone",
        ),
        _ => Statement::yes(kind::AVAILABLE, reason::READY, ""),
    });
    said.push(match (around.paused, moves) {
        (true, _) => Statement::no(
            kind::PROGRESSING,
            reason::PAUSED,
            "nothing is made or deleted while it is paused",
        ),
        (false, true) => Statement::yes(kind::PROGRESSING, reason::FILLING, ""),
        (false, false) => Statement::no(kind::PROGRESSING, reason::CURRENT, ""),
    });
    said.extend(rolled_out(pool, around, counts, rollout));
    said.extend(
        quota.map(|message| Statement::yes(kind::QUOTA_EXCEEDED, reason::QUOTA_EXCEEDED, message)),
    );
    said.extend(stalled.map(|(reason, message)| Statement::yes(kind::STALLED, reason, message)));
    let old = pool.status.clone().unwrap_or_default();
    conclude(&old.conditions, &said, pool.metadata.generation, now)
}

/// The numbers of a pool's agents, in words.
fn sum(counts: Counts, wanted: usize) -> String {
    let mut sum = format!(
        "{} of {wanted} agents are idle, {} on their way, {} unhealthy",
        counts.idle,
        counts.coming + counts.unplaced,
        counts.unhealthy
    );
    if counts.updating > 0 {
        sum = format!("{sum}, {} being updated", counts.updating);
    }
    if counts.restored > 0 {
        sum = format!(
            "{sum}; beside them {} restored from a backup, which serve no claim and are not touched: delete them, or have each begin anew (RestoredElsewhere)",
            counts.restored
        );
    }
    sum
}

/// Which of its accounts cannot be used, where others can.
fn shut(around: &PoolAround) -> Option<String> {
    let (usable, shut): (Vec<_>, Vec<_>) = around.accounts.iter().partition(|one| one.usable);
    let names: Vec<&str> = shut.iter().map(|one| one.name.as_str()).collect();
    let told = !usable.is_empty() && !names.is_empty();
    told.then(|| {
        format!(
            "nothing can be made in {} now, whose own conditions say why",
            names.join(", ")
        )
    })
}

/// How far idle agents have come to the template's revision. Nothing where that is not known.
fn rolled_out(
    pool: &AgentPool,
    around: &PoolAround,
    counts: Counts,
    rollout: &PoolRollout,
) -> Option<Statement> {
    let PoolTemplate::Ready(_) = &around.template else {
        return None;
    };
    let kind = kind::ROLLED_OUT;
    if let Some((reason, message)) = stopped(rollout) {
        return Some(Statement::no(kind, reason, message));
    }
    let (behind, under_way) = (rollout.behind, rollout.under_way);
    if behind + under_way == 0 {
        let message = "every idle agent is at the template's revision";
        return Some(Statement::yes(kind, reason::ROLLED_OUT, message));
    }
    let numbers = format!(
        "{} idle agents are at the template's revision, {under_way} are being updated to it, {behind} are of another one",
        rollout.updated
    );
    let (reason, message) = match pool.spec.update_strategy.kind {
        UpdateStrategyType::OnReplenish => (
            reason::OUTDATED,
            format!(
                "{numbers}, and stay so until claims take them (updateStrategy.type OnReplenish)"
            ),
        ),
        UpdateStrategyType::RollingUpdate if around.paused => (
            reason::PAUSED,
            format!("{numbers}; nothing is updated while it is paused"),
        ),
        UpdateStrategyType::RollingUpdate => match no_room(pool, around, counts, rollout) {
            Some(why) => (
                reason::QUOTA_EXCEEDED,
                format!(
                    "{numbers}; none of them may be missing (maxUnavailable), and no other can be made first: {why}; make room, or let one be missing"
                ),
            ),
            None => (reason::ROLLING_OUT, numbers),
        },
    };
    Some(Statement::no(kind, reason, message))
}

/// Why an update does not begin: another agent would have to be made first, and there is no room for it.
fn no_room(
    pool: &AgentPool,
    around: &PoolAround,
    counts: Counts,
    rollout: &PoolRollout,
) -> Option<String> {
    let (wanted, most) = (around.wanted(pool), pool.spec.max_instances);
    let (missing, _) = pool.spec.update_strategy.pace(size(pool.spec.replicas));
    if missing > 0 || rollout.surge == 0 || rollout.under_way > 0 || counts.free > wanted {
        return None;
    }
    if let Some(most) = most.filter(|most| wanted + counts.claimed >= size(*most)) {
        return Some(format!("maxInstances lets there be {most}"));
    }
    let usable = || around.accounts.iter().filter(|one| one.usable);
    let full = usable().next().is_some() && usable().all(|one| one.room == 0);
    let said: Vec<String> = usable().filter_map(|one| one.full.clone()).collect();
    full.then(|| said.join("; "))
}

/// Why the update of idle agents has stopped.
fn stopped(rollout: &PoolRollout) -> Option<(&'static str, String)> {
    let StoppedUpdate { by, reason, .. } = rollout.stopped.as_ref()?;
    Some((
        reason::ROLLOUT_STOPPED,
        format!(
            "the update of idle agents has stopped: {by} took the template's revision and did not get ready ({reason}; its own conditions say more); {} are of another revision still; correct the template, and the next revision goes to {by} as well; to try this one again, delete {by}",
            rollout.behind
        ),
    ))
}

/// Why fewer are made than wanted, because more are not allowed.
fn quota(pool: &AgentPool, around: &PoolAround, counts: Counts) -> Option<String> {
    let wanted = around.wanted(pool);
    let most = pool.spec.max_instances.map(size);
    if let Some(most) = most.filter(|most| wanted + counts.claimed > *most) {
        return Some(format!(
            "{wanted} idle agents are wanted beside {} that claims have, and maxInstances lets there be {most}; raise it, or release claims",
            counts.claimed
        ));
    }
    let usable = || around.accounts.iter().filter(|one| one.usable);
    let full = usable().next().is_some() && usable().all(|one| one.room == 0);
    let full = full && counts.free < wanted;
    if !full && counts.unplaced == 0 {
        return None;
    }
    let mut said: Vec<String> = usable().filter_map(|one| one.full.clone()).collect();
    if said.is_empty() {
        said.push("the agents' own conditions say which".to_owned());
    }
    let why = said.join("; ");
    Some(match counts.unplaced {
        0 => why,
        held => format!("{held} agents are held back by a limit of their account: {why}"),
    })
}

/// What a person has to see to.
fn stalled(
    pool: &AgentPool,
    around: &PoolAround,
    counts: Counts,
    failures: Option<&ReplacementFailures>,
) -> Option<(&'static str, String)> {
    let template = &pool.spec.template_ref.name;
    let names = || {
        let names = around.accounts.iter().map(|one| one.name.as_str());
        names.collect::<Vec<&str>>().join(", ")
    };
    match &around.template {
        PoolTemplate::NotFound => Some((
            reason::TEMPLATE_NOT_FOUND,
            format!("there is no AgentTemplate {template} in this namespace; make it, or make another pool"),
        )),
        PoolTemplate::NotReady => Some((
            reason::TEMPLATE_NOT_READY,
            format!("AgentTemplate {template} cannot be used; its own conditions say why"),
        )),
        PoolTemplate::Bare => Some((
            reason::NO_RUNTIME,
            format!("AgentTemplate {template} only has a persona, and no agent can be made from it; make a pool of a template with a runtime, and name {template} in the personaRef of claims"),
        )),
        PoolTemplate::Mute => Some((
            reason::HARNESS_MISMATCH,
            format!("agents of AgentTemplate {template} cannot be told who they are, by its runtime.harness; use an image with yardmaster-runner in a template with runtime.entrypoint: Runner (docs/harness-contract.md), and make a pool of that"),
        )),
        PoolTemplate::Forgetful => Some((
            reason::VOLUME_MISSING,
            format!("agents of AgentTemplate {template} would forget whose they are at each start: behind the runner (runtime.entrypoint) that lies on the volume, and there is none; make another AgentTemplate with runtime.volume, and a pool of that"),
        )),
        PoolTemplate::Ready(_) if !around.accounts.iter().any(|one| one.usable) => Some((
            reason::ACCOUNT_NOT_READY,
            format!("none of its accounts can be used now ({}); their own conditions say why", names()),
        )),
        PoolTemplate::Ready(_) if counts.unhealthy > size(pool.spec.max_unhealthy) => Some((
            reason::TOO_MANY_UNHEALTHY,
            format!("{} agents are unhealthy at once, more than maxUnhealthy ({}): nothing is replaced before they are fewer; look at their conditions", counts.unhealthy, pool.spec.max_unhealthy),
        )),
        PoolTemplate::Ready(_) if has_stopped(failures) && counts.unhealthy > 0 => Some((
            reason::REPLACING_STOPPED,
            "agents that replaced others failed as well, and no more are tried; correct the template, or delete those that failed once the cause is gone".to_owned(),
        )),
        PoolTemplate::Ready(_) => None,
    }
}
