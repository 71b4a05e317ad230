//! What an account tells of RecoveryMode, and what its owner has answered.
//!
//! Holds: an answer counts for the occurrence that it names, and once it was written down it counts whatever becomes of the
//! annotation; what was told before a restart stands until something was compared again.

use super::{Lapse, Remembrance};
use crate::api::ProviderAccount;
use crate::api::acknowledge::{acknowledged, command};
use crate::api::condition::{Statement, find, kind, reason, whole_seconds};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

/// What the account has told of it so far, and what its owner has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryAnswer {
    /// Nothing.
    Nothing,
    /// That it is so.
    Open {
        /// Since when.
        since: Timestamp,
    },
    /// That it is so, and it goes on.
    Acknowledged {
        /// Since when it was so.
        since: Timestamp,
    },
}

/// What the account has told, and what its owner has answered. Once that was written down it counts whatever becomes of the
/// annotation.
pub fn told(account: &ProviderAccount) -> RecoveryAnswer {
    let Some(said) = said(account) else {
        return RecoveryAnswer::Nothing;
    };
    let since = said.last_transition_time.0;
    let answered =
        said.status == "False" || acknowledged(account.annotations(), said.reason.as_str(), since);
    match answered {
        true => RecoveryAnswer::Acknowledged { since },
        false => RecoveryAnswer::Open { since },
    }
}

fn said(account: &ProviderAccount) -> Option<&Condition> {
    find(&account.status.as_ref()?.conditions, kind::RECOVERY_MODE)
}

/// Whether changes are held back. `None`: nothing was compared yet in this process, and what was told before stands.
pub fn holds(standing: Option<&Remembrance>, told: RecoveryAnswer) -> bool {
    match (standing, told) {
        (Some(Remembrance::Lapsed(lapse)), RecoveryAnswer::Acknowledged { since }) => {
            lapse.beyond == Some(since)
        }
        (Some(Remembrance::Lapsed(_)), _) => true,
        (Some(_), _) => false,
        (None, told) => matches!(told, RecoveryAnswer::Open { .. }),
    }
}

/// What an account says of it: only what is so.
pub fn condition(
    standing: Option<&Remembrance>,
    account: &ProviderAccount,
    now: Timestamp,
) -> Option<Statement> {
    let told = told(account);
    let answered = |since: Timestamp| {
        let message = "this cluster remembered less of what is there than it did, and goes on, as was acknowledged; what nobody claims is orphaned";
        Statement::no(kind::RECOVERY_MODE, reason::RECOVERY_ACKNOWLEDGED, message).since(since)
    };
    if holds(standing, told) {
        return match standing {
            Some(Remembrance::Lapsed(lapse)) => Some(begun(lapse, told, account, now)),
            _ => as_before(account),
        };
    }
    match (standing, told) {
        (Some(Remembrance::Remembers), _) => None,
        (_, RecoveryAnswer::Acknowledged { since }) => Some(answered(since)),
        _ => None,
    }
}

fn begun(
    lapse: &Lapse,
    told: RecoveryAnswer,
    account: &ProviderAccount,
    now: Timestamp,
) -> Statement {
    let since = match told {
        RecoveryAnswer::Open { since } => since,
        _ => whole_seconds(now),
    };
    let why = lapse.cause.reason();
    let message = format!(
        "{}; nothing is made, changed or deleted through this account, and deletions of instances wait, until that is known again (restore it from a newer backup) or its owner says that it goes on with what there is: {}",
        lapse.cause,
        command("provideraccount", &account.name_any(), why, since)
    );
    Statement::yes(kind::RECOVERY_MODE, why, message).since(since)
}

fn as_before(account: &ProviderAccount) -> Option<Statement> {
    let said = said(account)?;
    let reasons = [reason::LEDGERS_LOST, reason::TIME_WENT_BACK];
    let why = reasons.into_iter().find(|one| *one == said.reason)?;
    let statement = Statement::yes(kind::RECOVERY_MODE, why, said.message.clone());
    Some(statement.since(said.last_transition_time.0))
}
