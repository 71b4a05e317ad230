//! Money: what accounts and agents tell, held against the providers' own books, to the cent.
//!
//! Holds where keys are used by whole tenths of their limits: what lies between two of them is not told.

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
    let (mut wrong, mut exact) = (Vec::new(), (0, 0));
    for (provider, as_a_whole) in PROVIDERS {
        let own = living.iter().filter(|one| one.provider == provider);
        let costs = |committed: f64, spent: f64| {
            let (committed, spent) = (cents(committed), cents(spent));
            (committed, if as_a_whole { committed } else { spent })
        };
        let kept = agents.iter().map(|one| kept(one, provider, as_a_whole));
        let kept = kept.fold((0, 0), plus);
        let in_books = own
            .clone()
            .map(|one| costs(one.monthly_usd, one.spent_usd))
            .fold(kept, plus);
        let numbers = own.filter(|one| one.kind == "number").count();
        let most_of_numbers = NUMBER * u64::try_from(numbers)?;
        let bound = match provider {
            "telnyx" => plus(kept, (most_of_numbers, most_of_numbers)),
            _ => in_books,
        };
        if provider != "telnyx" {
            exact = plus(exact, in_books);
        }
        let name = format!("{}-{provider}", tenant.account());
        let account = tenant.world().object("ProviderAccount", None, &name);
        let told = told(&account.get().await?);
        if !within(told, in_books, bound) {
            wrong.push(format!(
                "account {name} tells {told:?} cents, and not {in_books:?} to {bound:?}"
            ));
        }
    }
    let told = agents.iter().map(told).fold((0, 0), plus);
    // Only numbers have bounds, and their ledgers say at what they count.
    let numbers: u64 = agents.iter().map(numbers).sum();
    let told = (
        told.0.saturating_sub(numbers),
        told.1.saturating_sub(numbers),
    );
    if told != exact {
        let whose = tenant.namespace();
        wrong.push(format!(
            "the agents of {whose} tell {told:?} cents beside their numbers, and not {exact:?}"
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

/// What of an agent's at a provider is told as deleted by somebody. No book has that any more, and what was told of its use stays.
fn kept(agent: &DynamicObject, provider: &str, as_a_whole: bool) -> Sums {
    let list = |field: &str| {
        agent.data["status"][field]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let entries = list("external");
    let lost = list("tools")
        .into_iter()
        .filter(|tool| tool["reason"] == "DeletedExternally");
    lost.filter_map(|tool| {
        let slot = format!("tool/{}", tool["name"].as_str().unwrap_or_default());
        let entry = entries
            .iter()
            .find(|entry| entry["slot"] == slot.as_str())?;
        let (ordered, usage) = (sum(&entry["monthlyUSD"]), &tool["usage"]);
        let here = entry["provider"] == provider;
        here.then(|| match as_a_whole {
            true => (ordered, ordered),
            // Limits that come back are in no storm.
            false => (
                ordered.saturating_sub(sum(&usage["spentUSD"])),
                sum(&usage["monthUSD"]),
            ),
        })
    })
    .fold((0, 0), plus)
}

/// What an agent's numbers count at.
fn numbers(agent: &DynamicObject) -> u64 {
    let entries = agent.data["status"]["external"].as_array();
    let ordered = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["provider"] == "telnyx" && entry["state"] != "Planned");
    ordered.map(|entry| sum(&entry["monthlyUSD"])).sum()
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
