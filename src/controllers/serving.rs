//! One claim being served: what is known of it and of what it has, and each step carried out.
//!
//! What holds: which step is next is decided by `engine::claims` alone; a step that writes an instance is taken from what a write or
//! a read has answered, never from the store; after a conflict everything is looked at anew. Waiting for an agent's answer
//! happens elsewhere (`telling`).

use super::context::Context;
use super::paused::recovers;
use super::stores::InstanceBy;
use super::telling::Telling;
use super::turned::{Ref, named};
use super::uid::Uid;
use super::wake::pool_of;
use crate::api::{AgentClaim, AgentInstance, InstanceRef, Seen};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, claims, status};
use crate::engine::claiming::{self, ClaimNews};
use crate::engine::claims::{ClaimHold, ClaimSight, ClaimStep, NamedInstance, PoolMember, is_free_again, next};
use crate::engine::pool::settled;
use crate::model::{AgentBinding, TellOutcome};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Resource, ResourceExt};
use kube::api::Api;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More steps than any way of serving a claim has.
const STEPS: usize = 32;

/// What is in flight for an agent is looked at again after so long.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// How long an agent to which nothing can be sent is tried before another one is taken.
const UNREACHED: SignedDuration = SignedDuration::from_secs(5);

/// An instance that bears the claim's UID.
struct Held {
    member: PoolMember<String>,
    meta: ObjectMeta,
    url: Option<String>,
    handed_over_at: Option<Timestamp>,
    /// Whether nothing outside is in flight for it.
    settled: bool,
}

impl Held {
    fn of(instance: &AgentInstance) -> Held {
        let hold = instance.spec.claim_ref.as_ref();
        Held {
            member: claiming::member(instance),
            meta: instance.metadata.clone(),
            url: instance.status.as_ref().and_then(|status| status.url.clone()),
            handed_over_at: hold.and_then(|hold| hold.handed_over_at.as_ref()).map(|at| at.0),
            settled: settled(instance),
        }
    }

    fn reference(&self) -> InstanceRef {
        InstanceRef {
            name: self.meta.name.clone().unwrap_or_default(),
            uid: self.member.uid.clone(),
        }
    }
}

/// A step, by the UID of its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Does {
    Look,
    Bind(String),
    GiveBack(String),
    HandOver(String),
    Tell(String),
    Delete(String),
    Wait,
    Become(&'static str),
    Rest,
}

/// Whether to go on, or when to come again.
enum Then {
    GoOn,
    End(Option<Timestamp>),
}

/// One claim being served.
pub struct Serving<'a> {
    ctx: &'a Arc<Context>,
    claim: AgentClaim,
    named: Ref<AgentClaim>,
    its: Vec<Held>,
    /// Whether `its` is what a write or a read has answered, and not what the store shows.
    live: bool,
    looked: bool,
    around: NamedInstance,
    unreached: bool,
}

