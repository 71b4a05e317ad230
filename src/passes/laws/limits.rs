//! What one agent may have at most: nothing is made for one that asks for more, and nothing is taken from one that has more.

use super::scene::{Scene, room, second};
use super::tooled::limit;
use crate::api::condition::{find, kind, reason};
use crate::api::limits::{MostMoney, RailwayPerAgent, Sizes};
use crate::api::money::Money;
use crate::api::template::LimitReset;
use crate::api::text::Amount;
use crate::api::{Part, Slot};
use crate::engine::places::TakenPlaces;
use crate::engine::world::{AccountRoom, AccountView};
use crate::model::tool::Usage;

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
fn lets_spend(scene: &mut Scene, usd: u64) {
    let field = "openrouter.perAgent.limitUSD";
    let most = MostMoney {
        provider: "openrouter",
        field,
        usd: Money::dollars(usd),
    };
    scene.most.insert("openrouter".into(), most);
    scene.happened();
}

/// The account lets the key of one agent have such a budget.
fn lets_search(scene: &mut Scene, usd: u64) {
    let field = "exa.perAgent.budgetUSD";
    let most = MostMoney {
        provider: "exa",
        field,
        usd: Money::dollars(usd),
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
    for (most, allowed) in [(20, true), (19, false)] {
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
        limit(&mut scene, 19);
        scene.settle();
        assert_eq!(
            (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
            ("", "limitUSD=19")
        );
    }
}

#[test]
fn a_limit_of_nothing_is_asked_of_nobody() {
    let mut scene = Scene::new().with_tools();
    limit(&mut scene, 0);
    scene.settle();
    let (why, message) = stalled(&scene);
    assert_eq!(why, reason::VALUE_NOT_USABLE);
    assert!(message.contains("may spend 0 US dollars"), "{message}");
    assert!(scene.shops.counts.is_empty(), "{:?}", scene.shops.counts);
    // Nor of a key that is there.
    limit(&mut scene, 20);
    scene.settle();
    limit(&mut scene, 0);
    scene.settle();
    assert_eq!(stalled(&scene).0, reason::VALUE_NOT_USABLE);
    assert_eq!(settings(&scene, "llm"), "limitUSD=20");
    assert_eq!(scene.effects("AdjustTool"), 0);
}

#[test]
fn a_key_that_has_more_keeps_it_and_is_given_no_more() {
    let mut scene = Scene::new().with_tools().rested();
    lets_spend(&mut scene, 10);
    scene.settle();
    assert_eq!(settings(&scene, "llm"), "limitUSD=20");
    assert_eq!(
        (stalled(&scene).0.as_str(), scene.effects("AdjustTool")),
        ("", 0)
    );
    limit(&mut scene, 21);
    scene.settle();
    let (why, message) = stalled(&scene);
    assert_eq!(why, reason::QUOTA_EXCEEDED);
    assert!(message.contains("toolLimits asks for 21"), "{message}");
    assert_eq!(settings(&scene, "llm"), "limitUSD=20");
    // Everything else goes on, and less is less, although it is still above the limit.
    scene.set_env("b");
    scene.settle();
    assert_eq!(scene.effects("Configure"), 1);
    limit(&mut scene, 15);
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
        ("", "limitUSD=15")
    );
    limit(&mut scene, 21);
    lets_spend(&mut scene, 21);
    scene.settle();
    assert_eq!(
        (stalled(&scene).0.as_str(), settings(&scene, "llm").as_str()),
        ("", "limitUSD=21")
    );
}

#[test]
fn a_key_that_has_more_and_lost_its_secret_is_made_as_it_was() {
    let mut scene = Scene::new().with_tools().rested();
    lets_spend(&mut scene, 10);
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
    lets_search(&mut scene, 30);
    let mut scene = scene.rested();
    assert_eq!(settings(&scene, "search"), "budgetUSD=30");
    lets_search(&mut scene, 10);
    scene.settle();
    assert_eq!(settings(&scene, "search"), "budgetUSD=30");
    // Made before there were limits.
    let mut scene = Scene::new().with_tools().rested();
    lets_search(&mut scene, 30);
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
        scene.others = TakenPlaces {
            all,
            namespace,
            ..TakenPlaces::default()
        };
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
            ..TakenPlaces::default()
        };
        scene.happened();
        scene.settle();
        assert!(scene.is(kind::READY), "{}", scene.portrait());
        // What is there stays, however low the limit has become.
        scene.others = TakenPlaces {
            all: 900,
            namespace: 900,
            ..TakenPlaces::default()
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

/// Others have committed so much in each account, which lets so much be committed.
fn committed(scene: &mut Scene, others: u64, most: u64) {
    scene.others = TakenPlaces {
        usd: Money::dollars(others),
        ..TakenPlaces::default()
    };
    scene.committable = Some(Money::dollars(most));
    scene.happened();
}

fn monthly(scene: &Scene) -> String {
    let status = scene.object.as_ref().and_then(|one| one.status.clone());
    let costs = status.unwrap_or_default().monthly_usd.unwrap_or_default();
    costs.committed.to_string()
}

#[test]
fn what_would_be_committed_beyond_the_accounts_limit_is_told_before_anything_is_made() {
    // The scene's key asks for 20 US dollars, its inbox costs 2.
    for (others, allowed) in [(80, true), (81, false)] {
        let mut scene = Scene::new().with_tools();
        committed(&mut scene, others, 100);
        scene.settle();
        if allowed {
            assert!(scene.is(kind::READY), "{}", scene.portrait());
            assert_eq!(monthly(&scene), "22");
            continue;
        }
        let (why, message) = stalled(&scene);
        assert_eq!(why, reason::QUOTA_EXCEEDED);
        for part in [
            "tool/llm",
            "20 US dollars",
            "beside 81",
            "limits.monthlyUSD is 100",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let made = scene.shops.counts.keys();
        assert_eq!(made.filter(|what| what.starts_with("make")).count(), 0);
        committed(&mut scene, 81, 101);
        scene.settle();
        assert!(scene.is(kind::READY), "{}", scene.portrait());
    }
}

#[test]
fn a_key_is_raised_as_far_as_the_account_has_room_and_lowered_whatever_it_has() {
    let mut scene = Scene::new().with_tools().rested();
    committed(&mut scene, 80, 100);
    scene.settle();
    assert_eq!(stalled(&scene).0, "", "what runs stays");
    limit(&mut scene, 21);
    scene.settle();
    let (why, message) = stalled(&scene);
    assert_eq!(why, reason::QUOTA_EXCEEDED);
    assert!(
        message.contains("21 US dollars a month are asked for beside 80"),
        "{message}"
    );
    assert_eq!(settings(&scene, "llm"), "limitUSD=20");
    // Everything else of it goes on.
    scene.set_env("b");
    scene.settle();
    assert_eq!(scene.effects("Configure"), 1);
    committed(&mut scene, 79, 100);
    scene.settle();
    assert_eq!(
        (settings(&scene, "llm").as_str(), monthly(&scene).as_str()),
        ("limitUSD=21", "23")
    );
    // Less is less, also where others have more than there may be.
    committed(&mut scene, 500, 100);
    limit(&mut scene, 5);
    scene.settle();
    assert_eq!(
        (settings(&scene, "llm").as_str(), monthly(&scene).as_str()),
        ("limitUSD=5", "7")
    );
    assert_eq!(stalled(&scene).0, "");
}

/// The key at its provider, where it is.
fn key(scene: &Scene) -> Option<&str> {
    let mut things = scene.shops.things.iter();
    let lives = things.find(|one| one.shop == "openrouter" && !one.deleted);
    lives.and_then(|key| key.settings.as_deref())
}

#[test]
fn a_raise_that_was_refused_is_not_had_by_deleting_the_key() {
    let mut scene = Scene::new().with_tools().rested();
    committed(&mut scene, 80, 100);
    limit(&mut scene, 21);
    scene.settle();
    let now = scene.now;
    scene.shops.meddle(now, |things| {
        for one in things.iter_mut().filter(|one| one.shop == "openrouter") {
            one.deleted = true;
        }
    });
    scene.happened();
    scene.run_for(second(900));
    assert_eq!(key(&scene), None, "{:?}", scene.log);
    assert_eq!(stalled(&scene).0, reason::QUOTA_EXCEEDED);
    committed(&mut scene, 79, 100);
    scene.run_for(second(900));
    assert_eq!(key(&scene), Some("limitUSD=21"), "{:?}", scene.log);
    assert_eq!(monthly(&scene), "23");
}

#[test]
fn a_raise_that_is_taken_back_while_its_request_is_under_way_counts_until_it_is_lowered() {
    // A request that lands after it was given up: at the provider the limit is the raised one.
    let mut scene = Scene::new().with_tools().rested();
    committed(&mut scene, 70, 100);
    limit(&mut scene, 30);
    while !scene.log.contains(&"AdjustTool") {
        assert!(scene.visit().is_some(), "{:?}", scene.log);
    }
    limit(&mut scene, 20);
    let mut seen = 0;
    for _ in 0..40 {
        let raised = key(&scene) == Some("limitUSD=30");
        let told = monthly(&scene) == "32";
        assert!(
            !raised || told,
            "{} beside {:?}",
            monthly(&scene),
            key(&scene)
        );
        seen += usize::from(raised);
        if scene.visit().is_none() {
            scene.run_for(second(20));
        }
    }
    assert!(seen > 0, "it was never raised");
    assert_eq!(key(&scene), Some("limitUSD=20"), "{:?}", scene.log);
    assert_eq!(monthly(&scene), "22");
}

#[test]
fn a_raise_that_came_to_nothing_counts_no_more_once_it_is_taken_back() {
    let mut scene = Scene::new().with_tools().rested();
    committed(&mut scene, 70, 100);
    // On record, and then the process is gone.
    limit(&mut scene, 30);
    scene.lose(|status| {
        let entries = &mut status.as_mut().unwrap().external;
        let key = entries.iter_mut().find(|one| one.provider == "openrouter");
        key.unwrap().monthly_usd = Some(Money::dollars(30));
    });
    limit(&mut scene, 20);
    scene.run_for(second(120));
    scene.happened();
    scene.settle();
    assert_eq!(
        (settings(&scene, "llm").as_str(), monthly(&scene).as_str()),
        ("limitUSD=20", "22")
    );
    assert_eq!(scene.effects("AdjustTool"), 0, "{:?}", scene.log);
}

#[test]
fn a_limit_that_comes_back_is_changed_in_place_and_counts_as_often_as_it_does() {
    let mut scene = Scene::new().with_tools().rested();
    for (reset, told, costs) in [
        (LimitReset::Daily, "limitUSD=20/daily", "622"),
        (LimitReset::Weekly, "limitUSD=20/weekly", "102"),
        (LimitReset::Monthly, "limitUSD=20/monthly", "22"),
        (LimitReset::Never, "limitUSD=20", "22"),
    ] {
        scene.tools[0].limit_reset = Some(reset);
        scene.happened();
        scene.settle();
        assert_eq!(
            (settings(&scene, "llm").as_str(), monthly(&scene).as_str()),
            (told, costs)
        );
    }
    assert_eq!(scene.count("deployment"), 0);
    assert_eq!(scene.shops.counts.get("adjust openrouter Main"), Some(&4));
    // What somebody sets to come back at OpenRouter is set back.
    let now = scene.now;
    scene.shops.meddle(now, |things| {
        for one in things.iter_mut().filter(|one| one.shop == "openrouter") {
            one.settings = Some("limitUSD=20/monthly".into());
        }
    });
    scene.settle();
    assert_eq!(scene.shops.counts.get("adjust openrouter Main"), Some(&5));
}

/// The key has spent so much of so much.
fn spends(scene: &mut Scene, cents: u64, limit: u64) {
    let now = scene.now;
    scene.shops.meddle(now, |things| {
        for one in things.iter_mut().filter(|one| one.shop == "openrouter") {
            one.usage = Some(Usage {
                spent_usd: Money::cents(cents),
                limit_usd: Some(Money::dollars(limit)),
                month_usd: Money::cents(cents),
            });
        }
    });
    scene.run_for(second(120));
    scene.happened();
    scene.settle();
}

#[test]
fn spending_is_told_in_steps_and_an_event_says_when_it_is_eight_tenths_and_when_all() {
    let mut scene = Scene::new().with_tools().rested();
    let heard = |scene: &mut Scene| {
        let told = std::mem::take(&mut scene.told).into_iter();
        let spent = told.filter(|one| one.reason == reason::LIMIT_SPENT);
        spent.map(|one| one.note).collect::<Vec<_>>()
    };
    // What was spent first is told, and from then on each tenth.
    spends(&mut scene, 100, 20);
    for (cents, writes, said) in [
        (150, 0, None),
        (199, 0, None),
        (200, 1, None),
        (1599, 1, None),
        (1600, 1, Some("llm has spent 16 of 20")),
        (1799, 0, None),
        (1900, 1, None),
        (2000, 1, Some("llm has spent 20 of 20")),
        (2050, 0, None),
    ] {
        let before = scene.effects("Persist");
        spends(&mut scene, cents, 20);
        assert_eq!(scene.effects("Persist") - before, writes, "{cents}");
        let notes = heard(&mut scene);
        assert_eq!(
            notes.len(),
            usize::from(said.is_some()),
            "{cents}: {notes:?}"
        );
        for (note, said) in notes.iter().zip(said) {
            assert!(note.contains(said), "{note}");
        }
    }
    // The agent has its key still, and runs.
    assert!(scene.is(kind::READY) && scene.is(kind::TOOLS_READY) && scene.is(kind::SYNCED));
    assert_eq!(scene.reason(kind::TOOLS_READY), Some(reason::LIMIT_SPENT));
    scene.restart();
    scene.settle();
    assert_eq!(heard(&mut scene), [""; 0]);
    // A new month, a higher limit: it is over.
    spends(&mut scene, 2050, 40);
    assert_eq!(scene.reason(kind::TOOLS_READY), Some(reason::READY));
}
