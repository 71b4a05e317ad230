//! Who waits for an agent of each pool, and which agents are free: changed by what the watch shows and by who is served.
//!
//! What holds: a free agent is offered to who is first in line, and wakes exactly those who can have one; an agent that was
//! offered is nobody else's until it is offered again. What is here may be a moment old: the resourceVersion of the write that
//! follows proves it. Deliberately absent: the order of a line (`engine::line`), and writes.

mod asking;

use super::held;
use super::turned::{Ref, Turned, named};
use super::wake::{Change, pool_of, pool_of_member, template_of};
use crate::api::text::ObjectName;
use crate::api::{AgentClaim, AgentInstance, AgentPool, AgentTemplate, Seen};
use crate::engine::claiming::stands_in_line;
use crate::engine::line::WaitingLine;
use crate::engine::pool::{claimable, is_current};
use asking::AskingClaims;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

/// After so long without an agent taken nobody gives way to claims any more, however many wait.
const BUSY: SignedDuration = SignedDuration::from_millis(200);

/// Which of those that are free is the first: at the current revision, then the newest.
type FreeOrder = (bool, Reverse<Timestamp>, String);

/// An agent that is free.
#[derive(Clone, Debug)]
pub struct FreeAgent {
    order: FreeOrder,
    /// Its instance.
    pub named: Ref<AgentInstance>,
    /// Its UID.
    pub uid: String,
    /// Of the object that was seen.
    pub version: Option<String>,
    /// Where it answers.
    pub url: Option<String>,
    /// The account in which it lives.
    pub account: String,
    /// Its template.
    pub template: Ref<AgentTemplate>,
    /// When it was made.
    pub made: Timestamp,
}

#[derive(Debug, Default)]
struct PoolLine {
    line: WaitingLine<LineName>,
    free: BTreeMap<FreeOrder, FreeAgent>,
    /// Agents that were restored while a claim had them for good: that claim's name, by theirs.
    restored: HashMap<String, ObjectName>,
}

/// A claim by namespace and name.
type LineName = (String, String);

/// The lines of all pools.
#[derive(Debug, Default)]
pub struct Lines {
    pools: Mutex<HashMap<Ref<AgentPool>, PoolLine>>,
    /// Claims that were seen being made, by UID, at the version that they had then.
    fresh: Mutex<HashMap<String, Option<String>>>,
    /// When an agent was last taken.
    served: Mutex<Option<Timestamp>>,
    asking: AskingClaims,
}

impl Lines {
    /// Something changed. Answers which claims can have an agent by that.
    pub fn note(&self, change: &Change) -> Vec<Ref<AgentClaim>> {
        match change {
            Change::Instance(turned) => self.member(turned),
            Change::Claim(turned) => {
                self.asking.note(turned);
                self.claim(turned)
            }
            _ => Vec::new(),
        }
    }

    fn member(&self, turned: &Turned<AgentInstance>) -> Vec<Ref<AgentClaim>> {
        let read = |one: &Option<Seen<AgentInstance>>| one.as_ref().and_then(Seen::read).cloned();
        let (before, after) = (read(&turned.before), read(&turned.after));
        let either = after.as_ref().or(before.as_ref());
        let Some(pool) = either.and_then(|one| pool_of_member(one)) else {
            return Vec::new();
        };
        let mut pools = held(&self.pools);
        let own = pools.entry(pool).or_default();
        if let Some(before) = &before {
            own.free.remove(&FreeAgent::of(before).order);
            own.restored.remove(&before.name_any());
        }
        if let Some((name, claim)) = after.as_ref().and_then(|after| restored_with(after)) {
            own.restored.insert(name, claim);
        }
        match after.filter(|after| claimable(after)) {
            Some(after) => {
                let agent = FreeAgent::of(&after);
                own.free.insert(agent.order.clone(), agent);
                own.who_can()
            }
            None => Vec::new(),
        }
    }

