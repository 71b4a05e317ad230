//! Manifests that 0.1.0 admits are admitted still, and reach the state that they reached then. Money with cents is written in
//! quotes since (CHANGELOG, *Upgrading*): that alone is done to them here.

use std::time::Duration;

use kube::api::{DynamicObject, ListParams};
use serde::Deserialize as _;
use serde_json::{Value, json};
use world::{
    Options, SYSTEM_NAMESPACE, World, condition, eventually, railway_token, test_directory,
};

const MANIFESTS: [&str; 3] = [
    include_str!("../manifests/0.1.0/examples.yaml"),
    include_str!("../manifests/0.1.0/corpus.yaml"),
    include_str!("../manifests/0.1.0/admitted.yaml"),
];

/// A line an object, in the order of their names. A line changes only with a word on it in CHANGELOG, *Upgrading*.
const STATE: &str = include_str!("../manifests/0.1.0/state.txt");

/// What the examples' accounts open, as the simulator knows credentials.
async fn credentials(world: &World) {
    for (name, key, value) in [
        ("railway-main", "token", railway_token("acme")),
        (
            "openrouter-main",
            "key",
            "sk-or-mgmt-acme_0123456789abcdef".into(),
        ),
        ("exa-main", "key", "exa-svc-acme_0123456789abcdef".into()),
        (
            "agentmail-main",
            "key",
            "am_org_acme_0123456789abcdef".into(),
        ),
        ("telnyx-main", "key", "KEYacme_0123456789abcdef".into()),
        ("bankr-main", "key", "bk_ptr_acme_0123456789abcdef".into()),
    ] {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
            "stringData": {key: value},
        });
        world.cluster().apply_one(secret, None).await.unwrap();
    }
}

/// A manifest with its fractions in quotes; a whole number is sent as one, as kubectl does.
#[allow(clippy::cast_possible_truncation)]
fn quoted(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, quoted(v))).collect(),
        Value::Array(items) => items.into_iter().map(quoted).collect(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(whole) if whole.fract() == 0.0 => json!(whole as i64),
            Some(fraction) => json!(fraction.to_string()),
            None => Value::Number(number),
        },
        other => other,
    }
}

/// `AgentInstance ada: Ready=True Ready`
fn line(kind: &str, object: &DynamicObject) -> String {
    let said = ["Ready", "Stalled"].into_iter().filter_map(|kind| {
        let found = condition(object, kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some(format!("{kind}={} {}", text("status"), text("reason")))
    });
    let said: Vec<String> = said.collect();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    format!("{kind} {name}: {}\n", said.join(", "))
}

async fn state(world: &World) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for kind in ["ProviderAccount", "AgentTemplate", "AgentInstance"] {
        let all = world.cluster().api(kind, None).await?;
        let all = all.list(&ListParams::default()).await?;
        lines.extend(all.items.iter().map(|object| line(kind, object)));
    }
    lines.sort();
    Ok(lines.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_of_0_1_0_reach_the_state_that_they_reached_then() {
    let options = Options::new(test_directory("upgrade"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--lease-duration=60s")
        .controller_arg("--lease-renew-deadline=50s")
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    credentials(&world).await;
    let agents: Value =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "agents"}});
    world.cluster().apply_one(agents, None).await.unwrap();
    for manifests in MANIFESTS {
        for document in serde_yaml_ng::Deserializer::from_str(manifests) {
            let object = quoted(Value::deserialize(document).unwrap());
            world.apply(&object.to_string()).await.unwrap();
        }
    }
    // The pause that Railway wants between projects is not waited for.
    let quick = json!({"spec": {"railway": {"projectInterval": "10ms"}}});
    let account = world.object("ProviderAccount", None, "railway-main");
    account.patch(quick).await.unwrap();
    let reached = eventually(
        "all are as they were",
        Duration::from_secs(90),
        async || Ok((state(&world).await? == STATE).then_some(())),
    );
    if reached.await.is_err() {
        let now = state(&world).await.unwrap();
        let other = now.lines().filter(|line| !STATE.contains(*line));
        let other: Vec<&str> = other.collect();
        panic!(
            "not as it was: {other:#?}\nall of it:\n{now}{}",
            world.report()
        );
    }
    assert!(STATE.lines().count() > 60, "{STATE}");
    world.stop().await.unwrap();
}
