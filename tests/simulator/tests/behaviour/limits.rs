//! Rate limits, and the shapes of errors at HTTP level.

use serde_json::{Value, json};

use super::client::{TOKEN, World};

const CHEAP: &str = "{ apiToken { workspaces { id } } }";

fn header(answer: &reqwest::Response, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_budget_is_in_the_headers() {
    let world = World::with(&[("railway.requestsPerHour", "3")]).await;
    let answer = world.post(TOKEN, CHEAP, json!({})).await;
    assert_eq!(header(&answer, "x-ratelimit-limit").unwrap(), "3");
    assert_eq!(header(&answer, "x-ratelimit-remaining").unwrap(), "2");
    let resets: i64 = header(&answer, "x-ratelimit-reset")
        .unwrap()
        .parse()
        .unwrap();
    assert!(resets > 1_700_000_000, "{resets}");
    assert_eq!(header(&answer, "retry-after"), None);
    world.post(TOKEN, CHEAP, json!({})).await;
    world.post(TOKEN, CHEAP, json!({})).await;
    world.set("railway.resetFormat", "seconds").await;
    let over = world.post(TOKEN, CHEAP, json!({})).await;
    assert_eq!(over.status(), 429);
    let wait: i64 = header(&over, "retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    assert_eq!(
        header(&over, "x-ratelimit-reset").unwrap(),
        wait.to_string()
    );
    assert_eq!(
        world.post("ws_team-a_2", CHEAP, json!({})).await.status(),
        200,
        "another token"
    );
    world.set("railway.rateScope", "workspace").await;
    for left in ["2", "1", "0"] {
        let answer = world.post("ws_team-a_3", CHEAP, json!({})).await;
        assert_eq!(header(&answer, "x-ratelimit-remaining").unwrap(), left);
    }
    assert_eq!(
        world.post(TOKEN, CHEAP, json!({})).await.status(),
        429,
        "one bucket for all"
    );
}

#[tokio::test]
async fn a_second_has_its_limit_too() {
    let world = World::with(&[("railway.requestsPerSecond", "5")]).await;
    let burst = (0..12).map(|_| world.post(TOKEN, CHEAP, json!({})));
    let answers = futures_in_a_row(burst).await;
    let over = answers
        .iter()
        .find(|answer| answer.status() == 429)
        .expect("a limit");
    assert_eq!(header(over, "retry-after").unwrap(), "1");
}

async fn futures_in_a_row<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut done = Vec::new();
    for one in all {
        done.push(one.await);
    }
    done
}

#[tokio::test]
async fn the_edge_wants_a_query_string() {
    let world = World::with(&[("railway.edgePerSecond", "3")]).await;
    let body = json!({ "query": CHEAP });
    let mut last = None;
    for _ in 0..8 {
        let url = "https://backboard.railway.com/graphql/v2";
        let answer = world
            .client
            .post(url)
            .bearer_auth(TOKEN)
            .json(&body)
            .send()
            .await
            .unwrap();
        last = Some(answer)
            .filter(|answer| answer.status() == 429)
            .or(last);
    }
    let blocked = last.expect("the edge to block");
    assert_eq!(header(&blocked, "x-ratelimit-limit"), None);
    assert_eq!(header(&blocked, "retry-after"), None);
    assert_eq!(blocked.text().await.unwrap(), "error code: 1015");
    assert_eq!(world.post(TOKEN, CHEAP, json!({})).await.status(), 200);
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_http_400() {
    let world = World::new().await;
    for (query, variables, code) in [
        ("{ nonsense }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("{ apiToken { ", json!({}), "GRAPHQL_PARSE_FAILED"),
        (
            "query($id: String!) { project(id: $id) { id } }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "mutation($i: VolumeCreateInput!) { volumeCreate(input: $i) { id } }",
            json!({ "i": { "projectId": "x" } }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let answer = world.post(TOKEN, query, variables).await;
        assert_eq!(answer.status(), 400, "{query}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
    }
    world.set("railway.down", "true").await;
    assert_eq!(world.post(TOKEN, CHEAP, json!({})).await.status(), 503);
}
