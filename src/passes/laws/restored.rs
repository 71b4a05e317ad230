//! An object that is restored from a backup, under a new UID, in every phase of a life.
//!
//! What holds: before the account's owner has said a word the outside does not change at all, and neither does deleting the
//! object change it; after the word the object goes on with what it had, and the books are even; one that begins anew
//! leaves what the old one had where it is.

use super::scene::{Scene, Trouble, second, start};
use crate::api::condition::kind;
use crate::api::{FINALIZER, IDENTITY_ANNOTATION};
use crate::engine::restored::{Word, waits, waits_for_a_word};
use crate::engine::world::AccountView;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

const OLD: &str = "5f2c";
const NEW: &str = "9b1d";

/// What a backup tool brings back.
#[derive(Clone, Copy, Debug)]
struct Backup {
    status: bool,
    finalizer: bool,
    identity: bool,
    secret: bool,
}

const WHOLE: Backup = Backup {
    status: true,
    finalizer: true,
    identity: true,
    secret: true,
};

/// The object comes back under another UID.
fn restore(scene: &mut Scene, backup: Backup) {
    let now = scene.now;
    if !backup.secret {
        scene.drop_own_secret();
    }
    scene.edit(|object| {
        object.metadata.uid = Some(NEW.into());
        object.metadata.creation_timestamp = Some(Time(now));
        if !backup.status {
            object.status = None;
        }
        object.finalizers_mut().retain(|_| backup.finalizer);
        if !backup.identity {
            object.annotations_mut().remove(IDENTITY_ANNOTATION);
        }
    });
    scene.word.since = Some(start());
}

fn identify(scene: &mut Scene, identity: &str) {
    scene.edit(|object| {
        let annotations = object.annotations_mut();
        annotations.insert(IDENTITY_ANNOTATION.into(), identity.into());
    });
}

fn say_the_word(scene: &mut Scene) {
    scene.word = Word {
        since: Some(start()),
        given: true,
    };
    scene.happened();
    scene.settle();
}

/// Everything outside, and how often what was done there.
fn outside(scene: &Scene) -> String {
    format!(
        "{:?} {:?} {:?} {:?}",
        scene.provider.projects, scene.provider.counts, scene.shops.things, scene.shops.counts
    )
}

/// Projects that live, whoever's.
fn projects(scene: &Scene) -> usize {
    let all = scene.provider.projects.iter();
    all.filter(|home| !home.deleted).count()
}

fn told(scene: &Scene) -> String {
    format!("{:?}\n{:?}\n{}", scene.log, scene.trail, scene.portrait())
}

/// Phases of a creation, each cut off before an effect, and the rest after it; with tools every third.
fn phases() -> Vec<Scene> {
    let lives = [
        (Scene::new().with_volume().slow(), 1),
        (Scene::new().with_tools().slow(), 3),
    ];
    let mut phases = Vec::new();
    for (life, every) in lives {
        let mut whole = life.clone();
        whole.settle();
        for at in (0..whole.log.len()).step_by(every) {
            phases.push(cut(life.clone(), at));
        }
        phases.push(whole);
    }
    // What states no identity yet has nothing outside.
    phases.retain(|scene| {
        let object = scene.object.as_ref().unwrap();
        object.annotations().contains_key(IDENTITY_ANNOTATION)
    });
    phases
}

/// The process ends before an effect.
fn cut(mut scene: Scene, at: usize) -> Scene {
    scene.trouble.insert(at, Trouble::CrashBefore);
    while scene.fired == 0 {
        scene.run_for(second(1));
    }
    scene
}

const BACKUPS: [Backup; 4] = [
    WHOLE,
    Backup {
        finalizer: false,
        secret: false,
        ..WHOLE
    },
    Backup {
        status: false,
        ..WHOLE
    },
    Backup {
        status: false,
        finalizer: false,
        secret: false,
        ..WHOLE
    },
];

#[test]
fn before_a_word_nothing_outside_changes_in_any_phase() {
    let mut cases = phases();
    // Of a deletion too, after which the object comes back as it was before.
    let rested = Scene::new().with_tools().rested();
    let mut going = rested.clone();
    going.delete();
    let mut whole = going.clone();
    whole.settle();
    for at in (0..whole.log.len()).step_by(5) {
        let mut scene = cut(going.clone(), at);
        scene.object.clone_from(&rested.object);
        cases.push(scene);
    }
    whole.object.clone_from(&rested.object);
    cases.push(whole);
    for (number, mut scene) in cases.into_iter().enumerate() {
        scene.advance(scene.now + second(60));
        restore(&mut scene, BACKUPS[number % BACKUPS.len()]);
        let before = outside(&scene);
        scene.settle();
        scene.restart();
        scene.settle();
        let told = || format!("{number}: {}", told(&scene));
        assert_eq!(outside(&scene), before, "{}", told());
        let why = scene.reason(kind::STALLED);
        assert_eq!(why, Some("RestoredElsewhere"), "{}", told());
        assert!(!scene.is(kind::READY), "{}", told());
        // Deleted, it goes, and touches nothing.
        scene.delete();
        scene.settle();
        assert!(scene.object.is_none(), "{number}: {:?}", scene.log);
        assert_eq!(outside(&scene), before, "{number}: {:?}", scene.log);
    }
}

