//! The accounts in use, of whatever kind, each with the task that reads it once an interval.
//!
//! What holds: an account has one observer; it reads only while this process may act and the credential is good; the beginning and the end of an
//! outage are told to the account and to every instance that uses it. Nothing here writes to Kubernetes.

use super::context::Context;
use super::credential::Checked;
use super::held;
use crate::model::{Done, Fault};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// An account that is read once an interval.
pub trait Observed: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;
    /// What is known of its credential.
    fn credential(&self) -> &Checked;
    /// Why the provider counts as unreachable, if it does.
    fn outage(&self) -> Option<String>;
    /// Requests left in the provider's present window, where that is known.
    fn left(&self) -> Option<u64>;
    /// How long until the next reading.
    fn pause(&self, ctx: &Context) -> Duration;
    /// One reading: believed or not, kept, and told to those whom it concerns.
    fn read<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Done<()>>;
}

/// An account, and the task that reads it.
type Read<A> = (Arc<A>, JoinHandle<()>);

/// Every account of a kind that is in use.
pub struct Directory<A> {
    known: Mutex<BTreeMap<String, Read<A>>>,
}

impl<A> Default for Directory<A> {
    fn default() -> Directory<A> {
        Directory {
            known: Mutex::default(),
        }
    }
}

impl<A: Observed> Directory<A> {
    /// The account of that name, once it was set up.
    pub fn get(&self, name: &str) -> Option<Arc<A>> {
        held(&self.known)
            .get(name)
            .map(|(account, _)| Arc::clone(account))
    }

    /// All that are set up.
    pub fn all(&self) -> Vec<Arc<A>> {
        held(&self.known)
            .values()
            .map(|(account, _)| Arc::clone(account))
            .collect()
    }

    /// Takes an account in, in place of an earlier one of that name, and begins to observe it.
    pub fn add(&self, ctx: &Arc<Context>, account: A) -> Arc<A> {
        let account = Arc::new(account);
        let observer = tokio::spawn(observe(Arc::clone(ctx), Arc::clone(&account)));
        let entry = (Arc::clone(&account), observer);
        if let Some((_, old)) = held(&self.known).insert(account.name().to_owned(), entry) {
            old.abort();
        }
        account
    }

    /// Ends the observation of an account.
    pub fn remove(&self, name: &str) {
        if let Some((_, observer)) = held(&self.known).remove(name) {
            observer.abort();
        }
    }
}

/// How people are told that a provider does not answer.
pub fn unanswered(since: Timestamp, message: &str) -> String {
    format!("the provider has not answered since {since}: {message}")
}

async fn observe<A: Observed>(ctx: Arc<Context>, account: Arc<A>) {
    let name = account.name();
    loop {
        let outage = account.outage();
        let usable = account.credential().usable().is_ok();
        // What a credential shows that is not known to be the account's own says nothing.
        let read = if usable && ctx.leave.take().is_ok() {
            account.read(&ctx).await
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
        if matches!(read, Err(Fault::Denied { .. })) && account.credential().usable().is_ok() {
            account.credential().check_again();
            ctx.wake.account(name);
        }
        let now_out = account.outage();
        ctx.gauge.account(name, now_out.is_none(), account.left());
        if outage.is_some() != now_out.is_some() {
            tracing::info!(
                account = name,
                outage = now_out.as_deref().unwrap_or("over"),
                "account"
            );
            ctx.wake.account(name);
            ctx.wake_users(name);
        }
        if now_out.is_some() && account.credential().unasked() {
            // Nobody reads: whoever checks the credential finds out that the provider answers again.
            ctx.wake.account(name);
        }
        tokio::select! {
            () = tokio::time::sleep(account.pause(&ctx)) => {}
            () = account.credential().became_usable() => {}
        }
    }
}
