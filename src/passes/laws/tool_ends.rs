//! Tools that come and go: asked for and given up, limits changed, trouble with one of several, what is left behind and
//! what is not.

use super::scene::Scene;
use super::shops::Thing;
use super::tooled::{limit, without};
use crate::api::condition::kind;
use crate::api::instance::{DeletionPolicy, UpdatePolicy};
use crate::api::template::{ReclaimPolicy, ToolTime};
use crate::api::{Part, Slot, SlotState};
use crate::engine::world::ToolAccountView;

pub fn tooled() -> Scene {
    Scene::new().with_tools()
}

pub fn told(scene: &Scene) -> String {
    format!(
        "{:?}\n{:?}\n{:?}\n{}",
        scene.log,
        scene.trail,
        scene.told,
        scene.portrait()
    )
}

pub fn in_order(scene: &Scene) {
    assert_eq!(scene.difference(), Vec::<String>::new(), "{}", told(scene));
}

pub fn vanish(scene: &mut Scene, which: fn(&Thing) -> bool) {
    let now = scene.now;
    scene.shops.meddle(now, |things| {
        for one in things.iter_mut().filter(|one| which(one)) {
            one.deleted = true;
        }
    });
    assert_eq!(scene.log.len(), 0);
}

pub fn slot(name: &str) -> Slot {
    Slot::named(name).unwrap()
}

pub fn state(scene: &Scene, name: &str) -> Option<SlotState> {
    let status = scene.object.as_ref()?.status.as_ref()?;
    crate::engine::ledger::entry(status, slot(name)).map(|entry| entry.state)
}

pub fn tool(scene: &Scene, name: &str) -> (bool, String) {
    let status = scene.object.as_ref().unwrap().status.as_ref().unwrap();
    let one = status.tools.iter().find(|one| one.name == name);
    one.map_or_else(
        || (false, "none".into()),
        |one| (one.ready, one.reason.clone()),
    )
}

#[test]
fn a_wallet_that_is_given_up_and_wanted_again_is_the_same_one() {
    for slow in [false, true] {
        let scene = tooled();
        let mut scene = if slow { scene.slow() } else { scene };
        for one in &mut scene.tools {
            if one.name.as_str() == "purse" {
                one.when = ToolTime::OnDemand;
            }
        }
        asks_for(&mut scene, &["purse"]);
        let mut scene = scene.rested();
        let purse = scene.drawer[&slot("tool/purse")].clone();
        for _ in 0..2 {
            asks_for(&mut scene, &[]);
            scene.settle();
            assert_eq!(state(&scene, "tool/purse"), None, "{}", told(&scene));
            asks_for(&mut scene, &["purse"]);
            scene.settle();
            in_order(&scene);
            let now = &scene.drawer[&slot("tool/purse")];
            assert_eq!((&now.0.id, &now.1), (&purse.0.id, &purse.1));
            assert_eq!(tool(&scene, "purse"), (true, "Ready".into()));
            assert!(scene.is(kind::READY), "{}", told(&scene));
        }
    }
}

#[test]
fn another_kind_of_tool_under_a_wallets_name_leaves_the_wallet() {
    // One update takes the tool out of a template, the next one puts another in, and an instance sees the last.
    let mut scene = tooled().rested();
    let purse = scene.drawer[&slot("tool/purse")].clone();
    without(&mut scene, "bank");
    for one in &mut scene.tools {
        if one.name.as_str() == "purse" {
            *one = serde_json::from_value(serde_json::json!(
                {"name": "purse", "type": "bankr", "accountRef": {"name": "bankr"}}
            ))
            .unwrap();
        }
    }
    scene.revise("2");
    scene.settle();
    in_order(&scene);
    assert!(scene.is(kind::READY), "{}", told(&scene));
    let now = &scene.drawer[&slot("tool/purse")];
    assert_eq!((&now.0.id, &now.1), (&purse.0.id, &purse.1));
    let says = |one: &&crate::model::Announcement| {
        one.reason == "Retained" && one.note.contains(&purse.0.id)
    };
    assert_eq!(
        scene.told.iter().filter(says).count(),
        1,
        "{}",
        told(&scene)
    );
}

