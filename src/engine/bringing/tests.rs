//! What a claim brings, case by case.

use super::*;
use crate::api::AgentInstance;
use crate::api::money::Money;
use crate::engine::places::Taker;
use serde_json::{Value, json};
use std::sync::Arc;

fn tools(all: Value) -> Vec<ToolSpec> {
    serde_json::from_value(all).unwrap()
}

fn llm(when: &str) -> Value {
    json!({"name": "llm", "type": "openrouter", "when": when, "accountRef": {"name": "a"}, "limitUSD": 20})
}

fn persona(all: Value) -> AgentTemplate {
    serde_json::from_value(json!({
        "metadata": {"name": "helper"}, "spec": {"persona": {"instructions": "help"}, "tools": all},
    }))
    .unwrap()
}

fn names(all: &[ToolSpec]) -> Vec<&str> {
    all.iter().map(|tool| tool.name.as_str()).collect()
}

#[test]
fn a_claim_brings_what_waits_for_one_in_both_templates_and_nothing_twice() {
    let own = tools(
        json!([llm("Claim"), {"name": "mail", "type": "agentmail", "accountRef": {"name": "m"}}]),
    );
    let theirs = persona(json!([
        {"name": "purse", "type": "wallet", "when": "Claim"},
        {"name": "search", "type": "exa", "accountRef": {"name": "e"}},
    ]));
    assert_eq!(names(&brings(&own, None).unwrap()), ["llm"]);
    assert_eq!(
        names(&brings(&own, Some(&theirs)).unwrap()),
        ["llm", "purse"]
    );
    for (name, kind) in [("mail", "exa"), ("other", "openrouter"), ("x", "agentmail")] {
        let account = json!({"name": "e"});
        let mut tool = json!({"name": name, "type": kind, "when": "Claim", "accountRef": account});
        if kind == "openrouter" {
            tool["limitUSD"] = json!(1);
        }
        let broken = brings(&own, Some(&persona(json!([tool])))).unwrap_err();
        assert_eq!(broken.reason, reason::NOT_ALLOWED);
        let says = [name, kind, "helper", "take one of the two away"];
        assert!(
            says.iter().all(|part| broken.message.contains(part)),
            "{}",
            broken.message
        );
    }
}

fn sight() -> AccountSight {
    AccountSight {
        view: ToolAccountView::Ready,
        most: Some(Most {
            all: 10,
            field: "limits.resources",
            namespace: 5,
            usd: Some(Money::dollars(100)),
            namespace_usd: None,
        }),
        money: Some(MostMoney {
            provider: "openrouter",
            field: "openrouter.perAgent.limitUSD",
            usd: Money::dollars(50),
        }),
        orders: (Vec::new(), 1),
        coming: 0,
        denies: false,
        taken: Some(TakenPlaces::default()),
        held: None,
    }
}

fn now() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn why(tool: Value, sight: &AccountSight) -> Option<RoomLack> {
    let asked = asked(&tools(json!([tool])), "n");
    lack(&asked[0], sight, "n", now())
}

#[test]
fn what_there_is_no_room_for_is_said_with_both_numbers() {
    assert_eq!(why(llm("Claim"), &sight()), None);
    let with = |change: &dyn Fn(&mut AccountSight)| {
        let mut sight = sight();
        change(&mut sight);
        why(llm("Claim"), &sight).unwrap()
    };
    let cheap = |sight: &mut AccountSight| {
        if let Some(money) = &mut sight.money {
            money.usd = Money::dollars(10);
        }
    };
    let places = |sight: &mut AccountSight| {
        if let Some(taken) = &mut sight.taken {
            taken.namespace = 5;
        }
    };
    let money = |sight: &mut AccountSight| {
        if let Some(taken) = &mut sight.taken {
            taken.usd = Money::dollars(81);
        }
    };
    let cases = [
        (
            with(&cheap),
            ["spec.openrouter.perAgent.limitUSD is 10", "20 is asked for"],
        ),
        (
            with(&places),
            ["has 5 resources", "resourcesPerNamespace there is 5"],
        ),
        (
            with(&money),
            [
                "20 US dollars a month are asked for beside 81",
                "monthlyUSD is 100",
            ],
        ),
    ];
    for (lack, says) in cases {
        assert_eq!((lack.reason, lack.person), (reason::QUOTA_EXCEEDED, true));
        let message = &lack.message;
        assert!(says.iter().all(|part| message.contains(part)), "{message}");
        assert!(
            message.contains("tool llm") && message.contains("no agent is taken"),
            "{message}"
        );
    }
}

