//! A claim that waits: for an agent that is free, for one that goes to be gone, or for something to be told.
//!
//! Holds: nobody stands behind one that waits for something of its own; why it waits is said once it has waited for a moment.

use super::held::Then;
use super::steps::Take;
use super::{PAUSED, SOON, Serving};
use crate::api::template::NameRef;
use crate::cluster::ClusterError;
use crate::controllers::paused::{is_unread, of_account, recovers};
use crate::controllers::uid::Uid;
use crate::controllers::wake::pool_of;
use crate::engine::claiming::{self, ClaimNews};
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use std::ops::ControlFlow::{Break, Continue};

impl Serving<'_> {
    /// It waits: for an agent that is free, or for one that goes to be gone.
    pub(super) async fn wait(&mut self, now: Timestamp) -> Result<Then, ClusterError> {
        let paused = self.paused(now).filter(|_| !self.its.is_empty());
        if let Some(again) = paused {
            for one in &self.its {
                let agent = Uid::from(one.member.uid.as_str());
                self.ctx.memories.tellings.unheard(&agent);
            }
            // One that is looked at again at once is not worth a word.
            if !claiming::view(&self.claim).ready && again.duration_since(now) > SOON {
                self.write(&ClaimNews::Paused).await?;
            }
            self.next_in_line(self.ctx.stores.lines.stand_aside(&self.claim));
            return Ok(Then::End(Some(again)));
        }
        if !claiming::waits(&self.claim) || !self.its.is_empty() {
            // It is woken by the one that goes; meanwhile nobody stands behind it.
            self.next_in_line(self.ctx.stores.lines.stand_aside(&self.claim));
            return Ok(Then::End(None));
        }
        let tools = match self.can_be_served(now).await? {
            Continue(tools) => tools,
            Break(then) => return Ok(then),
        };
        let (ctx, pool) = (self.ctx, pool_of(&self.claim));
        let there = ctx.stores.pools.get(&pool);
        let gives = there.is_some_and(|pool| pool.meta().deletion_timestamp.is_none());
        if let Some(agent) = ctx.stores.lines.restored(&self.claim) {
            self.write(&ClaimNews::Restored { agent }).await?;
            self.next_in_line(ctx.stores.lines.stand_aside(&self.claim));
            return Ok(Then::End(Some(now + PAUSED)));
        }
        ctx.stores.lines.join(&self.claim, &self.named);
        let namespace = self.claim.namespace().unwrap_or_default();
        let rests = ctx.memories.tellings.rests(&namespace, now);
        let takes = gives && rests.is_none() && !ctx.around.settings.observe_only;
        if takes {
            match self.take(&tools).await? {
                Take::Done => return Ok(Then::GoOn),
                Take::NoRoom(lack) => return self.roomless(lack, now).await,
                Take::Nothing => {}
            }
        }
        self.says_why(gives, rests, now).await
    }

    /// Whether it is soon to be known of an account of its pool if it is remembered.
    fn is_unread(&self) -> bool {
        self.accounts()
            .iter()
            .any(|one| is_unread(self.ctx, one.name.as_str()))
    }

    /// Whether it may have an agent of which nobody knows now, or gets none for no fault of its pool's: no time is over meanwhile.
    pub(super) fn in_doubt(&self) -> bool {
        let (ctx, accounts) = (self.ctx, self.accounts());
        let unknown =
            |one: &NameRef| is_unread(ctx, one.name.as_str()) || recovers(ctx, one.name.as_str());
        let paused = |one: &NameRef| of_account(ctx, one.name.as_str()).is_some();
        accounts.iter().any(unknown) || !accounts.is_empty() && accounts.iter().all(paused)
    }

    /// The accounts of its pool.
    fn accounts(&self) -> Vec<NameRef> {
        let pool = self.ctx.stores.pools.get(&pool_of(&self.claim));
        let read = pool.as_ref().and_then(|pool| pool.read());
        let accounts = read.iter().flat_map(|pool| &pool.spec.account_refs);
        accounts.cloned().collect()
    }

    /// Says why it waits, once it has done so for a moment. `gives`: whether there is a pool for it; `rests`: until when none of
    /// its agents is taken.
    pub(super) async fn says_why(
        &mut self,
        gives: bool,
        rests: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Then, ClusterError> {
        let lines = &self.ctx.stores.lines;
        let created = self.claim.metadata.creation_timestamp.as_ref();
        let told = created.map_or(now, |created| created.0 + SOON);
        if told > now {
            return Ok(Then::End(Some(told)));
        }
        let news = if gives {
            ClaimNews::NoAgent
        } else {
            ClaimNews::NoPool
        };
        let new = claiming::status(&self.claim, &news, &self.terms, now);
        if self.claim.status.as_ref() != Some(&new) {
            self.write(&news).await?;
            // Somebody has written it meanwhile, and nobody is woken by that.
            if self.read {
                return Ok(Then::GoOn);
            }
        }
        // One that is free and may not be bound now, because of its account, is not told of again.
        let held_back = gives && lines.is_held_back(&self.claim);
        // What an account remembers is known soon after a start.
        let pause = if self.is_unread() { SOON } else { SOON * 10 };
        let again = held_back.then(|| now + pause);
        Ok(Then::End([again, rests].into_iter().flatten().min()))
    }
}
