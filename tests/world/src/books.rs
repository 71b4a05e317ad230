//! Money: what accounts and agents tell, held against the providers' own books, to the cent.
//!
//! Holds where nobody uses a key, so that only what is paid for as a whole is spent: numbers and inboxes.

use anyhow::Result;
use kube::api::DynamicObject;

use crate::outside::Resource;
use crate::tenant::Tenant;

/// Providers of what costs something, and whether that is paid for whatever is done with it.
const PROVIDERS: [(&str, bool); 4] = [
    ("openrouter", false),
    ("exa", false),
    ("agentmail", true),
    ("telnyx", true),
];

/// Cents that are committed, and spent.
type Sums = (u64, u64);

/// No listing of Telnyx has prices: a number whose order was lost from sight counts at the most that its account lets it cost.
const NUMBER: u64 = 200;

/// What of a tenant's accounts and agents is told otherwise than it is in the books. What is told as deleted by somebody keeps
/// its place until a person says what is to become of it.
///
/// # Errors
/// An account cannot be read.
pub async fn differences(
    tenant: &Tenant<'_>,
    agents: &[DynamicObject],
    living: &[Resource],
) -> Result<Vec<String>> {
    let (mut wrong, mut least, mut most) = (Vec::new(), (0, 0), (0, 0));
    for (provider, as_a_whole) in PROVIDERS {
        let own = living.iter().filter(|one| one.provider == provider);
        let kept: u64 = agents.iter().map(|one| kept(one, provider)).sum();
        let sum = |committed: u64| (committed, if as_a_whole { committed } else { 0 });
        let books = sum(kept + own.clone().map(|one| cents(one.monthly_usd)).sum::<u64>());
        let numbers = own.filter(|one| one.kind == "number").count();
        let bound = match provider {
            "telnyx" => sum(kept + NUMBER * u64::try_from(numbers)?),
            _ => books,
        };
        (least, most) = (plus(least, books), plus(most, bound));
        let name = format!("{}-{provider}", tenant.account());
        let account = tenant.world().object("ProviderAccount", None, &name);
        let told = told(&account.get().await?);
        if !within(told, books, bound) {
            wrong.push(format!(
                "account {name} tells {told:?} cents, and not {books:?} to {bound:?}"
            ));
        }
    }
    let told = agents.iter().map(told).fold((0, 0), plus);
    if !within(told, least, most) {
        let whose = tenant.namespace();
        wrong.push(format!(
            "the agents of {whose} tell {told:?} cents, and not {least:?} to {most:?}"
        ));
    }
    Ok(wrong)
}

fn plus(one: Sums, other: Sums) -> Sums {
    (one.0 + other.0, one.1 + other.1)
}

fn within(told: Sums, least: Sums, most: Sums) -> bool {
    (least.0..=most.0).contains(&told.0) && (least.1..=most.1).contains(&told.1)
}

/// What of an agent's at a provider is told as deleted by somebody.
fn kept(agent: &DynamicObject, provider: &str) -> u64 {
    let list = |field: &str| {
        agent.data["status"][field]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let lost = list("tools")
        .into_iter()
        .filter(|tool| tool["reason"] == "DeletedExternally");
    let slots: Vec<String> = lost
        .map(|tool| format!("tool/{}", tool["name"].as_str().unwrap_or_default()))
        .collect();
    let here = list("external")
        .into_iter()
        .filter(|entry| entry["provider"] == provider);
    let own = here.filter(|entry| slots.iter().any(|slot| entry["slot"] == slot.as_str()));
    own.map(|entry| sum(&entry["monthlyUSD"])).sum()
}

/// What an object tells of its money.
fn told(object: &DynamicObject) -> Sums {
    let sums = &object.data["status"]["monthlyUSD"];
    (sum(&sums["committed"]), sum(&sums["spent"]))
}

fn sum(text: &serde_json::Value) -> u64 {
    text.as_str().unwrap_or("0").parse().map_or(0, cents)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn cents(dollars: f64) -> u64 {
    (dollars * 100.0).round() as u64
}
