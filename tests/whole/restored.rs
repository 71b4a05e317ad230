//! Objects that come back from a backup, under new UIDs: they wait for a word, go on with what they had, or begin anew.

use std::collections::BTreeSet;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use world::{Object, SYSTEM_NAMESPACE, condition};

use crate::support::{SOON, Scene, id, is_ready, manifest, says};

const IDENTITY: &str = "yardmaster.dev/identity";

/// The object goes without a word to anybody, as when a cluster is lost, and comes back as a backup tool brings it: with its
/// annotations, under another UID, with its status or without.
pub async fn reborn(scene: &Scene<'_>, instance: &Object<'_>, status: bool, identity: bool) {
    let saved = instance.get().await.unwrap();
    let name = format!("{}-agent", instance.name());
    let secret = scene.tenant.object("Secret", &name);
    let kept = secret.get().await.unwrap();
    let none: [&str; 0] = [];
    instance
        .patch(json!({"metadata": {"finalizers": none}}))
        .await
        .unwrap();
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    secret.delete().await.unwrap();
    secret.wait_gone(SOON).await.unwrap();
    scene
        .apply(json!({"apiVersion": "v1", "kind": "Secret", "type": kept.data["type"], "data": kept.data["data"],
            "metadata": {"name": name, "labels": kept.labels(), "annotations": kept.annotations()}}))
        .await;
    let mut again = manifest("AgentInstance", instance.name(), saved.data["spec"].clone());
    if identity {
        again["metadata"]["annotations"] = json!(saved.annotations());
    }
    scene.apply(again).await;
    if status {
        let status = Patch::Merge(json!({"status": saved.data["status"]}));
        let api = instance.api().await.unwrap();
        // The controller may write it at the same time.
        api.patch_status(instance.name(), &PatchParams::default(), &status)
            .await
            .unwrap();
        let look = json!({"metadata": {"annotations": {"look": "again"}}});
        instance.patch(look).await.unwrap();
    }
}

fn uid(object: &DynamicObject) -> String {
    object.uid().unwrap()
}

/// Does what the account's condition asks its owner to do.
pub async fn say_the_word(account: &Object<'_>) -> String {
    let asks = says(account, "ObjectsRestored", "True", "RestoredElsewhere").await;
    let word = asks.split("acknowledge=").nth(1).unwrap();
    let word = word.split(". ").next().unwrap().to_owned();
    let said = json!({"metadata": {"annotations": {"yardmaster.dev/acknowledge": word}}});
    account.patch(said).await.unwrap();
    word
}

async fn tells_no_longer(account: &Object<'_>) {
    let told = |object: &DynamicObject| condition(object, "ObjectsRestored").is_none();
    account
        .wait_until("no restored objects are told of", SOON, told)
        .await
        .unwrap();
}

