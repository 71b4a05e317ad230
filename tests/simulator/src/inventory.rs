//! The inventory: every outside resource that lives, at any provider, and what it costs a month.
//!
//! Deleted things are not in it. Costs are those of facts/railway.md 1.6 and of each provider's own file.

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    pub provider: &'static str,
    pub kind: &'static str,
    pub id: String,
    pub name: String,
    /// The account it belongs to; at Railway the workspace id.
    pub workspace: String,
    /// Where the provider keeps free text: a Railway project's description.
    pub description: Option<String>,
    /// What it is part of: the Railway project of a service.
    pub parent: Option<String>,
    pub created_at: String,
    #[serde(rename = "monthlyUSD")]
    pub monthly_usd: f64,
    /// What its use has cost since the month began, where use costs; what is paid for as a whole says 0.
    #[serde(rename = "spentUSD")]
    pub spent_usd: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Inventory {
    pub resources: Vec<Resource>,
    pub count: usize,
    #[serde(rename = "monthlyUSD")]
    pub monthly_usd: f64,
    /// How many of each `provider/kind`.
    pub counts: BTreeMap<String, usize>,
}

impl Inventory {
    pub(crate) fn of(resources: Vec<Resource>) -> Self {
        let mut counts = BTreeMap::new();
        for resource in &resources {
            *counts
                .entry(format!("{}/{}", resource.provider, resource.kind))
                .or_insert(0) += 1;
        }
        let total: f64 = resources.iter().map(|resource| resource.monthly_usd).sum();
        let monthly_usd = (total * 100.0).round() / 100.0;
        Self {
            count: resources.len(),
            monthly_usd,
            counts,
            resources,
        }
    }
}
