//! Projects: names, duplicates, throttles, listings, deletion.

use serde_json::{Value, json};

use super::client::{LIST, PROJECT_CREATE, World, message, text, until};

const DELETE: &str = "mutation($id: String!) { projectDelete(id: $id) }";
const READ: &str = "query($id: String!) { project(id: $id) { id name deletedAt workspaceId } }";

async fn names(world: &World, variables: Value) -> Vec<String> {
    let data = world.data(LIST, variables).await;
    let edges = data["projects"]["edges"].as_array().unwrap().clone();
    edges
        .iter()
        .map(|edge| text(&edge["node"]["name"]))
        .collect()
}

#[tokio::test]
async fn names_may_be_shared_and_are_checked() {
    let world = World::new().await;
    world.create_project("twin").await;
    world.create_project("twin").await;
    assert_eq!(
        names(&world, json!({ "ws": "team-a", "first": 10 })).await,
        ["twin", "twin"]
    );
    let longest = "a".repeat(32);
    world.create_project(&longest).await;
    for bad in ["Upper", "with space", "", &"a".repeat(33)] {
        let input = json!({ "input": { "name": bad, "workspaceId": "team-a" } });
        assert_eq!(
            world.error(PROJECT_CREATE, input).await,
            "Invalid project name",
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn listings_are_paged_newest_first() {
    let world = World::with(&[("railway.maxPage", "3")]).await;
    for name in ["p1", "p2", "p3", "p4", "p5"] {
        world.create_project(name).await;
    }
    let page = world
        .data(LIST, json!({ "ws": "team-a", "first": 100 }))
        .await;
    let page = &page["projects"];
    assert_eq!(
        page["edges"].as_array().unwrap().len(),
        3,
        "the page size is capped"
    );
    assert_eq!(page["edges"][0]["node"]["name"], "p5");
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    // The cursor stays good when its project is gone.
    world
        .data(DELETE, json!({ "id": page["edges"][2]["node"]["id"] }))
        .await;
    let rest = json!({ "ws": "team-a", "first": 3, "after": page["pageInfo"]["endCursor"] });
    let page = world.data(LIST, rest).await;
    assert_eq!(page["projects"]["edges"].as_array().unwrap().len(), 2);
    assert_eq!(page["projects"]["edges"][0]["node"]["name"], "p2");
    assert_eq!(page["projects"]["pageInfo"]["hasNextPage"], false);
    let by_name = "{ projects(workspaceId: \"team-a\", first: 1, orderBy: NAME_ASC) \
        { edges { node { name } } } }";
    let data = world.data(by_name, json!({})).await;
    assert_eq!(data["projects"]["edges"][0]["node"]["name"], "p1");
}

#[tokio::test]
async fn creation_is_throttled_per_workspace() {
    let world = World::with(&[("railway.projectInterval", "400ms")]).await;
    let input = |ws: &str| json!({ "input": { "name": "p", "workspaceId": ws } });
    let first = world
        .post("acct_me_team-a+team-b_1", PROJECT_CREATE, input("team-a"))
        .await;
    assert!(first.json::<Value>().await.unwrap()["data"]["projectCreate"].is_object());
    let second = world
        .post(&world.token, PROJECT_CREATE, input("team-a"))
        .await;
    assert_eq!(second.status(), 200);
    let second: Value = second.json().await.unwrap();
    assert_eq!(
        second["errors"][0]["extensions"]["code"],
        "INTERNAL_SERVER_ERROR"
    );
    assert_eq!(
        message(&second),
        "You are creating projects too quickly. This workspace allows 1 project per 1 seconds. Try again shortly."
    );
    let other = world
        .post("ws_team-b_1", PROJECT_CREATE, input("team-b"))
        .await;
    assert!(other.json::<Value>().await.unwrap()["errors"].is_null());
    world.set("railway.throttleText", "old").await;
    let old = world.error(PROJECT_CREATE, input("team-a")).await;
    assert_eq!(
        old,
        "Whoa there pal! Only one project can be created per user every 1s"
    );
    until("the throttle to pass", async || {
        let answer = world.ask(PROJECT_CREATE, input("team-a")).await;
        answer["errors"].is_null().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_throttle_may_run_on_a_tokens_clock() {
    let settings = [
        ("railway.projectInterval", "30s"),
        ("railway.throttleScope", "token"),
    ];
    let world = World::with(&settings).await;
    let input = json!({ "input": { "name": "p", "workspaceId": "team-a" } });
    for (token, works) in [
        ("ws_team-a_1", true),
        ("ws_team-a_1", false),
        ("ws_team-a_2", true),
    ] {
        let answer = world.post(token, PROJECT_CREATE, input.clone()).await;
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errors"].is_null(), works, "{token}");
    }
}

#[tokio::test]
async fn a_quota_ends_creation() {
    let world = World::with(&[("railway.maxProjects", "1")]).await;
    let (project, _) = world.create_project("one").await;
    let input = json!({ "input": { "name": "two", "workspaceId": "team-a" } });
    let error = world.error(PROJECT_CREATE, input).await;
    assert!(
        error.starts_with("Free plan resource provision limit exceeded."),
        "{error}"
    );
    world.data(DELETE, json!({ "id": project })).await;
    world.create_project("two").await;
}

#[tokio::test]
async fn a_deleted_project_leaves_the_listing_at_once() {
    let world = World::new().await;
    let (project, _) = world.create_project("gone").await;
    assert_eq!(
        world.data(DELETE, json!({ "id": project })).await["projectDelete"],
        true
    );
    assert!(
        names(&world, json!({ "ws": "team-a", "first": 10 }))
            .await
            .is_empty()
    );
    let all = json!({ "ws": "team-a", "first": 10, "all": true });
    let data = world.data(LIST, all.clone()).await;
    assert!(data["projects"]["edges"][0]["node"]["deletedAt"].is_string());
    assert!(world.data(READ, json!({ "id": project })).await["project"]["deletedAt"].is_string());
    // Fields that cannot be had of a deleted project fail with the rest intact.
    let partial = "query($id: String!) { project(id: $id) { id workspace { id } } }";
    let partial = world.ask(partial, json!({ "id": project })).await;
    assert_eq!(message(&partial), "Project not found");
    assert_eq!(partial["data"]["project"]["id"], json!(project));

    for (setting, answer) in [
        ("not-found", "Project not found"),
        ("not-authorized", "Not Authorized"),
        ("problem", "Problem processing request"),
    ] {
        world.set("railway.secondDelete", setting).await;
        assert_eq!(world.error(DELETE, json!({ "id": project })).await, answer);
    }
    for (setting, answer) in [
        ("not-found", "Project not found"),
        ("not-authorized", "Not Authorized"),
    ] {
        world.set("railway.deletedRead", setting).await;
        assert_eq!(world.error(READ, json!({ "id": project })).await, answer);
    }
    world.set("railway.purgeAfter", "0s").await;
    assert!(names(&world, all).await.is_empty());
}

#[tokio::test]
async fn a_scheduled_deletion_has_a_grace_period() {
    let world = World::with(&[("railway.deleteGrace", "300ms")]).await;
    let (cancelled, _) = world.create_project("cancelled").await;
    let (scheduled, _) = world.create_project("scheduled").await;
    let (forced, _) = world.create_project("forced").await;
    for id in [&cancelled, &scheduled, &forced] {
        let schedule = "mutation($id: String!) { projectScheduleDelete(id: $id) }";
        world.data(schedule, json!({ "id": id })).await;
    }
    let cancel = "mutation($id: String!) { projectScheduleDeleteCancel(id: $id) }";
    world.data(cancel, json!({ "id": cancelled })).await;
    let force = "mutation($id: String!) { projectScheduleDeleteForce(id: $id) }";
    world.data(force, json!({ "id": forced })).await;
    until("the grace period to end", async || {
        let left = names(&world, json!({ "ws": "team-a", "first": 10 })).await;
        (left == ["cancelled"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn projects_by_ids_skips_what_is_not_to_be_had() {
    let world = World::new().await;
    let (mine, environment) = world.create_project("mine").await;
    let order = json!({ "name": "theirs", "workspace": "team-b" });
    let theirs = world.control("POST", "/railway/projects", order).await;
    let ids = json!({ "ids": [mine, theirs["id"], environment, "no-such-project"] });
    let query = "query($ids: [String!]!) { projectsByIds(ids: $ids) { name } }";
    assert_eq!(
        world.data(query, ids).await["projectsByIds"],
        json!([{ "name": "mine" }])
    );
    assert_eq!(
        world.error(READ, json!({ "id": theirs["id"] })).await,
        "Not Authorized"
    );
    assert_eq!(
        world.error(READ, json!({ "id": "nothing" })).await,
        "Project not found"
    );
}

#[tokio::test]
async fn projects_change_their_name_and_description() {
    let world = World::new().await;
    let (project, _) = world.create_project("before").await;
    let update = "mutation($id: String!, $input: ProjectUpdateInput!) \
        { projectUpdate(id: $id, input: $input) { name description } }";
    let input = json!({ "id": project, "input": { "name": "after", "description": null } });
    let data = world.data(update, input).await;
    assert_eq!(
        data["projectUpdate"],
        json!({ "name": "after", "description": null })
    );
}
