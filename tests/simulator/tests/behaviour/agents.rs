//! Running agents: the HTTP contract, natures, what they remember.

use serde_json::{Value, json};

use super::client::{Built, World, agent, until};

async fn health(world: &World, built: &Built) -> (u16, Value) {
    world.call(built, "GET", "/pool/health", Value::Null).await
}

async fn shown(world: &World, built: &Built) -> Value {
    let agents = world.control("GET", "/agents", Value::Null).await;
    let agents = agents.as_array().unwrap().clone();
    agents
        .into_iter()
        .find(|agent| agent["domain"] == json!(built.domain))
        .expect("an agent")
}

fn persona() -> Value {
    json!({ "agentName": "Ada", "instructions": "help", "joinUrl": "https://example.com/j/1",
        "env": { "GIVEN": "secret" } })
}

#[tokio::test]
async fn an_agent_lives_its_contract() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1.4").await;
    let ready = json!({ "ready": true, "version": "1.4", "runtime": "openclaw" });
    assert_eq!(health(&world, &built).await, (200, ready));
    let url = format!("https://{}/convos/status", built.domain);
    assert_eq!(world.client.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(
        world
            .client
            .get(&url)
            .bearer_auth("wrong")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    let (_, status) = world
        .call(&built, "GET", "/convos/status", Value::Null)
        .await;
    assert_eq!(
        (&status["clean"], &status["conversationId"]),
        (&json!(true), &Value::Null)
    );

    let nameless = json!({ "instructions": "help" });
    assert_eq!(
        world
            .call(&built, "POST", "/pool/provision", nameless)
            .await
            .0,
        400
    );
    let (code, answer) = world
        .call(&built, "POST", "/pool/provision", persona())
        .await;
    assert_eq!(
        (code, &answer["status"], &answer["joined"]),
        (200, &json!("joined"), &json!(true))
    );
    assert_eq!(
        world
            .call(&built, "POST", "/pool/provision", persona())
            .await
            .0,
        409
    );
    let (_, status) = world
        .call(&built, "GET", "/convos/status", Value::Null)
        .await;
    assert_eq!(status["conversationId"], answer["conversationId"]);
    assert_eq!(status["clean"], false);

    let update = json!({ "instructions": "more", "templateUpdatedAt": "2026-01-01T00:00:00Z" });
    assert_eq!(
        world
            .call(&built, "POST", "/pool/update-template", update)
            .await
            .0,
        200
    );
    let clone = json!({ "childInboxId": "x" });
    assert_eq!(
        world
            .call(&built, "POST", "/pool/clone-summary", clone)
            .await
            .0,
        202
    );

    let agent = shown(&world, &built).await;
    assert_eq!(
        (&agent["provisions"], &agent["agentName"]),
        (&json!(2), &json!("Ada"))
    );
    assert_eq!(agent["givenVariables"], json!(["GIVEN"]));
    assert!(
        agent["variables"]
            .as_array()
            .unwrap()
            .contains(&json!("GATEWAY_TOKEN"))
    );
    assert!(
        agent["variables"]
            .as_array()
            .unwrap()
            .contains(&json!("RAILWAY_PUBLIC_DOMAIN"))
    );
    assert!(!agent.to_string().contains("\"gateway\""), "no values");
    assert_eq!(
        (&agent["workspace"], &agent["nature"]),
        (&json!("team-a"), &json!("good"))
    );

    assert_eq!(
        world
            .call(&built, "POST", "/convos/reset", Value::Null)
            .await
            .0,
        200
    );
    let (_, status) = world
        .call(&built, "GET", "/convos/status", Value::Null)
        .await;
    assert_eq!(
        (&status["clean"], &status["conversationId"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        world.call(&built, "POST", "/no/such", Value::Null).await.0,
        404
    );
}

#[tokio::test]
async fn an_agent_boots_for_a_while() {
    let world = World::with(&[("agent.bootTime", "300ms")]).await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    assert_eq!(health(&world, &built).await.0, 503);
    assert_eq!(
        world
            .call(&built, "GET", "/convos/status", Value::Null)
            .await
            .0,
        503
    );
    assert_eq!(shown(&world, &built).await["ready"], false);
    until("the agent", async || {
        (health(&world, &built).await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(shown(&world, &built).await["ready"], true);
    let restart = "mutation($id: String!) { deploymentRestart(id: $id) }";
    let id = &world.deployments(&built).await[0]["id"];
    world.data(restart, json!({ "id": id })).await;
    assert_eq!(health(&world, &built).await.0, 503, "it boots again");
}

#[tokio::test]
async fn its_health_path_may_be_another() {
    let world = World::with(&[("agent.healthPaths", "/pool/health,/up")]).await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    assert_eq!(world.call(&built, "GET", "/up", Value::Null).await.0, 200);
    world
        .patch(
            &built,
            json!({ "variables": { "HEALTH_PATH": { "value": "/healthz" } } }),
        )
        .await;
    assert_eq!(
        world.call(&built, "GET", "/healthz", Value::Null).await.0,
        200
    );
}

#[tokio::test]
async fn natures_come_from_tags() {
    let world = World::with(&[
        ("agent.crashAfter", "200ms"),
        ("agent.sleepyAfter", "200ms"),
    ])
    .await;
    let image = |tag: &str| format!("ghcr.io/acme/agent:{tag}");
    let never = world.deploy("a", &image("1-never-ready")).await;
    assert_eq!(health(&world, &never).await.1["ready"], false);
    let slow = world.deploy("b", &image("slow")).await;
    assert_eq!(health(&world, &slow).await.0, 503);
    let boot = world.deploy("c", &image("crash-on-boot")).await;
    assert_eq!(world.statuses(&boot).await, ["CRASHED"]);
    assert_eq!(health(&world, &boot).await.0, 502);
    let refuses = world.deploy("d", &image("refuses-provision-unclean")).await;
    assert_eq!(
        world
            .call(&refuses, "POST", "/pool/provision", persona())
            .await
            .0,
        502
    );
    world
        .call(&refuses, "POST", "/convos/reset", Value::Null)
        .await;
    let (_, status) = world
        .call(&refuses, "GET", "/convos/status", Value::Null)
        .await;
    assert_eq!(status["clean"], false, "a reset does not clean it");
    let later = world.deploy("e", &image("crash-later")).await;
    until("the crash", async || {
        (world.statuses(&later).await[0] == "CRASHED").then_some(())
    })
    .await;
    let sleepy = world.deploy("f", &image("sleepy")).await;
    until("sleep", async || {
        (world.statuses(&sleepy).await[0] == "SLEEPING").then_some(())
    })
    .await;
    assert_eq!(health(&world, &sleepy).await.0, 200, "a request wakes it");
    let old = world.deploy("g", &image("old")).await;
    assert_eq!(
        world
            .call(&old, "POST", "/pool/update-template", json!({}))
            .await
            .0,
        404
    );
    until("the slow one", async || {
        (health(&world, &slow).await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pinned_digest_keeps_the_nature_of_its_tag() {
    let world = World::new().await;
    let image = "ghcr.io/acme/agent:never-ready";
    let shown = world
        .control("GET", &format!("/registry/{image}"), Value::Null)
        .await;
    let digest = super::client::text(&shown["digest"]);
    let built = world
        .deploy("p", &format!("ghcr.io/acme/agent@{digest}"))
        .await;
    assert_eq!(health(&world, &built).await.1["ready"], false);
}

#[tokio::test]
async fn a_nature_changes_by_hand() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    let path = format!("/agents/{}", built.domain);
    world
        .control("PUT", &path, json!({ "nature": "never-ready" }))
        .await;
    assert_eq!(health(&world, &built).await.1["ready"], false);
    world
        .control("PUT", &path, json!({ "nature": "crash-on-boot" }))
        .await;
    assert_eq!(world.statuses(&built).await, ["CRASHED"]);
    world
        .control("PUT", &path, json!({ "nature": "good" }))
        .await;
    assert_eq!(health(&world, &built).await.1["ready"], true);
    let (status, answer) = world
        .try_control("PUT", &path, json!({ "nature": "odd" }))
        .await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn somebody_accepts_a_pending_agent() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:pending").await;
    let (_, answer) = world
        .call(&built, "POST", "/pool/provision", persona())
        .await;
    assert_eq!(
        (&answer["status"], &answer["joined"]),
        (&json!("pending_acceptance"), &json!(false))
    );
    let (_, status) = world
        .call(&built, "GET", "/convos/status", Value::Null)
        .await;
    assert_eq!(
        (&status["pending"], &status["conversationId"]),
        (&json!(true), &Value::Null)
    );
    world
        .control(
            "POST",
            &format!("/agents/{}/accept", built.domain),
            Value::Null,
        )
        .await;
    let (_, status) = world
        .call(&built, "GET", "/convos/status", Value::Null)
        .await;
    assert_eq!(
        (&status["pending"], status["conversationId"].is_string()),
        (&json!(false), true)
    );
}

#[tokio::test]
async fn a_slow_provision_happens_even_when_nobody_waits() {
    let world = World::with(&[("agent.provisionTime", "300ms")]).await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    let call = world.call(&built, "POST", "/pool/provision", persona());
    let patience = std::time::Duration::from_millis(100);
    assert!(tokio::time::timeout(patience, call).await.is_err());
    until("the conversation", async || {
        let (_, status) = world
            .call(&built, "GET", "/convos/status", Value::Null)
            .await;
        status["conversationId"].is_string().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_it_is_bound_to_lives_in_its_volume() {
    let world = World::new().await;
    for (memory, volume, kept) in [
        ("volume", false, false),
        ("volume", true, true),
        ("always", false, true),
        ("never", true, false),
    ] {
        world.set("agent.memory", memory).await;
        let built = world.build("p").await;
        if volume {
            let create =
                "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id } }";
            let input = json!({ "projectId": built.project, "environmentId": built.environment,
                "serviceId": built.service, "mountPath": "/data" });
            world.data(create, json!({ "input": input })).await;
        }
        world.patch(&built, agent("ghcr.io/acme/agent:1")).await;
        world
            .call(&built, "POST", "/pool/provision", persona())
            .await;
        world.patch(&built, agent("ghcr.io/acme/agent:2")).await;
        let (_, status) = world
            .call(&built, "GET", "/convos/status", Value::Null)
            .await;
        assert_eq!(
            status["conversationId"].is_string(),
            kept,
            "{memory}, volume {volume}"
        );
    }
}

#[tokio::test]
async fn an_unknown_name_has_no_application() {
    let world = World::new().await;
    let built = world.build("p").await;
    assert_eq!(health(&world, &built).await.0, 404, "nothing is deployed");
    let answer = world
        .client
        .get("https://nobody.up.railway.app/")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["message"], "Application not found");
    let deployed = world.deploy("q", "ghcr.io/acme/agent:1").await;
    world
        .control(
            "POST",
            &format!("/railway/projects/{}/delete", deployed.project),
            Value::Null,
        )
        .await;
    assert_eq!(health(&world, &deployed).await.0, 404);
}
