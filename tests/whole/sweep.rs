//! The orphan sweep: what is nobody's is told and, where the account wants it, taken back; what is another's, claimed, or
//! left behind on purpose is never touched, whatever the provider's listing says.

use kube::ResourceExt;
use kube::api::ListParams;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Object, Options, SYSTEM_NAMESPACE, World, eventually, railway_token, test_directory};
use yardmaster::api::Slot;
use yardmaster::model::values::Seal;
use yardmaster::model::{InstallationId, Marker};

use crate::support::{IMAGE, SOON, Scene, id, is_ready, manifest};

/// The marker that this world's installation would give to an instance of that UID.
async fn marker(world: &World, uid: &str) -> Marker {
    let secret = world
        .secret(SYSTEM_NAMESPACE, "yardmaster-installation")
        .await
        .unwrap();
    let installation = secret.get("id").cloned().unwrap();
    Marker {
        installation: InstallationId(installation),
        namespace: "somewhere".to_owned(),
        name: "gone".to_owned(),
        uid: uid.to_owned(),
        slot: Slot::Project,
    }
}

/// A project that somebody made, with these texts.
pub async fn plant(scene: &Scene<'_>, name: &str, description: &str) -> String {
    planted(scene, name, description, 0).await
}

/// One that was made a day ago: it became nobody's, and shows no loss of memory.
async fn plant_old(scene: &Scene<'_>, name: &str, description: &str) -> String {
    planted(scene, name, description, 86_400).await
}

async fn planted(scene: &Scene<'_>, name: &str, description: &str, age: u32) -> String {
    let body = json!({"name": name, "description": description, "workspace": scene.tenant.workspace(),
        "ageSeconds": age});
    let made = scene.by_hand(Method::POST, "/railway/projects", body).await;
    made["id"].as_str().unwrap().to_owned()
}

pub async fn orphan(scene: &Scene<'_>, uid: &str) -> String {
    let marker = marker(scene.world, uid).await;
    plant_old(scene, &marker.outside_name(), &marker.to_string()).await
}

pub async fn wants(account: &Object<'_>, mode: &str) {
    let sweep = json!({"spec": {"sweep": {"mode": mode, "gracePeriod": "1s"}}});
    account.patch(sweep).await.unwrap();
}

/// Waits until the account tells so many of each.
pub async fn tells(account: &Object<'_>, orphans: u64, foreign: u64, left_behind: u64) -> Value {
    let what = format!("{orphans} orphans, {foreign} foreign, {left_behind} left behind");
    let told = account.wait_until(&what, SOON, |object| {
        let sweep = &object.data["status"]["sweep"];
        let number = |name: &str| sweep[name].as_u64().unwrap_or(0);
        (number("orphans"), number("foreign"), number("leftBehind"))
            == (orphans, foreign, left_behind)
    });
    told.await.unwrap().data["status"]["sweep"].clone()
}

pub async fn projects(scene: &Scene<'_>) -> Vec<String> {
    let inventory = scene.tenant.inventory().await.unwrap();
    inventory
        .kind("project")
        .map(|one| one.id.clone())
        .collect()
}