#[test]
fn an_account_that_cannot_be_used_gives_no_agent() {
    let message = "its key is wrong".to_owned();
    for (view, reason, person) in [
        (
            ToolAccountView::NotAvailable,
            reason::ACCOUNT_NOT_AVAILABLE,
            true,
        ),
        (
            ToolAccountView::Elsewhere { provider: "exa" },
            reason::ACCOUNT_NOT_AVAILABLE,
            true,
        ),
        (ToolAccountView::Deleting, reason::ACCOUNT_DELETING, true),
        (
            ToolAccountView::NotReady { message },
            reason::ACCOUNT_NOT_READY,
            false,
        ),
        (
            ToolAccountView::Unreachable,
            reason::ACCOUNT_UNREACHABLE,
            false,
        ),
    ] {
        let lack = why(llm("Claim"), &AccountSight { view, ..sight() }).unwrap();
        assert_eq!((lack.reason, lack.person), (reason, person), "{lack:?}");
    }
    let held = Some((reason::PAUSED, "paused".to_owned()));
    assert_eq!(
        why(llm("Claim"), &AccountSight { held, ..sight() })
            .unwrap()
            .reason,
        reason::PAUSED
    );
    let unknown = AccountSight {
        taken: None,
        ..sight()
    };
    assert_eq!(why(llm("Claim"), &unknown).unwrap().reason, reason::PENDING);
}

#[test]
fn an_hour_that_is_full_of_orders_is_waited_for() {
    assert_eq!(why(phone(), &sight()), None);
    let orders = (vec![Time(now())], 1);
    let lack = why(phone(), &AccountSight { orders, ..sight() }).unwrap();
    let until = now() + SignedDuration::from_hours(1);
    assert_eq!((lack.again, lack.person), (Some(until), false));
}

fn phone() -> Value {
    json!({"name": "phone", "type": "telnyx", "when": "Claim", "accountRef": {"name": "a"}})
}

/// An agent that a claim has for good where `handed_over`, with this on record.
fn agent(name: &str, handed_over: bool, external: Value, told: Value) -> Arc<AgentInstance> {
    let at = handed_over.then_some("2026-11-02T09:59:00.000000Z");
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": name, "uid": name},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"},
                "claimRef": {"name": "c", "uid": "c", "handedOverAt": at}},
            "status": {"external": external, "tools": told},
        }))
        .unwrap(),
    )
}

fn taker(name: &str) -> Taker {
    Taker {
        identity: name.to_owned(),
        slot: Slot::named("tool/phone").unwrap(),
        namespace: "n".to_owned(),
    }
}

fn number(state: &str, at: &str) -> Value {
    json!([{"origin": "Made", "slot": "tool/phone", "provider": "telnyx", "account": "a", "state": state, "attempt": 1, "key": "k",
        "startedAt": format!("2026-11-02T{at}.500000Z")}])
}

fn to_come(reserved: &[Taker], agents: &[Arc<AgentInstance>], orders: &[Time]) -> usize {
    let asks = taker("asks");
    let tools = |_: &AgentInstance| tools(json!([phone()]));
    coming(("a", &asks), reserved, agents, tools, (orders, now()))
}

#[test]
fn of_five_claims_at_once_two_take_the_last_two_orders_of_an_hour() {
    let mut reserved: Vec<Taker> = Vec::new();
    let mut lacking = Vec::new();
    let recorded = vec![Time(now())];
    for name in ["a", "b", "c", "d", "e"] {
        let sight = AccountSight {
            orders: (recorded.clone(), 3),
            coming: to_come(&reserved, &[], &recorded),
            ..sight()
        };
        match why(phone(), &sight) {
            None => reserved.push(taker(name)),
            Some(lack) => lacking.push(lack),
        }
    }
    assert_eq!(reserved, [taker("a"), taker("b")]);
    let says = "ordersPerHour allows, 3, with 2 that agents are about to make";
    assert!(lacking.iter().all(|lack| lack.message.contains(says)));
    assert_eq!(
        lacking.iter().map(|lack| lack.person).collect::<Vec<_>>(),
        [false; 3]
    );
}

/// What it is, who has reserved, the agents, the record, and how many orders are to come.
type OrderRow<'a> = (
    &'a str,
    &'a [Taker],
    Vec<Arc<AgentInstance>>,
    Vec<Time>,
    usize,
);

