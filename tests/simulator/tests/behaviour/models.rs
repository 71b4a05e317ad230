//! Models at OpenRouter and Anthropic: who may ask, what it costs, what is said.

use serde_json::{Value, json};

use super::client::{World, text};

const CHAT: &str = "https://openrouter.ai/api/v1/chat/completions";
const MESSAGES: &str = "https://api.anthropic.com/v1/messages";

/// A new key with this limit: its hash, and what opens.
async fn key(world: &World, limit: f64) -> (String, String) {
    let order = json!({ "account": "team-a", "name": "agent", "limit": limit });
    let made = world.control("POST", "/openrouter/keys", order).await;
    (text(&made["hash"]), text(&made["key"]))
}

fn bearer(key: &str) -> (&str, String) {
    ("authorization", format!("Bearer {key}"))
}

fn asked(text: &str) -> Value {
    json!({ "model": "m/n", "messages": [{ "role": "user", "content": text }] })
}

#[tokio::test]
async fn a_key_opens_models_until_its_limit_is_spent() {
    let world = World::with(&[("llm.callCost", "0.40")]).await;
    let (hash, key) = key(&world, 1.0).await;
    let (status, said) = world.rest(bearer(&key), "POST", CHAT, asked("hello")).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["choices"][0]["message"]["content"], "You said: hello");
    assert_eq!(said["model"], "m/n");
    let (status, said) = world
        .rest(("x-api-key", key.clone()), "POST", MESSAGES, asked("you"))
        .await;
    assert_eq!(
        (status, &said["content"][0]["text"]),
        (200, &json!("You said: you"))
    );
    let shown = world
        .control("GET", &format!("/openrouter/keys/{hash}"), Value::Null)
        .await;
    assert_eq!(shown["usage"], 0.8);
    // As long as anything is left; then no more.
    assert_eq!(
        world.rest(bearer(&key), "POST", CHAT, asked("x")).await.0,
        200
    );
    assert_eq!(
        world.rest(bearer(&key), "POST", CHAT, asked("x")).await.0,
        402
    );
    let (status, refused) = world
        .rest(("x-api-key", key.clone()), "POST", MESSAGES, asked("x"))
        .await;
    assert_eq!((status, &refused["type"]), (400, &json!("error")));

    let path = format!("/openrouter/keys/{hash}");
    world
        .control("PUT", &path, json!({ "disabled": true }))
        .await;
    assert_eq!(
        world.rest(bearer(&key), "POST", CHAT, asked("x")).await.0,
        401
    );
    assert_eq!(
        world
            .rest(bearer("sk-or-v1-none"), "POST", CHAT, asked("x"))
            .await
            .0,
        401
    );
    assert_eq!(
        world
            .rest(bearer("sk-or-v1-none"), "POST", MESSAGES, asked("x"))
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn calls_stand_in_harness_jsonl_and_not_in_the_journal() {
    let world = World::new().await;
    let (_, key) = key(&world, 1.0).await;
    world
        .rest(bearer(&key), "POST", CHAT, asked("remember me"))
        .await;
    let fault = json!({ "provider": "openrouter", "operation": "POST /api/v1/chat/completions", "effect": "throttled" });
    world.control("POST", "/faults", fault).await;
    assert_eq!(
        world
            .rest(bearer(&key), "POST", CHAT, asked("again"))
            .await
            .0,
        429
    );
    let file = world
        .simulator
        .journal_file()
        .with_file_name("harness.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["request"]["messages"][0]["content"], "remember me");
    assert_eq!(
        (&lines[0]["workspace"], &lines[0]["status"]),
        (&json!("team-a"), &json!(200))
    );
    assert_eq!(
        (&lines[1]["status"], &lines[1]["effect"]),
        (&json!(429), &json!("throttled"))
    );
    assert!(!text.contains(&key));
    assert_eq!(world.journal().await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_answer_comes_word_by_word_and_a_tool_is_called_where_asked() {
    let world = World::with(&[("llm.answer", "one two")]).await;
    let (_, key) = key(&world, 1.0).await;
    let streamed = async |url: &str| {
        let mut body = asked("x");
        body["stream"] = json!(true);
        let request = world.client.post(url).bearer_auth(&key).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        answer.text().await.unwrap()
    };
    let chat = streamed(CHAT).await;
    assert!(
        chat.contains("\"content\":\"one \"") && chat.contains("\"content\":\"two\""),
        "{chat}"
    );
    assert!(chat.ends_with("data: [DONE]\n\n") && chat.contains("\"finish_reason\":\"stop\""));
    let messages = streamed(MESSAGES).await;
    assert!(messages.starts_with("event: message_start\n"), "{messages}");
    assert!(messages.contains("\"text\":\"two\"") && messages.contains("event: message_stop\n"));

    let mut chat = asked("call look {\"at\": 1}");
    chat["tools"] = json!([{ "type": "function", "function": { "name": "look" } }]);
    let (_, said) = world.rest(bearer(&key), "POST", CHAT, chat.clone()).await;
    let choice = &said["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let called = &choice["message"]["tool_calls"][0]["function"];
    assert_eq!(
        called,
        &json!({ "name": "look", "arguments": "{\"at\":1}" })
    );
    let result = json!({ "role": "tool", "tool_call_id": "1", "content": "seen" });
    chat["messages"].as_array_mut().unwrap().push(result);
    let (_, said) = world.rest(bearer(&key), "POST", CHAT, chat).await;
    assert_eq!(said["choices"][0]["message"]["content"], "one two");
    let mut message = asked("call look {\"at\": 1}");
    message["tools"] = json!([{ "name": "look" }]);
    let (_, said) = world.rest(bearer(&key), "POST", MESSAGES, message).await;
    assert_eq!(said["stop_reason"], "tool_use");
    assert_eq!(said["content"][0]["input"], json!({ "at": 1 }));

    let models = "https://openrouter.ai/api/v1/models";
    let listed = world.client.get(models).send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    assert!(listed["data"].as_array().unwrap().len() > 3);
}
