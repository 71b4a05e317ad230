//! Telling an agent who it is, and asking it whose it is.
//!
//! What holds: only what was certainly not sent is `NotSent`, and only the agent's own word about what it was told is `Refused`; a
//! telling opens a connection of its own, because on one that was kept a request can get lost before anybody refuses it, and then
//! nobody would know. Nothing that an agent was told is repeated in words to people. Deliberately absent: trying again.

use super::{Agents, is_path, is_the_edge};
use crate::model::telling::is_another;
use crate::model::words::{quotes, sayable};
use crate::model::{
    AgentBinding, AgentResult, Answer, ClaimKept, Provision, TellOutcome, TellingRow,
};
use crate::wire::{self, Led, NoReply, Reply, is_public_name};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// So much of an agent's answer is kept, in entries, and as much again is shown.
const ENTRIES: usize = 16;

/// The longest value that is shown, in bytes.
const SHOWN: usize = 1 << 10;

impl Agents {
    /// Tells an agent who it is, within so long. `host` is a DNS name alone.
    pub async fn tell(
        &self,
        _: Led<'_>,
        host: &str,
        row: &TellingRow,
        provision: &Provision,
        token: &SecretString,
        within: Duration,
    ) -> TellOutcome {
        if !is_public_name(host) || !is_path(row.provision) {
            let why = Answer::NotAsked.to_string();
            return TellOutcome::NotSent { why };
        }
        let url = format!("https://{host}{}", row.provision);
        let request = self.anew.post(url);
        told(request, row, provision, token, within).await
    }

    /// Tells an agent that knows who it is something new: its instructions, its model, what else it is told. `moment`: when that was
    /// said; what is older says nothing any more.
    pub async fn tell_anew(
        &self,
        _: Led<'_>,
        host: &str,
        row: &TellingRow,
        (provision, moment): (&Provision, &str),
        token: &SecretString,
    ) -> TellOutcome {
        if !is_public_name(host) || !is_path(row.update) {
            let why = Answer::NotAsked.to_string();
            return TellOutcome::NotSent { why };
        }
        let request = self.http.post(format!("https://{host}{}", row.update));
        told_anew(request, provision, moment, token, self.timeout).await
    }

    /// Asks an agent whose it is.
    pub async fn binding(
        &self,
        host: &str,
        row: &TellingRow,
        token: &SecretString,
    ) -> AgentBinding {
        if !is_public_name(host) || !is_path(row.status) {
            let why = Answer::NotAsked.to_string();
            return AgentBinding::Unknown { why };
        }
        let url = format!("https://{host}{}", row.status);
        asked(self.http.get(url), token, self.timeout).await
    }
}

async fn told(
    request: RequestBuilder,
    row: &TellingRow,
    provision: &Provision,
    token: &SecretString,
    within: Duration,
) -> TellOutcome {
    let request = with_token(request, token).json(&body(provision));
    let reply = wire::reply(request, super::LARGEST, within).await;
    let Reply { status, body, .. } = match reply {
        Ok(reply) => reply,
        Err(NoReply::NotSent(why)) => return TellOutcome::NotSent { why },
        Err(NoReply::Lost(why)) => return TellOutcome::Unknown { why },
    };
    let unknown = |why: String| TellOutcome::Unknown { why };
    let body = match body {
        Ok(body) => body,
        Err(NoReply::NotSent(why) | NoReply::Lost(why)) => {
            return unknown(format!("{}, and then {why}", Answer::Status(status)));
        }
    };
    let answer = serde_json::from_slice::<Map<String, Value>>(&body).ok();
    match (status, answer) {
        (200, Some(answer)) if answer.get("ok") == Some(&Value::Bool(true)) => {
            TellOutcome::Told(result(&answer, row, provision, token))
        }
        (200, Some(_)) => unknown(Answer::OtherValue.to_string()),
        (200, None) => unknown(Answer::NotJson.to_string()),
        (400 | 413 | 422, Some(answer)) => match answer.get("error").and_then(Value::as_str) {
            Some(said) => TellOutcome::Refused {
                message: repeated(said, status, provision, token),
            },
            // Whoever is in front of an agent refuses as well, and not in these words.
            None => unknown(not_its_own(status)),
        },
        (400 | 413 | 422, None) => unknown(not_its_own(status)),
        (409, Some(answer)) => match keeps(&answer) {
            Some(claim) if is_another(claim, &provision.claim) => TellOutcome::OfAnother {
                why: kept("keeps another claim"),
            },
            Some(claim) if claim == provision.claim => unknown(kept("keeps this very claim")),
            Some(_) => unknown(kept("is bound, and what it says is no claim's UID")),
            None => unknown(kept("is bound, and does not say to which claim")),
        },
        (status, _) if is_the_edge(status, &body) => unknown(Answer::NotRunning.to_string()),
        (status, _) => unknown(Answer::Status(status).to_string()),
    }
}

