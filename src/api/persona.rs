//! Who agents are to be: a template's persona and profile, and what a claim says itself.
//!
//! What holds: none of it is in any revision, so that another sentence deploys nothing. Deliberately absent: how it becomes what an
//! agent is told (`engine::persona`).

use super::account::KeyRef;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most bytes of the instructions that an agent is told, as the schema has it of those that stand in a spec.
pub const MOST_INSTRUCTIONS: usize = 32_768;

/// Who the agents of claims are that name the template in `personaRef`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.instructions) != has(self.instructionsFrom)").message("persona must have exactly one of instructions and instructionsFrom"))]
pub struct TemplatePersona {
    /// What an agent is to do, in words. `{{name}}` stands for the value of that name in `variables`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MOST_INSTRUCTIONS))]
    pub instructions: Option<String>,
    /// The same from ConfigMaps in the same namespace, one after the other, with an empty line between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub instructions_from: Vec<InstructionsSource>,
    /// What `{{name}}` in the instructions stands for. A name that is not here, or stands for nothing, is refused before anybody is told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    pub variables: BTreeMap<String, String>,
    /// The model that an agent is to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PersonaModel>,
}

/// Where a part of the instructions comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstructionsSource {
    /// A key of a ConfigMap.
    pub config_map_key_ref: KeyRef,
}

/// The model that an agent is to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonaModel {
    /// Its name, as the agent's program understands it.
    #[schemars(length(min = 1, max = 128))]
    pub default: String,
    /// Whether a claim may name another one in `agent.model`.
    #[serde(default)]
    pub allow_override: bool,
}

/// How the template is shown to people. An agent is told `displayName`, where its claim gives it no name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateProfile {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub display_name: Option<String>,
    /// Its sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub emoji: Option<String>,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub description: Option<String>,
    /// Among which others it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub category: Option<String>,
    /// Whether it is to be shown to everybody who may choose one. Yardmaster itself shows nothing.
    #[serde(default)]
    pub published: bool,
}

/// Who a claim's agent is to be: what it is told.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentPersona {
    /// Its name. Left out, the `profile.displayName` of the persona's template, or else the claim's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// What it is to do, in words, as they stand here. They take the place of those of `personaRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MOST_INSTRUCTIONS))]
    pub instructions: Option<String>,
    /// Where it is to join, as its harness understands it. It is passed on to the agent, and never called by Yardmaster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub join_url: Option<String>,
    /// Where its picture is. It is passed on to the agent, and never called by Yardmaster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https://[!-~]+$')").message("agent.profileImage must be an address that begins with https://, without spaces and in ASCII"))]
    pub profile_image: Option<String>,
    /// What else it is told, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    pub metadata: BTreeMap<String, String>,
    /// The model that it is to use. Only where the template in `personaRef` has `persona.model.allowOverride: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
}

fn texts_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}
