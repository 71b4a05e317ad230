//! Accounts that go, and what is told of accounts: who keeps one from going, that it takes nobody new, which Secrets it
//! keeps, who else leads to the same place, and what the sweep finds in it.
//!
//! Holds: each is one condition, one event and, where people look first, a column.

use serde_json::{Value, json};
use world::{Object, SYSTEM_NAMESPACE, World, eventually};

use crate::support::{SOON, Scene, holds, is_ready, list, says};

/// The events of an object that have this reason.
async fn events(object: &Object<'_>, reason: &str) -> Vec<String> {
    let mut events = object.events().await.unwrap();
    events.retain(|event| event.contains(reason));
    events
}

/// Waits for one event of this reason.
async fn hears(object: &Object<'_>, reason: &str) -> String {
    let heard = eventually("an event", SOON, async || {
        Ok(events(object, reason).await.into_iter().next())
    });
    heard.await.unwrap()
}

/// A column of `kubectl get`, by its heading.
async fn column(world: &World, name: &str, heading: &str) -> String {
    let table = world
        .kubectl(&["get", "provideraccount", name, "-o", "wide"])
        .await
        .unwrap()
        .stdout;
    let mut lines = table.lines();
    let (head, row) = (lines.next().unwrap(), lines.next().unwrap());
    let from = head
        .find(heading)
        .unwrap_or_else(|| panic!("no {heading} in {head}"));
    let cell: String = row.chars().skip(from).take_while(|c| *c != ' ').collect();
    cell
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_deleted_says_for_whom_it_waits_and_takes_nobody_new() {
    let scene = Scene::new("leaving").await;
    let account = scene.tenant.provider_account();
    let agents = scene.ready(json!({}), &["a", "b"]).await;
    account.delete().await.unwrap();
    let message = says(&account, "Deleting", "True", "InUse").await;
    let namespace = scene.tenant.namespace();
    for agent in ["a", "b"] {
        assert!(
            message.contains(&format!("{namespace}/{agent}")),
            "{message}"
        );
    }
    assert!(message.contains("2 instances"), "{message}");
    hears(&account, "InUse").await;
    assert_eq!(
        column(scene.world, account.name(), "DELETING").await,
        "InUse"
    );

    // Nobody new gets anything; those that are there are changed as before.
    let mark = scene.mark();
    let late = scene.instance("late", "t", json!({})).await;
    let why = says(&late, "Stalled", "True", "AccountDeleting").await;
    assert!(why.contains("nothing new is made"), "{why}");
    assert_eq!(scene.mutations(mark), [""; 0]);
    let env = json!({"spec": {"env": [{"name": "GREETING", "value": "hi"}]}});
    agents[0].patch(env).await.unwrap();
    agents[0]
        .wait_until("the change is deployed", SOON, |object| {
            list(&object.data["status"]["variables"]).contains(&json!("GREETING"))
                && holds(object, "Ready")
        })
        .await
        .unwrap();
    assert!(late.get().await.unwrap().metadata.finalizers.is_none());

    agents[0].delete().await.unwrap();
    agents[0].wait_gone(SOON).await.unwrap();
    let fewer = account.wait_until("it waits for one", SOON, |object| {
        let told = world::condition(object, "Deleting");
        told.is_some_and(|told| told["message"].to_string().contains("1 instance that"))
    });
    fewer.await.unwrap();
    assert_eq!(events(&account, "InUse").await.len(), 1, "told once");
    agents[1].delete().await.unwrap();
    agents[1].wait_gone(SOON).await.unwrap();
    account.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 0);
    // The one that came too late kept nobody, and goes without a trace.
    late.delete().await.unwrap();
    late.wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_deleted_in_use_is_told_of_on_its_account() {
    let scene = Scene::new("bereft").await;
    let account = scene.tenant.provider_account();
    let secret = scene
        .world
        .object("Secret", Some(SYSTEM_NAMESPACE), scene.tenant.name());
    secret.delete().await.unwrap();
    let message = says(&account, "SecretDeleting", "True", "InUse").await;
    assert!(message.contains(secret.name()), "{message}");
    hears(&account, "InUse").await;
    assert!(holds(&account.get().await.unwrap(), "Ready"));
    let agent = scene.ready(json!({}), &["a"]).await.remove(0);
    agent.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    account.delete().await.unwrap();
    account.wait_gone(SOON).await.unwrap();
    secret.wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_of_one_workspace_say_so_until_one_goes() {
    let scene = Scene::new("twins").await;
    let account = scene.tenant.provider_account();
    assert!(!holds(&account.get().await.unwrap(), "Shared"));
    let name = format!("{}-twin", scene.tenant.name());
    let spec = account.get().await.unwrap().data["spec"].clone();
    scene
        .apply(
            json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "ProviderAccount",
            "metadata": {"name": name}, "spec": spec}),
        )
        .await;
    let twin = scene.world.object("ProviderAccount", None, &name);
    for (one, other) in [(&account, &twin), (&twin, &account)] {
        let message = says(one, "Shared", "True", "SamePlace").await;
        assert!(message.contains(other.name()), "{message}");
        hears(one, "SamePlace").await;
    }
    twin.delete().await.unwrap();
    twin.wait_gone(SOON).await.unwrap();
    account
        .wait_until("it is alone again", SOON, |object| !holds(object, "Shared"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_agent_of_its_accounts_leaves_no_orphans_behind() {
    let scene = Scene::new("last").await;
    scene.tenant.tool_accounts().await.unwrap();
    let tools = json!({"tools": scene.tenant.six_tools()});
    scene.template("t", json!({}), tools).await;
    let agent = scene.instance("a", "t", json!({})).await;
    let ready = is_ready(&agent).await;
    let mut accounts: Vec<String> = list(&ready.data["status"]["external"])
        .iter()
        .filter_map(|entry| entry["account"].as_str().map(str::to_owned))
        .filter(|account| !account.is_empty())
        .collect();
    accounts.sort_unstable();
    accounts.dedup();
    assert_eq!(accounts.len(), 6, "{accounts:?}");
    // Every listing has shown what there is: where all of it goes, the next ones are empty.
    scene.listings(3).await;
    agent.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    scene.listings(4).await;
    for name in &accounts {
        let account = scene.world.object("ProviderAccount", None, name);
        let status = account.get().await.unwrap().data["status"].clone();
        let told = status["sweep"]["orphans"].as_u64().unwrap_or(0);
        assert_eq!(told, 0, "{name}: {status}");
        // Nor were there ever any.
        assert_eq!(events(&account, "OrphansFound").await, [""; 0], "{name}");
        assert_eq!(events(&account, "Listing").await, [""; 0], "{name}");
        let bankr = name.contains("bankr");
        let shown = column(scene.world, name, "ORPHANS").await;
        assert_eq!(shown, if bankr { "" } else { "0" }, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_whose_finalizers_were_taken_off_by_force_leave_orphans_that_are_told() {
    let scene = Scene::new("stripped").await;
    let account = scene.tenant.provider_account();
    let agents = scene.ready(json!({}), &["a", "b"]).await;
    scene.listings(2).await;
    for agent in &agents {
        // That alone wakes nobody who would put it on again.
        let strip = json!({"metadata": {"finalizers": Value::Null}});
        agent.patch(strip).await.unwrap();
        agent.delete().await.unwrap();
        agent.wait_gone(SOON).await.unwrap();
    }
    let both = account.wait_until("both are told", SOON, |object| {
        object.data["status"]["sweep"]["orphans"] == 2 && holds(object, "OrphansFound")
    });
    both.await.unwrap();
    let message = says(&account, "OrphansFound", "True", "OrphansFound").await;
    assert!(message.contains("2 project"), "{message}");
    hears(&account, "OrphansFound").await;
    assert_eq!(column(scene.world, account.name(), "ORPHANS").await, "2");

    // One goes, and that the other waits is told.
    let sweep = json!({"mode": "Delete", "gracePeriod": "1s", "maxDeletionsPerHour": 1});
    account
        .patch(json!({"spec": {"sweep": sweep}}))
        .await
        .unwrap();
    let message = says(&account, "SweepHeldBack", "True", "HourlyLimit").await;
    assert!(message.contains("sweep.maxDeletionsPerHour"), "{message}");
    assert_eq!(scene.projects().await, 1);
    hears(&account, "HourlyLimit").await;
    hears(&account, "OrphanDeleted").await;
    let metrics = scene.world.metrics().await.unwrap();
    let line = format!(
        "yardmaster_sweep_held_back{{account=\"{}\",reason=\"HourlyLimit\"}} 1",
        account.name()
    );
    assert!(metrics.contains(&line), "{metrics}");
    let more = json!({"spec": {"sweep": {"maxDeletionsPerHour": 2}}});
    account.patch(more).await.unwrap();
    let none = account.wait_until("none is left", SOON, |object| {
        object.data["status"]["sweep"]["orphans"] == 0
            && !holds(object, "OrphansFound")
            && !holds(object, "SweepHeldBack")
    });
    none.await.unwrap();
    assert_eq!(scene.projects().await, 0);
}
