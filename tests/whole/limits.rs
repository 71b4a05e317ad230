//! What one agent may have of an account at most: for who asks for more nothing is made, and from who has more nothing is taken.

use crate::support::{SOON, Scene, id, is_ready, lays_down, says};
use crate::toolset::equipped;
use serde_json::json;
use world::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_too_large_is_not_begun_and_one_that_runs_stays_as_it_is() {
    let most = |memory| json!({"perAgent": {"memory": memory}});
    let scene = Scene::with("largest", most("1Gi")).await;
    let account = scene.tenant.provider_account();
    let resources = json!({"resources": {"memory": "2Gi"}});
    scene.template("t", resources, json!({})).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let message = says(&instance, "Stalled", "True", "QuotaExceeded").await;
    let name = scene.tenant.account();
    let says_all = [
        name,
        "spec.railway.perAgent.memory",
        "1Gi",
        "AgentTemplate t",
        "2Gi",
    ];
    for part in says_all {
        assert!(message.contains(part), "{part}: {message}");
    }
    scene.listings(1).await;
    assert_eq!(scene.mutations(scene.start()), [""; 0]);

    let change = |memory| json!({"spec": {"railway": most(memory)}});
    lays_down(&account, change("2Gi")).await;
    is_ready(&instance).await;

    // Lower than what runs: nothing is done to it, and it is changed in everything else.
    let mark = scene.mark();
    lays_down(&account, change("1Gi")).await;
    let another = scene.instance("b", "t", json!({})).await;
    says(&another, "Stalled", "True", "QuotaExceeded").await;
    scene.listings(2).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    let env = json!({"spec": {"env": [{"name": "MODE", "value": "b"}]}});
    instance.patch(env).await.unwrap();
    eventually("the variable is deployed", SOON, async || {
        Ok((scene.deployments(&instance).await == 2).then_some(()))
    })
    .await
    .unwrap();
    is_ready(&instance).await;
    assert_eq!(scene.projects().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_above_the_limit_is_not_made_and_nothing_else_is_bought() {
    let scene = equipped("dearest", |tools| {
        tools.retain(|tool| ["llm", "search"].contains(&tool["name"].as_str().unwrap()));
    })
    .await;
    let (name, start) = (scene.tenant.account(), scene.mark());
    let account = scene
        .world
        .object("ProviderAccount", None, &format!("{name}-openrouter"));
    let change = |usd: u32| json!({"spec": {"openrouter": {"perAgent": {"limitUSD": usd}}}});
    lays_down(&account, change(10)).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let message = says(&instance, "Stalled", "True", "QuotaExceeded").await;
    let field = "spec.openrouter.perAgent.limitUSD is 10";
    assert!(
        message.contains(field) && message.contains("20"),
        "{message}"
    );
    scene.listings(1).await;
    assert_eq!(scene.mutations(start), [""; 0]);
    let made = scene.tenant.inventory().await.unwrap().resources.len();
    assert_eq!(made, 0);

    // Less is enough, and later no more than the limit.
    let wish = |usd: u32| json!({"spec": {"toolLimits": [{"name": "llm", "limitUSD": usd}]}});
    instance.patch(wish(10)).await.unwrap();
    let hash = id(&is_ready(&instance).await, "tool/llm");
    let limit = async || {
        let inventory = scene.tenant.inventory().await.unwrap();
        let key = inventory.kind("key").find(|key| key.id == hash).cloned();
        key.unwrap().monthly_usd
    };
    assert_eq!(limit().await, 10.0);
    instance.patch(wish(11)).await.unwrap();
    let message = says(&instance, "Stalled", "True", "QuotaExceeded").await;
    assert!(message.contains("toolLimits asks for 11"), "{message}");
    assert_eq!(limit().await, 10.0);
    lays_down(&account, change(11)).await;
    eventually("the key has the limit", SOON, async || {
        Ok((limit().await == 11.0).then_some(()))
    })
    .await
    .unwrap();
}
