//! What one agent may have at most: nothing is made for one that asks for more, and nothing is taken from one that has more.

use super::scene::{Scene, room, second};
use super::tooled::limit;
use crate::api::condition::{find, kind, reason};
use crate::api::limits::{MostMoney, RailwayPerAgent, Sizes};
use crate::api::text::Amount;
use crate::api::{Part, Slot};
use crate::engine::places::TakenPlaces;
use crate::engine::world::{AccountRoom, AccountView};

/// Reason and message of Stalled; nothing where it is not so.
fn stalled(scene: &Scene) -> (String, String) {
    let status = scene.object.as_ref().and_then(|one| one.status.clone());
    let conditions = status.unwrap_or_default().conditions;
    let found = find(&conditions, kind::STALLED).filter(|one| one.status == "True");
    found.map_or_else(Default::default, |one| {
        (one.reason.clone(), one.message.clone())
    })
}

fn memory(of: &str) -> Sizes {
    Sizes {
        memory: Some(Amount::from(of)),
        ..Sizes::default()
    }
}

/// The account lets one agent have so much memory.
fn lets(scene: &mut Scene, memory: &str) {
    scene.account = AccountView::Ready(AccountRoom {
        per_agent: RailwayPerAgent {
            memory: Amount::from(memory),
            ..RailwayPerAgent::default()
        },
        ..room()
    });
    scene.happened();
}

/// The account lets the key of one agent spend so much.
fn lets_spend(scene: &mut Scene, usd: f64) {
    let field = "openrouter.perAgent.limitUSD";
    let most = MostMoney {
        provider: "openrouter",
        field,
        usd,
    };
    scene.most.insert("openrouter".into(), most);
    scene.happened();
}

/// The account lets the key of one agent have such a budget.
fn lets_search(scene: &mut Scene, usd: f64) {
    let field = "exa.perAgent.budgetUSD";
    let most = MostMoney {
        provider: "exa",
        field,
        usd,
    };
    scene.most.insert("exa".into(), most);
    scene.happened();
}

fn settings(scene: &Scene, tool: &str) -> String {
    let status = scene.object.as_ref().and_then(|one| one.status.clone());
    let slot = Slot::tool(tool, Part::Main);
    let entries = status.unwrap_or_default().external;
    let found = entries.into_iter().find(|one| Some(one.slot) == slot);
    found.map_or_else(String::new, |one| one.settings)
}

#[test]
fn one_that_is_too_large_is_told_both_numbers_and_nothing_is_made_before_the_limit_is_raised() {
    for (asks, most, allowed) in [
        ("8Gi", "8Gi", true),
        ("8192Mi", "8Gi", true),
        ("8193Mi", "8Gi", false),
        ("4Gi", "8Gi", true),
    ] {
        let mut scene = Scene::new();
        scene.sizes = memory(asks);
        lets(&mut scene, most);
        scene.settle();
        if allowed {
            assert_eq!(stalled(&scene).0, "", "{asks} of {most}");
            assert_eq!(scene.count("project"), 1);
            continue;
        }
        let (why, message) = stalled(&scene);
        assert_eq!(why, reason::QUOTA_EXCEEDED, "{asks} of {most}");
        for part in [asks, most, "spec.railway.perAgent.memory", "main"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(scene.count("project"), 0, "{:?}", scene.log);
        lets(&mut scene, "16Gi");
        scene.settle();
        assert_eq!(stalled(&scene).0, "");
        assert_eq!(scene.count("project"), 1);
    }
}

#[test]
fn one_that_runs_with_more_keeps_it_and_is_changed_in_everything_else() {
    let mut scene = Scene::new();
    scene.sizes = memory("8Gi");
    let mut scene = scene.rested();
    lets(&mut scene, "4Gi");
    scene.settle();
    assert_eq!(scene.log, [""; 0], "lowering a limit changes nothing");
    // A variable of its own, another image, and less.
    scene.set_env("b");
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), scene.effects("Configure")),
        ("", 1)
    );
    scene.revise("2");
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), scene.effects("Configure")),
        ("", 2)
    );
    scene.sizes = memory("6Gi");
    scene.revise("3");
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), scene.effects("Configure")),
        ("", 3)
    );
    // More than it has now.
    scene.sizes = memory("8Gi");
    scene.revise("4");
    scene.settle();
    assert_eq!(stalled(&scene).0, reason::QUOTA_EXCEEDED);
    assert_eq!(scene.effects("Configure"), 3);
    lets(&mut scene, "8Gi");
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), scene.effects("Configure")),
        ("", 4)
    );
}

#[test]
fn one_of_a_version_that_recorded_no_sizes_keeps_what_it_runs_with() {
    let mut scene = Scene::new();
    scene.sizes = memory("16Gi");
    lets(&mut scene, "16Gi");
    let mut scene = scene.rested();
    scene.lose(|status| status.as_mut().unwrap().sizes = None);
    lets(&mut scene, "8Gi");
    scene.settle();
    scene.revise("2");
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), scene.effects("Configure")),
        ("", 1)
    );
}

