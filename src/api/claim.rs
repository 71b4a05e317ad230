//! AgentClaim: asks for one agent of a pool, gets exactly one, and tells it who it is.
//!
//! Holds: which agent a claim has stands in two places, the claim's status and the instance's `spec.claimRef`; whether that
//! agent may have been told stands in the latter alone. Deliberately absent: the order in which both are written
//! (`engine::claims`).

use super::persona::AgentPersona;
use super::template::EnvVar;
use super::text::{NameRef, ObjectName, Span, ToolName};
use super::tool::ToolSpec;
use super::updates::UpdatePolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One agent, asked for.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "yardmaster.dev",
    version = "v1alpha1",
    kind = "AgentClaim",
    plural = "agentclaims",
    shortname = "agc",
    category = "yard",
    namespaced,
    status = "AgentClaimStatus",
    derive = "PartialEq",
    doc = "Asks for one agent of a pool, gets exactly one, and tells it who it is. The agent goes when the claim goes.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name must have at most 63 characters; choose a shorter one"),
    validation = told("personaRef"),
    validation = told("env"),
    validation = told("bindDeadline"),
    validation = told("provisionDeadline"),
    validation = told("updatePolicy"),
    validation = told("agent.name"),
    validation = told("agent.joinUrl"),
    validation = told("agent.profileImage"),
    validation = told("agent.model"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.instanceRef) || (has(self.status) && ((has(self.status.instanceRef) && self.status.instanceRef.name == oldSelf.status.instanceRef.name) || (has(self.status.rejected) && self.status.rejected.exists(r, r.name == oldSelf.status.instanceRef.name))))").message("status.instanceRef stays, or moves to status.rejected: an agent that was claimed is never forgotten"),
    printcolumn(name = "Bound", type_ = "string", json_path = ".status.conditions[?(@.type=='Bound')].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.poolRef.name"),
    printcolumn(name = "Instance", type_ = "string", json_path = ".status.instanceRef.name"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.owner) == has(oldSelf.owner) && (!has(self.owner) || self.owner == oldSelf.owner)").message("owner is immutable: the claim stands in line for whom it was made; make another AgentClaim"),
    validation = Rule::new("has(self.personaRef) || has(self.agent.instructions)").message("agent.instructions must say what the agent is to do, or personaRef name an AgentTemplate whose persona does"),
    validation = Rule::new("!has(self.agent.model) || has(self.personaRef)").message("agent.model needs a personaRef whose template lets claims choose (persona.model.allowOverride); take agent.model away, or name one"),
    validation = Rule::new("!has(self.expiresAfter) || self.releasePolicy != 'Retain'").message("expiresAfter deletes the agent, and releasePolicy Retain keeps it: take one of the two away")
)]
pub struct AgentClaimSpec {
    /// The pool, in the same namespace. It may be made after the claim.
    #[x_kube(validation = Rule::new("self == oldSelf").message("poolRef is immutable: the claim stands in that pool's line, or has one of its agents; make another AgentClaim"))]
    pub pool_ref: NameRef,
    /// An AgentTemplate in the same namespace. Of it only `persona`, `profile` and tools with `when: Claim` count: never its image, and none
    /// of its variables. Such a tool stays with the agent as it was when the agent was handed over, whatever becomes of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona_ref: Option<NameRef>,
    /// Who the agent is to be.
    pub agent: AgentPersona,
    /// Variables that the agent is given when it is told who it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 262144").message("the values of env must have at most 262144 characters together; put a large text where the agent can fetch it"))]
    #[x_kube(validation = Rule::new("self.all(e, e.name != 'RAILWAY_RUN_UID')").message("env cannot have RAILWAY_RUN_UID here: as whom a program runs is its template's affair; write it into the AgentTemplate's env"))]
    pub env: Vec<EnvVar>,
    /// For whom the agent is. Where claims wait, owners take turns; a claim without one is an owner of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub owner: Option<String>,
    /// How long after its creation the claim waits for an agent, such as `5m`. Left out, as its pool's claimDefaults say, else for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_deadline: Option<Span>,
    /// How long an agent may take to answer when it is told who it is. Then it is deleted, and the claim gets another one. Left out, as
    /// its pool's claimDefaults say, else 75 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s')").message("must be at least 5s: an agent that is given up sooner may just be about to answer, and is deleted in vain"))]
    pub provision_deadline: Option<Span>,
    /// How long the claim has its agent, such as `72h`: then the agent is deleted, and the claim stays. Left out, as its pool's
    /// claimDefaults say, else for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Span>,
    /// What becomes of the agent when the claim is deleted. Delete: it goes. Retain: it stays as it is, nobody's.
    #[serde(default)]
    pub release_policy: ReleasePolicy,
    /// Whether the agent takes new revisions of its template once the claim has it: each is a deployment, and what the agent keeps
    /// in memory alone is lost by it. Left out, as its pool's claimDefaults say, else Manual.
    // Not as an option in the schema: there null would be asked to be one of the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UpdatePolicy")]
    pub update_policy: Option<UpdatePolicy>,
    /// What happens where no agent is free. Wait: the claim waits for one. Create: it waits as well, and the pool makes one more than it
    /// keeps idle, as far as maxInstances, maxCreating and its accounts let it. Whichever is ready first goes to the first in line.
    #[serde(default)]
    pub when_empty: WhenEmpty,
    /// How long after it has finished the claim is deleted, such as `24h`. It has finished when its time with its agent is over (Expired),
    /// when it has waited in vain (DeadlineExceeded), and when as many agents as it may try could not be told (ProvisionFailed); not
    /// where its agent has refused it or is lost: somebody has to see to that. Left out, never; where the claim is kept in Git leave it
    /// out, else it is made anew each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Span>,
}

