//! The versions of claims, and of the agents that they have, that this process has written or read last.
//!
//! Holds: what the store shows at these very versions is as good as what a read would answer. All of it may be lost: then it is read.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

/// A claim and its agents, by UID, each at a version.
pub type ServedVersions = BTreeMap<String, Option<String>>;

/// The last known versions, by claim.
#[derive(Debug, Default)]
pub struct Served(Mutex<HashMap<Uid, ServedVersions>>);

impl Served {
    /// A claim and what it has were written or read at these versions.
    pub fn at(&self, claim: &Uid, versions: ServedVersions) {
        held(&self.0).insert(claim.clone(), versions);
    }

    /// Whether these are the last known ones.
    pub fn are(&self, claim: &Uid, versions: &ServedVersions) -> bool {
        held(&self.0).get(claim) == Some(versions)
    }

    /// Nothing is known of it any more.
    pub fn forget(&self, claim: &Uid) {
        held(&self.0).remove(claim);
    }
}
