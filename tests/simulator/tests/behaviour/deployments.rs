//! Deployments: their course, what they really run, how they end.

use serde_json::{Value, json};

use super::client::{Built, World, agent, text, until};

async fn mutate(world: &World, built: &Built, field: &str) -> Value {
    let query = format!(
        "mutation($s: String!, $e: String!) {{ {field}(serviceId: $s, environmentId: $e) }}"
    );
    world
        .ask(
            &query,
            json!({ "s": built.service, "e": built.environment }),
        )
        .await
}

async fn end(world: &World, id: &Value, field: &str) {
    let query = format!("mutation($id: String!) {{ {field}(id: $id) }}");
    world.data(&query, json!({ "id": id })).await;
}

#[tokio::test]
async fn a_deployment_walks_to_success() {
    let world = World::with(&[("railway.deployTime", "600ms")]).await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    let mut seen = Vec::new();
    until("SUCCESS", async || {
        let status = world.statuses(&built).await.remove(0);
        if seen.last() != Some(&status) {
            seen.push(status.clone());
        }
        (status == "SUCCESS").then_some(())
    })
    .await;
    let order = ["INITIALIZING", "BUILDING", "DEPLOYING", "SUCCESS"];
    let places: Vec<_> = seen
        .iter()
        .map(|status| order.iter().position(|s| s == status))
        .collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{seen:?}"
    );
    assert!(seen.len() > 2, "{seen:?}");
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_fails() {
    let world = World::new().await;
    let missing = world.deploy("a", "ghcr.io/acme/agent:missing").await;
    assert_eq!(world.statuses(&missing).await, ["FAILED"]);
    let unknown = format!("ghcr.io/acme/agent@sha256:{}", "0".repeat(64));
    let unknown = world.deploy("b", &unknown).await;
    assert_eq!(world.statuses(&unknown).await, ["FAILED"]);
    let private = world.deploy("c", "ghcr.io/private/agent:1").await;
    assert_eq!(world.statuses(&private).await, ["FAILED"]);
    let credentials = json!({ "username": "pull", "password": "pull-secret" });
    world
        .patch(
            &private,
            json!({ "deploy": { "registryCredentials": credentials } }),
        )
        .await;
    assert_eq!(world.statuses(&private).await, ["SUCCESS", "FAILED"]);
    world
        .patch(
            &private,
            json!({ "deploy": { "registryCredentials": { "password": "no" } } }),
        )
        .await;
    assert_eq!(
        world.statuses(&private).await,
        ["FAILED", "SUCCESS", "FAILED"]
    );
    assert_eq!(
        world
            .call(&private, "GET", "/pool/health", Value::Null)
            .await
            .0,
        200,
        "the old one serves"
    );
}

#[tokio::test]
async fn a_redeploy_runs_the_old_image() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    let update = "mutation($s: String!, $e: String!, $input: ServiceInstanceUpdateInput!) \
        { serviceInstanceUpdate(serviceId: $s, environmentId: $e, input: $input) }";
    let input = json!({ "source": { "image": "ghcr.io/acme/agent:2" }, "startCommand": null });
    let variables = json!({ "s": built.service, "e": built.environment, "input": input });
    world.data(update, variables.clone()).await;
    assert_eq!(
        world.deployments(&built).await.len(),
        1,
        "an update does not deploy"
    );
    mutate(&world, &built, "serviceInstanceRedeploy").await;
    let deployments = world.deployments(&built).await;
    assert_eq!(deployments[0]["meta"]["image"], "ghcr.io/acme/agent:1");
    let answer = mutate(&world, &built, "serviceInstanceDeployV2").await;
    let deployments = world.deployments(&built).await;
    assert_eq!(
        deployments[0]["id"],
        answer["data"]["serviceInstanceDeployV2"]
    );
    assert_eq!(deployments[0]["meta"]["image"], "ghcr.io/acme/agent:2");
    assert_eq!(
        world.statuses(&built).await,
        ["SUCCESS", "REMOVED", "REMOVED"]
    );

    world.set("railway.instanceUpdateDeploys", "true").await;
    let mut again = variables;
    again["input"]["source"]["image"] = json!("ghcr.io/acme/agent:3");
    world.data(update, again).await;
    assert_eq!(world.deployments(&built).await.len(), 4);
}

