//! The objects of one kind as last watched, looked up by name and by what they refer to.
//!
//! Holds: an object is kept without values of env and without metadata that nobody reads, because its author makes both as
//! large as he likes; another object of the same name is another object; what vanished while a watch was interrupted is told
//! as gone, too; who is found under a term is never searched for among all. Deliberately absent: what kinds there are (`stores`).

use super::queue::{Queue, Rank};
use super::turned::{Ref, Turned, named};
use crate::api::acknowledge::ACKNOWLEDGE_ANNOTATION;
use crate::api::{
    ABANDON_ANNOTATION, FINALIZER, IDENTITY_ANNOTATION, IN_USE_FINALIZER, PAUSED_ANNOTATION, Seen,
    Unreadable,
};
use kube::Resource;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::watch;

/// A kind that is kept in a store.
pub trait Stored:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// What objects of the kind are looked up by.
    type Term: Clone + Debug + Eq + Hash + Send + Sync;
    /// All that an object is found under.
    fn terms(object: &Seen<Self>) -> Vec<Self::Term>;
    /// Takes out what nobody reads from a store.
    fn strip(&mut self);
    /// The generation that was looked at last.
    fn observed(&self) -> Option<i64>;
}

/// The objects of a kind, those that cannot be read among them, and the line of those to be reconciled.
pub struct Store<K: Stored> {
    objects: RwLock<Objects<K>>,
    filled: watch::Sender<bool>,
    /// Who is to be reconciled.
    pub queue: Queue<Ref<K>>,
}

struct Objects<K: Stored> {
    all: HashMap<Ref<K>, Seen<K>>,
    by: HashMap<K::Term, HashSet<Ref<K>>>,
    unreadable: HashSet<Ref<K>>,
    /// Gone while somebody works on what is woken: their memories are still to be forgotten. Of one name there may be several.
    gone: HashMap<Ref<K>, Vec<Seen<K>>>,
    /// A list that is being read.
    listed: HashMap<Ref<K>, Seen<K>>,
}

impl<K: Stored> Default for Store<K> {
    fn default() -> Store<K> {
        let objects = Objects {
            all: HashMap::new(),
            by: HashMap::new(),
            unreadable: HashSet::new(),
            gone: HashMap::new(),
            listed: HashMap::new(),
        };
        Store {
            objects: RwLock::new(objects),
            filled: watch::Sender::new(false),
            queue: Queue::default(),
        }
    }
}

impl<K: Stored> Store<K> {
    fn read(&self) -> RwLockReadGuard<'_, Objects<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects<K>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// One by its name.
    pub fn get(&self, named: &Ref<K>) -> Option<Seen<K>> {
        self.read().all.get(named).cloned()
    }

    /// All, read or not. Never on a path that is gone for each object.
    pub fn all(&self) -> Vec<Seen<K>> {
        self.read().all.values().cloned().collect()
    }

    /// All that could be read. Never on a path that is gone for each object.
    pub fn state(&self) -> Vec<Arc<K>> {
        let objects = self.read();
        let all = objects.all.values();
        all.filter_map(|one| one.read().cloned()).collect()
    }

    /// Those that could be read and are found under a term.
    pub fn by(&self, term: &K::Term) -> Vec<Arc<K>> {
        let objects = self.read();
        let found = objects.by.get(term).into_iter().flatten();
        let found = found.filter_map(|named| objects.all.get(named)?.read().cloned());
        found.collect()
    }