    /// A claim changed. Answers who can have what it would have had, where it has left the line.
    fn claim(&self, turned: &Turned<AgentClaim>) -> Vec<Ref<AgentClaim>> {
        let uid = |one: &Seen<AgentClaim>| one.uid().unwrap_or_default();
        if let Some(before) = &turned.before {
            held(&self.fresh).remove(&uid(before));
        }
        let named = turned.after.as_ref().or(turned.before.as_ref()).map(named);
        let (Some(after), Some(named)) = (turned.after.as_ref().and_then(Seen::read), named) else {
            let before = turned.before.as_ref().and_then(Seen::read);
            return before.map_or_else(Vec::new, |before| self.leave(before));
        };
        if turned.live && turned.before.is_none() && after.status.is_none() {
            let uid = after.uid().unwrap_or_default();
            held(&self.fresh).insert(uid, after.resource_version());
        }
        match stands_in_line(after) {
            true => {
                self.join(after, &named);
                Vec::new()
            }
            false => self.leave(after),
        }
    }

    /// Whether this version of a claim is the one that was seen being made: nobody can have taken anything for it that is not seen.
    pub fn is_fresh(&self, claim: &AgentClaim) -> bool {
        let uid = claim.uid().unwrap_or_default();
        let fresh = held(&self.fresh).get(&uid).cloned();
        fresh.is_some_and(|version| version == claim.resource_version())
    }

    /// Something was tried for it of which nobody knows what came: from now on it is looked at first.
    pub fn doubt(&self, claim: &AgentClaim) {
        held(&self.fresh).remove(&claim.uid().unwrap_or_default());
    }

    /// A claim waits.
    pub fn join(&self, claim: &AgentClaim, named: &Ref<AgentClaim>) {
        let created = claim.metadata.creation_timestamp.as_ref();
        let since = created.map_or(Timestamp::UNIX_EPOCH, |created| created.0);
        let who = line_name(named);
        let mut pools = held(&self.pools);
        let own = pools.entry(pool_of(claim)).or_default();
        own.line.join(who, since, claim.spec.owner.as_deref());
    }

    /// A claim waits no longer. Answers who can have what it would have had, where it stood in the line.
    pub fn leave(&self, claim: &AgentClaim) -> Vec<Ref<AgentClaim>> {
        let who = (claim.namespace().unwrap_or_default(), claim.name_any());
        let mut pools = held(&self.pools);
        let Some(own) = pools.get_mut(&pool_of(claim)) else {
            return Vec::new();
        };
        match own.line.leave(&who) {
            true => own.who_can(),
            false => Vec::new(),
        }
    }

    /// A claim cannot be served now, for a reason of its own. Answers who can have what it would have had.
    pub fn stand_aside(&self, claim: &AgentClaim) -> Vec<Ref<AgentClaim>> {
        self.leave(claim);
        let pools = held(&self.pools);
        let own = pools.get(&pool_of(claim));
        own.map_or_else(Vec::new, PoolLine::who_can)
    }

    /// Who is the first that can have an agent of a claim's pool, once that claim has its own.
    pub fn next(&self, claim: &AgentClaim) -> Option<Ref<AgentClaim>> {
        let pools = held(&self.pools);
        let own = pools.get(&pool_of(claim))?;
        own.who_can().into_iter().next()
    }

    /// An agent for a claim, if it is its turn. `may`: whether it may be bound.
    pub fn offer(&self, claim: &AgentClaim, may: impl Fn(&FreeAgent) -> bool) -> Option<FreeAgent> {
        let who = (claim.namespace().unwrap_or_default(), claim.name_any());
        let mut pools = held(&self.pools);
        let own = pools.get_mut(&pool_of(claim))?;
        let many = own.free.len();
        if !own.line.first(many).any(|first| *first == who) {
            return None;
        }
        let agent = own.pop(may)?;
        own.line.serve(&who);
        Some(agent)
    }

    /// An agent was taken.
    pub fn taken(&self, now: Timestamp) {
        *held(&self.served) = Some(now);
    }

    /// Whether agents are being taken just now.
    pub fn are_busy(&self, now: Timestamp) -> bool {
        held(&self.served).is_some_and(|last| now.duration_since(last) < BUSY)
    }

    /// An agent for a claim whose turn it was, in place of one that somebody else has.
    pub fn offer_another(
        &self,
        claim: &AgentClaim,
        may: impl Fn(&FreeAgent) -> bool,
    ) -> Option<FreeAgent> {
        held(&self.pools).get_mut(&pool_of(claim))?.pop(may)
    }

