//! Answers that are lost, late, doubled or refusals, at every step of every story; and writes that come too late.

use super::scene::{Scene, Trouble, second};
use super::story::{self, Run, Story};
use crate::api::condition::kind;
use crate::api::{Slot, SlotState};
use crate::model::Fault;

/// Steps that change something at the provider.
const CHANGES: [&str; 8] = [
    "CreateProject",
    "CreateService",
    "CreateVolume",
    "CreateDomain",
    "Configure",
    "Deploy",
    "Stop",
    "Delete",
];

const READS: [&str; 4] = ["Look", "Search", "Compare", "AskAgent"];

fn at(run: &Run, words: &[&str]) -> Vec<usize> {
    (0..run.scene.log.len())
        .filter(|at| words.contains(&run.scene.log[*at]))
        .collect()
}

/// A deployment has no intent of its own: where its asking is lost it is asked for once more, and the later one stays.
const AGAIN: &[(&str, u32)] = &[("deployment", 1)];

fn everywhere(words: &[&str], trouble: &Trouble, more: &[(&str, u32)]) {
    let mut cases = 0;
    for story in story::all() {
        let undisturbed = story.told(&[]);
        for at in at(&undisturbed, words) {
            let troubles = [(at, trouble.clone())];
            let run = story.told(&troubles);
            story.same(&undisturbed, &run, &troubles, more);
            cases += 1;
        }
    }
    println!("{cases} cases of {trouble:?}");
}

fn refused(fault: Fault) -> Trouble {
    Trouble::Refused(fault)
}

#[test]
fn an_applied_change_whose_answer_is_lost_is_found_and_not_repeated() {
    everywhere(&CHANGES, &Trouble::Lost, AGAIN);
}

#[test]
fn a_change_that_vanished_is_made_once() {
    everywhere(&CHANGES, &Trouble::Vanished, AGAIN);
}

#[test]
fn a_change_that_lands_late_is_waited_for() {
    // 0.5 times and once the request's timeout: reads lag three seconds more, and settle is twice the timeout.
    for late in [5, 10] {
        everywhere(&CHANGES, &Trouble::Late(second(late)), AGAIN);
    }
}

#[test]
fn a_slow_provider_gives_no_later_request_less_time() {
    // One intent covers service, volume and domain, and each takes nearly as long as it may.
    for mut story in story::creations() {
        story.scene.latency = second(9);
        let undisturbed = story.told(&[]);
        for at in at(&undisturbed, &CHANGES) {
            for trouble in [
                Trouble::Late(second(10)),
                Trouble::Lost,
                Trouble::CrashAfter,
            ] {
                let troubles = [(at, trouble)];
                story.same(&undisturbed, &story.told(&troubles), &troubles, AGAIN);
            }
        }
    }
}

#[test]
fn what_is_refused_for_now_is_done_later() {
    let now = super::scene::start();
    let message = || "no".to_owned();
    for fault in [
        Fault::Transient { message: message() },
        Fault::Throttled {
            until: now + second(120),
            message: message(),
        },
    ] {
        everywhere(&CHANGES, &refused(fault.clone()), &[]);
        everywhere(&READS, &refused(fault), &[]);
    }
}

#[test]
fn a_change_that_is_applied_twice_is_as_one() {
    // A create that is applied twice is a create that landed after it was given up, which has a law of its own.
    let idempotent = ["Configure", "Stop", "Delete"];
    everywhere(&idempotent, &Trouble::Twice, &[]);
    everywhere(&["Deploy"], &Trouble::Twice, AGAIN);
}

#[test]
fn whatever_a_deletion_of_what_is_gone_answers_the_end_is_the_same() {
    let message = "Not Authorized".to_owned();
    for gone in [
        Fault::Uncertain {
            message: message.clone(),
        },
        Fault::Missing {
            message: message.clone(),
        },
        Fault::Denied { message },
    ] {
        for mut story in story::deletions() {
            story.scene.provider.gone = gone.clone();
            let undisturbed = story.told(&[]);
            for at in at(&undisturbed, &["Delete"]) {
                for trouble in [Trouble::Twice, Trouble::Lost, Trouble::CrashAfter] {
                    let troubles = [(at, trouble)];
                    story.same(&undisturbed, &story.told(&troubles), &troubles, &[]);
                }
            }
        }
    }
}

#[test]
fn a_stale_write_stops_before_anything_is_done_outside() {
    // `Scene::lawful` holds every change against what is on record at that moment.
    everywhere(&["Persist", "Hold", "LetGo"], &Trouble::Stale, AGAIN);
}

#[test]
fn two_lost_answers_change_nothing() {
    let mut pairs = 0;
    for story in story::paired() {
        let undisturbed = story.told(&[]);
        for first in at(&undisturbed, &CHANGES) {
            for one in [Trouble::Lost, Trouble::Vanished, Trouble::Late(second(10))] {
                let run = story.told(&[(first, one.clone())]);
                for then in at(&run, &CHANGES).into_iter().filter(|at| *at > first) {
                    for other in [Trouble::Lost, Trouble::Vanished, Trouble::CrashAfter] {
                        let troubles = [(first, one.clone()), (then, other)];
                        story.same(&undisturbed, &story.told(&troubles), &troubles, AGAIN);
                        pairs += 1;
                    }
                }
            }
        }
    }
    println!("{pairs} pairs of answers");
}

