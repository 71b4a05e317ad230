//! Pause: an account, a template, an instance or the whole installation. Nothing outside is changed while it lasts, everything is
//! observed and told, and what waited is done when it ends.
//!
//! Holds: what the journal shows between "it says that it is paused" and the end of the pause is reads.

use std::time::Duration;

use serde_json::{Value, json};
use world::{Object, Options, World, condition, test_directory};

use crate::support::{Marks, SOON, Scene, holds, id, is_mutation, is_ready, list, says};
use crate::sweep::{orphan, tells, wants};
use crate::toolset::{counts, equipped};

async fn spec(account: &Object<'_>, paused: bool) {
    account
        .patch(json!({"spec": {"paused": paused}}))
        .await
        .unwrap();
}

async fn annotate(object: &Object<'_>, paused: Option<&str>) {
    let annotations = json!({"yardmaster.dev/paused": paused});
    object
        .patch(json!({"metadata": {"annotations": annotations}}))
        .await
        .unwrap();
}

/// What is so of a pause: the condition, and by what.
async fn is_paused(object: &Object<'_>, by: &str) {
    let said = says(object, "Paused", "True", "Paused").await;
    assert!(said.contains(by), "{}: {said}", object.title());
}

async fn is_over(object: &Object<'_>) {
    let over = object.wait_until("the pause is over", SOON, |one| {
        condition(one, "Paused").is_none()
    });
    over.await.unwrap();
}

async fn change(instance: &Object<'_>, value: &str) {
    let env = json!({"spec": {"env": [{"name": "GREETING", "value": value}]}});
    instance.patch(env).await.unwrap();
}

async fn is_deployed(instance: &Object<'_>) {
    let done = instance.wait_until("the change is deployed", SOON, |object| {
        list(&object.data["status"]["variables"]).contains(&json!("GREETING"))
            && holds(object, "Ready")
            && holds(object, "Synced")
    });
    done.await.unwrap();
}

/// What was asked to be changed at any provider since a mark.
fn changes(scene: &Scene<'_>, since: Marks) -> Vec<String> {
    let exchanges = scene.tenant.exchanges(since.journal()).unwrap().into_iter();
    let changes = exchanges.filter(|one| match one.provider.as_str() {
        "railway" => is_mutation(one),
        "registry" | "agents" => false,
        _ => one.method != "GET",
    });
    changes
        .map(|one| format!("{} {} {}", one.provider, one.method, one.operation))
        .collect()
}

