//! AgentPool: idle agents, deployed and ready, from which claims take theirs.
//!
//! Holds: a pool owns no instance; `spec.poolRef` of an instance names its pool, and counts are made from that.

use super::text::{NameRef, Span};
use super::updates::{UpdatePolicy, UpdateStrategy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Idle agents of one template.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "yardmaster.dev",
    version = "v1alpha1",
    kind = "AgentPool",
    plural = "agentpools",
    shortname = "agp",
    category = "yard",
    namespaced,
    status = "AgentPoolStatus",
    derive = "PartialEq",
    doc = "Idle agents of one template, deployed and ready, from which AgentClaims take theirs.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = Rule::new("self.metadata.name.size() <= 50").message("metadata.name must have at most 50 characters, because its agents' names begin with it; choose a shorter one"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Wanted", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Idle", type_ = "integer", json_path = ".status.idle"),
    printcolumn(name = "Creating", type_ = "integer", json_path = ".status.creating"),
    printcolumn(name = "Claimed", type_ = "integer", json_path = ".status.claimed"),
    printcolumn(name = "Unhealthy", type_ = "integer", json_path = ".status.unhealthy", priority = 1),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.updated", priority = 1),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting.count", priority = 1),
    printcolumn(name = "Template", type_ = "string", json_path = ".spec.templateRef.name", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentPoolSpec {
    /// How many agents are kept idle. Claimed ones do not count: for each that is claimed another one is made.
    #[serde(default = "AgentPoolSpec::replicas")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: i32,
    /// Most agents of this pool, idle and claimed together. Left out: as many as its accounts allow.
    // Not as an option in the schema: there null would be asked to be a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 100_000))]
    pub max_instances: Option<i32>,
    /// The template, in the same namespace. A change of it reaches those that are made from then on, and idle agents as updateStrategy
    /// says.
    #[x_kube(validation = Rule::new("self == oldSelf").message("templateRef is immutable: its agents would be of two kinds; make another AgentPool"))]
    pub template_ref: NameRef,
    /// The Railway accounts over which its agents are spread.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub account_refs: Vec<NameRef>,
    /// Most agents that are on their way at once.
    #[serde(default = "AgentPoolSpec::max_creating")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_creating: i32,
    /// Idle agents that failed are replaced by others, unless more than so many are unhealthy at once: then it is more likely
    /// something that they share, and nothing is replaced.
    #[serde(default = "AgentPoolSpec::max_unhealthy")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_unhealthy: i32,
    /// How a change of the template reaches idle agents. The template's own `rollout` has no part in it.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
    /// What holds for claims of this pool that say nothing else. It becomes a claim's own with the claim's status (`bindBy` as soon as it
    /// waits, `expiresAt` when it is bound), and stays so when this changes. A claim of a pool that is not there has none of it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_defaults: Option<ClaimDefaults>,
}

/// What holds for a pool's claims that say nothing else.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimDefaults {
    /// How long a claim waits for an agent, from its creation, or the pool's where that is later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_deadline: Option<Span>,
    /// How long an agent may take to answer when it is told who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s')").message("must be at least 5s: an agent that is given up sooner may just be about to answer, and is deleted in vain"))]
    pub provision_deadline: Option<Span>,
    /// How long a claim has its agent. Not for claims with `releasePolicy: Retain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Span>,
    /// Whether an agent takes new revisions of its template once a claim has it.
    // Not as an option in the schema: there null would be asked to be one of the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UpdatePolicy")]
    pub update_policy: Option<UpdatePolicy>,
}

impl AgentPoolSpec {
    fn replicas() -> i32 {
        1
    }
    fn max_creating() -> i32 {
        5
    }
    fn max_unhealthy() -> i32 {
        3
    }
}

/// What is known of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AgentPoolStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Agents that no claim has, ready or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Those of them that a claim can have now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub idle: Option<i32>,
    /// Those that are on their way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub creating: Option<i32>,
    /// Those that failed, or were ready and are not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub unhealthy: Option<i32>,
    /// Those that a claim can have now and that are at the template's revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub updated: Option<i32>,
    /// Those that are being updated, and that no claim can have meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub updating: Option<i32>,
    /// Agents of this pool that claims have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub claimed: Option<i32>,
    /// Claims that wait for an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingClaims>,
    /// By which its agents are found, for `kubectl scale` and what scales by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub selector: Option<String>,
    /// Replacements that came to nothing, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<ReplacementFailures>,
    /// Where the update of idle agents has stopped, and why. It stays stopped until the template is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_stopped: Option<StoppedUpdate>,
    /// Ready (as many as wanted are idle), Available (a claim can have one now), Progressing, RolledOut (every idle agent is at the
    /// template's revision), QuotaExceeded, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
}

/// The update of idle agents that has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoppedUpdate {
    /// The revision to which they were to be updated.
    #[schemars(length(max = 128))]
    pub revision: String,
    /// The agent that did not get ready at it.
    #[schemars(length(max = 253))]
    pub by: String,
    /// Why not, in one stable word.
    #[schemars(length(max = 64))]
    pub reason: String,
}

/// Claims that wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingClaims {
    /// How many.
    #[schemars(range(min = 0))]
    pub count: i32,
    /// Since when the first of them has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Time>,
}

/// How often agents that failed were replaced, and none got ready since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplacementFailures {
    /// How often.
    #[schemars(range(min = 0))]
    pub count: i32,
    /// When the last time was.
    pub last: Time,
    /// The template's revision by then. With another one it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub revision: Option<String>,
}
