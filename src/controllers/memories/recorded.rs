//! Which records were made of what objects leave behind: none is made twice by a process; and what all records name.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use crate::model::left::LeftThing;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
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

/// What all records name, and since when this process knows it. `None`: they were not read yet.
#[derive(Debug, Default)]
pub struct LeftThings(Mutex<Option<HashMap<LeftThing, Timestamp>>>);

impl LeftThings {
    /// All records were read: what they name no more counts no more.
    pub fn read(&self, things: HashSet<LeftThing>, now: Timestamp) {
        let mut all = held(&self.0);
        let before = all.take().unwrap_or_default();
        let since = |thing: LeftThing| {
            let since = before.get(&thing).copied().unwrap_or(now);
            (thing, since)
        };
        *all = Some(things.into_iter().map(since).collect());
    }

    /// Something was recorded just now. Before the records were read there is no need to know of it.
    pub fn add(&self, things: impl IntoIterator<Item = LeftThing>, now: Timestamp) {
        if let Some(all) = held(&self.0).as_mut() {
            for thing in things {
                all.entry(thing).or_insert(now);
            }
        }
    }

    /// What was left behind in an account, with the time since when that is known.
    pub fn of(&self, account: &str) -> Option<Vec<(LeftThing, Timestamp)>> {
        let all = held(&self.0);
        let here = all
            .as_ref()?
            .iter()
            .filter(|(thing, _)| thing.account == account);
        Some(here.map(|(thing, since)| (thing.clone(), *since)).collect())
    }
}
