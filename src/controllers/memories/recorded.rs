//! Which records were made of what objects leave behind: none is made twice by a process.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

/// Names of the records that were made, by the object that left something.
#[derive(Debug, Default)]
pub struct RecordNames(Mutex<HashMap<Uid, BTreeSet<String>>>);

impl RecordNames {
    /// Whether a record of that name was made of what the object left.
    pub fn has(&self, uid: &Uid, name: &str) -> bool {
        held(&self.0)
            .get(uid)
            .is_some_and(|names| names.contains(name))
    }

    /// It was made.
    pub fn add(&self, uid: Uid, name: String) {
        held(&self.0).entry(uid).or_default().insert(name);
    }

    /// The object is gone.
    pub fn forget(&self, uid: &Uid) {
        held(&self.0).remove(uid);
    }
}
