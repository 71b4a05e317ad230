//! What a claim brings with it: who its agent is to be, what it is given, and what of that changes later.

use serde_json::{Value, json};
use world::tellings::shown;
use world::{Object, condition, eventually};

use crate::claims::{agent_of, ready, told};
use crate::support::{SOON, Scene, hash, holds, manifest, says};

/// What an agent remembers of what it was told, once that is so.
async fn agent_says(scene: &Scene<'_>, agent: &Object<'_>, field: &str, value: Value) -> Value {
    eventually(
        &format!("its agent says {field}: {value}"),
        SOON,
        async || {
            let now = scene.agent(agent).await;
            Ok((now[field] == value).then_some(now))
        },
    )
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_cannot_be_told_takes_no_agent_and_heals_when_it_can() {
    let scene = Scene::new("persona").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let rest = json!({
        "personaRef": {"name": "helper"},
        "agent": {"instructions": null, "model": "small", "metadata": {"team": "a"}, "profileImage": "https://images.example.com/ada.png"},
        "env": [
            {"name": "PLAIN", "value": "plain"},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "ada", "key": "key"}}},
        ],
    });
    let claim = scene.claim("ada", rest).await;
    let message = says(&claim, "Stalled", "True", "ReferenceNotFound").await;
    assert!(message.contains("AgentTemplate helper"), "{message}");
    // Nobody waits behind it, and no agent was touched for it.
    let second = ready(&scene.claim("second", json!({})).await).await;
    scene.fills(&pool, 1).await;

    let part = |key: &str| json!({"configMapKeyRef": {"name": "texts", "key": key}});
    let persona = |variables: Value, free: bool| {
        json!({
            "persona": {
                "instructionsFrom": [part("who"), part("how")],
                "variables": variables,
                "model": {"default": "large", "allowOverride": free},
            },
            "profile": {"displayName": "Helper", "emoji": "🙂"},
        })
    };
    let helper = scene.tenant.template("helper");
    let put = async |variables: Value, free: bool| {
        let spec = persona(variables, free);
        scene.apply(manifest("AgentTemplate", "helper", spec)).await;
    };
    put(json!({}), false).await;
    let message = says(&helper, "Stalled", "True", "ReferenceNotFound").await;
    assert!(message.contains("ConfigMap texts"), "{message}");
    let says_so = async |words: &str| {
        let what = format!("the claim says {words}");
        claim
            .wait_until(&what, SOON, |claim| {
                condition(claim, "Stalled").is_some_and(|said| {
                    let message = said["message"].as_str().unwrap_or_default();
                    message.contains(words)
                })
            })
            .await
            .unwrap();
    };
    says_so("ConfigMap texts does not exist").await;
    let texts = json!({"who": "You are {{name}}.\n", "how": "Be kind."});
    scene.config_map("texts", texts).await;
    says_so("\"name\"").await;
    put(json!({"name": "Ada"}), false).await;
    says_so("agent.model").await;
    put(json!({"name": "Ada"}), true).await;
    says(&helper, "Ready", "True", "Ready").await;
    says_so("Secret ada does not exist").await;
    assert_eq!(told(&scene, &claim.get().await.unwrap()).await, []);
    scene.fills(&pool, 1).await;
    scene
        .secret("ada", json!({"key": "value-of-a-secret"}))
        .await;
    let bound = ready(&claim).await;
    assert_ne!(agent_of(&bound), agent_of(&second));
    assert!(condition(&bound, "Stalled").is_none());
    let mine = told(&scene, &bound).await;
    assert_eq!(mine.len(), 1, "{mine:#?}");
    let telling = &mine[0];
    assert_eq!(telling.agent_name.as_deref(), Some("Helper"));
    let text = Some("You are Ada.\n\nBe kind.");
    assert_eq!(telling.instructions.as_deref(), text);
    assert_eq!(telling.metadata["team"], "a");
    let image = Some("https://images.example.com/ada.png");
    assert_eq!(telling.profile_image.as_deref(), image);
    assert_eq!(telling.env_hashes["PLAIN"], shown("plain"));
    assert_eq!(telling.env_hashes["KEY"], shown("value-of-a-secret"));
    let agent = scene.tenant.instance(&agent_of(&bound));
    agent_says(&scene, &agent, "model", json!("small")).await;

    // What the agent answered that lets somebody in is in the claim's Secret, and nowhere else.
    let status = &bound.data["status"];
    assert_eq!(status["secretRef"]["name"], "ada-claim");
    assert!(status["result"]["inviteUrl"].is_null());
    let secret = scene.world.secret(scene.tenant.namespace(), "ada-claim");
    let secret = secret.await.unwrap();
    assert!(secret["inviteUrl"].starts_with("https://"), "an invite");
    assert!(!status.to_string().contains(&secret["inviteUrl"]));

    let kinds = "agentclaims,agentinstances,agenttemplates,events.events.k8s.io";
    let namespace = scene.tenant.namespace();
    let seen = ["-n", namespace, "get", kinds, "-o", "yaml"];
    let seen = scene.world.kubectl(&seen).await.unwrap().ok().unwrap();
    let log = std::fs::read_to_string(scene.world.controller().unwrap().log()).unwrap();
    for unseen in ["value-of-a-secret", secret["inviteUrl"].as_str()] {
        assert!(!seen.contains(unseen) && !log.contains(unseen));
    }

    // Another sentence deploys nobody, and is told to those that come later.
    let before = scene.deployments(&agent).await;
    put(json!({"name": "Eve"}), true).await;
    let later = json!({"personaRef": {"name": "helper"}, "agent": {"instructions": null}});
    scene.fills(&pool, 1).await;
    let later = ready(&scene.claim("later", later).await).await;
    let mine = told(&scene, &later).await;
    assert_eq!(
        mine[0].instructions.as_deref(),
        Some("You are Eve.\n\nBe kind.")
    );
    assert_eq!(scene.deployments(&agent).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_without_a_runtime_makes_no_agent() {
    let scene = Scene::new("bare").await;
    let persona = json!({"persona": {"instructions": "help"}});
    scene.apply(manifest("AgentTemplate", "t", persona)).await;
    says(&scene.tenant.template("t"), "Ready", "True", "Ready").await;
    let pool = scene.pool(1, json!({})).await;
    let message = says(&pool, "Stalled", "True", "NoRuntime").await;
    assert!(message.contains("only has a persona"), "{message}");
    let instance = scene.instance("i", "t", json!({})).await;
    let message = says(&instance, "Stalled", "True", "TemplateNotReady").await;
    assert!(message.contains("no runtime"), "{message}");
    assert_eq!(scene.projects().await, 0);
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_claim_says_later_is_done_and_told_once() {
    let scene = Scene::new("edits").await;
    scene.template("t", json!({}), json!({})).await;
    // Before it has an agent nearly everything may change.
    let claim = scene
        .claim("c", json!({"agent": {"name": "Adda"}, "owner": "a"}))
        .await;
    says(&claim, "Bound", "False", "PoolNotFound").await;
    let named = json!({"spec": {"agent": {"name": "Ada"}}});
    claim.patch(named).await.unwrap();
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let bound = ready(&claim).await;
    assert_eq!(
        told(&scene, &bound).await[0].agent_name.as_deref(),
        Some("Ada")
    );
    for (change, says) in [
        (json!({"agent": {"name": "Eve"}}), "spec.agent.name stays"),
        (
            json!({"env": [{"name": "A", "value": "b"}]}),
            "spec.env stays",
        ),
        (
            json!({"provisionDeadline": "10s"}),
            "spec.provisionDeadline stays",
        ),
        (json!({"poolRef": {"name": "q"}}), "poolRef is immutable"),
        (json!({"owner": "b"}), "owner is immutable"),
    ] {
        let refused = claim.patch(json!({"spec": change})).await.unwrap_err();
        let refused = format!("{refused:#}");
        assert!(refused.contains(says), "{refused}");
    }
    let agent = scene.tenant.instance(&agent_of(&bound));
    let followed = async |change: Value| {
        let patched = claim.patch(json!({"spec": change})).await.unwrap();
        let generation = patched.metadata.generation;
        let followed = claim.wait_until("the claim has followed", SOON, |claim| {
            claim.data["status"]["observedGeneration"].as_i64() == generation
        });
        followed.await.unwrap()
    };
    let new = json!({"agent": {"instructions": "be quiet", "metadata": {"room": "1"}}});
    let after = followed(new).await;
    assert!(holds(&after, "Ready"));
    let says = scene.agent(&agent).await;
    assert_eq!(says["instructionsHash"], hash("be quiet"));
    assert_eq!(says["metadata"], json!({"room": "1"}));
    assert_eq!(
        (&says["updates"], &says["provisions"]),
        (&json!(1), &json!(1))
    );

    // Its time counts from when it was bound, and what nobody has to hear is not told.
    let bound_at = |claim: &kube::api::DynamicObject| -> jiff::Timestamp {
        let at = condition(claim, "Bound").unwrap()["lastTransitionTime"].clone();
        at.as_str().unwrap().parse().unwrap()
    };
    let after = followed(json!({"expiresAfter": "2h"})).await;
    let expires = after.data["status"]["expiresAt"].as_str().unwrap();
    let expires: jiff::Timestamp = expires.parse().unwrap();
    assert_eq!(expires.duration_since(bound_at(&after)).as_secs(), 7200);
    assert_eq!(bound_at(&after), bound_at(&bound));
    let owned = async || {
        let agent = agent.get().await.unwrap();
        agent.metadata.owner_references.is_some()
    };
    assert!(owned().await);
    followed(json!({"expiresAfter": null, "releasePolicy": "Retain"})).await;
    assert!(!owned().await);
    followed(json!({"releasePolicy": "Delete"})).await;
    assert!(owned().await);
    assert_eq!(scene.agent(&agent).await["updates"], 1);

    // Neither forgotten nor told twice, whoever is killed.
    let fault = json!({"provider": "agent", "operation": "POST /pool/update-template", "times": 2, "effect": {"status": 503}});
    let fault = scene.tenant.post_fault(fault).await.unwrap();
    followed(json!({"agent": {"instructions": "be loud"}})).await;
    let says = scene.agent(&agent).await;
    scene.end_fault(&fault).await;
    let heard = claim.get().await.unwrap();
    assert!(condition(&heard, "Reconciling").is_none());
    assert_eq!(says["instructionsHash"], hash("be loud"));
    assert_eq!(says["metadata"], json!({"room": "1"}));

    // One that cannot hear goes on as before, and the claim says so.
    let url = bound.data["status"]["url"].as_str().unwrap().to_owned();
    let host = url.trim_start_matches("https://");
    let (path, old) = (format!("/agents/{host}"), json!({"nature": "old"}));
    scene.by_hand(reqwest::Method::PUT, &path, old).await;
    let deaf = followed(json!({"agent": {"instructions": "be gone"}})).await;
    assert!(holds(&deaf, "Ready"));
    let stalled = condition(&deaf, "Stalled").unwrap();
    assert_eq!(stalled["reason"], "UpdateRefused");
    let says = scene.agent(&agent).await;
    assert_eq!(says["instructionsHash"], hash("be loud"));

    followed(json!({"releasePolicy": "Retain"})).await;
    claim.delete().await.unwrap();
    claim.wait_gone(SOON).await.unwrap();
    assert!(holds(&agent.get().await.unwrap(), "Ready"));
    agent.delete().await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_claim_brought_is_deployed_later_and_deploys_nothing() {
    let scene = Scene::new("brought").await;
    let env = |more: Value| json!({"env": [{"name": "LEVEL", "value": "info"}, more]});
    let first = env(json!({"name": "MODE", "value": "a"}));
    scene.template("t", json!({}), first).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    scene.secret("ada", json!({"key": "kept-value"})).await;
    let mark = scene.mark();
    let brought = json!({"env": [
        {"name": "LEVEL", "value": "debug"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "ada", "key": "key"}}},
    ]});
    let claim = scene.claim("c", brought).await;
    let bound = ready(&claim).await;
    let kept = claim.wait_until("its variables are kept", SOON, |claim| {
        claim.data["status"]["variablesKept"] == true
    });
    kept.await.unwrap();
    let agent = scene.tenant.instance(&agent_of(&bound));
    // Whoever looks at what is there finds nothing to set back, and nobody is deployed for it.
    scene.fills(&pool, 1).await;
    scene.listings(3).await;
    assert_eq!(scene.deployments(&agent).await, 1);
    says(&agent, "Synced", "True", "Ready").await;
    let upserts = scene.mutations(mark).into_iter();
    let upserts = upserts.filter(|one| one == "variableCollectionUpsert");
    assert_eq!(upserts.count(), 1);
    let says_now = scene.agent(&agent).await;
    assert_eq!(says_now["variableHashes"]["LEVEL"], hash("info"));

    // Whatever is deployed later has them.
    let automatic = json!({"spec": {"updatePolicy": "Automatic"}});
    agent.patch(automatic).await.unwrap();
    let second = env(json!({"name": "MODE", "value": "b"}));
    scene.template("t", json!({}), second).await;
    let deployed = eventually("it was deployed once more", SOON, async || {
        let now = scene.agent(&agent).await;
        let done = now["deployments"] == 2 && now["variableHashes"]["MODE"] == hash("b").as_str();
        Ok(done.then_some(now))
    });
    let deployed = deployed.await.unwrap();
    assert_eq!(deployed["variableHashes"]["LEVEL"], hash("debug"));
    assert_eq!(deployed["variableHashes"]["KEY"], hash("kept-value"));
    scene.listings(2).await;
    assert_eq!(scene.deployments(&agent).await, 2);
}
