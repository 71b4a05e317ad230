//! Suspended: nothing runs and nothing is lost; Running again: what is wanted by then, in one deployment.

use serde_json::{Value, json};
use world::{Object, eventually};

use crate::support::{SOON, Scene, holds, id, is_ready, says};
use crate::toolset::equipped;

async fn set_mode(instance: &Object<'_>, mode: &str) {
    let change = json!({"spec": {"operatingMode": mode}});
    instance.patch(change).await.unwrap();
}

async fn running(scene: &Scene<'_>) -> usize {
    let inventory = scene.tenant.inventory().await.unwrap();
    inventory.kind("deployment").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_agent_costs_less_keeps_its_disk_and_comes_back() {
    let scene = Scene::new("suspend").await;
    let volume = json!({"volume": {"mountPath": "/data"}});
    let instance = scene.ready(volume, &["a"]).await.remove(0);
    let before = instance.get().await.unwrap();
    let cost = scene.tenant.inventory().await.unwrap().monthly_usd();

    set_mode(&instance, "Suspended").await;
    says(&instance, "Suspended", "True", "Suspended").await;
    says(&instance, "Ready", "False", "Suspended").await;
    eventually("nothing runs", SOON, async || {
        Ok((running(&scene).await == 0).then_some(()))
    })
    .await
    .unwrap();
    let inventory = scene.tenant.inventory().await.unwrap();
    assert!(inventory.monthly_usd() < cost);
    for kind in ["project", "service", "volume", "domain"] {
        assert_eq!(inventory.kind(kind).count(), 1, "{kind}");
    }

    // A change meanwhile waits for the agent to run again: one deployment has both.
    let mark = scene.mark();
    let newer = json!({"spec": {"runtime": {"image": "ghcr.io/acme/agent:1.5"}}});
    scene.tenant.template("t").patch(newer).await.unwrap();
    says(&instance, "TemplateSynced", "False", "Outdated").await;
    scene.listings(1).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    set_mode(&instance, "Running").await;
    let back = is_ready(&instance).await;
    assert_eq!(
        back.data["status"]["image"]["requested"],
        "ghcr.io/acme/agent:1.5"
    );
    scene.listings(1).await;
    assert_eq!(scene.mutations(mark), ["environmentPatchCommit"]);
    assert_eq!(scene.deployments(&instance).await, 2);
    for slot in ["project", "service", "volume", "domain"] {
        assert_eq!(id(&back, slot), id(&before, slot), "{slot}");
    }
    says(&instance, "Suspended", "False", "Running").await;

    // Without a change what was stopped is deployed again.
    set_mode(&instance, "Suspended").await;
    says(&instance, "Suspended", "True", "Suspended").await;
    set_mode(&instance, "Running").await;
    is_ready(&instance).await;
    assert_eq!(running(&scene).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_from_birth_nothing_is_made() {
    let scene = Scene::new("unborn").await;
    scene.template("t", json!({}), json!({})).await;
    let suspended = json!({"operatingMode": "Suspended"});
    let instance = scene.instance("a", "t", suspended.clone()).await;
    says(&instance, "Suspended", "True", "Suspended").await;
    scene.listings(1).await;
    assert_eq!(scene.mutations(scene.start()), [""; 0]);
    set_mode(&instance, "Running").await;
    is_ready(&instance).await;
    assert_eq!(scene.mutations(scene.start()).len(), 4);

    let other = scene.instance("b", "t", suspended).await;
    says(&other, "Suspended", "True", "Suspended").await;
    other.delete().await.unwrap();
    other.wait_gone(SOON).await.unwrap();
    assert!(holds(&instance.get().await.unwrap(), "Ready"));
    assert_eq!(scene.projects().await, 1);
    let none = scene
        .by_hand(reqwest::Method::GET, "/refused", Value::Null)
        .await;
    assert!(!none.to_string().contains("railway"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_disabled_while_its_agent_is_suspended() {
    let scene = equipped("suspendkey", |tools| {
        tools.retain(|tool| tool["name"] == "llm" || tool["name"] == "phone");
    })
    .await;
    let instance = scene.instance("a", "t", json!({})).await;
    let before = is_ready(&instance).await;
    let disabled = async || {
        let path = format!("/openrouter/keys/{}", id(&before, "tool/llm"));
        scene
            .by_hand(reqwest::Method::GET, &path, Value::Null)
            .await["disabled"]
            == true
    };
    assert!(!disabled().await);
    for suspended in [true, false, true] {
        set_mode(&instance, if suspended { "Suspended" } else { "Running" }).await;
        if suspended {
            let told = says(&instance, "Suspended", "True", "Suspended").await;
            assert!(
                told.contains("tool/phone (") && !told.contains("tool/llm"),
                "{told}"
            );
        } else {
            is_ready(&instance).await;
        }
        eventually("the key is as its agent", SOON, async || {
            Ok((disabled().await == suspended).then_some(()))
        })
        .await
        .unwrap();
    }
    let now = instance.get().await.unwrap();
    for slot in ["project", "tool/llm", "tool/phone"] {
        assert_eq!(id(&now, slot), id(&before, slot), "{slot}");
    }
}