#[test]
fn after_the_word_it_goes_on_with_what_it_had_in_any_phase() {
    let phases = phases().into_iter().enumerate();
    for ((number, mut scene), status) in phases.flat_map(|one| [(one.clone(), true), (one, false)])
    {
        let mut undisturbed = scene.clone();
        undisturbed.settle();
        let backup = Backup {
            status,
            finalizer: number % 2 == 0,
            ..WHOLE
        };
        // No listing shows wallets at Bankr, nor the keys of an inbox. Of one whose key is in no Secret yet only the status
        // knew; nothing is in it, and nobody has the key.
        let lost = |what: &str, key: &str| {
            let kept = scene.drawer.keys().any(|slot| slot.to_string() == key);
            scene.done(what) > 0 && !kept
        };
        let unknown = !status
            && (lost("make bankr Main", "tool/bank/key")
                || lost("make agentmail Key", "tool/mail/key"));
        restore(&mut scene, backup);
        scene.settle();
        say_the_word(&mut scene);
        if unknown {
            continue;
        }
        let told = |scene: &Scene| format!("{number}, status {status}: {}", told(scene));
        let object = scene.object.as_ref().unwrap();
        assert_eq!(object.identity(), OLD);
        assert!(object.finalizers().iter().any(|one| one == FINALIZER));
        assert!(scene.is(kind::READY), "{}", told(&scene));
        assert_eq!(scene.alive().len(), 1, "{}", told(&scene));
        assert_eq!(scene.difference(), Vec::<String>::new(), "{}", told(&scene));
        for what in ["project", "service", "volume", "domain"] {
            let made = (scene.count(what), undisturbed.count(what));
            assert_eq!(made.0, made.1, "{what}: {}", told(&scene));
        }
        for (what, count) in &undisturbed.shops.counts {
            let made = scene.done(what);
            assert_eq!(made, *count, "{what}: {}", told(&scene));
        }
        // A further look does nothing.
        scene.log.clear();
        scene.restart();
        scene.settle();
        assert!(scene.log.is_empty(), "{}", told(&scene));
        scene.delete();
        scene.settle();
        let gone = scene.object.is_none() && scene.alive().is_empty();
        assert!(gone, "{}", told(&scene));
        assert_eq!(scene.difference(), Vec::<String>::new(), "{}", told(&scene));
    }
}

#[test]
fn after_the_word_a_lost_secret_costs_its_keys_and_nothing_else() {
    let mut scene = Scene::new().with_tools().rested();
    restore(
        &mut scene,
        Backup {
            secret: false,
            ..WHOLE
        },
    );
    scene.settle();
    say_the_word(&mut scene);
    assert!(scene.is(kind::READY), "{}", told(&scene));
    assert_eq!(scene.difference(), Vec::<String>::new(), "{}", told(&scene));
    assert_eq!(scene.alive().len(), 1, "{}", told(&scene));
    for what in ["make telnyx Main", "make agentmail Main", "make bankr Main"] {
        assert_eq!(scene.done(what), 0, "{what}: {}", told(&scene));
    }
    assert_eq!(scene.living().len(), 8, "{}", told(&scene));
}

#[test]
fn without_an_identity_it_is_held_where_something_of_its_name_is_there() {
    for status in [true, false] {
        for finalizer in [true, false] {
            let mut scene = Scene::new().with_volume().rested();
            restore(
                &mut scene,
                Backup {
                    status,
                    finalizer,
                    identity: false,
                    secret: true,
                },
            );
            scene.restart();
            let before = outside(&scene);
            scene.settle();
            assert_eq!(outside(&scene), before, "{}", told(&scene));
            assert_eq!(
                scene.reason(kind::STALLED),
                Some("RestoredElsewhere"),
                "{}",
                told(&scene)
            );
            if status {
                say_the_word(&mut scene);
                assert_eq!(scene.object.as_ref().unwrap().identity(), OLD);
                assert!(scene.is(kind::READY), "{}", told(&scene));
                assert_eq!(outside(&scene), before, "{}", told(&scene));
            }
        }
    }
}

#[test]
fn what_was_left_behind_on_purpose_holds_nobody() {
    let mut scene = Scene::new().rested();
    let backup = Backup {
        status: false,
        finalizer: false,
        identity: false,
        secret: false,
    };
    restore(&mut scene, backup);
    scene.left_behind.insert(OLD.into());
    scene.settle();
    assert!(scene.is(kind::READY), "{}", told(&scene));
    assert_eq!(scene.object.as_ref().unwrap().identity(), NEW);
    assert_eq!(
        (projects(&scene), scene.count("delete")),
        (2, 0),
        "{}",
        told(&scene)
    );
}

