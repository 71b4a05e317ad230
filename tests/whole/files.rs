//! Files of a template: what they refer to reaches the deployment's variables and nothing else, a change rolls out, what is wrong is told.
//!
//! Absent: that the script lays them, which `engine::laying` and the simulator's own tests show with real shells.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use world::canary::forms;
use world::{Object, condition, eventually};

use crate::support::{SOON, Scene, hash, is_ready, says, texts};

const LONG: usize = 70_000;

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

/// Waits until the deployment's variables of that name have the value.
async fn has(scene: &Scene<'_>, instance: &Object<'_>, variable: &str, value: &str) {
    let what = format!("{variable} is deployed");
    eventually(&what, SOON, async || {
        let agent = scene.agent(instance).await;
        Ok((agent["variableHashes"][variable] == hash(value)).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_files_refer_to_is_deployed_and_a_change_of_it_as_well() {
    let scene = Scene::new("files").await;
    let canary = format!("canary-{}", "file".repeat(8));
    scene.secret("keys", json!({"k": canary})).await;
    let (first, second) = ("x".repeat(LONG), "y".repeat(LONG));
    scene.config_map("texts", json!({"k": first})).await;
    let files = json!({"files": [
        {"path": "a", "content": "{}"},
        {"path": "b", "contentFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}, "mode": "Always"},
        {"path": "c", "contentFrom": {"configMapKeyRef": {"name": "texts", "key": "k"}}},
    ]});
    let hermes = json!({"harness": "hermes", "image": "ghcr.io/nousresearch/hermes-agent:0.19.0", "port": null});
    let template = scene.template("t", hermes, files).await;
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    has(&scene, &instance, "YARDMASTER_FILE_1", &encoded("{}")).await;
    has(&scene, &instance, "YARDMASTER_FILE_2", &encoded(&canary)).await;
    let parts = |text: &str| {
        let text = encoded(text);
        let parts = text.as_bytes().chunks(32_768);
        let parts = parts.map(|part| String::from_utf8(part.to_vec()).unwrap());
        (3..).zip(parts).collect::<Vec<(usize, String)>>()
    };
    assert_eq!(parts(&first).len(), 3);
    for (number, part) in parts(&first) {
        has(
            &scene,
            &instance,
            &format!("YARDMASTER_FILE_{number}"),
            &part,
        )
        .await;
    }
    let set = texts(&scene.agent(&instance).await["variables"]);
    assert!(
        set.contains("YARDMASTER_START") && !set.contains("YARDMASTER_FILE_6"),
        "{set:?}"
    );

    let map = scene.tenant.object("ConfigMap", "texts");
    map.patch(json!({"data": {"k": second}})).await.unwrap();
    for (number, part) in parts(&second) {
        has(
            &scene,
            &instance,
            &format!("YARDMASTER_FILE_{number}"),
            &part,
        )
        .await;
    }
    assert_eq!(scene.deployments(&instance).await, 2);
    is_ready(&instance).await;

    // What is wrong is told, and what runs is left alone.
    map.patch(json!({"data": {"k": null, "other": "x"}}))
        .await
        .unwrap();
    for object in [&template, &instance] {
        let reason = if object.name() == "t" {
            "ReferenceNotFound"
        } else {
            "TemplateNotReady"
        };
        let told = says(object, "Stalled", "True", reason).await;
        assert!(
            told.contains("files[].path c: ConfigMap texts has no key k"),
            "{told}"
        );
    }
    let (half, other) = ("z".repeat(200_000), "k".repeat(100_000));
    map.patch(json!({"data": {"k": half}})).await.unwrap();
    let whole = scene.tenant.object("Secret", "keys");
    whole
        .patch(json!({"stringData": {"k": other}}))
        .await
        .unwrap();
    let told = says(&template, "Stalled", "True", "ValueNotUsable").await;
    assert!(
        told.contains("files must have at most 262144 bytes together"),
        "{told}"
    );
    assert_eq!(scene.deployments(&instance).await, 2);
    whole
        .patch(json!({"stringData": {"k": canary}}))
        .await
        .unwrap();
    map.patch(json!({"data": {"k": "short"}})).await.unwrap();
    has(&scene, &instance, "YARDMASTER_FILE_3", &encoded("short")).await;
    let gone = instance.wait_until("it is well again", SOON, |object| {
        condition(object, "Stalled").is_none()
            && texts(&object.data["status"]["variables"]).contains("YARDMASTER_FILE_3")
            && !texts(&object.data["status"]["variables"]).contains("YARDMASTER_FILE_5")
    });
    gone.await.unwrap();

    // The Secret's text is nowhere, in no form.
    let namespace = scene.tenant.namespace();
    let kinds = "agenttemplates,agentinstances,events,configmaps";
    let objects = scene
        .world
        .kubectl(&["get", kinds, "-n", namespace, "-o", "yaml"])
        .await;
    let mut seen = objects.unwrap().ok().unwrap();
    seen.push_str(&std::fs::read_to_string(scene.world.controller().unwrap().log()).unwrap());
    for form in forms(&canary) {
        assert!(!seen.contains(&form), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_lay_them_template_and_agent_say_so_and_what_runs_goes_on() {
    let scene = Scene::new("files-not-supported").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let template = scene.tenant.template("t");
    let file = json!([{"path": "/srv/agent/a", "content": "x"}]);
    template
        .patch(json!({"spec": {"files": file}}))
        .await
        .unwrap();
    for (object, kinds) in [
        (&template, ["Stalled", "Ready"]),
        (&instance, ["Stalled", "TemplateSynced"]),
    ] {
        for kind in kinds {
            let status = if kind == "Stalled" { "True" } else { "False" };
            let told = says(object, kind, status, "FilesNotSupported").await;
            assert!(told.contains("runtime.startCommand"), "{told}");
        }
    }
    is_ready(&instance).await;
    let agent = scene.agent(&instance).await;
    assert_eq!(
        (&agent["ready"], &agent["deployments"]),
        (&json!(true), &json!(1))
    );

    let command = json!({"spec": {"runtime": {"startCommand": "serve --all"}}});
    template.patch(command).await.unwrap();
    has(&scene, &instance, "YARDMASTER_FILE_1", &encoded("x")).await;
    is_ready(&instance).await;
    for object in [&template, &instance] {
        let what = format!("{} is well again", object.name());
        let gone = object.wait_until(&what, SOON, |object| condition(object, "Stalled").is_none());
        gone.await.unwrap();
    }
    // And without files it is started as before.
    let none: Value = json!({"spec": {"files": null, "runtime": {"startCommand": null}}});
    template.patch(none).await.unwrap();
    let gone = async || {
        let set = texts(&scene.agent(&instance).await["variables"]);
        Ok((!set.iter().any(|name| name.starts_with("YARDMASTER_FILE"))).then_some(()))
    };
    eventually("its files are not deployed any more", SOON, gone)
        .await
        .unwrap();
    is_ready(&instance).await;
}
