//! Homes from Railway's answers.

use super::*;
use serde_json::{Value, json};

fn begun() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn read(project: Value) -> Home {
    home(serde_json::from_value(project).unwrap(), begun())
}

fn nodes(nodes: &[Value]) -> Value {
    let edges: Vec<Value> = nodes.iter().map(|node| json!({ "node": node })).collect();
    json!({ "edges": edges })
}

const MARKER: &str = "yardmaster installation=i-1 namespace=team-a name=ada uid=5f2c slot=project";

fn service_instance(service: &str) -> Value {
    json!({
        "serviceId": service,
        "serviceName": format!("{service}-name"),
        "deletedAt": null,
        "domains": { "serviceDomains": [
            { "id": "d1", "domain": "ada.up.railway.app", "serviceId": service, "deletedAt": null },
            { "id": "d0", "domain": "old.up.railway.app", "serviceId": service, "deletedAt": "2026-11-20T00:00:00Z" },
        ] },
        "latestDeployment": {
            "id": "dep1",
            "status": "SUCCESS",
            "createdAt": "2026-11-21T09:01:00.000Z",
            "meta": { "image": "ghcr.io/acme/agent@sha256:aa", "imageDigest": "sha256:bb", "reason": "deploy" },
        },
    })
}

fn volume_instance(volume: &str) -> Value {
    json!({
        "volumeId": volume,
        "serviceId": "s1",
        "mountPath": "/data",
        "state": "READY",
        "isPendingDeletion": false,
        "deletedAt": null,
    })
}

fn environment(id: &str, services: &[Value], volumes: &[Value]) -> Value {
    json!({
        "id": id,
        "deletedAt": null,
        "configEtag": format!("{id}-tag"),
        "serviceInstances": nodes(services),
        "volumeInstances": nodes(volumes),
    })
}

fn project() -> Value {
    json!({
        "id": "p1",
        "name": "ym-ada",
        "description": MARKER,
        "createdAt": "2026-11-21T09:00:00.000Z",
        "deletedAt": null,
        "primaryEnvironmentId": "e1",
        "environments": nodes(&[environment("e1", &[service_instance("s1")], &[volume_instance("v1")])]),
        "services": nodes(&[json!({ "id": "s1", "name": "s1-name", "deletedAt": null })]),
        "volumes": nodes(&[json!({ "id": "v1" })]),
    })
}

#[test]
fn a_home_whole() {
    let home = read(project());
    assert_eq!(home.id, "p1");
    assert_eq!(
        home.marker.as_ref().map(ToString::to_string).as_deref(),
        Some(MARKER)
    );
    assert_eq!(home.created, "2026-11-21T09:00:00Z".parse().unwrap());
    assert!(!home.deleted);
    assert_eq!(home.environment.as_deref(), Some("e1"));
    assert_eq!(home.configuration_tag.as_deref(), Some("e1-tag"));
    let service = Service {
        id: "s1".into(),
        name: "s1-name".into(),
    };
    assert_eq!(home.services, [service]);
    let volume = Volume {
        id: "v1".into(),
        service: Some("s1".into()),
        mount_path: Some("/data".into()),
    };
    assert_eq!(home.volumes, [volume]);
    let domain = Domain {
        id: "d1".into(),
        service: "s1".into(),
        host: "ada.up.railway.app".into(),
    };
    assert_eq!(home.domains, [domain]);
    let deployment = Deployment {
        id: "dep1".into(),
        service: "s1".into(),
        state: DeploymentState::Running,
        created: "2026-11-21T09:01:00Z".parse().unwrap(),
        image: Some("ghcr.io/acme/agent@sha256:aa".into()),
    };
    assert_eq!(home.deployments, [deployment]);
    assert_eq!(home.begun, begun());
}

#[test]
fn what_no_environment_shows_yet_is_there_all_the_same() {
    let mut fresh = project();
    fresh["environments"] = nodes(&[environment("e1", &[], &[])]);
    let home = read(fresh);
    assert_eq!(home.services.len(), 1);
    let volume = Volume {
        id: "v1".into(),
        service: None,
        mount_path: None,
    };
    assert_eq!(home.volumes, [volume]);
    assert!(home.deployments.is_empty() && home.domains.is_empty());

    let mut fresh = project();
    fresh["environments"] = nodes(&[]);
    assert_eq!(read(fresh).environment.as_deref(), Some("e1"));
}

