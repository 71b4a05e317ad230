//! Tests of what a harness and a contract make of an agent.

use super::*;
use crate::api::template::{AgentTemplateSpec, EnvVar};
use crate::engine::compose::{Composed, compose, revision};
use crate::model::values::{Seal, Values};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const DIGEST: &str = "sha256:1";

/// A template with that runtime and these variables.
fn spec(runtime: Value, env: Value) -> AgentTemplateSpec {
    let mut spec = json!({"runtime": {"image": "ghcr.io/acme/agent:1.4"}, "env": env});
    for (name, value) in runtime.as_object().unwrap() {
        spec["runtime"][name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

/// The plain template with another runtime.
fn with(runtime: Value) -> AgentTemplateSpec {
    spec(runtime, json!([]))
}

fn seal() -> Seal {
    Seal(SecretString::from("seal"))
}

fn named(spec: &AgentTemplateSpec) -> String {
    revision(&seal(), spec, DIGEST, &Values::new()).unwrap()
}

/// What an agent of a template is deployed with. `own`: its own variables, and those that its claim brought.
fn composed(spec: &AgentTemplateSpec, own: (&[EnvVar], &[EnvVar])) -> Composed {
    let token = SecretString::from("t0ken");
    compose(
        &seal(),
        spec,
        DIGEST,
        own,
        &Values::new(),
        &token,
        &BTreeMap::new(),
    )
    .unwrap()
}

/// What a template's agents are started with, and their variables.
fn deployed(spec: &AgentTemplateSpec) -> (Option<String>, Vec<String>) {
    shown(&composed(spec, (&[], &[])))
}

fn shown(composed: &Composed) -> (Option<String>, Vec<String>) {
    let configuration = composed.for_attempt(1);
    let mut variables = configuration.variables;
    // Where files are laid, a script's last line starts it.
    let script = variables.iter().find(|one| one.name == "YARDMASTER_START");
    let last = script.and_then(|script| script.value.expose_secret().trim_end().lines().last());
    let start = last.map(|last| last.replace("exec ", "").replace('\'', ""));
    variables.retain(|one| !one.name.starts_with("YARDMASTER_"));
    let variables = variables
        .iter()
        .map(|one| format!("{}={}", one.name, one.value.expose_secret()));
    let variables = variables.collect();
    (start.or(configuration.start_command), variables)
}

#[test]
fn a_row_becomes_start_command_port_and_variables() {
    let volume = json!({"mountPath": "/data"});
    for (runtime, port, start, variables) in [
        (json!({}), None, None, "GATEWAY_TOKEN=t0ken"),
        (
            json!({"harness": "http", "port": 8080, "volume": volume}),
            Some(8080),
            None,
            "GATEWAY_TOKEN=t0ken PORT=8080",
        ),
        (
            json!({"harness": "openclaw"}),
            Some(18789),
            Some("openclaw gateway --bind lan --port 18789 --allow-unconfigured"),
            "OPENCLAW_GATEWAY_PORT=18789 OPENCLAW_GATEWAY_TOKEN=t0ken",
        ),
        (
            json!({"harness": "openclaw", "port": 9000, "volume": volume}),
            Some(9000),
            Some("openclaw gateway --bind lan --port 9000 --allow-unconfigured"),
            "OPENCLAW_GATEWAY_PORT=9000 OPENCLAW_GATEWAY_TOKEN=t0ken OPENCLAW_STATE_DIR=/data/.openclaw RAILWAY_RUN_UID=0",
        ),
        (
            json!({"harness": "hermes", "volume": volume, "startCommand": "/init gateway run"}),
            Some(8642),
            Some("/init gateway run"),
            "API_SERVER_ENABLED=true API_SERVER_HOST=0.0.0.0 API_SERVER_KEY=t0ken API_SERVER_PORT=8642 HERMES_HOME=/data",
        ),
        (
            json!({"harness": "opencode", "volume": volume}),
            Some(4096),
            Some("opencode serve --hostname 0.0.0.0 --port 4096"),
            "OPENCODE_SERVER_PASSWORD=t0ken RAILWAY_RUN_UID=0 XDG_DATA_HOME=/data",
        ),
        (
            json!({"harness": "openclaw", "entrypoint": "Runner", "volume": volume, "startCommand": "openclaw gateway"}),
            Some(8080),
            None,
            "GATEWAY_TOKEN=t0ken OPENCLAW_STATE_DIR=/data/.openclaw PORT=8080 RAILWAY_RUN_UID=0",
        ),
        (
            json!({"harness": "http", "entrypoint": "Runner", "port": 9000, "startCommand": "a", "contract": {"auth": {"type": "None"}}}),
            Some(9000),
            None,
            "AGENT_STATE_DIR=/tmp/agent GATEWAY_TOKEN=t0ken PORT=9000",
        ),
    ] {
        let spec = with(runtime.clone());
        let (started, given) = deployed(&spec);
        assert_eq!(
            port,
            super::port(spec.runtime.as_ref().unwrap()),
            "{runtime}"
        );
        assert_eq!(
            (started.as_deref(), given.join(" ").as_str()),
            (start, variables),
            "{runtime}"
        );
    }
}

#[test]
fn the_contract_comes_before_the_row_field_by_field() {
    for (harness, contract, variables) in [
        (
            "http",
            json!({"tokenVariable": "KEY", "portVariable": "P"}),
            "KEY=t0ken P=80",
        ),
        ("http", json!({"auth": {"type": "None"}}), "PORT=80"),
        (
            "opencode",
            json!({"portVariable": "PORT"}),
            "OPENCODE_SERVER_PASSWORD=t0ken PORT=80",
        ),
        (
            "openclaw",
            json!({"tokenVariable": "KEY", "auth": {"type": "Header", "header": "X-Key"}}),
            "KEY=t0ken OPENCLAW_GATEWAY_PORT=80",
        ),
    ] {
        let runtime = json!({"harness": harness, "port": 80, "contract": contract});
        let (_, given) = deployed(&with(runtime));
        assert_eq!(given.join(" "), variables, "{harness} {contract}");
    }
}

#[test]
fn token_and_port_are_the_controllers_and_the_rest_gives_way() {
    let env = json!([
        {"name": "API_SERVER_KEY", "value": "theirs"},
        {"name": "API_SERVER_PORT", "value": "1"},
        {"name": "API_SERVER_HOST", "value": "::"},
        {"name": "HERMES_HOME", "value": "/elsewhere"},
    ]);
    let own: Vec<EnvVar> = serde_json::from_value(env.clone()).unwrap();
    let runtime = json!({"harness": "hermes", "volume": {"mountPath": "/data"}});
    let (says, silent) = (spec(runtime.clone(), env), with(runtime));
    let expected = [
        "API_SERVER_ENABLED=true",
        "API_SERVER_HOST=::",
        "API_SERVER_KEY=t0ken",
        "API_SERVER_PORT=8642",
        "HERMES_HOME=/elsewhere",
    ];
    assert_eq!(deployed(&says).1, expected);
    assert_eq!(shown(&composed(&silent, (&own, &[]))).1, expected);
    assert_eq!(shown(&composed(&silent, (&[], &own))).1, expected);
}

#[test]
fn behind_the_runner_nobody_moves_what_it_writes_to() {
    let env = json!([
        {"name": "HERMES_HOME", "value": "/elsewhere"},
        {"name": "GATEWAY_TOKEN", "value": "theirs"},
    ]);
    let own: Vec<EnvVar> = serde_json::from_value(env).unwrap();
    let silent = with(json!({"harness": "hermes", "entrypoint": "Runner"}));
    let expected = ["GATEWAY_TOKEN=t0ken", "HERMES_HOME=/opt/data", "PORT=8080"];
    assert_eq!(shown(&composed(&silent, (&own, &[]))).1, expected);
    assert_eq!(shown(&composed(&silent, (&[], &own))).1, expected);
}

#[test]
fn what_reaches_a_deployment_is_in_the_revision_and_what_is_asked_is_not() {
    let of = |runtime: Value| named(&with(runtime));
    let usual = of(json!({}));
    for runtime in [
        json!({"harness": "http"}),
        json!({"harness": "http", "contract": {"auth": {"type": "Header", "header": "X-Key"}}}),
        json!({"contract": {"tokenVariable": "GATEWAY_TOKEN", "portVariable": "PORT"}}),
        json!({"contract": {"auth": {"type": "Bearer"}}, "port": 8080}),
    ] {
        assert_eq!(of(runtime.clone()), usual, "{runtime}");
    }
    let mut all = vec![usual];
    for runtime in [
        json!({"contract": {"tokenVariable": "KEY"}}),
        json!({"contract": {"portVariable": "P"}, "port": 8080}),
        json!({"harness": "http", "contract": {"auth": {"type": "None"}}}),
        json!({"harness": "openclaw"}),
        json!({"harness": "openclaw", "port": 9000}),
        json!({"harness": "openclaw", "startCommand": "openclaw gateway"}),
        json!({"harness": "openclaw", "volume": {"mountPath": "/data"}}),
        json!({"harness": "hermes"}),
        json!({"harness": "hermes", "port": 9000}),
        json!({"harness": "opencode"}),
        json!({"harness": "hermes", "entrypoint": "Runner"}),
        json!({"harness": "hermes", "entrypoint": "Runner", "startCommand": "hermes"}),
        json!({"harness": "hermes", "entrypoint": "Runner", "contract": {"health": "/x"}}),
    ] {
        all.push(of(runtime));
    }
    let different: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
    let env = json!([{"name": "API_SERVER_KEY", "value": "theirs"}]);
    let hermes = json!({"harness": "hermes"});
    assert_eq!(named(&spec(hermes.clone(), env)), named(&with(hermes)));
}

#[test]
fn a_credential_goes_where_it_is_asked_for() {
    let asked = |runtime: Value| readiness(with(runtime).runtime.as_ref().unwrap()).unwrap();
    let form = |probe: &ReadinessProbe| {
        let shown = probe.credential.as_ref();
        shown.map(|shown| format!("{} {}", shown.form, shown.variable))
    };
    for (runtime, expected) in [
        (json!({}), Some("Bearer token GATEWAY_TOKEN")),
        (
            json!({"harness": "http"}),
            Some("Bearer token GATEWAY_TOKEN"),
        ),
        (
            json!({"harness": "openclaw"}),
            Some("Bearer token OPENCLAW_GATEWAY_TOKEN"),
        ),
        (json!({"harness": "opencode", "entrypoint": "Runner"}), None),
        (
            json!({"harness": "hermes", "contract": {"health": "/health"}}),
            None,
        ),
        (
            json!({"harness": "hermes", "contract": {"health": "/health/detailed"}}),
            Some("Bearer token API_SERVER_KEY"),
        ),
        (
            json!({"harness": "opencode"}),
            Some("Basic password of user opencode OPENCODE_SERVER_PASSWORD"),
        ),
        (
            json!({"harness": "opencode", "contract": {"auth": {"type": "Basic", "username": "me"}}}),
            Some("Basic password of user me OPENCODE_SERVER_PASSWORD"),
        ),
        (
            json!({"harness": "http", "contract": {"auth": {"type": "Header", "header": "X-Key"}, "tokenVariable": "KEY"}}),
            Some("header X-Key KEY"),
        ),
        (
            json!({"harness": "http", "contract": {"auth": {"type": "None"}}}),
            None,
        ),
    ] {
        assert_eq!(
            form(&asked(runtime.clone())).as_deref(),
            expected,
            "{runtime}"
        );
    }
}

#[test]
fn a_version_is_read_elsewhere_only_where_the_answer_does_not_tell_it() {
    let place = |runtime: Value| {
        let probe = readiness(with(runtime).runtime.as_ref().unwrap()).unwrap();
        probe
            .version
            .map(|place| (place.path, place.credential.is_some()))
    };
    let status = json!({"path": "/startupz", "ready": {"status": 200}});
    for (runtime, expected) in [
        (json!({}), None),
        (json!({"harness": "http"}), None),
        (json!({"harness": "openclaw"}), None),
        (
            json!({"harness": "openclaw", "contract": {"health": "/readyz"}}),
            Some(("/startupz", true)),
        ),
        (
            json!({"harness": "openclaw", "contract": {"health": status}}),
            Some(("/startupz", true)),
        ),
        (
            json!({"harness": "opencode", "contract": {"health": "/doc"}}),
            Some(("/global/health", true)),
        ),
    ] {
        let expected = expected.map(|(path, sent): (&str, bool)| (path.to_owned(), sent));
        assert_eq!(place(runtime.clone()), expected, "{runtime}");
    }
}

#[test]
fn less_memory_than_a_program_needs_is_told() {
    let told = |runtime: Value| {
        let said = too_little(with(runtime).runtime.as_ref().unwrap())?;
        assert_eq!((said.kind, said.status), (kind::HARNESS_SUPPORTED, "False"));
        Some(said.message)
    };
    for (harness, resources, is_told) in [
        ("openclaw", json!({"memory": "512Mi"}), true),
        ("hermes", json!({"memory": "1023Mi"}), true),
        ("hermes", json!({"memory": "1Gi"}), false),
        ("hermes", json!({"cpu": "1"}), false),
        ("http", json!({"memory": "128Mi"}), false),
        ("openclaw", json!({"memory": "1Gi"}), true),
        ("opencode", json!({"memory": "128Mi"}), true),
    ] {
        let said = told(json!({"harness": harness, "resources": resources}));
        assert_eq!(said.is_some(), is_told, "{harness} {resources}");
        let least = if harness == "openclaw" { "2Gi" } else { "1Gi" };
        assert!(said.is_none_or(|said| said.contains(harness) && said.contains(least)));
    }
}

#[test]
fn the_template_says_what_is_asked_and_else_its_harness() {
    let asked = |harness: &str, health: Value| {
        let spec = with(json!({"harness": harness, "contract": {"health": health}}));
        let probe = readiness(spec.runtime.as_ref().unwrap()).unwrap();
        (probe.path, probe.expects)
    };
    let null = Value::Null;
    let ok = Expects::Status(200);
    let value = Expects::Value {
        pointer: "/state".into(),
        equals: "ok".into(),
    };
    let explicit = json!({"path": "/s", "ready": {"pointer": "/state", "equals": "ok"}});
    for (harness, health, path, expects) in [
        ("convos", null.clone(), "/pool/health", Expects::default()),
        ("convos", "/x".into(), "/x", Expects::default()),
        ("convos", explicit.clone(), "/s", value.clone()),
        ("http", null, "/", ok.clone()),
        ("http", "/x".into(), "/x", ok),
        ("http", explicit, "/s", value),
    ] {
        let said = asked(harness, health.clone());
        assert_eq!(said, (path.to_owned(), expects), "{harness} {health}");
    }
}

#[test]
fn one_that_is_not_understood_is_refused_in_words_and_read_all_the_same() {
    for health in [
        json!(7),
        json!({"path": "/"}),
        json!({"path": "/", "ready": {"pointer": "/a"}}),
        json!({"path": "/", "ready": {"status": 200, "equals": "a"}}),
    ] {
        let spec = with(json!({"contract": {"health": health}}));
        let broken = readiness(spec.runtime.as_ref().unwrap()).unwrap_err();
        assert_eq!(broken.reason, reason::VALUE_NOT_USABLE);
    }
}

/// The API server admits neither; what is stored all the same opens no agent.
#[test]
fn whatever_has_its_name_the_token_is_the_token() {
    for contract in [
        json!({"portVariable": "GATEWAY_TOKEN"}),
        json!({"tokenVariable": "PORT"}),
    ] {
        let spec = with(json!({"harness": "http", "port": 8080, "contract": contract}));
        let (_, variables) = deployed(&spec);
        assert!(
            variables.iter().any(|one| one.ends_with("=t0ken")),
            "{variables:?}"
        );
    }
}
