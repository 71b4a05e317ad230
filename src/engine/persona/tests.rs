//! Tests of `persona`.

use super::*;
use serde_json::{Value, json};

fn claim(rest: Value) -> AgentClaim {
    let mut spec = json!({"poolRef": {"name": "p"}, "personaRef": {"name": "t"}, "agent": {}});
    for (name, value) in rest.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let metadata = json!({"name": "c", "namespace": "n", "uid": "u"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn template(persona: Value) -> AgentTemplate {
    serde_json::from_value(json!({
        "metadata": {"name": "t"},
        "spec": {"persona": persona, "profile": {"displayName": "Ada"}},
    }))
    .unwrap()
}

fn values(data: &[(&str, &str)]) -> Values {
    let data = data.iter();
    let data = data.map(|(key, text)| ((*key).to_owned(), SecretString::from(*text)));
    Values::from([(Source::ConfigMap("texts".to_owned()), data.collect())])
}

fn told(claim: &AgentClaim, persona: Value) -> Result<Provision, Broken> {
    provision(claim, Some(&template(persona)), &Values::new())
}

#[test]
fn what_a_claim_says_itself_wins_over_its_persona() {
    let persona = json!({"instructions": "help {{ who }}", "variables": {"who": "Ben"}, "model": {"default": "small", "allowOverride": true}});
    let plain = told(&claim(json!({})), persona.clone()).unwrap();
    assert_eq!(plain.agent_name, "Ada");
    assert_eq!(plain.instructions, "help Ben");
    assert_eq!(plain.model.as_deref(), Some("small"));
    let own = json!({"agent": {"name": "Eve", "instructions": "as {{it}} stands", "model": "large", "metadata": {"a": "b"}}});
    let own = told(&claim(own), persona).unwrap();
    assert_eq!(own.agent_name, "Eve");
    assert_eq!(own.instructions, "as {{it}} stands");
    assert_eq!(own.model.as_deref(), Some("large"));
    assert_eq!(own.metadata["a"], "b");
}

#[test]
fn a_variable_without_a_value_is_named_before_anybody_is_told() {
    for (text, named) in [
        ("hello {{name}}", "\"name\""),
        ("hello {{empty}}", "\"empty\""),
        ("{{known}} and {{ un known }}", "\"un known\""),
    ] {
        let persona =
            json!({"instructions": text, "variables": {"known": "{{name}}", "empty": ""}});
        let broken = told(&claim(json!({})), persona).unwrap_err();
        assert_eq!(broken.reason, reason::PERSONA_NOT_READY);
        assert!(broken.message.contains(named), "{}", broken.message);
        assert!(broken.message.starts_with("AgentTemplate t: "));
    }
    // A value is no text with variables, and what is not closed is none.
    let persona =
        json!({"instructions": "{{known}} {{ and so on", "variables": {"known": "{{name}}"}});
    let said = told(&claim(json!({})), persona).unwrap();
    assert_eq!(said.instructions, "{{name}} {{ and so on");
}

#[test]
fn several_parts_are_joined_in_order_by_an_empty_line() {
    let part = |key: &str| json!({"configMapKeyRef": {"name": "texts", "key": key}});
    let persona: TemplatePersona = serde_json::from_value(
        json!({"instructionsFrom": [part("b"), part("a")], "variables": {"x": "1"}}),
    )
    .unwrap();
    let both = values(&[("a", "first {{x}}\n"), ("b", "second\n\n")]);
    let text = instructions(&persona, &both).unwrap();
    assert_eq!(text, "second\n\nfirst 1");
    let keys = &sources(&persona)[&Source::ConfigMap("texts".to_owned())];
    assert_eq!(keys.len(), 2);
    for (values, says) in [
        (values(&[("b", "second")]), "has no key a"),
        (Values::new(), "ConfigMap texts does not exist"),
    ] {
        let broken = instructions(&persona, &values).unwrap_err();
        assert_eq!(broken.reason, reason::REFERENCE_NOT_FOUND);
        assert!(broken.message.contains(says), "{}", broken.message);
    }
    let large = "x".repeat(MOST_INSTRUCTIONS);
    let large = values(&[("a", large.as_str()), ("b", "b")]);
    let broken = instructions(&persona, &large).unwrap_err();
    assert!(broken.message.contains("make them shorter"));
}

#[test]
fn what_may_not_be_or_is_missing_is_said() {
    let persona = || json!({"instructions": "x", "model": {"default": "small"}});
    let model = claim(json!({"agent": {"model": "large"}}));
    let broken = told(&model, persona()).unwrap_err();
    assert_eq!(broken.reason, reason::NOT_ALLOWED);
    assert!(broken.message.contains("agent.model"));
    let env =
        json!({"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
    let broken = told(&claim(env), persona()).unwrap_err();
    assert_eq!(broken.reason, reason::REFERENCE_NOT_FOUND);
    assert!(broken.message.contains("variable KEY: Secret s"));
    let bare: AgentTemplate =
        serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": {}})).unwrap();
    let broken = provision(&claim(json!({})), Some(&bare), &Values::new()).unwrap_err();
    assert!(broken.message.contains("has no persona"));
    let broken = super::template(&claim(json!({})), None).unwrap_err();
    assert_eq!(broken.reason, reason::REFERENCE_NOT_FOUND);
    assert!(broken.message.contains("AgentTemplate t"));
}
