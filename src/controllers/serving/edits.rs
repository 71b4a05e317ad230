//! A claim that has its agent and says something else by now.
//!
//! Holds: its generation is observed only when all of that was done: the agent goes with the claim or does not, it has heard the new
//! instructions, and its time is counted anew. What the agent was told last stands in the status, so that nothing is told twice.

use super::held::Then;
use super::{SOON, Serving};
use crate::cluster::{ClusterError, claims};
use crate::controllers::keeping;
use crate::controllers::memories::retellings::Retelling;
use crate::controllers::retelling::{self, Retold};
use crate::controllers::uid::Uid;
use crate::engine::claiming::{self, ClaimNews};
use crate::engine::persona::said;
use crate::model::TellOutcome;
use jiff::Timestamp;

impl Serving<'_> {
    /// Has the claim's variables set for what is deployed later. Answers when to look again.
    pub(super) async fn keep(&mut self, now: Timestamp) -> Result<Option<Timestamp>, ClusterError> {
        if !claiming::is_to_keep(&self.claim) {
            return Ok(None);
        }
        if let Some(again) = self.paused(now) {
            return Ok(Some(again));
        }
        let named = claiming::view(&self.claim).names;
        let mut its = self.its.iter();
        let Some(own) = its.find(|one| Some(&one.member.uid) == named.as_ref()) else {
            return Ok(None);
        };
        let key = Uid::from(own.member.uid.as_str());
        let keepings = &self.ctx.memories.keepings;
        match keepings.of(&key, "", now) {
            Retelling::UnderWay => Ok(None),
            Retelling::Later(at) => Ok(Some(at)),
            Retelling::None => {
                let (instance, account) = (own.reference(), own.account.clone());
                keeping::begin(self.ctx, &self.claim, instance, account);
                Ok(None)
            }
            Retelling::Answered(TellOutcome::Told(_)) => {
                self.write(&ClaimNews::Kept).await?;
                // Where somebody has written it meanwhile, nobody is woken by that.
                if self.read {
                    return Ok(Some(now + SOON));
                }
                keepings.forget(&key);
                Ok(None)
            }
            Retelling::Answered(_) => Ok(Some(keepings.later(&key, now))),
        }
    }

    /// Does what the claim says by now.
    pub(super) async fn follow(&mut self, now: Timestamp) -> Result<Then, ClusterError> {
        if let Some(again) = self.paused(now) {
            return Ok(Then::End(Some(again)));
        }
        if !self.live {
            return self.look().await;
        }
        let named = claiming::view(&self.claim).names;
        let mut its = self.its.iter();
        let Some(own) = its.find(|one| Some(&one.member.uid) == named.as_ref()) else {
            return Ok(Then::End(None));
        };
        if !claims::is_owned_as_said(&own.meta, &self.claim) {
            let uid = own.member.uid.clone();
            let written = claims::own(&self.ctx.around.client, &own.meta, &self.claim).await;
            let written = written.map(|meta| {
                let mut its = self.its.iter_mut();
                if let Some(own) = its.find(|one| one.member.uid == uid) {
                    own.meta = meta;
                }
            });
            return self.after(written);
        }
        let says = said(&self.ctx.around.installation.seal, &self.claim);
        let status = self.claim.status.as_ref();
        let before = status.and_then(|status| status.told.clone());
        let followed = |told: Option<String>, refused| ClaimNews::Followed { told, refused };
        if before.as_ref() == Some(&says) {
            return self.write(&followed(before, None)).await;
        }
        let (key, instance) = (Uid::from(own.member.uid.as_str()), own.reference());
        let retellings = &self.ctx.memories.retellings;
        let news = match retellings.of(&key, &says, now) {
            Retelling::UnderWay => return Ok(Then::End(None)),
            Retelling::Later(at) => return Ok(Then::End(Some(at))),
            Retelling::None => {
                retelling::begin(self.ctx, (&self.claim, Retold::Words), instance, &says);
                return Ok(Then::End(None));
            }
            Retelling::Answered(TellOutcome::Told(_)) => followed(Some(says), None),
            Retelling::Answered(
                TellOutcome::Refused { message } | TellOutcome::Unsaid { message, .. },
            ) => followed(before, Some(message)),
            Retelling::Answered(
                TellOutcome::NotSent { why }
                | TellOutcome::Unknown { why }
                | TellOutcome::OfAnother { why },
            ) => {
                let (at, what) = (retellings.later(&key, now), "what the claim says by now");
                self.write(&ClaimNews::Unheard { what, why }).await?;
                return Ok(Then::End(Some(at)));
            }
        };
        retellings.forget(&key);
        self.write(&news).await
    }
}