pub async fn goes(scene: &Scene<'_>, project: &str) {
    let gone = scene
        .tenant
        .wait_inventory("the orphan is gone", SOON, |inventory| {
            inventory.kind("project").all(|one| one.id != project)
        });
    gone.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_told_then_taken_back_and_nothing_else_is_touched() {
    let scene = Scene::new("sweep").await;
    let agent = scene.ready(json!({}), &["a"]).await.remove(0);
    let own = id(&agent.get().await.unwrap(), "project");
    let account = scene.tenant.provider_account();
    let real = marker(scene.world, "lost").await;
    let (name, text) = (real.outside_name(), real.to_string());
    let other = Marker {
        installation: InstallationId("000000000000".to_owned()),
        ..real.clone()
    };
    let strangers = [
        ("blog".to_owned(), "my blog".to_owned()),
        (name.clone(), String::new()),
        (name.clone(), text.replace(" slot=project", "")),
        (name.clone(), format!("{text} (keep!)")),
        (name.clone(), text.replace("uid=lost", "uid=lort")),
        (format!("{name}-old"), text.clone()),
        (other.outside_name(), other.to_string()),
        (name.clone(), other.to_string()),
    ];
    let mut foreign = Vec::new();
    for (name, description) in &strangers {
        foreign.push(plant(&scene, name, description).await);
    }
    let lost = plant_old(&scene, &name, &text).await;
    let mark = scene.mark();

    // By default it is told, and that is all.
    let told = tells(&account, 1, 8, 0).await;
    assert_eq!(told["oldest"][0]["id"], lost.as_str());
    assert_eq!(told["oldest"][0]["kind"], "project");
    scene.listings(3).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    let metrics = scene.world.metrics().await.unwrap();
    let line = format!(
        "yardmaster_orphans{{account=\"{}\",kind=\"project\"}} 1",
        scene.tenant.account()
    );
    assert!(metrics.contains(&line), "{line} in {metrics}");
    // At rest it is written down once.
    let version = account.get().await.unwrap().metadata.resource_version;
    scene.listings(3).await;
    assert_eq!(
        account.get().await.unwrap().metadata.resource_version,
        version
    );

    wants(&account, "Delete").await;
    goes(&scene, &lost).await;
    tells(&account, 0, 8, 0).await;
    scene.listings(3).await;
    assert_eq!(scene.mutations(mark), ["projectDelete"]);
    let left = projects(&scene).await;
    assert!(foreign.iter().chain([&own]).all(|id| left.contains(id)));
    assert_eq!(left.len(), foreign.len() + 1);
    eventually("an event names it", SOON, async || {
        let events = account.events().await?;
        let told = |event: &String| event.contains("OrphanDeleted") && event.contains(&lost);
        Ok(events.into_iter().find(told))
    })
    .await
    .unwrap();
    is_ready(&agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_deletion_is_told() {
    let scene = Scene::new("sweep-told").await;
    scene.ready(json!({}), &["a"]).await;
    let account = scene.tenant.provider_account();
    let mut lost = Vec::new();
    for uid in ["one", "two", "three"] {
        lost.push(orphan(&scene, uid).await);
    }
    wants(&account, "Delete").await;
    for id in &lost {
        goes(&scene, id).await;
        eventually("an event names it", SOON, async || {
            let events = account.events().await?;
            let told = |event: &String| event.contains("OrphanDeleted (1)") && event.contains(id);
            Ok(events.into_iter().find(told))
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_not_to_be_believed_deletes_nothing() {
    let scene = Scene::new("sweepless").await;
    let agents = scene.ready(json!({}), &["a", "b", "c", "d"]).await;
    let account = scene.tenant.provider_account();
    let rows = [
        ("empty", json!("empty_list")),
        ("short", json!({"short_list": 1})),
        ("down", json!({"status": 503, "body": "down"})),
    ];
    for (row, effect) in rows {
        let lost = orphan(&scene, row).await;
        tells(&account, 1, 0, 0).await;
        let fault =
            json!({"provider": "railway", "operation": "projects", "times": 0, "effect": effect});
        let fault = scene.tenant.post_fault(fault).await.unwrap();
        let mark = scene.mark();
        // One from before the fault may be answered after it, the next is the first that is not believed, and that is done with when a third has come.
        scene.listings(3).await;
        wants(&account, "Delete").await;
        scene.listings(3).await;
        assert_eq!(scene.mutations(mark), [""; 0], "{row}");
        assert!(projects(&scene).await.contains(&lost), "{row}");
        scene.end_fault(&fault).await;
        goes(&scene, &lost).await;
        assert_eq!(scene.mutations(mark), ["projectDelete"], "{row}");
        wants(&account, "Report").await;
    }
    for agent in &agents {
        is_ready(agent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_on_purpose_stays_until_its_record_is_deleted() {
    let scene = Scene::new("kept").await;
    let account = scene.tenant.provider_account();
    wants(&account, "Delete").await;
    scene.template("t", json!({}), json!({})).await;
    let retained = scene
        .instance("retained", "t", json!({"deletionPolicy": "Retain"}))
        .await;
    let abandoned = scene.instance("abandoned", "t", json!({})).await;
    let mut records = Vec::new();
    for (instance, end) in [(&retained, ""), (&abandoned, "-project")] {
        let ready = is_ready(instance).await;
        let uid = ready.metadata.uid.clone().unwrap();
        records.push((format!("left-behind-{uid}{end}"), id(&ready, "project")));
    }
    let refuses = json!({"provider": "railway", "operation": "projectDelete", "times": 0,
        "effect": {"status": 503, "body": "down"}});
    let fault = scene.tenant.post_fault(refuses).await.unwrap();
    abandoned.delete().await.unwrap();
    let give_up = json!({"metadata": {"annotations": {"yardmaster.dev/abandon": "project"}}});
    abandoned.patch(give_up).await.unwrap();
    abandoned.wait_gone(SOON).await.unwrap();
    scene.world.outside().remove_fault(&fault).await.unwrap();
    retained.delete().await.unwrap();
    retained.wait_gone(SOON).await.unwrap();

    tells(&account, 0, 0, 2).await;
    scene.listings(4).await;
    assert_eq!(projects(&scene).await.len(), 2);
    let maps = scene
        .world
        .cluster()
        .api("ConfigMap", Some(SYSTEM_NAMESPACE))
        .await
        .unwrap();
    let maps = maps.list(&ListParams::default()).await.unwrap().items;
    let maps: Vec<String> = maps.iter().map(ResourceExt::name_any).collect();
    for (record, project) in &records {
        let record = maps.iter().find(|name| name.starts_with(record)).unwrap();
        let record = scene
            .world
            .object("ConfigMap", Some(SYSTEM_NAMESPACE), record);
        let found = record.get().await.unwrap();
        let text = found.data["data"]["project"].as_str().unwrap();
        assert!(text.contains(project), "{text}");
        record.delete().await.unwrap();
        goes(&scene, project).await;
    }
    tells(&account, 0, 0, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_what_is_left_over_and_changes_nothing() {
    let options =
        Options::new(test_directory("sweep-command")).controller(env!("CARGO_BIN_EXE_yardmaster"));
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "command", Value::Null).await;
    scene.ready(json!({}), &["a"]).await;
    let run = async |output: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_yardmaster"));
        command
            .args(["sweep", "-o", output, "--namespace", SYSTEM_NAMESPACE])
            .env("KUBECONFIG", world.dir().join("kubeconfig"))
            .env("HTTPS_PROXY", world.proxy())
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("SSL_CERT_FILE", world.dir().join("ca.pem"));
        let done = command.output().await.unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        (done.status.code(), text, said)
    };
    let (code, text, said) = run("table").await;
    assert_eq!(code, Some(0), "{text}{said}");
    let lost = orphan(&scene, "left").await;
    let near = plant(&scene, "ym-something", "mine").await;
    plant(&scene, "blog", "my blog").await;
    let mark = scene.mark();
    let (code, text, said) = run("table").await;
    assert_eq!(code, Some(1), "{text}{said}");
    let row = |id: &str| text.lines().find(|line| line.contains(id)).unwrap();
    assert!(row(&lost).contains("Orphan") && row(&lost).contains("somewhere/gone"));
    assert!(row(&near).contains("Foreign"), "{text}");
    assert!(text.contains("1 claimed, 1 orphans, 2 others'"), "{text}");
    let (code, text, _) = run("json").await;
    assert_eq!(code, Some(1));
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found[0]["found"][0]["id"], lost.as_str());
    assert_eq!(scene.mutations(mark), [""; 0]);
    world.stop().await.unwrap();
}

/// An OpenRouter account, and its Secret.
async fn keys_account(world: &World, name: &str, account: &str) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
        "stringData": {"key": format!("sk-or-mgmt-{account}_1")}});
    world.cluster().apply_one(secret, None).await.unwrap();
    let object = json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": name},
        "spec": {"openrouter": {"credentialSecretRef": {"name": name, "key": "key"}},
            "sweep": {"mode": "Delete", "gracePeriod": "1s"}}});
    world.cluster().apply_one(object, None).await.unwrap();
    let account = world.object("ProviderAccount", None, name);
    account.wait_condition("Ready", "True", SOON).await.unwrap();
}

/// The name of a key that this world's installation would have made.
async fn key_name(world: &World, uid: &str) -> String {
    let secret = world
        .secret(SYSTEM_NAMESPACE, "yardmaster-installation")
        .await
        .unwrap();
    let seal = Seal(secret["seal"].clone().into());
    let marker = Marker {
        slot: Slot::named("tool/llm").unwrap(),
        ..marker(world, uid).await
    };
    marker.tool_name(&seal, jiff::Timestamp::UNIX_EPOCH)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_in_one_workspace_never_touch_each_others() {
    let start = async |name: &str, beside: Option<&World>| {
        let options =
            Options::new(test_directory(name)).controller(env!("CARGO_BIN_EXE_yardmaster"));
        let options = match beside {
            Some(world) => options.beside(world),
            None => options,
        };
        World::start(options).await.unwrap()
    };
    let one = start("sweep-one", None).await;
    let other = start("sweep-other", Some(&one)).await;
    let scene = Scene::within(&one, "one", json!({"requestsPerSecond": 50})).await;
    let workspace = scene.tenant.workspace().to_owned();
    // The other one's account leads to the same workspace.
    let shared = json!({"workspaceId": workspace, "requestsPerSecond": 50});
    let tenant = other.tenant_with("other", shared).await.unwrap();
    tenant.put_token(&railway_token(&workspace)).await.unwrap();
    let account = tenant.provider_account();
    account.wait_condition("Ready", "True", SOON).await.unwrap();
    scene.ready(json!({}), &["a", "b"]).await;
    let template = manifest(
        "AgentTemplate",
        "t",
        json!({"runtime": {"image": IMAGE, "port": 8080}}),
    );
    let spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": tenant.account()}});
    for object in [template, manifest("AgentInstance", "a", spec)] {
        let namespace = Some(tenant.namespace());
        other.cluster().apply_one(object, namespace).await.unwrap();
    }
    is_ready(&tenant.instance("a")).await;

    // Each has lost a project and a key; a third one's are there as well.
    let mut lost = Vec::new();
    for world in [&one, &other] {
        let marker = marker(world, "lost").await;
        let project = plant_old(&scene, &marker.outside_name(), &marker.to_string()).await;
        let name = key_name(world, "lost").await;
        let key = json!({"account": workspace, "name": name});
        let key = scene.by_hand(Method::POST, "/openrouter/keys", key).await;
        lost.push((project, key["hash"].as_str().unwrap().to_owned()));
    }
    let stranger = json!({"account": workspace, "name": "ym-000000000000-aaaaaaaaaaabbbbb"});
    scene
        .by_hand(Method::POST, "/openrouter/keys", stranger)
        .await;
    let keys = async || {
        let all = one.inventory().await.unwrap();
        let keys = all.resources.into_iter();
        keys.filter(|one| one.provider == "openrouter")
            .map(|one| one.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys().await.len(), 3);

    // The first sweeps: its own go, and nothing else.
    keys_account(&one, "keys", &workspace).await;
    wants(&scene.tenant.provider_account(), "Delete").await;
    goes(&scene, &lost[0].0).await;
    eventually("its own key is gone", SOON, async || {
        Ok((!keys().await.contains(&lost[0].1)).then_some(()))
    })
    .await
    .unwrap();
    scene.listings(4).await;
    assert!(projects(&scene).await.contains(&lost[1].0));
    assert!(keys().await.contains(&lost[1].1));

    // Then the other one, while the first goes on.
    keys_account(&other, "keys", &workspace).await;
    wants(&account, "Delete").await;
    goes(&scene, &lost[1].0).await;
    eventually("the other's key is gone", SOON, async || {
        Ok((!keys().await.contains(&lost[1].1)).then_some(()))
    })
    .await
    .unwrap();
    scene.listings(8).await;
    assert_eq!(keys().await.len(), 1);
    assert_eq!(projects(&scene).await.len(), 3);
    for (world, account) in [(&one, scene.tenant.account()), (&other, tenant.account())] {
        let told = tells(
            &world.object("ProviderAccount", None, account),
            0,
            if account == tenant.account() { 2 } else { 1 },
            0,
        )
        .await;
        assert!(told["oldest"].is_null(), "{told}");
    }
    other.stop().await.unwrap();
    one.stop().await.unwrap();
}