#[tokio::test]
async fn what_was_never_built_cannot_be_redeployed() {
    let world = World::new().await;
    let bare = world.build("a").await;
    let answer = mutate(&world, &bare, "serviceInstanceRedeploy").await;
    assert_eq!(
        super::client::message(&answer),
        "Cannot redeploy without a snapshot"
    );
    world.set("railway.deployTime", "1h").await;
    let built = world.deploy("b", "ghcr.io/acme/agent:1").await;
    let answer = mutate(&world, &built, "serviceInstanceRedeploy").await;
    assert!(super::client::message(&answer).starts_with("Cannot redeploy yet"));
}

#[tokio::test]
async fn deployments_end_when_told() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    let id = world.deployments(&built).await[0]["id"].clone();
    end(&world, &id, "deploymentStop").await;
    let stopped = &world.deployments(&built).await[0];
    assert_eq!(
        (&stopped["status"], &stopped["deploymentStopped"]),
        (&json!("SUCCESS"), &json!(true))
    );
    assert_eq!(stopped["instances"][0]["status"], "STOPPED");
    assert_eq!(
        world
            .call(&built, "GET", "/pool/health", Value::Null)
            .await
            .0,
        404
    );

    mutate(&world, &built, "serviceInstanceDeployV2").await;
    assert_eq!(
        world
            .call(&built, "GET", "/pool/health", Value::Null)
            .await
            .0,
        200
    );
    let id = world.deployments(&built).await[0]["id"].clone();
    end(&world, &id, "deploymentRemove").await;
    assert_eq!(world.statuses(&built).await, ["REMOVED", "REMOVED"]);
    let (status, body) = world.call(&built, "GET", "/pool/health", Value::Null).await;
    assert_eq!(
        (status, &body["message"]),
        (404, &json!("Application not found"))
    );
}

#[tokio::test]
async fn a_tag_moves_and_a_digest_stays() {
    let world = World::new().await;
    let tag = "ghcr.io/acme/agent:main";
    let first = world
        .control("GET", &format!("/registry/{tag}"), Value::Null)
        .await;
    let built = world.deploy("p", tag).await;
    world
        .control("PUT", &format!("/registry/{tag}"), json!({ "move": true }))
        .await;
    mutate(&world, &built, "serviceInstanceRedeploy").await;
    let deployments = world.deployments(&built).await;
    assert_eq!(deployments[0]["meta"]["imageDigest"], first["digest"]);
    mutate(&world, &built, "serviceInstanceDeployV2").await;
    let deployments = world.deployments(&built).await;
    assert_ne!(deployments[0]["meta"]["imageDigest"], first["digest"]);
    let pinned = format!("ghcr.io/acme/agent@{}", text(&first["digest"]));
    world.patch(&built, agent(&pinned)).await;
    let deployments = world.deployments(&built).await;
    assert_eq!(deployments[0]["status"], "SUCCESS");
    assert_eq!(deployments[0]["meta"]["imageDigest"], first["digest"]);
    assert_eq!(deployments[0]["meta"]["image"], json!(pinned));
}

#[tokio::test]
async fn an_idle_service_sleeps_and_a_request_wakes_it() {
    let settings = [
        ("railway.sleepAfter", "100ms"),
        ("railway.wakeAnswer", "502"),
    ];
    let world = World::with(&settings).await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    world
        .patch(&built, json!({ "deploy": { "sleepApplication": true } }))
        .await;
    let asleep = async || (world.statuses(&built).await[0] == "SLEEPING").then_some(());
    until("sleep", asleep).await;
    let (status, _) = world.call(&built, "GET", "/pool/health", Value::Null).await;
    assert_eq!(status, 502, "the first request only wakes it");
    let (status, _) = world.call(&built, "GET", "/pool/health", Value::Null).await;
    assert_eq!(status, 200);
    until("sleep again", asleep).await;
}

#[tokio::test]
async fn a_health_check_decides_about_success() {
    let world = World::with(&[("agent.bootTime", "300ms")]).await;
    let built = world.build("p").await;
    let mut config = agent("ghcr.io/acme/agent:1");
    config["deploy"] = json!({ "healthcheckPath": "/pool/health" });
    world.patch(&built, config.clone()).await;
    assert_ne!(world.statuses(&built).await[0], "SUCCESS");
    until("SUCCESS", async || {
        (world.statuses(&built).await[0] == "SUCCESS").then_some(())
    })
    .await;
    assert_eq!(
        world
            .call(&built, "GET", "/pool/health", Value::Null)
            .await
            .0,
        200
    );
    config["source"] = json!({ "image": "ghcr.io/acme/agent:crash-on-boot" });
    world.patch(&built, config).await;
    until("FAILED", async || {
        (world.statuses(&built).await[0] == "FAILED").then_some(())
    })
    .await;
}