async fn told_anew(
    request: RequestBuilder,
    provision: &Provision,
    moment: &str,
    token: &SecretString,
    within: Duration,
) -> TellOutcome {
    let mut said = json!({"claim": provision.claim, "templateUpdatedAt": moment});
    // It is told of its tools alone: what else it knows stays as it is. Its name goes with the rest: one whose disk was lost has none.
    if !provision.instructions.is_empty() {
        said["agentName"] = json!(provision.agent_name);
        said["instructions"] = json!(provision.instructions);
        said["metadata"] = json!(provision.metadata);
    }
    if let Some(model) = &provision.model {
        said["model"] = json!(model);
    }
    if !provision.env.is_empty() {
        said["env"] = values(provision);
    }
    let request = with_token(request, token).json(&said);
    let reply = wire::reply(request, super::LARGEST, within).await;
    let Reply { status, body, .. } = match reply {
        Ok(reply) => reply,
        Err(NoReply::NotSent(why)) => return TellOutcome::NotSent { why },
        Err(NoReply::Lost(why)) => return TellOutcome::Unknown { why },
    };
    let body = body.unwrap_or_default();
    let answer = serde_json::from_slice::<Map<String, Value>>(&body).ok();
    let field = |name: &str| answer.as_ref().and_then(|answer| answer.get(name));
    let said = field("error").and_then(Value::as_str);
    match status {
        200 if field("ok") == Some(&Value::Bool(true)) => TellOutcome::Told(AgentResult::default()),
        // Of whoever is in front of an agent nobody knows what he means.
        400 | 413 | 422 if said.is_some() => TellOutcome::Refused {
            message: repeated(said.unwrap_or_default(), status, provision, token),
        },
        404 | 405 if !is_the_edge(status, &body) => TellOutcome::Refused {
            message: format!("{}: it takes in nothing new", Answer::Status(status)),
        },
        status if is_the_edge(status, &body) => {
            let why = Answer::NotRunning.to_string();
            TellOutcome::Unknown { why }
        }
        status => {
            let why = Answer::Status(status).to_string();
            TellOutcome::Unknown { why }
        }
    }
}

fn with_token(request: RequestBuilder, token: &SecretString) -> RequestBuilder {
    request
        .header(reqwest::header::ACCEPT, "application/json")
        .bearer_auth(token.expose_secret())
}

/// What is left out is left out: the contract knows no null here.
fn body(provision: &Provision) -> Value {
    let mut body = Map::new();
    let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
    say("claim", json!(provision.claim));
    say("agentName", json!(provision.agent_name));
    say("instructions", json!(provision.instructions));
    if let Some(model) = &provision.model {
        say("model", json!(model));
    }
    if let Some(url) = &provision.join_url {
        say("joinUrl", json!(url.expose_secret()));
    }
    if let Some(image) = &provision.profile_image {
        say("profileImage", json!(image));
    }
    if !provision.metadata.is_empty() {
        say("metadata", json!(provision.metadata));
    }
    if !provision.env.is_empty() {
        say("env", values(provision));
    }
    Value::Object(body)
}

/// The variables that an agent is told.
fn values(provision: &Provision) -> Value {
    let values = provision.env.iter();
    let values = values.map(|(name, value)| (name.clone(), json!(value.expose_secret())));
    Value::Object(values.collect())
}