#[test]
fn a_tool_that_is_stuck_on_its_way_back_can_be_given_up_by_an_agent_that_lives_on() {
    let mut scene = tooled().rested();
    scene
        .accounts
        .insert("exa".into(), ToolAccountView::Unreachable);
    without(&mut scene, "search");
    scene.revise("2");
    scene.settle();
    let before = (scene.at("exa"), scene.living().len());
    assert!(state(&scene, "tool/search").is_some(), "{}", told(&scene));
    // What is wanted is not given up by naming it.
    scene.annotate("tool/llm");
    scene.settle();
    assert!(state(&scene, "tool/llm").is_some(), "{}", told(&scene));
    scene.annotate("tool/search");
    scene.settle();
    assert_eq!(state(&scene, "tool/search"), None, "{}", told(&scene));
    assert_eq!((scene.at("exa"), scene.living().len()), before);
    let told_of = |one: &&crate::model::Announcement| {
        one.reason == "Abandoned" && one.note.contains("tool/search")
    };
    assert_eq!(scene.told.iter().filter(told_of).count(), 1);
    assert!(scene.is(kind::READY), "{}", told(&scene));
}

#[test]
fn another_account_under_a_tools_name_waits_for_the_agents_turn() {
    for name in ["llm", "phone"] {
        let mut scene = tooled();
        scene.edit(|object| object.spec.update_policy = UpdatePolicy::Manual);
        let mut scene = scene.rested();
        // The template was deleted, and made again with another account.
        scene
            .accounts
            .insert("other".into(), ToolAccountView::Ready);
        for one in &mut scene.tools {
            if one.name.as_str() == name {
                let other = serde_json::json!({"name": "other"});
                one.account_ref = serde_json::from_value(other).ok();
            }
        }
        scene.revise("2");
        scene.settle();
        assert!(scene.trail.is_empty(), "{}", told(&scene));
        assert_eq!(scene.living().len(), 8, "{}", told(&scene));
        assert!(scene.is(kind::READY), "{}", told(&scene));
    }
}

pub fn asks_for(scene: &mut Scene, tools: &[&str]) {
    let tools = serde_json::json!(tools);
    scene.edit(|object| object.spec.requested_tools = serde_json::from_value(tools).unwrap());
}

#[test]
fn a_tool_on_demand_comes_goes_and_comes_under_a_new_name() {
    for slow in [false, true] {
        for (name, shop) in [
            ("llm", "openrouter"),
            ("mail", "agentmail"),
            ("phone", "telnyx"),
            ("bank", "bankr"),
        ] {
            let scene = tooled();
            let mut scene = if slow { scene.slow() } else { scene };
            for one in scene
                .tools
                .iter_mut()
                .filter(|one| one.name.as_str() == name)
            {
                one.when = ToolTime::OnDemand;
            }
            let mut scene = scene.rested();
            assert_eq!(scene.at(shop), 0, "{}", told(&scene));
            assert!(scene.is(kind::READY));
            let mut names = Vec::new();
            for _ in 0..2 {
                asks_for(&mut scene, &[name]);
                scene.settle();
                in_order(&scene);
                assert!(scene.is(kind::READY), "{}", told(&scene));
                let named =
                    |one: &&&Thing| one.shop == shop && one.part == Part::Main && !one.resting;
                let living = scene.living();
                let own: Vec<_> = living.iter().filter(named).collect();
                assert_eq!(own.len(), 1, "{}", told(&scene));
                names.push(own[0].name.clone());
                asks_for(&mut scene, &[]);
                scene.settle();
                let left = scene
                    .living()
                    .iter()
                    .filter(|one| one.shop == shop && !one.resting)
                    .count();
                assert_eq!(left, 0, "{}", told(&scene));
                assert_eq!(
                    state(&scene, &format!("tool/{name}")),
                    None,
                    "{}",
                    told(&scene)
                );
                let main = slot(&format!("tool/{name}"));
                assert!(!scene.drawer.contains_key(&main), "{}", told(&scene));
                let variables = scene.object.as_ref().unwrap().status.as_ref().unwrap();
                let variables = &variables.variables;
                let given = crate::model::slot::parts(shop).any(|(_, row)| {
                    row.gives
                        .names()
                        .any(|one| variables.iter().any(|known| known == one))
                });
                assert!(!given, "{}", told(&scene));
            }
            assert_ne!(names[0], names[1], "{}", told(&scene));
        }
    }
}

