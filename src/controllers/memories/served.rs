//! Claims that this process has left on their way, each with the versions at which it and its agents were written or read last.
//!
//! Holds: where the store shows these very versions, the claim that is kept is as good as what a read would answer, and unlike the
//! store's it has all that its agent is to be told. All of it may be lost: then it is read.

use crate::api::AgentClaim;
use crate::controllers::held;
use crate::controllers::uid::Uid;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

/// A claim and its agents, by UID, each at a version.
pub type ServedVersions = BTreeMap<String, Option<String>>;

/// A claim as it was left, and the metadata of its agents with all that stores leave out.
#[derive(Clone, Debug)]
pub struct LeftClaim {
    /// The claim.
    pub claim: AgentClaim,
    /// Of each of its agents.
    pub agents: Vec<ObjectMeta>,
}

/// Claims on their way, by UID.
#[derive(Debug, Default)]
pub struct Served(Mutex<HashMap<Uid, (LeftClaim, ServedVersions)>>);

impl Served {
    /// A claim is left like this.
    pub fn leave(&self, left: LeftClaim, versions: ServedVersions) {
        held(&self.0).insert(Uid::of(&left.claim), (left, versions));
    }

    /// A claim that was left, if these are the last known versions. From then on it is nobody's.
    pub fn take(&self, claim: &Uid, versions: &ServedVersions) -> Option<LeftClaim> {
        let left = held(&self.0).remove(claim);
        left.filter(|(_, known)| known == versions)
            .map(|(left, _)| left)
    }

    /// Nothing is known of it any more.
    pub fn forget(&self, claim: &Uid) {
        held(&self.0).remove(claim);
    }
}
