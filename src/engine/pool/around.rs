//! What is known beside a pool, and counted of its agents.
//!
//! Holds: it is all that a plan is made from.

use super::agent::{AgentStanding, PoolAgent};
use crate::api::AgentPool;
use crate::api::pool::{ReplacementFailures, WaitingClaims};

/// What is known beside a pool.
#[derive(Clone, Debug)]
pub struct PoolAround {
    /// Its agents, with what was just written of them.
    pub agents: Vec<PoolAgent>,
    /// Its template.
    pub template: PoolTemplate,
    /// Its accounts, in its own order.
    pub accounts: Vec<PoolAccount>,
    /// Whether nothing is to be changed now.
    pub paused: bool,
    /// Claims that wait for one of its agents.
    pub waiting: Option<WaitingClaims>,
    /// How many of them want one more to be made than the pool keeps idle.
    pub asking: usize,
}

impl PoolAround {
    /// How many idle agents a pool wants: those that it keeps, and one for each claim that asks for it. Whoever is first in line gets
    /// the first of them.
    pub(super) fn wanted(&self, pool: &AgentPool) -> usize {
        size(pool.spec.replicas) + self.asking
    }
}

/// A pool's template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolTemplate {
    /// There is none of that name.
    NotFound,
    /// Nothing can be made from it now.
    NotReady,
    /// It only has a persona: no agent can be made from it.
    Bare,
    /// Its agents cannot be told who they are.
    Mute,
    /// Its agents are told by the runner, which has no disk to remember it.
    Forgetful,
    /// Agents are made from this revision.
    Ready(String),
}

/// An account of a pool's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolAccount {
    /// Its name.
    pub name: String,
    /// Whether it can be used now.
    pub usable: bool,
    /// How many more it lets there be.
    pub room: usize,
    /// Why that is none, with its numbers.
    pub full: Option<String>,
}

/// So many replacements in a row may come to nothing.
const MOST_FAILURES: i32 = 5;

/// Whether no more replacements are tried.
pub(super) fn has_stopped(failures: Option<&ReplacementFailures>) -> bool {
    failures.is_some_and(|failures| failures.count >= MOST_FAILURES)
}

/// How many agents of each kind there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) free: usize,
    pub(super) idle: usize,
    pub(super) coming: usize,
    pub(super) unhealthy: usize,
    pub(super) updating: usize,
    pub(super) unplaced: usize,
    pub(super) claimed: usize,
    pub(super) restored: usize,
}

impl Counts {
    pub(super) fn of(agents: &[PoolAgent]) -> Counts {
        let free = || agents.iter().filter(|one| one.is_free());
        let are =
            |wanted: fn(&AgentStanding) -> bool| free().filter(|one| wanted(&one.standing)).count();
        Counts {
            free: free().count(),
            idle: are(|one| *one == AgentStanding::Idle),
            coming: are(|one| *one == AgentStanding::Coming),
            unhealthy: are(|one| {
                matches!(one, AgentStanding::Unhealthy { .. } | AgentStanding::Unread)
            }),
            updating: are(|one| *one == AgentStanding::Updating),
            unplaced: are(|one| *one == AgentStanding::Unplaced),
            restored: agents
                .iter()
                .filter(|one| one.standing == AgentStanding::Restored && !one.claimed)
                .count(),
            claimed: agents.iter().filter(|one| one.claimed).count(),
        }
    }
}

/// A number of a spec.
pub(super) fn size(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// A number of a status.
pub(super) fn number(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
