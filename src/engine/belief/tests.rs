//! What a listing of an account of tools is worth.

use super::*;

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
        monthly_usd: 0.0,
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
            spent_usd: 3.0,
            limit_usd: None,
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
fn spending_is_told_every_few_minutes_and_only_where_it_differs() {
    let all = &one_key()[..1];
    let spent_so = |spent_usd, limit_usd, now: &str| {
        let one = Resource {
            usage: Some(Usage {
                spent_usd,
                limit_usd,
            }),
            ..resource("k-1", "ym-1")
        };
        !spent(&stock(vec![one]), all, at(now)).is_empty()
    };
    let limit = Some(20.0);
    assert!(spent_so(1.5, limit, "2026-01-01T00:05:00Z"));
    assert!(!spent_so(1.5, limit, "2026-01-01T00:04:59Z"));
    assert!(!spent_so(1.004, limit, "2026-01-01T01:00:00Z"));
    assert!(spent_so(1.0, Some(30.0), "2026-01-01T01:00:00Z"));
    assert!(spent_so(1.0, None, "2026-01-01T01:00:00Z"));
    let untold = [Recorded {
        told: None,
        told_gone: false,
        ..all[0].clone()
    }];
    let one = Resource {
        usage: Some(Usage {
            spent_usd: 0.0,
            limit_usd: None,
        }),
        ..resource("k-1", "")
    };
    assert_eq!(
        spent(&stock(vec![one]), &untold, Timestamp::UNIX_EPOCH).len(),
        1
    );
}
