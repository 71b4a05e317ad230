//! What a claim says of itself, what it says that a later look must know, and its times.
//!
//! What holds: what ends a claim (its time, a refusal, an agent that is lost) stands in its status, so that nobody begins again; the
//! times count from its creation and from when it was bound. Deliberately absent: what is done next (`claims`).

mod news;
mod patience;
mod terms;

pub use news::{heard, outcome};
pub use patience::{HeardOfAgent, Reachability, is_given_up};
pub use terms::{ClaimTerms, bind_by, deleted_at, give_up_at};

use super::claims::{ClaimHold, ClaimView, PoolMember};
use crate::api::condition::{self, Statement, conclude, kind, reason};
use crate::api::{AgentClaim, AgentClaimStatus, AgentInstance, InstanceRef};
use crate::model::{AgentBinding, ClaimKept};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Something that became so of a claim.
#[derive(Clone, Debug)]
pub enum ClaimNews {
    /// There is no such pool.
    NoPool,
    /// No agent of the pool is free.
    NoAgent,
    /// There is an agent that a claim of this name had, restored from a backup.
    Restored {
        /// Its name.
        agent: String,
    },
    /// It waited until its deadline.
    TooLate,
    /// Nothing is done to its agent now.
    Paused,
    /// It has an agent.
    Bound {
        /// Which.
        instance: InstanceRef,
        /// Where the agent answers.
        url: Option<String>,
    },
    /// Its agent has not answered yet.
    Untold {
        /// Why.
        why: String,
    },
    /// Its agent knows who it is, and has answered this.
    Told(BTreeMap<String, String>),
    /// Its agent knows who it is, and somebody has to let it in.
    Pending(BTreeMap<String, String>),
    /// Its agent refuses what the claim says.
    Refused(String),
    /// Its agent could not be told, and is gone.
    Rejected,
    /// As many agents as it may try could not be told.
    Failed,
    /// Its agent is gone, or somebody else's.
    Lost,
    /// It had its agent as long as it wanted.
    Expired,
}

/// Whether its time with its agent is over, and that is not said yet.
pub fn expires(claim: &AgentClaim, now: Timestamp) -> bool {
    let view = view(claim);
    let at = claim.status.as_ref();
    let at = at.and_then(|status| status.expires_at.as_ref());
    !view.over && view.names.is_some() && at.is_some_and(|at| at.0 <= now)
}

/// Whether it has waited for an agent as long as it would.
pub fn is_late(claim: &AgentClaim, terms: &ClaimTerms, now: Timestamp) -> bool {
    waits(claim) && bind_by(claim, terms).is_some_and(|at| at <= now)
}

/// Whether what an agent says of whom it belongs to lets its claim be ready: nobody has to let it in any more, and it is the claim's.
pub fn is_let_in(claim: &AgentClaim, said: &AgentBinding) -> bool {
    match said {
        AgentBinding::Says {
            claim: kept,
            pending: false,
            ..
        } => match kept {
            ClaimKept::Of(uid) => Some(uid) == claim.uid().as_ref(),
            ClaimKept::Unsaid => true,
            ClaimKept::Nothing => false,
        },
        _ => false,
    }
}

/// Whether it waits for an agent.
pub fn waits(claim: &AgentClaim) -> bool {
    let view = view(claim);
    view.names.is_none() && !view.over && !says(claim, kind::STALLED, reason::PROVISION_FAILED)
}

/// Whether its agent has refused it, or is lost: nothing more is done for it but by a person.
pub fn is_settled(claim: &AgentClaim) -> bool {
    says(claim, kind::STALLED, reason::PROVISION_REFUSED)
        || says(claim, kind::STALLED, reason::AGENT_LOST)
}

/// Whether its agent has answered to all that it says now, and nobody has to let it in.
pub fn is_served(claim: &AgentClaim) -> bool {
    let (view, meta) = (view(claim), &claim.metadata);
    let status = claim.status.as_ref();
    let observed = status.is_some_and(|status| status.observed_generation == meta.generation);
    view.ready && !view.over && observed && !is_pending(claim) && !is_settled(claim)
}

/// Whether its time was over.
pub fn has_expired(claim: &AgentClaim) -> bool {
    says(claim, kind::EXPIRED, reason::EXPIRED)
}

/// Whether its agent waits to be let in.
pub fn is_pending(claim: &AgentClaim) -> bool {
    let conditions = claim.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|one| one.type_ == kind::READY)
        .any(|one| one.reason == reason::ACCEPTANCE_PENDING)
}

fn says(claim: &AgentClaim, kind: &str, reason: &str) -> bool {
    let conditions = claim.status.iter().flat_map(|status| &status.conditions);
    let mut found = conditions.filter(|one| one.type_ == kind && one.status == "True");
    found.any(|one| one.reason == reason)
}

/// A claim, for the protocol.
pub fn view(claim: &AgentClaim) -> ClaimView<String> {
    let status = claim.status.as_ref();
    let conditions = status.map(|status| &status.conditions);
    let ready = conditions.is_some_and(|all| condition::is_true(all, kind::READY));
    let late = says(claim, kind::STALLED, reason::DEADLINE_EXCEEDED);
    ClaimView {
        uid: claim.uid().unwrap_or_default(),
        names: status
            .and_then(|status| status.instance_ref.as_ref())
            .map(|named| named.uid.clone()),
        rejected: status.map_or(0, |status| status.rejected.len()),
        // What its agent has answered, it has.
        ready: ready || is_pending(claim) || says(claim, kind::STALLED, reason::AGENT_LOST),
        over: claim.metadata.deletion_timestamp.is_some() || late || has_expired(claim),
    }
}

