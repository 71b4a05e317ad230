//! `measure fleet`: what a controller costs that starts and finds many agents, and what it costs at rest.
//!
//! Holds: the agents are seeded while no controller runs; the one that is measured runs with the product's own defaults, in
//! a process that has seen none of them. Reads and writes are counted in the API server's audit log, requests in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Value, json};
use world::{Controller, Mark, SYSTEM_NAMESPACE, Tenant, World};

use super::process::Cost;
use super::{ratio, tenant};

/// What a page of a listing holds.
const PAGE: usize = 100;

/// So long it may take until what is awaited is so.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Often enough for what takes seconds, and seldom enough to be no part of what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A start is over when so long nothing more was looked at: some instances are looked at twice before others are once.
const QUIET: Duration = Duration::from_secs(3);

/// The product's own defaults, in place of a world's haste.
pub(super) const AS_OUTSIDE: [&str; 8] = [
    "--observe-interval=60s",
    "--request-timeout=60s",
    "--settle=30s",
    "--agent-timeout=5s",
    "--lease-duration=15s",
    "--lease-renew-deadline=10s",
    "--lease-retry-period=2s",
    "--log=info",
];

pub(super) async fn fleet(world: &World, agents: usize) -> Result<()> {
    let tenant = tenant(world).await?;
    let without = Cost::of(world.controller()?)?;
    let begun = Instant::now();
    world.seed(&tenant, "plain", agents).await?;
    let seeded = begun.elapsed();

    let run = Run {
        tenant: &tenant,
        agents,
        journal: world.journal().mark()?,
        audit: world.audit().mark()?,
    };
    let controller = world.another_controller("measured", &AS_OUTSIDE)?;
    let (looked_at, at_first) = run.start(&controller).await?;
    let first = run.counts()?;
    run.listing().await?;
    let settled = Cost::of(&controller)?;
    run.listing().await?;
    let rest = Cost::of(&controller)?;
    let all = run.counts()?;
    let passes = controller.passes().await?;
    let takeover = run.takeover(&controller).await?;

    let told = json!({
        "agents": agents,
        "seededSeconds": tenths(seeded),
        "lookedAtSeconds": tenths(looked_at),
        "passes": passes,
        "instancesRead": first.instances,
        "rssMiB": {"withoutAgents": without.resident, "lookedAt": at_first.resident,
            "atRest": rest.resident, "most": rest.most},
        "cpuSeconds": {"untilLookedAt": at_first.seconds(), "anIntervalAtRest": rest.since(&settled)},
        "takeoverMilliseconds": takeover,
        "reads": {"untilLookedAt": first.reads, "all": all.reads},
        "writes": all.writes,
        "requests": {"untilLookedAt": first.requests, "all": all.requests},
        "perInstance": {
            "reads": ratio(sum(&first.reads), agents), "writes": ratio(sum(&all.writes), agents),
            "requests": ratio(sum(&first.requests), agents),
        },
    });
    println!("{told}");
    eprint!("{}", table(&told));
    Ok(())
}

/// What is counted, and since when.
struct Run<'a> {
    tenant: &'a Tenant<'a>,
    agents: usize,
    journal: Mark,
    audit: Mark,
}

/// How often what was done, by what it was.
type Counts = BTreeMap<String, usize>;

struct Counted {
    /// Different instances that were read.
    instances: usize,
    reads: Counts,
    writes: Counts,
    requests: Counts,
}

