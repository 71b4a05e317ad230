//! Tests of `account`.

use super::*;

fn account(json: serde_json::Value) -> ProviderAccount {
    let spec = serde_json::json!({
        "allowedNamespaces": json,
        "railway": {"workspaceId": "w", "tokenSecretRefs": [{"name": "s", "key": "k"}]}
    });
    ProviderAccount::new("main", serde_json::from_value(spec).unwrap())
}

#[test]
fn a_namespace_is_allowed_by_name_or_by_label_and_else_not() {
    let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    for (allowed, expected) in [
        (serde_json::json!(null), false),
        (serde_json::json!({"matchNames": ["n"]}), true),
        (serde_json::json!({"matchNames": ["m"]}), false),
        (serde_json::json!({"selector": {}}), true),
        (
            serde_json::json!({"selector": {"matchLabels": {"team": "a"}}}),
            true,
        ),
        (
            serde_json::json!({"selector": {"matchLabels": {"team": "b"}}}),
            false,
        ),
        (
            serde_json::json!({"selector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["b"]}]}}),
            false,
        ),
        (
            serde_json::json!({"selector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}),
            true,
        ),
        (
            serde_json::json!({"selector": {"matchExpressions": [{"key": "x", "operator": "Near"}]}}),
            false,
        ),
    ] {
        assert_eq!(
            allows(
                account(allowed.clone()).spec.allowed_namespaces.as_ref(),
                "n",
                &labels
            ),
            expected,
            "{allowed}"
        );
    }
}

#[test]
fn the_budget_is_told_in_tenths() {
    assert_eq!(tenths(9_999, 10_000), "at least 9000 of 10000");
    assert_eq!(tenths(10_000, 10_000), "at least 10000 of 10000");
    assert_eq!(tenths(3, 10), "at least 3 of 10");
}

fn at_provider(provider: &str) -> ProviderAccount {
    let credential = serde_json::json!({"name": "s", "key": "k"});
    let mut own = serde_json::json!({"credentialSecretRef": credential});
    match provider {
        "railway" => {
            own = serde_json::json!({"workspaceId": "w", "tokenSecretRefs": [credential]});
        }
        "telnyx" => own["maxMonthlyCostUSD"] = 5.into(),
        _ => {}
    }
    let spec = serde_json::json!({provider: own, "allowedNamespaces": {"selector": {}}});
    ProviderAccount::new("main", serde_json::from_value(spec).unwrap())
}

#[test]
fn an_account_is_told_of_in_the_words_of_its_provider() {
    for (provider, good, refused) in [
        (
            "railway",
            "the credential is good for workspace acme",
            "no; put a token that may administer the workspace into key k of Secret y/s",
        ),
        (
            "openrouter",
            "the credential is good: acme",
            "no; put a management key of the organisation into key k of Secret y/s",
        ),
        (
            "exa",
            "the credential is good: acme",
            "no; put a service key of the team into key k of Secret y/s",
        ),
        (
            "agentmail",
            "the credential is good: acme",
            "no; put a key of the organisation, or the pod's own, into key k of Secret y/s",
        ),
        (
            "telnyx",
            "the credential is good: acme",
            "no; put an API key of the account into key k of Secret y/s",
        ),
        (
            "bankr",
            "the credential is good: acme",
            "no; put a partner key of the organisation into key k of Secret y/s",
        ),
    ] {
        let account = at_provider(provider);
        assert_eq!(account.spec.provider(), Some(provider));
        assert_eq!(account.spec.credentials().len(), 1);
        let said = |credential| {
            let learned = Learned {
                credential,
                kept_in: vec!["key k of Secret y/s".into()],
                lacking: Vec::new(),
                outage: None,
                budget: None,
                resources: None,
                monthly: None,
                beside: Beside::default(),
                restored: false,
                paused: None,
            };
            let told = status(&account, &learned, Timestamp::UNIX_EPOCH);
            assert_eq!(told.budget, None);
            find_message(&told)
        };
        assert_eq!(
            said(Credential::Good(AccountIdentity {
                id: None,
                name: "acme".into(),
                plan: String::new(),
            })),
            good
        );
        assert_eq!(
            said(Credential::Refused(Fault::Denied {
                message: "no".into()
            })),
            refused
        );
    }
}

#[test]
fn what_an_account_lacks_is_told_on_it_while_it_can_be_used() {
    let mut learned = Learned {
        beside: Beside::default(),
        credential: Credential::Good(AccountIdentity {
            name: "acme".into(),
            ..AccountIdentity::default()
        }),
        kept_in: Vec::new(),
        lacking: vec!["Secret y/second does not exist; create it".into()],
        outage: None,
        budget: None,
        resources: None,
        monthly: None,
        restored: false,
        paused: None,
    };
    let said = |main: &ProviderAccount, learned: &Learned| {
        let told = status(main, learned, Timestamp::UNIX_EPOCH);
        assert!(condition::is_true(&told.conditions, kind::READY));
        find_message(&told)
    };
    let main = account(serde_json::json!({"selector": {}}));
    assert_eq!(
        said(&main, &learned),
        "the credential is good for workspace acme; Secret y/second does not exist; create it"
    );
    learned.lacking.clear();
    let closed = account(serde_json::json!(null));
    let message = said(&closed, &learned);
    assert!(
        message.contains("no namespace may use the account"),
        "{message}"
    );
    assert!(message.contains("spec.allowedNamespaces"), "{message}");
}

#[test]
fn an_instance_uses_where_it_lives_what_its_template_names_and_what_its_ledger_knows() {
    let mut instance: AgentInstance = AgentInstance::new(
        "ada",
        serde_json::from_value(serde_json::json!({
            "templateRef": {"name": "t"}, "accountRef": {"name": "main"}
        }))
        .unwrap(),
    );
    let template = AgentTemplate::new(
        "t",
        serde_json::from_value(serde_json::json!({
            "runtime": {"image": "i"},
            "tools": [
                {"name": "llm", "type": "openrouter", "accountRef": {"name": "models"}, "limitUSD": 1},
                {"name": "purse", "type": "wallet"}
            ]
        }))
        .unwrap(),
    );
    let used = |instance: &AgentInstance, template| -> Vec<String> {
        uses(instance, template).into_iter().collect()
    };
    assert_eq!(used(&instance, None), ["main"]);
    assert_eq!(used(&instance, Some(&template)), ["main", "models"]);
    // What a template does not name any more is still to be taken back.
    instance.status = Some(
        serde_json::from_value(serde_json::json!({"external": [
            {"origin": "Made", "slot": "tool/old", "provider": "exa", "account": "search", "state": "Exists", "id": "1",
             "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"},
            {"origin": "Made", "slot": "tool/purse", "provider": "wallet", "state": "Exists", "id": "0x1",
             "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"}
        ]}))
        .unwrap(),
    );
    assert_eq!(
        used(&instance, Some(&template)),
        ["main", "models", "search"]
    );
}

#[test]
fn an_outage_leaves_a_good_credential_good() {
    let mut main = account(serde_json::json!({"selector": {}}));
    let good = Learned {
        credential: Credential::Good(AccountIdentity {
            id: None,
            name: "acme".into(),
            plan: "PRO".into(),
        }),
        kept_in: Vec::new(),
        lacking: Vec::new(),
        outage: None,
        budget: None,
        resources: Some(3),
        monthly: Some(BTreeMap::from([
            ("a".to_owned(), costs(5, 1)),
            ("b".to_owned(), costs(7, 2)),
        ])),
        beside: Beside::default(),
        restored: false,
        paused: None,
    };
    main.status = Some(status(&main, &good, Timestamp::UNIX_EPOCH));
    let down = Learned {
        credential: Credential::NotAsked,
        kept_in: Vec::new(),
        lacking: Vec::new(),
        outage: Some(Outage::Unanswered("it does not answer".into())),
        budget: None,
        resources: None,
        monthly: None,
        beside: Beside::default(),
        restored: false,
        paused: None,
    };
    let after = status(&main, &down, Timestamp::UNIX_EPOCH);
    assert!(condition::is_true(&after.conditions, kind::READY));
    assert!(!condition::is_true(&after.conditions, kind::HEALTHY));
    assert_eq!(after.resources, Some(3));
    assert_eq!(after.monthly_usd, Some(costs(12, 3)));
}

fn costs(committed: u64, spent: u64) -> MonthlyUsd {
    MonthlyUsd {
        committed: crate::api::money::Money::dollars(committed),
        spent: crate::api::money::Money::dollars(spent),
    }
}