/// A request that lands when nobody can wait for it any more doubles what it makes: the surplus goes.
#[test]
fn what_lands_after_all_patience_is_taken_back() {
    for story in story::creations() {
        let undisturbed = story.told(&[]);
        for at in at(&undisturbed, &CHANGES) {
            let word = undisturbed.scene.log[at];
            for late in [second(20), second(60), second(300)] {
                let troubles = [(at, Trouble::Late(late))];
                let run = story.told(&troubles);
                let told = format!(
                    "{} {troubles:?}: {:?}\n{}",
                    story.name, run.scene.log, run.portrait
                );
                let alive = run.scene.alive();
                assert_eq!(alive.len(), 1, "{told}");
                assert_eq!(alive[0].services.len(), 1, "{told}");
                assert!(run.scene.is(kind::READY), "{told}");
                // A volume that appears beside one in use may hold anything by then, and is left to a person.
                if word != "CreateVolume" {
                    assert_eq!(run.portrait, undisturbed.portrait, "{told}");
                }
            }
        }
    }
}

#[test]
fn what_lands_after_a_deletion_is_taken_back_too() {
    let deleted_at_once = |scene: &mut Scene| {
        scene.events.insert(4, |scene| scene.delete());
    };
    for late in [0, 5, 10, 15] {
        for trouble in [
            Trouble::Late(second(late)),
            Trouble::Lost,
            Trouble::Vanished,
            Trouble::CrashAfter,
        ] {
            let story = Story {
                name: "deleted while the project is being made",
                scene: Scene::new().slow(),
                act: deleted_at_once,
            };
            let run = story.attempted(&[(3, trouble.clone())]);
            let told = format!("{trouble:?}: {:?}\n{}", run.scene.log, run.portrait);
            assert_eq!(run.scene.fired, 2, "{told}");
            assert_eq!(run.portrait, "object: gone\n", "{told}");
        }
    }
}

/// An attempt that was given up for good, and lands while its successor is being taken back.
#[test]
fn what_lands_during_a_deletion_is_taken_back_too() {
    for lands_after_deletion in [-3, 1, 5, 10, 20] {
        let mut scene = Scene::new().slow();
        // Given up at ten seconds and for good at thirty, when the second attempt is made; lands at sixty.
        scene.trouble.insert(3, Trouble::Late(second(50)));
        scene.run_for(second(60 - lands_after_deletion));
        let told = format!(
            "{lands_after_deletion}: {:?}\n{}",
            scene.log,
            scene.portrait()
        );
        assert_eq!(scene.effects("CreateProject"), 2, "{told}");
        scene.delete();
        scene.settle();
        let told = format!(
            "{lands_after_deletion}: {:?}\n{}",
            scene.log,
            scene.portrait()
        );
        assert_eq!(
            (scene.portrait().as_str(), scene.count("project")),
            ("object: gone\n", 2),
            "{told}"
        );
    }
}

#[test]
fn a_rejected_change_stalls_and_a_new_spec_recovers() {
    let fault = |kind: &str| {
        let message = "no".to_owned();
        match kind {
            "Rejected" => Fault::Rejected { message },
            "Denied" => Fault::Denied { message },
            _ => Fault::Exhausted { message },
        }
    };
    for class in ["Rejected", "Denied", "Exhausted"] {
        for story in story::creations() {
            let undisturbed = story.told(&[]);
            for at in at(&undisturbed, &CHANGES) {
                let mut scene = story.scene.clone();
                scene.trouble.insert(at, refused(fault(class)));
                while scene.fired == 0 {
                    let due = scene.wake.unwrap_or(scene.now);
                    scene.advance(due);
                    scene.visit();
                }
                let told = format!(
                    "{class} at {}: {:?}\n{}",
                    undisturbed.scene.log[at],
                    scene.log,
                    scene.portrait()
                );
                assert!(
                    scene.is(kind::STALLED) && !scene.is(kind::RECONCILING),
                    "{told}"
                );
                let status = scene.object.as_ref().unwrap().status.clone().unwrap();
                let refused = status
                    .external
                    .iter()
                    .filter(|entry| entry.state == SlotState::Planned);
                assert_eq!(refused.count(), 1, "{told}");
                assert!(
                    status
                        .external
                        .iter()
                        .any(|entry| entry.slot == Slot::Project),
                    "{told}"
                );
                scene.set_env("b");
                scene.settle();
                let portrait = scene.portrait();
                assert!(
                    scene.is(kind::READY) && !scene.is(kind::STALLED),
                    "{told}\n{portrait}"
                );
                assert_eq!(
                    (scene.alive().len(), scene.count("project")),
                    (1, 1),
                    "{portrait}"
                );
                assert!(portrait.contains("\"MODE\": \"b\""), "{portrait}");
            }
        }
    }
}
