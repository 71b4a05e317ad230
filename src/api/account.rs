//! ProviderAccount: one account at one outside provider, with its credential, limits and budget.

use super::limits::{AccountLimits, MOST_ORDERS, MonthlyUsd};
pub use super::orphans::{AccountOrphan, AccountSweep};
pub use super::providers::{
    AgentmailAccount, BankrAccount, ExaAccount, OpenrouterAccount, RailwayAccount, TelnyxAccount,
};
use super::text::{DataKey, NamespaceName, ObjectName, OutsideId, Span};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One account at one outside provider. Its Secrets live in the operator's namespace, so that tenants never hold them.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "yardmaster.dev",
    version = "v1alpha1",
    kind = "ProviderAccount",
    plural = "provideraccounts",
    shortname = "pacct",
    category = "yard",
    status = "ProviderAccountStatus",
    derive = "PartialEq",
    doc = "One account at one outside provider, with its credential, its limits and the namespaces that may use it.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name must have at most 63 characters; choose a shorter one"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Healthy", type_ = "string", json_path = ".status.conditions[?(@.type=='Healthy')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Identity", type_ = "string", json_path = ".status.identity.name", priority = 1),
    printcolumn(name = "Resources", type_ = "integer", json_path = ".status.resources"),
    printcolumn(name = "Committed", type_ = "string", json_path = ".status.monthlyUSD.committed"),
    printcolumn(name = "Spent", type_ = "string", json_path = ".status.monthlyUSD.spent", priority = 1),
    printcolumn(name = "Orphans", type_ = "integer", json_path = ".status.sweep.orphans"),
    printcolumn(name = "Deleting", type_ = "string", json_path = ".status.conditions[?(@.type=='Deleting')].reason", priority = 1),
    printcolumn(name = "Budget", type_ = "string", json_path = ".status.budget.remaining", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.railway), has(self.openrouter), has(self.exa), has(self.agentmail), has(self.telnyx), has(self.bankr)].filter(p, p).size() == 1").message("spec must have exactly one of railway, openrouter, exa, agentmail, telnyx and bankr: it is one account at one provider; make a ProviderAccount for each"),
    validation = Rule::new("has(self.railway) == has(oldSelf.railway) && has(self.openrouter) == has(oldSelf.openrouter) && has(self.exa) == has(oldSelf.exa) && has(self.agentmail) == has(oldSelf.agentmail) && has(self.telnyx) == has(oldSelf.telnyx) && has(self.bankr) == has(oldSelf.bankr)").message("the provider of an account is immutable: what it pays for lives there; make another ProviderAccount"),
    validation = Rule::new("!(has(self.expectedIdentity) && has(self.bankr))").message("expectedIdentity cannot be compared at bankr, which does not tell whose a key is; leave it out")
)]
pub struct ProviderAccountSpec {
    /// Namespaces whose instances may use this account. Left out, no namespace may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// A Railway workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub railway: Option<RailwayAccount>,
    /// An OpenRouter organisation: each agent gets a key of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openrouter: Option<OpenrouterAccount>,
    /// An Exa team: each agent gets a key of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exa: Option<ExaAccount>,
    /// An AgentMail organisation: each agent gets an inbox of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agentmail: Option<AgentmailAccount>,
    /// A Telnyx account: each agent gets a phone number of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telnyx: Option<TelnyxAccount>,
    /// A Bankr partner organisation: each agent gets a wallet of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bankr: Option<BankrAccount>,
    /// The organisation, team or workspace that the credential must be of, by the provider's id, as `status.identity.id` shows
    /// it. Compared wherever the provider tells one. Left out, the account is held to the one with which it was first used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_identity: Option<OutsideId>,
    /// Whether nothing is made, changed or deleted in the account, by instances and by the sweep. What is there goes on and is
    /// still observed; deletions wait.
    #[serde(default)]
    pub paused: bool,
    /// What there may be in the account in all, above which no tenant's wish goes.
    #[serde(default)]
    pub limits: AccountLimits,
    /// What happens to resources that bear our full marker and stand in no ledger.
    #[serde(default)]
    pub sweep: Sweep,
    /// What instances may take over (`spec.adopt` of an AgentInstance) of what lives in the account already.
    #[serde(default)]
    pub adoption: Adoption,
    /// Allow: an instance may leave what it has in the account behind (`deletionPolicy: Retain`; of a tool that may hold money,
    /// `reclaimPolicy: Retain`). Deny: one that would is refused before its first thing is made. What was retained by leave when
    /// this became Deny stays so.
    #[serde(default)]
    pub retention: Retention,
}