#[test]
fn one_asked_for_again_while_it_goes_is_there_in_the_end() {
    let mut cases = 0;
    for name in ["llm", "mail", "phone", "bank"] {
        let mut scene = tooled().slow();
        for one in scene
            .tools
            .iter_mut()
            .filter(|one| one.name.as_str() == name)
        {
            one.when = ToolTime::OnDemand;
        }
        asks_for(&mut scene, &[name]);
        let mut scene = scene.rested();
        asks_for(&mut scene, &[]);
        let effects = {
            let mut whole = scene.clone();
            whole.settle();
            whole.log.len()
        };
        for at in 0..effects {
            let mut scene = scene.clone();
            let back: super::scene::Event = match name {
                "llm" => |scene| asks_for(scene, &["llm"]),
                "mail" => |scene| asks_for(scene, &["mail"]),
                "phone" => |scene| asks_for(scene, &["phone"]),
                _ => |scene| asks_for(scene, &["bank"]),
            };
            scene.events.insert(at, back);
            scene.settle();
            if name == "bank" {
                // A wallet that was put to rest stays for itself.
                let open = scene
                    .living()
                    .iter()
                    .filter(|one| one.shop == "bankr" && one.part == Part::Main && !one.resting)
                    .count();
                assert_eq!(open, 1, "{at}: {}", told(&scene));
            } else {
                in_order(&scene);
            }
            assert!(scene.is(kind::READY), "{at}: {}", told(&scene));
            cases += 1;
        }
    }
    println!("{cases} changes of mind");
}

#[test]
fn a_tool_that_the_template_no_longer_has_is_taken_back() {
    for name in ["llm", "search", "mail", "phone", "purse", "bank"] {
        for slow in [false, true] {
            let scene = tooled();
            let mut scene = if slow { scene.slow() } else { scene }.rested();
            without(&mut scene, name);
            scene.revise("2");
            scene.settle();
            assert_eq!(
                state(&scene, &format!("tool/{name}")),
                None,
                "{}",
                told(&scene)
            );
            assert!(scene.is(kind::READY), "{}", told(&scene));
            in_order(&scene);
            let purse = scene.drawer.contains_key(&slot("tool/purse"));
            assert!(purse, "a wallet's Secret stays: {}", told(&scene));
        }
    }
}

#[test]
fn a_limit_is_changed_in_place() {
    for slow in [false, true] {
        let scene = tooled();
        let mut scene = if slow { scene.slow() } else { scene }.rested();
        for usd in [35, 5] {
            limit(&mut scene, usd);
            scene.settle();
            in_order(&scene);
            let set = scene.portrait().contains(&format!("limitUSD={usd}"));
            assert!(set && scene.is(kind::READY), "{}", told(&scene));
        }
        assert_eq!(scene.done("adjust openrouter Main"), 2, "{}", told(&scene));
        assert_eq!(
            (
                scene.count("deployment"),
                scene.done("make openrouter Main")
            ),
            (0, 0)
        );
        // One that was changed at the provider is set back; more than is allowed is told, and changes nothing.
        let now = scene.now;
        scene.shops.meddle(now, |things| {
            for one in things.iter_mut().filter(|one| one.shop == "openrouter") {
                one.settings = Some("limitUSD=1000".into());
            }
        });
        scene.settle();
        assert_eq!(scene.done("adjust openrouter Main"), 3, "{}", told(&scene));
        limit(&mut scene, 51);
        scene.settle();
        assert_eq!(
            scene.reason(kind::STALLED),
            Some("NotAllowed"),
            "{}",
            told(&scene)
        );
        assert_eq!(
            (
                scene.count("deployment"),
                scene.done("make openrouter Main")
            ),
            (0, 0)
        );
    }
}

#[test]
fn only_a_tool_that_the_agent_needs_holds_it_up() {
    for name in ["llm", "search", "mail", "phone", "bank"] {
        for required in [true, false] {
            let mut scene = tooled();
            let mut account = String::new();
            for one in scene
                .tools
                .iter_mut()
                .filter(|one| one.name.as_str() == name)
            {
                one.required = required;
                account = one.account_ref.as_ref().unwrap().name.0.clone();
            }
            let message = "no credential".to_owned();
            scene
                .accounts
                .insert(account.clone(), ToolAccountView::NotReady { message });
            scene.settle();
            assert_eq!(
                scene.count("deployment"),
                u32::from(!required),
                "{}",
                told(&scene)
            );
            assert_eq!(scene.is(kind::READY), !required, "{}", told(&scene));
            assert!(!scene.is(kind::TOOLS_READY), "{}", told(&scene));
            in_order(&scene);
            // It comes later, and the agent gets it.
            scene.accounts.insert(account, ToolAccountView::Ready);
            scene.happened();
            scene.settle();
            in_order(&scene);
            assert!(
                scene.is(kind::READY) && scene.is(kind::TOOLS_READY),
                "{}",
                told(&scene)
            );
            assert_eq!(
                scene.count("deployment"),
                if required { 1 } else { 2 },
                "{}",
                told(&scene)
            );
        }
    }
}

