//! What is true of a ProviderAccount, which namespaces may use it, and which instances do.

mod beside;

pub use beside::{Beside, heard, same_place};

use super::identity::Hold;
use crate::api::account::{
    AccountBudget, AccountIdentity, AllowedNamespaces, ProviderAccountStatus,
};
use crate::api::condition::{self, Statement, kind, reason};
use crate::api::{AgentInstance, AgentTemplate, ProviderAccount};
use crate::engine::restored;
use crate::model::Fault;
use crate::model::identity::Whose;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// What was learned about an account.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Whether the credential is good, and for whom.
    pub credential: Credential,
    /// Where the credentials are kept, as people are told of it.
    pub kept_in: Vec<String>,
    /// What is lacking though the account can be used, a sentence each: one token of several.
    pub lacking: Vec<String>,
    /// Since when the provider has not answered, and how that showed.
    pub outage: Option<String>,
    /// Requests left of how many.
    pub budget: Option<(u32, u32)>,
    /// Outside resources of ours.
    pub resources: Option<usize>,
    /// What is so of it beside its credential and its provider.
    pub beside: Beside,
    /// Whether objects of the account were restored from a backup and wait for a word.
    pub restored: bool,
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
    /// It is not known to be of the organisation that the account belongs to.
    Held(Hold),
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
    let words = words(account);
    match &learned.credential {
        Credential::Good(identity) => {
            let mut message = format!("the credential is good{}{}", words.identity, identity.name);
            for lacking in &learned.lacking {
                message.push_str("; ");
                message.push_str(lacking);
            }
            if account.spec.allowed_namespaces.is_none() {
                message.push_str("; no namespace may use the account: name those that may in spec.allowedNamespaces");
            }
            statements.push(Statement::yes(kind::READY, reason::READY, message));
            new.identity = Some(identity.clone());
        }
        Credential::Missing(message) => {
            person(&mut statements, reason::REFERENCE_NOT_FOUND, message)
        }
        Credential::Refused(fault) => person(
            &mut statements,
            reason::CREDENTIALS_DENIED,
            &format!(
                "{}; put {} into {}",
                fault.message(),
                words.credential,
                learned.kept_in.join(", or into ")
            ),
        ),
        Credential::Held(hold) => {
            let since = hold.since(account).unwrap_or(now);
            let message = hold.told(&account.name_any(), since);
            statements.push(Statement::no(kind::READY, hold.reason, message.clone()).since(since));
            statements.push(Statement::yes(kind::STALLED, hold.reason, message));
            new.identity = Some(told(&hold.whose));
        }
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
    statements.extend(learned.beside.conditions(account));
    // What was told before a restart stands until something was compared again.
    new.sweep = learned.beside.sweep.report.clone().or(new.sweep);
    if learned.restored {
        let before = restored::word(account).since;
        let since = before.unwrap_or_else(|| condition::whole_seconds(now));
        statements.push(Statement::yes(
            kind::OBJECTS_RESTORED,
            reason::RESTORED_ELSEWHERE,
            restored::told(&account.name_any(), since),
        ));
    }
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

/// What a status says of whose a credential is.
pub fn told(whose: &Whose) -> AccountIdentity {
    AccountIdentity {
        id: whose.id.clone(),
        name: whose.name.clone(),
        plan: whose.plan.clone(),
    }
}

/// How people call what opens an account, and what it opens.
struct Words {
    identity: &'static str,
    credential: &'static str,
}

fn words(account: &ProviderAccount) -> Words {
    let (identity, credential) = match account.spec.provider() {
        Some("openrouter") => (": ", "a management key of the organisation"),
        Some("exa") => (": ", "a service key of the team"),
        Some("agentmail") => (": ", "a key of the organisation, or the pod's own,"),
        Some("telnyx") => (": ", "an API key of the account"),
        Some("bankr") => (": ", "a partner key of the organisation"),
        _ => (
            " for workspace ",
            "a token that may administer the workspace",
        ),
    };
    Words {
        identity,
        credential,
    }
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

/// Whether the account can be used now, as its own conditions say it.
pub fn usable(account: &ProviderAccount) -> bool {
    account.status.as_ref().is_some_and(|status| {
        let ill = condition::find(&status.conditions, kind::HEALTHY)
            .is_some_and(|healthy| healthy.status == "False");
        condition::is_true(&status.conditions, kind::READY) && !ill
    })
}

/// The accounts that an instance uses: where it lives, those of its template's tools, and those that its ledger names,
/// whatever the template says by now.
pub fn uses(instance: &AgentInstance, template: Option<&AgentTemplate>) -> BTreeSet<String> {
    let tools = template
        .iter()
        .flat_map(|template| &template.spec.tools)
        .filter_map(|tool| Some(tool.account_ref.as_ref()?.name.0.clone()));
    let recorded = instance
        .status
        .iter()
        .flat_map(|status| &status.external)
        .map(|entry| entry.account.clone())
        .filter(|account| !account.is_empty());
    let mut used: BTreeSet<String> = tools.chain(recorded).collect();
    used.insert(instance.spec.account_ref.name.0.clone());
    used
}

/// Whether a namespace may use an account that allows these. `labels` are the namespace's own.
pub fn allows(
    allowed: Option<&AllowedNamespaces>,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let Some(AllowedNamespaces {
        match_names,
        selector,
    }) = allowed
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
                    beside: Beside::default(),
                    restored: false,
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
            restored: false,
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
            beside: Beside::default(),
            restored: false,
        };
        main.status = Some(status(&main, &good, Timestamp::UNIX_EPOCH));
        let down = Learned {
            credential: Credential::NotAsked,
            kept_in: Vec::new(),
            lacking: Vec::new(),
            outage: Some("it does not answer".into()),
            budget: None,
            resources: None,
            beside: Beside::default(),
            restored: false,
        };
        let after = status(&main, &down, Timestamp::UNIX_EPOCH);
        assert!(condition::is_true(&after.conditions, kind::READY));
        assert!(!condition::is_true(&after.conditions, kind::HEALTHY));
        assert_eq!(after.resources, Some(3));
    }
}
