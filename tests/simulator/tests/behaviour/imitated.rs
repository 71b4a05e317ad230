//! The programs that people run as agents, as they were seen to answer (facts/field-2026-11.md 2.3).

use serde_json::{Value, json};

use super::client::{Built, World, until};

/// A program with these variables, started so.
async fn deployed(world: &World, image: &str, variables: Value, start: &str) -> Built {
    let built = world.build("p").await;
    let variables = variables.as_object().unwrap().iter();
    let variables: serde_json::Map<String, Value> = variables
        .map(|(name, value)| (name.clone(), json!({ "value": value })))
        .collect();
    let service = json!({
        "source": { "image": image },
        "variables": variables,
        "deploy": { "startCommand": start },
    });
    world.patch(&built, service).await;
    built
}

/// Status and body of a call, with this authorization or none.
async fn call(world: &World, built: &Built, path: &str, shown: Option<&str>) -> (u16, String) {
    let mut request = world.client.get(format!("https://{}{path}", built.domain));
    if let Some(shown) = shown {
        request = request.header("authorization", shown);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The JSON of a 200, once it is there.
async fn said(world: &World, built: &Built, path: &str, shown: Option<&str>) -> Value {
    until(path, async || {
        let (status, body) = call(world, built, path, shown).await;
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    })
    .await
}

/// It runs, and the edge finds nobody who listens.
async fn is_not_reached(world: &World, built: &Built, path: &str) {
    until("it runs and does not listen", async || {
        let (status, _) = call(world, built, path, None).await;
        assert_ne!(status, 200);
        (status == 502).then_some(())
    })
    .await;
}

#[tokio::test]
async fn openclaw_has_open_status_paths_and_a_page_for_every_other() {
    let world = World::new().await;
    let (image, token) = (
        "ghcr.io/openclaw/openclaw:2026.9.6",
        json!({ "OPENCLAW_GATEWAY_TOKEN": "secret" }),
    );
    let start = "openclaw gateway --bind lan --port 18789 --allow-unconfigured";
    let built = deployed(&world, image, token.clone(), start).await;
    let started = json!({ "ok": true, "status": "started", "version": "2026.9.6" });
    assert_eq!(said(&world, &built, "/startupz", None).await, started);
    let ready = said(&world, &built, "/readyz", None).await;
    assert_eq!(ready, json!({ "ready": true }));
    let (status, page) = call(&world, &built, "/no/such", None).await;
    assert!(
        status == 200 && page.starts_with("<!doctype html>"),
        "{page}"
    );
    assert_eq!(
        call(&world, &built, "/v1/models", Some("Bearer x")).await.0,
        401
    );

    // On loopback, or without a token, nobody reaches it.
    for (variables, start) in [
        (token, "openclaw gateway --bind loopback --port 18789"),
        (json!({}), start),
    ] {
        let world = World::new().await;
        let built = deployed(&world, image, variables, start).await;
        is_not_reached(&world, &built, "/startupz").await;
    }
}

#[tokio::test]
async fn hermes_has_an_api_only_where_it_is_switched_on() {
    let world = World::new().await;
    let image = "ghcr.io/nousresearch/hermes-agent:0.19.0";
    let all = json!({ "API_SERVER_ENABLED": "true", "API_SERVER_HOST": "0.0.0.0", "API_SERVER_KEY": "long-enough" });
    let built = deployed(&world, image, all.clone(), "hermes gateway run").await;
    let health = said(&world, &built, "/health", None).await;
    assert_eq!(
        (&health["status"], &health["version"]),
        (&json!("ok"), &json!("0.19.0"))
    );
    let (status, refused) = call(&world, &built, "/health/detailed", Some("Bearer x")).await;
    assert!(
        status == 401 && refused.contains("invalid_api_key"),
        "{refused}"
    );
    let own = Some("Bearer long-enough");
    let detailed = said(&world, &built, "/health/detailed", own).await;
    assert_eq!(detailed["active_agents"], 0);
    assert_eq!(call(&world, &built, "/no/such", own).await.0, 404);

    let mut short = all.clone();
    short["API_SERVER_KEY"] = json!("short");
    let mut off = all;
    off["API_SERVER_ENABLED"] = json!("false");
    for variables in [short, off] {
        let world = World::new().await;
        let built = deployed(&world, image, variables, "hermes gateway run").await;
        is_not_reached(&world, &built, "/health").await;
    }
}

#[tokio::test]
async fn opencode_opens_nothing_without_its_password() {
    let world = World::new().await;
    let image = "ghcr.io/sst/opencode:1.18.33";
    let password = json!({ "OPENCODE_SERVER_PASSWORD": "secret" });
    let start = "opencode serve --hostname 0.0.0.0 --port 4096";
    let built = deployed(&world, image, password, start).await;
    // opencode:secret
    let own = Some("Basic b3BlbmNvZGU6c2VjcmV0");
    let healthy = json!({ "healthy": true, "version": "1.18.33" });
    assert_eq!(said(&world, &built, "/global/health", own).await, healthy);
    for shown in [None, Some("Bearer secret"), Some("Basic b3BlbmNvZGU6eA==")] {
        assert_eq!(call(&world, &built, "/global/health", shown).await.0, 401);
    }
}

#[tokio::test]
async fn a_program_behind_the_runner_answers_as_the_runner() {
    let world = World::new().await;
    let contract = json!({ "version": 1, "name": "openclaw", "argv": ["openclaw"] });
    let variables =
        json!({ "GATEWAY_TOKEN": "t", "PORT": "8080", "YARDMASTER_RUNNER": contract.to_string() });
    let built = deployed(&world, "ghcr.io/openclaw/openclaw:2026.9.6", variables, "").await;
    let health = json!({ "ready": true, "version": "2026.9.6", "runtime": "openclaw" });
    assert_eq!(said(&world, &built, "/pool/health", None).await, health);
    assert_eq!(call(&world, &built, "/pool/status", None).await.0, 401);
    let status = said(&world, &built, "/pool/status", Some("Bearer t")).await;
    assert_eq!(
        (&status["claim"], &status["clean"]),
        (&Value::Null, &json!(true))
    );
    // Its own paths are behind the token as well.
    assert_eq!(call(&world, &built, "/startupz", None).await.0, 401);
}
