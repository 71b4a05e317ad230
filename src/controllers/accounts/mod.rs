//! The provider accounts in use, of Railway and of tools: for each the way to its provider, and what was last read of it.
//!
//! [`account`] is what all of them can do, [`open`] makes the way from an account's spec, [`learn`] keeps it up to the spec and asks whose the credential is,
//! [`credential`] says whether that may be used, [`observe`] reads each account once an interval, [`comparison`] whether
//! ledgers know what that showed, as [`recollection`] keeps it; [`spending`] asks what projects cost, as [`costs`] keeps it; [`railway`] and
//! [`tools`] know what a reading of theirs is.
//!
//! Holds: a name is one account, of one provider; an account has one observer. Deliberately absent: what is true of the
//! ProviderAccount object (`controllers::account`), and every decision about a listing (`engine::belief`).

mod account;
mod comparison;
mod costs;
pub mod credential;
mod judge;
pub mod learn;
mod observe;
pub mod open;
mod railway;
mod recollection;
pub mod spending;
mod tools;

pub use account::{Account, Inventory};
pub use railway::Workspace;
pub use tools::ToolAccount;

use super::around::Around;
use super::held;
use super::stores::Stores;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// An account by its kind of provider.
#[derive(Clone)]
pub enum Way {
    /// A workspace at Railway.
    Railway(Arc<Workspace>),
    /// An account of a provider of tools.
    Tools(Arc<ToolAccount>),
}

impl From<Arc<Workspace>> for Way {
    fn from(workspace: Arc<Workspace>) -> Way {
        Way::Railway(workspace)
    }
}

impl From<Arc<ToolAccount>> for Way {
    fn from(account: Arc<ToolAccount>) -> Way {
        Way::Tools(account)
    }
}

impl Way {
    /// What both kinds can do.
    pub fn account(&self) -> Arc<dyn Account> {
        match self {
            Way::Railway(workspace) => Arc::clone(workspace) as Arc<dyn Account>,
            Way::Tools(account) => Arc::clone(account) as Arc<dyn Account>,
        }
    }
}

/// Every account that is set up, each with the task that reads it.
pub struct Accounts {
    around: Arc<Around>,
    stores: Arc<Stores>,
    known: Mutex<BTreeMap<String, (Way, JoinHandle<()>)>>,
}

impl Accounts {
    /// None yet.
    pub fn new(around: Arc<Around>, stores: Arc<Stores>) -> Accounts {
        Accounts {
            around,
            stores,
            known: Mutex::default(),
        }
    }

    fn way(&self, name: &str) -> Option<Way> {
        held(&self.known).get(name).map(|(way, _)| way.clone())
    }

    /// The Railway account of that name, once it was set up.
    pub fn workspace(&self, name: &str) -> Option<Arc<Workspace>> {
        match self.way(name)? {
            Way::Railway(workspace) => Some(workspace),
            Way::Tools(_) => None,
        }
    }

    /// The account of a provider of tools of that name, once it was set up.
    pub fn tool_account(&self, name: &str) -> Option<Arc<ToolAccount>> {
        match self.way(name)? {
            Way::Railway(_) => None,
            Way::Tools(account) => Some(account),
        }
    }

    /// The account of that name, whatever its provider is, once it was set up.
    pub fn account(&self, name: &str) -> Option<Arc<dyn Account>> {
        self.way(name).map(|way| way.account())
    }

    /// Whether an account of that name is set up.
    pub fn has(&self, name: &str) -> bool {
        held(&self.known).contains_key(name)
    }

    /// All Railway accounts that are set up.
    pub fn workspaces(&self) -> Vec<Arc<Workspace>> {
        let known = held(&self.known);
        let workspaces = known.values().filter_map(|(way, _)| match way {
            Way::Railway(workspace) => Some(Arc::clone(workspace)),
            Way::Tools(_) => None,
        });
        workspaces.collect()
    }

    /// All that are set up.
    pub fn all(&self) -> Vec<Arc<dyn Account>> {
        let known = held(&self.known);
        known.values().map(|(way, _)| way.account()).collect()
    }

    /// Takes an account in, in place of an earlier one of that name, and begins to observe it.
    pub fn add<A: Account>(&self, account: A) -> Arc<A>
    where
        Way: From<Arc<A>>,
    {
        let account = Arc::new(account);
        let way = Way::from(Arc::clone(&account));
        let (around, stores) = (Arc::clone(&self.around), Arc::clone(&self.stores));
        let observer = tokio::spawn(attend(around, stores, way.clone()));
        let name = account.name().to_owned();
        if let Some((_, old)) = held(&self.known).insert(name, (way, observer)) {
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

/// Does for an account what is done while it is there.
async fn attend(around: Arc<Around>, stores: Arc<Stores>, way: Way) {
    let read = observe::observe(Arc::clone(&around), Arc::clone(&stores), way.account());
    match way {
        Way::Railway(workspace) => {
            tokio::join!(read, spending::follow(around, stores, workspace));
        }
        Way::Tools(_) => read.await,
    }
}
