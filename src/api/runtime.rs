//! How a template's agents run: image, resources, disk, restarts, which program each is, and what says that one is ready.

use super::text::NameRef;
use super::text::{
    Amount, ControlledVariable, HeaderName, HttpPath, ImageReference, MountPath, Region, Span,
};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How the agent runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.port) == has(oldSelf.port) && (!has(self.port) || self.port == oldSelf.port)").message("runtime.port is immutable: the addresses of running agents lead to it; make another AgentTemplate"))]
#[x_kube(validation = Rule::new("has(self.volume) == has(oldSelf.volume)").message("runtime.volume cannot be added or taken away: a volume must be there before an agent's first deployment; make another AgentTemplate"))]
#[x_kube(validation = Rule::new("(!has(self.harness) || self.harness in ['convos', 'http']) && (!has(oldSelf.harness) || oldSelf.harness in ['convos', 'http']) || has(self.harness) && has(oldSelf.harness) && self.harness == oldSelf.harness").message("runtime.harness cannot be changed, but between convos and http: what one program keeps is nothing to another, and addresses lead to the old one's port; make another AgentTemplate"))]
#[x_kube(validation = Rule::new("has(self.harness) && self.harness != 'convos' || !has(self.contract) || !has(self.contract.auth) || self.contract.auth.type == 'Bearer'").message("runtime.contract.auth must be of type Bearer with runtime.harness convos: an agent is told with a Bearer token who it is; take auth away, or write another harness"))]
#[x_kube(validation = Rule::new("!has(self.harness) || self.harness in ['convos', 'http'] || !has(self.contract) || !has(self.contract.auth) && !has(self.contract.tokenVariable) && !has(self.contract.portVariable)").message("runtime.contract.auth, tokenVariable and portVariable are for runtime.harness http and convos: the other programs read token and port where they always do, and without their token they would be open; take them away"))]
#[x_kube(validation = Rule::new("(has(self.entrypoint) ? self.entrypoint : 'Harness') == (has(oldSelf.entrypoint) ? oldSelf.entrypoint : 'Harness')").message("runtime.entrypoint is immutable: running agents would be told by another path than the one they know, and their addresses lead to the old port; make another AgentTemplate"))]
#[x_kube(validation = Rule::new("!has(self.entrypoint) || self.entrypoint != 'Runner' || has(self.harness) && self.harness != 'convos'").message("runtime.entrypoint Runner is for harness openclaw, hermes, opencode and http: convos agents answer what the runner would; take entrypoint away, or write another harness"))]
#[x_kube(validation = Rule::new("!has(self.entrypoint) || self.entrypoint != 'Runner' || !has(self.harness) || self.harness != 'http' || has(self.startCommand)").message("runtime.startCommand is required with harness http and entrypoint Runner: the runner is the image's entrypoint, and nothing else says what it is to start"))]
#[x_kube(validation = Rule::new("!has(self.entrypoint) || self.entrypoint != 'Runner' || !has(self.harness) || self.harness == 'http' || !has(self.contract) || !has(dyn(self.contract).health)").message("runtime.contract.health is for harness http where entrypoint is Runner: the runner asks openclaw, hermes and opencode what their rows say, and hears their version by it; take health away"))]
pub struct Runtime {
    /// The program that the agent is, and so how it is started, configured and spoken to. `convos`, also where this is left out, answers
    /// `GET /pool/health` with `{"ready": true}` and can be told who it is; `http` is any program that answers its path (`/`, or the one of
    /// `contract.health`) with 200; `openclaw`, `hermes` and `opencode` are those programs as they are published. Only `convos` can be told who
    /// it is, and any other with `entrypoint: Runner`. What stands in the row of each: docs/harnesses.md. The variables of token and port are the controller's: an entry of `env` with
    /// such a name counts for nothing. The others of a row give way to `env`. To change it between convos and http deploys nothing.
    #[serde(default, skip_serializing_if = "Harness::is_usual")]
    pub harness: Harness,
    /// What the image starts. `Harness`, also where this is left out: the program itself. `Runner`: `yardmaster-runner` (see images/), which
    /// starts the program on loopback, lays its files, tells it who it is, and lets nobody to it without the token; so its agents can be in a pool,
    /// and a program without a token of its own gets a public address. `port` (left out: 8080) is where the runner listens then, `startCommand` what
    /// it starts (words, which no shell reads; `{port}` is the program's port), and `contract` how the runner speaks to the program: to change these deploys.
    #[serde(default, skip_serializing_if = "Entrypoint::is_usual")]
    pub entrypoint: Entrypoint,
    /// The image, by tag or digest. A tag is resolved to a digest once for each change of the template.
    pub image: ImageReference,
    /// A Secret of type kubernetes.io/dockerconfigjson, or with the keys `username` and `password`, for a private image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secret_ref: Option<NameRef>,
    /// Command instead of the image's own, or the harness's. It is not run through a shell: write `sh -c '…'` where you need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3372))]
    pub start_command: Option<String>,
    /// Port on which the agent listens. Left out, the harness's usual one; where it has none, the provider finds it.
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
    /// How the agent is spoken to, where that is not as its harness has it.
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

/// The program that an agent is. How each is spoken to: `model::harness`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Harness {
    /// The predecessor's contract.
    #[default]
    Convos,
    /// Anything that answers over HTTP.
    Http,
    /// The OpenClaw gateway.
    OpenClaw,
    /// The Hermes agent's gateway.
    Hermes,
    /// The OpenCode server.
    OpenCode,
}

