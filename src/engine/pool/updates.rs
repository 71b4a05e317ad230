//! Which idle agents of a pool take its template's new revision, and when.
//!
//! What holds: an agent is asked for it in its own spec, so that a claim which takes it meanwhile and the update exclude each other;
//! no more of `replicas` are missing by it than `maxUnavailable`; where one fails no further one is asked before the template is
//! another, and that one is kept, so that somebody can look at it. Deliberately absent: members of which the template's own rollout
//! moves (`rollout`), and how one is updated (`following`).

use super::agent::{AgentStanding, AskedUpdate, PoolAgent, UpdateStage};
use super::around::{PoolAround, PoolTemplate};
use crate::api::AgentPool;
use crate::api::condition::reason;
use crate::api::pool::StoppedUpdate;
use crate::api::updates::{UpdateStrategyType, UpdateTo};
use crate::engine::ledger;
use jiff::{SignedDuration, Timestamp};

/// What a pool asks of an agent, or takes back (`None`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolUpdate {
    /// Of which.
    pub agent: PoolAgent,
    /// What.
    pub to: Option<UpdateTo>,
}

/// Where the update of a pool's idle agents stands.
#[derive(Clone, Debug, Default)]
pub(super) struct PoolRollout {
    /// Idle at the template's revision.
    pub(super) updated: usize,
    /// Being updated to it.
    pub(super) under_way: usize,
    /// At another revision.
    pub(super) behind: usize,
    /// Why no further one is updated.
    pub(super) stopped: Option<StoppedUpdate>,
    /// What is asked of whom now.
    pub(super) asks: Vec<PoolUpdate>,
    /// How many more than `replicas` there are meanwhile.
    pub(super) surge: usize,
    /// Those that failed at the new revision: nobody replaces them by others of the same revision.
    kept: Vec<String>,
    /// When this changes by time alone.
    pub(super) again: Option<Timestamp>,
}

impl PoolRollout {
    /// Whether an agent has failed at the new revision, and is kept.
    pub(super) fn keeps(&self, agent: &PoolAgent) -> bool {
        self.kept.contains(&agent.uid)
    }
}

/// What is known of a pool, as its updates see it.
struct PoolPace<'a> {
    pool: &'a AgentPool,
    around: &'a PoolAround,
    current: &'a str,
    deadline: SignedDuration,
    now: Timestamp,
}

/// Where the update stands of a pool that wants so many idle agents.
pub(super) fn rollout(
    pool: &AgentPool,
    around: &PoolAround,
    wanted: usize,
    now: Timestamp,
) -> PoolRollout {
    let known = pool.status.as_ref();
    let known = known.and_then(|status| status.update_stopped.clone());
    let PoolTemplate::Ready(current) = &around.template else {
        // Of which revision it was is not known now, and nobody goes because of that who was made beside the others.
        let strategy = &pool.spec.update_strategy;
        let rolls = strategy.kind == UpdateStrategyType::RollingUpdate;
        return PoolRollout {
            stopped: known,
            surge: if rolls { strategy.pace(wanted).1 } else { 0 },
            ..PoolRollout::default()
        };
    };
    let deadline = SignedDuration::try_from(pool.spec.update_strategy.deadline());
    let pace = PoolPace {
        pool,
        around,
        current,
        deadline: deadline.unwrap_or(SignedDuration::MAX),
        now,
    };
    pace.rollout(known, wanted)
}

