//! AgentInstance: one agent, its project and everything in it.

use super::IDENTITY_ANNOTATION;
pub use super::adopt::{Adopt, AdoptTool, Ownership};
use super::claim::{ClaimRef, FromClaim};
use super::deployment::{DeploymentStatus, HarnessStatus, ProjectStatus};
use super::ledger::{LedgerEntry, Unknown};
use super::limits::{MonthlyUsd, Sizes};
use super::money::Money;
use super::template::{EnvVar, NameRef, ResolvedImage, ToolKind, ToolSpec};
use super::text::{Span, ToolName};
pub use super::updates::UpdatePolicy;
use super::updates::UpdateTo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One agent.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "yardmaster.dev",
    version = "v1alpha1",
    kind = "AgentInstance",
    plural = "agentinstances",
    shortname = "agi",
    category = "yard",
    namespaced,
    status = "AgentInstanceStatus",
    derive = "PartialEq",
    doc = "One agent: it has a Railway project of its own, which goes when the agent goes.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name must have at most 63 characters; choose a shorter one"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    printcolumn(name = "Template", type_ = "string", json_path = ".spec.templateRef.name"),
    printcolumn(name = "Up-To-Date", type_ = "string", json_path = ".status.conditions[?(@.type=='TemplateSynced')].status"),
    printcolumn(name = "Claim", type_ = "string", json_path = ".spec.claimRef.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.accountRef.name", priority = 1),
    printcolumn(name = "Project", type_ = "string", json_path = ".status.project.link", priority = 1),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image.requested", priority = 1),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.operatingMode", priority = 1),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.adopt) == has(oldSelf.adopt)").message("adopt cannot be added or taken away: what this instance has was made or taken over already; make another AgentInstance"),
    validation = Rule::new("has(self.poolRef) == has(oldSelf.poolRef)").message("poolRef cannot be added or taken away: it says for which pool the instance was made; make another AgentInstance"),
    validation = Rule::new("!has(oldSelf.claimRef) || (has(self.claimRef) ? self.claimRef.name == oldSelf.claimRef.name && (!has(oldSelf.claimRef.handedOverAt) || (has(self.claimRef.handedOverAt) && self.claimRef.handedOverAt == oldSelf.claimRef.handedOverAt)) : !has(oldSelf.claimRef.handedOverAt))").message("claimRef stays as it is once it has handedOverAt, and its name never changes: the agent may have been told who it is; delete the AgentInstance instead"),
    validation = Rule::new("!has(self.adopt) || !has(self.onExternalDeletion) || self.onExternalDeletion == 'Report'").message("onExternalDeletion must be Report with adopt: what was adopted cannot be made again, because nobody here knows the variables that it ran with; take onExternalDeletion away")
)]
pub struct AgentInstanceSpec {
    /// The template, in the same namespace.
    #[x_kube(validation = Rule::new("self == oldSelf").message("templateRef is immutable: another template may need another disk; make another AgentInstance"))]
    pub template_ref: NameRef,
    /// The Railway account in which its project is made.
    #[x_kube(validation = Rule::new("self == oldSelf").message("accountRef is immutable: a project cannot move between accounts; make another AgentInstance"))]
    pub account_ref: NameRef,
    /// Variables of this agent alone. They win over the template's; what a tool gives wins over both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 262144").message("the values of env must have at most 262144 characters together; put a large text into the image or let the agent fetch it"))]
    #[x_kube(validation = Rule::new("self.all(e, e.name != 'RAILWAY_RUN_UID')").message("env cannot have RAILWAY_RUN_UID here: as whom a program runs is its template's affair; write it into the AgentTemplate's env"))]
    pub env: Vec<EnvVar>,
    /// Running, or Suspended: nothing runs, and what holds data stays.
    #[serde(default)]
    pub operating_mode: OperatingMode,
    /// Automatic: follows its template in its turn. Manual: stays at its revision until this is set to Automatic, or its pool updates
    /// it (`updateStrategy`).
    #[serde(default)]
    pub update_policy: UpdatePolicy,
    /// Delete: everything outside goes with the object. Retain: it stays, and is nobody's any more.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Refuse to be deleted. Where that was asked for all the same, everything stays until this is set to false.
    #[serde(default)]
    pub deletion_protection: bool,
    /// How long after its creation the instance deletes itself, such as `72h`; when that is stands in status.expiresAt, at least an hour
    /// after this was set or shortened. Left out, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Span>,
    /// What happens when its project is deleted at the provider: made again, or reported. Left out: Report where there
    /// is a volume (its data is gone and a person should know), else Recreate. With `adopt` always Report: what was
    /// adopted is never made again, neither its project nor its service or volume.
    // Not as an option in the schema: there null would be asked to be one of the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnExternalDeletion")]
    pub on_external_deletion: Option<OnExternalDeletion>,
    /// Tools of the template with `when: OnDemand` that this instance wants now. One that is no longer named is taken back: a number
    /// or an address is then given up for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "set"))]
    pub requested_tools: Vec<ToolName>,
    /// Limits of this instance's tools of type openrouter, in place of the template's `limitUSD` and up to its `maxLimitUSD`.
    /// Changed in place, without a deployment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tool_limits: Vec<ToolLimit>,
    /// Something that runs already and is to be this instance's, instead of being made. Adopting changes nothing there: with
    /// `updatePolicy: Manual` it stays as it is, with Automatic it takes the template's revision in its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("adopt is immutable: what was taken over is in status.external; make another AgentInstance for something else"))]
    pub adopt: Option<Adopt>,
    /// The pool for which it was made. Yardmaster writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("poolRef is immutable: it says for which pool the instance was made; make another AgentInstance"))]
    pub pool_ref: Option<NameRef>,
    /// The claim that has it. Yardmaster writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_ref: Option<ClaimRef>,
    /// The revision to which its pool updates it, while no claim has it. Yardmaster writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_to: Option<UpdateTo>,
    /// What that claim brought. Yardmaster writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_claim: Option<FromClaim>,
}

