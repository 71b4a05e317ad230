//! Taking over what runs already: nothing outside changes by it, what is not the agent's own survives everything, and
//! of two nobody takes the same.
//!
//! Crashes, lost and late answers at every effect of these stories are tried with all others (`story::adoptions`).

use super::provider::{Change, Project, Settings};
use super::scene::{Scene, second, start};
use super::story;
use crate::api::condition::{kind, reason};
use crate::api::instance::{
    Adopt, DeletionPolicy, OnExternalDeletion, OperatingMode, UpdatePolicy,
};
use crate::api::{Slot, SlotState};
use crate::engine::ledger::entry;
use crate::engine::world::RolloutTurn;
use crate::model::{InstallationId, Marker};
use jiff::SignedDuration;
use std::collections::BTreeMap;

/// An agent that runs for long: a service with a disk, an address and variables of its own. Where the project is shared,
/// a database lives beside it.
pub fn adopting(ownership: &str, policy: UpdatePolicy) -> Scene {
    let mut scene = Scene::new();
    let at = start() - SignedDuration::from_hours(1);
    let mut make = |change| scene.provider.apply(at, change).unwrap();
    let project = make(Change::Project {
        name: "assistant-prod-x1".into(),
        description: String::new(),
    });
    let mut names = vec!["assistant-prod-x1"];
    if ownership == "Shared" {
        names.insert(0, "postgres");
    }
    let mut agent = String::new();
    for name in names {
        let (project, service) = (
            project.clone(),
            make(Change::Service {
                project: project.clone(),
                name: name.into(),
            }),
        );
        make(Change::Volume {
            project: project.clone(),
            service: service.clone(),
            mount: "/data".into(),
        });
        make(Change::Domain {
            service: service.clone(),
        });
        let variables = BTreeMap::from([("INSTANCE_ID".to_owned(), name.to_owned())]);
        let image = format!("ghcr.io/acme/{name}@sha256:0");
        make(Change::Configure {
            project,
            service: service.clone(),
            wanted: Settings { image, variables },
            retired: Vec::new(),
        });
        agent = service;
    }
    scene.provider.counts.clear();
    let adopt: Adopt = serde_json::from_value(serde_json::json!({
        "projectId": project, "serviceId": agent, "environmentId": format!("{project}/env"), "ownership": ownership,
    }))
    .unwrap();
    if let Some(object) = &mut scene.object {
        object.spec.adopt = Some(adopt);
        object.spec.update_policy = policy;
    }
    scene
}

fn manual(ownership: &str) -> Scene {
    adopting(ownership, UpdatePolicy::Manual)
}

/// The outside as it is, to the last tag.
fn outside(scene: &Scene) -> String {
    format!("{:?}", scene.provider.projects)
}

/// What lives beside the agent, and the project itself.
fn others(project: &Project) -> String {
    let lives = |service: &str| {
        project
            .services
            .iter()
            .any(|one| one.id == service && one.name == "postgres")
    };
    let settings: Vec<_> = project
        .settings
        .iter()
        .filter(|(service, _)| lives(service))
        .collect();
    let volumes: Vec<_> = project
        .attached
        .iter()
        .filter(|(id, (service, _))| lives(service) && project.volumes.contains(id))
        .collect();
    let domains: Vec<_> = project
        .domains
        .iter()
        .filter(|one| lives(&one.service))
        .collect();
    let deployments: Vec<_> = project
        .deployments
        .iter()
        .filter(|one| lives(&one.service))
        .collect();
    format!(
        "{} {} {settings:?} {volumes:?} {domains:?} {deployments:?}",
        project.id, project.deleted
    )
}

fn tell(scene: &Scene) -> String {
    format!("{:?}\n{:?}\n{}", scene.log, scene.told, scene.portrait())
}

