//! What counts, and what there is room for, at the edges.

use super::*;
use crate::api::Part;
use serde_json::{Value, json};

fn instance(name: &str, external: &Value) -> AgentInstance {
    serde_json::from_value(json!({
        "metadata": {"namespace": name.split('-').next(), "name": name, "uid": name},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}},
        "status": {"external": external},
    }))
    .unwrap()
}

fn entry(slot: &str, account: &str, state: &str, id: Option<&str>) -> Value {
    json!({"origin": "Made", "slot": slot, "provider": "exa", "account": account, "state": state, "key": format!("key-{slot}"),
        "id": id, "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"})
}

fn taken(
    asks: &Taker,
    instances: &[AgentInstance],
    left: &[LeftThing],
    others: &[Taker],
) -> TakenPlaces {
    let mut things = Things::default();
    for one in instances {
        things.record("exa", Some(asks), one);
    }
    left.iter().for_each(|one| things.left(one));
    others
        .iter()
        .for_each(|one| things.about_to(one, PlaceAsked::PROJECT, &[]));
    things.taken(&asks.namespace)
}

#[test]
fn each_thing_counts_once_from_its_intent_on() {
    let slot = Slot::tool("search", Part::Main).unwrap();
    let a = instance(
        "a-1",
        &json!([entry("tool/search", "exa", "Exists", Some("k1"))]),
    );
    let asks = Taker::of(&instance("a-2", &json!([])), slot);
    let of = |all, namespace| TakenPlaces {
        all,
        namespace,
        ..TakenPlaces::default()
    };
    for (state, id, counted) in [
        ("Planned", None, 0),
        ("Creating", None, 1),
        ("Exists", Some("k2"), 1),
        ("Deleting", Some("k2"), 1),
        // The very thing that another has.
        ("Exists", Some("k1"), 0),
    ] {
        let b = instance("b-1", &json!([entry("tool/search", "exa", state, id)]));
        let told = format!("{state} {id:?}");
        assert_eq!(
            taken(&asks, &[a.clone(), b], &[], &[]),
            of(1 + counted, 1),
            "{told}"
        );
    }
    // Another account, a part of a tool, and what is asked for.
    let others = json!([
        entry("tool/search", "other", "Exists", Some("k3")),
        entry("tool/llm/key", "exa", "Exists", Some("k4")),
    ]);
    assert_eq!(
        taken(&asks, &[instance("b-2", &others)], &[], &[]),
        of(0, 0)
    );
    let own = instance(
        "a-2",
        &json!([entry("tool/search", "exa", "Creating", None)]),
    );
    assert_eq!(taken(&asks, &[own], &[], &[]), of(0, 0));

    // What was left behind counts; what stands in a ledger, too, counts once.
    let left = |id: Option<&str>, namespace: &str| LeftThing {
        account: "exa".into(),
        namespace: namespace.into(),
        id: id.map(str::to_owned),
        key: "left".into(),
        usd: Money::ZERO,
    };
    let all = [
        left(Some("k1"), "a"),
        left(Some("k9"), "a"),
        left(None, "b"),
    ];
    assert_eq!(taken(&asks, std::slice::from_ref(&a), &all, &[]), of(3, 2));
    let other = Taker::of(&instance("b-3", &json!([])), slot);
    assert_eq!(taken(&asks, &[a], &[], &[other]), of(2, 1));
}

#[test]
fn a_limit_is_told_with_both_numbers_and_the_field_that_says_it() {
    let account = |spec: Value| -> Most {
        let spec: ProviderAccountSpec = serde_json::from_value(spec).unwrap();
        Most::of(&spec)
    };
    let railway = |more: &Value| {
        let mut railway =
            json!({"workspaceId": "w", "tokenSecretRefs": [{"name": "s", "key": "k"}]});
        railway
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        railway
    };
    let most = account(
        json!({"limits": {"resources": 3, "resourcesPerNamespace": 2}, "railway": railway(&json!({}))}),
    );
    for (all, namespace, field) in [
        (2, 1, None),
        (3, 1, Some("spec.limits.resources is 3")),
        (2, 2, Some("spec.limits.resourcesPerNamespace there is 2")),
        (9, 9, Some("spec.limits.resourcesPerNamespace there is 2")),
    ] {
        let taken = TakenPlaces {
            all,
            namespace,
            ..TakenPlaces::default()
        };
        let told = most.full(taken, PlaceAsked::PROJECT, "main", "team-a");
        assert_eq!(told.is_none(), most.room(taken, PlaceAsked::PROJECT));
        assert_eq!(told.is_some(), field.is_some(), "{taken:?}");
        let told = told.unwrap_or_default();
        assert!(told.contains(field.unwrap_or_default()), "{told}");
    }
    // As manifests of 0.1.0 say it.
    let old = account(json!({"railway": railway(&json!({"maxProjects": 2}))}));
    let taken = TakenPlaces {
        all: 2,
        namespace: 0,
        ..TakenPlaces::default()
    };
    let told = old
        .full(taken, PlaceAsked::PROJECT, "main", "team-a")
        .unwrap();
    assert!(
        told.contains("has 2 resources") && told.contains("spec.railway.maxProjects is 2"),
        "{told}"
    );
    // Left out, nothing is unlimited.
    let left_out = account(json!({"exa": {"credentialSecretRef": {"name": "s", "key": "k"}}}));
    assert_eq!((left_out.all, left_out.namespace), (500, 100));
}

