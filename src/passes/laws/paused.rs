//! A life that is paused at any of its effects and goes on afterwards comes to the same end, at nothing more than it cost
//! without; while it is paused nothing is changed outside (`Scene::unpaused` asks at each change), also where the process
//! crashes, an answer is lost, or the pause comes between an intent and its step.

use super::scene::{SHOPS, Scene, Trouble, second};
use super::story::{self, Run, Story};
use crate::api::condition::{find, kind, reason};
use crate::api::instance::OperatingMode;
use crate::api::{Slot, SlotState};
use crate::engine::ledger::entry;
use crate::engine::world::{AccountView, RolloutTurn, ToolAccountView};
use crate::model::{PausedBy, Pauses};
use kube::ResourceExt;
use world::cases::Draw;

fn pause(scene: &mut Scene, by: PausedBy) {
    match by {
        PausedBy::Account(name) => {
            scene.pauses.accounts.insert(name);
        }
        PausedBy::Recovery(name) => {
            scene.pauses.recovering.insert(name);
        }
        by => scene.pauses.whole = Some(by),
    }
    scene.happened();
}

fn unpause(scene: &mut Scene) {
    scene.pauses = Pauses::default();
    scene.happened();
}

fn by_account(scene: &mut Scene) {
    pause(scene, PausedBy::Account("main".into()));
}

fn by_flag(scene: &mut Scene) {
    pause(scene, PausedBy::Installation);
}

fn by_recovery(scene: &mut Scene) {
    pause(scene, PausedBy::Recovery("main".into()));
}

fn conditions(scene: &Scene) -> Vec<(String, String, String)> {
    let status = scene.object.as_ref().and_then(|one| one.status.clone());
    let all = status.unwrap_or_default().conditions.into_iter();
    all.map(|one| (one.type_, one.status, one.reason)).collect()
}

/// What was made outside, and how often.
fn counts(scene: &Scene) -> String {
    format!("{:?} {:?}", scene.provider.counts, scene.shops.counts)
}

/// Told with a pause at an effect, which then lasts for long, and with troubles.
fn paused(
    story: &Story,
    at: usize,
    by: fn(&mut Scene),
    troubles: &[(usize, Trouble)],
) -> Option<Scene> {
    let mut scene = story.scene.clone();
    scene.trouble = troubles.iter().cloned().collect();
    scene.events.insert(at, by);
    (story.act)(&mut scene);
    scene.settle();
    if scene.fired < 1 + troubles.len() {
        return None;
    }
    let told = format!("{} at {at} {troubles:?}: {:?}", story.name, scene.log);
    if scene.object.is_some() {
        assert!(scene.is(kind::PAUSED), "{told}\n{}", scene.portrait());
    }
    let held = counts(&scene);
    let wrote = scene.effects("Persist");
    scene.run_for(second(900));
    assert_eq!(counts(&scene), held, "{told}");
    assert!(
        scene.effects("Persist") <= wrote + 1,
        "writes at rest: {told}"
    );
    unpause(&mut scene);
    scene.settle();
    assert!(!scene.is(kind::PAUSED), "{told}\n{}", scene.portrait());
    Some(scene)
}

fn compare(
    story: &Story,
    undisturbed: &Run,
    at: usize,
    troubles: &[(usize, Trouble)],
    scene: &Scene,
    more: u32,
) {
    let portrait = scene.portrait();
    let told = format!(
        "{} paused at {at} {troubles:?}:\n{:?}\n{:?}\n{portrait}",
        story.name, scene.log, scene.trail
    );
    assert_eq!(portrait, undisturbed.portrait, "{told}");
    assert_eq!(scene.difference(), Vec::<String>::new(), "{told}");
    for (what, count) in &scene.provider.counts {
        let more = if what == &"deployment" { more } else { 0 };
        let most = undisturbed.scene.count(what) + more;
        assert!(*count <= most, "{told}{count} times {what}");
    }
    for (what, count) in &scene.shops.counts {
        let most = undisturbed.scene.done(what) + more;
        let made = what.starts_with("make");
        assert!(!made || *count <= most, "{told}{count} times {what}");
    }
}

#[test]
fn a_pause_at_any_effect_changes_nothing_in_the_end() {
    let mut points = 0;
    for story in story::all() {
        let undisturbed = story.told(&[]);
        for at in 0..undisturbed.scene.log.len() {
            for by in [by_account as fn(&mut Scene), by_flag, by_recovery] {
                let Some(scene) = paused(&story, at, by, &[]) else {
                    panic!("{} at {at}: the pause did not come", story.name);
                };
                compare(&story, &undisturbed, at, &[], &scene, 0);
                points += 1;
            }
        }
    }
    println!("{points} pauses");
}

