//! What came of telling a claim's agent who it is.
//!
//! Holds: nothing here waits for an agent that is told (`telling`).

use super::Serving;
use super::held::{Then, shown};
use crate::api::template::NameRef;
use crate::cluster::{ClusterError, claim_secret, claims};
use crate::controllers::telling::{Asking, Telling, ask_beside, begin, persona_template, words_of};
use crate::controllers::uid::Uid;
use crate::engine::claiming::{self, ClaimAnswer, ClaimNews};
use crate::engine::compose::Broken;
use crate::engine::persona;
use crate::model::{AgentResult, TellOutcome};
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
        if let Some(then) = self.equip(uid, handed_over, now).await? {
            return Ok(then);
        }
        let own = self.one(uid)?;
        let until = claiming::give_up_at(&self.claim, handed_over);
        let outcome = match self.ctx.memories.tellings.of(&key, now) {
            Telling::Answered(outcome) => outcome,
            Telling::UnderWay => return Ok(Then::End(None)),
            Telling::Later(at) => return Ok(Then::End(Some(sooner(at, until, now)))),
            Telling::None => {
                let instance = own.reference();
                let words = self.words.take();
                begin(self.ctx, (&self.claim, words), instance, until);
                return Ok(Then::End(None));
            }
        };
        match outcome {
            TellOutcome::Told(answer) => {
                let instance = own.reference().name;
                self.heard(&instance, answer).await
            }
            TellOutcome::Refused { message } => self.write(&ClaimNews::Refused(message)).await,
            TellOutcome::OfAnother { .. } => self.let_go(uid).await,
            TellOutcome::Unsaid { reason, message } => {
                let again = self.ctx.memories.tellings.later(&key, now);
                let news = ClaimNews::Unsaid(Broken { reason, message });
                self.write(&news).await?;
                Ok(Then::End(Some(again)))
            }
            TellOutcome::NotSent { why } | TellOutcome::Unknown { why } => {
                self.untold(why, &key, now, until).await
            }
        }
    }

    /// Puts together what the agent is to be told, where that stands elsewhere, too. Answers whether it could be.
    pub(super) async fn put_together(&mut self) -> Result<bool, ClusterError> {
        if !persona::refers(&self.claim) {
            return Ok(true);
        }
        let found = persona_template(self.ctx, &self.claim).await?;
        match words_of(self.ctx, &self.claim, found.as_ref()).await? {
            Ok(words) => {
                self.words = Some(words);
                self.persona = found.and_then(|found| found.read().cloned());
                Ok(true)
            }
            Err(broken) => {
                self.write(&ClaimNews::Unsaid(broken)).await?;
                Ok(false)
            }
        }
    }

    /// What the agent answered is kept and told. `instance`: its name.
    async fn heard(&mut self, instance: &str, answer: AgentResult) -> Result<Then, ClusterError> {
        let mut secret = None;
        if !answer.kept.is_empty() {
            let client = &self.ctx.around.client;
            let kept = claim_secret::keep(client, &self.claim, instance, &answer.kept).await;
            // One that was deleted at this very moment is made anew.
            let what = "keeping what an agent answered";
            kept.map_err(|error| match error {
                ClusterError::Gone { .. } => ClusterError::Stale { what },
                other => other,
            })?;
            let name = claim_secret::name(&self.claim).as_str().into();
            secret = Some(NameRef { name });
        }
        // Said otherwise since it was bound: nobody knows which of both it took.
        let certain = !claiming::is_edited(&self.claim);
        let seal = &self.ctx.around.installation.seal;
        let its = shown(self.ctx, &self.claim);
        let own = its.iter().find(|one| one.reference().name == instance);
        let said = ClaimAnswer {
            shown: answer.shown,
            url: own.and_then(|own| own.url.clone()),
            secret,
            told: certain.then(|| persona::said(seal, &self.claim)),
            tools: answer.tools,
        };
        let news = match answer.pending {
            true => ClaimNews::Pending(said),
            false => ClaimNews::Told(said),
        };
        self.write(&news).await
    }

    /// Its agent keeps another claim, which an API server that was set back has forgotten: it is nobody's, stays when this claim
    /// goes, and a person has to see to it.
    async fn let_go(&mut self, uid: &str) -> Result<Then, ClusterError> {
        let own = self.one(uid)?;
        let agent = own.reference().name;
        let client = &self.ctx.around.client;
        if claims::is_owned(&own.meta, &self.claim) {
            let written = claims::disown(client, &own.meta, &self.claim).await;
            let written = written.map(|meta| {
                for one in self.its.iter_mut().filter(|one| one.member.uid == uid) {
                    one.meta = meta.clone();
                }
            });
            return self.after(written);
        }
        self.ctx.memories.tellings.forget(&Uid::from(uid));
        self.write(&ClaimNews::OfAnother { agent }).await
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
                let said = ClaimAnswer {
                    shown: status.result,
                    url: status.url,
                    secret: status.secret_ref,
                    told: status.told,
                    tools: status.tools_told,
                };
                self.write(&ClaimNews::Told(said)).await?;
                // Where somebody has written it meanwhile, nobody is woken by that.
                Ok(self.read.then(|| now + SOON))
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
