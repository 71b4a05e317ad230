//! The writes of a claim that is served: taking, binding, handing over, giving back, deleting.
//!
//! Holds: one write each; after a conflict everything is looked at anew.

use super::held::{HeldAgent, Then};
use super::{PAUSED, Serving};
use crate::api::AgentClaim;
use crate::api::template::ToolSpec;
use crate::cluster::{ClusterError, claims};
use crate::controllers::lines::FreeAgent;
use crate::controllers::paused::{holds, is_unread};
use crate::controllers::queue::Rank;
use crate::controllers::turned::Ref;
use crate::controllers::uid::Uid;
use crate::engine::bringing::RoomLack;
use crate::engine::claiming::{self, ClaimNews};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::ResourceExt;
use std::time::Duration;

/// What is in flight for an agent is looked at again after so long.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// An agent that was deleted is looked for after so long, should nobody tell that it is gone.
const GONE: SignedDuration = SignedDuration::from_secs(30);

/// What came of taking an agent.
pub(super) enum Take {
    /// It has one.
    Done,
    /// None is free for it.
    Nothing,
    /// There is no room for what it brings.
    NoRoom(RoomLack),
}

impl Serving<'_> {
    /// Takes an agent, if it is the claim's turn and one is free, and holds room for the tools that the claim brings it. Answers whether it
    /// did.
    pub(super) async fn take(&mut self, tools: &[ToolSpec]) -> Result<Take, ClusterError> {
        let (ctx, now) = (self.ctx, self.ctx.around.now());
        let may = |agent: &FreeAgent| {
            ctx.stores.usable(&agent.account)
                && !holds(ctx, &agent.account, &agent.template)
                && !is_unread(ctx, &agent.account)
        };
        let lines = &ctx.stores.lines;
        let mut offered = lines.offer(&self.claim, may);
        let mut refused = Vec::new();
        while let Some(agent) = offered {
            match self.lack(tools, Some(&agent.uid), now).await {
                Ok(None) => {}
                lack => {
                    lines.put_back(&self.claim, agent);
                    self.unchanged(refused);
                    return lack.map(|lack| lack.map_or(Take::Nothing, Take::NoRoom));
                }
            }
            let (client, version) = (&ctx.around.client, agent.version.as_deref());
            match claims::take(client, &agent.named.name, version, &self.claim).await {
                Ok(meta) => {
                    lines.taken(ctx.around.now());
                    let taken = HeldAgent::taken(agent, meta, &self.claim);
                    self.its.push(taken);
                    self.live = true;
                    self.unchanged(refused);
                    self.next_in_line(lines.next(&self.claim));
                    return Ok(Take::Done);
                }
                // Another claim was faster, or it is another by now: the watch shows it again where it is still free.
                Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {
                    self.release(tools, &agent.uid);
                    refused.push(agent);
                    offered = lines.offer_another(&self.claim, may);
                }
                // It may have been taken all the same: the room stays held until that shows.
                Err(error) => {
                    let places = &ctx.memories.places;
                    places.ended(&agent.uid, ctx.around.now());
                    lines.put_back(&self.claim, agent);
                    self.unchanged(refused);
                    return Err(error);
                }
            }
        }
        self.unchanged(refused);
        lines.join(&self.claim, &self.named);
        Ok(Take::Nothing)
    }

    /// Agents that were refused to it: the watch shows nothing of one that has not changed since, and it is free still.
    fn unchanged(&self, refused: Vec<FreeAgent>) {
        let (stores, lines) = (&self.ctx.stores, &self.ctx.stores.lines);
        for agent in refused {
            let shown = stores.instances.get(&agent.named);
            if shown.is_some_and(|shown| shown.resource_version() == agent.version) {
                lines.put_back(&self.claim, agent);
            }
        }
    }

    /// Who can have what this claim does not need.
    pub(super) fn next_in_line(&self, who: impl IntoIterator<Item = Ref<AgentClaim>>) {
        for next in who {
            let queue = &self.ctx.stores.claims.queue;
            queue.add(next, Rank::News, Duration::ZERO);
        }
    }

    pub(super) fn one(&self, uid: &str) -> Result<&HeldAgent, ClusterError> {
        let found = self.its.iter().find(|one| one.member.uid == uid);
        found.ok_or(ClusterError::Stale {
            what: "serving a claim",
        })
    }

    pub(super) async fn bind(&mut self, uid: &str) -> Result<Then, ClusterError> {
        let own = self.one(uid)?;
        let news = ClaimNews::Bound {
            instance: own.reference(),
            url: own.url.clone(),
        };
        let then = self.write(&news).await?;
        // Who is not bound yet comes before what is left to do for this one.
        let queue = &self.ctx.stores.claims.queue;
        if self.own().is_some() && queue.presses() {
            queue.add(self.named.clone(), Rank::News, Duration::ZERO);
            return Ok(Then::End(None));
        }
        Ok(then)
    }

    /// After a write of an instance: what it is now, or everything anew.
    pub(super) fn after(
        &mut self,
        written: Result<(), ClusterError>,
    ) -> Result<Then, ClusterError> {
        match written {
            Ok(()) => Ok(Then::GoOn),
            Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {
                self.live = false;
                Ok(Then::GoOn)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn give_back(&mut self, uid: &str) -> Result<Then, ClusterError> {
        // Somebody else may have bound it to this one meanwhile, and would believe it lost.
        if !self.read && !claiming::view(&self.claim).over {
            return self.read_again().await;
        }
        let given = claims::give_back(&self.ctx.around.client, &self.one(uid)?.meta).await;
        if given.is_ok() {
            self.release(&self.brings().unwrap_or_default(), uid);
            self.its.retain(|one| one.member.uid != uid);
        }
        self.after(given.map(drop))
    }

    pub(super) async fn hand_over(
        &mut self,
        uid: &str,
        now: Timestamp,
    ) -> Result<Then, ClusterError> {
        let own = self.one(uid)?;
        if !own.settled {
            return Ok(Then::End(Some(now + SOON)));
        }
        let tools = match self.handed_over().await? {
            Ok(tools) => tools,
            Err(broken) => {
                self.write(&ClaimNews::Unsaid(broken)).await?;
                return Ok(match self.read {
                    true => Then::GoOn,
                    // Of a template of its pool nobody tells it.
                    false => Then::End(Some(now + PAUSED)),
                });
            }
        };
        let own = self.one(uid)?;
        let client = &self.ctx.around.client;
        let terms = (self.terms.update_policy(&self.claim), MicroTime(now));
        let handed = claims::hand_over(client, &own.meta, &self.claim, tools.clone(), terms).await;
        let written = handed.map(|meta| {
            for one in self.its.iter_mut().filter(|one| one.member.uid == uid) {
                one.meta = meta.clone();
                one.handed_over_at = Some(now);
                one.brought.clone_from(&tools);
                if let Some(hold) = &mut one.member.hold {
                    hold.handed_over = true;
                }
            }
        });
        if written.is_ok() {
            self.begin_tools(uid);
        }
        self.after(written)
    }

    /// An agent that has tools to get by its claim looks at itself at once.
    fn begin_tools(&self, uid: &str) {
        let its = self.its.iter().find(|one| one.member.uid == uid);
        if let Some(own) = its.filter(|own| !own.brought.is_empty()) {
            let namespace = self.claim.namespace().unwrap_or_default();
            let named = Ref::new(&own.reference().name).within(&namespace);
            let queue = &self.ctx.stores.instances.queue;
            queue.add(named, Rank::News, Duration::ZERO);
        }
    }

    pub(super) async fn delete(&mut self, uid: &str) -> Result<Then, ClusterError> {
        let own = self.one(uid)?;
        let (named, version) = (own.reference(), own.meta.resource_version.clone());
        let namespace = self.claim.namespace().unwrap_or_default();
        let client = &self.ctx.around.client;
        let deleted = claims::delete(client, &namespace, &named.name, &named.uid, version).await;
        if deleted.is_ok() {
            self.ctx.memories.tellings.forget(&Uid::from(uid));
            // The watch tells when it is gone.
            return Ok(Then::End(Some(self.ctx.around.now() + GONE)));
        }
        self.after(deleted)
    }

    /// Its time was over: the agent goes, the claim stays.
    pub(super) async fn expire(&mut self, now: Timestamp) -> Result<Then, ClusterError> {
        let stays = |one: &&HeldAgent| !one.member.deleting;
        let Some(own) = self.its.iter().find(stays) else {
            return Ok(Then::End(None));
        };
        if !self.live {
            return self.look().await;
        }
        let (uid, handed_over) = (own.member.uid.clone(), own.handed_over_at.is_some());
        match handed_over {
            true => match self.paused(now) {
                Some(again) => Ok(Then::End(Some(again))),
                None => self.delete(&uid).await,
            },
            false => self.give_back(&uid).await,
        }
    }

    /// When it is deleted, where it has finished and nothing of it is left.
    pub(super) fn goes_at(&self) -> Option<Timestamp> {
        claiming::deleted_at(&self.claim).filter(|_| self.its.is_empty())
    }

    /// It has finished, and goes.
    pub(super) async fn finish(&mut self, now: Timestamp) -> Result<Then, ClusterError> {
        match claims::delete_claim(&self.ctx.around.client, &self.claim).await {
            Ok(()) | Err(ClusterError::Gone { .. }) => {
                self.claim.metadata.deletion_timestamp = Some(Time(now));
                Ok(Then::End(None))
            }
            Err(ClusterError::Stale { .. }) => self.read_again().await,
            Err(error) => Err(error),
        }
    }
}