#[test]
fn money_is_told_with_all_numbers_and_what_costs_nothing_is_always_free() {
    let spec = json!({"openrouter": {"credentialSecretRef": {"name": "s", "key": "k"}},
        "limits": {"monthlyUSD": "100.50", "monthlyUSDPerNamespace": 50}});
    let most = Most::of(&serde_json::from_value(spec).unwrap());
    let asked = |thing, usd| PlaceAsked {
        thing,
        usd: Money::cents(usd),
        metered: false,
    };
    let dollars = Money::cents;
    for (all, namespace, usd, field) in [
        (8050, 1000, 2000, None),
        (
            8051,
            1000,
            2000,
            Some("beside 80.51 in ProviderAccount main, and its spec.limits.monthlyUSD is 100.50"),
        ),
        (3000, 3000, 2000, None),
        (
            3000,
            3001,
            2000,
            Some(
                "beside 30.01 of namespace team-a in ProviderAccount main, and spec.limits.monthlyUSDPerNamespace there is 50",
            ),
        ),
        // More than there may be, by a limit that was lowered.
        (90_000, 90_000, 0, None),
        (
            90_000,
            90_000,
            1,
            Some("0.01 US dollars a month are asked for"),
        ),
    ] {
        let taken = TakenPlaces {
            usd: dollars(all),
            namespace_usd: dollars(namespace),
            ..TakenPlaces::default()
        };
        for thing in [true, false] {
            let told = most.full(taken, asked(thing, usd), "main", "team-a");
            assert_eq!(told.is_some(), field.is_some(), "{taken:?} {usd}");
            let told = told.unwrap_or_default();
            assert!(told.contains(field.unwrap_or_default()), "{told}");
        }
    }
    // What has its place needs none, however many there are.
    let taken = TakenPlaces {
        all: 900,
        namespace: 900,
        ..TakenPlaces::default()
    };
    assert!(most.room(taken, asked(false, 100)));
    assert!(!most.room(taken, asked(true, 100)));
}

#[test]
fn no_project_is_added_where_the_month_has_cost_what_it_may() {
    let spec = json!({"railway": {"workspaceId": "w", "tokenSecretRefs": [{"name": "s", "key": "k"}]},
        "limits": {"monthlyUSD": 100, "monthlyUSDPerNamespace": "50.50"}});
    let most = Most::of(&serde_json::from_value(spec).unwrap());
    let asks = Taker::of(&instance("a-9", &json!([])), Slot::Project);
    for (own, others, told) in [
        (5049, 4950, None),
        (
            5050,
            0,
            Some(
                "the projects of namespace a in ProviderAccount main have cost 50 US dollars this month, and spec.limits.monthlyUSDPerNamespace there is 50.50",
            ),
        ),
        (
            5049,
            4951,
            Some("what its spec.limits.monthlyUSD lets them, 100 US dollars"),
        ),
    ] {
        let mut things = Things::default();
        things.listed("p1", "a", Money::cents(own));
        things.listed("p2", "b", Money::cents(others));
        let why = most.full(
            things.taken(&asks.namespace),
            PlaceAsked::PROJECT,
            "main",
            "a",
        );
        assert_eq!(why.is_some(), told.is_some(), "{why:?}");
        let why = why.unwrap_or_default();
        assert!(why.contains(told.unwrap_or_default()), "{why}");
    }
}

#[test]
fn what_costs_something_counts_with_its_namespace_from_its_intent_on() {
    let slot = Slot::tool("search", Part::Main).unwrap();
    let asks = Taker::of(&instance("a-9", &json!([])), slot);
    let costs = |name: &str, id: Option<&str>, usd: &str| {
        let mut entry = entry("tool/search", "exa", "Creating", id);
        entry["monthlyUSD"] = json!(usd);
        entry["key"] = json!(name);
        instance(name, &json!([entry]))
    };
    let a = costs("a-1", Some("k1"), "20");
    let b = costs("b-1", None, "30.50");
    let left = LeftThing {
        account: "exa".into(),
        namespace: "a".into(),
        id: Some("k9".into()),
        key: "left".into(),
        usd: Money::dollars(5),
    };
    let found = taken(&asks, &[a.clone(), b.clone()], &[left], &[]);
    assert_eq!(
        (found.usd, found.namespace_usd),
        (Money::cents(5550), Money::dollars(25))
    );
    // Others who are about to have more, one of them of what it has already.
    let all: Vec<Arc<AgentInstance>> = vec![Arc::new(a.clone()), Arc::new(b)];
    let mut things = Things::default();
    for one in &all {
        things.record("exa", Some(&asks), one);
    }
    let asked = |thing, usd| PlaceAsked {
        thing,
        usd: Money::dollars(usd),
        metered: false,
    };
    things.about_to(&Taker::of(&a, slot), asked(false, 40), &all);
    let new = Taker::of(&instance("b-7", &json!([])), slot);
    things.about_to(&new, asked(true, 7), &all);
    let found = things.taken("a");
    assert_eq!((found.all, found.usd), (3, Money::cents(7750)));
    assert_eq!(found.namespace_usd, Money::dollars(40));
    // What is asked for is on record once the ledger says so much.
    let taker = Taker::of(&a, slot);
    assert!(taker.shows(&a, asked(false, 20)) && !taker.shows(&a, asked(false, 21)));
    assert!(
        taker.shows(&a, asked(true, 20))
            && !new.shows(&instance("b-7", &json!([])), asked(true, 7))
    );
}