impl Run<'_> {
    async fn wait(&self, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let look = async {
            let mut times = tokio::time::interval(LOOK_EVERY);
            loop {
                times.tick().await;
                if holds().await? {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(PATIENCE, look).await?
    }

    /// Starts the controller, and waits until it has looked at all. When the last pass ended, and what all had cost then.
    async fn start(&self, controller: &Controller) -> Result<(Duration, Cost)> {
        let begun = Instant::now();
        controller.start().await?;
        let (mut passes, mut last) = (0, (Duration::ZERO, Cost::of(controller)?));
        let over = self.wait(async || {
            let now = controller.passes().await.unwrap_or_default();
            if now > passes {
                passes = now;
                last = (begun.elapsed(), Cost::of(controller)?);
            }
            Ok(passes >= self.agents && begun.elapsed() > last.0 + QUIET)
        });
        over.await
            .context("waiting until every instance was looked at")?;
        Ok(last)
    }

    /// Waits until the account was listed once more, to the last page: from one such moment to the next is an interval.
    async fn listing(&self) -> Result<()> {
        let (pages, journal) = (self.agents.div_ceil(PAGE), self.tenant.world().journal());
        let (mut mark, mut listed) = (journal.mark()?, 0);
        let listed = self.wait(async || {
            let new = journal.follow(&mut mark)?;
            listed += new.iter().filter(|one| one.operation == "projects").count();
            Ok(listed >= pages)
        });
        listed.await.context("waiting for a listing of the account")
    }

    /// Kills the controller beside one that stands by, and changes an agent meanwhile: how long after the new Lease that one is
    /// deployed anew, in milliseconds.
    async fn takeover(&self, leader: &Controller) -> Result<i64> {
        let world = self.tenant.world();
        let flags = [&AS_OUTSIDE[..], &["--identity=standby"]].concat();
        let standby = world.another_controller("standby", &flags)?;
        standby.start().await?;
        standby.wait_ready(PATIENCE).await?;
        let mut journal = world.journal().mark()?;
        leader.kill().await?;
        let own = json!({"spec": {"env": [{"name": "B", "value": "2"}]}});
        self.tenant.instance("plain-7").patch(own).await?;
        let mut acted = None;
        let deployed = self.wait(async || {
            let new = world.journal().follow(&mut journal)?.into_iter();
            let commit = new.filter(|one| one.operation == "environmentPatchCommit");
            acted = acted.or_else(|| commit.filter_map(|one| one.at).next());
            Ok(acted.is_some())
        });
        deployed.await.context("waiting for the deployment")?;
        let lease = world.object("Lease", Some(SYSTEM_NAMESPACE), "yardmaster");
        let lease = lease.get().await?;
        let acquired = lease.data["spec"]["acquireTime"].as_str();
        let acquired: Timestamp = acquired.context("nobody leads")?.parse()?;
        standby.stop().await?;
        let acted = acted.context("nothing was deployed")?;
        Ok(acted.duration_since(acquired).as_millis().try_into()?)
    }

    fn counts(&self) -> Result<Counted> {
        let world = self.tenant.world();
        let requests = world.audit().since(self.audit)?.into_iter();
        let requests = requests.filter(|one| one.is_controller() && one.resource != "leases");
        let (mut reads, mut writes, mut instances) =
            (Counts::new(), Counts::new(), BTreeSet::new());
        for one in requests {
            let what = format!("{} {}", one.verb, one.resource);
            if one.is_write() {
                *writes.entry(what).or_default() += 1;
            } else if one.stage == "ResponseComplete" && !one.resource.is_empty() {
                *reads.entry(what).or_default() += 1;
                if one.verb == "get" && one.resource == "agentinstances" {
                    instances.insert((one.namespace, one.name));
                }
            }
        }
        let mut requests = Counts::new();
        for one in world.journal().since(self.journal)? {
            *requests.entry(one.operation).or_default() += 1;
        }
        Ok(Counted {
            instances: instances.len(),
            reads,
            writes,
            requests,
        })
    }
}

fn sum(counts: &Counts) -> usize {
    counts.values().sum()
}

fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

/// The same for people.
fn table(told: &Value) -> String {
    let rows = [
        ("agents", "/agents"),
        ("seeded after, s", "/seededSeconds"),
        ("every one looked at after, s", "/lookedAtSeconds"),
        ("CPU until then, s", "/cpuSeconds/untilLookedAt"),
        (
            "CPU of an interval at rest, s",
            "/cpuSeconds/anIntervalAtRest",
        ),
        ("RSS without agents, MiB", "/rssMiB/withoutAgents"),
        ("RSS when all were looked at, MiB", "/rssMiB/lookedAt"),
        ("RSS at rest, MiB", "/rssMiB/atRest"),
        ("RSS, most, MiB", "/rssMiB/most"),
        ("deployed after the new Lease, ms", "/takeoverMilliseconds"),
        ("API reads of an instance", "/perInstance/reads"),
        ("API writes of an instance", "/perInstance/writes"),
        ("outside requests of an instance", "/perInstance/requests"),
    ];
    let lines = rows.map(|(what, at)| {
        let value = told.pointer(at).map(Value::to_string);
        format!("{what:<34}{:>10}\n", value.unwrap_or_default())
    });
    lines.concat()
}
