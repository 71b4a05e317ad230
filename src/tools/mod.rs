//! The providers of tools, behind one trait: a file each, and nothing outside these files knows what a provider calls
//! its things.
//!
//! What holds: each call is one change outside at most, and may be the last before a crash; an answer that got lost is
//! `Uncertain` and never repeated here; `find` and `list` are complete or a fault; nothing is concluded from a 404 that a
//! narrower credential could have caused; no secret, id that is a secret, or URL with one gets into a fault's message or a
//! log. Deliberately absent: retrying, memory of what was made, Kubernetes.

pub mod agentmail;
pub mod bankr;
pub mod exa;
mod faults;
pub mod openrouter;
mod rest;
pub mod telnyx;
pub mod wallet;

pub use agentmail::Agentmail;
pub use bankr::Bankr;
pub use exa::Exa;
pub use openrouter::Openrouter;
pub use rest::{Clock, Connection, Line, Meter, Permission};
pub use telnyx::Telnyx;
pub use wallet::{Randomness, Wallet};

use crate::model::identity::Whose;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stock, Wish};
use crate::model::{Done, Fault};
use futures::future::BoxFuture;
use secrecy::SecretString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which account to open: what its spec says, in the words of the provider's file.
#[derive(Clone, Debug, PartialEq)]
pub enum Account {
    /// OpenRouter.
    Openrouter(openrouter::Settings),
    /// Exa.
    Exa,
    /// AgentMail.
    Agentmail(agentmail::Settings),
    /// Telnyx.
    Telnyx(telnyx::Settings),
    /// Bankr.
    Bankr,
}

/// An open account.
#[derive(Clone)]
pub struct Opened {
    /// What is asked of it.
    pub provider: Arc<dyn Provider>,
    /// The line under it: where its credential is replaced, its requests are counted and an outage is seen.
    pub line: Line,
}

/// Opens an account. Nothing is sent.
pub fn open(account: Account, credential: &SecretString, connection: Connection) -> Opened {
    fn opened<P: Provider + 'static>(provider: P, line: fn(&P) -> &Line) -> Opened {
        Opened {
            line: line(&provider).clone(),
            provider: Arc::new(provider),
        }
    }
    match account {
        Account::Openrouter(settings) => opened(
            Openrouter::new(settings, credential, connection),
            Openrouter::line,
        ),
        Account::Agentmail(settings) => opened(
            Agentmail::new(settings, credential, connection),
            Agentmail::line,
        ),
        Account::Telnyx(settings) => {
            opened(Telnyx::new(settings, credential, connection), Telnyx::line)
        }
        Account::Bankr => opened(Bankr::new(credential, connection), Bankr::line),
        Account::Exa => opened(Exa::new(credential, connection), Exa::line),
    }
}

/// Locks for a moment; never across an await. A panic elsewhere leaves these values usable: each change is whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the provider says does not exist is an answer, not a fault.
fn unless_missing<T>(result: Done<T>) -> Done<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Missing { .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Whose a credential is, where the provider tells no plan.
fn whose(id: Option<String>, name: impl Into<String>) -> Whose {
    Whose {
        id,
        name: name.into(),
        plan: String::new(),
    }
}

/// A wish or a part that is another provider's.
fn not_ours(name: &str) -> Fault {
    Fault::Bug {
        message: format!("{name} was asked for something of another kind"),
    }
}

/// One account at one provider of tools.
pub trait Provider: Send + Sync {
    /// Whose the credential is, as far as the provider tells. `Denied` where it is not good for what is needed.
    fn identity(&self) -> BoxFuture<'_, Done<Whose>>;

    /// Makes what is ordered. A provider that knows the key answers with what is there already.
    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>>;

    /// Everything that bears this name, of this part.
    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>>;

    /// The resource of that id as it is now. `None`: the provider says that it does not exist.
    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>>;

    /// Changes in place what can be changed.
    fn adjust<'a>(&'a self, named: &'a Named, wish: &'a Wish) -> BoxFuture<'a, Done<()>>;

    /// Takes it back. For what may hold money: puts it to rest; with `for_good`, closes it.
    fn delete<'a>(&'a self, named: &'a Named, for_good: bool) -> BoxFuture<'a, Done<()>>;

    /// Everything that lives in the account, ours or not. `None` where the provider has no listing.
    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>>;
}
