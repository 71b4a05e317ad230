//! Anthropic's message API, opened by the keys of the simulated OpenRouter.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Said, pieces, text_of, tokens};
use crate::clock;
use crate::exchange::{Answer, Body, Request};
use crate::identity;
use crate::openrouter::{OpenRouter, Unpaid};
use crate::provider::Provider;
use crate::settings::{Settings, SettingsStore};

pub(crate) struct Anthropic {
    settings: SettingsStore,
    keys: Arc<OpenRouter>,
}

impl Anthropic {
    pub(crate) fn new(settings: SettingsStore, keys: Arc<OpenRouter>) -> Self {
        Self { settings, keys }
    }

    fn key(request: &Request) -> Option<&str> {
        request.header("x-api-key").or_else(|| request.bearer())
    }

    fn carry_out(&self, request: &Request) -> Result<Answer, Answer> {
        let key = Self::key(request);
        let missing = || refuse(404, "not_found_error", "Not found");
        let asked = request.body.json().unwrap_or(&Value::Null);
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/messages") => {
                let now = clock::now();
                let account = self.keys.pay(key, now).map_err(|unpaid| match unpaid {
                    Unpaid::NoKey | Unpaid::Closed => {
                        refuse(401, "authentication_error", "invalid x-api-key")
                    }
                    Unpaid::Spent => refuse(
                        400,
                        "invalid_request_error",
                        "Your credit balance is too low to access the Anthropic API.",
                    ),
                })?;
                Ok(answer(asked, &self.settings.of(&account)))
            }
            ("POST", "/v1/messages/count_tokens") => {
                let count = tokens(asked["messages"].to_string().len());
                Ok(Answer::json(200, json!({ "input_tokens": count })))
            }
            _ => Err(missing()),
        }
    }
}

fn refuse(status: u16, kind: &str, message: &str) -> Answer {
    let error = json!({ "type": kind, "message": message });
    Answer::json(status, json!({ "type": "error", "error": error }))
}

fn answer(asked: &Value, settings: &Settings) -> Answer {
    let messages = asked["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let last = messages.last().unwrap_or(&Value::Null);
    let text = text_of(&last["content"]);
    let parts = last["content"].as_array().into_iter().flatten();
    let answered = parts.clone().any(|part| part["type"] == "tool_result");
    let rows = asked["tools"].as_array().into_iter().flatten();
    let tools: Vec<&str> = rows.filter_map(|row| row["name"].as_str()).collect();
    let said = match answered {
        true => Said::text(&text, &settings.llm_answer),
        false => Said::to(&text, &tools, &settings.llm_answer),
    };
    let input = tokens(asked["messages"].to_string().len());
    let message = Message {
        id: format!("msg_{}", identity::uuid()),
        model: asked["model"].as_str().unwrap_or("claude").to_owned(),
        usage: json!({ "input_tokens": input, "output_tokens": tokens(said.length()) }),
    };
    match asked["stream"] == true {
        true => {
            let mut answer = Answer::text(200, "");
            answer.body = Body::Events(message.events(&said), settings.llm_pause);
            answer
        }
        false => Answer::json(200, message.whole(&said)),
    }
}

struct Message {
    id: String,
    model: String,
    usage: Value,
}

/// A block of content, and why a message with it ends.
fn block(said: &Said) -> (Value, &'static str) {
    match said {
        Said::Text(text) => (json!({ "type": "text", "text": text }), "end_turn"),
        Said::Call { name, arguments } => {
            let id = format!("toolu_{}", identity::uuid());
            let block = json!({ "type": "tool_use", "id": id, "name": name, "input": arguments });
            (block, "tool_use")
        }
    }
}

impl Message {
    fn head(&self, content: Value, reason: Option<&str>) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": null,
            "usage": self.usage,
        })
    }

    fn whole(&self, said: &Said) -> Value {
        let (block, reason) = block(said);
        self.head(json!([block]), Some(reason))
    }

    fn events(&self, said: &Said) -> Vec<String> {
        let (mut begun, reason) = block(said);
        let deltas: Vec<Value> = match said {
            Said::Text(text) => {
                begun["text"] = json!("");
                let pieces = pieces(text).into_iter();
                pieces
                    .map(|piece| json!({ "type": "text_delta", "text": piece }))
                    .collect()
            }
            Said::Call { arguments, .. } => {
                begun["input"] = json!({});
                vec![json!({ "type": "input_json_delta", "partial_json": arguments.to_string() })]
            }
        };
        let mut events = vec![
            json!({ "type": "message_start", "message": self.head(json!([]), None) }),
            json!({ "type": "content_block_start", "index": 0, "content_block": begun }),
        ];
        let delta = |delta| json!({ "type": "content_block_delta", "index": 0, "delta": delta });
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({ "type": "content_block_stop", "index": 0 }));
        let end = json!({ "stop_reason": reason, "stop_sequence": null });
        events.push(json!({ "type": "message_delta", "delta": end, "usage": self.usage }));
        events.push(json!({ "type": "message_stop" }));
        let named = |event: &Value| {
            let kind = event["type"].as_str().unwrap_or_default();
            format!("event: {kind}\ndata: {event}\n\n")
        };
        events.iter().map(named).collect()
    }
}

#[async_trait]
impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn account(&self, request: &Request) -> Option<String> {
        self.keys.holder(Self::key(request)?)
    }

    fn is_journaled(&self, _request: &Request) -> bool {
        false
    }

    async fn answer(&self, request: &Request) -> Answer {
        self.carry_out(request).unwrap_or_else(|refusal| refusal)
    }

    fn throttled(&self, _request: &Request) -> Answer {
        let told = "This request would exceed your account's rate limit.";
        refuse(429, "rate_limit_error", told).with("Retry-After", 1)
    }
}
