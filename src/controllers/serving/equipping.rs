//! The tools with `when: Claim` of a claim's agent: it is told who it is when it has those that it needs, and of others as they come.
//!
//! What holds: since when it has them stands in the claim's status, and how long the agent may take to answer counts from then; an agent
//! whose tool cannot be had is neither told nor given up for that, so that no further one is used up by it: the claim says what is
//! lacking, and goes on by itself.

use super::Serving;
use super::held::{HeldAgent, Then};
use crate::api::AgentClaim;
use crate::api::claim::ToldTool;
use crate::api::template::ToolSpec;
use crate::cluster::ClusterError;
use crate::controllers::context::Context;
use crate::controllers::memories::retellings::Retelling;
use crate::controllers::retelling::{self, Retold};
use crate::controllers::telling::{Telling, persona_template};
use crate::controllers::uid::Uid;
use crate::engine::bringing::{self, awaited, late_at};
use crate::engine::claiming::{ClaimNews, is_unheard_in_vain};
use crate::engine::compose::Broken;
use crate::engine::persona;
use crate::model::TellOutcome;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;

/// What comes of an agent's tools is looked at again after so long, should nobody tell of it.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

impl Serving<'_> {
    /// All that it brings its agent, as it is handed over.
    pub(super) async fn handed_over(
        &mut self,
    ) -> Result<Result<Vec<ToolSpec>, Broken>, ClusterError> {
        if self.claim.spec.persona_ref.is_some() && self.persona.is_none() {
            let found = persona_template(self.ctx, &self.claim).await?;
            match persona::template(&self.claim, found.as_ref()) {
                Ok(_) => self.persona = found.and_then(|found| found.read().cloned()),
                Err(broken) => return Ok(Err(broken)),
            }
        }
        Ok(self.brings())
    }

    /// What is done instead of telling an agent that was handed over then and has not all tools that it needs.
    pub(super) async fn equip(
        &mut self,
        uid: &str,
        handed_over: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Then>, ClusterError> {
        let own = self.one(uid)?;
        let status = self.claim.status.as_ref();
        let equipped = status.is_some_and(|status| status.tools_ready_at.is_some());
        let tellings = &self.ctx.memories.tellings;
        let told = matches!(
            tellings.of(&Uid::from(uid), now),
            Telling::UnderWay | Telling::Answered(_)
        );
        if told || !bringing::needs_any(&own.brought) {
            return Ok(None);
        }
        let Some(missing) = awaited(&own.brought, &own.tools) else {
            return match equipped {
                true => Ok(None),
                false => self.write(&ClaimNews::Equipped).await.map(Some),
            };
        };
        let late = late_at(handed_over);
        let stalled = late <= now || own.stalled.as_deref() == Some(missing.reason);
        let news = ClaimNews::Unequipped {
            reason: missing.reason,
            message: missing.message,
            stalled,
        };
        self.write(&news).await?;
        // Where somebody has written it meanwhile, nobody is woken by that.
        if self.read {
            return Ok(Some(Then::GoOn));
        }
        let again = now + AGAIN;
        let again = if late > now { again.min(late) } else { again };
        Ok(Some(Then::End(Some(again))))
    }

    /// Tells an agent that knows who it is what tools that came later give it. Answers when to look again.
    pub(super) async fn catch_up(
        &mut self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ClusterError> {
        let Some(own) = self.own() else {
            return Ok(None);
        };
        let untold = untold(self.ctx, &self.claim, own);
        if untold.is_empty() {
            // What it was to hear of is gone, and with it the reason to say that it has not.
            if is_unheard_in_vain(&self.claim) {
                let status = self.claim.status.clone().unwrap_or_default();
                let tools = status.tools_told;
                self.write(&ClaimNews::Given { tools }).await?;
            }
            return Ok(None);
        }
        if let Some(again) = self.paused(now) {
            return Ok(Some(again));
        }
        let mut said = String::from("tools");
        for tool in &untold {
            let _ = write!(said, " {}={}", tool.name, tool.of);
        }
        let (key, instance) = (Uid::from(own.member.uid.as_str()), own.reference());
        let retellings = &self.ctx.memories.retellings;
        let tools = match retellings.of(&key, &said, now) {
            Retelling::UnderWay => return Ok(None),
            Retelling::Later(at) => return Ok(Some(at)),
            Retelling::None => {
                retelling::begin(self.ctx, (&self.claim, Retold::Tools), instance, &said);
                return Ok(None);
            }
            Retelling::Answered(TellOutcome::Told(answer)) => answer.tools,
            // It takes in nothing new: what it is deployed with next has them.
            Retelling::Answered(TellOutcome::Refused { .. }) => untold,
            Retelling::Answered(
                TellOutcome::Unsaid { message: why, .. }
                | TellOutcome::NotSent { why }
                | TellOutcome::Unknown { why }
                | TellOutcome::OfAnother { why },
            ) => {
                let (at, what) = (retellings.later(&key, now), "what its tools give it");
                self.write(&ClaimNews::Unheard { what, why }).await?;
                return Ok(Some(at));
            }
        };
        retellings.forget(&key);
        self.write(&ClaimNews::Given { tools }).await?;
        Ok(Some(now + SignedDuration::from_millis(50)))
    }
}

/// All that the agent has of them by now, where it was not told of one as it is now.
pub(super) fn untold(ctx: &Context, claim: &AgentClaim, own: &HeldAgent) -> Vec<ToldTool> {
    let status = claim.status.as_ref();
    let told = status.map_or(&[][..], |status| &status.tools_told);
    let seal = &ctx.around.installation.seal;
    let of = |tool: &str| {
        let made = own.made.get(tool);
        made.map_or_else(String::new, |made| seal.hex(made))
    };
    bringing::untold(&own.brought, &own.tools, told, of)
}
