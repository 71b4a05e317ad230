//! What tools have spent, as people hear of it.
//!
//! What holds: a status tells spending in steps, each tenth of the limit, so that nothing is written in between; at the eighth
//! and at the last there is an event, once for each time that it is reached, because both are told by what was on record
//! before. A tool that has spent all it may is the agent's still. Deliberately absent: stopping anybody who spends, which is the
//! provider's.

use crate::api::condition::reason;
use crate::api::instance::{ToolStatus, ToolUsage};
use crate::api::template::LimitReset;
use crate::api::{AgentInstanceStatus, LedgerEntry, Origin};
use crate::engine::ledger;
use crate::engine::world::World;
use crate::model::Announcement;
use crate::model::tool::{Resource, Usage, Wanted, Wish};

/// The tenth at which people are warned.
const SOON: u8 = 8;

/// All of the limit.
const ALL: u8 = 10;

/// What the status says that a tool has spent, by what was seen of it now and what was told before.
pub(super) fn usage(
    w: &World,
    seen: Option<&Resource>,
    old: Option<&ToolUsage>,
) -> Option<ToolUsage> {
    let Some(now) = seen.and_then(|resource| resource.usage) else {
        return old.cloned();
    };
    if old.is_some_and(|old| !now.is_news(Usage::told(old))) {
        return old.cloned();
    }
    Some(ToolUsage {
        spent_usd: now.spent_usd,
        limit_usd: now.limit_usd,
        month_usd: Some(now.month_usd),
        as_of: ledger::moment(w.now),
    })
}

/// Whether the limit that is told is not the one that was set last: no listing begun after that was read yet.
pub(super) fn is_outdated(entry: &LedgerEntry, usage: Option<&ToolUsage>) -> bool {
    let told = usage.and_then(|usage| usage.limit_usd);
    let set = Wish::given_usd(&entry.settings).filter(|_| entry.origin == Origin::Made);
    told.is_some() && set.is_some() && told != set
}

/// Why a tool is of no use for now although the agent has it: its limit is spent, and what ends that.
pub(super) fn limit_spent(tool: &Wanted, usage: Option<&ToolUsage>) -> Option<String> {
    let usage = usage.filter(|usage| tenths(usage) == Some(ALL))?;
    let comes_back = match tool.wish {
        Wish::Openrouter { reset, .. } => match reset {
            LimitReset::Never => None,
            LimitReset::Daily => Some("at midnight UTC"),
            LimitReset::Weekly => Some("on Monday, midnight UTC"),
            LimitReset::Monthly => Some("on the first of the month, midnight UTC"),
        },
        _ => None,
    };
    let raise = "raise limitUSD in the template, or in toolLimits up to its maxLimitUSD";
    let mend = match comes_back {
        None => format!("{raise}; limitReset Never gives nothing back"),
        Some(when) => format!("the limit comes back {when}; or {raise}"),
    };
    Some(format!(
        "has spent {}, and the provider refuses it more: {mend}",
        sum(usage)
    ))
}

/// What people hear of when a status goes from `before` to `after`: that a tool has reached a step that matters.
pub(in crate::engine) fn news<'a>(
    before: &'a AgentInstanceStatus,
    after: &'a AgentInstanceStatus,
) -> impl Iterator<Item = Announcement> + 'a {
    after.tools.iter().filter_map(|tool| {
        let old = before.tools.iter().find(|old| old.name == tool.name);
        reached(old, tool)
    })
}

fn reached(old: Option<&ToolStatus>, tool: &ToolStatus) -> Option<Announcement> {
    let usage = tool.usage.as_ref()?;
    let was = old.and_then(|old| old.usage.as_ref()).and_then(tenths);
    let (is, was) = (tenths(usage)?, was.unwrap_or(0));
    let note = match is {
        ALL if was < ALL && tool.reason == reason::LIMIT_SPENT => {
            format!("{} {}", tool.name, tool.message)
        }
        ALL if was < ALL => format!("{} has spent {}", tool.name, sum(usage)),
        SOON..ALL if was < SOON => format!(
            "{} has spent {}: at the limit the provider refuses it more",
            tool.name,
            sum(usage)
        ),
        _ => return None,
    };
    Some(Announcement {
        warning: true,
        reason: reason::LIMIT_SPENT,
        action: "Spend",
        note,
    })
}

