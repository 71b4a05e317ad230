//! Chat completions as OpenRouter has them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Said, pieces, text_of, tokens};
use crate::exchange::{Answer, Body};
use crate::identity;
use crate::settings::Settings;

/// Models that are listed; any other name is answered as well.
const MODELS: [&str; 6] = [
    "openrouter/auto",
    "anthropic/claude-sonnet-4.5",
    "anthropic/claude-haiku-4.5",
    "openai/gpt-5",
    "google/gemini-2.5-flash",
    "deepseek/deepseek-chat-v3.1",
];

/// `GET /models`
pub(crate) fn models() -> Answer {
    let rows: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
    Answer::json(200, json!({ "data": rows }))
}

fn model(id: &str) -> Value {
    json!({
        "id": id,
        "canonical_slug": id,
        "name": id,
        "created": 1_760_000_000,
        "description": "A model of the simulated internet.",
        "context_length": 200_000,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": null,
        },
        "pricing": { "prompt": "0.000001", "completion": "0.000005", "request": "0", "image": "0" },
        "top_provider": { "context_length": 200_000, "max_completion_tokens": 32_000, "is_moderated": false },
        "per_request_limits": null,
        "supported_parameters": ["tools", "tool_choice", "max_tokens", "temperature", "stop", "reasoning"],
    })
}

/// `POST /chat/completions`, once its key has been looked at and has paid.
pub(crate) fn answer(asked: &Value, settings: &Settings, now: Timestamp) -> Answer {
    let messages = asked["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let user = messages.iter().rev().find(|row| row["role"] == "user");
    let last = user.map(|row| text_of(&row["content"])).unwrap_or_default();
    let rows = asked["tools"].as_array().into_iter().flatten();
    let tools: Vec<&str> = rows
        .filter_map(|row| row["function"]["name"].as_str())
        .collect();
    let answered = messages.last().is_some_and(|row| row["role"] == "tool");
    let said = match answered {
        true => Said::text(&last, &settings.llm_answer),
        false => Said::to(&last, &tools, &settings.llm_answer),
    };
    let chat = Chat {
        id: format!("gen-{}", identity::uuid()),
        created: now.as_second(),
        model: asked["model"]
            .as_str()
            .unwrap_or("openrouter/auto")
            .to_owned(),
        usage: usage(asked, &said, settings.llm_call_cost),
    };
    match asked["stream"] == true {
        true => {
            let mut answer = Answer::text(200, "");
            answer.body = Body::Events(chat.events(&said), settings.llm_pause);
            answer
        }
        false => Answer::json(200, chat.whole(&said)),
    }
}

fn usage(asked: &Value, said: &Said, cost: f64) -> Value {
    let (prompt, completion) = (
        tokens(asked["messages"].to_string().len()),
        tokens(said.length()),
    );
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": cost,
    })
}

struct Chat {
    id: String,
    created: i64,
    model: String,
    usage: Value,
}

fn call(name: &str, arguments: &Value) -> Value {
    json!([{
        "index": 0,
        "id": format!("call_{}", identity::uuid()),
        "type": "function",
        "function": { "name": name, "arguments": arguments.to_string() },
    }])
}

impl Chat {
    fn head(&self, object: &str, choices: Value) -> Value {
        json!({
            "id": self.id,
            "provider": "Simulator",
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    fn whole(&self, said: &Said) -> Value {
        let (message, reason) = match said {
            Said::Text(text) => (json!({ "role": "assistant", "content": text }), "stop"),
            Said::Call { name, arguments } => (
                json!({ "role": "assistant", "content": null, "tool_calls": call(name, arguments) }),
                "tool_calls",
            ),
        };
        let choice =
            json!([{ "index": 0, "message": message, "finish_reason": reason, "logprobs": null }]);
        let mut whole = self.head("chat.completion", choice);
        whole["usage"] = self.usage.clone();
        whole
    }

    fn events(&self, said: &Said) -> Vec<String> {
        let chunk = |delta: Value, reason: Option<&str>| {
            let choice =
                json!([{ "index": 0, "delta": delta, "finish_reason": reason, "logprobs": null }]);
            self.head("chat.completion.chunk", choice)
        };
        let (deltas, reason): (Vec<Value>, _) = match said {
            Said::Text(text) => {
                let pieces = pieces(text).into_iter();
                let deltas = pieces.map(|piece| json!({ "role": "assistant", "content": piece }));
                (deltas.collect(), "stop")
            }
            Said::Call { name, arguments } => {
                let delta = json!({ "role": "assistant", "content": null, "tool_calls": call(name, arguments) });
                (vec![delta], "tool_calls")
            }
        };
        let mut events = vec![": OPENROUTER PROCESSING\n\n".to_owned()];
        events.extend(deltas.into_iter().map(|delta| data(&chunk(delta, None))));
        let mut last = chunk(json!({ "role": "assistant", "content": "" }), Some(reason));
        last["usage"] = self.usage.clone();
        events.push(data(&last));
        events.push("data: [DONE]\n\n".to_owned());
        events
    }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}
