//! What becomes of tools that are lost: Secrets and resources deleted by hand, orders that fail, answers that never came.
//!
//! Holds: what is safe is made again once; what has an address, a number or money only where that is said, and a number
//! three times at most; what may have been made is looked for until it no longer can have been.

use super::scene::{Scene, Trouble, second};
use super::shops::Thing;
use super::tool_ends::{in_order, slot, told, tool, tooled, vanish};
use crate::api::Part;
use crate::api::condition::kind;
use crate::api::instance::OnExternalDeletion;
use crate::model::Fault;

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
        let repeats = makes(&once).into_iter().filter(|at| *at > lost);
        for (repeat, then) in repeats.flat_map(|at| [(at, 1), (at, 2), (at, 3)]) {
            let mut scene = tooled();
            scene.trouble.insert(lost, Trouble::Lost);
            let message = "slow down".to_owned();
            let refused = Trouble::Refused(Fault::Rejected { message });
            scene.trouble.insert(repeat, refused);
            scene.events.insert(repeat + then, Scene::delete);
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
    scene.tools.retain(|one| one.name.as_str() == "bank");
    let made = {
        let mut whole = scene.clone();
        whole.settle();
        whole.log.iter().position(|word| *word == "MakeTool")
    };
    let made = made.unwrap();
    // Of wallet and key nobody knows anything but that they may be there.
    scene.trouble.insert(made, Trouble::CrashAfter);
    scene.events.insert(made + 1, Scene::delete);
    for at in made + 1..made + 300 {
        let message = "busy".to_owned();
        let refused = Trouble::Refused(Fault::Transient { message });
        scene.trouble.insert(at, refused);
    }
    for _ in 0..12 {
        let before = scene.log.len();
        scene.advance(scene.wake.unwrap_or_else(|| scene.now + second(1)));
        scene.visit();
        let asked = &scene.log[before..];
        let asked = asked.iter().filter(|word| **word == "FindTool").count();
        assert!(asked <= 1, "{}", told(&scene));
    }
    assert!(scene.effects("FindTool") > 3, "{}", told(&scene));
}

#[test]
fn a_name_that_we_did_not_give_is_never_looked_for_whatever_a_secret_says() {
    for (name, shop, part) in [
        ("tool/llm", "openrouter", Part::Main),
        ("tool/search", "exa", Part::Main),
    ] {
        for deletes in [false, true] {
            let mut scene = tooled().rested();
            let own = scene.shops.things.iter().cloned();
            let mut own = own.filter(|one| one.shop == shop && one.part == part);
            let persons = Thing {
                id: "a-persons".into(),
                name: "production".into(),
                ..own.next().unwrap()
            };
            scene.shops.things.push(persons);
            // The tenant's own Secret names it, and the ledger is lost.
            if let Some((kept, _)) = scene.drawer.get_mut(&slot(name)) {
                kept.key = "production".into();
                kept.id = "a-persons".into();
            }
            scene.edit(|object| object.status = None);
            if deletes {
                scene.delete();
            }
            scene.settle();
            let persons = scene.shops.things.iter().find(|one| one.id == "a-persons");
            assert!(!persons.unwrap().deleted, "{name}: {}", told(&scene));
            assert!(
                !scene.portrait().contains("a-persons"),
                "{name}: {}",
                told(&scene)
            );
        }
    }
}

#[test]
fn a_secret_that_names_another_resource_than_its_own_is_not_believed() {
    for (name, shop, part) in [
        ("tool/llm", "openrouter", Part::Main),
        ("tool/search", "exa", Part::Main),
        ("tool/mail/key", "agentmail", Part::Key),
    ] {
        for slow in [false, true] {
            let scene = tooled();
            let mut scene = if slow { scene.slow() } else { scene }.rested();
            // A tenant writes another's id beside the key that it has.
            if let Some((kept, _)) = scene.drawer.get_mut(&slot(name)) {
                kept.id = "somebody-elses".into();
            }
            scene.happened();
            scene.settle();
            in_order(&scene);
            let own = |one: &&&Thing| one.shop == shop && one.part == part;
            let living = scene.living();
            let keys: Vec<_> = living.iter().filter(own).collect();
            assert_eq!(keys.len(), 1, "{name}: {}", told(&scene));
            assert!(scene.is(kind::READY), "{name}: {}", told(&scene));
            let on_record = scene.portrait().contains("somebody-elses");
            assert!(!on_record, "{name}: {}", told(&scene));
        }
    }
}
