//! What came of telling a claim's agent who it is.
//!
//! Holds: nothing here waits for an agent that is told (`telling`).

use super::Serving;
use super::held::Then;
use crate::cluster::ClusterError;
use crate::controllers::telling::{Asking, Telling, ask_beside, begin};
use crate::controllers::uid::Uid;
use crate::engine::claiming::{self, ClaimNews};
use crate::model::TellOutcome;
use jiff::{SignedDuration, Timestamp};

/// Where as many agents are asked already as may be, one is asked after so long.
const ASKED: SignedDuration = SignedDuration::from_secs(5);

/// What is not ready to be told is looked at again after so long.
const SOON: SignedDuration = SignedDuration::from_secs(1);

impl Serving<'_> {
    /// Has the agent told, and says what came of that.
    pub(super) async fn tell(&mut self, uid: &str, now: Timestamp) -> Result<Then, ClusterError> {
        let (key, own) = (Uid::from(uid), self.one(uid)?);
        let Some(handed_over) = own.handed_over_at else {
            return Ok(Then::End(Some(now + SOON)));
        };
        let until = claiming::give_up_at(&self.claim, handed_over);
        let outcome = match self.ctx.memories.tellings.of(&key, now) {
            Telling::Answered(outcome) => outcome,
            Telling::UnderWay => return Ok(Then::End(None)),
            Telling::Later(at) => return Ok(Then::End(Some(sooner(at, until, now)))),
            Telling::None => {
                let instance = own.reference();
                begin(self.ctx, &self.claim, instance, until);
                return Ok(Then::End(None));
            }
        };
        match outcome {
            TellOutcome::Told(answer) => {
                let result = answer.shown;
                let news = match answer.pending {
                    true => ClaimNews::Pending(result),
                    false => ClaimNews::Told(result),
                };
                self.write(&news).await
            }
            TellOutcome::Refused { message } => self.write(&ClaimNews::Refused(message)).await,
            TellOutcome::NotSent { why } | TellOutcome::Unknown { why } => {
                self.untold(why, &key, now, until).await
            }
        }
    }

    async fn untold(
        &mut self,
        why: String,
        key: &Uid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Then, ClusterError> {
        let at = self.ctx.memories.tellings.later(key, now);
        if self.is_given_up(now) {
            return Ok(Then::GoOn);
        }
        self.write(&ClaimNews::Untold { why }).await?;
        Ok(Then::End(Some(sooner(at, until, now))))
    }

    /// An agent that somebody has to let in is asked whether that was done.
    pub(super) async fn pending(
        &mut self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ClusterError> {
        let status = self.claim.status.clone().unwrap_or_default();
        let Some(instance) = status
            .instance_ref
            .filter(|_| claiming::is_pending(&self.claim))
        else {
            return Ok(None);
        };
        if let Some(again) = self.paused(now) {
            return Ok(Some(again));
        }
        let (key, askings) = (Uid::from(instance.uid.as_str()), &self.ctx.memories.askings);
        match askings.of(&key, now) {
            Asking::UnderWay => Ok(None),
            Asking::Later(at) => Ok(Some(at)),
            Asking::None => {
                let begun = ask_beside(self.ctx, &self.claim, instance);
                Ok((!begun).then(|| now + ASKED))
            }
            Asking::Answered(Some(said)) if claiming::is_let_in(&self.claim, &said) => {
                self.write(&ClaimNews::Told(status.result)).await?;
                Ok(None)
            }
            Asking::Answered(_) => Ok(Some(askings.later(&key, now))),
        }
    }
}

/// When it is told again, or given up before that.
fn sooner(again: Timestamp, until: Timestamp, now: Timestamp) -> Timestamp {
    match until > now {
        true => again.min(until),
        false => again,
    }
}
