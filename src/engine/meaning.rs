//! What faults and accounts mean to people: a stable reason, whether a person must act, and a sentence.
//!
//! Holds: no sentence carries a secret, and none says more of an account than its user may know.

use super::draft::{Draft, Phase};
use super::ledger;
use crate::api::condition::{self, Statement, find, kind, reason};
use crate::api::{AgentInstanceStatus, Slot};
use crate::model::Fault;
use crate::model::slot;
use crate::model::tool::is_id;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// What people read where an account is missing or not for them: one sentence for both, so that nobody learns which.
pub(super) fn not_available(account: &str, namespace: &str) -> String {
    format!(
        "ProviderAccount {account} is not available to namespace {namespace}: it does not exist, or its allowedNamespaces do not include this namespace; ask whoever runs Yardmaster here"
    )
}

/// What people read where an account is at another provider than the one that is needed.
pub(super) fn elsewhere(account: &str, provider: &str, needed: &str) -> String {
    format!(
        "ProviderAccount {account} is an account at {provider}, and one at {needed} is needed here"
    )
}

/// What people read where something new was to be made in an account that is being deleted.
pub(super) fn account_goes(account: &str) -> String {
    format!("ProviderAccount {account} is being deleted: nothing new is made in it")
}

/// What a fault means: a stable reason, whether a person has to do something, and a sentence.
pub(super) fn meaning(fault: &Fault) -> (&'static str, bool, String) {
    let text = fault.message();
    match fault {
        Fault::Throttled { .. } => (
            reason::THROTTLED,
            false,
            format!("the provider lets us go on later: {text}"),
        ),
        Fault::Transient { .. } => (
            reason::RETRYING,
            false,
            format!("will be tried again: {text}"),
        ),
        Fault::Missing { .. } => (
            reason::RETRYING,
            false,
            format!("will be looked at again: {text}"),
        ),
        Fault::Uncertain { .. } => (
            reason::OUTCOME_UNKNOWN,
            false,
            format!("the outcome of a request is being looked up: {text}"),
        ),
        Fault::Denied { .. } => (
            reason::CREDENTIALS_DENIED,
            true,
            format!(
                "the provider refuses the account's credential: {text}; check the ProviderAccount and its Secret"
            ),
        ),
        Fault::Rejected { .. } => (
            reason::REJECTED,
            true,
            format!("the provider refuses what the spec asks for: {text}; correct the spec"),
        ),
        Fault::Exhausted { .. } => (
            reason::LIMIT_REACHED,
            true,
            format!(
                "a limit of the provider's plan is used up: {text}; raise it there or delete something"
            ),
        ),
        Fault::Refused { passes, .. } => (reason::REFUSED_BY_CLUSTER, !passes, text.to_owned()),
        Fault::Bug { .. } => (
            reason::UNEXPECTED,
            true,
            format!("an answer that Yardmaster does not understand: {text}; please report it"),
        ),
    }
}

/// Says what a fault means for the instance, and ends the plan as given.
pub(super) fn faulted(d: &mut Draft, fault: &Fault, end: Phase) -> Phase {
    let (reason, person, message) = meaning(fault);
    d.say(Statement::no(kind::SYNCED, reason, message.clone()));
    if person {
        d.stalled(reason, message);
    } else {
        d.working(reason, message);
    }
    end
}

/// The conditions of an object of which the API server refuses to let more be known: what was said stands.
pub fn refused(
    before: &[Condition],
    fault: &Fault,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let (reason, person, message) = meaning(fault);
    let told = if person {
        kind::STALLED
    } else {
        kind::RECONCILING
    };
    let mut said = vec![Statement::yes(told, reason, message.clone())];
    if find(before, kind::READY).is_none() {
        said.insert(0, Statement::no(kind::READY, reason, message));
    }
    let mut conditions = before.to_vec();
    conditions.retain(|old| ![kind::STALLED, kind::RECONCILING].contains(&old.type_.as_str()));
    conditions.extend(condition::conclude(before, &said, generation, now));
    conditions
}

/// Where an agent's logs are.
pub(super) fn logs(status: &AgentInstanceStatus) -> String {
    page(status).map_or_else(
        || "its logs at the provider".to_owned(),
        |page| format!("its logs at {page}"),
    )
}

/// What is said of an instance while it is being deleted.
pub(super) fn being_taken_back() -> Statement {
    Statement::no(kind::READY, reason::DELETING, "being taken back")
}

/// The page on which people see the agent's project, and in it what no status can say.
pub(super) fn page(status: &AgentInstanceStatus) -> Option<String> {
    let project = ledger::entry(status, Slot::Project)?;
    let id = project.id.as_deref().filter(|id| is_id(id))?;
    Some(slot::page(id))
}
