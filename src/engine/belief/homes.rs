//! What a listing of Railway's projects is worth, and whom it concerns.
//!
//! Holds: where a listing lacks what ledgers know it is to be held against the provider's own count before it is taken
//! in; an instance is concerned by what changed of its own project, of one that bears its name, and once by each absence.
//! Deliberately absent: the count (`railway`).

use super::{Newly, must_show};
use crate::api::condition::{find, kind, reason};
use crate::api::{AgentInstance, NamespacedName, Slot};
use crate::engine::breaker::Vanished;
use crate::engine::world::Limits;
use crate::model::{Home, InstallationId, Listing, Marker};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Projects that ledgers know, with their instances, of which an adopted project that is shared has several.
pub type RecordedHomes = HashMap<String, Vec<NamespacedName>>;

/// The projects that a listing of the account begun at `begun` must show.
pub fn recorded<'a>(
    instances: impl IntoIterator<Item = &'a AgentInstance>,
    account: &str,
    begun: Timestamp,
    limits: Limits,
) -> RecordedHomes {
    let mut recorded = RecordedHomes::new();
    for instance in instances {
        let entries = instance.status.iter().flat_map(|status| &status.external);
        let shown = entries
            .filter(|entry| entry.slot == Slot::Project && entry.account == account)
            .filter(|entry| must_show(entry, begun, limits));
        for id in shown.filter_map(|entry| entry.id.clone()) {
            let owner = NamespacedName::of(instance);
            recorded.entry(id).or_default().push(owner);
        }
    }
    recorded
}

/// What is recorded and not listed.
pub fn missing(recorded: &RecordedHomes, listing: &Listing) -> BTreeSet<String> {
    let listed: HashSet<&String> = listing.homes.iter().map(|home| &home.id).collect();
    let missing = recorded.keys().filter(|id| !listed.contains(id));
    missing.cloned().collect()
}

/// Projects whose instances say that they are gone, and wait for a person.
pub fn told_gone<'a>(instances: impl IntoIterator<Item = &'a AgentInstance>) -> HashSet<String> {
    let status = instances.into_iter().filter_map(|one| one.status.as_ref());
    let told = status.filter(|status| {
        find(&status.conditions, kind::PROJECT_READY)
            .is_some_and(|said| said.reason == reason::DELETED_EXTERNALLY)
    });
    let entries = told.flat_map(|status| &status.external);
    let projects = entries.filter(|entry| entry.slot == Slot::Project);
    projects.filter_map(|entry| entry.id.clone()).collect()
}

/// What the last believed listing of an account showed.
#[derive(Debug, Default)]
pub struct BelievedHomes {
    begun: Option<Timestamp>,
    homes: HashMap<String, Home>,
    /// Of those, what was seen to be gone since: the next object of that name has nothing to do with it.
    gone: HashSet<String>,
    /// Projects that ledgers know, and that the listing lacks.
    missed: Newly,
    /// Projects of ours that no ledger knows.
    strays: Newly,
}

/// Whom a listing concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HomeNews {
    /// Instances of which something is shown that was not before, or not any more.
    pub wake: BTreeSet<NamespacedName>,
    /// Whether it is the first one.
    pub first: bool,
    /// Whether it shows more or fewer projects of ours than the one before.
    pub count: bool,
    /// Whether there is room again, where there was none.
    pub room: bool,
}

impl BelievedHomes {
    /// When the listing began; `None`: none was believed yet.
    pub fn begun(&self) -> Option<Timestamp> {
        self.begun
    }

    /// Everything in it.
    pub fn homes(&self) -> impl Iterator<Item = &Home> {
        self.homes.values()
    }

    /// What it showed of one instance: its recorded project, what bears its identity, and what bears its name.
    pub fn of(&self, instance: &AgentInstance, project: Option<&str>) -> Vec<Home> {
        let (identity, namespace, name) = (
            instance.identity(),
            instance.namespace().unwrap_or_default(),
            instance.name_any(),
        );
        let bears = |marker: &Marker| {
            marker.uid == identity || marker.namespace == namespace && marker.name == name
        };
        let own = |home: &&Home| {
            Some(home.id.as_str()) == project || home.marker.as_ref().is_some_and(bears)
        };
        let there = self.homes().filter(|home| !self.gone.contains(&home.id));
        there.filter(own).cloned().collect()
    }

