//! The API server as tests disturb it: its faults, its sleep, and its data set back.

// So that clippy lets helpers unwrap, too.
#![cfg(test)]

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use world::{Control, Options, Signal, World, eventually, test_directory};

const SOON: Duration = Duration::from_secs(30);

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

fn config_maps(world: &World) -> Api<ConfigMap> {
    Api::namespaced(world.client().unwrap(), "default")
}

async fn create(api: &Api<ConfigMap>, name: &str) -> Result<(), kube::Error> {
    let params = PostParams::default();
    api.create(&params, &config_map(name)).await.map(drop)
}

async fn post(control: &Control, effect: Value) -> String {
    let fault = json!({"user": "yardmaster-admin", "verb": "create", "resource": "configmaps", "effect": effect});
    control.post_fault(fault).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_faults() {
    let options = Options::new(test_directory("cluster-faults")).without_chart();
    let world = World::start(options).await.unwrap();
    let control = world.cluster_control().await.unwrap();
    let api = config_maps(&world);
    let exists = async |name: &str| api.get_opt(name).await.unwrap().is_some();

    for (name, effect, code) in [
        ("conflict", json!("conflict"), 409),
        (
            "refused",
            json!({"status": 403, "reason": "Forbidden", "message": "no"}),
            403,
        ),
        ("broken", json!({"status": 500}), 500),
    ] {
        let fault = post(&control, effect).await;
        match create(&api, name).await {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, code, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert!(!exists(name).await, "{name}: nothing is applied");
        assert_eq!(control.fired(&fault).await.unwrap(), 1, "{name}");
        create(&api, name).await.expect("a fault strikes once");
    }

    let before = post(&control, json!("reset_before")).await;
    assert!(create(&api, "before").await.is_err());
    assert!(!exists("before").await);
    let after = post(&control, json!("reset_after")).await;
    assert!(create(&api, "after").await.is_err());
    assert!(exists("after").await, "applied, and the answer lost");
    let delay = post(&control, json!({"delay": 0.4})).await;
    let asked = Instant::now();
    create(&api, "late").await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(400));
    for fault in [&before, &after, &delay] {
        assert_eq!(control.fired(fault).await.unwrap(), 1);
    }

    // The second and the third, of one namespace and name alone.
    let narrow = json!({"verb": "get", "resource": "configmaps", "name": "late", "nth": 2, "times": 2, "effect": {"status": 500}});
    let narrow = control.post_fault(narrow).await.unwrap();
    let mut met = Vec::new();
    for name in ["late", "after", "late", "late", "late"] {
        met.push(api.get(name).await.is_err());
    }
    assert_eq!(met, [false, false, true, true, false]);
    control.remove_fault(&narrow).await.unwrap();
    assert!(control.remove_fault(&narrow).await.is_err());

    for wrong in [
        json!({}),
        json!({"effect": "explode"}),
        json!({"effect": {"status": 200}}),
        json!({"effect": "conflict", "verbs": "get"}),
    ] {
        let refused = control.post_fault(wrong.clone()).await;
        assert!(refused.is_err(), "{wrong}");
    }
    control.clear_faults().await.unwrap();
    assert!(control.faults().await.unwrap().is_empty());
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sends_nothing_in_a_gap_and_everything_after_it() {
    let options = Options::new(test_directory("cluster-gap")).without_chart();
    let world = World::start(options).await.unwrap();
    let control = world.cluster_control().await.unwrap();
    let api = config_maps(&world);
    create(&api, "one").await.unwrap();
    let version = api.get("one").await.unwrap().metadata.resource_version;
    let watch = api
        .watch(&WatchParams::default(), &version.unwrap())
        .await
        .unwrap();
    let mut names = watch
        .try_filter_map(async |event| {
            Ok(match event {
                WatchEvent::Added(map) => map.metadata.name,
                _ => None,
            })
        })
        .boxed();
    create(&api, "two").await.unwrap();
    assert_eq!(names.next().await.unwrap().unwrap(), "two");

    const GAP: Duration = Duration::from_secs(1);
    let gap = json!({"verb": "watch", "resource": "configmaps", "effect": {"watch_gap": GAP.as_secs_f64()}});
    let posted = Instant::now();
    let gap = control.post_fault(gap).await.unwrap();
    for name in ["three", "four"] {
        create(&api, name).await.unwrap();
    }
    assert_eq!(names.next().await.unwrap().unwrap(), "three");
    assert!(posted.elapsed() >= GAP, "{:?}", posted.elapsed());
    assert_eq!(names.next().await.unwrap().unwrap(), "four");
    assert!(control.fired(&gap).await.unwrap() > 0);
    create(&api, "five").await.unwrap();
    assert_eq!(names.next().await.unwrap().unwrap(), "five");
    world.stop().await.unwrap();
}

/// Asks until the API server answers: a connection may be one that ended with it.
async fn answers(client: Client) -> Api<ConfigMap> {
    let api: Api<ConfigMap> = Api::namespaced(client, "default");
    eventually("the API server answers", SOON, || async {
        Ok(api.get_opt("any").await.is_ok().then_some(()))
    })
    .await
    .unwrap();
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn its_data_can_be_set_back() {
    let options = Options::new(test_directory("cluster-copy")).without_chart();
    let world = World::start(options).await.unwrap();
    let api = config_maps(&world);
    create(&api, "kept").await.unwrap();
    let uid = api.get("kept").await.unwrap().metadata.uid;

    world.copy_cluster("then").await.unwrap();
    let api = answers(world.client().unwrap()).await;
    create(&api, "later").await.unwrap();
    let change = Patch::Merge(json!({"data": {"a": "b"}}));
    api.patch("kept", &PatchParams::default(), &change)
        .await
        .unwrap();

    assert!(world.restore_cluster("never").await.is_err());
    world.restore_cluster("then").await.unwrap();
    let api = answers(world.client().unwrap()).await;
    let kept = api.get("kept").await.unwrap();
    assert_eq!((kept.metadata.uid, kept.data), (uid, None));
    assert!(api.get_opt("later").await.unwrap().is_none());
    // What is said of it is true after both.
    let control = world.cluster_control().await.unwrap();
    assert!(control.faults().await.unwrap().is_empty());

    world.signal_cluster(Signal::SIGSTOP).await.unwrap();
    let asleep = tokio::time::timeout(Duration::from_millis(300), api.get("kept")).await;
    assert!(asleep.is_err(), "it sleeps");
    world.signal_cluster(Signal::SIGCONT).await.unwrap();
    answers(world.client().unwrap()).await;

    world.stop_cluster().await.unwrap();
    assert!(world.cluster_control().await.is_err());
    world.start_cluster().await.unwrap();
    assert!(world.start_cluster().await.is_err());
    world.stop().await.unwrap();
}
