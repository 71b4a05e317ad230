//! Limits at their edges: equal, one above, lowered, raised, and something that has more already.

use super::*;
use crate::api::limits::RailwayPerAgent;
use crate::api::template::{LimitReset, ReclaimPolicy, ToolKind};
use crate::engine::ledger::moment;
use jiff::Timestamp;

fn tool(kind: ToolKind, wish: Wish) -> Wanted {
    Wanted {
        name: "t".into(),
        kind,
        account: "main".into(),
        required: true,
        wish,
        reclaim: ReclaimPolicy::default(),
        parts: vec![Part::Main],
        adopt: None,
        for_claim: false,
    }
}

fn entry(kind: ToolKind, state: SlotState, settings: &str) -> LedgerEntry {
    let slot = Slot::tool("t", Part::Main).unwrap();
    let at = moment(Timestamp::UNIX_EPOCH);
    LedgerEntry {
        state,
        settings: settings.into(),
        ..LedgerEntry::new(slot, kind.provider(), "main".into(), at)
    }
}

#[test]
fn a_key_has_what_its_ledger_says_and_nothing_where_it_is_not_made() {
    use SlotState::{Creating, Exists, Planned};
    let llm = tool(
        ToolKind::Openrouter,
        Wish::Openrouter {
            limit_usd: Money::dollars(1),
            reset: LimitReset::Never,
            disabled: None,
        },
    );
    let search = tool(
        ToolKind::Exa,
        Wish::Exa {
            rate_limit: None,
            budget_usd: None,
        },
    );
    let endless = Given::Endless;
    let sum = |dollars| Given::Sum(Money::dollars(dollars));
    for (tool, state, settings, has) in [
        (&llm, Exists, "limitUSD=200", sum(200)),
        // Its credential was lost and another is made in its place.
        (&llm, Creating, "limitUSD=200", sum(200)),
        (&llm, Creating, "", sum(0)),
        (&llm, Planned, "limitUSD=200", sum(200)),
        (&llm, Planned, "", sum(0)),
        // It was taken over, and nobody has said what it has.
        (&llm, Exists, "", sum(0)),
        (&search, Exists, "rateLimit=5 budgetUSD=30", sum(30)),
        (&search, Exists, "rateLimit=5", endless),
        (&search, Creating, "", sum(0)),
    ] {
        let known = entry(tool.kind, state, settings);
        let told = format!("{:?} {state:?} {settings}", tool.kind);
        assert_eq!(has_usd(tool, Some(&known)), has, "{told}");
        // Another account's, and another provider's.
        let elsewhere = LedgerEntry {
            account: "other".into(),
            ..known
        };
        assert_eq!(has_usd(tool, Some(&elsewhere)), sum(0), "{told}");
    }
    assert_eq!(has_usd(&llm, None), sum(0));
}

#[test]
fn the_lower_limit_of_a_number_holds_and_is_the_one_that_is_told() {
    for (agent, number, field, usd) in [
        (5, 2, "telnyx.maxMonthlyCostUSD", 2),
        (5, 5, "telnyx.perAgent.monthlyCostUSD", 5),
        (5, 10, "telnyx.perAgent.monthlyCostUSD", 5),
    ] {
        let spec: crate::api::ProviderAccountSpec = serde_json::from_value(serde_json::json!({
            "telnyx": {
                "credentialSecretRef": {"name": "s", "key": "k"},
                "maxMonthlyCostUSD": number,
                "perAgent": {"monthlyCostUSD": agent},
            }
        }))
        .unwrap();
        let most = spec.most_money().unwrap();
        assert_eq!((most.field, most.usd), (field, Money::dollars(usd)));
    }
}

#[test]
fn an_account_that_says_nothing_has_limits() {
    let credential = serde_json::json!({"name": "s", "key": "k"});
    for (provider, usd) in [
        ("openrouter", Some(50)),
        ("exa", Some(50)),
        ("agentmail", Some(5)),
        ("bankr", None),
    ] {
        let spec = serde_json::json!({provider: {"credentialSecretRef": credential}});
        let spec: crate::api::ProviderAccountSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(
            spec.most_money().map(|most| most.usd),
            usd.map(Money::dollars),
            "{provider}"
        );
    }
    let most = RailwayPerAgent::default();
    assert_eq!(most.cpu.units(), Some(4.0));
    assert_eq!(most.memory.units(), Some(8.0 * 1_073_741_824.0));
    assert_eq!(most.volume.units(), Some(50.0 * 1_073_741_824.0));
}
