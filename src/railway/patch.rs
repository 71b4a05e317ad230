//! A configuration in Railway's words: the one patch that applies it (`facts/railway.md` 2.3).
//!
//! What holds: the patch names everything that we own, and nothing else. What is not wanted now is an explicit null,
//! which unsets it (`facts/railway.md` 1.5); what we do not own is not mentioned, so it stays as it is. Holds secrets:
//! never logged.

use crate::model::{Configuration, Done, Fault, Restart};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

/// Railway's documented regions (`facts/railway.md` 2.4). A patch is merged, so moving means leaving all others.
const REGIONS: [&str; 4] = [
    "us-west2",
    "us-east4-eqdc4a",
    "europe-west4-drams3a",
    "asia-southeast1-eqsg3a",
];

/// Railway would put something else in the place of this (`facts/railway.md` 2.6).
const REFERENCE: &str = "${{";

/// The patch. `retired` are names of variables that we have set before and want no more.
///
/// Fails with `Rejected` where a value would not arrive as it is.
pub(super) fn patch(
    service: &str,
    volume: Option<&str>,
    wanted: &Configuration,
    retired: &[String],
) -> Done<Value> {
    let mut patch = json!({
        "services": {
            service: {
                "source": { "image": wanted.image },
                "deploy": deploy(wanted),
                "variables": variables(wanted, retired)?,
            }
        }
    });
    if let (Some(volume), Some(megabytes)) = (volume, wanted.volume_megabytes) {
        patch["volumes"] = json!({ volume: { "sizeMB": megabytes } });
    }
    Ok(patch)
}

fn deploy(wanted: &Configuration) -> Value {
    let (policy, retries) = restart(wanted.restart);
    json!({
        "startCommand": wanted.start_command,
        "multiRegionConfig": regions(wanted.region.as_deref()),
        "restartPolicyType": policy,
        "restartPolicyMaxRetries": retries,
        "sleepApplication": wanted.sleep_when_idle,
        "registryCredentials": wanted.registry.as_ref().map(|registry| json!({
            "username": registry.username,
            "password": registry.password.expose_secret(),
        })),
        "limitOverride": limits(wanted),
    })
}

/// Railway's word for a policy, and how often.
pub(super) fn restart(policy: Restart) -> (&'static str, Option<u32>) {
    match policy {
        Restart::Always => ("ALWAYS", None),
        Restart::Never => ("NEVER", None),
        Restart::OnFailure(retries) => ("ON_FAILURE", Some(retries)),
    }
}

fn regions(wanted: Option<&str>) -> Value {
    let Some(wanted) = wanted else {
        return Value::Null;
    };
    let mut regions: Map<String, Value> = REGIONS
        .iter()
        .map(|region| ((*region).to_owned(), Value::Null))
        .collect();
    regions.insert(wanted.to_owned(), json!({ "numReplicas": 1 }));
    Value::Object(regions)
}

fn limits(wanted: &Configuration) -> Value {
    if wanted.cpu.is_none() && wanted.memory_bytes.is_none() {
        return Value::Null;
    }
    json!({ "containers": { "cpu": wanted.cpu, "memoryBytes": wanted.memory_bytes } })
}

fn variables(wanted: &Configuration, retired: &[String]) -> Done<Map<String, Value>> {
    let mut variables: Map<String, Value> = retired
        .iter()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    for variable in &wanted.variables {
        let value = variable.value.expose_secret();
        if value.contains(REFERENCE) {
            return Err(Fault::Rejected {
                message: format!(
                    "the value of variable {} contains {REFERENCE}, for which Railway would put something else",
                    variable.name
                ),
            });
        }
        variables.insert(variable.name.clone(), json!({ "value": value }));
    }
    Ok(variables)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{RegistryCredentials, Variable};

    pub(in crate::railway) fn configuration() -> Configuration {
        let variable = |name: &str, value: &str| Variable {
            name: name.into(),
            value: value.into(),
        };
        Configuration {
            image: "ghcr.io/acme/agent@sha256:aa".into(),
            start_command: Some("node run.js".into()),
            region: Some("europe-west4-drams3a".into()),
            cpu: Some(2.0),
            memory_bytes: Some(4 << 30),
            restart: Restart::OnFailure(10),
            sleep_when_idle: false,
            registry: Some(RegistryCredentials {
                username: "acme".into(),
                password: "pass".into(),
            }),
            volume_mount: Some("/data".into()),
            volume_megabytes: Some(5000),
            variables: vec![variable("A", "1"), variable("B", "two")],
        }
    }

    pub(in crate::railway) fn bare() -> Configuration {
        Configuration {
            image: "ghcr.io/acme/agent@sha256:aa".into(),
            start_command: None,
            region: None,
            cpu: None,
            memory_bytes: None,
            restart: Restart::Always,
            sleep_when_idle: true,
            registry: None,
            volume_mount: None,
            volume_megabytes: None,
            variables: vec![],
        }
    }

    #[test]
    fn everything_at_once() {
        let patch = patch(
            "s",
            Some("v"),
            &configuration(),
            &["OLD".into(), "A".into()],
        )
        .unwrap();
        assert_eq!(
            patch,
            json!({
                "services": { "s": {
                    "source": { "image": "ghcr.io/acme/agent@sha256:aa" },
                    "deploy": {
                        "startCommand": "node run.js",
                        "multiRegionConfig": {
                            "us-west2": null,
                            "us-east4-eqdc4a": null,
                            "europe-west4-drams3a": { "numReplicas": 1 },
                            "asia-southeast1-eqsg3a": null,
                        },
                        "restartPolicyType": "ON_FAILURE",
                        "restartPolicyMaxRetries": 10,
                        "sleepApplication": false,
                        "registryCredentials": { "username": "acme", "password": "pass" },
                        "limitOverride": { "containers": { "cpu": 2.0, "memoryBytes": 4_294_967_296_u64 } },
                    },
                    "variables": { "A": { "value": "1" }, "B": { "value": "two" }, "OLD": null },
                } },
                "volumes": { "v": { "sizeMB": 5000 } },
            })
        );
    }

    #[test]
    fn what_is_not_wanted_is_unset_and_what_is_not_ours_is_not_named() {
        let patch = patch("s", Some("v"), &bare(), &[]).unwrap();
        assert_eq!(
            patch,
            json!({
                "services": { "s": {
                    "source": { "image": "ghcr.io/acme/agent@sha256:aa" },
                    "deploy": {
                        "startCommand": null,
                        "multiRegionConfig": null,
                        "restartPolicyType": "ALWAYS",
                        "restartPolicyMaxRetries": null,
                        "sleepApplication": true,
                        "registryCredentials": null,
                        "limitOverride": null,
                    },
                    "variables": {},
                } },
            })
        );
    }

    #[test]
    fn half_a_limit_unsets_the_other_half() {
        let wanted = Configuration {
            cpu: Some(0.5),
            ..bare()
        };
        let patch = patch("s", None, &wanted, &[]).unwrap();
        let limits = &patch["services"]["s"]["deploy"]["limitOverride"];
        assert_eq!(
            limits,
            &json!({ "containers": { "cpu": 0.5, "memoryBytes": null } })
        );
    }

    #[test]
    fn a_value_that_would_not_arrive_is_refused_without_showing_it() {
        let mut wanted = configuration();
        wanted.variables[1].value = "x${{shared.KEY}}".into();
        let refused = patch("s", None, &wanted, &[]).unwrap_err();
        assert_eq!(refused.class(), "Rejected");
        assert!(refused.to_string().contains("variable B"));
        assert!(!refused.to_string().contains("shared"));
    }
}
