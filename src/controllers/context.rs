//! The handles that passes work with. All of them are given; none is global.

use super::accounts::Accounts;
use super::inquiries::Inquiries;
use super::retries::Retries;
use super::sweep::Sweeps;
use super::template::Counted;
use super::unreadable::Warned;
use crate::agent::Agents;
use crate::api::condition::{kind, reason};
use crate::api::{AgentInstance, AgentTemplate, ProviderAccount, Seen, Unreadable};
use crate::cluster::events::Events;
use crate::cluster::installation::Installation;
use crate::engine::account::{usable, uses};
use crate::engine::sweep::Reader;
use crate::engine::world::Limits;
use crate::registry::Registry;
use crate::tools::Provider;
use futures::channel::mpsc::UnboundedSender;
use jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Where the controllers take the time of day from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the process decides about the controllers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's namespace.
    pub namespace: String,
    /// One listing of each account in so long.
    pub observe_interval: Duration,
    /// Deadline of one outside request.
    pub request_timeout: Duration,
    /// Patience with the outside.
    pub limits: Limits,
    /// Reconciles at once, per kind.
    pub concurrency: u16,
}

/// What the process tells the controllers, and what it wants to be told.
pub trait Gauge: Send + Sync {
    /// Whether this process may change anything outside now: it leads, provably.
    fn may_act(&self) -> bool;
    /// A reconcile of a kind ended so, after so long.
    fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration);
    /// A request to a provider ended so, after so long.
    fn requested(
        &self,
        provider: &'static str,
        operation: &'static str,
        outcome: &'static str,
        took: Duration,
    );
    /// An account stands so: whether it is healthy, requests left where that is known.
    fn account(&self, name: &str, healthy: bool, left: Option<u64>);
    /// So many instances wait for a turn at an account.
    fn waiting(&self, account: &str, gate: &'static str, count: usize);
    /// So many ledger entries of a slot are in a state.
    fn slots(&self, slot: &str, state: &'static str, count: usize);
    /// An account has so many orphans of each kind, for so much a month.
    fn orphans(&self, account: &str, kinds: &BTreeMap<String, usize>, monthly_usd: f64);
    /// An orphan was taken back, or was not: `done` or a fault's class.
    fn swept(&self, account: &str, outcome: &'static str);
    /// The sweep of an account is held back for this reason, or goes on.
    fn sweep_held_back(&self, account: &str, reason: Option<&'static str>);
    /// An account is gone.
    fn forget(&self, account: &str);
    /// So many objects of a kind cannot be read.
    fn unreadable(&self, kind: &str, count: usize);
    /// A watch of a kind failed, and is begun again.
    fn watch_failed(&self, kind: &str);
}

/// Wakes objects of a kind.
#[derive(Clone)]
pub struct Wake {
    /// Instances.
    pub instances: UnboundedSender<ObjectRef<Seen<AgentInstance>>>,
    /// Templates.
    pub templates: UnboundedSender<ObjectRef<Seen<AgentTemplate>>>,
    /// Accounts.
    pub accounts: UnboundedSender<ObjectRef<Seen<ProviderAccount>>>,
}

impl Wake {
    /// Wakes an instance. Where nobody listens any more the process is ending.
    pub fn instance(&self, namespace: &str, name: &str) {
        let _ = self
            .instances
            .unbounded_send(ObjectRef::new(name).within(namespace));
    }

    /// Wakes a template.
    pub fn template(&self, namespace: &str, name: &str) {
        let _ = self
            .templates
            .unbounded_send(ObjectRef::new(name).within(namespace));
    }

    /// Wakes an account.
    pub fn account(&self, name: &str) {
        let _ = self.accounts.unbounded_send(ObjectRef::new(name));
    }
}

/// The objects of a kind as last watched, those that cannot be read among them.
#[derive(Clone)]
pub struct Cache<K>(pub Store<Seen<K>>)
where
    K: Resource<DynamicType = ()> + Clone + 'static;

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// One by its name.
    pub fn get(&self, named: &ObjectRef<Seen<K>>) -> Option<Seen<K>> {
        self.0.get(named).map(|found| found.as_ref().clone())
    }

    /// All, read or not.
    pub fn all(&self) -> Vec<Seen<K>> {
        let all = self.0.state();
        all.iter().map(|one| one.as_ref().clone()).collect()
    }

    /// All that could be read.
    pub fn state(&self) -> Vec<Arc<K>> {
        let all = self.0.state();
        all.iter().filter_map(|one| one.read().cloned()).collect()
    }

    /// Those that could not. What they mention is theirs: none of them may count as absent.
    pub fn unreadable(&self) -> Vec<Arc<Unreadable>> {
        let all = self.0.state();
        all.iter()
            .filter_map(|one| one.unreadable().cloned())
            .collect()
    }
}

/// Everything that a pass needs beside its object.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Process-wide settings.
    pub settings: Settings,
    /// Who we are.
    pub installation: Installation,
    /// The process's ears and permission.
    pub gauge: Arc<dyn Gauge>,
    /// The time of day.
    pub clock: Clock,
    /// Events.
    pub events: Events,
    /// Accounts that are set up, with their observers.
    pub accounts: Accounts,
    /// Where wallets are made: here.
    pub wallets: Arc<dyn Provider>,
    /// Image registries.
    pub registry: Registry,
    /// What they are being asked.
    pub inquiries: Arc<Inquiries>,
    /// Running agents.
    pub agents: Agents,
    /// The outside, for gateways.
    pub http: reqwest::Client,
    /// Instances as last watched.
    pub instances: Cache<AgentInstance>,
    /// Templates as last watched.
    pub templates: Cache<AgentTemplate>,
    /// Accounts as last watched.
    pub provider_accounts: Cache<ProviderAccount>,
    /// When instances were last counted.
    pub counted: Counted,
    /// Whether all three have been read once. Their own `wait_until_ready` wakes only one of those who wait.
    pub caches: watch::Receiver<bool>,
    /// Unreadable objects that the log has been told of.
    pub warned: Warned,
    /// Faults remembered.
    pub retries: Retries,
    /// What sweeps have seen.
    pub sweeps: Sweeps,
    /// Ways to wake.
    pub wake: Wake,
}

impl Context {
    /// Waits until every cache has been read once. What is missing from one that is still being read is not missing: an
    /// account would count as gone, or as used by nobody, and a rollout as alone.
    pub async fn caches_read(&self) {
        // Its other end goes with the process.
        let _ = self.caches.clone().wait_for(|read| *read).await;
    }

    /// Every instance that uses an account: as its home, by a tool of its template, or by what its ledger says. Those that
    /// cannot be read are not among them ([`Cache::unreadable`]).
    pub fn users(&self, account: &str) -> Vec<Arc<AgentInstance>> {
        let mut users = self.instances.state();
        users.retain(|one| self.uses(one, account));
        users
    }

    /// Whether an account is there and can be used now, as its own status says.
    pub fn usable(&self, account: &str) -> bool {
        self.provider_accounts
            .get(&ObjectRef::new(account))
            .is_some_and(|account| account.read().is_some_and(|account| usable(account)))
    }

    /// Whether an instance uses an account. A template that cannot be read counts for all that it mentions.
    pub fn uses(&self, instance: &AgentInstance, account: &str) -> bool {
        let namespace = instance.namespace().unwrap_or_default();
        let named = instance.spec.template_ref.name.as_str();
        match self
            .templates
            .get(&ObjectRef::new(named).within(&namespace))
        {
            Some(Seen::Unreadable(template)) => {
                template.mentions(account) || uses(instance, None).contains(account)
            }
            Some(Seen::Read(template)) => uses(instance, Some(&template)).contains(account),
            None => uses(instance, None).contains(account),
        }
    }

    /// Wakes every instance that uses an account.
    pub fn wake_users(&self, account: &str) {
        for one in self.users(account) {
            self.wake
                .instance(&one.namespace().unwrap_or_default(), &one.name_any());
        }
    }

    /// Wakes who waits for a place in a full account. The listing that showed one free may be older than the end of the
    /// instance that had it, whose ledger counted until then.
    pub fn wake_those_without_a_place(&self, account: &str) {
        for one in self.instances.state() {
            let conditions = one.status.iter().flat_map(|status| &status.conditions);
            let waits = one.spec.account_ref.name.as_str() == account
                && conditions
                    .filter(|found| found.type_ == kind::STALLED && found.status == "True")
                    .any(|found| found.reason == reason::LIMIT_REACHED);
            if waits {
                self.wake
                    .instance(&one.namespace().unwrap_or_default(), &one.name_any());
            }
        }
    }

    /// Who reads markers here.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            installation: &self.installation.id,
            seal: &self.installation.seal,
        }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
