//! What one agent may have of an account at most, as the account's owner says it.
//!
//! Holds: each limit has a default in the schema, so that an account without a word of them has limits. Deliberately absent: what
//! an agent asks for, and what becomes of one that asks for more (`engine::quota`).

use super::money::Money;
use super::text::Amount;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// `nullable` is said because kube would say it of whatever is an integer or a string and has a default.
/// Most that one agent may have at Railway. It holds for what is new or larger than before; what a template leaves out is the
/// plan's own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RailwayPerAgent {
    /// Virtual CPUs, such as `4` or `500m`.
    #[serde(default = "RailwayPerAgent::cpu")]
    #[schemars(extend("nullable" = false))]
    #[x_kube(validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('1k')) <= 0").message("railway.perAgent.cpu must be at most 1000 CPUs; write 4 or 500m, units such as Mi and Gi are for memory"))]
    pub cpu: Amount,
    /// Memory, such as `8Gi`.
    #[serde(default = "RailwayPerAgent::memory")]
    #[schemars(extend("nullable" = false))]
    #[x_kube(validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('128Mi')) >= 0 && quantity(string(self)).compareTo(quantity('16Ti')) <= 0").message("railway.perAgent.memory must be between 128Mi and 16Ti; write a unit, such as 8Gi"))]
    pub memory: Amount,
    /// The disk's size, such as `50Gi`.
    #[serde(default = "RailwayPerAgent::volume")]
    #[schemars(extend("nullable" = false))]
    #[x_kube(validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('100Mi')) >= 0 && quantity(string(self)).compareTo(quantity('64Ti')) <= 0").message("railway.perAgent.volume must be between 100Mi and 64Ti; write a unit, such as 50Gi"))]
    pub volume: Amount,
}

impl RailwayPerAgent {
    fn cpu() -> Amount {
        Amount::from("4")
    }
    fn memory() -> Amount {
        Amount::from("8Gi")
    }
    fn volume() -> Amount {
        Amount::from("50Gi")
    }
}

impl Default for RailwayPerAgent {
    fn default() -> Self {
        RailwayPerAgent {
            cpu: Self::cpu(),
            memory: Self::memory(),
            volume: Self::volume(),
        }
    }
}

/// Most that one agent's key at OpenRouter may spend. It holds for what is new or larger than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenrouterPerAgent {
    /// In all, in US dollars (`50`, `"20.50"`); where its limit comes back (`limitReset`), until it does.
    #[serde(default = "most_to_spend", rename = "limitUSD")]
    #[schemars(extend("nullable" = false))]
    pub limit_usd: Money,
}

impl Default for OpenrouterPerAgent {
    fn default() -> Self {
        let limit_usd = most_to_spend();
        OpenrouterPerAgent { limit_usd }
    }
}

/// Most that one agent's key at Exa may spend. It holds for what is new or larger than before, and is the budget of a key for
/// which the template says none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExaPerAgent {
    /// In all, in US dollars (`50`, `"20.50"`).
    #[serde(default = "most_to_spend", rename = "budgetUSD")]
    #[schemars(extend("nullable" = false))]
    pub budget_usd: Money,
}

impl Default for ExaPerAgent {
    fn default() -> Self {
        let budget_usd = most_to_spend();
        ExaPerAgent { budget_usd }
    }
}

/// Most that what one agent has in the account may cost a month. It holds for what is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MonthlyPerAgent {
    /// In US dollars (`5`, `"2.50"`).
    #[serde(default = "most_a_month", rename = "monthlyCostUSD")]
    #[schemars(extend("nullable" = false))]
    pub monthly_cost_usd: Money,
}

impl Default for MonthlyPerAgent {
    fn default() -> Self {
        let monthly_cost_usd = most_a_month();
        MonthlyPerAgent { monthly_cost_usd }
    }
}

fn most_to_spend() -> Money {
    Money::dollars(50)
}

fn most_a_month() -> Money {
    Money::dollars(5)
}

/// How large an agent is, as far as its template says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// Virtual CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Amount>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Amount>,
    /// The disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Amount>,
}

/// Most US dollars that one agent's tool may be given in an account, and the field that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MostMoney {
    /// The provider, as ledgers have it.
    pub provider: &'static str,
    /// The field within `spec`.
    pub field: &'static str,
    /// US dollars.
    pub usd: Money,
}

/// What something costs a month, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MonthlyUsd {
    /// What it can still cost at most: numbers and inboxes their price, keys their limit as often as it comes back within a month,
    /// or what is left of one that never comes back; a project what it has cost this month.
    #[schemars(schema_with = "super::money::told")]
    pub committed: Money,
    /// What it is known to have cost this month, in the steps in which spending is told.
    #[schemars(schema_with = "super::money::told")]
    pub spent: Money,
}

/// So many times of orders are kept.
pub const MOST_ORDERS: usize = 64;

/// What the account lets there be in all. It holds for what is new: what is there stays, however low a limit becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountLimits {
    /// Most resources of this installation in the account: projects, keys, inboxes, numbers, wallets. What was left behind counts
    /// until it is gone.
    #[serde(default = "AccountLimits::resources")]
    #[schemars(range(min = 0, max = 100_000))]
    pub resources: i32,
    /// Most of them for the instances of one namespace.
    #[serde(default = "AccountLimits::resources_per_namespace")]
    #[schemars(range(min = 0, max = 100_000))]
    pub resources_per_namespace: i32,
    /// Most US dollars that what is in the account may cost a month: numbers and inboxes their price, keys their limit as often as it
    /// comes back. Projects count what they have cost this month: above it none is added. Left out, there is no such limit.
    #[serde(
        default,
        rename = "monthlyUSD",
        skip_serializing_if = "Option::is_none"
    )]
    pub monthly_usd: Option<Money>,
    /// Most of it for the instances of one namespace.
    #[serde(
        default,
        rename = "monthlyUSDPerNamespace",
        skip_serializing_if = "Option::is_none"
    )]
    pub monthly_usd_per_namespace: Option<Money>,
    /// Most orders within an hour of what costs money by the piece: phone numbers.
    #[serde(default = "AccountLimits::orders_per_hour")]
    #[schemars(range(min = 0, max = 64))]
    pub orders_per_hour: i32,
}

impl AccountLimits {
    fn resources() -> i32 {
        500
    }
    fn resources_per_namespace() -> i32 {
        100
    }
    fn orders_per_hour() -> i32 {
        20
    }
}

impl Default for AccountLimits {
    fn default() -> Self {
        AccountLimits {
            resources: Self::resources(),
            resources_per_namespace: Self::resources_per_namespace(),
            monthly_usd: None,
            monthly_usd_per_namespace: None,
            orders_per_hour: Self::orders_per_hour(),
        }
    }
}
