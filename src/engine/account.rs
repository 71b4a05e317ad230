//! What is true of a ProviderAccount, which namespaces may use it, and which instances do.

mod beside;

pub use beside::{Beside, heard, same_place};

use super::breaker::{self, Vanished};
use super::identity::Hold;
use crate::api::account::{
    AccountBudget, AccountIdentity, AllowedNamespaces, ProviderAccountStatus,
};
use crate::api::condition::{self, Statement, kind, reason};
use crate::api::limits::MonthlyUsd;
use crate::api::{AgentInstance, AgentTemplate, ProviderAccount};
use crate::engine::restored;
use crate::model::identity::Whose;
use crate::model::{Fault, PausedBy};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What was learned about an account.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Whether the credential is good, and for whom.
    pub credential: Credential,
    /// Where the credentials are kept, as people are told of it.
    pub kept_in: Vec<String>,
    /// What is lacking though the account can be used, a sentence each: one token of several.
    pub lacking: Vec<String>,
    /// Why the provider counts as unreachable, if it does.
    pub outage: Option<Outage>,
    /// Requests left of how many.
    pub budget: Option<(u32, u32)>,
    /// Outside resources of ours.
    pub resources: Option<usize>,
    /// What that costs a month, by namespace. `None`: not known yet, or not told here.
    pub monthly: Option<BTreeMap<String, MonthlyUsd>>,
    /// What is so of it beside its credential and its provider.
    pub beside: Beside,
    /// Whether objects of the account were restored from a backup and wait for a word.
    pub restored: bool,
    /// What pauses it.
    pub paused: Option<PausedBy>,
}

/// Why an account's provider counts as unreachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outage {
    /// It does not answer, or what it lists is not believed.
    Unanswered(String),
    /// So much of what ledgers know is gone at once that a person has to say whether that is so.
    Vanished(Vanished),
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outage::Unanswered(why) => f.write_str(why),
            Outage::Vanished(vanished) => write!(f, "{vanished}"),
        }
    }
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
        Some(Outage::Vanished(vanished)) => {
            let since = breaker::vanished_since(account, now);
            let message = vanished.told(&account.name_any(), since);
            Statement::no(kind::HEALTHY, reason::VANISHED_TOGETHER, message).since(since)
        }
        Some(Outage::Unanswered(message)) => Statement::no(
            kind::HEALTHY,
            reason::ACCOUNT_UNREACHABLE,
            format!("{message}; nothing is made, changed or deleted until it answers again, and running agents are left alone"),
        ),
    });
    statements.extend(learned.paused.as_ref().map(pause));
    statements.extend(learned.beside.conditions(account, now));
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
    new.monthly_usd = learned.monthly.as_ref().map(total).or(new.monthly_usd);
    new.conditions = condition::conclude(
        &old.conditions,
        &statements,
        account.metadata.generation,
        now,
    );
    new
}

fn total(by_namespace: &BTreeMap<String, MonthlyUsd>) -> MonthlyUsd {
    MonthlyUsd {
        committed: by_namespace.values().map(|one| one.committed).sum(),
        spent: by_namespace.values().map(|one| one.spent).sum(),
    }
}

fn pause(by: &PausedBy) -> Statement {
    let why = match by {
        PausedBy::Account(_) => "spec.paused".to_owned(),
        by => by.to_string(),
    };
    Statement::yes(
        kind::PAUSED,
        reason::PAUSED,
        format!(
            "by {why}: nothing is made, changed or deleted in it, deletions of instances wait, and everything is still observed"
        ),
    )
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
    let brought = instance.brought_tools().iter();
    let brought = brought.filter_map(|tool| Some(tool.account_ref.as_ref()?.name.0.clone()));
    let mut used: BTreeSet<String> = tools.chain(recorded).chain(brought).collect();
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
mod tests;
