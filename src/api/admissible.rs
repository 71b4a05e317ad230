//! Objects that a schema admits, at random: types, bounds, enumerations, lengths, patterns, keys of lists, and of the rules
//! those that are simple. Read by the tests of this crate and by `tests/whole`, so it uses nothing of either.
//!
//! What holds: the same seed gives the same objects. Deliberately absent: rules over several fields that are not of one of
//! the few forms below, and rules about changes; what breaks one of those, the API server refuses.

use proptest::strategy::{Strategy, ValueTree};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// Texts drawn once for each pattern.
const POOL: usize = 48;

/// Letters of a text without a pattern.
const LETTERS: [&str; 12] = [
    "a", "Z", "0", "-", "_", ".", " ", "\n", "\"", "ä", "漢", "🙂",
];

/// Times as RFC 3339 has them.
const TIMES: [&str; 6] = [
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.123456Z",
    "2026-12-31T23:59:59+02:00",
    "2026-01-02T03:04:05.000000001-11:30",
    "1970-01-01T00:00:00Z",
    "9998-12-31T23:59:59Z",
];

/// Numbers at which something ends.
const EDGES: [i64; 8] = [
    1,
    1_000,
    2_147_483_647,
    2_147_483_648,
    4_294_967_296,
    5_368_709_120,
    17_592_186_044_416,
    999_999_999_999_999,
];

/// A source of objects.
pub struct Admissible {
    state: u64,
    texts: TestRunner,
    pools: HashMap<String, Rc<[String]>>,
}

impl Admissible {
    /// A source; `seed` is not zero.
    pub fn new(seed: u64) -> Admissible {
        Admissible {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            texts: TestRunner::deterministic(),
            pools: HashMap::new(),
        }
    }

    /// An object of a CRD (as JSON), with a status or without.
    pub fn object(&mut self, crd: &Value, name: &str, with_status: bool) -> Value {
        let version = &crd["spec"]["versions"][0];
        let halves = &version["schema"]["openAPIV3Schema"]["properties"];
        let group = crd["spec"]["group"].as_str().unwrap();
        let mut object = json!({
            "apiVersion": format!("{group}/{}", version["name"].as_str().unwrap()),
            "kind": crd["spec"]["names"]["kind"],
            "metadata": {"name": name},
            "spec": self.value(&halves["spec"]),
        });
        if crd["spec"]["scope"] == "Namespaced" {
            object["metadata"]["namespace"] = json!("default");
        }
        if with_status {
            object["status"] = self.value(&halves["status"]);
        }
        object
    }

    fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A value that a schema admits.
    fn value(&mut self, schema: &Value) -> Value {
        if schema["nullable"] == true && self.once_in(12) {
            return Value::Null;
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return match self.once_in(2) {
                true if schema["minimum"].is_null() => json!(EDGES[self.below(EDGES.len())]),
                true => self.integer(schema),
                false => json!(self.text(schema)),
            };
        }
        if let Some(words) = schema["enum"].as_array() {
            return words[self.below(words.len())].clone();
        }
        for choice in ["anyOf", "oneOf"] {
            if let (Some(choices), true) = (schema[choice].as_array(), schema["type"].is_null()) {
                let one = choices[self.below(choices.len())].clone();
                return self.value(&one);
            }
        }
        match schema["type"].as_str() {
            Some("boolean") => json!(self.once_in(2)),
            Some("integer") => self.integer(schema),
            Some("number") => self.real(schema),
            Some("string") => json!(self.text(schema)),
            Some("array") => self.list(schema),
            Some("object") => self.fields(schema),
            // Text or an object: what says that an agent can work.
            None if schema["properties"]["ready"].is_object() => match self.below(3) {
                0 => json!("/health"),
                1 => json!({"path": "/health", "ready": {"status": 200}}),
                _ => json!({"path": "/", "ready": {"pointer": "/state", "equals": "ok"}}),
            },
            _ => panic!("nobody knows what this admits: {schema}"),
        }
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let (least, most) = match schema["format"].as_str() {
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let bound = |name: &str, or: i64| {
            let bound = schema[name].as_f64();
            #[allow(clippy::cast_possible_truncation)]
            bound.map_or(or, |bound| bound as i64)
        };
        let (least, most) = (bound("minimum", least), bound("maximum", most));
        let edge = EDGES[self.below(EDGES.len())];
        match self.below(4) {
            0 => json!(least),
            1 => json!(most),
            2 => json!(edge.clamp(least, most)),
            _ => json!(
                least
                    .saturating_add(i64::try_from(self.below(100)).unwrap())
                    .min(most)
            ),
        }
    }

    fn real(&mut self, schema: &Value) -> Value {
        let least = schema["minimum"].as_f64().unwrap_or(-1e15);
        let most = schema["maximum"].as_f64().unwrap_or(1e15);
        match self.below(4) {
            0 => json!(least),
            1 => json!(most),
            // Money is written without cents as a rule.
            2 => self.integer(schema),
            _ => json!((least + 12.345).min(most)),
        }
    }

    fn text(&mut self, schema: &Value) -> String {
        if schema["format"] == "date-time" {
            return TIMES[self.below(TIMES.len())].to_owned();
        }
        let most = schema["maxLength"]
            .as_u64()
            .map_or(64, |most| usize::try_from(most).unwrap());
        let least = schema["minLength"]
            .as_u64()
            .map_or(0, |least| usize::try_from(least).unwrap());
        if let Some(pattern) = pattern(schema) {
            let pool = self.pool(&pattern);
            // From a place at random on, the first that fits.
            let from = self.below(pool.len());
            let mut turned = pool.iter().cycle().skip(from).take(pool.len());
            let fits = |text: &&String| (least..=most).contains(&text.chars().count());
            let text = turned.find(fits);
            return text
                .unwrap_or_else(|| panic!("no text of {pattern} fits {schema}"))
                .clone();
        }
        let length = match self.once_in(200) {
            true => most,
            false => least + self.below(most.min(least + 24) - least + 1),
        };
        (0..length)
            .map(|_| LETTERS[self.below(LETTERS.len())])
            .collect()
    }

    fn pool(&mut self, pattern: &str) -> Rc<[String]> {
        if let Some(pool) = self.pools.get(pattern) {
            return Rc::clone(pool);
        }
        // The generator knows no anchors, and repeats without an end too long.
        let bare = pattern.trim_start_matches('^').trim_end_matches('$');
        let short = bare
            .replace(")*", "){0,2}")
            .replace("]*", "]{0,6}")
            .replace("]+", "]{1,8}");
        let strategy = string_regex(&short).unwrap();
        let pool: Rc<[String]> = (0..POOL)
            .map(|_| strategy.new_tree(&mut self.texts).unwrap().current())
            .collect();
        self.pools.insert(pattern.to_owned(), Rc::clone(&pool));
        pool
    }

    fn list(&mut self, schema: &Value) -> Value {
        let bound = |name: &str| schema[name].as_u64().map(|n| usize::try_from(n).unwrap());
        let (least, most) = (
            bound("minItems").unwrap_or(0),
            bound("maxItems").unwrap_or(8),
        );
        let wanted = match self.once_in(25) {
            true => most.min(40),
            false => least + self.below(most.min(least + 3) - least + 1),
        };
        let keys: Vec<String> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .map(|keys| {
                keys.iter()
                    .map(|key| key.as_str().unwrap().to_owned())
                    .collect()
            })
            .unwrap_or_default();
        let set = schema["x-kubernetes-list-type"] == "set";
        let once_each_type = rules(schema).any(|rule| rule.contains("u.type == t.type"));
        let (mut items, mut seen) = (Vec::new(), BTreeSet::new());
        for _ in 0..wanted * 4 {
            if items.len() == wanted {
                break;
            }
            let item = self.value(&schema["items"]);
            let mut identity: Vec<String> = keys
                .iter()
                .map(|key| format!("{key}={}", item[key]))
                .collect();
            if set {
                identity.push(item.to_string());
            }
            let kind = once_each_type.then(|| format!("type={}", item["type"]));
            let known = !identity.is_empty() && seen.contains(&identity.join(" "));
            if known || kind.as_ref().is_some_and(|kind| seen.contains(kind)) {
                continue;
            }
            seen.insert(identity.join(" "));
            seen.extend(kind);
            items.push(item);
        }
        Value::Array(items)
    }

    fn fields(&mut self, schema: &Value) -> Value {
        let mut fields = Map::new();
        if let inner @ Value::Object(_) = &schema["additionalProperties"] {
            for n in 0..self.below(3) {
                fields.insert(format!("key-{n}"), self.value(inner));
            }
            return Value::Object(fields);
        }
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let often = [1, 3, 6, 9][self.below(4)];
        for (name, inner) in properties {
            if required.contains(&json!(name)) || self.below(10) < often {
                fields.insert(name.clone(), self.value(inner));
            }
        }
        for rule in rules(schema) {
            self.mend(rule, properties, &mut fields);
        }
        Value::Object(fields)
    }

    /// Brings fields to what a rule says, where it is of a form that is known here.
    fn mend(
        &mut self,
        rule: &str,
        properties: &Map<String, Value>,
        fields: &mut Map<String, Value>,
    ) {
        if rule.contains("oldSelf") {
            return;
        }
        let mut said = mentions(rule);
        said.retain(|(_, name)| properties.contains_key(*name));
        let plain = !rule.contains(['=', '!']);
        let one_of = rule.ends_with(".filter(p, p).size() == 1")
            || (said.len() == 2
                && rule == format!("has(self.{}) != has(self.{})", said[0].1, said[1].1));
        if said.is_empty() {
            return;
        }
        if one_of {
            let chosen = said[self.below(said.len())].1;
            fields.retain(|name, _| name == chosen || said.iter().all(|(_, other)| name != other));
            self.give(chosen, properties, fields);
        } else if plain && said.iter().all(|(_, name)| !fields.contains_key(*name)) {
            let chosen = said[self.below(said.len())].1;
            self.give(chosen, properties, fields);
        } else if let Some(rest) = rule.strip_prefix("self.type ") {
            let (comparison, _) = rest.split_once(" || ").unwrap_or((rest, ""));
            let kind = format!("'{}'", fields["type"].as_str().unwrap_or_default());
            let met = comparison.contains(&kind) != comparison.starts_with("!=");
            if !met {
                for (wanted, name) in said {
                    match wanted {
                        true => self.give(name, properties, fields),
                        false => drop(fields.remove(name)),
                    }
                }
            }
        }
    }

    fn give(
        &mut self,
        name: &str,
        properties: &Map<String, Value>,
        fields: &mut Map<String, Value>,
    ) {
        // A field that is null counts as left out.
        while fields.get(name).is_none_or(Value::is_null) {
            fields.insert(name.to_owned(), self.value(&properties[name]));
        }
    }
}

fn rules(schema: &Value) -> impl Iterator<Item = &str> {
    let rules = schema["x-kubernetes-validations"].as_array();
    rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["rule"].as_str())
}

/// The pattern that a text must have, from the schema or from a rule.
fn pattern(schema: &Value) -> Option<String> {
    if let Some(pattern) = schema["pattern"].as_str() {
        return Some(pattern.to_owned());
    }
    rules(schema).find_map(|rule| {
        let (before, rest) = rule.split_once("matches('")?;
        (!before.contains('!')).then(|| rest.split('\'').next().unwrap_or_default().to_owned())
    })
}

/// The fields that a rule asks for (`has(self.a)`) or forbids (`!has(self.a)`).
fn mentions(rule: &str) -> Vec<(bool, &str)> {
    rule.match_indices("has(self.")
        .map(|(at, begin)| {
            let name = rule[at + begin.len()..]
                .split(')')
                .next()
                .unwrap_or_default();
            (!rule[..at].ends_with('!'), name)
        })
        .collect()
}
