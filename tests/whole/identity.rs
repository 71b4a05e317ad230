//! Whose account a credential opens: another organisation's key in an account's Secret concludes nothing and changes
//! nothing, also across a restart, until it is taken back or acknowledged; another key of the same organisation is no event.
//!
//! Holds: nothing of the organisation that the key is of is ever touched.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use world::{
    Object, Options, SYSTEM_NAMESPACE, World, condition, eventually, test_directory,
    tool_credential,
};

use crate::support::{SOON, Scene, holds, id, is_ready, list, says};

const PROVIDERS: [&str; 5] = ["openrouter", "exa", "agentmail", "telnyx", "bankr"];

/// Those that tell whose a key is, once something lives there.
const TELLING: [&str; 4] = ["openrouter", "exa", "agentmail", "telnyx"];

/// A tenant with an account at every provider, and agents that use all of them.
async fn equipped<'w>(world: &'w World, name: &str, agents: &[&str]) -> Scene<'w> {
    let scene = Scene::within(world, name, Value::Null).await;
    scene.tenant.tool_accounts().await.unwrap();
    let tools = json!({"tools": scene.tenant.six_tools()});
    scene.template("t", json!({}), tools).await;
    for agent in agents {
        scene.instance(agent, "t", json!({})).await;
    }
    for agent in agents {
        is_ready(&scene.tenant.instance(agent)).await;
    }
    // An account is pinned to what its provider tells, as soon as it tells.
    for provider in TELLING {
        let told =
            |object: &kube::api::DynamicObject| object.data["status"]["identity"]["id"].is_string();
        let account = account(&scene, provider);
        account
            .wait_until("its identity is told", SOON, told)
            .await
            .unwrap();
    }
    scene
}

fn account<'w>(scene: &Scene<'w>, provider: &str) -> Object<'w> {
    let name = format!("{}-{provider}", scene.tenant.name());
    scene.world.object("ProviderAccount", None, &name)
}

/// Puts a key of an organisation into the Secret of each account.
async fn put_keys_of(scene: &Scene<'_>, organisation: &str) {
    for provider in PROVIDERS {
        let key = tool_credential(provider, organisation);
        scene.tenant.put_credential(provider, &key).await.unwrap();
    }
}

/// Another organisation at every provider, in which something lives.
async fn others(scene: &Scene<'_>) -> String {
    let other = format!("other-{}", scene.tenant.name());
    for (path, body) in [
        ("/exa/keys", json!({"account": other, "name": "x"})),
        ("/telnyx/profiles", json!({"account": other, "name": "x"})),
        (
            "/agentmail/inboxes",
            json!({"account": other, "username": other}),
        ),
    ] {
        scene.by_hand(reqwest::Method::POST, path, body).await;
    }
    other
}

/// All that an organisation has outside, but for what runs.
async fn inventory(scene: &Scene<'_>, organisation: &str) -> BTreeMap<String, usize> {
    let all = scene.world.outside().inventory().await.unwrap();
    let mut counts = BTreeMap::new();
    for one in all.of_workspace(organisation).resources {
        *counts
            .entry(format!("{}/{}", one.provider, one.kind))
            .or_insert(0) += 1;
    }
    counts
}

fn held_because(provider: &str) -> &'static str {
    match provider {
        "bankr" => "IdentityUnproven",
        _ => "IdentityChanged",
    }
}

fn message(account: &kube::api::DynamicObject, kind: &str) -> String {
    let found = condition(account, kind).unwrap();
    found["message"].as_str().unwrap().to_owned()
}