impl Harness {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Harness; 5] = [
        Harness::Convos,
        Harness::Http,
        Harness::OpenClaw,
        Harness::Hermes,
        Harness::OpenCode,
    ];

    /// Left out where it is: what was written before there was a choice reads and writes as it did.
    fn is_usual(&self) -> bool {
        *self == Harness::default()
    }
}

/// What an image starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Entrypoint {
    /// The program itself.
    #[default]
    Harness,
    /// The runner, which starts the program.
    Runner,
}

impl Entrypoint {
    /// Left out where it is: what was written before there was a choice reads and writes as it did.
    fn is_usual(&self) -> bool {
        *self == Entrypoint::default()
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

/// How the agent is spoken to, where that is not as its harness has it: each field for itself.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.auth) || self.auth.type != 'None' || !has(self.tokenVariable)").message("contract.tokenVariable has no meaning with contract.auth of type None, which gives the agent no token; take one of the two away"),
    validation = Rule::new("(has(self.tokenVariable) ? self.tokenVariable : 'GATEWAY_TOKEN') != (has(self.portVariable) ? self.portVariable : 'PORT')").message("contract.tokenVariable (left out: GATEWAY_TOKEN) and contract.portVariable (left out: PORT) must be two variables")
)]
pub struct Contract {
    /// What says that the agent can work: a path that answers as `runtime.harness` says (`convos`: 200 with `{"ready": true}`; `http`: 200), or
    /// `{path, ready}` for any other answer. Left out, the harness's own path. The token is sent along to a path that is written here. It is asked for over HTTPS at the agent's address. To change it deploys nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "health_schema")]
    pub health: Option<HealthContract>,
    /// For `http`, and `convos`: how the agent takes its token. Left out, as its harness does. To change it between Bearer, Basic and Header deploys nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AgentAuth>,
    /// For `http`, and `convos`: the variable from which the agent reads its token. Left out, GATEWAY_TOKEN. No other one has the token then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_variable: Option<ControlledVariable>,
    /// For `http`, and `convos`: the variable from which the agent reads its port, where there is one (`runtime.port`). Left out, PORT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_variable: Option<ControlledVariable>,
}

/// How an agent takes its token.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'Basic' || !has(self.username)").message("contract.auth.username is for type Basic; take it away, or write type Basic"),
    validation = Rule::new("self.type != 'Basic' || has(self.username)").message("contract.auth.username is required with type Basic, such as opencode"),
    validation = Rule::new("self.type == 'Header' || !has(self.header)").message("contract.auth.header is for type Header; take it away, or write type Header"),
    validation = Rule::new("self.type != 'Header' || has(self.header)").message("contract.auth.header is required with type Header, such as X-Session-API-Key")
)]
pub struct AgentAuth {
    /// Bearer: `Authorization: Bearer`. Basic: `Authorization: Basic`, with the token as password. Header: in a header of its own. None: the
    /// agent has no token and everybody who knows its address can use it; such agents are found and taken over within hours. With
    /// `entrypoint: Runner` None is safe: the program listens on loopback, and the runner lets nobody to it without the token.
    #[serde(rename = "type")]
    pub kind: AuthType,
    /// Basic, required there: the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9._@-]+$"))]
    pub username: Option<String>,
    /// Header, required there: the header's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
}

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuthType {
    /// As a Bearer token.
    Bearer,
    /// As the password of a user.
    Basic,
    /// In a header of its own.
    Header,
    /// There is none.
    None,
}

/// What says that the agent can work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HealthContract {
    /// A path that answers as the harness says.
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
pub(super) fn health_schema(_: &mut SchemaGenerator) -> Schema {
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
