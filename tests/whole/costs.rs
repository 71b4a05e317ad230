//! What Railway itself costs: told of agents and accounts to the cent, and what no project is added above.

use crate::support::{SOON, Scene, is_ready, lays_down, says};
use reqwest::Method;
use serde_json::{Value, json};
use world::{Options, World, test_directory};

#[tokio::test(flavor = "multi_thread")]
async fn what_projects_have_cost_is_told_and_above_the_months_limit_none_is_added() {
    let options =
        Options::new(test_directory("costs")).controller(env!("CARGO_BIN_EXE_yardmaster"));
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "costs", Value::Null).await;
    let agents = scene.ready(json!({}), &["a", "b"]).await;
    // Read for the first time, nothing has cost anything: that is no news of an agent.
    let account = scene.tenant.provider_account();
    let costs = async |usd: &str| {
        let told = |object: &kube::api::DynamicObject| {
            object.data["status"]["monthlyUSD"] == json!({"committed": usd, "spent": usd})
        };
        account
            .wait_until("it tells what it costs", SOON, told)
            .await
            .unwrap();
    };
    costs("0").await;
    let told = agents[0].get().await.unwrap();
    assert_eq!(told.data["status"]["project"]["monthUSD"], Value::Null);

    // An hour later, as far as whoever begins anew is concerned.
    world.controller().unwrap().stop().await.unwrap();
    let used = [
        // 21,600 vCPU minutes at 0.000463, 43,200 GB minutes at 0.000231, a GB for 30 days at 0.15, 10 GB at 0.05.
        json!([
            ["CPU_USAGE", 21_600],
            ["MEMORY_USAGE_GB", 43_200],
            ["DISK_USAGE_GB", 43_200],
            ["NETWORK_TX_GB", 10],
            ["NETWORK_RX_GB", 99]
        ]),
        json!([["MEMORY_USAGE_GB", 10_000]]),
    ];
    for (agent, used) in agents.iter().zip(used) {
        let object = agent.get().await.unwrap();
        let ledger = object.data["status"]["external"].as_array().unwrap();
        let project = ledger.iter().find(|entry| entry["slot"] == "project");
        let id = project.unwrap()["id"].as_str().unwrap().to_owned();
        let path = format!("/railway/projects/{id}/usage");
        let outside = world.outside();
        outside.call(Method::PUT, &path, Some(used)).await.unwrap();
    }
    world.controller().unwrap().start().await.unwrap();
    for (agent, usd) in agents.iter().zip(["20.63", "2.31"]) {
        let told = |object: &kube::api::DynamicObject| {
            let status = &object.data["status"];
            status["project"]["monthUSD"] == usd && status["monthlyUSD"]["spent"] == usd
        };
        agent
            .wait_until("it tells what it costs", SOON, told)
            .await
            .unwrap();
    }
    costs("22.94").await;
    let name = account.name().to_owned();
    let line = format!(
        "yardmaster_monthly_usd{{account=\"{name}\",namespace=\"{}\",what=\"spent\"}} 22.94",
        scene.tenant.namespace()
    );
    let metrics = world.metrics().await.unwrap();
    assert!(metrics.contains(&line), "{line} in {metrics}");

    let most = |usd: &str| json!({"spec": {"limits": {"monthlyUSD": usd}}});
    lays_down(&account, most("22.94")).await;
    let late = scene.instance("late", "t", json!({})).await;
    let why = says(&late, "Stalled", "True", "QuotaExceeded").await;
    assert!(
        why.contains("spec.limits.monthlyUSD lets them, 22.94 US dollars"),
        "{why}"
    );
    assert_eq!(scene.projects().await, 2);
    // What runs goes on, and is changed as before.
    for agent in &agents {
        is_ready(agent).await;
    }
    lays_down(&account, most("22.95")).await;
    is_ready(&late).await;
    world.stop().await.unwrap();
}
