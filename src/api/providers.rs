//! An account's part for each provider: its credential, and what is to be kept to there.

use super::account::{KeyRef, ProviderAccountSpec};
use super::limits::{ExaPerAgent, MonthlyPerAgent, MostMoney, OpenrouterPerAgent, RailwayPerAgent};
use super::money::Money;
use super::text::{DomainName, OutsideId, Span, WorkspaceId};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An OpenRouter organisation.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.workspaceId) == has(oldSelf.workspaceId)").message("openrouter.workspaceId cannot be added or taken away: the keys of this account live where it says; make another ProviderAccount"))]
pub struct OpenrouterAccount {
    /// Where the management key is kept: a key of a Secret in the operator's own namespace.
    pub credential_secret_ref: KeyRef,
    /// The OpenRouter workspace in which keys are made. Left out, the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("openrouter.workspaceId is immutable: the keys of this account live there; make another ProviderAccount"))]
    pub workspace_id: Option<OutsideId>,
    /// Most that one agent may have here; no template and no instance goes above it.
    #[serde(default)]
    pub per_agent: OpenrouterPerAgent,
}

/// An Exa team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExaAccount {
    /// Where the service key is kept: a key of a Secret in the operator's own namespace.
    pub credential_secret_ref: KeyRef,
    /// Most that one agent may have here; no template and no instance goes above it.
    #[serde(default)]
    pub per_agent: ExaPerAgent,
}

/// An AgentMail organisation.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.podId) == has(oldSelf.podId)").message("agentmail.podId cannot be added or taken away: the inboxes of this account live where it says; make another ProviderAccount"))]
pub struct AgentmailAccount {
    /// Where the organisation's key is kept: a key of a Secret in the operator's own namespace.
    pub credential_secret_ref: KeyRef,
    /// The pod in which inboxes are made. Left out, the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("agentmail.podId is immutable: the inboxes of this account live there; make another ProviderAccount"))]
    pub pod_id: Option<OutsideId>,
    /// The domain of new addresses, verified at AgentMail. Left out, agentmail.to. An inbox that exists keeps its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// Most that one agent may have here: an inbox that costs more is not made.
    #[serde(default)]
    pub per_agent: MonthlyPerAgent,
}

/// A Telnyx account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelnyxAccount {
    /// Where the API key is kept: a key of a Secret in the operator's own namespace.
    pub credential_secret_ref: KeyRef,
    /// A messaging profile that all numbers share. Left out, each agent gets one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_profile_id: Option<OutsideId>,
    /// Most that one number may cost a month, in US dollars (`2`, `"1.50"`). A dearer one is never ordered.
    #[serde(rename = "maxMonthlyCostUSD")]
    pub max_monthly_cost_usd: Money,
    /// Most that one agent may have here; the lower one of this and `maxMonthlyCostUSD` holds.
    #[serde(default)]
    pub per_agent: MonthlyPerAgent,
}

/// A Bankr partner organisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BankrAccount {
    /// Where the partner key is kept: a key of a Secret in the operator's own namespace.
    pub credential_secret_ref: KeyRef,
}

/// A Railway workspace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RailwayAccount {
    /// The workspace's id, as its settings page at Railway shows it.
    #[x_kube(validation = Rule::new("self == oldSelf").message("railway.workspaceId is immutable: the projects of this account live in that workspace; make another ProviderAccount for another workspace"))]
    pub workspace_id: WorkspaceId,
    /// Where the tokens are kept: keys of Secrets in the operator's own namespace. Tokens of different users raise the rate at which
    /// projects can be made where Railway counts per user.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name", "key"]))]
    pub token_secret_refs: Vec<KeyRef>,
    /// Most requests an hour; Railway's own limit is 1,000 (Hobby) or 10,000 (Pro).
    #[serde(default = "RailwayAccount::requests_per_hour")]
    #[schemars(range(min = 10, max = 1_000_000))]
    pub requests_per_hour: i32,
    /// Most requests a second. Railway's edge blocks clients above 10.
    #[serde(default = "RailwayAccount::requests_per_second")]
    #[schemars(range(min = 1, max = 50))]
    pub requests_per_second: i32,
    /// How long Railway wants between two new projects.
    #[serde(default = "RailwayAccount::project_interval")]
    pub project_interval: Span,
    /// As `limits.resources`, by its name in 0.1.0; the lower one of the two holds. Write `limits.resources` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_projects: Option<i32>,
    /// Most that one agent may have here; no template goes above it.
    #[serde(default)]
    pub per_agent: RailwayPerAgent,
}

impl RailwayAccount {
    fn requests_per_hour() -> i32 {
        10_000
    }
    fn requests_per_second() -> i32 {
        9
    }
    fn project_interval() -> Span {
        Span::from("30s")
    }
}

impl ProviderAccountSpec {
    /// What one agent's tool may be given. `None` at providers that sell nothing by the agent.
    pub fn most_money(&self) -> Option<MostMoney> {
        let most = |provider, field, usd| MostMoney {
            provider,
            field,
            usd,
        };
        if let Some(own) = &self.openrouter {
            let usd = own.per_agent.limit_usd;
            return Some(most("openrouter", "openrouter.perAgent.limitUSD", usd));
        }
        if let Some(own) = &self.exa {
            let usd = own.per_agent.budget_usd;
            return Some(most("exa", "exa.perAgent.budgetUSD", usd));
        }
        if let Some(own) = &self.agentmail {
            let usd = own.per_agent.monthly_cost_usd;
            return Some(most("agentmail", "agentmail.perAgent.monthlyCostUSD", usd));
        }
        let own = self.telnyx.as_ref()?;
        let (agent, number) = (own.per_agent.monthly_cost_usd, own.max_monthly_cost_usd);
        Some(match number < agent {
            true => most("telnyx", "telnyx.maxMonthlyCostUSD", number),
            false => most("telnyx", "telnyx.perAgent.monthlyCostUSD", agent),
        })
    }
}
