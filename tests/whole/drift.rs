//! What somebody changes at Railway by hand: mended, or told where data would be lost; and what is not ours.

use reqwest::Method;
use serde_json::{Value, json};
use world::{Object, eventually};

use crate::support::{IMAGE, SOON, Scene, holds, id, is_ready, says};

/// The hash of a variable's value, as the agent has it.
async fn hash(scene: &Scene<'_>, instance: &Object<'_>, variable: &str) -> Value {
    scene.agent(instance).await["variableHashes"][variable].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_was_edited_or_deleted_gets_its_value_again() {
    let scene = Scene::new("variable").await;
    let env = json!({"env": [{"name": "LEVEL", "value": "info"}]});
    scene.template("t", json!({}), env).await;
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    let good = hash(&scene, &instance, "LEVEL").await;
    assert!(good.is_string());
    scene.listings(2).await;
    let edits = [
        ("edited", json!("debug"), true),
        ("deleted", Value::Null, true),
        ("edited quietly", json!("x"), false),
    ];
    for (what, value, deploys) in edits {
        let mark = scene.mark();
        let before = scene.deployments(&instance).await;
        let service = id(&instance.get().await.unwrap(), "service");
        let path = format!("/railway/services/{service}/variables/LEVEL");
        scene
            .by_hand(
                Method::PUT,
                &path,
                json!({"value": value, "deploys": deploys}),
            )
            .await;
        let after = before + 1 + u64::from(deploys);
        eventually("LEVEL has its value again", SOON, async || {
            let deployed = scene.deployments(&instance).await == after;
            Ok((deployed && hash(&scene, &instance, "LEVEL").await == good).then_some(()))
        })
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:#}"));
        is_ready(&instance).await;
        says(&instance, "Synced", "True", "Ready").await;
        scene.listings(1).await;
        assert_eq!(scene.mutations(mark), ["environmentPatchCommit"], "{what}");
    }
    let events = instance.events().await.unwrap();
    let told = events.iter().filter(|event| event.contains("Drifted"));
    let told: Vec<_> = told.collect();
    assert!(
        !told.is_empty() && told.iter().all(|event| event.contains("LEVEL")),
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_deleted_is_made_again() {
    let rows = [
        (
            "service",
            vec![
                "serviceCreate",
                "serviceDomainCreate",
                "environmentPatchCommit",
            ],
        ),
        ("domain", vec!["serviceDomainCreate"]),
    ];
    let mended = rows.map(async |(kind, expected)| {
        let scene = Scene::new(kind).await;
        let instance = scene.ready(json!({}), &["a"]).await.remove(0);
        // An absence is believed from a reading begun after the part could no longer be on its way.
        scene.listings(2).await;
        let mark = scene.mark();
        let old = id(&instance.get().await.unwrap(), kind);
        scene
            .by_hand(
                Method::POST,
                &format!("/railway/{kind}s/{old}/delete"),
                Value::Null,
            )
            .await;
        let what = format!("there is another {kind}");
        let new = instance.wait_until(&what, SOON, |object| {
            let new = id(object, kind);
            !new.is_empty() && new != old && holds(object, "Ready") && holds(object, "Synced")
        });
        let new = new.await.unwrap();
        let agent = scene.agent(&instance).await;
        let host = agent["domain"].as_str().unwrap_or_default();
        assert_eq!(new.data["status"]["url"], format!("https://{host}"));
        assert_eq!(scene.mutations(mark), expected, "{kind}");
        let inventory = scene.tenant.inventory().await.unwrap();
        assert_eq!(inventory.kind(kind).count(), 1);
    });
    futures::future::join_all(mended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_was_removed_is_deployed_again() {
    let scene = Scene::new("removed").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let old = scene.agent(&instance).await["deployment"].clone();
    let path = format!("/railway/deployments/{}/status", old.as_str().unwrap());
    scene
        .by_hand(Method::POST, &path, json!({"status": "REMOVED"}))
        .await;
    let new = instance.wait_until("another deployment is ready", SOON, |object| {
        let deployment = &object.data["status"]["deployment"];
        deployment["id"] != old && deployment["ready"] == true && holds(object, "Ready")
    });
    new.await.unwrap();
    assert_eq!(scene.deployments(&instance).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_project_is_made_anew_or_told() {
    let volume = json!({"volume": {"mountPath": "/data"}});
    let (recreate, report) = (
        json!({"onExternalDeletion": "Recreate"}),
        json!({"onExternalDeletion": "Report"}),
    );
    let rows = [
        ("plain", json!({}), json!({}), true),
        ("disk", volume.clone(), json!({}), false),
        ("plain-report", json!({}), report, false),
        ("disk-recreate", volume, recreate, true),
    ];
    let done = rows.map(async |(name, runtime, spec, anew)| {
        let scene = Scene::new(name).await;
        scene.template("t", runtime, json!({})).await;
        let instance = scene.instance("a", "t", spec).await;
        let old = id(&is_ready(&instance).await, "project");
        scene.listings(2).await;
        let mark = scene.mark();
        scene
            .by_hand(
                Method::POST,
                &format!("/railway/projects/{old}/delete"),
                Value::Null,
            )
            .await;
        if !anew {
            let message = says(&instance, "Stalled", "True", "DeletedExternally").await;
            assert!(message.contains("onExternalDeletion"), "{message}");
            says(&instance, "Ready", "False", "DeletedExternally").await;
            says(&instance, "ProjectReady", "False", "DeletedExternally").await;
            scene.listings(2).await;
            assert_eq!(scene.mutations(mark), [""; 0]);
            // The way on that the message names.
            let recreate = json!({"spec": {"onExternalDeletion": "Recreate"}});
            instance.patch(recreate).await.unwrap();
        }
        let new = instance.wait_until("it is ready in another project", SOON, |object| {
            let new = id(object, "project");
            !new.is_empty() && new != old && holds(object, "Ready")
        });
        new.await.unwrap();
        assert_eq!(scene.projects().await, 1);
        let events = instance.events().await.unwrap();
        assert!(
            events
                .iter()
                .any(|event| event.contains("DeletedExternally")),
            "{events:?}"
        );
        instance.delete().await.unwrap();
        instance.wait_gone(SOON).await.unwrap();
        assert_eq!(scene.projects().await, 0);
    });
    futures::future::join_all(done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_in_the_workspace_is_never_touched() {
    let scene = Scene::new("foreign").await;
    let instance = scene.ready(json!({}), &["a"]).await.remove(0);
    let workspace = scene.tenant.workspace();
    let inventory = scene.tenant.inventory().await.unwrap();
    let ours = inventory.kind("project").next().unwrap().clone();
    let marker = ours.description.unwrap();
    // The last two would be a copy of ours: by another installation, and by a hand that edited it.
    let other = marker.replacen("installation=", "installation=other-", 1);
    let edited = format!("{marker} (do not touch)");
    let descriptions = ["", "somebody's shop", &other, &edited];
    for description in descriptions {
        let made = json!({"name": ours.name, "description": description, "workspace": workspace});
        scene.by_hand(Method::POST, "/railway/projects", made).await;
    }
    let newer = json!({"spec": {"runtime": {"image": "ghcr.io/acme/agent:1.5"}}});
    scene.listings(2).await;
    scene.tenant.template("t").patch(newer).await.unwrap();
    let updated = instance.wait_until("it runs the new image", SOON, |object| {
        object.data["status"]["image"]["requested"] != IMAGE && holds(object, "Ready")
    });
    updated.await.unwrap();
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    let inventory = scene.tenant.inventory().await.unwrap();
    assert_eq!(inventory.kind("project").count(), descriptions.len());
    let deleted = scene.mutations(scene.start());
    let deleted = deleted.iter().filter(|one| *one == "projectDelete");
    assert_eq!(deleted.count(), 1);
}
