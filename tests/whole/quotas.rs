//! What an account lets there be in all: whoever wants more is told whose limit it is, before anything is made.

use crate::support::{IMAGE, SOON, Scene, holds, is_ready, lays_down, says};
use crate::toolset::{counts, equipped};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use world::{Options, World, eventually, test_directory};

const NAMESPACES: usize = 10;
const AGENTS: usize = 20;
const PLACES: usize = 20;

/// How many projects were made: none is deleted here.
fn made(scene: &Scene<'_>) -> usize {
    let all = scene.exchanges(scene.start()).into_iter();
    let made = all.filter(|one| one.operation == "projectCreate");
    made.filter(|one| one.response["data"]["projectCreate"]["id"].is_string())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_agents_of_ten_namespaces_as_many_come_up_as_there_are_places() {
    let options = Options::new(test_directory("places"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--observe-interval=2s")
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "places", json!({"requestsPerSecond": 50})).await;
    let (account, cluster) = (scene.tenant.provider_account(), world.cluster());
    let name = scene.tenant.account().to_owned();
    let namespaces: Vec<String> = (0..NAMESPACES).map(|n| format!("{name}-{n}")).collect();
    let limits = json!({"spec": {"limits": {"resources": PLACES}, "allowedNamespaces": {"matchNames": namespaces}}});
    lays_down(&account, limits).await;
    let mut instances = Vec::new();
    for namespace in &namespaces {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.apply_one(object, None).await.unwrap();
        let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let runtime = json!({"runtime": {"image": IMAGE, "port": 8080}});
        let template = object("AgentTemplate", "t", runtime);
        cluster.apply_one(template, Some(namespace)).await.unwrap();
        for n in 0..AGENTS {
            let spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": name}});
            let instance = object("AgentInstance", &format!("a{n}"), spec);
            instances.push((namespace, instance));
        }
    }
    // All at once, and the controller is killed on the way.
    let applied = instances.into_iter().map(|(namespace, instance)| {
        let cluster = &cluster;
        async move { cluster.apply_one(instance, Some(namespace)).await.unwrap() }
    });
    let killed = async {
        eventually("some are made", SOON, async || {
            Ok((scene.projects().await >= 5).then_some(()))
        })
        .await
        .unwrap();
        let controller = world.controller().unwrap();
        controller.kill().await.unwrap();
        controller.start().await.unwrap();
    };
    futures::future::join(futures::future::join_all(applied), killed).await;

    let patience = Duration::from_secs(240);
    let all = || async {
        let mut words = Vec::new();
        for namespace in &namespaces {
            for n in 0..AGENTS {
                let one = world.object("AgentInstance", Some(namespace), &format!("a{n}"));
                let one = one.get().await?;
                let said = |kind: &str| {
                    let found = world::condition(&one, kind)?;
                    let word = found["reason"].as_str()?.to_owned();
                    (found["status"] == "True").then_some(word)
                };
                words.push(said("Ready").or_else(|| said("Stalled")));
            }
        }
        let of = |word: &str| words.iter().flatten().filter(|one| *one == word).count();
        anyhow::Ok((of("Ready"), of("QuotaExceeded")))
    };
    eventually("each is ready or told", patience, async || {
        let told = all().await?;
        Ok((told == (PLACES, NAMESPACES * AGENTS - PLACES)).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!((made(&scene), scene.projects().await), (PLACES, PLACES));

    // The owner raises it by two.
    let more = json!({"spec": {"limits": {"resources": PLACES + 2}}});
    lays_down(&account, more).await;
    eventually("two more are ready", patience, async || {
        Ok((all().await?.0 == PLACES + 2).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(made(&scene), PLACES + 2);
    world.stop().await.unwrap();
}

/// A tenant's account at a provider of tools.
fn at(scene: &Scene<'static>, provider: &str) -> world::Object<'static> {
    let name = format!("{}-{provider}", scene.tenant.account());
    scene.world.object("ProviderAccount", None, &name)
}

async fn with_one(name: &str, tool: &'static str) -> Scene<'static> {
    equipped(name, |tools| tools.retain(|one| one["name"] == tool)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_namespace_leaves_behind_counts_until_it_is_gone() {
    let scene = with_one("left", "search").await;
    let account = at(&scene, "exa");
    let one = json!({"spec": {"limits": {"resourcesPerNamespace": 1}}});
    lays_down(&account, one).await;
    let kept = json!({"deletionPolicy": "Retain"});
    let first = scene.instance("a", "t", kept).await;
    is_ready(&first).await;
    let second = scene.instance("b", "t", json!({})).await;
    let message = says(&second, "Stalled", "True", "QuotaExceeded").await;
    assert!(
        message.contains("limits.resourcesPerNamespace there is 1"),
        "{message}"
    );
    // Nothing is made for it, not even a project.
    assert_eq!(scene.projects().await, 1);
    first.delete().await.unwrap();
    first.wait_gone(SOON).await.unwrap();
    scene.listings(2).await;
    let third = scene.instance("c", "t", json!({})).await;
    says(&third, "Stalled", "True", "QuotaExceeded").await;
    assert_eq!(counts(&scene).await["exa/key"], 1);

    let key = scene.tenant.inventory().await.unwrap().resources;
    let key = key
        .iter()
        .find(|one| one.provider == "exa")
        .unwrap()
        .clone();
    let path = format!("/exa/keys/{}/delete", key.id);
    scene.by_hand(Method::POST, &path, Value::Null).await;
    eventually("one of them has it", SOON, async || {
        let mut ready = 0;
        for one in [&second, &third] {
            ready += usize::from(holds(&one.get().await?, "Ready"));
        }
        Ok((ready == 1).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_ordered_so_often_an_hour() {
    let scene = with_one("orders", "phone").await;
    let account = at(&scene, "telnyx");
    let one = json!({"spec": {"limits": {"ordersPerHour": 1}}});
    lays_down(&account, one).await;
    let first = scene.instance("a", "t", json!({})).await;
    is_ready(&first).await;
    let second = scene.instance("b", "t", json!({})).await;
    let message = says(&second, "ToolsReady", "False", "QuotaExceeded").await;
    assert!(message.contains("spec.limits.ordersPerHour"), "{message}");
    let orders = || async {
        let object = account.get().await.unwrap();
        object.data["status"]["orders"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(orders().await, 1);
    assert_eq!(counts(&scene).await["telnyx/number"], 1);
    // One that goes gives no order back.
    first.delete().await.unwrap();
    first.wait_gone(SOON).await.unwrap();
    scene.listings(2).await;
    assert_eq!(counts(&scene).await.get("telnyx/number"), None);
    let two = json!({"spec": {"limits": {"ordersPerHour": 2}}});
    lays_down(&account, two).await;
    is_ready(&second).await;
    assert_eq!(orders().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_cannot_be_had_uses_up_nobodys_hour() {
    let scene = equipped("unsold", |tools| {
        tools.retain(|one| one["name"] == "phone");
        tools[0]["maxMonthlyCostUSD"] = json!("0.10");
    })
    .await;
    let account = at(&scene, "telnyx");
    let one = json!({"spec": {"limits": {"ordersPerHour": 1}}});
    lays_down(&account, one).await;
    let first = scene.instance("a", "t", json!({})).await;
    let message = says(&first, "Stalled", "True", "Rejected").await;
    assert!(message.contains("maxMonthlyCostUSD"), "{message}");
    let dearer = json!({"spec": {"tools": [{"name": "phone", "type": "telnyx",
        "accountRef": {"name": format!("{}-telnyx", scene.tenant.account())}, "maxMonthlyCostUSD": 2}]}});
    scene.tenant.template("t").patch(dearer).await.unwrap();
    is_ready(&first).await;
    let object = account.get().await.unwrap();
    assert_eq!(
        object.data["status"]["orders"].as_array().map(Vec::len),
        Some(1)
    );
}

/// The most that keys could ever spend together, as the journal has it from one exchange to the next.
fn most_committed(scene: &Scene<'_>) -> f64 {
    let (mut limits, mut most) = (BTreeMap::<String, f64>::new(), 0.0);
    let all = scene.tenant.exchanges(scene.start().journal()).unwrap();
    for one in all.iter().filter(|one| one.provider == "openrouter") {
        let key = &one.response["data"];
        let id = key["hash"].as_str().unwrap_or_default().to_owned();
        match one.method.as_str() {
            "POST" | "PATCH" if !id.is_empty() => {
                limits.insert(id, key["limit"].as_f64().unwrap());
            }
            "DELETE" => limits.retain(|known, _| !one.path.ends_with(known.as_str())),
            _ => {}
        }
        most = limits.values().sum::<f64>().max(most);
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_a_month_never_exceeds_the_accounts_limit() {
    let scene = with_one("committed", "llm").await;
    let account = at(&scene, "openrouter");
    let most = |usd: u32| json!({"spec": {"limits": {"monthlyUSD": usd}}});
    lays_down(&account, most(50)).await;
    // 20 US dollars each, asked for at once.
    let mut instances = Vec::new();
    for name in ["a", "b", "c", "d"] {
        instances.push(scene.instance(name, "t", json!({})).await);
    }
    let two_and_two = async || {
        let (mut ready, mut waiting) = (Vec::new(), Vec::new());
        for (n, one) in instances.iter().enumerate() {
            let object = one.get().await?;
            if holds(&object, "Ready") {
                ready.push(n);
            } else if holds(&object, "Stalled") {
                waiting.push(n);
            }
        }
        let settled = (ready.len(), waiting.len()) == (2, 2);
        Ok(settled.then_some((ready, waiting)))
    };
    let settled = eventually("two are ready and two are told", SOON, two_and_two).await;
    let (ready, waiting) = settled.unwrap();
    let message = says(&instances[waiting[0]], "Stalled", "True", "QuotaExceeded").await;
    for part in [
        "20 US dollars a month",
        "beside 40",
        "spec.limits.monthlyUSD is 50",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(counts(&scene).await["openrouter/key"], 2);
    // Raised in place as far as there is room.
    let wish = |usd: u32| json!({"spec": {"toolLimits": [{"name": "llm", "limitUSD": usd}]}});
    let raised = async |n: usize, usd: u32| {
        let usd = usd.to_string();
        let told = move |object: &kube::api::DynamicObject| {
            object.data["status"]["monthlyUSD"]["committed"] == usd.as_str()
                && holds(object, "Synced")
        };
        let raised = instances[n].wait_until("it is raised", SOON, told);
        raised.await.unwrap();
    };
    instances[ready[0]].patch(wish(30)).await.unwrap();
    raised(ready[0], 30).await;
    instances[ready[1]].patch(wish(25)).await.unwrap();
    let message = says(&instances[ready[1]], "Stalled", "True", "QuotaExceeded").await;
    assert!(
        message.contains("25 US dollars a month are asked for beside 30"),
        "{message}"
    );
    assert_eq!(most_committed(&scene), 50.0);
    lays_down(&account, most(55)).await;
    raised(ready[1], 25).await;
    assert_eq!(most_committed(&scene), 55.0);
    account
        .wait_until("the account tells it", SOON, |object| {
            object.data["status"]["monthlyUSD"]["committed"] == "55"
        })
        .await
        .unwrap();
    let name = account.name().to_owned();
    let table = scene.world.kubectl(&["get", "pacct", &name]).await.unwrap();
    assert!(table.stdout.contains("COMMITTED"), "{}", table.stdout);
    let metrics = scene.world.metrics().await.unwrap();
    let line = format!(
        "yardmaster_monthly_usd{{account=\"{name}\",namespace=\"{}\",what=\"committed\"}} 55",
        scene.tenant.namespace()
    );
    assert!(metrics.contains(&line), "{line} in {metrics}");
}
