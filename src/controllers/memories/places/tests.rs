//! Who is told that there is room, and until when what was told holds.

use super::*;
use crate::api::Slot;
use crate::api::money::Money;
use serde_json::json;

fn instance(name: &str, state: Option<&str>) -> Arc<AgentInstance> {
    let entry = |state: &str| {
        json!({"origin": "Made", "slot": "project", "provider": "railway", "account": "main", "state": state,
            "key": name, "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"})
    };
    let object = json!({
        "metadata": {"namespace": "n", "name": name, "uid": name},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}},
        "status": {"external": state.map(entry).into_iter().collect::<Vec<_>>()},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn most(all: usize) -> Most {
    Most {
        all,
        field: "limits.resources",
        namespace: all,
        usd: None,
        namespace_usd: None,
    }
}

struct Account<'a> {
    places: &'a Places,
    instances: Vec<Arc<AgentInstance>>,
}

impl Account<'_> {
    fn take(&self, name: &str, at: i64) -> bool {
        let asks = Taker::of(&instance(name, None), Slot::Project);
        let known = || {
            let mut things = Things::default();
            for one in &self.instances {
                things.record("main", Some(&asks), one);
            }
            let instances = self.instances.clone();
            Some(KnownPlaces { instances, things })
        };
        let now = Timestamp::from_second(at).unwrap();
        let taken = self.places.count(
            "main",
            &asks,
            now,
            Some((most(2), PlaceAsked::PROJECT)),
            known,
        );
        most(2).room(taken.unwrap(), PlaceAsked::PROJECT)
    }
}

#[test]
fn the_last_place_is_given_once_however_late_the_store_is() {
    let places = Places::default();
    let at = |instances| Account {
        places: &places,
        instances,
    };
    let nothing_shown = at(vec![]);
    assert!(nothing_shown.take("a", 0) && nothing_shown.take("b", 0));
    // PlaceAsked again it is the same place.
    assert!(nothing_shown.take("a", 0));
    assert!(!nothing_shown.take("c", 0));
    // The pass of a has ended with an intent; the store shows it later.
    places.ended("a", Timestamp::from_second(1).unwrap());
    assert!(!nothing_shown.take("c", 2));
    let shown = at(vec![instance("a", Some("Creating"))]);
    assert!(!shown.take("c", 3));
    // What is taken back frees its place.
    let freed = at(vec![instance("a", None)]);
    assert!(freed.take("c", 4));
    assert!(!freed.take("d", 4));
    // One whose pass ended without an intent holds its place no longer than a store may be late.
    places.ended("b", Timestamp::from_second(10).unwrap());
    assert!(!freed.take("d", 39));
    assert!(freed.take("d", 41));
    places.gone("d");
    assert!(freed.take("e", 41));
}

#[test]
fn a_glance_serves_its_namespace_for_a_moment_and_nobody_who_takes_a_place() {
    let (places, asks) = (
        Places::default(),
        Taker::of(&instance("a", None), Slot::Project),
    );
    let at = |second| Timestamp::from_second(second).unwrap();
    let counts = std::cell::Cell::new(0);
    let known = || {
        counts.set(counts.get() + 1);
        let (instances, things) = (Vec::new(), Things::default());
        Some(KnownPlaces { instances, things })
    };
    let glance = |asks: &Taker, second| places.glance("main", asks, at(second), known);
    for _ in 0..3 {
        assert!(glance(&asks, 0).is_some());
    }
    assert_eq!(counts.get(), 1);
    let neighbour = Taker {
        namespace: "other".into(),
        ..asks.clone()
    };
    glance(&neighbour, 0);
    assert_eq!(counts.get(), 2);
    places.count(
        "main",
        &asks,
        at(0),
        Some((most(1), PlaceAsked::PROJECT)),
        known,
    );
    assert_eq!(counts.get(), 3);
    let beside = Taker {
        identity: "b".into(),
        ..asks.clone()
    };
    glance(&beside, 1);
    assert_eq!(counts.get(), 4);
    assert_eq!(held(&places.glances).len(), 1);
}

