//! Random lives with tools: troubles, losses, outages and changes of mind in any order, and what is true at their end.

use super::scene::{Scene, Trouble, second};
use super::shops::Thing;
use super::tool_ends::{asks_for, told, tool, tooled};
use super::tooled::limit;
use crate::api::Part;
use crate::api::condition::kind;
use crate::api::instance::OnExternalDeletion;
use crate::api::template::ToolTime;
use crate::engine::world::ToolAccountView;
use crate::model::Fault;
use proptest::prelude::*;

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
                .insert(shops[*shop].into(), ToolAccountView::Unreachable);
        }
        Incident::OutagesOver => {
            for shop in shops {
                scene.accounts.insert(shop.into(), ToolAccountView::Ready);
            }
            scene.happened();
        }
        Incident::OrdersFail(orders) => scene.shops.failing = *orders,
        Incident::Limit(usd) => limit(scene, u32::from(*usd)),
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
