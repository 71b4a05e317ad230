//! What a pool does: which agents it makes, which of them it deletes, and what it says.
//!
//! What holds: an agent that a claim has is never deleted here; of those that wait to be claimed the least useful goes first;
//! there are never more than `maxInstances`; what failed is replaced ever more slowly, not at all once replacements fail as well, and
//! not while more than `maxUnhealthy` fail together. Deliberately absent: how an agent comes up, and who gets it (`line`, `claims`).

mod agent;
mod around;
mod telling;
mod unseen;
mod updates;

pub use agent::{AgentStanding, PoolAgent, claimable, is_current, is_emptied, settled};
pub use around::{PoolAccount, PoolAround, PoolTemplate};
pub use unseen::{Overdue, Unseen};
pub use updates::PoolUpdate;

use crate::api::pool::ReplacementFailures;
use crate::api::{AgentPool, AgentPoolStatus};
use agent::PATIENCE;
use around::{Counts, has_stopped, number, size};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;
use updates::PoolRollout;

/// What a pool does now.
#[derive(Clone, Debug)]
pub struct PoolPlan {
    /// An agent is made in each of these accounts.
    pub create: Vec<String>,
    /// These go.
    pub delete: Vec<PoolAgent>,
    /// This is asked of these.
    pub update: Vec<PoolUpdate>,
    /// Whether its finalizer comes off.
    pub let_go: bool,
    /// Its status.
    pub status: AgentPoolStatus,
    /// When to look again by itself.
    pub again: Option<Timestamp>,
}

/// The pause after the first of them; each next is twice as long.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// What a pool does now.
pub fn plan(pool: &AgentPool, around: &PoolAround, now: Timestamp) -> PoolPlan {
    let counts = Counts::of(&around.agents);
    let old = pool.status.clone().unwrap_or_default();
    let goes = pool.metadata.deletion_timestamp.is_some();
    let most = pool.spec.max_instances.map_or(usize::MAX, size);
    let room = most.saturating_sub(counts.claimed);
    let kept = size(pool.spec.replicas).min(room);
    let mut rollout = updates::rollout(pool, around, kept, now);
    let wanted = match goes {
        true => 0,
        false => (around.wanted(pool) + rollout.surge).min(room),
    };
    let (mut failures, recovers) = failures(old.failures, around, now);
    let mut delete = surplus(around, counts.free.saturating_sub(wanted));
    let mut again = [recovers, rollout.again].into_iter().flatten().min();
    let mut create = Vec::new();
    if !goes {
        let (replaced, pause) = replaced(pool, around, failures.as_ref(), &rollout, now);
        again = [again, pause].into_iter().flatten().min();
        let replaced: Vec<PoolAgent> = replaced
            .into_iter()
            .filter(|one| !delete.contains(one))
            .collect();
        if !replaced.is_empty() {
            failures = Some(failed(failures, around, now));
            delete.extend(replaced);
        }
        let missing = wanted.saturating_sub(counts.free);
        create = self::create(pool, around, missing, counts.coming, most);
    }
    if around.paused {
        (create, delete) = (Vec::new(), Vec::new());
    }
    let mut update = std::mem::take(&mut rollout.asks);
    update.retain(|asks| !goes && !delete.contains(&asks.agent));
    let moves = !create.is_empty() || !delete.is_empty() || counts.coming > 0;
    let moves = moves || rollout.under_way > 0 || !update.is_empty();
    let conditions = telling::conditions(
        pool,
        around,
        (counts, &rollout),
        failures.as_ref(),
        moves,
        now,
    );
    PoolPlan {
        create,
        delete,
        update,
        let_go: goes && around.agents.iter().all(PoolAgent::is_parted),
        status: AgentPoolStatus {
            conditions,
            failures,
            update_stopped: rollout.stopped,
            updated: Some(number(rollout.updated)),
            ..status(pool, around, counts)
        },
        again,
    }
}

/// What was counted.
fn status(pool: &AgentPool, around: &PoolAround, counts: Counts) -> AgentPoolStatus {
    AgentPoolStatus {
        observed_generation: pool.metadata.generation,
        replicas: Some(number(counts.free)),
        idle: Some(number(counts.idle)),
        creating: Some(number(counts.coming + counts.unplaced)),
        unhealthy: Some(number(counts.unhealthy)),
        updating: Some(number(counts.updating)),
        claimed: Some(number(counts.claimed)),
        waiting: around.waiting.clone(),
        selector: Some(telling::selector(pool)),
        ..AgentPoolStatus::default()
    }
}

