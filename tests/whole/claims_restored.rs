//! Claims after a loss of memory: statuses that were lost, an etcd that was set back behind what agents were told, a backup without
//! statuses. No agent is told for two claims, nothing that was told is idle again, nothing that has data is deleted unasked; in the
//! end each claim has its agent, or says what a person has to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use world::tellings::{Telling, agents_of_two_claims};
use world::{Object, World, condition, eventually};

use crate::breakers::acknowledge;
use crate::claims::{LONG, agent_of, ready};
use crate::recovery::world;
use crate::restored::{reborn, say_the_word};
use crate::support::{SOON, Scene, holds, is_ready, manifest, says};

const CLAIMS: usize = 20;

/// So many idle agents of a pool `p`, of which the controller that comes next knows nothing yet.
async fn seeded<'w>(world: &'w World, name: &str, idle: usize) -> (Scene<'w>, Object<'w>) {
    let fast = json!({"requestsPerSecond": 50, "maxProjects": 10_000});
    let scene = Scene::within(world, name, fast).await;
    scene.template("t", json!({}), json!({})).await;
    world
        .seed_pool(&scene.tenant, "t", "p", idle)
        .await
        .unwrap();
    let pool = scene.tenant.object("AgentPool", "p");
    (scene, pool)
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n:02}")).collect()
}

async fn claims<'w>(scene: &Scene<'w>, names: &[String], rest: &Value) -> Vec<Object<'w>> {
    let made = names.iter().map(|name| scene.claim(name, rest.clone()));
    join_all(made).await
}