/// The annotation that a message asks for.
fn asked_for(message: &str) -> String {
    let (_, rest) = message.split_once("yardmaster.dev/acknowledge=").unwrap();
    rest.split(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organisations_key_concludes_nothing_and_the_right_one_goes_on() {
    let options = Options::new(test_directory("identity"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--lease-duration=60s")
        .controller_arg("--lease-renew-deadline=50s");
    let world = World::start(options).await.unwrap();
    let scene = equipped(&world, "pinned", &["goes", "stays"]).await;
    let (goes, stays) = (
        scene.tenant.instance("goes"),
        scene.tenant.instance("stays"),
    );
    let other = others(&scene).await;
    let (own, foreign) = (
        inventory(&scene, scene.tenant.name()).await,
        inventory(&scene, &other).await,
    );
    let rest = stays.get().await.unwrap().metadata.resource_version;

    put_keys_of(&scene, &other).await;
    let mut told = BTreeMap::new();
    for provider in PROVIDERS {
        let held = account(&scene, provider);
        let why = says(&held, "Ready", "False", held_because(provider)).await;
        let secret = format!("Secret {SYSTEM_NAMESPACE}/{}", held.name());
        let command = format!(
            "kubectl annotate provideraccount {} yardmaster.dev/acknowledge={}@",
            held.name(),
            held_because(provider)
        );
        assert!(why.contains(&secret) && why.contains(&command), "{why}");
        told.insert(provider, why);
    }
    goes.delete().await.unwrap();
    let waits = async |since: &str| {
        scene.listings(2).await;
        eventually("the deletion says for what it waits", SOON, async || {
            let object = goes.get().await?;
            let why = object.data["status"]["conditions"].to_string();
            Ok(why.contains("is not ready: its credential").then_some(()))
        })
        .await
        .unwrap();
        assert_eq!(inventory(&scene, scene.tenant.name()).await, own, "{since}");
        assert_eq!(inventory(&scene, &other).await, foreign, "{since}");
        let agent = stays.get().await.unwrap();
        assert!(holds(&agent, "Ready"), "{since}");
        assert_eq!(agent.metadata.resource_version, rest, "{since}");
    };
    waits("before a restart").await;
    // A process that has never seen the right key knows no more of the account, and no less.
    let controller = world.controller().unwrap();
    controller.stop().await.unwrap();
    controller.start().await.unwrap();
    waits("after a restart").await;
    for provider in PROVIDERS {
        let held = account(&scene, provider).get().await.unwrap();
        assert_eq!(message(&held, "Ready"), told[provider], "since when, too");
    }

    put_keys_of(&scene, scene.tenant.name()).await;
    for provider in PROVIDERS {
        let good = account(&scene, provider);
        good.wait_condition("Ready", "True", SOON).await.unwrap();
    }
    goes.wait_gone(SOON).await.unwrap();
    let left = inventory(&scene, scene.tenant.name()).await;
    let expected: BTreeMap<String, usize> = own
        .iter()
        .map(|(kind, count)| {
            (
                kind.clone(),
                if kind == "bankr/wallet" {
                    *count
                } else {
                    count / 2
                },
            )
        })
        .collect();
    assert_eq!(left, expected);
    assert_eq!(inventory(&scene, &other).await, foreign);
    assert!(holds(&stays.get().await.unwrap(), "Ready"));
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_organisation_is_the_accounts_own_from_then_on_and_no_other() {
    let scene = equipped(crate::support::shared().await, "moved", &["a"]).await;
    let other = others(&scene).await;
    put_keys_of(&scene, &other).await;
    for provider in ["agentmail", "bankr"] {
        let held = account(&scene, provider);
        let why = says(&held, "Ready", "False", held_because(provider)).await;
        let go = json!({"yardmaster.dev/acknowledge": asked_for(&why)});
        held.patch(json!({"metadata": {"annotations": go}}))
            .await
            .unwrap();
        held.wait_condition("Ready", "True", SOON).await.unwrap();
    }
    // The former one is another's now, and what was acknowledged is not this.
    let mail = account(&scene, "agentmail");
    let former = tool_credential("agentmail", scene.tenant.name());
    scene
        .tenant
        .put_credential("agentmail", &former)
        .await
        .unwrap();
    says(&mail, "Ready", "False", "IdentityChanged").await;
    let back = tool_credential("agentmail", &other);
    scene
        .tenant
        .put_credential("agentmail", &back)
        .await
        .unwrap();
    mail.wait_condition("Ready", "True", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_of_the_same_organisation_is_no_event() {
    let world = crate::support::shared().await;
    let scene = equipped(world, "rotates", &["a"]).await;
    let agent = scene.tenant.instance("a");
    let pins = async || {
        let kept = world
            .secret(SYSTEM_NAMESPACE, "yardmaster-installation")
            .await
            .unwrap();
        let mut pins = BTreeMap::new();
        for provider in PROVIDERS {
            let uid = account(&scene, provider)
                .get()
                .await
                .unwrap()
                .metadata
                .uid
                .unwrap();
            pins.insert(provider, kept[&format!("pin.{uid}")].clone());
        }
        pins
    };
    // What an account tells of the agent may come after the agent is ready.
    let told = eventually("each account tells what there is in it", SOON, async || {
        let living = scene.tenant.inventory().await?.resources;
        let own = [agent.get().await?];
        let wrong = world::books::differences(&scene.tenant, &own, &living).await?;
        let mut counted = wrong.is_empty();
        for provider in PROVIDERS.iter().filter(|one| **one != "bankr") {
            let status = account(&scene, provider).get().await?.data["status"].take();
            let least = if *provider == "telnyx" { 2 } else { 1 };
            let resources = status["resources"].as_u64();
            // The first count of what is left over comes later than what there is.
            counted &= resources.is_some_and(|count| count >= least) && status["sweep"].is_object();
        }
        Ok(counted.then_some(()))
    });
    told.await.unwrap();
    let (before, mark) = (pins().await, world.audit().mark().unwrap());
    let rest = agent.get().await.unwrap().metadata.resource_version;
    put_keys_of(&scene, scene.tenant.name()).await;
    eventually("each new key was proven", SOON, async || {
        let now = pins().await;
        let changed = PROVIDERS.iter().all(|one| now[one] != before[one]);
        Ok(changed.then_some(()))
    })
    .await
    .unwrap();
    let names = PROVIDERS.map(|provider| account(&scene, provider).name().to_owned());
    let mut told = world.audit().since(mark).unwrap();
    told.retain(|one| one.is_write() && one.is_controller() && names.contains(&one.name));
    assert!(
        told.iter().all(|one| one.resource != "provideraccounts"),
        "{told:#?}"
    );
    assert_eq!(agent.get().await.unwrap().metadata.resource_version, rest);
    // And the new ones are used: what the agent has is taken back with them.
    let numbers = scene
        .tenant
        .inventory()
        .await
        .unwrap()
        .kind("number")
        .count();
    assert_eq!(numbers, 1);
    agent.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    let left = inventory(&scene, scene.tenant.name()).await;
    assert_eq!(left, BTreeMap::from([("bankr/wallet".to_owned(), 1)]));
    // No account, no pin.
    let mail = account(&scene, "agentmail");
    let uid = mail.get().await.unwrap().metadata.uid.unwrap();
    mail.delete().await.unwrap();
    mail.wait_gone(SOON).await.unwrap();
    let kept = world
        .secret(SYSTEM_NAMESPACE, "yardmaster-installation")
        .await
        .unwrap();
    assert!(!kept.contains_key(&format!("pin.{uid}")) && kept.contains_key("seal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_spec_expects_is_compared_and_mended_there() {
    let scene = Scene::new("expects").await;
    let account = scene.tenant.provider_account();
    let expect = |id: &str| json!({"spec": {"expectedIdentity": id}});
    account.patch(expect("another-workspace")).await.unwrap();
    let why = says(&account, "Ready", "False", "IdentityMismatch").await;
    assert!(
        why.contains("another-workspace") && why.contains(scene.tenant.workspace()),
        "{why}"
    );
    account
        .patch(expect(scene.tenant.workspace()))
        .await
        .unwrap();
    account.wait_condition("Ready", "True", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_anew_for_another_workspace_takes_nothing_for_gone() {
    let scene = Scene::new("remade").await;
    let agent = scene.ready(json!({}), &["a"]).await.remove(0);
    let project = id(&agent.get().await.unwrap(), "project");
    let account = scene.tenant.provider_account();
    // By force: the finalizer that waits for the agent is taken off by hand.
    let mut spec = account.get().await.unwrap().data["spec"].clone();
    account.delete().await.unwrap();
    account
        .patch(json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    let elsewhere = format!("elsewhere-{}", scene.tenant.name());
    scene
        .tenant
        .put_token(&world::railway_token(&elsewhere))
        .await
        .unwrap();
    spec["railway"]["workspaceId"] = json!(elsewhere);
    eventually("the account is made anew", SOON, async || {
        let anew = json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "ProviderAccount",
            "metadata": {"name": account.name()}, "spec": spec});
        Ok(scene.world.cluster().apply_one(anew, None).await.ok())
    })
    .await
    .unwrap();
    says(&account, "Ready", "False", "IdentityUnproven").await;
    agent.delete().await.unwrap();
    eventually("the deletion waits", SOON, async || {
        let object = agent.get().await?;
        let why = object.data["status"]["conditions"].to_string();
        Ok(why.contains("is not ready: its credential").then_some(()))
    })
    .await
    .unwrap();
    let living = scene.tenant.inventory().await.unwrap();
    assert!(living.resources.iter().any(|one| one.id == project));
    assert_eq!(
        list(&agent.get().await.unwrap().data["status"]["external"])[0]["id"],
        project.as_str()
    );
}
