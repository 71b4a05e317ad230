//! What the status says of each tool, and of all of them together.
//!
//! What holds: of several troubles the one that a person must end, or that holds up the agent, is the one that is told; what
//! has been spent is written in steps (`spent`).

use super::spent;
use super::subject::{Held, Subject, kept};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::ToolStatus;
use crate::api::money::Money;
use crate::api::template::NameRef;
use crate::api::text::ObjectName;
use crate::api::{AgentInstanceStatus, LedgerEntry, Part, Slot, SlotState};
use crate::engine::draft::Draft;
use crate::engine::ledger;
use crate::engine::world::World;
use crate::model::monthly;
use crate::model::tool::Wanted;

/// As many as the schema admits.
const MOST_TOLD: usize = 16;

/// Says how each tool is.
pub(super) fn tell(w: &World, d: &mut Draft, wanted: &[Wanted], held: &[(&Subject<'_>, Held)]) {
    let before = d.status.tools.clone();
    let mut told = Vec::new();
    let mut trouble: Option<(bool, &'static str, String)> = None;
    let mut outdated = false;
    for tool in wanted {
        let why = held
            .iter()
            .find(|(subject, _)| subject.tool.name == tool.name);
        let mains =
            Slot::tool(&tool.name, Part::Main).and_then(|slot| ledger::entry(&d.status, slot));
        let refusal = w
            .tools
            .refused
            .iter()
            .find(|refusal| refusal.tool == tool.name);
        let there = mains.is_some_and(|entry| entry.state == SlotState::Exists);
        let old = before.iter().find(|old| old.name == tool.name);
        let seen = Slot::tool(&tool.name, Part::Main).and_then(|slot| w.resource(slot));
        let usage = spent::usage(w, seen, old.and_then(|old| old.usage.as_ref()));
        outdated |= mains.is_some_and(|entry| spent::is_outdated(entry, usage.as_ref()));
        let (ready, reason, message) = match (why, refusal) {
            (Some((_, why)), _) => (false, why.reason, why.message.clone()),
            (None, _) if !there => (
                false,
                reason::PENDING,
                "comes with the template's next revision".to_owned(),
            ),
            (None, Some(refusal)) => (true, reason::NOT_ALLOWED, refusal.message.clone()),
            (None, None) => match spent::limit_spent(tool, usage.as_ref()) {
                Some(spent) => (true, reason::LIMIT_SPENT, spent),
                None => (true, reason::READY, String::new()),
            },
        };
        if !ready
            && trouble
                .as_ref()
                .is_none_or(|(required, ..)| tool.required && !required)
        {
            trouble = Some((tool.required, reason, format!("{}: {message}", tool.name)));
        }
        let address = address(w, &d.status, tool).filter(|_| there);
        told.push(ToolStatus {
            name: tool.name.clone(),
            kind: tool.kind,
            ready,
            reason: reason.to_owned(),
            message: message.chars().take(1024).collect(),
            address,
            secret_ref: secret_ref(w, &d.status, tool),
            usage,
            unknown: old.map(|old| old.unknown.clone()).unwrap_or_default(),
        });
    }
    if outdated {
        // A listing that shows the same as the one before it wakes nobody.
        d.again(w.recheck());
    }
    for refusal in &w.tools.refused {
        if !wanted.iter().any(|tool| tool.name == refusal.tool) {
            trouble.get_or_insert_with(|| (true, reason::NOT_ALLOWED, refusal.message.clone()));
        }
    }
    told.extend(dropped(w, d, wanted, &before));
    told.truncate(MOST_TOLD);
    d.status.tools = told;
    d.say(match trouble {
        Some((_, reason, message)) => Statement::no(kind::TOOLS_READY, reason, message),
        None if d.status.tools.is_empty() => {
            Statement::yes(kind::TOOLS_READY, reason::NONE, "the agent has no tools")
        }
        None => all_there(&d.status.tools),
    });
}

/// What the template no longer names is told until it goes: it is the agent's, and costs what it costs.
fn dropped(
    w: &World,
    d: &Draft,
    wanted: &[Wanted],
    before: &[ToolStatus],
) -> impl Iterator<Item = ToolStatus> {
    before.iter().filter_map(|old| {
        let slot = Slot::tool(&old.name, Part::Main)?;
        let entry = ledger::entry(&d.status, slot)?;
        let named = wanted.iter().any(|tool| tool.name == old.name);
        (!named && entry.state == SlotState::Exists).then(|| ToolStatus {
            ready: true,
            reason: reason::READY.to_owned(),
            message: "the template no longer names it, and it goes when its agent follows"
                .to_owned(),
            usage: spent::usage(w, w.resource(slot), old.usage.as_ref()),
            ..old.clone()
        })
    })
}

/// The agent has its tools; one that has spent what it may is told.
pub(in crate::engine) fn all_there(tools: &[ToolStatus]) -> Statement {
    let spent = tools.iter().find(|tool| tool.reason == reason::LIMIT_SPENT);
    match spent {
        Some(tool) => {
            let message = format!("{} {}", tool.name, tool.message);
            Statement::yes(kind::TOOLS_READY, reason::LIMIT_SPENT, message)
        }
        None => Statement::yes(kind::TOOLS_READY, reason::READY, "the agent has its tools"),
    }
}

/// The tools that cost as much while nothing of the agent runs, in words. What keys may spend is not among them: nobody spends it.
pub(in crate::engine) fn billed_at_rest(status: &AgentInstanceStatus) -> Option<String> {
    let billed =
        |entry: &&LedgerEntry| entry.state == SlotState::Exists && entry.settings.is_empty();
    let billed = status.external.iter().filter(billed).filter_map(|entry| {
        let usd = Some(monthly::ordered(entry)).filter(|usd| *usd > Money::ZERO)?;
        Some(format!("{} ({usd} US dollars a month)", entry.slot))
    });
    let billed: Vec<String> = billed.collect();
    (!billed.is_empty()).then(|| billed.join(", "))
}

/// Says of every tool that it is on its way back, whichever goes first: nothing gives the agent one any more.
pub(in crate::engine) fn no_longer(d: &mut Draft) {
    for tool in &mut d.status.tools {
        tool.ready = false;
        reason::DELETING.clone_into(&mut tool.reason);
        tool.message.clear();
    }
    let message = "what the agent was given is being taken back";
    d.say(Statement::no(kind::TOOLS_READY, reason::DELETING, message));
}

/// Where a tool is reached, by what was seen of it.
pub(super) fn address(w: &World, status: &AgentInstanceStatus, tool: &Wanted) -> Option<String> {
    let slot = Slot::tool(&tool.name, Part::Main)?;
    let entry = ledger::entry(status, slot)?;
    let told = || {
        let told = status.tools.iter().find(|told| told.name == tool.name)?;
        told.address.clone()
    };
    kept(w, entry)
        .and_then(|kept| kept.address.clone())
        .or_else(|| w.resource(slot)?.address.clone())
        .or_else(told)
}

fn secret_ref(w: &World, status: &AgentInstanceStatus, tool: &Wanted) -> Option<NameRef> {
    let name = tool.parts.iter().find_map(|part| {
        let entry = ledger::entry(status, Slot::tool(&tool.name, *part)?)?;
        kept(w, entry)?.secret.clone()
    })?;
    Some(NameRef {
        name: ObjectName(name),
    })
}
