//! From what a hand-made pool manager has left at Railway to the manifests that adopt it.
//!
//! What holds: a project or service is an agent's only where its name has exactly the predecessor's shape
//! (`facts/predecessors.md` A5: `assistant-<env>-<id>` for a project with one service of the same name; A10:
//! `convos-agent-<id>` for a service in the project that all once shared), and what bears Yardmaster's own marker is not
//! taken; what is left out is left out with its reason; a project in which anything else lives is never called Dedicated
//! by us; the same reading gives the same names. Deliberately absent: tools' resources, which only the predecessor's
//! database knows, and reading Railway (`process::import`).

use crate::api::AgentInstance;
use crate::api::instance::{AgentInstanceSpec, Ownership};
use crate::api::text::OutsideId;
use crate::model::{Home, Service};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What the manifests say beside what was found.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Their namespace.
    pub namespace: String,
    /// The ProviderAccount of the workspace.
    pub account: String,
    /// The template that they get.
    pub template: String,
    /// Whose the projects are; `None`: as found.
    pub ownership: Option<Ownership>,
    /// Only what is called so; none: all.
    pub prefixes: Vec<String>,
}

/// What became of a listing.
#[derive(Debug, Default)]
pub struct Import {
    /// The instances that adopt, in the order of their names.
    pub instances: Vec<AgentInstance>,
    /// What was left out, and why.
    pub skipped: Vec<(String, String)>,
}

impl Import {
    /// What the account has to list in its `spec.adoption` before any of the instances can adopt.
    pub fn ids(&self) -> BTreeSet<&OutsideId> {
        let adopted = self.instances.iter().flat_map(|one| &one.spec.adopt);
        adopted.map(|adopt| &adopt.project_id).collect()
    }
}

/// An agent that was found.
struct FoundAgent<'a> {
    home: &'a Home,
    service: &'a Service,
    environment: &'a str,
    ownership: Ownership,
    name: &'a str,
}

/// The manifests for every agent in these projects.
pub fn import(homes: &[Home], options: &ImportOptions) -> Import {
    let mut import = Import::default();
    let mut found = Vec::new();
    let mut sorted: Vec<&Home> = homes.iter().filter(|home| !home.deleted).collect();
    sorted.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    for home in sorted {
        match agents(home, options) {
            Ok(agents) => found.extend(agents),
            Err(why) => import
                .skipped
                .push((format!("{} ({})", home.name, home.id), why)),
        }
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in &found {
        *counts.entry(plain(one.name)).or_default() += 1;
    }
    for one in found {
        let base = plain(one.name);
        // Two names that differ in capitals only must not become one object.
        let name = if base == one.name && counts.get(&base) == Some(&1) {
            base
        } else {
            format!("{base}-{}", short(&one.service.id))
        };
        match instance(&one, name, options) {
            Ok(instance) => import.instances.push(instance),
            Err(error) => import
                .skipped
                .push((one.name.to_owned(), error.to_string())),
        }
    }
    import
        .instances
        .sort_by_key(|one| one.metadata.name.clone());
    import
}

/// The agents of a project, or why it has none.
fn agents<'a>(home: &'a Home, options: &ImportOptions) -> Result<Vec<FoundAgent<'a>>, String> {
    if let Some(marker) = &home.marker {
        return Err(format!(
            "Yardmaster made it, for {}/{} of installation {}",
            marker.namespace, marker.name, marker.installation
        ));
    }
    let Some(environment) = home.environment.as_deref() else {
        return Err("it has no environment".to_owned());
    };
    let alone = home.services.len() == 1;
    let own = home
        .services
        .iter()
        .find(|service| service.name == home.name)
        .or_else(|| home.services.first().filter(|_| alone));
    let agents: Vec<(&str, &Service)> = match own.filter(|_| is_project(&home.name)) {
        Some(service) => vec![(&home.name, service)],
        None if is_project(&home.name) => {
            return Err(format!(
                "none of its {} services is called as it is, so which one is the agent cannot be told; write its manifest by hand",
                home.services.len()
            ));
        }
        None => home
            .services
            .iter()
            .filter(|service| is_service(&service.name))
            .map(|service| (service.name.as_str(), service))
            .collect(),
    };
    if agents.is_empty() {
        return Err(
            "neither it nor a service in it is called assistant-<env>-<id> or convos-agent-<id>"
                .to_owned(),
        );
    }
    let wanted = |name: &str| {
        options.prefixes.is_empty()
            || options
                .prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    let agents: Vec<_> = agents
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    if agents.is_empty() {
        return Err("its name begins with none of --name-prefix".to_owned());
    }
    let ownership = options.ownership.unwrap_or(if alone {
        Ownership::Dedicated
    } else {
        Ownership::Shared
    });
    if ownership == Ownership::Dedicated && !alone {
        return Err(format!(
            "{} services live in it, so it cannot be Dedicated: leave --ownership out, or import it with Shared",
            home.services.len()
        ));
    }
    let found = agents.into_iter().map(|(name, service)| FoundAgent {
        home,
        service,
        environment,
        ownership,
        name,
    });
    Ok(found.collect())
}

fn instance(
    found: &FoundAgent<'_>,
    name: String,
    options: &ImportOptions,
) -> Result<AgentInstance, serde_json::Error> {
    let spec: AgentInstanceSpec = serde_json::from_value(json!({
        "templateRef": {"name": options.template},
        "accountRef": {"name": options.account},
        "updatePolicy": "Manual",
        "adopt": {
            "projectId": found.home.id,
            "serviceId": found.service.id,
            "environmentId": found.environment,
            "ownership": found.ownership,
        },
    }))?;
    let mut instance = AgentInstance::new(&name, spec);
    instance.metadata.namespace = Some(options.namespace.clone());
    Ok(instance)
}

/// `assistant-<env>-<id>`, the id with nanoid's alphabet and its length of 12 (A5).
fn is_project(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("assistant-") else {
        return false;
    };
    if !rest.is_ascii() || rest.len() < 14 {
        return false;
    }
    let (env, id) = rest.split_at(rest.len() - 12);
    env.len() > 1 && env.ends_with('-') && !env.starts_with('-') && legal(env) && legal(id)
}

/// A service of the shared project: `convos-agent-<id>` (A10), or the newer name.
fn is_service(name: &str) -> bool {
    let old = name.strip_prefix("convos-agent-");
    is_project(name) || old.is_some_and(|id| !id.is_empty() && legal(id))
}

fn legal(text: &str) -> bool {
    let of_nanoid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.chars().all(of_nanoid)
}

/// A name that Kubernetes takes, with room for a suffix.
fn plain(name: &str) -> String {
    let text: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        })
        .take(56)
        .collect();
    text.trim_matches('-').to_owned()
}

fn short(id: &str) -> String {
    let hash = Sha256::digest(id.as_bytes());
    hash.iter()
        .take(3)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
