//! What a process remembers of a team's keys: what Exa itself does not tell.
//!
//! Holds: lost with the process, nothing breaks: a key is set once more, and an empty listing is doubted once more.

use super::super::taken_back::{ALL, TakenBack};
use crate::model::tool::{Resource, Wish};
use crate::wire::held;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What a wish became.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Became {
    shown: String,
    wished: String,
}

/// What is remembered.
#[derive(Default)]
pub(super) struct KeyMemory {
    /// What keys are shown as since they were set: Exa may show a default where nothing was wished, and knows no fractions
    /// of a cent. Otherwise such a key would look edited for ever.
    became: Mutex<BTreeMap<String, Became>>,
    /// Since when the listing has been empty.
    empty: Mutex<Option<Timestamp>>,
    /// Keys whose deletion was asked for here.
    deleted: TakenBack,
}

impl KeyMemory {
    /// What the wish became for this key.
    pub(super) fn learn(&self, id: &str, shown: String, wish: &Wish) {
        let wished = wish.settings();
        held(&self.became).insert(id.to_owned(), Became { shown, wished });
    }

    /// A key as it is shown, told as what was wished where nobody has changed it since.
    pub(super) fn told(&self, mut seen: Resource) -> Resource {
        if let Some(became) = held(&self.became).get(&seen.id)
            && seen.settings.as_ref() == Some(&became.shown)
        {
            seen.settings = Some(became.wished.clone());
        }
        seen
    }

    /// Whether a listing was empty.
    pub(super) fn listed(&self, empty: bool, now: Timestamp) {
        let mut since = held(&self.empty);
        *since = empty.then(|| since.unwrap_or(now));
    }

    /// From here on an empty listing is what is to be expected.
    pub(super) fn deleting(&self, id: &str) {
        self.deleted.note(id, ALL);
    }

    /// It is gone.
    pub(super) fn forget(&self, id: &str) {
        held(&self.became).remove(id);
    }

    /// Whether the listing is empty, has not been for long, and nobody here deleted this key.
    pub(super) fn doubts(&self, id: &str, now: Timestamp, long: SignedDuration) -> bool {
        let young = |since| now.duration_since(since) < long;
        !self.deleted.has(id, ALL) && held(&self.empty).is_some_and(young)
    }
}
