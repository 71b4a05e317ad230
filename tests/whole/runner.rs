//! The runner in front of a program: the real one, in agents that the product deployed, told and took back.
//!
//! Holds: what the controller writes for the runner is what the runner reads, and what it answers is what the controller understands.
//! Absent: everything that the runner does alone (`runner/tests`).

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use world::{Object, checkout_root, eventually};

use crate::claims::{agent_of, ready};
use crate::support::{SOON, Scene, is_ready, says};

const IMAGE: &str = "ghcr.io/acme/behind:1.0";

/// Makes the image the runner that was built with this test.
async fn runs_here(scene: &Scene<'_>) {
    let runner = Path::new(env!("CARGO_BIN_EXE_yardmaster")).with_file_name("yardmaster-runner");
    assert!(
        runner.exists(),
        "{}: cargo build --workspace",
        runner.display()
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let path: Vec<&str> = path.split(':').collect();
    // It stays as long as the world does: with each setting all are read again.
    let file = scene
        .world
        .dir()
        .join(format!("programs-{}.json", scene.tenant.name()));
    let row = json!({"argv": [runner], "path": path});
    std::fs::write(&file, json!({"ghcr.io/acme/behind": row}).to_string()).unwrap();
    let file = file.display().to_string();
    scene
        .tenant
        .set(&[("agent.programs", &file)])
        .await
        .unwrap();
}

/// A template `t` of a program without a token of its own.
async fn template<'w>(scene: &Scene<'w>) -> Object<'w> {
    let program = checkout_root().join("tests/whole/harness.py");
    let runtime = json!({
        "harness": "http",
        "entrypoint": "Runner",
        "image": IMAGE,
        "port": null,
        "startCommand": format!("python3 '{}' {{port}}", program.display()),
        "contract": {
            "health": {"path": "/state", "ready": {"pointer": "/state", "equals": "ok"}},
            "auth": {"type": "None"},
        },
        "volume": {"mountPath": "/data"},
    });
    let file = json!({"path": "settings", "content": "laid", "mode": "Always"});
    let persona =
        json!({"model": {"default": "acme/large", "allowOverride": true}, "instructions": "ask"});
    scene
        .template("t", runtime, json!({"persona": persona, "files": [file]}))
        .await
}

/// A claim's agent, called as people call it.
struct Called {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Called {
    async fn of(scene: &Scene<'_>, name: &str) -> Called {
        let instance = scene.tenant.instance(name).get().await.unwrap();
        let url = instance.data["status"]["url"].as_str().unwrap().to_owned();
        let namespace = scene.tenant.namespace();
        let secret = scene
            .world
            .secret(namespace, &format!("{name}-agent"))
            .await;
        Called {
            client: scene.world.http(Duration::from_secs(10)).unwrap(),
            url,
            token: secret.unwrap()["GATEWAY_TOKEN"].clone(),
        }
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).json(&body).send().await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// `None` while nobody answers.
    async fn get(&self, path: &str) -> Option<Value> {
        let request = self.client.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    async fn is_open(&self, path: &str) -> bool {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        answer.unwrap().status() == 200
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_a_token_is_pooled_told_kept_and_released_behind_the_runner() {
    let scene = Scene::new("behind").await;
    runs_here(&scene).await;
    let template = template(&scene).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let spec = json!({
        "personaRef": {"name": "t"},
        "updatePolicy": "Automatic",
        "agent": {"name": "Ada", "model": "acme/small", "metadata": {"team": "a"}},
        "env": [{"name": "TOLD", "value": "so"}],
    });
    let claim = scene.claim("c", spec).await;
    let bound = ready(&claim).await;
    let (name, uid) = (agent_of(&bound), bound.metadata.uid.clone().unwrap());
    let instance = scene.tenant.instance(&name);
    let harness = &is_ready(&instance).await.data["status"]["harness"];
    assert_eq!(*harness, json!({"name": "http", "version": "3.1"}));

    let agent = Called::of(&scene, &name).await;
    assert!(agent.is_open("/pool/health").await && !agent.is_open("/").await);
    let who = agent.get("/").await.unwrap();
    let text = who["who"].as_str().unwrap();
    assert!(
        text.contains("# Ada") && text.contains("be c") && text.contains("team: a"),
        "{text}"
    );
    assert_eq!(who["settings"], "laid");
    let env = &who["env"];
    assert_eq!(
        (&env["AGENT_MODEL"], &env["TOLD"]),
        (&json!("acme/small"), &json!("so"))
    );
    for hidden in ["GATEWAY_TOKEN", "YARDMASTER_RUNNER", "PORT"] {
        assert_ne!(env[hidden], json!(agent.token), "{hidden}");
        assert!(hidden == "PORT" || env[hidden].is_null(), "{hidden}");
    }
    agent.post("/notes", json!("kept")).await;
    let another = json!({"claim": "0d5c2c1e-6c0e-4b5e-9c39-0b6f6f1d7c11", "agentName": "Eve", "instructions": "x"});
    let (status, said) = agent.post("/pool/provision", another).await;
    assert_eq!((status, &said["claim"]), (409, &json!(uid)));

    // A new deployment finds on the disk whose it is, who, and what it wrote.
    let env = json!({"spec": {"env": [{"name": "TURN", "value": "2"}]}});
    template.patch(env).await.unwrap();
    let again = eventually("the next deployment answers", SOON, async || {
        let who = agent.get("/").await;
        Ok(who.filter(|who| who["env"]["TURN"] == "2"))
    });
    let again = again.await.unwrap();
    assert_eq!(
        (&again["who"], &again["notes"]),
        (&who["who"], &json!("\"kept\""))
    );
    assert_eq!(again["env"]["AGENT_MODEL"], "acme/small");
    assert_eq!(
        agent.get("/pool/status").await.unwrap()["claim"],
        json!(uid)
    );
    is_ready(&instance).await;

    claim.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_runner_refuses_stands_in_the_claim_in_its_own_words() {
    let scene = Scene::new("behind-refused").await;
    runs_here(&scene).await;
    template(&scene).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let agent = json!({"joinUrl": "https://agents.example.com/j/1"});
    let claim = scene.claim("c", json!({"agent": agent})).await;
    let said = says(&claim, "Stalled", "True", "Refused").await;
    assert!(said.contains("this agent joins no conversation"), "{said}");
}