#[test]
fn an_order_is_to_come_until_it_is_on_record_and_counts_once() {
    let none = || json!([]);
    let at = |second: &str| Time(format!("2026-11-02T{second}Z").parse().unwrap());
    let told = |reason: &str| json!([{"name": "phone", "type": "telnyx", "ready": false, "reason": reason}]);
    let creating = || number("Creating", "09:59:10");
    let rows: [OrderRow; 12] = [
        ("its own", &[taker("asks")], vec![], vec![], 0),
        (
            "idle",
            &[],
            vec![agent("i", false, none(), none())],
            vec![],
            0,
        ),
        (
            "handed over",
            &[],
            vec![agent("i", true, none(), none())],
            vec![],
            1,
        ),
        (
            "both",
            &[taker("i")],
            vec![agent("i", true, none(), none())],
            vec![],
            1,
        ),
        (
            "it waits for its hour",
            &[],
            vec![agent(
                "i",
                true,
                number("Planned", "09:59:10"),
                told("QuotaExceeded"),
            )],
            vec![],
            1,
        ),
        (
            "a person has to see to it",
            &[],
            vec![agent("i", true, none(), told("ValueNotUsable"))],
            vec![],
            0,
        ),
        (
            "begun",
            &[taker("i")],
            vec![agent("i", true, creating(), none())],
            vec![at("09:59:09")],
            1,
        ),
        (
            "on record",
            &[taker("i")],
            vec![agent("i", true, creating(), none())],
            vec![at("09:59:10")],
            0,
        ),
        (
            "of two begun one is on record",
            &[],
            vec![
                agent("i", true, creating(), none()),
                agent("j", true, creating(), none()),
            ],
            vec![at("09:59:12")],
            1,
        ),
        (
            "which has its number by now",
            &[],
            vec![
                agent("i", true, number("Exists", "09:59:05"), none()),
                agent("j", true, creating(), none()),
            ],
            vec![at("09:59:12")],
            1,
        ),
        (
            "what was had long ago has no part in it",
            &[],
            vec![
                agent("i", true, number("Exists", "08:00:00"), none()),
                agent("j", true, creating(), none()),
            ],
            vec![at("09:59:12")],
            0,
        ),
        (
            "one that has its number, and one that is to",
            &[taker("j")],
            vec![agent("i", true, number("Exists", "09:59:05"), none())],
            vec![at("09:59:12")],
            1,
        ),
    ];
    for (what, reserved, agents, orders, expected) in rows {
        assert_eq!(to_come(reserved, &agents, &orders), expected, "{what}");
    }
}

#[test]
fn what_an_account_would_not_let_rest_takes_no_agent() {
    let bankr = |policy: Value| json!({"name": "bank", "type": "bankr", "when": "Claim", "accountRef": {"name": "a"}, "reclaimPolicy": policy});
    let denying = || AccountSight {
        denies: true,
        ..sight()
    };
    let lack = why(bankr(Value::Null), &denying()).unwrap();
    assert_eq!(
        (lack.reason, lack.person),
        (reason::RETENTION_NOT_ALLOWED, true)
    );
    let says = [
        "no agent is taken",
        "tool bank is Retain",
        "spec.retention of ProviderAccount a is Deny",
    ];
    assert!(
        says.iter().all(|part| lack.message.contains(part)),
        "{}",
        lack.message
    );
    assert_eq!(why(bankr(Value::Null), &sight()), None);
    assert_eq!(why(bankr(json!("Delete")), &denying()), None);
    assert_eq!(why(llm("Claim"), &denying()), None);
}

fn told(name: &str, ready: bool, reason: &str) -> ToolStatus {
    let kind = json!("openrouter");
    serde_json::from_value(
        json!({"name": name, "type": kind, "ready": ready, "reason": reason, "message": "because"}),
    )
    .unwrap()
}

#[test]
fn an_agent_is_told_when_it_has_what_it_needs_and_of_the_rest_as_it_comes() {
    let mut all = tools(
        json!([llm("Claim"), {"name": "purse", "type": "wallet", "when": "Claim", "required": false}]),
    );
    let waits = awaited(&all, &[]).unwrap();
    assert_eq!(waits.reason, reason::PENDING);
    let waits = awaited(&all, &[told("llm", false, "QuotaExceeded")]).unwrap();
    assert_eq!(waits.reason, reason::QUOTA_EXCEEDED);
    assert!(waits.message.contains("llm") && waits.message.contains("because"));
    let has = [told("llm", true, "Ready")];
    assert_eq!(awaited(&all, &has), None);
    assert!(needs_any(&all));
    let of = |made: &'static str| move |_: &str| made.to_owned();
    let first = untold(&all, &has, &[], of("first"));
    let names: Vec<&str> = first.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["llm"]);
    assert!(untold(&all, &has, &first, of("first")).is_empty());
    // It was made again, and what it gave before opens nothing any more.
    assert_eq!(untold(&all, &has, &first, of("second")).len(), 1);
    all[0].required = false;
    assert!(!needs_any(&all) && awaited(&all, &[]).is_none());
}
