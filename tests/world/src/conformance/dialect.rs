//! How each program is talked to in its own public API, and how it is configured by files.
//!
//! Holds: what was seen of the real programs, and nothing that the table of harnesses says already: paths, variables and what is switched
//! on come from `yardmaster::model`. Absent: programs that nobody knows.

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use yardmaster::model::HarnessRow;

use super::door::{Answered, Door, Shown};
use crate::harness::Harness;

/// Where an agent's volume is.
pub(crate) const DISK: &str = "/data";

/// What stands in a template's files.
#[derive(Debug, Clone)]
pub(crate) struct Given<'a> {
    /// The model, as OpenRouter calls it.
    pub model: &'a str,
    /// What the agent is to be.
    pub persona: &'a str,
}

impl Harness {
    /// What nobody may ask without the token, and costs nothing.
    pub(crate) fn guarded(self) -> &'static str {
        match self {
            Self::OpenCode => "/session",
            Self::Hermes | Self::OpenClaw => "/v1/models",
        }
    }

    /// Begins a conversation.
    pub(crate) async fn session(self, door: &Door, name: &str) -> Result<String> {
        match self {
            Self::Hermes | Self::OpenClaw => Ok(name.to_owned()),
            Self::OpenCode => {
                let made = door.post("/session", json!({})).await?;
                let id = made.json()["id"].as_str().map(str::to_owned);
                id.with_context(|| format!("no session: {} {}", made.status, made.text))
            }
        }
    }

    /// Says something in a conversation, and waits for the answer.
    pub(crate) async fn say(self, door: &Door, session: &str, text: &str) -> Result<Answered> {
        let message = json!([{"role": "user", "content": text}]);
        let (path, body) = match self {
            Self::OpenCode => (
                format!("/session/{session}/message"),
                json!({"parts": [{"type": "text", "text": text}]}),
            ),
            Self::Hermes => (
                "/v1/chat/completions".to_owned(),
                json!({"model": "agent", "messages": message}),
            ),
            Self::OpenClaw => (
                "/v1/chat/completions".to_owned(),
                json!({"model": "openclaw", "user": session, "messages": message}),
            ),
        };
        let header = Some(session).filter(|_| self == Self::Hermes);
        door.ask((Method::POST, &path), Shown::Right, Some(body), header)
            .await
    }

    /// The same, and the model's answer has arrived. OpenClaw was seen to fail within seconds of a new model; to it alone it is said again.
    pub(crate) async fn chat(self, door: &Door, session: &str, text: &str) -> Result<()> {
        match self.chat_once(door, session, text).await {
            Err(_) if self == Self::OpenClaw => self.chat_once(door, session, text).await,
            chatted => chatted,
        }
    }

    async fn chat_once(self, door: &Door, session: &str, text: &str) -> Result<()> {
        let answered = self.say(door, session, text).await?;
        let whole = answered.json();
        let said = match self {
            Self::OpenCode => whole["parts"].to_string(),
            Self::Hermes | Self::OpenClaw => whole["choices"].to_string(),
        };
        ensure!(
            answered.status == 200 && said.contains("You said"),
            "it answers {}: {:.600}",
            answered.status,
            answered.text
        );
        Ok(())
    }

    /// Begins work of which the program says that it is at work.
    pub(crate) async fn work(self, door: &Door, session: &str, text: &str) -> Result<Answered> {
        match self {
            Self::Hermes => door.post("/v1/runs", json!({"input": text})).await,
            Self::OpenCode | Self::OpenClaw => self.say(door, session, text).await,
        }
    }

    /// Variables of the template itself: for what a world has not.
    pub(crate) fn variables(self) -> Value {
        match self {
            Self::OpenCode | Self::Hermes => json!([]),
            // It looks for a plugin at npm's registry, which a world has not, for more than a minute.
            Self::OpenClaw => json!([{"name": "npm_config_fetch_retries", "value": "0"}]),
        }
    }

    /// The files that give it its model and say who it is, where no runner tells it.
    pub(crate) fn files(self, row: &HarnessRow, given: &Given<'_>) -> Result<Value> {
        let file = |path: &str, content: String| json!({"path": path, "content": content, "mode": "Always"});
        let model = format!("openrouter/{}", given.model);
        let (persona, config) = match self {
            Self::OpenCode => (
                "config/opencode/AGENTS.md",
                file(
                    "config/opencode/opencode.json",
                    json!({"model": model}).to_string(),
                ),
            ),
            Self::Hermes => (
                "SOUL.md",
                file("config.yaml", format!("model: {}\n", given.model)),
            ),
            Self::OpenClaw => (
                "workspace/SOUL.md",
                file("openclaw.json", openclaw(row, &model)?),
            ),
        };
        let name = persona.rsplit('/').next().unwrap_or(persona);
        if !row.persona.contains(&name) {
            bail!("its row does not name {name} as a file that says who it is");
        }
        Ok(json!([config, file(persona, given.persona.to_owned())]))
    }
}

/// The row's own configuration, with a model, and with this world's edge, which is not Railway's.
fn openclaw(row: &HarnessRow, model: &str) -> Result<String> {
    let file = row.files.iter().find(|file| file.path == "openclaw.json");
    let file = file.context("its row lays no openclaw.json")?;
    let mut config: Value = serde_json::from_str(file.content)?;
    let proxies = config["gateway"]["trustedProxies"].as_array_mut();
    proxies
        .context("its row's openclaw.json names no trustedProxies")?
        .push(json!("127.0.0.1"));
    config["agents"]["defaults"]["model"]["primary"] = json!(model);
    Ok(config.to_string())
}
