//! Files that are made from code: the CRDs, once for people and once for the chart, the API reference, and the harness table. `cargo
//! generate` rewrites them, and a test compares them.

use crate::api::crds;
use crate::engine::harness_table::{behind_the_runner, table};
use kube::ResourceExt;
use serde_yaml_ng::Value;
use std::path::{Path, PathBuf};

/// Every generated file, by its path in a checkout.
///
/// # Errors
/// Where a CRD cannot be written as YAML.
pub fn files() -> Result<Vec<(PathBuf, String)>, serde_yaml_ng::Error> {
    let mut files = vec![
        (Path::new("crds").join("README.md"), reference()?),
        (Path::new("docs").join("harnesses.md"), harnesses()),
    ];
    for crd in crds() {
        let text = format!(
            "# Made by `cargo generate`; do not edit.\n{}",
            serde_yaml_ng::to_string(&crd)?
        );
        let name = format!("{}.yaml", crd.name_any());
        files.push((Path::new("crds").join(&name), text.clone()));
        files.push((Path::new("charts/yardmaster/files/crds").join(&name), text));
    }
    Ok(files)
}

/// The harness table, for people.
fn harnesses() -> String {
    format!(
        "<!-- Made by `cargo generate`; do not edit. -->\n\n# Harnesses\n\n\
         What Yardmaster does for each value of `runtime.harness`, and what it expects. `runtime.contract` says otherwise field by field;\n\
         `runtime.startCommand` and `runtime.port` come before the row. The variables of token and port are Yardmaster's, whatever `env` says; the\n\
         others give way to `env`.\n\n{}\n\
         ## Behind the runner\n\n\
         With `runtime.entrypoint: Runner` every agent is asked and told alike, whatever its program: `GET /pool/health` on `runtime.port`, else 8080, with 200 and\n\
         {{\"ready\": true}}, `POST /pool/provision` and `/pool/update-template`, and `GET /pool/status`, with `GATEWAY_TOKEN` as a Bearer token; all else passes\n\
         through to the program with the same token. The program itself listens on loopback, at a port and with a credential that the runner makes up, in the\n\
         variables above. Paths are below `{{state}}`.\n\n{}",
        table(),
        behind_the_runner()
    )
}

/// The API reference: for each kind a table of its spec and one of its status, made from the CRDs alone.
fn reference() -> Result<String, serde_yaml_ng::Error> {
    let mut text = String::from(
        "<!-- Made by `cargo generate`; do not edit. -->\n\n# API reference: `yardmaster.dev/v1alpha1`\n\n\
         What the API server knows of each field. `kubectl explain agentinstance.spec --recursive` says the same.\n\
         A field in **bold** is required. `[]` is an entry of a list, `{}` the value of a key of a map.\n",
    );
    for crd in crds() {
        let crd = serde_yaml_ng::to_value(&crd)?;
        let (names, version) = (&crd["spec"]["names"], &crd["spec"]["versions"][0]);
        let schema = &version["schema"]["openAPIV3Schema"];
        text.push_str(&format!(
            "\n## {}\n\n{} Short name `{}`; {}. {}\n",
            plain(&names["kind"]),
            plain(&schema["description"]),
            plain(&names["shortNames"][0]),
            match plain(&crd["spec"]["scope"]).as_str() {
                "Cluster" => "belongs to no namespace",
                _ => "belongs to a namespace",
            },
            rules(schema),
        ));
        for half in ["spec", "status"] {
            text.push_str(&format!(
                "\n### {}.{half}\n\n| field | type | default | meaning | rule |\n| --- | --- | --- | --- | --- |\n",
                plain(&names["kind"])
            ));
            rows("", &schema["properties"][half], &mut text);
        }
    }
    Ok(text)
}

