//! An agent that is behind its template and waits, or may not move: what happens to it meanwhile brings it the new revision
//! before its turn in no way, is mended at the revision that runs, and keeps nobody waiting for it.

use super::scene::{Scene, Trouble, second};
use super::tool_ends::{state, told, tooled};
use super::tooled::without;
use crate::api::condition::{find, kind, reason};
use crate::api::instance::{OnExternalDeletion, OperatingMode, UpdatePolicy};
use crate::engine::world::{RolloutTurn, ToolAccountView};
use crate::model::Fault;

/// What keeps an agent at its revision.
const HOLDS: [fn(&mut Scene); 4] = [
    |scene| scene.edit(|object| object.spec.update_policy = UpdatePolicy::Manual),
    |scene| scene.ready_template().turn = RolloutTurn::Wait,
    |scene| scene.ready_template().turn = RolloutTurn::Passed,
    |scene| {
        scene.ready_template().turn = RolloutTurn::Stopped {
            because: "bob".into(),
        };
    },
];

/// What runs: the images, and where their disks are.
fn runs(scene: &Scene) -> Vec<(String, Option<String>)> {
    let homes = scene.alive();
    let all = homes.iter().flat_map(|home| &home.deployments);
    all.filter(|one| !one.removed)
        .map(|one| {
            let path = one.disk.as_ref().map(|(_, path)| path.clone());
            (one.image.clone(), path)
        })
        .collect()
}

fn revision(scene: &Scene) -> String {
    let status = scene.object.as_ref().unwrap().status.as_ref().unwrap();
    status.template_revision.clone().unwrap()
}

const OLD: &str = "ghcr.io/acme/agent@sha256:1";

const NEW: &str = "ghcr.io/acme/agent@sha256:2";

/// The agent runs what it ran, is ready, and says that it is behind.
fn waits(scene: &Scene, disk: Option<&str>) {
    let told = told(scene);
    assert_eq!(revision(scene), "r1", "{told}");
    let expected = vec![(OLD.to_owned(), disk.map(str::to_owned))];
    assert_eq!(runs(scene), expected, "{told}");
    assert!(
        scene.is(kind::READY) && !scene.is(kind::RECONCILING) && !scene.is(kind::STALLED),
        "{told}"
    );
    let outdated = [
        reason::OUTDATED,
        reason::OUTDATED_MANUAL,
        reason::ROLLOUT_STOPPED,
    ];
    let why = scene.reason(kind::TEMPLATE_SYNCED).unwrap();
    assert!(outdated.contains(&why), "{why} {told}");
}

/// Whatever held it lets it go, and it takes the revision.
fn moves(scene: &mut Scene, disk: Option<&str>) {
    scene.ready_template().turn = RolloutTurn::Yes;
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Automatic);
    scene.settle();
    let told = told(scene);
    assert_eq!(revision(scene), "r2", "{told}");
    let expected = vec![(NEW.to_owned(), disk.map(str::to_owned))];
    assert_eq!(runs(scene), expected, "{told}");
    assert!(scene.is(kind::READY), "{told}");
}

#[test]
fn a_change_of_its_own_that_was_refused_brings_no_revision_before_its_turn() {
    for hold in HOLDS {
        let mut scene = Scene::new().rested();
        let until = scene.now + second(300);
        for at in 0..8 {
            let message = "later".to_owned();
            let fault = Fault::Throttled { until, message };
            scene.trouble.insert(at, Trouble::Refused(fault));
        }
        scene.set_env("b");
        scene.run_for(second(20));
        assert!(scene.log.contains(&"Configure"), "{}", told(&scene));
        assert_eq!(scene.count("deployment"), 0, "{}", told(&scene));
        scene.trouble.clear();
        hold(&mut scene);
        scene.revise("2");
        scene.settle();
        waits(&scene, None);
        moves(&mut scene, None);
    }
}

#[test]
fn a_first_configuration_that_was_refused_follows_a_template_that_was_corrected() {
    let mut scene = Scene::new();
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Manual);
    let message = "no such region".to_owned();
    let refused = Trouble::Refused(Fault::Rejected { message });
    scene.trouble.insert(7, refused);
    scene.run_for(second(20));
    assert_eq!(scene.log[7], "Configure", "{}", told(&scene));
    assert!(scene.is(kind::STALLED), "{}", told(&scene));
    scene.trouble.clear();
    scene.revise("2");
    scene.settle();
    assert_eq!(runs(&scene), [(NEW.to_owned(), None)], "{}", told(&scene));
}

#[test]
fn a_disk_is_put_back_at_the_revision_that_runs() {
    for hold in HOLDS {
        for lose in [
            (|home| home.attached.clear()) as fn(&mut super::provider::Project),
            |home| home.volumes.clear(),
        ] {
            let mut scene = Scene::new().with_volume();
            scene.edit(|object| {
                object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate);
            });
            let mut scene = scene.rested();
            hold(&mut scene);
            scene.revise("2");
            scene.settle();
            waits(&scene, Some("/data"));
            let now = scene.now;
            scene.provider.meddle(now, |projects| {
                projects.iter_mut().for_each(lose);
            });
            scene.settle();
            waits(&scene, Some("/data"));
            assert_eq!(scene.count("deployment"), 1, "{}", told(&scene));
            scene.log.clear();
            scene.restart();
            scene.settle();
            assert_eq!(scene.log, Vec::<&str>::new(), "{}", told(&scene));
            moves(&mut scene, Some("/data"));
        }
    }
}