    /// The names of those that are found under a term, read or not.
    pub fn names_by(&self, term: &K::Term) -> Vec<Ref<K>> {
        let objects = self.read();
        objects
            .by
            .get(term)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Those that could not be read. What they mention is theirs: none of them may count as absent.
    pub fn unreadable(&self) -> Vec<Arc<Unreadable>> {
        let objects = self.read();
        let names = objects.unreadable.iter();
        names
            .filter_map(|named| objects.all.get(named)?.unreadable().cloned())
            .collect()
    }

    /// Begins to take in who is woken, beginning with everybody.
    pub fn open(&self) {
        self.queue.open();
        let everybody: Vec<Ref<K>> = self.read().all.keys().cloned().collect();
        for named in everybody {
            self.queue
                .add(named.clone(), self.rank(&named), Duration::ZERO);
        }
    }

    /// How urgently one of many comes: whoever has changed one since it was looked at waits for it, also where that was
    /// before this process led, or before it could do anything.
    pub fn rank(&self, named: &Ref<K>) -> Rank {
        let objects = self.read();
        let object = objects.all.get(named).and_then(Seen::read);
        let changed = object.is_some_and(|one| one.meta().generation != one.observed());
        if changed { Rank::Person } else { Rank::Fleet }
    }

    /// The objects of that name that are gone, each once.
    pub fn take_gone(&self, named: &Ref<K>) -> Vec<Seen<K>> {
        self.write().gone.remove(named).unwrap_or_default()
    }

    /// Takes in what the watch tells. Answers what has changed by it.
    pub fn apply(&self, event: watcher::Event<Seen<K>>) -> Vec<Turned<K>> {
        let keeps_gone = self.queue.is_open();
        let mut objects = self.write();
        let live = matches!(&event, watcher::Event::Apply(_) | watcher::Event::Delete(_));
        let mut turned = match event {
            watcher::Event::Apply(object) => objects.put(stripped(object)),
            watcher::Event::Delete(object) => objects.remove(&named(&object)).into_iter().collect(),
            watcher::Event::Init => {
                objects.listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                let object = stripped(object);
                objects.listed.insert(named(&object), object);
                Vec::new()
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut objects.listed);
                let lost = objects.all.keys().filter(|one| !listed.contains_key(one));
                let lost: Vec<Ref<K>> = lost.cloned().collect();
                let mut turned: Vec<Turned<K>> = Vec::new();
                turned.extend(lost.iter().filter_map(|one| objects.remove(one)));
                turned.extend(listed.into_values().flat_map(|one| objects.put(one)));
                self.filled.send_replace(true);
                turned
            }
        };
        for one in &mut turned {
            one.live = live;
        }
        if keeps_gone {
            for one in turned.iter().filter(|one| one.after.is_none()) {
                if let Some(last) = &one.before {
                    let gone = objects.gone.entry(named(last)).or_default();
                    gone.push(last.clone());
                }
            }
        }
        turned
    }

    /// How many could not be read; `None` before the store was read once.
    pub fn unread(&self) -> Option<usize> {
        let filled = *self.filled.borrow();
        filled.then(|| self.read().unreadable.len())
    }

    /// Comes back when the store was read once.
    pub async fn filled(&self) {
        // Its other end is here.
        let _ = self.filled.subscribe().wait_for(|filled| *filled).await;
    }
}

/// Annotations that are read from a store.
const READ: [&str; 4] = [
    ABANDON_ANNOTATION,
    ACKNOWLEDGE_ANNOTATION,
    IDENTITY_ANNOTATION,
    PAUSED_ANNOTATION,
];

/// Most characters of one: none that means something is longer.
const LONGEST: usize = 512;

/// Of annotations those that are read, and a hash, which tells that any of them has changed.
fn short(mut all: BTreeMap<String, String>) -> BTreeMap<String, String> {
    all.remove("kubectl.kubernetes.io/last-applied-configuration");
    let mut hash = DefaultHasher::new();
    all.hash(&mut hash);
    all.retain(|name, _| READ.contains(&name.as_str()));
    for text in all.values_mut() {
        *text = text.chars().take(LONGEST).collect();
    }
    all.insert("hash".to_owned(), format!("{:x}", hash.finish()));
    all
}

fn stripped<K: Stored>(mut object: Seen<K>) -> Seen<K> {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    (meta.labels, meta.owner_references) = (None, None);
    if let Some(finalizers) = &mut meta.finalizers {
        finalizers.retain(|one| [FINALIZER, IN_USE_FINALIZER].contains(&one.as_str()));
    }
    meta.annotations = meta.annotations.take().map(short);
    match &mut object {
        Seen::Read(object) => Arc::make_mut(object).strip(),
        Seen::Unreadable(object) => Arc::make_mut(object).strip(),
    }
    object
}

impl<K: Stored> Objects<K> {
    /// Another object of its name is another object.
    fn put(&mut self, object: Seen<K>) -> Vec<Turned<K>> {
        let named = named(&object);
        let uid = |one: &Seen<K>| one.meta().uid.clone();
        let other = self
            .all
            .get(&named)
            .is_some_and(|old| uid(old) != uid(&object));
        let mut turned: Vec<Turned<K>> = Vec::new();
        if other {
            turned.extend(self.remove(&named));
        }
        let before = self.all.remove(&named);
        if let Some(before) = &before {
            self.unlist(&named, before);
        }
        for term in K::terms(&object) {
            self.by.entry(term).or_default().insert(named.clone());
        }
        if object.unreadable().is_some() {
            self.unreadable.insert(named.clone());
        }
        self.all.insert(named, object.clone());
        turned.push(Turned {
            before,
            after: Some(object),
            live: false,
        });
        turned
    }

    fn remove(&mut self, named: &Ref<K>) -> Option<Turned<K>> {
        let before = self.all.remove(named)?;
        self.unlist(named, &before);
        Some(Turned {
            before: Some(before),
            after: None,
            live: false,
        })
    }

    fn unlist(&mut self, named: &Ref<K>, object: &Seen<K>) {
        for term in K::terms(object) {
            if let Some(found) = self.by.get_mut(&term) {
                found.remove(named);
                if found.is_empty() {
                    self.by.remove(&term);
                }
            }
        }
        self.unreadable.remove(named);
    }
}
