//! What people are told: conditions with reasons, in every situation that asks something of them; and each news once.

use super::provider::Fate;
use super::scene::{Scene, room, second};
use crate::api::AgentInstance;
use crate::api::condition::{kind, reason};
use crate::api::instance::{MOST_VARIABLES, UpdatePolicy};
use crate::api::text::Span;
use crate::engine::report;
use crate::engine::world::{AccountRoom, AccountView, RolloutTurn, TemplateView};
use crate::model::{Announcement, Answer, Gate, Health, Turn};
use jiff::SignedDuration;

/// The conditions named in `expected` are as told there: `Type=Status Reason`, or `Type` alone where it must be absent.
fn check(name: &str, scene: &Scene, expected: &[&str]) {
    let portrait = scene.portrait();
    for line in expected {
        let found = if line.contains('=') {
            portrait
                .lines()
                .any(|one| one.starts_with(&format!("{line}:")))
        } else {
            !portrait
                .lines()
                .any(|one| one.starts_with(&format!("{line}=")))
        };
        assert!(found, "{name}: {line}\n{:?}\n{portrait}", scene.log);
    }
}

fn settled(with: impl FnOnce(&mut Scene)) -> Scene {
    let mut scene = Scene::new();
    with(&mut scene);
    scene.settle();
    scene
}

fn after_rest(with: impl FnOnce(&mut Scene)) -> Scene {
    let mut scene = Scene::new().rested();
    with(&mut scene);
    scene.settle();
    scene
}

#[test]
fn everything_is_said_from_the_first_visit_on() {
    let mut scene = Scene::new();
    scene.trouble.insert(3, super::scene::Trouble::CrashBefore);
    scene.visit();
    check(
        "first",
        &scene,
        &[
            "Ready=False Creating",
            "Synced=False Creating",
            "Reconciling=True Creating",
            "ProjectReady=False Creating",
            "Deployed=Unknown Pending",
            "Healthy=Unknown Pending",
            "TemplateSynced=Unknown Pending",
            "Suspended=False Running",
            "Stalled",
        ],
    );
    assert_eq!(
        scene
            .object
            .as_ref()
            .unwrap()
            .status
            .as_ref()
            .unwrap()
            .observed_generation,
        Some(1)
    );
    scene.settle();
    check(
        "rest",
        &scene,
        &[
            "Ready=True Ready",
            "Synced=True Ready",
            "Reconciling",
            "Stalled",
        ],
    );
}

