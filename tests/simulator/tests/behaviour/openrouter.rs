//! OpenRouter's management API, with its oddities.

use serde_json::{Value, json};

use super::client::{World, text, until};

const MANAGEMENT: &str = "sk-or-mgmt-team-a_1";

async fn ask(world: &World, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("https://openrouter.ai/api/v1{path}");
    let mut request = world.client.request(method.parse().unwrap(), url);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

async fn manage(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    ask(world, MANAGEMENT, method, path, body).await
}

/// Makes a key; its hash and the key itself.
async fn key(world: &World, order: Value) -> (String, String) {
    let (status, made) = manage(world, "POST", "/keys", order).await;
    assert_eq!(status, 201, "{made}");
    (text(&made["data"]["hash"]), text(&made["key"]))
}

async fn names(world: &World, query: &str) -> Vec<String> {
    let (status, page) = manage(world, "GET", &format!("/keys{query}"), Value::Null).await;
    assert_eq!(status, 200, "{page}");
    let keys = page["data"].as_array().unwrap();
    keys.iter().map(|key| text(&key["name"])).collect()
}

fn refused(status: u16, message: &str) -> (u16, Value) {
    (
        status,
        json!({ "error": { "code": status, "message": message } }),
    )
}

#[tokio::test]
async fn a_key_is_shown_once() {
    let world = World::new().await;
    let order = json!({ "name": "agent-1", "limit": 5, "limit_reset": null, "expires_at": "2030-01-01T00:00:00Z" });
    let (hash, secret) = key(&world, order).await;
    assert_eq!((hash.len(), secret.len()), (64, "sk-or-v1-".len() + 64));
    let path = format!("/keys/{hash}");
    let (_, one) = manage(&world, "GET", &path, Value::Null).await;
    let data = &one["data"];
    assert_eq!(
        (&data["limit"], &data["limit_remaining"], &data["usage"]),
        (&json!(5.0), &json!(5.0), &json!(0.0))
    );
    assert_eq!(data["expires_at"], "2030-01-01T00:00:00.000Z");
    assert_eq!(data["updated_at"], Value::Null);
    let (_, all) = manage(&world, "GET", "/keys", Value::Null).await;
    assert_eq!(&all["data"][0], data);
    assert!(!format!("{one}{all}").contains(&secret), "shown once");
    let label = text(&data["label"]);
    assert!(secret.starts_with(&label[..12]) && label.contains("..."));
    // The same name again is another key.
    let (other, _) = key(&world, json!({ "name": "agent-1" })).await;
    assert_ne!(other, hash);
    assert_eq!(names(&world, "").await, ["agent-1", "agent-1"]);
}

#[tokio::test]
async fn a_change_cannot_prolong_or_move_a_key() {
    let world = World::new().await;
    let order = json!({ "name": "a", "limit": 5, "limit_reset": "monthly", "expires_at": "2030-01-01T00:00:00Z" });
    let (hash, _) = key(&world, order).await;
    let path = format!("/keys/{hash}");
    let edit = json!({ "limit_reset": null, "limit": 7.5, "expires_at": null, "disabled": true });
    let (status, edited) = manage(&world, "PATCH", &path, edit).await;
    assert_eq!(status, 200);
    let data = &edited["data"];
    assert_eq!(
        (&data["limit"], &data["limit_reset"], &data["disabled"]),
        (&json!(7.5), &Value::Null, &json!(true))
    );
    assert_eq!(data["expires_at"], "2030-01-01T00:00:00.000Z");
    assert_eq!(data["name"], "a");
    assert!(data["updated_at"].is_string());
    let (_, edited) = manage(&world, "PATCH", &path, json!({ "limit": null })).await;
    assert_eq!(edited["data"]["limit_remaining"], Value::Null);
}

#[tokio::test]
async fn a_deleted_key_is_gone() {
    let world = World::new().await;
    let (hash, secret) = key(&world, json!({ "name": "a" })).await;
    let path = format!("/keys/{hash}");
    assert_eq!(
        ask(&world, &secret, "GET", "/key", Value::Null).await.0,
        200
    );
    let deleted = manage(&world, "DELETE", &path, Value::Null).await;
    assert_eq!(deleted, (200, json!({ "deleted": true })));
    let gone = refused(404, "Resource not found");
    for method in ["GET", "DELETE"] {
        assert_eq!(manage(&world, method, &path, Value::Null).await, gone);
    }
    assert_eq!(manage(&world, "PATCH", &path, json!({})).await, gone);
    assert_eq!(
        ask(&world, &secret, "GET", "/key", Value::Null).await.0,
        401
    );
}

#[tokio::test]
async fn a_credential_opens_what_is_its_own() {
    let world = World::new().await;
    let (hash, secret) = key(&world, json!({ "name": "a" })).await;
    let nobody = ask(&world, "", "GET", "/keys", Value::Null).await;
    assert_eq!(nobody, refused(401, "Missing Authentication header"));
    for token in ["sk-or-v1-0000", "sk-or-mgmt-teama", "ws_team-a_1"] {
        assert_eq!(ask(&world, token, "GET", "/keys", Value::Null).await.0, 401);
    }
    let own = ask(&world, &secret, "GET", "/keys", Value::Null).await;
    let only = "Only management keys can perform this operation";
    assert_eq!(own, refused(403, only));
    let other = "sk-or-mgmt-team-b_1";
    let path = format!("/keys/{hash}");
    assert_eq!(ask(&world, other, "GET", &path, Value::Null).await.0, 404);
    assert_eq!(
        ask(&world, other, "DELETE", &path, Value::Null).await.0,
        404
    );
    let (_, none) = ask(&world, other, "GET", "/keys", Value::Null).await;
    assert_eq!(none["data"], json!([]));
    // Whose it was stands in the journal, also for an agent's own key; the credentials do not.
    let journal = world.journal().await;
    let accounts: Vec<&Value> = journal.iter().map(|line| &line["workspace"]).collect();
    assert_eq!(accounts.first(), Some(&&json!("team-a")));
    assert_eq!(accounts.get(5), Some(&&json!("team-a")));
    assert_eq!(accounts.last(), Some(&&json!("team-b")));
    assert!(!format!("{journal:?}").contains("mgmt"));
}

#[tokio::test]
async fn a_listing_shows_the_default_workspace_alone() {
    let world = World::new().await;
    let new = json!({ "account": "team-a", "name": "Blue Team" });
    let blue = world.control("POST", "/openrouter/workspaces", new).await;
    let blue = text(&blue["id"]);
    let (_, all) = manage(&world, "GET", "/workspaces", Value::Null).await;
    assert_eq!(all["total_count"], 2);
    let default = text(&all["data"][0]["id"]);
    let (_, by_slug) = manage(&world, "GET", "/workspaces/blue-team", Value::Null).await;
    assert_eq!(text(&by_slug["data"]["id"]), blue);
    assert_eq!(
        manage(&world, "GET", "/workspaces/green", Value::Null)
            .await
            .0,
        404
    );
    key(&world, json!({ "name": "here" })).await;
    key(&world, json!({ "name": "there", "workspace_id": blue })).await;
    assert_eq!(names(&world, "").await, ["here"]);
    assert_eq!(
        names(&world, &format!("?workspace_id={blue}")).await,
        ["there"]
    );
    assert_eq!(
        names(&world, &format!("?workspace_id={default}")).await,
        ["here"]
    );
    let unknown = "/keys?workspace_id=0df9e665-d932-4740-b2c7-b52af166bc11";
    assert_eq!(manage(&world, "GET", unknown, Value::Null).await.0, 400);
    world.set("openrouter.unknownWorkspace", "empty").await;
    let (_, empty) = manage(&world, "GET", unknown, Value::Null).await;
    assert_eq!(empty["data"], json!([]));
}

#[tokio::test]
async fn a_listing_is_paged_by_offset() {
    let world = World::with(&[("openrouter.pageSize", "2")]).await;
    for name in ["1", "2", "3"] {
        key(&world, json!({ "name": name })).await;
    }
    assert_eq!(names(&world, "?offset=0").await, ["3", "2"]);
    assert_eq!(names(&world, "?offset=2").await, ["1"]);
    assert!(names(&world, "?offset=3").await.is_empty());
    let (hash, _) = key(&world, json!({ "name": "4" })).await;
    manage(
        &world,
        "PATCH",
        &format!("/keys/{hash}"),
        json!({ "disabled": true }),
    )
    .await;
    assert_eq!(names(&world, "").await, ["3", "2"]);
    assert_eq!(names(&world, "?include_disabled=true").await, ["4", "3"]);
    world.set("openrouter.listsDisabled@team-a", "true").await;
    assert_eq!(names(&world, "").await, ["4", "3"]);
    assert_eq!(names(&world, "?include_disabled=false").await, ["3", "2"]);
}

#[tokio::test]
async fn a_new_key_is_read_late() {
    let world = World::with(&[("openrouter.readLag", "300ms")]).await;
    let (hash, _) = key(&world, json!({ "name": "a" })).await;
    let path = format!("/keys/{hash}");
    assert_eq!(manage(&world, "GET", &path, Value::Null).await.0, 404);
    assert!(names(&world, "").await.is_empty());
    assert_eq!(manage(&world, "PATCH", &path, json!({})).await.0, 200);
    until("the key to be listed", async || {
        (names(&world, "").await == ["a"]).then_some(())
    })
    .await;
    assert_eq!(manage(&world, "GET", &path, Value::Null).await.0, 200);
}

#[tokio::test]
async fn others_spend_and_make_and_delete() {
    let world = World::new().await;
    let (hash, secret) = key(
        &world,
        json!({ "name": "a", "limit": 5, "limit_reset": "monthly" }),
    )
    .await;
    let path = format!("/openrouter/keys/{hash}");
    let spent = world.control("PUT", &path, json!({ "usage": 4.5 })).await;
    assert_eq!(spent["limit_remaining"], 0.5);
    let (_, own) = ask(&world, &secret, "GET", "/key", Value::Null).await;
    let own = &own["data"];
    assert_eq!(
        (&own["usage"], &own["is_management_key"]),
        (&json!(4.5), &json!(false))
    );
    let (_, credits) = manage(&world, "GET", "/credits", Value::Null).await;
    assert_eq!(
        credits["data"],
        json!({ "total_credits": 1000, "total_usage": 4.5 })
    );
    let (_, management) = manage(&world, "GET", "/key", Value::Null).await;
    assert_eq!(management["data"]["is_management_key"], true);

    let foreign = json!({ "account": "team-a", "name": "a" });
    let foreign = world.control("POST", "/openrouter/keys", foreign).await;
    assert_eq!(names(&world, "").await, ["a", "a"]);
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(inventory["counts"], json!({ "openrouter/key": 2 }));
    assert_eq!(inventory["monthlyUSD"], 5.0);
    let daily = json!({ "limit_reset": "daily" });
    manage(&world, "PATCH", &format!("/keys/{hash}"), daily).await;
    let each_day = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(each_day["monthlyUSD"], 155.0);
    let row = &inventory["resources"][0];
    assert_eq!(
        (&row["id"], &row["workspace"]),
        (&json!(hash), &json!("team-a"))
    );
    assert!(!inventory.to_string().contains("sk-or-"));

    world
        .control("PUT", &path, json!({ "name": "b", "disabled": true }))
        .await;
    assert_eq!(names(&world, "").await, ["a"]);
    assert_eq!(
        ask(&world, &secret, "GET", "/key", Value::Null).await.0,
        401
    );
    let delete = format!("/openrouter/keys/{}/delete", text(&foreign["hash"]));
    world.control("POST", &delete, Value::Null).await;
    assert_eq!(world.try_control("POST", &delete, Value::Null).await.0, 404);
    assert!(names(&world, "").await.is_empty());
}

#[tokio::test]
async fn too_many_requests_are_refused() {
    let world = World::with(&[("openrouter.requestsPerSecond@team-a", "2")]).await;
    until("a refusal", async || {
        let (status, answer) = manage(&world, "GET", "/keys", Value::Null).await;
        (status == 429).then(|| assert_eq!((429, answer), refused(429, "Rate limit exceeded")))
    })
    .await;
    let other = "sk-or-mgmt-team-b_1";
    for _ in 0..5 {
        assert_eq!(ask(&world, other, "GET", "/keys", Value::Null).await.0, 200);
    }
}

#[tokio::test]
async fn faults_strike_by_method_and_path() {
    let world = World::new().await;
    let fault = |operation: &str, effect: Value| json!({ "provider": "openrouter", "operation": operation, "workspace": "team-a", "effect": effect });
    let post = async |operation: &str, effect: Value| {
        world
            .control("POST", "/faults", fault(operation, effect))
            .await;
    };
    post("POST /api/v1/keys", json!("reset_after")).await;
    let lost = world
        .client
        .post("https://openrouter.ai/api/v1/keys")
        .bearer_auth(MANAGEMENT)
        .json(&json!({ "name": "lost" }))
        .send()
        .await;
    assert!(lost.is_err());
    assert_eq!(names(&world, "").await, ["lost"]);
    key(&world, json!({ "name": "kept" })).await;
    post("GET /api/v1/keys", json!("empty_list")).await;
    assert!(names(&world, "").await.is_empty());
    post("GET /api/v1/keys", json!({ "short_list": 1 })).await;
    assert_eq!(names(&world, "").await, ["kept"]);
    post("DELETE /api/v1/keys/{hash}", json!("throttled")).await;
    let (hash, _) = key(&world, json!({ "name": "a" })).await;
    let delete = world
        .client
        .delete(format!("https://openrouter.ai/api/v1/keys/{hash}"))
        .bearer_auth(MANAGEMENT);
    let response = delete.send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    let told = (response.status().as_u16(), response.json().await.unwrap());
    assert_eq!(told, refused(429, "Rate limit exceeded"));
    assert_eq!(names(&world, "").await.len(), 3);
}

/// Its journal cannot pass the contract check.
#[tokio::test]
async fn what_does_not_fit_openrouter_is_http_400() {
    let world = World::with(&[("openrouter.refusesZeroLimit@team-a", "true")]).await;
    let orders = [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "a", "limit": -1 }),
        json!({ "name": "a", "limit": 0 }),
        json!({ "name": "a", "limit_reset": "yearly" }),
        json!({ "name": "a", "expires_at": "2030-01-01T00:00:00+02:00" }),
        json!({ "name": "a", "workspace_id": "elsewhere" }),
    ];
    for order in orders {
        let (status, answer) = manage(&world, "POST", "/keys", order.clone()).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!(400)),
            "{order}"
        );
    }
    let (status, _) = manage(&world, "GET", "/keys?offset=-1", Value::Null).await;
    assert_eq!(status, 400);
    let (status, _) = manage(&world, "GET", "/nothing", Value::Null).await;
    assert_eq!(status, 404);
    world
        .set("openrouter.refusesZeroLimit@team-a", "false")
        .await;
    key(&world, json!({ "name": "a", "limit": 0 })).await;
}
