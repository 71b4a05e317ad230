//! Who is let in, and what health says to anybody.

use crate::running::{OWN, Runner, TOKEN, until};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use rustix::process::{Signal, kill_process};

#[tokio::test]
async fn without_the_token_nothing_is_answered_but_health() {
    let runner = Runner::ready(|_| {}).await;
    let wrong = [
        None,
        Some(format!("Bearer {TOKEN}x")),
        Some(format!("Bearer {}", &TOKEN[1..])),
        Some("Bearer ".to_owned()),
        Some(TOKEN.to_owned()),
        Some(format!("Basic {TOKEN}")),
        // The harness's own opens nothing here.
        Some(format!("Bearer {OWN}")),
    ];
    let paths = [
        "/",
        "/echo",
        "/readyz",
        "/pool/status",
        "/convos/status",
        "/pool/provision",
        "/pool/reset",
        "/pool/update-template",
        "/pool/health/",
        "/pool//health",
        "//pool/health",
        "/pool/health%2f..",
        "/pool/../pool/health",
    ];
    for auth in &wrong {
        for path in paths {
            for method in ["GET", "POST"] {
                let (status, body) = runner.call_as(method, path, auth.as_deref(), "{}").await;
                assert_eq!(status, 401, "{method} {path}");
                assert_eq!(body["error"], "unauthorized");
            }
        }
    }
    let (status, body) = runner.call_as("GET", "/pool/health?x=1", None, "").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        serde_json::json!({"ready": true, "runtime": "fake", "version": "1.2.3"})
    );
    assert_eq!(
        runner.call_as("POST", "/pool/health", None, "").await.0,
        405
    );
    assert_eq!(runner.call("GET", "/pool/provision", "").await.0, 405);
    assert_eq!(runner.call("GET", "/no/such/path", "").await.0, 404);
}

#[tokio::test]
async fn two_tokens_are_none() {
    let runner = Runner::ready(|_| {}).await;
    let request = Request::builder()
        .uri("/echo")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("authorization", "Bearer other");
    let request = request.body(Full::default()).expect("a request");
    let mut sender = crate::running::connect(runner.port)
        .await
        .expect("a connection");
    let answer = sender.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 401);
    let body = answer
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert!(
        !body
            .windows(OWN.len())
            .any(|window| window == OWN.as_bytes())
    );
}

#[tokio::test]
async fn health_says_ready_only_while_the_harness_does() {
    let runner = Runner::ready(|contract| {
        contract["readiness"]["pointer"] = "/ready".into();
    })
    .await;
    kill_process(runner.harness().await, Signal::STOP).expect("stopped");
    until("it is not ready", async || {
        let (status, body) = runner.call_as("GET", "/pool/health", None, "").await;
        assert_eq!(body["ready"], status == 200);
        status == 503
    })
    .await;
    let never = Runner::start(
        |contract| contract["readiness"]["equals"] = "started".into(),
        &[],
    );
    never.until_said("fake | started as").await;
    let (status, said) = never.call("GET", "/plain", "").await;
    let wanted = (503, &"the harness is not ready".into());
    assert_eq!((status, &said["error"]), wanted, "it may never answer that");
    let (status, body) = never.call_as("GET", "/pool/health", None, "").await;
    assert_eq!((status, &body["ready"]), (503, &false.into()));
}

#[tokio::test]
async fn what_is_wrong_with_the_environment_is_said_and_ends_it() {
    let cases = [
        ("GATEWAY_TOKEN", "", "GATEWAY_TOKEN is not set"),
        ("PORT", "x", "PORT is not set, or no port"),
        (
            "YARDMASTER_RUNNER",
            "{\"version\": 9}",
            "version: this runner reads 1 alone",
        ),
    ];
    for (name, value, said) in cases {
        let mut runner = Runner::start(|_| {}, &[(name, value)]);
        assert_eq!(runner.until_ended().await.code(), Some(2));
        runner.until_said(said).await;
    }
}
