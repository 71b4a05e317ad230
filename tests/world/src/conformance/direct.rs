//! A program as its image starts it: each field of its row, with the real controller, on the real program.

use anyhow::{Context as _, Result, bail, ensure};
use kube::api::DynamicObject;
use reqwest::Method;
use serde_json::{Value, json};
use yardmaster::api::text::Amount;
use yardmaster::model::{Expects, HarnessRow};

use super::dialect::Given;
use super::door::{Answered, Door, Shown};
use super::lab::{LIMIT, Lab, PATIENCE, is, memory};
use super::report::Report;
use super::subject::Subject;
use crate::harness::Harness;
use crate::object::{Object, condition, eventually};

/// The model of the template's files, and what the agent is to be at first and then.
const MODEL: &str = "openai/gpt-5";
const FIRST: &str = "You are MARK-QUINCE and brief.";
const THEN: &str = "You are MARK-MEDLAR and brief.";

/// What no program knows.
const NOWHERE: &str = "/no-such-path-is-there";

/// What is said in one session before a deployment, and is to be known after it.
const SECRET: &str = "the word is ZEBRA-CROSSING";

pub(super) struct Direct<'l, 'w> {
    pub lab: &'l Lab<'w>,
    pub row: HarnessRow,
    agent: Object<'w>,
    template: Object<'w>,
}

/// Carries all of it out. Where it does not get ready nothing else is tried.
pub(super) async fn direct(lab: &Lab<'_>, report: &mut Report) -> Result<()> {
    let row = lab.subject.row()?;
    let mut spec = lab.template(lab.subject.image());
    if let Subject::Known(harness) = lab.subject {
        let given = Given {
            model: MODEL,
            persona: FIRST,
        };
        spec["files"] = harness.files(&row, &given)?;
    }
    let template = lab.apply("AgentTemplate", "direct", spec).await?;
    let account = lab.tenant.account();
    let spec = json!({"templateRef": {"name": "direct"}, "accountRef": {"name": account}});
    let agent = lab.apply("AgentInstance", "agent", spec).await?;
    let of = Direct {
        lab,
        row,
        agent,
        template,
    };
    let began = of.begins();
    let came = report.check(
        "not_ready_before",
        "it starts, and is not ready before it says so",
        began,
    );
    came.await;
    let ready = report.check("ready", "it gets ready", of.ready()).await;
    let Some(ready) = ready else {
        return Ok(());
    };
    let door = lab.door(&ready, of.row.form.clone()).await?;
    report
        .check(
            "version",
            "status says which version it is",
            of.version(&ready),
        )
        .await;
    report
        .check(
            "variables",
            "its variables are those of its row",
            of.variables(),
        )
        .await;
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
    if let Subject::Known(harness) = lab.subject {
        talks(&of, harness, &door, report).await?;
    } else {
        report
            .check(
                "restart",
                "a deployment brings it back",
                of.deploy(json!([{"name": "AGAIN", "value": "1"}]), None),
            )
            .await;
    }
    let seen = report
        .check("memory", "what memory it took", of.memory())
        .await;
    if let Some(line) = seen {
        report.say(&line);
    }
    // Of a status alone an unknown path may well be answered.
    if of.row.expects != Expects::Status(200) {
        let another = of.another_path(&ready);
        report
            .check(
                "unknown_path",
                "a path that it does not know does not make it ready",
                another,
            )
            .await;
    }
    report
        .check("goes", "it goes, and nothing is left", of.goes())
        .await;
    Ok(())
}

