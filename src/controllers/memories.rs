//! What this process remembers beside the objects: a courtesy that may be lost, because a restart only tries once more.
//!
//! Holds: a memory of an object is forgotten with the object ([`Memories::forget`]), so that they are bounded by what there
//! is; a fault counts for nothing once something else is tried. Deliberately absent: whatever must not be lost, which
//! stands in a status.

pub mod announcements;
pub mod askings;
pub mod places;
pub mod recorded;
pub mod retellings;
pub mod retries;
pub mod served;
pub mod sources;
pub mod sweeps;
pub mod tellings;
pub mod warned;

use super::held;
use super::inquiries::Inquiries;
use super::uid::Uid;
use crate::api::{AgentTemplate, Seen};
use crate::engine::pool::Unseen;
use announcements::Announcements;
use askings::Askings;
use jiff::{SignedDuration, Timestamp};
use kube::Resource;
use places::Places;
use recorded::{LeftThings, RecordNames};
use retellings::Retellings;
use retries::Retries;
use served::Served;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sweeps::Sweeps;
use tellings::Tellings;
use warned::Warned;

/// Everything that is remembered.
#[derive(Default)]
pub struct Memories {
    /// Faults of earlier tries.
    pub retries: Retries,
    /// When instances were last counted.
    pub counted: Counted,
    /// Templates with their values.
    pub templates: Templates,
    /// Values of referenced objects.
    pub sources: sources::Sources,
    /// Labels of namespaces.
    pub namespaces: sources::Namespaces,
    /// What image registries are being asked.
    pub inquiries: Arc<Inquiries>,
    /// What sweeps have seen.
    pub sweeps: Sweeps,
    /// What was recorded of those that leave something behind.
    pub recorded: RecordNames,
    /// What was left behind, as far as it is counted.
    pub left: LeftThings,
    /// Places that are about to be taken.
    pub places: Places,
    /// At which versions claims were left.
    pub served: Served,
    /// What agents are being told.
    pub tellings: Tellings,
    /// Which agents are being told something new.
    pub retellings: Retellings,
    /// Whose variables are being set.
    pub keepings: Retellings,
    /// Which agents are being asked whose they are.
    pub askings: Askings,
    /// Agents of pools that were made or deleted, and are not seen so yet.
    pub unseen: UnseenAgents,
    /// When pools may be counted again.
    pub paces: Paces,
    /// What is to be told of claims.
    pub announcements: Announcements,
    /// Since when claims that were seen being made wait.
    pub since: WaitingSince,
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
        self.unseen.forget(uid);
        self.paces.forget(uid);
        self.served.forget(uid);
        self.tellings.forget(uid);
        self.retellings.forget(uid);
        self.keepings.forget(uid);
        self.askings.forget(uid);
        self.since.forget(uid);
    }
}

/// Most bytes of templates that are remembered, as JSON: who makes many large ones must not take everybody's memory.
const MOST_OF_TEMPLATES: usize = 16 << 20;