#[test]
fn trouble_with_one_tool_leaves_the_others_alone() {
    for name in ["openrouter", "exa", "agentmail", "telnyx", "bankr"] {
        let mut scene = tooled().rested();
        scene
            .accounts
            .insert(name.into(), ToolAccountView::Unreachable);
        scene.drop_own_secret();
        scene.settle();
        // Nothing is deployed that would take a credential away.
        let mine = ["openrouter", "exa", "agentmail", "bankr"].contains(&name);
        assert_eq!(
            scene.count("deployment"),
            u32::from(!mine),
            "{}",
            told(&scene)
        );
        let again: u32 = scene
            .shops
            .counts
            .iter()
            .filter(|(what, _)| what.starts_with("make"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(again, if mine { 3 } else { 4 }, "{}", told(&scene));
        scene.accounts.insert(name.into(), ToolAccountView::Ready);
        scene.happened();
        scene.settle();
        in_order(&scene);
        assert!(scene.is(kind::READY), "{}", told(&scene));
    }
}

#[test]
fn a_provider_that_is_down_keeps_the_finalizer_and_is_named() {
    for (account, name) in [
        ("openrouter", "tool/llm"),
        ("exa", "tool/search"),
        ("agentmail", "tool/mail/key"),
        ("telnyx", "tool/phone"),
        ("bankr", "tool/bank/key"),
    ] {
        let mut scene = tooled().rested();
        scene
            .accounts
            .insert(account.into(), ToolAccountView::Unreachable);
        scene.delete();
        scene.settle();
        assert!(
            scene.object.is_some() && scene.alive().len() == 1,
            "{}",
            told(&scene)
        );
        assert!(
            scene
                .message(kind::SYNCED)
                .contains(&format!("{name} cannot be taken back")),
            "{}",
            told(&scene)
        );
        assert!(
            scene.message(kind::SYNCED).contains("abandon"),
            "{}",
            told(&scene)
        );
        // A person gives it up: exactly that slot, with an event.
        let mut given_up = scene.clone();
        given_up.annotate(name);
        given_up.settle();
        let told_of = |one: &&crate::model::Announcement| one.reason == "Abandoned";
        let events: Vec<_> = given_up.told.iter().filter(told_of).collect();
        assert_eq!(events.len(), 1, "{}", told(&given_up));
        assert!(events[0].note.contains(name), "{}", told(&given_up));
        assert_eq!(state(&given_up, name), None, "{}", told(&given_up));
        // The provider comes back: everything goes.
        scene
            .accounts
            .insert(account.into(), ToolAccountView::Ready);
        scene.happened();
        scene.settle();
        assert!(scene.object.is_none(), "{}", told(&scene));
        in_order(&scene);
    }
}

#[test]
fn a_wallet_goes_for_good_where_it_is_given_up_by_name_or_the_spec_says_so() {
    for by_name in [true, false] {
        for slow in [false, true] {
            let scene = tooled();
            let mut scene = if slow { scene.slow() } else { scene };
            if !by_name {
                for one in &mut scene.tools {
                    if ["purse", "bank"].contains(&one.name.as_str()) {
                        one.reclaim_policy = Some(ReclaimPolicy::Delete);
                    }
                }
            }
            let mut scene = scene.rested();
            if by_name {
                scene.annotate("tool/purse");
            }
            scene.delete();
            scene.settle();
            assert!(
                scene.object.is_none() && scene.drawer.is_empty(),
                "{}",
                told(&scene)
            );
            in_order(&scene);
            let resting = scene.living().len();
            assert_eq!(resting, usize::from(by_name), "{}", told(&scene));
        }
    }
}

#[test]
fn with_retain_everything_stays() {
    let mut scene = tooled().rested();
    let before = scene.books();
    scene.edit(|object| object.spec.deletion_policy = DeletionPolicy::Retain);
    scene.delete();
    scene.settle();
    assert!(
        scene.object.is_none() && scene.trail.is_empty(),
        "{}",
        told(&scene)
    );
    assert_eq!(
        (scene.living().len(), scene.alive().len()),
        (8, 1),
        "{before}"
    );
    let event = scene
        .told
        .iter()
        .find(|one| one.reason == "Retained" && one.action == "LeaveBehind")
        .unwrap();
    for name in [
        "tool/llm",
        "tool/search",
        "tool/mail",
        "tool/phone",
        "tool/bank",
        "project",
    ] {
        assert!(event.note.contains(name), "{name}: {event:?}");
    }
}