async fn projects_of(scene: &Scene<'_>) -> Vec<String> {
    let inventory = scene.tenant.inventory().await.unwrap();
    let projects = inventory.kind("project");
    projects.map(|one| one.id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_agent_waits_for_a_word_and_goes_on_with_what_it_had() {
    let scene = Scene::new("restored").await;
    let instance = scene
        .ready(json!({"volume": {"mountPath": "/data"}}), &["a"])
        .await
        .remove(0);
    let account = scene.tenant.provider_account();
    let before = instance.get().await.unwrap();
    assert_eq!(before.annotations().get(IDENTITY), Some(&uid(&before)));
    let project = id(&before, "project");
    let token = async || {
        let secret = scene
            .world
            .secret(scene.tenant.namespace(), "a-agent")
            .await;
        secret.unwrap()["GATEWAY_TOKEN"].clone()
    };
    let old_token = token().await;
    let mut words = Vec::new();
    for status in STATUS {
        let mark = scene.mark();
        reborn(&scene, &instance, status, true).await;
        let asks = says(&instance, "Stalled", "True", "RestoredElsewhere").await;
        let command = format!("kubectl annotate provideraccount {}", account.name());
        assert!(
            asks.contains(&command) && asks.contains("acknowledge=RestoredElsewhere@"),
            "{asks}"
        );
        assert_eq!(
            says(&instance, "Ready", "False", "RestoredElsewhere").await,
            asks
        );
        scene.listings(2).await;
        assert_eq!(scene.mutations(mark), [""; 0]);

        words.push(say_the_word(&account).await);
        let own = uid(&instance.get().await.unwrap());
        let goes_on = |object: &DynamicObject| {
            object.data["status"]["restored"]["takenOverBy"] == own.as_str()
                && condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
        };
        let after = instance
            .wait_until("it goes on", SOON, goes_on)
            .await
            .unwrap();
        assert_eq!(id(&after, "project"), project);
        assert_eq!(after.annotations().get(IDENTITY), Some(&uid(&before)));
        assert_eq!(token().await, old_token);
        let secret = scene
            .tenant
            .object("Secret", "a-agent")
            .get()
            .await
            .unwrap();
        assert_eq!(secret.owner_references()[0].uid, own);
        tells_no_longer(&account).await;
        // What was applied only the status knew: without it the configuration is applied once more.
        let again: &[&str] = if status {
            &[]
        } else {
            &["environmentPatchCommit"]
        };
        assert_eq!(scene.mutations(mark), again);
        assert_eq!(projects_of(&scene).await, std::slice::from_ref(&project));
    }
    // One word is of one occurrence.
    words.dedup();
    assert_eq!(words.len(), STATUS.len(), "{words:?}");
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 0);
}

/// Whether the backup has the status.
const STATUS: [bool; 2] = [true, false];

/// What is recorded as left behind by an instance.
async fn records(scene: &Scene<'_>, name: &str) -> Vec<String> {
    let maps = scene
        .world
        .cluster()
        .api("ConfigMap", Some(SYSTEM_NAMESPACE));
    let all = maps.await.unwrap().list(&ListParams::default()).await;
    let whose = format!("{}/{name}", scene.tenant.namespace());
    let all = all.unwrap().items.into_iter();
    all.filter(|map| map.data["data"]["instance"] == whose.as_str())
        .map(|map| map.data["data"].to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_agent_that_is_deleted_leaves_what_it_named_and_a_record() {
    let scene = Scene::new("revoked").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let account = scene.tenant.provider_account();
    let project = id(&instance.get().await.unwrap(), "project");
    let mark = scene.mark();
    reborn(&scene, &instance, false, true).await;
    says(&instance, "Stalled", "True", "RestoredElsewhere").await;
    let wants = json!({"spec": {"sweep": {"mode": "Delete", "gracePeriod": "1s"}}});
    account.patch(wants).await.unwrap();
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    let left = |object: &DynamicObject| object.data["status"]["sweep"]["leftBehind"] == 1;
    account
        .wait_until("it is told as left behind", SOON, left)
        .await
        .unwrap();
    assert_eq!(records(&scene, "a").await.len(), 1);
    tells_no_longer(&account).await;
    scene.listings(3).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    assert_eq!(projects_of(&scene).await, [project]);
    // It holds nobody of that name.
    let secret = scene.tenant.object("Secret", "a-agent");
    secret.delete().await.unwrap();
    let anew = scene.instance("a", "t", json!({})).await;
    is_ready(&anew).await;
    assert_eq!(scene.projects().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_without_an_identity_is_held_and_may_begin_anew() {
    let scene = Scene::new("anew").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let account = scene.tenant.provider_account();
    let old = id(&instance.get().await.unwrap(), "project");
    // Without an identity it is known by what the last listing shows.
    scene.listings(1).await;
    let mark = scene.mark();
    reborn(&scene, &instance, false, false).await;
    let asks = says(&instance, "Stalled", "True", "RestoredElsewhere").await;
    // The sweep takes nothing back that it may want.
    let wants = json!({"spec": {"sweep": {"mode": "Delete", "gracePeriod": "1s"}}});
    account.patch(wants).await.unwrap();
    scene.listings(3).await;
    assert_eq!(scene.mutations(mark), [""; 0]);

    let own = uid(&instance.get().await.unwrap());
    let command = format!("{IDENTITY}={own}");
    assert!(asks.contains(&command), "{asks}");
    let secret = scene.tenant.object("Secret", "a-agent");
    secret.delete().await.unwrap();
    let anew = json!({"metadata": {"annotations": {IDENTITY: own}}});
    instance.patch(anew).await.unwrap();
    let new = id(&is_ready(&instance).await, "project");
    assert_ne!(new, old);
    // What the old one had stays where it is, as was said.
    let left = |object: &DynamicObject| object.data["status"]["sweep"]["leftBehind"] == 1;
    account
        .wait_until("the old project is told as left behind", SOON, left)
        .await
        .unwrap();
    scene.listings(3).await;
    let there = BTreeSet::from_iter(projects_of(&scene).await);
    assert_eq!(there, BTreeSet::from([old, new]));
    tells_no_longer(&account).await;
    is_ready(&instance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_anything_by_stating_anothers_identity() {
    let scene = Scene::new("thief").await;
    let victim = scene.ready(json!({}), &["victim"]).await.remove(0);
    let thief = scene.instance("thief", "t", json!({})).await;
    is_ready(&thief).await;
    let own = uid(&thief.get().await.unwrap());
    let mark = scene.mark();
    let state = async |identity: Value| {
        let stated = json!({"metadata": {"annotations": {IDENTITY: identity}}});
        thief.patch(stated).await.unwrap();
    };
    state(json!(uid(&victim.get().await.unwrap()))).await;
    says(&thief, "Stalled", "True", "IdentityTaken").await;
    let account = scene.tenant.provider_account();
    assert!(condition(&account.get().await.unwrap(), "ObjectsRestored").is_none());
    scene.listings(2).await;
    is_ready(&victim).await;
    // Set right, it goes on as if nothing had been.
    state(json!(own)).await;
    is_ready(&thief).await;
    state(json!("of nobody")).await;
    says(&thief, "Stalled", "True", "IdentityUnclear").await;
    state(json!(own)).await;
    is_ready(&thief).await;
    let unknown = "6b1c0f2e-8a4d-4a8e-9a52-0d5b6f1a2c3d";
    state(json!(unknown)).await;
    says(&thief, "Stalled", "True", "RestoredElsewhere").await;
    state(json!(own)).await;
    let project = id(&is_ready(&thief).await, "project");
    // What it leaves behind is what that one may have had, and nothing of its own.
    let records = records(&scene, "thief").await;
    assert!(
        records.iter().any(|one| one.contains(unknown)),
        "{records:?}"
    );
    assert!(
        !records.iter().any(|one| one.contains(&project)),
        "{records:?}"
    );
    assert_eq!(scene.mutations(mark), [""; 0]);
    assert_eq!(scene.projects().await, 2);
}
