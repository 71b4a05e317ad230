//! `measure claims`: how long a claim waits for an agent of a warm pool, and what that costs.
//!
//! Holds: the agents are seeded and the pool makes none in their place, so nothing else is written meanwhile, but for the last row;
//! the load has connections of its own; a time begins when a claim's moment has come, also where it waits for one of them, and ends
//! with the watch event that shows it Bound, or Ready; a row ends when every claim of it is Ready and nothing more is done for any,
//! the last one when their agents are gone and others are idle in their place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use futures::StreamExt as _;
use futures::future::try_join_all;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time;
use world::{Controller, Mark, Tenant, World, condition};

use super::process::Cost;
use super::{ratio, tenant};

const POOL: &str = "warm";

/// Most agents of a pool (`spec.replicas`).
const MOST: usize = 10_000;

/// How long a row may take after its last request.
const PATIENCE: Duration = Duration::from_secs(180);

/// Between claims that come one by one.
const EVERY: Duration = Duration::from_millis(200);

/// Percentiles of the Poisson row are told for windows of this length too: a queue that grows shows itself there.
const WINDOW: Duration = Duration::from_secs(10);

/// Requests of the load that are under way at once: as many connections as it has.
const IN_FLIGHT: usize = 32;

/// As many writes show what one costs by itself.
const FLOOR: usize = 200;

/// Which claims come, and when.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Claims of which one is sent every 200 ms.
    #[arg(long, default_value_t = 100)]
    spaced: usize,
    /// Claims of which each is sent when the one before is bound.
    #[arg(long, default_value_t = 100)]
    in_turn: usize,
    /// Claims that are sent at once.
    #[arg(long, default_value_t = 300)]
    at_once: usize,
    /// Claims in a second that come by chance, as many people's do.
    #[arg(long, default_value_t = 45.0)]
    rate: f64,
    /// How long they come, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Claims that are sent at once, for each of which the pool makes another agent, and that are deleted then: whole lives.
    #[arg(long, default_value_t = 30)]
    lives: usize,
    /// Idle agents beside those that are claimed: a store that is full.
    #[arg(long, default_value_t = 0)]
    idle: usize,
}

impl Load {
    /// When claims come by chance, counted from the first moment: the same at every run.
    fn by_chance(&self) -> Vec<Duration> {
        let mut random = StdRng::seed_from_u64(1);
        let end = Duration::from_secs(self.seconds).as_secs_f64();
        let (mut at, mut all) = (0.0, Vec::new());
        loop {
            at += -(1.0 - random.random::<f64>()).ln() / self.rate;
            // At a rate of nothing the first of them comes at no time.
            if at.is_nan() || at >= end {
                break;
            }
            all.push(Duration::from_secs_f64(at));
        }
        all
    }
}

pub(super) async fn claims(world: &World, load: &Load) -> Result<()> {
    let tenant = tenant(world).await?;
    let account = tenant.provider_account();
    let many =
        json!({"spec": {"limits": {"resources": 100_000, "resourcesPerNamespace": 100_000}}});
    account.patch(many).await?;
    let by_chance = load.by_chance();
    let claims = load.spaced + load.in_turn + load.at_once + by_chance.len() + load.lives;
    let agents = claims + load.idle;
    ensure!(
        agents <= MOST,
        "{claims} claims and {} idle agents are more than the {MOST} that a pool has at most; ask for fewer",
        load.idle
    );
    world.seed_pool(&tenant, "plain", POOL, agents).await?;
    let controller = world.another_controller("measured", &super::fleet::AS_OUTSIDE)?;
    controller.start().await?;
    let bench = Bench::begin(&tenant, &controller, agents).await?;

    let floor = bench.floor().await?;
    quiet(&controller).await?;
    let mut rows = Vec::new();
    let spaced = (0..load.spaced).map(|n| EVERY * u32::try_from(n).unwrap_or(u32::MAX));
    rows.push(bench.row("one every 200 ms", spaced.collect()).await?);
    rows.push(bench.in_turn(load.in_turn).await?);
    let at_once = vec![Duration::ZERO; load.at_once];
    rows.push(bench.row("at once", at_once).await?);
    rows.push(bench.row("by chance", by_chance).await?);
    rows.push(bench.lives(agents, load.lives).await?);
    rows.retain(|row| row["claims"] != 0);
    let told = json!({
        "seeded": agents, "rate": load.rate, "rows": rows, "writeOfAnAgentMs": floor,
    });
    drop(bench);
    println!("{told}");
    eprint!("{}", table(&told));
    controller.stop().await?;
    Ok(())
}

/// When what was seen of a claim.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    bound: Option<Instant>,
    ready: Option<Instant>,
}

/// What the watch has shown, by the claims' names.
#[derive(Default)]
struct Shown {
    claims: Mutex<BTreeMap<String, Seen>>,
    news: Notify,
}

