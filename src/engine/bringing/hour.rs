//! The orders of an hour that are not on record yet: of agents that are about to order, and of those that claims are about to have.
//!
//! What holds: who was told that there is room for his order has it until the order is on record, each once. Deliberately absent: the
//! record itself (`orders`), and who reserves (`controllers::memories::places`).

use crate::api::condition::reason;
use crate::api::template::{ToolKind, ToolSpec, ToolTime};
use crate::api::{AgentInstance, LedgerEntry, Origin, Part, Slot, SlotState};
use crate::engine::places::Taker;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeSet;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What a tool says that is about to be ordered. What it says else does not pass by itself, and keeps nobody's hour.
const TO_COME: [&str; 4] = [
    reason::CREATING,
    reason::PENDING,
    reason::PAUSED,
    reason::QUOTA_EXCEEDED,
];

/// How many orders are still to come in an account. `asks`: whose own does not count; `reserved`: who has taken a place there before
/// it; `agents`: who uses the account; `tools`: what an agent has, or is to have, by its claim; `orders`: those on record.
pub fn coming(
    (account, asks): (&str, &Taker),
    reserved: &[Taker],
    agents: &[impl AsRef<AgentInstance>],
    tools: impl Fn(&AgentInstance) -> Vec<ToolSpec>,
    (orders, now): (&[Time], Timestamp),
) -> usize {
    let reserved = reserved.iter();
    let mut waiting: BTreeSet<(String, Slot)> = reserved
        .map(|one| (one.identity.clone(), one.slot))
        .collect();
    let (mut done, mut begun) = (Vec::new(), Vec::new());
    for agent in agents.iter().map(AsRef::as_ref) {
        let identity = agent.identity();
        let goes = agent.metadata.deletion_timestamp.is_some();
        if agent.is_handed_over() && !goes {
            let those = tools(agent)
                .into_iter()
                .filter(|tool| is_ordered(tool, account));
            let slots = those.filter_map(|tool| Slot::tool(&tool.name.0, Part::Main));
            let slots = slots.filter(|slot| may_come(agent, *slot));
            waiting.extend(slots.map(|slot| (identity.clone(), slot)));
        }
        for entry in numbers(agent, account) {
            waiting.remove(&(identity.clone(), entry.slot));
            let at = entry.started_at.0;
            match entry.state == SlotState::Creating {
                true if may_come(agent, entry.slot) => begun.push(at.as_second()),
                false if at + HOUR > now => done.push(at.as_second()),
                _ => {}
            }
        }
    }
    waiting.remove(&(asks.identity.clone(), asks.slot));
    waiting.len() + unrecorded(done, begun, orders)
}

/// Of those that were begun then, how many have no order on record. Nothing says whose an order is: each has one that is no older than
/// itself, and those that have what they ordered have theirs first.
fn unrecorded(mut done: Vec<i64>, mut begun: Vec<i64>, orders: &[Time]) -> usize {
    let mut orders: Vec<i64> = orders.iter().map(|at| at.0.as_second()).collect();
    for all in [&mut orders, &mut done, &mut begun] {
        all.sort_unstable();
    }
    let mut missing = 0;
    for (all, counts) in [(done, false), (begun, true)] {
        for at in all {
            match orders.iter().position(|order| *order >= at) {
                Some(own) => drop(orders.remove(own)),
                None => missing += usize::from(counts),
            }
        }
    }
    missing
}

/// Whether a tool is ordered by the piece in an account, once a claim has its agent.
fn is_ordered(tool: &ToolSpec, account: &str) -> bool {
    let named = tool.account_ref.as_ref();
    tool.kind == ToolKind::Telnyx
        && tool.when == ToolTime::Claim
        && named.is_some_and(|named| named.name.as_str() == account)
}

/// What an agent has on record of such tools there, begun at least.
fn numbers<'a>(agent: &'a AgentInstance, account: &str) -> impl Iterator<Item = &'a LedgerEntry> {
    let entries = agent.status.iter().flat_map(|status| &status.external);
    entries.filter(move |entry| {
        let main = entry
            .slot
            .as_tool()
            .is_some_and(|tool| tool.part == Part::Main);
        let made = entry.origin == Origin::Made && entry.state != SlotState::Planned;
        main && made && entry.account == account && entry.provider == ToolKind::Telnyx.provider()
    })
}

/// Whether what an agent says of a tool lets its order come by itself.
fn may_come(agent: &AgentInstance, slot: Slot) -> bool {
    let tools = agent.status.iter().flat_map(|status| &status.tools);
    let own = |name: &str| Slot::tool(name, Part::Main) == Some(slot);
    let mut said = tools.filter(|one| own(one.name.as_str()));
    said.next()
        .is_none_or(|one| TO_COME.contains(&one.reason.as_str()))
}
