//! AgentTemplate: what to stamp. Image, runtime settings, variables, and how a change rolls out.

use super::account::KeyRef;
use super::text::{
    Amount, AreaCode, CountryCode, HttpPath, ImageReference, MountPath, ObjectName, Region, Span,
    ToolName, VariableName,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};

use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
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
    /// How the agent runs.
    pub runtime: Runtime,
    /// Variables of every instance. An instance's own variables win over these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 262144").message("the values of env must have at most 262144 characters together; put a large text into the image or let the agent fetch it"))]
    pub env: Vec<EnvVar>,
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

/// Something that each agent gets at another provider.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'wallet' || has(self.accountRef)").message("tools[].accountRef is required: it names the ProviderAccount that pays for the tool; only type wallet, which is made here, has none"),
    validation = Rule::new("self.type != 'wallet' || !has(self.accountRef)").message("tools[].accountRef is not for type wallet: its key is made here and nobody pays for it; take accountRef away, or use type bankr for a wallet at Bankr"),
    validation = Rule::new("self.type == 'openrouter' || (!has(self.limitUSD) && !has(self.maxLimitUSD))").message("tools[].limitUSD and maxLimitUSD are for type openrouter; take them away, or use budgetUSD with type exa and maxMonthlyCostUSD with type telnyx"),
    validation = Rule::new("self.type != 'openrouter' || has(self.limitUSD)").message("tools[].limitUSD is required with type openrouter: a key without a limit can spend everything"),
    validation = Rule::new("!has(self.limitUSD) || !has(self.maxLimitUSD) || self.limitUSD <= self.maxLimitUSD").message("tools[].limitUSD must not be above maxLimitUSD; raise maxLimitUSD or lower limitUSD"),
    validation = Rule::new("self.type == 'exa' || (!has(self.rateLimit) && !has(self.budgetUSD))").message("tools[].rateLimit and budgetUSD are for type exa; take them away, or use limitUSD with type openrouter"),
    validation = Rule::new("self.type == 'agentmail' || (!has(self.username) && !has(self.inboxKey))").message("tools[].username and inboxKey are for type agentmail; take them away"),
    validation = Rule::new("self.type == 'telnyx' || (!has(self.countryCode) && !has(self.areaCode) && !has(self.maxMonthlyCostUSD))").message("tools[].countryCode, areaCode and maxMonthlyCostUSD are for type telnyx; take them away"),
    validation = Rule::new("self.type in ['wallet', 'bankr'] || !has(self.reclaimPolicy)").message("tools[].reclaimPolicy is for types wallet and bankr, which may hold money: everything else is taken back; take reclaimPolicy away")
)]
pub struct ToolSpec {
    /// Its name: in `status.tools`, in `requestedTools`, and as `tool/<name>` in the ledger.
    pub name: ToolName,
    /// What it is: openrouter (an LLM key), exa (a search key), agentmail (an inbox), telnyx (a phone number), wallet (a key pair made
    /// here), bankr (a wallet at Bankr).
    #[serde(rename = "type")]
    pub kind: ToolKind,
    /// The ProviderAccount that pays for it: one of the same provider, which allows this namespace. Required for every type but
    /// wallet, which has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<NameRef>,
    /// Whether an agent is of no use without it: then nothing is deployed before it is there. With `when: OnDemand` it counts
    /// while the instance names the tool.
    #[serde(default = "yes")]
    pub required: bool,
    /// Create: with the instance. OnDemand: while the instance names it in `requestedTools`; no longer named, it is taken back.
    #[serde(default)]
    pub when: ToolTime,
    /// openrouter, required there: what the agent's key may spend in all, in US dollars. An instance may set another limit, up to
    /// `maxLimitUSD`. Changed in place, without a deployment.
    #[serde(default, rename = "limitUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub limit_usd: Option<f64>,
    /// openrouter: most that an instance may set in its `toolLimits`. Left out, `limitUSD`.
    #[serde(
        default,
        rename = "maxLimitUSD",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_limit_usd: Option<f64>,
    /// exa: requests that the agent's key may make, in the provider's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub rate_limit: Option<i32>,
    /// exa: what the agent's key may spend, in US dollars. Left out, as much as the account.
    #[serde(default, rename = "budgetUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub budget_usd: Option<f64>,
    /// agentmail: beginning of the address: `ada` makes `ada-<name of the instance>@…`, of which the provider takes at most 64
    /// characters before the @. Left out, the provider chooses. An inbox that exists keeps its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<ToolName>,
    /// agentmail: whether the agent gets a key that opens its inbox and nothing else. Left out, it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox_key: Option<bool>,
    /// telnyx: country of the number. Left out, US.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_code: Option<CountryCode>,
    /// telnyx: area code of the number. Left out, any. A number that exists stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area_code: Option<AreaCode>,
    /// telnyx: most that the number may cost a month. The account's own limit holds as well.
    #[serde(
        default,
        rename = "maxMonthlyCostUSD",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_monthly_cost_usd: Option<f64>,
    /// wallet, bankr: what becomes of it when the instance goes, or the tool is taken away. Retain: what may hold money stays, a
    /// wallet's key in its Secret, a Bankr wallet suspended. Delete: it goes, with all that it holds. Left out, Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ReclaimPolicy")]
    pub reclaim_policy: Option<ReclaimPolicy>,
}

fn yes() -> bool {
    true
}

