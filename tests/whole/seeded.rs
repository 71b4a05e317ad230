//! Agents that were seeded are agents: a controller that never saw them finds nothing to do, and can do everything with them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::api::ListParams;
use serde_json::json;
use world::{Options, World, condition, eventually, test_directory};

use crate::support::{SOON, Scene, holds, id, is_mutation, texts};

const AGENTS: usize = 300;

/// Pages of a listing of all of them.
const PAGES: usize = AGENTS.div_ceil(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_seeded_fleet_is_at_rest_and_lives() {
    let options = Options::new(test_directory("seeded"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--observe-interval=2s")
        .controller_arg("--lease-duration=60s")
        .controller_arg("--lease-renew-deadline=50s")
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let fast = json!({"requestsPerSecond": 50, "maxProjects": 10_000});
    let scene = Scene::within(&world, "seeded", fast).await;
    let disk = json!({"volume": {"mountPath": "/data"}});
    let env = json!({"env": [{"name": "A", "value": "1"}]});
    scene.template("t", disk, env).await;
    let begun = Instant::now();
    world.seed(&scene.tenant, "t", AGENTS).await.unwrap();
    println!("{AGENTS} agents seeded in {:?}", begun.elapsed());
    assert_eq!(scene.projects().await, AGENTS);

    // Three intervals at which everything is looked at change nothing.
    let start = scene.mark();
    let controller = world.controller().unwrap();
    controller.start().await.unwrap();
    eventually("every instance was looked at", SOON, || async {
        let passes = controller.passes().await.unwrap_or_default();
        Ok((passes >= AGENTS).then_some(()))
    })
    .await
    .unwrap();
    scene.listings(3 * PAGES).await;
    let written = world.audit().since(start.audit()).unwrap().into_iter();
    let written = written
        .filter(|one| one.is_write() && one.is_controller() && one.resource != "leases")
        .map(|one| format!("{} {} {}", one.verb, one.resource, one.name));
    assert_eq!(written.collect::<Vec<_>>(), [""; 0], "written at rest");
    let exchanges = scene.exchanges(start);
    assert!(!exchanges.iter().any(is_mutation));
    let asked: BTreeSet<&str> = exchanges.iter().map(|one| one.operation.as_str()).collect();
    let known = BTreeSet::from(["apiToken", "projects", "projectServiceUsage", "workspace"]);
    assert!(asked.is_subset(&known), "{asked:?}");
    let instances = scene.tenant.instance("any").api().await.unwrap();
    let all = instances.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(all.len(), AGENTS);
    assert!(all.iter().all(|one| holds(one, "Ready")));
    let projects: BTreeSet<String> = all.iter().map(|one| id(one, "project")).collect();
    assert_eq!(projects.len(), AGENTS, "each has a project of its own");

    // One is changed: it alone is deployed anew, with what it had.
    let changed = scene.tenant.instance("t-7");
    let before = scene.agent(&changed).await;
    let start = scene.mark();
    let own = json!({"spec": {"env": [{"name": "B", "value": "2"}]}});
    changed.patch(own).await.unwrap();
    changed
        .wait_until("it is ready with its variable", SOON, |object| {
            let now = condition(object, "Ready").is_some_and(|ready| {
                ready["observedGeneration"].as_i64() == object.metadata.generation
            });
            now && holds(object, "Ready")
                && texts(&object.data["status"]["variables"]).contains("B")
        })
        .await
        .unwrap();
    let after = scene.agent(&changed).await;
    assert_eq!(scene.mutations(start), ["environmentPatchCommit"]);
    let one_more = before["deployments"].as_u64().map(|had| had + 1);
    assert_eq!(after["deployments"].as_u64(), one_more);
    assert_eq!(
        after["variableHashes"]["GATEWAY_TOKEN"],
        before["variableHashes"]["GATEWAY_TOKEN"]
    );

    // Another one goes, with its project and its Secret.
    let gone = scene.tenant.instance("t-8");
    let project = id(&gone.get().await.unwrap(), "project");
    let start = scene.mark();
    gone.delete().await.unwrap();
    gone.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.mutations(start), ["projectDelete"]);
    let left = scene.tenant.inventory().await.unwrap();
    assert_eq!(left.kind("project").count(), AGENTS - 1);
    assert!(left.kind("project").all(|one| one.id != project));
    let secret = scene.tenant.object("Secret", "t-8-agent");
    secret.wait_gone(SOON).await.unwrap();
    controller.wait_ready(Duration::from_secs(1)).await.unwrap();
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_over_begins_with_what_somebody_changed() {
    const AGENTS: usize = 600;
    let options = Options::new(test_directory("takeover"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--lease-duration=5s")
        .controller_arg("--lease-renew-deadline=4s")
        .controller_arg("--identity=first")
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let fast = json!({"requestsPerSecond": 50, "maxProjects": 10_000});
    let scene = Scene::within(&world, "takeover", fast).await;
    scene.template("t", json!({}), json!({})).await;
    world.seed(&scene.tenant, "t", AGENTS).await.unwrap();
    let first = world.controller().unwrap();
    first.start().await.unwrap();
    first.wait_ready(SOON).await.unwrap();
    eventually("every instance was looked at", SOON, async || {
        let passes = first.passes().await.unwrap_or_default();
        Ok((passes >= AGENTS).then_some(()))
    })
    .await
    .unwrap();
    let standby = ["--identity=standby"];
    let standby = world.another_controller("standby", &standby).unwrap();
    standby.start().await.unwrap();
    standby.wait_ready(SOON).await.unwrap();

    let start = scene.mark();
    first.kill().await.unwrap();
    let changed = scene.tenant.instance("t-7");
    let own = json!({"spec": {"env": [{"name": "B", "value": "2"}]}});
    changed.patch(own).await.unwrap();
    let deployed = eventually("it is deployed", SOON, async || {
        let exchanges = scene.exchanges(start);
        let commit = exchanges.iter().find(|one| is_mutation(one));
        Ok(commit.and_then(|one| one.at))
    });
    let deployed = deployed.await.unwrap();
    // The first thing that is done with any agent is done with that one.
    let read = world.audit().since(start.audit()).unwrap().into_iter();
    let read = read.filter(|one| {
        one.verb == "get"
            && one.resource == "secrets"
            && one.is_controller()
            && one.at < Some(deployed)
    });
    let read: BTreeSet<String> = read
        .map(|one| one.name)
        .filter(|one| one.starts_with("t-"))
        .collect();
    assert!(read.contains("t-7-agent"), "{read:?}");
    assert!(
        read.len() < AGENTS / 4,
        "{} were looked at before",
        read.len()
    );
    standby.stop().await.unwrap();
    world.stop().await.unwrap();
}