impl ProviderAccountSpec {
    /// The provider's name in the ledger, with the keys of Secrets that open the account. `None` where the spec names none.
    fn opened_by(&self) -> Option<(&'static str, &[KeyRef])> {
        let one = std::slice::from_ref::<KeyRef>;
        let railway = self.railway.as_ref();
        let openrouter = self.openrouter.as_ref();
        let exa = self.exa.as_ref();
        let agentmail = self.agentmail.as_ref();
        let telnyx = self.telnyx.as_ref();
        let bankr = self.bankr.as_ref();
        railway
            .map(|spec| ("railway", spec.token_secret_refs.as_slice()))
            .or_else(|| openrouter.map(|spec| ("openrouter", one(&spec.credential_secret_ref))))
            .or_else(|| exa.map(|spec| ("exa", one(&spec.credential_secret_ref))))
            .or_else(|| agentmail.map(|spec| ("agentmail", one(&spec.credential_secret_ref))))
            .or_else(|| telnyx.map(|spec| ("telnyx", one(&spec.credential_secret_ref))))
            .or_else(|| bankr.map(|spec| ("bankr", one(&spec.credential_secret_ref))))
    }

    /// The provider's name in the ledger. `None` where the spec names none.
    pub fn provider(&self) -> Option<&'static str> {
        Some(self.opened_by()?.0)
    }

    /// Keys of Secrets in the operator's namespace that open the account.
    pub fn credentials(&self) -> &[KeyRef] {
        self.opened_by().map_or(&[], |(_, keys)| keys)
    }
}

/// What happens to resources that bear our full marker and stand in no ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// Report: they are counted and shown. Delete: they are taken back as well. What an instance left behind on purpose
    /// (`deletionPolicy: Retain`, the abandon annotation) is recorded in a ConfigMap `left-behind-UID` in the operator's
    /// namespace and is never taken back while that ConfigMap is there.
    #[serde(default)]
    pub mode: SweepMode,
    /// How long one must have been seen before it is taken back.
    #[serde(default = "Sweep::grace_period")]
    pub grace_period: Span,
    /// Most that are taken back in an hour.
    #[serde(default = "Sweep::max_deletions_per_hour")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_deletions_per_hour: i32,
}

impl Sweep {
    fn grace_period() -> Span {
        Span::from("1h")
    }
    fn max_deletions_per_hour() -> i32 {
        10
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep {
            mode: SweepMode::default(),
            grace_period: Sweep::grace_period(),
            max_deletions_per_hour: Sweep::max_deletions_per_hour(),
        }
    }
}

/// What a sweep does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SweepMode {
    /// It tells.
    #[default]
    Report,
    /// It takes back.
    Delete,
}

/// Most ids that an account lists for adoption.
pub const MOST_ADOPTABLE: usize = 4_000;

/// What instances may take over of what lives in an account.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.policy == 'Listed' || !has(self.ids) || self.ids.size() == 0").message("adoption.ids is for adoption.policy Listed, and says nothing with Never; write policy: Listed, or take ids away"))]
pub struct Adoption {
    /// Never: nothing. Listed: what ids names. What an instance has taken over already stays its own.
    #[serde(default)]
    pub policy: AdoptionPolicy,
    /// The provider's ids: of a Railway project; of a tool as `adopt.tools[].id` of an instance has it (an OpenRouter key's hash, an Exa
    /// key's public id, an address, a number with its plus sign, a wallet's id).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_ADOPTABLE), extend("x-kubernetes-list-type" = "set"))]
    pub ids: Vec<OutsideId>,
}

impl Adoption {
    /// Whether something may be taken over.
    pub fn lists(&self, id: &str) -> bool {
        self.policy == AdoptionPolicy::Listed && self.ids.iter().any(|one| one.as_str() == id)
    }
}

