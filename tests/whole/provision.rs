//! An agent is told who it is: the product's own call to it (`yardmaster::agent`) against agents that the product deployed, as claims use it; and
//! programs that cannot be told, which are ready all the same.
//!
//! Absent: who is told what and when (`engine::claims`).

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use world::tellings::{agents_of_two_claims, shown};
use yardmaster::agent::Agents;
use yardmaster::api::template::Harness;
use yardmaster::model::{AgentBinding, ClaimKept, Provision, TellOutcome, TellingRow, harness};
use yardmaster::wire::Leave;

use crate::support::{SOON, Scene, is_ready};

/// UID of the claim that an agent hears of first: only of what looks like one it is believed whose it is.
const FIRST: &str = "0d5c2c1e-6c0e-4b5e-9c39-0b6f6f1d7c11";

/// What tells the agent of an instance.
struct Teller {
    agents: Agents,
    host: String,
    token: SecretString,
}

fn row() -> TellingRow {
    harness::row(Harness::Convos).telling.unwrap()
}

fn provision(claim: &str) -> Provision {
    Provision {
        claim: claim.to_owned(),
        agent_name: "Ada".to_owned(),
        instructions: "help".to_owned(),
        model: None,
        join_url: Some("https://agents.example.com/j/whole".into()),
        profile_image: Some("https://agents.example.com/ada.png".to_owned()),
        metadata: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
        env: BTreeMap::from([("KEY".to_owned(), "told-value".into())]),
    }
}

impl Teller {
    /// For the instance of this name, once it is ready.
    async fn of(scene: &Scene<'_>, name: &str) -> Teller {
        let instance = is_ready(&scene.tenant.instance(name)).await;
        let url = instance.data["status"]["url"].as_str().unwrap();
        let secret = scene
            .world
            .secret(scene.tenant.namespace(), &format!("{name}-agent"))
            .await;
        let token = secret.unwrap()["GATEWAY_TOKEN"].clone();
        let builder = || scene.world.http_builder().unwrap();
        Teller {
            agents: Agents::new(builder, Duration::from_secs(5)).unwrap(),
            host: url.trim_start_matches("https://").to_owned(),
            token: token.into(),
        }
    }

    async fn tell(&self, claim: &str) -> TellOutcome {
        self.tell_within(claim, SOON).await
    }

    async fn tell_within(&self, claim: &str, within: Duration) -> TellOutcome {
        let (leave, row, provision) = (Leave::always(), row(), provision(claim));
        let led = leave.take().unwrap();
        let told = self
            .agents
            .tell(led, &self.host, &row, &provision, &self.token, within);
        told.await
    }

    async fn claim(&self) -> ClaimKept {
        match self.agents.binding(&self.host, &row(), &self.token).await {
            AgentBinding::Says { claim, .. } => claim,
            AgentBinding::Unknown { why } => panic!("{why}"),
        }
    }

    async fn nature(&self, scene: &Scene<'_>, nature: &str) {
        let path = format!("/agents/{}", self.host);
        let body = Some(json!({ "nature": nature }));
        let outside = scene.world.outside();
        outside.call(Method::PUT, &path, body).await.unwrap();
    }

