//! Whose turn it is to take a template's new revision.
//!
//! What holds: the answer follows from the objects and the time alone, so that every observer gives the same one, also
//! two with different memories; at most `maxUnavailable` instances are under way; when one of those does not get ready
//! within `progressDeadline` no further one begins.

use super::world::RolloutTurn;
use crate::api::condition::{find, is_true, kind};
use crate::api::instance::{OperatingMode, UpdatePolicy};
use crate::api::template::Rollout;
use crate::api::{AgentInstance, AgentTemplate, Slot};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// Where a rollout stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Instances of the template, those being deleted left out.
    pub instances: usize,
    /// Ready at the current revision.
    pub updated: usize,
    /// Not at the current revision, waiting for their turn.
    pub waiting: usize,
    /// Not at the current revision, and not to be moved: Manual or Suspended.
    pub held: usize,
    /// Updated and not ready yet.
    pub under_way: usize,
    /// One that did not get ready in time.
    pub failed: Option<String>,
    /// Names of those that may begin, in order.
    pub turn: Vec<String>,
    /// When this changes by time alone.
    pub deadline: Option<Timestamp>,
}

/// Computes where the rollout of `template` to `revision` stands.
pub fn standing(
    rollout: &Rollout,
    revision: &str,
    members: &[&AgentInstance],
    now: Timestamp,
) -> Standing {
    let deadline = rollout
        .progress_deadline
        .duration()
        .and_then(|span| SignedDuration::try_from(span).ok())
        .unwrap_or(SignedDuration::from_mins(20));
    let mut standing = Standing::default();
    let mut waiting: Vec<&AgentInstance> = Vec::new();
    for member in members
        .iter()
        .filter(|member| member.metadata.deletion_timestamp.is_none())
    {
        standing.instances += 1;
        let Some(status) = &member.status else {
            continue;
        };
        // One that was never deployed has nothing to be rolled from.
        let Some(runs) = &status.template_revision else {
            continue;
        };
        let ready = is_true(&status.conditions, kind::READY);
        if runs == revision {
            if ready {
                standing.updated += 1;
            } else if member.spec.operating_mode == OperatingMode::Suspended {
                standing.held += 1;
            } else if let Some(begun) = update_begun(member) {
                standing.under_way += 1;
                let until = begun + deadline;
                if until <= now {
                    standing.failed.get_or_insert_with(|| member.name_any());
                } else {
                    standing.deadline =
                        Some(standing.deadline.map_or(until, |other| other.min(until)));
                }
            }
        } else if member.spec.update_policy == UpdatePolicy::Manual
            || member.spec.operating_mode == OperatingMode::Suspended
        {
            standing.held += 1;
        } else {
            waiting.push(member);
        }
    }
    standing.waiting = waiting.len();
    // Those that serve nobody come first: to update them costs nothing, and may mend them.
    waiting.sort_by_key(|member| {
        let ready = member
            .status
            .as_ref()
            .is_some_and(|status| is_true(&status.conditions, kind::READY));
        (ready, member.uid())
    });
    if standing.failed.is_none() {
        let most = usize::try_from(rollout.max_unavailable).unwrap_or(1);
        let room = most.saturating_sub(standing.under_way);
        standing.turn = waiting
            .iter()
            .take(room)
            .map(|member| member.name_any())
            .collect();
    }
    standing
}

/// When the update that an instance is under began; `None` where it is its first deployment, or where it has been ready
/// since: what goes down days later says nothing about the rollout.
fn update_begun(member: &AgentInstance) -> Option<Timestamp> {
    let status = member.status.as_ref()?;
    let entry = status
        .external
        .iter()
        .find(|entry| entry.slot == Slot::Configuration)?;
    let unready_since =
        find(&status.conditions, kind::READY).map(|ready| ready.last_transition_time.0);
    // Conditions count whole seconds, and turn with the intent of the update.
    let since_then = unready_since
        .is_none_or(|since| since <= entry.started_at.0 + SignedDuration::from_secs(2));
    (entry.attempt > 1 && since_then).then_some(entry.started_at.0)
}

/// Whether it is this instance's turn.
pub fn turn(standing: &Standing, name: &str) -> RolloutTurn {
    if let Some(because) = &standing.failed {
        return RolloutTurn::Stopped {
            because: because.clone(),
        };
    }
    if standing.turn.iter().any(|other| other == name) {
        RolloutTurn::Yes
    } else {
        RolloutTurn::Wait
    }
}

/// The instances of a template among all.
pub fn members<'a>(
    template: &AgentTemplate,
    all: impl Iterator<Item = &'a AgentInstance>,
) -> Vec<&'a AgentInstance> {
    let (name, namespace) = (template.name_any(), template.namespace());
    all.filter(|one| one.namespace() == namespace && one.spec.template_ref.name.0 == name)
        .collect()
}
