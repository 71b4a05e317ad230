//! A template's change over its instances: how many at a time, in which order, and when it stops.

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use serde_json::{Value, json};

use crate::support::{SOON, Scene, holds, is_ready, list, says};

fn image(tag: &str) -> Value {
    json!({"spec": {"runtime": {"image": format!("ghcr.io/acme/agent:{tag}")}}})
}

fn runs(object: &DynamicObject, tag: &str) -> bool {
    object.data["status"]["image"]["requested"] == format!("ghcr.io/acme/agent:{tag}")
}

/// When the newest configuration of an instance was begun.
fn begun(object: &DynamicObject) -> Timestamp {
    let ledger = list(&object.data["status"]["external"]);
    let entry = ledger.iter().find(|entry| entry["slot"] == "configuration");
    let at = entry.and_then(|entry| entry["startedAt"].as_str());
    at.and_then(|at| at.parse().ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn never_more_than_max_unavailable_and_in_the_order_of_the_objects() {
    let scene = Scene::new("rollout").await;
    let names = ["a", "b", "c", "d", "e", "f"];
    let instances = scene.ready(json!({}), &names).await;
    let template = scene.tenant.template("t");
    let two = json!({"spec": {"rollout": {"maxUnavailable": 2}}});
    template.patch(two).await.unwrap();

    // A watch shows every state that an object had, in the order in which they came about.
    let api = instances[0].api().await.unwrap();
    let mut states = watcher(api, Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    template.patch(image("1.5")).await.unwrap();
    let mut now: HashMap<String, DynamicObject> = HashMap::new();
    let watched = async {
        let (mut worst, mut done) = (0, false);
        while !done {
            let object = states.next().await.unwrap().unwrap();
            now.insert(object.metadata.name.clone().unwrap_or_default(), object);
            let down = now.values().filter(|object| !holds(object, "Ready"));
            worst = worst.max(down.count());
            let updated = |object: &DynamicObject| runs(object, "1.5") && holds(object, "Ready");
            done = now.len() == names.len() && now.values().all(updated);
        }
        worst
    };
    let worst = tokio::time::timeout(SOON, watched).await.unwrap();
    assert!((1..=2).contains(&worst), "{worst} were not ready at once");

    // The order follows from the objects alone: by UID. Two begin side by side, so neighbours may swap.
    let by_uid: BTreeMap<_, _> = now
        .values()
        .map(|object| (object.metadata.uid.clone(), object.metadata.name.clone()))
        .collect();
    let expected: Vec<_> = by_uid.into_values().collect();
    let mut actual: Vec<_> = now.values().collect();
    actual.sort_by_key(|object| begun(object));
    for (position, object) in actual.iter().enumerate() {
        let name = &object.metadata.name;
        let wanted = expected.iter().position(|one| one == name).unwrap();
        assert!(
            position.abs_diff(wanted) <= 1,
            "{name:?} was number {position}"
        );
    }
    says(&template, "Progressing", "True", "Current").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_image_stops_the_rollout_and_the_next_good_one_recovers_all() {
    let scene = Scene::new("stops").await;
    let instances = scene.ready(json!({}), &["a", "b", "c"]).await;
    let template = scene.tenant.template("t");
    let hasty = json!({"spec": {"rollout": {"maxUnavailable": 1, "progressDeadline": "2s"}}});
    template.patch(hasty).await.unwrap();
    template.patch(image("2-crash-on-boot")).await.unwrap();
    let message = says(&template, "Progressing", "False", "RolloutStopped").await;
    assert!(
        ["a", "b", "c"].iter().any(|name| message.contains(name)),
        "{message}"
    );

    let mut left = Vec::new();
    for instance in &instances {
        if !runs(&instance.get().await.unwrap(), "2-crash-on-boot") {
            left.push(instance);
        }
    }
    assert_eq!(
        left.len(),
        2,
        "one took the bad image, the others keep theirs"
    );
    for instance in left {
        says(instance, "TemplateSynced", "False", "RolloutStopped").await;
        let now = instance.get().await.unwrap();
        assert!(holds(&now, "Ready") && runs(&now, "1.4"));
    }

    template.patch(image("1.5")).await.unwrap();
    for instance in &instances {
        let recovered = instance.wait_until("it runs 1.5 and is ready", SOON, |object| {
            runs(object, "1.5") && holds(object, "Ready")
        });
        recovered.await.unwrap();
        is_ready(instance).await;
    }
}
