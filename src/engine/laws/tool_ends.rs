//! What becomes of single tools: their Secrets or themselves deleted by hand, numbers that never come, tools asked for and
//! given up, limits changed, trouble with one of several, what is left behind and what is not.

use super::scene::{Scene, Trouble, second};
use super::shops::Thing;
use super::tooled::{limit, without};
use crate::api::condition::kind;
use crate::api::instance::{DeletionPolicy, OnExternalDeletion, UpdatePolicy};
use crate::api::template::{ReclaimPolicy, ToolTime};
use crate::api::{Part, Slot, SlotState};
use crate::engine::world::ToolAccount;
use crate::model::Fault;
use proptest::prelude::*;

fn tooled() -> Scene {
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

fn in_order(scene: &Scene) {
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
fn credentials_whose_secret_was_deleted_are_made_again_once() {
    for slow in [false, true] {
        let mut scene = tooled();
        if slow {
            scene = scene.slow();
        }
        let mut scene = scene.rested();
        scene.drop_own_secret();
        scene.settle();
        in_order(&scene);
        for (what, count) in [
            ("make openrouter Main", 1),
            ("make exa Main", 1),
            ("make agentmail Key", 1),
            ("make bankr Key", 1),
            ("make agentmail Main", 0),
            ("make bankr Main", 0),
            ("make telnyx Main", 0),
            ("delete openrouter Main", 1),
            ("delete exa Main", 1),
            ("delete agentmail Key", 1),
        ] {
            assert_eq!(scene.done(what), count, "{what}: {}", told(&scene));
        }
        assert_eq!(scene.living().len(), 8, "{}", told(&scene));
        assert_eq!(
            scene.count("deployment"),
            1,
            "once for all: {}",
            told(&scene)
        );
        assert!(
            scene.is(kind::READY) && scene.is(kind::SYNCED),
            "{}",
            told(&scene)
        );
    }
}

#[test]
fn there_are_never_two_of_a_key_while_it_is_made_again() {
    let mut scene = tooled().slow().rested();
    scene.drop_own_secret();
    let mut looks = 0;
    while scene.effects("Configure") == 0 {
        scene.advance(scene.wake.unwrap_or(scene.now));
        scene.visit();
        for shop in ["openrouter", "exa"] {
            assert!(scene.at(shop) <= 1, "{}", told(&scene));
        }
        for shop in ["agentmail", "bankr"] {
            assert!(scene.at(shop) <= 2, "{}", told(&scene));
        }
        looks += 1;
        assert!(looks < 500, "{}", told(&scene));
    }
    println!("{looks} looks at keys that are made again, never two");
}

#[test]
fn a_wallet_whose_secret_was_deleted_is_told_and_never_made_again() {
    let mut scene = tooled().rested();
    let before = scene.living().len();
    scene.drawer.remove(&slot("tool/purse"));
    scene.happened();
    scene.settle();
    assert_eq!(tool(&scene, "purse"), (false, "SecretLost".into()));
    assert_eq!(
        scene.reason(kind::STALLED),
        Some("SecretLost"),
        "{}",
        told(&scene)
    );
    assert_eq!(scene.living().len(), before);
    assert!(
        scene.trail.is_empty() && scene.count("deployment") == 0,
        "{}",
        told(&scene)
    );
    // Nor for a restart, nor when something else changes.
    scene.restart();
    scene.set_env("b");
    scene.settle();
    assert!(
        !scene.trail.iter().any(|one| one.contains("purse")),
        "{}",
        told(&scene)
    );
    assert_eq!(scene.count("deployment"), 0, "{}", told(&scene));
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
        .insert("exa".into(), ToolAccount::Unreachable);
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
fn an_inbox_that_is_made_again_gets_a_key_of_its_own() {
    for slow in [false, true] {
        let scene = tooled();
        let mut scene = if slow { scene.slow() } else { scene };
        scene.edit(|object| {
            object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate);
        });
        let mut scene = scene.rested();
        vanish(&mut scene, |one| {
            one.shop == "agentmail" && one.part == Part::Main
        });
        scene.settle();
        in_order(&scene);
        let made = ["make agentmail Main", "make agentmail Key"].map(|what| scene.done(what));
        assert_eq!(made, [1, 1], "{}", told(&scene));
        let living = scene.living();
        let of = |part: Part| {
            living
                .iter()
                .find(|one| one.shop == "agentmail" && one.part == part)
                .unwrap()
        };
        assert_eq!(of(Part::Key).parent.as_ref(), Some(&of(Part::Main).id));
        assert_eq!(scene.count("deployment"), 1, "{}", told(&scene));
    }
}

#[test]
fn a_number_in_whose_place_another_is_ordered_is_deployed_when_it_is_known() {
    for slow in [false, true] {
        for trouble in [Trouble::Lost, Trouble::CrashAfter, Trouble::Late(second(5))] {
            let scene = tooled();
            let mut scene = if slow { scene.slow() } else { scene };
            scene.edit(|object| {
                object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate);
            });
            let mut scene = scene.rested();
            vanish(&mut scene, |one| {
                one.shop == "telnyx" && one.part == Part::Main
            });
            let ordered = {
                let mut whole = scene.clone();
                whole.settle();
                whole.log.iter().position(|word| *word == "MakeTool")
            };
            scene.trouble.insert(ordered.unwrap(), trouble);
            scene.settle();
            in_order(&scene);
            assert_eq!(scene.done("make telnyx Main"), 1, "{}", told(&scene));
            assert_eq!(scene.count("deployment"), 1, "{}", told(&scene));
            assert!(scene.is(kind::READY), "{}", told(&scene));
        }
    }
}

#[test]
fn another_account_under_a_tools_name_waits_for_the_agents_turn() {
    for name in ["llm", "phone"] {
        let mut scene = tooled();
        scene.edit(|object| object.spec.update_policy = UpdatePolicy::Manual);
        let mut scene = scene.rested();
        // The template was deleted, and made again with another account.
        scene.accounts.insert("other".into(), ToolAccount::Ready);
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

#[test]
fn what_was_made_under_a_lost_answer_is_found_again_though_the_repeat_was_refused() {
    let mut whole = tooled();
    whole.settle();
    let makes = |scene: &Scene| -> Vec<usize> {
        let log = scene.log.iter().enumerate();
        log.filter(|(_, word)| **word == "MakeTool")
            .map(|(at, _)| at)
            .collect()
    };
    let mut cases = 0;
    for lost in makes(&whole) {
        let mut once = tooled();
        once.trouble.insert(lost, Trouble::Lost);
        once.settle();
        for repeat in makes(&once).into_iter().filter(|at| *at > lost) {
            let mut scene = tooled();
            scene.trouble.insert(lost, Trouble::Lost);
            let message = "slow down".to_owned();
            let refused = Trouble::Refused(Fault::Rejected { message });
            scene.trouble.insert(repeat, refused);
            scene.events.insert(repeat + 1, Scene::delete);
            scene.settle();
            assert!(scene.object.is_none(), "{lost} {repeat}: {}", told(&scene));
            let left = scene.living();
            let left = left.iter().filter(|one| !one.resting).count();
            assert_eq!(left, 0, "{lost} {repeat}: {}", told(&scene));
            cases += 1;
        }
    }
    println!("{cases} lost answers before a refusal and a deletion");
}

#[test]
fn what_cannot_be_looked_for_is_not_looked_for_again_and_again_in_one_pass() {
    let mut scene = tooled();
    let keys = {
        let mut whole = scene.clone();
        whole.settle();
        let made = |(at, word): (usize, &&str)| (*word == "MakeTool").then_some(at);
        let makes: Vec<usize> = whole.log.iter().enumerate().filter_map(made).collect();
        makes
    };
    for at in &keys {
        scene.trouble.insert(*at, Trouble::Lost);
    }
    scene.events.insert(keys.len() + 4, Scene::delete);
    for at in 0..400 {
        let message = "busy".to_owned();
        let refused = Trouble::Refused(Fault::Transient { message });
        scene.trouble.entry(keys.len() + 8 + at).or_insert(refused);
    }
    for _ in 0..60 {
        let before = scene.log.len();
        scene.advance(scene.wake.unwrap_or_else(|| scene.now + second(1)));
        scene.visit();
        let steps = scene.log.len() - before;
        assert!(steps < 30, "{steps} effects of one pass: {}", told(&scene));
    }
}

#[test]
fn keys_deleted_at_the_provider_are_made_again() {
    type Which = fn(&Thing) -> bool;
    let cases: [(&str, Which); 2] = [
        ("make openrouter Main", |one| one.shop == "openrouter"),
        ("make exa Main", |one| one.shop == "exa"),
    ];
    for (what, which) in cases {
        for slow in [false, true] {
            let scene = tooled();
            let mut scene = if slow { scene.slow() } else { scene }.rested();
            vanish(&mut scene, which);
            scene.settle();
            in_order(&scene);
            assert_eq!(scene.done(what), 1, "{}", told(&scene));
            assert_eq!(scene.living().len(), 8, "{}", told(&scene));
            assert_eq!(scene.count("deployment"), 1, "{}", told(&scene));
            assert!(scene.is(kind::READY), "{}", told(&scene));
        }
    }
}

#[test]
fn a_profile_deleted_at_the_provider_is_made_again_and_the_number_is_put_into_it() {
    for slow in [false, true] {
        let scene = tooled();
        let mut scene = if slow { scene.slow() } else { scene }.rested();
        vanish(&mut scene, |one| one.part == Part::Profile);
        scene.settle();
        in_order(&scene);
        assert_eq!(scene.done("make telnyx Profile"), 1, "{}", told(&scene));
        assert_eq!(scene.done("make telnyx Main"), 0, "{}", told(&scene));
        assert!(scene.is(kind::READY), "{}", told(&scene));
    }
}

#[test]
fn what_cannot_be_had_again_is_told_and_made_again_only_where_that_is_said() {
    type Which = fn(&Thing) -> bool;
    let cases: [(&str, &str, Which); 3] = [
        ("mail", "make agentmail Main", |one| {
            one.shop == "agentmail" && one.part == Part::Main
        }),
        ("phone", "make telnyx Main", |one| {
            one.shop == "telnyx" && one.part == Part::Main
        }),
        ("bank", "make bankr Main", |one| {
            one.shop == "bankr" && one.part == Part::Main
        }),
    ];
    for (name, what, which) in cases {
        for slow in [false, true] {
            for again in [false, true] {
                let scene = tooled();
                let mut scene = if slow { scene.slow() } else { scene };
                if again {
                    scene.edit(|object| {
                        object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate);
                    });
                }
                let mut scene = scene.rested();
                vanish(&mut scene, which);
                // Nothing lists wallets at Bankr; that one is gone shows when it is asked for, after a restart or never.
                scene.settle();
                if name == "bank" {
                    assert!(scene.trail.is_empty(), "{}", told(&scene));
                    continue;
                }
                assert_eq!(scene.done(what), u32::from(again), "{}", told(&scene));
                if again {
                    in_order(&scene);
                    assert!(scene.is(kind::READY), "{}", told(&scene));
                    assert_eq!(scene.count("deployment"), 1, "{}", told(&scene));
                } else {
                    assert_eq!(tool(&scene, name), (false, "DeletedExternally".into()));
                    // What runs goes on running with what it has.
                    assert_eq!(scene.count("deployment"), 0, "{}", told(&scene));
                }
            }
        }
    }
}

#[test]
fn a_number_is_ordered_three_times_at_most() {
    for (failing, orders) in [(1, 2), (2, 3), (3, 3), (9, 3)] {
        for slow in [false, true] {
            for recreate in [false, true] {
                let scene = tooled();
                let mut scene = if slow { scene.slow() } else { scene };
                scene.shops.failing = failing;
                if recreate {
                    scene.edit(|object| {
                        object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate);
                    });
                }
                scene.settle();
                for _ in 0..3 {
                    scene.restart();
                    scene.set_env("b");
                    scene.settle();
                }
                assert_eq!(scene.done("make telnyx Main"), orders, "{}", told(&scene));
                let came = failing < 3;
                assert_eq!(scene.is(kind::READY), came, "{}", told(&scene));
                in_order(&scene);
                if !came {
                    assert_eq!(tool(&scene, "phone"), (false, "LimitReached".into()));
                    assert_eq!(scene.reason(kind::STALLED), Some("LimitReached"));
                    assert_eq!(scene.count("deployment"), 0, "{}", told(&scene));
                }
                scene.delete();
                scene.settle();
                in_order(&scene);
                assert!(scene.object.is_none(), "{}", told(&scene));
            }
        }
    }
}

#[test]
fn a_number_that_is_deleted_again_and_again_is_ordered_three_times_at_most() {
    let mut scene = tooled().slow();
    scene.edit(|object| {
        object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate);
    });
    scene.settle();
    for _ in 0..5 {
        scene.log.clear();
        vanish(&mut scene, |one| {
            one.shop == "telnyx" && one.part == Part::Main
        });
        scene.settle();
    }
    assert_eq!(scene.done("make telnyx Main"), 3, "{}", told(&scene));
}

