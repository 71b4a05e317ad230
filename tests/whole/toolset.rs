//! An agent with all six tools: it comes up with them, they change, and each is taken back in its turn.
//!
//! Holds: what an agent was given opens what lives outside, at every moment that a test looks; what is left at the end is
//! left on purpose, and said.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use world::{Object, eventually};

use crate::support::{SOON, Scene, hash, holds, id, is_ready, list, says};

/// A scene whose tenant has an account at every provider, and a template `t` with every tool.
pub async fn equipped(name: &str, change: impl Fn(&mut Vec<Value>)) -> Scene<'static> {
    equipped_with(name, Value::Null, change).await
}

/// The same, with these fields in the Railway account's `spec.railway`.
async fn equipped_with(
    name: &str,
    account: Value,
    change: impl Fn(&mut Vec<Value>),
) -> Scene<'static> {
    let scene = Scene::with(name, account).await;
    scene.tenant.tool_accounts().await.unwrap();
    let mut tools = list(&scene.tenant.six_tools());
    change(&mut tools);
    scene
        .template("t", json!({}), json!({"tools": tools}))
        .await;
    scene
}

/// The Secret's data, as text.
async fn secret(scene: &Scene<'_>, name: &str) -> BTreeMap<String, String> {
    use k8s_openapi::ByteString;
    let secret = scene.tenant.object("Secret", name).get().await.unwrap();
    let data: BTreeMap<String, ByteString> =
        serde_json::from_value(secret.data["data"].clone()).unwrap();
    data.into_iter()
        .map(|(key, value)| (key, String::from_utf8(value.0).unwrap()))
        .collect()
}

/// What lives outside, `provider/kind` and how many.
pub async fn counts(scene: &Scene<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for resource in scene.tenant.inventory().await.unwrap().resources {
        *counts
            .entry(format!("{}/{}", resource.provider, resource.kind))
            .or_insert(0) += 1;
    }
    counts
}

pub fn expected(all: &[(&str, usize)]) -> BTreeMap<String, usize> {
    all.iter()
        .map(|(kind, count)| ((*kind).to_owned(), *count))
        .collect()
}

/// Lets the controller look at an instance: at rest it does so by itself every few minutes.
async fn poke(instance: &Object<'_>) {
    let now = jiff::Timestamp::now().to_string();
    let poke = json!({"metadata": {"annotations": {"example.com/poked": now}}});
    instance.patch(poke).await.unwrap();
}

pub const EVERYTHING: &[(&str, usize)] = &[
    ("agentmail/inbox", 1),
    ("agentmail/key", 1),
    ("bankr/key", 1),
    ("bankr/wallet", 1),
    ("exa/key", 1),
    ("openrouter/key", 1),
    ("railway/deployment", 1),
    ("railway/domain", 1),
    ("railway/project", 1),
    ("railway/service", 1),
    ("telnyx/messagingProfile", 1),
    ("telnyx/number", 1),
];

