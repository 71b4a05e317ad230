//! A cluster that remembers less than there is: statuses that were all lost at once, an etcd of an hour ago. Nothing is changed
//! before a person has said so, and then nothing is doubled and nothing lost that somebody has.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use world::{Object, Options, World, condition, eventually, test_directory};

use crate::breakers::acknowledge;
use crate::support::{SOON, Scene, id, is_ready, says};
use crate::sweep::{projects, wants};

const AGENTS: usize = 12;

/// A world whose controller looks often and keeps its lease for long.
pub async fn world(name: &str) -> World {
    let options = Options::new(test_directory(name))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--observe-interval=1s")
        .controller_arg("--request-timeout=2s")
        .controller_arg("--settle=1s")
        .controller_arg("--lease-duration=60s")
        .controller_arg("--lease-renew-deadline=50s")
        .set("agent.bootTime", "0s");
    World::start(options).await.unwrap()
}

async fn is_over(account: &Object<'_>) {
    let none = account.wait_until("RecoveryMode is over", SOON, |object| {
        condition(object, "RecoveryMode").is_none()
    });
    none.await.unwrap();
}

async fn is_told_once(account: &Object<'_>, reason: &str) {
    eventually("an event tells it", SOON, async || {
        let events = account.events().await?;
        let told = events.iter().filter(|one| one.contains(reason)).count();
        Ok((told == 1).then_some(()))
    })
    .await
    .unwrap();
}

async fn set(scene: &Scene<'_>) -> BTreeSet<String> {
    projects(scene).await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_were_all_lost_are_found_again_when_a_person_says_so() {
    let world = world("recovery-statuses").await;
    let fast = json!({"requestsPerSecond": 50, "maxProjects": 10_000});
    let scene = Scene::within(&world, "forgets", fast).await;
    let account = scene.tenant.provider_account();
    scene.template("t", json!({}), json!({})).await;
    world.seed(&scene.tenant, "t", AGENTS).await.unwrap();
    let before = set(&scene).await;
    assert_eq!(before.len(), AGENTS);
    let agents: Vec<Object<'_>> = (0..AGENTS)
        .map(|n| scene.tenant.instance(&format!("t-{n}")))
        .collect();
    let api = agents[0].api().await.unwrap();
    let (none, parameters) = (
        Patch::Merge(json!({"status": null})),
        PatchParams::default(),
    );
    for agent in &agents {
        let lost = api.patch_status(agent.name(), &parameters, &none);
        assert!(lost.await.unwrap().data["status"].is_null());
    }
    wants(&account, "Delete").await;
    let (mark, start) = (scene.mark(), scene.mark());
    let controller = world.controller().unwrap();
    controller.start().await.unwrap();

    let message = says(&account, "RecoveryMode", "True", "LedgersLost").await;
    assert!(message.starts_with("12 of 12 "), "{message}");
    is_told_once(&account, "LedgersLost").await;
    let line = format!(
        "yardmaster_account_recovery_mode{{account=\"{}\"}} 1",
        account.name()
    );
    eventually("a metric tells it", SOON, async || {
        let metrics = world.metrics().await.unwrap_or_default();
        Ok(metrics.contains(&line).then_some(()))
    })
    .await
    .unwrap();
    // Nothing is made for one that comes, found for one that is there, taken back for one that goes.
    let late = scene.instance("late", "t", json!({})).await;
    agents[5].delete().await.unwrap();
    for waits in [&late, &agents[3], &agents[5]] {
        let why = says(waits, "Synced", "False", "RecoveryMode").await;
        let by = format!("RecoveryMode of ProviderAccount {}", account.name());
        assert!(why.contains(&by), "{why}");
        says(waits, "Paused", "True", "RecoveryMode").await;
    }
    scene.listings(3).await;
    // Nor by a process that has not told it itself.
    controller.stop().await.unwrap();
    controller.start().await.unwrap();
    scene.listings(5).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    assert_eq!(
        says(&account, "RecoveryMode", "True", "LedgersLost").await,
        message
    );
    assert_eq!(set(&scene).await, before);

    acknowledge(&scene, &message).await;
    agents[5].wait_gone(SOON).await.unwrap();
    is_ready(&late).await;
    let mut known = BTreeSet::new();
    for agent in agents.iter().filter(|one| one.name() != "t-5") {
        known.insert(id(&is_ready(agent).await, "project"));
    }
    assert_eq!(known.len(), AGENTS - 1);
    assert!(known.is_subset(&before));
    is_over(&account).await;
    // One more than there were, for the one that came, and nothing made twice.
    let changed = scene.mutations(start);
    let made = changed.iter().filter(|one| *one == "projectCreate");
    assert_eq!(made.count(), 1);
    known.insert(id(&late.get().await.unwrap(), "project"));
    scene.listings(3).await;
    assert_eq!(set(&scene).await, known);
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_etcd_of_an_hour_ago_what_nobody_claims_stays_until_a_person_says_otherwise() {
    let world = world("recovery-etcd").await;
    let scene = Scene::within(&world, "earlier", json!({"requestsPerSecond": 50})).await;
    let account = scene.tenant.provider_account();
    wants(&account, "Delete").await;
    let agents = scene.ready(json!({}), &["a", "b", "c"]).await;
    let kept = set(&scene).await;
    let controller = world.controller().unwrap();
    controller.stop().await.unwrap();
    world.copy_cluster("then").await.unwrap();
    let then = jiff::Timestamp::now();
    controller.start().await.unwrap();
    // What the newest record of that time made could be seen so late as this.
    eventually("what was begun then has landed", SOON, async || {
        let passed = jiff::Timestamp::now().duration_since(then);
        Ok((passed > jiff::SignedDuration::from_secs(3)).then_some(()))
    })
    .await
    .unwrap();
    for name in ["d", "e"] {
        is_ready(&scene.instance(name, "t", json!({})).await).await;
    }
    let now = set(&scene).await;
    assert_eq!(now.len(), 5);

    controller.stop().await.unwrap();
    world.restore_cluster("then").await.unwrap();
    let mark = scene.mark();
    controller.start().await.unwrap();
    let message = says(&account, "RecoveryMode", "True", "TimeWentBack").await;
    is_told_once(&account, "TimeWentBack").await;
    says(&account, "OrphansFound", "True", "OrphansFound").await;
    says(&account, "SweepHeldBack", "True", "RecoveryMode").await;
    // A change waits as well.
    let own = json!({"spec": {"env": [{"name": "B", "value": "2"}]}});
    agents[0].patch(own).await.unwrap();
    says(&agents[0], "Synced", "False", "RecoveryMode").await;
    scene.listings(4).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    assert_eq!(set(&scene).await, now);

    acknowledge(&scene, &message).await;
    let swept = scene.tenant.wait_inventory(
        "the orphans are gone",
        Duration::from_secs(90),
        |inventory| inventory.kind("project").count() == 3,
    );
    swept.await.unwrap();
    assert_eq!(set(&scene).await, kept);
    // The word stays when another one is written over it, and ends with what it was of.
    let other = json!({"metadata": {"annotations": {"yardmaster.dev/acknowledge": Value::Null}}});
    account.patch(other).await.unwrap();
    is_over(&account).await;
    for agent in &agents {
        is_ready(agent).await;
    }
    assert!(
        scene
            .mutations(mark)
            .iter()
            .all(|one| one != "projectCreate")
    );
    world.stop().await.unwrap();
}
