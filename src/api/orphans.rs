//! What lives in an account and no ledger claims, as its status tells it.

use super::money::Money;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What lives in an account and no ledger claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountSweep {
    /// Resources that bear this installation's full marker and are nobody's.
    #[schemars(range(min = 0))]
    pub orphans: i32,
    /// Resources of others: without our marker, with another installation's, or with one that was edited. They are never
    /// touched.
    #[schemars(range(min = 0))]
    pub foreign: i32,
    /// Resources of ours that were left there on purpose. They are never taken back.
    #[schemars(range(min = 0))]
    pub left_behind: i32,
    /// What the orphans can cost within a month, as far as the provider tells: a number its price, a key what it may still
    /// spend.
    #[serde(rename = "monthlyCostUSD")]
    #[schemars(schema_with = "super::money::told")]
    pub monthly_cost_usd: Money,
    /// The orphans that have been there longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub oldest: Vec<AccountOrphan>,
}

/// A resource of ours that is nobody's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountOrphan {
    /// Who provides it.
    #[schemars(length(max = 63))]
    pub provider: String,
    /// What it is: `project`, `openrouter`, `telnyx/profile`.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// The provider's id.
    #[schemars(length(max = 256))]
    pub id: String,
    /// Its name there.
    #[schemars(length(max = 256))]
    pub name: String,
    /// When it was made; where the provider does not tell, the hour in which it was first seen.
    pub since: Time,
    /// What it can cost within a month, where the provider tells: a number its price, a key what it may still spend.
    #[serde(
        rename = "monthlyCostUSD",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "super::money::told")]
    pub monthly_cost_usd: Option<Money>,
}
