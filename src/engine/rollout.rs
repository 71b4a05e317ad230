//! Whose turn it is to take a template's new revision.
//!
//! What holds: the answer follows from the objects and the time alone, so that every observer gives the same one, also
//! two with different memories. At most `maxUnavailable` instances that served somebody are down for it at once, and
//! at most as many that served nobody are begun beside them: those come first, take no place of the others, and say
//! nothing about the revision when they do not get ready. One that cannot move is passed, not waited for. One that
//! served, was begun and does not get ready within `progressDeadline` stops the rollout: no further one begins.
//!
//! Deliberately absent: what an instance changed by itself. `status.rollout` is written when the configuration takes
//! another revision and by nothing else, so an agent that its own variable broke later fails no rollout.

use super::ledger;
use super::world::RolloutTurn;
use crate::api::condition::{find, is_true, kind, reason};
use crate::api::instance::{AgentInstanceStatus, OperatingMode, RolloutStatus, UpdatePolicy};
use crate::api::template::Rollout;
use crate::api::{AgentInstance, AgentTemplate};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// Where a rollout stands. Instances that are being deleted are left out of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolloutProgress {
    /// Instances of the template.
    pub instances: usize,
    /// Ready at the current revision.
    pub updated: usize,
    /// At the current revision for the first time, or not even deployed, and not ready yet.
    pub coming: usize,
    /// Not at the current revision, and able to move: now, or when their turn comes.
    pub waiting: usize,
    /// Begun by the rollout and not ready yet.
    pub under_way: usize,
    /// Not ready, and to take no part: Manual or Suspended. Of those that are behind also the ready ones, and those that
    /// are Suspended and were never deployed.
    pub held: usize,
    /// Names of those that are behind and cannot move now, sorted.
    pub passed: Vec<String>,
    /// Names of those that have the revision and are not ready for reasons of their own, sorted.
    pub down: Vec<String>,
    /// The one that stops the rollout.
    pub failed: Option<Failure>,
    /// Names of those that may begin, in order.
    pub turn: Vec<String>,
    /// When this changes by time alone.
    pub deadline: Option<Timestamp>,
}

impl RolloutProgress {
    /// Instances that take part.
    pub fn following(&self) -> usize {
        self.instances - self.held
    }

    /// Whether every instance that takes part is ready at the current revision.
    pub fn rolled_out(&self) -> bool {
        self.updated == self.following()
    }
}

/// An instance that served, took the revision, and did not get ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    begun: Timestamp,
    /// Its name.
    pub name: String,
    /// Why, as its own condition has it.
    pub reason: String,
}

/// How many are begun and not ready.
#[derive(Default)]
struct UnderWay {
    served: usize,
    served_nobody: usize,
}

