//! What this process remembers beside the objects: a courtesy that may be lost, because a restart only tries once more.
//!
//! Holds: a memory of an object is forgotten with the object ([`Memories::forget`]), so that they are bounded by what there
//! is; a fault counts for nothing once something else is tried. Deliberately absent: whatever must not be lost, which
//! stands in a status.

use super::held;
use super::inquiries::Inquiries;
use super::records::Recorded;
use super::sweep::Sweeps;
use super::unreadable::Warned;
use crate::api::{AgentTemplate, Seen};
use crate::engine::retry::Trouble;
use crate::engine::world::Patience;
use crate::model::Fault;
use crate::passes::end::Troubles;
use jiff::{SignedDuration, Timestamp};
use kube::Resource;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What tells an object from every other one, also of its own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

impl Uid {
    /// Of an object.
    pub fn of<K: Resource>(object: &K) -> Uid {
        Uid(object.meta().uid.clone().unwrap_or_default())
    }
}

impl From<&str> for Uid {
    fn from(uid: &str) -> Uid {
        Uid(uid.to_owned())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that is remembered.
#[derive(Default)]
pub struct Memories {
    /// Faults of earlier tries.
    pub retries: Retries,
    /// When instances were last counted.
    pub counted: Counted,
    /// Templates as they were last read, with their values.
    pub templates: Templates,
    /// What image registries are being asked.
    pub inquiries: Arc<Inquiries>,
    /// What sweeps have seen.
    pub sweeps: Sweeps,
    /// What was recorded of those that leave something behind.
    pub recorded: Recorded,
    /// Unreadable objects that the log has been told of.
    pub warned: Warned,
}

impl Memories {
    /// An object is gone.
    pub fn forget(&self, uid: &Uid) {
        self.retries.forget(uid);
        self.counted.forget(uid);
        self.templates.forget(uid);
        self.inquiries.end(uid);
        self.recorded.forget(uid);
        self.warned.forget(uid);
    }
}

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

/// Most bytes of templates that are remembered, as JSON: who makes many large ones must not take everybody's memory.
const MOST_OF_TEMPLATES: usize = 16 << 20;

/// Templates with their values, which no store keeps: each is read once for each of its versions, as long as there is room
/// for all of them. Where there is none, they are read anew.
#[derive(Debug, Default)]
pub struct Templates(Mutex<Whole>);

#[derive(Debug, Default)]
struct Whole {
    known: HashMap<Uid, (Arc<AgentTemplate>, usize)>,
    bytes: usize,
}

impl Whole {
    fn forget(&mut self, uid: &Uid) {
        self.bytes -= self.known.remove(uid).map_or(0, |(_, bytes)| bytes);
    }
}

impl Templates {
    /// The template that a store has, as it was read at that very version.
    pub fn whole(&self, stored: &Seen<AgentTemplate>) -> Option<Arc<AgentTemplate>> {
        let known = held(&self.0).known.get(&Uid::of(stored))?.0.clone();
        (known.metadata.resource_version == stored.meta().resource_version).then_some(known)
    }

    /// One was read.
    pub fn keep(&self, whole: &Arc<AgentTemplate>) {
        let (uid, bytes) = (Uid::of(whole.as_ref()), size(whole));
        let mut all = held(&self.0);
        all.forget(&uid);
        if all.bytes + bytes > MOST_OF_TEMPLATES {
            *all = Whole::default();
        }
        all.bytes += bytes;
        all.known.insert(uid, (Arc::clone(whole), bytes));
    }

    fn forget(&self, uid: &Uid) {
        held(&self.0).forget(uid);
    }
}

fn size(template: &AgentTemplate) -> usize {
    serde_json::to_vec(template).map_or(0, |json| json.len())
}

/// When instances were last counted, by template. Counts alone are written at most once an interval: they change with
/// every instance that comes, goes or gets ready, and nobody waits for them.
#[derive(Debug, Default)]
pub struct Counted(Mutex<HashMap<Uid, Timestamp>>);

impl Counted {
    /// `None`: they may be written now, and count as written. Else: not before this.
    pub fn not_before(&self, uid: &Uid, now: Timestamp, interval: Duration) -> Option<Timestamp> {
        let mut written = held(&self.0);
        let next = *written.get(uid)? + SignedDuration::try_from(interval).ok()?;
        if next > now {
            return Some(next);
        }
        written.insert(uid.clone(), now);
        None
    }

    /// They were written, together with something else.
    pub fn written(&self, uid: &Uid, now: Timestamp) {
        held(&self.0).insert(uid.clone(), now);
    }

    fn forget(&self, uid: &Uid) {
        held(&self.0).remove(uid);
    }
}

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

    #[test]
    fn a_template_serves_from_memory_at_the_version_that_was_read() {
        let (templates, uid) = (Templates::default(), Uid::from("t"));
        let at = |version: &str| {
            let template: AgentTemplate = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "t", "uid": "t", "resourceVersion": version},
                "spec": {"runtime": {"image": "i"}},
            }))
            .unwrap();
            Arc::new(template)
        };
        templates.keep(&at("5"));
        assert!(templates.whole(&Seen::Read(at("5"))).is_some());
        for other in ["4", "6"] {
            assert!(templates.whole(&Seen::Read(at(other))).is_none());
        }
        templates.forget(&uid);
        assert!(templates.whole(&Seen::Read(at("5"))).is_none());
    }

    #[test]
    fn large_templates_take_a_bounded_room() {
        let (templates, value) = (Templates::default(), "x".repeat(1 << 18));
        for n in 0..500 {
            let template: AgentTemplate = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "t", "uid": n.to_string(), "resourceVersion": "1"},
                "spec": {"runtime": {"image": "i"}, "env": [{"name": "A", "value": value}]},
            }))
            .unwrap();
            let template = Arc::new(template);
            for _ in 0..2 {
                templates.keep(&template);
            }
            assert!(templates.whole(&Seen::Read(template)).is_some());
        }
        let all = held(&templates.0);
        let bytes: usize = all.known.values().map(|(one, _)| size(one)).sum();
        assert!(bytes <= MOST_OF_TEMPLATES, "{bytes}");
        assert_eq!(bytes, all.bytes);
    }

    #[test]
    fn what_was_remembered_of_an_object_goes_with_it() {
        let (memories, uid, now) = (Memories::default(), Uid::from("a"), Timestamp::UNIX_EPOCH);
        memories
            .retries
            .failed(&Tried::api_server(uid.clone()), "", &transient(), now);
        memories.retries.conflict(&uid);
        memories.counted.written(&uid, now);
        memories.forget(&uid);
        assert!(held(&memories.retries.memories).is_empty());
        assert!(held(&memories.retries.conflicts).is_empty());
        assert!(held(&memories.counted.0).is_empty());
    }
}
