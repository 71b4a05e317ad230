//! What a claim says of itself, what it says that a later look must know, and its times.
//!
//! What holds: what ends a claim (its time, a refusal, an agent that is lost) stands in its status, so that nobody begins again; the
//! times count from its creation and from when it was bound. Deliberately absent: what is done next (`claims`).

mod news;
mod patience;
mod terms;
mod words;

pub use news::{heard, outcome};
pub use patience::{HeardOfAgent, Reachability, is_given_up};
pub use terms::{ClaimTerms, bind_by, deleted_at, give_up_at, told_from};
pub use words::is_unheard_in_vain;

use super::bringing::RoomLack;
use super::claims::{ClaimHold, ClaimView, PoolMember};
use super::compose::Broken;
use crate::api::claim::ToldTool;
use crate::api::condition::{self, conclude, kind, reason};
use crate::api::text::NameRef;
use crate::api::{AgentClaim, AgentClaimStatus, AgentInstance, InstanceRef};
use crate::model::{AgentBinding, ClaimKept};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
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
    /// There is no room for what it brings its agent.
    NoRoom(RoomLack),
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
    /// Its agent has not all tools that it needs.
    Unequipped {
        /// Why, in one stable word.
        reason: &'static str,
        /// Why, and what to do.
        message: String,
        /// Whether somebody has to see to that.
        stalled: bool,
    },
    /// Its agent has the tools that it needs.
    Equipped,
    /// What its agent is to be told cannot be put together.
    Unsaid(Broken),
    /// Its agent has not answered yet.
    Untold {
        /// Why.
        why: String,
    },
    /// Its agent knows who it is, and has answered this.
    Told(ClaimAnswer),
    /// Its agent knows who it is, and somebody has to let it in.
    Pending(ClaimAnswer),
    /// What it says by now is done, and its agent knows of it.
    Followed {
        /// Names what its agent was told last.
        told: Option<String>,
        /// Why the agent would not hear of it.
        refused: Option<String>,
    },
    /// Its agent has not taken in something new yet.
    Unheard {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// Its variables are its agent's for good.
    Kept,
    /// Its agent was told what these tools give it.
    Given {
        /// Which.
        tools: Vec<ToldTool>,
    },
    /// Its agent refuses what the claim says.
    Refused(String),
    /// Its agent could not be told, and is gone.
    Rejected,
    /// As many agents as it may try could not be told.
    Failed,
    /// Its agent keeps another claim, and may have what it was told for that.
    OfAnother {
        /// Its name.
        agent: String,
    },
    /// Its agent is gone, or somebody else's.
    Lost,
    /// It had its agent as long as it wanted.
    Expired,
}

/// What its agent answered.
#[derive(Clone, Debug, Default)]
pub struct ClaimAnswer {
    /// What may be seen.
    pub shown: BTreeMap<String, String>,
    /// Where it answers, as its instance says by now.
    pub url: Option<String>,
    /// The Secret with all else.
    pub secret: Option<NameRef>,
    /// Names what the agent was told, where that is certain.
    pub told: Option<String>,
    /// The tools of which it was told what they give it.
    pub tools: Vec<ToldTool>,
}

/// Whether its time with its agent is over, and that is not said yet.
pub fn expires(claim: &AgentClaim, now: Timestamp) -> bool {
    let view = view(claim);
    let at = expires_at(claim).filter(|_| has_time(claim));
    !view.over && view.names.is_some() && at.is_some_and(|at| at <= now)
}

/// Whether its time with its agent passes. With one that is gone, or another's, it has none: somebody has to see to that.
pub fn has_time(claim: &AgentClaim) -> bool {
    !says(claim, kind::STALLED, reason::AGENT_LOST) && !is_of_another(claim)
}

/// Whether its agent keeps another claim.
pub fn is_of_another(claim: &AgentClaim) -> bool {
    says(claim, kind::STALLED, reason::AGENT_OF_ANOTHER)
}

/// When its time with its agent is over, as its spec says it now: counted from when it was bound.
pub fn expires_at(claim: &AgentClaim) -> Option<Timestamp> {
    let status = claim.status.as_ref()?;
    let bound =
        condition::find(&status.conditions, kind::BOUND).filter(|said| said.status == "True");
    let told = status.expires_at.as_ref().map(|at| at.0);
    // What was told is told until it is told otherwise.
    match bound.filter(|_| claim.metadata.generation != status.observed_generation) {
        Some(bound) => {
            let default = status.expires_after.as_ref();
            terms::expires(claim, default, bound.last_transition_time.0)
        }
        None => told,
    }
}

/// Whether its variables are to be kept for what is deployed later.
pub fn is_to_keep(claim: &AgentClaim) -> bool {
    let view = view(claim);
    let status = claim.status.as_ref();
    let kept = status.is_some_and(|status| status.variables_kept);
    let tools = status.is_some_and(|status| !status.tools_told.is_empty());
    let any = tools || !claim.spec.env.is_empty();
    view.ready && !view.over && !kept && any
}

/// Whether it says something else than when it was bound, or last followed.
pub fn is_edited(claim: &AgentClaim) -> bool {
    let observed = claim
        .status
        .as_ref()
        .map(|status| status.observed_generation);
    observed.is_some_and(|observed| observed != claim.metadata.generation)
}

