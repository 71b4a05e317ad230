//! Turns: who can use one at once asks for it, and nobody else stands in line.
//!
//! `Scene` itself holds that a turn which was given is used by the very next effect outside.

use super::scene::{Event, Scene, room, second};
use crate::api::condition::{find, kind, reason};
use crate::api::instance::OperatingMode;
use crate::engine::world::{AccountRoom, AccountView, TemplateView};
use crate::model::{Fault, Gate, Turn};
use jiff::SignedDuration;

fn full() -> AccountView {
    AccountView::Ready(AccountRoom {
        projects: Some(crate::engine::places::TakenPlaces {
            all: 500,
            namespace: 0,
            ..Default::default()
        }),
        ..room()
    })
}

/// What keeps an instance from making a project, or whatever else it was about to do.
fn obstacles() -> Vec<(&'static str, Event)> {
    vec![
        ("deleted", Scene::delete),
        ("suspended", |scene| {
            scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
        }),
        ("no template", |scene| {
            scene.template = TemplateView::Missing
        }),
        ("a template at work", |scene| {
            scene.template = TemplateView::NotReady {
                stalled: false,
                reason: reason::TEMPLATE_NOT_READY,
                message: "x".into(),
            };
        }),
        ("a missing Secret", |scene| {
            scene.broken = Some((reason::REFERENCE_NOT_FOUND, "variable A".into()));
        }),
        ("a full account", |scene| scene.account = full()),
        ("an account nobody has read", |scene| {
            scene.account = AccountView::Ready(AccountRoom {
                projects: None,
                ..room()
            });
        }),
        ("an outage", |scene| {
            scene.account = AccountView::Unreachable
        }),
    ]
}

fn in_line(scene: &mut Scene, gate: Gate, ahead: usize) {
    let when = scene.now + SignedDuration::from_hours(1);
    scene.turns.insert(gate, Turn::At { when, ahead });
}

#[test]
fn who_cannot_make_a_project_asks_for_no_turn() {
    for (name, happens) in obstacles() {
        let mut scene = Scene::new();
        happens(&mut scene);
        scene.run_for(second(300));
        let told = format!("{name}: {:?}\n{}", scene.log, scene.portrait());
        assert_eq!((scene.asked, scene.count("project")), (0, 0), "{told}");
    }
}

#[test]
fn who_waits_in_line_and_cannot_use_a_turn_any_more_leaves_it() {
    for (name, happens) in obstacles() {
        let mut scene = Scene::new();
        in_line(&mut scene, Gate::Projects, 3);
        scene.run_for(second(30));
        assert_eq!(scene.line, Some(Gate::Projects), "{name}");
        happens(&mut scene);
        scene.happened();
        scene.run_for(second(30));
        assert_eq!(scene.line, None, "{name}: {:?}", scene.log);
    }
    // Nor does it wait while a fault asks for patience.
    let mut scene = Scene::new();
    let refused = Fault::Transient {
        message: "no".into(),
    };
    let creation = {
        let mut scene = Scene::new();
        scene.settle();
        let at = scene.log.iter().position(|one| *one == "CreateProject");
        at.unwrap()
    };
    let trouble = super::scene::Trouble::Refused(refused);
    scene.trouble.insert(creation, trouble);
    scene.visit();
    let asked = scene.asked;
    in_line(&mut scene, Gate::Projects, 3);
    scene.visit();
    assert_eq!((scene.asked, scene.line), (asked, None), "{:?}", scene.log);
}

#[test]
fn the_place_in_line_is_told_in_steps_and_written_once_for_each() {
    for gate in Gate::ALL {
        let mut scene = Scene::new().with_volume();
        in_line(&mut scene, gate, 2_000);
        scene.run_for(second(5));
        let mut heard: Vec<String> = Vec::new();
        let mut writes = Vec::new();
        for ahead in (0..1_500).rev().step_by(3).chain([1, 0]) {
            in_line(&mut scene, gate, ahead);
            scene.happened();
            let before = scene.effects("Persist");
            scene.run_for(second(1));
            writes.push(scene.effects("Persist") - before);
            assert_eq!(scene.line, Some(gate));
            let conditions = &scene
                .object
                .as_ref()
                .unwrap()
                .status
                .as_ref()
                .unwrap()
                .conditions;
            let told = find(conditions, kind::RECONCILING).unwrap();
            assert_eq!(told.reason, reason::THROTTLED);
            let place = told.message.rsplit(": ").next().unwrap();
            if heard.last().is_none_or(|last| last != place) {
                heard.push(place.to_owned());
            }
            assert!(told.message.contains("30s"), "{}", told.message);
            assert!(
                told.message
                    .contains("railway.projectInterval of ProviderAccount main")
            );
        }
        assert_eq!(
            heard,
            [
                "more than 1,000 come before it",
                "up to 1,000 come before it",
                "up to 100 come before it",
                "up to 10 come before it",
                "this one is next"
            ]
        );
        // The first was written before.
        assert_eq!(writes.iter().sum::<usize>(), heard.len() - 1, "{writes:?}");
        scene.turns.clear();
        scene.happened();
        scene.settle();
        assert!(
            scene.is(kind::READY),
            "{:?}\n{}",
            scene.log,
            scene.portrait()
        );
        assert_eq!((scene.count("project"), scene.count("volume")), (1, 1));
    }
}