/// What takes a model.
async fn talks(
    of: &Direct<'_, '_>,
    harness: Harness,
    door: &Door,
    report: &mut Report,
) -> Result<()> {
    let lab = of.lab;
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
    let spent = async {
        let spent = lab.spent(&key).await?;
        ensure!(
            spent > 0.0,
            "nothing was spent on the key that Yardmaster made"
        );
        Ok(())
    };
    report
        .check(
            "key",
            "the chat was paid with the key that Yardmaster made",
            spent,
        )
        .await;
    let model = lab.model_call("the model of its file is asked", mark, |call| {
        call.model == MODEL
    });
    report
        .check("model", "the model is the template's", model)
        .await;
    let persona = lab.model_call("the model is told who it is", mark, |call| {
        call.sent.contains("MARK-QUINCE")
    });
    report
        .check("persona", "the model was sent its persona", persona)
        .await;

    let files = harness.files(
        &of.row,
        &Given {
            model: MODEL,
            persona: THEN,
        },
    )?;
    let deployed = report.check(
        "update",
        "a change of the template reaches it",
        of.deploy(harness.variables(), Some(files)),
    );
    deployed.await;
    let mark = lab.mark()?;
    let remembers = async {
        harness.chat(door, &session, "which word was it").await?;
        lab.model_call("the model is sent what was said before", mark, |call| {
            call.sent.contains("ZEBRA-CROSSING")
        })
        .await
    };
    report
        .check(
            "memory_kept",
            "it knows what was said before the deployment",
            remembers,
        )
        .await;
    let persona = async {
        // Hermes keeps what it was told with each session.
        let another = harness.session(door, "check-2").await?;
        harness.chat(door, &another, "who are you").await?;
        lab.model_call("the model is told who it is by now", mark, |call| {
            call.sent.contains("MARK-MEDLAR")
        })
        .await
    };
    report
        .check(
            "persona_updated",
            "the model was sent its new persona",
            persona,
        )
        .await;
    report
        .check(
            "limit",
            "where its key has nothing left it is told so",
            limit(lab, harness, door, &key),
        )
        .await;
    Ok(())
}

/// The key's limit is met: the model refuses, and the agent says it.
pub(super) async fn limit(lab: &Lab<'_>, harness: Harness, door: &Door, key: &str) -> Result<()> {
    lab.spend(key, LIMIT).await?;
    let mark = lab.mark()?;
    let session = harness.session(door, "check-limit").await?;
    let answered = harness.say(door, &session, "one more").await?;
    lab.spend(key, 0.0).await?;
    lab.model_call("the model refuses with 402", mark, |call| {
        call.status == 402
    })
    .await?;
    ensure!(
        answered.status == 402 || answered.text.contains("402"),
        "the agent answers {} {:.300}",
        answered.status,
        answered.text
    );
    Ok(())
}

/// Whether an answer is what a row waits for.
fn says(expects: &Expects, said: &Answered) -> bool {
    match expects {
        Expects::Status(status) => said.status == *status,
        Expects::Value { pointer, equals } => {
            let json = said.json();
            let found = json.pointer(pointer);
            let text = found.map(|found| {
                found
                    .as_str()
                    .map_or_else(|| found.to_string(), str::to_owned)
            });
            said.status == 200 && text.as_ref() == Some(equals)
        }
    }
}

impl Direct<'_, '_> {
    /// It is seen to have been started while it is not called ready.
    async fn begins(&self) -> Result<()> {
        eventually(
            "its program is started, and is not ready",
            PATIENCE,
            async || {
                let agent = self.agent.get().await?;
                if is(&agent, "Ready", "True") {
                    bail!("it was never seen to have been started and not ready");
                }
                let program = self.lab.agent(None).await?["program"].clone();
                Ok(program["pid"].is_number().then_some(()))
            },
        )
        .await
    }

    async fn ready(&self) -> Result<DynamicObject> {
        let ready = self.agent.wait_condition("Ready", "True", PATIENCE).await?;
        let program = self.lab.agent(None).await?["program"].clone();
        ensure!(
            program["serves"] == true,
            "ready, and nothing takes connections: {program}"
        );
        Ok(ready)
    }

    async fn version(&self, ready: &DynamicObject) -> Result<()> {
        let Subject::Known(harness) = self.lab.subject else {
            return Ok(());
        };
        let said = &ready.data["status"]["harness"];
        ensure!(
            said["name"] == harness.name() && said["version"] == harness.version(),
            "status.harness is {said}"
        );
        let outside = condition(ready, "HarnessSupported")
            .is_some_and(|found| found["reason"] == "VersionNotSupported");
        ensure!(!outside, "its version is called unsupported");
        Ok(())
    }

