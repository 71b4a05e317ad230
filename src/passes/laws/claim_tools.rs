//! Tools that an agent has by its claim: none before the claim has it for good, each once from then on, nothing deployed for them, and
//! all of them back with the agent. Those of its template and those that the claim brought, whatever crashes.

use super::scene::{Scene, second};
use super::tool_ends::{in_order, told, tool, tooled};
use super::tooled::without;
use crate::api::claim::FromClaim;
use crate::api::condition::kind;
use crate::api::instance::{OperatingMode, UpdatePolicy};
use crate::api::limits::MostMoney;
use crate::api::money::Money;
use crate::api::template::{ToolSpec, ToolTime};
use crate::engine::bringing;
use crate::engine::world::ToolAccountView;
use serde_json::{Value, json};

/// An idle agent, whose template has a key and an inbox for its claim, and all else for everybody.
pub fn idle() -> Scene {
    let mut scene = tooled();
    without(&mut scene, "bank");
    let names = ["llm", "mail"];
    let mut tools = scene.tools.iter_mut();
    for one in tools
        .by_ref()
        .filter(|one| names.contains(&one.name.as_str()))
    {
        one.when = ToolTime::Claim;
    }
    scene
}

/// A claim has it for good, and brings a wallet beside what the template has for claims.
pub fn handed_over(scene: &mut Scene) {
    let at: Value = json!(scene.now.to_string());
    let hold = json!({"name": "c", "uid": "claim", "handedOverAt": at});
    let bank =
        json!({"name": "bank", "type": "bankr", "when": "Claim", "accountRef": {"name": "bankr"}});
    let bank: ToolSpec = serde_json::from_value(bank).unwrap();
    let mut tools = bringing::for_claim(&scene.tools);
    tools.push(bank);
    scene.edit(|object| {
        object.spec.claim_ref = Some(serde_json::from_value(hold).unwrap());
        object.spec.update_policy = UpdatePolicy::Manual;
        object.spec.from_claim = Some(FromClaim {
            tools,
            ..FromClaim::default()
        });
    });
}

/// A claim has had it for a while.
pub fn claimed() -> Scene {
    let mut scene = idle().rested();
    handed_over(&mut scene);
    scene.rested()
}

const THEIRS: [&str; 3] = ["openrouter", "agentmail", "bankr"];

#[test]
fn an_idle_agent_has_none_and_a_claims_has_each_without_a_deployment() {
    for slow in [false, true] {
        let scene = if slow { idle().slow() } else { idle() };
        let mut scene = scene.rested();
        assert!(scene.is(kind::READY) && scene.is(kind::TOOLS_READY));
        for shop in THEIRS {
            assert_eq!(scene.at(shop), 0, "{shop}: {}", told(&scene));
        }
        // Only taken, it may go back: nothing is bought for it.
        let hold = json!({"name": "c", "uid": "claim"});
        scene.edit(|object| object.spec.claim_ref = Some(serde_json::from_value(hold).unwrap()));
        scene.settle();
        assert!(
            THEIRS.iter().all(|shop| scene.at(shop) == 0),
            "{}",
            told(&scene)
        );

        handed_over(&mut scene);
        scene.log.clear();
        scene.settle();
        in_order(&scene);
        for name in ["llm", "mail", "bank"] {
            assert_eq!(
                tool(&scene, name),
                (true, "Ready".to_owned()),
                "{}",
                told(&scene)
            );
        }
        for what in [
            "make openrouter Main",
            "make agentmail Main",
            "make bankr Main",
        ] {
            assert_eq!(scene.done(what), 1, "{}", told(&scene));
        }
        for what in ["Configure", "Deploy", "Redeploy", "Compare"] {
            assert_eq!(scene.effects(what), 0, "{what}: {}", told(&scene));
        }
        assert!(
            scene.is(kind::READY) && scene.is(kind::SYNCED),
            "{}",
            told(&scene)
        );
        // A day later nothing of it is done again.
        scene.log.clear();
        scene.run_for(second(3600));
        assert_eq!(
            scene.effects("MakeTool") + scene.effects("Configure"),
            0,
            "{}",
            told(&scene)
        );
    }
}

#[test]
fn an_agent_behind_its_template_has_them_all_the_same_and_keeps_its_revision() {
    let mut scene = idle().rested();
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Manual);
    scene.revise("2");
    let mut scene = scene.rested();
    handed_over(&mut scene);
    scene.settle();
    in_order(&scene);
    assert!(tool(&scene, "llm").0, "{}", told(&scene));
    assert_eq!(scene.effects("Configure"), 0, "{}", told(&scene));
    assert_eq!(scene.reason(kind::TEMPLATE_SYNCED), Some("OutdatedManual"));
    // What it takes later has them.
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Automatic);
    scene.settle();
    in_order(&scene);
    assert!(
        scene.effects("Configure") > 0 && scene.is(kind::READY),
        "{}",
        told(&scene)
    );
    let homes = scene.provider.projects.iter().filter(|home| !home.deleted);
    let deployed = homes
        .flat_map(|home| home.settings.values())
        .any(|settings| settings.variables.contains_key("OPENROUTER_API_KEY"));
    assert!(deployed, "{}", told(&scene));
}