/// Whether it has waited for an agent as long as it would. One that had an agent, and gets another in its place, has no such time any more.
pub fn is_late(claim: &AgentClaim, terms: &ClaimTerms, now: Timestamp) -> bool {
    let had = claim
        .status
        .as_ref()
        .map_or(0, |status| status.rejected.len());
    had == 0 && waits(claim) && bind_by(claim, terms).is_some_and(|at| at <= now)
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

/// Whether it stands in the line: it waits, and for nothing of its own.
pub fn stands_in_line(claim: &AgentClaim) -> bool {
    let conditions = claim.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|one| one.type_ == kind::READY);
    let aside = ready.any(|one| ASIDE.contains(&one.reason.as_str()));
    waits(claim) && !is_unsaid(claim) && !is_roomless(claim) && !aside
}

/// Whether there is no room for what it brings its agent.
pub fn is_roomless(claim: &AgentClaim) -> bool {
    let conditions = claim.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|one| one.type_ == kind::READY);
    waits(claim) && ready.any(|one| ROOMLESS.contains(&one.reason.as_str()))
}

/// What a claim says that stands aside, and comes again by itself.
const ASIDE: [&str; 2] = [reason::RESTORED_ELSEWHERE, reason::PAUSED];

/// What keeps a claim from having the tools that it brings, and so from getting an agent.
const ROOMLESS: [&str; 10] = [
    reason::QUOTA_EXCEEDED,
    reason::ACCOUNT_NOT_AVAILABLE,
    reason::ACCOUNT_NOT_READY,
    reason::ACCOUNT_UNREACHABLE,
    reason::ACCOUNT_DELETING,
    reason::RECOVERY_MODE,
    reason::PAUSED,
    reason::PENDING,
    reason::RETENTION_NOT_ALLOWED,
    reason::VALUE_NOT_USABLE,
];

/// What keeps a claim from being told, and so from getting an agent.
const UNSAID: [&str; 4] = [
    reason::REFERENCE_NOT_FOUND,
    reason::VALUE_NOT_USABLE,
    reason::PERSONA_NOT_READY,
    reason::NOT_ALLOWED,
];

/// Whether what its agent is to be told could not be put together: nobody waits behind it.
pub fn is_unsaid(claim: &AgentClaim) -> bool {
    UNSAID
        .iter()
        .any(|reason| says(claim, kind::STALLED, reason))
}

/// Whether its agent is to be told something still.
pub fn is_untold(claim: &AgentClaim) -> bool {
    let view = view(claim);
    !view.over && !view.ready && !is_settled(claim)
}

/// Whether its agent has refused it, or is lost: nothing more is done for it but by a person.
pub fn is_settled(claim: &AgentClaim) -> bool {
    says(claim, kind::STALLED, reason::PROVISION_REFUSED)
        || says(claim, kind::STALLED, reason::AGENT_LOST)
        || is_of_another(claim)
}

/// Whether its agent has answered to all that it says now, and nobody has to let it in.
pub fn is_served(claim: &AgentClaim) -> bool {
    let (view, meta) = (view(claim), &claim.metadata);
    let status = claim.status.as_ref();
    let observed = status.is_some_and(|status| status.observed_generation == meta.generation);
    let whole = observed && !is_to_keep(claim) && !is_pending(claim) && !is_settled(claim);
    view.ready && !view.over && whole
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
    // What changes of one that has an agent counts only when it was done.
    let follows = !matches!(news, ClaimNews::Bound { .. } | ClaimNews::Followed { .. });
    if new.instance_ref.is_none() || !follows {
        new.observed_generation = claim.metadata.generation;
    }
    new.bind_by = bind_by(claim, terms).map(Time);
    match news {
        ClaimNews::Bound { instance, url } => {
            new.instance_ref = Some(instance.clone());
            new.url.clone_from(url);
            new.expires_after = terms.expires_after(claim);
            new.expires_at = terms::expires(claim, new.expires_after.as_ref(), now).map(Time);
            new.provision_deadline = terms.provision_deadline(claim);
            (new.variables_kept, new.tools_ready_at) = (false, None);
            new.tools_told.clear();
        }
        ClaimNews::Equipped => new.tools_ready_at = Some(MicroTime(now)),
        ClaimNews::Unequipped { .. } => new.tools_ready_at = None,
        ClaimNews::Expired => new.expires_at = expires_at(claim).map(Time),
        ClaimNews::Kept => {
            new.variables_kept = true;
            return new;
        }
        ClaimNews::Given { tools } => {
            (new.variables_kept, new.tools_told) = (false, tools.clone());
            new.conditions.retain(|one| one.type_ != kind::RECONCILING);
            return new;
        }
        ClaimNews::Told(answer) | ClaimNews::Pending(answer) => {
            new.result.clone_from(&answer.shown);
            // When it was bound its instance may not have known it: a status that is lost is found again.
            new.url = answer.url.clone().or(new.url);
            new.secret_ref.clone_from(&answer.secret);
            new.told.clone_from(&answer.told);
            new.tools_told.clone_from(&answer.tools);
        }
        ClaimNews::Followed { told, .. } => {
            new.expires_at = expires_at(claim).map(Time);
            new.told.clone_from(told);
        }
        ClaimNews::Rejected => {
            new.rejected.extend(new.instance_ref.take());
            (new.url, new.expires_at, new.provision_deadline) = (None, None, None);
            (new.expires_after, new.tools_ready_at) = (None, None);
            new.tools_told.clear();
            new.observed_generation = claim.metadata.generation;
        }
        _ => {}
    }
    let said = words::said(claim, news);
    new.conditions = conclude(&new.conditions, &said, new.observed_generation, now);
    new
}

#[cfg(test)]
mod tests;
