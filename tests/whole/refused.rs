//! What the API server refuses to the operator: told on the object, in an event, and tried again ever more slowly.

use std::time::Instant;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use world::{Object, eventually};

use crate::restored::{reborn, say_the_word};
use crate::support::{SOON, Scene, is_ready, says};

/// A policy of the cluster that forbids something in one namespace.
struct Policy(Vec<Object<'static>>);

impl Policy {
    /// Forbids an operation on a resource in the scene's namespace.
    async fn forbids(scene: &Scene<'static>, resource: (&str, &str), operation: &str) -> Policy {
        let namespace = scene.tenant.namespace();
        let name = format!("no-{namespace}");
        let (group, resource) = resource;
        let policy = json!({
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "resourceRules": [{"apiGroups": [group], "apiVersions": ["*"], "operations": [operation], "resources": [resource]}],
            },
            "validations": [{"expression": "false", "message": "this namespace has none of that"}],
        });
        let binding = json!({"policyName": name, "validationActions": ["Deny"]});
        let mut parts = Vec::new();
        for (kind, spec) in [
            ("ValidatingAdmissionPolicy", policy),
            ("ValidatingAdmissionPolicyBinding", binding),
        ] {
            let part = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": name}, "spec": spec});
            scene.world.cluster().apply_one(part, None).await.unwrap();
            parts.push(scene.world.object(kind, None, &name));
        }
        Policy(parts)
    }

    async fn ends(&self) {
        for part in &self.0 {
            part.delete().await.unwrap();
        }
    }
}

/// Waits until a Secret is refused in the scene's namespace.
async fn secrets_are_refused(scene: &Scene<'_>) {
    let namespace = Some(scene.tenant.namespace());
    let api = scene.world.cluster().api("Secret", namespace);
    let api = api.await.unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe"}});
    let secret: DynamicObject = serde_json::from_value(secret).unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("a Secret is refused", SOON, async || {
        Ok(api.create(&dry, &secret).await.is_err().then_some(()))
    })
    .await
    .unwrap();
}

/// Waits until a change of the instance is refused.
async fn refuses_change(instance: &Object<'_>, status: bool) {
    let api = instance.api().await.unwrap();
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let change = Patch::Merge(
        json!({"metadata": {"labels": {"probe": "yes"}}, "status": {"url": "https://probe"}}),
    );
    eventually("a change is refused", SOON, async || {
        let tried = match status {
            true => api.patch_status(instance.name(), &dry, &change).await,
            false => api.patch(instance.name(), &dry, &change).await,
        };
        Ok(tried.is_err().then_some(()))
    })
    .await
    .unwrap();
}