impl Shown {
    fn of(&self, name: &str) -> Seen {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.get(name).copied().unwrap_or_default()
    }

    fn take(&self, claim: &DynamicObject) {
        let now = Instant::now();
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = claims.entry(claim.name_any()).or_default();
        if claim.data["status"]["instanceRef"].is_object() {
            seen.bound.get_or_insert(now);
        }
        if condition(claim, "Ready").is_some_and(|ready| ready["status"] == "True") {
            seen.ready.get_or_insert(now);
        }
        drop(claims);
        self.news.notify_waiters();
    }

    /// Waits until a claim is so.
    async fn until(&self, name: &str, so: impl Fn(Seen) -> Option<Instant>) -> Result<Instant> {
        let seen = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                // From here on it is woken, also by what comes before it waits.
                news.as_mut().enable();
                if let Some(at) = so(self.of(name)) {
                    return at;
                }
                news.await;
            }
        };
        let seen = time::timeout(PATIENCE, seen).await;
        seen.with_context(|| format!("claim {name} shows {:?}", self.of(name)))
    }
}

/// What is asked for, and what it costs.
struct Bench<'a> {
    tenant: &'a Tenant<'a>,
    controller: &'a Controller,
    claims: Api<DynamicObject>,
    in_flight: Semaphore,
    shown: Arc<Shown>,
    watch: JoinHandle<()>,
}

impl Drop for Bench<'_> {
    /// The world may end now.
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// A moment, and what all had cost by then.
struct Before {
    audit: Mark,
    journal: Mark,
    server: Cost,
    controller: Cost,
}

