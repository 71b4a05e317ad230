//! What is seen of claims and agents, revision by revision, and what of it must never be.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::object::eventually;
use crate::tellings::Telling;
use crate::tenant::Tenant;

/// A watch begins within this.
const BEGINS: Duration = Duration::from_secs(30);

/// Watches claims and agents of a namespace.
pub(super) struct Witness {
    seen: Arc<Mutex<Seen>>,
    watches: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    revisions: usize,
    watching: usize,
    /// The claim that each agent has for good, by the agents' UIDs.
    has: BTreeMap<String, String>,
    /// The agents' projects, by the agents' UIDs.
    projects: BTreeMap<String, String>,
    /// The agents as they were last seen, by UID.
    agents: BTreeMap<String, DynamicObject>,
    /// The claims as they were last seen, by UID.
    claims: BTreeMap<String, DynamicObject>,
    /// Claims that were deleted on purpose.
    released: BTreeSet<String>,
    broken: Vec<String>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

impl Witness {
    pub(super) async fn of(tenant: &Tenant<'_>) -> Result<Witness> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let claims = tenant.object("AgentClaim", "any").api().await?;
        let agents = tenant.instance("any").api().await?;
        let watches = vec![
            watch(claims, Arc::clone(&seen), Seen::claim),
            watch(agents, Arc::clone(&seen), Seen::agent),
        ];
        let witness = Witness { seen, watches };
        let both = eventually("claims and agents are watched", BEGINS, async || {
            Ok((witness.look(|seen| seen.watching) >= 2).then_some(()))
        });
        both.await?;
        Ok(witness)
    }

    fn look<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many revisions were seen.
    pub(super) fn revisions(&self) -> usize {
        self.look(|seen| seen.revisions)
    }

    /// A claim is deleted on purpose, and its agent with it.
    pub(super) fn releases(&self, claim: &str) {
        self.look(|seen| seen.released.insert(claim.to_owned()));
    }

    /// What was seen that must never be.
    pub(super) fn broken(&self) -> Vec<String> {
        self.look(|seen| seen.broken.clone())
    }

    /// Agents that took what was told them for a claim that never had them for good.
    pub(super) fn told_to_others(&self, tellings: &[Telling]) -> Vec<String> {
        self.look(|seen| {
            let had = |telling: &&Telling| {
                let claim = telling.claim.as_deref().unwrap_or_default();
                let mut projects = seen.projects.iter();
                projects.any(|(agent, project)| {
                    *project == telling.project_id
                        && seen.has.get(agent).is_some_and(|has| has == claim)
                })
            };
            let strange = tellings.iter().filter(|telling| !had(telling));
            let words = |one: &Telling| {
                format!(
                    "the agent in {} was told for {:?}, which did not have it",
                    one.project, one.claim
                )
            };
            strange.map(words).collect()
        })
    }
}

fn watch(
    api: Api<DynamicObject>,
    seen: Arc<Mutex<Seen>>,
    take: fn(&mut Seen, DynamicObject),
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    seen.revisions += 1;
                    take(&mut seen, object);
                }
                Ok(Event::Delete(object)) => seen.gone(&object.uid().unwrap_or_default()),
                Ok(Event::InitDone) => seen.watching += 1,
                Ok(Event::Init) => {}
                Err(error) => eprintln!("a watch: {error}"),
            }
        }
    })
}

impl Seen {
    fn gone(&mut self, uid: &str) {
        self.agents.remove(uid);
        self.claims.remove(uid);
    }

    fn agent(&mut self, new: DynamicObject) {
        let (uid, name) = (new.uid().unwrap_or_default(), new.name_any());
        let hold = new.data["spec"]["claimRef"].clone();
        let claim = hold["uid"].as_str().unwrap_or_default().to_owned();
        if let Some(project) = project(&new) {
            self.projects.insert(uid.clone(), project);
        }
        let before = self.agents.get(&uid);
        if let Some(before) = before {
            let old = &before.data["spec"]["claimRef"];
            let marked = old["handedOverAt"].is_string();
            if marked && (old["handedOverAt"] != hold["handedOverAt"] || old["uid"] != hold["uid"])
            {
                self.broken.push(format!(
                    "agent {name} was {old}'s for good, and is {hold}'s"
                ));
            }
            let goes_now = before.metadata.deletion_timestamp.is_none()
                && new.metadata.deletion_timestamp.is_some();
            if goes_now && !hold.is_null() && !self.released.contains(&claim) {
                self.broken.push(format!(
                    "agent {name} was deleted while claim {hold} had it"
                ));
            }
        }
        if hold["handedOverAt"].is_string() {
            let others = self.agents.iter().filter(|(other, object)| {
                let its = &object.data["spec"]["claimRef"];
                **other != uid && its["uid"] == hold["uid"] && its["handedOverAt"].is_string()
            });
            let others: Vec<String> = others.map(|(_, object)| object.name_any()).collect();
            if !others.is_empty() {
                self.broken.push(format!(
                    "claim {hold} has agent {name} for good, and {others:?}"
                ));
            }
            self.has.insert(uid.clone(), claim);
        }
        self.agents.insert(uid, new);
    }

    fn claim(&mut self, new: DynamicObject) {
        let (uid, name) = (new.uid().unwrap_or_default(), new.name_any());
        let named = |claim: &DynamicObject| {
            let named = claim.data["status"]["instanceRef"]["uid"].as_str();
            named.map(str::to_owned)
        };
        let rejected = new.data["status"]["rejected"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let old = self.claims.get(&uid).and_then(named);
        if let Some(old) = old
            && Some(&old) != named(&new).as_ref()
            && !rejected.iter().any(|one| one["uid"] == old.as_str())
        {
            self.broken
                .push(format!("claim {name} had agent {old}, and forgot it"));
        }
        if let Some(agent) = named(&new) {
            let mut others = self.claims.iter();
            let other = others
                .find(|(other, object)| **other != uid && named(object).as_ref() == Some(&agent));
            if let Some((_, other)) = other {
                let other = other.name_any();
                self.broken
                    .push(format!("claims {name} and {other} both have agent {agent}"));
            }
        }
        self.claims.insert(uid, new);
    }
}

/// Where an agent lives.
fn project(agent: &DynamicObject) -> Option<String> {
    let ledger = agent.data["status"]["external"].as_array()?;
    let own = |entry: &&Value| entry["slot"] == "project";
    let project = ledger.iter().find(own)?;
    project["id"].as_str().map(str::to_owned)
}
