//! Services, volumes, domains and the one big patch.

use serde_json::{Value, json};

use super::client::{Built, DOMAIN_CREATE, SERVICE_CREATE, World, agent, text};

const CONFIG: &str = "query($id: String!) { environment(id: $id) { config(decryptVariables: true) configEtag \
    serviceInstances { edges { node { serviceId serviceName startCommand sleepApplication restartPolicyType \
    restartPolicyMaxRetries source { image } domains { serviceDomains { domain targetPort } } } } } \
    volumeInstances { edges { node { volumeId serviceId mountPath sizeMB state isPendingDeletion deletedAt } } } } }";
const VOLUME_CREATE: &str =
    "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id name projectId } }";

async fn environment(world: &World, built: &Built) -> Value {
    world.data(CONFIG, json!({ "id": built.environment })).await["environment"].take()
}

#[tokio::test]
async fn service_names_are_unique_in_a_project() {
    let world = World::new().await;
    let built = world.build("p").await;
    let input = json!({ "input": { "projectId": built.project, "name": "agent" } });
    let error = world.error(SERVICE_CREATE, input).await;
    assert_eq!(
        error,
        "A service named \"agent\" already exists in this project"
    );
    world.build("another").await;
}

#[tokio::test]
async fn a_service_with_an_image_deploys_at_once() {
    let world = World::new().await;
    let (project, environment) = world.create_project("p").await;
    let input = json!({ "projectId": project, "environmentId": environment, "name": "web",
        "source": { "image": "ghcr.io/acme/agent:1" }, "variables": { "A": "1" } });
    let data = world.data(SERVICE_CREATE, json!({ "input": input })).await;
    let service = text(&data["serviceCreate"]["id"]);
    let built = Built {
        project,
        environment,
        service,
        domain: String::new(),
    };
    assert_eq!(world.statuses(&built).await, ["SUCCESS"]);
    let bare = world.build("bare").await;
    assert!(
        world.statuses(&bare).await.is_empty(),
        "without an image nothing deploys"
    );
}

#[tokio::test]
async fn a_patch_deploys_once_and_a_second_one_not_at_all() {
    let world = World::new().await;
    let built = world.build("p").await;
    let before = environment(&world, &built).await;
    let service = json!({
        "source": { "image": "ghcr.io/acme/agent:1.4" },
        "deploy": { "startCommand": "run", "sleepApplication": false, "restartPolicyType": "NEVER",
            "restartPolicyMaxRetries": 3, "healthcheckPath": null,
            "limitOverride": { "containers": { "cpu": 4, "memoryBytes": 4_000_000_000_i64 } } },
        "variables": { "A": { "value": "1" }, "B": { "value": "2" } },
    });
    assert!(!world.patch(&built, service.clone()).await.is_empty());
    let after = environment(&world, &built).await;
    assert_ne!(before["configEtag"], after["configEtag"]);
    let instance = &after["serviceInstances"]["edges"][0]["node"];
    assert_eq!(instance["source"]["image"], "ghcr.io/acme/agent:1.4");
    assert_eq!(instance["startCommand"], "run");
    assert_eq!(instance["restartPolicyType"], "NEVER");
    assert_eq!(instance["restartPolicyMaxRetries"], 3);
    assert_eq!(
        after["config"]["services"][&built.service]["variables"]["A"]["value"],
        "1"
    );
    let deployments = world.deployments(&built).await;
    assert_eq!(deployments.len(), 1);
    assert_eq!(deployments[0]["meta"]["image"], "ghcr.io/acme/agent:1.4");
    assert!(text(&deployments[0]["meta"]["imageDigest"]).starts_with("sha256:"));

    world.patch(&built, service).await;
    world
        .patch(
            &built,
            json!({ "deploy": { "cronSchedule": null }, "variables": { "C": null } }),
        )
        .await;
    assert_eq!(world.deployments(&built).await.len(), 1, "nothing changed");
    assert_eq!(
        environment(&world, &built).await["configEtag"],
        after["configEtag"]
    );

    world
        .patch(
            &built,
            json!({ "variables": { "A": null }, "deploy": { "startCommand": null } }),
        )
        .await;
    assert_eq!(world.statuses(&built).await, ["SUCCESS", "REMOVED"]);
    let now = environment(&world, &built).await;
    assert_eq!(
        now["serviceInstances"]["edges"][0]["node"]["startCommand"],
        Value::Null
    );
    assert_eq!(
        now["config"]["services"][&built.service]["variables"],
        json!({ "B": { "value": "2" } })
    );
}

