//! At rest: two hundred agents cost a listing an interval, and nothing else; a restart changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use world::{Exchange, Mark, Options, World, test_directory};

use crate::support::{SOON, Scene, is_mutation, is_ready};

const PATIENCE: Duration = Duration::from_secs(600);

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
    // Who the credential says we are is asked once, the count once where a listing is the first, and what projects cost once.
    let known = BTreeSet::from(["apiToken", "projects", "projectServiceUsage", "workspace"]);
    assert!(operations.is_subset(&known), "{operations:?}");
    assert!(!exchanges.iter().any(is_mutation));
    let of = |operation: &str| {
        exchanges
            .iter()
            .filter(|one| one.operation == operation)
            .count()
    };
    let pages: usize = scenes.iter().map(|(_, agents)| agents.div_ceil(50)).sum();
    assert_eq!(of("projectServiceUsage"), pages);
    assert!(of("apiToken") + of("workspace") <= 2 * scenes.len());
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

/// What the controller has read of an instance and what belongs to it, in order.
fn reads(scene: &Scene<'_>, since: Mark) -> Vec<String> {
    let namespace = scene.tenant.namespace();
    let all = scene.world.audit().since(since).unwrap().into_iter();
    let own = all.filter(|one| {
        let near = one.namespace == namespace || one.name == namespace;
        one.verb == "get" && one.stage == "ResponseComplete" && one.is_controller() && near
    });
    own.map(|one| one.resource).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_at_rest_reads_the_object_and_its_secret() {
    // Whatever is referred to is looked at once an interval by itself, which is not what is counted here.
    let options = Options::new(test_directory("reads"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--observe-interval=20s")
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "reads", Value::Null).await;
    let (namespace, account) = (scene.tenant.namespace(), scene.tenant.provider_account());
    let label = |team: Value| json!({"metadata": {"labels": {"team": team}}});
    let home = world.object("Namespace", None, namespace);
    home.patch(label(json!("blue"))).await.unwrap();
    let selector = json!({"matchNames": null, "selector": {"matchLabels": {"team": "blue"}}});
    let selector = json!({"spec": {"allowedNamespaces": selector}});
    account.patch(selector).await.unwrap();
    scene.secret("keys", json!({"api": "k-1"})).await;
    scene.config_map("texts", json!({"greeting": "hi"})).await;
    let from = |kind: &str, name: &str, key: &str| json!({kind: {"name": name, "key": key}});
    let key = json!({"name": "API", "valueFrom": from("secretKeyRef", "keys", "api")});
    let text = json!({"name": "HI", "valueFrom": from("configMapKeyRef", "texts", "greeting")});
    scene.template("t", json!({}), json!({"env": [key]})).await;
    let agent = scene.instance("a", "t", json!({"env": [text]})).await;
    is_ready(&agent).await;

    let mut passes = Vec::new();
    for note in ["first", "second", "third"] {
        let mark = world.audit().mark().unwrap();
        let annotation = json!({"metadata": {"annotations": {"note": note}}});
        agent.patch(annotation).await.unwrap();
        let read = || async {
            let read = reads(&scene, mark);
            Ok((read.last().map(String::as_str) == Some("secrets")).then_some(read))
        };
        passes.push(world::eventually("a pass", SOON, read).await.unwrap());
    }
    // The first that finds it at rest may read what no pass has read before.
    let read = passes[1..].concat();
    let of_a_pass = ["agentinstances", "secrets"];
    let of_passes = read.chunks(2).all(|pass| pass == of_a_pass);
    assert!(of_passes, "{read:?}");

    // Nobody may use the account any more: that is noticed, although no pass reads the labels.
    home.patch(label(json!("red"))).await.unwrap();
    let mark = world.audit().mark().unwrap();
    let woken = || async {
        let read = reads(&scene, mark);
        Ok(read.iter().any(|one| one == "agentinstances").then_some(()))
    };
    world::eventually("a pass", SOON, woken).await.unwrap();
    world.stop().await.unwrap();
}
