//! Who is offered what, and who is woken.

use super::*;
use serde_json::{Value, json};

fn instance(name: &str, second: u32, claim: Value) -> Seen<AgentInstance> {
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "a"}, "poolRef": {"name": "p"}, "claimRef": claim},
        "status": {"conditions": [ready]},
    }))
    .unwrap()
}

fn claim(name: &str, second: u32) -> Seen<AgentClaim> {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")},
        "spec": {"poolRef": {"name": "p"}, "agent": {"instructions": "x"}},
    }))
    .unwrap()
}

fn comes<K>(after: Seen<K>) -> Turned<K> {
    Turned {
        before: None,
        after: Some(after),
        live: true,
    }
}

fn names(woken: &[Ref<AgentClaim>]) -> Vec<&str> {
    woken.iter().map(|one| one.name.as_str()).collect()
}

fn read(claim: &Seen<AgentClaim>) -> &AgentClaim {
    claim.read().unwrap()
}

#[test]
fn a_free_agent_wakes_whom_it_can_serve_and_is_offered_to_nobody_else() {
    let lines = Lines::default();
    let claims = [claim("c1", 1), claim("c2", 2), claim("c3", 3)];
    for one in claims.iter().rev() {
        assert!(lines.note(&Change::Claim(comes(one.clone()))).is_empty());
    }
    let woken = lines.note(&Change::Instance(comes(instance("i1", 1, Value::Null))));
    assert_eq!(names(&woken), ["c1"]);
    let woken = lines.note(&Change::Instance(comes(instance("i2", 2, Value::Null))));
    assert_eq!(names(&woken), ["c1", "c2"]);
    assert!(lines.offer(read(&claims[2]), |_| true).is_none());
    // The newest first.
    assert_eq!(lines.offer(read(&claims[1]), |_| true).unwrap().uid, "i2");
    assert!(
        lines.offer(read(&claims[1]), |_| true).is_none(),
        "it has its own"
    );
    assert!(
        lines
            .offer(read(&claims[0]), |agent| agent.account != "a")
            .is_none(),
        "not in that account"
    );
    let agent = lines.offer(read(&claims[0]), |_| true).unwrap();
    assert_eq!(agent.uid, "i1");
    lines.join(read(&claims[0]), &named(&claims[0]));
    lines.put_back(read(&claims[0]), agent);
    assert_eq!(lines.offer(read(&claims[0]), |_| true).unwrap().uid, "i1");
}

#[test]
fn one_that_is_taken_or_goes_is_free_no_longer() {
    let lines = Lines::default();
    let waits = claim("c", 1);
    lines.note(&Change::Claim(comes(waits.clone())));
    let free = instance("i", 1, Value::Null);
    lines.note(&Change::Instance(comes(free.clone())));
    let taken = instance("i", 1, json!({"name": "other", "uid": "other"}));
    let turned = |before, after| Turned {
        before,
        after,
        live: true,
    };
    let woken = lines.note(&Change::Instance(turned(
        Some(free.clone()),
        Some(taken.clone()),
    )));
    assert!(woken.is_empty() && lines.offer(read(&waits), |_| true).is_none());
    let back = lines.note(&Change::Instance(turned(Some(taken), Some(free.clone()))));
    assert_eq!(names(&back), ["c"]);
    lines.note(&Change::Instance(turned(Some(free), None)));
    assert!(lines.offer(read(&waits), |_| true).is_none());
}

#[test]
fn who_goes_unserved_lets_the_next_one_pass_and_who_was_served_wakes_nobody() {
    let lines = Lines::default();
    let claims = ["c1", "c2", "c3"].map(|name| claim(name, 1));
    for one in &claims {
        lines.note(&Change::Claim(comes(one.clone())));
    }
    lines.note(&Change::Instance(comes(instance("i", 1, Value::Null))));
    let goes = |one: &Seen<AgentClaim>| {
        Change::Claim(Turned {
            before: Some(one.clone()),
            after: None,
            live: true,
        })
    };
    assert_eq!(names(&lines.note(&goes(&claims[0]))), ["c2"]);
    assert!(lines.offer(read(&claims[1]), |_| true).is_some());
    assert!(lines.note(&goes(&claims[1])).is_empty());
}

#[test]
fn who_cannot_be_served_lets_the_next_one_pass() {
    let lines = Lines::default();
    let claims = [claim("c1", 1), claim("c2", 2)];
    for one in &claims {
        lines.note(&Change::Claim(comes(one.clone())));
    }
    lines.note(&Change::Instance(comes(instance("i", 1, Value::Null))));
    assert_eq!(names(&lines.stand_aside(read(&claims[0]))), ["c2"]);
    assert!(lines.offer(read(&claims[1]), |_| true).is_some());
}

#[test]
fn who_has_its_own_leaves_what_is_left_to_the_next() {
    let lines = Lines::default();
    let claims = [claim("c1", 1), claim("c2", 2)];
    for one in &claims {
        lines.note(&Change::Claim(comes(one.clone())));
    }
    for name in ["i1", "i2"] {
        lines.note(&Change::Instance(comes(instance(name, 1, Value::Null))));
    }
    assert!(lines.offer(read(&claims[0]), |_| true).is_some());
    assert_eq!(lines.next(read(&claims[0])).unwrap().name, "c2");
    assert!(lines.offer(read(&claims[1]), |_| true).is_some());
    assert!(lines.next(read(&claims[1])).is_none());
}

#[test]
fn a_claim_is_fresh_at_the_version_at_which_it_was_seen_being_made() {
    let lines = Lines::default();
    let made = claim("c", 1);
    let listed = Turned {
        live: false,
        ..comes(made.clone())
    };
    lines.note(&Change::Claim(listed));
    assert!(!lines.is_fresh(read(&made)), "found in a list");
    let other = claim("d", 1);
    lines.note(&Change::Claim(comes(other.clone())));
    assert!(lines.is_fresh(read(&other)));
    lines.doubt(read(&other));
    assert!(!lines.is_fresh(read(&other)));
    lines.note(&Change::Claim(comes(other.clone())));
    let mut changed = read(&other).clone();
    changed.metadata.resource_version = Some("2".into());
    assert!(!lines.is_fresh(&changed), "another version");
    let turned = Turned {
        before: Some(other.clone()),
        after: Some(Seen::Read(std::sync::Arc::new(changed))),
        live: true,
    };
    lines.note(&Change::Claim(turned));
    assert!(!lines.is_fresh(read(&other)));
}