#[test]
fn of_two_who_ask_for_the_last_money_one_gets_it_until_its_ledger_says_so() {
    let key = |name: &str, usd: u64| {
        let entry = json!({"origin": "Made", "slot": "tool/llm", "provider": "openrouter", "account": "main", "state": "Exists",
            "key": name, "monthlyUSD": Money::dollars(usd), "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"});
        let object = json!({
            "metadata": {"namespace": "n", "name": name, "uid": name},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}},
            "status": {"external": [entry]},
        });
        Arc::new(serde_json::from_value::<AgentInstance>(object).unwrap())
    };
    let most = Most {
        usd: Some(Money::dollars(50)),
        ..most(1)
    };
    let (places, slot) = (Places::default(), Slot::named("tool/llm").unwrap());
    let raise = |name: &str, usd: u64, shown: [u64; 2], at: i64| {
        let instances = vec![key("a", shown[0]), key("b", shown[1])];
        let asks = Taker::of(&key(name, 0), slot);
        let asked = PlaceAsked {
            thing: false,
            usd: Money::dollars(usd),
            metered: false,
        };
        let known = || {
            let mut things = Things::default();
            for one in &instances {
                things.record("main", Some(&asks), one);
            }
            Some(KnownPlaces { instances, things })
        };
        let now = Timestamp::from_second(at).unwrap();
        let takes = Some((most, asked));
        let taken = places.count("main", &asks, now, takes, known);
        most.room(taken.unwrap(), asked)
    };
    // Two keys are there, where one has a place: what they have already is no question.
    assert!(raise("a", 30, [20, 20], 0));
    assert!(!raise("b", 21, [20, 20], 0));
    // The store shows it; what a has counts once.
    assert!(!raise("b", 21, [30, 20], 1));
    assert!(raise("b", 20, [30, 20], 1));
    // Its pass ended without a word: what it took is free again.
    places.ended("a", Timestamp::from_second(2).unwrap());
    assert!(raise("b", 30, [20, 20], 40));
}

#[test]
fn what_a_claim_holds_for_its_agent_is_the_agents_and_comes_back_where_it_is_not_taken() {
    let places = Places::default();
    let nothing_shown = Account {
        places: &places,
        instances: vec![],
    };
    // Each holds it in its agent's name, and the agent's own pass asks for the same again.
    assert!(nothing_shown.take("a", 0) && nothing_shown.take("b", 0));
    assert!(!nothing_shown.take("c", 0) && nothing_shown.take("a", 1));
    let taker = Taker::of(&instance("b", None), Slot::Project);
    places.release("main", &taker);
    assert!(nothing_shown.take("c", 1) && !nothing_shown.take("b", 1));
}

#[test]
fn of_two_who_take_a_place_at_once_the_later_one_sees_the_other() {
    let places = Places::default();
    let account = Account {
        places: &places,
        instances: vec![],
    };
    let now = Timestamp::UNIX_EPOCH;
    let taker = |name: &str| Taker::of(&instance(name, None), Slot::Project);
    let before = |name: &str| places.before("main", &taker(name), now);
    assert!(account.take("a", 0) && account.take("b", 0) && account.take("a", 0));
    assert_eq!((before("a"), before("b")), (vec![], vec![taker("a")]));
    assert_eq!(before("c").len(), 2);
    places.ended("a", now - LAG);
    assert!(before("b").is_empty());
    places.release("main", &taker("b"));
    assert!(before("c").is_empty());
}

#[test]
fn before_the_account_is_read_nobody_takes_a_place() {
    let (places, asks) = (
        Places::default(),
        Taker::of(&instance("a", None), Slot::Project),
    );
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(
        places.count(
            "main",
            &asks,
            now,
            Some((most(1), PlaceAsked::PROJECT)),
            || None
        ),
        None
    );
    assert!(held(&places.about_to).is_empty());
}
#[test]
fn who_holds_a_place_is_not_told_by_anothers_glance_that_it_is_taken() {
    let places = Places::default();
    let account = Account {
        places: &places,
        instances: vec![instance("old", Some("Exists"))],
    };
    let at = Timestamp::from_second(1).unwrap();
    let glance = |name: &str| {
        let asks = Taker::of(&instance(name, None), Slot::Project);
        let known = || {
            let mut things = Things::default();
            for one in &account.instances {
                things.record("main", Some(&asks), one);
            }
            let instances = account.instances.clone();
            Some(KnownPlaces { instances, things })
        };
        let taken = places.glance("main", &asks, at, known).unwrap();
        most(2).room(taken, PlaceAsked::PROJECT)
    };
    assert!(account.take("holds", 1));
    assert!(!glance("other"));
    assert!(glance("holds"));
}
