//! One claim being served: what is known of it and of what it has, and each step carried out.
//!
//! What holds: which step is next is decided by `engine::claims` alone; a step that writes an instance is taken from what a write or
//! a read has answered, never from the store; after a conflict everything is looked at anew. Waiting for an agent's answer
//! happens elsewhere (`telling`).

mod answers;
mod edits;
mod equipping;
mod heard;
mod held;
mod known;
mod room;
mod steps;
mod waiting;

use super::context::Context;
use super::memories::served::LeftClaim;
use super::paused::{holds, unread_until};
use super::turned::{Ref, named};
use super::uid::Uid;
use super::wake::pool_of;
use crate::api::{AgentClaim, AgentTemplate, InstanceRef, Seen};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, claims, status};
use crate::engine::claiming::{self, ClaimNews, ClaimTerms, is_given_up};
use crate::engine::claims::{
    ClaimSight, ClaimStep, NamedInstance, PoolMember, is_free_again, next,
};
use crate::model::Provision;
use crate::model::pause::annotated;
use held::{Does, HeldAgent, Then, shown, versions};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::Api;
use std::sync::Arc;

/// More steps than any way of serving a claim has.
const STEPS: usize = 32;

/// What is in flight for an agent is looked at again after so long.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// What is paused is looked at again after so long.
const PAUSED: SignedDuration = SignedDuration::from_secs(10);

/// One claim being served.
pub struct Serving<'a> {
    ctx: &'a Arc<Context>,
    claim: AgentClaim,
    /// Of its pool.
    terms: ClaimTerms,
    named: Ref<AgentClaim>,
    its: Vec<HeldAgent>,
    /// Whether `its` is what a write or a read has answered, and not what the store shows.
    live: bool,
    looked: bool,
    /// Whether the claim was read since it was last written.
    read: bool,
    around: NamedInstance,
    /// What its agent is to be told, once it was put together.
    words: Option<Provision>,
    /// The template that it names for its persona, once that was read.
    persona: Option<Arc<AgentTemplate>>,
}