#[test]
fn a_crash_while_a_disk_is_put_back_leaves_nobody_without_it() {
    for at in 0..12 {
        for crash in [Trouble::CrashBefore, Trouble::CrashAfter, Trouble::Lost] {
            let mut scene = Scene::new().with_volume().rested();
            HOLDS[0](&mut scene);
            scene.revise("2");
            scene.settle();
            scene.log.clear();
            let now = scene.now;
            scene.provider.meddle(now, |projects| {
                projects.iter_mut().for_each(|home| home.attached.clear());
            });
            scene.trouble.insert(at, crash.clone());
            scene.settle();
            waits(&scene, Some("/data"));
        }
    }
}

#[test]
fn another_path_of_the_template_comes_with_its_revision_and_is_no_drift() {
    for hold in HOLDS {
        let mut scene = Scene::new().with_volume().rested();
        hold(&mut scene);
        // The template was deleted, and made again.
        scene.ready_template().volume_mount = Some("/other".into());
        scene.revise("2");
        scene.settle();
        waits(&scene, Some("/data"));
        assert_eq!(scene.count("mount"), 0, "{}", told(&scene));
        let drifted = |scene: &Scene| scene.told.iter().any(|one| one.reason == reason::DRIFTED);
        // What is detached by hand goes back to where it was.
        let now = scene.now;
        scene.provider.meddle(now, |projects| {
            for home in projects {
                home.attached.clear();
            }
        });
        scene.settle();
        assert!(drifted(&scene), "{}", told(&scene));
        assert_eq!(runs(&scene)[0].0, OLD, "{}", told(&scene));
        scene.told.clear();
        moves(&mut scene, Some("/other"));
        assert!(!drifted(&scene), "{}", told(&scene));
    }
}

/// Another type of tool under a name that the agent has one of already.
fn retype(scene: &mut Scene, name: &str, tool: serde_json::Value) {
    for one in &mut scene.tools {
        if one.name.as_str() == name {
            *one = serde_json::from_value(tool.clone()).unwrap();
        }
    }
}

#[test]
fn another_type_of_tool_under_a_name_waits_for_the_agents_turn_at_rest() {
    let suspends: fn(&mut Scene) = |scene| {
        scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
    };
    for hold in HOLDS.into_iter().chain([suspends]) {
        for (name, other, tool) in [
            (
                "purse",
                "bank",
                serde_json::json!({"name": "purse", "type": "bankr", "accountRef": {"name": "bankr"}}),
            ),
            (
                "search",
                "llm",
                serde_json::json!({"name": "search", "type": "openrouter", "accountRef": {"name": "openrouter"}, "limitUSD": 20}),
            ),
        ] {
            let mut scene = tooled().rested();
            hold(&mut scene);
            scene.settle();
            without(&mut scene, other);
            retype(&mut scene, name, tool);
            scene.revise("2");
            scene.settle();
            scene.log.clear();
            scene.run_for(second(3600));
            assert_eq!(scene.log, Vec::<&str>::new(), "{}", told(&scene));
            assert_eq!(revision(&scene), "r1", "{}", told(&scene));
        }
    }
}

/// What a plan said of the template's revision, and why.
fn synced(scene: &Scene) -> (String, String) {
    let status = scene.object.as_ref().unwrap().status.as_ref().unwrap();
    let said = find(&status.conditions, kind::TEMPLATE_SYNCED).unwrap();
    (said.reason.clone(), said.message.clone())
}

/// It was passed over, and stays so without a write until `help`; then it waits for its turn again, and takes it.
fn is_passed_until(scene: &mut Scene, because: &str, help: impl FnOnce(&mut Scene)) {
    let (why, message) = synced(scene);
    assert_eq!(why, reason::PASSED_OVER, "{}", told(scene));
    assert!(message.contains(because), "{message}");
    scene.ready_template().turn = RolloutTurn::Passed;
    let writes = scene.effects("Persist");
    scene.happened();
    scene.run_for(second(3600));
    assert_eq!(scene.effects("Persist"), writes, "{}", told(scene));
    help(scene);
    scene.happened();
    scene.settle();
    assert_eq!(synced(scene).0, reason::OUTDATED, "{}", told(scene));
    scene.ready_template().turn = RolloutTurn::Yes;
    scene.happened();
    scene.settle();
    assert_eq!(synced(scene).0, reason::CURRENT, "{}", told(scene));
}

#[test]
fn one_whose_former_account_is_closed_is_passed_over_and_says_so_once() {
    let message = || "no credential".to_owned();
    for closed in [
        ToolAccountView::NotAvailable,
        ToolAccountView::NotReady { message: message() },
        ToolAccountView::Unreachable,
    ] {
        let mut scene = tooled().rested();
        scene.accounts.insert("exa".into(), closed);
        without(&mut scene, "llm");
        let tool = serde_json::json!({"name": "search", "type": "openrouter", "accountRef": {"name": "openrouter"}, "limitUSD": 20});
        retype(&mut scene, "search", tool);
        scene.revise("2");
        scene.settle();
        assert!(state(&scene, "tool/search").is_some(), "{}", told(&scene));
        is_passed_until(&mut scene, "ProviderAccount exa", |scene| {
            scene.accounts.insert("exa".into(), ToolAccountView::Ready);
        });
    }
}

#[test]
fn one_that_a_tool_keeps_which_it_need_not_have_is_passed_over() {
    let mut scene = tooled();
    for one in &mut scene.tools {
        one.required &= one.name.as_str() != "purse";
    }
    let mut scene = scene.rested();
    let purse = super::tool_ends::slot("tool/purse");
    let lost = scene.drawer.remove(&purse).unwrap();
    scene.revise("2");
    scene.settle();
    is_passed_until(&mut scene, "Secret", |scene| {
        scene.drawer.insert(purse, lost);
    });
}
