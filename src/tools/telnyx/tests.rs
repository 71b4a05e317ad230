//! What Telnyx shows and what is made of it, without a network.

use super::answers::{Available, NumberOrder, OrderState};
use super::search::Search;
use super::*;
use crate::model::tool::Money;
use crate::model::tool::Stage;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn offers(prices: &[(&str, &str)]) -> Vec<Available> {
    let offer = |(number, price): &(&str, &str)| {
        let cost = json!({ "monthly_cost": price, "upfront_cost": "0.10", "currency": "USD" });
        json!({ "phone_number": number, "cost_information": cost, "best_effort": false })
    };
    let all: Vec<Value> = prices.iter().map(offer).collect();
    serde_json::from_value(Value::Array(all)).unwrap()
}

fn settings(max_monthly_usd: u64) -> TelnyxSettings {
    TelnyxSettings {
        messaging_profile: None,
        max_monthly_usd: Money::dollars(max_monthly_usd),
    }
}

fn wish(max_monthly_usd: Option<Money>) -> Wish {
    Wish::Telnyx {
        country: "US".into(),
        area: Some("415".into()),
        max_monthly_usd,
    }
}

#[test]
fn what_is_dear_to_set_up_is_not_ordered() {
    let offer = |once: Value| {
        let cost = json!({ "monthly_cost": "1.00", "upfront_cost": once, "currency": "USD" });
        let all = json!([{ "phone_number": "+14155550001", "cost_information": cost }]);
        serde_json::from_value::<Vec<Available>>(all).unwrap()
    };
    let wish = wish(None);
    let search = Search::of(&wish, &settings(2)).unwrap();
    assert!(search.choose(&offer(json!("2.00")), "a").is_ok());
    for once in [json!("2.01"), json!(null), json!("much")] {
        assert_eq!(
            search.choose(&offer(once), "a").unwrap_err().class(),
            "Rejected"
        );
    }
}

#[test]
fn the_cheapest_within_both_limits_is_ordered() {
    let offers = offers(&[
        ("+14155550001", "2.00"),
        ("+14155550002", "1.00"),
        ("+14155550003", "9"),
    ]);
    let both = wish(Some(Money::dollars(5)));
    let search = Search::of(&both, &settings(2)).unwrap();
    assert_eq!(search.cap, Money::dollars(2));
    assert_eq!(
        search.choose(&offers, "a").unwrap(),
        ("+14155550002".to_owned(), Money::dollars(1))
    );
    let low = wish(Some(Money::cents(50)));
    let fault = Search::of(&low, &settings(2))
        .unwrap()
        .choose(&offers, "a")
        .unwrap_err();
    assert_eq!(
        fault.message(),
        "Telnyx: the cheapest number in US with area code 415 costs 1.00 USD a month, and maxMonthlyCostUSD of the tool or of its account allows 0.50"
    );
    assert_eq!(fault.class(), "Rejected");
    assert_eq!(search.choose(&[], "a").unwrap_err().class(), "Rejected");
    assert_eq!(
        search.path(),
        "/available_phone_numbers?filter[country_code]=US&filter[features][]=sms&filter[limit]=100&filter[national_destination_code]=415"
    );
}

#[test]
fn what_has_no_price_in_dollars_or_lies_elsewhere_is_not_ordered() {
    let wish = wish(None);
    let search = Search::of(&wish, &settings(100)).unwrap();
    for cost in [
        json!(null),
        json!({ "upfront_cost": "0.00", "monthly_cost": null, "currency": "USD" }),
        json!({ "upfront_cost": "0.00", "monthly_cost": "1.00", "currency": "EUR" }),
        json!({ "upfront_cost": "0.00", "monthly_cost": "NaN", "currency": "USD" }),
        json!({ "upfront_cost": "0.00", "monthly_cost": "-1", "currency": "USD" }),
    ] {
        let offer = json!([{ "phone_number": "+14155550001", "cost_information": cost }]);
        let offers: Vec<Available> = serde_json::from_value(offer).unwrap();
        assert_eq!(search.choose(&offers, "a").unwrap_err().class(), "Rejected");
    }
    let cost = json!({ "upfront_cost": "0.00", "monthly_cost": "1.00", "currency": "USD" });
    let offer =
        json!([{ "phone_number": "+12125550001", "cost_information": cost, "best_effort": true }]);
    let offers: Vec<Available> = serde_json::from_value(offer).unwrap();
    assert_eq!(search.choose(&offers, "a").unwrap_err().class(), "Rejected");
}

