//! The times of a claim, and what its pool says of them where the claim says nothing.
//!
//! What holds: what a pool says becomes the claim's own once it is in its status, and stays so whatever the pool says later.
//! Deliberately absent: what follows when a time has come.

use crate::api::claim::ReleasePolicy;
use crate::api::condition::{self, kind, reason};
use crate::api::instance::UpdatePolicy;
use crate::api::pool::ClaimDefaults;
use crate::api::text::Span;
use crate::api::{AgentClaim, AgentPool};
use jiff::{SignedDuration, Timestamp};

/// What the pool of a claim says for all its claims.
#[derive(Clone, Debug, Default)]
pub struct ClaimTerms {
    defaults: ClaimDefaults,
    /// When the pool was made: nobody has waited for its agents before that.
    since: Option<Timestamp>,
}

/// How long an agent may take to answer where nobody says it.
const PROVISION: SignedDuration = SignedDuration::from_secs(75);

impl ClaimTerms {
    /// Of a claim's pool; of none, nothing.
    pub fn of(pool: Option<&AgentPool>) -> ClaimTerms {
        let Some(pool) = pool else {
            return ClaimTerms::default();
        };
        let created = pool.metadata.creation_timestamp.as_ref();
        ClaimTerms {
            defaults: pool.spec.claim_defaults.clone().unwrap_or_default(),
            since: created.map(|created| created.0),
        }
    }

    /// Whether the agent follows its template once a claim has it.
    pub fn update_policy(&self, claim: &AgentClaim) -> UpdatePolicy {
        let own = claim.spec.update_policy.or(self.defaults.update_policy);
        own.unwrap_or(UpdatePolicy::Manual)
    }

    /// How long the claim has its agent, where the pool alone says it.
    pub(super) fn expires_after(&self, claim: &AgentClaim) -> Option<Span> {
        let own = claim.spec.expires_after.is_some();
        self.defaults.expires_after.clone().filter(|_| !own)
    }

    /// How long the agent may take to answer, where the pool alone says it.
    pub(super) fn provision_deadline(&self, claim: &AgentClaim) -> Option<Span> {
        let own = claim.spec.provision_deadline.is_some();
        self.defaults.provision_deadline.clone().filter(|_| !own)
    }
}

/// When the agent of a claim that was bound then is deleted, as the claim says it now, or as its pool did by then (`default`).
pub(super) fn expires(
    claim: &AgentClaim,
    default: Option<&Span>,
    bound: Timestamp,
) -> Option<Timestamp> {
    // What is to be kept is deleted at no time.
    let kept = claim.spec.release_policy == ReleasePolicy::Retain;
    let default = default.filter(|_| !kept);
    after(bound, claim.spec.expires_after.as_ref().or(default))
}

/// Until when a claim waits for an agent.
pub fn bind_by(claim: &AgentClaim, terms: &ClaimTerms) -> Option<Timestamp> {
    let created = claim.metadata.creation_timestamp.as_ref()?.0;
    if let Some(own) = &claim.spec.bind_deadline {
        return after(created, Some(own));
    }
    // What the claim said itself before it was changed is not its pool's word.
    let generation = claim.metadata.generation;
    let known = claim.status.as_ref();
    let known = known.filter(|status| status.observed_generation == generation);
    if let Some(known) = known.and_then(|status| status.bind_by.as_ref()) {
        return Some(known.0);
    }
    let begin = terms.since.map_or(created, |since| since.max(created));
    after(begin, terms.defaults.bind_deadline.as_ref())
}

/// From when on its agent may be told: it was handed over, and has the tools that it needs.
pub fn told_from(claim: &AgentClaim, handed_over: Timestamp) -> Timestamp {
    let status = claim.status.as_ref();
    let equipped = status.and_then(|status| status.tools_ready_at.as_ref());
    equipped.map_or(handed_over, |at| at.0.max(handed_over))
}

/// When its agent is given up, handed over by then and without an answer. The time that its tools took does not count. One that was bound
/// later than that has lost its status since, and its agent may serve: it has as long again.
pub fn give_up_at(claim: &AgentClaim, handed_over: Timestamp) -> Timestamp {
    let handed_over = told_from(claim, handed_over);
    let known = claim.status.as_ref();
    let said = known.and_then(|status| condition::find(&status.conditions, kind::BOUND));
    let bound = said.filter(|said| said.status == "True");
    let handed_over = bound.map_or(handed_over, |bound| {
        handed_over.max(bound.last_transition_time.0)
    });
    let known = known.and_then(|status| status.provision_deadline.as_ref());
    let own = claim.spec.provision_deadline.as_ref().or(known);
    let at = match own {
        Some(own) => after(handed_over, Some(own)),
        None => handed_over.checked_add(PROVISION).ok(),
    };
    at.unwrap_or(handed_over)
}

/// When a claim that has finished is deleted, where it says so.
pub fn deleted_at(claim: &AgentClaim) -> Option<Timestamp> {
    let ttl = claim.spec.ttl_after_finished.as_ref()?;
    let conditions = &claim.status.as_ref()?.conditions;
    let finished = conditions.iter().find(|one| {
        let kind_and_reason = (one.type_.as_str(), one.reason.as_str());
        one.status == "True" && FINISHED.contains(&kind_and_reason)
    })?;
    let goes = claim.metadata.deletion_timestamp.is_some();
    let at = after(finished.last_transition_time.0, Some(ttl));
    at.filter(|_| !goes)
}

/// What says that nothing more comes of a claim, and that nobody has to see to it.
const FINISHED: [(&str, &str); 3] = [
    (kind::EXPIRED, reason::EXPIRED),
    (kind::STALLED, reason::DEADLINE_EXCEEDED),
    (kind::STALLED, reason::PROVISION_FAILED),
];

fn after(begin: Timestamp, span: Option<&Span>) -> Option<Timestamp> {
    let span = SignedDuration::try_from(span?.duration()?).ok()?;
    begin.checked_add(span).ok()
}