impl<'a> Bench<'a> {
    /// When every agent can be claimed, and nothing else is to be done.
    async fn begin(
        tenant: &'a Tenant<'a>,
        controller: &'a Controller,
        agents: usize,
    ) -> Result<Bench<'a>> {
        controller.wait_ready(PATIENCE).await?;
        let pool = tenant.object("AgentPool", POOL);
        let what = format!("{agents} agents are idle");
        let filled = pool.wait_until(&what, PATIENCE, |pool| {
            pool.data["status"]["idle"].as_u64() == u64::try_from(agents).ok()
        });
        filled.await?;
        quiet(controller).await?;
        let world = tenant.world();
        let mut own = Vec::new();
        for _ in 0..2 {
            own.push(connection(world, tenant).await?);
        }
        let (claims, watched) = (own.remove(0), own.remove(0));
        let shown = Arc::new(Shown::default());
        let watching = Arc::clone(&shown);
        let watch = tokio::spawn(async move {
            let events = watcher(watched, watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(claim) | Event::InitApply(claim)) => watching.take(&claim),
                    Ok(_) => {}
                    Err(error) => eprintln!("the watch: {error}"),
                }
            }
        });
        Ok(Bench {
            tenant,
            controller,
            claims,
            in_flight: Semaphore::new(IN_FLIGHT),
            shown,
            watch,
        })
    }

    async fn before(&self) -> Result<Before> {
        let world = self.tenant.world();
        Ok(Before {
            audit: world.audit().mark()?,
            journal: world.journal().mark()?,
            server: Cost::of_process(world.cluster_pid().await?)?,
            controller: Cost::of(self.controller)?,
        })
    }

    /// Sends a claim; when it was sent.
    async fn send(&self, name: &str) -> Result<Instant> {
        let claim: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentClaim", "metadata": {"name": name},
            "spec": {"poolRef": {"name": POOL}, "agent": {"name": name, "instructions": "be of use"}},
        }))?;
        let sent = Instant::now();
        let _one = self.in_flight.acquire().await?;
        self.claims.create(&PostParams::default(), &claim).await?;
        Ok(sent)
    }

    /// Claims that come at these moments.
    async fn row(&self, row: &str, moments: Vec<Duration>) -> Result<Value> {
        self.connects().await?;
        let before = self.before().await?;
        let times = self.sends(row, moments).await?;
        self.told(row, &before, &times).await
    }

    /// Claims that come at once to a pool that makes others in the place of the agents they get, and that are deleted when as many
    /// are idle as before.
    async fn lives(&self, agents: usize, claims: usize) -> Result<Value> {
        let row = "whole lives, with refill";
        let pool = self.tenant.object("AgentPool", POOL);
        let full = pool.get().await?.data["status"].take();
        let more = json!({"replicas": full["idle"], "maxInstances": agents + claims});
        pool.patch(json!({"spec": more})).await?;
        quiet(self.controller).await?;
        self.connects().await?;
        let before = self.before().await?;
        let times = self.sends(row, vec![Duration::ZERO; claims]).await?;
        let so = |field: &'static str, full: Value| {
            let pool = &pool;
            async move {
                let what = format!("{field} is {full} again");
                let reached =
                    pool.wait_until(&what, PATIENCE, |pool| pool.data["status"][field] == full);
                reached.await
            }
        };
        so("idle", full["idle"].clone()).await?;
        for n in 0..claims {
            let name = named(row, n);
            self.claims.delete(&name, &DeleteParams::default()).await?;
        }
        so("claimed", full["claimed"].clone()).await?;
        self.told(row, &before, &times).await
    }

    /// When each of them came, and how long it took until it was bound and until it was ready.
    async fn sends(
        &self,
        row: &str,
        moments: Vec<Duration>,
    ) -> Result<Vec<(Duration, Duration, Duration)>> {
        let begun = Instant::now();
        let sent = moments.iter().enumerate().map(|(n, at)| async move {
            time::sleep_until((begun + *at).into()).await;
            let name = named(row, n);
            let sent = self.send(&name).await?;
            let bound = self.shown.until(&name, |seen| seen.bound).await?;
            let ready = self.shown.until(&name, |seen| seen.ready).await?;
            anyhow::Ok((*at, bound - sent, ready - sent))
        });
        try_join_all(sent).await
    }

    /// Claims of which each comes when the one before is bound.
    async fn in_turn(&self, claims: usize) -> Result<Value> {
        let (row, before, begun) = ("one after the other", self.before().await?, Instant::now());
        let mut times = Vec::new();
        let name = |n: usize| format!("in-turn-{n}");
        for n in 0..claims {
            let sent = self.send(&name(n)).await?;
            let bound = self.shown.until(&name(n), |seen| seen.bound).await?;
            times.push((sent - begun, bound - sent, sent));
        }
        let mut told = Vec::new();
        for (n, (at, bound, sent)) in times.into_iter().enumerate() {
            let ready = self.shown.until(&name(n), |seen| seen.ready).await?;
            told.push((at, bound, ready - sent));
        }
        self.told(row, &before, &told).await
    }

    /// Opens the connections that the load has.
    async fn connects(&self) -> Result<()> {
        let any = kube::api::ListParams::default().limit(1);
        let all = (0..IN_FLIGHT).map(|_| self.claims.list(&any));
        try_join_all(all).await?;
        Ok(())
    }

    /// What a row has shown, and what it has cost.
    async fn told(
        &self,
        row: &str,
        before: &Before,
        times: &[(Duration, Duration, Duration)],
    ) -> Result<Value> {
        let (world, claims) = (self.tenant.world(), times.len());
        // What a row wakes is its own cost, however late it comes.
        quiet(self.controller).await?;
        let now = self.before().await?;
        let mut writes = BTreeMap::new();
        let mut reads = 0;
        for one in world.audit().since(before.audit)? {
            if !one.is_controller() || one.resource == "leases" {
                continue;
            }
            if one.is_write() {
                let what = match one.subresource.as_str() {
                    "" => one.resource.clone(),
                    part => format!("{}/{part}", one.resource),
                };
                *writes.entry(what).or_insert(0) += 1;
            } else if one.stage == "ResponseComplete" && one.verb != "watch" {
                reads += 1;
            }
        }
        let exchanges = world.journal().since(before.journal)?;
        let railway = exchanges
            .iter()
            .filter(|one| one.provider == "railway" && one.operation != "projects");
        let writes: BTreeMap<String, f64> = writes
            .into_iter()
            .map(|(what, count)| (what, ratio(count, claims)))
            .collect();
        let each = |seconds: f64| round(seconds * 1000.0 / ratio(claims, 1).max(1.0));
        let bound = |one: &(Duration, Duration, Duration)| one.1;
        let ready = |one: &(Duration, Duration, Duration)| one.2;
        Ok(json!({
            "row": row, "claims": claims,
            "boundMs": percentiles(times.iter().map(bound)), "readyMs": percentiles(times.iter().map(ready)),
            "windows": windows(times),
            "writesOfAClaim": writes, "readsOfAClaim": ratio(reads, claims),
            "railwayRequestsOfAClaim": ratio(railway.count(), claims),
            "cpuMsOfAClaim": {"apiServer": each(now.server.since(&before.server)),
                "controller": each(now.controller.since(&before.controller))},
        }))
    }

    /// What such a write costs by itself on this API server: an agent's annotation, changed time and again.
    async fn floor(&self) -> Result<Value> {
        let instances = self.tenant.instance("any").api().await?;
        let params = kube::api::ListParams::default().limit(1);
        let some = instances.list(&params).await?.items;
        let name = some.first().context("there is no agent")?.name_any();
        let mut times = Vec::new();
        for n in 0..FLOOR {
            let change = json!({"metadata": {"annotations": {"measured": n.to_string()}}});
            let begun = Instant::now();
            let patched = instances
                .patch(&name, &PatchParams::default(), &Patch::Merge(&change))
                .await?;
            times.push(begun.elapsed());
            ensure!(patched.name_any() == name);
        }
        Ok(percentiles(times.into_iter()))
    }
}

