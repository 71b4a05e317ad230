//! What Exa shows and what is made of it, without a network.

use super::*;
use crate::model::tool::Money;
use crate::model::tool::fingerprint;
use secrecy::ExposeSecret;

const LEGACY: &str = r#"{"apiKey":{"id":"e4d909c2-90d0-4b1c-a068-ffaddf22cbd0","name":"acme-ada-search-g1",
    "rateLimit":5,"budgetCents":2900,"isOverBudget":false,"teamId":"t","userId":"u",
    "createdAt":"2026-11-21T10:00:00Z"}}"#;

fn key(text: &str) -> ExaKey {
    serde_json::from_str::<OneKey>(text).unwrap().api_key
}

#[test]
fn a_legacy_key_is_its_own_id_and_is_shown_by_its_fingerprint() {
    let legacy = key(LEGACY);
    let secret = legacy.secret().unwrap();
    assert_eq!(
        secret.expose_secret(),
        "e4d909c2-90d0-4b1c-a068-ffaddf22cbd0"
    );
    let shown = legacy.shown().unwrap();
    assert_eq!(shown.len(), "sha256-".len() + 16);
    assert_eq!(shown, fingerprint(&secret));
    let seen = legacy.resource().unwrap();
    assert_eq!(seen.id, shown);
    assert_eq!(seen.settings.as_deref(), Some("rateLimit=5 budgetUSD=29"));
    assert!(!format!("{seen:?}").contains("e4d909c2"));
}

#[test]
fn a_new_key_has_a_public_id_and_a_secret_beside_it() {
    let new = key(r#"{"apiKey":{"id":"internal","publicId":"pk_1","secret":"s-1","name":"n"}}"#);
    assert_eq!(new.shown().unwrap(), "pk_1");
    assert_eq!(new.path().unwrap(), "/api-keys/pk_1");
    assert_eq!(new.secret().unwrap().expose_secret(), "s-1");
    let listed = key(r#"{"apiKey":{"id":"internal","publicId":"pk_1","name":"n"}}"#);
    assert!(listed.secret().is_none());
    assert_eq!(key(r#"{"apiKey":{}}"#).shown().unwrap_err().class(), "Bug");
}

#[test]
fn what_a_wish_became_is_told_as_the_wish_until_somebody_edits_it() {
    let memory = KeyMemory::default();
    let wish = Wish::Exa {
        rate_limit: None,
        budget_usd: Some(Money::dollars(29)),
    };
    let settings = |text: &str| memory.told(key(text).resource().unwrap()).settings;
    assert_eq!(
        settings(LEGACY).as_deref(),
        Some("rateLimit=5 budgetUSD=29")
    );
    let id = key(LEGACY).shown().unwrap();
    memory.learn(&id, key(LEGACY).settings(), &wish);
    assert_eq!(settings(LEGACY), Some(wish.settings()));
    let edited = LEGACY.replace("2900", "9900");
    assert_eq!(
        settings(&edited).as_deref(),
        Some("rateLimit=5 budgetUSD=99")
    );
}

#[test]
fn a_wish_is_sent_in_cents_and_without_what_it_does_not_say() {
    let wish = |rate_limit, budget_usd| {
        wished(&Wish::Exa {
            rate_limit,
            budget_usd,
        })
        .unwrap()
    };
    assert_eq!(
        wish(Some(5), Some(Money::cents(29))),
        json!({ "rateLimit": 5, "budgetCents": 29 })
    );
    assert_eq!(wish(None, None), json!({ "budgetCents": null }));
    assert_eq!(wished(&Wish::Bankr).unwrap_err().class(), "Bug");
}
