//! What is in the cluster can be read: whatever the API server admits, and what a newer version left there. One object that
//! cannot be read is told, is left alone and stops nobody.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use world::{Object, Options, World, condition, conditions, test_directory};

use crate::support::{SOON, Scene, id, is_ready, list, says};

async fn restart(world: &World) {
    let controller = world.controller().unwrap();
    controller.stop().await.unwrap();
    controller.start().await.unwrap();
    controller.wait_ready(SOON).await.unwrap();
}

async fn world(name: &str) -> World {
    let options = Options::new(test_directory(name))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--lease-duration=60s")
        .controller_arg("--lease-renew-deadline=50s")
        .controller_arg("--observe-interval=1s")
        .set("agent.bootTime", "0s");
    World::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_in_bytes_stop_nobody() {
    let world = world("bytes").await;
    let scene = Scene::within(&world, "others", Value::Null).await;
    let tenant = Scene::within(&world, "bytes", Value::Null).await;
    let runtime = json!({
        "resources": {"memory": 4_294_967_296_u64},
        "volume": {"mountPath": "/data", "size": 5_368_709_120_u64},
    });
    tenant.template("wide", runtime, json!({})).await;
    restart(&world).await;
    scene.ready(json!({}), &["a"]).await;
    is_ready(&tenant.instance("b", "wide", json!({})).await).await;
    world.stop().await.unwrap();
}

/// The kinds as a newer version has them: words more, and fields more.
async fn widen(world: &World) {
    let words = [
        (
            "agentinstances",
            "/spec/properties/operatingMode/enum",
            json!("Hibernating"),
        ),
        (
            "agentinstances",
            "/status/properties/external/items/properties/state/enum",
            json!("Parked"),
        ),
        (
            "agenttemplates",
            "/spec/properties/tools/items/properties/type/enum",
            json!("telepathy"),
        ),
    ];
    let fields = [
        ("/status/properties", "mood", "string"),
        (
            "/status/properties/external/items/properties",
            "price",
            "integer",
        ),
    ];
    for kind in ["agentinstances", "agenttemplates"] {
        let crd = format!("{kind}.yardmaster.dev");
        let crd = world.object("CustomResourceDefinition", None, &crd);
        let mut versions = crd.get().await.unwrap().data["spec"]["versions"].clone();
        let properties = &mut versions[0]["schema"]["openAPIV3Schema"]["properties"];
        for (_, path, word) in words.iter().filter(|(of, ..)| *of == kind) {
            let known = properties.pointer_mut(path).unwrap();
            known.as_array_mut().unwrap().push(word.clone());
        }
        if kind == "agentinstances" {
            for (path, name, of) in fields {
                properties.pointer_mut(path).unwrap()[name] = json!({"type": of});
            }
        }
        let wide = json!({"spec": {"versions": versions}});
        crd.patch(wide).await.unwrap();
    }
}

/// Writes a part of a status, as a newer version does; where the API server does not know the words yet, again.
async fn write_status(object: &Object<'_>, status: Value) {
    let (api, patch) = (object.api().await.unwrap(), json!({"status": status}));
    world::eventually("the status is taken as it is", SOON, async || {
        let params = PatchParams::default();
        let written = api
            .patch_status(object.name(), &params, &Patch::Merge(&patch))
            .await?;
        let taken = serde_json::to_value(&written.data["status"])?;
        Ok(contains(&taken, &status).then_some(()))
    })
    .await
    .unwrap();
}

fn contains(whole: &Value, part: &Value) -> bool {
    match part {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, inner)| contains(&whole[name], inner)),
        other => whole == other,
    }
}

/// The ledger with something changed in the entry of the project.
fn ledger(object: &DynamicObject, field: &str, value: Value) -> Value {
    let mut ledger = list(&object.data["status"]["external"]);
    let project = ledger.iter_mut().find(|entry| entry["slot"] == "project");
    project.unwrap()[field] = value;
    Value::Array(ledger)
}

/// A status without its conditions.
fn rest(object: &DynamicObject) -> Value {
    let mut status = object.data["status"].clone();
    status.as_object_mut().unwrap().remove("conditions");
    status
}