#[tokio::test]
async fn a_patch_drops_services_that_are_not_there() {
    let world = World::new().await;
    let built = world.build("p").await;
    let before = environment(&world, &built).await;
    let stranger = Built {
        service: "0000".to_owned(),
        ..built.clone()
    };
    world.patch(&stranger, agent("ghcr.io/acme/agent:1")).await;
    assert_eq!(
        environment(&world, &built).await["configEtag"],
        before["configEtag"]
    );
}

#[tokio::test]
async fn a_patch_may_take_time() {
    let world = World::with(&[("railway.applyDelay", "300ms")]).await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    assert!(world.deployments(&built).await.is_empty());
    let query = "query($id: String!) { environmentPatches(environmentId: $id, first: 1) \
        { edges { node { status appliedAt lastAppliedError } } } }";
    let patches = world.data(query, json!({ "id": built.environment })).await;
    assert_eq!(
        patches["environmentPatches"]["edges"][0]["node"]["status"],
        "APPLYING"
    );
    super::client::until("the patch to be applied", async || {
        (world.statuses(&built).await == ["SUCCESS"]).then_some(())
    })
    .await;
    let patches = world.data(query, json!({ "id": built.environment })).await;
    assert_eq!(
        patches["environmentPatches"]["edges"][0]["node"]["status"],
        "COMMITTED"
    );
}

