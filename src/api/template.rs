//! AgentTemplate: what to stamp. Image, runtime settings, variables, and how a change rolls out; and who agents are to be.

use super::files;
pub use super::files::{FileMode, TemplateFile};
use super::persona::{TemplatePersona, TemplateProfile};
pub use super::runtime::{
    AgentAuth, AuthType, Contract, Entrypoint, Harness, HealthCheck, HealthContract, ReadyAnswer,
    Resources, RestartKind, RestartPolicy, Runtime, VolumeSpec,
};
pub use super::text::NameRef;
use super::text::Span;
use super::tool::given;
pub use super::tool::{LimitReset, ReclaimPolicy, ToolKind, ToolSpec, ToolTime};
pub use super::values::{EnvVar, ValueFrom};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every instance of the template is made from.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "yardmaster.dev",
    version = "v1alpha1",
    kind = "AgentTemplate",
    plural = "agenttemplates",
    shortname = "agt",
    category = "yard",
    namespaced,
    status = "AgentTemplateStatus",
    derive = "PartialEq",
    doc = "What every agent of this template is made from, and how a change of it reaches them.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name must have at most 63 characters; choose a shorter one"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Instances", type_ = "integer", json_path = ".status.instances"),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.updatedInstances"),
    printcolumn(name = "Rolled-Out", type_ = "string", json_path = ".status.conditions[?(@.type=='RolledOut')].status"),
    printcolumn(name = "Rollout", type_ = "string", json_path = ".status.conditions[?(@.type=='RolledOut')].reason"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.runtime.image", priority = 1),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.runtime) || has(self.persona)").message("runtime must say how agents run; it may be left out only beside persona, in a template that claims name in personaRef"),
    validation = Rule::new("!has(oldSelf.runtime) || has(self.runtime)").message("runtime cannot be taken away: agents may be made from it; make another AgentTemplate for a persona alone"),
    validation = Rule::new(files::NEED_RUNTIME.0).message(files::NEED_RUNTIME.1),
    validation = Rule::new(files::OF_ANY_PROGRAM.0).message(files::OF_ANY_PROGRAM.1),
    validation = Rule::new(files::OF_A_KNOWN_PROGRAM.0).message(files::OF_A_KNOWN_PROGRAM.1),
    validation = given("OPENROUTER_API_KEY"),
    validation = given("EXA_API_KEY"),
    validation = given("AGENTMAIL_INBOX"),
    validation = given("AGENTMAIL_API_KEY"),
    validation = given("TELNYX_PHONE_NUMBER"),
    validation = given("TELNYX_MESSAGING_PROFILE_ID"),
    validation = given("WALLET_PRIVATE_KEY"),
    validation = given("WALLET_ADDRESS"),
    validation = given("BANKR_API_KEY"),
    validation = given("BANKR_WALLET_ADDRESS")
)]
pub struct AgentTemplateSpec {
    /// How the agent runs. Left out in a template that only has a persona: no AgentInstance and no AgentPool can be made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Who the agents of claims are that name this template in `personaRef`. To change it deploys nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<TemplatePersona>,
    /// How it is shown to people. To change it deploys nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<TemplateProfile>,
    /// Variables of every instance. An instance's own variables win over these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 262144").message("the values of env must have at most 262144 characters together; put a large text into the image or let the agent fetch it"))]
    pub env: Vec<EnvVar>,
    /// Files that are laid before the agent's program starts, by a start command: the image needs /bin/sh, base64 and mkdir, and with
    /// `runtime.harness` convos or http `runtime.startCommand` must be written, whose words are started then. A file can be read and written by
    /// its owner alone, who is the owner of its directory where the container runs as root. To change files deploys every instance anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    #[x_kube(validation = Rule::new("self.map(e, has(e.content) ? e.content.size() : 0).sum() <= 262144").message("the contents of files must have at most 262144 characters together; put a large file into the image or let the agent fetch it"))]
    pub files: Vec<TemplateFile>,
    /// What the agent is given at other providers: each instance gets its own. A tool that is taken away here is taken
    /// back from every instance: its key is revoked, its address and number are given up for good, its wallet is put to
    /// rest or destroyed as `reclaimPolicy` says. To change a tool's type or account, give the new one another name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(
        validation = Rule::new("self.all(t, self.filter(u, u.type == t.type).size() == 1)").message("tools must have at most one of each type: their values reach the agent under one name each; take one of the two away, or make another AgentTemplate for it"),
        validation = Rule::new("self.all(t, oldSelf.all(o, o.name != t.name || o.type == t.type))").message("tools[].type is immutable: what instances were given under that name is of the old type; give the new tool another name"),
        validation = Rule::new("self.all(t, oldSelf.all(o, o.name != t.name || (has(o.accountRef) == has(t.accountRef) && (!has(o.accountRef) || o.accountRef.name == t.accountRef.name))))").message("tools[].accountRef is immutable: what instances were given lives in that account; give the new tool another name")
    )]
    pub tools: Vec<ToolSpec>,
    /// How a change reaches the instances.
    #[serde(default)]
    pub rollout: Rollout,
}

/// How a change of the template reaches its instances.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Most instances that are being updated, or did not get ready after it, at one time.
    #[serde(default = "Rollout::max_unavailable")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_unavailable: i32,
    /// How long an updated instance may take to get ready before the rollout stops by itself.
    #[serde(default = "Rollout::progress_deadline")]
    pub progress_deadline: Span,
}

impl Rollout {
    fn max_unavailable() -> i32 {
        1
    }
    fn progress_deadline() -> Span {
        Span::from("20m")
    }
}

impl Default for Rollout {
    fn default() -> Self {
        Rollout {
            max_unavailable: Self::max_unavailable(),
            progress_deadline: Self::progress_deadline(),
        }
    }
}

/// What is known of the template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AgentTemplateStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Names what instances are made from: a keyed hash of the spec, the image's digest and every value referred to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub revision: Option<String>,
    /// What the image's tag was resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ResolvedImage>,
    /// Instances of this template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub instances: Option<i32>,
    /// Those that are ready at the current revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub updated_instances: Option<i32>,
    /// The newest rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<TemplateRollout>,
    /// Ready (instances can be made from it), Progressing (a rollout is under way, and has not stopped), RolledOut (every instance
    /// that follows is ready at the current revision), Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
}

/// A rollout: of which revision, and when it began and ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRollout {
    /// The revision.
    #[schemars(length(max = 128))]
    pub revision: String,
    /// When instances were first seen to be behind it.
    pub begun_at: MicroTime,
    /// When every instance that follows was first ready at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<MicroTime>,
}

/// An image and what it was resolved to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedImage {
    /// As the template asks for it.
    #[schemars(length(max = 512))]
    pub requested: String,
    /// `sha256:…`.
    #[schemars(length(max = 128))]
    pub digest: String,
}
