//! What a listing of an account of tools is worth.

use super::*;
use crate::api::money::Money;

fn resource(id: &str, name: &str) -> Resource {
    Resource {
        part: Part::Main,
        id: id.into(),
        name: name.into(),
        address: None,
        stage: Stage::Ready,
        settings: None,
        usage: None,
        created: None,
        monthly_usd: Money::ZERO,
    }
}

fn stock(resources: Vec<Resource>) -> Stock {
    Stock {
        begun: Timestamp::UNIX_EPOCH,
        resources,
    }
}

fn instance(state: &str, id: Option<&str>) -> AgentInstance {
    let mut entry = serde_json::json!({
        "origin": "Made", "slot": "tool/llm", "provider": "openrouter", "account": "llm", "state": state, "key": "ym-1",
        "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"
    });
    if let Some(id) = id {
        entry["id"] = id.into();
    }
    let mut made = AgentInstance::new(
        "ada",
        serde_json::from_value(serde_json::json!({
            "templateRef": {"name": "t"}, "accountRef": {"name": "main"}
        }))
        .unwrap(),
    );
    made.metadata.namespace = Some("team".into());
    made.status = Some(
        serde_json::from_value(serde_json::json!({
            "external": [entry, {
                "origin": "Made", "slot": "tool/llm/key", "provider": "openrouter", "account": "llm", "state": "Exists",
                "key": "ym-2", "id": "k-2", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"
            }],
            "tools": [{
                "name": "llm", "type": "openrouter", "ready": true, "reason": "Ready",
                "usage": {"spentUSD": 1.0, "limitUSD": 20.0, "asOf": "2026-01-01T00:00:00.000000Z"}
            }]
        }))
        .unwrap(),
    );
    made
}