impl<'a> Serving<'a> {
    /// A claim as this process has left it.
    pub fn again(ctx: &'a Arc<Context>, left: LeftClaim) -> Serving<'a> {
        let mut serving = Serving::of(ctx, left.claim);
        for one in &mut serving.its {
            let mut known = left.agents.iter();
            // Stores leave owners out.
            let known = known.find(|known| known.uid == one.meta.uid);
            one.meta = known.cloned().unwrap_or_default();
        }
        serving.live = true;
        serving
    }

    /// A claim as it was seen being made, or as it was read.
    pub fn of(ctx: &'a Arc<Context>, claim: AgentClaim) -> Serving<'a> {
        let its = shown(ctx, &claim);
        let fresh = ctx.stores.lines.is_fresh(&claim);
        let pool = ctx.stores.pools.get(&pool_of(&claim));
        let pool = pool.as_ref().and_then(Seen::read);
        let serving = Serving {
            named: named(&Seen::Read(Arc::new(claim.clone()))),
            looked: fresh && its.is_empty(),
            live: its.is_empty(),
            read: false,
            its,
            around: NamedInstance::Unknown,
            terms: ClaimTerms::of(pool.map(|pool| &**pool)),
            words: None,
            persona: None,
            claim,
            ctx,
        };
        if fresh {
            serving.begins(&serving.claim);
        }
        serving
    }

    /// Goes on until the claim waits. Answers when it comes again by itself.
    pub async fn run(mut self) -> Result<Option<Timestamp>, ClusterError> {
        for _ in 0..STEPS {
            if let Then::End(again) = self.step().await? {
                let on_its_way = self.own().is_some() && !claiming::is_served(&self.claim);
                if self.live && on_its_way {
                    let versions = versions(&self.claim, &self.its);
                    let served = &self.ctx.memories.served;
                    let agents = self.its.iter().map(|one| one.meta.clone());
                    let left = LeftClaim {
                        claim: self.claim.clone(),
                        agents: agents.collect(),
                    };
                    served.leave(left, versions);
                }
                return Ok([again, self.next_time()].into_iter().flatten().min());
            }
        }
        Err(ClusterError::Stale {
            what: "serving a claim",
        })
    }

    /// When one of its own times comes.
    fn next_time(&self) -> Option<Timestamp> {
        let now = self.ctx.around.now();
        if let Some(goes) = self.goes_at() {
            return Some(goes.max(self.paused(now).unwrap_or(goes)));
        }
        if claiming::view(&self.claim).over {
            return None;
        }
        let expires = claiming::expires_at(&self.claim).filter(|_| claiming::has_time(&self.claim));
        let waits = claiming::waits(&self.claim) && self.its.is_empty();
        let bind_by = claiming::bind_by(&self.claim, &self.terms).filter(|_| waits);
        let bind_by = bind_by.map(|at| match at <= now {
            true => now + PAUSED,
            false => at,
        });
        let next = [expires, bind_by];
        let next = next.into_iter().flatten().min()?;
        // What is over while it is paused is over as soon as it is not.
        let again = self.paused(now).filter(|_| next <= now);
        Some(again.unwrap_or(next))
    }

    async fn step(&mut self) -> Result<Then, ClusterError> {
        let now = self.ctx.around.now();
        if claiming::expires(&self.claim, now) && self.paused(now).is_none() {
            return self.write(&ClaimNews::Expired).await;
        }
        if self.goes_at().is_some_and(|at| at <= now) && self.paused(now).is_none() {
            return self.finish(now).await;
        }
        if claiming::has_expired(&self.claim) {
            return self.expire(now).await;
        }
        let goes = self.own().is_none_or(|own| own.member.deleting);
        // Another one is taken when a person has deleted the one that is another claim's.
        let goes_on = claiming::is_of_another(&self.claim) && goes;
        let settled = claiming::is_settled(&self.claim) && !goes_on;
        if settled && self.claim.metadata.deletion_timestamp.is_none() {
            return Ok(Then::End(None));
        }
        if self.is_lost() && self.paused(now).is_none() {
            return self.write(&ClaimNews::Lost).await;
        }
        let does = self.decide(now);
        let writes = matches!(
            does,
            Does::Bind(_) | Does::GiveBack(_) | Does::HandOver(_) | Does::Tell(_) | Does::Delete(_)
        );
        if writes && !self.live {
            return self.look().await;
        }
        match does {
            Does::Look => self.look().await,
            Does::Wait => self.wait(now).await,
            Does::Rest if self.is_to_follow() => self.follow(now).await,
            Does::Rest => {
                let later = self.catch_up(now).await?;
                let again = [later, self.keep(now).await?, self.pending(now).await?];
                Ok(Then::End(again.into_iter().flatten().min()))
            }
            Does::Bind(uid) => self.bind(&uid).await,
            Does::GiveBack(uid) => self.give_back(&uid).await,
            Does::HandOver(uid) => self.hand_over(&uid, now).await,
            Does::Tell(uid) => self.tell(&uid, now).await,
            Does::Delete(uid) => self.delete(&uid).await,
            Does::Become(news) => self.write(&news).await,
        }
    }

    /// What is next.
    fn decide(&self, now: Timestamp) -> Does {
        let view = claiming::view(&self.claim);
        let its: Vec<&PoolMember<String>> = self.its.iter().map(|one| &one.member).collect();
        let sight = ClaimSight {
            its: &its,
            named: self.around,
            looked: self.looked,
            free: None,
            given_up: self.is_given_up(now),
            late: claiming::is_late(&self.claim, &self.terms, now) && !self.in_doubt(),
            paused: self.paused(now).is_some(),
        };
        let of = |member: &PoolMember<String>| member.uid.clone();
        match next(&view, &sight) {
            ClaimStep::Look => Does::Look,
            ClaimStep::Bind(one) => Does::Bind(of(one)),
            ClaimStep::GiveBack(one) => Does::GiveBack(of(one)),
            ClaimStep::HandOver(one) => Does::HandOver(of(one)),
            ClaimStep::Tell(one) => Does::Tell(of(one)),
            ClaimStep::Delete(one) => Does::Delete(of(one)),
            ClaimStep::Reject(_) => Does::Become(ClaimNews::Rejected),
            ClaimStep::Failed => Does::Become(ClaimNews::Failed),
            ClaimStep::TooLate => Does::Become(ClaimNews::TooLate),
            ClaimStep::Astray | ClaimStep::Lost => Does::Become(ClaimNews::Lost),
            ClaimStep::Rest => Does::Rest,
            // None is offered before it is its turn.
            ClaimStep::Wait | ClaimStep::Take(_) => Does::Wait,
        }
    }

    /// The instance that it names, and has.
    fn own(&self) -> Option<&HeldAgent> {
        let named = claiming::view(&self.claim).names?;
        self.its.iter().find(|one| one.member.uid == named)
    }

    /// Whether what its agent answered is gone with the project in which the agent was.
    fn is_lost(&self) -> bool {
        let view = claiming::view(&self.claim);
        view.ready && !view.over && self.own().is_some_and(|own| own.emptied)
    }

    fn is_to_follow(&self) -> bool {
        let view = claiming::view(&self.claim);
        view.ready && !view.over && claiming::is_edited(&self.claim)
    }

    fn is_given_up(&self, now: Timestamp) -> bool {
        let own = self.own();
        let handed_over = own.and_then(|one| Some((one, one.handed_over_at?)));
        handed_over.is_some_and(|(own, at)| {
            let agent = Uid::from(own.member.uid.as_str());
            let heard = self.ctx.memories.tellings.heard(&agent);
            let told = claiming::told_from(&self.claim, at);
            is_given_up(heard, told, claiming::give_up_at(&self.claim, at), now)
        })
    }

    /// When to look again, where nothing is done to its agent now.
    fn paused(&self, now: Timestamp) -> Option<Timestamp> {
        let paused = |one: &HeldAgent| {
            let annotations = one.meta.annotations.as_ref();
            annotations.is_some_and(annotated) || holds(self.ctx, &one.account, &one.template)
        };
        let unread = |one: &HeldAgent| unread_until(self.ctx, &one.account);
        if self.ctx.around.settings.observe_only || self.its.iter().any(paused) {
            return Some(now + PAUSED);
        }
        let unread = self.its.iter().filter_map(unread).max();
        unread.map(|again| again.max(now + SOON))
    }

    /// Says what became so.
    async fn write(&mut self, news: &ClaimNews) -> Result<Then, ClusterError> {
        let new = claiming::status(&self.claim, news, &self.terms, self.ctx.around.now());
        if self.claim.status.as_ref() == Some(&new) {
            return Ok(Then::End(None));
        }
        let client = &self.ctx.around.client;
        let written = claims::quickly("telling a claim", status::write(client, &self.claim, &new));
        match written.await {
            Ok(claim) => {
                let before = self.claim.status.take().unwrap_or_default();
                self.claim = claim;
                self.became(&before, news);
                // What was looked at before is good for that version alone.
                (self.looked, self.read) = (false, false);
                self.around = NamedInstance::Unknown;
                Ok(Then::GoOn)
            }
            Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => self.read_again().await,
            Err(error) => Err(error),
        }
    }

    /// Somebody has written the claim, or it is gone.
    async fn read_again(&mut self) -> Result<Then, ClusterError> {
        let (client, namespace) = (
            &self.ctx.around.client,
            self.claim.namespace().unwrap_or_default(),
        );
        let api: Api<AgentClaim> = Api::namespaced(client.clone(), &namespace);
        let found = find("reading the claim", api.get_opt(&self.claim.name_any())).await?;
        match found.filter(|found| found.uid() == self.claim.uid()) {
            Some(claim) => {
                self.claim = claim;
                (self.looked, self.live, self.read) = (false, false, true);
                self.around = NamedInstance::Unknown;
                (self.words, self.persona) = (None, None);
                Ok(Then::GoOn)
            }
            None => {
                for one in self
                    .its
                    .iter()
                    .filter(|one| is_free_again(&one.member, None))
                {
                    let given = claims::give_back(client, &one.meta).await;
                    // Nobody comes for it again.
                    self.release(&self.brings().unwrap_or_default(), &one.member.uid);
                    match given {
                        Ok(_) | Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(Then::End(None))
            }
        }
    }

    /// Looks, live, for what it has and for what it names.
    async fn look(&mut self) -> Result<Then, ClusterError> {
        let client = &self.ctx.around.client;
        let (namespace, uid) = (
            self.claim.namespace().unwrap_or_default(),
            self.claim.uid().unwrap_or_default(),
        );
        let mut found = claims::look(client, &namespace, &uid).await?;
        // The label may have been taken off.
        let names = self
            .claim
            .status
            .as_ref()
            .and_then(|status| status.instance_ref.clone());
        let mut others: Vec<InstanceRef> = self.its.iter().map(HeldAgent::reference).collect();
        others.extend(names.clone().filter(|named| !others.contains(named)));
        self.around = NamedInstance::Gone;
        for other in others {
            if found
                .iter()
                .any(|one| one.uid().as_ref() == Some(&other.uid))
            {
                continue;
            }
            let Some(one) = claims::get(client, &namespace, &other).await? else {
                continue;
            };
            let hold = one.spec.claim_ref.as_ref();
            if hold.is_some_and(|hold| hold.uid == uid) {
                found.push(one);
            } else if names.as_ref() == Some(&other) {
                self.around = NamedInstance::NotIts;
            }
        }
        self.its = found.iter().map(HeldAgent::of).collect();
        (self.looked, self.live) = (true, true);
        Ok(Then::GoOn)
    }
}
