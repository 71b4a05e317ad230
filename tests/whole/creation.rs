//! How an agent comes up: the requests, the deployment, the writes, what is said; and what it waits for.

use std::time::Duration;

use serde_json::{Value, json};
use world::{condition, eventually};

use crate::support::{IMAGE, SOON, Scene, id, is_ready, list, says, texts};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_four_requests_and_five_with_a_disk() {
    let volume = json!({"volume": {"mountPath": "/data", "size": "5Gi"}});
    tokio::join!(
        comes_up("plain", json!({}), false, "0s"),
        comes_up("disk", volume, true, "700ms")
    );
}

async fn comes_up(name: &str, runtime: Value, disk: bool, time: &str) {
    let scene = Scene::new(name).await;
    let times = [("railway.deployTime", time), ("agent.bootTime", time)];
    scene.tenant.set(&times).await.unwrap();
    scene
        .secret("keys", json!({"api": "s3cret", "other": "x"}))
        .await;
    scene
        .config_map("texts", json!({"greeting": "hello"}))
        .await;
    let env = json!({"env": [
        {"name": "PLAIN", "value": "template"},
        {"name": "BOTH", "value": "template"},
        {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}},
    ]});
    let template = scene.template("t", runtime, env).await;
    is_ready(&template).await;
    let own = json!({"env": [
        {"name": "BOTH", "value": "instance"},
        {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "texts", "key": "greeting"}}},
    ]});
    let instance = scene.instance("ada", "t", own).await;
    let ready = is_ready(&instance).await;

    // The order of facts/railway.md 3.1 B, and nothing else.
    let mut expected = vec![
        "projectCreate",
        "serviceCreate",
        "volumeCreate",
        "serviceDomainCreate",
        "environmentPatchCommit",
    ];
    expected.retain(|operation| disk || *operation != "volumeCreate");
    assert_eq!(scene.mutations(scene.start()), expected);

    // One deployment, of a digest, that saw everything.
    let agent = scene.agent(&instance).await;
    assert_eq!(agent["deployments"], 1);
    assert_eq!(agent["volume"], disk, "{agent}");
    let variables = texts(&agent["variables"]);
    for wanted in ["PLAIN", "BOTH", "API_KEY", "GREETING", "GATEWAY_TOKEN"] {
        assert!(variables.contains(wanted), "{wanted} in {variables:?}");
    }
    let status = &ready.data["status"];
    let digest = status["image"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:"), "{digest}");
    assert_eq!(status["image"]["requested"], IMAGE);
    assert_eq!(agent["image"], format!("ghcr.io/acme/agent@{digest}"));
    let domain = agent["domain"].as_str().unwrap();
    assert_eq!(status["url"], format!("https://{domain}"));
    assert_eq!(agent["ready"], true);

    named_and_marked(&scene, &ready).await;
    said_in_full(&scene, &ready).await;
    written_sparingly(&scene, &instance).await;
}

async fn named_and_marked(scene: &Scene<'_>, instance: &kube::api::DynamicObject) {
    let inventory = scene.tenant.inventory().await.unwrap();
    let uid = instance.metadata.uid.clone().unwrap();
    let projects: Vec<_> = inventory.kind("project").collect();
    assert_eq!(projects.len(), 1);
    assert_eq!(projects[0].id, id(instance, "project"));
    let marker = projects[0].description.clone().unwrap();
    assert!(marker.starts_with("yardmaster installation="), "{marker}");
    let namespace = scene.tenant.namespace();
    let whose = format!(" namespace={namespace} name=ada uid={uid} slot=project");
    assert!(marker.ends_with(&whose), "{marker}");
    for kind in ["project", "service"] {
        let name = &inventory.kind(kind).next().unwrap().name;
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.len() <= 32 && name.chars().all(legal), "{name}");
    }

    let secret = scene.tenant.object("Secret", "ada-agent").get().await;
    let secret = secret.unwrap();
    let owners = secret.metadata.owner_references.unwrap_or_default();
    assert_eq!(owners.len(), 1);
    assert_eq!(
        (owners[0].uid.as_str(), owners[0].controller),
        (uid.as_str(), Some(true))
    );
    assert!(secret.data["data"]["GATEWAY_TOKEN"].is_string());
}

