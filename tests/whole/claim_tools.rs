//! Tools with `when: Claim`: an idle agent has none, a claim's has each once, is told what they give it, and keeps that; and who has no
//! room for them takes nobody.

use serde_json::{Value, json};
use world::tellings::shown;
use world::{Object, Options, World, condition, eventually, test_directory};

use crate::claims::{LONG, agent_of, ready, told};
use crate::support::{SOON, Scene, hash, lays_down, manifest, merged, refusal, says};

/// A scene whose tenant has accounts at all providers and a pool `p` of one agent, whose template has these tools.
async fn pooled<'w>(scene: &Scene<'w>, tools: Value) -> Object<'w> {
    scene.tenant.tool_accounts().await.unwrap();
    scene
        .template("t", json!({}), json!({"tools": tools}))
        .await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    pool
}

/// A tool of those that `six_tools` has, for claims; `rest` is merged into it.
fn for_claims(scene: &Scene<'_>, name: &str, rest: Value) -> Value {
    let all = scene.tenant.six_tools();
    let mut all = all.as_array().unwrap().iter();
    let tool = all.find(|tool| tool["name"] == name).unwrap();
    merged(merged(tool.clone(), json!({"when": "Claim"})), rest)
}

/// How many live outside that a claim brings.
async fn count(scene: &Scene<'_>, kinds: &[&str]) -> usize {
    let inventory = scene.tenant.inventory().await.unwrap();
    let those = inventory.resources.iter();
    those
        .filter(|one| kinds.contains(&one.kind.as_str()) && one.provider != "railway")
        .count()
}