#[test]
fn a_pause_at_which_the_process_crashes_or_an_answer_is_lost_changes_nothing_in_the_end() {
    let troubles = [
        Trouble::CrashBefore,
        Trouble::CrashAfter,
        Trouble::Lost,
        Trouble::Vanished,
        Trouble::Late(second(12)),
    ];
    let mut points = 0;
    for story in story::all() {
        let undisturbed = story.told(&[]);
        for at in 0..undisturbed.scene.log.len() {
            for trouble in &troubles {
                let troubles = [(at, trouble.clone())];
                if let Some(scene) = paused(&story, at, by_account, &troubles) {
                    // `Deploy` has no intent on record, so a crash may repeat it.
                    compare(&story, &undisturbed, at, &troubles, &scene, 1);
                    points += 1;
                }
            }
        }
    }
    assert!(points > 500, "{points}");
}

fn tooled() -> Vec<Story> {
    let story = |name, scene, act| Story { name, scene, act };
    vec![
        story("create with tools", Scene::new().with_tools(), |_| {}),
        story(
            "create with tools, slowly",
            Scene::new().with_tools().slow(),
            |_| {},
        ),
        story(
            "delete with tools",
            Scene::new().with_tools().rested(),
            Scene::delete,
        ),
        story(
            "another limit",
            Scene::new().with_tools().rested(),
            |scene| super::tooled::limit(scene, 35),
        ),
        story("a tool less", Scene::new().with_tools().rested(), |scene| {
            super::tooled::without(scene, "mail");
            scene.revise("2");
        }),
    ]
}

/// A pause of one account, or of all.
const PLACES: [fn(&mut Scene); 8] = [
    by_flag,
    by_account,
    |scene| pause(scene, PausedBy::Recovery("openrouter".into())),
    |scene| pause(scene, PausedBy::Account("openrouter".into())),
    |scene| pause(scene, PausedBy::Account("exa".into())),
    |scene| pause(scene, PausedBy::Account("agentmail".into())),
    |scene| pause(scene, PausedBy::Account("telnyx".into())),
    |scene| pause(scene, PausedBy::Account("bankr".into())),
];

#[test]
fn a_pause_of_a_tools_account_at_any_effect_changes_nothing_in_the_end() {
    let (mut draw, mut points) = (Draw::one_in(3), 0);
    for story in tooled() {
        let undisturbed = story.told(&[]);
        for at in 0..undisturbed.scene.log.len() {
            for by in PLACES {
                if draw.takes()
                    && let Some(scene) = paused(&story, at, by, &[])
                {
                    compare(&story, &undisturbed, at, &[], &scene, 0);
                    points += 1;
                }
            }
        }
    }
    assert!(points > 100, "{points}");
}

#[test]
fn what_is_paused_from_the_beginning_is_not_begun() {
    for by in [
        PausedBy::Installation,
        PausedBy::Object,
        PausedBy::Account("main".into()),
    ] {
        let mut scene = Scene::new().with_tools();
        pause(&mut scene, by.clone());
        scene.settle();
        let object = scene.object.clone().unwrap();
        assert!(object.finalizers().is_empty(), "{by}: {:?}", scene.log);
        assert!(!scene.token);
        let begun = object.status.iter().flat_map(|status| &status.external);
        assert_eq!(begun.count(), 0, "{by}");
        assert_eq!(scene.reason(kind::SYNCED), Some(reason::PAUSED));
        assert_eq!(scene.reason(kind::READY), Some(reason::PAUSED));
        assert!(scene.message(kind::PAUSED).contains(&by.to_string()));
        assert!(!scene.is(kind::RECONCILING) && !scene.is(kind::STALLED));
        // It goes without a trace.
        scene.delete();
        scene.settle();
        assert!(scene.object.is_none(), "{:?}", scene.log);
    }
}