/// Each claim's agent, once all are ready.
async fn agents(claims: &[Object<'_>]) -> BTreeMap<String, String> {
    let bound = claims.iter().map(async |claim| {
        let bound = claim.wait_condition("Ready", "True", LONG).await.unwrap();
        (claim.name().to_owned(), agent_of(&bound))
    });
    join_all(bound).await.into_iter().collect()
}

/// Which claim each agent took.
fn taken(tellings: &[Telling]) -> BTreeMap<(String, String), String> {
    let taken = tellings.iter().filter(|one| one.is_taken());
    let of = |one: &Telling| {
        let (project, service) = one.agent();
        let claim = one.claim.clone().unwrap_or_default();
        ((project.to_owned(), service.to_owned()), claim)
    };
    taken.map(of).collect()
}

async fn projects(scene: &Scene<'_>) -> BTreeSet<String> {
    let inventory = scene.tenant.inventory().await.unwrap();
    inventory
        .kind("project")
        .map(|one| one.id.clone())
        .collect()
}

/// No agent took what was told it for two claims, and none that took something took anything else since.
async fn keeps(scene: &Scene<'_>, before: &BTreeMap<(String, String), String>) {
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(agents_of_two_claims(&tellings), [""; 0]);
    let now = taken(&tellings);
    for (agent, claim) in before {
        assert_eq!(now.get(agent), Some(claim), "{agent:?}");
    }
}

/// Takes away what an API server otherwise refuses to lose: a claim's status, whole.
async fn loses_status(scene: &Scene<'_>, kind: &str, definition: &str) {
    let kubectl = async |args: &[&str]| {
        let said = scene.world.kubectl(args).await.unwrap();
        said.ok().unwrap()
    };
    let path = "/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations";
    let put = async |rules: &Value| {
        let patch = json!([{"op": "replace", "path": path, "value": rules}]).to_string();
        kubectl(&["patch", "crd", definition, "--type=json", "-p", &patch]).await;
    };
    let said = kubectl(&["get", "crd", definition, "-o", "json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    let whole = said.pointer(path).unwrap().clone();
    put(&json!([{"rule": "true", "message": "nothing"}])).await;
    for object in scene.all(kind).await {
        let object = scene.tenant.object(kind, &object.name_any());
        let api = object.api().await.unwrap();
        let none = Patch::Merge(json!({"status": null}));
        let what = format!("{} has lost its status", object.title());
        eventually(&what, SOON, async || {
            let params = PatchParams::default();
            let patched = api.patch_status(object.name(), &params, &none).await;
            Ok(patched
                .is_ok_and(|one| one.data["status"].is_null())
                .then_some(()))
        })
        .await
        .unwrap();
    }
    put(&whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_and_agents_whose_statuses_were_lost_find_each_other_again() {
    let world = world("claims-statuses").await;
    let (scene, pool) = seeded(&world, "forgot", 8).await;
    let controller = world.controller().unwrap();
    controller.start().await.unwrap();
    let retain = json!({"releasePolicy": "Retain"});
    let mut claimed = claims(&scene, &names("c", 5), &json!({})).await;
    claimed.extend(claims(&scene, &names("kept", 1), &retain).await);
    let had = agents(&claimed).await;
    scene.fills(&pool, 2).await;
    let urls = async || {
        let all = scene.all("AgentClaim").await.into_iter();
        let url = |one: DynamicObject| (one.name_any(), one.data["status"]["url"].clone());
        all.map(url).collect::<BTreeMap<String, Value>>()
    };
    let (told, there, reached) = (
        taken(&scene.tenant.tellings().await.unwrap()),
        projects(&scene).await,
        urls().await,
    );
    assert_eq!((told.len(), there.len()), (6, 8));

    controller.stop().await.unwrap();
    loses_status(&scene, "AgentClaim", "agentclaims.yardmaster.dev").await;
    loses_status(&scene, "AgentInstance", "agentinstances.yardmaster.dev").await;
    let mark = scene.mark();
    controller.start().await.unwrap();
    let account = scene.tenant.provider_account();
    let message = says(&account, "RecoveryMode", "True", "LedgersLost").await;
    // One that comes now waits as well.
    let late = scene.claim("late", json!({})).await;
    scene.listings(3).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    assert_eq!(agent_of(&late.get().await.unwrap()), "");
    keeps(&scene, &told).await;

    acknowledge(&scene, &message).await;
    assert_eq!(agents(&claimed).await, had);
    ready(&late).await;
    for name in had.values() {
        is_ready(&scene.tenant.instance(name)).await;
    }
    let found = eventually(
        "each claim says where its agent answers",
        SOON,
        async || {
            let now = urls().await;
            let same = reached.iter().all(|(name, url)| now.get(name) == Some(url));
            Ok(same.then_some(()))
        },
    );
    found.await.unwrap();
    keeps(&scene, &told).await;
    assert!(there.is_subset(&projects(&scene).await));
    assert!(
        scene
            .mutations(mark)
            .iter()
            .all(|one| one != "projectDelete")
    );
    // What was handed over goes with its claim still, and what is to be retained stays.
    for claim in [&claimed[0], &claimed[5]] {
        claim.delete().await.unwrap();
        claim.wait_gone(SOON).await.unwrap();
    }
    let gone = scene.tenant.instance(&had["c00"]);
    gone.wait_gone(SOON).await.unwrap();
    is_ready(&scene.tenant.instance(&had["kept00"])).await;
    world.stop().await.unwrap();
}

/// What a claim says once it has come to an end: that it is ready, or why not.
fn end(claim: &DynamicObject) -> Option<(String, String)> {
    if holds(claim, "Ready") {
        return Some(("Provisioned".to_owned(), String::new()));
    }
    let stalled = condition(claim, "Stalled").filter(|said| said["status"] == "True")?;
    let text = |field: &str| stalled[field].as_str().unwrap_or_default().to_owned();
    Some((text("reason"), text("message")))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_etcd_of_before_twenty_tellings_no_agent_hears_of_a_second_claim_and_none_is_deleted()
 {
    let world = world("claims-etcd").await;
    let (scene, pool) = seeded(&world, "setback", CLAIMS).await;
    let account = scene.tenant.provider_account();
    let more = json!({"spec": {"maxInstances": CLAIMS + 4}});
    pool.patch(more).await.unwrap();
    // Half of the claims are there already and come back without an agent; the others come back as others.
    let short = json!({"provisionDeadline": "5s"});
    let (early, late) = (names("early", CLAIMS / 2), names("late", CLAIMS / 2));
    let mut all = claims(&scene, &early, &short).await;
    world.copy_cluster("then").await.unwrap();
    let then = jiff::Timestamp::now();
    eventually("what was begun then has landed", SOON, async || {
        let passed = jiff::Timestamp::now().duration_since(then);
        Ok((passed > jiff::SignedDuration::from_secs(3)).then_some(()))
    })
    .await
    .unwrap();
    let controller = world.controller().unwrap();
    controller.start().await.unwrap();
    all.extend(claims(&scene, &late, &short).await);
    agents(&all).await;
    // Others are made in their place: these show that time went back.
    scene.fills(&pool, 4).await;
    let told = taken(&scene.tenant.tellings().await.unwrap());
    let there = projects(&scene).await;
    assert_eq!((told.len(), there.len()), (CLAIMS, CLAIMS + 4));

    controller.stop().await.unwrap();
    world.restore_cluster("then").await.unwrap();
    let mark = scene.mark();
    controller.start().await.unwrap();
    let message = says(&account, "RecoveryMode", "True", "TimeWentBack").await;
    claims(&scene, &late, &short).await;
    scene.listings(3).await;
    for claim in &all {
        let claim = claim.get().await.unwrap();
        assert_eq!(agent_of(&claim), "", "bound while less is remembered");
    }
    assert_eq!(scene.mutations(mark), [""; 0]);

    acknowledge(&scene, &message).await;
    let ended = eventually("each claim has come to an end", LONG, async || {
        let claims = scene.all("AgentClaim").await;
        let ends: Vec<_> = claims
            .iter()
            .filter_map(|one| Some((one.name_any(), end(one)?)))
            .collect();
        Ok((ends.len() == CLAIMS).then_some(ends))
    });
    let ended = ended.await.unwrap();
    let past = jiff::Timestamp::now() + Duration::from_secs(7);
    eventually("every deadline has passed", SOON, async || {
        Ok((jiff::Timestamp::now() > past).then_some(()))
    })
    .await
    .unwrap();
    keeps(&scene, &told).await;
    let now = projects(&scene).await;
    assert!(
        there.is_subset(&now),
        "deleted: {:?}",
        there.difference(&now)
    );
    assert!(
        scene
            .mutations(mark)
            .iter()
            .all(|one| one != "projectDelete")
    );
    let mut waits = None;
    for (name, (reason, message)) in &ended {
        if reason == "Provisioned" {
            continue;
        }
        assert_eq!(reason, "AgentOfAnother", "{name}: {message}");
        let claim = scene.tenant.object("AgentClaim", name);
        let agent = agent_of(&claim.get().await.unwrap());
        let command = format!("kubectl delete agentinstance {agent}");
        assert!(message.contains(&command), "{name}: {message}");
        waits = waits.or(Some((claim, agent)));
    }
    // None of those that were made anew can have the agent that its namesake had.
    let (claim, agent) = waits.expect("an agent that keeps another claim");
    // A person decides. Another claim's agent does not go with this one.
    let agent = scene.tenant.instance(&agent);
    assert!(agent.get().await.unwrap().owner_references().is_empty());
    agent.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    let next = claim.wait_until("it goes on with another one", LONG, |claim| {
        end(claim).is_some_and(|_| {
            let now = agent_of(claim);
            !now.is_empty() && now != agent.name()
        })
    });
    let next = next.await.unwrap();
    assert_eq!(next.data["status"]["rejected"][0]["name"], agent.name());
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(agents_of_two_claims(&tellings), [""; 0]);
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_statuses_brings_no_claimed_agent_to_another_claim_and_takes_none_away() {
    let world = world("claims-backup").await;
    let (scene, pool) = seeded(&world, "velero", 5).await;
    let controller = world.controller().unwrap();
    controller.start().await.unwrap();
    let retain = json!({"releasePolicy": "Retain"});
    let mut claimed = claims(&scene, &names("c", 3), &json!({})).await;
    claimed.extend(claims(&scene, &names("kept", 1), &retain).await);
    let had = agents(&claimed).await;
    let more = json!({"spec": {"replicas": 1, "maxInstances": 12}});
    pool.patch(more).await.unwrap();
    scene.fills(&pool, 1).await;
    let told = taken(&scene.tenant.tellings().await.unwrap());
    let there = projects(&scene).await;
    assert_eq!((told.len(), there.len()), (4, 5));

    controller.stop().await.unwrap();
    let none: [&str; 0] = [];
    let pool_spec = pool.get().await.unwrap().data["spec"].clone();
    pool.patch(json!({"metadata": {"finalizers": none}}))
        .await
        .unwrap();
    pool.delete().await.unwrap();
    pool.wait_gone(SOON).await.unwrap();
    let specs: Vec<(String, Value)> = scene
        .all("AgentClaim")
        .await
        .into_iter()
        .map(|claim| (claim.name_any(), claim.data["spec"].clone()))
        .collect();
    for instance in scene.all("AgentInstance").await {
        let instance = scene.tenant.instance(&instance.name_any());
        reborn(&scene, &instance, false, true).await;
    }
    for claim in &claimed {
        claim.delete().await.unwrap();
        claim.wait_gone(SOON).await.unwrap();
    }
    // As a backup comes back: in the order of kinds.
    for (name, spec) in specs {
        scene.apply(manifest("AgentClaim", &name, spec)).await;
    }
    scene.apply(manifest("AgentPool", "p", pool_spec)).await;
    let mark = scene.mark();
    controller.start().await.unwrap();
    let asks = async |claim: &Object<'_>| {
        let message = says(claim, "Ready", "False", "RestoredElsewhere").await;
        assert!(message.contains(&had[claim.name()]), "{message}");
    };
    for claim in &claimed {
        asks(claim).await;
    }
    scene.listings(3).await;
    keeps(&scene, &told).await;
    assert!(there.is_subset(&projects(&scene).await));

    // The account's owner lets them go on with what they had: they are nobody's, and nobody's they stay.
    let account = scene.tenant.provider_account();
    say_the_word(&account).await;
    for name in had.values() {
        is_ready(&scene.tenant.instance(name)).await;
    }
    for claim in &claimed {
        asks(claim).await;
    }
    // Who is new is served with what is new.
    ready(&scene.claim("other", json!({})).await).await;
    scene.listings(3).await;
    keeps(&scene, &told).await;
    assert!(there.is_subset(&projects(&scene).await));
    assert!(
        scene
            .mutations(mark)
            .iter()
            .all(|one| one != "projectDelete")
    );

    // A person deletes one, and its namesake has another.
    let (claim, agent) = (&claimed[0], scene.tenant.instance(&had["c00"]));
    agent.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    let anew = claim.wait_condition("Ready", "True", LONG).await.unwrap();
    assert!(!had.values().any(|had| *had == agent_of(&anew)));
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(agents_of_two_claims(&tellings), [""; 0]);
    world.stop().await.unwrap();
}
