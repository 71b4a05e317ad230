//! An upgrade deploys nothing: revision and configuration key of the templates and agents that 0.1.0 admitted are what
//! 0.1.0 made of them.

use super::*;
use crate::api::{AgentInstanceSpec, AgentTemplateSpec};
use crate::model::slot::parts;
use crate::model::values::References;
use serde::Deserialize;
use serde_json::Value;

const RECORDED: &str = include_str!("../../../tests/manifests/0.1.0/revisions.yaml");
const MANIFESTS: [&str; 3] = [
    include_str!("../../../tests/manifests/0.1.0/examples.yaml"),
    include_str!("../../../tests/manifests/0.1.0/corpus.yaml"),
    include_str!("../../../tests/manifests/0.1.0/admitted.yaml"),
];
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A value for everything that is referred to.
fn values(references: References) -> Values {
    references
        .into_iter()
        .map(|(source, keys)| {
            let pull = keys.contains(".dockerconfigjson");
            let data = keys
                .into_iter()
                .filter(|key| !pull || key != ".dockerconfigjson")
                .map(|key| (key.clone(), SecretString::from(format!("value of {key}"))))
                .collect();
            (source, data)
        })
        .collect()
}

/// Name and spec of every object of a kind.
fn objects<S: for<'de> Deserialize<'de>>(kind: &str) -> Vec<(String, S)> {
    MANIFESTS
        .iter()
        .flat_map(|text| serde_yaml_ng::Deserializer::from_str(text))
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|object| object["kind"] == kind)
        .map(|object| {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            (
                name,
                serde_json::from_value(object["spec"].clone()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn an_upgrade_deploys_nothing() {
    let (seal, token) = (
        Seal(SecretString::from("recorded")),
        SecretString::from("token"),
    );
    let agents: Vec<(String, AgentInstanceSpec)> = objects("AgentInstance");
    let (mut made, mut keys) = (String::new(), 0);
    for (name, template) in objects::<AgentTemplateSpec>("AgentTemplate") {
        let own = template_references(&template);
        let own = values(own.into_iter().flatten().collect());
        let revision = revision(&seal, &template, DIGEST, &own).unwrap();
        made.push_str(&format!("{name}: {revision}\n"));
        let given: BTreeMap<String, SecretString> = template
            .tools
            .iter()
            .flat_map(|tool| parts(tool.kind.provider()))
            .flat_map(|(_, row)| row.gives.names())
            .map(|name| (name.to_owned(), SecretString::from(format!("given {name}"))))
            .collect();
        // Each agent of the template, and with every template one that says nothing itself.
        let nobody = (String::from("nobody"), Vec::new());
        let of_it = agents
            .iter()
            .filter(|(_, agent)| agent.template_ref.name.as_str() == name)
            .map(|(agent, spec)| (agent.clone(), spec.env.clone()));
        for (agent, env) in of_it.chain([nobody]) {
            let mut all = own.clone();
            for (source, data) in values(references(None, &env)) {
                all.entry(source).or_default().extend(data);
            }
            let composed =
                compose(&seal, &template, DIGEST, (&env, &[]), &all, &token, &given).unwrap();
            made.push_str(&format!("{name} {agent}: {}\n", composed.key));
            keys += 1;
        }
    }
    assert!(keys > 25, "{keys}");
    let recorded = RECORDED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    assert!(
        made == recorded,
        "every running agent would be deployed anew; what the code makes now:\n{made}"
    );
}
