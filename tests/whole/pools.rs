//! A pool's own life and the times of its claims: idle agents take a new revision and claimed ones do not, limits are told, claims
//! that are late, over or ask for more have what they say.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use serde_json::{Value, json};
use world::cases;
use world::{CONTROLLER_USER, Object, Options, World, condition, eventually, test_directory};

use crate::claims::{LONG, agent_of, ready};
use crate::support::{SOON, Scene, holds, lays_down, says};

fn image(tag: &str) -> Value {
    json!({"spec": {"runtime": {"image": format!("ghcr.io/acme/agent:{tag}")}}})
}

fn runs(object: &DynamicObject, tag: &str) -> bool {
    object.data["status"]["image"]["requested"] == format!("ghcr.io/acme/agent:{tag}")
}

fn is_free(object: &DynamicObject) -> bool {
    object.data["spec"]["claimRef"].is_null() && object.metadata.deletion_timestamp.is_none()
}

async fn deployments_of(scene: &Scene<'_>, name: &str) -> u64 {
    scene.deployments(&scene.tenant.instance(name)).await
}

fn rolling(rest: Value) -> Value {
    let strategy = crate::support::merged(json!({"type": "RollingUpdate"}), rest);
    json!({"updateStrategy": strategy})
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_agents_take_a_new_revision_some_at_a_time_and_a_claims_agent_does_not() {
    let scene = Scene::new("rolling").await;
    let template = scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(4, rolling(json!({"maxUnavailable": 1}))).await;
    scene.fills(&pool, 4).await;
    let claim = scene.claim("c", json!({})).await;
    let claimed = agent_of(&ready(&claim).await);
    scene.fills(&pool, 4).await;
    says(&pool, "RolledOut", "True", "RolledOut").await;

    let api = scene.tenant.instance(&claimed).api().await.unwrap();
    let mut states = watcher(api, Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    template.patch(image("1.5")).await.unwrap();
    let mut now: BTreeMap<String, DynamicObject> = BTreeMap::new();
    let watched = async {
        let (mut worst, mut done) = (0, false);
        while !done {
            let object = states.next().await.unwrap().unwrap();
            now.insert(object.metadata.name.clone().unwrap_or_default(), object);
            let free = || now.values().filter(|one| is_free(one));
            worst = worst.max(free().filter(|one| !holds(one, "Ready")).count());
            let updated = |one: &DynamicObject| runs(one, "1.5") && holds(one, "Ready");
            done = now.len() == 5 && free().count() == 4 && free().all(updated);
        }
        worst
    };
    let worst = tokio::time::timeout(LONG, watched).await.unwrap();
    assert_eq!(worst, 1, "so many were not ready at once");
    says(&pool, "RolledOut", "True", "RolledOut").await;
    let told = pool.wait_until("the pool counts them", SOON, |pool| {
        pool.data["status"]["updated"] == 4 && pool.data["status"]["updating"] == 0
    });
    told.await.unwrap();
    assert!(runs(&now[&claimed], "1.4"));
    assert_eq!(deployments_of(&scene, &claimed).await, 1);
    // In place: nothing was made beside them.
    assert_eq!(scene.projects().await, 5);

    // Once it is claimed its claim says whether it is deployed, and so it stays at the next revision, too.
    let follows = scene
        .claim("follows", json!({"updatePolicy": "Automatic"}))
        .await;
    let follower = agent_of(&ready(&follows).await);
    let of = async |name: &str| {
        let instance = scene.tenant.instance(name).get().await.unwrap();
        (
            instance.data["spec"]["updatePolicy"].clone(),
            instance.data["spec"]["updateTo"].is_null(),
        )
    };
    assert_eq!(of(&follower).await, (json!("Automatic"), true));
    assert_eq!(of(&claimed).await, (json!("Manual"), true));
    template.patch(image("1.6")).await.unwrap();
    let moved = scene.tenant.instance(&follower);
    let moved = moved.wait_until("the template's rollout moves it", LONG, |one| {
        runs(one, "1.6") && holds(one, "Ready")
    });
    moved.await.unwrap();
    says(&pool, "RolledOut", "True", "RolledOut").await;
    assert_eq!(deployments_of(&scene, &claimed).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_stops_where_an_agent_fails_and_goes_on_with_the_next_revision() {
    let scene = Scene::new("halted").await;
    let template = scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(3, rolling(json!({"maxUnavailable": 1}))).await;
    scene.fills(&pool, 3).await;
    template.patch(image("2-crash-on-boot")).await.unwrap();
    let message = says(&pool, "RolledOut", "False", "RolloutStopped").await;
    let stopped = pool.get().await.unwrap();
    let by = stopped.data["status"]["updateStopped"]["by"].clone();
    let by = by.as_str().unwrap();
    assert!(message.contains(by), "{message}");
    says(&pool, "Stalled", "True", "RolloutStopped").await;
    // It is told after it was written.
    let told = eventually("an event tells of it", SOON, async || {
        let events = pool.events().await?;
        let told = events.iter().any(|one| one.contains("RolloutStopped"));
        Ok(told.then_some(()))
    });
    told.await.unwrap();
    // The others serve on, at the old revision.
    let instances = scene.all("AgentInstance").await;
    let old = |one: &&DynamicObject| runs(one, "1.4") && holds(one, "Ready");
    assert_eq!(instances.iter().filter(old).count(), 2);
    let names = instances
        .iter()
        .filter_map(|one| one.metadata.name.as_deref());
    assert!(names.into_iter().any(|name| name == by));
    template.patch(image("1.5")).await.unwrap();
    let done = eventually(
        "all idle agents are at the next revision",
        LONG,
        async || {
            let all = scene.all("AgentInstance").await;
            let new = |one: &DynamicObject| runs(one, "1.5") && holds(one, "Ready");
            Ok((all.len() == 3 && all.iter().all(new)).then_some(()))
        },
    );
    done.await.unwrap();
    says(&pool, "RolledOut", "True", "RolledOut").await;
    let pool = pool.wait_until("nothing has stopped any more", SOON, |pool| {
        condition(pool, "Stalled").is_none() && pool.data["status"]["updateStopped"].is_null()
    });
    pool.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_none_may_be_missing_one_more_is_made_first() {
    let scene = Scene::new("surge").await;
    let template = scene.template("t", json!({}), json!({})).await;
    let surge = rolling(json!({"maxUnavailable": 0, "maxSurge": 1}));
    let pool = scene.pool(2, surge).await;
    scene.fills(&pool, 2).await;
    let some = scene.all("AgentInstance").await.remove(0);
    let some = scene
        .tenant
        .instance(some.metadata.name.as_deref().unwrap());
    let api = some.api().await.unwrap();
    let mut states = watcher(api, Config::default())
        .default_backoff()
        .touched_objects()
        .boxed();
    template.patch(image("1.5")).await.unwrap();
    let mut now: BTreeMap<String, DynamicObject> = BTreeMap::new();
    let watched = async {
        let (mut least, mut done) = (usize::MAX, false);
        while !done {
            let object = states.next().await.unwrap().unwrap();
            now.insert(object.metadata.name.clone().unwrap_or_default(), object);
            let ready = now
                .values()
                .filter(|one| is_free(one) && holds(one, "Ready"));
            let ready: Vec<&DynamicObject> = ready.collect();
            if now.len() >= 2 {
                least = least.min(ready.len());
            }
            done = now.len() > 2 && ready.len() == 2 && ready.iter().all(|one| runs(one, "1.5"));
        }
        least
    };
    let least = tokio::time::timeout(LONG, watched).await.unwrap();
    assert!(least >= 2, "only {least} were ready");
    scene.fills(&pool, 2).await;
    says(&pool, "RolledOut", "True", "RolledOut").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pool_says_of_times_becomes_its_claims_own() {
    let scene = Scene::new("defaults").await;
    scene.template("t", json!({}), json!({})).await;
    let early = scene
        .claim("early", json!({"ttlAfterFinished": "3s"}))
        .await;
    says(&early, "Bound", "False", "PoolNotFound").await;
    let waiting = early.get().await.unwrap();
    assert!(waiting.data["status"]["bindBy"].is_null());
    let defaults = json!({"bindDeadline": "6s", "expiresAfter": "8s", "provisionDeadline": "40s", "updatePolicy": "Automatic"});
    let pool = scene.pool(0, json!({"claimDefaults": defaults})).await;
    let bounded = early.wait_until("it waits until then", SOON, |claim| {
        claim.data["status"]["bindBy"].is_string()
    });
    let by = bounded.await.unwrap().data["status"]["bindBy"].clone();
    // What the pool says later is nothing to it.
    let later = json!({"spec": {"claimDefaults": {"bindDeadline": "10h"}}});
    pool.patch(later).await.unwrap();
    says(&early, "Stalled", "True", "DeadlineExceeded").await;
    let late = early.get().await.unwrap();
    assert_eq!(late.data["status"]["bindBy"], by);
    assert!(late.data["spec"]["bindDeadline"].is_null());
    let heard = eventually("people hear of it", SOON, async || {
        let events = early.events().await?;
        Ok(events
            .iter()
            .any(|one| one.contains("DeadlineExceeded"))
            .then_some(()))
    });
    heard.await.unwrap();
    // It has finished, and goes as it says.
    early.wait_gone(SOON).await.unwrap();

    pool.patch(json!({"spec": {"replicas": 1, "claimDefaults": {"bindDeadline": "5m"}}}))
        .await
        .unwrap();
    scene.fills(&pool, 1).await;
    let mark = scene.mark();
    let short = scene.claim("short", json!({})).await;
    let bound = ready(&short).await;
    let status = &bound.data["status"];
    assert!(status["expiresAt"].is_string() && status["provisionDeadline"] == "40s");
    assert!(bound.data["spec"]["expiresAfter"].is_null());
    let instance = scene.tenant.instance(&agent_of(&bound));
    let object = instance.get().await.unwrap();
    assert_eq!(object.data["spec"]["updatePolicy"], "Automatic");
    says(&short, "Expired", "True", "Expired").await;
    instance.wait_gone(SOON).await.unwrap();
    // Nothing was written into its spec, and without a word it stays.
    let specs = scene.writes(mark);
    let specs = specs.iter().filter(|one| one.resource == "agentclaims");
    assert!(specs.into_iter().all(|one| one.subresource == "status"));
    let events = eventually("all is told", SOON, async || {
        let events = short.events().await?;
        let told = |word: &str| {
            let word = format!(" {word} (");
            events.iter().filter(|one| one.contains(&word)).count()
        };
        let all = ["Bound", "Ready", "Expired"].map(told);
        Ok((all == [1, 1, 1]).then_some(events))
    });
    let events = events.await.unwrap();
    let agent = agent_of(&bound);
    assert!(
        events
            .iter()
            .any(|one| one.contains(&format!("has agent {agent}"))),
        "{events:?}"
    );
    let metrics = scene.world.metrics().await.unwrap();
    let shown = |begin: &str| metrics.lines().any(|line| line.starts_with(begin));
    for line in [
        "yardmaster_claims_total{outcome=\"bound\"} ",
        "yardmaster_claims_total{outcome=\"deadline_exceeded\"} ",
        "yardmaster_claim_bound_seconds_count ",
        "yardmaster_claim_ready_seconds_count ",
    ] {
        assert!(shown(line), "{line}");
    }
    let waiting = format!(
        "yardmaster_pool_waiting_claims{{namespace=\"{}\",pool=\"p\"}} 0",
        scene.tenant.namespace()
    );
    assert!(shown(&waiting), "{waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_asks_for_it_has_one_more_made_and_the_first_in_line_gets_the_first() {
    let scene = Scene::new("asks").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(0, json!({})).await;
    let waits = scene.claim("waits", json!({})).await;
    says(&waits, "Bound", "False", "NoAgentFree").await;
    assert_eq!(scene.all("AgentInstance").await.len(), 0);
    let asks = scene.claim("asks", json!({"whenEmpty": "Create"})).await;
    // The one that is made goes to who came first, and another one is made.
    let first = ready(&waits).await;
    let second = ready(&asks).await;
    assert_ne!(agent_of(&first), agent_of(&second));
    let at = |claim: &DynamicObject| {
        let bound = condition(claim, "Bound").unwrap()["lastTransitionTime"].clone();
        bound.as_str().unwrap().to_owned()
    };
    assert!(at(&first) <= at(&second));
    let rests = pool.wait_until("it keeps none", SOON, |pool| {
        pool.data["status"]["replicas"] == 0 && pool.data["status"]["claimed"] == 2
    });
    rests.await.unwrap();
    assert_eq!(scene.projects().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_makes_no_more_than_its_namespace_may_have_and_says_both_numbers() {
    let scene = Scene::new("room").await;
    scene.template("t", json!({}), json!({})).await;
    let account = scene.tenant.provider_account();
    let most = |most: i32| json!({"spec": {"limits": {"resourcesPerNamespace": most}}});
    lays_down(&account, most(2)).await;
    let mark = scene.mark();
    let pool = scene.pool(4, json!({})).await;
    let message = says(&pool, "QuotaExceeded", "True", "QuotaExceeded").await;
    let full = eventually("it says how many there are, and may be", SOON, async || {
        let pool = pool.get().await?;
        let said = condition(&pool, "QuotaExceeded");
        let said = said.and_then(|said| said["message"].as_str());
        let both = said.is_some_and(|said| {
            said.contains("has 2 resources") && said.contains("resourcesPerNamespace there is 2")
        });
        Ok((both && pool.data["status"]["idle"] == 2).then_some(()))
    });
    full.await
        .unwrap_or_else(|error| panic!("{error}: {message}"));
    let instances = scene.all("AgentInstance").await;
    assert_eq!(instances.len(), 2);
    let made = scene.writes(mark).into_iter();
    let made = made.filter(|one| one.resource == "agentinstances" && one.verb == "create");
    assert_eq!(made.count(), 2, "no more are made in vain");
    lays_down(&account, most(4)).await;
    scene.fills(&pool, 4).await;
}

/// Scale-down and updates race with claims: no agent that a claim has is deleted, and none is deployed anew under its claim.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_pool_does_meanwhile_a_claims_agent_stays_as_it_is() {
    let options = Options::new(test_directory("pool-races"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    makes_one_for_each_request_that_is_not_answered(&world).await;
    let scene = Scene::within(&world, "races", json!({"requestsPerSecond": 50})).await;
    let template = scene.template("t", json!({}), json!({})).await;
    let pool = scene
        .pool(3, rolling(json!({"maxUnavailable": "67%"})))
        .await;
    scene.fills(&pool, 3).await;
    // 200 of them with CASES_TIMES=40.
    let rounds = 5 * cases::times();
    let mut dice = cases::seed();
    for round in 0..rounds {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let names = [format!("a{round}"), format!("b{round}")];
        let change = async {
            let wait = Duration::from_millis(u64::from(dice >> 20) % 60);
            tokio::time::sleep(wait).await;
            template
                .patch(image(&format!("1.{}", 5 + round)))
                .await
                .unwrap();
            let scale = json!({"spec": {"replicas": (dice >> 8) % 2}});
            pool.patch(scale).await.unwrap();
        };
        let made = async {
            let claims = names.iter().map(|name| scene.claim(name, json!({})));
            futures::future::join_all(claims).await
        };
        let (claims, ()) = futures::future::join(made, change).await;
        let mut had = Vec::new();
        pool.patch(json!({"spec": {"replicas": 3}})).await.unwrap();
        for claim in &claims {
            had.push(agent_of(&ready(claim).await));
        }
        scene.fills(&pool, 3).await;
        says(&pool, "RolledOut", "True", "RolledOut").await;
        for (claim, name) in claims.iter().zip(&had) {
            stays(&scene, claim, name).await;
        }
        for claim in &claims {
            claim.delete().await.unwrap();
        }
    }
    world.stop().await.unwrap();
}

/// Whether a request to make an agent came to something or not: without an answer it is asked for again, under its name.
async fn makes_one_for_each_request_that_is_not_answered(world: &World) {
    let scene = Scene::within(world, "unanswered", json!({})).await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(0, json!({})).await;
    let server = world.cluster_control().await.unwrap();
    for (wanted, effect) in [
        (1, json!("reset_before")),
        (2, json!("reset_after")),
        (3, json!({"status": 500})),
    ] {
        let fault = json!({"user": CONTROLLER_USER, "verb": "create", "resource": "agentinstances", "effect": effect});
        let fault = server.post_fault(fault).await.unwrap();
        pool.patch(json!({"spec": {"replicas": wanted}}))
            .await
            .unwrap();
        scene.fills(&pool, wanted).await;
        assert_eq!(server.fired(&fault).await.unwrap(), 1, "{effect}");
        assert_eq!(scene.all("AgentInstance").await.len(), wanted, "{effect}");
    }
}

/// An agent is its claim's, and was deployed for nothing since it was handed over.
async fn stays(scene: &Scene<'_>, claim: &Object<'_>, name: &str) {
    let claim = claim.get().await.unwrap();
    let instance = scene.tenant.instance(name).get().await.unwrap();
    assert!(holds(&claim, "Ready") && claim.data["status"]["rejected"].is_null());
    assert!(instance.metadata.deletion_timestamp.is_none());
    let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let told = at(&instance.data["spec"]["claimRef"]["handedOverAt"]);
    let ledger = instance.data["status"]["external"].as_array().unwrap();
    let configured = ledger.iter().find(|one| one["slot"] == "configuration");
    let configured = at(&configured.unwrap()["startedAt"]);
    assert!(
        configured < told,
        "{name} was deployed at {configured}, and told at {told}"
    );
}
