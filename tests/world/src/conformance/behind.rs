//! A program behind the runner: from a pool, claimed, told who it is, at work, deployed anew, made to forget, released.
//!
//! Holds: the check and the demo take the same way. All that is asked of the agent is asked with the gateway token.

use anyhow::{Context as _, Result, ensure};
use kube::api::DynamicObject;
use reqwest::Method;
use serde_json::json;
use yardmaster::model::TokenForm;

use super::direct::limit;
use super::door::{Answered, Door, Shown};
use super::lab::{Lab, ModelCall, PATIENCE, is};
use super::report::Report;
use crate::harness::Harness;
use crate::object::{Object, eventually};

/// The model of the persona's template, and the one that the claim asks for.
const USUAL: &str = "openai/gpt-5";
const MODEL: &str = "anthropic/claude-sonnet-4.5";
/// What the persona's template says to all, in whose place the claim's own words stand.
const FOR_ALL: &str = "You are MARK-PLUM and brief.";
const FIRST: &str = "You are MARK-QUINCE and brief.";
const THEN: &str = "You are MARK-MEDLAR and brief.";
const SECRET: &str = "the word is ZEBRA-CROSSING";

/// What a runner says of its agent.
const STATUS: &str = "/pool/status";

pub(super) struct Behind<'l, 'w> {
    lab: &'l Lab<'w>,
    harness: Harness,
    template: Object<'w>,
    pool: Object<'w>,
}

/// Carries all of it out. What needs an agent is left where there is none.
pub(super) async fn behind(lab: &Lab<'_>, harness: Harness, report: &mut Report) -> Result<()> {
    let of = Behind::new(lab, harness).await?;
    let filled = of.pool.wait_condition("Ready", "True", PATIENCE);
    if report
        .check(
            "pool",
            "the pool has an idle agent: the program is up",
            filled,
        )
        .await
        .is_none()
    {
        return Ok(());
    }
    let version = of.version();
    report
        .check("version", "status says which version it is", version)
        .await;
    let told = report
        .check(
            "claim",
            "a claim takes it, and it is told who it is",
            of.claim(),
        )
        .await;
    let Some((claim, agent)) = told else {
        return Ok(());
    };
    let door = lab.door(&agent, TokenForm::Bearer).await?;
    report
        .check(
            "no_token",
            "without a token nobody gets in",
            of.closed(&door, Shown::Nothing),
        )
        .await;
    report
        .check(
            "wrong_token",
            "with a wrong token nobody gets in",
            of.closed(&door, Shown::Wrong),
        )
        .await;
    let unknown = of.health_is_the_runners(&door);
    report
        .check("health", "its health is open and is the runner's", unknown)
        .await;
    of.talks(&claim, &agent, &door, report).await?;
    let gone = report.check(
        "released",
        "the claim is released: agent, key and disk go",
        of.released(&claim),
    );
    gone.await;
    Ok(())
}

impl<'l, 'w> Behind<'l, 'w> {
    async fn new(lab: &'l Lab<'w>, harness: Harness) -> Result<Self> {
        let mut spec = lab.template(&lab.subject.image_with_runner());
        spec["runtime"]["entrypoint"] = json!("Runner");
        spec["env"] = harness.variables();
        spec["persona"] =
            json!({"instructions": FOR_ALL, "model": {"default": USUAL, "allowOverride": true}});
        let template = lab.apply("AgentTemplate", "behind", spec).await?;
        let spec = json!({"replicas": 1, "maxInstances": 1, "templateRef": {"name": "behind"},
            "accountRefs": [{"name": lab.tenant.account()}]});
        // No other is made in the place of the claimed one: on a small machine two are too many.
        let pool = lab.apply("AgentPool", "pool", spec).await?;
        Ok(Self {
            lab,
            harness,
            template,
            pool,
        })
    }

    /// The pool's agent is idle, and says what it is.
    async fn version(&self) -> Result<()> {
        let agents = self.lab.tenant.object("AgentInstance", "any").api().await?;
        let all = agents.list(&Default::default()).await?;
        let agent = all.items.first().context("the pool has no agent")?;
        let said = &agent.data["status"]["harness"];
        let (name, version) = (self.harness.name(), self.harness.version());
        ensure!(
            said["name"] == name && said["version"] == version,
            "status.harness is {said}"
        );
        Ok(())
    }