#[test]
fn a_key_above_the_limit_is_not_made_and_nothing_else_is() {
    // The scene's key asks for 20 US dollars.
    for (most, allowed) in [(20.0, true), (19.0, false)] {
        let mut scene = Scene::new().with_tools();
        lets_spend(&mut scene, most);
        scene.settle();
        if allowed {
            assert_eq!(
                (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
                ("", "limitUSD=20")
            );
            continue;
        }
        let (why, message) = stalled(&scene);
        assert_eq!(why, reason::QUOTA_EXCEEDED);
        let field = "ProviderAccount openrouter spec.openrouter.perAgent.limitUSD is 19";
        assert!(
            message.contains(field) && message.contains("20"),
            "{message}"
        );
        assert_eq!((scene.count("project"), scene.shops.counts.len()), (0, 0));
        // Less by the instance's own word is enough.
        limit(&mut scene, 19.0);
        scene.settle();
        assert_eq!(
            (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
            ("", "limitUSD=19")
        );
    }
}

#[test]
fn a_key_that_has_more_keeps_it_and_is_given_no_more() {
    let mut scene = Scene::new().with_tools().rested();
    lets_spend(&mut scene, 10.0);
    scene.settle();
    assert_eq!(settings(&scene, "llm"), "limitUSD=20");
    assert_eq!(
        (stalled(&scene).0.as_str(), scene.effects("AdjustTool")),
        ("", 0)
    );
    limit(&mut scene, 21.0);
    scene.settle();
    let (why, message) = stalled(&scene);
    assert_eq!(why, reason::QUOTA_EXCEEDED);
    assert!(message.contains("toolLimits asks for 21"), "{message}");
    assert_eq!(settings(&scene, "llm"), "limitUSD=20");
    // Everything else goes on, and less is less, although it is still above the limit.
    scene.set_env("b");
    scene.settle();
    assert_eq!(scene.effects("Configure"), 1);
    limit(&mut scene, 15.0);
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
        ("", "limitUSD=15")
    );
    limit(&mut scene, 21.0);
    lets_spend(&mut scene, 21.0);
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
        ("", "limitUSD=21")
    );
}

#[test]
fn a_key_that_has_more_and_lost_its_secret_is_made_as_it_was() {
    let mut scene = Scene::new().with_tools().rested();
    lets_spend(&mut scene, 10.0);
    scene.drop_own_secret();
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
        ("", "limitUSD=20")
    );
}

#[test]
fn a_budget_that_is_left_out_is_the_accounts_limit_and_one_made_without_keeps_none() {
    let mut scene = Scene::new().with_tools();
    lets_search(&mut scene, 30.0);
    let mut scene = scene.rested();
    assert_eq!(settings(&scene, "search"), "budgetUSD=30");
    lets_search(&mut scene, 10.0);
    scene.settle();
    assert_eq!(settings(&scene, "search"), "budgetUSD=30");
    // Made before there were limits.
    let mut scene = Scene::new().with_tools().rested();
    lets_search(&mut scene, 30.0);
    scene.settle();
    assert_eq!(
        (
            settings(&scene, "search").as_str(),
            scene.effects("AdjustTool")
        ),
        ("", 0)
    );
}

#[test]
fn nothing_is_made_in_a_full_account_and_all_of_it_when_there_is_room() {
    for (others, says) in [
        ((500, 0), "limits.resources is 500"),
        ((100, 100), "limits.resourcesPerNamespace there is 100"),
    ] {
        let mut scene = Scene::new().with_tools();
        let (all, namespace) = others;
        scene.others = TakenPlaces { all, namespace };
        scene.settle();
        let (reason, message) = stalled(&scene);
        assert_eq!(reason, "QuotaExceeded", "{}", scene.portrait());
        assert!(message.contains(says), "{message}");
        let made = scene
            .shops
            .counts
            .iter()
            .filter(|(what, _)| what.starts_with("make"));
        assert_eq!(made.count(), 0, "{:?}", scene.shops.counts);
        // At rest it waits without writing.
        let wrote = scene.effects("Persist");
        scene.run_for(second(600));
        assert!(scene.effects("Persist") <= wrote + 1, "{:?}", scene.log);
        scene.others = TakenPlaces {
            all: all - 1,
            namespace: namespace.saturating_sub(1),
        };
        scene.happened();
        scene.settle();
        assert!(scene.is(kind::READY), "{}", scene.portrait());
        // What is there stays, however low the limit has become.
        scene.others = TakenPlaces {
            all: 900,
            namespace: 900,
        };
        scene.happened();
        scene.settle();
        assert!(scene.is(kind::READY), "{}", scene.portrait());
        assert_eq!(stalled(&scene).0, "");
    }
}

#[test]
fn a_number_waits_for_its_hour_and_is_ordered_once() {
    let mut scene = Scene::new().with_tools();
    let until = scene.now + second(1800);
    scene.ordered = Some(until);
    scene.run_for(second(1500));
    assert!(!scene.is(kind::READY), "{}", scene.portrait());
    assert_eq!(
        scene.shops.counts.get("make telnyx Main"),
        None,
        "{:?}",
        scene.shops.counts
    );
    let status = scene.object.as_ref().and_then(|one| one.status.clone());
    let conditions = status.unwrap_or_default().conditions;
    let waits = find(&conditions, kind::TOOLS_READY).unwrap();
    assert!(waits.message.contains("ordersPerHour"), "{waits:?}");
    scene.run_for(second(600));
    scene.settle();
    assert!(scene.is(kind::READY), "{}", scene.portrait());
    assert!(scene.now > until);
}
