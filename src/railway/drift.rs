//! What differs between what Railway says it is configured to do and what we would set.
//!
//! What holds: only what we own is compared, and only by name is it told; no value leaves this module. What Railway
//! adds (variables of its own, settings that we never set) and what it does not show again (passwords, sealed
//! values) is no difference.

use super::patch::restart;
use crate::model::Configuration;
use secrecy::ExposeSecret;
use serde_json::Value;

/// The names of what differs, in a stable order.
pub(super) fn drift(config: &Value, service: &str, wanted: &Configuration) -> Vec<String> {
    let there = &config["services"][service];
    let deploy = &there["deploy"];
    let mut differs = Vec::new();
    let mut note = |same: bool, name: &str| {
        if !same {
            differs.push(name.to_owned());
        }
    };
    note(
        text(&there["source"]["image"]) == Some(&wanted.image),
        "image",
    );
    note(
        text(&deploy["startCommand"]) == wanted.start_command.as_deref(),
        "startCommand",
    );
    note(same_region(&deploy["multiRegionConfig"], wanted), "region");
    let limits = &deploy["limitOverride"]["containers"];
    note(same_number(&limits["cpu"], wanted.cpu), "cpu");
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of memory are far below 2^53"
    )]
    let memory = wanted.memory_bytes.map(|bytes| bytes as f64);
    note(same_number(&limits["memoryBytes"], memory), "memory");
    note(same_restart(deploy, wanted), "restartPolicy");
    note(
        deploy["sleepApplication"].as_bool().unwrap_or(false) == wanted.sleep_when_idle,
        "sleepWhenIdle",
    );
    note(
        same_registry(&deploy["registryCredentials"], wanted),
        "registryCredentials",
    );
    note(volume_large_enough(config, there, wanted), "volumeSize");
    for variable in &wanted.variables {
        let entry = &there["variables"][&variable.name];
        note(
            same_variable(entry, variable.value.expose_secret()),
            &format!("variable {}", variable.name),
        );
    }
    differs
}

/// A text; an empty one is none.
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn same_number(there: &Value, wanted: Option<f64>) -> bool {
    match (there.as_f64(), wanted) {
        (Some(there), Some(wanted)) => (there - wanted).abs() <= wanted.abs() * 1e-6,
        (None, None) => true,
        _ => false,
    }
}

/// Nothing wanted: wherever it runs is right.
fn same_region(there: &Value, wanted: &Configuration) -> bool {
    let Some(wanted) = wanted.region.as_deref() else {
        return true;
    };
    let mut regions = there
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, region)| !region.is_null())
        .map(|(name, _)| name.as_str());
    regions.next() == Some(wanted) && regions.next().is_none()
}

/// Absent is Railway's default: on failure, ten times (`facts/railway.md` 2.5).
fn same_restart(deploy: &Value, wanted: &Configuration) -> bool {
    let (policy, retries) = restart(wanted.restart);
    let there = text(&deploy["restartPolicyType"]).unwrap_or("ON_FAILURE");
    let times = deploy["restartPolicyMaxRetries"].as_u64().unwrap_or(10);
    there == policy && retries.is_none_or(|retries| u64::from(retries) == times)
}

/// Only the user name is sure to be shown, and absence proves nothing where we want some.
fn same_registry(there: &Value, wanted: &Configuration) -> bool {
    match &wanted.registry {
        Some(wanted) => text(&there["username"]).is_none_or(|name| name == wanted.username),
        None => there.is_null(),
    }
}

/// A volume grows and never shrinks, so a larger one is no difference.
fn volume_large_enough(config: &Value, there: &Value, wanted: &Configuration) -> bool {
    let Some(wanted) = wanted.volume_megabytes else {
        return true;
    };
    there["volumeMounts"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(volume, _)| config["volumes"][volume]["sizeMB"].as_f64())
        .all(|size| {
            #[expect(clippy::cast_precision_loss, reason = "megabytes are far below 2^53")]
            let enough = wanted as f64;
            size >= enough
        })
}

