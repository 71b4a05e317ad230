//! A deployment as the status tells it: how far it is, what the agent in it answered and which program that is; and the project that it
//! is in.
//!
//! Holds: a word that only a provider or a newer version knows is kept as it is. Deliberately absent: what follows from a state
//! (`engine::deployment`).

use super::money::Money;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How far a deployment is. What a provider adds later maps to `Other` and blocks nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum DeploymentState {
    /// On its way up.
    Starting,
    /// Up.
    Running,
    /// Up, and put to sleep for want of traffic.
    Sleeping,
    /// Never came up.
    Failed,
    /// Came up and went down.
    Crashed,
    /// Taken away.
    Removed,
    /// Another one was asked for in its place. No provider says so.
    Superseded,
    /// A state that we do not know.
    Other(String),
}

impl DeploymentState {
    const KNOWN: [DeploymentState; 7] = [
        DeploymentState::Starting,
        DeploymentState::Running,
        DeploymentState::Sleeping,
        DeploymentState::Failed,
        DeploymentState::Crashed,
        DeploymentState::Removed,
        DeploymentState::Superseded,
    ];

    /// The word shown in status.
    pub fn word(&self) -> &str {
        match self {
            DeploymentState::Starting => "Starting",
            DeploymentState::Running => "Running",
            DeploymentState::Sleeping => "Sleeping",
            DeploymentState::Failed => "Failed",
            DeploymentState::Crashed => "Crashed",
            DeploymentState::Removed => "Removed",
            DeploymentState::Superseded => "Superseded",
            DeploymentState::Other(word) => word,
        }
    }

    /// Whether the agent runs in it, or would at the next request.
    pub fn is_up(&self) -> bool {
        matches!(self, DeploymentState::Running | DeploymentState::Sleeping)
    }
}

impl From<String> for DeploymentState {
    fn from(word: String) -> DeploymentState {
        let known = DeploymentState::KNOWN
            .into_iter()
            .find(|known| known.word() == word);
        known.unwrap_or(DeploymentState::Other(word))
    }
}

impl From<DeploymentState> for String {
    fn from(state: DeploymentState) -> String {
        state.word().to_owned()
    }
}

impl JsonSchema for DeploymentState {
    fn schema_name() -> Cow<'static, str> {
        "DeploymentState".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 300})
    }
}

impl DeploymentStatus {
    /// Whether another one was asked for in its place.
    pub fn is_superseded(&self) -> bool {
        self.state == DeploymentState::Superseded
    }

    /// Whether it is the deployment of this id.
    pub fn is(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// The provider's id. Left out where one was asked for and none was seen before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub id: Option<String>,
    /// Starting, Running, Sleeping, Failed, Crashed, Removed, Superseded (a newer one was asked for), or the
    /// provider's own word, cut.
    #[serde(rename = "status")]
    pub state: DeploymentState,
    /// Whether the agent has said, in this deployment, that it is ready.
    #[serde(default)]
    pub ready: bool,
    /// When it was asked for, or first seen where nobody asked: `startupDeadline` counts from here.
    pub since: MicroTime,
    /// What the agent answered last when it was asked whether it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerStatus>,
}

/// What an agent that is not ready answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnswerStatus {
    /// The HTTP status where another one is expected; OtherValue, NoValue, NotJson, TooLong, NotRunning, NotReached, NoAnswer or
    /// NotAsked.
    #[schemars(length(max = 32))]
    pub kind: String,
    /// When it was first written so. Another kind is written at the earliest as long after that as that was after the deployment
    /// was asked for: at least 2 s, at most 10 minutes.
    pub since: MicroTime,
}

/// The program that the agent is, as it said when it was last ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HarnessStatus {
    /// Its harness.
    #[schemars(length(max = 32))]
    pub name: String,
    /// Its version. Left out where it did not say one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_as_its_state() {
        for known in DeploymentState::KNOWN {
            assert_eq!(DeploymentState::from(String::from(known.clone())), known);
        }
        let other = DeploymentState::from("NeedsApproval".to_owned());
        assert_eq!(other, DeploymentState::Other("NeedsApproval".into()));
    }
}

/// Where people see the agent's project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatus {
    /// Its page at the provider: deployments, logs, costs.
    #[schemars(length(max = 300))]
    pub link: String,
    /// What it has cost since the first of the month (UTC), in US dollars at the provider's published prices. Told by the dollar.
    #[serde(default, rename = "monthUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::money::told")]
    pub month_usd: Option<Money>,
}
