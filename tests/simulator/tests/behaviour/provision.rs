//! Telling an agent who it is: the claim that it keeps, what was told to whom, and every way in which it can go wrong.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Built, World, agent, until};

const IMAGE: &str = "ghcr.io/acme/agent:1";
const PROVISION: &str = "POST /pool/provision";

fn told(claim: &str) -> Value {
    json!({ "agentName": "Ada", "instructions": "help", "joinUrl": "https://example.com/j/capability",
        "metadata": { "team": "a" }, "env": { "KEY": "canary-value" }, "claim": claim })
}

impl World {
    async fn tell(&self, built: &Built, claim: &str) -> (u16, Value) {
        self.call(built, "POST", "/pool/provision", told(claim))
            .await
    }

    /// A telling whose connection may break.
    async fn try_tell(&self, built: &Built, claim: &str) -> reqwest::Result<reqwest::Response> {
        let url = format!("https://{}/pool/provision", built.domain);
        let request = self.client.post(url).bearer_auth("gateway");
        request.json(&told(claim)).send().await
    }

    async fn status(&self, built: &Built) -> Value {
        let (code, status) = self.call(built, "GET", "/convos/status", Value::Null).await;
        assert_eq!(code, 200, "{status}");
        status
    }

    async fn tellings(&self) -> Vec<Value> {
        let answer = self.control("GET", "/tellings", Value::Null).await;
        answer["tellings"].as_array().unwrap().clone()
    }

    /// Claim and answer of each telling.
    async fn heard(&self) -> Vec<(Value, Value)> {
        let tellings = self.tellings().await;
        let both = |row: &Value| (row["claim"].clone(), row["status"].clone());
        tellings.iter().map(both).collect()
    }

    async fn joins(&self, built: &Built) -> Value {
        let agents = self.control("GET", "/agents", Value::Null).await;
        let agents = agents.as_array().unwrap();
        let found = agents
            .iter()
            .find(|agent| agent["domain"] == json!(built.domain));
        found.unwrap()["joins"].clone()
    }

    /// One fault, at the next telling.
    async fn fault(&self, effect: Value) {
        let fault = json!({ "provider": "agent", "operation": PROVISION, "effect": effect });
        self.control("POST", "/faults", fault).await;
    }

    async fn nature(&self, built: &Built, nature: &str) {
        let path = format!("/agents/{}", built.domain);
        self.control("PUT", &path, json!({ "nature": nature }))
            .await;
    }

    /// How often the fault that was posted last has fired.
    async fn fired(&self) -> Value {
        let faults = self.control("GET", "/faults", Value::Null).await;
        faults.as_array().unwrap().last().unwrap()["fired"].clone()
    }
}

#[tokio::test]
async fn the_first_claim_is_kept_for_ever() {
    let world = World::new().await;
    let built = world.deploy("p", IMAGE).await;
    assert_eq!(world.status(&built).await["claim"], Value::Null);
    let (code, first) = world.tell(&built, "c1").await;
    assert_eq!((code, &first["status"]), (200, &json!("joined")));
    assert_eq!(world.status(&built).await["claim"], json!("c1"));

    // The same again: the same answer, and nothing is done.
    assert_eq!(world.tell(&built, "c1").await, (200, first.clone()));
    assert_eq!(world.joins(&built).await, 1);

    let (code, refusal) = world.tell(&built, "c2").await;
    assert_eq!((code, &refusal["claim"]), (409, &json!("c1")));
    let mut nobodys = told("c1");
    nobodys.as_object_mut().unwrap().remove("claim");
    let (code, refusal) = world.call(&built, "POST", "/pool/provision", nobodys).await;
    assert_eq!((code, &refusal["claim"]), (409, &json!("c1")));

    let reset = world.call(&built, "POST", "/convos/reset", Value::Null);
    assert_eq!(reset.await.0, 200);
    let status = world.status(&built).await;
    assert_eq!(
        (&status["claim"], &status["conversationId"]),
        (&json!("c1"), &Value::Null)
    );
    assert_eq!(world.tell(&built, "c2").await.0, 409);
    // Its own claim's conversation was reset with it: another one.
    let (code, again) = world.tell(&built, "c1").await;
    assert_eq!(code, 200);
    assert_ne!(again["conversationId"], first["conversationId"]);
    assert_eq!(world.joins(&built).await, 2);
}

#[tokio::test]
async fn the_claim_is_on_its_disk() {
    let world = World::new().await;
    for volume in [false, true] {
        let built = world.build("p").await;
        if volume {
            let create =
                "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id } }";
            let input = json!({ "projectId": built.project, "environmentId": built.environment,
                "serviceId": built.service, "mountPath": "/data" });
            world.data(create, json!({ "input": input })).await;
        }
        world.patch(&built, agent("ghcr.io/acme/agent:1")).await;
        assert_eq!(world.tell(&built, "c1").await.0, 200);
        world.patch(&built, agent("ghcr.io/acme/agent:2")).await;
        let (claim, other) = if volume {
            (json!("c1"), 409)
        } else {
            // Nothing is left of it: nobody but Kubernetes remembers.
            (Value::Null, 200)
        };
        assert_eq!(world.status(&built).await["claim"], claim);
        assert_eq!(world.tell(&built, "c2").await.0, other, "volume {volume}");
    }
}

