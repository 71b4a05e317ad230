//! A fleet that a predecessor runs is moved over: imported, adopted as it is, and from then on ours to delete or to update.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use world::eventually;

use crate::support::{SOON, Scene, holds, id, is_ready, list, says};

/// What the predecessor deployed: not what the template asks for.
const OLD: &str = "ghcr.io/acme/agent:1.3";

/// The predecessor, with a token of its own for the same workspace.
struct Predecessor<'s> {
    scene: &'s Scene<'static>,
    http: reqwest::Client,
    token: String,
}

/// An agent that it runs.
struct Agent {
    project: String,
    environment: String,
    service: String,
}

impl<'s> Predecessor<'s> {
    fn new(scene: &'s Scene<'static>) -> Self {
        Predecessor {
            scene,
            http: scene.world.http(Duration::from_secs(10)).unwrap(),
            token: scene.tenant.token().to_owned(),
        }
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        for _ in 0..100 {
            let body = json!({"query": query, "variables": variables});
            let request = self
                .http
                .post("https://backboard.railway.com/graphql/v2")
                .bearer_auth(&self.token)
                .json(&body);
            let answer = request.send().await.unwrap();
            if answer.status().is_success() {
                let answer: Value = answer.json().await.unwrap();
                if answer["errors"].is_null() {
                    return answer["data"].clone();
                }
                assert!(answer.to_string().contains("quickly"), "{answer}");
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        panic!("Railway does not serve the predecessor: {query}");
    }

    async fn project(&self, name: &str) -> (String, String) {
        let wanted = json!({"name": name, "workspace": self.scene.tenant.workspace()});
        let made = self
            .scene
            .by_hand(Method::POST, "/railway/projects", wanted)
            .await;
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("id"), text("environmentId"))
    }

    /// A service that runs: with an address, variables of its own, and a disk where that is wanted.
    async fn service(&self, home: &(String, String), name: &str, disk: bool) -> Agent {
        let (project, environment) = home.clone();
        let input = json!({"projectId": project, "environmentId": environment, "name": name});
        let made = self
            .ask(
                "mutation S($input: ServiceCreateInput!) { serviceCreate(input: $input) { id } }",
                json!({"input": input}),
            )
            .await;
        let service = made["serviceCreate"]["id"].as_str().unwrap().to_owned();
        if disk {
            let input = json!({"projectId": project, "environmentId": environment, "serviceId": service, "mountPath": "/data"});
            self.ask(
                "mutation V($input: VolumeCreateInput!) { volumeCreate(input: $input) { id } }",
                json!({"input": input}),
            )
            .await;
        }
        let input = json!({"environmentId": environment, "serviceId": service});
        self.ask(
            "mutation D($input: ServiceDomainCreateInput!) { serviceDomainCreate(input: $input) { id domain } }",
            json!({"input": input}),
        )
        .await;
        let patch = json!({"services": {&service: {
            "source": {"image": OLD},
            "variables": {"INSTANCE_ID": {"value": name}, "GATEWAY_TOKEN": {"value": format!("own-{name}")}},
        }}});
        self.ask(
            "mutation C($environment: String!, $patch: EnvironmentConfig!, $message: String!) { environmentPatchCommit(environmentId: $environment, patch: $patch, commitMessage: $message) }",
            json!({"environment": environment, "patch": patch, "message": "pool"}),
        )
        .await;
        Agent {
            project,
            environment,
            service,
        }
    }
}

/// Runs the real binary.
async fn import(scene: &Scene<'_>, more: &[&str]) -> (String, String) {
    let tenant = &scene.tenant;
    let done = tokio::process::Command::new(env!("CARGO_BIN_EXE_yardmaster"))
        .args(["import", "--from-railway", "--template", "t"])
        .args(["--workspace", tenant.workspace()])
        .args(["--namespace", tenant.namespace()])
        .args(["--account", tenant.account()])
        .args(more)
        .env("RAILWAY_API_TOKEN", tenant.token())
        .env("HTTPS_PROXY", scene.world.proxy())
        .env("SSL_CERT_FILE", scene.world.directory().ca())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(done.stdout), text(done.stderr));
    assert!(done.status.success(), "{err}\n{out}");
    (out, err)
}

