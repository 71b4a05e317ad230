//! A change of what an agent is made from: one commit and one deployment; what is no change is neither.

use serde_json::{Value, json};
use world::{Object, condition, eventually};

use crate::support::{IMAGE, SOON, Scene, holds, is_ready, manifest, says, texts};

/// Waits until an instance is ready in its `n`th deployment.
async fn deployed(scene: &Scene<'_>, instance: &Object<'_>, n: u64) {
    let what = format!("{} has had {n} deployments", instance.name());
    eventually(&what, SOON, async || {
        Ok((scene.deployments(instance).await >= n).then_some(()))
    })
    .await
    .unwrap();
    let newest = scene.agent(instance).await["deployment"].clone();
    let what = format!("it is ready in deployment {newest}");
    let ready = instance.wait_until(&what, SOON, |object| {
        let deployment = &object.data["status"]["deployment"];
        deployment["id"] == newest && deployment["ready"] == true && holds(object, "Ready")
    });
    ready.await.unwrap();
    assert_eq!(scene.deployments(instance).await, n);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_one_commit_and_one_deployment() {
    let scene = Scene::new("change").await;
    scene.secret("keys", json!({"api": "one"})).await;
    scene.config_map("texts", json!({"greeting": "one"})).await;
    let from_secret =
        json!({"name": "API", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}});
    let env = json!({"env": [{"name": "LEVEL", "value": "info"}, {"name": "OLD", "value": "x"}, from_secret]});
    let template = scene.template("t", json!({}), env).await;
    let own = json!({"env": [{"name": "HI", "valueFrom": {"configMapKeyRef": {"name": "texts", "key": "greeting"}}}]});
    let instance = scene.instance("a", "t", own).await;
    is_ready(&instance).await;

    let less = json!({"env": [{"name": "LEVEL", "value": "debug"}, from_secret]});
    let own = json!({"env": [{"name": "OWN", "value": "1"}, {"name": "HI", "value": "2"}]});
    let rows: [(&str, Object<'_>, Value); 8] = [
        (
            "image",
            template.clone(),
            runtime(json!({"image": "ghcr.io/acme/agent:1.5"})),
        ),
        (
            "resources",
            template.clone(),
            runtime(json!({"resources": {"cpu": "500m", "memory": "512Mi"}})),
        ),
        (
            "start command",
            template.clone(),
            runtime(json!({"startCommand": "serve --all"})),
        ),
        (
            "Secret",
            scene.tenant.object("Secret", "keys"),
            json!({"stringData": {"api": "two"}}),
        ),
        (
            "ConfigMap",
            scene.tenant.object("ConfigMap", "texts"),
            json!({"data": {"greeting": "two"}}),
        ),
        (
            "template's variables",
            template.clone(),
            json!({"spec": less}),
        ),
        (
            "instance's variables",
            instance.clone(),
            json!({"spec": own}),
        ),
        (
            "start command left out",
            template.clone(),
            runtime(json!({"startCommand": null})),
        ),
    ];
    for (before, (what, object, change)) in (1..).zip(rows) {
        let mark = scene.mark();
        object.patch(change).await.unwrap();
        deployed(&scene, &instance, before + 1).await;
        scene.listings(1).await;
        assert_eq!(scene.mutations(mark), ["environmentPatchCommit"], "{what}");
        assert_eq!(scene.deployments(&instance).await, before + 1, "{what}");
    }

    // A variable that nobody wants any more is unset, at the provider and on record.
    let variables = texts(&scene.agent(&instance).await["variables"]);
    assert!(!variables.contains("OLD"), "{variables:?}");
    assert!(variables.contains("OWN") && variables.contains("GATEWAY_TOKEN"));
    let recorded = instance.wait_until("OLD is not on record", SOON, |object| {
        !texts(&object.data["status"]["variables"]).contains("OLD")
    });
    recorded.await.unwrap();
}

fn runtime(change: Value) -> Value {
    json!({"spec": {"runtime": change}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_change_deploys_nothing() {
    let scene = Scene::new("no-change").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let template = scene.tenant.template("t");
    let mark = scene.mark();
    let metadata = json!({"metadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}});
    let same = json!({"runtime": {"image": IMAGE, "port": 8080}});
    scene.apply(manifest("AgentTemplate", "t", same)).await;
    template.patch(metadata.clone()).await.unwrap();
    instance.patch(metadata).await.unwrap();
    let patience = runtime(json!({"startupDeadline": "11m"}));
    let generation = template.patch(patience).await.unwrap().metadata.generation;
    let seen = template.wait_until("the template was looked at again", SOON, |object| {
        object.data["status"]["observedGeneration"].as_i64() == generation
    });
    seen.await.unwrap();
    scene.listings(2).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    assert!(holds(&instance.get().await.unwrap(), "Ready"));
    assert_eq!(scene.deployments(&instance).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_come_up_is_shown_and_the_next_spec_mends_it() {
    let rows = [
        ("never-ready", "StartupDeadlineExceeded", "startupDeadline"),
        ("crash-on-boot", "Crashed", "logs"),
    ];
    let told = rows.map(async |(nature, reason, word)| {
        let scene = Scene::new(nature).await;
        let bad =
            json!({"image": format!("ghcr.io/acme/agent:2-{nature}"), "startupDeadline": "2s"});
        let template = scene.template("t", bad, json!({})).await;
        let instance = scene.instance("a", "t", json!({})).await;
        let message = says(&instance, "Stalled", "True", reason).await;
        assert!(message.contains(word), "{message}");
        says(&instance, "Ready", "False", reason).await;
        let mark = scene.mark();
        template
            .patch(runtime(json!({"image": IMAGE})))
            .await
            .unwrap();
        deployed(&scene, &instance, 2).await;
        assert_eq!(scene.mutations(mark), ["environmentPatchCommit"]);
        assert_eq!(condition(&instance.get().await.unwrap(), "Stalled"), None);
    });
    futures::future::join_all(told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_policy_manual_stays_until_it_is_told_to_follow() {
    let scene = Scene::new("manual").await;
    scene.template("t", json!({}), json!({})).await;
    let manual = json!({"updatePolicy": "Manual"});
    let instance = scene.instance("a", "t", manual).await;
    is_ready(&instance).await;
    let mark = scene.mark();
    let newer = runtime(json!({"image": "ghcr.io/acme/agent:1.5"}));
    scene.tenant.template("t").patch(newer).await.unwrap();
    let message = says(&instance, "TemplateSynced", "False", "OutdatedManual").await;
    assert!(message.contains("updatePolicy"), "{message}");
    assert!(holds(&instance.get().await.unwrap(), "Ready"));
    scene.listings(1).await;
    assert_eq!(scene.mutations(mark), [""; 0]);

    let follow = json!({"spec": {"updatePolicy": "Automatic"}});
    instance.patch(follow).await.unwrap();
    deployed(&scene, &instance, 2).await;
    says(&instance, "TemplateSynced", "True", "Current").await;
}
