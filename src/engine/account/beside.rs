//! What is told of an account beside its credential and its provider: who keeps it from going, which of its Secrets cannot
//! go, which other accounts lead to the same place, what the sweep has found, and whether less is remembered than was.
//!
//! What holds: only what is so is said; an event is told when it becomes so, or becomes so for another reason.

use crate::api::condition::{Statement, find, is_true, kind, reason};
use crate::api::{ProviderAccount, ProviderAccountSpec};
use crate::engine::recovery;
use crate::engine::report;
use crate::engine::sweep::{self, Findings};
use crate::model::Announcement;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Most objects that a message names.
const NAMED: usize = 3;

/// What is so of an account beside its credential and its provider.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The instances that an account that was deleted waits for: `namespace/name`, in their order.
    pub users: Vec<String>,
    /// Secrets of it, `namespace/name`, that were deleted.
    pub secrets_going: Vec<String>,
    /// Other accounts that lead to the same place.
    pub same_place: Vec<String>,
    /// What the sweep has found.
    pub sweep: Findings,
    /// Whether what ledgers know is what is there. `None`: nothing was compared yet.
    pub recovery: Option<recovery::Remembrance>,
}

impl Beside {
    pub(super) fn conditions(&self, account: &ProviderAccount, now: Timestamp) -> Vec<Statement> {
        let mut said = Vec::new();
        if account.metadata.deletion_timestamp.is_some() && !self.users.is_empty() {
            said.push(Statement::yes(
                kind::DELETING,
                reason::IN_USE,
                format!(
                    "deleted, and waits for {}: nothing new is made in it, what is there goes on; it goes when they are deleted (kubectl delete agi -n NAMESPACE NAME)",
                    named(&self.users, "instance that uses it", "instances that use it")
                ),
            ));
        }
        if !self.secrets_going.is_empty() {
            said.push(Statement::yes(
                kind::SECRET_DELETING,
                reason::IN_USE,
                format!(
                    "{} deleted while this account uses it, and stays until the account names another one or is gone; to change a credential write the new one into the Secret, or name a Secret of another name",
                    named(&self.secrets_going, "Secret was", "Secrets were")
                ),
            ));
        }
        if !self.same_place.is_empty() {
            said.push(Statement::yes(
                kind::SHARED,
                reason::SAME_PLACE,
                format!(
                    "{} to the same place at the provider: each counts everything there as its own, and keeps its limits without the other; keep one account, and give it more tokens where that is what was wanted",
                    named(&self.same_place, "other account leads", "other accounts lead")
                ),
            ));
        }
        said.extend(recovery::condition(self.recovery.as_ref(), account, now));
        said.extend(sweep::conditions(&self.sweep, account, now));
        said
    }
}

/// How many, and the first few by name.
fn named(all: &[String], one: &str, many: &str) -> String {
    let some: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let rest = match all.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let words = if all.len() == 1 { one } else { many };
    format!("{} {words} ({}{rest})", all.len(), some.join(", "))
}

/// Whether two accounts lead to the same place: one workspace, or what one credential opens.
pub fn same_place(one: &ProviderAccountSpec, other: &ProviderAccountSpec) -> bool {
    if let (Some(one), Some(other)) = (&one.railway, &other.railway) {
        return one.workspace_id == other.workspace_id;
    }
    let within = |spec: &ProviderAccountSpec| {
        let openrouter = spec.openrouter.as_ref();
        let agentmail = spec.agentmail.as_ref();
        openrouter
            .and_then(|own| own.workspace_id.clone())
            .or_else(|| agentmail.and_then(|own| own.pod_id.clone()))
    };
    one.provider() == other.provider()
        && one.credentials() == other.credentials()
        && within(one) == within(other)
}