#[tokio::test]
async fn a_volume_needs_an_environment_and_comes_before_the_deployment() {
    let world = World::new().await;
    let built = world.build("p").await;
    let input = json!({ "projectId": built.project, "mountPath": "/data" });
    world.data(VOLUME_CREATE, json!({ "input": input })).await;
    let none = environment(&world, &built).await;
    assert_eq!(
        none["volumeInstances"]["edges"],
        json!([]),
        "a ghost has no instance"
    );
    let input = json!({ "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "mountPath": "/data" });
    let data = world.data(VOLUME_CREATE, json!({ "input": input })).await;
    let volume = text(&data["volumeCreate"]["id"]);
    let node = &environment(&world, &built).await["volumeInstances"]["edges"][0]["node"];
    assert_eq!(node["mountPath"], "/data");
    assert_eq!(node["serviceId"], json!(built.service));
    assert_eq!(node["sizeMB"], 50_000);
    let patch = json!({ "id": built.environment, "patch": {
        "volumes": { &volume: { "sizeMB": 5_000 } },
        "services": { &built.service: agent("ghcr.io/acme/agent:1") },
    } });
    world.data(super::client::PATCH, patch).await;
    let node = &environment(&world, &built).await["volumeInstances"]["edges"][0]["node"];
    assert_eq!(node["sizeMB"], 5_000);
    assert_eq!(world.statuses(&built).await, ["SUCCESS"]);
    let error = world.error(VOLUME_CREATE, json!({ "input": input })).await;
    assert_eq!(error, "Problem processing request");

    let delete = "mutation($id: String!) { volumeDelete(volumeId: $id) }";
    world.data(delete, json!({ "id": volume })).await;
    let node = &environment(&world, &built).await["volumeInstances"]["edges"][0]["node"];
    assert_eq!(node["isPendingDeletion"], true);
    assert!(node["deletedAt"].is_string());
    assert_eq!(node["serviceId"], Value::Null);
}

#[tokio::test]
async fn volumes_are_throttled_in_their_own_words() {
    let world = World::with(&[("railway.volumeInterval", "30s")]).await;
    let built = world.build("p").await;
    let input = json!({ "input": { "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "mountPath": "/data" } });
    world.data(VOLUME_CREATE, input.clone()).await;
    let error = world.error(VOLUME_CREATE, input).await;
    assert_eq!(
        error,
        "Whoa there pal! You are creating volumes too quickly. Try again in a sec"
    );
}

#[tokio::test]
async fn two_volumes_at_one_path_cannot_be_deployed() {
    let world = World::new().await;
    let built = world.build("p").await;
    let input = json!({ "input": { "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "mountPath": "/data" } });
    world.data(VOLUME_CREATE, input.clone()).await;
    world.data(VOLUME_CREATE, input).await;
    world.patch(&built, agent("ghcr.io/acme/agent:1")).await;
    assert_eq!(world.statuses(&built).await, ["FAILED"]);
}

#[tokio::test]
async fn a_second_domain_is_refused_shared_or_made() {
    let world = World::new().await;
    let built = world.build("p").await;
    assert!(
        built.domain.ends_with(".up.railway.app"),
        "{}",
        built.domain
    );
    let input =
        json!({ "input": { "environmentId": built.environment, "serviceId": built.service } });
    let error = world.error(DOMAIN_CREATE, input.clone()).await;
    assert!(error.contains("already exists"), "{error}");
    world.set("railway.secondDomain", "same").await;
    let data = world.data(DOMAIN_CREATE, input.clone()).await;
    assert_eq!(data["serviceDomainCreate"]["domain"], json!(built.domain));
    world.set("railway.secondDomain", "another").await;
    let data = world.data(DOMAIN_CREATE, input).await;
    let another = &data["serviceDomainCreate"];
    assert_ne!(another["domain"], json!(built.domain));
    let delete = "mutation($id: String!) { serviceDomainDelete(id: $id) }";
    world.data(delete, json!({ "id": another["id"] })).await;
    let query = "query($p: String!, $e: String!, $s: String!) \
        { domains(projectId: $p, environmentId: $e, serviceId: $s) { serviceDomains { domain } } }";
    let variables = json!({ "p": built.project, "e": built.environment, "s": built.service });
    let data = world.data(query, variables).await;
    assert_eq!(
        data["domains"]["serviceDomains"],
        json!([{ "domain": built.domain }])
    );
}

#[tokio::test]
async fn variables_deploy_unless_told_not_to() {
    let world = World::new().await;
    let built = world.deploy("p", "ghcr.io/acme/agent:1").await;
    let upsert = "mutation($input: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $input) }";
    let mut input = json!({ "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "variables": { "X": "1", "Y": "${{X}}2" }, "skipDeploys": true });
    world.data(upsert, json!({ "input": input })).await;
    assert_eq!(world.deployments(&built).await.len(), 1);
    input["skipDeploys"] = json!(false);
    input["variables"] = json!({ "X": "1" });
    world.data(upsert, json!({ "input": input })).await;
    assert_eq!(world.deployments(&built).await.len(), 2);
    let query = "query($p: String!, $e: String!, $s: String!) \
        { variables(projectId: $p, environmentId: $e, serviceId: $s) }";
    let whose = json!({ "p": built.project, "e": built.environment, "s": built.service });
    let data = world.data(query, whose.clone()).await;
    assert_eq!(data["variables"]["Y"], "12");
    assert_eq!(
        data["variables"]["RAILWAY_PUBLIC_DOMAIN"],
        json!(built.domain)
    );
    input["replace"] = json!(true);
    world.data(upsert, json!({ "input": input })).await;
    let data = world.data(query, whose).await;
    assert_eq!(data["variables"]["Y"], Value::Null);
    let delete = "mutation($input: VariableDeleteInput!) { variableDelete(input: $input) }";
    let input = json!({ "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "name": "X" });
    world.data(delete, json!({ "input": input })).await;
    assert_eq!(world.deployments(&built).await.len(), 4);
}

#[tokio::test]
async fn a_failing_alias_hides_the_ones_that_worked() {
    let world = World::new().await;
    let (project, environment) = world.create_project("p").await;
    let batch = "mutation($a: ServiceCreateInput!, $b: ServiceCreateInput!) \
        { first: serviceCreate(input: $a) { id } second: serviceCreate(input: $b) { id } }";
    let input = json!({ "projectId": project, "environmentId": environment, "name": "same" });
    let answer = world.ask(batch, json!({ "a": input, "b": input })).await;
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["path"], json!(["second"]));
    let query = "query($id: String!) { project(id: $id) { services { edges { node { name } } } } }";
    let data = world.data(query, json!({ "id": project })).await;
    assert_eq!(
        data["project"]["services"]["edges"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