/// Templates with their values, which no store keeps: each is read once for each of its generations, as long as there is room
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
    /// The template that a store has, with its spec as it was read at that very generation.
    pub fn whole(&self, stored: &Seen<AgentTemplate>) -> Option<Arc<AgentTemplate>> {
        let known = held(&self.0).known.get(&Uid::of(stored))?.0.clone();
        let (now, then) = (stored.meta(), &known.metadata);
        if then.resource_version == now.resource_version {
            return Some(known);
        }
        let same = then.generation == now.generation;
        let stored = stored.read().filter(|_| same)?;
        let whole = Arc::new(AgentTemplate {
            metadata: stored.metadata.clone(),
            spec: known.spec.clone(),
            status: stored.status.clone(),
        });
        self.keep(&whole);
        Some(whole)
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

/// When pools may be counted again. A count goes through all agents of a pool, and each claim is a reason for one: of 10,000 agents it
/// takes as long as several claims do.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<Uid, Timestamp>>);

impl Paces {
    /// A pool's counts take one part in so many of a processor at most.
    const SHARE: i32 = 10;

    /// When a pool may be counted, where that is later.
    pub fn not_before(&self, pool: &Uid, now: Timestamp) -> Option<Timestamp> {
        held(&self.0).get(pool).copied().filter(|next| *next > now)
    }

    /// A count began and ended.
    pub fn counted(&self, pool: &Uid, begun: Timestamp, ended: Timestamp) {
        let took = ended.duration_since(begun);
        held(&self.0).insert(pool.clone(), ended + took * (Self::SHARE - 1));
    }

    fn forget(&self, uid: &Uid) {
        held(&self.0).remove(uid);
    }
}

/// Since when claims that were seen being made wait, to less than a second.
#[derive(Debug, Default)]
pub struct WaitingSince(Mutex<HashMap<Uid, Timestamp>>);

impl WaitingSince {
    /// One is served for the first time, or again.
    pub fn begins(&self, claim: Uid, now: Timestamp) {
        held(&self.0).entry(claim).or_insert(now);
    }

    /// Since when it waits.
    pub fn of(&self, claim: &Uid) -> Option<Timestamp> {
        held(&self.0).get(claim).copied()
    }

    fn forget(&self, uid: &Uid) {
        held(&self.0).remove(uid);
    }
}

/// Agents that were made or deleted, and are not seen so yet, by pool.
#[derive(Debug, Default)]
pub struct UnseenAgents(Mutex<HashMap<Uid, Unseen>>);

impl UnseenAgents {
    /// What is not seen of a pool's.
    pub fn of<T>(&self, pool: &Uid, look: impl FnOnce(&mut Unseen) -> T) -> T {
        look(held(&self.0).entry(pool.clone()).or_default())
    }

    fn forget(&self, uid: &Uid) {
        held(&self.0).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_to_count_is_counted_seldom() {
        let (paces, pool) = (Paces::default(), Uid::from("p"));
        let at = |millis: i64| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(paces.not_before(&pool, at(0)), None);
        paces.counted(&pool, at(0), at(50));
        assert_eq!(paces.not_before(&pool, at(100)), Some(at(500)));
        assert_eq!(paces.not_before(&pool, at(500)), None);
        paces.counted(&pool, at(500), at(500));
        assert_eq!(paces.not_before(&pool, at(500)), None);
    }
    use crate::model::Fault;
    use retries::Tried;

    #[test]
    fn a_template_serves_from_memory_at_the_generation_that_was_read() {
        let (templates, uid) = (Templates::default(), Uid::from("t"));
        let at = |generation: i64, version: &str, value: Option<&str>| {
            let env = serde_json::json!([{"name": "A", "value": value}]);
            let template: AgentTemplate = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "t", "uid": "t", "resourceVersion": version, "generation": generation},
                "spec": {"runtime": {"image": "i"}, "env": env},
                "status": {"revision": version},
            }))
            .unwrap();
            Arc::new(template)
        };
        let stored = |generation, version| Seen::Read(at(generation, version, None));
        templates.keep(&at(2, "5", Some("secret")));
        for version in ["5", "6"] {
            let whole = templates.whole(&stored(2, version)).unwrap();
            assert!(whole.spec.env[0].value.is_some());
            let status = whole.status.as_ref().unwrap();
            assert_eq!(status.revision.as_deref(), Some(version));
        }
        for other in [1, 3] {
            assert!(templates.whole(&stored(other, "7")).is_none());
        }
        templates.forget(&uid);
        assert!(templates.whole(&stored(2, "5")).is_none());
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
        let tried = Tried::api_server(uid.clone());
        let message = "no answer".to_owned();
        let first = memories.retries.conflict(&uid);
        let fault = Fault::Transient { message };
        memories.retries.failed(&tried, "", &fault, now);
        memories.counted.written(&uid, now);
        memories.recorded.add(uid.clone(), "record".to_owned());
        memories.forget(&uid);
        assert!(memories.retries.patience(&tried, "").is_none());
        assert_eq!(memories.retries.conflict(&uid), first);
        let interval = std::time::Duration::from_mins(1);
        assert_eq!(memories.counted.not_before(&uid, now, interval), None);
        assert!(!memories.recorded.has(&uid, "record"));
    }
}
