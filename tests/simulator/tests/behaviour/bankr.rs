//! Bankr: wallets and their keys, as a partner meets them.

use serde_json::{Value, json};

use super::client::{World, text};

const WALLETS: &str = "/partner/wallets";

async fn call(world: &World, partner: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let key = ("x-partner-key", partner.to_owned());
    let url = format!("https://api.bankr.bot{path}");
    world.rest(key, method, &url, body).await
}

async fn ask(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    call(world, "bk_ptr_team-a_1", method, path, body).await
}

async fn create(world: &World, key: &str) -> String {
    let (status, wallet) = ask(world, "POST", WALLETS, json!({ "idempotencyKey": key })).await;
    assert_eq!(status, 201, "{wallet}");
    text(&wallet["id"])
}

/// Kind and description of everything that lives.
async fn living(world: &World) -> Vec<(String, Value)> {
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    let rows = inventory["resources"].as_array().unwrap();
    rows.iter()
        .map(|row| (text(&row["kind"]), row["description"].clone()))
        .collect()
}

#[tokio::test]
async fn a_repeated_key_is_the_same_wallet_without_its_secret() {
    let world = World::new().await;
    let order = json!({ "idempotencyKey": "agent-1", "wallet": { "solana": true }, "apiKey": { "permissions": { "readOnly": false } } });
    let (status, first) = ask(&world, "POST", WALLETS, order.clone()).await;
    assert_eq!(status, 201);
    assert!(text(&first["id"]).starts_with("wlt_"));
    assert!(text(&first["evmAddress"]).starts_with("0x"));
    assert!(text(&first["apiKey"]).starts_with("bk_usr_"));
    let (status, again) = ask(&world, "POST", WALLETS, order.clone()).await;
    assert_eq!((status, &again["apiKey"]), (200, &Value::Null));
    assert_eq!(again["id"], first["id"]);
    world.set("bankr.replay@team-a", "conflict").await;
    let (status, refusal) = ask(&world, "POST", WALLETS, order).await;
    assert_eq!((status, text(&refusal["error"])), (409, "Conflict".into()));
    let without = ask(&world, "POST", WALLETS, json!({})).await;
    assert_ne!(without.1["id"], first["id"]);
}

#[tokio::test]
async fn a_wallet_lives_until_it_is_closed_and_its_keys_until_they_are_revoked() {
    let world = World::new().await;
    let id = create(&world, "agent-1").await;
    let one = format!("{WALLETS}/{id}");
    let wallet = |state: &str| ("wallet".to_owned(), json!(state));
    let key = ("key".to_owned(), Value::Null);
    assert_eq!(living(&world).await, [wallet("active"), key.clone()]);
    let (status, suspended) = ask(&world, "POST", &format!("{one}/suspend"), Value::Null).await;
    assert_eq!(
        (status, text(&suspended["status"])),
        (200, "suspended".into())
    );
    assert_eq!(living(&world).await, [wallet("suspended"), key.clone()]);
    ask(&world, "POST", &format!("{one}/resume"), Value::Null).await;
    let keys = format!("{one}/api-keys");
    let (status, minted) = ask(&world, "POST", &keys, json!({ "name": "second" })).await;
    assert_eq!(status, 201);
    assert!(text(&minted["apiKey"]).starts_with("bk_usr_"));
    assert_eq!(living(&world).await.len(), 3);
    assert_eq!(
        ask(&world, "POST", &format!("{one}/close"), Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(
        living(&world).await,
        [key.clone(), key],
        "closing revokes no key"
    );
    assert_eq!(ask(&world, "DELETE", &keys, Value::Null).await.0, 200);
    assert_eq!(living(&world).await, []);
    assert_eq!(
        ask(&world, "GET", &one, Value::Null).await.1["status"],
        "closed"
    );
    assert_eq!(
        ask(&world, "POST", &format!("{one}/resume"), Value::Null)
            .await
            .0,
        409
    );
    assert_eq!(ask(&world, "POST", &keys, json!({})).await.0, 409);
}

#[tokio::test]
async fn partners_do_not_see_each_other() {
    let world = World::new().await;
    let id = create(&world, "agent-1").await;
    let one = format!("{WALLETS}/{id}");
    for (partner, status) in [
        ("bk_ptr_team-b_1", 404),
        ("bk_ptr_x", 401),
        ("nonsense", 401),
    ] {
        assert_eq!(
            call(&world, partner, "GET", &one, Value::Null).await.0,
            status
        );
    }
    let wallet = ask(&world, "GET", &one, Value::Null).await.1;
    let by_address = format!("{WALLETS}/{}", text(&wallet["evmAddress"]));
    assert_eq!(ask(&world, "GET", &by_address, Value::Null).await.1, wallet);
    world.set("bankr.requestsPerSecond@team-a", "1").await;
    ask(&world, "GET", &one, Value::Null).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(&world, "GET", &one, Value::Null).await.0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn wallets_change_by_hand() {
    let world = World::new().await;
    let id = create(&world, "agent-1").await;
    let one = format!("/bankr/wallets/{id}");
    world
        .control("POST", &format!("{one}/money"), json!({ "usd": 12.5 }))
        .await;
    world.set("bankr.fundedClose", "refuse").await;
    let close = format!("{WALLETS}/{id}/close");
    assert_eq!(ask(&world, "POST", &close, Value::Null).await.0, 409);
    world
        .control("POST", &format!("{one}/suspend"), Value::Null)
        .await;
    let foreign = json!({ "account": "team-a", "idempotencyKey": "agent-2" });
    let foreign = world.control("POST", "/bankr/wallets", foreign).await;
    let (status, found) = ask(
        &world,
        "POST",
        WALLETS,
        json!({ "idempotencyKey": "agent-2" }),
    )
    .await;
    assert_eq!((status, &found["id"]), (200, &foreign["id"]));
    let rows = world.control("GET", "/bankr/wallets", Value::Null).await;
    assert_eq!(rows[0]["usd"], 12.5);
    assert_eq!(rows[0]["status"], "suspended");
    assert_eq!(rows[0]["keys"].as_array().unwrap().len(), 1);
    world
        .control("POST", &format!("{one}/keys/delete"), Value::Null)
        .await;
    world
        .control("POST", &format!("{one}/close"), Value::Null)
        .await;
    assert_eq!(
        ask(&world, "GET", &format!("{WALLETS}/{id}"), Value::Null)
            .await
            .1["status"],
        "closed"
    );
}

#[tokio::test]
async fn a_fault_finds_a_wallet_by_its_path() {
    let world = World::new().await;
    let fault = json!({ "provider": "bankr", "operation": "POST /partner/wallets", "workspace": "team-a", "effect": "reset_after" });
    world.control("POST", "/faults", fault).await;
    let order = json!({ "idempotencyKey": "agent-1" });
    let url = "https://api.bankr.bot/partner/wallets";
    let request = world
        .client
        .post(url)
        .header("X-Partner-Key", "bk_ptr_team-a_1");
    assert!(request.json(&order).send().await.is_err());
    let (status, wallet) = ask(&world, "POST", WALLETS, order).await;
    assert_eq!(
        (status, &wallet["apiKey"]),
        (200, &Value::Null),
        "the secret is lost"
    );
    let journal = world.journal().await;
    assert_eq!(journal[0]["workspace"], "team-a");
    assert_eq!(journal[0]["operation"], "POST /partner/wallets");
}
