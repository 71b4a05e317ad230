//! What holds of the whole schema: every part bounded and described, the conventions of Kubernetes, and objects of
//! former days that still decode. Whether the API server agrees is proved by `tests/whole/manifests.rs`.

use super::admissible::Admissible;
use super::instance::{MOST_SLOTS, MOST_VARIABLES};
use super::tool::GIVEN;
use super::{AgentClaim, AgentInstance, AgentPool, AgentTemplate, ProviderAccount, Seen, crds};
use kube::ResourceExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;

const CORPUS: &str = include_str!("corpus/v1alpha1.yaml");

/// A part of a schema, and where it stands: `AgentTemplate.spec.env[].name`.
struct Part {
    path: String,
    schema: Value,
}

impl Part {
    fn has(&self, keyword: &str) -> bool {
        !self.schema[keyword].is_null()
    }
    fn is(&self, kind: &str) -> bool {
        self.schema["type"] == kind
    }
    fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
    fn of_spec(&self) -> bool {
        self.path.contains(".spec")
    }
    fn is_item(&self) -> bool {
        self.path.ends_with(']') || self.path.ends_with('}')
    }
}

fn walk(path: &str, schema: &Value, into: &mut Vec<Part>) {
    into.push(Part {
        path: path.to_owned(),
        schema: schema.clone(),
    });
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), inner, into);
    }
    for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let inner @ Value::Object(_) = &schema[keyword] {
            walk(&format!("{path}{mark}"), inner, into);
        }
    }
}

/// Every part of every kind.
fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    for crd in crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for half in ["spec", "status"] {
            let inner = &schema["properties"][half];
            walk(&format!("{kind}.{half}"), inner, &mut parts);
        }
    }
    assert!(parts.len() > 100, "the walker sees only {}", parts.len());
    parts
}