/// What runs of a tenant, as the simulator tells it, without what changes by asking.
async fn running(scene: &Scene<'_>) -> Vec<Value> {
    let agents = scene.world.outside().agents().await.unwrap();
    let mut mine: Vec<Value> = list(&agents)
        .into_iter()
        .filter(|agent| agent["workspace"] == scene.tenant.workspace())
        .map(|agent| {
            json!([
                agent["serviceId"],
                agent["projectId"],
                agent["deployment"],
                agent["deployments"],
                agent["digest"],
                agent["variableHashes"],
                agent["domain"]
            ])
        })
        .collect();
    mine.sort_by_key(Value::to_string);
    mine
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_moved_over_without_a_restart() {
    let scene = Scene::new("import").await;
    scene.template("t", json!({}), json!({})).await;
    let old = Predecessor::new(&scene);
    let mut agents = Vec::new();
    for n in 0..18 {
        let name = format!("assistant-prod-{n:012}");
        let home = old.project(&name).await;
        let agent = old.service(&home, &name, n == 0).await;
        agents.push((name, agent));
    }
    for n in 0..2 {
        let home = old.project(&format!("pool-{n}")).await;
        old.service(&home, "postgres", false).await;
        let name = format!("convos-agent-{n:012}");
        let agent = old.service(&home, &name, true).await;
        agents.push((name, agent));
    }
    old.project("website").await;
    eventually("the predecessor's agents run", SOON, async || {
        Ok((running(&scene).await.len() == 22).then_some(()))
    })
    .await
    .unwrap();
    let (before, projects) = (running(&scene).await, scene.projects().await);
    assert_eq!(projects, 21);

    let mark = scene.mark();
    let (manifests, summary) = import(&scene, &[]).await;
    assert!(
        summary.contains("20 agents to adopt, 1 projects skipped"),
        "{summary}"
    );
    assert!(manifests.contains("# skipped website ("), "{manifests}");
    assert_eq!(manifests.matches("ownership: Shared").count(), 2);
    assert!(!manifests.contains(scene.tenant.token()));
    // As the file says: first whoever may change the account lets it be adopted.
    assert!(manifests.starts_with("# First, whoever may change ProviderAccount"));
    let patch = manifests
        .lines()
        .find_map(|line| line.strip_prefix("#patch "));
    let patched = [
        "patch",
        "provideraccount",
        scene.tenant.account(),
        "--type=merge",
        "--patch-file=/dev/stdin",
    ];
    let listed = scene.world.kubectl_with(&patched, patch.unwrap());
    listed.await.unwrap().ok().unwrap();
    let applied = scene.world.kubectl_with(&["apply", "-f", "-"], &manifests);
    applied.await.unwrap().ok().unwrap();
    for (name, agent) in &agents {
        let instance = is_ready(&scene.tenant.instance(name)).await;
        assert_eq!(id(&instance, "project"), agent.project, "{name}");
        assert_eq!(id(&instance, "service"), agent.service, "{name}");
        let synced = world::condition(&instance, "TemplateSynced").unwrap();
        assert_eq!(synced["reason"], "OutdatedManual", "{name}");
        let deployed = &instance.data["status"]["deployment"]["id"];
        let runs = |one: &Value| one[0] == *agent.service && one[2] == *deployed;
        assert!(before.iter().any(runs), "{name}: {deployed}");
    }
    scene.listings(2).await;
    assert_eq!(scene.mutations(mark), Vec::<String>::new());
    assert_eq!(
        running(&scene).await,
        before,
        "something was changed at Railway"
    );
    assert_eq!(scene.projects().await, projects);
    let (_, again) = import(&scene, &["--name-prefix", "convos-agent-"]).await;
    assert!(
        again.contains("2 agents to adopt, 19 projects skipped"),
        "{again}"
    );

    // What somebody has nobody else gets.
    let (_, first) = &agents[1];
    let adopt = json!({"projectId": first.project, "serviceId": first.service, "environmentId": first.environment, "ownership": "Dedicated"});
    let second = scene.instance("second", "t", json!({"adopt": adopt})).await;
    let message = says(&second, "Stalled", "True", "AdoptionFailed").await;
    assert!(
        message.contains("already adopted by") && message.contains(&agents[1].0),
        "{message}"
    );
    second.delete().await.unwrap();
    second.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.mutations(mark), Vec::<String>::new());

    // The one in a shared project goes alone, with its disk.
    let (name, shared) = &agents[18];
    let mark = scene.mark();
    let instance = scene.tenant.instance(name);
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.mutations(mark), ["serviceDelete", "volumeDelete"]);
    let left = scene.tenant.inventory().await.unwrap();
    let inside: Vec<_> = left
        .resources
        .iter()
        .filter(|one| one.kind == "service" && one.parent.as_ref() == Some(&shared.project))
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(inside, ["postgres"]);
    assert_eq!(scene.projects().await, projects);

    // One with a project of its own takes it along.
    let mark = scene.mark();
    let instance = scene.tenant.instance(&agents[0].0);
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.mutations(mark), ["projectDelete"]);
    assert_eq!(scene.projects().await, projects - 1);

    // And one follows its template from now on: one patch, one deployment, its own variables kept.
    let mark = scene.mark();
    let instance = scene.tenant.instance(&agents[1].0);
    let deployments = scene.deployments(&instance).await;
    instance
        .patch(json!({"spec": {"updatePolicy": "Automatic"}}))
        .await
        .unwrap();
    says(&instance, "TemplateSynced", "True", "Current").await;
    let ready = is_ready(&instance).await;
    assert!(holds(&ready, "Ready"));
    assert_eq!(scene.mutations(mark), ["environmentPatchCommit"]);
    assert_eq!(scene.deployments(&instance).await, deployments + 1);
    let agent = scene.agent(&instance).await;
    let variables = agent["variables"].to_string();
    assert!(
        variables.contains("INSTANCE_ID") && variables.contains("GATEWAY_TOKEN"),
        "{variables}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_cannot_read_says_what_to_do() {
    let scene = Scene::new("import-denied").await;
    let done = tokio::process::Command::new(env!("CARGO_BIN_EXE_yardmaster"))
        .args([
            "import",
            "--from-railway",
            "--template",
            "t",
            "--namespace",
            "n",
        ])
        .args(["--account", "a", "--workspace", scene.tenant.workspace()])
        .env_remove("RAILWAY_API_TOKEN")
        .output()
        .await
        .unwrap();
    assert!(!done.status.success() && done.stdout.is_empty());
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(err.contains("--token-file"), "{err}");
}
