//! What a claim's agent is told: the claim's own words, and those of the persona that it names.
//!
//! What holds: what cannot be put together is said before anybody is told, in a sentence that names the field; of the persona's template
//! nothing else counts; what a claim says itself wins. Deliberately absent: reading what is referred to, and telling.

use super::compose::{self, Broken, resolve};
use crate::api::condition::reason;
use crate::api::persona::{MOST_INSTRUCTIONS, TemplatePersona};
use crate::api::template::AgentTemplateSpec;
use crate::api::{AgentClaim, AgentTemplate, Seen};
use crate::model::Provision;
use crate::model::values::{References, Seal, Source, Values};
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most of a name that is repeated.
const NAME: usize = 64;

/// Whether what a claim says stands somewhere else, too.
pub fn refers(claim: &AgentClaim) -> bool {
    claim.spec.persona_ref.is_some() || !claim.spec.env.is_empty()
}

/// Names what of a claim is told anew when it changes: its instructions, and what else it tells.
pub fn said(seal: &Seal, claim: &AgentClaim) -> String {
    let own = &claim.spec.agent;
    let mut text = String::from("said;");
    let mut part = |value: &str| {
        let _ = write!(text, "{}:{value};", value.len());
    };
    // Left out is not empty: then the persona says it.
    part(own.instructions.as_deref().unwrap_or_default());
    for (name, value) in &own.metadata {
        part(name);
        part(value);
    }
    seal.hex(&text)
}

/// The template that a claim names for its persona. `found`: what there is of that name.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn template<'a>(
    claim: &AgentClaim,
    found: Option<&'a Seen<AgentTemplate>>,
) -> Result<Option<&'a AgentTemplate>, Broken> {
    let Some(named) = &claim.spec.persona_ref else {
        return Ok(None);
    };
    match found {
        Some(Seen::Read(template)) => Ok(Some(template)),
        Some(Seen::Unreadable(template)) => Err(not_ready(template.sentence())),
        None => Err(Broken {
            reason: reason::REFERENCE_NOT_FOUND,
            message: format!(
                "personaRef: there is no AgentTemplate {} in this namespace; make it",
                named.name
            ),
        }),
    }
}

/// What a persona refers to.
pub fn sources(persona: &TemplatePersona) -> References {
    let mut found = References::new();
    for part in &persona.instructions_from {
        let key = &part.config_map_key_ref;
        let source = Source::ConfigMap(key.name.0.clone());
        found.entry(source).or_default().insert(key.key.to_string());
    }
    found
}

/// What a claim refers to, and what its persona does.
pub fn references(claim: &AgentClaim, template: Option<&AgentTemplateSpec>) -> [References; 2] {
    let persona = template.and_then(|template| template.persona.as_ref());
    let persona = persona.filter(|_| claim.spec.agent.instructions.is_none());
    [
        compose::references(None, &claim.spec.env),
        persona.map(sources).unwrap_or_default(),
    ]
}

/// What an agent is told for a claim. `template`: the one that the claim names, if it names one.
///
/// # Errors
/// Something that it needs is missing, or may not be so.
pub fn provision(
    claim: &AgentClaim,
    template: Option<&AgentTemplate>,
    values: &Values,
) -> Result<Provision, Broken> {
    let own = &claim.spec.agent;
    let persona = template.and_then(|template| template.spec.persona.as_ref());
    let profile = template.and_then(|template| template.spec.profile.as_ref());
    let of_template = |broken: Broken| Broken {
        message: format!(
            "AgentTemplate {}: {}",
            template.map(ResourceExt::name_any).unwrap_or_default(),
            broken.message
        ),
        ..broken
    };
    let instructions = match (&own.instructions, persona) {
        (Some(own), _) => own.clone(),
        (None, Some(persona)) => instructions(persona, values).map_err(of_template)?,
        (None, None) => {
            let message = "it has no persona, and agent.instructions of the claim is left out; write one of the two";
            return Err(of_template(not_ready(message)));
        }
    };
    let display = profile.and_then(|profile| profile.display_name.clone());
    Ok(Provision {
        claim: claim.uid().unwrap_or_default(),
        agent_name: own
            .name
            .clone()
            .or(display)
            .unwrap_or_else(|| claim.name_any()),
        instructions,
        model: model(claim, persona)?,
        join_url: own.join_url.clone().map(SecretString::from),
        profile_image: own.profile_image.clone(),
        metadata: own.metadata.clone(),
        env: resolve(&claim.spec.env, values)?,
    })
}

fn model(claim: &AgentClaim, persona: Option<&TemplatePersona>) -> Result<Option<String>, Broken> {
    let said = persona.and_then(|persona| persona.model.as_ref());
    match (&claim.spec.agent.model, said) {
        (None, said) => Ok(said.map(|said| said.default.clone())),
        (Some(own), Some(said)) if said.allow_override => Ok(Some(own.clone())),
        (Some(_), _) => Err(Broken {
            reason: reason::NOT_ALLOWED,
            message: "agent.model: the template that personaRef names does not let claims choose (persona.model.allowOverride); take agent.model away, or name another persona".to_owned(),
        }),
    }
}

/// A persona's instructions, whole.
///
/// # Errors
/// A part of them is missing, or a variable has no value.
pub fn instructions(persona: &TemplatePersona, values: &Values) -> Result<String, Broken> {
    let mut parts: Vec<String> = persona.instructions.iter().cloned().collect();
    for part in &persona.instructions_from {
        let key = &part.config_map_key_ref;
        let data = values.get(&Source::ConfigMap(key.name.0.clone()));
        let missing = |what: String| Broken {
            reason: reason::REFERENCE_NOT_FOUND,
            message: format!(
                "persona.instructionsFrom: {what}; create it, or change the reference"
            ),
        };
        let data = data.ok_or_else(|| {
            missing(format!(
                "ConfigMap {} does not exist in this namespace",
                key.name
            ))
        })?;
        let text = data
            .get(key.key.as_str())
            .ok_or_else(|| missing(format!("ConfigMap {} has no key {}", key.name, key.key)))?;
        parts.push(text.expose_secret().trim_end().to_owned());
    }
    let text = filled(&parts.join("\n\n"), &persona.variables)?;
    let length = text.chars().count();
    match length {
        0 => Err(not_ready("persona: its instructions are empty; write some")),
        1..=MOST_INSTRUCTIONS => Ok(text),
        _ => Err(not_ready(format!(
            "persona: its instructions have {length} characters, and an agent is told {MOST_INSTRUCTIONS} at most; make them shorter"
        ))),
    }
}

/// A text with the values of its variables. A value is put in as it is: what it says is no variable.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> Result<String, Broken> {
    let (mut done, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else {
            break;
        };
        let name = name.trim();
        let Some(value) = variables.get(name).filter(|value| !value.is_empty()) else {
            let name: String = name.chars().take(NAME).collect();
            return Err(not_ready(format!(
                "persona: its instructions name the variable {name:?}, and persona.variables has no value for it; write one, or take {{{{{name}}}}} out of the text"
            )));
        };
        done.push_str(before);
        done.push_str(value);
        rest = behind;
    }
    done.push_str(rest);
    Ok(done)
}

fn not_ready(message: impl Into<String>) -> Broken {
    Broken {
        reason: reason::PERSONA_NOT_READY,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