#[test]
fn an_agent_at_rest_stays_as_it_is_and_is_still_heard() {
    let mut scene = Scene::new().rested();
    let before = conditions(&scene);
    by_flag(&mut scene);
    scene.settle();
    let mut during = conditions(&scene);
    during.retain(|(kind, ..)| kind != kind::PAUSED);
    assert_eq!(during, before);
    assert!(scene.is(kind::PAUSED) && scene.is(kind::SYNCED) && scene.is(kind::READY));
    // A change waits; the agent that runs does not.
    scene.revise("2");
    scene.settle();
    assert_eq!(scene.effects("Configure"), 0);
    assert!(scene.is(kind::READY), "{}", scene.portrait());
    assert_eq!(scene.reason(kind::SYNCED), Some(reason::PAUSED));
    assert_eq!(scene.reason(kind::TEMPLATE_SYNCED), Some(reason::OUTDATED));
    // What happens to it is told.
    let now = scene.now;
    scene.provider.meddle(now, |projects| {
        for one in projects.iter_mut().flat_map(|home| &mut home.deployments) {
            one.removed = true;
        }
    });
    scene.run_for(second(200));
    assert!(!scene.is(kind::READY), "{}", scene.portrait());
    assert_eq!(scene.effects("Deploy"), 0);
    unpause(&mut scene);
    scene.settle();
    assert!(scene.is(kind::READY) && !scene.is(kind::PAUSED));
    assert_eq!(scene.reason(kind::SYNCED), Some(reason::READY));
}

#[test]
fn an_instance_that_is_paused_alone_is_passed_over_by_the_rollout() {
    let mut scene = Scene::new().rested();
    pause(&mut scene, PausedBy::Object);
    scene.revise("2");
    scene.settle();
    assert_eq!(
        scene.reason(kind::TEMPLATE_SYNCED),
        Some(reason::PASSED_OVER)
    );
    scene.ready_template().turn = RolloutTurn::Passed;
    let wrote = scene.effects("Persist");
    scene.run_for(second(900));
    assert_eq!(scene.effects("Persist"), wrote, "{:?}", scene.log);
    unpause(&mut scene);
    scene.settle();
    // By that word the template gives it its turn.
    assert_eq!(scene.reason(kind::TEMPLATE_SYNCED), Some(reason::OUTDATED));
    scene.ready_template().turn = RolloutTurn::Yes;
    scene.happened();
    scene.settle();
    assert_eq!(scene.effects("Configure"), 1);
}

#[test]
fn a_deletion_waits_and_says_for_what() {
    for act in [(|_: &mut Scene| {}) as fn(&mut Scene), |scene| {
        scene.edit(|one| {
            one.spec.deletion_policy = crate::api::instance::DeletionPolicy::Retain;
        })
    }] {
        let mut scene = Scene::new().with_tools().rested();
        act(&mut scene);
        scene.settle();
        by_account(&mut scene);
        by_flag(&mut scene);
        scene.delete();
        scene.settle();
        let object = scene.object.clone().unwrap();
        assert_eq!(object.finalizers().len(), 1);
        let status = object.status.unwrap();
        let going = status.external.iter();
        assert!(going.clone().all(|one| one.state != SlotState::Deleting));
        assert_eq!(scene.reason(kind::READY), Some(reason::DELETING));
        assert_eq!(scene.reason(kind::SYNCED), Some(reason::PAUSED));
        let said = find(&status.conditions, kind::SYNCED).unwrap();
        assert!(said.message.contains("--observe-only"), "{}", said.message);
        unpause(&mut scene);
        scene.settle();
        assert!(scene.object.is_none());
    }
}

#[test]
fn an_account_of_a_tool_holds_what_concerns_it_alone() {
    let mut scene = Scene::new().with_tools();
    pause(&mut scene, PausedBy::Account("exa".into()));
    scene.settle();
    // Everything else is made, and the agent waits for what it requires.
    assert!(scene.shops.things.iter().all(|one| one.shop != "exa"));
    for shop in SHOPS.iter().filter(|shop| **shop != "exa") {
        assert!(
            scene.shops.things.iter().any(|one| one.shop == *shop),
            "{shop}"
        );
    }
    assert_eq!(scene.effects("Configure"), 0);
    let status = scene.object.as_ref().unwrap().status.clone().unwrap();
    let slot = Slot::tool("search", crate::api::Part::Main).unwrap();
    assert!(entry(&status, slot).is_none_or(|one| one.state == SlotState::Planned));
    assert_eq!(scene.reason(kind::TOOLS_READY), Some(reason::PAUSED));
    assert_eq!(scene.reason(kind::SYNCED), Some(reason::PAUSED));
    assert!(scene.message(kind::PAUSED).contains("ProviderAccount exa"));
    unpause(&mut scene);
    scene.settle();
    assert!(scene.is(kind::READY));

    // A change of the agent's own goes on while another limit waits.
    pause(&mut scene, PausedBy::Account("openrouter".into()));
    super::tooled::limit(&mut scene, 35);
    scene.set_env("b");
    scene.settle();
    assert_eq!(scene.effects("AdjustTool"), 0);
    assert_eq!(scene.effects("Configure"), 2, "{:?}", scene.log);
    assert!(scene.is(kind::READY), "{}", scene.portrait());
    unpause(&mut scene);
    scene.settle();
    assert!(scene.effects("AdjustTool") > 0);
}