#[tokio::test]
async fn one_that_keeps_no_claim_says_nothing_of_it() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:forgetful").await;
    assert_eq!(world.status(&built).await.get("claim"), None);
    assert_eq!(world.tell(&built, "c1").await.0, 200);
    assert_eq!(world.status(&built).await.get("claim"), None);
    for claim in ["c1", "c2"] {
        let (code, refusal) = world.tell(&built, claim).await;
        assert_eq!((code, refusal.get("claim")), (409, None));
    }
    let reset = world.call(&built, "POST", "/convos/reset", Value::Null);
    assert_eq!(reset.await.0, 200);
    assert_eq!(world.tell(&built, "c2").await.0, 200);
}

#[tokio::test]
async fn what_was_told_is_on_record_without_what_opens_something() {
    let world = World::new().await;
    let built = world.deploy("p", IMAGE).await;
    let url = format!("https://{}/pool/provision", built.domain);
    let stranger = world.client.post(&url).bearer_auth("wrong");
    let refused = stranger.json(&told("c0")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    world.tell(&built, "c1").await;
    world.tell(&built, "c2").await;
    let delete = format!("/railway/projects/{}/delete", built.project);
    world.control("POST", &delete, Value::Null).await;

    let heard = [("c0", 401), ("c1", 200), ("c2", 409)];
    let heard = heard.map(|(claim, status)| (json!(claim), json!(status)));
    assert_eq!(world.heard().await, heard);
    let tellings = world.tellings().await;
    let row = &tellings[1];
    assert_eq!(
        (&row["agentName"], &row["instructions"], &row["metadata"]),
        (&json!("Ada"), &json!("help"), &json!({ "team": "a" }))
    );
    assert_eq!(
        (&row["domain"], &row["projectId"], &row["workspace"]),
        (
            &json!(built.domain),
            &json!(built.project),
            &json!("team-a")
        )
    );
    // sha256sum of "canary-value".
    assert_eq!(row["envHashes"], json!({ "KEY": "59956a7568dda7e7" }));
    assert!(row["joinUrlHash"].is_string());
    let all = json!(tellings).to_string();
    assert!(
        !all.contains("canary-value") && !all.contains("capability"),
        "{all}"
    );

    let part = world.control("GET", "/tellings?since=2&workspace=team-a", Value::Null);
    let part = part.await;
    assert_eq!(
        (&part["tellings"][0]["claim"], &part["next"]),
        (&json!("c2"), &json!(3))
    );
    let others = world.control("GET", "/tellings?workspace=team-b", Value::Null);
    assert_eq!(others.await["tellings"], json!([]));
}

#[tokio::test]
async fn an_unreachable_agent_takes_no_connection() {
    let world = World::new().await;
    let built = world.deploy("p", IMAGE).await;
    assert_eq!(world.status(&built).await["clean"], true);
    world.nature(&built, "unreachable").await;
    // On the connection that is open already.
    let error = world.try_tell(&built, "c1").await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
    let fresh = super::client::client(&world.simulator);
    let url = format!("https://{}/pool/provision", built.domain);
    let error = fresh.post(&url).json(&told("c1")).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(world.heard().await, []);
    world.nature(&built, "good").await;
    assert_eq!(world.tell(&built, "c1").await.0, 200);
}

#[tokio::test]
async fn what_it_will_not_do_leaves_no_claim() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:rejects-claim").await;
    let (code, refusal) = world.tell(&built, "c1").await;
    assert_eq!((code, refusal["error"].is_string()), (422, true));
    let mut nameless = told("c1");
    nameless["instructions"] = json!("");
    let (code, refusal) = world
        .call(&built, "POST", "/pool/provision", nameless)
        .await;
    assert_eq!((code, refusal["error"].is_string()), (400, true));
    let status = world.status(&built).await;
    assert_eq!(
        (&status["claim"], &status["clean"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(world.joins(&built).await, 0);
    world.nature(&built, "good").await;
    assert_eq!(world.tell(&built, "c2").await.0, 200);
}

#[tokio::test]
async fn one_that_cannot_join_keeps_the_claim_and_tries_again() {
    let world = World::new().await;
    let built = world
        .deploy("p", "ghcr.io/acme/agent:refuses-provision")
        .await;
    assert_eq!(world.tell(&built, "c1").await.0, 502);
    assert_eq!(world.status(&built).await["claim"], json!("c1"));
    assert_eq!(world.tell(&built, "c2").await.0, 409);
    world.nature(&built, "good").await;
    assert_eq!(world.tell(&built, "c1").await.0, 200);
    assert_eq!(world.joins(&built).await, 1);
}

#[tokio::test]
async fn answers_that_a_fault_puts_in_its_place_tell_it_nothing() {
    let world = World::new().await;
    let built = world.deploy("p", IMAGE).await;
    for (status, body) in [
        (400, json!({ "error": "a bad link" })),
        (422, json!({ "error": "a bad link" })),
        (401, json!({ "error": "unauthorized" })),
        (404, json!({ "error": "not found" })),
        (503, json!("upstream connect error")),
    ] {
        world.fault(json!({ "status": status, "body": body })).await;
        let (code, answer) = world.tell(&built, "c1").await;
        let answer = if answer.is_null() {
            json!("upstream connect error")
        } else {
            answer
        };
        assert_eq!((code, answer), (status, body));
        assert_eq!(world.fired().await, 1);
    }
    assert_eq!(world.heard().await, []);
    assert_eq!(world.status(&built).await["claim"], Value::Null);
}

#[tokio::test]
async fn what_it_did_and_could_not_say_is_done_once() {
    let world = World::new().await;
    let built = world.deploy("p", IMAGE).await;
    world.fault(json!("reset_after")).await;
    assert!(world.try_tell(&built, "c1").await.is_err());
    assert_eq!(world.fired().await, 1);
    assert_eq!(world.status(&built).await["claim"], json!("c1"));
    let applied = json!({ "status": 502, "body": { "error": "x" }, "applied": true });
    world.fault(applied).await;
    assert_eq!(world.tell(&built, "c1").await.0, 502);
    let (code, answer) = world.tell(&built, "c1").await;
    assert_eq!((code, &answer["status"]), (200, &json!("joined")));
    assert_eq!(world.joins(&built).await, 1);
    // The record has what the agent answered, not what became of that.
    let heard = vec![(json!("c1"), json!(200)); 3];
    assert_eq!(world.heard().await, heard);
}

#[tokio::test]
async fn one_that_hangs_may_have_heard() {
    let world = World::new().await;
    let built = world.deploy("p", IMAGE).await;
    // It did it, and its answer takes too long for anybody.
    world.fault(json!({ "delay": 3600 })).await;
    let patience = Duration::from_millis(200);
    let call = world.tell(&built, "c1");
    assert!(tokio::time::timeout(patience, call).await.is_err());
    assert_eq!(world.status(&built).await["claim"], json!("c1"));
    // It hears of it when nobody waits any more.
    let other = world.deploy("q", IMAGE).await;
    world.fault(json!({ "late": 1.5 })).await;
    let call = world.try_tell(&other, "c2");
    assert!(tokio::time::timeout(patience, call).await.is_err());
    assert_eq!(world.status(&other).await["claim"], Value::Null);
    until("the late telling", async || {
        (world.status(&other).await["claim"] == json!("c2")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_telling_waits_for_the_first() {
    let world = World::with(&[("agent.provisionTime", "1s")]).await;
    let built = world.deploy("p", IMAGE).await;
    let (first, second, other) =
        tokio::join!(world.tell(&built, "c1"), world.tell(&built, "c1"), async {
            until("the claim", async || {
                (world.status(&built).await["claim"] == json!("c1")).then_some(())
            })
            .await;
            let pending = world.status(&built).await["pending"].clone();
            (pending, world.tell(&built, "c2").await.0)
        });
    assert_eq!(first.0, 200);
    assert_eq!(first, second);
    assert_eq!(other, (json!(true), 409));
    assert_eq!(world.joins(&built).await, 1);
}

#[tokio::test]
async fn a_container_that_ends_while_it_joins_leaves_a_claim_on_its_disk_and_no_conversation() {
    let world = World::with(&[("agent.provisionTime", "1s"), ("agent.memory", "always")]).await;
    let built = world.deploy("p", IMAGE).await;
    let (answer, ()) = tokio::join!(world.tell(&built, "c1"), async {
        until("the claim", async || {
            (world.status(&built).await["claim"] == json!("c1")).then_some(())
        })
        .await;
        world.patch(&built, agent("ghcr.io/acme/agent:2")).await;
    });
    assert_eq!(answer.0, 502, "{answer:?}");
    let status = world.status(&built).await;
    assert_eq!(
        (&status["claim"], &status["pending"], &status["clean"]),
        (&json!("c1"), &json!(false), &json!(false))
    );
    assert_eq!(world.joins(&built).await, 0);
    assert_eq!(world.tell(&built, "c1").await.0, 200);
    assert_eq!(world.joins(&built).await, 1);
}

#[tokio::test]
async fn a_pending_agent_answers_the_same_until_it_is_accepted() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:pending").await;
    for _ in 0..2 {
        let (code, answer) = world.tell(&built, "c1").await;
        assert_eq!(
            (code, &answer["status"]),
            (200, &json!("pending_acceptance"))
        );
        let status = world.status(&built).await;
        assert_eq!(
            (&status["claim"], &status["pending"]),
            (&json!("c1"), &json!(true))
        );
    }
    let accept = format!("/agents/{}/accept", built.domain);
    world.control("POST", &accept, Value::Null).await;
    assert_eq!(world.status(&built).await["pending"], false);
    let (code, answer) = world.tell(&built, "c1").await;
    assert_eq!((code, &answer["status"]), (200, &json!("joined")));
    assert_eq!(world.joins(&built).await, 1);
}
