//! No secret is seen: not in what objects say, not in events, logs or metrics, in no form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use world::{Options, SYSTEM_NAMESPACE, World, test_directory};

use crate::support::{Scene, is_ready, says};

/// A value that every encoding changes.
fn canary(name: &str) -> String {
    format!("canary-{name} \"quoted\" & slashed/and+plus")
}

/// The forms in which a value could be seen.
fn forms(value: &str) -> Vec<String> {
    let quoted = json!(value).to_string();
    let escaped = quoted.trim_matches('"').to_owned();
    let url: String = value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    // The middle of its base64, whatever stands before and after it, at each of the three offsets.
    let shifted = (0..3).filter_map(|offset| {
        let text = STANDARD.encode(format!("{}{value}", "x".repeat(offset)));
        text.get(4..text.len() - 4).map(str::to_owned)
    });
    let mut forms = vec![value.to_owned(), escaped, url, format!("{value:?}")];
    forms.extend(shifted);
    forms
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_anywhere_but_in_secrets() {
    let options = Options::new(test_directory("secrets"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--log=trace");
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "secrets", json!({})).await;
    let (api, password) = (canary("api"), canary("password"));
    world
        .outside()
        .set(&[("registry.password", &password)])
        .await
        .unwrap();
    scene.secret("keys", json!({"api": api})).await;
    scene
        .secret("pull", json!({"username": "pull", "password": password}))
        .await;
    let runtime =
        json!({"image": "ghcr.io/acme/private/agent:1.4", "imagePullSecretRef": {"name": "pull"}});
    let env = json!({"env": [{"name": "API", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}}]});
    scene.template("t", runtime, env).await;
    // Answers that repeat what they were asked, and ways that fail, are where secrets are seen.
    let echo = json!({"provider": "railway", "operation": "environmentPatchCommit",
        "effect": {"graphql_error": {"message": format!("Problem processing request: {api} {password}")}}});
    let echo = scene.tenant.post_fault(echo).await.unwrap();
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    scene.end_fault(&echo).await;
    let agent = scene.agent(&instance).await;
    let service = agent["serviceId"].as_str().unwrap();
    let path = format!("/railway/services/{service}/variables/API");
    scene
        .by_hand(reqwest::Method::PUT, &path, json!({"value": "other"}))
        .await;
    scene.listings(3).await;
    scene.secret("keys", json!({"api": canary("second")})).await;
    scene.listings(2).await;
    is_ready(&instance).await;
    let wrong = canary("token");
    scene.tenant.put_token(&wrong).await.unwrap();
    says(
        &scene.tenant.provider_account(),
        "Ready",
        "False",
        "CredentialsDenied",
    )
    .await;

    let gateway = world
        .secret(scene.tenant.namespace(), "a-agent")
        .await
        .unwrap();
    let gateway = gateway["GATEWAY_TOKEN"].clone();
    let mut secrets = vec![api, password, canary("second"), wrong, gateway];
    secrets.push(scene.tenant.token().to_owned());
    let mut seen = vec![
        (
            "log",
            std::fs::read_to_string(world.controller().unwrap().log()).unwrap(),
        ),
        ("metrics", world.metrics().await.unwrap()),
    ];
    let kinds = "provideraccounts,agenttemplates,agentinstances,events,events.events.k8s.io,configmaps,leases";
    let objects = world.kubectl(&["get", kinds, "-A", "-o", "yaml"]).await;
    seen.push(("objects", objects.unwrap().ok().unwrap()));
    assert!(
        seen[0].1.contains("TRACE"),
        "the log is at its most talkative"
    );
    for (place, text) in &seen {
        for secret in &secrets {
            for form in forms(secret) {
                let found = text.find(&form).map(|at| text[..at].lines().count());
                assert_eq!(found, None, "{form} stands in the {place}, line");
            }
        }
    }
    let kept = world.secret(SYSTEM_NAMESPACE, scene.tenant.name()).await;
    assert!(kept.unwrap().contains_key("token"));
    world.stop().await.unwrap();
}