fn tool(object: &kube::api::DynamicObject, name: &str) -> Value {
    let tools = list(&object.data["status"]["tools"]);
    let found = tools.into_iter().find(|tool| tool["name"] == name);
    found.unwrap_or_else(|| panic!("status.tools has no {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_comes_up_with_its_tools_and_they_go_in_order() {
    let scene = equipped("equipped", |_| {}).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let ready = is_ready(&instance).await;
    says(&instance, "ToolsReady", "True", "Ready").await;
    assert_eq!(counts(&scene).await, expected(EVERYTHING));
    let agent = scene.agent(&instance).await;
    assert_eq!(agent["deployments"], 1, "{agent}");

    // What the agent was given is what the Secret keeps and the status says.
    let own = secret(&scene, "a-agent").await;
    let purse = tool(&ready, "purse");
    let wallet = secret(&scene, purse["secretRef"]["name"].as_str().unwrap()).await;
    let given = &agent["variableHashes"];
    for name in [
        "OPENROUTER_API_KEY",
        "EXA_API_KEY",
        "AGENTMAIL_API_KEY",
        "BANKR_API_KEY",
    ] {
        assert_eq!(given[name], hash(&own[name]), "{name}: {given}");
    }
    assert_eq!(
        given["WALLET_PRIVATE_KEY"],
        hash(&wallet["WALLET_PRIVATE_KEY"])
    );
    for (name, told) in [
        ("AGENTMAIL_INBOX", "inbox"),
        ("TELNYX_PHONE_NUMBER", "phone"),
        ("WALLET_ADDRESS", "purse"),
        ("BANKR_WALLET_ADDRESS", "bank"),
    ] {
        let address = tool(&ready, told)["address"].as_str().unwrap().to_owned();
        assert_eq!(given[name], hash(&address), "{name}");
    }
    let profile = id(&ready, "tool/phone/profile");
    assert_eq!(given["TELNYX_MESSAGING_PROFILE_ID"], hash(&profile));

    // The project stands before anything that costs is ordered, and what runs in it comes after all of that.
    let made: Vec<String> = scene
        .tenant
        .exchanges(scene.start().journal())
        .unwrap()
        .into_iter()
        .filter(|one| one.method == "POST" && one.provider != "railway" || is_creation(one))
        .map(|one| match one.provider.as_str() {
            "railway" => one.operation,
            _ => "a tool".to_owned(),
        })
        .collect();
    let mut order = made.clone();
    order.dedup();
    assert_eq!(
        order,
        [
            "projectCreate",
            "a tool",
            "serviceCreate",
            "serviceDomainCreate"
        ],
        "{made:?}"
    );

    let mark = scene.mark();
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    let taken: Vec<String> = scene
        .tenant
        .exchanges(mark.journal())
        .unwrap()
        .into_iter()
        .filter(|one| {
            one.method == "DELETE"
                || one.operation.ends_with("/suspend")
                || one.operation == "projectDelete"
        })
        .map(|one| one.provider)
        .collect();
    let mut order = taken.clone();
    order.dedup();
    assert_eq!(
        order,
        [
            "openrouter",
            "exa",
            "agentmail",
            "telnyx",
            "bankr",
            "railway"
        ],
        "{taken:?}"
    );
    // A wallet that may hold money is never destroyed by a deletion.
    assert_eq!(counts(&scene).await, expected(&[("bankr/wallet", 1)]));
    let kept = secret(&scene, purse["secretRef"]["name"].as_str().unwrap()).await;
    assert_eq!(kept["WALLET_PRIVATE_KEY"], wallet["WALLET_PRIVATE_KEY"]);
    let told = async || {
        let events = instance.events().await?;
        let address = purse["address"].as_str().unwrap_or_default();
        Ok(events
            .into_iter()
            .find(|event| event.contains("Retained") && event.contains(address)))
    };
    eventually("an event says which wallet stays", SOON, told)
        .await
        .unwrap();
}

/// Whether something was made at Railway.
fn is_creation(exchange: &world::Exchange) -> bool {
    exchange.provider == "railway" && exchange.operation.ends_with("Create")
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_for_which_there_is_no_project_are_bought_nothing() {
    let scene = equipped_with("no-room", json!({"maxProjects": 1}), |_| {}).await;
    let first = scene.instance("a", "t", json!({})).await;
    is_ready(&first).await;
    scene.listings(1).await;
    let mut others = Vec::new();
    for name in ["b", "c"] {
        others.push(scene.instance(name, "t", json!({})).await);
    }
    for other in &others {
        let message = says(other, "Stalled", "True", "QuotaExceeded").await;
        assert!(message.contains("maxProjects"), "{message}");
    }
    assert_eq!(counts(&scene).await, expected(EVERYTHING));
    // Their turn comes when there is room, and no sooner are they bought anything.
    first.delete().await.unwrap();
    first.wait_gone(SOON).await.unwrap();
    let second = async || {
        let mut ready = 0;
        for other in &others {
            ready += usize::from(holds(&other.get().await?, "Ready"));
        }
        Ok((ready == 1).then_some(()))
    };
    eventually("one of them is ready", SOON, second)
        .await
        .unwrap();
    let one_more = [&[("bankr/wallet", 2)], &EVERYTHING[..3], &EVERYTHING[4..]].concat();
    assert_eq!(counts(&scene).await, expected(&one_more));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_raised_and_lowered_in_place_up_to_the_templates() {
    let scene = equipped("limits", |tools| tools.retain(|tool| tool["name"] == "llm")).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let hash = id(&is_ready(&instance).await, "tool/llm");
    let limit = async || {
        let inventory = scene.tenant.inventory().await.unwrap();
        let key = inventory.kind("key").find(|key| key.id == hash).cloned();
        key.unwrap().monthly_usd
    };
    assert_eq!(limit().await, 20.0);
    for asked in [60.0, 5.0] {
        let wish = json!({"toolLimits": [{"name": "llm", "limitUSD": asked}]});
        instance.patch(json!({"spec": wish})).await.unwrap();
        eventually("the key has the limit", SOON, async || {
            Ok((limit().await == asked).then_some(()))
        })
        .await
        .unwrap();
    }
    let wish = json!({"toolLimits": [{"name": "llm", "limitUSD": 101}]});
    instance.patch(json!({"spec": wish})).await.unwrap();
    let why = says(&instance, "Stalled", "True", "NotAllowed").await;
    assert!(why.contains("maxLimitUSD"), "{why}");
    assert!(limit().await <= 100.0);
    assert_eq!(scene.deployments(&instance).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_comes_back_as_the_template_says_and_what_is_spent_is_told() {
    let scene = equipped("spending", |tools| {
        tools.retain(|tool| tool["name"] == "llm")
    })
    .await;
    let instance = scene.instance("a", "t", json!({})).await;
    let hash = id(&is_ready(&instance).await, "tool/llm");
    let path = format!("/openrouter/keys/{hash}");
    let key = async || scene.by_hand(Method::GET, &path, Value::Null).await;
    assert_eq!(key().await["limit_reset"], Value::Null);
    let mut tools = list(&scene.tenant.six_tools());
    tools.retain(|tool| tool["name"] == "llm");
    tools[0]["limitReset"] = json!("Monthly");
    let daily = json!({"spec": {"tools": tools}});
    scene.tenant.template("t").patch(daily).await.unwrap();
    eventually("it comes back each month", SOON, async || {
        Ok((key().await["limit_reset"] == "monthly").then_some(()))
    })
    .await
    .unwrap();

    let spends = async |usd: f64| {
        scene
            .by_hand(Method::PUT, &path, json!({"usage": usd}))
            .await;
    };
    let tells = async |spent: &'static str| {
        let told = instance.wait_until("its spending is told", SOON, move |object| {
            let tools = list(&object.data["status"]["tools"]);
            tools[0]["usage"]["spentUSD"] == spent
        });
        told.await.unwrap()
    };
    spends(16.5).await;
    tells("16.50").await;
    spends(20.25).await;
    let told = tells("20.25").await;
    let llm = tool(&told, "llm");
    assert_eq!(
        (&llm["ready"], &llm["reason"]),
        (&json!(true), &json!("LimitSpent"))
    );
    assert_eq!(
        told.data["status"]["monthlyUSD"],
        json!({"committed": "20", "spent": "20.25"})
    );
    let message = says(&instance, "ToolsReady", "True", "LimitSpent").await;
    assert!(message.contains("on the first of the month"), "{message}");
    is_ready(&instance).await;
    let heard = async || {
        let events = instance.events().await?;
        let spent = events.iter().filter(|event| event.contains("LimitSpent"));
        Ok((spent.count() == 2).then_some(()))
    };
    eventually("both steps are heard of", SOON, heard)
        .await
        .unwrap();
    // No more is told before the next step.
    let mark = scene.mark();
    spends(20.75).await;
    scene.listings(2).await;
    let wrote = scene.writes(mark);
    assert!(!wrote.iter().any(|write| write.name == "a"), "{wrote:?}");
    assert_eq!(scene.deployments(&instance).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_under_a_new_name_keeps_what_it_was_given() {
    let scene = equipped("renamed", |tools| {
        tools.retain(|tool| tool["name"] == "llm")
    })
    .await;
    let instance = scene.instance("a", "t", json!({})).await;
    let old = id(&is_ready(&instance).await, "tool/llm");
    let mut tools = list(&scene.tenant.six_tools());
    tools.retain(|tool| tool["name"] == "llm");
    tools[0]["name"] = json!("brain");
    let template = scene.tenant.template("t");
    template
        .patch(json!({"spec": {"tools": tools}}))
        .await
        .unwrap();
    instance
        .wait_until("the old key is gone", SOON, |object| {
            let slots = list(&object.data["status"]["external"]);
            let has = |name: &str| slots.iter().any(|slot| slot["slot"] == name);
            has("tool/brain") && !has("tool/llm")
        })
        .await
        .unwrap();
    let ready = is_ready(&instance).await;
    let new = id(&ready, "tool/brain");
    assert_ne!(new, old);
    let inventory = scene.tenant.inventory().await.unwrap();
    let keys: Vec<&str> = inventory.kind("key").map(|key| key.id.as_str()).collect();
    assert_eq!(keys, [new.as_str()]);
    let own = secret(&scene, "a-agent").await;
    let agent = scene.agent(&instance).await;
    assert_eq!(
        agent["variableHashes"]["OPENROUTER_API_KEY"],
        hash(&own["OPENROUTER_API_KEY"])
    );
    // What the Secret lacked would be noticed now, and another key made.
    poke(&instance).await;
    scene.listings(2).await;
    assert_eq!(id(&is_ready(&instance).await, "tool/brain"), new);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_at_another_provider_is_told() {
    let scene = equipped("elsewhere", |tools| {
        tools.retain(|tool| tool["name"] == "llm")
    })
    .await;
    let account = |provider: &str| format!("{}-{provider}", scene.tenant.name());
    let wrong = json!({"accountRef": {"name": account("exa")}});
    let instance = scene.instance("a", "t", wrong).await;
    let why = says(&instance, "Stalled", "True", "AccountNotAvailable").await;
    assert!(
        why.contains("is an account at exa, and one at railway is needed here"),
        "{why}"
    );
    let tools = json!([
        {"name": "llm", "type": "openrouter", "limitUSD": 5, "accountRef": {"name": account("openrouter")}},
        {"name": "search", "type": "exa", "accountRef": {"name": account("openrouter")}},
    ]);
    scene
        .template("wrong", json!({}), json!({"tools": tools}))
        .await;
    let instance = scene.instance("b", "wrong", json!({})).await;
    let why = says(&instance, "Stalled", "True", "AccountNotAvailable").await;
    assert!(
        why.contains("is an account at openrouter, and one at exa is needed here"),
        "{why}"
    );
    // For an agent that cannot come up nothing is made.
    scene.listings(2).await;
    assert_eq!(counts(&scene).await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_on_demand_comes_when_it_is_asked_for_and_goes_when_it_is_not() {
    let scene = equipped("demand", |tools| {
        for tool in tools.iter_mut() {
            tool["when"] = json!("OnDemand");
        }
    })
    .await;
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    assert_eq!(counts(&scene).await.get("telnyx/number"), None);
    for _ in 0..2 {
        let ask = json!({"spec": {"requestedTools": ["phone", "inbox"]}});
        instance.patch(ask).await.unwrap();
        eventually("the agent has its number and inbox", SOON, async || {
            let agent = scene.agent(&instance).await;
            let given = |name: &str| !agent["variableHashes"][name].is_null();
            Ok((given("TELNYX_PHONE_NUMBER") && given("AGENTMAIL_API_KEY")).then_some(()))
        })
        .await
        .unwrap();
        is_ready(&instance).await;
        let ask = json!({"spec": {"requestedTools": []}});
        instance.patch(ask).await.unwrap();
        eventually("they are gone again", SOON, async || {
            let counts = counts(&scene).await;
            let gone = [
                "telnyx/number",
                "telnyx/messagingProfile",
                "agentmail/inbox",
                "agentmail/key",
            ]
            .iter()
            .all(|kind| !counts.contains_key(*kind));
            Ok(gone.then_some(()))
        })
        .await
        .unwrap();
        let own = secret(&scene, "a-agent").await;
        assert!(
            !own.contains_key("AGENTMAIL_API_KEY"),
            "a dead key stays in the Secret"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_secret_is_made_again_where_that_is_safe_and_a_wallets_never() {
    let scene = equipped("lost", |_| {}).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let before = is_ready(&instance).await;
    let old = secret(&scene, "a-agent").await;
    scene
        .tenant
        .object("Secret", "a-agent")
        .delete()
        .await
        .unwrap();
    poke(&instance).await;
    eventually("the agent runs with other keys", SOON, async || {
        let agent = scene.agent(&instance).await;
        let given = &agent["variableHashes"];
        let new = [
            "OPENROUTER_API_KEY",
            "EXA_API_KEY",
            "AGENTMAIL_API_KEY",
            "BANKR_API_KEY",
        ]
        .iter()
        .all(|name| !given[*name].is_null() && given[*name] != hash(&old[*name]));
        Ok(new.then_some(()))
    })
    .await
    .unwrap();
    let after = is_ready(&instance).await;
    assert_eq!(
        counts(&scene).await,
        expected(EVERYTHING),
        "one of each, the old ones revoked"
    );
    for slot in ["tool/inbox", "tool/phone", "tool/purse", "tool/bank"] {
        assert_eq!(
            id(&before, slot),
            id(&after, slot),
            "{slot} is still the same"
        );
    }

    let purse = tool(&after, "purse")["secretRef"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    scene
        .tenant
        .object("Secret", &purse)
        .delete()
        .await
        .unwrap();
    poke(&instance).await;
    let why = says(&instance, "Stalled", "True", "SecretLost").await;
    assert!(why.contains(&id(&after, "tool/purse")), "{why}");
    let deployments = scene.deployments(&instance).await;
    poke(&instance).await;
    says(&instance, "ToolsReady", "False", "SecretLost").await;
    assert_eq!(scene.deployments(&instance).await, deployments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_whose_secrets_name_is_taken_is_told_and_waited_for() {
    let scene = equipped("taken", |tools| tools.retain(|one| one["name"] == "purse")).await;
    let stopped = json!({"operatingMode": "Suspended"});
    let instance = scene.instance("a", "t", stopped).await;
    says(&instance, "Suspended", "True", "Suspended").await;
    let uid = instance.get().await.unwrap().metadata.uid.unwrap();
    let part: String = uid.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("a-purse-{}", &part[..10]);
    scene.secret(&name, json!({"mine": "all mine"})).await;
    let mark = scene.mark();
    instance
        .patch(json!({"spec": {"operatingMode": "Running"}}))
        .await
        .unwrap();
    let why = says(&instance, "Stalled", "True", "RefusedByCluster").await;
    assert!(
        why.contains(&name) && why.contains("delete that object"),
        "{why}"
    );
    // It used to be tried twenty times a second.
    scene.listings(8).await;
    let writes = scene.writes(mark);
    let tried = writes.iter().filter(|one| one.resource == "secrets");
    assert!((1..=5).contains(&tried.count()), "{writes:?}");
    assert_eq!(secret(&scene, &name).await["mine"], "all mine");

    scene.tenant.object("Secret", &name).delete().await.unwrap();
    is_ready(&instance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_keeps_the_object_and_abandon_gives_up_one_slot() {
    let scene = equipped("stuck", |_| {}).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let number = id(&is_ready(&instance).await, "tool/phone");
    let fault = scene
        .tenant
        .post_fault(json!({
            "provider": "telnyx", "operation": "DELETE /v2/phone_numbers/{id}", "times": 0,
            "effect": {"status": 503, "body": {"errors": [{"code": "10016", "title": "down"}]}},
        }))
        .await
        .unwrap();
    instance.delete().await.unwrap();
    let why = async || {
        let object = instance.get().await?;
        let said = world::condition(&object, "Synced").map(|found| found["message"].to_string());
        Ok(said.filter(|said| said.contains("tool/phone") && said.contains("asked for 20")))
    };
    eventually("the condition names the slot and since when", SOON, why)
        .await
        .unwrap();
    let here = counts(&scene).await;
    assert_eq!(
        here.get("openrouter/key"),
        None,
        "what comes first has gone"
    );
    assert_eq!(
        here.get("railway/project"),
        Some(&1),
        "what comes later waits"
    );
    instance
        .patch(json!({"metadata": {"annotations": {"yardmaster.dev/abandon": "tool/phone"}}}))
        .await
        .unwrap();
    instance.wait_gone(SOON).await.unwrap();
    scene.end_fault(&fault).await;
    assert_eq!(
        counts(&scene).await,
        expected(&[("bankr/wallet", 1), ("telnyx/number", 1)]),
        "exactly one slot was given up"
    );
    let told = async || {
        let events = instance.events().await?;
        Ok(events
            .into_iter()
            .find(|event| event.contains("Abandoned") && event.contains(&number)))
    };
    eventually("an event says what stays behind", SOON, told)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_what_it_needs_and_for_nothing_else() {
    let scene = equipped("optional", |tools| {
        tools.retain(|tool| tool["name"] == "llm" || tool["name"] == "search");
        for tool in tools.iter_mut() {
            tool["required"] = json!(tool["name"] == "llm");
        }
    })
    .await;
    let down = |operation: &str, provider: &str| json!({"provider": provider, "operation": operation, "times": 0, "effect": {"status": 429, "headers": {"Retry-After": "1"}, "body": {"error": "slow down"}}});
    let search = scene
        .tenant
        .post_fault(down("POST /team-management/api-keys", "exa"))
        .await
        .unwrap();
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    says(&instance, "ToolsReady", "False", "Throttled").await;
    scene.end_fault(&search).await;
    eventually(
        "the agent is given the key when there is one",
        SOON,
        async || {
            let agent = scene.agent(&instance).await;
            Ok((!agent["variableHashes"]["EXA_API_KEY"].is_null()).then_some(()))
        },
    )
    .await
    .unwrap();

    let llm = scene
        .tenant
        .post_fault(down("POST /api/v1/keys", "openrouter"))
        .await
        .unwrap();
    let other = scene.instance("b", "t", json!({})).await;
    says(&other, "ToolsReady", "False", "Throttled").await;
    let services = scene.tenant.inventory().await.unwrap();
    assert_eq!(
        (scene.projects().await, services.kind("service").count()),
        (2, 1),
        "nothing is made beyond an empty project, which costs nothing"
    );
    scene.end_fault(&llm).await;
    is_ready(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_account_is_refused_alike_whether_it_exists_or_not() {
    let scene = equipped("alice", |_| {}).await;
    let bob = Scene::new("bob").await;
    let mark = scene.mark();
    let theirs = format!("{}-openrouter", scene.tenant.name());
    let mut said = Vec::new();
    for (name, account) in [("a", theirs.as_str()), ("b", "no-such-account")] {
        let tools = json!([{"name": "llm", "type": "openrouter", "accountRef": {"name": account}, "limitUSD": 1}]);
        bob.template(name, json!({}), json!({"tools": tools})).await;
        let instance = bob.instance(name, name, json!({})).await;
        let why = says(&instance, "Stalled", "True", "AccountNotAvailable").await;
        said.push(why.replace(account, "X"));
    }
    assert_eq!(said[0], said[1], "nobody learns which accounts exist");
    let asked: Vec<_> = scene
        .tenant
        .exchanges(mark.journal())
        .unwrap()
        .into_iter()
        // Alice's own account is listed all the time.
        .filter(|one| one.method != "GET")
        .filter(|one| !["projects", "projectServiceUsage"].contains(&one.operation.as_str()))
        .collect();
    assert!(asked.is_empty(), "{asked:#?}");
    assert_eq!(bob.projects().await, 0);
}