impl AgentInstance {
    /// Under which UID what it has outside was made: the annotation says it, and where there is none, its own.
    pub fn identity(&self) -> String {
        let stated = self.annotations().get(IDENTITY_ANNOTATION);
        stated
            .filter(|stated| AgentInstance::is_identity(stated))
            .cloned()
            .or_else(|| self.uid())
            .unwrap_or_default()
    }

    /// Whether a claim has it for good.
    pub fn is_handed_over(&self) -> bool {
        let hold = self.spec.claim_ref.as_ref();
        hold.is_some_and(|hold| hold.handed_over_at.is_some())
    }

    /// The tools that its claim brought, once that has it for good.
    pub fn brought_tools(&self) -> &[ToolSpec] {
        let brought = self.spec.from_claim.as_ref();
        let brought = brought.filter(|_| self.is_handed_over());
        brought.map_or(&[], |brought| &brought.tools)
    }

    /// Whether it has things outside under its own UID, and was not restored from a backup of another object.
    pub fn is_its_own(&self) -> bool {
        self.uid().is_some_and(|uid| uid == self.identity())
    }

    /// Whether a text can be a UID. It becomes part of names and descriptions, and who may edit the object writes it.
    pub fn is_identity(text: &str) -> bool {
        let letter = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit();
        let end = |one: Option<&u8>| one.is_some_and(|one| letter(*one));
        let bytes = text.as_bytes();
        bytes.len() <= 64
            && end(bytes.first())
            && end(bytes.last())
            && bytes.iter().all(|one| letter(*one) || *one == b'-')
    }
}

/// A limit of one tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolLimit {
    /// The tool's name in the template.
    pub name: ToolName,
    /// What its key may spend, in US dollars (`20`, `"20.50"`), as `limitUSD` of the template says it.
    #[serde(rename = "limitUSD")]
    pub limit_usd: Money,
}

/// Whether the agent runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatingMode {
    /// It runs.
    #[default]
    Running,
    /// It does not, and what holds data stays.
    Suspended,
}

/// What happens outside when the object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It goes.
    #[default]
    Delete,
    /// It stays.
    Retain,
}

