//! The chart against the binary it installs: version, settings, and that its rights stay narrow.

use super::config::{Command, CommandLine, LogFormat};
use clap::{CommandFactory, Parser};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

const CHART: &str = include_str!("../../charts/yardmaster/Chart.yaml");
const VALUES: &str = include_str!("../../charts/yardmaster/values.yaml");
const SCHEMA: &str = include_str!("../../charts/yardmaster/values.schema.json");
const RBAC: &str = include_str!("../../charts/yardmaster/templates/rbac.yaml");
const SECRETS_POLICY: &str = include_str!("../../charts/yardmaster/templates/secrets-policy.yaml");
const DELETION_POLICY: &str =
    include_str!("../../charts/yardmaster/templates/deletion-protection.yaml");
const ANNOTATIONS_POLICY: &str =
    include_str!("../../charts/yardmaster/templates/annotations-policy.yaml");
const CLAIMS_POLICY: &str = include_str!("../../charts/yardmaster/templates/claims-policy.yaml");
const DEPLOYMENT: &str = include_str!("../../charts/yardmaster/templates/deployment.yaml");

fn yaml(text: &str) -> Value {
    serde_yaml_ng::from_str(text).unwrap()
}

/// `observeInterval` is `--observe-interval`, as Helm's kebabcase makes it.
fn flag(setting: &str) -> String {
    let mut flag = String::from("--");
    for c in setting.chars() {
        if c.is_ascii_uppercase() {
            flag.push('-');
        }
        flag.push(c.to_ascii_lowercase());
    }
    flag
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn run(flags: &[String]) -> super::config::Config {
    let words = ["yardmaster", "run"].map(str::to_owned);
    let words = words.iter().chain(flags);
    let Command::Run(flags) = CommandLine::try_parse_from(words).unwrap().command else {
        panic!("`run` parses as run");
    };
    flags.resolve(|_| None, Some("box".to_owned()), 0).unwrap()
}

#[test]
fn the_chart_has_the_version_of_the_binary() {
    let chart = yaml(CHART);
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn settings_are_the_flags_with_their_defaults() {
    let values = yaml(VALUES);
    let settings = values["settings"].as_object().unwrap();
    let flags: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{}={}", flag(name), text(value)))
        .collect();
    let (installed, alone) = (run(&flags), run(&[]));
    assert_eq!(installed.log_format, LogFormat::Json);
    let as_json = super::config::Config {
        log_format: LogFormat::Json,
        ..alone
    };
    assert_eq!(format!("{installed:?}"), format!("{as_json:?}"));

    // What the chart decides for itself: where it lives, who it is, where it listens, and the Lease its Role names.
    // And a list, which is a value of its own.
    let own = [
        "--namespace",
        "--identity",
        "--listen",
        "--lease-name",
        "--registries",
    ];
    let given: BTreeSet<String> = settings.keys().map(|name| flag(name)).collect();
    let command = CommandLine::command();
    let run = command.find_subcommand("run").unwrap();
    for long in run
        .get_arguments()
        .filter_map(|argument| argument.get_long())
    {
        let long = format!("--{long}");
        if !own.contains(&long.as_str()) {
            assert!(given.contains(&long), "settings has {long}");
        }
    }
    assert!(DEPLOYMENT.contains("--listen=0.0.0.0:8080"));
    assert!(DEPLOYMENT.contains(r#"printf "--registries=%s" (join "," .)"#));
    let listed =
        super::chart_tests::run(&["--registries=ghcr.io,registry.example.com:5000".to_owned()]);
    assert_eq!(listed.registries, ["ghcr.io", "registry.example.com:5000"]);
}

#[test]
fn a_graceful_end_fits_into_what_kubernetes_grants() {
    let grace = yaml(VALUES)["terminationGracePeriodSeconds"]
        .as_u64()
        .unwrap();
    assert!(run(&[]).shutdown_deadline.as_secs() < grace);
}

/// Every value is in the schema, and the schema has nothing that is no value.
#[test]
fn the_schema_knows_every_value() {
    fn compare(values: &Value, schema: &Value, path: &str) {
        let (Some(values), Some(known)) = (values.as_object(), schema["properties"].as_object())
        else {
            return;
        };
        assert_eq!(
            schema["additionalProperties"], false,
            "{path} refuses what it does not know"
        );
        for (name, value) in values {
            assert!(known.contains_key(name), "{path}{name} is in the schema");
            compare(value, &known[name], &format!("{path}{name}."));
        }
        for name in known
            .keys()
            .filter(|name| !["global", "claims"].contains(&name.as_str()))
        {
            assert!(values.contains_key(name), "{path}{name} has a default");
        }
    }
    compare(&yaml(VALUES), &serde_json::from_str(SCHEMA).unwrap(), "");
}

#[test]
fn every_value_says_what_it_is_for() {
    let lines: Vec<&str> = VALUES.lines().collect();
    let mut inside_resources = false;
    for (at, line) in lines.iter().enumerate() {
        let Some((name, _)) = line
            .split_once(':')
            .filter(|_| !line.trim().starts_with('#'))
        else {
            continue;
        };
        let top = !name.starts_with(' ');
        if top {
            inside_resources = name == "resources";
        }
        let opens_group = top && line.ends_with(':') && name != "resources";
        if opens_group || (inside_resources && !top) {
            continue;
        }
        let above = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.trim().starts_with('#'));
        assert!(
            above.clone().any(|line| line.trim().starts_with("# -- ")),
            "{name}"
        );
    }
}

#[test]
fn the_operator_may_do_little() {
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(RBAC)
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let strings = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule[field].as_array().cloned().unwrap_or_default();
        list.iter().map(text).collect()
    };
    let mut rules = 0;
    for document in &documents {
        let cluster_wide = document["kind"] == "ClusterRole";
        for rule in document["rules"].as_array().into_iter().flatten() {
            rules += 1;
            let (resources, verbs) = (strings(rule, "resources"), strings(rule, "verbs"));
            let groups = strings(rule, "apiGroups");
            for word in groups.iter().chain(&resources).chain(&verbs) {
                assert_ne!(word, "*", "no wildcard: {rule}");
            }
            for verb in ["escalate", "bind", "impersonate"] {
                assert!(!verbs.iter().any(|v| v == verb), "no {verb}: {rule}");
            }
            assert!(rule["nonResourceURLs"].is_null(), "{rule}");
            if cluster_wide && resources.iter().any(|resource| resource == "secrets") {
                let least = ["get", "create", "patch", "delete"];
                assert_eq!(verbs, least, "Secrets cannot be enumerated");
            }
        }
    }
    assert!(rules > 8, "the rules were read: {rules}");
}

/// What the API server fills in is written out: else it is nobody's field, and the next apply by another hand a conflict.
#[test]
fn policies_leave_nothing_to_be_filled_in() {
    for policy in [
        SECRETS_POLICY,
        DELETION_POLICY,
        ANNOTATIONS_POLICY,
        CLAIMS_POLICY,
    ] {
        for default in [
            "    matchPolicy: Equivalent\n",
            "    namespaceSelector: {}\n",
            "    objectSelector: {}\n",
            "      scope: \"*\"\n",
        ] {
            assert!(policy.contains(default), "{default}");
        }
    }
}

/// RBAC cannot tell an instance's Secret from a tenant's: the policy does, whatever the values say. That the API server
/// keeps to it is proved by `tests/whole/rights.rs`.
#[test]
fn what_it_may_do_to_secrets_is_narrowed_in_every_installation() {
    for said in [
        "operations: [CREATE, UPDATE, DELETE]",
        "failurePolicy: Fail",
        "validationActions: [Deny]",
        "'system:serviceaccount:{{ .Release.Namespace }}:yardmaster'",
        crate::api::INSTANCE_LABEL,
    ] {
        assert!(SECRETS_POLICY.contains(said), "{said}");
    }
    assert!(DEPLOYMENT.contains("serviceAccountName: yardmaster\n"));
    assert!(!SECRETS_POLICY.contains(".Values"), "nothing turns it off");
}

/// A slot that is given up is left behind and paid for: that is for the account's owner, in every installation. That the API
/// server keeps to it is proved by `tests/whole/rights_of_tenants.rs`.
#[test]
fn giving_up_is_for_those_who_may_change_accounts() {
    for said in [
        "operations: [CREATE, UPDATE]",
        "failurePolicy: Fail",
        "validationActions: [Deny]",
        "resources: [agentinstances, agenttemplates]",
        "authorizer.group('yardmaster.dev').resource('provideraccounts').check('update').allowed()",
        crate::api::ABANDON_ANNOTATION,
    ] {
        assert!(ANNOTATIONS_POLICY.contains(said), "{said}");
    }
    assert!(
        !ANNOTATIONS_POLICY.contains(".Values"),
        "nothing turns it off"
    );
}

/// Who has which agent is the operator's word, in every installation. That the API server keeps to it is proved by
/// `tests/whole/claims.rs`.
#[test]
fn whose_an_agent_is_only_the_operator_says() {
    for said in [
        "operations: [CREATE, UPDATE]",
        "failurePolicy: Fail",
        "validationActions: [Deny]",
        "authorizer.group('yardmaster.dev').resource('agentclaims').subresource('status').check('patch').allowed()",
    ] {
        assert!(CLAIMS_POLICY.contains(said), "{said}");
    }
    assert!(!CLAIMS_POLICY.contains(".Values"), "nothing turns it off");
}
