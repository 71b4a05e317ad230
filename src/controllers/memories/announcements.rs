//! What is to be told of claims once nobody waits for one.
//!
//! Holds: it is bounded; what is too much is dropped, the oldest of the namespace of which the most waits, for nothing is lost that a
//! status does not say; namespaces are told of in turn. Deliberately absent: telling (`controllers::announcing`).

use crate::controllers::held;
use crate::model::Announcement;
use k8s_openapi::api::core::v1::ObjectReference;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A burst of claims is over by then.
const CALM: Duration = Duration::from_secs(1);

/// Most that wait to be told.
const MOST: usize = 4096;

/// Something to be told of an object.
pub type ToTell = (ObjectReference, Vec<Announcement>);

/// What waits to be told.
#[derive(Debug, Default)]
pub struct Announcements {
    waiting: Mutex<ToldLater>,
    more: Notify,
}

/// Who claims without end fills his own namespace's line, and is told of in turn with the others.
#[derive(Debug, Default)]
struct ToldLater {
    lines: BTreeMap<String, VecDeque<(Instant, ToTell)>>,
    /// Namespaces of which something waits, the next one first.
    turns: VecDeque<String>,
    all: usize,
}

impl ToldLater {
    fn push(&mut self, due: Instant, told: ToTell) {
        if self.all >= MOST {
            self.drop_one();
        }
        let namespace = told.0.namespace.clone().unwrap_or_default();
        let line = self.lines.entry(namespace.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(namespace);
        }
        line.push_back((due, told));
        self.all += 1;
    }

    /// The oldest of the longest line.
    fn drop_one(&mut self) {
        let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
        if let Some(namespace) = longest.map(|(namespace, _)| namespace.clone()) {
            self.take(&namespace);
        }
    }

    fn due(&self) -> Option<Instant> {
        let line = self.lines.get(self.turns.front()?)?;
        line.front().map(|(due, _)| *due)
    }

    fn next(&mut self) -> Option<ToTell> {
        let namespace = self.turns.front()?.clone();
        self.turns.rotate_left(1);
        self.take(&namespace)
    }

    /// The first in a namespace's line, which has its turn for as long as something waits in it.
    fn take(&mut self, namespace: &str) -> Option<ToTell> {
        let line = self.lines.get_mut(namespace)?;
        let (_, first) = line.pop_front()?;
        self.all -= 1;
        if line.is_empty() {
            self.lines.remove(namespace);
            self.turns.retain(|one| one != namespace);
        }
        Some(first)
    }
}

impl Announcements {
    /// Something is to be told, later.
    pub fn later(&self, about: ObjectReference, said: Vec<Announcement>) {
        if said.is_empty() {
            return;
        }
        held(&self.waiting).push(Instant::now() + CALM, (about, said));
        self.more.notify_one();
    }

    /// What is to be told next, as soon as it is.
    pub async fn next(&self) -> ToTell {
        loop {
            let due = held(&self.waiting).due();
            match due {
                Some(due) => sleep_until(due).await,
                None => {
                    self.more.notified().await;
                    continue;
                }
            }
            if let Some(next) = held(&self.waiting).next() {
                return next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: usize) -> Vec<Announcement> {
        vec![Announcement {
            warning: false,
            reason: "Bound",
            action: "Bind",
            note: number.to_string(),
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_comes_in_its_order_once_it_is_calm_and_has_a_bound() {
        let (announcements, begun) = (Announcements::default(), Instant::now());
        announcements.later(ObjectReference::default(), Vec::new());
        for number in 0..MOST + 2 {
            announcements.later(ObjectReference::default(), said(number));
        }
        let (_, first) = announcements.next().await;
        assert_eq!(first[0].note, "2");
        assert!(begun.elapsed() >= CALM);
        let (_, second) = announcements.next().await;
        assert_eq!(second[0].note, "3");
    }
    #[tokio::test(start_paused = true)]
    async fn who_has_much_to_be_told_keeps_no_other_from_it() {
        let of = |namespace: &str| ObjectReference {
            namespace: Some(namespace.to_owned()),
            ..ObjectReference::default()
        };
        let announcements = Announcements::default();
        for number in 0..MOST {
            announcements.later(of("much"), said(number));
        }
        announcements.later(of("little"), said(0));
        let mut told = Vec::new();
        for _ in 0..3 {
            let (about, said) = announcements.next().await;
            told.push((about.namespace.unwrap(), said[0].note.clone()));
        }
        let expected = [("much", "1"), ("little", "0"), ("much", "2")];
        assert_eq!(
            told,
            expected.map(|(whose, note)| (whose.to_owned(), note.to_owned()))
        );
    }
}