    async fn claim(&self) -> Result<(Object<'w>, DynamicObject)> {
        let spec = json!({"poolRef": {"name": "pool"}, "personaRef": {"name": "behind"}, "updatePolicy": "Automatic",
            "agent": {"name": "Ada", "instructions": FIRST, "model": MODEL}});
        let claim = self.lab.apply("AgentClaim", "claim", spec).await?;
        let ready = claim.wait_condition("Ready", "True", PATIENCE).await?;
        let name = ready.data["status"]["instanceRef"]["name"].as_str();
        let agent = self
            .lab
            .tenant
            .instance(name.context("the claim names no agent")?);
        Ok((claim, agent.get().await?))
    }

    async fn closed(&self, door: &Door, shown: Shown) -> Result<()> {
        for path in [self.harness.guarded(), STATUS, "/no-such-path"] {
            let answered = door.ask((Method::GET, path), shown, None, None).await?;
            ensure!(answered.status == 401, "{path} answers {}", answered.status);
        }
        let right = door.get(self.harness.guarded()).await?;
        ensure!(right.status == 200, "{} to the right token", right.status);
        Ok(())
    }

    async fn health_is_the_runners(&self, door: &Door) -> Result<()> {
        let health = door
            .ask((Method::GET, "/pool/health"), Shown::Nothing, None, None)
            .await?;
        let said = health.json();
        ensure!(
            said["ready"] == true && said["version"] == self.harness.version(),
            "it says {said}"
        );
        Ok(())
    }

    async fn talks(
        &self,
        claim: &Object<'w>,
        agent: &DynamicObject,
        door: &Door,
        report: &mut Report,
    ) -> Result<()> {
        let (lab, harness) = (self.lab, self.harness);
        let (mark, key) = (lab.mark()?, lab.key().await?);
        let session = harness.session(door, "check-1").await?;
        let chat = harness.chat(door, &session, SECRET);
        if report
            .check("chat", "it answers a chat in its own API", chat)
            .await
            .is_none()
        {
            return Ok(());
        }
        let paid = async {
            ensure!(lab.spent(&key).await? > 0.0, "nothing was spent on the key");
            Ok(())
        };
        report
            .check(
                "key",
                "the chat was paid with the key that Yardmaster made",
                paid,
            )
            .await;
        let model = lab.model_call("the claim's model is asked", mark, |call| {
            call.model == MODEL
        });
        report
            .check("model", "the model is the claim's", model)
            .await;
        let persona = lab.model_call("the model is told who it is", mark, |call| {
            call.sent.contains("MARK-QUINCE")
        });
        report
            .check("persona", "the model was sent who it is", persona)
            .await;
        report
            .check(
                "persona_updated",
                "new instructions of the claim reach it while it runs",
                self.told_anew(claim, door),
            )
            .await;
        report
            .check("busy", "while it is at work it says so", self.busy(door))
            .await;

        report
            .check(
                "update",
                "a change of the template deploys it anew",
                self.deploy(agent, door),
            )
            .await;
        let mark = lab.mark()?;
        let remembers = async {
            harness.chat(door, &session, "which word was it").await?;
            lab.model_call("the model is sent what was said before", mark, |call| {
                call.sent.contains("ZEBRA-CROSSING")
            })
            .await
        };
        report
            .check("memory_kept", "it knows what was said before", remembers)
            .await;
        let persona = async {
            self.is_whose(door, claim).await?;
            // Hermes keeps what it was told with each session.
            let another = harness.session(door, "check-4").await?;
            harness.chat(door, &another, "who are you").await?;
            lab.model_call("the model is told who it is", mark, |call| {
                call.sent.contains("MARK-MEDLAR")
            })
            .await
        };
        report
            .check("persona_kept", "it knows who it is, and whose", persona)
            .await;
        report
            .check(
                "limit",
                "where its key has nothing left it is told so",
                limit(lab, harness, door, &key),
            )
            .await;
        report
            .check(
                "reset",
                "it is made to forget, and says that it is clean",
                self.reset(door),
            )
            .await;
        Ok(())
    }

    async fn told_anew(&self, claim: &Object<'w>, door: &Door) -> Result<()> {
        claim
            .patch(json!({"spec": {"agent": {"instructions": THEN}}}))
            .await?;
        eventually(
            "the model is sent what the claim says by now",
            PATIENCE,
            async || {
                // It may be started again to hear it.
                self.is_ready(door).await?;
                let session = self.harness.session(door, "check-2").await?;
                let mark = self.lab.mark()?;
                self.harness.chat(door, &session, "who are you").await?;
                let calls = self.lab.model_calls(mark)?;
                Ok(calls
                    .iter()
                    .any(|call| call.sent.contains("MARK-MEDLAR"))
                    .then_some(()))
            },
        )
        .await
    }