/// An instance, for the protocol.
pub fn member(instance: &AgentInstance) -> PoolMember<String> {
    let created = instance.metadata.creation_timestamp.as_ref();
    PoolMember {
        uid: instance.uid().unwrap_or_default(),
        made: created.map_or(0, |created| created.0.as_second()),
        hold: instance.spec.claim_ref.as_ref().map(|hold| ClaimHold {
            claim: hold.uid.clone(),
            handed_over: hold.handed_over_at.is_some(),
        }),
        deleting: instance.metadata.deletion_timestamp.is_some(),
    }
}

/// A claim's status, once something became so. `terms`: of its pool.
pub fn status(
    claim: &AgentClaim,
    news: &ClaimNews,
    terms: &ClaimTerms,
    now: Timestamp,
) -> AgentClaimStatus {
    let mut new = claim.status.clone().unwrap_or_default();
    new.observed_generation = claim.metadata.generation;
    new.bind_by = bind_by(claim, terms).map(Time);
    match news {
        ClaimNews::Bound { instance, url } => {
            new.instance_ref = Some(instance.clone());
            new.url.clone_from(url);
            new.expires_at = terms.expires_at(claim, now).map(Time);
            new.provision_deadline = terms.provision_deadline(claim);
        }
        ClaimNews::Told(result) | ClaimNews::Pending(result) => new.result.clone_from(result),
        ClaimNews::Rejected => {
            new.rejected.extend(new.instance_ref.take());
            (new.url, new.expires_at, new.provision_deadline) = (None, None, None);
        }
        _ => {}
    }
    let said = said(claim, news);
    new.conditions = conclude(&new.conditions, &said, claim.metadata.generation, now);
    new
}

fn said(claim: &AgentClaim, news: &ClaimNews) -> Vec<Statement> {
    use ClaimNews::{
        Bound, Expired, Failed, Lost, Paused, Pending, Refused, Told, TooLate, Untold,
    };
    let (reason, message) = word(claim, news);
    let has = match news {
        Bound { .. } | Untold { .. } | Told(_) | Pending(_) | Refused(_) => true,
        Paused => view(claim).names.is_some(),
        _ => false,
    };
    let mut said = vec![match has {
        true => Statement::yes(kind::BOUND, reason::BOUND, ""),
        false => Statement::no(kind::BOUND, reason, &message),
    }];
    said.push(match news {
        Told(_) => Statement::yes(kind::READY, reason, &message),
        _ => Statement::no(kind::READY, reason, &message),
    });
    if matches!(news, Expired) {
        said.push(Statement::yes(kind::EXPIRED, reason, ""));
    }
    if matches!(news, TooLate | Refused(_) | Failed | Lost) {
        said.push(Statement::yes(kind::STALLED, reason, message));
    }
    said
}

/// Why it is ready or not, in a word and in a sentence.
fn word(claim: &AgentClaim, news: &ClaimNews) -> (&'static str, String) {
    let pool = &claim.spec.pool_ref.name;
    let said = |reason: &'static str, message: &str| (reason, message.to_owned());
    match news {
        ClaimNews::NoPool => said(
            reason::POOL_NOT_FOUND,
            &format!("there is no AgentPool {pool} in this namespace; the claim waits for it"),
        ),
        ClaimNews::NoAgent => said(
            reason::NO_AGENT_FREE,
            &format!("waits for an agent of AgentPool {pool}, whose conditions say what it does"),
        ),
        ClaimNews::Restored { agent } => said(
            reason::RESTORED_ELSEWHERE,
            &format!(
                "AgentInstance {agent} was restored from a backup and belongs to a claim of this name that was another one: it may know who it is; delete it, and this claim takes another agent, or make the claim under another name"
            ),
        ),
        ClaimNews::Rejected => said(
            reason::NO_AGENT_FREE,
            "its agent could not be told who it is, and is gone; another one is taken",
        ),
        ClaimNews::TooLate => said(
            reason::DEADLINE_EXCEEDED,
            "no agent was free until bindBy; make another claim, with a later bindDeadline or none, or a larger pool",
        ),
        ClaimNews::Paused => said(
            reason::PAUSED,
            "nothing is done to its agent now: the agent, its template, its account or the installation is paused, or less is remembered of the account than was; their conditions say which",
        ),
        ClaimNews::Bound { .. } => said(reason::PROVISIONING, "its agent is being told who it is"),
        ClaimNews::Untold { why } => said(
            reason::PROVISIONING,
            &format!(
                "its agent has not taken in who it is: {why}; it is tried until provisionDeadline, and then another agent is taken"
            ),
        ),
        ClaimNews::Told(_) => said(reason::PROVISIONED, ""),
        ClaimNews::Pending(_) => said(
            reason::ACCEPTANCE_PENDING,
            "its agent waits to be let in where spec.agent.joinUrl leads; accept it there",
        ),
        ClaimNews::Refused(why) => said(
            reason::PROVISION_REFUSED,
            &format!(
                "its agent refuses what the claim says: {why}; make another claim with what it takes"
            ),
        ),
        ClaimNews::Failed => said(
            reason::PROVISION_FAILED,
            "as many agents as a claim may try could not be told who they are (status.rejected); look at the pool's agents, and make another claim",
        ),
        ClaimNews::Lost => said(
            reason::AGENT_LOST,
            "its agent is gone, or another claim's, and what it was told with it; make another claim",
        ),
        ClaimNews::Expired => said(reason::EXPIRED, "its agent was deleted at expiresAt"),
    }
}

#[cfg(test)]
mod tests;