    /// A project that its instance has seen to be gone since.
    pub fn gone(&mut self, project: &str) {
        self.gone.insert(project.to_owned());
    }

    /// Whether so much of what ledgers know was there at the last believed listing, and is not in this one, that this is more
    /// likely an error. `told`: what is known to be gone.
    pub fn vanished(
        &self,
        listing: &Listing,
        recorded: &RecordedHomes,
        told: &HashSet<String>,
    ) -> Option<Vanished> {
        let there = listing.homes.iter().filter(|home| !home.deleted);
        let there: HashSet<&String> = there.map(|home| &home.id).collect();
        let known = |id: &String| {
            let deleted = self.homes.get(id).is_some_and(|home| home.deleted);
            deleted || self.missed.has(id) || self.gone.contains(id) || told.contains(id)
        };
        let gone = recorded
            .keys()
            .filter(|id| !there.contains(id) && !known(id));
        Vanished::of(gone.count(), recorded.len())
    }

    /// How many of the projects are ours.
    pub fn ours(&self, installation: &InstallationId) -> usize {
        let ours = self.homes().filter(|home| is_ours(home, installation));
        ours.count()
    }

    /// Takes in a listing that is believed. `most`: how many projects of ours there may be.
    pub fn take(
        &mut self,
        listing: Listing,
        recorded: &RecordedHomes,
        installation: &InstallationId,
        most: usize,
    ) -> HomeNews {
        let missing = missing(recorded, &listing);
        let (first, before) = (self.begun.is_none(), self.ours(installation));
        let homes = listing.homes.into_iter();
        let listed: HashMap<String, Home> = homes.map(|home| (home.id.clone(), home)).collect();
        let mut wake = self.changed(&listed, recorded, installation);
        // What is gone may have held one of its name.
        let gone = self.homes().filter(|home| !listed.contains_key(&home.id));
        wake.extend(gone.filter_map(|home| named(home, installation)));
        // One that was missing before has been told; it waits for a person.
        let newly = self.missed.news(missing);
        wake.extend(newly.iter().flat_map(|id| &recorded[id]).cloned());
        // A ledger that was lost wakes nobody by itself: nothing that people write has changed.
        let strays = listed.values();
        let strays = strays.filter(|home| !recorded.contains_key(&home.id));
        let strays = strays.filter(|home| is_ours(home, installation));
        let strays = self.strays.news(strays.map(|home| home.id.clone()));
        wake.extend(
            strays
                .iter()
                .filter_map(|id| named(&listed[id], installation)),
        );
        self.begun = Some(listing.begun);
        self.gone.retain(|id| listed.contains_key(id));
        self.homes = listed;
        let after = self.ours(installation);
        HomeNews {
            wake,
            first,
            count: first || before != after,
            room: before >= most && after < before,
        }
    }

    /// Whose projects are shown otherwise than before.
    fn changed(
        &self,
        listed: &HashMap<String, Home>,
        recorded: &RecordedHomes,
        installation: &InstallationId,
    ) -> BTreeSet<NamespacedName> {
        let same = |home: &Home| {
            self.homes.get(&home.id).is_some_and(|old| {
                let old = old.clone();
                let begun = home.begun;
                Home { begun, ..old } == *home
            })
        };
        let mut wake = BTreeSet::new();
        for (id, home) in listed.iter().filter(|(_, home)| !same(home)) {
            match recorded.get(id) {
                Some(owners) => wake.extend(owners.iter().cloned()),
                None => wake.extend(named(home, installation)),
            }
        }
        wake
    }
}

/// Whether a project bears this installation's marker.
fn is_ours(home: &Home, installation: &InstallationId) -> bool {
    let marker = home.marker.as_ref();
    marker.is_some_and(|marker| &marker.installation == installation)
}

