//! What Git, kubectl and people meet: no conflicts, conditions that can be waited for, and events that do not repeat.

use serde_json::{Value, json};

use crate::support::{IMAGE, Scene, is_ready, manifest, says};

#[tokio::test(flavor = "multi_thread")]
async fn manifests_from_git_apply_again_and_again_without_a_conflict() {
    let scene = Scene::new("git").await;
    let account = scene.tenant.account();
    let template = manifest("AgentTemplate", "t", json!({"runtime": {"image": IMAGE}}));
    let instance = json!({"templateRef": {"name": "t"}, "accountRef": {"name": account}});
    let instance = manifest("AgentInstance", "a", instance);
    let both = format!("{template}\n---\n{instance}\n");
    let namespace = scene.tenant.namespace();
    let kubectl = async |args: &[&str]| {
        let args = [&["-n", namespace], args].concat();
        scene.world.kubectl_with(&args, &both).await.unwrap()
    };
    let manager = "--field-manager=argocd-controller";
    let apply = ["apply", "--server-side", manager, "-f", "-"];
    kubectl(&apply).await.ok().unwrap();
    let ready = [
        "wait",
        "agentinstance/a",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    kubectl(&ready).await.ok().unwrap();
    // Nothing of what Git says was changed, so nothing differs and nobody else owns it.
    kubectl(&["diff", "--server-side", manager, "-f", "-"])
        .await
        .ok()
        .unwrap();
    kubectl(&apply).await.ok().unwrap();
    let other = "--field-manager=kustomize-controller";
    kubectl(&["apply", "--server-side", other, "-f", "-"])
        .await
        .ok()
        .unwrap();

    // kstatus: a change is seen, and Ready speaks of it.
    let object = scene.tenant.instance("a");
    let changed = json!({"spec": {"env": [{"name": "X", "value": "1"}]}});
    let generation = object
        .patch(changed)
        .await
        .unwrap()
        .metadata
        .generation
        .unwrap();
    let observed = format!("--for=jsonpath={{.status.observedGeneration}}={generation}");
    kubectl(&["wait", "agentinstance/a", &observed, "--timeout=60s"])
        .await
        .ok()
        .unwrap();
    is_ready(&object).await;
    kubectl(&ready).await.ok().unwrap();

    // The controller owns nothing of the spec.
    let live = object.get().await.unwrap();
    for field in live.metadata.managed_fields.unwrap_or_default() {
        let spec = field.fields_v1.map(|fields| fields.0["f:spec"].clone());
        let manager = field.manager.unwrap_or_default();
        let ours = manager == "yardmaster";
        assert!(!ours || spec.is_none_or(|spec| spec.is_null()), "{manager}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_again_and_again_is_one_event() {
    let scene = Scene::new("events").await;
    scene.template("t", json!({}), json!({})).await;
    let refused = json!({"graphql_error": {"message": "Invalid project name"}});
    let rows: [(&str, Value); 2] = [
        (
            "serviceDomainCreate",
            json!({"status": 503, "body": "down"}),
        ),
        ("projectCreate", refused),
    ];
    for (name, (operation, effect)) in ["a", "b"].into_iter().zip(rows) {
        let fault =
            json!({"provider": "railway", "operation": operation, "times": 3, "effect": effect});
        let fault = scene.tenant.post_fault(fault).await.unwrap();
        let instance = scene.instance(name, "t", json!({})).await;
        if operation == "projectCreate" {
            let message = says(&instance, "Stalled", "True", "Rejected").await;
            assert!(message.contains("Invalid project name"), "{message}");
            // A person's answer is tried at once.
            let answer = json!({"spec": {"env": [{"name": "X", "value": "1"}]}});
            says(&instance, "Ready", "False", "Rejected").await;
            scene.end_fault(&fault).await;
            instance.patch(answer).await.unwrap();
            is_ready(&instance).await;
        } else {
            is_ready(&instance).await;
            scene.end_fault(&fault).await;
        }
        let events = instance.events().await.unwrap();
        let mut reasons: Vec<_> = events
            .iter()
            .map(|event| event.split(" (").next().unwrap_or_default())
            .collect();
        reasons.sort_unstable();
        let all = reasons.len();
        reasons.dedup();
        assert_eq!(reasons.len(), all, "a reason came twice: {events:#?}");
        assert!(all <= 2, "{events:#?}");
    }
}
