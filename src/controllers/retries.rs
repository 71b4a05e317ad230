//! Faults remembered between passes: how often in a row, and until when patience is asked for.
//!
//! What holds: a memory ends with a success, and counts for nothing once the object, its template or its account has
//! changed, because then something else is tried. It is a courtesy and may be lost: a restart tries once more.

use crate::engine::retry;
use crate::engine::world::Patience;
use crate::model::Fault;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Memory {
    about: String,
    failures: u32,
    until: Timestamp,
    fault: Fault,
}

/// Faults by object.
#[derive(Debug, Default)]
pub struct Retries {
    memories: Mutex<HashMap<String, Memory>>,
}

impl Retries {
    /// Remembers a fault; the answer is when to come again. `about` names what was tried.
    pub fn failed(&self, uid: &str, about: &str, fault: &Fault, now: Timestamp) -> Timestamp {
        let mut memories = self.lock();
        let failures = memories
            .get(uid)
            .filter(|old| old.about == about)
            .map_or(0, |old| old.failures)
            + 1;
        let until = retry::after(fault, failures, now, retry::spread(uid, failures));
        let memory = Memory {
            about: about.to_owned(),
            failures,
            until,
            fault: fault.clone(),
        };
        memories.insert(uid.to_owned(), memory);
        until
    }

    /// Forgets: something succeeded, or the object is gone.
    pub fn clear(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Forgets an object, and all that was remembered of its tools.
    pub fn forget(&self, uid: &str) {
        self.lock().retain(|about, _| {
            about
                .strip_prefix(uid)
                .is_none_or(|rest| !rest.is_empty() && !rest.starts_with(' '))
        });
    }

    /// What an earlier fault still asks for.
    pub fn patience(&self, uid: &str, about: &str) -> Option<Patience> {
        let memories = self.lock();
        let memory = memories.get(uid).filter(|memory| memory.about == about)?;
        Some(Patience {
            until: memory.until,
            fault: memory.fault.clone(),
            failures: memory.failures,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
