//! AgentMail: inboxes, what repeats them, and the keys that see one of them.

use serde_json::{Value, json};

use super::client::{World, text};

const ORG: &str = "am_org_team-a_1";

async fn call(world: &World, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let key = ("authorization", format!("Bearer {token}"));
    let url = format!("https://api.agentmail.to/v0{path}");
    world.rest(key, method, &url, body).await
}

async fn ask(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    call(world, ORG, method, path, body).await
}

/// An inbox with this name, which is its client_id too.
async fn create(world: &World, name: &str) -> String {
    let order = json!({ "username": name, "client_id": name });
    let (status, inbox) = ask(world, "POST", "/inboxes", order).await;
    assert_eq!(status, 200, "{inbox}");
    text(&inbox["inbox_id"])
}

fn path(inbox: &str) -> String {
    format!("/inboxes/{}", inbox.replace('@', "%40"))
}

async fn code(world: &World, method: &str, path: &str, body: Value) -> (u16, String) {
    let (status, refusal) = ask(world, method, path, body).await;
    assert!(refusal["message"].is_string(), "{status} {refusal}");
    (status, text(&refusal["code"]))
}

#[tokio::test]
async fn a_client_id_makes_an_inbox_once() {
    let world = World::new().await;
    let order = json!({ "username": "ada", "client_id": "agent-1", "display_name": "Ada", "metadata": { "uid": "1", "old": true } });
    let (status, first) = ask(&world, "POST", "/inboxes", order).await;
    assert_eq!(
        (status, text(&first["inbox_id"])),
        (200, "ada@agentmail.to".into())
    );
    let other = json!({ "username": "bob", "client_id": "agent-1", "display_name": "Bob" });
    let again = ask(&world, "POST", "/inboxes", other.clone()).await;
    assert_eq!(again, (200, first.clone()), "everything else is ignored");
    let edit = json!({ "display_name": "Countess", "metadata": { "old": null, "new": 2 } });
    let edited = ask(&world, "PATCH", &path("ada@agentmail.to"), edit)
        .await
        .1;
    assert_eq!(edited["display_name"], "Countess");
    assert_eq!(edited["metadata"], json!({ "uid": "1", "new": 2 }));
    assert_eq!(
        ask(&world, "GET", &path("ada@agentmail.to"), Value::Null)
            .await
            .1,
        edited
    );
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(inventory["monthlyUSD"], 2.0);
    assert_eq!(inventory["resources"][0]["description"], "agent-1");
    assert_eq!(inventory["resources"][0]["workspace"], "team-a");

    world.set("agentmail.clientIdReuse@team-a", "taken").await;
    assert_eq!(
        ask(&world, "DELETE", &path("ada@agentmail.to"), Value::Null)
            .await
            .0,
        200
    );
    let gone = code(&world, "DELETE", &path("ada@agentmail.to"), Value::Null).await;
    assert_eq!(gone, (404, "not_found".into()));
    let taken = code(&world, "POST", "/inboxes", other.clone()).await;
    assert_eq!(taken, (409, "conflict".into()));
    world.set("agentmail.clientIdReuse@team-a", "free").await;
    let made = ask(&world, "POST", "/inboxes", other).await.1;
    assert_eq!(made["inbox_id"], "bob@agentmail.to");
}

#[tokio::test]
async fn refusals_say_why() {
    let world = World::with(&[("agentmail.domains", "acme.test")]).await;
    create(&world, "ada").await;
    let other = "am_org_team-b_1";
    let order = json!({ "username": "ada" });
    let taken = call(&world, other, "POST", "/inboxes", order.clone()).await;
    assert_eq!(
        (taken.0, text(&taken.1["code"])),
        (403, "resource_taken".into())
    );
    let own = code(&world, "POST", "/inboxes", order.clone()).await;
    assert_eq!(own, (403, "already_exists".into()));
    let unverified = json!({ "username": "ada", "domain": "other.test" });
    let unverified = code(&world, "POST", "/inboxes", unverified).await;
    assert_eq!(unverified, (422, "unprocessable".into()));
    let verified = json!({ "username": "ada", "domain": "acme.test" });
    let verified = ask(&world, "POST", "/inboxes", verified).await.1;
    assert_eq!(verified["email"], "ada@acme.test");
    world.set("agentmail.maxInboxes", "2").await;
    let full = code(&world, "POST", "/inboxes", order).await;
    assert_eq!(full, (403, "limit_exceeded".into()), "before the name");
    let organization = ask(&world, "GET", "/organizations", Value::Null).await.1;
    assert_eq!(
        (&organization["inbox_count"], &organization["inbox_limit"]),
        (&json!(2), &json!(2))
    );
    let bad = code(&world, "POST", "/inboxes", json!({ "client_id": "a@b" })).await;
    assert_eq!(bad, (400, "validation_error".into()));
    let foreign = call(&world, other, "GET", &path("ada@agentmail.to"), Value::Null).await;
    assert_eq!(
        (foreign.0, text(&foreign.1["code"])),
        (404, "not_found".into())
    );
    let nobody = call(&world, "am_nonsense", "GET", "/inboxes", Value::Null).await;
    assert_eq!(
        (nobody.0, text(&nobody.1["code"])),
        (401, "unknown_api_key".into())
    );
}