    async fn is_whose(&self, door: &Door, claim: &Object<'w>) -> Result<()> {
        let uid = claim.get().await?.metadata.uid;
        let said = door.get(STATUS).await?.json();
        ensure!(
            said["claim"].as_str() == uid.as_deref(),
            "it says that it is the agent of {}",
            said["claim"]
        );
        Ok(())
    }

    /// While a model takes its time the agent is busy, and then it is not. One that never says it says so in its row.
    async fn busy(&self, door: &Door) -> Result<()> {
        let says = |what: &'static str, busy: bool| {
            door.until(what, STATUS, PATIENCE, move |status| {
                status.json()["busy"] == busy
            })
        };
        if self.lab.runner_row()?.busy.is_empty() {
            let said = door.get(STATUS).await?.json();
            ensure!(
                said["busy"].is_null(),
                "its row says that it never tells, and it says {}",
                said["busy"]
            );
            return Ok(());
        }
        says("it is at rest", false).await?;
        self.lab.tenant.set(&[("llm.pause", "1s")]).await?;
        let session = self.harness.session(door, "check-3").await?;
        let work = self.harness.work(door, &session, "one two three four");
        let (worked, busy) = tokio::join!(work, says("it says that it is busy", true));
        self.lab.tenant.set(&[("llm.pause", "20ms")]).await?;
        worked?;
        busy?;
        says("it is at rest again", false).await?;
        Ok(())
    }

    async fn deploy(&self, agent: &DynamicObject, door: &Door) -> Result<()> {
        let name = agent.metadata.name.as_deref().unwrap_or_default();
        let url = agent.data["status"]["url"].as_str().unwrap_or_default();
        let old = self.lab.agent(Some(url)).await?["program"]["pid"].clone();
        let mut variables = self.harness.variables();
        if let Some(all) = variables.as_array_mut() {
            all.push(json!({"name": "AGAIN", "value": "1"}));
        }
        self.template
            .patch(json!({"spec": {"env": variables}}))
            .await?;
        self.lab.next_program(url, &old).await?;
        let back = |agent: &DynamicObject| {
            is(agent, "TemplateSynced", "True") && is(agent, "Ready", "True")
        };
        self.lab
            .tenant
            .instance(name)
            .wait_until("it is ready with the change", PATIENCE, back)
            .await?;
        // The simulated Railway calls a deployment good while the program is still starting.
        self.is_ready(door).await
    }

    async fn is_ready(&self, door: &Door) -> Result<()> {
        let ready = |answered: &Answered| answered.status == 200;
        door.until("it is ready itself", "/pool/health", PATIENCE, ready)
            .await?;
        Ok(())
    }

    /// One whose row names nothing to delete refuses.
    async fn reset(&self, door: &Door) -> Result<()> {
        let answered = door.post("/pool/reset", json!({})).await?;
        if self.lab.runner_row()?.reset.is_empty() {
            ensure!(
                answered.status == 501,
                "its row says that it cannot be reset, and it answers {}",
                answered.status
            );
            return Ok(());
        }
        ensure!(
            answered.status == 200,
            "it answers {} {}",
            answered.status,
            answered.text
        );
        self.is_ready(door).await?;
        let status = door.get(STATUS).await?.json();
        ensure!(status["clean"] == true, "it says {status}");
        let mark = self.lab.mark()?;
        let another = self.harness.session(door, "check-5").await?;
        self.harness
            .say(door, &another, "which word was it")
            .await?;
        let knows =
            |call: &ModelCall| call.sent.contains("ZEBRA-CROSSING") || call.sent.contains("MARK-");
        // Its model is forgotten as well: OpenClaw then asks none.
        if self.harness != Harness::OpenClaw {
            let asked = self.lab.model_call("a model is asked", mark, |_| true);
            asked.await?;
        }
        let calls = self.lab.model_calls(mark)?;
        ensure!(!calls.iter().any(knows), "it has forgotten nothing");
        Ok(())
    }

    async fn released(&self, claim: &Object<'w>) -> Result<()> {
        claim.delete().await?;
        claim.wait_gone(PATIENCE).await?;
        self.pool.delete().await?;
        self.pool.wait_gone(PATIENCE).await?;
        self.lab.nothing_left().await
    }
}
