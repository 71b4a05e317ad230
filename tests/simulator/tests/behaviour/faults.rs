//! Faults: when they strike, what they do, and what they leave behind.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{LIST, PROJECT_CREATE, TOKEN, World, until};

async fn post(world: &World, fault: Value) -> Value {
    world.control("POST", "/faults", fault).await
}

async fn create(world: &World, name: &str) -> reqwest::Result<Value> {
    let input = json!({ "input": { "name": name, "workspaceId": "team-a" } });
    world
        .try_post(TOKEN, PROJECT_CREATE, input)
        .await?
        .json()
        .await
}

async fn names(world: &World) -> Vec<String> {
    let data = world
        .data(LIST, json!({ "ws": "team-a", "first": 100 }))
        .await;
    let edges = data["projects"]["edges"].as_array().unwrap().clone();
    edges
        .iter()
        .map(|edge| super::client::text(&edge["node"]["name"]))
        .collect()
}

#[tokio::test]
async fn a_reset_before_applies_nothing_and_one_after_does() {
    let world = World::new().await;
    let fault =
        json!({ "provider": "railway", "operation": "projectCreate", "effect": "reset_before" });
    let stored = post(&world, fault).await;
    assert_eq!((&stored["id"], &stored["fired"]), (&json!("1"), &json!(0)));
    assert!(create(&world, "before").await.is_err());
    assert!(names(&world).await.is_empty());
    post(
        &world,
        json!({ "operation": "projectCreate", "effect": "reset_after" }),
    )
    .await;
    assert!(create(&world, "after").await.is_err());
    assert_eq!(names(&world).await, ["after"]);
    assert!(create(&world, "undisturbed").await.is_ok());
    let list = world.control("GET", "/faults", Value::Null).await;
    assert_eq!(
        (&list[0]["matched"], &list[0]["fired"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(
        (&list[1]["matched"], &list[1]["fired"]),
        (&json!(2), &json!(1))
    );
    let journal = world.journal().await;
    assert_eq!(
        (&journal[0]["status"], &journal[0]["fault"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(journal[0]["effect"], "reset_before");
    assert_eq!(
        journal[0]["request"]["variables"]["input"]["name"],
        "before"
    );
}

#[tokio::test]
async fn a_fault_strikes_at_the_nth_exchange_and_goes_on_as_told() {
    let world = World::new().await;
    let effect = json!({ "graphql_error": { "message": "Problem processing request" } });
    post(
        &world,
        json!({ "operation": "projectCreate", "nth": 2, "times": 2, "effect": effect }),
    )
    .await;
    let mut outcomes = Vec::new();
    for name in ["a", "b", "c", "d"] {
        outcomes.push(create(&world, name).await.unwrap()["errors"].is_null());
    }
    assert_eq!(outcomes, [true, false, false, true]);
    assert_eq!(names(&world).await, ["d", "a"]);
    world.control("DELETE", "/faults/1", Value::Null).await;
    post(
        &world,
        json!({ "operation": "projectCreate", "times": null, "effect": effect }),
    )
    .await;
    for name in ["e", "f", "g"] {
        assert!(!create(&world, name).await.unwrap()["errors"].is_null());
    }
    world.control("DELETE", "/faults", Value::Null).await;
    assert!(create(&world, "h").await.unwrap()["errors"].is_null());
    assert_eq!(
        world.control("GET", "/faults", Value::Null).await,
        json!([])
    );
}

#[tokio::test]
async fn a_late_effect_comes_when_nobody_waits_any_more() {
    let world = World::new().await;
    post(
        &world,
        json!({ "operation": "projectCreate", "effect": { "late": 0.4 } }),
    )
    .await;
    let impatient = tokio::time::timeout(Duration::from_millis(100), create(&world, "late")).await;
    assert!(impatient.is_err(), "no answer yet");
    assert!(names(&world).await.is_empty(), "nothing applied yet");
    until("the late effect", async || {
        (names(&world).await == ["late"]).then_some(())
    })
    .await;
    post(
        &world,
        json!({ "operation": "projectCreate", "effect": { "late": 0.1 } }),
    )
    .await;
    assert!(
        create(&world, "later").await.is_err(),
        "who waits gets no answer either"
    );
    assert_eq!(names(&world).await, ["later", "late"]);
}

#[tokio::test]
async fn a_delayed_answer_is_a_true_one() {
    let world = World::new().await;
    post(
        &world,
        json!({ "operation": "projectCreate", "effect": { "delay": 0.3 } }),
    )
    .await;
    let started = Instant::now();
    assert!(create(&world, "slow").await.unwrap()["data"]["projectCreate"].is_object());
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn answers_are_replaced_throttled_and_cut() {
    let world = World::new().await;
    let status =
        json!({ "status": 503, "body": "upstream connect error", "headers": { "x-made": "up" } });
    post(
        &world,
        json!({ "operation": "POST /graphql/{version}", "effect": status }),
    )
    .await;
    let answer = world.post(TOKEN, LIST, json!({})).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-made"]),
        (503, &"up".parse().unwrap())
    );
    assert_eq!(answer.text().await.unwrap(), "upstream connect error");

    post(
        &world,
        json!({ "operation": "projectCreate", "effect": "throttled" }),
    )
    .await;
    let answer = create(&world, "p").await.unwrap();
    assert!(super::client::message(&answer).contains("creating projects too quickly"));
    post(
        &world,
        json!({ "operation": "projects", "effect": "throttled" }),
    )
    .await;
    let answer = world.post(TOKEN, LIST, json!({})).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );

    post(
        &world,
        json!({ "operation": "projectCreate", "effect": "truncated" }),
    )
    .await;
    let input = json!({ "input": { "name": "cut", "workspaceId": "team-a" } });
    let answer = world.post(TOKEN, PROJECT_CREATE, input).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.is_err(), "the body breaks off");
    assert_eq!(names(&world).await, ["cut"], "and the effect stands");
    let journal = world.journal().await;
    let cut = journal
        .iter()
        .find(|line| line["effect"] == "truncated")
        .unwrap();
    assert!(cut["response"].is_string() && cut["fault"] == true);
}

#[tokio::test]
async fn listings_shrink() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.create_project(name).await;
    }
    post(
        &world,
        json!({ "operation": "projects", "effect": "empty_list" }),
    )
    .await;
    assert!(names(&world).await.is_empty());
    post(
        &world,
        json!({ "operation": "projects", "effect": { "short_list": 2 } }),
    )
    .await;
    let page = world
        .data(LIST, json!({ "ws": "team-a", "first": 100 }))
        .await;
    assert_eq!(page["projects"]["edges"].as_array().unwrap().len(), 2);
    assert_eq!(page["projects"]["pageInfo"]["hasNextPage"], false);
    assert_eq!(names(&world).await.len(), 3);
    assert_eq!(
        world
            .journal()
            .await
            .iter()
            .filter(|line| line["fault"] == true)
            .count(),
        2
    );
}

#[tokio::test]
async fn a_fault_may_be_meant_for_some_exchanges_only() {
    let world = World::new().await;
    post(
        &world,
        json!({ "operation": "*", "workspace": "team-b", "effect": "reset_before" }),
    )
    .await;
    post(
        &world,
        json!({ "operation": "*", "contains": "unlucky", "effect": "reset_before" }),
    )
    .await;
    post(
        &world,
        json!({ "provider": "ghcr", "effect": "reset_before" }),
    )
    .await;
    assert!(create(&world, "lucky").await.is_ok());
    assert!(create(&world, "unlucky").await.is_err());
    assert!(
        world
            .try_post("ws_team-b_1", LIST, json!({}))
            .await
            .is_err()
    );
    assert!(
        world
            .client
            .get("https://ghcr.io/v2/")
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_process_dies_before_or_after_the_effect() {
    let world = World::new().await;
    for when in ["before", "after"] {
        let mut victim = tokio::process::Command::new("sleep")
            .arg("60")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let kill = json!({ "kill": { "pid": victim.id().unwrap(), "when": when } });
        post(
            &world,
            json!({ "operation": "projectCreate", "effect": kill }),
        )
        .await;
        assert!(create(&world, when).await.is_err());
        let ended = tokio::time::timeout(Duration::from_secs(5), victim.wait()).await;
        assert_eq!(
            ended.expect("death").unwrap().code(),
            None,
            "killed by a signal"
        );
    }
    assert_eq!(names(&world).await, ["after"]);
    let faults = world.control("GET", "/faults", Value::Null).await;
    assert!(
        faults
            .as_array()
            .unwrap()
            .iter()
            .all(|fault| fault["fired"] == 1)
    );
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused() {
    let world = World::new().await;
    for fault in [
        json!({ "operation": "x" }),
        json!({ "effect": "explode" }),
        json!({ "effect": { "kill": { "pid": 1, "when": "before" } } }),
        json!({ "effect": "reset_before", "nht": 2 }),
        json!({ "effect": { "status": 7 } }),
    ] {
        let (status, answer) = world.try_control("POST", "/faults", fault.clone()).await;
        assert_eq!(status, 400, "{fault}");
        assert!(answer["error"].is_string());
    }
}
