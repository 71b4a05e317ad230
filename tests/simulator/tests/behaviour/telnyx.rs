//! Telnyx: a number is searched, ordered, waited for, used and given back.

use serde_json::{Value, json};

use super::client::{World, text, until};

const KEY: &str = "KEYteam-a_1";

async fn call(world: &World, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let key = ("authorization", format!("Bearer {token}"));
    let url = format!("https://api.telnyx.com/v2{path}");
    world.rest(key, method, &url, body).await
}

async fn ask(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    call(world, KEY, method, path, body).await
}

/// `data` of an answer that is 200.
async fn data(world: &World, method: &str, path: &str, body: Value) -> Value {
    let (status, mut answer) = ask(world, method, path, body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer["data"].take()
}

async fn get(world: &World, path: &str) -> Value {
    data(world, "GET", path, Value::Null).await
}

async fn refusal(world: &World, method: &str, path: &str, body: Value) -> (u16, String) {
    let (status, answer) = ask(world, method, path, body).await;
    (status, text(&answer["errors"][0]["code"]))
}

const SEARCH: &str = "/available_phone_numbers?filter[country_code]=US\
    &filter[national_destination_code]=415&filter[features][]=sms&filter[limit]=1";

/// A number that can be ordered.
async fn offer(world: &World) -> String {
    let found = get(world, SEARCH).await;
    text(&found[0]["phone_number"])
}

async fn order(world: &World, phone: &str, reference: &str) -> Value {
    let wish =
        json!({ "phone_numbers": [{ "phone_number": phone }], "customer_reference": reference });
    data(world, "POST", "/number_orders", wish).await
}

/// The record of a number once its order is through.
async fn bought(world: &World, reference: &str) -> Value {
    let phone = offer(world).await;
    order(world, &phone, reference).await;
    let path = format!("/phone_numbers?filter[phone_number]={}", &phone[1..]);
    until("the number", async || {
        let found = get(world, &path).await;
        found.get(0).cloned()
    })
    .await
}

#[tokio::test]
async fn a_number_exists_once_its_order_is_through() {
    let world = World::with(&[("telnyx.orderTime", "1h")]).await;
    let found = get(&world, SEARCH).await;
    assert_eq!(found[0]["cost_information"]["monthly_cost"], "1.00");
    let phone = text(&found[0]["phone_number"]);
    assert!(phone.starts_with("+1415") && phone.len() == 12, "{phone}");
    let placed = order(&world, &phone, "agent-1").await;
    assert_eq!(
        (&placed["status"], &placed["phone_numbers"][0]["status"]),
        (&json!("pending"), &json!("pending"))
    );
    let one = format!("/number_orders/{}", text(&placed["id"]));
    let by_reference = "/number_orders?filter[customer_reference]=agent-1";
    assert_eq!(get(&world, by_reference).await[0]["id"], placed["id"]);
    assert_eq!(
        get(&world, "/number_orders?filter[customer_reference]=agent-2").await,
        json!([])
    );
    assert_eq!(get(&world, "/phone_numbers").await, json!([]));
    assert_eq!(
        refusal(
            &world,
            "PATCH",
            &format!("/phone_numbers/{phone}"),
            json!({})
        )
        .await,
        (404, "10005".into())
    );
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(inventory["counts"], json!({ "telnyx/order": 1 }));

    let settle = format!("/telnyx/orders/{}", text(&placed["id"]));
    world
        .control("PUT", &settle, json!({ "status": "success" }))
        .await;
    assert_eq!(get(&world, &one).await["status"], "success");
    let number = get(
        &world,
        "/phone_numbers?filter[customer_reference]=agent-1&filter[status]=active",
    )
    .await[0]
        .clone();
    let id = text(&number["id"]);
    assert_eq!((&number["phone_number"], id.len()), (&json!(phone), 19));
    assert_ne!(
        number["id"], placed["phone_numbers"][0]["id"],
        "the line's id is another"
    );
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(inventory["counts"], json!({ "telnyx/number": 1 }));
    assert_eq!(
        (
            &inventory["monthlyUSD"],
            &inventory["resources"][0]["description"]
        ),
        (&json!(1.0), &json!("agent-1"))
    );
}

#[tokio::test]
async fn an_order_may_fail_or_be_cancelled() {
    let world = World::with(&[("telnyx.orderFails", "true")]).await;
    let phone = offer(&world).await;
    let placed = order(&world, &phone, "agent-1").await;
    let one = format!("/number_orders/{}", text(&placed["id"]));
    until("the failure", async || {
        (get(&world, &one).await["status"] == "failure").then_some(())
    })
    .await;
    assert_eq!(get(&world, "/phone_numbers").await, json!([]));
    world.set("telnyx.orderFails", "false").await;
    world.set("telnyx.orderTime", "1h").await;
    let placed = order(&world, &phone, "agent-2").await;
    let parts = format!(
        "/sub_number_orders?filter[order_request_id]={}",
        text(&placed["id"])
    );
    let part = get(&world, &parts).await[0].clone();
    assert_eq!(part["id"], placed["sub_number_orders_ids"][0]);
    let cancel = format!("/sub_number_orders/{}/cancel", text(&part["id"]));
    data(&world, "PATCH", &cancel, Value::Null).await;
    assert_eq!(ask(&world, "PATCH", &cancel, Value::Null).await.0, 422);
    let one = format!("/number_orders/{}", text(&placed["id"]));
    assert_eq!(get(&world, &one).await["status"], "failure");
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(inventory["count"], 0);
}

#[tokio::test]
async fn only_what_was_searched_and_is_free_can_be_ordered() {
    let world = World::new().await;
    let wish = |phone: &str| json!({ "phone_numbers": [{ "phone_number": phone }] });
    let unseen = refusal(&world, "POST", "/number_orders", wish("+14155550100")).await;
    assert_eq!(unseen, (400, "10015".into()));
    let phone = offer(&world).await;
    let somebody = json!({ "account": "team-b", "phoneNumber": phone });
    world.control("POST", "/telnyx/numbers", somebody).await;
    let lost = refusal(&world, "POST", "/number_orders", wish(&phone)).await;
    assert_eq!(lost, (422, "10015".into()));
    assert_eq!(
        get(
            &world,
            "/available_phone_numbers?filter[features][]=international_sms"
        )
        .await,
        json!([])
    );
    let nobody = call(&world, "nonsense", "GET", "/balance", Value::Null).await;
    assert_eq!(
        (nobody.0, text(&nobody.1["errors"][0]["code"])),
        (401, "10009".into())
    );
    assert_eq!(get(&world, "/balance").await["available_credit"], "100.00");
}

#[tokio::test]
async fn a_number_is_found_edited_and_released() {
    let world = World::with(&[
        ("telnyx.orderTime", "0s"),
        ("telnyx.copiesReference", "false"),
    ])
    .await;
    let number = bought(&world, "agent-1").await;
    let (id, phone) = (text(&number["id"]), text(&number["phone_number"]));
    assert_eq!(number["customer_reference"], Value::Null);
    let by_phone = format!("/phone_numbers/{}", phone.replace('+', "%2B"));
    let edit = json!({ "customer_reference": "agent-1", "tags": ["a", "b"] });
    assert_eq!(
        data(&world, "PATCH", &by_phone, edit).await["id"],
        number["id"]
    );
    let one = format!("/phone_numbers/{id}");
    let edited = data(&world, "PATCH", &one, json!({ "tags": ["c"] })).await;
    assert_eq!(
        (&edited["tags"], &edited["customer_reference"]),
        (&json!(["c"]), &json!("agent-1"))
    );
    let count = async |filter: &str| {
        let found = get(&world, &format!("/phone_numbers?{filter}")).await;
        found.as_array().unwrap().len()
    };
    assert_eq!(count("filter[tag]=c").await, 1);
    assert_eq!(count("filter[tag]=a").await, 0);
    assert_eq!(count("filter[customer_reference]=agent-1").await, 1);
    assert_eq!(
        count(&format!("filter[phone_number]={}", &phone[1..])).await,
        1
    );
    assert_eq!(
        count(&format!("filter[phone_number]=%2B{}", &phone[1..])).await,
        0,
        "no plus"
    );

    world
        .control(
            "PUT",
            &format!("/telnyx/numbers/{id}"),
            json!({ "deletionLock": true }),
        )
        .await;
    assert_eq!(ask(&world, "DELETE", &one, Value::Null).await.0, 422);
    world
        .control(
            "PUT",
            &format!("/telnyx/numbers/{id}"),
            json!({ "deletionLock": false, "customerReference": null }),
        )
        .await;
    assert_eq!(
        ask(&world, "DELETE", &by_phone, Value::Null).await.0,
        404,
        "an id is needed"
    );
    assert_eq!(
        data(&world, "DELETE", &one, Value::Null).await["status"],
        "deleted"
    );
    assert_eq!(
        refusal(&world, "DELETE", &one, Value::Null).await,
        (404, "10005".into())
    );
    assert_eq!(ask(&world, "GET", &one, Value::Null).await.0, 404);
    assert_eq!(count("").await, 0);
    world.set("telnyx.secondDelete", "ok").await;
    world.set("telnyx.listsDeleted", "true").await;
    assert_eq!(
        data(&world, "DELETE", &one, Value::Null).await["status"],
        "deleted"
    );
    assert_eq!(get(&world, &one).await["status"], "deleted");
    assert_eq!(
        (count("").await, count("filter[status]=active").await),
        (1, 0)
    );
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(inventory["count"], 0);
}

#[tokio::test]
async fn a_profile_is_found_by_name_and_given_to_a_number() {
    let world = World::with(&[("telnyx.orderTime", "0s")]).await;
    let wish = json!({ "name": "agent-1", "whitelisted_destinations": ["US"], "webhook_url": "https://a.test/hook" });
    let profile = data(&world, "POST", "/messaging_profiles", wish.clone()).await;
    assert!(profile["v1_secret"].is_string());
    let twin = data(&world, "POST", "/messaging_profiles", wish).await;
    assert_ne!(twin["id"], profile["id"], "names are not unique");
    let named = get(&world, "/messaging_profiles?filter[name][eq]=agent-1").await;
    assert_eq!(named.as_array().unwrap().len(), 2);
    let id = text(&profile["id"]);
    let one = format!("/messaging_profiles/{id}");
    assert_eq!(get(&world, &one).await, profile);
    let edited = data(&world, "PATCH", &one, json!({ "name": "agent-2" })).await;
    assert_eq!(
        (&edited["name"], &edited["webhook_url"]),
        (&json!("agent-2"), &json!("https://a.test/hook"))
    );

    let number = bought(&world, "agent-1").await;
    let messaging = format!("/phone_numbers/{}/messaging", text(&number["id"]));
    let assign = |profile: &str| json!({ "messaging_profile_id": profile });
    assert_eq!(
        data(&world, "PATCH", &messaging, assign(&id)).await["messaging_profile_id"],
        json!(id)
    );
    assert_eq!(
        data(&world, "PATCH", &messaging, json!({})).await["messaging_profile_id"],
        json!(id)
    );
    assert_eq!(
        get(&world, &format!("{one}/phone_numbers")).await[0]["id"],
        number["id"]
    );
    assert_eq!(
        data(&world, "PATCH", &messaging, assign("")).await["messaging_profile_id"],
        Value::Null
    );
    data(&world, "PATCH", &messaging, assign(&id)).await;
    data(&world, "DELETE", &one, Value::Null).await;
    assert_eq!(
        refusal(&world, "DELETE", &one, Value::Null).await,
        (404, "10005".into())
    );
    assert_eq!(
        get(&world, &messaging).await["messaging_profile_id"],
        Value::Null
    );
    assert_eq!(ask(&world, "PATCH", &messaging, assign(&id)).await.0, 422);
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(
        inventory["counts"],
        json!({ "telnyx/messagingProfile": 1, "telnyx/number": 1 })
    );
}

#[tokio::test]
async fn what_is_new_can_stay_unseen() {
    let world = World::with(&[("telnyx.orderTime", "0s"), ("telnyx.readLag", "1h")]).await;
    let phone = offer(&world).await;
    let placed = order(&world, &phone, "agent-1").await;
    assert_eq!(get(&world, "/number_orders").await, json!([]));
    let one = format!("/number_orders/{}", text(&placed["id"]));
    assert_eq!(ask(&world, "GET", &one, Value::Null).await.0, 404);
    assert_eq!(get(&world, "/phone_numbers").await, json!([]));
    let wish = json!({ "name": "agent-1", "whitelisted_destinations": [] });
    data(&world, "POST", "/messaging_profiles", wish).await;
    assert_eq!(get(&world, "/messaging_profiles").await, json!([]));
    let inventory = world.control("GET", "/inventory", Value::Null).await;
    assert_eq!(
        inventory["counts"],
        json!({ "telnyx/messagingProfile": 1, "telnyx/number": 1 })
    );
}

#[tokio::test]
async fn a_listing_has_pages() {
    let world = World::new().await;
    for at in 0..5 {
        let foreign = json!({ "account": "team-a", "customerReference": format!("agent-{at}"), "tags": ["fleet"] });
        world.control("POST", "/telnyx/numbers", foreign).await;
    }
    let (_, page) = ask(
        &world,
        "GET",
        "/phone_numbers?page[number]=3&page[size]=2",
        Value::Null,
    )
    .await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        page["data"][0]["customer_reference"], "agent-0",
        "newest first"
    );
    assert_eq!(
        (&page["meta"]["total_pages"], &page["meta"]["total_results"]),
        (&json!(3), &json!(5))
    );
    let fault = json!({ "provider": "telnyx", "operation": "GET /v2/phone_numbers", "effect": { "short_list": 1 } });
    world.control("POST", "/faults", fault).await;
    let (_, page) = ask(&world, "GET", "/phone_numbers?page[size]=2", Value::Null).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["meta"]["total_pages"], 1);
}

