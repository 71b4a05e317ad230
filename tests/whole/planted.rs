//! Claims and pools that somebody wrote into his own agents where no policy keeps him from it: they harm nobody in another namespace.

use serde_json::{Value, json};
use world::tellings::agents_of_two_claims;

use crate::claims::{agent_of, ready};
use crate::support::{SOON, Scene, manifest, says};

/// An agent in a namespace of its own that bears another's claim, as the administrator may write it.
async fn plants(scene: &Scene<'_>, name: &str, claim: (&str, &str), owned: bool) {
    let namespace = format!("{}-mallory", scene.tenant.namespace());
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let cluster = scene.world.cluster();
    cluster.apply_one(space, None).await.unwrap();
    let hold =
        json!({"name": claim.0, "uid": claim.1, "handedOverAt": "2026-11-02T10:00:00.000000Z"});
    let spec = json!({
        "templateRef": {"name": "t"}, "accountRef": {"name": scene.tenant.account()}, "poolRef": {"name": "p"},
        "claimRef": hold,
    });
    let mut planted = manifest("AgentInstance", name, spec);
    planted["metadata"]["labels"] =
        json!({"yardmaster.dev/claim": claim.1, "yardmaster.dev/pool": "p"});
    // So that whoever took it for the claim's would do nothing more for that.
    planted["metadata"]["annotations"] = json!({"yardmaster.dev/paused": "true"});
    if owned {
        planted["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentClaim", "name": claim.0, "uid": claim.1,
            "controller": true, "blockOwnerDeletion": true,
        }]);
    }
    cluster.apply_one(planted, Some(&namespace)).await.unwrap();
    if !owned {
        let planted = scene.world.object("AgentInstance", Some(&namespace), name);
        says(&planted, "Paused", "True", "Paused").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_names_anothers_claim_holds_neither_that_nor_its_pool_up() {
    let scene = Scene::new("planted").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(0, json!({})).await;
    let uid = |claim: &kube::api::DynamicObject| claim.metadata.uid.clone().unwrap();
    // One that waits, with an agent made for it alone; one that has its agent, for a while.
    let waits = scene.claim("waits", json!({})).await;
    says(&waits, "Bound", "False", "NoAgentFree").await;
    let waiting = uid(&waits.get().await.unwrap());
    plants(&scene, "first", ("waits", &waiting), false).await;
    plants(&scene, "owned", ("waits", &waiting), true).await;
    let create: Value = json!({"spec": {"whenEmpty": "Create"}});
    waits.patch(create).await.unwrap();
    let bound = ready(&waits).await;
    let agent = scene.tenant.instance(&agent_of(&bound));
    assert_eq!(
        agent.get().await.unwrap().data["spec"]["claimRef"]["name"],
        "waits"
    );

    let short = json!({"expiresAfter": "6s", "whenEmpty": "Create"});
    let short = scene.claim("short", short).await;
    let bound = ready(&short).await;
    plants(&scene, "second", ("short", &uid(&bound)), false).await;
    says(&short, "Expired", "True", "Expired").await;
    let gone = scene.tenant.instance(&agent_of(&bound));
    gone.wait_gone(SOON).await.unwrap();
    waits.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    pool.delete().await.unwrap();
    pool.wait_gone(SOON).await.unwrap();
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(agents_of_two_claims(&tellings), [""; 0]);
    assert_eq!(tellings.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_claim_is_to_join_is_told_and_never_called() {
    let scene = Scene::new("nowhere").await;
    scene.template("t", json!({}), json!({})).await;
    scene.pool(1, json!({})).await;
    let mark = scene.mark();
    let says = "line\u{1b}[2J\r\none";
    let agent = json!({
        "name": says, "instructions": says, "metadata": {"a": says, "\u{7f}\n": "x"},
        "joinUrl": "http://169.254.169.254/latest/meta-data/", "profileImage": "https://169.254.169.254/a.png",
    });
    // As JSON: a manifest in YAML with such characters is refused.
    let claim = manifest(
        "AgentClaim",
        "c",
        json!({"poolRef": {"name": "p"}, "agent": agent}),
    );
    let create = ["-n", scene.tenant.namespace(), "create", "-f", "-"];
    let created = scene.world.kubectl_with(&create, &claim.to_string()).await;
    created.unwrap().ok().unwrap();
    let claim = scene.tenant.object("AgentClaim", "c");
    ready(&claim).await;
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(tellings.len(), 1);
    // It is the agent's to make of that what it likes: nothing of it is lost, or anything else than text.
    assert_eq!(tellings[0].instructions.as_deref(), Some(says));
    assert_eq!(tellings[0].metadata["\u{7f}\n"], "x");
    let exchanges = scene.world.journal().since(mark.journal()).unwrap();
    let called = exchanges.iter().filter(|one| one.host.contains("169.254"));
    assert_eq!(called.count(), 0);
    // Nobody's terminal is told it: neither events nor logs repeat what an agent is told.
    let events = claim.events().await.unwrap().join(" ");
    let log = std::fs::read_to_string(scene.world.controller().unwrap().log()).unwrap();
    assert!(!events.contains('\u{1b}') && !log.contains("\u{1b}[2J"));
}
