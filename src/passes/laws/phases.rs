//! Users who change their mind while something is under way: a deletion, a suspension, another spec, at every effect.

use super::scene::{Event, Scene, Trouble, second};
use super::story::{self, Run, Story};
use crate::api::condition::kind;
use crate::api::instance::{DeletionPolicy, OperatingMode};

/// Tells a story in which `event` comes just before the effect of that number.
fn disturbed(story: &Story, at: usize, event: Event, troubles: &[(usize, Trouble)]) -> Run {
    let mut scene = story.scene.clone();
    scene.events.insert(at, event);
    let story = Story {
        name: story.name,
        scene,
        act: story.act,
    };
    story.attempted(troubles)
}

fn every_effect(stories: Vec<Story>, event: Event, check: impl Fn(&Run, &str)) {
    let mut cases = 0;
    for story in stories {
        let effects = story.told(&[]).scene.log.len();
        for at in 0..effects {
            let run = disturbed(&story, at, event, &[]);
            let told = format!(
                "{} at effect {at}: {:?}\n{}",
                story.name, run.scene.log, run.portrait
            );
            assert_eq!(run.scene.fired, 1, "{told}");
            check(&run, &told);
            cases += 1;
        }
    }
    println!("{cases} phases");
}

fn living() -> Vec<Story> {
    story::creations()
        .into_iter()
        .chain(story::changes())
        .collect()
}

#[test]
fn a_deletion_in_any_phase_leaves_nothing() {
    every_effect(living(), Scene::delete, |run, told| {
        assert_eq!(run.portrait, "object: gone\n", "{told}");
    });
}

#[test]
fn a_deletion_in_any_phase_and_a_crash_leave_nothing() {
    let mut cases = 0;
    for story in story::paired()
        .into_iter()
        .filter(|story| story.name.starts_with("create"))
    {
        let effects = story.told(&[]).scene.log.len();
        for at in 0..effects {
            for crash in at..at + 6 {
                let run = disturbed(&story, at, Scene::delete, &[(crash, Trouble::CrashAfter)]);
                let told = format!(
                    "at {at}, crash {crash}: {:?}\n{}",
                    run.scene.log, run.portrait
                );
                assert_eq!(run.portrait, "object: gone\n", "{told}");
                cases += 1;
            }
        }
    }
    println!("{cases} phases with a crash");
}

#[test]
fn nothing_is_taken_back_that_shall_stay() {
    let retained: Event = |scene| {
        scene.edit(|object| object.spec.deletion_policy = DeletionPolicy::Retain);
        scene.delete();
    };
    every_effect(story::creations(), retained, |run, told| {
        assert!(
            run.scene.object.is_none() && run.scene.count("delete") == 0,
            "{told}"
        );
    });
    let protected: Event = |scene| {
        scene.edit(|object| object.spec.deletion_protection = true);
        scene.delete();
    };
    every_effect(story::creations(), protected, |run, told| {
        let held = run.scene.object.is_none()
            || run.scene.reason(kind::STALLED) == Some("DeletionProtected");
        assert!(held && run.scene.count("delete") == 0, "{told}");
    });
}

#[test]
fn a_suspension_in_any_phase_leaves_nothing_running() {
    let suspend: Event = |scene| {
        scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
    };
    every_effect(living(), suspend, |run, told| {
        if run.scene.reason(kind::STALLED) == Some("DeletedExternally") {
            return;
        }
        assert!(
            run.scene.is(kind::SUSPENDED) && !run.scene.is(kind::RECONCILING),
            "{told}"
        );
        assert!(!run.portrait.contains(", Running)"), "{told}");
        assert!(run.scene.alive().len() <= 1, "{told}");
    });
}

#[test]
fn another_spec_in_any_phase_is_what_runs_in_the_end() {
    every_effect(
        story::creations(),
        |scene| scene.set_env("b"),
        |run, told| {
            assert!(
                run.scene.is(kind::READY) && run.scene.is(kind::SYNCED),
                "{told}"
            );
            assert!(
                run.portrait.contains("\"MODE\": \"b\"") && run.scene.alive().len() == 1,
                "{told}"
            );
            assert!(run.scene.count("deployment") <= 2, "{told}");
        },
    );
    every_effect(
        story::creations(),
        |scene| scene.revise("2"),
        |run, told| {
            assert!(
                run.scene.is(kind::READY) && run.scene.is(kind::TEMPLATE_SYNCED),
                "{told}"
            );
            assert!(
                run.portrait
                    .contains("[(\"ghcr.io/acme/agent@sha256:2\", Running)]"),
                "{told}"
            );
        },
    );
    // Two updates, one upon the other, while reads still show what was before them: each deploys at most once.
    let updates = || {
        let mut all = story::changes();
        all.retain(|story| story.name.starts_with("new "));
        all
    };
    every_effect(
        updates(),
        |scene| scene.set_env("c"),
        |run, told| {
            assert!(
                run.portrait.contains("\"MODE\": \"c\"") && run.scene.is(kind::READY),
                "{told}"
            );
            assert!(run.scene.count("deployment") <= 2, "{told}");
        },
    );
    let lagging = || {
        let mut scene = Scene::new();
        scene.provider.lag = second(5);
        let scene = scene.rested();
        let act: Event = |scene| scene.revise("2");
        vec![Story {
            name: "new revision, reads lagging",
            scene,
            act,
        }]
    };
    every_effect(
        lagging(),
        |scene| scene.revise("3"),
        |run, told| {
            assert!(
                run.portrait
                    .contains("[(\"ghcr.io/acme/agent@sha256:3\", Running)]"),
                "{told}"
            );
            assert!(run.scene.count("deployment") <= 2, "{told}");
        },
    );
    // There and back: what was applied in between is undone.
    let back: Event = |scene| {
        scene.set_env("b");
        scene
            .events
            .insert(scene.log.len() + 2, |scene| scene.set_env("a"));
    };
    for story in story::creations() {
        let undisturbed = story.told(&[]);
        for at in 0..undisturbed.scene.log.len() {
            let run = disturbed(&story, at, back, &[]);
            let told = format!("{} at effect {at}: {:?}", story.name, run.scene.log);
            if run.scene.fired == 2 {
                assert_eq!(run.portrait, undisturbed.portrait, "{told}");
            }
        }
    }
}
