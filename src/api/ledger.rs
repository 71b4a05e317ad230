//! The ledger: for each outside resource of an instance what we intend, what we know, and what must be taken back
//! (design 3.2). It stands in `.status.external` and is all that a teardown needs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One outside resource that an instance needs. The table in `model::slot` says everything else about it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Slot {
    /// The project that holds everything else of the instance.
    Project,
    /// The environment that comes with the project.
    Environment,
    /// What runs the agent's image.
    Service,
    /// The disk that survives deployments.
    Volume,
    /// The public host name.
    Domain,
    /// Image, variables, limits: everything that a deployment is made from, applied at once.
    Configuration,
}

impl Slot {
    /// The name that people meet: in the ledger, in conditions, in the abandon annotation.
    pub fn name(self) -> &'static str {
        match self {
            Slot::Project => "project",
            Slot::Environment => "environment",
            Slot::Service => "service",
            Slot::Volume => "volume",
            Slot::Domain => "domain",
            Slot::Configuration => "configuration",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SlotState {
    /// An attempt is known not to have taken effect; the next one is due.
    Planned,
    /// An attempt is or may be under way; its outcome is unknown until recorded.
    Creating,
    /// It is there.
    Exists,
    /// Its deletion has been asked for.
    Deleting,
}

/// What we know about one outside resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Which one.
    pub slot: Slot,
    /// Who provides it.
    #[schemars(length(max = 63))]
    pub provider: String,
    /// The ProviderAccount that pays for it.
    #[schemars(length(max = 253))]
    pub account: String,
    /// How far it is.
    pub state: SlotState,
    /// What it is found by: its name outside, or for the configuration what it is made from (a keyed hash).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub key: String,
    /// The provider's id, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub id: Option<String>,
    /// Number of the attempt that the state speaks of.
    #[schemars(range(min = 0))]
    pub attempt: i32,
    /// When that attempt began.
    pub started_at: MicroTime,
}