fn asks_for(scene: &mut Scene, tools: &[&str]) {
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
        for usd in [35.0, 5.0] {
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
        limit(&mut scene, 51.0);
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
                .insert(account.clone(), ToolAccount::NotReady { message });
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
            scene.accounts.insert(account, ToolAccount::Ready);
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
        scene.accounts.insert(name.into(), ToolAccount::Unreachable);
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
        scene.accounts.insert(name.into(), ToolAccount::Ready);
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
            .insert(account.into(), ToolAccount::Unreachable);
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
        scene.accounts.insert(account.into(), ToolAccount::Ready);
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

/// Something that happens to tools.
#[derive(Clone, Debug)]
enum Incident {
    Trouble(usize, Trouble),
    SecretDeleted,
    Vanished(usize),
    Outage(usize),
    OutagesOver,
    OrdersFail(u32),
    Limit(u8),
    Restart,
    Asks(bool),
    Variable(u8),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let refused = |fault: fn(String) -> Fault| Just(Trouble::Refused(fault("no".to_owned())));
    prop_oneof![
        2 => Just(Trouble::CrashBefore),
        4 => Just(Trouble::CrashAfter),
        3 => Just(Trouble::Lost),
        1 => Just(Trouble::Vanished),
        1 => Just(Trouble::Stale),
        1 => (0i64..=12).prop_map(|late| Trouble::Late(second(late))),
        1 => refused(|message| Fault::Transient { message }),
        1 => refused(|message| Fault::Uncertain { message }),
        1 => refused(|message| Fault::Rejected { message }),
        1 => refused(|message| Fault::Bug { message }),
    ]
}

fn incident() -> impl Strategy<Value = Incident> {
    prop_oneof![
        12 => (0usize..12, trouble()).prop_map(|(after, trouble)| Incident::Trouble(after, trouble)),
        1 => Just(Incident::SecretDeleted),
        1 => (0usize..4).prop_map(Incident::Vanished),
        1 => (0usize..5).prop_map(Incident::Outage),
        2 => Just(Incident::OutagesOver),
        2 => (1u32..4).prop_map(Incident::OrdersFail),
        1 => (1u8..50).prop_map(Incident::Limit),
        1 => Just(Incident::Restart),
        2 => any::<bool>().prop_map(Incident::Asks),
        1 => (0u8..3).prop_map(Incident::Variable),
    ]
}

fn happen(scene: &mut Scene, incident: &Incident) {
    let shops = super::scene::SHOPS;
    match incident {
        Incident::Trouble(after, trouble) => {
            scene
                .trouble
                .insert(scene.log.len() + after, trouble.clone());
        }
        Incident::SecretDeleted => scene.drop_own_secret(),
        Incident::Vanished(shop) => {
            let now = scene.now;
            scene.shops.meddle(now, |things| {
                let of = |one: &&mut Thing| one.shop == shops[*shop] && one.part != Part::Key;
                for one in things.iter_mut().filter(of) {
                    one.deleted = true;
                }
            });
        }
        Incident::Outage(shop) => {
            scene
                .accounts
                .insert(shops[*shop].into(), ToolAccount::Unreachable);
        }
        Incident::OutagesOver => {
            for shop in shops {
                scene.accounts.insert(shop.into(), ToolAccount::Ready);
            }
            scene.happened();
        }
        Incident::OrdersFail(orders) => scene.shops.failing = *orders,
        Incident::Limit(usd) => limit(scene, f64::from(*usd)),
        Incident::Restart => scene.restart(),
        Incident::Asks(asks) => asks_for(scene, if *asks { &["search"] } else { &[] }),
        Incident::Variable(value) => scene.set_env(&value.to_string()),
    }
}

fn incidents() -> impl Strategy<Value = Vec<(Incident, i64)>> {
    let pause = prop_oneof![4 => 0i64..6, 1 => 6i64..200];
    prop::collection::vec((incident(), pause), 1..14)
}

fn live(slow: bool, quick: bool, recreate: bool, incidents: &[(Incident, i64)]) -> Scene {
    let mut scene = tooled();
    if slow {
        scene = scene.slow();
    }
    if quick {
        scene = scene.quick();
    }
    for one in scene
        .tools
        .iter_mut()
        .filter(|one| one.name.as_str() == "search")
    {
        one.when = ToolTime::OnDemand;
    }
    if recreate {
        scene.edit(|object| object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate));
    }
    for (incident, then) in incidents {
        happen(&mut scene, incident);
        scene.run_for(second(*then));
        assert!(scene.done("make telnyx Main") <= 3, "{}", told(&scene));
    }
    scene
}

proptest! {
    #![proptest_config(super::seeded(120))]

    #[test]
    fn a_random_life_with_tools_keeps_its_books(
        slow: bool, quick: bool, incidents in incidents()
    ) {
        let mut scene = live(slow, quick, true, &incidents);
        scene.trouble.clear();
        scene.shops.failing = 0;
        happen(&mut scene, &Incident::OutagesOver);
        // What was refused for good is tried again when something changes.
        scene.edit(|_| {});
        scene.settle();
        let orders = scene.done("make telnyx Main");
        prop_assert!(orders <= 3, "{orders} orders: {}", told(&scene));
        let given_up = tool(&scene, "phone").1 == "LimitReached";
        let report = scene.difference();
        if given_up {
            prop_assert_eq!(scene.reason(kind::STALLED), Some("LimitReached"), "{}", told(&scene));
        } else {
            prop_assert_eq!(report, Vec::<String>::new(), "{}", told(&scene));
            prop_assert!(scene.is(kind::READY) && scene.is(kind::TOOLS_READY), "{}", told(&scene));
        }
    }

    #[test]
    fn a_random_life_with_tools_that_ends_leaves_nothing(
        slow: bool, quick: bool, recreate: bool, incidents in incidents(), crash in prop::option::of(0usize..20)
    ) {
        let mut scene = live(slow, quick, recreate, &incidents);
        scene.delete();
        if let Some(after) = crash {
            scene.trouble.insert(scene.log.len() + after, Trouble::CrashAfter);
        }
        scene.run_for(second(5));
        scene.trouble.retain(|_, trouble| !matches!(trouble, Trouble::Refused(_)));
        happen(&mut scene, &Incident::OutagesOver);
        scene.settle();
        scene.trouble.clear();
        scene.happened();
        scene.run_for(second(1200));
        prop_assert!(scene.object.is_none(), "{}", told(&scene));
        prop_assert_eq!(scene.difference(), Vec::<String>::new(), "{}", told(&scene));
        prop_assert!(scene.alive().is_empty(), "{}", told(&scene));
    }
}
