//! What is committed a month: what an agent's tools can cost within one, by its ledger, and what its project has cost.
//!
//! What holds: an inbox and a number count at their price, a key at its limit as often as that comes back within a month, and one
//! whose limit never comes back at what is left of it. An entry of an older version does not say it, and is worked out from
//! what it does say. What Railway costs only its use tells: that is
//! committed as it is spent. Deliberately absent: whether an account has room for it (`engine::places`).

use super::left::counts;
use super::tool::{INBOX_USD, Usage, Wish};
use crate::api::limits::MonthlyUsd;
use crate::api::money::Money;
use crate::api::template::LimitReset;
use crate::api::{AgentInstanceStatus, LedgerEntry, Part, Slot, SlotState};

/// How often a limit comes back within a month, at most.
fn times_a_month(reset: LimitReset) -> u64 {
    match reset {
        LimitReset::Never | LimitReset::Monthly => 1,
        LimitReset::Weekly => 5,
        LimitReset::Daily => 31,
    }
}

/// What something that is wished can cost a month. `most`: what its account lets it cost, where the wish names no sum.
pub fn of_wish(wish: &Wish, most: Option<Money>) -> Money {
    match wish {
        Wish::Openrouter {
            limit_usd, reset, ..
        } => limit_usd.times(times_a_month(*reset)),
        Wish::Exa { budget_usd, .. } => budget_usd.unwrap_or_default(),
        Wish::Agentmail { .. } => INBOX_USD,
        Wish::Telnyx {
            max_monthly_usd, ..
        } => {
            let caps = [*max_monthly_usd, most].into_iter().flatten();
            caps.min().unwrap_or_default()
        }
        Wish::Wallet | Wish::Bankr => Money::ZERO,
    }
}

/// What an entry was ordered to cost a month at most.
pub fn ordered(entry: &LedgerEntry) -> Money {
    if !counts(entry.slot) {
        return Money::ZERO;
    }
    entry.monthly_usd.unwrap_or_else(|| {
        if entry.provider == "agentmail" {
            return INBOX_USD;
        }
        let given = Wish::given_usd(&entry.settings).unwrap_or_default();
        given.times(times_a_month(Wish::given_again(&entry.settings)))
    })
}

/// What an entry of a ledger can still cost within a month.
pub fn committed(entry: &LedgerEntry, status: &AgentInstanceStatus) -> Money {
    if entry.state == SlotState::Planned {
        return Money::ZERO;
    }
    let ordered = ordered(entry);
    let comes_back = Wish::given_again(&entry.settings) != LimitReset::Never;
    match told(entry, status) {
        // What never comes back is not spent again.
        Some(usage) if !comes_back => ordered.without(usage.spent_usd),
        _ => ordered,
    }
}

/// What an entry is known to have cost in this month, or costs each month.
fn spent(entry: &LedgerEntry, status: &AgentInstanceStatus) -> Money {
    if !counts(entry.slot) || entry.state == SlotState::Planned {
        return Money::ZERO;
    }
    match entry.provider.as_str() {
        // Both are paid for as a whole, whatever is done with them.
        "agentmail" | "telnyx" => ordered(entry),
        _ => told(entry, status).map_or(Money::ZERO, |usage| usage.month_usd),
    }
}

fn told(entry: &LedgerEntry, status: &AgentInstanceStatus) -> Option<Usage> {
    let own = entry.slot.as_tool().filter(|own| own.part == Part::Main)?;
    let mut tools = status.tools.iter();
    let tool = tools.find(|tool| tool.name == own.tool.as_str())?;
    tool.usage.as_ref().map(Usage::told)
}

