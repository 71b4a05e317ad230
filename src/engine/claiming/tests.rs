//! What a claim says, and what of that a later look reads.

use super::*;
use serde_json::json;

fn now() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn claim() -> AgentClaim {
    serde_json::from_value(json!({
        "metadata": {"name": "c", "namespace": "n", "uid": "u", "generation": 1, "creationTimestamp": "2026-11-02T09:59:00Z"},
        "spec": {"poolRef": {"name": "p"}, "agent": {"instructions": "x"}, "bindDeadline": "5m", "expiresAfter": "1h"},
    }))
    .unwrap()
}

fn after(claim: &AgentClaim, news: &ClaimNews) -> AgentClaim {
    let status = status(claim, news, now());
    AgentClaim {
        status: Some(status),
        ..claim.clone()
    }
}

fn bound() -> AgentClaim {
    let (name, uid) = ("i".to_owned(), "iu".to_owned());
    let instance = InstanceRef { name, uid };
    after(
        &claim(),
        &ClaimNews::Bound {
            instance,
            url: None,
        },
    )
}

#[test]
fn times_count_from_creation_and_from_the_binding() {
    let bound = bound();
    let status = bound.status.clone().unwrap();
    assert_eq!(
        status.bind_by.unwrap().0.to_string(),
        "2026-11-02T10:04:00Z"
    );
    assert_eq!(
        status.expires_at.unwrap().0.to_string(),
        "2026-11-02T11:00:00Z"
    );
    assert_eq!(
        give_up_at(&bound, now()).to_string(),
        "2026-11-02T10:01:15Z"
    );
}

#[test]
fn what_ended_a_claim_is_read_again() {
    let fresh = view(&claim());
    assert!(waits(&claim()) && !fresh.over && !fresh.ready && fresh.names.is_none());
    let named = view(&bound());
    assert!(!waits(&bound()) && named.names.as_deref() == Some("iu"));
    let told = after(&bound(), &ClaimNews::Told(BTreeMap::new()));
    assert!(view(&told).ready && !is_settled(&told));
    let pending = after(&bound(), &ClaimNews::Pending(BTreeMap::new()));
    assert!(view(&pending).ready && is_pending(&pending) && !is_pending(&told));
    // Its agent was ready once: it is not replaced.
    let lost = after(&told, &ClaimNews::Lost);
    assert!(view(&lost).ready && is_settled(&lost));
    assert!(is_settled(&after(
        &bound(),
        &ClaimNews::Refused("no".into())
    )));
    let expired = after(&told, &ClaimNews::Expired);
    assert!(view(&expired).over && has_expired(&expired));
    let late = after(&claim(), &ClaimNews::TooLate);
    assert!(view(&late).over && !waits(&late));
    let rejected = after(&bound(), &ClaimNews::Rejected);
    assert!(waits(&rejected) && view(&rejected).rejected == 1);
    assert!(!waits(&after(&rejected, &ClaimNews::Failed)));
}