#[test]
fn what_is_on_its_way_out_is_left_aside() {
    for (key, value) in [
        ("isPendingDeletion", json!(true)),
        ("deletedAt", json!("2026-11-23T10:00:00Z")),
        ("state", json!("DELETED")),
        ("state", json!("DELETING")),
    ] {
        let mut project = project();
        let mut volume = volume_instance("v1");
        volume[key] = value;
        project["environments"] = nodes(&[environment("e1", &[], &[volume])]);
        assert_eq!(read(project).volumes, [], "{key}");
    }
    let mut project = project();
    let mut service = service_instance("s1");
    service["deletedAt"] = json!("2026-11-21T09:30:00Z");
    project["environments"] = nodes(&[environment("e1", &[service], &[])]);
    let home = read(project);
    assert!(home.services.is_empty() && home.domains.is_empty() && home.deployments.is_empty());
}

#[test]
fn other_environments_do_not_count() {
    let mut shared = project();
    shared["environments"] = nodes(&[
        environment("e0", &[service_instance("s0")], &[volume_instance("v0")]),
        environment("e1", &[service_instance("s1")], &[volume_instance("v1")]),
    ]);
    shared["services"] = nodes(&[
        json!({ "id": "s0", "name": "s0-name", "deletedAt": null }),
        json!({ "id": "s1", "name": "s1-name", "deletedAt": null }),
    ]);
    shared["volumes"] = nodes(&[json!({ "id": "v0" }), json!({ "id": "v1" })]);
    let home = read(shared.clone());
    assert_eq!(home.services.len(), 1);
    assert_eq!(home.services[0].id, "s1");
    assert_eq!(home.volumes.len(), 1);
    shared["primaryEnvironmentId"] = json!(null);
    assert_eq!(read(shared).environment.as_deref(), Some("e0"));
}

#[test]
fn what_railway_adds_or_breaks_never_fails_a_reading() {
    let mut strange = project();
    strange["createdAt"] = json!("yesterday");
    strange["description"] = json!(null);
    strange["novelty"] = json!({ "a": 1 });
    let mut service = service_instance("s1");
    service["latestDeployment"]["status"] = json!("HIBERNATING");
    service["latestDeployment"]["meta"] = json!(["odd"]);
    let mut volume = volume_instance("v1");
    volume["state"] = json!("LEVITATING");
    strange["environments"] = nodes(&[environment("e1", &[service], &[volume])]);
    let home = read(strange);
    assert_eq!(home.created, begun(), "what has no age is young");
    assert_eq!(home.marker, None);
    assert_eq!(
        home.deployments[0].state,
        DeploymentState::Other("HIBERNATING".into())
    );
    assert_eq!(home.deployments[0].image, None);
    assert_eq!(home.volumes.len(), 1);
}

#[test]
fn a_deleted_project_is_marked() {
    let mut deleted = project();
    deleted["deletedAt"] = json!("2026-11-21T09:30:00Z");
    assert!(read(deleted).deleted);
}

#[test]
fn the_image_that_really_runs() {
    for (configured, resolved, wanted) in [
        (
            Some("r.io/a/b@sha256:1"),
            Some("sha256:2"),
            Some("r.io/a/b@sha256:1"),
        ),
        (
            Some("r.io/a/b:1.4"),
            Some("sha256:2"),
            Some("r.io/a/b@sha256:2"),
        ),
        (
            Some("r.io:5000/a/b"),
            Some("sha256:2"),
            Some("r.io:5000/a/b@sha256:2"),
        ),
        (
            Some("r.io:5000/a/b:1"),
            Some("sha256:2"),
            Some("r.io:5000/a/b@sha256:2"),
        ),
        (Some("agent:1"), Some("sha256:2"), Some("agent@sha256:2")),
        (
            Some("r.io/a/b:1.4"),
            Some("r.io/a/b@sha256:2"),
            Some("r.io/a/b@sha256:2"),
        ),
        (Some("r.io/a/b:1.4"), None, Some("r.io/a/b:1.4")),
        (None, Some("sha256:2"), Some("sha256:2")),
        (Some(""), Some(""), None),
        (None, None, None),
    ] {
        let meta = DeploymentMeta {
            image: configured.map(str::to_owned),
            digest: resolved.map(str::to_owned),
        };
        assert_eq!(image(&meta).as_deref(), wanted, "{meta:?}");
    }
}