/// The variables that a tool gives its agent, each with the condition on a tool `t` under which it does. That it agrees with the
/// slot table is tested there.
pub(crate) const GIVEN: [(&str, &str, &str); 10] = [
    ("OPENROUTER_API_KEY", "openrouter", ""),
    ("EXA_API_KEY", "exa", ""),
    ("AGENTMAIL_INBOX", "agentmail", ""),
    (
        "AGENTMAIL_API_KEY",
        "agentmail",
        // Whoever gives the agent another key than its inbox's own says so.
        " && (!has(t.inboxKey) || t.inboxKey)",
    ),
    ("TELNYX_PHONE_NUMBER", "telnyx", ""),
    ("TELNYX_MESSAGING_PROFILE_ID", "telnyx", ""),
    ("WALLET_PRIVATE_KEY", "wallet", ""),
    ("WALLET_ADDRESS", "wallet", ""),
    ("BANKR_API_KEY", "bankr", ""),
    ("BANKR_WALLET_ADDRESS", "bankr", ""),
];

/// The rule that a template sets no variable by hand that one of its tools gives: what a tool gives would win in silence.
fn given(variable: &str) -> Rule {
    let known = GIVEN.iter().find(|(name, ..)| *name == variable);
    let (kind, further) = known.map_or(("", ""), |(_, kind, further)| (*kind, *further));
    let rule = format!(
        "!has(self.env) || !has(self.tools) || !self.tools.exists(t, t.type == '{kind}'{further}) || !self.env.exists(e, e.name == '{variable}')"
    );
    let message = format!(
        "env must not have {variable} beside a tool of type {kind}, which gives the agent that variable; take it away, or give yours another name"
    );
    Rule::new(rule).message(message.as_str()).field_path(".env")
}

/// What a tool is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ToolKind {
    /// An LLM key at OpenRouter.
    Openrouter,
    /// A search key at Exa.
    Exa,
    /// An inbox at AgentMail.
    Agentmail,
    /// A phone number at Telnyx.
    Telnyx,
    /// A key pair for EVM chains, made here.
    Wallet,
    /// A wallet at Bankr.
    Bankr,
}

impl ToolKind {
    /// The provider's name in the ledger.
    pub fn provider(self) -> &'static str {
        match self {
            ToolKind::Openrouter => "openrouter",
            ToolKind::Exa => "exa",
            ToolKind::Agentmail => "agentmail",
            ToolKind::Telnyx => "telnyx",
            ToolKind::Wallet => "wallet",
            ToolKind::Bankr => "bankr",
        }
    }
}

/// When a tool is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ToolTime {
    /// With the instance.
    #[default]
    Create,
    /// While the instance names it in `requestedTools`.
    OnDemand,
}

/// What becomes of something that may hold money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReclaimPolicy {
    /// It stays: suspended where the provider can, its keys revoked.
    #[default]
    Retain,
    /// It goes.
    Delete,
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
    /// What says that the agent can work: a path that answers 200 with `{"ready": true}`, or `{path, ready}` for any other image. It
    /// is asked for over HTTPS at the agent's address. To change it deploys nothing.
    #[serde(default = "Contract::health")]
    #[schemars(schema_with = "health_schema")]
    pub health: HealthContract,
}

impl Contract {
    fn health() -> HealthContract {
        HealthContract::Path(HttpPath::from("/pool/health"))
    }
}

/// What says that the agent can work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HealthContract {
    /// A path that answers 200 with `{"ready": true}`.
    Path(HttpPath),
    /// A path, and what must come back.
    Check(HealthCheck),
    /// None of these: the API server admits no such thing, and one that is there all the same keeps nobody from being read.
    Other(serde_json::Value),
}

/// A path, and what must come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The path.
    pub path: HttpPath,
    /// What must come back: `pointer` and `equals`, or `status`.
    pub ready: ReadyAnswer,
}

/// What must come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyAnswer {
    /// Where the value stands in the JSON of a 200, as a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The value's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// The status of the answer, whatever comes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
}

/// A text or an object. A field of two types has none in the schema, so the API server runs no CEL rule in it: what can be
/// said is said by the keywords that hold for one type each, and by empty ranges for the types that it never has.
fn health_schema(_: &mut SchemaGenerator) -> Schema {
    // As `HttpPath` has it; no two dots stand together.
    const SEGMENT: &str = "([.]|[.]?[A-Za-z0-9_~-]+([.][A-Za-z0-9_~-]+)*[.]?)";
    let path = format!("^/({SEGMENT}(/{SEGMENT})*/?)?$");
    json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "minLength": 1,
        "maxLength": 256,
        "pattern": path,
        "not": {"enum": [true, false]},
        "minimum": 1,
        "maximum": 0,
        "minItems": 1,
        "maxItems": 0,
        "required": ["path", "ready"],
        "maxProperties": 2,
        "properties": {
            "path": {
                "description": "The path.",
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "pattern": path,
            },
            "ready": {
                "description": "What must come back: pointer and equals, or status.",
                "type": "object",
                "oneOf": [
                    {"required": ["pointer", "equals"], "maxProperties": 2},
                    {"required": ["status"], "maxProperties": 1},
                ],
                "properties": {
                    "pointer": {
                        "description": "Where the value stands in the JSON of a 200, as a JSON pointer such as /status or /checks/0/ok.",
                        "type": "string",
                        "maxLength": 256,
                        "pattern": "^(/([^~/]|~[01])*)*$",
                    },
                    "equals": {
                        "description": "The value, as text: ok, true, 1.",
                        "type": "string",
                        "maxLength": 64,
                    },
                    "status": {
                        "description": "The status of the answer, whatever comes with it. Redirects are not followed.",
                        "type": "integer",
                        "format": "int32",
                        "minimum": 200,
                        "maximum": 499,
                    },
                },
            },
        },
    })
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