/// Whether anything may be taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdoptionPolicy {
    /// Nothing.
    #[default]
    Never,
    /// What is listed.
    Listed,
}

/// Whether an instance may leave something behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    /// It may.
    #[default]
    Allow,
    /// It may not.
    Deny,
}

/// Which namespaces may use an account: those named and those whose labels match.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.matchNames) || has(self.selector)").message("allowedNamespaces must say matchNames or selector; leave it out to allow no namespace, or write selector: {} to allow every namespace"))]
pub struct AllowedNamespaces {
    /// These, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "set"))]
    pub match_names: Option<Vec<NamespaceName>>,
    /// Those with matching labels. An empty selector matches every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "selector_schema")]
    pub selector: Option<LabelSelector>,
}

/// A label selector whose every part is bounded: the one of the Kubernetes types is not.
fn selector_schema(_: &mut SchemaGenerator) -> Schema {
    let key = r"self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')";
    let value = r"self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')";
    let value = json!({
        "type": "string", "maxLength": 63,
        "x-kubernetes-validations": [{"rule": value, "message": "must be a label's value: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"}],
    });
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels that a namespace must have, each with this value.",
                "type": "object", "maxProperties": 64, "additionalProperties": value.clone(),
            },
            "matchExpressions": {
                "description": "Demands on a namespace's labels, all of which must be met.",
                "type": "array", "maxItems": 64, "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object", "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "description": "The label's key.",
                            "type": "string", "minLength": 1, "maxLength": 317,
                            "x-kubernetes-validations": [{"rule": key, "message": "must be a label's key, such as team or example.com/team"}],
                        },
                        "operator": {
                            "description": "In and NotIn compare with values, Exists and DoesNotExist do not.",
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "Values for In and NotIn.",
                            "type": "array", "maxItems": 64, "items": value, "x-kubernetes-list-type": "atomic",
                        },
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                        "message": "matchExpressions with operator In or NotIn must have values; with Exists or DoesNotExist leave values out",
                    }],
                },
            },
        },
    })
}

/// A key of a Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct KeyRef {
    /// The object's name.
    pub name: ObjectName,
    /// The key in its data.
    pub key: DataKey,
}

impl KeyRef {
    /// How people are told of it.
    pub fn told(&self, namespace: &str) -> String {
        format!("key {} of Secret {namespace}/{}", self.key, self.name)
    }
}

/// What is known of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ProviderAccountStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Ready: the credential is good and the workspace is the right one. Healthy: the provider answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// Who the credential says we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<AccountIdentity>,
    /// What is left of the requests of this hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<AccountBudget>,
    /// Secrets that carry our finalizer for this account: those that it refers to, and refers to no longer but did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub held_secrets: Vec<String>,
    /// Outside resources of this installation that live in the account: for Railway, projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub resources: Option<i32>,
    /// What this installation has in the account costs a month, what was left behind too; by namespace it is a metric. Left out at
    /// Railway.
    #[serde(
        default,
        rename = "monthlyUSD",
        skip_serializing_if = "Option::is_none"
    )]
    pub monthly_usd: Option<MonthlyUsd>,
    /// When phone numbers were ordered, the last 64 times: each is recorded before the order is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_ORDERS), extend("x-kubernetes-list-type" = "atomic"))]
    pub orders: Vec<Time>,
    /// What lives in the account and no ledger claims. Left out until the first comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<AccountSweep>,
}

// The provider's own texts: the bounds are wide, for a status that does not fit could never be written.
/// Who the credential says we are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountIdentity {
    /// The provider's id of the workspace, organisation or team; left out where the provider does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub id: Option<String>,
    /// Name of the workspace, organisation or account.
    #[schemars(length(max = 1024))]
    pub name: String,
    /// The plan, which decides the limits; empty where the provider does not tell it.
    #[schemars(length(max = 256))]
    pub plan: String,
}

/// What is left of the requests of this hour, rounded down to a tenth so that it does not change with every request;
/// the exact number is a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountBudget {
    /// Such as `at least 9000 of 10000`.
    #[schemars(length(max = 63))]
    pub remaining: String,
}