const PATIENT: Limits = Limits {
    request: SignedDuration::from_secs(20),
    settle: SignedDuration::from_secs(10),
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_listing_that_lacks_something_is_believed_only_where_it_has_not_shrunk_sharply() {
    for (listed, before, expected, missing, believed) in [
        // Nothing is missing: whatever else went is nobody's business.
        (0, Some(100), 0, 0, true),
        (3, Some(100), 3, 0, true),
        // Something is.
        (99, Some(100), 100, 1, true),
        (50, Some(100), 100, 50, true),
        (49, Some(100), 100, 51, false),
        (0, Some(100), 100, 100, false),
        // The only one there is: empty is not believed unless it was confirmed gone.
        (0, Some(1), 1, 1, false),
        (0, Some(1), 1, 0, true),
        (0, Some(0), 1, 1, false),
        // The first listing of a process is held against the ledgers.
        (0, None, 1, 1, false),
        (4, None, 10, 6, false),
        (5, None, 10, 5, true),
        (200, None, 10, 10, true),
    ] {
        let extent = Extent {
            listed,
            before,
            expected,
            missing,
        };
        assert_eq!(judge(extent).is_ok(), believed, "{extent:?}");
    }
}

#[test]
fn only_what_exists_for_long_enough_is_expected_in_a_listing() {
    for (state, id, begun, expected) in [
        ("Exists", Some("k-1"), "2026-01-01T00:00:30Z", true),
        ("Exists", Some("k-1"), "2026-01-01T00:00:29Z", false),
        ("Creating", None, "2026-01-02T00:00:00Z", false),
        ("Deleting", Some("k-1"), "2026-01-02T00:00:00Z", false),
    ] {
        let found = recorded(&instance(state, id), "llm", at(begun), PATIENT);
        assert_eq!(found[0].expected, expected, "{state} {begun}");
        assert_eq!(
            found[0].named.parts,
            BTreeMap::from([(Part::Key, "k-2".to_owned())])
        );
    }
    assert!(
        recorded(
            &instance("Exists", Some("k-1")),
            "main",
            at("2026-01-02T00:00:00Z"),
            PATIENT
        )
        .is_empty()
    );
}

#[test]
fn what_is_missing_is_what_is_expected_and_not_listed() {
    let all = recorded(
        &instance("Exists", Some("k-1")),
        "llm",
        at("2026-01-02T00:00:00Z"),
        PATIENT,
    );
    let ids = |listing: &Stock| -> Vec<String> {
        missing(listing, &all)
            .into_iter()
            .map(|one| one.id.clone())
            .collect()
    };
    assert_eq!(ids(&stock(vec![])), ["k-1"]);
    assert!(ids(&stock(vec![resource("k-1", "")])).is_empty());
    // A namesake is not the recorded one.
    assert_eq!(ids(&stock(vec![resource("k-9", "ym-1")])), ["k-1"]);
}

fn one_key() -> Vec<Recorded> {
    let instance = instance("Exists", Some("k-1"));
    recorded(&instance, "llm", at("2026-01-02T00:00:00Z"), PATIENT)
}

#[test]
fn an_instance_is_concerned_by_presence_stage_and_settings_of_its_own() {
    let all = &one_key()[..1];
    let plain = || resource("k-1", "ym-1");
    let before = stock(vec![plain(), resource("x", "other")]);
    let spends = Resource {
        usage: Some(Usage {
            spent_usd: Money::dollars(3),
            limit_usd: None,
            month_usd: Money::ZERO,
        }),
        ..plain()
    };
    let limited = Resource {
        settings: Some("limitUSD=5".into()),
        ..plain()
    };
    let rests = Resource {
        stage: Stage::Resting,
        ..plain()
    };
    for (what, now, concerned) in [
        ("nothing", vec![plain()], false),
        ("order", vec![resource("x", "other"), plain()], false),
        ("spending", vec![spends], false),
        ("a stranger", vec![plain(), resource("y", "z")], false),
        ("gone", vec![resource("x", "other")], true),
        ("settings", vec![limited], true),
        ("stage", vec![rests], true),
        ("a namesake", vec![plain(), resource("k-9", "ym-1")], true),
    ] {
        assert_eq!(
            !changed(Some(&before), &stock(now), all).is_empty(),
            concerned,
            "{what}"
        );
    }
    assert_eq!(changed(None, &before, all).len(), 1);
}

#[test]
fn spending_is_told_in_steps() {
    let all = &one_key()[..1];
    let spent_so = |cents, limit: Option<u64>| {
        let one = Resource {
            usage: Some(Usage {
                spent_usd: Money::cents(cents),
                limit_usd: limit.map(Money::dollars),
                month_usd: Money::ZERO,
            }),
            ..resource("k-1", "ym-1")
        };
        !spent(&stock(vec![one]), all).is_empty()
    };
    // It says 1 of 20.
    for (cents, limit, news) in [
        (100, Some(20), false),
        (0, Some(20), false),
        (199, Some(20), false),
        (200, Some(20), true),
        (100, Some(30), true),
        (100, None, true),
    ] {
        assert_eq!(spent_so(cents, limit), news, "{cents} of {limit:?}");
    }
    let untold = [Recorded {
        told: None,
        told_gone: false,
        ..all[0].clone()
    }];
    let one = Resource {
        usage: Some(Usage {
            spent_usd: Money::ZERO,
            limit_usd: None,
            month_usd: Money::ZERO,
        }),
        ..resource("k-1", "")
    };
    assert_eq!(spent(&stock(vec![one]), &untold).len(), 1);
}

#[test]
fn without_a_limit_a_tenth_more_is_news_and_a_dollar_at_least() {
    for (told, now, news) in [
        (0, 99, false),
        (0, 100, true),
        (1_000, 1_099, false),
        (1_000, 1_100, true),
        (10_000, 10_999, false),
        (10_000, 11_000, true),
        (500, 400, true),
    ] {
        let usage = |cents| Usage {
            spent_usd: Money::cents(cents),
            limit_usd: None,
            month_usd: Money::ZERO,
        };
        assert_eq!(usage(now).is_news(usage(told)), news, "{told} {now}");
    }
}
