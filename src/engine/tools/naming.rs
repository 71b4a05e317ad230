//! What providers are told of a resource: its name, its id, and the ids of what belongs to it.

use crate::api::{AgentInstanceStatus, LedgerEntry, Part, Slot, SlotState, ToolSlot};
use crate::engine::step::Step;
use crate::model::tool::{Named, Sought};
use std::collections::BTreeMap;

fn part_of(entry: &LedgerEntry) -> Part {
    entry.slot.as_tool().map_or(Part::Main, |own| own.part)
}

/// Ids of a tool's other resources that exist.
pub(super) fn siblings(status: &AgentInstanceStatus, slot: Slot) -> BTreeMap<Part, String> {
    let Some(own) = slot.as_tool() else {
        return BTreeMap::new();
    };
    status
        .external
        .iter()
        .filter_map(|entry| {
            let ToolSlot { tool, part } = entry.slot.as_tool()?;
            let there = matches!(entry.state, SlotState::Exists | SlotState::Deleting);
            (*tool == own.tool && *part != own.part && there)
                .then(|| entry.id.clone().map(|id| (*part, id)))?
        })
        .collect()
}

pub(super) fn named(status: &AgentInstanceStatus, entry: &LedgerEntry, id: &str) -> Named {
    Named {
        part: part_of(entry),
        id: id.to_owned(),
        key: entry.key.clone(),
        seen: entry.shown
            || status.tools.iter().any(|told| {
                told.ready
                    && entry
                        .slot
                        .as_tool()
                        .is_some_and(|own| own.tool.as_str() == told.name)
            }),
        parts: siblings(status, entry.slot),
    }
}

/// Looks for everything that bears a resource's name.
pub(super) fn find(status: &AgentInstanceStatus, entry: &LedgerEntry) -> Step {
    Step::FindTool {
        slot: entry.slot,
        account: entry.account.clone(),
        sought: Box::new(Sought {
            part: part_of(entry),
            key: entry.key.clone(),
            parts: siblings(status, entry.slot),
        }),
    }
}