#[test]
fn one_that_begins_anew_leaves_what_the_old_one_had() {
    for status in [true, false] {
        for tooled in [false, true] {
            let mut scene = match tooled {
                true => Scene::new().with_tools(),
                false => Scene::new().with_volume(),
            }
            .rested();
            let before = scene.object.as_ref().unwrap().status.clone().unwrap();
            let (old, tools) = (
                format!("{:?}", scene.provider.projects[0]),
                scene.living().len(),
            );
            restore(
                &mut scene,
                Backup {
                    status,
                    secret: false,
                    ..WHOLE
                },
            );
            scene.drawer.clear();
            scene.settle();
            identify(&mut scene, NEW);
            scene.settle();
            assert!(scene.is(kind::READY), "{}", told(&scene));
            assert_eq!(
                format!("{:?}", scene.provider.projects[0]),
                old,
                "{}",
                told(&scene)
            );
            assert_eq!(
                (projects(&scene), scene.count("project")),
                (2, 1),
                "{}",
                told(&scene)
            );
            assert_eq!(scene.living().len(), 2 * tools, "{}", told(&scene));
            let now = scene.object.as_ref().unwrap().status.as_ref().unwrap();
            assert_ne!(now.url, before.url, "{}", told(&scene));
            assert!(now.restored.is_none(), "{}", told(&scene));
            scene.delete();
            scene.settle();
            assert_eq!(
                format!("{:?}", scene.provider.projects[0]),
                old,
                "{}",
                told(&scene)
            );
            assert_eq!(projects(&scene), 1, "{}", told(&scene));
        }
    }
}

#[test]
fn one_that_was_told_something_else_before_is_told_what_it_waits_for() {
    // Its account came back later than it did, or another one with its identity is gone.
    for taken in [false, true] {
        let mut scene = Scene::new().with_tools().rested();
        restore(
            &mut scene,
            Backup {
                status: false,
                ..WHOLE
            },
        );
        scene.word.since = None;
        let account = scene.account.clone();
        match taken {
            true => scene.taken = true,
            false => scene.account = AccountView::NotAvailable,
        }
        scene.settle();
        let before = match taken {
            true => "IdentityTaken",
            false => "AccountNotAvailable",
        };
        assert_eq!(
            scene.reason(kind::STALLED),
            Some(before),
            "{}",
            told(&scene)
        );
        scene.taken = false;
        scene.account = account;
        scene.happened();
        scene.run_for(second(5));
        let object = scene.object.as_ref().unwrap();
        // The account is told of it, and so its owner is asked.
        assert!(
            waits(object) && waits_for_a_word(object),
            "{}",
            told(&scene)
        );
        say_the_word(&mut scene);
        assert!(scene.is(kind::READY), "{}", told(&scene));
        assert_eq!(scene.difference(), Vec::<String>::new(), "{}", told(&scene));
    }
}

#[test]
fn an_identity_that_is_edited_and_set_right_loses_nothing() {
    let mut scene = Scene::new().with_tools().rested();
    let before = outside(&scene);
    for wrong in ["another", "not a UID", ""] {
        identify(&mut scene, wrong);
        scene.word.since = Some(start());
        scene.settle();
        let why = scene.reason(kind::STALLED);
        assert!(
            matches!(why, Some("RestoredElsewhere" | "IdentityUnclear")),
            "{}",
            told(&scene)
        );
        identify(&mut scene, OLD);
        scene.settle();
        assert!(scene.is(kind::READY), "{}", told(&scene));
        assert_eq!(outside(&scene), before, "{wrong}: {}", told(&scene));
        assert_eq!(scene.difference(), Vec::<String>::new(), "{}", told(&scene));
    }
}

#[test]
fn an_annotation_that_is_taken_away_is_put_back() {
    let mut scene = Scene::new().with_tools().rested();
    for restored in [false, true] {
        if restored {
            restore(&mut scene, WHOLE);
            scene.settle();
            say_the_word(&mut scene);
            scene.word = Word::default();
        }
        let before = outside(&scene);
        scene.edit(|object| object.annotations_mut().clear());
        scene.settle();
        assert_eq!(scene.object.as_ref().unwrap().identity(), OLD);
        assert!(scene.is(kind::READY), "{}", told(&scene));
        assert_eq!(outside(&scene), before, "{}", told(&scene));
    }
}

#[test]
fn what_is_anothers_is_not_touched_whatever_is_said() {
    for status in [true, false] {
        let mut scene = Scene::new().with_tools().rested();
        restore(&mut scene, Backup { status, ..WHOLE });
        scene.taken = true;
        let before = outside(&scene);
        scene.settle();
        assert_eq!(
            scene.reason(kind::STALLED),
            Some("IdentityTaken"),
            "{}",
            told(&scene)
        );
        say_the_word(&mut scene);
        assert_eq!(
            scene.reason(kind::STALLED),
            Some("IdentityTaken"),
            "{}",
            told(&scene)
        );
        assert_eq!(outside(&scene), before, "{}", told(&scene));
        scene.delete();
        scene.settle();
        assert!(scene.object.is_none(), "{}", told(&scene));
        assert_eq!(outside(&scene), before, "{}", told(&scene));
    }
}
