//! Programs as they are published: each example comes up with its program's own port, variables and path; what is wrong with one is told.
//!
//! Holds: the simulator's programs answer only where they are configured as the real ones need it, so Ready proves the configuration.
//! Absent: the real programs.

use serde::Deserialize;
use serde_json::{Value, json};
use world::{checkout_root, condition};

use crate::claims::{agent_of, ready, told};
use crate::support::{SOON, Scene, is_ready, says, texts};

/// Applies an example in a scene's namespace and account. docker.io is not in this world: the image is taken from ghcr.io.
async fn example(scene: &Scene<'_>, name: &str) {
    let path = checkout_root().join(format!("examples/harnesses/{name}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("docker.io/", "ghcr.io/");
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let mut object = Value::deserialize(document).unwrap();
        object["metadata"]["namespace"] = json!(scene.tenant.namespace());
        if object["kind"] == "AgentInstance" {
            object["spec"]["accountRef"]["name"] = json!(scene.tenant.account());
        }
        if object["kind"] == "AgentPool" {
            object["spec"]["accountRefs"][0]["name"] = json!(scene.tenant.account());
        }
        scene.apply(object).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_harness_gets_ready_and_says_what_it_is() {
    let scene = Scene::new("harnesses").await;
    for (file, name, version, variables) in [
        (
            "openclaw",
            "openclaw",
            "2026.9.6",
            "OPENCLAW_GATEWAY_TOKEN OPENCLAW_GATEWAY_PORT OPENCLAW_STATE_DIR RAILWAY_RUN_UID YARDMASTER_START YARDMASTER_FILE_2",
        ),
        (
            "hermes",
            "hermes",
            "0.19.0",
            "API_SERVER_KEY API_SERVER_PORT API_SERVER_ENABLED API_SERVER_HOST HERMES_HOME YARDMASTER_FILE_1",
        ),
        (
            "opencode",
            "opencode",
            "1.18.33",
            "OPENCODE_SERVER_PASSWORD XDG_DATA_HOME XDG_CONFIG_HOME RAILWAY_RUN_UID YARDMASTER_FILE_2",
        ),
        ("http", "own", "", "GATEWAY_TOKEN PORT"),
    ] {
        example(&scene, file).await;
        let instance = scene.tenant.instance(name);
        let ready = is_ready(&instance).await;
        let mut said = json!({"name": file});
        if !version.is_empty() {
            said["version"] = json!(version);
        }
        assert_eq!(ready.data["status"]["harness"], said);
        assert_eq!(condition(&ready, "HarnessSupported"), None);
        let agent = scene.agent(&instance).await;
        assert_eq!(
            (&agent["ready"], &agent["deployments"]),
            (&json!(true), &json!(1))
        );
        let set = texts(&agent["variables"]);
        for variable in variables.split(' ') {
            assert!(set.contains(variable), "{name}: {variable} in {set:?}");
        }
        assert_eq!(set.contains("GATEWAY_TOKEN"), file == "http", "{set:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_behind_the_runner_is_pooled_and_claimed() {
    let scene = Scene::new("harness-runner").await;
    example(&scene, "runner").await;
    let claim = scene.tenant.object("AgentClaim", "lin");
    let bound = ready(&claim).await;
    let instance = scene.tenant.instance(&agent_of(&bound));
    let known = &is_ready(&instance).await.data["status"]["harness"];
    assert_eq!(*known, json!({"name": "hermes", "version": "0.19.0"}));
    let tellings = told(&scene, &bound).await;
    assert_eq!(tellings[0].agent_name.as_deref(), Some("Lin"));
    let agent = scene.agent(&instance).await;
    assert_eq!(agent["model"], "openai/gpt-5-mini");
    let set = texts(&agent["variables"]);
    for variable in ["YARDMASTER_RUNNER", "GATEWAY_TOKEN", "PORT", "HERMES_HOME"] {
        assert!(set.contains(variable), "{variable} in {set:?}");
    }
    assert!(!set.contains("API_SERVER_KEY"), "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_not_tried_is_told_and_takes_nothing_from_the_agent() {
    let scene = Scene::new("harness-version").await;
    let old = json!({"harness": "openclaw", "image": "ghcr.io/openclaw/openclaw:2026.7.1"});
    let template = scene.template("t", old, json!({})).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let told = says(
        &instance,
        "HarnessSupported",
        "False",
        "VersionNotSupported",
    )
    .await;
    assert!(
        told.contains("openclaw 2026.7.1") && told.contains(">=2026.8.1"),
        "{told}"
    );
    is_ready(&instance).await;
    let new = json!({"spec": {"runtime": {"image": "ghcr.io/openclaw/openclaw:2026.9.6"}}});
    template.patch(new).await.unwrap();
    let gone = instance.wait_until("the new version is told", SOON, |object| {
        object.data["status"]["harness"]["version"] == "2026.9.6"
            && condition(object, "HarnessSupported").is_none()
    });
    gone.await.unwrap();
    is_ready(&instance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_refuses_its_token_is_told_in_words_that_lead_to_its_mending() {
    let scene = Scene::new("harness-token").await;
    // A program that wants Basic, run as a program that nobody knows.
    let wrong = json!({
        "harness": "http",
        "image": "ghcr.io/sst/opencode:1.18.33",
        "port": 4096,
        "startCommand": "opencode serve --hostname 0.0.0.0 --port 4096",
        "contract": {
            "health": {"path": "/global/health", "ready": {"pointer": "/healthy", "equals": "true"}},
            "auth": {"type": "Bearer"},
            "tokenVariable": "OPENCODE_SERVER_PASSWORD",
        },
    });
    let template = scene.template("t", wrong, json!({})).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let told = instance.wait_until("its answer is told", SOON, |object| {
        let healthy = condition(object, "Healthy");
        let said = healthy.and_then(|healthy| healthy["message"].as_str());
        said.is_some_and(|said| {
            said.contains("/global/health answered 401")
                && said.contains(
                    "sent as Bearer token and is in its variable OPENCODE_SERVER_PASSWORD",
                )
                && said.contains("runtime.contract.auth")
        })
    });
    told.await.unwrap();
    let deployments = scene.deployments(&instance).await;
    let basic = json!({"type": "Basic", "username": "opencode"});
    let mended = json!({"spec": {"runtime": {"contract": {"auth": basic}}}});
    template.patch(mended).await.unwrap();
    is_ready(&instance).await;
    assert_eq!(scene.deployments(&instance).await, deployments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_gives_its_program_too_little_memory_says_so() {
    let scene = Scene::new("harness-memory").await;
    let small = json!({"harness": "hermes", "image": "ghcr.io/nousresearch/hermes-agent:0.19.0", "resources": {"memory": "256Mi"}});
    let template = scene.template("t", small, json!({})).await;
    let told = says(&template, "HarnessSupported", "False", "TooLittleMemory").await;
    assert!(told.contains("256Mi") && told.contains("1Gi"), "{told}");
    is_ready(&template).await;
}
