//! What is not ours is never touched, and what cannot be seen is never taken for gone.

use super::scene::{Scene, room, second, start};
use super::story;
use crate::api::Slot;
use crate::api::condition::kind;
use crate::engine::world::AccountView;
use crate::model::{InstallationId, Marker};
use jiff::SignedDuration;
use proptest::prelude::*;

/// A description that names the instance, and is not its marker.
fn foreign() -> impl Strategy<Value = String> {
    let ours = || Marker {
        installation: InstallationId("i-1".into()),
        namespace: "team-a".into(),
        name: "ada".into(),
        uid: "5f2c".into(),
        slot: Slot::Project,
    };
    let text = move || ours().to_string();
    prop_oneof![
        "[a-z]{1,8}"
            .prop_filter("ours", |id| id != "i-1")
            .prop_map(move |id| {
                Marker {
                    installation: InstallationId(id),
                    ..ours()
                }
                .to_string()
            }),
        "[0-9a-f]{1,6}"
            .prop_filter("ours", |uid| uid != "5f2c")
            .prop_map(move |uid| { Marker { uid, ..ours() }.to_string() }),
        // Edited: a letter more, a letter less, another slot, nothing.
        (0..text().len(), "[a-z =]")
            .prop_map(move |(at, letter)| {
                let mut edited = text();
                edited.insert_str(at, &letter);
                edited
            })
            .prop_filter("still ours", |text| Marker::parse(text).is_none_or(
                |marker| { marker.uid != "5f2c" || marker.installation.0 != "i-1" }
            )),
        (0..text().len())
            .prop_map(move |at| {
                let mut edited = text();
                edited.remove(at);
                edited
            })
            .prop_filter("still ours", |text| Marker::parse(text).is_none_or(
                |marker| { marker.uid != "5f2c" || marker.installation.0 != "i-1" }
            )),
        Just(text().replace("slot=project", "slot=service")),
        Just(String::new()),
        ".{0,40}",
    ]
}

proptest! {
    #![proptest_config(super::seeded(24))]

    /// Among many strangers, through a whole life and with a lost answer: they are as they were.
    #[test]
    fn strangers_are_never_touched(
        descriptions in prop::collection::vec(foreign(), 1..12), lost in prop_oneof![Just(3usize), 0usize..9], story in 0usize..4
    ) {
        let mut scene = story::creations().swap_remove(story).scene;
        let same_name = Marker {
            installation: InstallationId("i-1".into()),
            namespace: "team-a".into(),
            name: "ada".into(),
            uid: "5f2c".into(),
            slot: Slot::Project,
        }.outside_name();
        for description in &descriptions {
            let change = super::provider::Change::Project { name: same_name.clone(), description: description.clone() };
            scene.provider.apply(start() - second(60), change).unwrap();
        }
        scene.provider.counts.clear();
        let before = format!("{:?}", scene.provider.projects);
        scene.trouble.insert(lost, super::scene::Trouble::Lost);
        scene.settle();
        prop_assert!(scene.is(kind::READY), "{:?}\n{}", scene.log, scene.portrait());
        prop_assert_eq!(scene.count("project"), 1);
        scene.delete();
        scene.settle();
        prop_assert!(scene.object.is_none(), "{:?}", scene.log);
        let strangers = &scene.provider.projects[..descriptions.len()];
        prop_assert_eq!(format!("{strangers:?}"), before);
        prop_assert_eq!(scene.count("delete"), 1);
    }
}

#[test]
fn an_account_that_cannot_be_used_is_left_alone_and_nothing_is_concluded() {
    let out = [
        AccountView::Unreachable,
        AccountView::NotReady {
            message: "no credential".into(),
        },
        AccountView::NotAvailable,
    ];
    for story in story::all() {
        let undisturbed = story.told(&[]);
        for view in &out {
            let mut scene = story.scene.clone();
            let counts = scene.provider.counts.clone();
            scene.account = view.clone();
            (story.act)(&mut scene);
            scene.happened();
            scene.settle();
            let told = format!(
                "{} with {view:?}: {:?}\n{}",
                story.name,
                scene.log,
                scene.portrait()
            );
            assert_eq!(scene.provider.counts, counts, "{told}");
            let asked = ["Look", "Search", "Compare"].map(|word| scene.effects(word));
            assert_eq!(asked, [0, 0, 0], "{told}");
            assert!(scene.object.is_some(), "{told}");
            // And when it can be used again, everything is as it would have been.
            scene.account = AccountView::Ready(room());
            scene.happened();
            scene.settle();
            assert_eq!(scene.portrait(), undisturbed.portrait, "{told}");
        }
    }
}

#[test]
fn an_agent_at_rest_is_told_nothing_of_an_outage() {
    let mut scene = Scene::new().with_volume().rested();
    let before = scene.portrait();
    for view in [
        AccountView::Unreachable,
        AccountView::NotReady {
            message: "x".into(),
        },
    ] {
        scene.account = view;
        scene.happened();
        scene.settle();
        assert_eq!(
            (scene.portrait(), scene.log.len()),
            (before.clone(), 0),
            "{:?}",
            scene.log
        );
    }
}

#[test]
fn an_absence_is_not_believed_from_a_reading_begun_too_early() {
    // Reads that lag almost as long as we wait: what was just made is not shown for all that time.
    for story in story::creations() {
        let mut scene = story.scene.clone();
        scene.provider.lag = SignedDuration::from_millis(19_500);
        scene.settle();
        let told = format!("{}: {:?}\n{}", story.name, scene.log, scene.portrait());
        assert!(scene.is(kind::READY), "{told}");
        for what in ["project", "service", "domain", "deployment"] {
            assert_eq!(scene.count(what), 1, "{what}: {told}");
        }
        assert_eq!(scene.count("delete"), 0, "{told}");
        for at in 0..scene.log.len().min(14) {
            let mut scene = story.scene.clone();
            scene.provider.lag = SignedDuration::from_millis(19_500);
            scene.trouble.insert(at, super::scene::Trouble::CrashAfter);
            scene.settle();
            let told = format!(
                "{} crash at {at}: {:?}\n{}",
                story.name,
                scene.log,
                scene.portrait()
            );
            for what in ["project", "service", "domain", "deployment"] {
                assert_eq!(scene.count(what), 1, "{what}: {told}");
            }
            scene.delete();
            scene.settle();
            assert_eq!(scene.portrait(), "object: gone\n", "{told}");
        }
    }
}

#[test]
fn an_instance_deleted_right_after_it_was_made_leaves_nothing_however_far_reads_lag() {
    let refusals = [
        crate::model::Fault::Uncertain {
            message: "Not Authorized".into(),
        },
        crate::model::Fault::Missing {
            message: "Project not found".into(),
        },
    ];
    for fault in refusals {
        for crash in [false, true] {
            let mut scene = Scene::new();
            scene.provider.lag = second(15);
            while scene.effects("CreateDomain") == 0 {
                let due = scene.wake.unwrap_or(scene.now);
                scene.advance(due);
                scene.visit();
            }
            if crash {
                scene.restart();
            }
            scene.delete();
            // The provider does not know yet what it has made: it refuses to delete it.
            let first = scene.log.len();
            for at in first..first + 2 {
                scene
                    .trouble
                    .insert(at, super::scene::Trouble::Refused(fault.clone()));
            }
            scene.settle();
            let told = format!("{fault:?} {crash}: {:?}\n{}", scene.log, scene.portrait());
            assert_eq!(scene.portrait(), "object: gone\n", "{told}");
        }
    }
}
