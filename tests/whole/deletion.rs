//! How an agent goes: what was made is observed gone first; what keeps it, and the ways out.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use world::{Object, SYSTEM_NAMESPACE, eventually};

use crate::support::{SOON, Scene, id, is_ready, says};

async fn goes(scene: &Scene<'_>, instance: &Object<'_>) {
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_is_seen_to_be_gone_before_the_object_goes() {
    let scene = Scene::new("gone").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let mark = scene.mark();
    goes(&scene, &instance).await;
    assert_eq!(scene.mutations(mark), ["projectDelete"]);
    let after: Vec<_> = scene.exchanges(mark);
    let deleted = after
        .iter()
        .position(|one| one.operation == "projectDelete");
    let looked = after.iter().rposition(|one| one.operation == "project");
    assert!(deleted < looked, "nobody looked whether it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn retain_leaves_the_project_and_says_so() {
    let scene = Scene::new("retain").await;
    scene.template("t", json!({}), json!({})).await;
    let instance = scene
        .instance("a", "t", json!({"deletionPolicy": "Retain"}))
        .await;
    let project = id(&is_ready(&instance).await, "project");
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 1);
    left_behind(&instance, "Retained", &project).await;
}

/// Waits for the event that says what was left at the provider.
async fn left_behind(instance: &Object<'_>, reason: &str, project: &str) {
    let told = async || {
        let events = instance.events().await?;
        let told = |event: &String| event.contains(reason) && event.contains(project);
        Ok(events.into_iter().find(told))
    };
    let what = format!("an event {reason} names project {project}");
    eventually(&what, SOON, told).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_keeps_the_object_until_it_answers_or_is_given_up() {
    let scene = Scene::new("down").await;
    let instances = scene
        .ready(json!({}), &["patient", "abandoned", "protected"])
        .await;
    let project = id(&instances[1].get().await.unwrap(), "project");
    let fault =
        json!({"provider": "railway", "times": 0, "effect": {"status": 503, "body": "down"}});
    let fault = scene.tenant.post_fault(fault).await.unwrap();
    says(
        &scene.tenant.provider_account(),
        "Healthy",
        "False",
        "AccountUnreachable",
    )
    .await;
    for instance in &instances {
        instance.delete().await.unwrap();
        let message = says(instance, "Synced", "False", "Deleting").await;
        assert!(
            message.contains("the project cannot be taken back"),
            "{message}"
        );
        assert!(
            message.contains("yardmaster.dev/abandon: project"),
            "{message}"
        );
    }

    // Given up by name: it goes, and what is left is told.
    let abandon = json!({"metadata": {"annotations": {"yardmaster.dev/abandon": "project"}}});
    instances[1].patch(abandon).await.unwrap();
    instances[1].wait_gone(SOON).await.unwrap();
    left_behind(&instances[1], "Abandoned", &project).await;

    // Protected after its deletion was asked for: as where no policy refused it.
    let protect = |on: bool| json!({"spec": {"deletionProtection": on}});
    instances[2].patch(protect(true)).await.unwrap();
    says(&instances[2], "Stalled", "True", "DeletionProtected").await;

    scene.end_fault(&fault).await;
    instances[0].wait_gone(SOON).await.unwrap();
    scene.listings(1).await;
    assert_eq!(
        scene.projects().await,
        2,
        "the abandoned and the protected one"
    );
    instances[2].patch(protect(false)).await.unwrap();
    instances[2].wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_is_refused_by_the_api_server() {
    let scene = Scene::new("protect").await;
    scene.template("t", json!({}), json!({})).await;
    let kept = scene
        .instance("kept", "t", json!({"deletionProtection": true}))
        .await;
    is_ready(&kept).await;
    let refused = format!("{:#}", kept.delete().await.unwrap_err());
    assert!(refused.contains("deletionProtection"), "{refused}");
    let unprotected = json!({"spec": {"deletionProtection": false}});
    kept.patch(unprotected).await.unwrap();
    goes(&scene, &kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_leaves_an_hour_and_is_told() {
    let scene = Scene::new("brief").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let expires = async |after: Value| {
        let wanted = after.is_string();
        instance
            .patch(json!({"spec": {"expiresAfter": after}}))
            .await
            .unwrap();
        let what = format!("status.expiresAt is there: {wanted}");
        let at = |object: &kube::api::DynamicObject| {
            let at = object.data["status"]["expiresAt"].as_str()?;
            Some(at.parse::<jiff::Timestamp>().unwrap())
        };
        let seen = instance.wait_until(&what, SOON, |object| at(object).is_some() == wanted);
        at(&seen.await.unwrap())
    };
    let before = jiff::Timestamp::now();
    let at = expires(json!("3s")).await.unwrap();
    let notice = at.duration_since(before).as_secs();
    assert!((3599..3700).contains(&notice), "{notice}");
    eventually("an event tells it", SOON, async || {
        let events = instance.events().await?;
        let told =
            |event: &String| event.contains("ExpiryChanged") && event.contains(&at.to_string());
        Ok(events.into_iter().find(told))
    })
    .await
    .unwrap();
    assert_eq!(expires(Value::Null).await, None);
    is_ready(&instance).await;
    // The hour is over.
    expires(json!("3s")).await;
    let over = json!({"status": {"expiresAt": before.to_string()}});
    let api = instance.api().await.unwrap();
    api.patch_status(
        instance.name(),
        &PatchParams::default(),
        &Patch::Merge(over),
    )
    .await
    .unwrap();
    let look = json!({"metadata": {"annotations": {"look": "again"}}});
    instance.patch(look).await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_at_any_point_of_its_creation_it_leaves_nothing() {
    let points = [
        "projectCreate",
        "serviceCreate",
        "volumeCreate",
        "serviceDomainCreate",
        "environmentPatchCommit",
        "project",
    ];
    // Known to be made, and perhaps made.
    let effects = [json!({"delay": 1}), json!("reset_after")];
    let rows = points
        .iter()
        .flat_map(|point| effects.clone().map(|effect| (*point, effect)));
    let gone = rows.map(async |(point, effect)| {
        let scene = Scene::new("early").await;
        let disk = json!({"volume": {"mountPath": "/data"}});
        scene.template("t", disk, json!({})).await;
        let fault = json!({"provider": "railway", "operation": point, "effect": effect});
        let fault = scene.tenant.post_fault(fault).await.unwrap();
        let instance = scene.instance("a", "t", json!({})).await;
        eventually("creation is so far", SOON, async || {
            let fired = scene.world.outside().fired(&fault).await?;
            Ok((fired > 0).then_some(()))
        })
        .await
        .unwrap();
        instance.delete().await.unwrap();
        instance.wait_gone(SOON).await.unwrap();
        let left = scene.tenant.inventory().await.unwrap();
        assert!(left.is_empty(), "{point} {effect}: {left:#?}");
        scene.end_fault(&fault).await;
    });
    futures::future::join_all(gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_needs_may_be_deleted_first() {
    let scene = Scene::new("order").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let (account, template) = (scene.tenant.provider_account(), scene.tenant.template("t"));
    let secret = scene
        .world
        .object("Secret", Some(SYSTEM_NAMESPACE), scene.tenant.name());
    for object in [&template, &account, &secret] {
        object.delete().await.unwrap();
    }
    template.wait_gone(SOON).await.unwrap();
    scene.listings(2).await;
    // In use by what is still there.
    for object in [&account, &secret] {
        let object = object.get().await.unwrap();
        assert!(object.metadata.deletion_timestamp.is_some());
    }
    goes(&scene, &instance).await;
    for object in [account, secret] {
        object.wait_gone(SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_with_all_its_agents() {
    let scene = Scene::new("namespace").await;
    scene.ready(json!({}), &["a", "b", "c"]).await;
    // One that is still on its way when everything is deleted.
    scene.instance("d", "t", json!({})).await;
    let namespace = scene.tenant.namespace();
    let deleted = ["delete", "namespace", namespace, "--timeout=60s"];
    scene.world.kubectl(&deleted).await.unwrap().ok().unwrap();
    let left = scene.tenant.inventory().await.unwrap();
    assert!(left.is_empty(), "{left:#?}");

    // Nobody uses the account any more.
    let account = scene.tenant.provider_account();
    account.delete().await.unwrap();
    account.wait_gone(SOON).await.unwrap();
    let secret = scene
        .world
        .object("Secret", Some(SYSTEM_NAMESPACE), scene.tenant.name());
    eventually("the account's Secret is free", SOON, async || {
        let secret: Option<_> = secret.find().await?;
        let held = secret.and_then(|secret| secret.metadata.finalizers);
        Ok(held
            .is_none_or(|held| held.is_empty())
            .then_some(Value::Null))
    })
    .await
    .unwrap();
}
