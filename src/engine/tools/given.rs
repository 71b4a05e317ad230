//! The variables that tools give their agent.
//!
//! What holds: nothing is given of what the ledger does not say to exist. What a tool with `when: Claim` gives is apart from all else: an
//! agent that runs is told it, and nothing is deployed for it.

use crate::api::{AgentInstance, LedgerEntry, Part, Slot, SlotState};
use crate::model::tool::Wanted;
use secrecy::SecretString;
use std::collections::BTreeMap;

/// Variables, by name.
pub type GivenVariables = BTreeMap<String, SecretString>;

/// What an agent gets from its tools.
#[derive(Clone, Debug, Default)]
pub struct GivenByTools {
    /// What it is deployed with.
    pub deployed: GivenVariables,
    /// What it is told by its claim, and whatever is deployed later has.
    pub brought: GivenVariables,
    /// The tools with `when: Claim` of which that is all that they give.
    pub whole: Vec<String>,
}

/// The variables that an agent gets from its tools: of each resource that exists and is wanted, what its row says. `values`: the
/// credentials in the instance's Secrets.
pub fn given(
    instance: &AgentInstance,
    wanted: &[Wanted],
    values: &BTreeMap<Slot, SecretString>,
) -> GivenByTools {
    let mut given = GivenByTools::default();
    for tool in wanted {
        let parts = tool.parts.iter();
        let gives: Vec<_> = parts
            .map(|part| of_part(instance, &tool.name, *part, values))
            .collect();
        let whole = gives.iter().all(|(_, whole)| *whole);
        let all = gives.into_iter().flat_map(|(variables, _)| variables);
        match tool.for_claim {
            true => given.brought.extend(all),
            false => given.deployed.extend(all),
        }
        if whole && tool.for_claim {
            given.whole.push(tool.name.clone());
        }
    }
    given
}

/// What one part of a tool gives, and whether that is all that it ever gives.
fn of_part(
    instance: &AgentInstance,
    tool: &str,
    part: Part,
    values: &BTreeMap<Slot, SecretString>,
) -> (Vec<(String, SecretString)>, bool) {
    let status = instance.status.as_ref();
    let mut ledger = status.iter().flat_map(|status| &status.external);
    let exists = |entry: &&LedgerEntry| {
        Some(entry.slot) == Slot::tool(tool, part) && entry.state == SlotState::Exists
    };
    let Some(entry) = ledger.find(exists) else {
        return (Vec::new(), false);
    };
    let gives = entry.row().gives;
    let mut told = status.iter().flat_map(|status| &status.tools);
    let told = told.find(|told| told.name == tool);
    let address = told.and_then(|told| told.address.clone());
    let secret = values.get(&entry.slot).cloned();
    let all = [
        (gives.address, address.map(SecretString::from)),
        (gives.id, entry.id.clone().map(SecretString::from)),
        (gives.secret, secret),
    ];
    let mut whole = true;
    let mut variables = Vec::new();
    for (name, value) in all
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
    {
        match value {
            Some(value) => variables.push((name.to_owned(), value)),
            None => whole = false,
        }
    }
    (variables, whole)
}
