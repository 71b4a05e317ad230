//! `cargo world -- measure`: the numbers of the README's table, each from one run of a world of its own.
//!
//! What holds: the controller is optimised, as the image's is; times are told by watch events as a client sees them; requests
//! are counted in the journal, reads and writes in the API server's audit log, memory and processor time by the kernel.
//! Deliberately absent: judgement; a number is a number.

mod claims;
mod fleet;
mod process;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::json;
use world::{Options, Tenant, World};

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Measure {
    /// One agent after the other: requests, writes and time from apply to Ready.
    Creation {
        /// How many, half of them with a volume.
        #[arg(long, default_value_t = 20)]
        agents: usize,
    },
    /// A controller that starts and finds many agents: memory, time, reads. JSON on standard output, a table beside it.
    Fleet {
        /// How many. They are seeded, not made.
        #[arg(long, default_value_t = 1000)]
        seeded: usize,
    },
    /// Claims of a pool whose agents were made before: time until Bound and until Ready as a client's watch sees them, writes,
    /// reads and processor time of each. JSON on standard output, a table beside it.
    Claims {
        #[command(flatten)]
        load: claims::Load,
    },
}

impl Measure {
    pub(crate) async fn run(self) -> Result<()> {
        let build = tokio::task::spawn_blocking(world::build_optimised_controller);
        let controller = build.await.context("building the controller")??;
        let folder = tempfile::tempdir()?;
        let mut options = Options::new(folder.path())
            .controller(controller)
            .set("agent.bootTime", "0s");
        if matches!(self, Measure::Creation { .. }) {
            options = options.controller_arg("--observe-interval=60s");
        }
        let world = World::start(options).await?;
        let done = match self {
            Measure::Creation { agents } => creation(&world, agents).await,
            Measure::Fleet { seeded } => fleet::fleet(&world, seeded).await,
            Measure::Claims { load } => claims::claims(&world, &load).await,
        };
        world.stop().await?;
        done
    }
}

const TEMPLATES: &str = "
apiVersion: yardmaster.dev/v1alpha1
kind: AgentTemplate
metadata: {name: plain}
spec: {runtime: {image: 'ghcr.io/acme/agent:1.4', port: 8080}}
---
apiVersion: yardmaster.dev/v1alpha1
kind: AgentTemplate
metadata: {name: disk}
spec: {runtime: {image: 'ghcr.io/acme/agent:1.4', port: 8080, volume: {mountPath: /data}}}
";

fn agent(name: &str, template: &str, account: &str) -> String {
    format!(
        "apiVersion: yardmaster.dev/v1alpha1\nkind: AgentInstance\nmetadata: {{name: {name}}}\nspec: {{templateRef: {{name: {template}}}, accountRef: {{name: {account}}}}}\n"
    )
}

/// A tenant whose account is not what is measured: Railway's own limits are as wide as they go.
async fn tenant(world: &World) -> Result<Tenant<'_>> {
    world
        .outside()
        .set(&[
            ("railway.requestsPerSecond", "5000"),
            ("railway.requestsPerHour", "10000000"),
        ])
        .await?;
    let account =
        json!({"requestsPerSecond": 50, "requestsPerHour": 1_000_000, "maxProjects": 100_000});
    let tenant = world.tenant_with("measure", account).await?;
    let minute = Duration::from_secs(60);
    tenant
        .provider_account()
        .wait_condition("Ready", "True", minute)
        .await?;
    tenant.apply(TEMPLATES).await?;
    for template in ["plain", "disk"] {
        tenant
            .template(template)
            .wait_condition("Ready", "True", minute)
            .await?;
    }
    Ok(tenant)
}

async fn creation(world: &World, agents: usize) -> Result<()> {
    let tenant = tenant(world).await?;
    for template in ["plain", "disk"] {
        let mut times = Vec::new();
        let (journal, audit) = (world.journal().mark()?, world.audit().mark()?);
        for number in 0..agents / 2 {
            let name = format!("{template}-{number}");
            let begun = Instant::now();
            tenant
                .apply(&agent(&name, template, tenant.account()))
                .await?;
            tenant
                .instance(&name)
                .wait_condition("Ready", "True", Duration::from_secs(60))
                .await?;
            times.push(begun.elapsed());
        }
        // The audit log may be a moment behind; a count of the Ready events ends the wait.
        let count = times.len();
        let exchanges = tenant.exchanges(journal)?;
        let of = |wanted: &[&str]| {
            exchanges
                .iter()
                .filter(|one| wanted.contains(&one.operation.as_str()))
                .count()
        };
        let changes = of(&[
            "projectCreate",
            "serviceCreate",
            "volumeCreate",
            "serviceDomainCreate",
            "environmentPatchCommit",
        ]);
        let reads = of(&["project", "environment"]);
        let listings = of(&["projects"]);
        let writes = tenant.controller_writes(audit)?;
        let on = |resource: &str| writes.iter().filter(|one| one.resource == resource).count();
        times.sort();
        println!("{template}: {count} agents, one after the other");
        println!("  Railway, changes per agent: {:.2}", ratio(changes, count));
        println!(
            "  Railway, reads per agent: {:.2} (and {listings} listings in all)",
            ratio(reads, count)
        );
        println!(
            "  deployments per agent: {:.2}",
            ratio(
                of(&["environmentPatchCommit", "serviceInstanceDeployV2"]),
                count
            )
        );
        println!(
            "  Kubernetes writes per agent: {:.2} on the instance, {:.2} Secrets, {:.2} events, {:.2} on its template",
            ratio(on("agentinstances"), count),
            ratio(on("secrets"), count),
            ratio(on("events"), count),
            ratio(on("agenttemplates"), count)
        );
        println!(
            "  apply to Ready: median {} ms, least {} ms, most {} ms",
            times[count / 2].as_millis(),
            times[0].as_millis(),
            times[count - 1].as_millis()
        );
    }
    Ok(())
}

fn ratio(count: usize, of: usize) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    {
        count as f64 / of.max(1) as f64
    }
}