impl<'a> Serving<'a> {
    /// A claim, `fresh` where it is the version that was seen being made.
    pub fn of(ctx: &'a Arc<Context>, claim: AgentClaim, fresh: bool) -> Serving<'a> {
        let uid = claim.uid().unwrap_or_default();
        let shown = ctx.stores.instances.by(&InstanceBy::Claim(uid));
        let its: Vec<Held> = shown.iter().map(|one| Held::of(one)).collect();
        Serving {
            named: named(&Seen::Read(Arc::new(claim.clone()))),
            looked: fresh && its.is_empty(),
            live: its.is_empty(),
            its,
            around: NamedInstance::Unknown,
            unreached: false,
            claim,
            ctx,
        }
    }

    /// Goes on until the claim waits. Answers when it comes again by itself.
    pub async fn run(mut self) -> Result<Option<Timestamp>, ClusterError> {
        for _ in 0..STEPS {
            if let Then::End(again) = self.step().await? {
                return Ok([again, self.next_time()].into_iter().flatten().min());
            }
        }
        Err(ClusterError::Stale {
            what: "serving a claim",
        })
    }

    /// When one of its own times comes.
    fn next_time(&self) -> Option<Timestamp> {
        if claiming::view(&self.claim).over {
            return None;
        }
        let expires = self.claim.status.as_ref().and_then(|status| status.expires_at.as_ref());
        let bind_by = claiming::bind_by(&self.claim).filter(|_| claiming::waits(&self.claim));
        [expires.map(|at| at.0), bind_by].into_iter().flatten().min()
    }

    async fn step(&mut self) -> Result<Then, ClusterError> {
        let now = self.ctx.around.now();
        if let Some(news) = self.time_over(now) {
            return self.write(&news).await;
        }
        if claiming::has_expired(&self.claim) {
            return self.expire().await;
        }
        if claiming::is_settled(&self.claim) && self.claim.metadata.deletion_timestamp.is_none() {
            return Ok(Then::End(None));
        }
        let does = self.decide(now);
        let writes = matches!(does, Does::Bind(_) | Does::GiveBack(_) | Does::HandOver(_) | Does::Tell(_) | Does::Delete(_));
        if writes && !self.live {
            return self.look().await;
        }
        match does {
            Does::Look => self.look().await,
            Does::Wait => self.wait(now).await,
            Does::Rest => Ok(Then::End(self.pending().await?)),
            Does::Bind(uid) => self.bind(&uid).await,
            Does::GiveBack(uid) => self.give_back(&uid).await,
            Does::HandOver(uid) => self.hand_over(&uid, now).await,
            Does::Tell(uid) => self.tell(&uid, now).await,
            Does::Delete(uid) => self.delete(&uid).await,
            Does::Become("rejected") => self.write(&ClaimNews::Rejected).await,
            Does::Become("failed") => self.write(&ClaimNews::Failed).await,
            Does::Become(_) => self.write(&ClaimNews::Lost).await,
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
        };
        let of = |member: &PoolMember<String>| member.uid.clone();
        match next(&view, &sight) {
            ClaimStep::Look => Does::Look,
            ClaimStep::Bind(one) => Does::Bind(of(one)),
            ClaimStep::GiveBack(one) => Does::GiveBack(of(one)),
            ClaimStep::HandOver(one) => Does::HandOver(of(one)),
            ClaimStep::Tell(one) => Does::Tell(of(one)),
            ClaimStep::Delete(one) => Does::Delete(of(one)),
            ClaimStep::Reject(_) => Does::Become("rejected"),
            ClaimStep::Failed => Does::Become("failed"),
            ClaimStep::Astray | ClaimStep::Lost => Does::Become("lost"),
            ClaimStep::Rest => Does::Rest,
            // None is offered before it is its turn.
            ClaimStep::Wait | ClaimStep::Take(_) => Does::Wait,
        }
    }

    fn is_given_up(&self, now: Timestamp) -> bool {
        let handed_over = self.its.iter().filter_map(|one| one.handed_over_at).min();
        handed_over.is_some_and(|at| {
            let late = claiming::give_up_at(&self.claim, at) <= now;
            late || (self.unreached && now.duration_since(at) > UNREACHED)
        })
    }

    /// One of its times has come, and that is not said yet.
    fn time_over(&self, now: Timestamp) -> Option<ClaimNews> {
        let view = claiming::view(&self.claim);
        if view.over {
            return None;
        }
        let come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let expires = self.claim.status.as_ref().and_then(|status| status.expires_at.as_ref());
        if view.names.is_some() && come(expires.map(|at| at.0)) {
            return Some(ClaimNews::Expired);
        }
        let waited = claiming::waits(&self.claim) && come(claiming::bind_by(&self.claim));
        waited.then_some(ClaimNews::TooLate)
    }

    /// Says what became so.
    async fn write(&mut self, news: &ClaimNews) -> Result<Then, ClusterError> {
        let new = claiming::status(&self.claim, news, self.ctx.around.now());
        if self.claim.status.as_ref() == Some(&new) {
            return Ok(Then::End(None));
        }
        let client = &self.ctx.around.client;
        let written = claims::quickly("telling a claim", status::write(client, &self.claim, &new));
        match written.await {
            Ok(claim) => {
                self.claim = claim;
                // What was looked at before is good for that version alone.
                self.looked = false;
                self.around = NamedInstance::Unknown;
                Ok(Then::GoOn)
            }
            Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => self.read_again().await,
            Err(error) => Err(error),
        }
    }

    /// Somebody has written the claim, or it is gone.
    async fn read_again(&mut self) -> Result<Then, ClusterError> {
        let (client, namespace) = (&self.ctx.around.client, self.claim.namespace().unwrap_or_default());
        let api: Api<AgentClaim> = Api::namespaced(client.clone(), &namespace);
        let found = find("reading the claim", api.get_opt(&self.claim.name_any())).await?;
        match found.filter(|found| found.uid() == self.claim.uid()) {
            Some(claim) => {
                self.claim = claim;
                (self.looked, self.live) = (false, false);
                self.around = NamedInstance::Unknown;
                Ok(Then::GoOn)
            }
            None => {
                for one in self.its.iter().filter(|one| is_free_again(&one.member, None)) {
                    match claims::give_back(client, &one.meta).await {
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
        let (namespace, uid) = (self.claim.namespace().unwrap_or_default(), self.claim.uid().unwrap_or_default());
        let mut found = claims::look(client, &namespace, &uid).await?;
        // The label may have been taken off.
        let names = self.claim.status.as_ref().and_then(|status| status.instance_ref.clone());
        let mut others: Vec<InstanceRef> = self.its.iter().map(Held::reference).collect();
        others.extend(names.clone().filter(|named| !others.contains(named)));
        self.around = NamedInstance::Gone;
        for other in others {
            if found.iter().any(|one| one.uid().as_ref() == Some(&other.uid)) {
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
        self.its = found.iter().map(Held::of).collect();
        (self.looked, self.live) = (true, true);
        Ok(Then::GoOn)
    }

    /// It waits: for an agent that is free, or for one that goes to be gone.
    async fn wait(&mut self, now: Timestamp) -> Result<Then, ClusterError> {
        if !claiming::waits(&self.claim) || !self.its.is_empty() {
            // It is woken by the one that goes.
            return Ok(Then::End(None));
        }
        let (ctx, pool) = (self.ctx, pool_of(&self.claim));
        let there = ctx.stores.pools.get(&pool);
        let gives = there.is_some_and(|pool| pool.meta().deletion_timestamp.is_none());
        ctx.stores.lines.join(&self.claim, &self.named);
        if gives && !ctx.around.settings.observe_only && self.take().await? {
            return Ok(Then::GoOn);
        }
        let created = self.claim.metadata.creation_timestamp.as_ref();
        let told = created.map_or(now, |created| created.0 + SOON);
        if told > now {
            return Ok(Then::End(Some(told)));
        }
        let news = if gives { ClaimNews::NoAgent } else { ClaimNews::NoPool };
        let new = claiming::status(&self.claim, &news, now);
        if self.claim.status.as_ref() != Some(&new) {
            return self.write(&news).await;
        }
        // One that is free and may not be bound now, because of its account, is not told of again.
        let held_back = gives && ctx.stores.lines.has_free(&pool);
        Ok(Then::End(held_back.then(|| now + SOON * 10)))
    }

    /// Takes an agent, if it is the claim's turn and one is free. Answers whether it did.
    async fn take(&mut self) -> Result<bool, ClusterError> {
        let ctx = self.ctx;
        let may = |account: &str| ctx.stores.usable(account) && !recovers(ctx, account);
        let lines = &ctx.stores.lines;
        let mut offered = lines.offer(&self.claim, may);
        while let Some(agent) = offered {
            let (client, version) = (&ctx.around.client, agent.version.as_deref());
            match claims::take(client, &agent.named.name, version, &self.claim).await {
                Ok(meta) => {
                    let member = PoolMember {
                        uid: agent.uid,
                        made: agent.made.as_second(),
                        hold: Some(ClaimHold {
                            claim: self.claim.uid().unwrap_or_default(),
                            handed_over: false,
                        }),
                        deleting: meta.deletion_timestamp.is_some(),
                    };
                    self.its.push(Held {
                        member,
                        meta,
                        url: agent.url,
                        handed_over_at: None,
                        settled: true,
                    });
                    self.live = true;
                    return Ok(true);
                }
                // Another claim was faster, or it is another by now: the watch shows it again where it is still free.
                Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {
                    offered = lines.offer_another(&self.claim, may);
                }
                Err(error) => {
                    lines.put_back(&self.claim, agent);
                    return Err(error);
                }
            }
        }
        lines.join(&self.claim, &self.named);
        Ok(false)
    }

    fn one(&self, uid: &str) -> Result<&Held, ClusterError> {
        let found = self.its.iter().find(|one| one.member.uid == uid);
        found.ok_or(ClusterError::Stale {
            what: "serving a claim",
        })
    }

    async fn bind(&mut self, uid: &str) -> Result<Then, ClusterError> {
        let own = self.one(uid)?;
        let news = ClaimNews::Bound {
            instance: own.reference(),
            url: own.url.clone(),
        };
        self.write(&news).await
    }

    /// After a write of an instance: what it is now, or everything anew.
    fn after(&mut self, written: Result<(), ClusterError>) -> Result<Then, ClusterError> {
        match written {
            Ok(()) => Ok(Then::GoOn),
            Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {
                self.live = false;
                Ok(Then::GoOn)
            }
            Err(error) => Err(error),
        }
    }

    async fn give_back(&mut self, uid: &str) -> Result<Then, ClusterError> {
        let given = claims::give_back(&self.ctx.around.client, &self.one(uid)?.meta).await;
        if given.is_ok() {
            self.its.retain(|one| one.member.uid != uid);
        }
        self.after(given.map(drop))
    }

    async fn hand_over(&mut self, uid: &str, now: Timestamp) -> Result<Then, ClusterError> {
        let own = self.one(uid)?;
        if !own.settled {
            return Ok(Then::End(Some(now + SOON)));
        }
        let at = MicroTime(now);
        let handed = claims::hand_over(&self.ctx.around.client, &own.meta, &self.claim, at).await;
        let written = handed.map(|meta| {
            for one in self.its.iter_mut().filter(|one| one.member.uid == uid) {
                one.meta = meta.clone();
                one.handed_over_at = Some(now);
                if let Some(hold) = &mut one.member.hold {
                    hold.handed_over = true;
                }
            }
        });
        self.after(written)
    }

    async fn delete(&mut self, uid: &str) -> Result<Then, ClusterError> {
        let own = self.one(uid)?;
        let (named, version) = (own.reference(), own.meta.resource_version.clone());
        let namespace = self.claim.namespace().unwrap_or_default();
        let client = &self.ctx.around.client;
        let deleted = claims::delete(client, &namespace, &named.name, &named.uid, version).await;
        self.ctx.memories.tellings.forget(&Uid::from(uid));
        if deleted.is_ok() {
            // The watch tells when it is gone.
            return Ok(Then::End(Some(self.ctx.around.now() + SOON * 30)));
        }
        self.after(deleted)
    }

    /// Its time was over: the agent goes, the claim stays.
    async fn expire(&mut self) -> Result<Then, ClusterError> {
        let stays = |one: &&Held| !one.member.deleting;
        let Some(own) = self.its.iter().find(stays) else {
            return Ok(Then::End(None));
        };
        if !self.live {
            return self.look().await;
        }
        let (uid, handed_over) = (own.member.uid.clone(), own.handed_over_at.is_some());
        match handed_over {
            true => self.delete(&uid).await,
            false => self.give_back(&uid).await,
        }
    }

    /// Has the agent told, and says what came of that.
    async fn tell(&mut self, uid: &str, now: Timestamp) -> Result<Then, ClusterError> {
        let (key, own) = (Uid::from(uid), self.one(uid)?);
        let Some(handed_over) = own.handed_over_at else {
            return Ok(Then::End(Some(now + SOON)));
        };
        let until = claiming::give_up_at(&self.claim, handed_over);
        let outcome = match self.ctx.memories.tellings.of(&key, now) {
            Telling::Answered(outcome) => outcome,
            Telling::UnderWay => return Ok(Then::End(None)),
            Telling::Later(at) => return Ok(Then::End(Some(at.min(until)))),
            Telling::None => {
                let instance = own.reference();
                super::telling::begin(self.ctx, &self.claim, instance, until);
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
            TellOutcome::NotSent { why } => {
                self.unreached = true;
                self.untold(why, &key, now, until).await
            }
            TellOutcome::Unknown { why } => self.untold(why, &key, now, until).await,
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
        if let Then::GoOn = self.write(&ClaimNews::Untold { why }).await? {
            return Ok(Then::End(Some(at.min(until))));
        }
        Ok(Then::End(Some(at.min(until))))
    }

    /// An agent that somebody has to let in is asked whether that was done.
    async fn pending(&mut self) -> Result<Option<Timestamp>, ClusterError> {
        let status = self.claim.status.clone().unwrap_or_default();
        let Some(instance) = status.instance_ref.filter(|_| claiming::is_pending(&self.claim)) else {
            return Ok(None);
        };
        let again = Some(self.ctx.around.now() + SOON * 5);
        let Some(said) = super::telling::ask(self.ctx, &self.claim, &instance).await? else {
            return Ok(again);
        };
        if let AgentBinding::Says { pending: false, .. } = said {
            let result: BTreeMap<String, String> = status.result;
            self.write(&ClaimNews::Told(result)).await?;
            return Ok(None);
        }
        Ok(again)
    }
}
