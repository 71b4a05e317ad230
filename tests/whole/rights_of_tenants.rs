//! What tenants may do with what an account's owner pays for, by the real binary and the real API server: adopt what is listed and
//! nothing else, leave behind where that is allowed, and give nothing up. The journal shows that for who is refused nothing was
//! asked or changed outside.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use world::eventually;

use crate::support::{Marks, SOON, Scene, holds, id, is_ready, lays_down, says};

/// What was asked of anybody about one of these ids.
fn asked(scene: &Scene<'_>, since: Marks, ids: &[&str]) -> Vec<String> {
    let exchanges = scene.world.journal().since(since.journal()).unwrap();
    exchanges
        .into_iter()
        .map(|one| format!("{} {} {}", one.operation, one.path, one.request))
        .filter(|one| ids.iter().any(|id| one.contains(id)))
        .collect()
}

/// A project with a service, which somebody made by hand.
async fn by_hand(scene: &Scene<'_>) -> (Value, String) {
    let wanted = json!({"name": "company-site", "workspace": scene.tenant.workspace()});
    let made = scene
        .by_hand(Method::POST, "/railway/projects", wanted)
        .await;
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    let adopt = json!({
        "projectId": text("id"), "serviceId": "web", "environmentId": text("environmentId"), "ownership": "Shared",
    });
    (adopt, text("id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_listed_is_told_alike_and_nobody_asks_about_it() {
    let scene = Scene::new("unlisted").await;
    scene.template("t", json!({}), json!({})).await;
    let (there, project) = by_hand(&scene).await;
    let mut nowhere = there.clone();
    nowhere["projectId"] = json!("nowhere-at-all");
    let mark = scene.mark();
    let mut sentences = Vec::new();
    for (name, adopt) in [("there", &there), ("nowhere", &nowhere)] {
        let instance = scene.instance(name, "t", json!({"adopt": adopt})).await;
        sentences.push(says(&instance, "Stalled", "True", "AdoptionNotAllowed").await);
    }
    assert_eq!(sentences[0], sentences[1]);
    assert!(
        sentences[0].contains("spec.adoption") && !sentences[0].contains(&project),
        "{sentences:?}"
    );
    scene.listings(2).await;
    assert_eq!(
        asked(&scene, mark, &[&project, "nowhere-at-all"]),
        Vec::<String>::new()
    );

    // Listed, it is looked at: there is no such service, which is told.
    let adoption = json!({"spec": {"adoption": {"policy": "Listed", "ids": [&project]}}});
    scene
        .tenant
        .provider_account()
        .patch(adoption)
        .await
        .unwrap();
    let listed = scene.tenant.instance("there");
    let why = says(&listed, "Stalled", "True", "AdoptionFailed").await;
    assert!(why.contains("service web is not in project"), "{why}");
    for name in ["there", "nowhere"] {
        let instance = scene.tenant.instance(name);
        instance.delete().await.unwrap();
        instance.wait_gone(SOON).await.unwrap();
    }
    assert_eq!(scene.mutations(mark), Vec::<String>::new());
    assert_eq!(scene.projects().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_not_listed_is_not_asked_about_and_its_agent_not_taken_over() {
    let scene = Scene::new("unlisted-tool").await;
    scene.tenant.tool_accounts().await.unwrap();
    let account = format!("{}-openrouter", scene.tenant.name());
    let tools = json!([{"name": "llm", "type": "openrouter", "accountRef": {"name": account}, "limitUSD": 5}]);
    scene
        .template("t", json!({}), json!({"tools": tools}))
        .await;
    let (mut adopt, project) = by_hand(&scene).await;
    let adoption =
        json!({"spec": {"adoption": {"policy": "Listed", "ids": [&project, "some-hash"]}}});
    scene
        .tenant
        .provider_account()
        .patch(adoption)
        .await
        .unwrap();
    let openrouter = scene.world.object("ProviderAccount", None, &account);
    openrouter
        .wait_condition("Ready", "True", SOON)
        .await
        .unwrap();
    let mark = scene.mark();
    // That the account of the project lists the id is nothing to the account of the tool.
    adopt["tools"] = json!([{"name": "llm", "id": "some-hash"}]);
    let instance = scene.instance("ada", "t", json!({"adopt": adopt})).await;
    let why = says(&instance, "Stalled", "True", "AdoptionNotAllowed").await;
    assert!(
        why.contains(&account) && why.contains("spec.adoption") && !why.contains("some-hash"),
        "{why}"
    );
    scene.listings(2).await;
    assert_eq!(
        asked(&scene, mark, &[&project, "some-hash"]),
        Vec::<String>::new()
    );
    assert_eq!(id(&instance.get().await.unwrap(), "project"), "");
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(
        asked(&scene, mark, &[&project, "some-hash"]),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_leave_nothing_behind_is_made_nothing_and_what_was_allowed_stays() {
    let scene = Scene::new("retention").await;
    scene.template("t", json!({}), json!({})).await;
    let retain = json!({"deletionPolicy": "Retain"});
    let before = scene.instance("before", "t", retain.clone()).await;
    is_ready(&before).await;
    let kept = id(&before.get().await.unwrap(), "project");
    let account = scene.tenant.provider_account();
    let says_so = |retention: &str| json!({"spec": {"retention": retention}});
    lays_down(&account, says_so("Deny")).await;

    let mark = scene.mark();
    let after = scene.instance("after", "t", retain.clone()).await;
    let why = says(&after, "Stalled", "True", "RetentionNotAllowed").await;
    assert!(
        why.contains("spec.deletionPolicy") && why.contains("spec.retention"),
        "{why}"
    );
    scene.listings(2).await;
    assert_eq!(scene.mutations(mark), Vec::<String>::new());

    // What was retained by leave is left behind, as its owner was told.
    assert!(!holds(&before.get().await.unwrap(), "Stalled"));
    before.delete().await.unwrap();
    before.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.mutations(mark), Vec::<String>::new());
    let left = scene.tenant.inventory().await.unwrap();
    assert!(left.resources.iter().any(|one| one.id == kept), "{left:?}");

    // Who asks for it later is told, and a deletion waits for a person.
    after
        .patch(json!({"spec": {"deletionPolicy": "Delete"}}))
        .await
        .unwrap();
    is_ready(&after).await;
    after.patch(json!({"spec": retain})).await.unwrap();
    says(&after, "Stalled", "True", "RetentionNotAllowed").await;
    let mark = scene.mark();
    after.delete().await.unwrap();
    scene.listings(2).await;
    assert_eq!(scene.mutations(mark), Vec::<String>::new());
    after
        .patch(json!({"spec": {"deletionPolicy": "Delete"}}))
        .await
        .unwrap();
    after.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.mutations(mark), ["projectDelete"]);
}

/// As a ServiceAccount that may do everything with the instances of its namespace.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gives_nothing_up() {
    let scene = Scene::new("abandon").await;
    scene.ready(json!({}), &["ada"]).await;
    let namespace = scene.tenant.namespace();
    let admin = async |args: &[&str], input: &str| {
        let own = [&["-n", namespace][..], args].concat();
        let output = scene.world.kubectl_with(&own, input).await.unwrap();
        (output.status.success(), output.stdout + &output.stderr)
    };
    let may = async |args: &[&str]| {
        let (done, said) = admin(args, "").await;
        assert!(done, "{args:?}: {said}");
    };
    may(&["create", "serviceaccount", "tenant"]).await;
    may(&[
        "create",
        "role",
        "tenant",
        "--verb=*",
        "--resource=agentinstances.yardmaster.dev",
    ])
    .await;
    let bound = format!("--serviceaccount={namespace}:tenant");
    may(&["create", "rolebinding", "tenant", "--role=tenant", &bound]).await;
    let who = format!("--as=system:serviceaccount:{namespace}:tenant");
    let annotate = ["annotate", "agi", "ada", "--overwrite"];
    let abandons = [&annotate[..], &["yardmaster.dev/abandon=project"]].concat();
    let takes_back = [&annotate[..], &["yardmaster.dev/abandon-"]].concat();
    let tenant = |args: &[&'static str]| [&[who.as_str()][..], args].concat();
    let refused = async |args: &[&'static str], input: &str| {
        let (done, said) = admin(&tenant(args), input).await;
        assert!(
            !done && said.contains("for those who may update ProviderAccounts"),
            "{args:?}: {said}"
        );
    };
    // The API server takes a moment until it keeps to a new right.
    eventually(
        "the tenant may annotate",
        Duration::from_secs(30),
        async || {
            let (done, _) = admin(&tenant(&[&annotate[..], &["note=mine"]].concat()), "").await;
            Ok(done.then_some(()))
        },
    )
    .await
    .unwrap();
    refused(&abandons, "").await;
    let born = json!({
        "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance",
        "metadata": {"name": "born", "annotations": {"yardmaster.dev/abandon": "project"}},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": scene.tenant.account()}},
    });
    refused(&["create", "-f", "-"], &born.to_string()).await;
    // Whoever may change accounts may do it, and the tenant may not undo it, but may change everything else.
    may(&abandons).await;
    refused(&takes_back, "").await;
    let (done, said) = admin(&tenant(&[&annotate[..], &["note=other"]].concat()), "").await;
    assert!(done, "{said}");
    may(&takes_back).await;
    // Nor is an agent parted from what it has by being said to be another one.
    for identity in [
        "yardmaster.dev/identity=zzz",
        "yardmaster.dev/identity=8ed0c1e0-dc59-4a7f-ac51-205c3a5569b9",
    ] {
        let (done, said) = admin(&tenant(&[&annotate[..], &[identity]].concat()), "").await;
        assert!(!done && said.contains("is Yardmaster's own"), "{said}");
    }
    assert_eq!(scene.projects().await, 1);
}