/// What of an answer is shown, and what is kept.
fn result(
    answer: &Map<String, Value>,
    row: &TellingRow,
    provision: &Provision,
    token: &SecretString,
) -> AgentResult {
    let (mut shown, mut kept) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in answer {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        let harmless = row.shown.contains(&name.as_str())
            && text.len() <= SHOWN
            && !text.contains(char::is_control)
            && !quotes_any(&text, provision, token);
        if harmless {
            shown.insert(name.clone(), text);
        } else if name != "ok" && is_key(name) && kept.len() < ENTRIES {
            kept.insert(name.clone(), SecretString::from(text));
        }
    }
    AgentResult {
        pending: answer.get("status").and_then(Value::as_str) == Some("pending_acceptance"),
        shown,
        kept,
        tools: Vec::new(),
    }
}

/// Whether it can be a key of a Secret.
fn is_key(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether a text quotes something that the agent has and nobody else may see.
fn quotes_any(text: &str, provision: &Provision, token: &SecretString) -> bool {
    let values = provision.env.values().chain([token]);
    let link = provision.join_url.as_ref().map(ExposeSecret::expose_secret);
    let mut told = values
        .map(ExposeSecret::expose_secret)
        .chain(link.map(opens));
    told.any(|secret| quotes(text, secret))
}

/// What of a link opens something: what follows the host, which everybody may see.
fn opens(link: &str) -> &str {
    let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(_, path)| path)
}

/// An agent's words about what it was told, as people may see them.
fn repeated(said: &str, status: u16, provision: &Provision, token: &SecretString) -> String {
    if quotes_any(said, provision, token) {
        return format!(
            "{}, in words that quote what it was told; they are not repeated",
            Answer::Status(status)
        );
    }
    sayable(said)
}

fn not_its_own(status: u16) -> String {
    format!(
        "{}, and not in the agent's own words",
        Answer::Status(status)
    )
}

/// The claim that it keeps, as a 409 says.
fn keeps(answer: &Map<String, Value>) -> Option<&str> {
    answer.get("claim").and_then(Value::as_str)
}

/// A 409: it keeps a claim, or is bound without one.
fn kept(how: &str) -> String {
    format!("{}: it {how}", Answer::Status(409))
}

async fn asked(request: RequestBuilder, token: &SecretString, within: Duration) -> AgentBinding {
    let reply = wire::reply(with_token(request, token), super::LARGEST, within).await;
    let unknown = |why: String| AgentBinding::Unknown { why };
    let Reply { status, body, .. } = match reply {
        Ok(reply) => reply,
        Err(NoReply::NotSent(why) | NoReply::Lost(why)) => return unknown(why),
    };
    match (status, body) {
        (200, Ok(body)) => says(&body).unwrap_or_else(|answer| unknown(answer.to_string())),
        (200, Err(NoReply::NotSent(why) | NoReply::Lost(why))) => unknown(why),
        (status, Ok(body)) if is_the_edge(status, &body) => unknown(Answer::NotRunning.to_string()),
        (status, _) => unknown(Answer::Status(status).to_string()),
    }
}

fn says(body: &[u8]) -> Result<AgentBinding, Answer> {
    let answer: Map<String, Value> = serde_json::from_slice(body).map_err(|_| Answer::NotJson)?;
    let yes = |name: &str| answer.get(name).and_then(Value::as_bool);
    let claim = match answer.get("claim") {
        None => ClaimKept::Unsaid,
        Some(Value::Null) => ClaimKept::Nothing,
        Some(Value::String(uid)) => ClaimKept::Of(uid.clone()),
        Some(_) => return Err(Answer::OtherValue),
    };
    let conversation = answer.get("conversationId").and_then(Value::as_str);
    Ok(AgentBinding::Says {
        claim,
        conversation: conversation.map(str::to_owned),
        pending: yes("pending").ok_or(Answer::NoValue)?,
        clean: yes("clean").ok_or(Answer::NoValue)?,
    })
}

#[cfg(test)]
mod tests;