/// How often the log says of an object that it cannot be read.
fn warnings(world: &World, name: &str) -> usize {
    let log = std::fs::read_to_string(world.controller().unwrap().log()).unwrap();
    log.lines()
        .filter(|line| line.contains("cannot be read") && line.contains(name))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_version_left_is_told_kept_and_stops_nobody() {
    let world = world("newer").await;
    let scene = Scene::within(&world, "newer", Value::Null).await;
    let mut agents = scene.ready(json!({}), &["a", "b", "c"]).await.into_iter();
    let (a, b, c) = (
        agents.next().unwrap(),
        agents.next().unwrap(),
        agents.next().unwrap(),
    );
    let lone = Scene::within(&world, "lone", Value::Null).await;
    let z = lone.ready(json!({}), &["z"]).await.remove(0);

    // A newer version runs for a while, and is rolled back.
    let controller = world.controller().unwrap();
    controller.stop().await.unwrap();
    widen(&world).await;
    let before = a.get().await.unwrap();
    let mut said: Vec<Value> = conditions(&before).cloned().collect();
    said.push(
        json!({"type": "Dreaming", "status": "True", "reason": "Asleep", "message": "of sheep",
        "lastTransitionTime": "2026-11-02T10:00:00Z"}),
    );
    let theirs =
        json!({"mood": "calm", "external": ledger(&before, "price", json!(5)), "conditions": said});
    write_status(&a, theirs).await;
    let parked = ledger(&c.get().await.unwrap(), "state", json!("Parked"));
    write_status(&c, json!({"mood": "sad", "external": parked})).await;
    for instance in [&b, &z] {
        let asleep = json!({"spec": {"operatingMode": "Hibernating"}});
        instance.patch(asleep).await.unwrap();
    }
    let tools = json!([{"name": "mind", "type": "telepathy", "accountRef": {"name": scene.tenant.account()}}]);
    let strange = scene
        .template("strange", json!({}), json!({"tools": tools}))
        .await;
    let stored = c.get().await.unwrap();
    controller.start().await.unwrap();
    controller.wait_ready(SOON).await.unwrap();
    let mark = scene.mark();

    // Each says so itself, in words that quote nothing.
    for (object, field, quoted) in [
        (&b, "spec.operatingMode", "Hibernating"),
        (&c, "status.external[0].state", "Parked"),
        (&strange, "spec.tools[0].type", "telepathy"),
    ] {
        let message = says(object, "Stalled", "True", "NotReadable").await;
        assert!(message.starts_with(field), "{message}");
        assert!(
            message.contains("expects one of `") || message.contains("` or `"),
            "{message}"
        );
        assert!(!message.contains(quoted), "{message}");
        says(object, "Ready", "Unknown", "NotReadable").await;
    }
    // Everybody else is served.
    is_ready(&scene.instance("d", "t", json!({})).await).await;
    let e = scene.instance("e", "strange", json!({})).await;
    let message = says(&e, "Stalled", "True", "TemplateNotReady").await;
    assert!(message.contains("spec.tools[0].type"), "{message}");

    // A write of ours takes nothing away that is not ours.
    let env = json!({"spec": {"env": [{"name": "GREETING", "value": "Hello"}]}});
    let generation = a.patch(env).await.unwrap().metadata.generation;
    let after = a
        .wait_until("the change is deployed", SOON, |object| {
            let observed = object.data["status"]["observedGeneration"].as_i64();
            observed == generation
                && condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await
        .unwrap();
    assert_eq!(after.data["status"]["mood"], "calm");
    assert_eq!(
        condition(&after, "Dreaming").unwrap()["message"],
        "of sheep"
    );
    let project = list(&after.data["status"]["external"]);
    let project = project.iter().find(|entry| entry["slot"] == "project");
    assert_eq!(project.unwrap()["price"], 5);

    // What cannot be read is told once, and nothing of it is changed but its conditions.
    scene.listings(3).await;
    assert_eq!(rest(&c.get().await.unwrap()), rest(&stored));
    for (name, most) in [("b", 1), ("c", 1), ("strange", 1)] {
        let wrote = scene.writes(mark);
        let wrote = wrote.iter().filter(|write| write.name == name).count();
        assert!(wrote <= most, "{name} was written {wrote} times");
        let title = format!("{}/{name}", scene.tenant.namespace());
        assert_eq!(warnings(&world, &title), 1, "{title}");
    }
    let metrics = world.metrics().await.unwrap();
    for line in [
        "yardmaster_unreadable_objects{kind=\"AgentInstance\"} 3",
        "yardmaster_unreadable_objects{kind=\"AgentTemplate\"} 1",
        "yardmaster_unreadable_objects{kind=\"ProviderAccount\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }

    // It still counts: its account is in use.
    let account = lone.tenant.provider_account();
    account.delete().await.unwrap();
    restart(&world).await;
    lone.listings(2).await;
    assert!(account.find().await.unwrap().is_some());
    assert_eq!(lone.projects().await, 1);

    // Once it can be read, it is served again.
    let projects = [
        id(&b.get().await.unwrap(), "project"),
        id(&stored, "project"),
    ];
    let exists = ledger(&c.get().await.unwrap(), "state", json!("Exists"));
    write_status(&c, json!({"external": exists})).await;
    for instance in [&b, &z] {
        let awake = json!({"spec": {"operatingMode": "Running"}});
        instance.patch(awake).await.unwrap();
    }
    for (instance, project) in [&b, &c].into_iter().zip(projects) {
        let now = is_ready(instance).await;
        assert!(condition(&now, "Stalled").is_none());
        assert_eq!(id(&now, "project"), project);
    }
    z.delete().await.unwrap();
    z.wait_gone(SOON).await.unwrap();
    account.wait_gone(SOON).await.unwrap();
    assert_eq!(lone.projects().await, 0);
    world.stop().await.unwrap();
}

/// The kind's schema as it is, and as 0.1.0 had it: its ledgers do not say how a resource came to be the instance's.
async fn without_origin(world: &World) -> (Value, Value) {
    let crd = "agentinstances.yardmaster.dev";
    let crd = world.object("CustomResourceDefinition", None, crd);
    let now = crd.get().await.unwrap().data["spec"]["versions"].clone();
    let mut then = now.clone();
    let entry = "/0/schema/openAPIV3Schema/properties/status/properties/external/items";
    let entry = then.pointer_mut(entry).unwrap();
    let required = entry["required"].as_array_mut().unwrap();
    required.retain(|field| field != "origin");
    entry["properties"]
        .as_object_mut()
        .unwrap()
        .remove("origin");
    let versions = |versions: Value| json!({"spec": {"versions": versions}});
    (versions(now), versions(then))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_the_first_version_is_told_and_found_again_when_it_is_emptied() {
    let world = world("first").await;
    let scene = Scene::within(&world, "first", Value::Null).await;
    let mut agents = scene.ready(json!({}), &["a", "b"]).await.into_iter();
    let (a, b) = (agents.next().unwrap(), agents.next().unwrap());
    let project = id(&a.get().await.unwrap(), "project");

    let controller = world.controller().unwrap();
    controller.stop().await.unwrap();
    let (now, then) = without_origin(&world).await;
    let crd = world.object(
        "CustomResourceDefinition",
        None,
        "agentinstances.yardmaster.dev",
    );
    crd.patch(then).await.unwrap();
    let mut ledger = list(&a.get().await.unwrap().data["status"]["external"]);
    for entry in &mut ledger {
        entry.as_object_mut().unwrap().remove("origin");
    }
    write_status(&a, json!({"external": ledger})).await;
    crd.patch(now).await.unwrap();
    controller.start().await.unwrap();
    controller.wait_ready(SOON).await.unwrap();

    let mark = scene.mark();
    let message = says(&a, "Stalled", "True", "LedgerUnknown").await;
    // It is left alone, deleted or not, and others are served.
    let env = json!({"spec": {"env": [{"name": "GREETING", "value": "Hello"}]}});
    a.patch(env.clone()).await.unwrap();
    b.patch(env).await.unwrap();
    scene.listings(3).await;
    is_ready(&b).await;
    let touched = scene.mutations(mark);
    assert!(touched.len() <= 2, "{touched:?}");

    // The command that it prints is enough.
    let command = message.split_once("kubectl ").unwrap().1;
    let command = command.split_once(". What bears").unwrap().0;
    let arguments: Vec<&str> = command
        .split(' ')
        .map(|one| one.trim_matches('\''))
        .collect();
    world.kubectl(&arguments).await.unwrap().ok().unwrap();
    let found = a.wait_until("it is on record again", SOON, |object| {
        let ledger = list(&object.data["status"]["external"]);
        let known = ledger.len() == 5 && ledger.iter().all(|entry| entry["origin"] == "Made");
        known && condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
    });
    let found = found.await.unwrap();
    assert_eq!(id(&found, "project"), project);
    assert!(condition(&found, "Stalled").is_none());
    a.delete().await.unwrap();
    a.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 1);
    world.stop().await.unwrap();
}

/// Makes of a field of a kind what 0.1.0 had there for money, a number, and answers how it is now.
async fn money_as_a_number(world: &World, kind: &str, field: &str) -> Value {
    let crd = format!("{kind}.yardmaster.dev");
    let crd = world.object("CustomResourceDefinition", None, &crd);
    let now = crd.get().await.unwrap().data["spec"]["versions"].clone();
    let mut then = now.clone();
    let field = format!("/0/schema/openAPIV3Schema/properties/spec/properties{field}");
    *then.pointer_mut(&field).unwrap() = json!({"type": "number"});
    let then = json!({"spec": {"versions": then}});
    crd.patch(then).await.unwrap();
    now
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_was_stored_as_a_fraction_stops_nobody() {
    let world = world("fractions").await;
    let scene = Scene::within(&world, "fractions", Value::Null).await;
    scene.tenant.tool_accounts().await.unwrap();
    let mut tools = list(&scene.tenant.six_tools());
    tools.retain(|tool| tool["name"] == "llm");
    let tools = json!({"tools": tools});
    scene.template("t", json!({}), tools).await;
    let limits = [
        ("agentinstances", "/toolLimits/items/properties/limitUSD"),
        ("provideraccounts", "/telnyx/properties/maxMonthlyCostUSD"),
    ];
    let mut now = Vec::new();
    for (kind, field) in limits {
        now.push((kind, money_as_a_number(&world, kind, field).await));
    }
    let telnyx = format!("{}-telnyx", scene.tenant.account());
    let telnyx = world.object("ProviderAccount", None, &telnyx);
    let fraction = json!({"spec": {"telnyx": {"maxMonthlyCostUSD": 1.5}}});
    world::eventually("the fraction is stored", SOON, async || {
        Ok(telnyx.patch(fraction.clone()).await.ok().map(drop))
    })
    .await
    .unwrap();
    let wish = json!({"toolLimits": [{"name": "llm", "limitUSD": 20.5}]});
    let instance = scene.instance("a", "t", wish).await;
    for (kind, versions) in now {
        let crd = format!("{kind}.yardmaster.dev");
        let crd = world.object("CustomResourceDefinition", None, &crd);
        let versions = json!({"spec": {"versions": versions}});
        crd.patch(versions).await.unwrap();
    }
    restart(&world).await;
    let settings = async || {
        let status = is_ready(&instance).await.data["status"].clone();
        let ledger = list(&status["external"]);
        let key = ledger.iter().find(|one| one["slot"] == "tool/llm");
        key.unwrap()["settings"].clone()
    };
    assert_eq!(settings().await, "limitUSD=20.5");
    // Both are written still, by people and by us.
    let env = json!({"spec": {"env": [{"name": "MODE", "value": "b"}]}});
    instance.patch(env).await.unwrap();
    let limits = json!({"spec": {"limits": {"ordersPerHour": 7}}});
    telnyx.patch(limits).await.unwrap();
    scene.listings(1).await;
    is_ready(&instance).await;
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    telnyx.delete().await.unwrap();
    telnyx.wait_gone(SOON).await.unwrap();
    world.stop().await.unwrap();
}