/// What happens when the project is deleted at the provider: made again, or reported. Left out: Report where there is
/// a volume (its data is gone and a person should know), else Recreate. With `adopt` always Report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExternalDeletion {
    /// It is made again.
    Recreate,
    /// It is told in a condition.
    Report,
}

/// Most names of variables on record: twice what one configuration can have (128 of a template, 128 of an instance, 128 of a
/// claim, what tools give, what we, its files and a harness's row give), because the old and the new ones may both be set until the provider has
/// answered.
pub const MOST_VARIABLES: usize = 910;

/// Most entries of a ledger. An instance has about fifteen; what a template no longer names stays until it is taken back.
pub const MOST_SLOTS: usize = 256;

/// What is known of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AgentInstanceStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Where the agent answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub url: Option<String>,
    /// The agent's project, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectStatus>,
    /// The image that it was deployed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ResolvedImage>,
    /// The template's revision that it was deployed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub template_revision: Option<String>,
    /// How large that revision made it, as far as the template says it: a lower limit of its account takes none of it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    /// How it took that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// The newest deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentStatus>,
    /// The program that the agent is, as it said when it was last ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harness: Option<HarnessStatus>,
    /// Names of the variables that were deployed, so that one no longer wanted is taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_VARIABLES), inner(length(max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub variables: Vec<String>,
    /// The ledger: everything outside that must be taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_SLOTS), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["slot"]))]
    pub external: Vec<LedgerEntry>,
    /// The agent's tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tools: Vec<ToolStatus>,
    /// What its tools cost a month, and its project has cost this month. Left out where that is nothing.
    #[serde(default, rename = "monthlyUSD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<MonthlyUsd>,
    /// What a restored object was, and whether it goes on as that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
    /// When the instance deletes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When the instance reached what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// Ready, Synced, Reconciling, Stalled, ToolsReady, ProjectReady, Deployed, Healthy, TemplateSynced, Suspended; HarnessSupported
    /// where it is False.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
}

/// How an instance took its template's revision: written when its configuration takes another one, and not by a change of
/// its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The revision.
    #[schemars(length(max = 128))]
    pub revision: String,
    /// When it was begun to be updated to it. Left out where it was its first revision, and once it has been ready at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<MicroTime>,
    /// Whether it served before, or an earlier update took it down: only then its not getting ready stops the rollout.
    #[serde(default)]
    pub served: bool,
    /// Whether a change of its own env was applied with it: then its not getting ready stops no rollout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_change: bool,
}

/// An object that was restored from a backup, under a new UID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The UID under which what is outside was made.
    #[schemars(length(max = 64))]
    pub identity: String,
    /// The object's own UID, since the account's owner has said that it goes on as what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub taken_over_by: Option<String>,
}

/// What is known of one tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolStatus {
    /// Its name in the template.
    #[schemars(length(max = 20))]
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ToolKind,
    /// Whether the agent has it.
    pub ready: bool,
    /// Why, in one stable word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why not, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Where it is reached: an address, a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub address: Option<String>,
    /// The Secret that holds its credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    /// What has been spent, where the provider tells it; brought up to date at each tenth of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ToolUsage>,
    /// What a newer version says of it.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// What a tool has spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolUsage {
    /// Spent when it was read, in US dollars; where the limit comes back, since it last did.
    #[serde(rename = "spentUSD")]
    #[schemars(schema_with = "super::money::told")]
    pub spent_usd: Money,
    /// The limit, as the provider has it, in US dollars.
    #[serde(default, rename = "limitUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::money::told")]
    pub limit_usd: Option<Money>,
    /// Spent in this month when it was read, in US dollars.
    #[serde(default, rename = "monthUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::money::told")]
    pub month_usd: Option<Money>,
    /// When it was read.
    pub as_of: MicroTime,
}

/// When the instance reached what, the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// The controller first saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<MicroTime>,
    /// Everything outside existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<MicroTime>,
    /// Its first deployment ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<MicroTime>,
    /// The agent said that it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<MicroTime>,
}
