//! A template's change over its instances: how many at a time, in which order, and when it stops.

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use reqwest::Method;
use serde_json::{Value, json};
use world::Object;

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

/// Breaks an agent by a change of its own: its process ends from the next deployment on.
async fn breaks_itself(scene: &Scene<'_>, instance: &Object<'_>, env: Value) {
    let domain = scene.agent(instance).await["domain"].clone();
    let path = format!("/agents/{}", domain.as_str().unwrap());
    let nature = json!({"nature": "crash-on-boot"});
    scene.by_hand(Method::PUT, &path, nature).await;
    instance.patch(json!({"spec": {"env": env}})).await.unwrap();
    says(instance, "Ready", "False", "Crashed").await;
}

async fn mended(scene: &Scene<'_>, instance: &Object<'_>) {
    let domain = scene.agent(instance).await["domain"].clone();
    let path = format!("/agents/{}", domain.as_str().unwrap());
    let good = json!({"nature": "good"});
    scene.by_hand(Method::PUT, &path, good).await;
    let env = json!([{"name": "A", "value": "mended"}]);
    instance.patch(json!({"spec": {"env": env}})).await.unwrap();
    is_ready(instance).await;
}

async fn is_updated(instance: &Object<'_>, tag: &str) {
    let what = format!("it runs {tag} and is ready");
    let updated = instance.wait_until(&what, SOON, |object| {
        runs(object, tag) && holds(object, "Ready")
    });
    updated.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_breaks_itself_stops_no_other_at_this_revision_nor_at_the_next() {
    let scene = Scene::new("itself").await;
    let instances = scene.ready(json!({}), &["a", "b", "c"]).await;
    let template = scene.tenant.template("t");
    let b = &instances[1];
    breaks_itself(&scene, b, json!([{"name": "A", "value": "broken"}])).await;
    // Its deadline of 20 minutes is waited for by nobody.
    for tag in ["1.5", "1.6"] {
        template.patch(image(tag)).await.unwrap();
        for instance in [&instances[0], &instances[2]] {
            is_updated(instance, tag).await;
        }
    }
    let message = says(&template, "RolledOut", "False", "InstancesNotReady").await;
    assert!(
        message.starts_with("2 of 3 instances") && message.ends_with("reasons of their own: b"),
        "{message}"
    );
    let now = template.get().await.unwrap();
    assert!(holds(&now, "Ready") && !holds(&now, "Stalled"), "{now:?}");

    mended(&scene, b).await;
    template
        .wait_condition("RolledOut", "True", SOON)
        .await
        .unwrap();
    let now = template.get().await.unwrap();
    assert_eq!(now.data["status"]["updatedInstances"], 3);
    let events = template.events().await.unwrap();
    let told = |reason: &str| events.iter().filter(|line| line.contains(reason)).count();
    assert!(
        told("RollingOut") >= 1 && told("RolloutStopped") == 0,
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_take_the_revision_is_passed_and_takes_it_when_it_can() {
    let scene = Scene::new("passed").await;
    let instances = scene.ready(json!({}), &["a", "b", "c"]).await;
    let (template, b) = (scene.tenant.template("t"), &instances[1]);
    // It serves nobody, so its turn is the first one; and what it refers to is not there.
    breaks_itself(&scene, b, json!([{"name": "A", "value": "broken"}])).await;
    let own = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}]);
    b.patch(json!({"spec": {"env": own}})).await.unwrap();
    says(b, "Stalled", "True", "ReferenceNotFound").await;

    template.patch(image("1.5")).await.unwrap();
    for instance in [&instances[0], &instances[2]] {
        is_updated(instance, "1.5").await;
    }
    let message = says(b, "TemplateSynced", "False", "PassedOver").await;
    assert!(message.contains("Secret own does not exist"), "{message}");
    let message = says(&template, "RolledOut", "False", "PassedOver").await;
    assert!(message.contains("until they can take it: b "), "{message}");

    scene.secret("own", json!({"k": "v"})).await;
    let taken = b.wait_until("it takes the revision", SOON, |object| runs(object, "1.5"));
    taken.await.unwrap();
    mended(&scene, b).await;
    template
        .wait_condition("RolledOut", "True", SOON)
        .await
        .unwrap();
}
