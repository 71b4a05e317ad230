//! Tools that an agent has already, taken over with it: as they are, only where they are nobody's, and left where others
//! use them.

use super::adoption::adopting;
use super::scene::{Scene, second, start};
use super::shops::Thing;
use super::tool_ends::{slot, state, told, tool, vanish};
use super::tooled::limit;
use crate::api::condition::{kind, reason};
use crate::api::instance::{AdoptTool, OnExternalDeletion, UpdatePolicy};
use crate::api::{Part, SlotState};
use crate::engine::ledger::entry;
use crate::model::marker;
use jiff::SignedDuration;
use serde_json::json;

/// What a predecessor made for the agent.
const FOUND: [(&str, &str, &str); 3] = [
    ("llm", "openrouter", "or-7"),
    ("mail", "agentmail", "ada@mail"),
    ("phone", "telnyx", "+15550007"),
];

/// An agent that runs for long, with a key, an inbox and a number of its own, and an instance that shall have all of it.
fn found(ownership: &str, policy: UpdatePolicy) -> Scene {
    let mut scene = adopting(ownership, policy).with_tools();
    let mine = FOUND.map(|(name, ..)| name);
    scene.tools.retain(|one| mine.contains(&one.name.as_str()));
    let at = start() - SignedDuration::from_hours(1);
    scene.shops.meddle(at, |things| {
        things.extend(FOUND.map(|(_, shop, id)| Thing {
            shop: shop.into(),
            part: Part::Main,
            id: id.into(),
            name: "assistant".into(),
            parent: None,
            secret: None,
            settings: (shop == "openrouter").then(|| "limitUSD=7".into()),
            ready: at,
            fails: false,
            resting: false,
            deleted: false,
            usage: None,
        }));
    });
    let tools = FOUND.map(|(name, _, id)| json!({"name": name, "id": id}));
    let adopted: Vec<AdoptTool> = serde_json::from_value(json!(tools)).unwrap();
    if let Some(adopt) = scene
        .object
        .as_mut()
        .and_then(|object| object.spec.adopt.as_mut())
    {
        adopt.tools = adopted;
    }
    scene
}

fn shops(scene: &Scene) -> String {
    format!("{:?}", scene.shops.things)
}

#[test]
fn tools_are_taken_over_as_they_are() {
    for ownership in ["Dedicated", "Shared"] {
        for slow in [false, true] {
            let mut scene = found(ownership, UpdatePolicy::Manual);
            if slow {
                scene = scene.slow();
            }
            let before = shops(&scene);
            scene.settle();
            let told = told(&scene);
            assert!(
                scene.is(kind::READY) && scene.is(kind::TOOLS_READY),
                "{told}"
            );
            assert_eq!(shops(&scene), before, "{told}");
            assert!(scene.shops.counts.is_empty(), "{told}");
            assert_eq!(scene.difference(), Vec::<String>::new(), "{told}");
            let status = scene.object.as_ref().unwrap().status.clone().unwrap();
            for (name, _, id) in FOUND {
                let entry = entry(&status, slot(&format!("tool/{name}"))).unwrap();
                assert_eq!(entry.id.as_deref(), Some(id), "{told}");
                assert_eq!(entry.state, SlotState::Exists, "{told}");
            }
            let reached = |name: &str| {
                let one = status.tools.iter().find(|one| one.name == name);
                one.and_then(|one| one.address.clone())
            };
            assert_eq!(reached("mail").as_deref(), Some("ada@mail"), "{told}");
            assert_eq!(reached("phone").as_deref(), Some("+15550007"), "{told}");
        }
    }
}

#[test]
fn with_a_revision_comes_its_limit_and_the_agent_learns_its_addresses() {
    let mut scene = found("Dedicated", UpdatePolicy::Manual).rested();
    limit(&mut scene, 9);
    scene.settle();
    assert!(scene.shops.counts.is_empty(), "{}", told(&scene));
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Automatic);
    scene.settle();
    assert_eq!(scene.done("adjust openrouter Main"), 1, "{}", told(&scene));
    assert_eq!(scene.count("deployment"), 1, "{}", told(&scene));
    assert_eq!(scene.living().len(), 3, "{}", told(&scene));
    let home = &scene.provider.projects[0];
    let given = |name: &str, value: &str| {
        home.settings
            .values()
            .any(|one| one.variables.get(name).map(String::as_str) == Some(value))
    };
    assert!(
        given("AGENTMAIL_INBOX", "ada@mail") && given("TELNYX_PHONE_NUMBER", "+15550007"),
        "{}",
        told(&scene)
    );
}

