//! Railway is down, slow, talks nonsense or forgets: nothing is concluded from it, it is told as what it is, and what
//! was under way goes on by itself.

use reqwest::Method;
use serde_json::{Value, json};
use world::{Object, condition, eventually};

use crate::support::{SOON, Scene, holds, id, is_mutation, is_ready, says};

const AGENTS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// What stays as it is: version, project and readiness of each.
async fn standing(instances: &[Object<'_>]) -> Vec<(Option<String>, String, bool)> {
    let mut standing = Vec::new();
    for instance in instances {
        let now = instance.get().await.unwrap();
        let (version, ready) = (now.metadata.resource_version.clone(), holds(&now, "Ready"));
        standing.push((version, id(&now, "project"), ready));
    }
    standing
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_any_shape_concludes_nothing_and_ends_by_itself() {
    let fast = json!({"requestsPerSecond": 50});
    let scene = Scene::with("outage", fast).await;
    let instances = scene.ready(json!({}), &AGENTS).await;
    scene.listings(2).await;
    let account = scene.tenant.provider_account();
    let rows: [(&str, &str, Value); 7] = [
        ("refuses", "*", json!("reset_before")),
        ("times out", "*", json!({"late": 3600})),
        (
            "fails",
            "*",
            json!({"status": 503, "body": "upstream connect error"}),
        ),
        (
            "talks nonsense",
            "*",
            json!({"status": 200, "body": "<html>Just a moment</html>"}),
        ),
        ("breaks off", "*", json!("truncated")),
        ("lists nothing", "projects", json!("empty_list")),
        ("lists a tenth", "projects", json!({"short_list": 1})),
    ];
    for (row, (what, operation, effect)) in rows.into_iter().enumerate() {
        let lists = operation == "projects";
        let before = standing(&instances).await;
        assert!(before.iter().all(|(_, _, ready)| *ready));
        let mark = scene.mark();
        let fault =
            json!({"provider": "railway", "operation": operation, "times": 0, "effect": effect});
        let fault = scene.tenant.post_fault(fault).await.unwrap();
        let message = says(&account, "Healthy", "False", "AccountUnreachable").await;
        assert!(
            message.contains("running agents are left alone"),
            "{what}: {message}"
        );

        // One that is asked for meanwhile waits, and says for what.
        let name = format!("new{row}");
        let new = scene.instance(&name, "t", json!({})).await;
        says(&new, "Reconciling", "True", "AccountUnreachable").await;
        let tried = scene.exchanges(mark).len();
        eventually("the account was read again and again", SOON, async || {
            Ok((scene.exchanges(mark).len() >= tried + 3).then_some(()))
        })
        .await
        .unwrap();
        let changes: Vec<_> = scene
            .exchanges(mark)
            .into_iter()
            .filter(is_mutation)
            .collect();
        assert!(changes.is_empty(), "{what}: {changes:#?}");
        assert_eq!(standing(&instances).await, before, "{what}");
        if lists {
            assert_eq!(scene.projects().await, AGENTS.len() + row);
        }

        scene.end_fault(&fault).await;
        says(&account, "Healthy", "True", "Ready").await;
        is_ready(&new).await;
        assert_eq!(
            scene.mutations(mark).len(),
            4,
            "{what}: the new one, and nothing else"
        );
        assert_eq!(standing(&instances).await, before, "{what}");
        assert_eq!(scene.projects().await, AGENTS.len() + row + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_made_between_a_listing_and_its_count_cast_no_doubt() {
    let fast = json!({"requestsPerSecond": 50});
    let scene = Scene::with("meanwhile", fast).await;
    let disk = json!({"volume": {"mountPath": "/data"}});
    let instances = scene.ready(disk, &["a", "b"]).await;
    // One is missing for good: from now on every listing is counted.
    let project = id(&instances[0].get().await.unwrap(), "project");
    let path = format!("/railway/projects/{project}/delete");
    scene.by_hand(Method::POST, &path, json!(null)).await;
    says(&instances[0], "Stalled", "True", "DeletedExternally").await;
    scene.listings(2).await;

    let account = scene.tenant.provider_account();
    let since = async || {
        let account = account.get().await.unwrap();
        condition(&account, "Healthy").unwrap()["lastTransitionTime"].clone()
    };
    let healthy = since().await;
    let mark = scene.mark();
    let slow = json!({"provider": "railway", "operation": "projects", "times": 0, "effect": {"delay": 0.5}});
    let slow = scene.tenant.post_fault(slow).await.unwrap();
    let listed = || {
        let all = scene.exchanges(mark).into_iter();
        all.filter(|one| one.operation == "projects").count()
    };
    // A listing is answered half a second after it was taken: meanwhile another project is there, and is counted.
    for number in 0..4 {
        let before = listed();
        eventually("the account is listed", SOON, async || {
            Ok((listed() > before).then_some(()))
        })
        .await
        .unwrap();
        let made = json!({"name": format!("other-{number}"), "description": "", "workspace": scene.tenant.workspace()});
        scene.by_hand(Method::POST, "/railway/projects", made).await;
    }
    scene.end_fault(&slow).await;
    scene.listings(2).await;
    let counted = scene.exchanges(mark).into_iter();
    let counted = counted.filter(|one| one.operation == "workspace").count();
    assert!(counted > 4, "{counted}");
    assert_eq!(since().await, healthy);
    is_ready(&instances[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_being_made_survives_an_outage_at_each_step() {
    let steps = [
        "projectCreate",
        "serviceCreate",
        "volumeCreate",
        "serviceDomainCreate",
        "environmentPatchCommit",
    ];
    let made = steps.map(async |step| {
        let scene = Scene::new("begun").await;
        scene
            .template("t", json!({"volume": {"mountPath": "/data"}}), json!({}))
            .await;
        // From this step on nothing is answered, not even what took effect.
        let first = json!({"provider": "railway", "operation": step, "effect": "reset_after"});
        let first = scene.tenant.post_fault(first).await.unwrap();
        let instance = scene.instance("a", "t", json!({})).await;
        eventually("the step was taken", SOON, async || {
            let fired = scene.world.outside().fired(&first).await?;
            Ok((fired > 0).then_some(()))
        })
        .await
        .unwrap();
        let rest =
            json!({"provider": "railway", "times": 0, "effect": {"status": 503, "body": "down"}});
        let rest = scene.tenant.post_fault(rest).await.unwrap();
        says(
            &scene.tenant.provider_account(),
            "Healthy",
            "False",
            "AccountUnreachable",
        )
        .await;
        scene.end_fault(&rest).await;
        is_ready(&instance).await;
        let inventory = scene.tenant.inventory().await.unwrap();
        for kind in ["project", "service", "volume", "domain", "deployment"] {
            assert_eq!(inventory.kind(kind).count(), 1, "{step}: {kind}");
        }
        assert_eq!(
            scene.agent(&instance).await["variables"]
                .as_array()
                .map(Vec::is_empty),
            Some(false)
        );
    });
    futures::future::join_all(made).await;
}