/// Where to make agents: where this pool has the fewest of those accounts that have room.
fn create(
    pool: &AgentPool,
    around: &PoolAround,
    missing: usize,
    coming: usize,
    most: usize,
) -> Vec<String> {
    if !matches!(around.template, PoolTemplate::Ready(_)) {
        return Vec::new();
    }
    let at_once = size(pool.spec.max_creating).saturating_sub(coming);
    let many = missing
        .min(at_once)
        .min(most.saturating_sub(around.agents.len()));
    let mut lives: BTreeMap<&str, usize> = BTreeMap::new();
    for agent in &around.agents {
        *lives.entry(agent.account.as_str()).or_default() += 1;
    }
    let mut chosen: Vec<String> = Vec::new();
    for _ in 0..many {
        let taken =
            |account: &PoolAccount| chosen.iter().filter(|one| **one == account.name).count();
        let able = around
            .accounts
            .iter()
            .filter(|one| one.usable && one.room > taken(one));
        let least =
            able.min_by_key(|one| lives.get(one.name.as_str()).copied().unwrap_or(0) + taken(one));
        match least {
            Some(account) => chosen.push(account.name.clone()),
            None => break,
        }
    }
    chosen
}

/// The least useful of those that nobody has.
fn surplus(around: &PoolAround, many: usize) -> Vec<PoolAgent> {
    let free = around.agents.iter().filter(|one| one.is_free());
    let mut free: Vec<&PoolAgent> = free.collect();
    free.sort_by(|one, other| one.usefulness().cmp(&other.usefulness()));
    // One that was just made is looked at once it is seen.
    let known = free
        .into_iter()
        .take(many)
        .filter(|one| one.version.is_some() && !one.held);
    known.cloned().collect()
}

/// Those that failed and are replaced now; else when that is looked at again.
fn replaced(
    pool: &AgentPool,
    around: &PoolAround,
    failures: Option<&ReplacementFailures>,
    rollout: &PoolRollout,
    now: Timestamp,
) -> (Vec<PoolAgent>, Option<Timestamp>) {
    let failed = AgentStanding::Unhealthy { replaceable: true };
    let free = around.agents.iter().filter(|one| one.is_free());
    let those = free.filter(|one| one.standing == failed && !one.held && !rollout.keeps(one));
    let those: Vec<PoolAgent> = those.cloned().collect();
    let unhealthy = Counts::of(&around.agents).unhealthy;
    let together = unhealthy > size(pool.spec.max_unhealthy);
    let runs_out = runs_out(around, now);
    if those.is_empty() || together || has_stopped(failures) {
        return (Vec::new(), runs_out);
    }
    let next = failures.map(|failures| failures.last.0 + pause(failures.count));
    match next.filter(|next| *next > now) {
        Some(next) => (
            Vec::new(),
            [Some(next), runs_out].into_iter().flatten().min(),
        ),
        None => (those, runs_out),
    }
}

/// When the patience with one that is not ready any more runs out: nothing else is told of that.
fn runs_out(around: &PoolAround, now: Timestamp) -> Option<Timestamp> {
    let waits = AgentStanding::Unhealthy { replaceable: false };
    let free = around.agents.iter().filter(|one| one.is_free());
    let ends = free.filter(|one| one.standing == waits);
    let ends = ends.filter_map(|one| one.patience_ends);
    ends.filter(|ends| *ends >= now).min()
}

fn pause(failures: i32) -> SignedDuration {
    PAUSE * 2_i32.pow(u32::try_from(failures.clamp(1, 8)).unwrap_or(1) - 1)
}

/// What counts of earlier failures: nothing once an agent made after the last of them has stayed ready, or is a claim's, or the
/// template is another. Else when that is looked at again.
fn failures(
    old: Option<ReplacementFailures>,
    around: &PoolAround,
    now: Timestamp,
) -> (Option<ReplacementFailures>, Option<Timestamp>) {
    let Some(old) = old else {
        return (None, None);
    };
    let later = || around.agents.iter().filter(|one| one.made >= old.last.0);
    // One that gets ready and crashes is no better than one that never does.
    let proves = |one: &PoolAgent| match one.standing {
        AgentStanding::Idle => one.ready_since.map(|since| since + PATIENCE),
        _ => None,
    };
    let next = later().filter_map(proves).min();
    let came = later().any(|one| one.claimed) || next.is_some_and(|next| next <= now);
    let another =
        matches!(&around.template, PoolTemplate::Ready(now) if Some(now) != old.revision.as_ref());
    match another || came {
        true => (None, None),
        false => (Some(old), next),
    }
}

fn failed(
    before: Option<ReplacementFailures>,
    around: &PoolAround,
    now: Timestamp,
) -> ReplacementFailures {
    let last = Timestamp::from_second(now.as_second()).unwrap_or(now);
    ReplacementFailures {
        count: before.map_or(0, |before| before.count).saturating_add(1),
        last: Time(last),
        revision: match &around.template {
            PoolTemplate::Ready(revision) => Some(revision.clone()),
            _ => None,
        },
    }
}

#[cfg(test)]
mod races_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod updates_tests;