#[tokio::test]
async fn numbers_change_by_hand_and_by_fault() {
    let world = World::with(&[("telnyx.orderTime", "0s")]).await;
    let foreign = json!({ "account": "team-a", "customerReference": "mine" });
    let foreign = world.control("POST", "/telnyx/numbers", foreign).await;
    let id = text(&foreign["id"]);
    let by_hand = format!("/telnyx/numbers/{id}");
    world
        .control(
            "PUT",
            &by_hand,
            json!({ "customerReference": "other", "tags": ["x"] }),
        )
        .await;
    let seen = get(&world, &format!("/phone_numbers/{id}")).await;
    assert_eq!(
        (&seen["customer_reference"], &seen["tags"]),
        (&json!("other"), &json!(["x"]))
    );
    world
        .control("POST", &format!("{by_hand}/delete"), Value::Null)
        .await;
    assert_eq!(
        ask(&world, "GET", &format!("/phone_numbers/{id}"), Value::Null)
            .await
            .0,
        404
    );
    let rows = world.control("GET", "/telnyx/numbers", Value::Null).await;
    assert_eq!(
        (&rows[0]["account"], &rows[0]["status"]),
        (&json!("team-a"), &json!("deleted"))
    );
    let profile = json!({ "account": "team-a", "name": "mine" });
    let profile = world.control("POST", "/telnyx/profiles", profile).await;
    let by_hand = format!("/telnyx/profiles/{}", text(&profile["id"]));
    world
        .control("PUT", &by_hand, json!({ "name": "theirs" }))
        .await;
    assert_eq!(
        get(&world, "/messaging_profiles").await[0]["name"],
        "theirs"
    );
    world
        .control("POST", &format!("{by_hand}/delete"), Value::Null)
        .await;
    assert_eq!(get(&world, "/messaging_profiles").await, json!([]));

    let fault = json!({ "provider": "telnyx", "operation": "POST /v2/number_orders", "workspace": "team-a", "effect": "reset_after" });
    world.control("POST", "/faults", fault).await;
    let phone = offer(&world).await;
    let wish =
        json!({ "phone_numbers": [{ "phone_number": phone }], "customer_reference": "agent-1" });
    let url = "https://api.telnyx.com/v2/number_orders";
    assert!(
        world
            .client
            .post(url)
            .bearer_auth(KEY)
            .json(&wish)
            .send()
            .await
            .is_err()
    );
    let found = get(&world, "/number_orders?filter[customer_reference]=agent-1").await;
    assert_eq!(
        found[0]["phone_numbers"][0]["phone_number"],
        json!(phone),
        "paid for"
    );
    let fault = json!({ "provider": "telnyx", "operation": "DELETE /v2/phone_numbers/{id}", "effect": "throttled" });
    world.control("POST", "/faults", fault).await;
    assert_eq!(
        refusal(&world, "DELETE", "/phone_numbers/1", Value::Null).await,
        (429, "10011".into())
    );
    world.set("telnyx.requestsPerSecond", "1").await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(&world, "GET", "/balance", Value::Null).await.0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}
