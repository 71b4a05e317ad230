//! The objects as last watched: one watch and one store a kind, looked up by name and by what they refer to.
//!
//! Holds: the stores are filled before this process leads, so that a standby has the same; they are whole once each was
//! read ([`Stores::filled`]). Deliberately absent: decisions about one object, which are taken from what the API server
//! answers.

mod terms;

pub use terms::{ClaimBy, InstanceBy, PoolBy, TemplateBy};

use super::around::Gauge;
use super::lines::Lines;
use super::queue::Rank;
use super::rollouts::Rollouts;
use super::store::{Store, Stored};
use super::turned::{Ref, Turned, named};
use super::wake::{Change, NearPool, Whom, news, template_of};
use crate::api::condition::kind;
use crate::api::template::ToolSpec;
use crate::api::{
    AgentClaim, AgentInstance, AgentPool, AgentTemplate, IDENTITY_ANNOTATION, ProviderAccount,
    Seen, Slot,
};
use crate::engine::account::{usable, uses};
use crate::engine::rollout::{self, RolloutProgress};
use crate::model::slot::parts;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Objects that are listed at once: each may be as large as the API server stores, and all of a page are held before they are
/// made small.
const PAGE: u32 = 100;

/// So many of those that wait for a place are woken by one that is free: one gets it, some may wait for another reason, and
/// all come again by themselves.
const TOGETHER: usize = 10;

/// The objects of all kinds.
#[derive(Default)]
pub struct Stores {
    /// Instances.
    pub instances: Store<AgentInstance>,
    /// Templates.
    pub templates: Store<AgentTemplate>,
    /// Accounts.
    pub accounts: Store<ProviderAccount>,
    /// Pools.
    pub pools: Store<AgentPool>,
    /// Claims.
    pub claims: Store<AgentClaim>,
    /// Who waits for an agent, and which are free.
    pub lines: Lines,
    rollouts: Rollouts,
}

impl Stores {
    /// Watches every kind, until the process ends.
    pub async fn watch(&self, client: &Client, gauge: &dyn Gauge) {
        futures::join!(
            self.follow(&self.instances, Change::Instance, client, gauge),
            self.follow(&self.templates, Change::Template, client, gauge),
            self.follow(&self.accounts, Change::Account, client, gauge),
            self.follow(&self.pools, Change::Pool, client, gauge),
            self.follow(&self.claims, Change::Claim, client, gauge),
        );
    }