#[test]
fn one_that_cannot_be_had_is_said_and_keeps_nothing_else_from_the_agent() {
    let mut scene = idle().rested();
    let view = ToolAccountView::Unreachable;
    scene.accounts.insert("openrouter".into(), view);
    handed_over(&mut scene);
    scene.run_for(second(120));
    assert_eq!(
        tool(&scene, "llm"),
        (false, "AccountUnreachable".to_owned()),
        "{}",
        told(&scene)
    );
    assert!(
        tool(&scene, "mail").0 && !scene.is(kind::TOOLS_READY),
        "{}",
        told(&scene)
    );
    // It is changed in everything else.
    scene.log.clear();
    scene.set_env("b");
    scene.run_for(second(300));
    assert_eq!(scene.effects("Configure"), 1, "{}", told(&scene));
    let view = ToolAccountView::Ready;
    scene.accounts.insert("openrouter".into(), view);
    scene.happened();
    scene.settle();
    in_order(&scene);
    assert!(
        tool(&scene, "llm").0 && scene.is(kind::READY),
        "{}",
        told(&scene)
    );
    assert_eq!(scene.effects("Configure"), 1, "{}", told(&scene));
}

/// As after a restart, or with a second leader: the room that was asked for before the agent was taken is somebody else's by now.
#[test]
fn one_for_which_the_room_is_gone_after_the_hand_over_is_said_and_comes_when_there_is_some() {
    let mut scene = idle().rested();
    let most = |scene: &mut Scene, usd: u64| {
        let most = MostMoney {
            provider: "openrouter",
            field: "openrouter.perAgent.limitUSD",
            usd: Money::dollars(usd),
        };
        scene.most.insert("openrouter".into(), most);
        scene.happened();
    };
    most(&mut scene, 10);
    handed_over(&mut scene);
    scene.run_for(second(300));
    let says = tool(&scene, "llm");
    assert_eq!(
        says,
        (false, "QuotaExceeded".to_owned()),
        "{}",
        told(&scene)
    );
    assert_eq!(scene.reason(kind::STALLED), Some("QuotaExceeded"));
    assert_eq!(scene.at("openrouter"), 0, "{}", told(&scene));
    most(&mut scene, 20);
    scene.settle();
    in_order(&scene);
    assert!(tool(&scene, "llm").0 && scene.is(kind::READY));
    assert_eq!(scene.effects("Configure"), 0, "{}", told(&scene));
}

#[test]
fn a_tool_that_its_template_comes_to_have_takes_nothing_from_what_the_claim_brought() {
    let mut scene = claimed();
    let other = json!({"name": "other", "type": "bankr", "accountRef": {"name": "bankr"}});
    scene.tools.push(serde_json::from_value(other).unwrap());
    scene.revise("2");
    scene.settle();
    in_order(&scene);
    assert_eq!(scene.done("make bankr Main"), 0, "{}", told(&scene));
    assert!(tool(&scene, "bank").0, "{}", told(&scene));
}

#[test]
fn what_becomes_of_its_template_takes_none_from_a_claims_agent_and_buys_it_none() {
    for follows in [UpdatePolicy::Manual, UpdatePolicy::Automatic] {
        let mut scene = claimed();
        scene.edit(|object| object.spec.update_policy = follows);
        let had = THEIRS.map(|shop| scene.at(shop));
        scene.log.clear();
        // One is taken out, one is renamed, and one comes.
        scene.tools.retain(|one| one.name.as_str() != "mail");
        for one in &mut scene.tools {
            if one.name.as_str() == "llm" {
                one.name.0 = "model".to_owned();
            }
        }
        let number = json!({"name": "call", "type": "telnyx", "when": "Claim", "accountRef": {"name": "telnyx"}});
        scene.tools.push(serde_json::from_value(number).unwrap());
        scene.revise("2");
        scene.settle();
        in_order(&scene);
        assert_eq!(scene.effects("MakeTool"), 0, "{}", told(&scene));
        assert!(tool(&scene, "llm").0 && tool(&scene, "mail").0);
        assert_eq!(THEIRS.map(|shop| scene.at(shop)), had, "{}", told(&scene));
    }
}

#[test]
fn where_its_claim_is_gone_none_is_made_and_what_it_has_stays() {
    let mut scene = idle().rested();
    handed_over(&mut scene);
    scene.claim_gone = true;
    scene.run_for(second(600));
    for shop in THEIRS {
        assert_eq!(scene.at(shop), 0, "{shop}: {}", told(&scene));
    }
    let says = tool(&scene, "llm");
    assert_eq!(says, (false, "ClaimGone".to_owned()), "{}", told(&scene));
    assert!(scene.is(kind::READY), "{}", told(&scene));
    assert!(!scene.is(kind::STALLED) && !scene.is(kind::RECONCILING));
    // It was not gone: what shows it was late.
    scene.claim_gone = false;
    scene.happened();
    scene.settle();
    in_order(&scene);

    let mut scene = claimed();
    scene.claim_gone = true;
    scene.log.clear();
    scene.run_for(second(600));
    in_order(&scene);
    for name in ["llm", "mail", "bank"] {
        assert!(tool(&scene, name).0, "{}", told(&scene));
    }
    assert_eq!(scene.effects("MakeTool"), 0, "{}", told(&scene));
}

#[test]
fn they_rest_with_their_agent_and_go_with_it() {
    let mut scene = claimed();
    scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
    scene.settle();
    let mut things = scene.shops.things.iter();
    let key = things.find(|one| one.shop == "openrouter").unwrap();
    assert!(
        key.settings.as_deref().unwrap().ends_with(" disabled"),
        "{}",
        told(&scene)
    );
    scene.delete();
    scene.settle();
    assert!(
        scene.object.is_none() && scene.alive().is_empty(),
        "{}",
        told(&scene)
    );
    in_order(&scene);
}
