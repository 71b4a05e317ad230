//! What an agent asks for, against what its accounts let one agent have.
//!
//! Holds: a limit is for what is new or larger. What an agent has on record it keeps, however low the limit has become, and it is
//! changed in everything else. Deliberately absent: how many there may be.

use super::draft::{Draft, Phase, wait};
use super::world::{AccountView, TemplateView, Tools, World};
use crate::api::condition::{kind, reason};
use crate::api::instance::AgentInstance;
use crate::api::limits::{MostMoney, Sizes};
use crate::api::money::Money;
use crate::api::text::Amount;
use crate::api::{LedgerEntry, Part, Slot, SlotState};
use crate::model::monthly;
use crate::model::tool::{Wanted, Wish};
use std::ops::ControlFlow;

/// Whether the account lets one agent be as large as its template makes it. What it is made so is put on record.
pub(super) fn sizes(w: &World, d: &mut Draft, asked: &Sizes) -> Phase {
    let (AccountView::Ready(room), TemplateView::Ready(template)) = (&w.account, &w.template)
    else {
        return ControlFlow::Continue(());
    };
    if d.status.template_revision.as_ref() == Some(&template.revision) {
        // It is that large already.
        record(d, asked);
        return ControlFlow::Continue(());
    }
    let has = d.status.sizes.clone().unwrap_or_default();
    let (instance, most) = (&w.instance.spec, &room.per_agent);
    let rows = [
        ("cpu", &most.cpu, &asked.cpu, &has.cpu),
        ("memory", &most.memory, &asked.memory, &has.memory),
        ("volume", &most.volume, &asked.volume, &has.volume),
    ];
    for (field, most, asked, has) in rows {
        let units = |amount: &Option<Amount>| amount.as_ref().and_then(Amount::units);
        let sum = units(asked).unwrap_or(0.0);
        let more = sum > most.units().unwrap_or(f64::INFINITY) && sum > units(has).unwrap_or(0.0);
        if let (true, Some(asked)) = (more, asked) {
            let message = format!(
                "ProviderAccount {} spec.railway.perAgent.{field} is {}; AgentTemplate {} asks for {}: ask for less, or let the account's owner raise it",
                instance.account_ref.name, most.0, instance.template_ref.name, asked.0
            );
            d.stalled_on(kind::SYNCED, reason::QUOTA_EXCEEDED, message);
            return wait(None);
        }
    }
    ControlFlow::Continue(())
}

/// Puts on record how large an agent is made.
pub(super) fn record(d: &mut Draft, sizes: &Sizes) {
    d.status.sizes = Some(sizes.clone()).filter(|sizes| *sizes != Sizes::default());
}

/// Why a tool is given no more than it has. `entry`: the ledger's of the thing itself, where there is one.
pub(super) fn money(w: &World, tool: &Wanted, entry: Option<&LedgerEntry>) -> Option<String> {
    let most = most(&w.tools, tool)?;
    let asked = tool.wish.asks_usd()?;
    if asked <= most.usd || Given::Sum(asked) <= has_usd(tool, entry) {
        return None;
    }
    let own = &w.instance.spec.tool_limits;
    let asks = match tool.wish {
        Wish::Agentmail { .. } => format!("an inbox costs {asked} a month"),
        _ if own.iter().any(|own| own.name.0 == tool.name) => {
            format!("toolLimits asks for {asked}")
        }
        _ => format!(
            "AgentTemplate {} asks for {asked}",
            w.instance.spec.template_ref.name
        ),
    };
    Some(format!(
        "ProviderAccount {} spec.{} is {}; {asks}: ask for less, or let the account's owner raise it",
        tool.account, most.field, most.usd
    ))
}

/// Why a tool is not given a limit of nothing: no provider says what it makes of 0, and to one it may mean none. `entry`: as for
/// [`money`]; what has it already keeps it.
pub(super) fn nothing(tool: &Wanted, entry: Option<&LedgerEntry>) -> Option<String> {
    let asks = tool.wish.asks_usd() == Some(Money::ZERO);
    let has = entry.and_then(|entry| Wish::given_usd(&entry.settings));
    (asks && has != Some(Money::ZERO)).then(|| {
        format!(
            "tool {} may spend 0 US dollars, and what its provider makes of that is not known: write 0.01 or more, or take the tool out",
            tool.name
        )
    })
}

/// What a tool that is wished can cost a month.
pub(super) fn monthly(w: &World, tool: &Wanted) -> Money {
    monthly::of_wish(&tool.wish, most(&w.tools, tool).map(|most| most.usd))
}

/// The most that its account lets such a tool cost.
pub(super) fn most_of_account(w: &World, tool: &Wanted) -> Option<Money> {
    most(&w.tools, tool).map(|most| most.usd)
}

fn most<'a>(tools: &'a Tools, tool: &Wanted) -> Option<&'a MostMoney> {
    let most = tools.most.get(&tool.account);
    most.filter(|most| most.provider == tool.kind.provider())
}

/// What a tool may spend already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Given {
    /// So much.
    Sum(Money),
    /// Whatever it likes.
    Endless,
}

/// What a tool may spend already, by its ledger.
fn has_usd(tool: &Wanted, entry: Option<&LedgerEntry>) -> Given {
    let own =
        |one: &&LedgerEntry| one.provider == tool.kind.provider() && one.account == tool.account;
    let Some(entry) = entry.filter(own) else {
        return Given::Sum(Money::ZERO);
    };
    // A key at Exa of which nothing is said has no budget, and an inbox is there already. What a key at OpenRouter has that
    // was taken over, nobody has said.
    let endless = entry.state == SlotState::Exists && !matches!(tool.wish, Wish::Openrouter { .. });
    let said = Wish::given_usd(&entry.settings);
    match said {
        None if endless => Given::Endless,
        said => Given::Sum(said.unwrap_or_default()),
    }
}

impl Tools {
    /// A budget that the template leaves out is the account's limit. A key that has more, or none, keeps that.
    pub fn keep_to_accounts(&mut self, instance: &AgentInstance) {
        let Some(mut wanted) = self.wanted.take() else {
            return;
        };
        for tool in &mut wanted {
            let mut entries = instance.status.iter().flat_map(|status| &status.external);
            let slot = Slot::tool(&tool.name, Part::Main);
            let has = has_usd(tool, entries.find(|one| Some(one.slot) == slot));
            let most = most(self, tool).map(|most| Given::Sum(most.usd).max(has));
            if let Wish::Exa { budget_usd, .. } = &mut tool.wish
                && budget_usd.is_none()
                && let Some(Given::Sum(usd)) = most
            {
                *budget_usd = Some(usd);
            }
        }
        self.wanted = Some(wanted);
    }
}

#[cfg(test)]
mod tests;
