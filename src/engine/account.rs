//! What is true of a ProviderAccount, and which namespaces may use it.

use crate::api::ProviderAccount;
use crate::api::account::{
    AccountBudget, AccountIdentity, AllowedNamespaces, ProviderAccountStatus,
};
use crate::api::condition::{self, Statement, kind, reason};
use crate::model::Fault;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::BTreeMap;

/// What was learned about an account.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Whether the credential is good, and for whom.
    pub credential: Credential,
    /// Since when the provider has not answered, and how that showed.
    pub outage: Option<String>,
    /// Requests left of how many.
    pub budget: Option<(u32, u32)>,
    /// Outside resources of ours.
    pub resources: Option<usize>,
}

/// Whether the credential is good.
#[derive(Clone, Debug)]
pub enum Credential {
    /// It is.
    Good(AccountIdentity),
    /// A Secret or key is missing.
    Missing(String),
    /// It was not accepted.
    Refused(Fault),
    /// Nobody could be asked.
    NotAsked,
}

/// The account's status.
pub fn status(
    account: &ProviderAccount,
    learned: &Learned,
    now: Timestamp,
) -> ProviderAccountStatus {
    let old = account.status.clone().unwrap_or_default();
    let was_ready = condition::is_true(&old.conditions, kind::READY);
    let mut new = ProviderAccountStatus {
        observed_generation: account.metadata.generation,
        ..old.clone()
    };
    let mut statements = Vec::new();
    match &learned.credential {
        Credential::Good(identity) => {
            statements.push(Statement::yes(
                kind::READY,
                reason::READY,
                format!("the credential is good for workspace {}", identity.name),
            ));
            new.identity = Some(identity.clone());
        }
        Credential::Missing(message) => {
            person(&mut statements, reason::REFERENCE_NOT_FOUND, message)
        }
        Credential::Refused(fault) => person(
            &mut statements,
            reason::CREDENTIALS_DENIED,
            &format!(
                "{}; put a token that may administer the workspace into the Secret",
                fault.message()
            ),
        ),
        // An outage takes nothing away that was known before.
        Credential::NotAsked if was_ready => {
            statements.push(Statement::yes(
                kind::READY,
                reason::READY,
                find_message(&old),
            ));
        }
        Credential::NotAsked => {
            statements.push(Statement::unknown(
                kind::READY,
                reason::PENDING,
                "the provider has not been reached yet",
            ));
            statements.push(Statement::yes(
                kind::RECONCILING,
                reason::PENDING,
                "the provider has not been reached yet",
            ));
        }
    }
    statements.push(match &learned.outage {
        None => Statement::yes(kind::HEALTHY, reason::READY, "the provider answers"),
        Some(message) => Statement::no(
            kind::HEALTHY,
            reason::ACCOUNT_UNREACHABLE,
            format!("{message}; nothing is made, changed or deleted until it answers again, and running agents are left alone"),
        ),
    });
    new.budget = learned
        .budget
        .map(|(left, of)| AccountBudget {
            remaining: tenths(left, of),
        })
        .or(new.budget);
    new.resources = learned
        .resources
        .map(|count| i32::try_from(count).unwrap_or(i32::MAX))
        .or(new.resources);
    new.conditions = condition::conclude(
        &old.conditions,
        &statements,
        account.metadata.generation,
        now,
    );
    new
}

fn person(statements: &mut Vec<Statement>, reason: &'static str, message: &str) {
    statements.push(Statement::no(kind::READY, reason, message));
    statements.push(Statement::yes(kind::STALLED, reason, message));
}

fn find_message(old: &ProviderAccountStatus) -> String {
    condition::find(&old.conditions, kind::READY)
        .map(|ready| ready.message.clone())
        .unwrap_or_default()
}

/// Rounded down to a tenth: the text changes at most ten times an hour.
fn tenths(left: u32, of: u32) -> String {
    let step = (of / 10).max(1);
    format!("at least {} of {of}", left.min(of) / step * step)
}

/// Whether a namespace may use the account. `labels` are the namespace's own.
pub fn allows(
    account: &ProviderAccount,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let Some(AllowedNamespaces {
        match_names,
        selector,
    }) = &account.spec.allowed_namespaces
    else {
        return false;
    };
    let named = match_names
        .as_ref()
        .is_some_and(|names| names.iter().any(|name| name.as_str() == namespace));
    named
        || selector
            .as_ref()
            .is_some_and(|selector| selects(selector, labels))
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let exact = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    exact
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let among =
        || value.is_some_and(|value| requirement.values.iter().flatten().any(|one| one == value));
    match requirement.operator.as_str() {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // An operator that we do not know allows nobody.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
                allows(&account(allowed.clone()), "n", &labels),
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

    #[test]
    fn an_outage_leaves_a_good_credential_good() {
        let mut main = account(serde_json::json!({"selector": {}}));
        let good = Learned {
            credential: Credential::Good(AccountIdentity {
                name: "acme".into(),
                plan: "PRO".into(),
            }),
            outage: None,
            budget: None,
            resources: Some(3),
        };
        main.status = Some(status(&main, &good, Timestamp::UNIX_EPOCH));
        let down = Learned {
            credential: Credential::NotAsked,
            outage: Some("it does not answer".into()),
            budget: None,
            resources: None,
        };
        let after = status(&main, &down, Timestamp::UNIX_EPOCH);
        assert!(condition::is_true(&after.conditions, kind::READY));
        assert!(!condition::is_true(&after.conditions, kind::HEALTHY));
        assert_eq!(after.resources, Some(3));
    }
}