#[test]
fn each_situation_is_told_with_its_reason() {
    let full = AccountRoom {
        projects: Some(crate::engine::places::TakenPlaces {
            all: 500,
            namespace: 0,
            ..Default::default()
        }),
        ..room()
    };
    let cases: Vec<(&str, Scene, &[&str])> = vec![
        (
            "no account",
            settled(|s| s.account = AccountView::NotAvailable),
            &[
                "Ready=False AccountNotAvailable",
                "Stalled=True AccountNotAvailable",
                "Reconciling",
            ],
        ),
        (
            "an account that is not ready",
            settled(|s| {
                s.account = AccountView::NotReady {
                    message: "no Secret".into(),
                }
            }),
            &[
                "Ready=False AccountNotReady",
                "Reconciling=True AccountNotReady",
                "Stalled",
            ],
        ),
        (
            "an outage",
            settled(|s| s.account = AccountView::Unreachable),
            &[
                "Ready=False AccountUnreachable",
                "Reconciling=True AccountUnreachable",
                "Stalled",
            ],
        ),
        (
            "a full account",
            settled(|s| s.account = AccountView::Ready(full)),
            &[
                "Ready=False QuotaExceeded",
                "Stalled=True QuotaExceeded",
                "ProjectReady=False QuotaExceeded",
            ],
        ),
        (
            "waiting for a turn",
            settled(|s| {
                let when = s.now + SignedDuration::from_hours(1);
                s.turns.insert(Gate::Projects, Turn::At { when, ahead: 3 });
            }),
            &[
                "Ready=False Throttled",
                "Reconciling=True Throttled",
                "ProjectReady=False Throttled",
                "Stalled",
            ],
        ),
        (
            "no template",
            settled(|s| s.template = TemplateView::Missing),
            &[
                "Ready=False TemplateNotFound",
                "Stalled=True TemplateNotFound",
                "TemplateSynced=False TemplateNotFound",
            ],
        ),
        (
            "a template at work",
            settled(|s| {
                s.template = TemplateView::NotReady {
                    stalled: false,
                    reason: reason::TEMPLATE_NOT_READY,
                    message: "x".into(),
                }
            }),
            &[
                "Ready=False TemplateNotReady",
                "Reconciling=True TemplateNotReady",
                "Stalled",
            ],
        ),
        (
            "a template that stalls",
            settled(|s| {
                s.template = TemplateView::NotReady {
                    stalled: true,
                    reason: reason::TEMPLATE_NOT_READY,
                    message: "x".into(),
                }
            }),
            &[
                "Ready=False TemplateNotReady",
                "Stalled=True TemplateNotReady",
                "Reconciling",
            ],
        ),
        (
            "a missing Secret",
            settled(|s| s.broken = Some((reason::REFERENCE_NOT_FOUND, "variable A".into()))),
            &[
                "Ready=False ReferenceNotFound",
                "Stalled=True ReferenceNotFound",
                "Synced=False ReferenceNotFound",
            ],
        ),
        (
            "a failed deployment",
            settled(|s| s.provider.fate = Fate::Fails),
            &[
                "Ready=False DeploymentFailed",
                "Stalled=True DeploymentFailed",
                "Deployed=False DeploymentFailed",
            ],
        ),
        (
            "a crash",
            settled(|s| s.provider.fate = Fate::Crashes),
            &[
                "Ready=False Crashed",
                "Stalled=True Crashed",
                "Healthy=False Crashed",
            ],
        ),
        (
            "the template went while it ran",
            after_rest(|s| {
                s.template = TemplateView::Missing;
                s.happened();
            }),
            &[
                "Ready=True Ready",
                "Stalled=True TemplateNotFound",
                "TemplateSynced=False TemplateNotFound",
            ],
        ),
        (
            "the Secret went while it ran",
            after_rest(|s| {
                s.broken = Some((reason::REFERENCE_NOT_FOUND, "variable A".into()));
                s.happened();
            }),
            &["Ready=True Ready", "Stalled=True ReferenceNotFound"],
        ),
        (
            "Manual",
            after_rest(|s| {
                s.edit(|o| o.spec.update_policy = UpdatePolicy::Manual);
                s.revise("2");
            }),
            &[
                "Ready=True Ready",
                "TemplateSynced=False OutdatedManual",
                "Reconciling",
                "Stalled",
            ],
        ),
        (
            "waiting for the rollout's turn",
            after_rest(|s| {
                s.ready_template().turn = RolloutTurn::Wait;
                s.revise("2");
            }),
            &["Ready=True Ready", "TemplateSynced=False Outdated"],
        ),
        (
            "a stopped rollout",
            after_rest(|s| {
                s.ready_template().turn = RolloutTurn::Stopped {
                    because: "eve".into(),
                };
                s.revise("2");
            }),
            &["Ready=True Ready", "TemplateSynced=False RolloutStopped"],
        ),
        (
            "protected",
            after_rest(|s| {
                s.edit(|o| o.spec.deletion_protection = true);
                s.delete();
            }),
            &["Stalled=True DeletionProtected", "Reconciling"],
        ),
        (
            "a deletion in an outage",
            after_rest(|s| {
                s.account = AccountView::Unreachable;
                s.delete();
            }),
            &[
                "Ready=False Deleting",
                "Reconciling=True Deleting",
                "Synced=False Deleting",
            ],
        ),
    ];
    for (name, scene, expected) in &cases {
        check(name, scene, expected);
        // kstatus: never both; and nothing that a person must do is told without a way out.
        assert!(
            !(scene.is(kind::STALLED) && scene.is(kind::RECONCILING)),
            "{name}"
        );
        let outside = scene
            .provider
            .projects
            .iter()
            .filter(|home| !home.deleted)
            .count();
        assert!(outside <= 1, "{name}");
    }
}

#[test]
fn an_account_that_is_missing_and_one_that_is_not_allowed_are_told_alike() {
    let scene = settled(|s| s.account = AccountView::NotAvailable);
    let message = scene.message(kind::STALLED);
    assert!(
        message.contains("does not exist, or its allowedNamespaces do not include"),
        "{message}"
    );
    assert!(!message.contains("ada"), "{message}");
}

