//! Agents that claims have, or had: lost with their projects, restored under other UIDs, paused past their time, left by their pools.

use std::time::Duration;

use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};
use world::{condition, eventually};

use crate::claims::{agent_of, ready};
use crate::restored::reborn;
use crate::support::{SOON, Scene, id, manifest, says};

fn paused(word: Value) -> Value {
    json!({"metadata": {"annotations": {"yardmaster.dev/paused": word}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_agent_whose_project_was_deleted_is_lost_and_not_made_anew() {
    let scene = Scene::new("emptied").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let claim = scene.claim("c", json!({})).await;
    let agent = scene.tenant.instance(&agent_of(&ready(&claim).await));
    scene.fills(&pool, 1).await;
    scene.listings(2).await;
    let projects = scene.projects().await;
    let path = format!(
        "/railway/projects/{}/delete",
        id(&agent.get().await.unwrap(), "project")
    );
    scene.by_hand(Method::POST, &path, Value::Null).await;
    // Without a volume another one would be made anew.
    says(&agent, "Stalled", "True", "DeletedExternally").await;
    let message = says(&claim, "Stalled", "True", "AgentLost").await;
    assert!(message.contains("make another claim"), "{message}");
    assert_eq!(scene.projects().await, projects - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_restored_with_a_claim_keeps_its_namesake_from_taking_another() {
    let scene = Scene::new("namesake").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let first = scene.claim("c", json!({"releasePolicy": "Retain"})).await;
    let agent = scene.tenant.instance(&agent_of(&ready(&first).await));
    scene.fills(&pool, 1).await;
    first.delete().await.unwrap();
    first.wait_gone(SOON).await.unwrap();
    reborn(&scene, &agent, true, true).await;
    says(&agent, "Stalled", "True", "RestoredElsewhere").await;
    let again = scene.claim("c", json!({})).await;
    let message = says(&again, "Ready", "False", "RestoredElsewhere").await;
    assert!(message.contains(agent.name()), "{message}");
    // Another name is another agent, and the pool's.
    ready(&scene.claim("d", json!({})).await).await;
    scene.fills(&pool, 1).await;
    agent.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    let bound = ready(&again).await;
    assert_ne!(agent_of(&bound), agent.name());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_paused_past_its_deadline_is_told_once_more_before_it_is_given_up() {
    let scene = Scene::new("pastdeadline").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let idle = scene.all("AgentInstance").await.remove(0);
    let url = idle.data["status"]["url"].as_str().unwrap();
    let host = url.trim_start_matches("https://");
    let fault = json!({"provider": "agent", "operation": "POST /pool/provision", "contains": host, "times": 0, "effect": "reset_before"});
    let fault = scene.world.outside().post_fault(fault).await.unwrap();
    let claim = scene.claim("c", json!({"provisionDeadline": "15s"})).await;
    says(&claim, "Ready", "False", "Provisioning").await;
    eventually("it was tried", SOON, async || {
        let claim = claim.get().await?;
        let said = condition(&claim, "Ready").and_then(|one| one["message"].as_str());
        Ok(said
            .is_some_and(|said| said.contains("it is tried until"))
            .then_some(()))
    })
    .await
    .unwrap();
    let agent = scene.tenant.instance(&idle.name_any());
    agent.patch(paused(json!("true"))).await.unwrap();
    says(&claim, "Ready", "False", "Paused").await;
    let handed_over = agent.get().await.unwrap().data["spec"]["claimRef"]["handedOverAt"].clone();
    let handed_over: jiff::Timestamp = handed_over.as_str().unwrap().parse().unwrap();
    let past = handed_over + Duration::from_secs(16);
    eventually("its deadline has passed", SOON, async || {
        Ok((jiff::Timestamp::now() > past).then_some(()))
    })
    .await
    .unwrap();
    scene.end_fault(&fault).await;
    agent.patch(paused(Value::Null)).await.unwrap();
    let bound = ready(&claim).await;
    assert_eq!(agent_of(&bound), idle.name_any());
    assert!(bound.data["status"]["rejected"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_pool_that_is_gone_goes_as_soon_as_it_may() {
    let scene = Scene::new("leftover").await;
    scene.template("t", json!({}), json!({})).await;
    let spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": scene.tenant.account()}, "poolRef": {"name": "gone"}});
    let mut left = manifest("AgentInstance", "left", spec);
    left["metadata"]["annotations"] = json!({"yardmaster.dev/paused": "true"});
    scene.apply(left).await;
    let left = scene.tenant.instance("left");
    says(&left, "Synced", "False", "Paused").await;
    left.patch(paused(Value::Null)).await.unwrap();
    left.wait_gone(SOON).await.unwrap();
}
