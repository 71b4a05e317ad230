//! Random lives: users, meddlers and faults in any order. After the last of them everything comes to what the spec says,
//! with one of each and nothing left over.

use super::scene::{Scene, Trouble, second};
use crate::api::condition::kind;
use crate::api::instance::{OnExternalDeletion, OperatingMode};
use crate::engine::world::AccountView;
use crate::model::Fault;
use proptest::prelude::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Incident {
    Mode(OperatingMode),
    Variable(u8),
    Revision(u8),
    ProjectDeleted,
    ServiceDeleted,
    DomainDeleted,
    DeploymentRemoved,
    VariableEdited,
    Restart,
    Outage,
    OutageOver,
    /// At one of the next effects.
    Trouble(usize, Trouble),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let refused = |fault: fn(String) -> Fault| Just(Trouble::Refused(fault("no".to_owned())));
    prop_oneof![
        Just(Trouble::CrashBefore),
        Just(Trouble::CrashAfter),
        Just(Trouble::Lost),
        Just(Trouble::Vanished),
        Just(Trouble::Stale),
        (0i64..=12).prop_map(|late| Trouble::Late(second(late))),
        refused(|message| Fault::Transient { message }),
        refused(|message| Fault::Uncertain { message }),
        refused(|message| Fault::Rejected { message }),
        refused(|message| Fault::Bug { message }),
    ]
}

fn incident() -> impl Strategy<Value = Incident> {
    prop_oneof![
        2 => Just(Incident::Mode(OperatingMode::Suspended)),
        2 => Just(Incident::Mode(OperatingMode::Running)),
        2 => (0u8..3).prop_map(Incident::Variable),
        2 => (1u8..4).prop_map(Incident::Revision),
        1 => Just(Incident::ProjectDeleted),
        1 => Just(Incident::ServiceDeleted),
        1 => Just(Incident::DomainDeleted),
        1 => Just(Incident::DeploymentRemoved),
        1 => Just(Incident::VariableEdited),
        1 => Just(Incident::Restart),
        1 => Just(Incident::Outage),
        1 => Just(Incident::OutageOver),
        8 => (0usize..6, trouble()).prop_map(|(after, trouble)| Incident::Trouble(after, trouble)),
    ]
}

fn happen(scene: &mut Scene, incident: &Incident) {
    let now = scene.now;
    let mut meddle = |with: fn(&mut super::provider::Project)| {
        scene.provider.meddle(now, |projects| {
            projects
                .iter_mut()
                .filter(|home| !home.deleted)
                .for_each(with);
        });
    };
    match incident {
        Incident::Mode(mode) => {
            let mode = *mode;
            scene.edit(|object| object.spec.operating_mode = mode);
        }
        Incident::Variable(value) => scene.set_env(&value.to_string()),
        Incident::Revision(revision) => scene.revise(&revision.to_string()),
        Incident::ProjectDeleted => meddle(|home| home.deleted = true),
        Incident::ServiceDeleted => meddle(|home| {
            home.services.clear();
            home.domains.clear();
            home.deployments.clear();
            home.settings.clear();
            home.tag += 1;
        }),
        Incident::DomainDeleted => meddle(|home| {
            home.domains.clear();
            home.tag += 1;
        }),
        Incident::DeploymentRemoved => {
            meddle(|home| {
                home.deployments
                    .iter_mut()
                    .for_each(|one| one.removed = true)
            });
        }
        Incident::VariableEdited => meddle(|home| {
            home.tag += 1;
            for settings in home.settings.values_mut() {
                settings.variables.insert("MODE".into(), "x".into());
            }
        }),
        Incident::Restart => scene.restart(),
        Incident::Outage => scene.account = AccountView::Unreachable,
        Incident::OutageOver => {
            scene.account = AccountView::Ready(super::scene::room());
            scene.happened();
        }
        Incident::Trouble(after, trouble) => {
            scene
                .trouble
                .insert(scene.log.len() + after, trouble.clone());
        }
    }
}

fn live(volume: bool, slow: bool, incidents: &[(Incident, i64)]) -> Scene {
    let mut scene = Scene::new();
    if volume {
        scene = scene.with_volume();
    }
    if slow {
        scene = scene.slow();
    }
    scene.edit(|object| object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate));
    for (incident, then) in incidents {
        happen(&mut scene, incident);
        scene.run_for(second(*then));
    }
    scene.trouble.clear();
    happen(&mut scene, &Incident::OutageOver);
    // What was refused for good is tried again when something changes.
    scene.edit(|_| {});
    scene.settle();
    scene
}

fn incidents() -> impl Strategy<Value = Vec<(Incident, i64)>> {
    let pause = prop_oneof![4 => 0i64..6, 1 => 6i64..200];
    prop::collection::vec((incident(), pause), 1..14)
}

proptest! {
    #![proptest_config(super::seeded(160))]

    #[test]
    fn a_random_life_comes_to_what_the_spec_says(
        volume: bool, slow: bool, incidents in incidents()
    ) {
        let scene = live(volume, slow, &incidents);
        let told = format!("{:?}\n{}", scene.log, scene.portrait());
        let suspended = scene.object.as_ref().unwrap().spec.operating_mode == OperatingMode::Suspended;
        let at_rest = scene.is(if suspended { kind::SUSPENDED } else { kind::READY });
        // A suspended one takes what has changed when it runs again, and says so.
        let behind = suspended && !scene.is(kind::TEMPLATE_SYNCED);
        prop_assert!(at_rest && (behind || scene.is(kind::SYNCED)), "{}", told);
        prop_assert!(!scene.is(kind::RECONCILING) && !scene.is(kind::STALLED), "{}", told);
        let alive = scene.alive();
        // One that was suspended before anything was made has nothing.
        prop_assert!(alive.len() == 1 || suspended && alive.is_empty(), "{}", told);
        for home in alive {
            prop_assert_eq!((home.services.len(), home.domains.len()), (1, 1), "{}", told);
            prop_assert_eq!(home.volumes.len(), usize::from(volume), "{}", told);
            let running: Vec<_> = home.deployments.iter().filter(|one| !one.removed).collect();
            prop_assert_eq!(running.len(), usize::from(!suspended), "{}", told);
            if !suspended {
                let settings = home.settings.values().next().unwrap();
                prop_assert_eq!(&settings.variables["MODE"], &scene.env, "{}", told);
                prop_assert_eq!(&running[0].image, &settings.image, "{}", told);
            }
        }
    }

    #[test]
    fn a_random_life_that_ends_leaves_nothing(
        volume: bool, slow: bool, incidents in incidents(), crash in prop::option::of(0usize..8)
    ) {
        let mut scene = Scene::new();
        if volume { scene = scene.with_volume(); }
        if slow { scene = scene.slow(); }
        for (incident, then) in &incidents {
            happen(&mut scene, incident);
            scene.run_for(second(*then));
        }
        scene.delete();
        if let Some(after) = crash {
            scene.trouble.insert(scene.log.len() + after, Trouble::CrashAfter);
        }
        scene.run_for(second(5));
        scene.trouble.retain(|_, trouble| !matches!(trouble, Trouble::Refused(_)));
        happen(&mut scene, &Incident::OutageOver);
        scene.settle();
        scene.trouble.clear();
        scene.happened();
        scene.run_for(second(1200));
        prop_assert_eq!(scene.portrait(), "object: gone\n", "{:?}", scene.log);
    }
}