#[test]
fn an_agent_that_does_not_get_ready_in_time_is_told_and_still_asked() {
    let mut scene = Scene::new();
    scene.agent = Health::NotReady(Answer::OtherValue);
    scene.run_for(SignedDuration::from_mins(14));
    check(
        "before",
        &scene,
        &[
            "Ready=False WaitingForAgent",
            "Reconciling=True WaitingForAgent",
            "Stalled",
        ],
    );
    scene.run_for(SignedDuration::from_mins(2));
    check(
        "after",
        &scene,
        &[
            "Ready=False StartupDeadlineExceeded",
            "Stalled=True StartupDeadlineExceeded",
            "Reconciling",
        ],
    );
    let writes = scene.effects("Persist");
    scene.run_for(SignedDuration::from_hours(2));
    assert_eq!(
        scene.effects("Persist"),
        writes,
        "nothing new is written while it stays so"
    );
    scene.agent = Health::Ready { version: None };
    scene.run_for(SignedDuration::from_mins(20));
    check("late", &scene, &["Ready=True Ready", "Stalled"]);
    assert_eq!(scene.count("deployment"), 1);
}

#[test]
fn a_version_outside_is_told_beside_ready_and_goes_with_the_next_that_is_inside() {
    let mut scene = Scene::new();
    scene.ready_template().harness = "opencode";
    let says = |version: &str| Health::Ready {
        version: Some(version.to_owned()),
    };
    scene.agent = says("2.0.4");
    scene.run_for(SignedDuration::from_mins(2));
    let outside = [
        "Ready=True Ready",
        "HarnessSupported=False VersionNotSupported",
    ];
    check("outside", &scene, &outside);
    let message = scene.message(kind::HARNESS_SUPPORTED);
    assert!(
        message.contains("opencode 2.0.4") && message.contains(">=1.18.0, <2.0.0"),
        "{message}"
    );
    let writes = scene.effects("Persist");
    scene.run_for(SignedDuration::from_hours(1));
    assert_eq!(scene.effects("Persist"), writes, "the same is told once");

    for version in ["1.18.33", "of-mine"] {
        let mut scene = Scene::new();
        scene.ready_template().harness = "opencode";
        scene.agent = says(version);
        scene.run_for(SignedDuration::from_mins(2));
        check(version, &scene, &["Ready=True Ready", "HarnessSupported"]);
    }
    // Every image of these has versions of its own.
    let mut scene = Scene::new();
    scene.agent = says("0.0.1");
    scene.run_for(SignedDuration::from_mins(2));
    check("convos", &scene, &["Ready=True Ready", "HarnessSupported"]);
}

#[test]
fn an_agent_that_refuses_its_token_is_told_how_it_was_sent() {
    let mut scene = Scene::new();
    scene.agent = Health::NotReady(Answer::Status(401));
    scene.run_for(SignedDuration::from_mins(1));
    let message = scene.message(kind::HEALTHY);
    let expected = "answered 401; expected 200 with {\"ready\": true} (runtime.contract.health); it refuses its token, which was sent as Bearer token and is in its variable GATEWAY_TOKEN";
    assert!(message.contains(expected), "{message}");
    scene.ready_template().readiness.credential = None;
    scene.agent = Health::NotReady(Answer::Status(404));
    scene.run_for(SignedDuration::from_mins(30));
    scene.agent = Health::NotReady(Answer::Status(401));
    scene.run_for(SignedDuration::from_hours(1));
    let message = scene.message(kind::HEALTHY);
    assert!(message.contains("none is sent there"), "{message}");
}

#[test]
fn of_an_agent_behind_the_runner_it_is_told_whether_the_runner_answers() {
    for (answer, expected) in [
        (
            Answer::Status(503),
            "answered 503; expected 200 with {\"ready\": true}, which the runner answers once its program is ready",
        ),
        (
            Answer::Status(404),
            "the image's entrypoint is not yardmaster-runner",
        ),
    ] {
        let mut scene = Scene::new();
        scene.ready_template().runner = true;
        scene.agent = Health::NotReady(answer);
        scene.run_for(SignedDuration::from_mins(2));
        let message = scene.message(kind::HEALTHY);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("runtime.contract"), "{message}");
    }
}