impl PoolPace<'_> {
    fn rollout(&self, known: Option<StoppedUpdate>, wanted: usize) -> PoolRollout {
        let rolls = self.pool.spec.update_strategy.kind == UpdateStrategyType::RollingUpdate;
        let mut standing = PoolRollout::default();
        let mut failed: Vec<(Timestamp, StoppedUpdate)> = Vec::new();
        let mut behind: Vec<&PoolAgent> = Vec::new();
        let members = self.around.agents.iter();
        for one in members.filter(|one| one.is_free() && one.standing != AgentStanding::Unread) {
            match self.asked(one) {
                Some(update) if update.stage != UpdateStage::Done => {
                    standing.under_way += 1;
                    standing.again = sooner(standing.again, self.until(update));
                }
                _ if one.revision.as_deref().is_some_and(|at| at != self.current) => {
                    behind.push(one);
                }
                _ if one.standing == AgentStanding::Idle => standing.updated += 1,
                _ => {}
            }
            if let Some((since, reason)) = self.failure(one).filter(|_| rolls) {
                standing.kept.push(one.uid.clone());
                let (revision, by) = (self.current.to_owned(), one.name.clone());
                failed.push((
                    since,
                    StoppedUpdate {
                        revision,
                        by,
                        reason,
                    },
                ));
            }
        }
        standing.behind = behind.len();
        if rolls {
            let known = known.filter(|known| known.revision == self.current);
            let known = known.filter(|known| !self.has_recovered(&known.by));
            failed.sort_by(|one, other| (one.0, &one.1.by).cmp(&(other.0, &other.1.by)));
            let first = failed.into_iter().next();
            standing.stopped = known.or_else(|| first.map(|(_, failure)| failure));
            self.ask(&mut standing, behind, wanted);
        }
        self.take_back(&mut standing);
        if !rolls || standing.under_way + standing.behind == 0 {
            standing.again = None;
        }
        standing
    }

    /// What was asked of an agent, where that is the template's revision.
    fn asked<'a>(&self, one: &'a PoolAgent) -> Option<&'a AskedUpdate> {
        let update = one.update.as_ref();
        update.filter(|update| update.revision == self.current)
    }

    /// Until when an update may take.
    fn until(&self, update: &AskedUpdate) -> Option<Timestamp> {
        let until = update.since.checked_add(self.deadline).ok()?;
        (until > self.now).then_some(until)
    }

    /// Whether an agent has failed at the new revision, since when it was asked to take it, and why.
    fn failure(&self, one: &PoolAgent) -> Option<(Timestamp, String)> {
        let update = self.asked(one)?;
        // Of what nobody can reach now nobody knows how far it is.
        if one.held || self.is_shut(one) || one.standing == AgentStanding::Idle {
            return None;
        }
        let (late, done) = (
            self.until(update).is_none(),
            update.stage == UpdateStage::Done,
        );
        let reason = match &update.failed {
            // What was ready for long and fails then says nothing of the revision.
            Some(reason) if !(late && done) => reason.clone(),
            _ if late && !done => reason::PROGRESS_DEADLINE_EXCEEDED.to_owned(),
            _ => return None,
        };
        Some((update.since, reason))
    }

    /// Whether its account is known to be of no use now.
    fn is_shut(&self, one: &PoolAgent) -> bool {
        let mut accounts = self.around.accounts.iter();
        accounts.any(|account| account.name == one.account && !account.usable)
    }

    /// Whether something can be done for it now. Of an account that the pool does not name any more only that much is known: what is
    /// idle can be reached.
    fn usable(&self, one: &PoolAgent) -> bool {
        let mut accounts = self.around.accounts.iter();
        let named = accounts.find(|account| account.name == one.account);
        named.map_or(one.standing == AgentStanding::Idle, |account| {
            account.usable
        })
    }

    /// Whether the agent that has stopped the update got ready at last.
    fn has_recovered(&self, name: &str) -> bool {
        let found = self.around.agents.iter().find(|one| one.name == name);
        found.is_some_and(|one| {
            let serves = one.claimed || one.standing == AgentStanding::Idle;
            serves && one.revision.as_deref() == Some(self.current)
        })
    }

    /// Asks as many as may be missing, those first that no claim could have anyway, then those that claims would take last.
    fn ask(&self, standing: &mut PoolRollout, behind: Vec<&PoolAgent>, wanted: usize) {
        let (missing, more) = self.pool.spec.update_strategy.pace(wanted);
        // What has stopped needs nobody beside it.
        if standing.stopped.is_none() {
            standing.surge = more.min(standing.behind + standing.under_way);
        }
        if standing.stopped.is_some() || self.around.paused {
            return;
        }
        let able = |one: &&PoolAgent| {
            one.version.is_some() && one.settled && !one.follows && !one.held && self.usable(one)
        };
        let (mut idle, mut other): (Vec<_>, Vec<_>) = behind
            .into_iter()
            .filter(able)
            .partition(|one| one.standing == AgentStanding::Idle);
        // What is replaced anyway is not updated as well.
        other.retain(|one| one.standing != AgentStanding::Unhealthy { replaceable: true });
        idle.sort_by_key(|one| (one.made, &one.name));
        other.sort_by_key(|one| (one.made, &one.name));
        idle.truncate(
            self.serving(standing)
                .saturating_sub(wanted.saturating_sub(missing)),
        );
        other.truncate(missing.max(1).saturating_sub(standing.under_way));
        let to = UpdateTo {
            revision: self.current.to_owned(),
            since: ledger::moment(self.now),
        };
        let asked = other.into_iter().chain(idle);
        standing.asks.extend(asked.map(|one| PoolUpdate {
            agent: one.clone(),
            to: Some(to.clone()),
        }));
    }

    /// How many a claim could have, those left out that have not been ready for long enough.
    fn serving(&self, standing: &mut PoolRollout) -> usize {
        let proving = self.pool.spec.update_strategy.min_ready.as_ref();
        let proving = proving.and_then(|span| SignedDuration::try_from(span.duration()?).ok());
        let mut serving = 0;
        for one in &self.around.agents {
            if !one.is_free() || one.standing != AgentStanding::Idle {
                continue;
            }
            let new = one.revision.as_deref() == Some(self.current);
            let proven = one.ready_since.zip(proving.filter(|_| new));
            let proven = proven.and_then(|(since, span)| since.checked_add(span).ok());
            match proven.filter(|proven| *proven > self.now) {
                Some(proven) => standing.again = sooner(standing.again, Some(proven)),
                None => serving += 1,
            }
        }
        serving
    }

    /// What was asked for a revision that is not the template's any more is taken back: until then no claim can have the agent.
    fn take_back(&self, standing: &mut PoolRollout) {
        let other = |one: &&PoolAgent| {
            let update = one.update.as_ref();
            update.is_some_and(|update| {
                update.stage == UpdateStage::Asked && update.revision != self.current
            })
        };
        let free = self.around.agents.iter().filter(|one| one.is_free());
        for one in free.filter(other) {
            let asked = standing.asks.iter().any(|asks| asks.agent.uid == one.uid);
            if !asked && one.version.is_some() && !self.around.paused {
                standing.asks.push(PoolUpdate {
                    agent: one.clone(),
                    to: None,
                });
            }
        }
    }
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}
