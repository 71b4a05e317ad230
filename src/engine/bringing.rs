//! The tools with `when: Claim` that a claim brings its agent: which they are, whether there is room for them, and what of them the agent
//! still waits for.
//!
//! What holds: whether there is room is asked before an agent is taken, so that none is used up by a claim that cannot be served; what is
//! lacking is said with both numbers. Deliberately absent: how a tool comes to be (`tools`), and who reserves the room.

mod hour;

pub use hour::coming;

use super::compose::Broken;
use super::orders::order;
use super::places::{Most, PlaceAsked, TakenPlaces};
use super::report::stable;
use super::tools::for_claims;
use super::world::ToolAccountView;
use super::{meaning, quota, rights};
use crate::api::claim::ToldTool;
use crate::api::condition::reason;
use crate::api::instance::ToolStatus;
use crate::api::limits::MostMoney;
use crate::api::template::{ToolKind, ToolSpec, ToolTime};
use crate::api::{AgentInstance, AgentTemplate, Slot, SlotState};
use crate::model::monthly;
use crate::model::slot::parts;
use crate::model::tool::Wanted;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::fmt::Write;

/// Longer nobody waits for the tools of a claim's agent without saying that something is wrong.
const TOOLS: SignedDuration = SignedDuration::from_mins(15);

/// Tools with `when: Claim` of a template.
pub fn for_claim(tools: &[ToolSpec]) -> Vec<ToolSpec> {
    let those = tools.iter().filter(|tool| tool.when == ToolTime::Claim);
    those.cloned().collect()
}

/// What a claim's agent gets beside what it has: the tools of its own template that wait for a claim, and those of the persona.
///
/// `persona`: none where that is the agent's own template.
///
/// # Errors
/// The persona has a tool that would take the place of one that the agent has.
pub fn brings(
    template: &[ToolSpec],
    persona: Option<&AgentTemplate>,
) -> Result<Vec<ToolSpec>, Broken> {
    let own = for_claim(template);
    let Some(persona) = persona else {
        return Ok(own);
    };
    let theirs = for_claim(&persona.spec.tools);
    let alike = |tool: &ToolSpec| {
        let mut all = template.iter();
        all.find(|has| has.name == tool.name || has.kind == tool.kind)
    };
    if let Some((tool, has)) = theirs.iter().find_map(|tool| Some((tool, alike(tool)?))) {
        return Err(Broken {
            reason: reason::NOT_ALLOWED,
            message: format!(
                "personaRef: AgentTemplate {} has tool {} of type {}, and the pool's own template has tool {} of type {}: an agent has one tool of a name and one of a type; take one of the two away, or name another persona",
                persona.name_any(),
                tool.name,
                tool.kind.provider(),
                has.name,
                has.kind.provider()
            ),
        });
    }
    Ok(own.into_iter().chain(theirs).collect())
}

/// What is known of the account of a tool.
#[derive(Clone, Debug)]
pub struct AccountSight {
    /// Whether it can be used.
    pub view: ToolAccountView,
    /// Most that there may be in it. `None`: it cannot be read.
    pub most: Option<Most>,
    /// Most money that it lets one agent have.
    pub money: Option<MostMoney>,
    /// When things were ordered there, and how many may be within an hour.
    pub orders: (Vec<Time>, i32),
    /// Orders of others that are still to come ([`coming`]).
    pub coming: usize,
    /// Whether it lets nothing be left behind.
    pub denies: bool,
    /// What others take there. `None`: it was not counted yet.
    pub taken: Option<TakenPlaces>,
    /// That nothing may be done there now, and why.
    pub held: Option<(&'static str, String)>,
}

/// Why a claim cannot have what it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomLack {
    /// Why, in one stable word.
    pub reason: &'static str,
    /// Why, and what to do.
    pub message: String,
    /// Whether a person has to do something.
    pub person: bool,
    /// When it may be otherwise, where that is known.
    pub again: Option<Timestamp>,
}

/// The tools that a claim brings, as they are asked for in their accounts. `namespace`: the claim's.
pub fn asked(tools: &[ToolSpec], namespace: &str) -> Vec<Wanted> {
    for_claims(tools, namespace)
}

