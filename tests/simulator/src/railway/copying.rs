//! Copies of a project: everything in it under ids of its own, at the times at which the original's came to be.
//!
//! For tests with many agents, which to make one by one takes minutes. Deliberately absent: the history of patches, and what
//! is still to happen to the original by itself: until then it is not copied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::Deserialize;
use serde_json::Value;

use super::access::Refusal;
use super::deployment::Deployment;
use super::naming::{check_project_name, service_domain};
use super::rows::{Environment, Project};
use crate::identity::uuid;

/// How a copy differs from its original.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    name: String,
    description: Option<String>,
    /// Names of services, by the original's.
    #[serde(default)]
    services: BTreeMap<String, String>,
    /// Values of variables, whichever service has them.
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

/// What things are called in a copy, by what the original calls them: ids, names, domains, and the tags of configurations.
#[derive(Default)]
pub(crate) struct Names {
    of: BTreeMap<String, String>,
    born: Vec<String>,
}

impl Names {
    fn id(&mut self, original: &str) -> String {
        let id = uuid();
        self.of.insert(original.to_owned(), id.clone());
        self.born.push(id.clone());
        id
    }

    fn call(&mut self, original: &str, name: String) -> String {
        self.of.insert(original.to_owned(), name.clone());
        name
    }

    fn find(&self, original: &str) -> String {
        let found = self.of.get(original).map(String::as_str);
        found.unwrap_or(original).to_owned()
    }

    /// A value with every key and text in it that is a name of the original's.
    fn throughout(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.find(text)),
            Value::Array(items) => items.iter().map(|item| self.throughout(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| (self.find(key), self.throughout(value)))
                .collect(),
            other => other.clone(),
        }
    }

    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        self.of
    }
}

/// A copy, and what everything is called in it.
pub(crate) fn copied(
    original: &Project,
    seq: u64,
    difference: Difference,
) -> Result<(Project, Names), Refusal> {
    fits(original, &difference)?;
    let mut names = Names::default();
    let mut copy = Project {
        id: names.id(&original.id),
        seq,
        name: names.call(&original.name, difference.name),
        description: difference.description,
        used: BTreeMap::new(),
        ..original.clone()
    };
    // The estate knows a project by itself.
    names.born.clear();
    for service in &mut copy.services {
        service.id = names.id(&service.id);
        if let Some(name) = difference.services.get(&service.name) {
            service.name = names.call(&service.name, name.clone());
        }
    }
    for volume in &mut copy.volumes {
        volume.id = names.id(&volume.id);
    }
    let called: BTreeMap<String, String> = copy
        .services
        .iter()
        .map(|service| (service.id.clone(), service.name.clone()))
        .collect();
    for row in &mut copy.environments {
        environment(row, &mut names, &called, &difference.variables);
    }
    copy.born = std::mem::take(&mut names.born);
    Ok((copy, names))
}

fn fits(original: &Project, difference: &Difference) -> Result<(), Refusal> {
    check_project_name(&difference.name)?;
    if original.due_at.is_some() {
        let why = "something is still to happen to the project by itself";
        return Err(Refusal::new(why));
    }
    let unknown = difference.services.keys().find(|name| {
        let mut services = original.services.iter();
        services.all(|service| service.name != **name)
    });
    match unknown {
        Some(name) => Err(Refusal::new(format!("no service is called {name:?}"))),
        None => Ok(()),
    }
}

fn environment(
    row: &mut Environment,
    names: &mut Names,
    services: &BTreeMap<String, String>,
    variables: &BTreeMap<String, String>,
) {
    let tag = row.config_tag();
    row.id = names.id(&row.id);
    names.call(&tag, row.config_tag());
    row.patches.clear();
    for instance in &mut row.instances {
        instance.id = names.id(&instance.id);
        instance.service_id = names.find(&instance.service_id);
    }
    for volume in &mut row.volume_instances {
        volume.id = names.id(&volume.id);
        volume.volume_id = names.find(&volume.volume_id);
        volume.service_id = volume.service_id.as_deref().map(|id| names.find(id));
    }
    for domain in &mut row.domains {
        domain.id = names.id(&domain.id);
        domain.service_id = names.find(&domain.service_id);
        let service = services.get(&domain.service_id).map_or("", String::as_str);
        domain.domain = names.call(&domain.domain, service_domain(service, &row.name));
    }
    row.config = names.throughout(&row.config);
    let parts = row.config["services"].as_object_mut();
    for part in parts.into_iter().flat_map(serde_json::Map::values_mut) {
        set(part, variables);
    }
    for deployment in &mut row.deployments {
        *deployment = Arc::new(copied_deployment(deployment, names, variables));
    }
}

/// Gives variables that a service's part of the config has other values.
fn set(part: &mut Value, variables: &BTreeMap<String, String>) {
    for (name, value) in variables {
        if let Some(had) = part.pointer_mut(&format!("/variables/{name}/value")) {
            *had = Value::String(value.clone());
        }
    }
}

fn copied_deployment(
    original: &Deployment,
    names: &mut Names,
    variables: &BTreeMap<String, String>,
) -> Deployment {
    let mut copy = Deployment {
        id: names.id(&original.id),
        service_id: names.find(&original.service_id),
        config: names.throughout(&original.config),
        // Whoever asks a copy keeps no other one awake.
        last_used: Arc::new(AtomicI64::new(original.last_used.load(Ordering::Relaxed))),
        ..original.clone()
    };
    set(&mut copy.config, variables);
    for (name, value) in &mut copy.variables {
        *value = match variables.get(name) {
            Some(other) => other.clone(),
            None => names.find(value),
        };
    }
    copy
}
