//! Two processes of one installation: never both at work, also when one of them sleeps through the loss of its lease.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use world::{
    Exchange, Options, SYSTEM_NAMESPACE, Signal, Tenant, World, condition, eventually,
    test_directory,
};

use super::life::{CREATES, DEADLINE, landed};

const AGENTS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_controllers_one_works_and_one_that_slept_ends() {
    let options = Options::new(test_directory("crash-rivals"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        // A start takes long enough to put the leader to sleep in the middle of many.
        .set("railway.deployTime", "300ms")
        .controller_arg("--observe-interval=500ms")
        .controller_arg("--request-timeout=4s")
        .controller_arg("--settle=500ms")
        .controller_arg("--lease-duration=5s")
        .controller_arg("--lease-renew-deadline=4s")
        .controller_arg("--identity=first");
    let world = World::start(options).await.unwrap();
    let result = rivals(&world).await;
    world.stop().await.unwrap();
    result.unwrap();
}

async fn rivals(world: &World) -> Result<()> {
    let rival = world.another_controller("rival", &["--identity=rival"])?;
    rival.start().await?;
    let tenant = world.tenant("rivals").await?;
    tenant
        .provider_account()
        .wait_condition("Ready", "True", DEADLINE)
        .await?;

    // Side by side, undisturbed.
    come_up(&tenant, "calm").await?;
    all_up(&tenant, "calm").await?;
    all_go(&tenant, "calm").await?;
    once_each(world, &tenant, AGENTS, 0)?;

    // The leader falls asleep in the middle of its work; the other one ends it.
    let sleeper = match leader(world).await?.as_str() {
        "first" => world.controller()?,
        _ => &rival,
    };
    let pid = sleeper.pid().context("the leader runs")?;
    come_up(&tenant, "asleep").await?;
    tenant
        .wait_inventory("some have begun", DEADLINE, |inventory| {
            inventory.kind("project").count() >= AGENTS / 2
        })
        .await?;
    sleeper.signal(Signal::SIGSTOP)?;
    all_up(&tenant, "asleep")
        .await
        .context("after the other one took over")?;
    let awake = world.journal().mark()?;
    let changes = changes(&tenant.exchanges(awake)?);
    ensure!(changes == 0, "nothing is due any more: {changes}");
    sleeper.signal(Signal::SIGCONT)?;
    // It notices by itself, and its place is filled by a process that stands by.
    let ended = async || Ok(sleeper.pid().is_none_or(|now| now != pid).then_some(()));
    eventually("the one that slept has ended", DEADLINE, ended).await?;
    all_go(&tenant, "asleep").await?;
    let late = tenant.exchanges(awake)?;
    // What had passed the check of the lease and not reached the socket goes out on waking: no provider fences it. It is
    // one request of an agent at most, its answer is recorded nowhere, and what it made was found and taken back above.
    let woken: Vec<_> = late
        .iter()
        .filter(|exchange| CREATES.iter().any(|(name, _)| exchange.operation == *name))
        .collect();
    ensure!(
        woken.len() < AGENTS
            && woken
                .iter()
                .all(|exchange| exchange.operation == "projectCreate"),
        "one that slept went on with its work: {woken:#?}"
    );
    once_each(world, &tenant, 2 * AGENTS, woken.len())?;
    rival.stop().await?;
    Ok(())
}

async fn leader(world: &World) -> Result<String> {
    let lease = world.object("Lease", Some(SYSTEM_NAMESPACE), "yardmaster");
    let lease = lease.get().await?;
    let holder = lease.data["spec"]["holderIdentity"].as_str();
    Ok(holder.context("nobody leads")?.to_owned())
}

/// Creations and deletions: neither more nor fewer than there are agents, whoever made them. One that was on its way
/// when its sender fell asleep was answered to nobody, and is looked up.
fn once_each(world: &World, tenant: &Tenant<'_>, agents: usize, woken: usize) -> Result<()> {
    let exchanges = tenant.exchanges(world::Mark::default())?;
    for (operation, _) in CREATES.iter().filter(|(_, kind)| *kind != "volume") {
        let surplus = if *operation == "projectCreate" {
            woken
        } else {
            0
        };
        let made = exchanges
            .iter()
            .filter(|exchange| exchange.operation == *operation && landed(exchange))
            .count();
        ensure!(
            made == agents + surplus,
            "{operation} was done {made} times for {agents} agents; journal: {}",
            world.journal().path().display()
        );
    }
    Ok(())
}

fn changes(exchanges: &[Exchange]) -> usize {
    let reads = ["project", "projects", "GET /pool/health"];
    let changing = exchanges
        .iter()
        .filter(|exchange| !reads.contains(&exchange.operation.as_str()));
    changing.count()
}

async fn come_up(tenant: &Tenant<'_>, name: &str) -> Result<()> {
    let mut manifests = format!(
        "apiVersion: yardmaster.dev/v1alpha1
kind: AgentTemplate
metadata: {{name: {name}}}
spec:
  runtime: {{image: 'ghcr.io/acme/{name}:1', port: 8080}}
"
    );
    for number in 0..AGENTS {
        manifests.push_str(&format!(
            "---
apiVersion: yardmaster.dev/v1alpha1
kind: AgentInstance
metadata: {{name: {name}-{number}}}
spec:
  templateRef: {{name: {name}}}
  accountRef: {{name: {}}}
",
            tenant.account()
        ));
    }
    tenant.apply(&manifests).await?;
    Ok(())
}

async fn all_up(tenant: &Tenant<'_>, name: &str) -> Result<()> {
    let ready = (0..AGENTS).map(|number| async move {
        let instance = tenant.instance(&format!("{name}-{number}"));
        let at_rest = |object: &kube::api::DynamicObject| {
            let is = |kind: &str, wanted| {
                condition(object, kind).is_some_and(|found| found["status"] == wanted)
            };
            is("Ready", "True") && !is("Reconciling", "True")
        };
        instance
            .wait_until("it is ready and at rest", DEADLINE, at_rest)
            .await
    });
    try_join_all(ready).await?;
    let inventory = tenant.inventory().await?;
    for kind in ["project", "service", "domain", "deployment"] {
        let there = inventory.kind(kind).count();
        ensure!(
            there == AGENTS,
            "{there} of kind {kind} for {AGENTS} agents"
        );
    }
    Ok(())
}

async fn all_go(tenant: &Tenant<'_>, name: &str) -> Result<()> {
    let gone = (0..AGENTS).map(|number| async move {
        let instance = tenant.instance(&format!("{name}-{number}"));
        instance.delete().await?;
        instance.wait_gone(Duration::from_secs(40)).await
    });
    try_join_all(gone).await?;
    let left = tenant.inventory().await?;
    ensure!(left.is_empty(), "the objects are gone, but not {left:#?}");
    Ok(())
}