async fn warnings(instance: &Object<'_>) -> Vec<String> {
    let mut events = instance.events().await.unwrap();
    events.retain(|event| event.contains("RefusedByCluster"));
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_takes_no_secrets_is_told_and_waited_for() {
    // By a policy, and by a quota that is full.
    let by_policy = async {
        let scene = Scene::new("no-secrets").await;
        let policy = Policy::forbids(&scene, ("", "secrets"), "CREATE").await;
        secrets_are_refused(&scene).await;
        told(&scene, "this namespace has none of that").await;
        policy.ends().await;
        is_ready(&scene.tenant.instance("a")).await;
    };
    let by_quota = async {
        let scene = Scene::new("full-quota").await;
        let hard = json!({"count/secrets": "0"});
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": hard}});
        scene.apply(quota).await;
        // Counting is a controller's work, and none is here.
        let quota = scene.tenant.object("ResourceQuota", "full");
        let counted = json!({"status": {"hard": hard, "used": {"count/secrets": "0"}}});
        let api = quota.api().await.unwrap();
        let counted = Patch::Merge(&counted);
        api.patch_status("full", &PatchParams::default(), &counted)
            .await
            .unwrap();
        secrets_are_refused(&scene).await;
        let message = told(&scene, "exceeded quota").await;
        assert!(
            message.contains("raise the namespace's ResourceQuota"),
            "{message}"
        );
        quota.delete().await.unwrap();
        is_ready(&scene.tenant.instance("a")).await;
    };
    futures::join!(by_policy, by_quota);
}

/// An instance says that its Secret is refused, and why; nothing is made outside, and little is asked of the API server.
async fn told(scene: &Scene<'_>, why: &str) -> String {
    scene.template("t", json!({}), json!({})).await;
    let mark = scene.mark();
    let instance = scene.instance("a", "t", json!({})).await;
    let message = says(&instance, "Stalled", "True", "RefusedByCluster").await;
    assert!(
        message.contains("to create Secret a-agent") && message.contains(why),
        "{message}"
    );
    for (kind, status) in [("Ready", "False"), ("Synced", "False")] {
        assert_eq!(
            says(&instance, kind, status, "RefusedByCluster").await,
            message
        );
    }
    // It used to be asked for each two seconds.
    scene.listings(8).await;
    let writes = scene.writes(mark);
    let tried = writes
        .iter()
        .filter(|one| one.resource == "secrets")
        .count();
    assert!((1..=3).contains(&tried), "{writes:?}");
    let statuses = writes
        .iter()
        .filter(|one| one.subresource == "status" && one.resource == "agentinstances");
    // Once while its template is looked at, at most.
    assert!(statuses.count() <= 2, "{writes:?}");
    assert_eq!(scene.mutations(mark), [""; 0]);
    let warnings = warnings(&instance).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalizer_or_a_status_that_is_refused_is_told() {
    let finalizer = async {
        let scene = Scene::new("no-finalizer").await;
        let first = scene.ready(json!({}), &["a"]).await.remove(0);
        let resource = ("yardmaster.dev", "agentinstances");
        let policy = Policy::forbids(&scene, resource, "UPDATE").await;
        refuses_change(&first, false).await;
        let instance = scene.instance("b", "t", json!({})).await;
        let message = says(&instance, "Stalled", "True", "RefusedByCluster").await;
        let asked = "to patch the finalizers of AgentInstance b";
        assert!(message.contains(asked), "{message}");
        policy.ends().await;
        is_ready(&instance).await;
    };
    let status = async {
        let scene = Scene::new("no-status").await;
        let first = scene.ready(json!({}), &["a"]).await.remove(0);
        let resource = ("yardmaster.dev", "agentinstances/status");
        let policy = Policy::forbids(&scene, resource, "UPDATE").await;
        refuses_change(&first, true).await;
        let mark = scene.mark();
        let instance = scene.instance("b", "t", json!({})).await;
        eventually("an event says it", SOON, async || {
            Ok(warnings(&instance).await.into_iter().next())
        })
        .await
        .unwrap();
        scene.listings(4).await;
        let told = warnings(&instance).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("writing the status"), "{told:?}");
        // What cannot be written down is not made.
        assert_eq!(scene.mutations(mark), [""; 0]);
        policy.ends().await;
        is_ready(&instance).await;
    };
    futures::join!(finalizer, status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_agent_whose_word_cannot_be_put_on_record_is_looked_at_seldom() {
    let scene = Scene::new("no-word").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    reborn(&scene, &instance, false, true).await;
    says(&instance, "Stalled", "True", "RestoredElsewhere").await;
    let resource = ("yardmaster.dev", "agentinstances/status");
    let policy = Policy::forbids(&scene, resource, "UPDATE").await;
    refuses_change(&instance, true).await;
    say_the_word(&scene.tenant.provider_account()).await;
    eventually("an event says it", SOON, async || {
        Ok(warnings(&instance).await.into_iter().next())
    })
    .await
    .unwrap();
    let (mark, begun) = (scene.world.audit().mark().unwrap(), Instant::now());
    scene.listings(4).await;
    let took = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let mut asked = scene.world.audit().since(mark).unwrap();
    asked.retain(|one| {
        let it = (one.resource.as_str(), one.name.as_str()) == ("agentinstances", "a");
        it && one.is_controller() && one.namespace == scene.tenant.namespace()
    });
    // Each look is a reading and a try to write. Its account looks every two seconds whether all have gone on.
    assert!(asked.len() <= 4 + took * 2, "{} in {took} s", asked.len());
    policy.ends().await;
    is_ready(&instance).await;
}
