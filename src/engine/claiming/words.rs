//! What a claim's conditions say.
//!
//! Holds: each sentence says what is so and what mends it, and nothing of what the agent is told.

use super::{ClaimNews, is_edited, is_pending, view};
use crate::api::AgentClaim;
use crate::api::condition::{Statement, is_true, kind, reason};

/// Whether it says that its agent has not taken in something new, though nothing of it is new any more.
pub fn is_unheard_in_vain(claim: &AgentClaim) -> bool {
    let status = claim.status.as_ref();
    let says = status.is_some_and(|status| is_true(&status.conditions, kind::RECONCILING));
    says && !is_edited(claim)
}

/// What its conditions say, once something became so.
pub(super) fn said(claim: &AgentClaim, news: &ClaimNews) -> Vec<Statement> {
    use ClaimNews::{
        Bound, Equipped, Expired, Failed, Followed, Lost, NoRoom, OfAnother, Paused, Pending,
        Refused, Told, TooLate, Unequipped, Unheard, Unsaid, Untold,
    };
    let (reason, message) = word(claim, news);
    let has = match news {
        Bound { .. } | Untold { .. } | Told(_) | Pending(_) | Refused(_) | Followed { .. } => true,
        Equipped | Unequipped { .. } | OfAnother { .. } | Unheard { .. } => true,
        Paused | Unsaid(_) => view(claim).names.is_some(),
        _ => false,
    };
    let mut said = vec![match has {
        true => Statement::yes(kind::BOUND, reason::BOUND, ""),
        false => Statement::no(kind::BOUND, reason, &message),
    }];
    said.push(match news {
        Told(_) => Statement::yes(kind::READY, reason, &message),
        Followed { .. } | Unheard { .. } if !is_pending(claim) => {
            Statement::yes(kind::READY, reason, &message)
        }
        _ => Statement::no(kind::READY, reason, &message),
    });
    if let Followed {
        refused: Some(why), ..
    } = news
    {
        let message = format!(
            "its agent would not hear what the claim says by now: {why}; it goes on with what it was told before; write that again, or make another claim"
        );
        said.push(Statement::yes(
            kind::STALLED,
            reason::UPDATE_REFUSED,
            message,
        ));
    }
    if let Unheard { what, why } = news {
        let message = format!(
            "its agent has not taken in {what}: {why}; it goes on with what it was told before, and is told again"
        );
        said.push(Statement::yes(kind::RECONCILING, reason::UNHEARD, message));
    }
    if matches!(news, Expired) {
        said.push(Statement::yes(kind::EXPIRED, reason, ""));
    }
    let stalled = match news {
        TooLate | Refused(_) | OfAnother { .. } | Failed | Lost | Unsaid(_) => true,
        NoRoom(lack) => lack.person,
        Unequipped { stalled, .. } => *stalled,
        _ => false,
    };
    if stalled {
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
        ClaimNews::NoRoom(lack) => said(lack.reason, &lack.message),
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
        ClaimNews::Bound { .. }
        | ClaimNews::Equipped
        | ClaimNews::Unequipped { .. }
        | ClaimNews::Unsaid(_)
        | ClaimNews::Untold { .. }
        | ClaimNews::Told(_)
        | ClaimNews::Followed { .. }
        | ClaimNews::Pending(_)
        | ClaimNews::Unheard { .. }
        | ClaimNews::Kept
        | ClaimNews::Given { .. }
        | ClaimNews::Refused(_)
        | ClaimNews::OfAnother { .. }
        | ClaimNews::Failed
        | ClaimNews::Lost
        | ClaimNews::Expired => word_of_agent(claim, news),
    }
}

/// The same of one that has an agent, or had.
fn word_of_agent(claim: &AgentClaim, news: &ClaimNews) -> (&'static str, String) {
    let said = |reason: &'static str, message: &str| (reason, message.to_owned());
    match news {
        ClaimNews::Bound { .. } | ClaimNews::Equipped => {
            said(reason::PROVISIONING, "its agent is being told who it is")
        }
        ClaimNews::Unequipped {
            reason, message, ..
        } => said(reason, message),
        ClaimNews::Unsaid(broken) => said(broken.reason, &broken.message),
        ClaimNews::Untold { why } => said(
            reason::PROVISIONING,
            &format!(
                "its agent has not taken in who it is: {why}; it is tried until provisionDeadline, and then another agent is taken"
            ),
        ),
        ClaimNews::Told(_) => said(reason::PROVISIONED, ""),
        ClaimNews::Followed { .. } | ClaimNews::Unheard { .. } if !is_pending(claim) => {
            said(reason::PROVISIONED, "")
        }
        ClaimNews::Pending(_)
        | ClaimNews::Unheard { .. }
        | ClaimNews::Followed { .. }
        | ClaimNews::Given { .. }
        | ClaimNews::Kept => said(
            reason::ACCEPTANCE_PENDING,
            "its agent waits to be let in where spec.agent.joinUrl leads; accept it there",
        ),
        ClaimNews::Refused(why) => said(
            reason::PROVISION_REFUSED,
            &format!(
                "its agent refuses what it is told: {why}; correct what says that ({}), and make the claim anew",
                sayers(claim)
            ),
        ),
        ClaimNews::OfAnother { agent } => said(
            reason::AGENT_OF_ANOTHER,
            &format!(
                "its agent keeps another claim, which this cluster has forgotten, and may have what it was told for that: it took nothing of this one, is not deleted, and stays when this claim goes; look whose it is. kubectl delete agentinstance {agent} deletes it with all that it has, and this claim takes another one"
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
        _ => said(reason::EXPIRED, "its agent was deleted at expiresAt"),
    }
}

/// All that may say something which an agent does not take.
fn sayers(claim: &AgentClaim) -> String {
    let persona = claim.spec.persona_ref.as_ref();
    let persona = persona.map(|named| format!("the persona of AgentTemplate {}, ", named.name));
    format!(
        "{}files or env of the pool's own template, or the claim",
        persona.unwrap_or_default()
    )
}