/// What a tool asks for in its account.
pub fn place(tool: &Wanted, money: Option<&MostMoney>) -> PlaceAsked {
    let most = money.filter(|most| most.provider == tool.kind.provider());
    PlaceAsked {
        thing: true,
        usd: monthly::of_wish(&tool.wish, most.map(|most| most.usd)),
        metered: false,
    }
}

/// The slot of which that is.
pub fn slot(tool: &Wanted) -> Option<Slot> {
    Slot::tool(&tool.name, crate::api::Part::Main)
}

/// Why a tool that a claim brings could not be had now.
pub fn lack(
    tool: &Wanted,
    sight: &AccountSight,
    namespace: &str,
    now: Timestamp,
) -> Option<RoomLack> {
    let (account, said) = (tool.account.as_str(), sight);
    let lacks = |reason: &'static str, person: bool, why: String| RoomLack {
        reason,
        message: format!("no agent is taken for it: its tool {}: {why}", tool.name),
        person,
        again: None,
    };
    if let Some((reason, person, why)) = closed(tool, &said.view, namespace) {
        return Some(lacks(reason, person, why));
    }
    if let Some((reason, why)) = &said.held {
        return Some(lacks(reason, false, why.clone()));
    }
    if let Some(why) = quota::nothing(tool, None) {
        return Some(lacks(reason::VALUE_NOT_USABLE, true, why));
    }
    if let Some(why) = left_in_vain(tool).filter(|_| said.denies) {
        return Some(lacks(reason::RETENTION_NOT_ALLOWED, true, why));
    }
    let above = said.money.as_ref().and_then(|most| too_dear(tool, most));
    if let Some(why) = above {
        return Some(lacks(reason::QUOTA_EXCEEDED, true, why));
    }
    let (Some(most), Some(taken)) = (said.most, said.taken) else {
        let why = format!("what is in ProviderAccount {account} is being looked at");
        return Some(lacks(reason::PENDING, false, why));
    };
    let asked = place(tool, said.money.as_ref());
    if let Some(why) = most.full(taken, asked, account, namespace) {
        return Some(lacks(reason::QUOTA_EXCEEDED, true, why));
    }
    let (until, why) = no_order(tool, sight, now)?;
    let again = Some(until);
    Some(RoomLack {
        again,
        ..lacks(reason::QUOTA_EXCEEDED, false, why)
    })
}

/// That as many orders as may be within an hour are on record there, or to come: when the next may be, and a sentence.
fn no_order(tool: &Wanted, sight: &AccountSight, now: Timestamp) -> Option<(Timestamp, String)> {
    let (recorded, an_hour) = &sight.orders;
    if tool.kind != ToolKind::Telnyx {
        return None;
    }
    let coming = std::iter::repeat_n(Time(now), sight.coming);
    let all: Vec<Time> = recorded.iter().cloned().chain(coming).collect();
    let until = order(&all, *an_hour, now).err()?;
    let to_come = match sight.coming {
        0 => String::new(),
        coming => format!(", with {coming} that agents are about to make"),
    };
    let why = format!(
        "ProviderAccount {} has as many orders within an hour as its spec.limits.ordersPerHour allows, {an_hour}{to_come}; the next may be at {until:.0}",
        tool.account
    );
    Some((until, why))
}

/// Why an account that lets nothing be left behind does not let it be had.
fn left_in_vain(tool: &Wanted) -> Option<String> {
    let mut rows = parts(tool.kind.provider()).filter(|(part, _)| tool.parts.contains(part));
    rows.find_map(|(_, row)| rights::left_in_vain(tool, row.undo))
}

