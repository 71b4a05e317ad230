//! The control API: inventory, settings, journal, and the outside world played by hand.

use serde_json::{Value, json};

use super::client::{Built, LIST, World, agent, text};

async fn inventory(world: &World) -> Value {
    world.control("GET", "/inventory", Value::Null).await
}

#[tokio::test]
async fn the_inventory_shows_what_lives_and_what_it_costs() {
    let world = World::new().await;
    let empty = inventory(&world).await;
    assert_eq!(
        (&empty["count"], &empty["monthlyUSD"]),
        (&json!(0), &json!(0.0))
    );
    let built = world.build("p").await;
    let create = "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id } }";
    let input = json!({ "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "mountPath": "/data" });
    world.data(create, json!({ "input": input })).await;
    let mut config = agent("ghcr.io/acme/agent:1");
    let limits = json!({ "containers": { "cpu": 4, "memoryBytes": 4_000_000_000_i64 } });
    config["deploy"] = json!({ "limitOverride": limits });
    world.patch(&built, config).await;
    let now = inventory(&world).await;
    let counts = json!({ "railway/project": 1, "railway/service": 1, "railway/volume": 1,
        "railway/domain": 1, "railway/deployment": 1 });
    assert_eq!(now["counts"], counts);
    assert_eq!(now["count"], 5);
    // 4 vCPU at 20, 4 GB at 10, 50 GB of volume at 0.15.
    assert_eq!(now["monthlyUSD"], 127.5);
    let project = &now["resources"][0];
    assert_eq!(project["kind"], "project");
    assert_eq!(project["description"], "marker of p");
    assert_eq!(project["workspace"], "team-a");
    world
        .data(
            "mutation($id: String!) { projectDelete(id: $id) }",
            json!({ "id": built.project }),
        )
        .await;
    assert_eq!(inventory(&world).await["count"], 0);
}

#[tokio::test]
async fn settings_are_read_and_set() {
    let world = World::new().await;
    let set = json!({ "railway.readLag": "1500ms", "railway.maxProjects": 3, "railway.down@team-b": true });
    let all = world.control("PUT", "/settings", set).await;
    assert_eq!(all["railway.readLag"], "1s 500ms");
    assert_eq!(
        (&all["railway.maxProjects"], &all["railway.down@team-b"]),
        (&json!("3"), &json!("true"))
    );
    // What is read can be set again.
    world.control("PUT", "/settings", all.clone()).await;
    assert_eq!(world.control("GET", "/settings", Value::Null).await, all);
    let wrong = json!({ "railway.readLag": "0s", "railway.nope": "1" });
    let (status, answer) = world.try_control("PUT", "/settings", wrong).await;
    assert_eq!(status, 400);
    assert!(text(&answer["error"]).contains("known settings: railway.plan"));
    assert_eq!(
        world.control("GET", "/settings", Value::Null).await,
        all,
        "all or nothing"
    );
}

#[test]
fn the_readme_lists_every_setting() {
    let readme = include_str!("../../README.md");
    for row in simulator::settings::TABLE {
        let line = format!("| `{}` | `{}` | {} |", row.key, row.default, row.meaning);
        assert!(readme.contains(&line), "README.md lacks\n{line}");
    }
}

#[tokio::test]
async fn people_and_outages_act_behind_the_api() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    let variable = format!("/railway/services/{}/variables/EDITED", built.service);
    world
        .control("PUT", &variable, json!({ "value": "by hand" }))
        .await;
    let config = "query($id: String!) { environment(id: $id) { config(decryptVariables: true) configEtag } }";
    let data = world.data(config, json!({ "id": built.environment })).await;
    let service = &data["environment"]["config"]["services"][&built.service];
    assert_eq!(service["variables"]["EDITED"]["value"], "by hand");
    assert_eq!(world.deployments(&built).await.len(), 1);

    let patch = json!({ "patch": { "source": { "image": "ghcr.io/acme/agent:2" } } });
    world
        .control(
            "PUT",
            &format!("/railway/services/{}/config", built.service),
            patch,
        )
        .await;
    assert_eq!(world.deployments(&built).await.len(), 2);

    let id = text(&world.deployments(&built).await[0]["id"]);
    let status = json!({ "status": "CRASHED" });
    world
        .control("POST", &format!("/railway/deployments/{id}/status"), status)
        .await;
    assert_eq!(world.statuses(&built).await[0], "CRASHED");

    let domains = "query($p: String!, $e: String!, $s: String!) \
        { domains(projectId: $p, environmentId: $e, serviceId: $s) { serviceDomains { id } } }";
    let whose = json!({ "p": built.project, "e": built.environment, "s": built.service });
    let data = world.data(domains, whose).await;
    let id = text(&data["domains"]["serviceDomains"][0]["id"]);
    world
        .control(
            "POST",
            &format!("/railway/domains/{id}/delete"),
            Value::Null,
        )
        .await;
    world
        .control(
            "POST",
            &format!("/railway/services/{}/delete", built.service),
            Value::Null,
        )
        .await;
    assert_eq!(
        inventory(&world).await["counts"],
        json!({ "railway/project": 1 })
    );

    let foreign = json!({ "name": "foreign", "description": "not ours", "workspace": "team-a" });
    let foreign = world.control("POST", "/railway/projects", foreign).await;
    let path = format!("/railway/projects/{}", text(&foreign["id"]));
    world
        .control("PUT", &path, json!({ "description": "changed" }))
        .await;
    world
        .control("POST", &format!("{path}/delete"), Value::Null)
        .await;
    let read = "query($id: String!) { project(id: $id) { description deletedAt } }";
    let data = world.data(read, json!({ "id": foreign["id"] })).await;
    assert_eq!(data["project"]["description"], "changed");
    assert!(data["project"]["deletedAt"].is_string());
    let (status, _) = world
        .try_control("POST", "/railway/projects/nothing/delete", Value::Null)
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_copy_is_an_agent_of_its_own() {
    let world = World::new().await;
    let built = world.build("p").await;
    let create = "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id } }";
    let input = json!({ "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "mountPath": "/data" });
    let data = world.data(create, json!({ "input": input })).await;
    let volume = text(&data["volumeCreate"]["id"]);
    world.patch(&built, agent("ghcr.io/acme/agent:1")).await;

    let path = format!("/railway/projects/{}/copies", built.project);
    let difference = |name: &str| {
        json!({ "name": name, "description": format!("marker of {name}"),
            "services": { "agent": format!("agent-{name}") }, "variables": { "GATEWAY_TOKEN": format!("token of {name}") } })
    };
    let wrong = json!([difference("q"), difference("Not A Name")]);
    assert_eq!(world.try_control("POST", &path, wrong).await.0, 400);
    let wrong = json!([{ "name": "q", "services": { "another": "agent-q" } }]);
    assert_eq!(world.try_control("POST", &path, wrong).await.0, 400);
    assert_eq!(
        inventory(&world).await["counts"]["railway/project"],
        1,
        "all or none"
    );

    let both = json!([difference("q"), difference("r")]);
    let copies = world.control("POST", &path, both).await;
    let counts = json!({ "railway/project": 3, "railway/service": 3, "railway/volume": 3,
        "railway/domain": 3, "railway/deployment": 3 });
    assert_eq!(inventory(&world).await["counts"], counts);
    let config = "query($id: String!) { environment(id: $id) { config(decryptVariables: true) configEtag \
        volumeInstances { edges { node { volumeId serviceId mountPath } } } } }";
    let original = world.data(config, json!({ "id": built.environment })).await;
    for (name, copy) in ["q", "r"].into_iter().zip(copies.as_array().unwrap()) {
        let of = |what: &str| text(&copy[what]);
        let own = Built {
            project: of(&built.project),
            environment: of(&built.environment),
            service: of(&built.service),
            domain: of(&built.domain),
        };
        let data = world.data(config, json!({ "id": own.environment })).await;
        let row = &data["environment"];
        let variables = &row["config"]["services"][&own.service]["variables"];
        assert_eq!(
            variables["GATEWAY_TOKEN"]["value"],
            format!("token of {name}")
        );
        let tag = text(&original["environment"]["configEtag"]);
        assert_eq!(row["configEtag"], of(&tag).as_str());
        let disk = &row["volumeInstances"]["edges"][0]["node"];
        let expected =
            json!({ "volumeId": of(&volume), "serviceId": own.service, "mountPath": "/data" });
        assert_eq!(*disk, expected);

        // It answers to its own token, and is changed without the others.
        let asked = |token: String| {
            let key = ("authorization", format!("Bearer {token}"));
            let url = format!("https://{}/convos/status", own.domain);
            let world = &world;
            async move { world.rest(key, "GET", &url, Value::Null).await.0 }
        };
        assert_eq!(asked(format!("token of {name}")).await, 200);
        assert_eq!(asked("gateway".to_owned()).await, 401);
        let news = json!({ "variables": { "NEW": { "value": "1" } } });
        world.patch(&own, news).await;
        assert_eq!(world.statuses(&own).await, ["SUCCESS", "REMOVED"]);
    }
    let listed = world.data(LIST, json!({ "ws": "team-a" })).await;
    let listed = listed["projects"]["edges"].as_array().unwrap();
    let said: Vec<_> = listed
        .iter()
        .map(|edge| (&edge["node"]["name"], &edge["node"]["description"]))
        .collect();
    let newest_first = [
        (&json!("r"), &json!("marker of r")),
        (&json!("q"), &json!("marker of q")),
        (&json!("p"), &json!("marker of p")),
    ];
    assert_eq!(said, newest_first);
    assert_eq!(world.statuses(&built).await, ["SUCCESS"]);
    let delete = "mutation($id: String!) { projectDelete(id: $id) }";
    world
        .data(delete, json!({ "id": copies[0][&built.project] }))
        .await;
    assert_eq!(inventory(&world).await["counts"]["railway/project"], 2);
}

#[tokio::test]
async fn the_journal_tells_each_exchange() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    world
        .call(&built, "GET", "/pool/health?deep=1", Value::Null)
        .await;
    let journal = world.journal().await;
    let operations: Vec<&str> = journal
        .iter()
        .map(|line| line["operation"].as_str().unwrap())
        .collect();
    let expected = [
        "projectCreate",
        "serviceCreate",
        "serviceDomainCreate",
        "environmentPatchCommit",
        "GET /pool/health",
    ];
    assert_eq!(operations, expected);
    let first = &journal[0];
    assert_eq!(
        (&first["provider"], &first["method"]),
        (&json!("railway"), &json!("POST"))
    );
    assert_eq!(
        (&first["path"], &first["status"]),
        (&json!("/graphql/v2?source=tests"), &json!(200))
    );
    assert_eq!(
        (&first["workspace"], &first["n"]),
        (&json!("team-a"), &json!(1))
    );
    assert!(first["request"]["query"].is_string() && first["response"]["data"].is_object());
    assert!(first.get("fault").is_none());
    assert!(
        !journal
            .iter()
            .any(|line| line.to_string().contains(super::client::TOKEN))
    );
    assert_eq!(journal[4]["path"], "/pool/health?deep=1");
    assert_eq!(journal[4]["workspace"], "team-a");

    let part = world
        .control("GET", "/journal?provider=railway&since=2", Value::Null)
        .await;
    assert_eq!(part["next"], 5);
    assert_eq!(part["lines"].as_array().unwrap().len(), 2);
    let part = world
        .control("GET", "/journal?operation=projectCreate", Value::Null)
        .await;
    assert_eq!(part["lines"].as_array().unwrap().len(), 1);
}