async fn secret(scene: &Scene<'_>, instance: &str) -> std::collections::BTreeMap<String, String> {
    let name = format!("{instance}-agent");
    let secret = scene.world.secret(scene.tenant.namespace(), &name);
    secret.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claims_agent_is_told_what_its_tools_give_it_and_keeps_that_without_a_deployment() {
    let scene = Scene::new("claimtools").await;
    let tools = json!([for_claims(&scene, "llm", json!({}))]);
    let pool = pooled(&scene, tools).await;
    assert_eq!(count(&scene, &["key", "inbox"]).await, 0);

    // The persona brings an inbox. Another key it may not bring.
    let persona = |tools: Value| json!({"persona": {"instructions": "help"}, "tools": tools});
    let again = json!([for_claims(&scene, "llm", json!({"name": "other"}))]);
    scene
        .apply(manifest("AgentTemplate", "helper", persona(again)))
        .await;
    let rest = json!({
        "personaRef": {"name": "helper"}, "agent": {"instructions": null},
        "env": [{"name": "PLAIN", "value": "plain"}],
    });
    let claim = scene.claim("ada", rest).await;
    let message = says(&claim, "Stalled", "True", "NotAllowed").await;
    assert!(
        message.contains("tool other") && message.contains("tool llm"),
        "{message}"
    );
    let inbox = json!([for_claims(&scene, "inbox", json!({}))]);
    let helper = scene.tenant.template("helper");
    helper
        .patch(json!({"spec": {"tools": inbox}}))
        .await
        .unwrap();
    let mark = scene.mark();
    let bound = ready(&claim).await;
    let agent = agent_of(&bound);
    let own = secret(&scene, &agent).await;
    let mine = told(&scene, &bound).await;
    assert_eq!(mine.len(), 1, "{mine:#?}");
    let given = &mine[0].env_hashes;
    assert_eq!(given["PLAIN"], shown("plain"));
    for name in ["OPENROUTER_API_KEY", "AGENTMAIL_API_KEY"] {
        assert_eq!(given[name], shown(&own[name]), "{name}");
    }
    assert!(given.contains_key("AGENTMAIL_INBOX"), "{given:?}");
    assert!(bound.data["status"]["toolsReadyAt"].is_string());

    // Kept, by one request, and nothing deployed; what may open something is in no status.
    let kept = claim.wait_until("its variables are kept", SOON, |claim| {
        claim.data["status"]["variablesKept"] == true
    });
    let kept = kept.await.unwrap();
    let told = kept.data["status"]["toolsTold"].as_array().unwrap();
    let told: Vec<&str> = told.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(told, ["llm", "inbox"]);
    let upserts = scene.mutations(mark).into_iter();
    let upserts = upserts.filter(|one| one == "variableCollectionUpsert");
    assert_eq!(upserts.count(), 1);
    let instance = scene.tenant.instance(&agent);
    scene.fills(&pool, 1).await;
    scene.listings(2).await;
    assert_eq!(scene.deployments(&instance).await, 1);
    says(&instance, "Synced", "True", "Ready").await;
    // The next idle agent has none of it.
    assert_eq!(count(&scene, &["key", "inbox"]).await, 3);
    let kinds = "agentclaims,agentinstances,agenttemplates,events.events.k8s.io";
    let seen = ["-n", scene.tenant.namespace(), "get", kinds, "-o", "yaml"];
    let seen = scene.world.kubectl(&seen).await.unwrap().ok().unwrap();
    let log = std::fs::read_to_string(scene.world.controller().unwrap().log()).unwrap();
    for name in ["OPENROUTER_API_KEY", "AGENTMAIL_API_KEY"] {
        assert!(
            !seen.contains(&own[name]) && !log.contains(&own[name]),
            "{name}"
        );
    }

    // Whatever is deployed later has them; with the claim they go.
    let automatic =
        json!({"spec": {"updatePolicy": "Automatic", "env": [{"name": "A", "value": "b"}]}});
    instance.patch(automatic).await.unwrap();
    let deployed = eventually("it was deployed once more", SOON, async || {
        let now = scene.agent(&instance).await;
        let done = now["deployments"] == 2 && now["variableHashes"]["A"] == hash("b").as_str();
        Ok(done.then_some(now))
    });
    let deployed = deployed.await.unwrap();
    let has = &deployed["variableHashes"]["OPENROUTER_API_KEY"];
    assert_eq!(*has, hash(&own["OPENROUTER_API_KEY"]));
    claim.delete().await.unwrap();
    claim.wait_gone(SOON).await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    assert_eq!(count(&scene, &["key", "inbox"]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_room_for_its_tool_takes_nobody_and_binds_when_there_is_some() {
    let scene = Scene::new("roomless").await;
    let tools = json!([for_claims(&scene, "llm", json!({}))]);
    let pool = pooled(&scene, tools).await;
    let name = format!("{}-openrouter", scene.tenant.account());
    let account = scene.world.object("ProviderAccount", None, &name);
    let change = |usd: u32| json!({"spec": {"openrouter": {"perAgent": {"limitUSD": usd}}}});
    lays_down(&account, change(10)).await;
    let first = scene.claim("first", json!({})).await;
    let message = says(&first, "Bound", "False", "QuotaExceeded").await;
    for part in ["llm", "perAgent.limitUSD is 10", "20 is asked for"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    says(&first, "Stalled", "True", "QuotaExceeded").await;
    let idle = async || {
        let agents = scene.all("AgentInstance").await;
        agents
            .iter()
            .all(|one| one.data["spec"]["claimRef"].is_null())
    };
    assert!(idle().await);
    lays_down(&account, change(20)).await;
    let bound = ready(&first).await;
    assert_eq!(count(&scene, &["key"]).await, 1);

    // Two at once for one place: one has it, the other one takes nobody until it is free.
    scene.fills(&pool, 1).await;
    let two = json!({"spec": {"replicas": 2}});
    pool.patch(two).await.unwrap();
    scene.fills(&pool, 2).await;
    let places = |most: u32| json!({"spec": {"limits": {"resources": most}}});
    lays_down(&account, places(2)).await;
    let (second, third) = tokio::join!(
        scene.claim("second", json!({})),
        scene.claim("third", json!({}))
    );
    let both = [&second, &third];
    let one = eventually(
        "one of the two has its agent, and the other one says why not",
        LONG,
        async || {
            let now = [second.get().await?, third.get().await?];
            let is = |one: usize, kind: &str, status: &str, reason: &str| {
                condition(&now[one], kind).is_some_and(|said| {
                    said["status"] == status && (reason.is_empty() || said["reason"] == reason)
                })
            };
            let served = |has: usize, not: usize| {
                is(has, "Ready", "True", "") && is(not, "Bound", "False", "QuotaExceeded")
            };
            Ok(match (served(0, 1), served(1, 0)) {
                (true, _) => Some(0),
                (_, true) => Some(1),
                _ => None,
            })
        },
    );
    let has = one.await.unwrap();
    assert_eq!(count(&scene, &["key"]).await, 2);
    first.delete().await.unwrap();
    scene
        .tenant
        .instance(&agent_of(&bound))
        .wait_gone(SOON)
        .await
        .unwrap();
    let last = both[1 - has];
    last.wait_condition("Ready", "True", LONG).await.unwrap();
    assert_eq!(count(&scene, &["key"]).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_refused_is_said_and_uses_up_no_further_agent() {
    let scene = Scene::new("refusedtool").await;
    let late = for_claims(&scene, "search", json!({"required": false}));
    let tools = json!([for_claims(&scene, "llm", json!({})), late]);
    let pool = pooled(&scene, tools).await;
    let refused = json!({"status": 400, "body": refusal("openrouter", "no such thing")});
    let fault = json!({"provider": "openrouter", "operation": "POST /api/v1/keys", "times": 100_000, "effect": refused});
    let llm = scene.tenant.post_fault(fault).await.unwrap();
    let claim = scene.claim("c", json!({"provisionDeadline": "5s"})).await;
    let said = eventually(
        "the claim says that its tool is refused",
        LONG,
        async || {
            let now = claim.get().await?;
            let stalled = condition(&now, "Stalled").cloned();
            Ok(stalled.filter(|said| said["message"].as_str().unwrap_or_default().contains("llm")))
        },
    );
    let said = said.await.unwrap();
    assert_eq!(said["status"], "True", "{said}");
    let bound = claim.get().await.unwrap();
    assert!(condition(&bound, "Bound").unwrap()["status"] == "True");
    let agent = agent_of(&bound);
    assert_eq!(told(&scene, &bound).await, []);
    // Longer than its provisionDeadline: the same agent waits, and nobody else was taken.
    scene.fills(&pool, 1).await;
    scene.listings(4).await;
    let now = claim.get().await.unwrap();
    assert_eq!(agent_of(&now), agent);
    assert!(now.data["status"]["rejected"].is_null());
    scene.end_fault(&llm).await;
    // What was refused for good is tried again when something changes.
    let instance = scene.tenant.instance(&agent);
    let poke = json!({"spec": {"toolLimits": [{"name": "llm", "limitUSD": 21}]}});
    instance.patch(poke).await.unwrap();
    let bound = claim.wait_condition("Ready", "True", LONG).await.unwrap();
    assert_eq!(agent_of(&bound), agent);
    assert!(condition(&bound, "Stalled").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_comes_later_is_told_later() {
    let scene = Scene::new("latetool").await;
    let late = for_claims(&scene, "search", json!({"required": false}));
    let tools = json!([for_claims(&scene, "llm", json!({})), late]);
    pooled(&scene, tools).await;
    let exa = format!("{}-exa", scene.tenant.account());
    let account = scene.world.object("ProviderAccount", None, &exa);
    lays_down(
        &account,
        json!({"spec": {"exa": {"perAgent": {"budgetUSD": 1}}}}),
    )
    .await;
    let claim = scene.claim("c", json!({})).await;
    // What it need not have keeps it from no agent where there is no room for that: but room is asked for all that it brings.
    says(&claim, "Bound", "False", "QuotaExceeded").await;
    let fault = json!({"provider": "exa", "operation": "POST /team-management/api-keys", "times": 100_000, "effect": {"status": 503, "body": {}}});
    let fault = scene.tenant.post_fault(fault).await.unwrap();
    lays_down(
        &account,
        json!({"spec": {"exa": {"perAgent": {"budgetUSD": 5}}}}),
    )
    .await;
    let bound = ready(&claim).await;
    let mine = told(&scene, &bound).await;
    assert_eq!(mine.len(), 1);
    scene.end_fault(&fault).await;
    let told = claim.wait_until(
        "its agent was told of both, and both are kept",
        LONG,
        |claim| {
            let status = &claim.data["status"];
            let both = status["toolsTold"]
                .as_array()
                .is_some_and(|all| all.len() == 2);
            both && status["variablesKept"] == true
        },
    );
    told.await.unwrap();
    let instance = scene.tenant.instance(&agent_of(&bound));
    let agent = scene.agent(&instance).await;
    let given: Vec<&str> = agent["givenVariables"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        given.contains(&"EXA_API_KEY") && given.contains(&"OPENROUTER_API_KEY"),
        "{given:?}"
    );
    assert_eq!(agent["deployments"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_hand_over_and_telling_there_is_one_tool_and_one_agent() {
    let options = Options::new(test_directory("claim-tools-kill"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "killed", Value::Null).await;
    let tools = json!([for_claims(&scene, "llm", json!({}))]);
    pooled(&scene, tools).await;
    for when in ["before", "after"] {
        let pid = world.controller().unwrap().pid().unwrap();
        let kill = json!({"provider": "openrouter", "operation": "POST /api/v1/keys", "times": 1, "effect": {"kill": {"pid": pid, "when": when}}});
        let fault = scene.tenant.post_fault(kill).await.unwrap();
        let claim = scene.claim(&format!("c-{when}"), json!({})).await;
        let bound = claim.wait_condition("Ready", "True", LONG).await.unwrap();
        assert_eq!(world.outside().fired(&fault).await.unwrap(), 1, "{when}");
        let mine = told(&scene, &bound).await;
        let taken = mine.iter().filter(|one| one.is_taken()).count();
        assert!(taken == 1, "{mine:#?}");
        assert_eq!(count(&scene, &["key"]).await, 1, "{when}");
        let agent = agent_of(&bound);
        let own = secret(&scene, &agent).await;
        let given = &mine.last().unwrap().env_hashes;
        assert_eq!(
            given["OPENROUTER_API_KEY"],
            shown(&own["OPENROUTER_API_KEY"])
        );
        claim.delete().await.unwrap();
        scene.tenant.instance(&agent).wait_gone(LONG).await.unwrap();
        assert_eq!(count(&scene, &["key"]).await, 0, "{when}");
        let pool = scene.tenant.object("AgentPool", "p");
        scene.fills(&pool, 1).await;
    }
    world.stop().await.unwrap();
}
