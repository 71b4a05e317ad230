//! A large world stays quick.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{World, agent};

const SWEEP: &str = "query($after: String) { projects(workspaceId: \"team-a\", first: 100, after: $after) { edges { node \
    { id name description createdAt deletedAt environments(first: 20) { edges { node { id configEtag \
    serviceInstances(first: 100) { edges { node { serviceId serviceName domains { serviceDomains { id domain } } \
    latestDeployment { id status createdAt meta } } } } volumeInstances(first: 100) { edges { node { volumeId } } } } } } \
    services(first: 100) { edges { node { id name } } } } } pageInfo { hasNextPage endCursor } } }";

/// Generous, because it runs unoptimised beside everything else: it is there to catch something quadratic.
#[tokio::test]
async fn a_thousand_projects_are_listed_quickly() {
    let settings = [
        ("railway.requestsPerHour", "100000"),
        ("railway.requestsPerSecond", "100000"),
    ];
    let world = World::with(&settings).await;
    let built = world.build("p").await;
    world.patch(&built, agent("ghcr.io/acme/agent:1")).await;
    for index in 0..1000 {
        let order = json!({ "name": format!("p{index}"), "workspace": "team-a" });
        world.control("POST", "/railway/projects", order).await;
    }
    let started = Instant::now();
    let (mut seen, mut after) = (0, Value::Null);
    loop {
        let data = world.data(SWEEP, json!({ "after": after })).await;
        seen += data["projects"]["edges"].as_array().unwrap().len();
        if data["projects"]["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = data["projects"]["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, 1001);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}