fn tenths(usage: &ToolUsage) -> Option<u8> {
    Usage::told(usage).tenths()
}

/// `18 of 20 US dollars`
fn sum(usage: &ToolUsage) -> String {
    match usage.limit_usd {
        Some(limit) => format!("{} of {limit} US dollars", usage.spent_usd),
        None => format!("{} US dollars", usage.spent_usd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::money::Money;
    use serde_json::json;

    fn spent(cents: Option<u64>, limit: u64) -> AgentInstanceStatus {
        let usage = cents.map(|cents| {
            json!({"spentUSD": Money::cents(cents), "limitUSD": Money::dollars(limit),
                "asOf": "2026-01-01T00:00:00.000000Z"})
        });
        let tool = json!({"name": "llm", "type": "openrouter", "ready": true, "reason": "Ready", "usage": usage});
        serde_json::from_value(json!({"tools": [tool]})).unwrap()
    }

    #[test]
    fn a_step_that_matters_is_heard_of_once_each_time_that_it_is_reached() {
        for (before, limit_before, after, limit, heard) in [
            (None, 20, 0, 20, None),
            (None, 20, 1599, 20, None),
            (None, 20, 1600, 20, Some("16 of 20")),
            (None, 20, 2000, 20, Some("20 of 20")),
            (Some(1599), 20, 1600, 20, Some("16 of 20")),
            (Some(1600), 20, 1999, 20, None),
            (Some(1600), 20, 2100, 20, Some("21 of 20")),
            // The first is not told beside the second.
            (Some(0), 20, 2000, 20, Some("20 of 20")),
            (Some(2000), 20, 2100, 20, None),
            // It came back, and is spent again.
            (Some(2000), 20, 100, 20, None),
            (Some(100), 20, 2000, 20, Some("20 of 20")),
            // Another limit, above and below what is spent.
            (Some(2000), 20, 2000, 40, None),
            (Some(2000), 40, 2000, 20, Some("20 of 20")),
            // Of a key that may spend nothing there is nothing to be told.
            (None, 0, 0, 0, None),
        ] {
            let (before, after) = (spent(before, limit_before), spent(Some(after), limit));
            let notes: Vec<Announcement> = news(&before, &after).collect();
            assert_eq!(notes.len(), usize::from(heard.is_some()), "{notes:?}");
            for note in &notes {
                assert_eq!(note.reason, "LimitSpent");
                assert!(note.note.contains(heard.unwrap()), "{}", note.note);
            }
        }
    }
    #[test]
    fn a_limit_that_was_set_and_is_not_told_yet_is_looked_for_again() {
        let entry = |origin: &str, settings: &str| -> LedgerEntry {
            serde_json::from_value(json!({
                "slot": "tool/llm", "provider": "openrouter", "account": "keys", "origin": origin, "state": "Exists", "key": "k",
                "settings": settings, "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z",
            }))
            .unwrap()
        };
        let told = |limit: u64| spent(Some(100), limit).tools[0].usage.clone();
        for (origin, settings, told, outdated) in [
            ("Made", "limitUSD=40/Never", told(20), true),
            ("Made", "budgetUSD=40", told(20), true),
            ("Made", "limitUSD=40/Never", told(40), false),
            ("Made", "limitUSD=40/Never", None, false),
            ("Made", "", told(20), false),
            // What was adopted has its own, whatever we would set.
            ("Adopted", "limitUSD=40/Never", told(20), false),
        ] {
            let entry = entry(origin, settings);
            let is = is_outdated(&entry, told.as_ref());
            assert_eq!(is, outdated, "{origin} {settings} {told:?}");
        }
    }
}
