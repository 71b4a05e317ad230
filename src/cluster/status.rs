//! The status writer: one place, the resourceVersion that was read, and only what is different.
//!
//! What holds: a write is a JSON merge patch of what changed, so that what this version does not know stays, be it a
//! field of a newer version or a whole object that cannot be read. A patch replaces a list as a whole; the records of a
//! ledger keep what they do not know themselves (`api::ledger::Unknown`).

use super::call::{Written, call};
use crate::api::{Seen, Unreadable};
use kube::api::{Api, Patch, PatchParams};
use kube::core::Request;
use kube::core::object::HasStatus;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::fmt::Debug;

/// Writes the status of an object of any kind. `seen` is the object as it was read. The answer is the object as it now is.
pub async fn write<K>(client: &Client, seen: &K, status: &K::Status) -> Written<K>
where
    K: Resource<DynamicType = ()> + HasStatus<Status: Serialize> + DeserializeOwned,
{
    let json = |status: &K::Status| serde_json::to_value(status).unwrap_or_default();
    let old = seen.status().map_or_else(|| json!({}), json);
    let patch = json!({
        "metadata": {"resourceVersion": seen.resource_version()},
        "status": difference(&old, &json(status)),
    });
    let of_kind = Request::new(K::url_path(&(), seen.namespace().as_deref()));
    let (name, params) = (seen.name_any(), PatchParams::default());
    let request = of_kind.patch_subresource("status", &name, &params, &Patch::Merge(patch));
    let sent = async {
        client
            .request(request.map_err(kube::Error::BuildRequest)?)
            .await
    };
    call("writing the status", sent).await
}

/// Writes the conditions of an object that cannot be read, and nothing else of it.
pub async fn write_conditions<K>(
    api: &Api<Seen<K>>,
    object: &Unreadable,
    conditions: &[Value],
) -> Written<Seen<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let patch = json!({
        "metadata": {"resourceVersion": object.metadata.resource_version},
        "status": {"conditions": conditions},
    });
    let name = object.metadata.name.clone().unwrap_or_default();
    call(
        "writing the conditions of an object that cannot be read",
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)),
    )
    .await
}

/// What turns `old` into `new`, as a JSON merge patch. What neither says stays as it is.
pub(crate) fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let mut patch: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) => {
                patch.insert(key.clone(), difference(before, value));
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AgentInstanceStatus;

    #[test]
    fn a_write_says_what_changed_and_nothing_else() {
        let old = json!({"url": "a", "image": {"requested": "i", "digest": "d"}, "variables": ["A"], "timings": {}});
        let new = json!({"image": {"requested": "i", "digest": "e"}, "variables": ["A", "B"], "timings": {}, "tools": []});
        assert_eq!(
            difference(&old, &new),
            json!({"url": null, "image": {"digest": "e"}, "variables": ["A", "B"], "tools": []})
        );
        assert_eq!(difference(&new, &new), json!({}));
    }

    #[test]
    fn a_record_keeps_what_a_newer_version_says_of_it() {
        let entry = json!({"origin": "Made", "slot": "project", "provider": "railway", "state": "Creating", "attempt": 1,
            "startedAt": "2026-01-01T00:00:00.000000Z", "price": {"usd": 5}});
        let tool = json!({"name": "llm", "type": "openrouter", "ready": true, "reason": "Ready", "mood": "good"});
        let before = json!({"external": [entry], "tools": [tool]});
        let mut status: AgentInstanceStatus = serde_json::from_value(before).unwrap();
        status.external[0].state = crate::api::SlotState::Exists;
        let after = serde_json::to_value(&status).unwrap();
        assert_eq!(after["external"][0]["price"], json!({"usd": 5}));
        assert_eq!(after["external"][0]["state"], "Exists");
        assert_eq!(after["tools"][0]["mood"], "good");
    }
}