/// What the entries of a ledger cost together. `None` where nothing of it costs anything.
pub fn of(status: &AgentInstanceStatus, here: impl Fn(&LedgerEntry) -> bool) -> Option<MonthlyUsd> {
    let entries = || {
        let all = status.external.iter();
        all.filter(|entry| entry.slot != Slot::Project && here(entry))
    };
    let mut all = status.external.iter();
    let lives = all.any(|entry| entry.slot == Slot::Project && here(entry));
    let project = status.project.as_ref().filter(|_| lives);
    let home = project
        .and_then(|project| project.month_usd)
        .unwrap_or_default();
    let sum = MonthlyUsd {
        committed: entries()
            .map(|entry| committed(entry, status))
            .sum::<Money>()
            + home,
        spent: entries().map(|entry| spent(entry, status)).sum::<Money>() + home,
    };
    (sum != MonthlyUsd::default()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(entries: &Value, tools: &Value) -> AgentInstanceStatus {
        serde_json::from_value(json!({"external": entries, "tools": tools})).unwrap()
    }

    fn entry(slot: &str, provider: &str, settings: &str, usd: Option<&str>) -> Value {
        json!({"origin": "Made", "slot": slot, "provider": provider, "account": "main", "state": "Exists", "key": "k", "id": "i",
            "settings": settings, "monthlyUSD": usd, "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"})
    }

    fn used(spent: &str, month: &str) -> Value {
        json!([{"name": "llm", "type": "openrouter", "ready": true, "reason": "Ready", "usage": {"spentUSD": spent, "monthUSD": month,
            "limitUSD": "20", "asOf": "2026-01-01T00:00:00.000000Z"}}])
    }

    #[test]
    fn a_key_counts_at_its_limit_as_often_as_it_comes_back() {
        for (reset, usd) in [
            (LimitReset::Never, 20),
            (LimitReset::Monthly, 20),
            (LimitReset::Weekly, 100),
            (LimitReset::Daily, 620),
        ] {
            let wish = Wish::Openrouter {
                limit_usd: Money::dollars(20),
                reset,
                disabled: None,
            };
            assert_eq!(of_wish(&wish, None), Money::dollars(usd));
            // As an older version has it.
            let old = entry("tool/llm", "openrouter", &wish.settings(), None);
            let old: LedgerEntry = serde_json::from_value(old).unwrap();
            assert_eq!(ordered(&old), Money::dollars(usd));
        }
    }

    #[test]
    fn what_never_comes_back_counts_as_far_as_it_is_left() {
        for (settings, spent, month, committed, cost) in [
            ("limitUSD=20", "0", "0", 2000, 0),
            ("limitUSD=20", "12.50", "2.50", 750, 250),
            ("limitUSD=20", "25", "25", 0, 2500),
            ("limitUSD=20/monthly", "12.50", "12.50", 2000, 1250),
        ] {
            let key = entry("tool/llm", "openrouter", settings, Some("20"));
            let told = of(&status(&json!([key]), &used(spent, month)), |_| true).unwrap();
            let expected = MonthlyUsd {
                committed: Money::cents(committed),
                spent: Money::cents(cost),
            };
            assert_eq!(told, expected, "{settings} {spent}");
        }
    }

    #[test]
    fn numbers_and_inboxes_count_at_their_price_and_parts_and_projects_do_not() {
        let all = json!([
            entry("project", "railway", "", None),
            entry("tool/phone/profile", "telnyx", "", None),
            entry("tool/phone", "telnyx", "", Some("1.10")),
            entry("tool/inbox", "agentmail", "", None),
            entry("tool/inbox/key", "agentmail", "", None),
            entry("tool/purse", "wallet", "", None),
        ]);
        let told = of(&status(&all, &json!([])), |_| true).unwrap();
        let both = Money::cents(310);
        assert_eq!((told.committed, told.spent), (both, both));
        assert!(of(&status(&all, &json!([])), |_| false).is_none());
        // The dearest that may be ordered, until the price is known.
        let number = |max: Option<u64>| Wish::Telnyx {
            country: "US".into(),
            area: None,
            max_monthly_usd: max.map(Money::dollars),
        };
        for (own, most, usd) in [(None, 2, 2), (Some(1), 2, 1), (Some(5), 2, 2)] {
            let usd = Money::dollars(usd);
            assert_eq!(of_wish(&number(own), Some(Money::dollars(most))), usd);
        }
    }
}