#[test]
fn a_fleet_made_at_once_does_not_want_one_number() {
    let numbers: Vec<String> = (0..50).map(|n| format!("+1415555{n:04}")).collect();
    let prices: Vec<(&str, &str)> = numbers.iter().map(|n| (n.as_str(), "1.00")).collect();
    let offers = offers(&prices);
    let wish = wish(None);
    let search = Search::of(&wish, &settings(2)).unwrap();
    let chosen: BTreeSet<String> = (0..10)
        .map(|n| search.choose(&offers, &format!("agent-{n}")).unwrap().0)
        .collect();
    assert!(chosen.len() > 5, "{chosen:?}");
    let again = |key| search.choose(&offers, key).unwrap();
    assert_eq!(again("agent-1"), again("agent-1"));
}

fn record(status: &str, reference: Option<&str>) -> Number {
    let text = json!({
        "id": "1293384261075731499", "phone_number": "+14155550001", "status": status,
        "customer_reference": reference, "tags": ["mine"], "messaging_profile_id": null,
        "deletion_lock_enabled": false, "created_at": "2026-11-21T10:00:00Z",
    });
    serde_json::from_value(text).unwrap()
}

#[test]
fn a_number_is_ready_pending_or_gone() {
    assert_eq!(record("active", None).stage(), Stage::Ready);
    for status in [
        "purchase-pending",
        "requirement-info-pending",
        "something-new",
    ] {
        let seen = record(status, None);
        assert!(matches!(seen.stage(), Stage::Pending { .. }) && !seen.is_gone());
    }
    for status in ["deleted", "ported-out", "purchase-failed"] {
        assert!(record(status, None).is_gone(), "{status}");
    }
    let seen = record("active", Some("k")).resource(Stage::Ready);
    assert_eq!(seen.id, "+14155550001");
    assert_eq!(seen.address.as_deref(), Some("+14155550001"));
    assert_eq!(seen.name, "k");
}

#[test]
fn a_number_of_somebody_else_is_not_ours() {
    assert!(record("active", Some("k")).may_be("k"));
    assert!(record("active", None).may_be("k"));
    assert!(record("active", Some("")).may_be("k"));
    assert!(!record("active", Some("other")).may_be("k"));
    assert!(record("active", Some("other")).may_be(""), "taken over");
}

#[test]
fn an_order_is_read_in_both_its_forms() {
    let text = json!({ "data": {
        "id": "o-1", "status": "success", "customer_reference": "k", "created_at": "2026-11-21T10:00:00Z",
        "phone_numbers": [{ "id": "line-1", "phone_number": "+14155550001", "status": "success" }],
    }});
    let order: Data<NumberOrder> = serde_json::from_value(text).unwrap();
    assert_eq!(order.data.state(), OrderState::Filled);
    assert!(order.data.holds("+14155550001") && !order.data.holds("+1415555000"));
    let bare: NumberOrder = serde_json::from_value(json!({ "id": "o-2" })).unwrap();
    assert_eq!(bare.state(), OrderState::Pending);
    assert!(bare.waits_for().contains("still working"));
    let needs = json!({ "id": "o-3", "status": "pending", "requirements_met": false });
    let needs: NumberOrder = serde_json::from_value(needs).unwrap();
    assert!(needs.waits_for().contains("documents"));
}