/// A row for each field below a schema.
fn rows(prefix: &str, schema: &Value, into: &mut String) {
    for (name, field) in schema["properties"].as_mapping().into_iter().flatten() {
        let path = format!("{prefix}{}", plain(name));
        let required = schema["required"]
            .as_sequence()
            .is_some_and(|required| required.contains(name));
        let mark = if required { "**" } else { "" };
        let default = match &field["default"] {
            Value::Null => String::new(),
            // What an object stands for when it is left out is said at its fields.
            Value::Mapping(_) => String::from("as below"),
            value => format!("`{}`", plain(value)),
        };
        let meaning = plain(&field["description"]).replace(['\n', '|'], " ");
        let (kind, rules) = (kind(field), rules(field));
        into.push_str(&format!(
            "| {mark}`{path}`{mark} | {kind} | {default} | {meaning} | {rules} |\n"
        ));
        // They are the same everywhere, and documented by Kubernetes.
        if name != "conditions" {
            rows(&format!("{path}."), field, into);
            rows(&format!("{path}[]."), &field["items"], into);
        }
    }
}

/// A field's type with its bounds.
fn kind(field: &Value) -> String {
    let most = |keyword: &str| plain(&field[keyword]);
    if let Some(values) = field["enum"].as_sequence() {
        let values: Vec<String> = values.iter().map(|v| format!("`{}`", plain(v))).collect();
        return values.join(", ");
    }
    match plain(&field["type"]).as_str() {
        "" if !field["properties"].is_null() => {
            format!("text, at most {}, or object", most("maxLength"))
        }
        "" => String::from("amount"),
        "string" if !field["format"].is_null() => String::from("time"),
        "string" => format!("text, at most {}", most("maxLength")),
        kind @ ("integer" | "number") if !field["maximum"].is_null() => {
            format!("{kind}, {} to {}", most("minimum"), most("maximum"))
        }
        "array" => format!(
            "list, at most {}: {}",
            most("maxItems"),
            kind(&field["items"])
        ),
        "object" if !field["additionalProperties"].is_null() => format!(
            "map, at most {}: {}",
            most("maxProperties"),
            kind(&field["additionalProperties"])
        ),
        other => other.to_owned(),
    }
}

/// What the rules of a schema say to who breaks them, and those of a list's entries or a map's values.
fn rules(schema: &Value) -> String {
    let inner = [&schema["items"], &schema["additionalProperties"]];
    let messages: Vec<String> = std::iter::once(schema)
        .chain(inner)
        .filter_map(|schema| schema["x-kubernetes-validations"].as_sequence())
        .flatten()
        .map(|rule| {
            plain(&rule["message"])
                .replace('|', "\\|")
                .replace('*', "\\*")
        })
        .collect();
    messages.join(". ")
}

/// A scalar as text, without the fraction that schemas give every number.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        Value::Bool(bool) => bool.to_string(),
        _ => String::new(),
    }
}

/// All CRDs as one YAML stream.
///
/// # Errors
/// Where a CRD cannot be written as YAML.
pub fn stream() -> Result<String, serde_yaml_ng::Error> {
    let mut text = String::new();
    for crd in crds() {
        text.push_str("---\n");
        text.push_str(&serde_yaml_ng::to_string(&crd)?);
    }
    Ok(text)
}

/// Writes every generated file into a checkout.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(checkout: &Path) -> std::io::Result<()> {
    for (path, text) in files().map_err(std::io::Error::other)? {
        let path = checkout.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_what_the_code_makes_of_them() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (path, text) in files().unwrap() {
            let found = std::fs::read_to_string(checkout.join(&path)).unwrap_or_default();
            assert!(
                found == text,
                "{} is not what the code makes of it: run `cargo generate`",
                path.display()
            );
        }
    }

    #[test]
    fn every_crd_is_small_enough_for_a_client_side_apply() {
        for crd in crds() {
            let size = serde_json::to_vec(&crd).unwrap().len();
            assert!(size < 262_144, "{} has {size} bytes", crd.name_any());
        }
    }
}
