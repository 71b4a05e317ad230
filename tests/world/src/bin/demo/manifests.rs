//! The manifests that the story applies, and what a fresh world lacks for them: namespaces, and the Railway tokens that
//! nobody keeps beside manifests.
//!
//! Absent: any check of the manifests; the API server does that.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize as _;
use serde_json::{Value, json};
use world::{SYSTEM_NAMESPACE, railway_token};

/// Where objects without a namespace go.
const DEFAULT_NAMESPACE: &str = "default";
/// How the credentials begin that the simulator takes for an account's of a provider of tools.
const TOOL_CREDENTIALS: [(&str, &str); 5] = [
    ("openrouter", "sk-or-mgmt-"),
    ("exa", "exa-svc-"),
    ("agentmail", "am_org_"),
    ("telnyx", "KEY"),
    ("bankr", "bk_ptr_"),
];

/// Objects in the order of files and documents.
pub(crate) struct Manifests(Vec<Value>);

/// What names an object.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Manifests {
    /// Reads files, and directories with all that is below them.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut objects = Vec::new();
        for path in paths {
            let mut files = Vec::new();
            collect(path, &mut files)?;
            for file in files {
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                for document in serde_yaml_ng::Deserializer::from_str(&text) {
                    let value = Value::deserialize(document);
                    let value = value.with_context(|| format!("{} is no YAML", file.display()))?;
                    // A values file or a kustomization beside manifests is none.
                    if value["kind"].is_string() && value["metadata"]["name"].is_string() {
                        objects.push(value);
                    }
                }
            }
        }
        if objects.is_empty() {
            let paths: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            bail!("no Kubernetes objects in {}", paths.join(", "));
        }
        Ok(Self(objects))
    }

    /// All objects, those first that others need: namespaces, Secrets and ConfigMaps, accounts, templates.
    pub(crate) fn in_order(&self) -> Vec<Value> {
        let mut objects = self.0.clone();
        objects.sort_by_key(|object| match object["kind"].as_str() {
            Some("Namespace") => 0,
            Some("Secret" | "ConfigMap") => 1,
            Some("ProviderAccount") => 2,
            Some("AgentTemplate") => 3,
            _ => 4,
        });
        objects
    }

    /// The names of all objects of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Name> {
        self.0
            .iter()
            .filter(|object| object["kind"] == kind)
            .map(name)
            .collect()
    }

    /// Accounts that instances name and nobody defines.
    pub(crate) fn missing_accounts(&self) -> BTreeSet<String> {
        let instances = self
            .0
            .iter()
            .filter(|object| object["kind"] == "AgentInstance");
        let named = instances.filter_map(|object| object["spec"]["accountRef"]["name"].as_str());
        let mut missing: BTreeSet<String> = named.map(str::to_owned).collect();
        for account in self.of_kind("ProviderAccount") {
            missing.remove(&account.name);
        }
        missing
    }

    /// An account that serves every namespace, for one that nobody defines.
    pub(crate) fn add_account(&mut self, name: &str) {
        self.0.push(json!({
            "apiVersion": "yardmaster.dev/v1alpha1",
            "kind": "ProviderAccount",
            "metadata": {"name": name},
            "spec": {
                "allowedNamespaces": {"selector": {}},
                "railway": {
                    "workspaceId": name,
                    "tokenSecretRefs": [{"name": name, "key": "token"}],
                },
            },
        }));
    }

    /// Takes away the pause that an account keeps between two new projects unless told otherwise: nobody here asks for it.
    pub(crate) fn hurry(&mut self) {
        let accounts = self
            .0
            .iter_mut()
            .filter(|object| object["kind"] == "ProviderAccount");
        for railway in accounts.filter_map(|account| account["spec"]["railway"].as_object_mut()) {
            railway
                .entry("projectInterval")
                .or_insert_with(|| json!("1ms"));
        }
    }

    /// The template that most instances are made from.
    pub(crate) fn main_template(&self) -> Option<Name> {
        let instances = self
            .0
            .iter()
            .filter(|object| object["kind"] == "AgentInstance");
        let used: Vec<&str> = instances
            .filter_map(|object| object["spec"]["templateRef"]["name"].as_str())
            .collect();
        let uses = |template: &Name| used.iter().filter(|name| **name == template.name).count();
        self.of_kind("AgentTemplate").into_iter().max_by_key(uses)
    }

    /// Namespaces that objects name and nobody defines.
    pub(crate) fn missing_namespaces(&self) -> BTreeSet<String> {
        let named = self
            .0
            .iter()
            .filter_map(|object| object["metadata"]["namespace"].as_str());
        let mut missing: BTreeSet<String> = named.map(str::to_owned).collect();
        missing.remove(DEFAULT_NAMESPACE);
        missing.remove(SYSTEM_NAMESPACE);
        for namespace in self.of_kind("Namespace") {
            missing.remove(&namespace.name);
        }
        missing
    }

    /// The Secrets with credentials that the accounts name and nobody defines, with credentials that the simulator knows.
    pub(crate) fn missing_secrets(&self) -> Vec<Value> {
        let known = self.of_kind("Secret");
        let mut secrets: Vec<Value> = Vec::new();
        let accounts = self
            .0
            .iter()
            .filter(|object| object["kind"] == "ProviderAccount");
        for (reference, credential) in accounts.flat_map(credentials) {
            let name = reference["name"].as_str().unwrap_or_default();
            let key = reference["key"].as_str().unwrap_or_default();
            if known.iter().any(|secret| secret.name == name) {
                continue;
            }
            let credential = json!(credential);
            match secrets
                .iter_mut()
                .find(|secret| secret["metadata"]["name"] == name)
            {
                Some(secret) => secret["stringData"][key] = credential,
                None => secrets.push(json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
                    "stringData": {key: credential},
                })),
            }
        }
        secrets
    }
}

/// Where an account looks for its credentials, each with one that opens the simulated account of its name.
fn credentials(account: &Value) -> Vec<(Value, String)> {
    let spec = &account["spec"];
    let railway = &spec["railway"];
    let workspace = railway["workspaceId"].as_str().unwrap_or_default();
    let tokens = railway["tokenSecretRefs"].as_array();
    let tokens = tokens.into_iter().flatten();
    let mut all: Vec<(Value, String)> = tokens
        .map(|reference| (reference.clone(), railway_token(workspace)))
        .collect();
    let name = account["metadata"]["name"].as_str().unwrap_or_default();
    for (provider, prefix) in TOOL_CREDENTIALS {
        let reference = &spec[provider]["credentialSecretRef"];
        if reference.is_object() {
            all.push((reference.clone(), format!("{prefix}{name}_x")));
        }
    }
    all
}

pub(crate) fn name(object: &Value) -> Name {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    Name {
        kind: text(&object["kind"]),
        namespace: metadata["namespace"]
            .as_str()
            .unwrap_or(DEFAULT_NAMESPACE)
            .to_owned(),
        name: text(&metadata["name"]),
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut below: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    below.sort();
    for path in below {
        let manifest = path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if path.is_dir() || manifest {
            collect(&path, files)?;
        }
    }
    Ok(())
}