    async fn follow<K: Stored>(
        &self,
        store: &Store<K>,
        change: fn(Turned<K>) -> Change,
        client: &Client,
        gauge: &dyn Gauge,
    ) {
        let (kind, api) = (K::kind(&()), Api::<Seen<K>>::all(client.clone()));
        let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
        let (mut events, mut shown) = (events.boxed(), None);
        // A watch that fails begins again, more slowly each time.
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let mut turned = store.apply(event);
                    // Who is found in a list stands in line as he came.
                    turned.sort_by_cached_key(|one| {
                        let object = one.after.as_ref().or(one.before.as_ref());
                        object.and_then(|object| {
                            object.meta().creation_timestamp.clone().map(|time| time.0)
                        })
                    });
                    for turned in turned {
                        self.tell(&change(turned));
                    }
                }
                Err(error) => {
                    gauge.watch_failed(&kind);
                    tracing::warn!(%kind, %error, "a watch failed and is begun again; until then changes are not seen");
                }
            }
            if let Some(unread) = store.unread()
                && shown.replace(unread) != Some(unread)
            {
                gauge.unreadable(&kind, unread);
            }
        }
    }

    /// Comes back when every store was read once. What is missing from one that is still being read is not missing: an
    /// account would count as gone, or as used by nobody, and a rollout as alone.
    pub async fn filled(&self) {
        futures::join!(
            self.instances.filled(),
            self.templates.filled(),
            self.accounts.filled(),
            self.pools.filled(),
            self.claims.filled()
        );
    }

    /// Wakes those for whom a change is news.
    pub fn tell(&self, change: &Change) {
        for claim in self.lines.note(change) {
            self.claims.queue.add(claim, Rank::News, Duration::ZERO);
        }
        for wake in news(change) {
            let (rank, after) = (wake.rank, wake.after);
            let instances = match wake.whom {
                Whom::Instance(named) => vec![named],
                Whom::Template(named) => {
                    self.rollouts.changed(&named);
                    self.templates.queue.add(named, rank, after);
                    continue;
                }
                Whom::Account(name) => {
                    self.accounts.queue.add(Ref::new(&name), rank, after);
                    continue;
                }
                Whom::RolledOutOver(account) => {
                    for named in self.rolled_out_over(&account) {
                        self.rollouts.changed(&named);
                        self.templates.queue.add(named, rank, after);
                    }
                    continue;
                }
                Whom::Near(whom) => {
                    self.wake_near(whom, rank, after);
                    continue;
                }
                Whom::Followers(template) => {
                    let followers = InstanceBy::Template(template);
                    names(longest_first(self.instances.by(&followers)), |_| true)
                }
                Whom::Inhabitants(namespace) => {
                    let inhabitants = InstanceBy::Namespace(namespace);
                    self.instances.names_by(&inhabitants)
                }
                Whom::Users(account) => {
                    self.wake_roomless(usize::MAX, rank, after);
                    names(longest_first(self.users(&account)), |_| true)
                }
                Whom::Unidentified(account) => names(self.users(&account), |one| {
                    !one.annotations().contains_key(IDENTITY_ANNOTATION)
                }),
                Whom::Placeless(account) => {
                    self.wake_roomless(TOGETHER, rank, after);
                    let mut waiting = self.instances.by(&InstanceBy::Placeless);
                    waiting.retain(|one| self.uses(one, &account));
                    let mut waiting = longest_first(waiting);
                    waiting.truncate(TOGETHER);
                    names(waiting, |_| true)
                }
            };
            for named in instances {
                let rank = rank.min(self.instances.rank(&named));
                self.instances.queue.add(named, rank, after);
            }
        }
    }

    /// The oldest so many of the claims that had no room for what they bring: in which account that was, they know themselves.
    fn wake_roomless(&self, most: usize, rank: Rank, after: Duration) {
        let mut waiting = self.claims.by(&ClaimBy::Roomless);
        waiting.sort_by_cached_key(|one| {
            let created = one.metadata.creation_timestamp.as_ref();
            (created.map(|created| created.0), one.name_any())
        });
        for claim in waiting.into_iter().take(most) {
            self.claims
                .queue
                .add(named(&Seen::Read(claim)), rank, after);
        }
    }

    fn wake_near(&self, whom: NearPool, rank: Rank, after: Duration) {
        let pools = match whom {
            NearPool::Pool(named) => vec![named],
            NearPool::PoolsOf(template) => self.pools.names_by(&PoolBy::Template(template)),
            NearPool::PoolsOver(account) => self.pools.names_by(&PoolBy::Account(account)),
            NearPool::Claim(named) => return self.claims.queue.add(named, rank, after),
            NearPool::ToldBy(template) => {
                for named in self.claims.names_by(&ClaimBy::Persona(template)) {
                    self.claims.queue.add(named, rank, after);
                }
                return;
            }
            NearPool::Waiting(pool) => {
                for named in self.lines.all_waiting(&pool) {
                    self.claims.queue.add(named, rank, after);
                }
                return;
            }
        };
        for named in pools {
            self.pools.queue.add(named, rank, after);
        }
    }

    /// Every instance that uses an account: as its home, by a tool of its template, or by what its ledger says. Those that
    /// cannot be read are not among them ([`Store::unreadable`]).
    pub fn users(&self, account: &str) -> Vec<Arc<AgentInstance>> {
        let mut users = self.instances.by(&InstanceBy::Account(account.to_owned()));
        let mut known: HashSet<(Option<String>, String)> =
            users.iter().map(|one| key(one)).collect();
        for template in self.templates.names_by(&TemplateBy(account.to_owned())) {
            let followers = self.instances.by(&InstanceBy::Template(template));
            users.extend(followers.into_iter().filter(|one| known.insert(key(one))));
        }
        users
    }

    /// Whether an instance uses an account. A template that cannot be read counts for all that it mentions.
    pub fn uses(&self, instance: &AgentInstance, account: &str) -> bool {
        let template = self.templates.get(&template_of(instance));
        let by_template = template.is_some_and(|template| {
            let named = TemplateBy(account.to_owned());
            AgentTemplate::terms(&template).contains(&named)
        });
        by_template || uses(instance, None).contains(account)
    }

    /// The slots of all tools that an instance's template names.
    pub fn slots_of(&self, instance: &AgentInstance) -> Vec<Slot> {
        let template = self.templates.get(&template_of(instance));
        let template = template.as_ref().and_then(Seen::read);
        let tools = template.map_or(&[][..], |template| &template.spec.tools);
        let slots = |tool: &ToolSpec| {
            let name = tool.name.0.clone();
            parts(tool.kind.provider()).filter_map(move |(part, _)| Slot::tool(&name, part))
        };
        let all = tools.iter().chain(instance.brought_tools());
        all.flat_map(slots).collect()
    }

    /// The instances that name an account themselves: as their home, or in their ledgers.
    pub fn recorded_in(&self, account: &str) -> Vec<Arc<AgentInstance>> {
        self.instances.by(&InstanceBy::Account(account.to_owned()))
    }

    /// Whether an account is there and can be used now, as its own status says.
    pub fn usable(&self, account: &str) -> bool {
        let account = self.accounts.get(&Ref::new(account));
        account.is_some_and(|account| account.read().is_some_and(|account| usable(account)))
    }

    /// Where the rollout of a template to a revision stands, computed once for all who ask between two changes.
    pub fn standing(
        &self,
        template: &AgentTemplate,
        revision: &str,
        now: Timestamp,
    ) -> Arc<RolloutProgress> {
        let named =
            Ref::new(&template.name_any()).within(&template.namespace().unwrap_or_default());
        let asked = (template.spec.rollout.clone(), revision.to_owned());
        self.rollouts
            .standing(&named, asked, now, |(rollout, revision)| {
                let members = self.instances.by(&InstanceBy::Template(named.clone()));
                let members: Vec<&AgentInstance> = members.iter().map(AsRef::as_ref).collect();
                let usable = |account: &str| self.usable(account);
                rollout::standing(rollout, revision, &members, &usable, now)
            })
    }

    /// The templates of the instances that live in an account.
    fn rolled_out_over(&self, account: &str) -> HashSet<Ref<AgentTemplate>> {
        let near = self.recorded_in(account);
        let homes = near
            .iter()
            .filter(|one| one.spec.account_ref.name.as_str() == account);
        homes.map(|one| template_of(one)).collect()
    }
}

fn key(instance: &AgentInstance) -> (Option<String>, String) {
    (instance.namespace(), instance.name_any())
}

/// Those first that have been held back for the longest, then the oldest.
fn longest_first(mut instances: Vec<Arc<AgentInstance>>) -> Vec<Arc<AgentInstance>> {
    instances.sort_by_cached_key(|one| {
        let conditions = one.status.iter().flat_map(|status| &status.conditions);
        let held = conditions
            .filter(|said| said.type_ == kind::SYNCED && said.status == "False")
            .map(|said| said.last_transition_time.0);
        let created = one.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (held.min().unwrap_or(Timestamp::MAX), created, key(one))
    });
    instances
}

fn names(
    instances: Vec<Arc<AgentInstance>>,
    wanted: impl Fn(&AgentInstance) -> bool,
) -> Vec<Ref<AgentInstance>> {
    let wanted = instances.iter().filter(|one| wanted(one));
    let name = |one: &Arc<AgentInstance>| {
        Ref::new(&one.name_any()).within(&one.namespace().unwrap_or_default())
    };
    wanted.map(name).collect()
}

#[cfg(test)]
mod tests;