/// Computes where the rollout of `template` to `revision` stands. `usable`: whether an account can be used now.
pub fn standing(
    rollout: &Rollout,
    revision: &str,
    members: &[&AgentInstance],
    usable: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> RolloutProgress {
    let deadline = rollout
        .progress_deadline
        .duration()
        .and_then(|span| SignedDuration::try_from(span).ok())
        .unwrap_or(SignedDuration::from_mins(20));
    let mut standing = RolloutProgress::default();
    let mut under_way = UnderWay::default();
    let mut waiting: Vec<&AgentInstance> = Vec::new();
    for member in members
        .iter()
        .filter(|member| member.metadata.deletion_timestamp.is_none())
    {
        standing.instances += 1;
        // One that was never deployed has nothing to be rolled from.
        let Some((status, at_it)) = member
            .status
            .as_ref()
            .and_then(|status| Some((status, at(status, revision)?)))
        else {
            match member.spec.operating_mode {
                OperatingMode::Suspended => standing.held += 1,
                OperatingMode::Running => standing.coming += 1,
            }
            continue;
        };
        let able = |member: &AgentInstance| usable(member.spec.account_ref.name.as_str());
        let takes_no_part = member.spec.update_policy == UpdatePolicy::Manual
            || member.spec.operating_mode == OperatingMode::Suspended;
        if at_it && is_true(&status.conditions, kind::READY) {
            standing.updated += 1;
        } else if takes_no_part {
            standing.held += 1;
        } else if at_it {
            at_revision(
                &mut standing,
                &mut under_way,
                (member, status),
                able(member),
                deadline,
                now,
            );
        } else if passed_over(status) || unclear(status) || !able(member) {
            standing.passed.push(member.name_any());
        } else {
            waiting.push(member);
        }
    }
    standing.passed.sort();
    standing.down.sort();
    standing.waiting = waiting.len();
    standing.under_way = under_way.served + under_way.served_nobody;
    if standing.failed.is_none() {
        let most = usize::try_from(rollout.max_unavailable).unwrap_or(1);
        standing.turn = in_turn(waiting, &under_way, most);
    }
    standing
}

/// Counts one that has the revision and is not ready.
fn at_revision(
    standing: &mut RolloutProgress,
    under_way: &mut UnderWay,
    (member, status): (&AgentInstance, &AgentInstanceStatus),
    able: bool,
    deadline: SignedDuration,
    now: Timestamp,
) {
    let Some(update) = update(status) else {
        match status
            .timings
            .as_ref()
            .and_then(|timings| timings.ready.as_ref())
        {
            Some(_) => standing.down.push(member.name_any()),
            None => standing.coming += 1,
        }
        return;
    };
    // Nobody can see how far it is, so that its time says nothing.
    if !able || cut_off(status) || unclear(status) {
        standing.down.push(member.name_any());
        return;
    }
    let until = update.begun + deadline;
    let given_up = !update.speaks() && is_true(&status.conditions, kind::STALLED);
    if until > now && !given_up {
        match update.served {
            true => under_way.served += 1,
            false => under_way.served_nobody += 1,
        }
        standing.deadline = Some(standing.deadline.map_or(until, |other| other.min(until)));
    } else if update.speaks() {
        let failure = Failure {
            begun: update.begun,
            name: member.name_any(),
            reason: find(&status.conditions, kind::READY)
                .map(|ready| ready.reason.clone())
                .unwrap_or_default(),
        };
        // The first one stays the one that is named, whichever others follow.
        standing.failed = Some(match standing.failed.take() {
            Some(other) => other.min(failure),
            None => failure,
        });
    } else {
        standing.down.push(member.name_any());
    }
}

/// Who begins next: first those that serve nobody, because to update them costs nothing and may mend them. Of the others
/// first those that an earlier revision took down.
fn in_turn(waiting: Vec<&AgentInstance>, under_way: &UnderWay, most: usize) -> Vec<String> {
    let (mut served, mut served_nobody): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .partition(|member| member.status.as_ref().is_some_and(served));
    served_nobody.sort_by_key(|member| member.uid());
    served.sort_by_key(|member| {
        let ready = member
            .status
            .as_ref()
            .is_some_and(|status| is_true(&status.conditions, kind::READY));
        (ready, member.uid())
    });
    served_nobody.truncate(most.saturating_sub(under_way.served_nobody));
    served.truncate(most.saturating_sub(under_way.served));
    served_nobody
        .iter()
        .chain(&served)
        .map(|member| member.name_any())
        .collect()
}

/// An update that an instance is under.
struct Update {
    begun: Timestamp,
    served: bool,
    own_change: bool,
}

impl Update {
    /// Whether its not getting ready speaks of the template.
    fn speaks(&self) -> bool {
        self.served && !self.own_change
    }
}

/// The update that an instance is under; `None` where it is its first deployment, or where it has been ready since: what
/// goes down days later says nothing about the rollout.
fn update(status: &AgentInstanceStatus) -> Option<Update> {
    match &status.rollout {
        Some(update) if Some(&update.revision) == status.template_revision.as_ref() => {
            Some(Update {
                begun: update.begun_at.as_ref()?.0,
                served: update.served,
                own_change: update.own_change,
            })
        }
        _ => None,
    }
}

/// Whether an instance serves, or did until a rollout took it down: what comes of its next update speaks of the template.
fn served(status: &AgentInstanceStatus) -> bool {
    is_true(&status.conditions, kind::READY) || update(status).is_some_and(|update| update.speaks())
}

/// What is on record while the configuration takes `revision`: another try of the same revision, and a change of the
/// instance's own at it, leave that as it is. `own_change`: whether what is the instance's own changes with it.
pub fn taking(
    status: &AgentInstanceStatus,
    revision: &str,
    own_change: bool,
    now: Timestamp,
) -> RolloutStatus {
    if let Some(update) = &status.rollout
        && update.revision == revision
    {
        return update.clone();
    }
    let moves = behind(status, revision);
    RolloutStatus {
        revision: revision.to_owned(),
        begun_at: moves.then(|| ledger::moment(now)),
        served: moves && served(status),
        own_change: moves && own_change,
    }
}

/// Whether the status still says that the instance's account could not be used. What a tool's account is in trouble with
/// is told of the tools.
fn cut_off(status: &AgentInstanceStatus) -> bool {
    let said = |kind: &str| find(&status.conditions, kind).filter(|said| said.status == "False");
    let trouble = [reason::ACCOUNT_UNREACHABLE, reason::ACCOUNT_NOT_READY];
    said(kind::SYNCED).is_some_and(|said| trouble.contains(&said.reason.as_str()))
        && said(kind::TOOLS_READY).is_none()
}

/// The account can be used again: an update that was under way has all its time from now on.
pub(super) fn resumed(status: &mut AgentInstanceStatus, now: Timestamp) {
    if cut_off(status)
        && let Some(update) = &mut status.rollout
        && let Some(begun_at) = &mut update.begun_at
    {
        *begun_at = ledger::moment(now);
    }
}

/// The update has come to its end: the agent is ready, or takes no part any more.
pub fn over(status: &mut AgentInstanceStatus) {
    if let Some(update) = &mut status.rollout {
        update.begun_at = None;
    }
}

/// Whether an instance runs another revision than this.
pub(super) fn behind(status: &AgentInstanceStatus, revision: &str) -> bool {
    at(status, revision) == Some(false)
}

/// Whether an instance runs this revision. `None`: none was deployed yet. What runs as it was found runs none of the template's.
fn at(status: &AgentInstanceStatus, revision: &str) -> Option<bool> {
    if ledger::as_found(status) {
        return Some(false);
    }
    let runs = status.template_revision.as_ref()?;
    Some(runs == revision)
}

/// Whether an instance had its turn and could not take it.
fn passed_over(status: &AgentInstanceStatus) -> bool {
    find(&status.conditions, kind::TEMPLATE_SYNCED)
        .is_some_and(|said| said.status == "False" && said.reason == reason::PASSED_OVER)
}

/// Whether it is a restored object that waits for somebody to say whose things it may touch.
fn unclear(status: &AgentInstanceStatus) -> bool {
    let whose = [
        reason::RESTORED_ELSEWHERE,
        reason::IDENTITY_UNCLEAR,
        reason::IDENTITY_TAKEN,
    ];
    find(&status.conditions, kind::TEMPLATE_SYNCED)
        .is_some_and(|said| said.status == "Unknown" && whose.contains(&said.reason.as_str()))
}

/// Whether its pool asks it to take a revision. A claim's agent takes none by that, whatever was asked of it before.
pub fn is_asked(instance: &AgentInstance, revision: &str) -> bool {
    let spec = &instance.spec;
    let asked = spec.update_to.as_ref();
    spec.pool_ref.is_some()
        && spec.claim_ref.is_none()
        && spec.update_policy == UpdatePolicy::Manual
        && asked.is_some_and(|asked| asked.revision == revision)
}

/// Whether it is this instance's turn.
pub fn turn(standing: &RolloutProgress, member: &AgentInstance) -> RolloutTurn {
    if let Some(failure) = &standing.failed {
        return RolloutTurn::Stopped {
            because: failure.name.clone(),
        };
    }
    if member.status.as_ref().is_some_and(passed_over) {
        return RolloutTurn::Passed;
    }
    let name = member.name_any();
    if standing.turn.contains(&name) {
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
