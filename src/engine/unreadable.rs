//! What is said on an object that this version cannot read: that, and nothing else.
//!
//! What holds: every condition that says something else stays as it is, whatever is in it; an object that says all this
//! already is not written again.

use crate::api::Unreadable;
use crate::api::condition::{kind, reason};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The conditions that it should have. `None`: it has them.
pub fn conditions(object: &Unreadable, now: Timestamp) -> Option<Vec<Value>> {
    let old = object.conditions();
    // Of an agent that was as its spec says, that is no longer known; a kind without this condition gets none.
    let synced = old.iter().any(|one| one["type"] == kind::SYNCED);
    let said = [
        Some((kind::READY, "Unknown")),
        synced.then_some((kind::SYNCED, "Unknown")),
        Some((kind::STALLED, "True")),
    ];
    let said: Vec<(&str, &str)> = said.into_iter().flatten().collect();
    let mut new: Vec<Value> = said
        .iter()
        .map(|(kind, status)| statement(object, kind, status, old, now))
        .collect();
    // Work is not under way.
    let replaced = [kind::READY, kind::SYNCED, kind::STALLED, kind::RECONCILING];
    let others = old
        .iter()
        .filter(|one| !replaced.iter().any(|kind| one["type"] == *kind));
    new.extend(others.cloned());
    (new.len() != old.len() || new.iter().any(|one| !old.contains(one))).then_some(new)
}

fn statement(
    object: &Unreadable,
    kind: &str,
    status: &str,
    old: &[Value],
    now: Timestamp,
) -> Value {
    let before = old
        .iter()
        .find(|one| one["type"] == kind && one["status"] == status)
        .and_then(|one| one["lastTransitionTime"].as_str());
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut said = json!({
        "type": kind,
        "status": status,
        "reason": if object.has_unknown_ledger() { reason::LEDGER_UNKNOWN } else { reason::NOT_READABLE },
        "message": object.sentence(),
        "lastTransitionTime": before.map_or_else(|| now.to_string(), str::to_owned),
    });
    if let Some(generation) = object.metadata.generation {
        said["observedGeneration"] = generation.into();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AgentInstance, Seen};
    use std::sync::Arc;

    fn object(conditions: &[Value]) -> Arc<Unreadable> {
        let seen: Seen<AgentInstance> = serde_json::from_value(json!({
            "metadata": {"name": "ada", "namespace": "n", "generation": 3},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "a"}, "operatingMode": "Hibernating"},
            "status": {"conditions": conditions},
        }))
        .unwrap();
        Arc::clone(seen.unreadable().unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_says_that_it_cannot_be_read_and_keeps_what_else_is_said() {
        let theirs = json!({"type": "Dreaming", "status": "Maybe", "depth": 4});
        let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let synced = json!({"type": "Synced", "status": "True", "reason": "Ready"});
        let working = json!({"type": "Reconciling", "status": "True"});
        let old = [ready, synced, theirs.clone(), working];
        let new = conditions(&object(&old), at(60)).unwrap();
        let said: Vec<(&Value, &Value, &Value)> = new
            .iter()
            .map(|one| (&one["type"], &one["status"], &one["lastTransitionTime"]))
            .collect();
        let then = json!("1970-01-01T00:01:00Z");
        assert_eq!(said[0], (&json!("Ready"), &json!("Unknown"), &then));
        assert_eq!(said[1], (&json!("Synced"), &json!("Unknown"), &then));
        assert_eq!(said[2], (&json!("Stalled"), &json!("True"), &then));
        assert_eq!(new[3], theirs);
        assert_eq!(new.len(), 4);
        let message = new[2]["message"].as_str().unwrap();
        assert!(message.contains("spec.operatingMode"), "{message}");
        assert!(message.contains("`Running` or `Suspended`"), "{message}");
        assert!(!message.contains("Hibernating"), "{message}");
    }

    #[test]
    fn what_is_said_once_is_not_written_again() {
        let new = conditions(&object(&[]), at(60)).unwrap();
        assert_eq!(conditions(&object(&new), at(90)), None);
        let mut turned = new;
        turned.reverse();
        assert_eq!(conditions(&object(&turned), at(90)), None);
    }
}
