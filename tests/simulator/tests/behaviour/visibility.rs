//! Who sees what, and how reads lag behind writes.

use serde_json::{Value, json};

use super::client::{LIST, World, agent, message, until};

const READ: &str =
    "query($id: String!) { project(id: $id) { id services { edges { node { id } } } } }";
const API_TOKEN: &str = "{ apiToken { workspaces { id name } } }";

async fn ask(world: &World, token: &str, query: &str, variables: Value) -> Value {
    world
        .post(token, query, variables)
        .await
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn tokens_say_what_they_may() {
    let world = World::new().await;
    let (project, _) = world.create_project("mine").await;
    let both = "acct_me_team-a+team-b_1";
    let data = ask(&world, both, API_TOKEN, json!({})).await;
    let expected =
        json!([{ "id": "team-a", "name": "team-a" }, { "id": "team-b", "name": "team-b" }]);
    assert_eq!(data["data"]["apiToken"]["workspaces"], expected);
    let me = "{ me { name workspaces { id } } }";
    assert_eq!(
        ask(&world, both, me, json!({})).await["data"]["me"]["name"],
        "me"
    );
    assert_eq!(
        message(&ask(&world, "ws_team-a_1", me, json!({})).await),
        "Not Authorized"
    );

    let list = json!({ "ws": "team-a", "first": 10 });
    assert_eq!(
        message(&ask(&world, "ws_team-b_1", LIST, list.clone()).await),
        "Not Authorized"
    );
    let read = json!({ "id": project });
    assert_eq!(
        message(&ask(&world, "ws_team-b_1", READ, read.clone()).await),
        "Not Authorized"
    );
    assert!(ask(&world, both, READ, read.clone()).await["data"]["project"].is_object());

    let own = format!("proj_{project}_1");
    assert!(ask(&world, &own, READ, read).await["data"]["project"].is_object());
    let create = super::client::PROJECT_CREATE;
    let input = json!({ "input": { "name": "p", "workspaceId": "team-a" } });
    assert_eq!(
        message(&ask(&world, &own, create, input).await),
        "Not Authorized"
    );

    let count = "{ workspace(workspaceId: \"team-a\") { plan projectCount apiTokenRateLimit { remainingPoints resetsAt } } }";
    let workspace = &ask(&world, both, count, json!({})).await["data"]["workspace"];
    assert_eq!(
        (&workspace["plan"], &workspace["projectCount"]),
        (&json!("PRO"), &json!(1))
    );
    assert!(
        workspace["apiTokenRateLimit"]["remainingPoints"]
            .as_i64()
            .unwrap()
            < 10_000
    );
}

#[tokio::test]
async fn a_bad_token_is_not_authorized() {
    let world = World::with(&[("railway.revokedTokens", "ws_team-a_old")]).await;
    for token in ["nonsense", "ws_team-a_old", "ws_x"] {
        let answer = world.post(token, API_TOKEN, json!({})).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            message(&answer.json().await.unwrap()),
            "Not Authorized",
            "{token}"
        );
    }
    world.set("railway.badTokenStatus", "401").await;
    assert_eq!(
        world.post("nonsense", API_TOKEN, json!({})).await.status(),
        401
    );
    let open = ask(
        &world,
        "nonsense",
        "{ __schema { queryType { name } } }",
        json!({}),
    )
    .await;
    assert_eq!(open["data"]["__schema"]["queryType"]["name"], "Query");
}

#[tokio::test]
async fn a_listing_without_a_workspace_is_empty_for_accounts() {
    let world = World::new().await;
    world.create_project("mine").await;
    let count = |answer: &Value| {
        answer["data"]["projects"]["edges"]
            .as_array()
            .unwrap()
            .len()
    };
    let list = json!({ "first": 10 });
    assert_eq!(
        count(&ask(&world, "acct_me_team-a_1", LIST, list.clone()).await),
        0
    );
    assert_eq!(
        count(&ask(&world, "ws_team-a_1", LIST, list.clone()).await),
        1
    );
    world.set("railway.bareListing", "empty").await;
    assert_eq!(count(&ask(&world, "ws_team-a_1", LIST, list).await), 0);
}

#[tokio::test]
async fn reads_lag_behind_writes() {
    let world = World::with(&[("railway.readLag", "400ms")]).await;
    let built = world.build("fresh").await;
    let (list, read) = (
        json!({ "ws": "team-a", "first": 10 }),
        json!({ "id": built.project }),
    );
    assert_eq!(world.error(READ, read.clone()).await, "Not Authorized");
    world.set("railway.freshRead", "not-found").await;
    assert_eq!(world.error(READ, read.clone()).await, "Project not found");
    assert_eq!(
        world.data(LIST, list.clone()).await["projects"]["edges"],
        json!([])
    );
    world.patch(&built, agent("ghcr.io/acme/agent:1")).await;
    until("the project to appear", async || {
        world.ask(READ, read.clone()).await["data"]["project"]
            .is_object()
            .then_some(())
    })
    .await;
    until("its service to appear", async || {
        let edges = &world.data(READ, read.clone()).await["project"]["services"]["edges"];
        (edges.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    assert_eq!(
        world.data(LIST, list).await["projects"]["edges"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn writes_may_lag_too() {
    let world = World::with(&[("railway.writeLag", "1h")]).await;
    let (project, environment) = world.create_project("fresh").await;
    let input =
        json!({ "input": { "projectId": project, "environmentId": environment, "name": "x" } });
    let error = world
        .error(super::client::SERVICE_CREATE, input.clone())
        .await;
    assert_eq!(error, "Not Authorized");
    world.set("railway.writeLag", "0s").await;
    world.data(super::client::SERVICE_CREATE, input).await;
}

#[tokio::test]
async fn volume_instances_appear_later() {
    let world = World::with(&[("railway.volumeLag", "300ms")]).await;
    let built = world.build("p").await;
    let create = "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id \
        volumeInstances { edges { node { mountPath } } } } }";
    let input = json!({ "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "mountPath": "/data" });
    world.data(create, json!({ "input": input })).await;
    let query = "query($id: String!) { environment(id: $id) { volumeInstances { edges { node { id } } } } }";
    let variables = json!({ "id": built.environment });
    let first = world.data(query, variables.clone()).await;
    assert_eq!(first["environment"]["volumeInstances"]["edges"], json!([]));
    until("the volume instance", async || {
        let data = world.data(query, variables.clone()).await;
        data["environment"]["volumeInstances"]["edges"]
            .get(0)
            .map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_setting_may_hold_for_one_workspace() {
    let world = World::with(&[("railway.readLag@team-b", "1h")]).await;
    let (project, _) = world.create_project("seen").await;
    world.data(READ, json!({ "id": project })).await;
    let input = json!({ "input": { "name": "unseen", "workspaceId": "team-b" } });
    let created = ask(&world, "ws_team-b_1", super::client::PROJECT_CREATE, input).await;
    let id = &created["data"]["projectCreate"]["id"];
    assert_eq!(
        message(&ask(&world, "ws_team-b_1", READ, json!({ "id": id })).await),
        "Not Authorized"
    );
}