#[test]
fn another_kind_of_answer_is_told_with_what_is_expected_and_one_that_changes_all_the_time_seldom() {
    let mut scene = Scene::new();
    scene.agent = Health::NotReady(Answer::Status(503));
    scene.run_for(second(5));
    scene.agent = Health::NotReady(Answer::Status(404));
    scene.run_for(second(15));
    let asked = "GET https://";
    let expected =
        "/pool/health answered 404; expected 200 with {\"ready\": true} (runtime.contract.health)";
    for condition in [kind::HEALTHY, kind::READY] {
        let message = scene.message(condition);
        assert!(
            message.contains(asked) && message.ends_with(expected),
            "{message}"
        );
    }
    let writes = scene.effects("Persist");
    scene.run_for(SignedDuration::from_mins(10));
    assert_eq!(scene.effects("Persist"), writes, "the same is told once");
    scene.run_for(SignedDuration::from_mins(10));
    let message = scene.message(kind::STALLED);
    assert!(message.contains(expected), "{message}");

    // What lasted is told at once when it changes.
    scene.agent = Health::NotReady(Answer::NotJson);
    scene.run_for(SignedDuration::from_mins(3));
    let message = scene.message(kind::HEALTHY);
    assert!(message.contains("is no JSON; expected"), "{message}");
    let writes = scene.effects("Persist");
    // Not in step with the minutes in which it is asked.
    for round in 0..1029 {
        let status = if round % 2 == 0 { 404 } else { 503 };
        scene.agent = Health::NotReady(Answer::Status(status));
        scene.run_for(second(7));
    }
    let written = scene.effects("Persist") - writes;
    assert!((3..=14).contains(&written), "{written} writes in two hours");
}

#[test]
fn a_crash_that_mends_itself_is_ready_again() {
    let mut scene = Scene::new().rested();
    let now = scene.now;
    let set = |fate| {
        move |projects: &mut Vec<super::provider::Project>| projects[0].deployments[0].fate = fate
    };
    scene.provider.meddle(now, set(Fate::Crashes));
    scene.settle();
    check(
        "crashed",
        &scene,
        &["Ready=False Crashed", "Stalled=True Crashed"],
    );
    let now = scene.now;
    scene.provider.meddle(now, set(Fate::Up));
    scene.settle();
    check("up", &scene, &["Ready=True Ready", "Stalled"]);
    assert_eq!(scene.count("deployment"), 0, "{:?}", scene.log);
    let stalled = scene
        .told
        .iter()
        .filter(|one| one.reason == reason::CRASHED)
        .count();
    let ready = scene
        .told
        .iter()
        .filter(|one| one.reason == reason::READY)
        .count();
    assert_eq!(
        (stalled, ready),
        (1, 1),
        "each is told once: {:?}",
        scene.told
    );
}

#[test]
fn an_instance_that_expires_goes_in_time_and_a_protected_one_stays() {
    for (protected, gone) in [(false, true), (true, false)] {
        let mut scene = Scene::new();
        scene.edit(|object: &mut AgentInstance| {
            object.spec.expires_after = Some(Span::from("1h"));
            object.spec.deletion_protection = protected;
        });
        scene.run_for(SignedDuration::from_mins(59));
        assert!(scene.is(kind::READY), "{:?}", scene.log);
        scene.run_for(SignedDuration::from_mins(3));
        assert_eq!(
            scene.object.is_none(),
            gone,
            "{:?}\n{}",
            scene.log,
            scene.portrait()
        );
        assert_eq!(scene.alive().is_empty(), gone);
    }
}

