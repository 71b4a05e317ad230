//! Tests of `rights`.

use super::*;
use serde_json::json;

fn account(spec: serde_json::Value) -> Arc<ProviderAccount> {
    let spec = serde_json::from_value(spec).unwrap();
    Arc::new(ProviderAccount::new("main", spec))
}

fn instance() -> AgentInstance {
    let spec = json!({
        "templateRef": {"name": "t"}, "accountRef": {"name": "main"},
        "adopt": {"projectId": "p1", "serviceId": "s", "environmentId": "e", "ownership": "Shared"},
    });
    AgentInstance::new("ada", serde_json::from_value(spec).unwrap())
}

#[test]
fn an_account_that_says_nothing_lets_nothing_be_adopted_and_everything_be_retained() {
    for (spec, lists) in [
        (json!({}), false),
        (json!({"adoption": {}}), false),
        (json!({"adoption": {"policy": "Never"}}), false),
        // The API server refuses this one; an older one may keep it all the same.
        (json!({"adoption": {"ids": ["p1"]}}), false),
        (json!({"adoption": {"policy": "Listed"}}), false),
        (
            json!({"adoption": {"policy": "Listed", "ids": ["p10", "p"]}}),
            false,
        ),
        (
            json!({"adoption": {"policy": "Listed", "ids": ["p0", "p1"]}}),
            true,
        ),
    ] {
        let rights = of(&instance(), &[], |_| Some(account(spec.clone())));
        assert_eq!(rights.lists("main", "p1"), lists, "{spec}");
        assert!(!rights.lists("other", "p1") && !rights.lists("main", "p0"));
        assert!(rights.denying.is_empty());
    }
    let rights = of(&instance(), &[], |_| {
        Some(account(json!({"retention": "Deny"})))
    });
    assert!(rights.denying.contains("main"));
    let nothing = of(&instance(), &[], |_| None);
    assert!(nothing.denying.is_empty() && !nothing.lists("main", "p1"));
}

/// What one account lists is not another's to give.
#[test]
fn an_id_is_listed_by_the_account_in_which_it_is_to_be_adopted() {
    let listing = json!({"adoption": {"policy": "Listed", "ids": ["p1"]}});
    let rights = of(&instance(), &[], |name| {
        Some(match name {
            "main" => account(json!({})),
            _ => account(listing.clone()),
        })
    });
    assert!(!rights.lists("main", "p1"));
}
