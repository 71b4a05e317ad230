//! What people own and what we remember, lost: a project under an agent with tools, the ledger, a volume's attachment, a
//! number; copies made by hand; deletions right after the making.
//!
//! Holds: at the end of each there is one of everything, the same that there was, or a person is told.

use kube::api::{Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use world::{Object, eventually};

use crate::support::{SOON, Scene, holds, id, is_ready, list, says};
use crate::sweep::plant;
use crate::toolset::{EVERYTHING, counts, equipped, expected};

/// What the ledger says exists: slots and ids.
fn ledger(object: &kube::api::DynamicObject) -> BTreeMap<String, String> {
    let entries = list(&object.data["status"]["external"]);
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let kept = entries
        .iter()
        .filter(|entry| entry["slot"] != "configuration");
    kept.map(|entry| (text(entry, "slot"), text(entry, "id")))
        .collect()
}

fn tools(ledger: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let own = ledger.iter().filter(|(slot, _)| slot.starts_with("tool/"));
    own.map(|(slot, id)| (slot.clone(), id.clone())).collect()
}

async fn project_goes(scene: &Scene<'_>, project: &str) {
    let path = format!("/railway/projects/{project}/delete");
    scene.by_hand(Method::POST, &path, Value::Null).await;
}

async fn lose(instance: &Object<'_>, status: Value) {
    let api = instance.api().await.unwrap();
    let patch = Patch::Merge(json!({"status": status}));
    let params = PatchParams::default();
    api.patch_status(instance.name(), &params, &patch)
        .await
        .unwrap();
}

async fn tells(instance: &Object<'_>, reason: &str, about: &str) {
    eventually("an event tells it", SOON, async || {
        let events = instance.events().await?;
        let told = events
            .iter()
            .any(|event| event.contains(reason) && event.contains(about));
        Ok(told.then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_deleted_leaves_the_agent_its_tools() {
    let scene = equipped("losesproject", |_| {}).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let before = ledger(&is_ready(&instance).await);
    let hashes = scene.agent(&instance).await["variableHashes"].clone();
    scene.listings(2).await;
    project_goes(&scene, &before["project"]).await;
    let new = instance.wait_until("it is ready in another project", SOON, |object| {
        let new = id(object, "project");
        !new.is_empty() && new != before["project"] && holds(object, "Ready")
    });
    let after = ledger(&new.await.unwrap());
    assert_eq!(tools(&after), tools(&before));
    assert_eq!(counts(&scene).await, expected(EVERYTHING));
    let again = scene.agent(&instance).await["variableHashes"].clone();
    for name in [
        "OPENROUTER_API_KEY",
        "BANKR_API_KEY",
        "TELNYX_PHONE_NUMBER",
        "WALLET_ADDRESS",
    ] {
        assert_eq!(again[name], hashes[name], "{name}");
    }
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(counts(&scene).await, expected(&[("bankr/wallet", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_lost_is_found_again_with_everything_in_it() {
    let scene = equipped("losesledger", |_| {}).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let ready = is_ready(&instance).await;
    let (before, url) = (ledger(&ready), ready.data["status"]["url"].clone());
    scene.listings(2).await;
    let whole = json!({
        "external": [], "conditions": [], "tools": [], "variables": [], "timings": null, "url": null,
        "deployment": null, "templateRevision": null, "image": null, "observedGeneration": null,
    });
    for lost in [json!({"external": []}), whole] {
        let mark = scene.mark();
        lose(&instance, lost).await;
        let found = instance.wait_until("everything is on record again", SOON, |object| {
            ledger(object) == before && holds(object, "Ready") && holds(object, "Synced")
        });
        let found = found.await.unwrap();
        assert_eq!(found.data["status"]["url"], url);
        assert_eq!(counts(&scene).await, expected(EVERYTHING));
        let made = scene.mutations(mark);
        // It may be deployed once more: what was applied is not known any more. Nothing is made or deleted.
        let again = ["environmentPatchCommit", "serviceInstanceDeployV2"];
        assert!(
            made.iter().all(|one| again.contains(&one.as_str())),
            "{made:?}"
        );
        tells(&instance, "LedgerLost", &before["project"]).await;
    }
    // Lost for a last time, while it goes.
    lose(&instance, json!({"external": []})).await;
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(counts(&scene).await, expected(&[("bankr/wallet", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_by_hand_is_left_alone_and_told_where_it_bears_the_name_as_well() {
    let scene = Scene::new("copies").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let ready = is_ready(&instance).await;
    let project = id(&ready, "project");
    let listed = scene.tenant.inventory().await.unwrap();
    let own = listed
        .kind("project")
        .find(|one| one.id == project)
        .unwrap();
    let description = own.description.clone().unwrap();
    let copy = plant(&scene, "my-copy", &description).await;
    scene.listings(2).await;
    let mark = scene.mark();
    // The ledger goes as well: the copy is not taken for what was lost.
    lose(&instance, json!({"external": []})).await;
    let found = instance.wait_until("the project is on record again", SOON, |object| {
        id(object, "project") == project && holds(object, "Ready") && holds(object, "Synced")
    });
    found.await.unwrap();
    assert_eq!(scene.projects().await, 2);
    assert!(!scene.mutations(mark).contains(&"projectDelete".to_owned()));
    // With our name, and nothing in it: a request of ours that came late.
    let late = plant(&scene, &own.name, &description).await;
    eventually("what is empty is taken back", SOON, async || {
        Ok((scene.projects().await == 2).then_some(()))
    })
    .await
    .unwrap();
    let inventory = scene.tenant.inventory().await.unwrap();
    let left: Vec<&str> = inventory
        .kind("project")
        .map(|one| one.id.as_str())
        .collect();
    assert!(
        left.contains(&project.as_str()) && left.contains(&copy.as_str()),
        "{left:?}"
    );
    assert!(!left.contains(&late.as_str()), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_was_detached_or_moved_is_mounted_again_before_anything_is_deployed() {
    let scene = Scene::new("detached").await;
    let volume = json!({"volume": {"mountPath": "/data"}});
    let instance = scene.ready(volume, &["a"]).await.remove(0);
    let ready = is_ready(&instance).await;
    let (service, volume) = (id(&ready, "service"), id(&ready, "volume"));
    scene.listings(2).await;
    for mount in [Value::Null, json!({"mountPath": "/other"})] {
        let before = scene.deployments(&instance).await;
        let mark = scene.mark();
        let path = format!("/railway/services/{service}/config");
        let patch = json!({"patch": {"volumeMounts": {&volume: mount}}, "deploys": false});
        scene.by_hand(Method::PUT, &path, patch).await;
        eventually("it is mounted and deployed again", SOON, async || {
            let mended =
                scene.mutations(mark) == ["volumeInstanceUpdate", "environmentPatchCommit"];
            Ok((mended && scene.deployments(&instance).await == before + 1).then_some(()))
        })
        .await
        .unwrap();
        instance
            .wait_until("it is ready", SOON, |object| {
                holds(object, "Ready") && holds(object, "Synced")
            })
            .await
            .unwrap();
        assert_eq!(scene.agent(&instance).await["volume"], true);
        scene.listings(2).await;
    }
    tells(&instance, "Drifted", "the volume was").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_released_goes_also_where_the_answer_was_lost() {
    let scene = equipped("released", |tools| {
        tools.retain(|tool| tool["name"] == "phone");
        for tool in tools {
            tool["when"] = json!("OnDemand");
        }
    })
    .await;
    // The answer to a release is lost, of a number that is asked for no more.
    let instance = scene
        .instance("a", "t", json!({"requestedTools": ["phone"]}))
        .await;
    is_ready(&instance).await;
    let fault = json!({
        "provider": "telnyx", "operation": "DELETE /v2/phone_numbers/{id}", "nth": 1, "times": 1, "effect": "truncated",
    });
    let fault = scene.tenant.post_fault(fault).await.unwrap();
    instance
        .patch(json!({"spec": {"requestedTools": []}}))
        .await
        .unwrap();
    let gone = instance.wait_until("the number is off the ledger", SOON, |object| {
        id(object, "tool/phone").is_empty() && holds(object, "Ready")
    });
    gone.await.unwrap();
    scene.end_fault(&fault).await;
    // It was released by hand, and then its agent is deleted.
    let other = scene
        .instance("b", "t", json!({"requestedTools": ["phone"]}))
        .await;
    let number = id(&is_ready(&other).await, "tool/phone");
    scene.listings(2).await;
    let path = format!("/telnyx/numbers/{number}/delete");
    scene.by_hand(Method::POST, &path, Value::Null).await;
    says(&other, "ToolsReady", "False", "DeletedExternally").await;
    other.delete().await.unwrap();
    other.wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_deleted_right_after_it_was_made_is_noticed() {
    let scene = Scene::new("toosoon").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let old = id(&is_ready(&instance).await, "project");
    project_goes(&scene, &old).await;
    let new = instance.wait_until("it is ready in another project", SOON, |object| {
        let new = id(object, "project");
        !new.is_empty() && new != old && holds(object, "Ready")
    });
    new.await.unwrap();
    tells(&instance, "DeletedExternally", "anew").await;
}
