//! The task that reads an account once an interval.
//!
//! Holds: it reads only while this process may act and the credential is good; the beginning and the end of an outage
//! are told to the account and to every instance that uses it. Nothing here writes to Kubernetes.

use super::account::Account;
use crate::controllers::around::Around;
use crate::controllers::stores::Stores;
use crate::controllers::wake::Change;
use crate::model::Fault;
use jiff::Timestamp;
use std::sync::Arc;

/// How people are told that a provider does not answer.
pub fn unanswered(since: Timestamp, message: &str) -> String {
    format!("the provider has not answered since {since}: {message}")
}

/// Reads an account until it is removed.
pub async fn observe(around: Arc<Around>, stores: Arc<Stores>, account: Arc<dyn Account>) {
    let name = account.name();
    loop {
        let outage = account.outage();
        // What a credential shows that is not known to be the account's own says nothing.
        let read = if account.usable().is_ok() && around.leave.take().is_ok() {
            account.read(&around, &stores).await
        } else {
            Ok(())
        };
        if let Err(fault) = &read {
            tracing::debug!(
                account = name,
                class = fault.class(),
                "reading the account: {fault}"
            );
        }
        // A refusal is no outage: the credential that was good is asked for again, and a person told.
        if matches!(read, Err(Fault::Denied { .. })) && account.usable().is_ok() {
            account.credential().check_again();
            stores.tell(&Change::Doubt(name.to_owned()));
        }
        let now_out = account.outage();
        around
            .gauge
            .account(name, now_out.is_none(), account.left());
        if outage.is_some() != now_out.is_some() {
            tracing::info!(
                account = name,
                outage = now_out.as_deref().unwrap_or("over"),
                "account"
            );
            stores.tell(&Change::Outage(name.to_owned()));
        }
        if now_out.is_some() && account.credential().unasked() {
            // Nobody reads: whoever checks the credential finds out that the provider answers again.
            stores.tell(&Change::Doubt(name.to_owned()));
        }
        tokio::select! {
            () = tokio::time::sleep(account.pause(around.settings.observe_interval)) => {}
            () = account.credential().became_usable() => {}
        }
    }
}
