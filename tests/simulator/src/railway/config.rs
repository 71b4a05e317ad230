//! EnvironmentConfig: how a patch is merged, and what a service's part of it says.
//!
//! A patch is a JSON merge patch: null unsets. Merging something that changes nothing leaves the config equal, so
//! nobody deploys for it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::registry::Credentials;

/// Merges `patch` into `target`.
///
/// An object that holds nothing after merging is not created, except where an empty object means something: below
/// `networking` it is a domain or port without settings.
pub(crate) fn merge(target: &mut Value, patch: &Value, keep_empty: bool) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else {
        return;
    };
    for (key, value) in patch {
        let keep_empty = keep_empty || key == "networking";
        match value {
            Value::Null => {
                fields.remove(key);
            }
            Value::Object(_) => {
                let new = !fields.contains_key(key);
                let field = fields
                    .entry(key.clone())
                    .or_insert_with(|| Value::Object(Map::new()));
                merge(field, value, keep_empty);
                if new && !keep_empty && field.as_object().is_some_and(Map::is_empty) {
                    fields.remove(key);
                }
            }
            _ => {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A service's image, where it has one.
pub(crate) fn image(service: &Value) -> Option<&str> {
    service["source"]["image"]
        .as_str()
        .filter(|image| !image.is_empty())
}

pub(crate) fn credentials(service: &Value) -> Option<Credentials> {
    let row = &service["deploy"]["registryCredentials"];
    Some(Credentials {
        username: row["username"].as_str()?.to_owned(),
        password: row["password"].as_str()?.to_owned(),
    })
}

/// vCPUs and gigabytes of memory a service is limited to; 1 and 1 where nothing limits it.
pub(crate) fn limits(service: &Value) -> (f64, f64) {
    let containers = &service["deploy"]["limitOverride"]["containers"];
    let memory = containers["memoryBytes"]
        .as_f64()
        .map(|bytes| bytes / GIGABYTE);
    (
        containers["cpu"].as_f64().unwrap_or(1.0),
        memory.unwrap_or(1.0),
    )
}

pub(crate) const GIGABYTE: f64 = 1_000_000_000.0;

/// Where a service mounts volumes: (volume id, path).
pub(crate) fn mounts(service: &Value) -> impl Iterator<Item = (&String, &str)> {
    let mounts = service["volumeMounts"].as_object().into_iter().flatten();
    mounts.filter_map(|(volume, mount)| Some((volume, mount["mountPath"].as_str()?)))
}

/// Variables as name and value, sealed ones too.
pub(crate) fn variables(part: &Value) -> BTreeMap<String, String> {
    let rows = part.as_object().into_iter().flatten();
    let value = |row: &Value| match &row["value"] {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    rows.filter_map(|(name, row)| Some((name.clone(), value(row)?)))
        .collect()
}

/// Replaces `${{shared.NAME}}` and `${{NAME}}`; a reference to nothing becomes empty.
pub(crate) fn render(
    text: &str,
    own: &BTreeMap<String, String>,
    shared: &BTreeMap<String, String>,
) -> String {
    let mut rendered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${{") {
        let Some((name, after)) = reference.split_once("}}") else {
            break;
        };
        rendered.push_str(before);
        let name = name.trim();
        let value = match name.split_once('.') {
            Some(("shared", name)) => shared.get(name),
            Some((_, name)) => own.get(name),
            None => own.get(name),
        };
        rendered.push_str(value.map(String::as_str).unwrap_or_default());
        rest = after;
    }
    rendered.push_str(rest);
    rendered
}

/// The config as a reader gets it who does not ask for it decrypted.
pub(crate) fn masked(config: &Value) -> Value {
    let mut config = config.clone();
    let mask = |part: &mut Value| {
        for row in part.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(value) = row.get_mut("value") {
                *value = Value::String("*****".to_owned());
            }
        }
    };
    if let Some(shared) = config.get_mut("sharedVariables") {
        mask(shared);
    }
    hide(&mut config, mask, true);
    config
}

/// The config as a reader gets it who asks for it decrypted: sealed values stay hidden, and registry passwords if asked.
pub(crate) fn unsealed(config: &Value, hides_password: bool) -> Value {
    let mut config = config.clone();
    let unseal = |part: &mut Value| {
        for row in part.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let (Some(true), Some(fields)) = (row["isSealed"].as_bool(), row.as_object_mut()) {
                fields.remove("value");
            }
        }
    };
    hide(&mut config, unseal, hides_password);
    config
}

fn hide(config: &mut Value, variables: impl Fn(&mut Value), hides_password: bool) {
    let services = config.get_mut("services").and_then(Value::as_object_mut);
    for service in services.into_iter().flat_map(Map::values_mut) {
        if let Some(part) = service.get_mut("variables") {
            variables(part);
        }
        let password = service.pointer_mut("/deploy/registryCredentials/password");
        if let Some(password) = password.filter(|_| hides_password) {
            *password = Value::String("*****".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{merge, render};

    #[test]
    fn null_unsets_and_nothing_comes_from_nothing() {
        let before = json!({"a": {"b": 1}, "networking": {}});
        let mut config = before.clone();
        merge(
            &mut config,
            &json!({"a": {"b": 1, "c": null}, "d": {"e": null}}),
            false,
        );
        assert_eq!(config, before);
        merge(
            &mut config,
            &json!({"a": {"b": null}, "networking": {"x": {"y": {}}}}),
            false,
        );
        assert_eq!(config, json!({"a": {}, "networking": {"x": {"y": {}}}}));
    }

    #[test]
    fn references_are_rendered() {
        let own = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let shared = BTreeMap::from([("B".to_owned(), "2".to_owned())]);
        assert_eq!(
            render("${{A}}-${{ shared.B }}-${{C}}", &own, &shared),
            "1-2-"
        );
        assert_eq!(
            render("plain ${A} ${{open", &own, &shared),
            "plain ${A} ${{open"
        );
    }
}