#[test]
fn adopting_changes_nothing_outside_and_the_agent_is_ready() {
    for ownership in ["Dedicated", "Shared"] {
        for slow in [false, true] {
            let mut scene = manual(ownership);
            if slow {
                scene = scene.slow();
            }
            // The template would have no disk, the agent has one; and the other way round.
            let before = outside(&scene);
            scene.settle();
            let told = tell(&scene);
            assert_eq!(outside(&scene), before, "{told}");
            assert!(
                scene.is(kind::READY) && scene.is(kind::PROJECT_READY),
                "{told}"
            );
            assert_eq!(
                scene.reason(kind::TEMPLATE_SYNCED),
                Some(reason::OUTDATED_MANUAL),
                "{told}"
            );
            let status = scene
                .object
                .as_ref()
                .and_then(|object| object.status.clone())
                .unwrap();
            assert_eq!(status.template_revision.as_deref(), None, "{told}");
            assert_eq!(
                status.image.map(|image| image.digest).as_deref(),
                Some("sha256:0"),
                "{told}"
            );
            for slot in [
                Slot::Project,
                Slot::Environment,
                Slot::Service,
                Slot::Volume,
                Slot::Domain,
                Slot::Configuration,
            ] {
                assert!(
                    entry(
                        &scene.object.as_ref().unwrap().status.clone().unwrap(),
                        slot
                    )
                    .is_some_and(|one| one.state == SlotState::Exists && one.id.is_some()),
                    "{slot}: {told}"
                );
            }
            let adopted = scene
                .told
                .iter()
                .filter(|one| one.reason == reason::ADOPTED)
                .count();
            assert_eq!(adopted, 1, "{told}");
            let writes = ["Hold", "MintToken", "Persist"].map(|word| scene.effects(word));
            assert!(writes.iter().sum::<usize>() <= 6, "{told}");
        }
    }
}

#[test]
fn a_template_with_a_disk_makes_none_before_its_revision_is_taken() {
    let mut scene = manual("Dedicated").with_volume();
    let now = scene.now;
    scene.provider.meddle(now - second(1), |projects| {
        for home in projects {
            home.volumes.clear();
            home.attached.clear();
        }
    });
    let before = outside(&scene);
    scene.settle();
    assert!(scene.is(kind::READY), "{}", tell(&scene));
    assert_eq!(outside(&scene), before, "{}", tell(&scene));
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Automatic);
    scene.settle();
    let made = [
        "volume",
        "configure",
        "deployment",
        "project",
        "service",
        "domain",
        "delete",
    ]
    .map(|what| scene.count(what));
    assert_eq!(made, [1, 1, 1, 0, 0, 0, 0], "{}", tell(&scene));
    assert!(
        scene.is(kind::READY) && scene.is(kind::TEMPLATE_SYNCED),
        "{}",
        tell(&scene)
    );
}

#[test]
fn the_revision_is_taken_in_its_turn_and_the_agents_own_variables_stay() {
    for ownership in ["Dedicated", "Shared"] {
        let mut scene = adopting(ownership, UpdatePolicy::Automatic);
        scene.ready_template().turn = RolloutTurn::Wait;
        let before = outside(&scene);
        scene.settle();
        assert_eq!(outside(&scene), before, "{}", tell(&scene));
        assert_eq!(
            scene.reason(kind::TEMPLATE_SYNCED),
            Some(reason::OUTDATED),
            "{}",
            tell(&scene)
        );
        assert!(scene.is(kind::READY), "{}", tell(&scene));
        let beside = others(&scene.provider.projects[0]);
        scene.ready_template().turn = RolloutTurn::Yes;
        scene.happened();
        scene.settle();
        let told = tell(&scene);
        let made = [
            "configure",
            "deployment",
            "project",
            "service",
            "volume",
            "domain",
            "delete",
        ]
        .map(|what| scene.count(what));
        assert_eq!(made, [1, 1, 0, 0, 0, 0, 0], "{told}");
        assert!(
            scene.is(kind::READY) && scene.is(kind::TEMPLATE_SYNCED),
            "{told}"
        );
        let home = &scene.provider.projects[0];
        assert_eq!(others(home), beside, "{told}");
        let agent = home
            .settings
            .values()
            .find(|one| one.variables.contains_key("MODE"))
            .unwrap();
        assert_eq!(
            agent.variables.get("INSTANCE_ID").map(String::as_str),
            Some("assistant-prod-x1"),
            "{told}"
        );
    }
}

