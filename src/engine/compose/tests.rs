//! Tests of `compose`.

use super::*;
use crate::api::condition::reason;
use crate::api::template::Harness;
use crate::model::values::Source;

fn template(json: serde_json::Value) -> AgentTemplateSpec {
    serde_json::from_value(json).unwrap()
}

fn plain() -> AgentTemplateSpec {
    template(serde_json::json!({
        "runtime": {"image": "ghcr.io/acme/agent:1.4", "port": 8080, "resources": {"cpu": "500m", "memory": "1Gi"}},
        "env": [{"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    }))
}

fn values(value: &str) -> Values {
    let data = BTreeMap::from([("k".to_owned(), SecretString::from(value))]);
    BTreeMap::from([(Source::Secret("s".into()), data)])
}

fn seal() -> Seal {
    Seal(SecretString::from("seal"))
}

/// The plain template with another runtime.
fn with(runtime: serde_json::Value) -> AgentTemplateSpec {
    let mut json = serde_json::to_value(plain()).unwrap();
    for (name, value) in runtime.as_object().unwrap() {
        json["runtime"][name] = value.clone();
    }
    template(json)
}

#[test]
fn what_is_for_a_claim_is_in_no_revision_and_in_no_key_and_wins_over_what_the_claim_says() {
    let digest = "sha256:1";
    let mut with_tool = plain();
    let tool = serde_json::json!([{"name": "llm", "type": "openrouter", "when": "Claim", "accountRef": {"name": "a"}, "limitUSD": 5}]);
    with_tool.tools = serde_json::from_value(tool).unwrap();
    let named = |spec: &AgentTemplateSpec| revision(&seal(), spec, digest, &values("v")).unwrap();
    assert_eq!(named(&with_tool), named(&plain()));
    let token = SecretString::from("t");
    let claims = serde_json::json!([{"name": "OPENROUTER_API_KEY", "value": "claim"}]);
    let claims: Vec<EnvVar> = serde_json::from_value(claims).unwrap();
    let (env, values) = ((&[][..], &claims[..]), values("v"));
    let given = BTreeMap::new();
    let before = compose(&seal(), &with_tool, digest, env, &values, &token, &given).unwrap();
    let key = BTreeMap::from([("OPENROUTER_API_KEY".to_owned(), SecretString::from("tool"))]);
    let after = before.clone().bringing(&key);
    assert_eq!((&before.key, &before.own), (&after.key, &after.own));
    let deployed = after.for_attempt(1).variables;
    let own: Vec<&str> = deployed
        .iter()
        .filter(|one| one.name == "OPENROUTER_API_KEY")
        .map(|one| one.value.expose_secret())
        .collect();
    assert_eq!(own, ["tool"]);
    let compared = after.compared(1).variables;
    assert!(compared.iter().all(|one| one.name != "OPENROUTER_API_KEY"));
}

#[test]
fn what_says_that_an_agent_is_ready_is_in_no_revision() {
    let digest = "sha256:1";
    let left_out = revision(&seal(), &plain(), digest, &values("v")).unwrap();
    for runtime in [
        serde_json::json!({"contract": {"health": "/healthz"}}),
        serde_json::json!({"contract": {"health": {"path": "/", "ready": {"status": 200}}}}),
        serde_json::json!({"contract": {"health": {"path": "/", "ready": {"pointer": "/ok", "equals": "true"}}}}),
        serde_json::json!({"harness": "convos"}),
        serde_json::json!({"harness": "http"}),
    ] {
        let named = revision(&seal(), &with(runtime), digest, &values("v")).unwrap();
        assert_eq!(named, left_out);
    }
}

#[test]
fn persona_and_profile_are_in_no_revision() {
    let digest = "sha256:1";
    let of = |spec: &AgentTemplateSpec| revision(&seal(), spec, digest, &values("v")).unwrap();
    let left_out = of(&plain());
    for persona in [
        serde_json::json!({"instructions": "help {{who}}", "variables": {"who": "Ben"}}),
        serde_json::json!({"instructions": "help nobody", "model": {"default": "small", "allowOverride": true}}),
        serde_json::json!({"instructionsFrom": [{"configMapKeyRef": {"name": "c", "key": "k"}}]}),
    ] {
        let mut json = serde_json::to_value(plain()).unwrap();
        json["persona"] = persona;
        json["profile"] = serde_json::json!({"displayName": "Ada", "published": true});
        let spec = template(json);
        assert!(spec.persona.is_some() && spec.profile.is_some());
        assert_eq!(of(&spec), left_out);
        let token = SecretString::from("t");
        let key = |spec: &AgentTemplateSpec| {
            let given = BTreeMap::new();
            let values = values("v");
            compose(&seal(), spec, digest, (&[], &[]), &values, &token, &given)
        };
        assert_eq!(key(&spec).unwrap().key, key(&plain()).unwrap().key);
        // What has nothing else makes no agent.
        let alone = AgentTemplateSpec {
            runtime: None,
            ..spec
        };
        assert_eq!(key(&alone).unwrap_err().reason, reason::NO_RUNTIME);
    }
}

#[test]
fn a_harness_that_is_left_out_is_convos_and_stays_left_out() {
    let written = |spec: &AgentTemplateSpec| serde_json::to_value(&spec.runtime).unwrap();
    assert_eq!(plain().runtime.unwrap().harness, Harness::Convos);
    assert_eq!(written(&plain()).get("harness"), None);
    let said = with(serde_json::json!({"harness": "convos"}));
    assert_eq!(written(&said), written(&plain()));
    let http = with(serde_json::json!({"harness": "http"}));
    assert_eq!(written(&http)["harness"], "http");
}

#[test]
fn one_large_value_is_not_held_once_for_each_variable() {
    let from = |name: &str| serde_json::json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
    let env = |count: usize| -> Vec<EnvVar> {
        let all = (0..count).map(|n| from(&format!("V{n}"))).collect();
        serde_json::from_value(serde_json::Value::Array(all)).unwrap()
    };
    let values = values(&"x".repeat(100_000));
    assert_eq!(resolve(&env(2), &values).unwrap().len(), 2);
    let broken = resolve(&env(3), &values).unwrap_err();
    assert_eq!(broken.reason, reason::VALUE_NOT_USABLE);
    assert!(broken.message.contains("V2") && broken.message.contains("262144"));
}

#[test]
fn a_tag_gives_way_to_the_digest() {
    for (image, expected) in [
        ("ghcr.io/acme/agent:1.4", "ghcr.io/acme/agent@sha256:1"),
        ("ghcr.io/acme/agent@sha256:0", "ghcr.io/acme/agent@sha256:1"),
        (
            "ghcr.io/acme/agent:1.4@sha256:0",
            "ghcr.io/acme/agent@sha256:1",
        ),
        ("reg.example:5000/agent", "reg.example:5000/agent@sha256:1"),
    ] {
        assert_eq!(by_digest(image, "sha256:1"), expected);
    }
}

#[test]
fn the_revision_follows_what_reaches_a_deployment_and_nothing_else() {
    let base = revision(&seal(), &plain(), "sha256:1", &values("v")).unwrap();
    assert_eq!(
        base,
        revision(&seal(), &plain(), "sha256:1", &values("v")).unwrap()
    );
    assert_ne!(
        base,
        revision(&seal(), &plain(), "sha256:2", &values("v")).unwrap()
    );
    assert_ne!(
        base,
        revision(&seal(), &plain(), "sha256:1", &values("w")).unwrap()
    );
    assert_ne!(
        base,
        revision(
            &Seal(SecretString::from("x")),
            &plain(),
            "sha256:1",
            &values("v")
        )
        .unwrap()
    );
    let mut patient = plain();
    patient.runtime.as_mut().unwrap().startup_deadline = "1h".into();
    patient.rollout.max_unavailable = 7;
    assert_eq!(
        base,
        revision(&seal(), &patient, "sha256:1", &values("v")).unwrap()
    );
}

#[test]
fn the_instance_wins_over_the_template_and_the_controller_over_both() {
    let env: Vec<EnvVar> =
        serde_json::from_value(serde_json::json!([{"name": "A", "value": "2"}])).unwrap();
    let token = SecretString::from("t");
    let composed = compose(
        &seal(),
        &plain(),
        "sha256:1",
        (&env, &[]),
        &values("v"),
        &token,
        &BTreeMap::new(),
    )
    .unwrap();
    let shown: Vec<(String, String)> = composed
        .configuration
        .variables
        .iter()
        .map(|v| (v.name.clone(), v.value.expose_secret().to_owned()))
        .collect();
    let expected = [
        ("A", "2"),
        ("B", "v"),
        ("GATEWAY_TOKEN", "t"),
        ("PORT", "8080"),
    ];
    assert_eq!(shown, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(composed.configuration.cpu, Some(0.5));
}

#[test]
fn a_missing_key_is_told_by_name() {
    let empty = BTreeMap::from([(Source::Secret("s".into()), BTreeMap::new())]);
    let broken = revision(&seal(), &plain(), "sha256:1", &empty).unwrap_err();
    assert_eq!(broken.reason, reason::REFERENCE_NOT_FOUND);
    assert!(
        broken.message.contains("variable B: Secret s has no key k"),
        "{}",
        broken.message
    );
    assert!(revision(&seal(), &plain(), "sha256:1", &Values::new()).is_err());
    let reference = revision(&seal(), &plain(), "sha256:1", &values("a ${{X}}")).unwrap_err();
    assert_eq!(reference.reason, reason::VALUE_NOT_USABLE);
}

#[test]
fn pull_credentials_come_from_either_form_of_secret() {
    let mut spec = plain();
    spec.runtime.as_mut().unwrap().image_pull_secret_ref = Some(crate::api::template::NameRef {
        name: "pull".into(),
    });
    let with = |pairs: &[(&str, &str)]| -> Values {
        let data = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), SecretString::from(*v)))
            .collect();
        BTreeMap::from([(Source::Secret("pull".into()), data)])
    };
    let login = with(&[("username", "u"), ("password", "p")]);
    let direct = registry(spec.runtime.as_ref().unwrap(), &login)
        .unwrap()
        .unwrap();
    assert_eq!(direct.username, "u");
    let file = r#"{"auths":{"ghcr.io":{"auth":"dTpw"}}}"#;
    let docker = registry(
        spec.runtime.as_ref().unwrap(),
        &with(&[(".dockerconfigjson", file)]),
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        (docker.username.as_str(), docker.password.expose_secret()),
        ("u", "p")
    );
    // As `docker login` writes them, and for nobody else.
    let at = |key: &str| format!(r#"{{"auths":{{"{key}":{{"auth":"dTpw"}}}}}}"#);
    for (image, key, found) in [
        (
            "docker.io/acme/agent:1",
            "https://index.docker.io/v1/",
            true,
        ),
        ("docker.io/acme/agent:1", "https://ghcr.io/v1/", false),
        ("ghcr.io/acme/agent:1", "https://ghcr.io/", true),
        ("ghcr.io/acme/agent:1", "ghcr.io/other", false),
        ("ghcr.io/acme/agent:1", "ghcr.io.evil.example", false),
        ("r.example.com:5000/agent:1", "r.example.com:5000", true),
        ("r.example.com:5000/agent:1", "r.example.com", false),
    ] {
        let mut runtime = spec.runtime.clone().unwrap();
        runtime.image.0 = image.to_owned();
        let told = registry(&runtime, &with(&[(".dockerconfigjson", &at(key))]));
        assert_eq!(told.is_ok(), found, "{image} {key}");
    }
    assert!(registry(spec.runtime.as_ref().unwrap(), &with(&[("token", "x")])).is_err());
    assert!(registry(spec.runtime.as_ref().unwrap(), &Values::new()).is_err());
}

#[test]
fn each_attempt_is_a_change_of_its_own() {
    let token = SecretString::from("t");
    let composed = compose(
        &seal(),
        &plain(),
        "sha256:1",
        (&[], &[]),
        &values("v"),
        &token,
        &BTreeMap::new(),
    )
    .unwrap();
    let marker = |attempt| {
        let c = composed.for_attempt(attempt);
        c.variables
            .iter()
            .find(|v| v.name == CONFIGURATION_VARIABLE)
            .unwrap()
            .value
            .expose_secret()
            .to_owned()
    };
    assert_ne!(marker(1), marker(2));
}

#[test]
fn what_a_claim_brought_is_deployed_and_is_no_reason_to_deploy() {
    let brought: Vec<EnvVar> = serde_json::from_value(serde_json::json!([
        {"name": "A", "value": "claim"},
        {"name": "NEW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "EXA_API_KEY", "value": "claim"},
    ]))
    .unwrap();
    let (token, values) = (SecretString::from("t"), values("v"));
    let given = BTreeMap::from([("EXA_API_KEY".to_owned(), SecretString::from("tool"))]);
    let of = |brought: &[EnvVar]| {
        let env = (&[][..], brought);
        compose(&seal(), &plain(), "sha256:1", env, &values, &token, &given).unwrap()
    };
    let (before, after) = (of(&[]), of(&brought));
    assert_eq!((&before.key, &before.own), (&after.key, &after.own));
    let value = |configuration: &Configuration, name: &str| {
        let mut all = configuration.variables.iter();
        let found = all.find(|one| one.name == name);
        found.map(|one| one.value.expose_secret().to_owned())
    };
    let deployed = after.for_attempt(1);
    for (name, expected) in [("A", "claim"), ("NEW", "v"), ("EXA_API_KEY", "tool")] {
        assert_eq!(value(&deployed, name).as_deref(), Some(expected), "{name}");
        let many = deployed.variables.iter().filter(|one| one.name == name);
        assert_eq!(many.count(), 1);
    }
    assert!(after.names().contains(&"NEW".to_owned()));
    // Whether they are there already is nobody's trouble.
    let compared = after.compared(1);
    assert_eq!(
        (value(&compared, "A"), value(&compared, "NEW")),
        (None, None)
    );
    assert!(value(&compared, "EXA_API_KEY").is_some() && value(&compared, "B").is_some());
}

#[test]
fn what_leads_a_program_elsewhere_no_claim_brings() {
    let brought = serde_json::json!([
        {"name": "KEY", "value": "claim"},
        {"name": "OPENCODE_CONFIG", "value": "/tmp/theirs"},
        {"name": "XDG_CONFIG_HOME", "value": "/tmp/theirs"},
    ]);
    let brought: Vec<EnvVar> = serde_json::from_value(brought).unwrap();
    for (entrypoint, expected) in [
        ("Runner", &["KEY"][..]),
        ("Harness", &["KEY", "OPENCODE_CONFIG", "XDG_CONFIG_HOME"]),
    ] {
        let runtime =
            serde_json::json!({"image": "a/b:1", "harness": "opencode", "entrypoint": entrypoint});
        let spec = serde_json::from_value(serde_json::json!({"runtime": runtime})).unwrap();
        let (token, given) = (SecretString::from("t"), BTreeMap::new());
        let env = (&[][..], &brought[..]);
        let made = compose(
            &seal(),
            &spec,
            "sha256:1",
            env,
            &values("v"),
            &token,
            &given,
        );
        let brought = made.unwrap().brought;
        let names: Vec<&str> = brought.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, expected, "{entrypoint}");
    }
}
