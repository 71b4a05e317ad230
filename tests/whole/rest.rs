//! At rest: two hundred agents cost a listing an interval, and nothing else; a restart changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use world::{Exchange, Mark, Options, World, test_directory};

use crate::support::{Scene, is_mutation};

const PATIENCE: Duration = Duration::from_secs(300);

/// Agents of each account: one with more than a page of a listing, and others.
const AGENTS: [usize; 3] = [120, 40, 40];

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_agents_cost_a_listing_an_interval() {
    let options = Options::new(test_directory("rest"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--observe-interval=2s")
        .controller_arg("--lease-duration=60s")
        .controller_arg("--lease-renew-deadline=50s")
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let mut scenes = Vec::new();
    for agents in AGENTS {
        // What a second may see is not what is looked at here.
        let fast = json!({"requestsPerSecond": 50});
        let scene = Scene::within(&world, "rest", fast).await;
        scene.template("t", json!({}), json!({})).await;
        let names = (0..agents).map(|n| format!("a{n}"));
        let made = names.map(|name| scene.instance_unseen(name));
        futures::future::join_all(made).await;
        scenes.push((scene, agents));
    }
    for (scene, agents) in &scenes {
        scene
            .tenant
            .template("t")
            .wait_until("all are ready", PATIENCE, |template| {
                template.data["status"]["updatedInstances"] == *agents
            })
            .await
            .unwrap();
    }
    // What was written last is seen once more.
    for (scene, _) in &scenes {
        scene.listings(2).await;
    }

    let (journal, audit) = marks(&world);
    intervals(&scenes, 3).await;
    let (exchanges, written) = since(&world, journal, audit);
    assert_eq!(written, [""; 0], "written to Kubernetes at rest");
    let operations: BTreeSet<&str> = exchanges.iter().map(|one| one.operation.as_str()).collect();
    assert_eq!(
        operations,
        BTreeSet::from(["projects"]),
        "asked outside at rest"
    );
    for (scene, agents) in &scenes {
        let asked = exchanges
            .iter()
            .filter(|one| one.workspace.as_deref() == Some(scene.tenant.workspace()));
        // Three intervals were waited for, a fourth may have begun; each takes its pages.
        let (asked, most) = (asked.count(), 5 * agents.div_ceil(100));
        assert!(asked <= most, "{asked} requests for {agents} agents");
    }

    // Another process finds all as it is.
    let (journal, audit) = marks(&world);
    let controller = world.controller().unwrap();
    controller.stop().await.unwrap();
    controller.start().await.unwrap();
    controller.wait_ready(PATIENCE).await.unwrap();
    intervals(&scenes, 3).await;
    let (exchanges, written) = since(&world, journal, audit);
    assert_eq!(written, [""; 0], "written to Kubernetes after a restart");
    let operations: BTreeSet<&str> = exchanges.iter().map(|one| one.operation.as_str()).collect();
    // Who the credential says we are is asked once, and the count once where a listing is the first.
    let known = BTreeSet::from(["apiToken", "projects", "workspace"]);
    assert!(operations.is_subset(&known), "{operations:?}");
    assert!(!exchanges.iter().any(is_mutation));
    let unlisted = exchanges.iter().filter(|one| one.operation != "projects");
    assert!(unlisted.count() <= 2 * scenes.len());
    world.stop().await.unwrap();
}

fn marks(world: &World) -> (Mark, Mark) {
    (
        world.journal().mark().unwrap(),
        world.audit().mark().unwrap(),
    )
}

/// Waits until each account was listed so often.
async fn intervals(scenes: &[(Scene<'_>, usize)], n: usize) {
    let waits = scenes
        .iter()
        .map(|(scene, agents)| scene.listings(n * agents.div_ceil(100)));
    futures::future::join_all(waits).await;
}

/// What went outside, and what the controller wrote to Kubernetes, its Lease left out.
fn since(world: &World, journal: Mark, audit: Mark) -> (Vec<Exchange>, Vec<String>) {
    let written = world.audit().since(audit).unwrap().into_iter();
    let written = written
        .filter(|one| one.is_write() && one.is_controller() && one.resource != "leases")
        .map(|one| {
            format!(
                "{} {} {} {}",
                one.verb, one.resource, one.namespace, one.name
            )
        });
    (world.journal().since(journal).unwrap(), written.collect())
}
