//! The task that reads an account once an interval.
//!
//! Holds: it reads only while this process may act and the credential is good; the beginning and the end of an outage
//! are told to the account and to every instance that uses it; each reading that is believed is held against what is
//! remembered (`comparison`). Nothing here writes to Kubernetes.

use super::account::Account;
use super::comparison::compare;
use crate::controllers::around::Around;
use crate::controllers::stores::Stores;
use crate::controllers::turned::Ref;
use crate::controllers::wake::Change;
use crate::engine::account::Outage;
use crate::engine::breaker::Vanished;
use crate::model::Fault;
use jiff::Timestamp;
use std::mem;
use std::sync::Arc;

/// A provider that does not answer.
pub fn unanswered(since: Timestamp, message: &str) -> Outage {
    Outage::Unanswered(format!(
        "the provider has not answered since {since}: {message}"
    ))
}

/// Whether the account's owner has said that what vanished is gone.
pub fn acknowledged(stores: &Stores, account: &str) -> bool {
    let object = stores.accounts.get(&Ref::new(account));
    object.is_some_and(|object| object.read().is_some_and(|one| Vanished::acknowledged(one)))
}

/// Reads an account until it is removed.
pub async fn observe(around: Arc<Around>, stores: Arc<Stores>, account: Arc<dyn Account>) {
    let name = account.name();
    loop {
        let outage = account.outage();
        // What a credential shows that is not known to be the account's own says nothing.
        let may = account.usable().is_ok() && around.leave.take().is_ok();
        let read = match may {
            true => account.read(&around, &stores).await,
            false => Ok(()),
        };
        let unclear = match may && read.is_ok() {
            true => compare(&around, &stores, account.as_ref()).await,
            false => None,
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
        let kind = |outage: &Option<Outage>| outage.as_ref().map(mem::discriminant);
        if kind(&outage) != kind(&now_out) {
            tracing::info!(
                account = name,
                outage = now_out
                    .as_ref()
                    .map_or_else(|| "over".to_owned(), ToString::to_string),
                "account"
            );
            stores.tell(&Change::Outage(name.to_owned()));
        }
        if now_out.is_some() && account.credential().unasked() {
            // Nobody reads: whoever checks the credential finds out that the provider answers again.
            stores.tell(&Change::Doubt(name.to_owned()));
        }
        let pause = account.pause(around.settings.observe_interval);
        tokio::select! {
            () = tokio::time::sleep(unclear.map_or(pause, |soon| soon.min(pause))) => {}
            () = account.credential().became_usable() => {}
        }
    }
}
