//! What referenced Secrets and ConfigMaps said when they were last read, and the labels of namespaces: an agent at rest costs
//! no request for them.
//!
//! Holds: what has another version by now is forgotten within an interval (`sources`); the values are bounded together, so that
//! no tenant's Secrets fill the process: what does not fit is read by every pass. Deliberately absent: any decision to
//! change something, which is taken from a fresh read.

use crate::cluster::values::Found;
use crate::controllers::held;
use crate::model::values::{References, Source, Values};
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

/// Most bytes of values that are remembered.
const ROOM: usize = 32 * 1024 * 1024;

/// A referenced object, by its namespace.
pub type SourcePlace = (String, Source);

/// Referenced objects as they were last read.
#[derive(Debug, Default)]
pub struct Sources(Mutex<RememberedSources>);

#[derive(Debug, Default)]
struct RememberedSources {
    known: HashMap<SourcePlace, Found>,
    bytes: usize,
}

impl RememberedSources {
    fn take(&mut self, place: &SourcePlace) -> Option<Found> {
        let found = self.known.remove(place)?;
        self.bytes = self.bytes.saturating_sub(size(&found));
        Some(found)
    }

    fn put(&mut self, place: SourcePlace, found: Found) {
        let size = size(&found);
        if self.bytes + size <= ROOM {
            self.bytes += size;
            self.known.insert(place, found);
        }
    }
}

fn size(found: &Found) -> usize {
    let data = found.data.iter();
    data.map(|(key, value)| key.len() + value.expose_secret().len())
        .sum()
}

impl Sources {
    /// All that specs refer to, where all of it is remembered.
    pub fn values(&self, namespace: &str, specs: &[References]) -> Option<Values> {
        let (kept, mut values) = (held(&self.0), Values::new());
        for (source, keys) in specs.iter().flatten() {
            let found = kept.known.get(&(namespace.to_owned(), source.clone()))?;
            let of_source = values.entry(source.clone()).or_default();
            for key in keys {
                of_source.insert(key.clone(), found.data.get(key)?.clone());
            }
        }
        Some(values)
    }

    /// These were read.
    pub fn keep(&self, namespace: &str, found: &BTreeMap<Source, Found>) {
        let mut kept = held(&self.0);
        for (source, one) in found {
            let place = (namespace.to_owned(), source.clone());
            let mut one = one.clone();
            // Who refers to other keys of it has read those.
            if let Some(before) = kept.take(&place).filter(|old| old.version == one.version) {
                one.data.extend(before.data);
            }
            kept.put(place, one);
        }
    }

    /// Which version of an object is remembered.
    pub fn version(&self, place: &SourcePlace) -> Option<String> {
        let kept = held(&self.0);
        kept.known.get(place).map(|found| found.version.clone())
    }

    /// An object has this version now, or is gone. Answers whether another one was remembered, which a pass may have taken for
    /// what stands there: a read that began before the change may end after it was noticed.
    pub fn seen(&self, place: &SourcePlace, version: Option<&str>) -> bool {
        let mut kept = held(&self.0);
        let old = kept.known.get(place).map(|found| found.version.as_str());
        let other = old.is_some() && old != version;
        if other {
            kept.take(place);
        }
        other
    }

    /// Forgets what nobody refers to any more.
    pub fn retain(&self, wanted: impl Fn(&SourcePlace) -> bool) {
        let mut kept = held(&self.0);
        let gone: Vec<SourcePlace> = kept
            .known
            .keys()
            .filter(|one| !wanted(one))
            .cloned()
            .collect();
        for place in gone {
            kept.take(&place);
        }
    }
}

/// The labels of a namespace.
pub type Labels = BTreeMap<String, String>;

/// Labels of namespaces, as they were last read where an account's selector asked for them.
#[derive(Debug, Default)]
pub struct Namespaces(Mutex<HashMap<String, Labels>>);

impl Namespaces {
    /// Of one namespace.
    pub fn labels(&self, namespace: &str) -> Option<Labels> {
        held(&self.0).get(namespace).cloned()
    }

    /// All that are remembered.
    pub fn names(&self) -> Vec<String> {
        held(&self.0).keys().cloned().collect()
    }

    /// It was read. Answers whether that is news.
    pub fn keep(&self, namespace: &str, labels: Labels) -> bool {
        let before = held(&self.0).insert(namespace.to_owned(), labels.clone());
        before.is_some_and(|before| before != labels)
    }

    /// Nobody asks for it any more.
    pub fn forget(&self, namespace: &str) {
        held(&self.0).remove(namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn found(version: &str, data: &[(&str, &str)]) -> Found {
        let data = data.iter();
        let data = data.map(|(key, value)| ((*key).to_owned(), SecretString::from(*value)));
        Found {
            version: version.to_owned(),
            data: data.collect(),
        }
    }

    fn source() -> Source {
        Source::Secret("s".to_owned())
    }

    fn referred(keys: &[&str]) -> References {
        let keys = keys.iter().map(|key| (*key).to_owned());
        References::from([(source(), keys.collect())])
    }

    fn read(sources: &Sources, keys: &[&str]) -> Option<Vec<String>> {
        let values = sources.values("n", &[referred(keys)])?;
        let data = values[&source()].values();
        Some(data.map(|value| value.expose_secret().to_owned()).collect())
    }

    #[test]
    fn what_is_remembered_is_of_one_version_and_only_what_was_read() {
        let sources = Sources::default();
        let keep = |found| sources.keep("n", &BTreeMap::from([(source(), found)]));
        keep(found("1", &[("a", "one")]));
        assert_eq!(read(&sources, &["a"]), Some(vec!["one".to_owned()]));
        assert_eq!(read(&sources, &["a", "b"]), None);
        assert!(sources.values("other", &[referred(&["a"])]).is_none());
        keep(found("1", &[("b", "two")]));
        let both = Some(vec!["one".to_owned(), "two".to_owned()]);
        assert_eq!(read(&sources, &["a", "b"]), both);
        keep(found("2", &[("b", "three")]));
        assert_eq!(read(&sources, &["a"]), None);
        let place = ("n".to_owned(), source());
        assert!(!sources.seen(&place, Some("2")));
        assert_eq!(read(&sources, &["b"]), Some(vec!["three".to_owned()]));
        assert!(sources.seen(&place, Some("3")));
        assert_eq!(read(&sources, &["b"]), None);
        assert!(!sources.seen(&place, Some("4")));
        // A read that began before the change, and ended after it was noticed.
        keep(found("2", &[("b", "three")]));
        assert!(sources.seen(&place, Some("4")));
        keep(found("4", &[("b", "five")]));
        assert!(sources.seen(&place, None));
    }

    #[test]
    fn what_does_not_fit_is_not_remembered_and_what_nobody_refers_to_makes_room() {
        let sources = Sources::default();
        let large = "x".repeat(ROOM / 2);
        let keep = |namespace: &str| {
            let found = found("1", &[("a", &large)]);
            sources.keep(namespace, &BTreeMap::from([(source(), found)]));
        };
        keep("first");
        keep("second");
        let known = |namespace: &str| sources.values(namespace, &[referred(&["a"])]).is_some();
        assert!(known("first") && !known("second"));
        sources.retain(|(namespace, _)| namespace != "first");
        keep("second");
        assert!(!known("first") && known("second"));
    }
}