/// What people should hear of when an account's conditions go from `before` to `after`.
pub fn heard(before: &[Condition], after: &[Condition]) -> Vec<Announcement> {
    let mut heard = report::transitions(before, after);
    for (kind, action) in [
        (kind::PAUSED, "Pause"),
        (kind::DELETING, "Delete"),
        (kind::SECRET_DELETING, "Delete"),
        (kind::SHARED, "Reconcile"),
        (kind::ORPHANS_FOUND, "Sweep"),
        (kind::SWEEP_HELD_BACK, "Sweep"),
        (kind::RECOVERY_MODE, "Recover"),
    ] {
        let Some(now) = find(after, kind).filter(|now| now.status == "True") else {
            continue;
        };
        let told = is_true(before, kind)
            && find(before, kind).is_some_and(|before| before.reason == now.reason);
        let stable = report::stable(&now.reason);
        if let (false, Some(reason)) = (told, stable) {
            heard.push(Announcement {
                warning: true,
                reason,
                action,
                note: now.message.clone(),
            });
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::account::{AccountSweep, SweepMode};
    use crate::api::condition::conclude;
    use crate::api::money::Money;
    use crate::engine::sweep::HeldBack;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn account(provider: &str, own: serde_json::Value) -> ProviderAccount {
        let spec = json!({provider: own});
        ProviderAccount::new("main", serde_json::from_value(spec).unwrap())
    }

    fn railway(workspace: &str, secret: &str) -> ProviderAccount {
        account(
            "railway",
            json!({"workspaceId": workspace, "tokenSecretRefs": [{"name": secret, "key": "token"}]}),
        )
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn said(beside: &Beside, account: &ProviderAccount) -> Vec<(&'static str, String)> {
        let all = beside
            .conditions(account, Timestamp::UNIX_EPOCH)
            .into_iter();
        all.map(|said| (said.kind, said.message)).collect()
    }

    #[test]
    fn one_that_was_deleted_names_a_few_of_those_it_waits_for() {
        let mut account = railway("w", "s");
        let beside = |names: &[&str]| Beside {
            users: texts(names),
            ..Beside::default()
        };
        // Being used is nothing to tell of.
        assert!(said(&beside(&["a/x"]), &account).is_empty());
        account.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert!(said(&beside(&[]), &account).is_empty());
        let one = said(&beside(&["a/x"]), &account);
        assert_eq!(one[0].0, kind::DELETING);
        assert!(
            one[0].1.contains("1 instance that uses it (a/x):"),
            "{}",
            one[0].1
        );
        let five = said(&beside(&["a/v", "a/w", "a/x", "a/y", "a/z"]), &account);
        assert!(
            five[0]
                .1
                .contains("5 instances that use it (a/v, a/w, a/x and 2 more):"),
            "{}",
            five[0].1
        );
    }

    #[test]
    fn two_accounts_share_a_place_where_one_workspace_or_one_credential_is_behind_both() {
        let key = |name: &str, workspace: Option<&str>| {
            let mut own = json!({"credentialSecretRef": {"name": name, "key": "key"}});
            if let Some(workspace) = workspace {
                own["workspaceId"] = workspace.into();
            }
            account("openrouter", own)
        };
        let exa = account(
            "exa",
            json!({"credentialSecretRef": {"name": "s", "key": "key"}}),
        );
        for (one, other, same) in [
            (railway("w", "s"), railway("w", "t"), true),
            (railway("w", "s"), railway("v", "s"), false),
            (key("s", None), key("s", None), true),
            (key("s", None), key("t", None), false),
            (key("s", None), key("s", Some("w")), false),
            (key("s", None), exa, false),
            (railway("w", "s"), key("s", None), false),
        ] {
            assert_eq!(same_place(&one.spec, &other.spec), same, "{:?}", other.spec);
        }
    }

    #[test]
    fn what_the_sweep_found_is_counted_by_kind_and_told_once_for_each_reason() {
        let account = railway("w", "s");
        let found = |held_back| Beside {
            sweep: Findings {
                report: Some(AccountSweep {
                    orphans: 3,
                    monthly_cost_usd: Money::cents(1250),
                    ..AccountSweep::default()
                }),
                kinds: BTreeMap::from([("project".to_owned(), 2), ("telnyx".to_owned(), 1)]),
                held_back,
            },
            ..Beside::default()
        };
        let told = said(&found(None), &account);
        assert_eq!(told.len(), 1);
        assert!(
            told[0]
                .1
                .contains("2 project, 1 telnyx, and can cost 12.50 USD a month")
        );
        assert!(told[0].1.contains("set spec.sweep.mode to Delete"));
        let mut deleting = account.clone();
        deleting.spec.sweep.mode = SweepMode::Delete;
        let deletes = sweep::conditions(&found(None).sweep, &deleting, Timestamp::UNIX_EPOCH);
        assert!(deletes[0].message.contains("is taken back"));

        let concluded = |beside: &Beside| {
            conclude(
                &[],
                &beside.conditions(&account, Timestamp::UNIX_EPOCH),
                None,
                Timestamp::UNIX_EPOCH,
            )
        };
        let mut before = Vec::new();
        let mut heard_of = Vec::new();
        for held_back in [None, None]
            .into_iter()
            .chain(HeldBack::ALL.map(Some))
            .chain([Some(HeldBack::Recovery), None])
        {
            let after = concluded(&found(held_back));
            let heard = heard(&before, &after);
            heard_of.extend(heard.into_iter().map(|said| said.reason));
            before = after;
        }
        let mut expected = vec![reason::ORPHANS_FOUND];
        expected.extend(HeldBack::ALL.map(HeldBack::reason));
        assert_eq!(heard_of, expected);
    }
}
