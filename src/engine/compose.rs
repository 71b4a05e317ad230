//! What a deployment is made from: template, instance and the values that they refer to, put together.
//!
//! What holds: the same inputs give the same key, and a key tells nothing about the values behind it, because it is a
//! keyed hash whose key only this installation has. An instance's variable wins over its template's; what the
//! controller itself sets wins over both.

use super::laying::{Laying, laying};
use super::program::ProgramSettings;
pub use super::pull::{Broken, registry, runtime};
pub use super::referred::{references, resolve, template_references};
use super::runner;
use crate::api::limits::Sizes;
use crate::api::template::{AgentTemplateSpec, EnvVar, RestartKind, Runtime, ToolTime};
use crate::model::values::{Seal, Values};
use crate::model::{Configuration, RegistryCredentials, Restart, Variable};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A configuration and the keyed hash that names it.
#[derive(Clone, Debug)]
pub struct Composed {
    /// What to deploy.
    pub configuration: Configuration,
    /// Names it.
    pub key: String,
    /// Names what of it is the instance's own: its variables.
    pub own: String,
    /// How large it makes the agent.
    pub sizes: Sizes,
    /// Variables that its claim brought. Whatever is deployed has them, and they are no reason to deploy anything: so they are in no
    /// key, and nobody sets them back.
    pub brought: Vec<Variable>,
}

/// The variable with which the controller recognises what it has applied.
const CONFIGURATION_VARIABLE: &str = "YARDMASTER_CONFIGURATION";

impl Composed {
    /// The configuration as one attempt applies it: each attempt is a change of its own, so that it is deployed even
    /// where an older one with the same content may or may not have landed (`facts/railway.md` 4: an identical patch
    /// deploys nothing).
    pub fn for_attempt(&self, attempt: i32) -> Configuration {
        let mut configuration = self.compared(attempt);
        configuration.variables.extend(self.brought.iter().cloned());
        configuration.variables.sort_by(|a, b| a.name.cmp(&b.name));
        configuration
    }

    /// What of an attempt is compared with what is there.
    pub fn compared(&self, attempt: i32) -> Configuration {
        let mut configuration = self.configuration.clone();
        let theirs = |name: &str| self.brought.iter().any(|one| one.name == name);
        configuration.variables.retain(|one| !theirs(&one.name));
        let value = SecretString::from(format!("{}.{attempt}", self.key));
        configuration.variables.push(Variable {
            name: CONFIGURATION_VARIABLE.into(),
            value,
        });
        configuration.variables.sort_by(|a, b| a.name.cmp(&b.name));
        configuration
    }

    /// With what tools with `when: Claim` give its agent: as whatever else its claim brought, but for that a tool's value wins.
    pub fn bringing(mut self, given: &BTreeMap<String, SecretString>) -> Composed {
        self.brought.retain(|one| !given.contains_key(&one.name));
        let given = given.iter().map(|(name, value)| Variable {
            name: name.clone(),
            value: value.clone(),
        });
        self.brought.extend(given);
        self
    }

    /// Names of every variable that is set.
    pub fn names(&self) -> Vec<String> {
        self.for_attempt(0)
            .variables
            .into_iter()
            .map(|variable| variable.name)
            .collect()
    }
}

/// The name of what every instance of a template is made from. It changes with the image's digest, with everything in
/// the spec that reaches a deployment, and with every value referred to; not with deadlines and rollout settings.
pub fn revision(
    seal: &Seal,
    template: &AgentTemplateSpec,
    digest: &str,
    values: &Values,
) -> Result<String, Broken> {
    let runtime = runtime(template)?;
    let image = by_digest(runtime.image.as_str(), digest);
    let program = ProgramSettings::of(runtime);
    let mut variables = program.usual();
    variables.extend(resolve(&template.env, values)?);
    let laying = laying(template, &program, &variables, values)?;
    variables.retain(|name, _| !program.gives(name));
    variables.extend(program.marks());
    // Every instance that takes the revision gets these tools, and so other variables. What a tool is limited to is
    // changed in place, and OnDemand and Claim are each instance's own affair.
    for tool in template
        .tools
        .iter()
        .filter(|tool| tool.when == ToolTime::Create)
    {
        let what = format!("{} {:?}", tool.kind.provider(), tool.inbox_key);
        variables.insert(format!("tool/{}", tool.name), SecretString::from(what));
    }
    let registry = registry(runtime, values)?;
    let configuration = configuration(runtime, laying, image, registry, variables);
    Ok(name(seal, &configuration))
}