#[test]
fn of_an_account_that_is_not_to_be_used_nobody_learns_that_it_is_paused() {
    let mut scene = Scene::new();
    scene.account = AccountView::NotAvailable;
    by_account(&mut scene);
    scene.settle();
    assert!(!scene.is(kind::PAUSED));
    assert!(!scene.portrait().contains("paused"), "{}", scene.portrait());
    let mut scene = Scene::new().with_tools();
    let closed = ToolAccountView::NotAvailable;
    scene.accounts.insert("exa".into(), closed);
    pause(&mut scene, PausedBy::Account("exa".into()));
    scene.settle();
    assert!(!scene.portrait().contains("paused"), "{}", scene.portrait());
}

#[test]
fn a_suspension_waits_as_well() {
    let mut scene = Scene::new().rested();
    by_account(&mut scene);
    scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
    scene.settle();
    assert_eq!(scene.effects("Stop"), 0);
    assert_eq!(scene.reason(kind::SYNCED), Some(reason::PAUSED));
    unpause(&mut scene);
    scene.settle();
    assert_eq!(scene.effects("Stop"), 1);
    assert!(scene.is(kind::SUSPENDED));
}

/// Every account of which this process knows nothing yet.
fn all_unread(scene: &mut Scene) {
    let accounts = SHOPS.iter().copied().chain(["main"]);
    scene.pauses.unread = accounts.map(|name| (name.to_owned(), None)).collect();
    scene.happened();
}

#[test]
fn before_it_is_known_whether_an_account_is_remembered_nothing_is_made_or_deleted_there_and_nothing_told()
 {
    let mut points = 0;
    for story in story::all().into_iter().chain(tooled()) {
        let undisturbed = story.told(&[]);
        for at in 0..undisturbed.scene.log.len() {
            let mut scene = story.scene.clone();
            scene.events.insert(at, all_unread);
            (story.act)(&mut scene);
            scene.run_for(second(600));
            let told = format!("{} at {at}: {:?}", story.name, scene.log);
            assert!(!scene.is(kind::PAUSED), "{told}");
            let wrote = scene.effects("Persist");
            scene.run_for(second(60));
            assert_eq!(scene.effects("Persist"), wrote, "{told}");
            unpause(&mut scene);
            scene.settle();
            compare(&story, &undisturbed, at, &[], &scene, 0);
            points += 1;
        }
    }
    assert!(points > 100, "{points}");
}

/// Who takes over and only observes tells that it is paused before any account is read, beside what was told before.
#[test]
fn a_deletion_is_told_before_its_account_is_read() {
    for suspended in [false, true] {
        let mut scene = Scene::new().rested();
        if suspended {
            scene.edit(|o| o.spec.operating_mode = OperatingMode::Suspended);
            scene.settle();
        }
        all_unread(&mut scene);
        scene.pauses.whole = Some(PausedBy::Installation);
        scene.delete();
        scene.visit();
        assert!(scene.is(kind::PAUSED), "{}", scene.portrait());
        for kind in [kind::READY, kind::SYNCED] {
            assert_eq!(
                scene.reason(kind),
                Some(reason::DELETING),
                "{}",
                scene.portrait()
            );
            assert!(!scene.is(kind));
        }
    }
}

#[test]
fn a_lost_ledger_stays_lost_until_its_account_is_remembered() {
    for (by, waits) in [(by_recovery as fn(&mut Scene), true), (all_unread, false)] {
        let mut scene = Scene::new().with_tools().rested();
        let (before, made) = (scene.portrait(), counts(&scene));
        by(&mut scene);
        scene.lose(|status| *status = None);
        scene.happened();
        scene.run_for(second(300));
        let status = scene.object.as_ref().unwrap().status.clone();
        let ledger = status.iter().flat_map(|status| &status.external).count();
        assert_eq!(ledger, 0, "{}", scene.portrait());
        assert_eq!(scene.is(kind::PAUSED), waits);
        if waits {
            assert_eq!(scene.reason(kind::SYNCED), Some(reason::RECOVERY_MODE));
            assert_eq!(scene.reason(kind::PAUSED), Some(reason::RECOVERY_MODE));
        }
        unpause(&mut scene);
        scene.settle();
        assert!(scene.is(kind::READY), "{}", scene.portrait());
        assert_eq!(scene.difference(), Vec::<String>::new(), "{before}");
        assert_eq!(counts(&scene).contains("project"), made.contains("project"));
    }
}