#[test]
fn a_shared_project_and_what_else_lives_in_it_survive_every_story() {
    let mut seen = 0;
    for story in story::adoptions() {
        let before = story.scene.provider.projects[0].clone();
        if before.services.len() < 2 || story.name == "the adopted project was deleted" {
            continue;
        }
        let run = story.told(&[]);
        let home = &run.scene.provider.projects[0];
        let told = format!("{}: {}", story.name, tell(&run.scene));
        assert_eq!(others(home), others(&before), "{told}");
        if story.name.contains("and deleted") {
            assert!(run.scene.object.is_none(), "{told}");
            let left = (home.services.len(), home.volumes.len(), home.domains.len());
            assert_eq!(left, (1, 1, 1), "{told}");
            let says = |one: &&crate::model::Announcement| {
                one.reason == reason::RETAINED && one.note.contains(&home.id)
            };
            assert_eq!(run.scene.told.iter().filter(says).count(), 1, "{told}");
        }
        seen += 1;
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn a_dedicated_project_goes_with_its_agent_and_retain_leaves_everything() {
    for ownership in ["Dedicated", "Shared"] {
        for policy in [DeletionPolicy::Delete, DeletionPolicy::Retain] {
            let mut scene = manual(ownership).rested();
            scene.edit(|object| object.spec.deletion_policy = policy);
            let before = outside(&scene);
            scene.delete();
            scene.settle();
            let told = tell(&scene);
            assert!(scene.object.is_none(), "{told}");
            let project = &scene.provider.projects[0];
            match (ownership, policy) {
                (_, DeletionPolicy::Retain) => assert_eq!(outside(&scene), before, "{told}"),
                ("Dedicated", _) => {
                    assert!(project.deleted && scene.count("delete") == 1, "{told}")
                }
                _ => assert!(!project.deleted && scene.count("delete") == 2, "{told}"),
            }
        }
    }
}

#[test]
fn what_is_not_on_record_in_an_adopted_project_is_never_deleted() {
    for ownership in ["Dedicated", "Shared"] {
        for policy in [UpdatePolicy::Manual, UpdatePolicy::Automatic] {
            for disk in [false, true] {
                let mut scene = adopting(ownership, policy);
                if disk {
                    scene = scene.with_volume();
                }
                let adopt = scene
                    .object
                    .as_ref()
                    .and_then(|object| object.spec.adopt.clone())
                    .unwrap();
                let more = |scene: &mut Scene| {
                    let (at, project, service) = (
                        scene.now,
                        adopt.project_id.0.clone(),
                        adopt.service_id.0.clone(),
                    );
                    scene
                        .provider
                        .apply(
                            at,
                            Change::Domain {
                                service: service.clone(),
                            },
                        )
                        .unwrap();
                    scene
                        .provider
                        .apply(
                            at,
                            Change::Volume {
                                project: project.clone(),
                                service: service.clone(),
                                mount: "/data".into(),
                            },
                        )
                        .unwrap();
                    let elsewhere = scene
                        .provider
                        .apply(
                            at,
                            Change::Volume {
                                project,
                                service,
                                mount: "/data".into(),
                            },
                        )
                        .unwrap();
                    scene.provider.meddle(at, |all| {
                        let there = ("elsewhere".to_owned(), "/data".to_owned());
                        all[0].attached.insert(elsewhere, there);
                    });
                };
                more(&mut scene);
                scene.settle();
                more(&mut scene);
                scene.happened();
                scene.settle();
                scene.revise("2");
                scene.settle();
                scene.restart();
                scene.settle();
                let told = tell(&scene);
                assert!(scene.is(kind::READY), "{told}");
                assert_eq!(
                    (
                        scene.count("delete"),
                        scene.count("domain"),
                        scene.count("volume")
                    ),
                    (0, 2, 4),
                    "{told}"
                );
            }
        }
    }
}

#[test]
fn what_bears_our_own_marker_is_not_deleted_as_one_too_many() {
    let mut scene = manual("Shared").rested();
    let marker = Marker {
        installation: InstallationId("i-1".into()),
        namespace: "team-a".into(),
        name: "ada".into(),
        uid: "5f2c".into(),
        slot: Slot::Project,
    };
    let at = scene.now;
    let description = marker.to_string();
    scene
        .provider
        .apply(
            at,
            Change::Project {
                name: "copied".into(),
                description,
            },
        )
        .unwrap();
    scene.happened();
    scene.settle();
    scene.delete();
    scene.settle();
    assert!(
        scene.object.is_none() && scene.provider.projects.iter().all(|home| !home.deleted),
        "{}",
        tell(&scene)
    );
}

#[test]
fn what_cannot_be_taken_over_is_told_and_left_alone() {
    let change = |with: fn(&mut Adopt)| {
        move |scene: &mut Scene| {
            scene.edit(|object| with(object.spec.adopt.as_mut().unwrap()));
        }
    };
    let describe = |installation: &'static str| {
        move |scene: &mut Scene| {
            let marker = Marker {
                installation: InstallationId(installation.into()),
                namespace: "team-b".into(),
                name: "bob".into(),
                uid: "77".into(),
                slot: Slot::Project,
            };
            let at = scene.now - second(1);
            scene
                .provider
                .meddle(at, |all| all[0].description = marker.to_string());
        }
    };
    type Spoil = Box<dyn Fn(&mut Scene)>;
    let cases: Vec<(&str, Spoil, &str)> = vec![
        (
            "Dedicated",
            Box::new(change(|adopt| adopt.project_id.0 = "nope".into())),
            "nope is not in the workspace",
        ),
        (
            "Dedicated",
            Box::new(change(|adopt| adopt.service_id.0 = "nope".into())),
            "service nope is not in project",
        ),
        (
            "Dedicated",
            Box::new(change(|adopt| adopt.environment_id.0 = "nope".into())),
            "environment nope is not",
        ),
        (
            "Shared",
            Box::new(change(|adopt| {
                adopt.ownership = crate::api::instance::Ownership::Dedicated
            })),
            "1 other services, which",
        ),
        (
            "Dedicated",
            Box::new(describe("i-1")),
            "that of another AgentInstance",
        ),
        (
            "Shared",
            Box::new(describe("i-9")),
            "that of another AgentInstance",
        ),
        (
            "Dedicated",
            Box::new(|scene| scene.adopted_by = Some("team-a/eve".into())),
            "already adopted by team-a/eve",
        ),
    ];
    for (ownership, spoil, says) in cases {
        let mut scene = adopting(ownership, UpdatePolicy::Automatic);
        spoil(&mut scene);
        let before = outside(&scene);
        scene.settle();
        scene.run_for(SignedDuration::from_mins(20));
        let told = tell(&scene);
        assert_eq!(
            scene.reason(kind::STALLED),
            Some(reason::ADOPTION_FAILED),
            "{says}: {told}"
        );
        assert!(
            scene.message(kind::STALLED).contains(says),
            "{says}: {told}"
        );
        assert!(scene.effects("Look") <= 6, "{says}: {told}");
        scene.delete();
        scene.settle();
        assert!(scene.object.is_none(), "{says}: {told}");
        assert_eq!(outside(&scene), before, "{says}: {told}");
    }
}

#[test]
fn one_that_loses_to_another_takes_over_when_that_is_gone() {
    let mut scene = manual("Dedicated");
    scene.adopted_by = Some("team-a/eve".into());
    scene.settle();
    assert!(!scene.is(kind::READY), "{}", tell(&scene));
    scene.adopted_by = None;
    scene.run_for(second(60));
    assert!(scene.is(kind::READY), "{}", tell(&scene));
}

#[test]
fn what_was_adopted_and_is_gone_is_told_and_never_made_again() {
    for name in [
        "the adopted project was deleted",
        "the adopted service was deleted",
    ] {
        for wish in [None, Some(OnExternalDeletion::Recreate)] {
            let mut story = story::adoptions()
                .into_iter()
                .find(|story| story.name == name)
                .expect(name);
            story
                .scene
                .edit(|object| object.spec.on_external_deletion = wish);
            let run = story.told(&[]);
            let told = format!("{name}: {}", tell(&run.scene));
            assert_eq!(
                run.scene.reason(kind::STALLED),
                Some(reason::DELETED_EXTERNALLY),
                "{told}"
            );
            assert!(run.scene.provider.counts.is_empty(), "{told}");
        }
    }
}

#[test]
fn one_that_is_not_deployed_is_not_begun_by_adopting_it() {
    let removed = |scene: &mut Scene| {
        let at = scene.now - second(1);
        scene.provider.meddle(at, |all| {
            all[0]
                .deployments
                .iter_mut()
                .for_each(|one| one.removed = true)
        });
    };
    let never = |scene: &mut Scene| {
        let at = scene.now - second(1);
        scene.provider.meddle(at, |all| all[0].deployments.clear());
    };
    let ways: [fn(&mut Scene); 2] = [removed, never];
    for way in ways {
        let mut scene = manual("Dedicated");
        way(&mut scene);
        let before = outside(&scene);
        scene.settle();
        scene.run_for(SignedDuration::from_mins(5));
        assert_eq!(
            scene.reason(kind::STALLED),
            Some(reason::NOT_DEPLOYED),
            "{}",
            tell(&scene)
        );
        assert_eq!(outside(&scene), before, "{}", tell(&scene));
        scene.edit(|object| object.spec.update_policy = UpdatePolicy::Automatic);
        scene.settle();
        assert!(
            scene.is(kind::READY) && scene.count("deployment") == 1,
            "{}",
            tell(&scene)
        );
    }
}

#[test]
fn suspended_and_resumed_it_runs_what_it_ran() {
    let mut scene = manual("Shared").rested();
    let settings = format!("{:?}", scene.provider.projects[0].settings);
    scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
    scene.settle();
    assert!(scene.is(kind::SUSPENDED), "{}", tell(&scene));
    scene.edit(|object| object.spec.operating_mode = OperatingMode::Running);
    scene.settle();
    assert!(scene.is(kind::READY), "{}", tell(&scene));
    assert_eq!(
        format!("{:?}", scene.provider.projects[0].settings),
        settings
    );
    let done = ["stop", "deployment", "configure", "delete"].map(|what| scene.count(what));
    assert_eq!(done, [1, 1, 0, 0], "{}", tell(&scene));
}

#[test]
fn one_that_is_adopted_suspended_is_ended_and_kept() {
    let mut scene = manual("Dedicated");
    scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
    scene.settle();
    assert!(scene.is(kind::SUSPENDED), "{}", tell(&scene));
    assert_eq!(
        ["stop", "delete", "configure"].map(|what| scene.count(what)),
        [1, 0, 0],
        "{}",
        tell(&scene)
    );
}

#[test]
fn what_its_makers_deploy_meanwhile_is_followed_and_not_set_back() {
    let mut scene = manual("Dedicated").rested();
    let adopt = scene
        .object
        .as_ref()
        .and_then(|object| object.spec.adopt.clone())
        .unwrap();
    let at = scene.now;
    let wanted = Settings {
        image: "ghcr.io/acme/agent@sha256:7".into(),
        variables: BTreeMap::new(),
    };
    scene
        .provider
        .apply(
            at,
            Change::Configure {
                project: adopt.project_id.0,
                service: adopt.service_id.0,
                wanted,
                retired: Vec::new(),
            },
        )
        .unwrap();
    let after = outside(&scene);
    scene.happened();
    scene.settle();
    assert!(scene.is(kind::READY), "{}", tell(&scene));
    assert_eq!(outside(&scene), after, "{}", tell(&scene));
    let status = scene.object.and_then(|object| object.status).unwrap();
    assert_eq!(
        status.image.map(|image| image.digest).as_deref(),
        Some("sha256:7")
    );
}

#[test]
fn one_without_an_address_gets_one() {
    let mut scene = manual("Dedicated");
    let at = scene.now - second(1);
    scene.provider.meddle(at, |all| all[0].domains.clear());
    scene.settle();
    assert!(scene.is(kind::READY), "{}", tell(&scene));
    let made = ["domain", "configure", "deployment", "delete"].map(|what| scene.count(what));
    assert_eq!(made, [1, 0, 0, 0], "{}", tell(&scene));
}

#[test]
fn a_volume_whose_making_was_never_answered_goes_too() {
    use super::scene::Trouble;
    let mut seen = 0;
    for slow in [false, true] {
        let mut scene = adopting("Shared", UpdatePolicy::Automatic).with_volume();
        if slow {
            scene = scene.slow();
        }
        let at = scene.now - second(1);
        scene.provider.meddle(at, |all| {
            let own = all[0].volumes.pop().unwrap();
            all[0].attached.remove(&own);
        });
        let mut whole = scene.clone();
        whole.settle();
        let made = whole.log.iter().position(|word| *word == "CreateVolume");
        let made = made.unwrap_or_else(|| panic!("{}", tell(&whole)));
        for trouble in [
            Trouble::Lost,
            Trouble::Vanished,
            Trouble::CrashAfter,
            Trouble::CrashBefore,
            Trouble::Late(second(10)),
        ] {
            let mut scene = scene.clone();
            scene.trouble.insert(made, trouble.clone());
            scene.events.insert(made + 1, Scene::delete);
            scene.settle();
            let told = format!("{trouble:?}: {}", tell(&scene));
            assert!(scene.object.is_none(), "{told}");
            let home = &scene.provider.projects[0];
            let left = (home.deleted, home.services.len(), home.volumes.len());
            assert_eq!(left, (false, 1, 1), "{told}");
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
}
