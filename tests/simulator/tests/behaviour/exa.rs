//! Exa's team management, in both of its shapes.

use serde_json::{Value, json};

use super::client::{World, text, until};

const SERVICE: &str = "exa-svc-team-a_1";

async fn ask(world: &World, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("https://admin-api.exa.ai/team-management{path}");
    let mut request = world.client.request(method.parse().unwrap(), url);
    request = request.header("x-api-key", token);
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

async fn manage(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    ask(world, SERVICE, method, path, body).await
}

/// Makes a key, as the answer shows it.
async fn key(world: &World, order: Value) -> Value {
    let (status, mut made) = manage(world, "POST", "/api-keys", order).await;
    assert_eq!(status, 200, "{made}");
    made["apiKey"].take()
}

async fn list(world: &World) -> Vec<Value> {
    let (status, all) = manage(world, "GET", "/api-keys", Value::Null).await;
    assert_eq!(status, 200, "{all}");
    all["apiKeys"].as_array().unwrap().clone()
}

fn no_key() -> (u16, Value) {
    (404, json!({ "error": "API key not found" }))
}

#[tokio::test]
async fn a_legacy_id_is_the_key() {
    let world = World::new().await;
    let order = json!({ "name": "agent-1", "budgetCents": 500 });
    let made = key(&world, order.clone()).await;
    let id = text(&made["id"]);
    assert_eq!(id.len(), 36);
    assert_eq!(
        (&made["budgetCents"], &made["isOverBudget"]),
        (&json!(500), &json!(false))
    );
    assert!(made.get("publicId").is_none() && made.get("secret").is_none());
    assert_eq!(list(&world).await, std::slice::from_ref(&made));
    let path = format!("/api-keys/{id}");
    let (_, one) = manage(&world, "GET", &path, Value::Null).await;
    assert_eq!(one["apiKey"], made);
    let query = format!("/api-keys?api_key_id={id}");
    let (_, queried) = manage(&world, "GET", &query, Value::Null).await;
    assert_eq!(queried, one);
    // The same name again is another key, and no page ends the list.
    for _ in 0..150 {
        key(&world, order.clone()).await;
    }
    assert_eq!(list(&world).await.len(), 151);
}

#[tokio::test]
async fn a_new_key_has_a_public_id_and_a_secret_once() {
    let world = World::with(&[("exa.api@team-a", "new")]).await;
    let made = key(&world, json!({ "name": "agent-1" })).await;
    let (id, secret) = (text(&made["publicId"]), text(&made["secret"]));
    assert!(made.get("id").is_none());
    let path = format!("/api-keys/{id}");
    let (_, one) = manage(&world, "GET", &path, Value::Null).await;
    assert_eq!(text(&one["apiKey"]["publicId"]), id);
    let listed = list(&world).await;
    assert_eq!(listed.len(), 1);
    assert!(!format!("{one}{listed:?}").contains(&secret), "shown once");
    let by_secret = format!("/api-keys/{secret}");
    assert_eq!(
        manage(&world, "DELETE", &by_secret, Value::Null).await,
        no_key()
    );
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(text(&inventory["resources"][0]["id"]), id);
    assert_eq!(
        manage(&world, "DELETE", &path, Value::Null).await,
        (200, json!({ "success": true }))
    );
}

#[tokio::test]
async fn a_key_is_changed_and_deleted() {
    let world = World::new().await;
    let made = key(&world, json!({ "name": "a", "budgetCents": 500 })).await;
    let path = format!("/api-keys/{}", text(&made["id"]));
    let (_, edited) = manage(&world, "PUT", &path, json!({ "rateLimit": 3 })).await;
    let shown = &edited["apiKey"];
    assert_eq!(
        (&shown["name"], &shown["rateLimit"], &shown["budgetCents"]),
        (&json!("a"), &json!(3), &json!(500))
    );
    let edit = json!({ "name": "b", "budgetCents": null });
    let (_, edited) = manage(&world, "PUT", &path, edit).await;
    let shown = &edited["apiKey"];
    assert_eq!(
        (&shown["name"], &shown["budgetCents"]),
        (&json!("b"), &Value::Null)
    );
    let deleted = manage(&world, "DELETE", &path, Value::Null).await;
    assert_eq!(deleted, (200, json!({ "success": true })));
    for method in ["GET", "DELETE"] {
        assert_eq!(manage(&world, method, &path, Value::Null).await, no_key());
    }
    assert_eq!(manage(&world, "PUT", &path, json!({})).await, no_key());
    assert!(list(&world).await.is_empty());
}

#[tokio::test]
async fn a_service_key_opens_its_own_team() {
    let world = World::new().await;
    let made = key(&world, json!({ "name": "a" })).await;
    let id = text(&made["id"]);
    for token in ["", &id, "exa-svc-team", "ws_team-a_1"] {
        assert_eq!(
            ask(&world, token, "GET", "/api-keys", Value::Null).await.0,
            401
        );
    }
    let other = "exa-svc-team-b_1";
    let path = format!("/api-keys/{id}");
    assert_eq!(
        ask(&world, other, "DELETE", &path, Value::Null).await,
        no_key()
    );
    let (_, none) = ask(&world, other, "GET", "/api-keys", Value::Null).await;
    assert_eq!(none, json!({ "apiKeys": [] }));
    let journal = world.journal().await;
    assert_eq!(journal[0]["workspace"], "team-a");
    assert!(!format!("{journal:?}").contains("exa-svc"));
}

#[tokio::test]
async fn others_spend_and_make_and_delete() {
    let world = World::new().await;
    let made = key(&world, json!({ "name": "a", "budgetCents": 500 })).await;
    let foreign = json!({ "account": "team-a", "name": "theirs" });
    let foreign = world.control("POST", "/exa/keys", foreign).await;
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(
        (&inventory["counts"], &inventory["monthlyUSD"]),
        (&json!({ "exa/key": 2 }), &json!(5.0))
    );
    let told = inventory.to_string();
    for secret in [&made["id"], &foreign["key"]] {
        assert!(!told.contains(&text(secret)), "no secret in the inventory");
    }
    let own = text(&inventory["resources"][0]["id"]);
    let edit = json!({ "usedCents": 500, "name": "b" });
    world
        .control("PUT", &format!("/exa/keys/{own}"), edit)
        .await;
    let listed = list(&world).await;
    assert_eq!(
        (&listed[0]["isOverBudget"], &listed[0]["name"]),
        (&json!(true), &json!("b"))
    );
    let delete = format!("/exa/keys/{}/delete", text(&foreign["id"]));
    world.control("POST", &delete, Value::Null).await;
    assert_eq!(world.try_control("POST", &delete, Value::Null).await.0, 404);
    assert_eq!(list(&world).await.len(), 1);
}

#[tokio::test]
async fn a_new_key_is_read_late() {
    let world = World::with(&[("exa.readLag", "300ms")]).await;
    let made = key(&world, json!({ "name": "a" })).await;
    let path = format!("/api-keys/{}", text(&made["id"]));
    assert_eq!(manage(&world, "GET", &path, Value::Null).await, no_key());
    assert!(list(&world).await.is_empty());
    assert_eq!(manage(&world, "PUT", &path, json!({})).await.0, 200);
    until("the key to be listed", async || {
        (list(&world).await.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn limits_and_faults_strike() {
    let world = World::with(&[("exa.requestsPerSecond@team-b", "1")]).await;
    until("a refusal", async || {
        let (status, _) = ask(&world, "exa-svc-team-b_1", "GET", "/api-keys", Value::Null).await;
        (status == 429).then_some(())
    })
    .await;
    for name in ["a", "b"] {
        key(&world, json!({ "name": name })).await;
    }
    let fault = async |operation: &str, effect: Value| {
        let fault = json!({ "provider": "exa", "workspace": "team-a", "operation": operation, "effect": effect });
        world.control("POST", "/faults", fault).await;
    };
    fault("GET /team-management/api-keys", json!("empty_list")).await;
    assert!(list(&world).await.is_empty());
    fault("GET /team-management/api-keys", json!({ "short_list": 1 })).await;
    assert_eq!(list(&world).await.len(), 1);
    fault("DELETE /team-management/api-keys/{id}", json!("throttled")).await;
    let id = text(&list(&world).await[0]["id"]);
    let path = format!("/api-keys/{id}");
    assert_eq!(manage(&world, "DELETE", &path, Value::Null).await.0, 429);
    assert_eq!(manage(&world, "DELETE", &path, Value::Null).await.0, 200);
}

/// Its journal cannot pass the contract check.
#[tokio::test]
async fn what_does_not_fit_exa_is_http_400() {
    let world = World::new().await;
    let id = text(&key(&world, json!({ "name": "a" })).await["id"]);
    let orders = [
        json!({ "name": "a", "metadata": {} }),
        json!({ "name": 1 }),
        json!({ "budgetCents": -1 }),
        json!([]),
    ];
    for order in orders {
        for (method, path) in [("POST", "/api-keys"), ("PUT", &format!("/api-keys/{id}"))] {
            let (status, answer) = manage(&world, method, path, order.clone()).await;
            assert_eq!(status, 400, "{order}");
            assert!(answer["error"].is_string());
        }
    }
    assert_eq!(list(&world).await.len(), 1);
}