async fn said_in_full(scene: &Scene<'_>, instance: &kube::api::DynamicObject) {
    let status = &instance.data["status"];
    let timings: Vec<_> = ["queued", "created", "deployed", "ready"]
        .map(|when| status["timings"][when].as_str().unwrap().to_owned())
        .into();
    assert!(timings.is_sorted(), "{timings:?}");
    let generation = instance.metadata.generation;
    assert_eq!(status["observedGeneration"].as_i64(), generation);
    for (kind, expected) in [
        ("Ready", "True"),
        ("Synced", "True"),
        ("ProjectReady", "True"),
        ("Deployed", "True"),
        ("Healthy", "True"),
        ("TemplateSynced", "True"),
        ("Suspended", "False"),
    ] {
        let found = condition(instance, kind).unwrap_or_else(|| panic!("there is no {kind}"));
        assert_eq!(found["status"], expected, "{kind}");
        assert_eq!(found["observedGeneration"].as_i64(), generation);
        assert!(
            found["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
        );
    }
    // kstatus takes these two for work and for trouble.
    for absent in ["Reconciling", "Stalled"] {
        assert_eq!(condition(instance, absent), None);
    }

    let namespace = scene.tenant.namespace();
    let columns = async |args: &[&str]| {
        let args = [&["-n", namespace, "get", "agi", "ada"], args].concat();
        let table = scene.world.kubectl(&args).await.unwrap().ok().unwrap();
        let rows: Vec<Vec<String>> = table
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect();
        rows
    };
    let table = columns(&[]).await;
    let header = [
        "NAME",
        "READY",
        "REASON",
        "TEMPLATE",
        "UP-TO-DATE",
        "CLAIM",
        "AGE",
        "URL",
    ];
    assert_eq!(table[0], header);
    assert_eq!(table[1][..5], ["ada", "True", "Ready", "t", "True"]);
    let table = columns(&["-o", "wide"]).await;
    let link = format!("https://railway.com/project/{}", id(instance, "project"));
    assert!(table[1].contains(&link), "{table:?}");
}

/// A busy machine makes it wait more often; how many writes nothing to wait for takes is a law's (`laws/undisturbed`).
async fn written_sparingly(scene: &Scene<'_>, instance: &world::Object<'_>) {
    let object = instance.get().await.unwrap();
    let version = object.metadata.resource_version.clone();
    let statuses = || {
        let audit = std::fs::read_to_string(scene.world.audit().path()).unwrap();
        let written = audit.lines().filter_map(world::truth::written_status);
        let own =
            written.filter(|one| one["metadata"]["uid"] == object.metadata.uid.as_deref().unwrap());
        own.collect::<Vec<_>>()
    };
    // The log may be a moment behind.
    let told = eventually("the last write is in the audit log", SOON, async || {
        let all = statuses();
        let last = all
            .last()
            .map(|one| one["metadata"]["resourceVersion"].clone());
        Ok((last == version.clone().map(Value::from)).then_some(all))
    });
    let told = told.await.unwrap();
    for pair in told.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|one| without_times(&one["status"]));
        assert_ne!(before, after, "a write that says nothing new");
    }
    let writes = scene.writes(scene.start());
    let others = writes
        .iter()
        .filter(|one| one.subresource != "status" && one.resource != "agenttemplates");
    let others: Vec<_> = others
        .map(|one| format!("{} {}", one.verb, one.resource))
        .collect();
    assert_eq!(others, ["patch agentinstances", "create secrets"]);
    scene.listings(2).await;
    let now = instance.get().await.unwrap().metadata.resource_version;
    assert_eq!(version, now, "at rest nothing is written");
}

