//! What AgentMail shows and what is made of it, without a network.

use super::super::faults::{RestRefusal, Unserved, classify};
use super::dialect::objection;
use super::*;
use crate::wire::Effect;
use jiff::Timestamp;

fn order(username: Option<&str>) -> Order {
    Order {
        part: Part::Main,
        key: "acme-ada-mail-g1".into(),
        note: "n".repeat(300),
        wish: Wish::Agentmail {
            username: username.map(str::to_owned),
            key: true,
        },
        parts: BTreeMap::new(),
    }
}

#[test]
fn its_codes_decide() {
    for (status, code, class) in [
        (400, "validation_error", "Rejected"),
        (401, "unknown_api_key", "Denied"),
        (401, "", "Denied"),
        (403, "missing_permission", "Denied"),
        (403, "permission_escalation", "Denied"),
        (403, "account_suspended", "Denied"),
        (403, "limit_exceeded", "Exhausted"),
        (403, "already_exists", "Rejected"),
        (403, "resource_taken", "Rejected"),
        (403, "domain_not_verified", "Rejected"),
        (403, "", "Denied"),
        (404, "not_found", "Missing"),
        (409, "race_condition", "Transient"),
        (409, "resource_deleting", "Transient"),
        (409, "cannot_delete", "Rejected"),
        (422, "unprocessable", "Rejected"),
        (429, "rate_limit_exceeded", "Throttled"),
        (503, "unavailable", "Uncertain"),
    ] {
        let answer = Unserved::Refused(RestRefusal {
            status,
            until: None,
            body: Some(json!({ "name": "Error", "code": code, "message": "Says no." })),
        });
        let now = Timestamp::UNIX_EPOCH;
        let fault = classify(&answer, Effect::Create, &MANNERS.dialect, "inbox.make", now);
        assert_eq!(fault.class(), class, "{status} {code}: {fault}");
    }
    let taken = objection(&json!({ "code": "resource_taken", "message": "Inbox is taken" }));
    assert_eq!(
        taken.sentence,
        "the address is taken, choose another username: Inbox is taken"
    );
}

#[test]
fn an_order_says_whose_it_is_in_short_values() {
    let body = inbox_body(&order(Some("ada")), Some("agents.acme.com")).unwrap();
    assert_eq!(body["client_id"], "acme-ada-mail-g1");
    assert_eq!(body["username"], "ada");
    assert_eq!(body["domain"], "agents.acme.com");
    assert_eq!(body["metadata"]["note"].as_str().map(str::len), Some(256));
    assert_eq!(body["metadata"]["note-2"].as_str().map(str::len), Some(44));
    let plain = inbox_body(&order(None), None).unwrap();
    assert!(plain.get("username").is_none() && plain.get("domain").is_none());
}

#[test]
fn pages_of_both_kinds_are_read() {
    let inboxes = r#"{"count":1,"limit":100,"next_page_token":"t","inboxes":[{"pod_id":"p",
        "inbox_id":"ada@agentmail.to","email":"ada@agentmail.to","client_id":"acme-ada-mail-g1",
        "updated_at":"2026-11-21T10:00:00Z","created_at":"2026-11-21T10:00:00Z"}]}"#;
    let mut page: TokenPage<Inbox> = serde_json::from_str(inboxes).unwrap();
    assert_eq!(page.next_page_token.as_deref(), Some("t"));
    let seen = page.items.remove(0).resource();
    assert_eq!(seen.id, "ada@agentmail.to");
    assert_eq!(seen.name, "acme-ada-mail-g1");
    assert!(seen.created.is_some() && seen.monthly_usd == crate::model::tool::Money::dollars(2));

    let keys = r#"{"count":1,"api_keys":[{"api_key_id":"k1","prefix":"am_12","name":"acme-ada-mail-g1",
        "inbox_id":"ada@agentmail.to","created_at":"2026-11-21T10:00:00Z"}]}"#;
    let page: TokenPage<InboxKey> = serde_json::from_str(keys).unwrap();
    assert_eq!(page.items[0].api_key_id, "k1");
    let fresh =
        r#"{"api_key_id":"k1","api_key":"am_1","prefix":"am_","name":"n","created_at":"x"}"#;
    assert_eq!(
        serde_json::from_str::<NewInboxKey>(fresh)
            .unwrap()
            .key
            .api_key_id,
        "k1"
    );
}

#[test]
fn only_who_sees_everything_can_miss_something() {
    let me = |scope: &str, pod: Option<&str>| Me {
        scope_type: scope.into(),
        scope_id: "s".into(),
        organization_id: "o".into(),
        pod_id: pod.map(str::to_owned),
    };
    assert!(me("organization", None).sees_all(None).is_ok());
    assert!(me("organization", None).sees_all(Some("p")).is_ok());
    assert!(me("pod", Some("p")).sees_all(Some("p")).is_ok());
    assert!(me("pod", Some("p")).sees_all(None).is_err());
    assert!(me("pod", Some("p")).sees_all(Some("q")).is_err());
    assert!(me("inbox", Some("p")).sees_all(Some("p")).is_err());
    assert_eq!(me("organization", None).told(), "organization o");
}
