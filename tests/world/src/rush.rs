//! Many claims for few agents, while answers of the API server get lost, two controllers lead, and leaders die or sleep: a claim gets
//! exactly one agent, an agent at most one claim, at every revision; who is left waits, and is served in order.
//!
//! Holds: what is so is read off watches that the controllers do not share, and what agents were told off the simulator's own record
//! (`witness`). The same seed gives the same deaths and releases; their moments, and which requests meet a trouble, are the machine's.

mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time;

use crate::control::Control;
use crate::controller::Controller;
use crate::install::CONTROLLER_USER;
use crate::object::{condition, eventually};
use crate::options::Options;
use crate::tellings::agents_of_two_claims;
use crate::tenant::Tenant;
use crate::world::World;
use witness::Witness;

const POOL: &str = "warm";

/// An image whose agents are good.
const IMAGE: &str = "ghcr.io/acme/agent:1.4";

/// One in so many of the controllers' requests for claims and agents meets each of what befalls such requests.
const ONE_IN: usize = 150;

/// As many claims are sent at once.
const AT_ONCE: usize = 16;

/// Claims that are released in a round.
const RELEASED: usize = 4;

/// How long a leader sleeps: longer than its lease lasts here.
const ASLEEP: Duration = Duration::from_secs(5);

/// How long anything may take that takes seconds by itself; what is many takes longer.
const SOON: Duration = Duration::from_secs(120);

/// What one claim may add to that.
const EACH: Duration = Duration::from_millis(300);

/// A rush of claims.
#[derive(Debug, Clone)]
pub struct Rush {
    /// Where the world goes.
    pub dir: PathBuf,
    /// The controller's binary.
    pub controller: PathBuf,
    /// Agents that are seeded.
    pub agents: usize,
    /// Claims that come at once.
    pub claims: usize,
    /// Rounds in which claims are released and a leader dies or sleeps.
    pub rounds: usize,
    /// Of deaths and releases.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Rushed {
    claims: usize,
    agents: usize,
    bound: Duration,
    troubles: String,
    killed: usize,
    slept: usize,
    revisions: usize,
}

impl fmt::Display for Rushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            claims,
            agents,
            killed,
            slept,
            revisions,
            ..
        } = self;
        let bound = self.bound.as_secs_f64();
        write!(
            f,
            "{claims} claims for {agents} agents: those ready and the rest in line after {bound:.1} s, two controllers leading; \
             then a leader killed {killed} times and asleep {slept} times. At {revisions} revisions no agent had two claims and no claim \
             two agents, and none was told for another. Befallen: {}",
            self.troubles
        )
    }
}

impl Rush {
    /// Runs it, in a world of its own.
    ///
    /// # Errors
    /// Something did not hold: the error says what, and where the records are.
    pub async fn run(&self) -> Result<Rushed> {
        let options = Options::new(&self.dir)
            .controller(&self.controller)
            .set("agent.bootTime", "0s")
            .set("railway.projectInterval", "0s")
            .set("railway.requestsPerHour", "1000000")
            .set("railway.requestsPerSecond", "500")
            .set("railway.edgePerSecond", "0");
        let world = World::start(options).await?;
        let rushed = self.come(&world).await;
        let stopped = world.stop().await;
        let rushed = rushed.with_context(|| {
            let dir = world.dir().display();
            format!("seed {}; the world's records are in {dir}", self.seed)
        })?;
        stopped?;
        Ok(rushed)
    }