#[test]
fn what_was_taken_over_goes_with_a_dedicated_agent_and_stays_with_a_shared_one() {
    for ownership in ["Dedicated", "Shared"] {
        let mut scene = found(ownership, UpdatePolicy::Manual).rested();
        scene.delete();
        scene.settle();
        let told = told(&scene);
        assert!(scene.object.is_none(), "{told}");
        let left = if ownership == "Shared" { 3 } else { 0 };
        assert_eq!(scene.living().len(), left, "{told}");
        for (_, _, id) in FOUND {
            let says = |one: &&crate::model::Announcement| {
                one.reason == reason::RETAINED && one.note.contains(id)
            };
            let said = scene.told.iter().filter(says).count();
            assert_eq!(said, usize::from(ownership == "Shared"), "{id}: {told}");
        }
    }
}

#[test]
fn what_is_not_to_be_had_is_told_and_left_alone() {
    type Spoil = fn(&mut Scene);
    let ours: Spoil = |scene| {
        let at = scene.now - second(1);
        scene.shops.meddle(at, |things| {
            for one in things.iter_mut() {
                one.name = format!("{}eve-0123456789ab", marker::STEM);
            }
        });
    };
    let gone: Spoil = |scene| {
        let at = scene.now - second(60);
        scene.shops.meddle(at, |things| {
            things.iter_mut().for_each(|one| one.deleted = true)
        });
    };
    let others: Spoil = |scene| {
        scene.rivals = FOUND.map(|(name, ..)| name.to_owned()).into();
    };
    for (case, spoil) in [("ours", ours), ("gone", gone), ("others", others)] {
        let mut scene = found("Dedicated", UpdatePolicy::Automatic);
        spoil(&mut scene);
        let before = shops(&scene);
        scene.settle();
        scene.run_for(SignedDuration::from_mins(20));
        let told = told(&scene);
        for (name, _, id) in FOUND {
            let failed = (false, reason::ADOPTION_FAILED.to_owned());
            assert_eq!(tool(&scene, name), failed, "{case}: {told}");
            assert_eq!(
                state(&scene, &format!("tool/{name}")),
                None,
                "{case}: {told}"
            );
            // At some providers what people take for an id is a credential.
            assert!(!scene.portrait().contains(id), "{case}: {told}");
        }
        assert_eq!(
            scene.reason(kind::STALLED),
            Some(reason::ADOPTION_FAILED),
            "{case}: {told}"
        );
        assert_eq!(scene.count("deployment"), 0, "{case}: {told}");
        scene.delete();
        scene.settle();
        assert!(scene.object.is_none(), "{case}: {told}");
        assert_eq!(shops(&scene), before, "{case}: {told}");
    }
}

#[test]
fn an_agent_that_is_not_to_be_had_leaves_its_tools_where_they_are() {
    let mut scene = found("Dedicated", UpdatePolicy::Automatic);
    scene.edit(|object| {
        if let Some(adopt) = &mut object.spec.adopt {
            adopt.project_id.0 = "nope".into();
        }
    });
    scene.settle();
    let before = shops(&scene);
    // Another object is the only way to correct the id.
    scene.delete();
    scene.settle();
    assert!(scene.object.is_none(), "{}", told(&scene));
    assert_eq!(shops(&scene), before, "{}", told(&scene));
}

#[test]
fn what_was_taken_over_and_is_gone_is_told_and_never_made_again() {
    for (name, shop, _) in FOUND {
        let mut scene = found("Dedicated", UpdatePolicy::Manual);
        scene.edit(|object| {
            object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate);
        });
        let mut scene = scene.rested();
        let one_of: fn(&Thing) -> bool = match shop {
            "openrouter" => |one| one.shop == "openrouter",
            "agentmail" => |one| one.shop == "agentmail",
            _ => |one| one.shop == "telnyx",
        };
        vanish(&mut scene, one_of);
        scene.settle();
        let gone = (false, reason::DELETED_EXTERNALLY.to_owned());
        assert_eq!(tool(&scene, name), gone, "{}", told(&scene));
        assert!(scene.shops.counts.is_empty(), "{}", told(&scene));
    }
}