    /// Whether a claim is the first in line, and an agent free that it could not have.
    pub fn is_held_back(&self, claim: &AgentClaim) -> bool {
        let who = (claim.namespace().unwrap_or_default(), claim.name_any());
        let pools = held(&self.pools);
        let own = pools.get(&pool_of(claim));
        own.is_some_and(|own| !own.free.is_empty() && own.line.first(1).next() == Some(&who))
    }

    /// An agent that was offered may be free still.
    pub fn put_back(&self, claim: &AgentClaim, agent: FreeAgent) {
        if let Some(own) = held(&self.pools).get_mut(&pool_of(claim)) {
            own.free.entry(agent.order.clone()).or_insert(agent);
        }
    }

    /// The agent that a claim of this name had when it was restored.
    pub fn restored(&self, claim: &AgentClaim) -> Option<String> {
        let (name, pools) = (claim.name_any(), held(&self.pools));
        let mut restored = pools.get(&pool_of(claim))?.restored.iter();
        let found = restored.find(|(_, of)| of.as_str() == name);
        found.map(|(agent, _)| agent.clone())
    }

    /// How many wait for an agent of a pool, and since when.
    pub fn waiting(&self, pool: &Ref<AgentPool>) -> (usize, Option<Timestamp>) {
        let pools = held(&self.pools);
        let line = pools.get(pool).map(|own| &own.line);
        line.map_or((0, None), |line| (line.count(), line.oldest()))
    }

    /// The UIDs of claims that wait, and for which a pool makes one agent more than it keeps idle.
    pub fn asking(&self, pool: &Ref<AgentPool>) -> Vec<String> {
        self.asking.of(pool)
    }

    /// All who wait for an agent of a pool.
    pub fn all_waiting(&self, pool: &Ref<AgentPool>) -> Vec<Ref<AgentClaim>> {
        let pools = held(&self.pools);
        let line = pools.get(pool).map(|own| &own.line);
        line.map_or_else(Vec::new, |line| {
            line.first(usize::MAX).map(reference).collect()
        })
    }
}

impl PoolLine {
    fn pop(&mut self, may: impl Fn(&FreeAgent) -> bool) -> Option<FreeAgent> {
        let mut free = self.free.iter();
        let found = free.find(|(_, agent)| may(agent));
        let order = found.map(|(order, _)| order.clone())?;
        self.free.remove(&order)
    }

    /// Who can have one of those that are free.
    fn who_can(&self) -> Vec<Ref<AgentClaim>> {
        self.line.first(self.free.len()).map(reference).collect()
    }
}

impl FreeAgent {
    fn of(instance: &AgentInstance) -> FreeAgent {
        let created = instance.metadata.creation_timestamp.as_ref();
        let made = created.map_or(Timestamp::UNIX_EPOCH, |created| created.0);
        let namespace = instance.namespace().unwrap_or_default();
        let status = instance.status.as_ref();
        FreeAgent {
            order: (!is_current(instance), Reverse(made), instance.name_any()),
            named: Ref::new(&instance.name_any()).within(&namespace),
            uid: instance.uid().unwrap_or_default(),
            version: instance.resource_version(),
            account: instance.spec.account_ref.name.0.clone(),
            template: template_of(instance),
            url: status.and_then(|status| status.url.clone()),
            made,
        }
    }
}

/// A restored agent that was a claim's for good, and that claim's name. With another UID of its own a claim finds it by nothing else.
fn restored_with(instance: &AgentInstance) -> Option<(String, ObjectName)> {
    let hold = instance.spec.claim_ref.as_ref()?;
    let restored = hold.handed_over_at.is_some() && !instance.is_its_own();
    restored.then(|| (instance.name_any(), hold.name.clone()))
}

fn line_name(named: &Ref<AgentClaim>) -> LineName {
    (
        named.namespace.clone().unwrap_or_default(),
        named.name.clone(),
    )
}

fn reference((namespace, name): &LineName) -> Ref<AgentClaim> {
    Ref::new(name).within(namespace)
}

#[cfg(test)]
mod tests;