    async fn come(&self, world: &World) -> Result<Rushed> {
        let fast = json!({"requestsPerSecond": 50, "requestsPerHour": 50_000, "projectInterval": "1s", "maxProjects": 10_000});
        let tenant = world.tenant_with("rush", fast).await?;
        let limits =
            json!({"spec": {"limits": {"resources": 10_000, "resourcesPerNamespace": 10_000}}});
        tenant.provider_account().patch(limits).await?;
        let template = json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentTemplate", "metadata": {"name": "t"},
            "spec": {"runtime": {"image": IMAGE, "port": 8080}}});
        let namespace = Some(tenant.namespace());
        world.cluster().apply_one(template, namespace).await?;
        world.seed_pool(&tenant, "t", POOL, self.agents).await?;
        let witness = Witness::of(&tenant).await?;
        let leaders = Leaders::of(world)?;
        leaders.both_lead().await?;
        let crowd = Crowd {
            tenant,
            witness,
            agents: self.agents,
            claims: self.claims,
            patience: SOON + EACH * u32::try_from(self.claims)?,
        };
        crowd.fills().await?;

        let troubles = Troubles::befall(world).await?;
        let begun = Instant::now();
        crowd.come().await?;
        crowd.settles().await.context("after the rush")?;
        let bound = begun.elapsed();
        crowd.holds().await.context("after the rush")?;

        leaders.one_leads().await?;
        let mut random = StdRng::seed_from_u64(self.seed);
        let (mut killed, mut slept) = (0, 0);
        for round in 0..self.rounds {
            let told = || format!("in round {round}");
            crowd
                .release(&mut random, RELEASED)
                .await
                .with_context(told)?;
            time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
            if leaders
                .trouble(random.random_bool(0.5))
                .await
                .with_context(told)?
            {
                killed += 1;
            } else {
                slept += 1;
            }
            crowd.settles().await.with_context(told)?;
            crowd.holds().await.with_context(told)?;
        }
        let troubles = troubles.end().await?;
        crowd.serves_in_order(&mut random).await?;
        leaders.stop().await?;
        Ok(Rushed {
            claims: self.claims,
            agents: self.agents,
            bound,
            troubles,
            killed,
            slept,
            revisions: crowd.witness.revisions(),
        })
    }
}

/// What befalls the controllers' requests, by chance.
struct Troubles {
    server: Control,
    posted: Vec<(String, String)>,
}

impl Troubles {
    /// Writes meet every kind, reads an error. Only the API server's answers: what it has done is done.
    async fn befall(world: &World) -> Result<Troubles> {
        let server = world.cluster_control().await?;
        let error = json!({"status": 500, "reason": "InternalError"});
        let effects = [
            ("patch", json!("conflict")),
            ("patch", error.clone()),
            ("patch", json!("reset_before")),
            ("patch", json!("reset_after")),
            ("patch", json!({"late": 2.5})),
            ("create", json!("reset_after")),
            ("delete", json!("reset_after")),
            ("get", error.clone()),
            ("list", error),
        ];
        let mut posted = Vec::new();
        for resource in ["agentclaims", "agentinstances"] {
            for (verb, effect) in &effects {
                let fault = json!({"user": CONTROLLER_USER, "verb": verb, "resource": resource, "effect": effect,
                    "times": 0, "one_in": ONE_IN});
                let what = format!("{verb} {resource} {effect}");
                posted.push((server.post_fault(fault).await?, what));
            }
        }
        Ok(Troubles { server, posted })
    }

    /// Ends them; how often each came.
    async fn end(self) -> Result<String> {
        let mut told = Vec::new();
        for (id, what) in &self.posted {
            let fired = self.server.fired(id).await?;
            told.push(format!("{fired} {what}"));
            self.server.remove_fault(id).await?;
        }
        Ok(told.join(", "))
    }
}

/// The controllers.
struct Leaders {
    first: Controller,
    /// Leads beside the first: it has a Lease of its own.
    beside: Controller,
    /// Waits for the first one's Lease.
    standby: Controller,
}

impl Leaders {
    fn of(world: &World) -> Result<Leaders> {
        Ok(Leaders {
            first: world.another_controller("first", &[])?,
            beside: world.another_controller("beside", &["--lease-name=beside"])?,
            standby: world.another_controller("standby", &[])?,
        })
    }

    async fn both_lead(&self) -> Result<()> {
        for one in [&self.first, &self.beside] {
            one.start().await?;
            one.wait_ready(SOON).await?;
        }
        Ok(())
    }

    async fn one_leads(&self) -> Result<()> {
        self.beside.stop().await?;
        self.standby.start().await?;
        self.standby.wait_ready(SOON).await
    }

    /// Kills the first one or lets it sleep, whether it leads or stands by. Answers whether it was killed.
    async fn trouble(&self, kill: bool) -> Result<bool> {
        if kill {
            self.first.kill().await?;
            self.first.start().await?;
        } else {
            self.first.signal(Signal::SIGSTOP)?;
            time::sleep(ASLEEP).await;
            self.first.signal(Signal::SIGCONT)?;
        }
        Ok(kill)
    }

    async fn stop(&self) -> Result<()> {
        for one in [&self.first, &self.standby] {
            one.stop().await?;
        }
        Ok(())
    }
}

/// The claims, and what they wait for.
struct Crowd<'a> {
    tenant: Tenant<'a>,
    witness: Witness,
    agents: usize,
    claims: usize,
    patience: Duration,
}

