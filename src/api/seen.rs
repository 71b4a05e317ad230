//! An object as the API server has it: read, or what is known of one that this version cannot read.
//!
//! What holds: decoding a [`Seen`] fails for no object that has metadata, so that one object never takes a list or a
//! watch of all with it; nothing that is told of an unreadable object quotes a value of it. Such an object still counts:
//! what it mentions anywhere is taken for its own ([`Unreadable::mentions`]). Deliberately absent: a guess at what it
//! could mean; it is left alone until a version that knows it, or its author, changes that.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Longest text of an unreadable object that can be a name or an id of something.
const WORD: usize = 512;

/// Longest path and expectation that are told.
const TOLD: usize = 400;

/// An object, read or not.
#[derive(Clone, Debug)]
pub enum Seen<K> {
    /// It was read.
    Read(Arc<K>),
    /// It is there, and this version cannot read it.
    Unreadable(Arc<Unreadable>),
}

impl<K> Seen<K> {
    /// The object, where it was read.
    pub fn read(&self) -> Option<&Arc<K>> {
        match self {
            Seen::Read(object) => Some(object),
            Seen::Unreadable(_) => None,
        }
    }

    /// Namespace and name, as people write them.
    pub fn title(&self) -> String
    where
        K: Resource + Clone,
    {
        titled(self.meta())
    }

    /// What is known of it, where it was not.
    pub fn unreadable(&self) -> Option<&Arc<Unreadable>> {
        match self {
            Seen::Read(_) => None,
            Seen::Unreadable(object) => Some(object),
        }
    }
}

/// What is known of an object that cannot be read.
#[derive(Clone)]
pub struct Unreadable {
    /// Its metadata, which every version reads.
    pub metadata: ObjectMeta,
    /// The first field that cannot be read: `spec.runtime.resources.memory`.
    pub field: String,
    /// What this version expects there. Never what is there, which may be a secret.
    pub expected: String,
    whole: Value,
}

/// Without the values.
impl fmt::Debug for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unreadable")
            .field("name", &self.metadata.name)
            .field("field", &self.field)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl Unreadable {
    /// Namespace and name, as people write them.
    pub fn title(&self) -> String {
        titled(&self.metadata)
    }

    /// Whether its ledger is of version 0.1.0, whose records do not say how a resource came to be the instance's.
    pub fn has_unknown_ledger(&self) -> bool {
        let ledger = self.whole["status"]["external"].as_array();
        ledger.is_some_and(|ledger| ledger.iter().any(|entry| entry["origin"].is_null()))
    }

    /// Why it is left alone, and what mends it.
    pub fn sentence(&self) -> String {
        if self.has_unknown_ledger() {
            let name = self.metadata.name.as_deref().unwrap_or_default();
            let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
            return format!(
                "status.external does not say how each resource came to be the instance's (origin), as that of version 0.1.0 does not. Nothing is made, changed or deleted for this object until it is emptied: kubectl patch agi {name} -n {namespace} --subresource=status --type=merge -p '{{\"status\":{{\"external\":null}}}}'. What bears the instance's name and marker, or is named by spec.adopt, is then on record again"
            );
        }
        format!(
            "{} cannot be read: this version of Yardmaster expects {}; correct the field, or install the version that wrote it. Until then nothing is made, changed or deleted for this object",
            self.field, self.expected
        )
    }

    /// Takes out the values of variables, and the manifest that was applied last: whoever only keeps the object needs neither.
    pub fn strip(&mut self) {
        for variables in ["/spec/env", "/spec/fromClaim/env"] {
            let variables = self.whole.pointer_mut(variables);
            let variables = variables.and_then(Value::as_array_mut);
            for variable in variables.into_iter().flatten() {
                if let Some(variable) = variable.as_object_mut() {
                    variable.remove("value");
                }
            }
        }
        for persona in ["/spec/persona", "/spec/agent"] {
            let persona = self.whole.pointer_mut(persona);
            if let Some(persona) = persona.and_then(Value::as_object_mut) {
                persona.remove("instructions");
            }
        }
        // What is in it is read as `metadata` already.
        if let Some(whole) = self.whole.as_object_mut() {
            whole.remove("metadata");
        }
    }

    /// A part of it, where that part can be read by itself: `/spec/allowedNamespaces`.
    pub fn part<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        T::deserialize(self.whole.pointer(pointer)?).ok()
    }

    /// Every text in its spec and status that can be the name or the id of something.
    pub fn words(&self) -> Vec<&str> {
        let mut words = Vec::new();
        for half in ["spec", "status"] {
            collect(&self.whole[half], &mut words);
        }
        words
    }

    /// Whether its spec or status says this word anywhere: then it counts as the object's own.
    pub fn mentions(&self, word: &str) -> bool {
        self.words().contains(&word)
    }

    /// Its conditions as they stand, whatever is in them.
    pub fn conditions(&self) -> &[Value] {
        let conditions = self.whole["status"]["conditions"].as_array();
        conditions.map_or(&[], Vec::as_slice)
    }
}

fn titled(metadata: &ObjectMeta) -> String {
    let name = metadata.name.clone().unwrap_or_default();
    match &metadata.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}