/// That the account cannot be used as it is: the reason, whether a person has to do something, and a sentence.
fn closed(
    tool: &Wanted,
    view: &ToolAccountView,
    namespace: &str,
) -> Option<(&'static str, bool, String)> {
    let account = tool.account.as_str();
    Some(match view {
        ToolAccountView::Ready => return None,
        ToolAccountView::NotAvailable => {
            let why = meaning::not_available(account, namespace);
            (reason::ACCOUNT_NOT_AVAILABLE, true, why)
        }
        ToolAccountView::Elsewhere { provider } => {
            let why = meaning::elsewhere(account, provider, tool.kind.provider());
            (reason::ACCOUNT_NOT_AVAILABLE, true, why)
        }
        ToolAccountView::Deleting => {
            let why = meaning::account_goes(account);
            (reason::ACCOUNT_DELETING, true, why)
        }
        ToolAccountView::NotReady { message } => {
            let why = format!("ProviderAccount {account} is not ready: {message}");
            (reason::ACCOUNT_NOT_READY, false, why)
        }
        ToolAccountView::Unreachable => {
            let why = format!("the provider of ProviderAccount {account} cannot be reached");
            (reason::ACCOUNT_UNREACHABLE, false, why)
        }
    })
}

fn too_dear(tool: &Wanted, most: &MostMoney) -> Option<String> {
    let asked = tool.wish.asks_usd()?;
    let more = most.provider == tool.kind.provider() && asked > most.usd;
    more.then(|| {
        format!(
            "ProviderAccount {} spec.{} is {}, and {asked} is asked for: ask for less, or let the account's owner raise it",
            tool.account, most.field, most.usd
        )
    })
}

/// What a claim's agent waits for before it is told who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitedTool {
    /// Why, in one stable word.
    pub reason: &'static str,
    /// Why, and what to do.
    pub message: String,
}

/// The first of these tools that an agent needs and has not got. `told`: what its instance says of its tools.
pub fn awaited(tools: &[ToolSpec], told: &[ToolStatus]) -> Option<AwaitedTool> {
    let needed = tools
        .iter()
        .filter(|tool| tool.when == ToolTime::Claim && tool.required);
    let mut missing = needed.filter_map(|tool| {
        let known = told.iter().find(|one| one.name == tool.name.as_str());
        let known = known.filter(|one| one.kind == tool.kind);
        let ready = known.is_some_and(|one| one.ready);
        (!ready).then_some((tool, known))
    });
    let (tool, known) = missing.next()?;
    let reason = known.and_then(|one| stable(&one.reason));
    let why = known.map(|one| one.message.as_str());
    let why = why.filter(|why| !why.is_empty());
    Some(AwaitedTool {
        reason: reason.unwrap_or(reason::PENDING),
        message: format!(
            "its agent is told who it is when it has its tool {}: {}",
            tool.name,
            why.unwrap_or("it is being made")
        ),
    })
}

/// The resources that give what a tool gives its agent, as a text. Another one is made in the place of one that is gone, and gives
/// something else.
pub fn made_of(instance: &AgentInstance, tool: &str) -> String {
    let status = instance.status.iter();
    let ledger = status.flat_map(|status| &status.external);
    let its = ledger.filter(|entry| entry.state == SlotState::Exists);
    let its = its.filter(|entry| entry.slot.as_tool().is_some_and(|slot| &*slot.tool == tool));
    its.fold(String::from("made;"), |mut text, entry| {
        let id = entry.id.as_deref().unwrap_or_default();
        let _ = write!(text, "{}:{}:{id};", entry.slot, id.len());
        text
    })
}

/// All that an agent has of these tools, where it was not told of one as it is now. `of`: what names the resources of a tool.
pub fn untold(
    tools: &[ToolSpec],
    has: &[ToolStatus],
    told: &[ToldTool],
    of: impl Fn(&str) -> String,
) -> Vec<ToldTool> {
    let ready = |tool: &&ToolSpec| {
        let mut has = has.iter();
        has.any(|one| one.ready && one.name == tool.name.as_str() && one.kind == tool.kind)
    };
    let those = tools.iter().filter(ready).map(|tool| ToldTool {
        name: tool.name.clone(),
        of: of(tool.name.as_str()),
    });
    let those: Vec<ToldTool> = those.collect();
    match those.iter().all(|tool| told.contains(tool)) {
        true => Vec::new(),
        false => those,
    }
}

/// Whether any of these tools is needed before an agent is told.
pub fn needs_any(tools: &[ToolSpec]) -> bool {
    tools.iter().any(|tool| tool.required)
}

/// When it is said that something is wrong with an agent that was handed over then, and that has its tools not yet.
pub fn late_at(handed_over: Timestamp) -> Timestamp {
    handed_over + TOOLS
}

#[cfg(test)]
mod tests;