#[test]
fn an_expiry_that_comes_late_or_is_brought_forward_leaves_an_hour() {
    let after = |scene: &mut Scene, text: Option<&str>| {
        scene.edit(|object| object.spec.expires_after = text.map(Span::from));
        scene.happened();
        scene.visit();
    };
    let left = |scene: &Scene| {
        let status = scene.object.as_ref().unwrap().status.as_ref().unwrap();
        let at = status.expires_at.as_ref();
        at.map(|at| at.0.duration_since(scene.now).as_secs())
    };
    let told = |scene: &Scene| {
        let about = |one: &&Announcement| one.reason == reason::EXPIRY_CHANGED;
        scene.told.iter().filter(about).count()
    };
    let hour = 3600;
    for slow in [false, true] {
        let mut scene = if slow {
            Scene::new().slow()
        } else {
            Scene::new()
        }
        .rested();
        // Four days old, and told to go after three.
        scene.run_for(SignedDuration::from_hours(96));
        after(&mut scene, Some("72h"));
        assert_eq!((left(&scene), told(&scene)), (Some(hour), 1));
        // Neither a restart nor a shorter time yet brings it nearer, nor pushes it away.
        scene.run_for(SignedDuration::from_mins(20));
        scene.restart();
        after(&mut scene, Some("1h"));
        let now = left(&scene).unwrap();
        assert!((2300..=2400).contains(&now), "{now}");
        assert_eq!(told(&scene), 1);
        // Longer counts at once, a shorter one again an hour from now at the earliest.
        after(&mut scene, Some("1000h"));
        let far = left(&scene).unwrap();
        assert!((900 * hour..905 * hour).contains(&far), "{far}");
        after(&mut scene, Some("2h"));
        let near = left(&scene).unwrap();
        assert!((hour..=hour + 1).contains(&near), "{near}");
        after(&mut scene, None);
        assert_eq!((left(&scene), told(&scene)), (None, 4));
        scene.run_for(SignedDuration::from_hours(2));
        assert!(scene.object.is_some());
        after(&mut scene, Some("2h"));
        scene.run_for(SignedDuration::from_mins(59));
        assert!(scene.is(kind::READY), "{:?}", scene.log);
        scene.run_for(SignedDuration::from_mins(3));
        assert!(scene.object.is_none() && scene.alive().is_empty());
    }
}

#[test]
fn protection_taken_off_lets_go() {
    let mut scene = Scene::new().rested();
    scene.edit(|object| object.spec.deletion_protection = true);
    scene.delete();
    scene.settle();
    assert!(
        scene.effects("Delete") == 0 && scene.alive().len() == 1,
        "{:?}",
        scene.log
    );
    scene.edit(|object| object.spec.deletion_protection = false);
    scene.settle();
    assert_eq!(scene.portrait(), "object: gone\n", "{:?}", scene.log);
}

#[test]
fn a_slot_that_is_given_up_by_name_is_left_behind_and_told() {
    for (slot, gone) in [
        ("project", true),
        ("volume", false),
        ("Project", false),
        ("", false),
    ] {
        let mut scene = Scene::new().rested();
        scene.account = AccountView::Unreachable;
        scene.delete();
        scene.annotate(slot);
        scene.settle();
        assert_eq!(scene.object.is_none(), gone, "{slot}: {:?}", scene.log);
        let told = scene
            .told
            .iter()
            .filter(|one| one.reason == reason::ABANDONED);
        let named = told
            .filter(|one| one.warning && one.note.contains("project-1"))
            .count();
        assert_eq!(named, usize::from(gone), "{slot}: {:?}", scene.told);
        assert_eq!(scene.alive().len(), 1, "{slot}");
    }
}

#[test]
fn a_transition_is_told_once() {
    let mut scene = Scene::new();
    scene.settle();
    let before = scene.object.clone().unwrap().status.unwrap().conditions;
    assert!(report::transitions(&before, &before).is_empty());
    let news = report::transitions(&[], &before);
    assert_eq!(news.len(), 1, "{news:?}");
    assert_eq!(
        scene
            .told
            .iter()
            .filter(|one| one.reason == reason::READY)
            .count(),
        1,
        "{:?}",
        scene.told
    );
    scene.restart();
    scene.settle();
    assert_eq!(
        scene
            .told
            .iter()
            .filter(|one| one.reason == reason::READY)
            .count(),
        1,
        "{:?}",
        scene.told
    );
    scene.run_for(second(600));
}

#[test]
fn more_names_than_the_record_holds_are_refused_before_anything_is_sent() {
    for (old, refused) in [(300, false), (MOST_VARIABLES, true)] {
        let mut scene = Scene::new().rested();
        scene.edit(|object| {
            let status = object.status.as_mut().unwrap();
            status.variables = (0..old).map(|n| format!("OLD_{n}")).collect();
        });
        let before = scene.count("configure");
        scene.set_env("b");
        scene.settle();
        let expected = match refused {
            true => "Stalled=True ValueNotUsable",
            false => "Ready=True Ready",
        };
        check("names", &scene, &[expected]);
        assert_eq!(scene.count("configure") - before, u32::from(!refused));
        let status = scene.object.as_ref().unwrap().status.as_ref().unwrap();
        assert!(status.variables.len() <= MOST_VARIABLES);
    }
}