/// The instance that a project of ours names.
fn named(home: &Home, installation: &InstallationId) -> Option<NamespacedName> {
    let marker = home.marker.as_ref()?;
    is_ours(home, installation).then(|| marker.object())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SlotState;
    use crate::engine::belief::recorded as recorded_tools;
    use jiff::SignedDuration;
    use serde_json::json;

    const LIMITS: Limits = Limits {
        request: SignedDuration::from_secs(20),
        settle: SignedDuration::from_secs(10),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn us() -> InstallationId {
        InstallationId("us".into())
    }

    /// An instance whose ledger has a project and a key of the same age.
    fn instance(name: &str, project: &str, state: SlotState) -> AgentInstance {
        let spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": "main"}});
        let mut made = AgentInstance::new(name, serde_json::from_value(spec).unwrap());
        made.metadata.namespace = Some("team".into());
        made.metadata.uid = Some(format!("uid-of-{name}"));
        let entry = |slot: &str, provider: &str, id: &str| {
            json!({"origin": "Made", "slot": slot, "provider": provider, "account": "main", "state": state, "key": "k",
                "id": id, "attempt": 1, "startedAt": "1970-01-01T00:00:00.000000Z"})
        };
        let external = json!({"external": [
            entry("project", "railway", project),
            entry("tool/llm", "openrouter", "key-1"),
        ]});
        made.status = Some(serde_json::from_value(external).unwrap());
        made
    }

    /// A project; with the marker of an instance, where `whose` names one.
    fn home(id: &str, whose: Option<(&str, &str)>) -> Home {
        let marker = whose.map(|(installation, name)| Marker {
            installation: InstallationId(installation.into()),
            namespace: "team".into(),
            name: name.into(),
            uid: format!("uid-of-{name}"),
            slot: Slot::Project,
        });
        Home::bare(id, "name", marker, at(0))
    }

    fn listing(second: i64, homes: &[Home]) -> Listing {
        let begun = at(second);
        let homes = homes.iter().cloned();
        let homes = homes.map(|home| Home { begun, ..home }).collect();
        Listing { begun, homes }
    }

    fn names(news: &HomeNews) -> Vec<&str> {
        news.wake.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn a_project_and_a_key_of_one_age_must_be_shown_by_the_same_listing() {
        for (state, begun, expected) in [
            (SlotState::Exists, 29, false),
            (SlotState::Exists, 30, true),
            (SlotState::Creating, 99, false),
            (SlotState::Deleting, 99, false),
        ] {
            let ada = instance("ada", "p-1", state);
            let projects = recorded([&ada], "main", at(begun), LIMITS);
            let tools = recorded_tools(&ada, "main", at(begun), LIMITS);
            let found = (!projects.is_empty(), tools[0].expected);
            assert_eq!(found, (expected, expected), "{state:?} {begun}");
        }
        let ada = instance("ada", "p-1", SlotState::Exists);
        assert!(recorded([&ada], "other", at(99), LIMITS).is_empty());
    }

    #[test]
    fn what_is_recorded_and_not_listed_is_missing() {
        let all = [
            instance("ada", "p-1", SlotState::Exists),
            instance("bob", "p-1", SlotState::Exists),
            instance("cyd", "p-2", SlotState::Exists),
        ];
        let known = recorded(&all, "main", at(99), LIMITS);
        assert_eq!(known["p-1"].len(), 2);
        let lacking = missing(&known, &listing(99, &[home("p-2", None)]));
        assert_eq!(lacking, BTreeSet::from(["p-1".to_owned()]));
    }

    #[test]
    fn an_instance_is_woken_by_what_changed_of_its_own_and_once_by_an_absence() {
        let all = [
            instance("ada", "p-1", SlotState::Exists),
            instance("bob", "p-2", SlotState::Exists),
        ];
        let known = recorded(&all, "main", at(99), LIMITS);
        let mut shown = BelievedHomes::default();
        let mut read = |second, homes: &[Home]| {
            let news = shown.take(listing(second, homes), &known, &us(), 10);
            (
                names(&news)
                    .into_iter()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
                    .join(" "),
                news.first,
                news.count,
            )
        };
        let told = |names: &str, first, count| (names.to_owned(), first, count);
        let (ada, bob) = (home("p-1", Some(("us", "ada"))), home("p-2", None));
        let both = [ada.clone(), bob.clone()];
        assert_eq!(read(100, &both), told("ada bob", true, true));
        assert_eq!(read(101, &both), told("", false, false));
        let mut deleted = bob.clone();
        deleted.deleted = true;
        assert_eq!(
            read(102, &[ada.clone(), deleted]),
            told("bob", false, false)
        );
        assert_eq!(
            read(103, std::slice::from_ref(&bob)),
            told("ada bob", false, true)
        );
        // Told once.
        assert_eq!(
            read(104, std::slice::from_ref(&bob)),
            told("", false, false)
        );
        // One of ours that no ledger knows, and somebody else's.
        let stray = home("p-3", Some(("us", "cyd")));
        let foreign = home("p-4", Some(("them", "dan")));
        assert_eq!(
            read(105, &[bob.clone(), stray, foreign]),
            told("cyd", false, true)
        );
        assert_eq!(read(106, &[bob]), told("cyd", false, true));
    }

    #[test]
    fn many_that_vanish_at_once_are_an_error_and_what_was_told_is_not_among_them() {
        let all: Vec<AgentInstance> = (0..20)
            .map(|n| instance(&format!("a{n}"), &format!("p-{n}"), SlotState::Exists))
            .collect();
        let known = recorded(&all, "main", at(99), LIMITS);
        let shown = |gone: usize| -> Vec<Home> {
            let there = (gone..20).map(|n| home(&format!("p-{n}"), None));
            there.collect()
        };
        let none = HashSet::new();
        let vanished = |believed: &BelievedHomes, gone: usize, told: &HashSet<String>| {
            let found = believed.vanished(&listing(101, &shown(gone)), &known, told);
            found.map(|found| (found.gone, found.known))
        };
        // Whoever has just started knows what ledgers know.
        let mut believed = BelievedHomes::default();
        assert_eq!(vanished(&believed, 5, &none), None);
        assert_eq!(vanished(&believed, 6, &none), Some((6, 20)));
        let told: HashSet<String> = ["p-0".to_owned()].into();
        assert_eq!(vanished(&believed, 6, &told), None);
        // Step by step they may go.
        believed.take(listing(100, &shown(5)), &known, &us(), 99);
        assert_eq!(vanished(&believed, 10, &none), None);
        assert_eq!(vanished(&believed, 11, &none), Some((6, 20)));
        // What is shown as deleted is gone as well.
        let mut deleted = shown(5);
        for home in &mut deleted[..6] {
            home.deleted = true;
        }
        let found = believed.vanished(&listing(101, &deleted), &known, &none);
        assert_eq!(found, Some(Vanished { gone: 6, known: 20 }));
    }

    #[test]
    fn room_is_told_where_there_was_none() {
        let of = |names: &[&str]| -> Vec<Home> {
            let homes = names.iter().map(|name| home(name, Some(("us", name))));
            homes.collect()
        };
        let mut shown = BelievedHomes::default();
        let mut room = |names: &[&str]| {
            let listing = listing(1, &of(names));
            shown.take(listing, &RecordedHomes::new(), &us(), 2).room
        };
        let seen = [
            room(&["a", "b"]),
            room(&["a"]),
            room(&[]),
            room(&["a", "b", "c"]),
            room(&["a", "b"]),
        ];
        // From three to two there is no place yet; who waits is told that it moved.
        assert_eq!(seen, [false, true, false, false, true]);
    }

    #[test]
    fn an_instance_sees_its_project_its_identity_and_its_name_but_not_what_it_saw_gone() {
        let ada = instance("ada", "p-9", SlotState::Exists);
        let mut shown = BelievedHomes::default();
        let mut restored = home("p-2", Some(("us", "ada")));
        restored.marker.as_mut().unwrap().uid = "another".into();
        let mut renamed = home("p-3", Some(("us", "bob")));
        renamed.marker.as_mut().unwrap().uid = "uid-of-ada".into();
        let homes = [
            home("p-9", None),
            restored,
            renamed,
            home("p-4", Some(("us", "bob"))),
        ];
        shown.take(listing(1, &homes), &RecordedHomes::new(), &us(), 10);
        let seen = |shown: &BelievedHomes| -> BTreeSet<String> {
            let seen = shown.of(&ada, Some("p-9")).into_iter();
            seen.map(|home| home.id).collect()
        };
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(seen(&shown), set(&["p-9", "p-2", "p-3"]));
        shown.gone("p-9");
        assert_eq!(seen(&shown), set(&["p-2", "p-3"]));
    }
}