impl Crowd<'_> {
    async fn api(&self) -> Result<Api<DynamicObject>> {
        self.tenant.object("AgentClaim", "any").api().await
    }

    async fn all(&self) -> Result<Vec<DynamicObject>> {
        Ok(self.api().await?.list(&ListParams::default()).await?.items)
    }

    /// Waits until every agent is idle.
    async fn fills(&self) -> Result<()> {
        let pool = self.tenant.object("AgentPool", POOL);
        let what = format!("{} agents are idle", self.agents);
        let wanted = u64::try_from(self.agents)?;
        let idle = move |pool: &DynamicObject| pool.data["status"]["idle"].as_u64() == Some(wanted);
        pool.wait_until(&what, self.patience, idle).await?;
        Ok(())
    }

    async fn come(&self) -> Result<()> {
        let api = self.api().await?;
        let sent = (0..self.claims).map(|n| {
            let api = api.clone();
            async move {
                let claim: DynamicObject = serde_json::from_value(json!({
                    "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentClaim", "metadata": {"name": format!("c{n:04}")},
                    "spec": {"poolRef": {"name": POOL}, "agent": {"instructions": format!("be c{n:04}")}},
                }))?;
                api.create(&PostParams::default(), &claim).await?;
                anyhow::Ok(())
            }
        });
        stream::iter(sent)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Waits until as many claims are ready as there can be, and all others told that they wait.
    async fn settles(&self) -> Result<()> {
        let settled = eventually(
            "every agent has a claim, and the rest waits",
            self.patience,
            async || {
                let all = self.all().await?;
                let says = |kind: &str, reason: &str| {
                    let said = |claim: &&DynamicObject| {
                        condition(claim, kind).is_some_and(|said| said["reason"] == reason)
                    };
                    all.iter().filter(said).count()
                };
                let ready = says("Ready", "Provisioned");
                let most = self.agents.min(all.len());
                Ok(
                    (ready == most && says("Bound", "NoAgentFree") == all.len() - most)
                        .then_some(()),
                )
            },
        );
        let Err(error) = settled.await else {
            return Ok(());
        };
        let mut says: BTreeMap<String, usize> = BTreeMap::new();
        for claim in self.all().await? {
            let said = ["Bound", "Ready"].map(|kind| {
                let said = condition(&claim, kind);
                said.map_or(Value::Null, |said| said["reason"].clone())
            });
            *says.entry(format!("{said:?}")).or_default() += 1;
        }
        Err(error.context(format!("claims say (Bound, Ready): {says:#?}")))
    }

    /// Whether all that must hold does.
    async fn holds(&self) -> Result<()> {
        let broken = self.witness.broken();
        ensure!(broken.is_empty(), "{}", broken.join("\n"));
        let tellings = self.tenant.tellings().await?;
        let two = agents_of_two_claims(&tellings);
        ensure!(two.is_empty(), "{}", two.join("\n"));
        let strange = self.witness.told_to_others(&tellings);
        ensure!(strange.is_empty(), "{}", strange.join("\n"));
        Ok(())
    }

    /// Deletes some of those that have an agent.
    async fn release(&self, random: &mut StdRng, many: usize) -> Result<()> {
        let mut bound: Vec<DynamicObject> =
            self.all().await?.into_iter().filter(has_agent).collect();
        bound.shuffle(random);
        let api = self.api().await?;
        for claim in bound.iter().take(many) {
            self.witness.releases(&claim.uid().unwrap_or_default());
            api.delete(&claim.name_any(), &kube::api::DeleteParams::default())
                .await?;
        }
        Ok(())
    }

    /// With nothing in their way, those who wait are served as they came.
    async fn serves_in_order(&self, random: &mut StdRng) -> Result<()> {
        let mut waiting: Vec<(Option<Timestamp>, String)> = self
            .all()
            .await?
            .iter()
            .filter(|claim| !has_agent(claim))
            .map(|claim| (claim.creation_timestamp().map(|at| at.0), claim.name_any()))
            .collect();
        waiting.sort();
        self.release(random, RELEASED).await?;
        self.settles().await?;
        let all = self.all().await?;
        let served: BTreeSet<String> = all
            .iter()
            .filter(|claim| has_agent(claim))
            .map(ResourceExt::name_any)
            .collect();
        let served: Vec<bool> = waiting
            .iter()
            .map(|(_, name)| served.contains(name))
            .collect();
        let first = served.iter().take_while(|one| **one).count();
        let many = served.iter().filter(|one| **one).count();
        ensure!(first == many, "of those who waited were served: {served:?}");
        self.holds().await
    }
}

fn has_agent(claim: &DynamicObject) -> bool {
    claim.data["status"]["instanceRef"].is_object()
}