/// The configuration of one instance. `env`: its own variables, and those that its claim brought; `given`: what its tools give it.
pub fn compose(
    seal: &Seal,
    template: &AgentTemplateSpec,
    digest: &str,
    (env, brought): (&[EnvVar], &[EnvVar]),
    values: &Values,
    token: &SecretString,
    given: &BTreeMap<String, SecretString>,
) -> Result<Composed, Broken> {
    let runtime = runtime(template)?;
    let image = by_digest(runtime.image.as_str(), digest);
    let program = ProgramSettings::of(runtime);
    let mut variables = program.usual();
    variables.extend(resolve(&template.env, values)?);
    let laying = laying(template, &program, &variables, values)?;
    let own = resolve(env, values)?;
    variables.extend(own.clone());
    variables.extend(given.clone());
    let brought = resolve(brought, values)?.into_iter();
    let reserved = runner::reserved(runtime);
    let of_program = |name: &str| program.gives(name) || laying.variables.contains_key(name);
    let theirs =
        |name: &str| given.contains_key(name) || reserved.contains(name) || of_program(name);
    let brought = brought.filter(|(name, _)| !theirs(name));
    let brought = brought.map(|(name, value)| Variable { name, value });
    let brought: Vec<Variable> = brought.collect();
    program.give_port(&mut variables);
    // Last: whatever else had its name, nobody gets at an agent with less than its token.
    program.give_token(&mut variables, token);
    let registry = registry(runtime, values)?;
    let configuration = configuration(runtime, laying, image, registry, variables);
    let key = name(seal, &configuration);
    Ok(Composed {
        configuration,
        key,
        own: own_name(seal, &own),
        sizes: sizes(runtime),
        brought,
    })
}

/// `name:tag` or `name@digest`, with exactly this digest instead.
pub fn by_digest(image: &str, digest: &str) -> String {
    let bare = image.split('@').next().unwrap_or(image);
    let tag = bare
        .rfind(':')
        .filter(|colon| bare.rfind('/').is_none_or(|slash| *colon > slash));
    format!("{}@{digest}", &bare[..tag.unwrap_or(bare.len())])
}

fn configuration(
    runtime: &Runtime,
    laying: Laying,
    image: String,
    registry: Option<RegistryCredentials>,
    mut variables: BTreeMap<String, SecretString>,
) -> Configuration {
    for (name, value) in laying.usual {
        variables.entry(name).or_insert(value);
    }
    variables.extend(laying.variables);
    let resources = runtime.resources.as_ref();
    let retries = u32::try_from(runtime.restart_policy.max_retries).unwrap_or(0);
    let volume = runtime.volume.as_ref();
    Configuration {
        image,
        start_command: laying.start,
        region: runtime.region.as_ref().map(|region| region.0.clone()),
        cpu: resources
            .and_then(|r| r.cpu.as_ref())
            .and_then(|cpu| cpu.units()),
        memory_bytes: resources
            .and_then(|r| r.memory.as_ref())
            .and_then(|m| m.units())
            .map(whole),
        restart: match runtime.restart_policy.kind {
            RestartKind::Always => Restart::Always,
            RestartKind::Never => Restart::Never,
            RestartKind::OnFailure => Restart::OnFailure(retries),
        },
        sleep_when_idle: runtime.sleep_when_idle,
        registry,
        volume_mount: volume.map(|volume| volume.mount_path.0.clone()),
        volume_megabytes: volume
            .and_then(|volume| volume.size.as_ref())
            .and_then(|size| size.units())
            .map(|bytes| whole(bytes / 1e6)),
        variables: variables
            .into_iter()
            .map(|(name, value)| Variable { name, value })
            .collect(),
    }
}

fn sizes(runtime: &Runtime) -> Sizes {
    let (resources, volume) = (runtime.resources.as_ref(), runtime.volume.as_ref());
    Sizes {
        cpu: resources.and_then(|said| said.cpu.clone()),
        memory: resources.and_then(|said| said.memory.clone()),
        volume: volume.and_then(|volume| volume.size.clone()),
    }
}

/// Admitted amounts are positive and far below 2^53.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(units: f64) -> u64 {
    units.round().max(0.0) as u64
}

/// A keyed hash of every field; each part goes in with its length, so that no two configurations read alike.
fn name(seal: &Seal, c: &Configuration) -> String {
    let mut text = String::new();
    let mut part = |value: &str| {
        let _ = write!(text, "{}:{value};", value.len());
    };
    part(&c.image);
    part(c.start_command.as_deref().unwrap_or_default());
    part(c.region.as_deref().unwrap_or_default());
    part(&format!(
        "{:?} {:?} {:?} {}",
        c.cpu, c.memory_bytes, c.restart, c.sleep_when_idle
    ));
    part(&format!("{:?} {:?}", c.volume_mount, c.volume_megabytes));
    if let Some(credentials) = &c.registry {
        part(&credentials.username);
        part(credentials.password.expose_secret());
    }
    for variable in &c.variables {
        part(&variable.name);
        part(variable.value.expose_secret());
    }
    seal.hex(&text)
}

/// A keyed hash of an instance's own variables. It says first what it is of, so that it equals no configuration's.
fn own_name(seal: &Seal, variables: &BTreeMap<String, SecretString>) -> String {
    let mut text = String::from("own;");
    for (name, value) in variables {
        let value = value.expose_secret();
        let _ = write!(text, "{}:{name};{}:{value};", name.len(), value.len());
    }
    seal.hex(&text)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod recorded_tests;