fn same_variable(entry: &Value, wanted: &str) -> bool {
    if entry["isSealed"].as_bool() == Some(true) {
        return true;
    }
    // An empty value is a value.
    entry["value"].as_str().or(entry.as_str()) == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::super::patch::tests::{bare, configuration};
    use super::*;
    use serde_json::json;

    fn in_place() -> Value {
        let mut config = super::super::patch::patch("s", Some("v"), &configuration(), &[]).unwrap();
        config["services"]["s"]["volumeMounts"] = json!({ "v": { "mountPath": "/data" } });
        config
    }

    #[test]
    fn what_was_set_has_not_drifted_and_foreign_additions_do_not_count() {
        let mut config = in_place();
        assert_eq!(drift(&config, "s", &configuration()), [""; 0]);
        let service = &mut config["services"]["s"];
        service["variables"]["RAILWAY_PUBLIC_DOMAIN"] = json!({ "value": "x" });
        service["variables"]["THEIRS"] = json!({ "value": "x" });
        service["deploy"]["healthcheckPath"] = json!("/");
        service["deploy"]["registryCredentials"] = Value::Null;
        service["variables"]["A"] = json!({ "isSealed": true });
        config["volumes"]["v"]["sizeMB"] = json!(6000);
        assert_eq!(drift(&config, "s", &configuration()), [""; 0]);
    }

    #[test]
    fn each_difference_is_named_and_no_value_shown() {
        let cases: [(&str, Value, &str); 14] = [
            ("/services/s/source/image", json!("other"), "image"),
            (
                "/services/s/deploy/startCommand",
                Value::Null,
                "startCommand",
            ),
            (
                "/services/s/deploy/multiRegionConfig",
                json!({ "us-west2": { "numReplicas": 1 } }),
                "region",
            ),
            (
                "/services/s/deploy/multiRegionConfig/us-west2",
                json!({ "numReplicas": 1 }),
                "region",
            ),
            (
                "/services/s/deploy/limitOverride/containers/cpu",
                json!(1),
                "cpu",
            ),
            (
                "/services/s/deploy/limitOverride/containers/memoryBytes",
                json!(1),
                "memory",
            ),
            (
                "/services/s/deploy/restartPolicyType",
                json!("NEVER"),
                "restartPolicy",
            ),
            (
                "/services/s/deploy/restartPolicyMaxRetries",
                json!(3),
                "restartPolicy",
            ),
            (
                "/services/s/deploy/sleepApplication",
                json!(true),
                "sleepWhenIdle",
            ),
            (
                "/services/s/deploy/registryCredentials/username",
                json!("eve"),
                "registryCredentials",
            ),
            ("/volumes/v/sizeMB", json!(500), "volumeSize"),
            (
                "/services/s/variables/A/value",
                json!("secret"),
                "variable A",
            ),
            ("/services/s/variables/B", Value::Null, "variable B"),
            ("/services/s/variables/B/value", json!(""), "variable B"),
        ];
        for (pointer, value, name) in cases {
            let mut config = in_place();
            *config.pointer_mut(pointer).unwrap() = value;
            assert_eq!(drift(&config, "s", &configuration()), [name], "{pointer}");
        }
    }

    #[test]
    fn what_is_not_wanted_any_more_is_drift_too() {
        assert_eq!(
            drift(&in_place(), "s", &bare()),
            [
                "startCommand",
                "cpu",
                "memory",
                "restartPolicy",
                "sleepWhenIdle",
                "registryCredentials"
            ]
        );
    }

    #[test]
    fn a_service_without_a_configuration_differs_in_what_we_want() {
        let names = drift(&json!({}), "s", &bare());
        assert_eq!(names, ["image", "restartPolicy", "sleepWhenIdle"]);
    }
}