    async fn variables(&self) -> Result<()> {
        let agent = self.lab.agent(None).await?;
        let there = agent["variables"]
            .as_array()
            .context("no variables are shown")?;
        let row = &self.row;
        let own = [Some(row.token_variable), row.port_variable];
        let state = row.state.map(|state| state.variable);
        // Its files are laid where its configuration is.
        let moved = row.state.and_then(|state| state.configuration);
        let moved = moved.map(|(variable, _)| variable);
        let wanted = own.into_iter().flatten().chain(state).chain(moved);
        let wanted = wanted.chain(row.switches.iter().map(|(name, _)| *name));
        let missing: Vec<&str> = wanted
            .filter(|name| !there.iter().any(|one| one == name))
            .collect();
        ensure!(missing.is_empty(), "without {missing:?}: {there:?}");
        Ok(())
    }

    /// What is behind the token is shut, and open with it.
    async fn closed(&self, door: &Door, shown: Shown) -> Result<()> {
        let path = match self.lab.subject {
            Subject::Known(harness) => harness.guarded(),
            Subject::Own(_) => self.row.path,
        };
        let answered = door.ask((Method::GET, path), shown, None, None).await?;
        ensure!(
            [401, 403].contains(&answered.status),
            "{path} answers {}",
            answered.status
        );
        let right = door.get(path).await?;
        ensure!(
            right.status == 200,
            "{path} answers {} to the right token",
            right.status
        );
        Ok(())
    }

    /// Asked at a path that it does not know it answers, and is not called ready. The path is asked with the next deployment.
    async fn another_path(&self, ready: &DynamicObject) -> Result<()> {
        let url = ready.data["status"]["url"].as_str().unwrap_or_default();
        let old = self.lab.agent(Some(url)).await?["program"]["pid"].clone();
        let elsewhere = json!({"spec": {"runtime": {"contract": {"health": NOWHERE}}, "env": [{"name": "ELSEWHERE", "value": "1"}]}});
        self.template.patch(elsewhere).await?;
        self.lab.next_program(url, &old).await?;
        let answered = |agent: &DynamicObject| {
            let said = condition(agent, "Healthy").map(|found| found["message"].to_string());
            let said = said.unwrap_or_default();
            is(agent, "Ready", "False") && said.contains(&format!("{NOWHERE} answered"))
        };
        let what = "it answers a path that it does not know, and is not ready";
        self.agent.wait_until(what, PATIENCE, answered).await?;
        Ok(())
    }

    /// A change of the template that deploys it anew.
    async fn deploy(&self, variables: Value, files: Option<Value>) -> Result<()> {
        let url = self.agent.get().await?.data["status"]["url"].clone();
        let url = url.as_str().unwrap_or_default();
        let old = self.lab.agent(Some(url)).await?["program"]["pid"].clone();
        let mut spec = json!({"env": variables});
        if let Some(files) = files {
            spec["files"] = files;
        }
        self.template.patch(json!({"spec": spec})).await?;
        self.lab.next_program(url, &old).await?;
        let back = |agent: &DynamicObject| {
            is(agent, "TemplateSynced", "True") && is(agent, "Ready", "True")
        };
        let ready = self
            .agent
            .wait_until("it is ready with the change", PATIENCE, back)
            .await?;
        // Ready may be told of the one before; what is asked of one that is just starting may never be answered, as by OpenCode.
        let door = self.lab.door(&ready, self.row.form.clone()).await?;
        door.until(
            "it says itself that it is ready",
            self.row.path,
            PATIENCE,
            |said| says(&self.row.expects, said),
        )
        .await?;
        Ok(())
    }

    async fn memory(&self) -> Result<String> {
        let agent = self.lab.agent(None).await?;
        let pid = agent["program"]["pid"].as_u64();
        let seen = pid.and_then(memory).context("its process is not seen")?;
        let least = self.row.least_memory;
        let said = least.unwrap_or("nothing");
        if let Some(least) = least.and_then(|least| Amount::from(least).units()) {
            let units = f64::from(u32::try_from(seen)?) * 1024.0 * 1024.0;
            ensure!(
                units <= least,
                "it took {seen} MiB, and its row says that {said} is enough"
            );
        }
        Ok(format!(
            "memory at its peak {seen} MiB; the row asks for {said}"
        ))
    }

    async fn goes(&self) -> Result<()> {
        self.agent.delete().await?;
        self.agent.wait_gone(PATIENCE).await?;
        self.lab.nothing_left().await
    }
}