/// What a status says, but for when.
fn without_times(status: &Value) -> Value {
    match status {
        Value::Object(fields) => {
            let said = fields
                .iter()
                .filter(|(name, _)| *name != "lastTransitionTime");
            said.map(|(name, value)| (name.clone(), without_times(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(without_times).collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_is_pulled_with_either_form_of_secret() {
    let scene = Scene::new("private").await;
    scene
        .secret(
            "pair",
            json!({"username": "pull", "password": "pull-secret"}),
        )
        .await;
    let docker = json!({"auths": {"ghcr.io": {"username": "pull", "password": "pull-secret"}}});
    scene
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "docker"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": docker.to_string()},
        }))
        .await;
    let image = "ghcr.io/acme/private/agent:1.4";
    for secret in ["pair", "docker"] {
        let runtime = json!({"image": image, "imagePullSecretRef": {"name": secret}});
        scene.template(secret, runtime, json!({})).await;
        scene.instance(secret, secret, json!({})).await;
    }
    for secret in ["pair", "docker"] {
        let instance = scene.tenant.instance(secret);
        is_ready(&instance).await;
        assert_eq!(scene.agent(&instance).await["ready"], true);
    }

    // Without one it is told, and a Secret that is named afterwards is enough.
    let template = scene
        .template("none", json!({"image": image}), json!({}))
        .await;
    let instance = scene.instance("none", "none", json!({})).await;
    let message = says(&template, "Stalled", "True", "ImageAccessDenied").await;
    assert!(message.contains("imagePullSecretRef"), "{message}");
    says(&instance, "Stalled", "True", "TemplateNotReady").await;
    let named = json!({"spec": {"runtime": {"imagePullSecretRef": {"name": "pair"}}}});
    template.patch(named).await.unwrap();
    is_ready(&instance).await;

    // One with a wrong password is corrected: the refusal of the old one, repeated first after 30 s, says nothing of the new.
    scene
        .secret("typo", json!({"username": "pull", "password": "wrong"}))
        .await;
    let runtime = json!({"image": image, "imagePullSecretRef": {"name": "typo"}});
    let template = scene.template("typo", runtime, json!({})).await;
    says(&template, "Stalled", "True", "ImageAccessDenied").await;
    scene
        .secret(
            "typo",
            json!({"username": "pull", "password": "pull-secret"}),
        )
        .await;
    let quickly = Duration::from_secs(15);
    template
        .wait_condition("Ready", "True", quickly)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_registry_keeps_none_waiting_but_those_who_named_it() {
    let (loud, neighbour) = (Scene::new("loud").await, Scene::new("quiet").await);
    let silence =
        json!({"provider": "ghcr", "contains": "says-nothing", "times": 0, "effect": {"late": 60}});
    let silence = loud.world.outside().post_fault(silence).await.unwrap();
    // More than there are workers.
    for n in 0..20 {
        let runtime = json!({"image": format!("ghcr.io/says-nothing/agent:{n}")});
        loud.template(&format!("t-{n}"), runtime, json!({})).await;
    }
    let asked = async || Ok((loud.world.outside().fired(&silence).await? > 0).then_some(()));
    eventually("the registry was asked", SOON, asked)
        .await
        .unwrap();
    // Each question waits for its answer for half a minute.
    let template = neighbour.template("t", json!({}), json!({})).await;
    let quickly = Duration::from_secs(15);
    template
        .wait_condition("Ready", "True", quickly)
        .await
        .unwrap();
    // Those who named it are told, and go on when it answers.
    let first = loud.tenant.template("t-0");
    let told = says(&first, "Ready", "False", "RegistryUnreachable").await;
    assert!(told.contains("ghcr.io gives no answer"), "{told}");
    loud.end_fault(&silence).await;
    first.wait_condition("Ready", "True", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_told_and_its_correction_is_enough() {
    let scene = Scene::new("no-image").await;
    let missing = "ghcr.io/acme/agent:missing";
    let template = scene
        .template("t", json!({"image": missing}), json!({}))
        .await;
    let instance = scene.instance("a", "t", json!({})).await;
    let message = says(&template, "Stalled", "True", "ImageNotFound").await;
    assert!(message.contains(missing), "{message}");
    let message = says(&instance, "Stalled", "True", "TemplateNotReady").await;
    assert!(message.contains(missing), "{message}");
    says(&instance, "Ready", "False", "TemplateNotReady").await;
    assert_eq!(scene.mutations(scene.start()), [""; 0]);

    let corrected = json!({"spec": {"runtime": {"image": IMAGE}}});
    template.patch(corrected).await.unwrap();
    is_ready(&instance).await;
    assert_eq!(scene.mutations(scene.start()).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_value_is_named_and_its_arrival_is_enough() {
    let scene = Scene::new("no-value").await;
    scene.secret("keys", json!({"other": "x"})).await;
    let reference = |kind: &str, name: &str| json!({"env": [{"name": "KEY", "valueFrom": {kind: {"name": name, "key": "api"}}}]});
    scene.template("plain", json!({}), json!({})).await;
    scene
        .template("wants", json!({}), reference("secretKeyRef", "keys"))
        .await;
    // Where it is missed: the key in a template's Secret, a whole ConfigMap of an instance.
    let by_template = scene.instance("by-template", "wants", json!({})).await;
    let by_instance = reference("configMapKeyRef", "texts");
    let by_instance = scene.instance("by-instance", "plain", by_instance).await;
    let message = says(&by_template, "Stalled", "True", "TemplateNotReady").await;
    assert!(
        message.contains("keys") && message.contains("api"),
        "{message}"
    );
    let message = says(&by_instance, "Stalled", "True", "ReferenceNotFound").await;
    assert!(message.contains("texts"), "{message}");
    assert_eq!(scene.mutations(scene.start()), [""; 0]);

    scene
        .secret("keys", json!({"other": "x", "api": "s3cret"}))
        .await;
    scene.config_map("texts", json!({"api": "x"})).await;
    is_ready(&by_template).await;
    is_ready(&by_instance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_in_which_things_are_applied_does_not_matter() {
    let scene = Scene::new("order").await;
    let instance = scene.instance("a", "late", json!({})).await;
    let message = says(&instance, "Stalled", "True", "TemplateNotFound").await;
    assert!(message.contains("late"), "{message}");
    scene.template("late", json!({}), json!({})).await;
    let ready = is_ready(&instance).await;
    assert_eq!(list(&ready.data["status"]["external"]).len(), 5);
}