/// The name of a row's claim.
fn named(row: &str, number: usize) -> String {
    format!("{}-{number}", row.replace(", ", "-").replace(' ', "-"))
}

/// Waits until the controller has nothing to do.
async fn quiet(controller: &Controller) -> Result<()> {
    let mut passes = controller.passes().await?;
    loop {
        time::sleep(Duration::from_secs(3)).await;
        let now = controller.passes().await?;
        if now == passes {
            return Ok(());
        }
        passes = now;
    }
}

/// Claims through connections that nobody else uses.
async fn connection(world: &World, tenant: &Tenant<'_>) -> Result<Api<DynamicObject>> {
    let kubeconfig = Kubeconfig::read_from(world.directory().kubeconfig())?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    // The server is on loopback, whatever proxy the user has set.
    config.proxy_url = None;
    let kind = kube::api::ApiResource {
        group: "yardmaster.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "yardmaster.dev/v1alpha1".to_owned(),
        kind: "AgentClaim".to_owned(),
        plural: "agentclaims".to_owned(),
    };
    let client = Client::try_from(config)?;
    Ok(Api::namespaced_with(client, tenant.namespace(), &kind))
}

/// Of times, in milliseconds.
fn percentiles(times: impl Iterator<Item = Duration>) -> Value {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    let at = |share: usize| {
        let index = (times.len() * share).div_ceil(100).max(1) - 1;
        let time = times.get(index).copied().unwrap_or_default();
        round(time.as_secs_f64() * 1000.0)
    };
    json!({"p50": at(50), "p90": at(90), "p99": at(99), "most": at(100)})
}

/// The times until Bound in each window of those that come for longer than one.
fn windows(times: &[(Duration, Duration, Duration)]) -> Vec<Value> {
    let mut all: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
    for (at, bound, _) in times {
        let window = at.as_secs() / WINDOW.as_secs();
        all.entry(window).or_default().push(*bound);
    }
    if all.len() < 2 {
        return Vec::new();
    }
    let told = |(window, times): (u64, Vec<Duration>)| {
        let from = window * WINDOW.as_secs();
        json!({"fromSeconds": from, "claims": times.len(), "boundMs": percentiles(times.into_iter())})
    };
    all.into_iter().map(told).collect()
}

/// To hundredths.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The same for people: a bar for each percentile, as long as the longest is forty characters.
fn table(told: &Value) -> String {
    let rows = told["rows"].as_array().map(Vec::as_slice);
    let rows = rows.unwrap_or_default();
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let mut text = format!("{} agents were idle\n", told["seeded"]);
    for row in rows {
        text.push_str(&format!(
            "{} ({} claims)\n",
            row["row"].as_str().unwrap_or_default(),
            row["claims"]
        ));
        let longest = number(&row["readyMs"]["most"]).max(1.0);
        for (until, field) in [("Bound", "boundMs"), ("Ready", "readyMs")] {
            for share in ["p50", "p90", "p99", "most"] {
                let time = number(&row[field][share]);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let length = (time / longest * 40.0).ceil().max(0.0) as usize;
                text.push_str(&format!(
                    "  {until} {share:<5}{time:>10.2} ms {}\n",
                    "#".repeat(length)
                ));
            }
        }
        text.push_str(&format!(
            "  each: writes {}, reads {:.2}, requests to Railway {:.2}, processor {} ms of the API server and {} of the controller\n",
            row["writesOfAClaim"], number(&row["readsOfAClaim"]), number(&row["railwayRequestsOfAClaim"]),
            row["cpuMsOfAClaim"]["apiServer"], row["cpuMsOfAClaim"]["controller"]
        ));
    }
    let floor = &told["writeOfAnAgentMs"];
    text.push_str(&format!(
        "a write of an agent by itself: p50 {} ms, p99 {} ms\n",
        floor["p50"], floor["p99"]
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let of = |times: &[u64]| percentiles(times.iter().map(|ms| Duration::from_millis(*ms)));
        assert_eq!(
            of(&[3, 1, 2]),
            json!({"p50": 2.0, "p90": 3.0, "p99": 3.0, "most": 3.0})
        );
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(
            of(&hundred),
            json!({"p50": 50.0, "p90": 90.0, "p99": 99.0, "most": 100.0})
        );
    }

    #[test]
    fn what_comes_by_chance_is_the_same_each_time_and_as_many_as_asked_for() {
        let load = Load {
            spaced: 0,
            in_turn: 0,
            at_once: 0,
            rate: 45.0,
            seconds: 60,
            lives: 0,
            idle: 0,
        };
        let times = load.by_chance();
        assert_eq!(times, load.by_chance());
        assert!((2500..2900).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted());
    }
}