/// Nothing is changed for a while in which the account is listed again and again.
async fn stands_still(scene: &Scene<'_>, since: Marks) {
    scene.listings(3).await;
    tokio::time::timeout(SOON, scene.listings(2)).await.unwrap();
    assert_eq!(changes(scene, since), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_account_changes_nothing_for_old_and_new_and_those_that_go() {
    let scene = Scene::new("paused").await;
    let agents = scene.ready(json!({}), &["rests", "changes", "goes"]).await;
    let account = scene.tenant.provider_account();
    spec(&account, true).await;
    is_paused(&account, "spec.paused").await;
    for agent in &agents {
        is_paused(agent, scene.tenant.account()).await;
    }
    let mark = scene.mark();
    change(&agents[1], "hi").await;
    agents[2].delete().await.unwrap();
    let late = scene.instance("late", "t", json!({})).await;
    for waits in [&agents[1], &agents[2], &late] {
        let why = says(waits, "Synced", "False", "Paused").await;
        assert!(why.contains("spec.paused"), "{why}");
    }
    stands_still(&scene, mark).await;
    // Those that run are as they were; what goes keeps everything, what is new has nothing of ours.
    let rests = agents[0].get().await.unwrap();
    assert!(holds(&rests, "Ready") && holds(&rests, "Synced"));
    assert!(holds(&agents[1].get().await.unwrap(), "Ready"));
    let goes = agents[2].get().await.unwrap();
    assert!(goes.metadata.finalizers.is_some() && !id(&goes, "project").is_empty());
    let said = condition(&goes, "Synced").unwrap()["message"].to_string();
    assert!(said.contains("deletion waits"), "{said}");
    let new = late.get().await.unwrap();
    assert!(new.metadata.finalizers.is_none() && list(&new.data["status"]["external"]).is_empty());

    spec(&account, false).await;
    is_deployed(&agents[1]).await;
    agents[2].wait_gone(SOON).await.unwrap();
    is_ready(&late).await;
    for object in [&account, &agents[0], &agents[1], &late] {
        is_over(object).await;
    }
    assert_eq!(scene.projects().await, 3);
    assert_eq!(scene.deployments(&agents[1]).await, 2);
    assert_eq!(scene.deployments(&late).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_instance_waits_alone() {
    let scene = Scene::new("pausedone").await;
    let agents = scene.ready(json!({}), &["a", "b"]).await;
    annotate(&agents[0], Some("true")).await;
    is_paused(&agents[0], "annotation yardmaster.dev/paused").await;
    change(&agents[0], "hi").await;
    change(&agents[1], "hi").await;
    is_deployed(&agents[1]).await;
    says(&agents[0], "Synced", "False", "Paused").await;
    assert_eq!(scene.deployments(&agents[0]).await, 1);
    // Whoever writes another word would believe in a pause that there is not.
    let other = json!({"metadata": {"annotations": {"yardmaster.dev/paused": "yes"}}});
    let refused = agents[0].patch(other).await.unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("\"true\" or \"false\""), "{refused}");
    annotate(&agents[0], Some("false")).await;
    is_deployed(&agents[0]).await;
    assert_eq!(scene.deployments(&agents[0]).await, 2);

    annotate(&agents[0], Some("true")).await;
    is_paused(&agents[0], "annotation").await;
    let mark = scene.mark();
    agents[0].delete().await.unwrap();
    says(&agents[0], "Synced", "False", "Paused").await;
    stands_still(&scene, mark).await;
    annotate(&agents[0], None).await;
    agents[0].wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_template_stops_its_rollout_and_its_instances() {
    let scene = Scene::new("pausedall").await;
    let agents = scene.ready(json!({}), &["a", "b"]).await;
    let template = scene.tenant.template("t");
    annotate(&template, Some("true")).await;
    is_paused(&template, "annotation").await;
    for agent in &agents {
        is_paused(agent, "AgentTemplate t").await;
    }
    let mark = scene.mark();
    let env = json!({"spec": {"env": [{"name": "GREETING", "value": "all"}]}});
    template.patch(env).await.unwrap();
    says(&template, "RolledOut", "False", "Paused").await;
    for agent in &agents {
        says(agent, "Synced", "False", "Paused").await;
        says(agent, "TemplateSynced", "False", "Outdated").await;
    }
    stands_still(&scene, mark).await;
    let told = template.get().await.unwrap();
    assert!(holds(&told, "Ready") && condition(&told, "Reconciling").is_none());
    annotate(&template, None).await;
    says(&template, "RolledOut", "True", "RolledOut").await;
    for agent in &agents {
        is_deployed(agent).await;
        is_over(agent).await;
        assert_eq!(scene.deployments(agent).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tools_paused_account_holds_what_concerns_it_alone() {
    let scene = equipped("pausedtool", |tools| {
        tools.retain(|tool| ["llm", "search"].contains(&tool["name"].as_str().unwrap()));
    })
    .await;
    let tool = format!("{}-openrouter", scene.tenant.name());
    let paying = scene.world.object("ProviderAccount", None, &tool);
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    let before = counts(&scene).await;
    spec(&paying, true).await;
    is_paused(&paying, "spec.paused").await;
    is_paused(&instance, &tool).await;
    let mark = scene.mark();
    let limit = json!({"spec": {"toolLimits": [{"name": "llm", "limitUSD": 7}]}});
    instance.patch(limit).await.unwrap();
    change(&instance, "hi").await;
    // Its own change is deployed; the other limit waits.
    let done = instance.wait_until("the change is deployed", SOON, |object| {
        list(&object.data["status"]["variables"]).contains(&json!("GREETING"))
            && holds(object, "Ready")
    });
    done.await.unwrap();
    says(&instance, "ToolsReady", "False", "Paused").await;
    says(&instance, "Synced", "False", "Paused").await;
    let mut changed = changes(&scene, mark);
    changed.retain(|one| one.starts_with("openrouter"));
    assert_eq!(changed, [""; 0]);
    // Taking back begins with what is paused, and so waits as a whole.
    instance.delete().await.unwrap();
    says(&instance, "Ready", "False", "Deleting").await;
    says(&instance, "Synced", "False", "Paused").await;
    scene.listings(3).await;
    assert_eq!(counts(&scene).await, before);
    spec(&paying, false).await;
    instance.wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_of_a_paused_account_tells_and_takes_nothing_back() {
    let scene = Scene::new("pausedsweep").await;
    let account = scene.tenant.provider_account();
    spec(&account, true).await;
    is_paused(&account, "spec.paused").await;
    let lost = orphan(&scene, "lost").await;
    let mark = scene.mark();
    wants(&account, "Delete").await;
    tells(&account, 1, 0, 0).await;
    let why = says(&account, "SweepHeldBack", "True", "Paused").await;
    assert!(why.contains("paused"), "{why}");
    stands_still(&scene, mark).await;
    assert_eq!(scene.projects().await, 1);
    spec(&account, false).await;
    crate::sweep::goes(&scene, &lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_only_observes_changes_nothing() {
    let options =
        Options::new(test_directory("observe-only")).controller(env!("CARGO_BIN_EXE_yardmaster"));
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "observed", Value::Null).await;
    let agents = scene.ready(json!({}), &["rests", "changes", "goes"]).await;
    let account = scene.tenant.provider_account();
    wants(&account, "Delete").await;
    world.controller().unwrap().stop().await.unwrap();
    let mark = scene.mark();
    let observer = world
        .another_controller("observer", &["--observe-only=true"])
        .unwrap();
    observer.start().await.unwrap();
    orphan(&scene, "lost").await;
    change(&agents[1], "hi").await;
    agents[2].delete().await.unwrap();
    let late = scene.instance("late", "t", json!({})).await;
    for waits in [&agents[1], &agents[2], &late] {
        let why = says(waits, "Synced", "False", "Paused").await;
        assert!(why.contains("--observe-only"), "{why}");
    }
    for paused in [&account, &agents[0], &scene.tenant.template("t")] {
        is_paused(paused, "--observe-only").await;
    }
    says(&account, "SweepHeldBack", "True", "Paused").await;
    stands_still(&scene, mark).await;
    let rests = agents[0].get().await.unwrap();
    assert!(holds(&rests, "Ready") && holds(&rests, "Synced"));

    observer.stop().await.unwrap();
    world.controller().unwrap().start().await.unwrap();
    is_deployed(&agents[1]).await;
    agents[2].wait_gone(SOON).await.unwrap();
    is_ready(&late).await;
    for paused in [&account, &agents[0], &scene.tenant.template("t")] {
        is_over(paused).await;
    }
    let swept =
        scene
            .tenant
            .wait_inventory("the orphan is gone", Duration::from_secs(60), |inventory| {
                inventory.kind("project").count() == 3
            });
    swept.await.unwrap();
    world.stop().await.unwrap();
}