#[tokio::test]
async fn a_key_sees_its_inbox_and_dies_with_it() {
    let world = World::new().await;
    let ada = create(&world, "ada").await;
    let bob = create(&world, "bob").await;
    let keys = format!("{}/api-keys", path(&ada));
    let (status, key) = ask(&world, "POST", &keys, json!({ "name": "agent-1" })).await;
    assert_eq!(status, 200);
    let secret = text(&key["api_key"]);
    assert!(secret.starts_with(&text(&key["prefix"])) && secret.starts_with("am_"));
    let listed = ask(&world, "GET", &keys, Value::Null).await.1;
    assert_eq!(listed["count"], 1);
    assert_eq!(listed["api_keys"][0]["name"], "agent-1");
    assert_eq!(listed["api_keys"][0]["api_key"], Value::Null);

    let me = call(&world, &secret, "GET", "/auth/me", Value::Null)
        .await
        .1;
    assert_eq!(
        (&me["scope_type"], &me["inbox_id"]),
        (&json!("inbox"), &json!(ada))
    );
    let seen = call(&world, &secret, "GET", "/inboxes", Value::Null)
        .await
        .1;
    assert_eq!(
        (&seen["count"], &seen["inboxes"][0]["inbox_id"]),
        (&json!(1), &json!(ada))
    );
    assert_eq!(
        call(&world, &secret, "GET", &path(&bob), Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        call(&world, &secret, "DELETE", &path(&bob), Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        call(&world, &secret, "POST", "/inboxes", json!({})).await.0,
        403
    );

    let narrow = json!({ "name": "narrow", "permissions": { "message_read": true, "api_key_create": true } });
    let narrow = text(&ask(&world, "POST", &keys, narrow).await.1["api_key"]);
    let more = call(&world, &narrow, "POST", &keys, json!({})).await.1;
    assert_eq!(more["code"], "unrestricted_key_required");
    assert_eq!(
        call(&world, &narrow, "GET", &keys, Value::Null).await.1["code"],
        "missing_permission"
    );

    let one = format!("{keys}/{}", text(&key["api_key_id"]));
    assert_eq!(ask(&world, "DELETE", &one, Value::Null).await.0, 200);
    assert_eq!(ask(&world, "DELETE", &one, Value::Null).await.0, 404);
    assert_eq!(
        call(&world, &secret, "GET", "/auth/me", Value::Null)
            .await
            .0,
        401
    );
    ask(&world, "DELETE", &path(&ada), Value::Null).await;
    assert_eq!(
        call(&world, &narrow, "GET", "/auth/me", Value::Null)
            .await
            .0,
        401
    );
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(inventory["counts"], json!({ "agentmail/inbox": 1 }));
    let journal = world.journal().await;
    assert!(journal.iter().all(|line| line["workspace"] != "team-b"));
}

#[tokio::test]
async fn a_listing_goes_on_where_it_ended() {
    let world = World::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        create(&world, name).await;
    }
    let mut names = Vec::new();
    let mut next = Some(String::new());
    while let Some(token) = next {
        let token = if token.is_empty() {
            token
        } else {
            format!("&page_token={token}")
        };
        let page = ask(
            &world,
            "GET",
            &format!("/inboxes?limit=2{token}"),
            Value::Null,
        )
        .await
        .1;
        let rows = page["inboxes"].as_array().unwrap();
        names.extend(rows.iter().map(|row| text(&row["client_id"])));
        next = page["next_page_token"].as_str().map(str::to_owned);
    }
    assert_eq!(names, ["e", "d", "c", "b", "a"], "newest first");
    let page = ask(
        &world,
        "GET",
        "/inboxes?limit=1&ascending=true",
        Value::Null,
    )
    .await
    .1;
    assert_eq!(page["inboxes"][0]["client_id"], "a");
    let all = ask(&world, "GET", "/inboxes", Value::Null).await.1;
    assert_eq!(
        (&all["count"], &all["next_page_token"]),
        (&json!(5), &Value::Null)
    );
    let fault =
        json!({ "provider": "agentmail", "operation": "GET /v0/inboxes", "effect": "empty_list" });
    world.control("POST", "/faults", fault).await;
    let cut = ask(&world, "GET", "/inboxes?limit=2", Value::Null).await.1;
    assert_eq!(
        (&cut["count"], &cut["next_page_token"]),
        (&json!(0), &Value::Null)
    );
}

#[tokio::test]
async fn a_pod_is_deleted_empty() {
    let world = World::new().await;
    let order = json!({ "name": "fleet", "client_id": "fleet-1" });
    let pod = ask(&world, "POST", "/pods", order.clone()).await.1;
    assert_eq!(ask(&world, "POST", "/pods", order).await.1, pod);
    let one = format!("/pods/{}", text(&pod["pod_id"]));
    let inboxes = format!("{one}/inboxes");
    let inbox = ask(&world, "POST", &inboxes, json!({ "username": "ada" }))
        .await
        .1;
    assert_eq!(inbox["pod_id"], pod["pod_id"]);
    create(&world, "bob").await;
    assert_eq!(
        ask(&world, "GET", &inboxes, Value::Null).await.1["count"],
        1
    );
    assert_eq!(
        code(&world, "DELETE", &one, Value::Null).await,
        (409, "cannot_delete".into())
    );
    let there = format!("{inboxes}/ada%40agentmail.to");
    assert_eq!(ask(&world, "GET", &there, Value::Null).await.0, 200);
    assert_eq!(
        ask(
            &world,
            "GET",
            &format!("{inboxes}/bob%40agentmail.to"),
            Value::Null
        )
        .await
        .0,
        404
    );
    ask(&world, "DELETE", &there, Value::Null).await;
    assert_eq!(ask(&world, "DELETE", &one, Value::Null).await.0, 200);
    assert_eq!(ask(&world, "DELETE", &one, Value::Null).await.0, 404);
    let pods = ask(&world, "GET", "/pods", Value::Null).await.1;
    assert_eq!(
        (&pods["count"], &pods["pods"][0]["pod_id"]),
        (&json!(1), &json!("team-a"))
    );
    assert_eq!(
        ask(&world, "DELETE", "/pods/team-a", Value::Null).await.0,
        409
    );
}

#[tokio::test]
async fn inboxes_change_by_hand_and_by_fault() {
    let world = World::new().await;
    let foreign = json!({ "account": "team-a", "username": "eve", "clientId": "agent-9" });
    let foreign = world.control("POST", "/agentmail/inboxes", foreign).await;
    assert_eq!(foreign["account"], "team-a");
    let found = ask(
        &world,
        "POST",
        "/inboxes",
        json!({ "client_id": "agent-9" }),
    )
    .await
    .1;
    assert_eq!(found["inbox_id"], "eve@agentmail.to");
    let edit = json!({ "displayName": "Eve", "metadata": { "note": "mine" } });
    world
        .control("PUT", "/agentmail/inboxes/eve@agentmail.to", edit)
        .await;
    let rows = world
        .control("GET", "/agentmail/inboxes", Value::Null)
        .await;
    assert_eq!(
        (&rows[0]["display_name"], &rows[0]["metadata"]["note"]),
        (&json!("Eve"), &json!("mine"))
    );
    world
        .control(
            "POST",
            "/agentmail/inboxes/eve@agentmail.to/delete",
            Value::Null,
        )
        .await;
    assert_eq!(
        ask(&world, "GET", &path("eve@agentmail.to"), Value::Null)
            .await
            .0,
        404
    );

    let fault = json!({ "provider": "agentmail", "operation": "DELETE /v0/inboxes/{inbox_id}", "effect": { "status": 500 } });
    world.control("POST", "/faults", fault).await;
    let fault = json!({ "provider": "agentmail", "operation": "POST /v0/inboxes", "workspace": "team-a", "effect": "throttled" });
    world.control("POST", "/faults", fault).await;
    let order = json!({ "username": "ada", "client_id": "ada" });
    let throttled = code(&world, "POST", "/inboxes", order).await;
    assert_eq!(throttled, (429, "rate_limit_exceeded".into()));
    let ada = create(&world, "ada").await;
    assert_eq!(ask(&world, "DELETE", &path(&ada), Value::Null).await.0, 500);
    assert_eq!(ask(&world, "DELETE", &path(&ada), Value::Null).await.0, 200);
}
