//! Faults remembered between passes: how often in a row, and until when patience is asked for.
//!
//! What holds: a memory ends with a success, and counts for nothing once the object, its template or its account has
//! changed, because then something else is tried. It is a courtesy and may be lost: a restart tries once more.

use super::held;
use crate::engine::retry::Trouble;
use crate::engine::world::Patience;
use crate::model::Fault;
use crate::passes::end::Troubles;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;

/// Faults by object.
#[derive(Debug, Default)]
pub struct Retries {
    memories: Mutex<HashMap<String, Trouble<String>>>,
    instances: Mutex<HashMap<String, Troubles>>,
}

impl Retries {
    /// Remembers a fault; the answer is when to come again. `about` names what was tried.
    pub fn failed(&self, uid: &str, about: &str, fault: &Fault, now: Timestamp) -> Timestamp {
        let mut memories = held(&self.memories);
        let trouble = Trouble::again(memories.get(uid), &about.to_owned(), fault, uid, now);
        let until = trouble.until;
        memories.insert(uid.to_owned(), trouble);
        until
    }

    /// What is remembered of an instance, to read it or to change it.
    pub fn of_instance<T>(&self, uid: &str, with: impl FnOnce(&mut Troubles) -> T) -> T {
        let mut instances = held(&self.instances);
        let mut troubles = instances.remove(uid).unwrap_or_default();
        let answer = with(&mut troubles);
        if !troubles.is_empty() {
            instances.insert(uid.to_owned(), troubles);
        }
        answer
    }

    /// Forgets: something succeeded, or the object is gone.
    pub fn clear(&self, uid: &str) {
        held(&self.memories).remove(uid);
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.clear(uid);
        held(&self.instances).remove(uid);
    }

    /// What an earlier fault still asks for.
    pub fn patience(&self, uid: &str, about: &str) -> Option<Patience> {
        held(&self.memories).get(uid)?.patience(&about.to_owned())
    }
}
