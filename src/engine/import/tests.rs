//! Tests of `import`.

use super::*;
use crate::model::{InstallationId, Marker, Slot};
use jiff::Timestamp;
use kube::ResourceExt;

fn home(name: &str, services: &[&str]) -> Home {
    let service = |one: &&str| Service {
        id: format!("s-{one}"),
        name: (*one).to_owned(),
    };
    Home {
        environment: Some("env".into()),
        services: services.iter().map(service).collect(),
        ..Home::bare(&format!("p-{name}"), name, None, Timestamp::UNIX_EPOCH)
    }
}

fn options() -> ImportOptions {
    ImportOptions {
        namespace: "agents".into(),
        account: "main".into(),
        template: "assistant".into(),
        ownership: None,
        prefixes: Vec::new(),
    }
}

/// Name, service, whose.
fn told(import: &Import) -> Vec<(String, String, Ownership)> {
    import
        .instances
        .iter()
        .map(|one| {
            let adopt = one.spec.adopt.clone().unwrap();
            (one.name_any(), adopt.service_id.0, adopt.ownership)
        })
        .collect()
}

#[test]
fn names_have_exactly_the_predecessors_shape() {
    for (name, project, service) in [
        ("assistant-prod-V1StGXR8_Z5j", true, true),
        ("assistant-dev-abcdefghijkl", true, true),
        ("assistant-pr-12-abc-efghijkl", true, true),
        ("convos-agent-abcdefghijkl", false, true),
        ("convos-agent-", false, false),
        ("assistant-abcdefghijkl", false, false),
        ("assistant--abcdefghijkl", false, false),
        ("assistant-prod-abcdefghijk", false, false),
        ("assistant-prod", false, false),
        ("assistant-prod-abcdefghijk!", false, false),
        ("my-assistant-prod-abcdefghijkl", false, false),
        ("assistant-prod-abcdéfghijkl", false, false),
        ("convos-pool", false, false),
        ("ym-abcdefghijklmnopqrstuvwxyz", false, false),
    ] {
        assert_eq!(
            (is_project(name), is_service(name)),
            (project, service),
            "{name}"
        );
    }
}

#[test]
fn a_project_of_its_own_is_dedicated_and_one_with_company_is_shared() {
    let homes = [
        home(
            "assistant-prod-abcdefghijkl",
            &["assistant-prod-abcdefghijkl"],
        ),
        home("assistant-dev-abcdefghijkl", &["renamed"]),
        home(
            "assistant-x-abcdefghijkl",
            &["redis", "assistant-x-abcdefghijkl"],
        ),
        home(
            "pool",
            &["manager", "postgres", "convos-agent-a1", "convos-agent-B_2"],
        ),
    ];
    let import = import(&homes, &options());
    let b2 = format!("convos-agent-b-2-{}", short("s-convos-agent-B_2"));
    assert_eq!(
        told(&import),
        [
            (
                "assistant-dev-abcdefghijkl",
                "s-renamed",
                Ownership::Dedicated
            ),
            (
                "assistant-prod-abcdefghijkl",
                "s-assistant-prod-abcdefghijkl",
                Ownership::Dedicated
            ),
            (
                "assistant-x-abcdefghijkl",
                "s-assistant-x-abcdefghijkl",
                Ownership::Shared
            ),
            ("convos-agent-a1", "s-convos-agent-a1", Ownership::Shared),
            (&*b2, "s-convos-agent-B_2", Ownership::Shared),
        ]
        .map(|(name, service, whose)| (name.to_owned(), service.to_owned(), whose))
    );
    assert!(import.skipped.is_empty(), "{:?}", import.skipped);
    for one in &import.instances {
        let manual = crate::api::instance::UpdatePolicy::Manual;
        assert_eq!(one.spec.update_policy, manual);
    }
}

#[test]
fn what_is_left_out_is_left_out_with_its_reason() {
    let mut ours = home("assistant-prod-abcdefghijkl", &["a"]);
    ours.marker = Some(Marker {
        installation: InstallationId("i-1".into()),
        namespace: "n".into(),
        name: "ada".into(),
        uid: "u".into(),
        slot: Slot::Project,
    });
    let mut bare = home("assistant-bare-abcdefghijkl", &["a"]);
    bare.environment = None;
    let homes = [
        ours,
        bare,
        home("website", &["web"]),
        home("assistant-two-abcdefghijkl", &["a", "b"]),
        home("assistant-none-abcdefghijkl", &[]),
    ];
    let import = import(&homes, &options());
    assert!(import.instances.is_empty());
    let why: Vec<&str> = import.skipped.iter().map(|(_, why)| why.as_str()).collect();
    for part in [
        "for n/ada",
        "no environment",
        "neither it",
        "none of its 2 services",
        "none of its 0 services",
    ] {
        assert!(why.iter().any(|why| why.contains(part)), "{part}: {why:?}");
    }
}

#[test]
fn a_dedicated_wish_takes_no_company_and_prefixes_narrow() {
    let homes = [
        home(
            "assistant-dev-abcdefghijkl",
            &["assistant-dev-abcdefghijkl"],
        ),
        home(
            "assistant-x-abcdefghijkl",
            &["redis", "assistant-x-abcdefghijkl"],
        ),
    ];
    let dedicated = ImportOptions {
        ownership: Some(Ownership::Dedicated),
        ..options()
    };
    let import = super::import(&homes, &dedicated);
    assert_eq!(import.instances.len(), 1);
    assert!(import.skipped[0].1.contains("cannot be Dedicated"));
    let narrow = ImportOptions {
        prefixes: vec!["assistant-x-".into()],
        ..options()
    };
    let import = super::import(&homes, &narrow);
    assert_eq!(told(&import)[0].0, "assistant-x-abcdefghijkl");
    assert!(import.skipped[0].1.contains("--name-prefix"));
}

#[test]
fn names_that_differ_in_capitals_stay_two() {
    let homes = [
        home("assistant-prod-abcdefghijkl", &["a"]),
        home("assistant-prod-ABCDEFGHIJKL", &["b"]),
        home("assistant-prod-_bcdefghijk-", &["c"]),
    ];
    let import = import(&homes, &options());
    let mut names: Vec<String> = import.instances.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names.len(), 3);
    for name in &names {
        assert!(
            name.len() <= 63 && name.ends_with(|c: char| c.is_ascii_alphanumeric()),
            "{name}"
        );
    }
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
}
