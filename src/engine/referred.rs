//! Values that specs refer to: which ones they are, and what is said where one is missing or cannot be used.
//!
//! Holds: variables and files find their values in the same way. Deliberately absent: reading them (`cluster::values`).

use super::pull::Broken;
use crate::api::account::KeyRef;
use crate::api::condition::reason;
use crate::api::template::{AgentTemplateSpec, EnvVar, Runtime, ValueFrom};
use crate::model::values::{HELD, MOST, References, Source, Values};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// The object and the key in it that a value comes from.
fn place(from: &ValueFrom) -> Option<(Source, &KeyRef)> {
    let secret = from.secret_key_ref.as_ref();
    let secret = secret.map(|key| (Source::Secret(key.name.0.clone()), key));
    secret.or_else(|| {
        let map = from.config_map_key_ref.as_ref()?;
        Some((Source::ConfigMap(map.name.0.clone()), map))
    })
}

/// Everything that these variables and this runtime refer to.
pub fn references(runtime: Option<&Runtime>, env: &[EnvVar]) -> References {
    let mut found = of(env.iter().filter_map(|var| var.value_from.as_ref()));
    if let Some(pull) = runtime.and_then(|runtime| runtime.image_pull_secret_ref.as_ref()) {
        let keys = ["username", "password", ".dockerconfigjson"].map(str::to_owned);
        let source = Source::Secret(pull.name.0.clone());
        found.entry(source).or_default().extend(keys);
    }
    found
}

/// Everything that a template's agents are made from: of its runtime and variables, and of its files. Each has the room that it may fill.
pub fn template_references(template: &AgentTemplateSpec) -> [References; 2] {
    let files = template.files.iter();
    let files = of(files.filter_map(|file| file.content_from.as_ref()));
    let runtime = template.runtime.as_ref();
    [references(runtime, &template.env), files]
}

fn of<'a>(from: impl Iterator<Item = &'a ValueFrom>) -> References {
    let mut found = References::new();
    for (source, key) in from.filter_map(place) {
        found.entry(source).or_default().insert(key.key.to_string());
    }
    found
}

/// The values of variables, by name.
///
/// # Errors
/// What one of them refers to is not there.
pub fn resolve(env: &[EnvVar], values: &Values) -> Result<BTreeMap<String, SecretString>, Broken> {
    let mut resolved = BTreeMap::new();
    let mut room = MOST;
    for var in env {
        let value = match (&var.value, &var.value_from) {
            (Some(value), _) => SecretString::from(value.clone()),
            (None, Some(from)) => match variable(from, values, &var.name.0)? {
                Some(value) => value,
                None => continue,
            },
            (None, None) => continue,
        };
        // One large value may be referred to many times: the sum is what has to be held.
        let size = value.expose_secret().len();
        room = room.checked_sub(size).ok_or_else(|| Broken {
            reason: reason::VALUE_NOT_USABLE,
            message: format!(
                "the values of env must have at most {MOST} bytes together, and with variable {} they have more; put a large text into the image or let the agent fetch it",
                var.name.0
            ),
        })?;
        resolved.insert(var.name.0.clone(), value);
    }
    Ok(resolved)
}

/// The value that a variable refers to. `None`: it refers to nothing.
fn variable(from: &ValueFrom, values: &Values, name: &str) -> Result<Option<SecretString>, Broken> {
    let what = format!("variable {name}");
    let Some(value) = look_up(from, values, &what)? else {
        return Ok(None);
    };
    match place(from) {
        Some((source, key)) if value.expose_secret().contains("${{") => Err(Broken {
            reason: reason::VALUE_NOT_USABLE,
            message: format!(
                "{what}: the value at {} {}, key {}, contains '${{{{', which the provider would replace by a reference; change the value",
                kind(&source),
                key.name,
                key.key
            ),
        }),
        _ => Ok(Some(value.clone())),
    }
}

/// The value that something refers to; `what` names it. `None`: it refers to nothing.
///
/// # Errors
/// It is not there.
pub fn look_up<'a>(
    from: &ValueFrom,
    values: &'a Values,
    what: &str,
) -> Result<Option<&'a SecretString>, Broken> {
    let Some((source, key)) = place(from) else {
        return Ok(None);
    };
    let missing = |why: String| Broken {
        reason: reason::REFERENCE_NOT_FOUND,
        message: format!("{what}: {why}; create it, or change the reference"),
    };
    let kind = kind(&source);
    let data = values.get(&source).ok_or_else(|| {
        missing(format!(
            "{kind} {} does not exist in this namespace",
            key.name
        ))
    })?;
    let value = data.get(key.key.as_str());
    value.map(Some).ok_or_else(|| {
        missing(format!(
            "{kind} {} has no key {} with a text of at most {HELD} bytes",
            key.name, key.key
        ))
    })
}

fn kind(source: &Source) -> &'static str {
    match source {
        Source::Secret(_) => "Secret",
        Source::ConfigMap(_) => "ConfigMap",
    }
}