fn collect<'a>(value: &'a Value, words: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.len() <= WORD => words.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, words)),
        _ => {}
    }
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Seen<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(deserializer)?;
        if let Ok(object) = K::deserialize(&whole) {
            return Ok(Seen::Read(Arc::new(object)));
        }
        let metadata = ObjectMeta::deserialize(&whole["metadata"]).map_err(D::Error::custom)?;
        // Once more, to learn where.
        let (field, expected) = match serde_path_to_error::deserialize::<_, K>(&whole) {
            Ok(object) => return Ok(Seen::Read(Arc::new(object))),
            Err(error) => (
                error.path().to_string(),
                expected(&error.inner().to_string()),
            ),
        };
        Ok(Seen::Unreadable(Arc::new(Unreadable {
            metadata,
            field: cut(&field),
            expected: cut(&expected),
            whole,
        })))
    }
}

/// What a decoder's sentence says was expected. Its other half quotes what was found, and a sentence of another form may
/// quote it anywhere.
fn expected(sentence: &str) -> String {
    let quotes_first = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant `",
    ];
    if quotes_first.iter().any(|begin| sentence.starts_with(begin))
        && let Some((_, expected)) = sentence.rsplit_once(", expected ")
    {
        return expected.to_owned();
    }
    match sentence.strip_prefix("missing field ") {
        Some(field) => format!("the field {field}"),
        None => "another form of value".to_owned(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TOLD).collect()
}

impl<K: Resource + Clone> Resource for Seen<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Seen::Read(object) => object.meta(),
            Seen::Unreadable(object) => &object.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Seen::Read(object) => Arc::make_mut(object).meta_mut(),
            Seen::Unreadable(object) => &mut Arc::make_mut(object).metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AgentInstance, AgentTemplate};
    use kube::ResourceExt;
    use serde_json::json;

    fn unreadable<K: Resource + DeserializeOwned>(object: Value) -> Arc<Unreadable> {
        let seen: Seen<K> = serde_json::from_value(object).unwrap();
        Arc::clone(seen.unreadable().expect("it was read"))
    }

    fn instance(spec: Value, status: Value) -> Value {
        let mut whole = json!({"templateRef": {"name": "t"}, "accountRef": {"name": "a"}});
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        json!({"metadata": {"name": "ada", "namespace": "n", "uid": "u"}, "spec": whole, "status": status})
    }

    #[test]
    fn one_object_that_cannot_be_read_leaves_the_others_readable() {
        let good = instance(json!({}), json!({}));
        let bad = instance(json!({"operatingMode": "Hibernating"}), json!({}));
        let list: Vec<Seen<AgentInstance>> =
            serde_json::from_value(json!([good, bad, good])).unwrap();
        let read = list.iter().filter(|one| one.read().is_some()).count();
        assert_eq!((list.len(), read), (3, 2));
        assert_eq!(list[1].name_any(), "ada");
    }

    #[test]
    fn it_says_where_and_what_was_expected_and_quotes_nothing() {
        let entry = |state: &str, slot: &str| {
            json!({"external": [{"slot": slot, "provider": "railway", "state": state,
                "origin": "Made", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"}]})
        };
        for (object, field, expected) in [
            (
                instance(json!({"operatingMode": "hunter2, expected x"}), json!({})),
                "spec.operatingMode",
                "`Running` or `Suspended`",
            ),
            (
                instance(json!({}), entry("hunter2", "project")),
                "status.external[0].state",
                "one of `Planned`, `Creating`, `Exists`, `Deleting`",
            ),
            (
                instance(json!({}), entry("Exists", "hunter2")),
                "status.external[0].slot",
                "another form of value",
            ),
            (
                instance(json!({"deletionProtection": "hunter2"}), json!({})),
                "spec.deletionProtection",
                "a boolean",
            ),
            (
                instance(json!({"adopt": {"projectId": "hunter2"}}), json!({})),
                "spec.adopt",
                "the field `serviceId`",
            ),
        ] {
            let found = unreadable::<AgentInstance>(object);
            assert_eq!(
                (found.field.as_str(), found.expected.as_str()),
                (field, expected)
            );
            let told = format!("{found:?} {}", found.sentence());
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_ledger_of_the_first_version_is_told_with_what_mends_it() {
        let entry = json!({"slot": "project", "provider": "railway", "state": "Exists",
            "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"});
        let status = |entry| json!({"external": [entry]});
        let found = unreadable::<AgentInstance>(instance(json!({}), status(entry.clone())));
        assert!(found.has_unknown_ledger());
        let told = found.sentence();
        assert!(told.contains("kubectl patch agi ada -n n"), "{told}");
        let mut known = entry;
        known["origin"] = json!("Made");
        let read: Seen<AgentInstance> =
            serde_json::from_value(instance(json!({}), status(known))).unwrap();
        assert!(read.read().is_some());
    }

    #[test]
    fn it_still_counts_by_what_it_mentions() {
        let entry = json!({"slot": "moon", "provider": "lunar", "account": "rockets", "state": "Exists",
            "id": "p-1", "key": "ym-1", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"});
        let found = unreadable::<AgentInstance>(instance(json!({}), json!({"external": [entry]})));
        for word in ["rockets", "p-1", "ym-1", "a", "t"] {
            assert!(found.mentions(word), "{word}");
        }
        assert!(!found.mentions("ada"), "its own name is no mention");
        assert_eq!(found.title(), "n/ada");
    }

    #[test]
    fn a_part_can_be_read_by_itself() {
        let found = unreadable::<AgentTemplate>(json!({
            "metadata": {"name": "t"},
            "spec": {"runtime": {"image": "i", "port": "many"}, "rollout": {"maxUnavailable": 7}},
        }));
        let rollout: Option<crate::api::template::Rollout> = found.part("/spec/rollout");
        assert_eq!(rollout.map(|rollout| rollout.max_unavailable), Some(7));
        assert!(
            found
                .part::<crate::api::template::Runtime>("/spec/runtime")
                .is_none()
        );
    }
}