/// What happens where no agent is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenEmpty {
    /// The claim waits.
    #[default]
    Wait,
    /// It waits, and the pool makes one more than it keeps idle.
    Create,
}

/// The rule that a field stays once a claim has an agent. Before that nobody was told anything, and nothing of the claim stands anywhere
/// else: whoever corrects it keeps his place in the line. It stands at the root, where the status is seen.
fn told(field: &str) -> Rule {
    let (new, old) = (
        format!("self.spec.{field}"),
        format!("oldSelf.spec.{field}"),
    );
    let rule = format!(
        "!has(oldSelf.status) || !has(oldSelf.status.instanceRef) || (has({new}) == has({old}) && (!has({new}) || {new} == {old}))"
    );
    let message = format!(
        "spec.{field} stays once the claim has an agent, which was told it; of a claim that has one only expiresAfter, releasePolicy, agent.instructions and agent.metadata change; make another AgentClaim"
    );
    Rule::new(rule).message(message.as_str())
}

/// What becomes of an agent whose claim is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReleasePolicy {
    /// It goes.
    #[default]
    Delete,
    /// It stays.
    Retain,
}

/// What is known of a claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AgentClaimStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The agent that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ref: Option<InstanceRef>,
    /// Agents that it had before and that could not be told. Each is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["uid"]))]
    pub rejected: Vec<InstanceRef>,
    /// Until when it waits for an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_by: Option<Time>,
    /// When its agent is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How long it has its agent, as its pool's claimDefaults said when it was bound. Nothing where the claim said it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Span>,
    /// How long its agent may take to answer, where its pool alone says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provision_deadline: Option<Span>,
    /// Where the agent answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub url: Option<String>,
    /// What the agent answered, as far as it lets nobody in anywhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "result_schema")]
    pub result: BTreeMap<String, String>,
    /// The Secret with what the agent answered that may let somebody in somewhere, such as an invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    /// Whether its variables are its agent's for good: whatever is deployed from now on has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub variables_kept: bool,
    /// Since when its agent has the tools with `when: Claim` that it needs: how long it may take to answer counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_ready_at: Option<MicroTime>,
    /// The tools with `when: Claim` whose variables its agent was told; where it takes in nothing new, what is deployed next has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tools_told: Vec<ToldTool>,
    /// Names the instructions and the metadata that the agent was told last: a keyed hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub told: Option<String>,
    /// Bound (it has an agent), Ready (the agent knows who it is, and has said so), Expired, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
}

fn result_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}

/// An AgentInstance, and no other one of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRef {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// A tool whose variables an agent was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToldTool {
    /// Its name.
    pub name: ToolName,
    /// Names the resources that gave them: a keyed hash. What is made again is told again.
    #[schemars(length(max = 64))]
    pub of: String,
}

/// What a claim brought to its agent, beside what it told it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FromClaim {
    /// The claim's variables. Whatever is deployed from now on has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// The tools with `when: Claim` that it has by its claim: those that its own template had when it was handed over, and those of the
    /// template that the claim names in personaRef. What becomes of the two templates afterwards changes nothing of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tools: Vec<ToolSpec>,
}

/// The claim that has an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRef {
    /// Its name.
    pub name: ObjectName,
    /// Its UID.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Since when the agent is the claim's for good: from here on it may have been told who it is, and is never idle again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_at: Option<MicroTime>,
}
