//! What an instance takes over instead of making it.
//!
//! Holds: it is named by the providers' own ids alone. Deliberately absent: whether it may be taken over (`engine::adopt`).

use super::text::{OutsideId, ToolName};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is taken over: a running project, and existing resources of tools.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adopt {
    /// The Railway project.
    pub project_id: OutsideId,
    /// The service in it that is the agent.
    pub service_id: OutsideId,
    /// The environment in which it runs: the project's primary one.
    pub environment_id: OutsideId,
    /// Dedicated: the project is this agent's alone and goes with it. Shared: others live in it, and it is never deleted.
    pub ownership: Ownership,
    /// Resources of tools that the agent has already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tools: Vec<AdoptTool>,
}

/// An existing resource of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptTool {
    /// The tool's name in the template.
    pub name: ToolName,
    /// The provider's id: an OpenRouter key's hash, an Exa key's public id (never the key itself), an inbox's address, a phone
    /// number with its plus sign, a wallet's id. What bears a name of Yardmaster's, or is another agent's, is not adopted. One
    /// that comes on demand is taken over when requestedTools names it.
    pub id: OutsideId,
}

/// Whose an adopted project is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ownership {
    /// The agent's alone.
    Dedicated,
    /// Others live in it.
    Shared,
}
