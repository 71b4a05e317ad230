//! What people and counters hear of a claim, once each.
//!
//! Holds: a note names the agent, and says nothing of what it is told.

use super::{ClaimNews, is_pending};
use crate::api::condition::{is_true, kind, reason};
use crate::api::{AgentClaim, AgentClaimStatus};
use crate::engine::report;
use crate::model::Announcement;

/// What people should hear of when a claim's status was `before`.
pub fn heard(before: &AgentClaimStatus, claim: &AgentClaim) -> Vec<Announcement> {
    let now = claim.status.clone().unwrap_or_default();
    let became = |kind: &str| is_true(&now.conditions, kind) && !is_true(&before.conditions, kind);
    let mut heard = Vec::new();
    let mut say = |warning: bool, reason: &'static str, action: &'static str, note: String| {
        heard.push(Announcement {
            warning,
            reason,
            action,
            note,
        });
    };
    for gone in now.rejected.iter().skip(before.rejected.len()) {
        let note = format!(
            "agent {} could not be told who it is, and is gone",
            gone.name
        );
        say(true, reason::AGENT_REJECTED, "Provision", note);
    }
    let agent = now.instance_ref.as_ref();
    if let Some(agent) = agent.filter(|agent| before.instance_ref.as_ref() != Some(agent)) {
        let note = format!("has agent {}", agent.name);
        say(false, reason::BOUND, "Bind", note);
    }
    if became(kind::EXPIRED) {
        let note = "its agent is deleted: its time (expiresAt) is over".to_owned();
        say(false, reason::EXPIRED, "Expire", note);
    }
    let mut others = report::transitions(&before.conditions, &now.conditions);
    for one in others.iter_mut().filter(|one| one.reason == reason::READY) {
        let name = agent.map_or("", |agent| &agent.name);
        one.note = format!("agent {name} knows who it is, and has answered");
    }
    heard.append(&mut others);
    heard
}

/// By which word claims are counted when something became so. `None`: it is no end of anything.
pub fn outcome(claim: &AgentClaim, news: &ClaimNews) -> Option<&'static str> {
    match news {
        ClaimNews::Bound { .. } => Some("bound"),
        ClaimNews::Told(_) => Some("ready"),
        ClaimNews::Pending(_) if is_pending(claim) => Some("acceptance_pending"),
        ClaimNews::Refused(_) => Some("refused"),
        ClaimNews::Rejected => Some("agent_rejected"),
        ClaimNews::Failed => Some("provision_failed"),
        ClaimNews::TooLate => Some("deadline_exceeded"),
        ClaimNews::Lost => Some("agent_lost"),
        ClaimNews::OfAnother { .. } => Some("agent_of_another"),
        ClaimNews::Expired => Some("expired"),
        _ => None,
    }
}
