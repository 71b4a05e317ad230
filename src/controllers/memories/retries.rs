//! Faults of earlier tries and conflicts, of each object by itself.
//!
//! Holds: a fault counts for nothing once something else is tried; a pass without a conflict forgets those before it.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use crate::engine::retry::Trouble;
use crate::engine::world::Patience;
use crate::model::Fault;
use crate::passes::end::Troubles;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// Of what an object tries something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Whole,
    ApiServer,
}

/// What is tried: faults are remembered of each by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    uid: Uid,
    of: Of,
}

impl Tried {
    /// An object as a whole.
    pub fn object(uid: Uid) -> Tried {
        Tried { uid, of: Of::Whole }
    }

    /// What the API server is asked for an object.
    pub fn api_server(uid: Uid) -> Tried {
        let of = Of::ApiServer;
        Tried { uid, of }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Of::Whole => write!(f, "{}", self.uid),
            Of::ApiServer => write!(f, "{} api-server", self.uid),
        }
    }
}

/// Faults remembered between passes: how often in a row, and until when patience is asked for.
#[derive(Debug, Default)]
pub struct Retries {
    memories: Mutex<HashMap<Uid, BTreeMap<Of, Trouble<String>>>>,
    instances: Mutex<HashMap<Uid, Troubles>>,
    conflicts: Mutex<HashMap<Uid, u32>>,
}

impl Retries {
    /// Remembers a fault; the answer is when to come again. `about` names what was tried.
    pub fn failed(&self, tried: &Tried, about: &str, fault: &Fault, now: Timestamp) -> Timestamp {
        let mut memories = held(&self.memories);
        let own = memories.entry(tried.uid.clone()).or_default();
        let (about, uid) = (about.to_owned(), tried.to_string());
        let trouble = Trouble::again(own.get(&tried.of), &about, fault, &uid, now);
        let until = trouble.until;
        own.insert(tried.of, trouble);
        until
    }

    /// What is remembered of an instance, to read it or to change it.
    pub fn of_instance<T>(&self, uid: &Uid, with: impl FnOnce(&mut Troubles) -> T) -> T {
        let mut instances = held(&self.instances);
        let mut troubles = instances.remove(uid).unwrap_or_default();
        let answer = with(&mut troubles);
        if !troubles.is_empty() {
            instances.insert(uid.clone(), troubles);
        }
        answer
    }

    /// Forgets: something succeeded.
    pub fn clear(&self, tried: &Tried) {
        let mut memories = held(&self.memories);
        if let Some(own) = memories.get_mut(&tried.uid) {
            own.remove(&tried.of);
            if own.is_empty() {
                memories.remove(&tried.uid);
            }
        }
    }

    /// Forgets an object, and all that was remembered of its tools.
    pub fn forget(&self, uid: &Uid) {
        held(&self.memories).remove(uid);
        held(&self.instances).remove(uid);
        held(&self.conflicts).remove(uid);
    }

    /// What an earlier fault still asks for.
    pub fn patience(&self, tried: &Tried, about: &str) -> Option<Patience> {
        let memories = held(&self.memories);
        let trouble = memories.get(&tried.uid)?.get(&tried.of)?;
        trouble.patience(&about.to_owned())
    }

    /// Somebody else was faster, once more; the answer is how long to wait. The first time nearly not at all.
    pub fn conflict(&self, uid: &Uid) -> Duration {
        let mut conflicts = held(&self.conflicts);
        let times = conflicts.entry(uid.clone()).or_default();
        *times += 1;
        let doubled = FIRST_CONFLICT * 2_u32.saturating_pow(times.saturating_sub(1).min(16));
        doubled.min(LAST_CONFLICT)
    }

    /// A pass came to its end without a conflict.
    pub fn no_conflict(&self, uid: &Uid) {
        held(&self.conflicts).remove(uid);
    }
}

/// How long is waited after a first conflict.
const FIRST_CONFLICT: Duration = Duration::from_millis(50);
/// How long at most.
const LAST_CONFLICT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn transient() -> Fault {
        let message = "no answer".to_owned();
        Fault::Transient { message }
    }

    #[test]
    fn a_fault_of_one_try_says_nothing_of_another() {
        let (retries, now) = (Retries::default(), Timestamp::UNIX_EPOCH);
        let whole = Tried::object("a".into());
        let refused = Tried::api_server("a".into());
        let other = Tried::object("ab".into());
        for tried in [&whole, &refused, &other] {
            retries.failed(tried, "1", &transient(), now);
        }
        retries.failed(&whole, "1", &transient(), now);
        let failures = |tried: &Tried| retries.patience(tried, "1").map(|one| one.failures);
        assert_eq!(failures(&whole), Some(2));
        assert_eq!(failures(&refused), Some(1));
        assert!(retries.patience(&whole, "2").is_none());
        retries.clear(&refused);
        assert_eq!((failures(&refused), failures(&whole)), (None, Some(2)));
        retries.forget(&"a".into());
        assert_eq!((failures(&whole), failures(&other)), (None, Some(1)));
    }

    #[test]
    fn conflicts_are_waited_for_ever_longer_until_one_pass_has_none() {
        let (retries, uid) = (Retries::default(), Uid::from("a"));
        let waits: Vec<u128> = (0..12)
            .map(|_| retries.conflict(&uid).as_millis())
            .collect();
        assert_eq!(waits[..4], [50, 100, 200, 400]);
        assert_eq!(waits[10..], [30_000, 30_000]);
        retries.no_conflict(&uid);
        assert_eq!(retries.conflict(&uid).as_millis(), 50);
    }
}
