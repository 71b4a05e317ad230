//! AgentTemplate: what to stamp. Image, runtime settings, variables, and how a change rolls out.

use super::account::KeyRef;
use super::text::{
    Amount, HttpPath, ImageReference, MountPath, ObjectName, Region, Span, VariableName,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
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
    printcolumn(name = "Rollout", type_ = "string", json_path = ".status.conditions[?(@.type=='Progressing')].reason"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.runtime.image", priority = 1),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentTemplateSpec {
    /// How the agent runs.
    pub runtime: Runtime,
    /// Variables of every instance. An instance's own variables win over these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 262144").message("the values of env must have at most 262144 characters together; put a large text into the image or let the agent fetch it"))]
    pub env: Vec<EnvVar>,
    /// How a change reaches the instances.
    #[serde(default)]
    pub rollout: Rollout,
}

/// How the agent runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.port) == has(oldSelf.port) && (!has(self.port) || self.port == oldSelf.port)").message("runtime.port is immutable: the addresses of running agents lead to it; make another AgentTemplate"))]
#[x_kube(validation = Rule::new("has(self.volume) == has(oldSelf.volume)").message("runtime.volume cannot be added or taken away: a volume must be there before an agent's first deployment; make another AgentTemplate"))]
pub struct Runtime {
    /// The image, by tag or digest. A tag is resolved to a digest once for each change of the template.
    pub image: ImageReference,
    /// A Secret of type kubernetes.io/dockerconfigjson, or with the keys `username` and `password`, for a private image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secret_ref: Option<NameRef>,
    /// Command instead of the image's own. It is not run through a shell: write `sh -c '…'` where you need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3372))]
    pub start_command: Option<String>,
    /// Port on which the agent listens. Left out, the provider finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Where to run. Left out, the provider chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Upper limits of CPU and memory. Left out, the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// A disk that survives deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeSpec>,
    /// What happens when the process ends.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// Let the agent sleep when it has no traffic.
    #[serde(default)]
    pub sleep_when_idle: bool,
    /// Paths of the agent's HTTP interface.
    #[serde(default)]
    pub contract: Contract,
    /// How long a new deployment may take until the agent says that it is ready.
    #[serde(default = "Runtime::startup_deadline")]
    pub startup_deadline: Span,
}

impl Runtime {
    fn startup_deadline() -> Span {
        Span::from("15m")
    }
}

/// Upper limits.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.cpu) || has(self.memory)").message("runtime.resources must say cpu or memory, or be left out"))]
pub struct Resources {
    /// Virtual CPUs, such as `2` or `500m`: a fraction is written with m, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('1k')) <= 0").message("runtime.resources.cpu must be at most 1000 CPUs; write 2 or 500m, units such as Mi and Gi are for memory"))]
    pub cpu: Option<Amount>,
    /// Memory, such as `512Mi` or `4Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('128Mi')) >= 0 && quantity(string(self)).compareTo(quantity('16Ti')) <= 0").message("runtime.resources.memory must be between 128Mi and 16Ti; write a unit, such as 512Mi or 4Gi"))]
    pub memory: Option<Amount>,
}

/// A disk.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.size) || has(self.size)").message("runtime.volume.size cannot be taken away: leave the old size or write a larger one"))]
pub struct VolumeSpec {
    /// Where it is mounted.
    #[x_kube(validation = Rule::new("self == oldSelf").message("runtime.volume.mountPath is immutable: moving a disk under a running agent would hide its data; make another AgentTemplate"))]
    pub mount_path: MountPath,
    /// Its size, such as `5Gi`. It can grow and never shrink. Left out, the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0").message("runtime.volume.size cannot shrink: data would be lost; write the old size or a larger one"),
        validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('100Mi')) >= 0 && quantity(string(self)).compareTo(quantity('64Ti')) <= 0").message("runtime.volume.size must be between 100Mi and 64Ti; write a unit, such as 5Gi")
    )]
    pub size: Option<Amount>,
}

/// What happens when the process ends.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartPolicy {
    /// OnFailure, Always or Never.
    #[serde(default, rename = "type")]
    pub kind: RestartKind,
    /// How often OnFailure starts it again.
    #[serde(default = "RestartPolicy::retries")]
    #[schemars(range(min = 0, max = 100))]
    pub max_retries: i32,
}

impl RestartPolicy {
    fn retries() -> i32 {
        10
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        RestartPolicy {
            kind: RestartKind::OnFailure,
            max_retries: Self::retries(),
        }
    }
}

/// When a process that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartKind {
    /// When it failed.
    #[default]
    OnFailure,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Paths of the agent's HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// Answers 200 with `{"ready": true}` once the agent can work.
    #[serde(default = "Contract::health")]
    pub health: HttpPath,
}

impl Contract {
    fn health() -> HttpPath {
        HttpPath::from("/pool/health")
    }
}

impl Default for Contract {
    fn default() -> Self {
        Contract {
            health: Self::health(),
        }
    }
}

/// A reference to an object in the same namespace, or to a cluster-scoped one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameRef {
    /// Its name.
    pub name: ObjectName,
}

/// An environment variable: a value, or where it comes from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)").message("an env entry must have exactly one of value and valueFrom"))]
pub struct EnvVar {
    /// The variable's name.
    pub name: VariableName,
    /// Its value, where it is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    #[x_kube(validation = Rule::new("!self.contains('${{')").message("env value must not contain '${{': Railway would replace it with a reference; put such a value together inside the agent"))]
    pub value: Option<String>,
    /// Where its value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where a value comes from, in the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("valueFrom must have exactly one of secretKeyRef and configMapKeyRef"))]
pub struct ValueFrom {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
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
    /// Ready, Progressing, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
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
