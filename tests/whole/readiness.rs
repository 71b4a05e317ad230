//! When an agent is ready: any image can say so, and one that does not is told in words that lead to its mending.

use serde_json::json;

use crate::support::{SOON, Scene, is_ready, says};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_answers_404_after_a_first_503_shows_404_and_what_was_expected_of_whom() {
    let scene = Scene::new("unready").await;
    // It takes a moment to start, answers 503 until then, and knows no such path afterwards.
    let elsewhere = [("agent.healthPaths", "/healthz")];
    scene.tenant.set(&elsewhere).await.unwrap();
    let slow = json!({"image": "ghcr.io/acme/agent:1.4-slow", "startupDeadline": "12s"});
    let template = scene.template("t", slow, json!({})).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let expected =
        "/pool/health answered 404; expected 200 with {\"ready\": true} (runtime.contract.health)";
    let told = instance.wait_until("its answer is told", SOON, |object| {
        let url = object.data["status"]["url"].as_str().unwrap_or("https://");
        world::condition(object, "Healthy")
            .and_then(|healthy| healthy["message"].as_str())
            .is_some_and(|said| said.contains(&format!("GET {url}{expected}")))
    });
    told.await.unwrap();
    let message = says(&instance, "Stalled", "True", "StartupDeadlineExceeded").await;
    assert!(message.contains(expected), "{message}");

    // What is asked for is no part of what is deployed.
    let deployments = scene.deployments(&instance).await;
    let health =
        json!({"path": "/convos/status", "ready": {"pointer": "/clean", "equals": "true"}});
    let mended = json!({"spec": {"runtime": {"contract": {"health": health}}}});
    template.patch(mended).await.unwrap();
    is_ready(&instance).await;
    assert_eq!(scene.deployments(&instance).await, deployments);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_knows_nothing_of_us_is_ready_when_it_answers_200() {
    let scene = Scene::new("any-image").await;
    let health = json!({"path": "/convos/status", "ready": {"status": 200}});
    let runtime = json!({"contract": {"health": health}});
    scene.template("t", runtime, json!({})).await;
    is_ready(&scene.instance("a", "t", json!({})).await).await;
}