/// A rule, the parts that it speaks of, and what must hold of them.
type Rule = (&'static str, fn(&Part) -> bool, fn(&Part) -> bool);

const RULES: &[Rule] = &[
    (
        "a string has a longest length, or values, or a format",
        |part| part.is("string"),
        |part| part.has("maxLength") || part.has("enum") || part.schema["format"] == "date-time",
    ),
    (
        "an amount has a longest length",
        |part| part.has("x-kubernetes-int-or-string"),
        |part| part.has("maxLength"),
    ),
    (
        "an integer in a spec has bounds",
        |part| part.is("integer") && part.of_spec(),
        |part| part.has("minimum") && part.has("maximum"),
    ),
    (
        "money is a whole number or a text: no number has a fraction",
        |_| true,
        |part| !part.is("number"),
    ),
    (
        "money has a form, and no rule looks at it itself: one that was stored as a fraction would fail it for ever",
        |part| part.has("x-kubernetes-int-or-string") && part.name().ends_with("USD"),
        |part| part.has("pattern") && part.has("minimum") && !part.has("x-kubernetes-validations"),
    ),
    (
        "money in a spec has a most",
        |part| part.of_spec() && part.name().ends_with("USD"),
        |part| part.has("maximum"),
    ),
    (
        "an integer in a status is not negative",
        |part| part.is("integer") && !part.of_spec(),
        |part| part.has("minimum"),
    ),
    (
        "a list has a most and a type",
        |part| part.is("array"),
        |part| part.has("maxItems") && part.has("x-kubernetes-list-type"),
    ),
    (
        "a list that is a map has keys, and these are required",
        |part| part.schema["x-kubernetes-list-type"] == "map",
        |part| {
            let keys = part.schema["x-kubernetes-list-map-keys"].as_array();
            let required = part.schema["items"]["required"].as_array();
            keys.zip(required)
                .is_some_and(|(keys, required)| keys.iter().all(|key| required.contains(key)))
        },
    ),
    (
        "a map has a most",
        |part| part.has("additionalProperties"),
        |part| part.has("maxProperties"),
    ),
    (
        "everything has a type",
        |_| true,
        |part| {
            part.has("type")
                || part.has("x-kubernetes-int-or-string")
                // A text or an object.
                || part.path == "AgentTemplate.spec.runtime.contract.health"
        },
    ),
    (
        "nothing is kept unread",
        |_| true,
        // Of an object that may also be a text exactly the required fields are admitted.
        |part| {
            let required = part.schema["required"].as_array().map(Vec::len);
            !part.has("x-kubernetes-preserve-unknown-fields")
                || required.is_some_and(|count| part.schema["maxProperties"] == count)
        },
    ),
    (
        "a field is described",
        |part| !part.is_item(),
        |part| part.has("description"),
    ),
    (
        "a rule says what to write",
        |part| part.has("x-kubernetes-validations"),
        |part| {
            let rules = part.schema["x-kubernetes-validations"].as_array();
            rules
                .into_iter()
                .flatten()
                .all(|rule| rule["message"].as_str().is_some_and(|said| said.len() > 30))
        },
    ),
    (
        "nothing names a namespace or an address to call",
        |part| part.of_spec(),
        |part| {
            // It is the agent that is told where to join; nobody here calls it.
            if part.path == "AgentClaim.spec.agent.joinUrl" {
                return true;
            }
            let name = part.name().to_lowercase();
            name != "namespace" && !name.contains("url") && !name.contains("endpoint")
        },
    ),
    (
        // Only the controller writes it. Who owns which of its fields would be half of what the API server stores and
        // reads at each write.
        "a status has one owner as a whole",
        |part| part.path.ends_with(".status") && part.path.matches('.').count() == 1,
        |part| part.schema["x-kubernetes-map-type"] == "atomic",
    ),
    (
        "conditions are a map by type",
        |part| part.name() == "conditions",
        |part| part.schema["x-kubernetes-list-map-keys"] == serde_json::json!(["type"]),
    ),
];

#[test]
fn every_part_of_the_schema_keeps_the_rules() {
    let parts = parts();
    let mut wrong = Vec::new();
    for (rule, speaks_of, holds) in RULES {
        let mut subjects = 0;
        for part in parts.iter().filter(|part| speaks_of(part)) {
            subjects += 1;
            if !holds(part) {
                wrong.push(format!("{}: {rule}", part.path));
            }
        }
        assert!(subjects > 0, "\"{rule}\" speaks of nothing");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_keeps_the_conventions() {
    for crd in crds() {
        let name = crd.name_any();
        let crd = serde_json::to_value(crd).unwrap();
        let (names, version) = (&crd["spec"]["names"], &crd["spec"]["versions"][0]);
        assert_eq!(names["categories"], serde_json::json!(["yard"]), "{name}");
        assert!(names["shortNames"][0].is_string(), "{name}");
        assert!(version["subresources"]["status"].is_object(), "{name}");
        let columns: Vec<&str> = version["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|column| column["priority"].is_null())
            .filter_map(|column| column["name"].as_str())
            .collect();
        for column in ["Ready", "Reason", "Age"] {
            assert!(columns.contains(&column), "{name} shows {columns:?}");
        }
        // A narrow terminal shows what `kubectl get yard -A` puts before these.
        assert!(columns.len() <= 7, "{name} shows {columns:?}");
        let required = &version["schema"]["openAPIV3Schema"]["required"];
        assert_eq!(*required, serde_json::json!(["spec"]), "{name}");
    }
}

fn corpus() -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(CORPUS)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

fn read_and_written<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let read: K = serde_json::from_value(object.clone()).unwrap();
    serde_json::to_value(read).unwrap()
}

#[test]
fn objects_of_former_days_are_read_without_loss() {
    for object in corpus() {
        let kind = object["kind"].as_str().unwrap();
        let again = match kind {
            "ProviderAccount" => read_and_written::<ProviderAccount>(&object),
            "AgentTemplate" => read_and_written::<AgentTemplate>(&object),
            "AgentInstance" => read_and_written::<AgentInstance>(&object),
            "AgentPool" => read_and_written::<AgentPool>(&object),
            "AgentClaim" => read_and_written::<AgentClaim>(&object),
            other => panic!("there is no kind {other}"),
        };
        assert_eq!(again, object, "{kind}");
    }
}

/// The paths at which a value says something.
fn said(path: &str, value: &Value, into: &mut BTreeSet<String>) {
    into.insert(path.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                said(&format!("{path}.{name}"), inner, into);
            }
        }
        Value::Array(items) => {
            for item in items {
                said(&format!("{path}[]"), item, into);
            }
        }
        _ => {}
    }
}

#[test]
fn the_corpus_says_every_field() {
    let mut has = BTreeSet::new();
    for object in corpus() {
        said(object["kind"].as_str().unwrap(), &object, &mut has);
    }
    let missing: Vec<String> = parts()
        .into_iter()
        .map(|part| part.path)
        .filter(|path| !path.ends_with("{}") && !has.contains(path))
        .collect();
    assert!(missing.is_empty(), "add to the corpus: {missing:?}");
}

/// Objects of each kind that are decoded.
const OBJECTS: usize = 3_400;

fn read<K: kube::Resource + DeserializeOwned>(object: &Value) -> Result<(), String> {
    let seen: Seen<K> = Seen::deserialize(object).unwrap();
    match seen.unreadable() {
        None => Ok(()),
        Some(unread) => Err(format!("{unread:?}: {object}")),
    }
}

#[test]
fn what_the_schema_admits_can_be_read() {
    let (mut random, mut has, mut tried) = (Admissible::new(8), BTreeSet::new(), 0);
    for crd in crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        for number in 0..OBJECTS {
            let object = random.object(&crd, "random", true);
            let read = match kind {
                "ProviderAccount" => read::<ProviderAccount>(&object),
                "AgentTemplate" => read::<AgentTemplate>(&object),
                "AgentInstance" => read::<AgentInstance>(&object),
                "AgentPool" => read::<AgentPool>(&object),
                "AgentClaim" => read::<AgentClaim>(&object),
                other => panic!("there is no kind {other}"),
            };
            assert_eq!(read, Ok(()), "{kind} {number}");
            if number < 500 {
                said(kind, &object, &mut has);
            }
            tried += 1;
        }
    }
    assert!(tried >= 10_000);
    // Nothing is left out of what was tried.
    let missing: Vec<String> = parts()
        .into_iter()
        .map(|part| part.path)
        .filter(|path| !path.ends_with("{}") && !has.contains(path))
        .collect();
    assert!(missing.is_empty(), "never tried: {missing:?}");
}

#[test]
fn the_record_of_variables_holds_the_old_names_and_the_new_ones() {
    let most = |path: &str| {
        let part = parts().into_iter().find(|part| part.path == path).unwrap();
        usize::try_from(part.schema["maxItems"].as_u64().unwrap()).unwrap()
    };
    let (template, own) = (
        most("AgentTemplate.spec.env"),
        most("AgentInstance.spec.env") + most("AgentInstance.spec.fromClaim.env"),
    );
    // Of files the script, and 32 KiB of a file in base64 each: 11 for as much as they may have, and one for each that is not whole.
    let files = 1 + 11 + most("AgentTemplate.spec.files");
    // Behind the runner there are fewer: 256 KiB of files are five variables there.
    // Token, port, YARDMASTER_CONFIGURATION; RAILWAY_RUN_UID, the directory of state, and of configuration, what a row switches on, and lays.
    let names = template + own + GIVEN.len() + 3 + 3 + 4 + files + 2;
    assert_eq!(names, 450);
    assert!(2 * names <= MOST_VARIABLES);
    assert_eq!(most("AgentInstance.status.variables"), MOST_VARIABLES);
    assert_eq!(most("AgentInstance.status.external"), MOST_SLOTS);
}