    /// What came of a telling that this fault met.
    async fn tell_with(&self, scene: &Scene<'_>, claim: &str, effect: Value) -> TellOutcome {
        let outside = scene.world.outside();
        let fault = json!({ "provider": "agent", "operation": "POST /pool/provision", "contains": self.host, "effect": effect });
        let fault = outside.post_fault(fault).await.unwrap();
        let outcome = self.tell_within(claim, Duration::from_secs(2)).await;
        assert_eq!(outside.fired(&fault).await.unwrap(), 1);
        outside.remove_fault(&fault).await.unwrap();
        outcome
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_of_one_claim_and_every_end_of_a_telling_is_told_apart() {
    let scene = Scene::new("told").await;
    scene.ready(json!({}), &["a"]).await;
    let agent = Teller::of(&scene, "a").await;
    assert_eq!(agent.claim().await, ClaimKept::Nothing);

    // Nothing was sent, although a connection to it was open.
    agent.nature(&scene, "unreachable").await;
    let outcome = agent.tell("c0").await;
    assert!(
        matches!(outcome, TellOutcome::NotSent { .. }),
        "{outcome:?}"
    );
    agent.nature(&scene, "rejects-claim").await;
    let outcome = agent.tell("c0").await;
    assert!(
        matches!(&outcome, TellOutcome::Refused { message } if message == "this agent will not"),
        "{outcome:?}"
    );
    agent.nature(&scene, "good").await;
    for effect in [
        json!({"status": 400, "body": "Bad Request"}),
        json!({"status": 401, "body": {"error": "unauthorized"}}),
        json!({"status": 404, "body": {"error": "not found"}}),
        json!({"status": 503, "body": "upstream connect error"}),
        json!("reset_before"),
    ] {
        let outcome = agent.tell_with(&scene, "c0", effect.clone()).await;
        let unknown = matches!(outcome, TellOutcome::Unknown { .. });
        assert!(unknown, "{effect}: {outcome:?}");
    }
    assert_eq!(agent.claim().await, ClaimKept::Nothing);

    // It heard, and nobody knows until it is asked.
    for effect in [
        json!("reset_after"),
        json!({"delay": 30}),
        json!("truncated"),
    ] {
        let outcome = agent.tell_with(&scene, FIRST, effect.clone()).await;
        let unknown = matches!(outcome, TellOutcome::Unknown { .. });
        assert!(unknown, "{effect}: {outcome:?}");
        assert_eq!(agent.claim().await, ClaimKept::Of(FIRST.into()));
    }
    let TellOutcome::Told(result) = agent.tell(FIRST).await else {
        panic!("the same again is the same answer");
    };
    assert!(!result.pending);
    assert_eq!(result.shown["status"], "joined");
    assert!(result.shown.contains_key("conversationId"));
    assert_eq!(result.kept.keys().collect::<Vec<_>>(), ["inviteUrl"]);
    let outcome = agent.tell("c2").await;
    let other = matches!(&outcome, TellOutcome::OfAnother { why } if why.contains("another claim"));
    assert!(other, "{outcome:?}");

    let tellings = scene.tenant.tellings().await.unwrap();
    let heard: Vec<(&str, Option<u16>)> = tellings
        .iter()
        .map(|one| (one.claim.as_deref().unwrap(), one.status))
        .collect();
    let (refused, took, other) = (("c0", Some(422)), (FIRST, Some(200)), ("c2", Some(409)));
    assert_eq!(heard, [refused, took, took, took, took, other]);
    let first = &tellings[1];
    assert_eq!(first.agent_name.as_deref(), Some("Ada"));
    assert_eq!(first.instructions.as_deref(), Some("help"));
    assert_eq!(first.metadata["team"], "a");
    assert_eq!(first.env_hashes["KEY"], shown("told-value"));
    assert_eq!(agents_of_two_claims(&tellings), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harness_that_only_answers_is_ready_by_its_status() {
    let scene = Scene::new("harness").await;
    // `/` of these agents answers 404, `/convos/status` 200 without any `ready`.
    let runtime = json!({"harness": "http", "contract": {"health": "/convos/status"}});
    scene.ready(runtime, &["a"]).await;
    let deployments = scene.deployments(&scene.tenant.instance("a")).await;
    // Another harness deploys nothing, and an agent that was ready is not asked again.
    let other = json!({"spec": {"runtime": {"harness": "convos"}}});
    let template = scene.tenant.template("t");
    template.patch(other).await.unwrap();
    let seen = template.wait_until("the change is observed", SOON, |object| {
        object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation
    });
    seen.await.unwrap();
    let instance = scene.tenant.instance("a");
    is_ready(&instance).await;
    assert_eq!(scene.deployments(&instance).await, deployments);
}
