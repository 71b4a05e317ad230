//! Events: what people should hear of once, as `kubectl describe` and `kubectl get events` show it.
//!
//! What holds: each different sentence is an event of its own; a sentence that is said again of the same object within
//! [`REMEMBERED`] counts up the event that it has. Best effort: a pass never fails for one. kube's own `Recorder` is
//! deliberately not used: it folds by reason and action, and shows the first of several sentences in place of them all.

use super::call::{ClusterError, Written, call};
use crate::model::Announcement;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Under which name the events come.
const CONTROLLER: &str = "yardmaster";

/// How long after it was last said a sentence is known.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(6);

/// Most sentences that are known at once.
const MOST: usize = 4096;

/// Longest note that the API server takes, in bytes.
const NOTE: usize = 1024;

/// Publishes announcements under the controller's name.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
    said: Arc<Mutex<Said>>,
}

impl Events {
    /// One for the whole process: counting repeats needs their memory in one place.
    pub fn new(client: Client, instance: Option<String>) -> Events {
        Events {
            client,
            instance: cut(instance.as_deref().unwrap_or(CONTROLLER), 128),
            said: Arc::default(),
        }
    }

    /// Tells people about an object.
    pub async fn publish(&self, about: &ObjectReference, said: &[Announcement]) {
        for announcement in said {
            // A namespace that is being deleted takes no events; nothing is lost that status does not say.
            if let Err(error) = self.tell(about, announcement).await {
                tracing::debug!(%error, reason = announcement.reason, "event not published");
            }
        }
    }

    async fn tell(&self, about: &ObjectReference, said: &Announcement) -> Written<()> {
        let now = Timestamp::now();
        let api = self.of(about);
        let repeat = self.memory(|memory| memory.again(about, said, now));
        if let Some((name, count)) = repeat {
            let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(now)}});
            let (params, series) = (PatchParams::default(), Patch::Merge(series));
            let counted = api.patch(&name, &params, &series);
            match call("counting an event up", counted).await {
                // Events do not live for ever.
                Err(ClusterError::Gone { .. }) => {}
                counted => return counted.map(|_| ()),
            }
        }
        let event = event(&self.instance, about, said, now);
        let params = PostParams::default();
        let made = call("making an event", api.create(&params, &event)).await?;
        let name = made.metadata.name.unwrap_or_default();
        self.memory(|memory| memory.first(about, said, name, now));
        Ok(())
    }

    /// Where events about an object go.
    fn of(&self, about: &ObjectReference) -> Api<Event> {
        let namespace = about.namespace.as_deref().unwrap_or("default");
        Api::namespaced(self.client.clone(), namespace)
    }

    fn memory<T>(&self, with: impl FnOnce(&mut Said) -> T) -> T {
        with(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn event(instance: &str, about: &ObjectReference, said: &Announcement, now: Timestamp) -> Event {
    let of = cut(about.name.as_deref().unwrap_or(CONTROLLER), 200);
    Event {
        metadata: ObjectMeta {
            namespace: about.namespace.clone(),
            name: Some(format!("{of}.{:x}", now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        type_: Some(if said.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(said.reason.to_owned()),
        action: Some(said.action.to_owned()),
        note: Some(cut(&said.note, NOTE)),
        regarding: Some(about.clone()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

/// At most so many bytes of a text.
fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

/// What was said, by whom it was said of and its words.
#[derive(Debug, Default)]
struct Said {
    sentences: HashMap<u64, Sentence>,
}

#[derive(Debug)]
struct Sentence {
    event: String,
    count: i32,
    last: Timestamp,
}

impl Said {
    /// The event that says so already, and how often it has been said now.
    fn again(
        &mut self,
        about: &ObjectReference,
        said: &Announcement,
        now: Timestamp,
    ) -> Option<(String, i32)> {
        self.sentences
            .retain(|_, sentence| sentence.last + REMEMBERED > now);
        let sentence = self.sentences.get_mut(&words(about, said))?;
        sentence.count = sentence.count.saturating_add(1);
        sentence.last = now;
        Some((sentence.event.clone(), sentence.count))
    }

    /// An event was made for it.
    fn first(
        &mut self,
        about: &ObjectReference,
        said: &Announcement,
        event: String,
        now: Timestamp,
    ) {
        if self.sentences.len() >= MOST {
            let oldest = self.sentences.iter().min_by_key(|(_, old)| old.last);
            if let Some(oldest) = oldest.map(|(words, _)| *words) {
                self.sentences.remove(&oldest);
            }
        }
        let sentence = Sentence {
            event,
            count: 1,
            last: now,
        };
        self.sentences.insert(words(about, said), sentence);
    }
}

/// What makes two events one.
fn words(about: &ObjectReference, said: &Announcement) -> u64 {
    let mut hash = DefaultHasher::new();
    (&about.kind, &about.namespace, &about.name, &about.uid).hash(&mut hash);
    (said.warning, said.reason, said.action, &said.note).hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn about(name: &str) -> ObjectReference {
        ObjectReference {
            name: Some(name.to_owned()),
            ..ObjectReference::default()
        }
    }

    fn drifted(note: &str) -> Announcement {
        Announcement {
            warning: true,
            reason: "Drifted",
            action: "Mend",
            note: note.to_owned(),
        }
    }

    #[test]
    fn what_is_said_again_counts_up_and_what_is_new_is_an_event_of_its_own() {
        let mut said = Said::default();
        assert_eq!(said.again(&about("a"), &drifted("x"), at(0)), None);
        said.first(&about("a"), &drifted("x"), "a.1".to_owned(), at(0));
        let again = said.again(&about("a"), &drifted("x"), at(10));
        assert_eq!(again, Some(("a.1".to_owned(), 2)));
        // Other words, of another object: another event.
        assert_eq!(said.again(&about("a"), &drifted("y"), at(10)), None);
        assert_eq!(said.again(&about("b"), &drifted("x"), at(10)), None);
        let late = at(10 + REMEMBERED.as_secs());
        assert_eq!(said.again(&about("a"), &drifted("x"), late), None);
    }

    #[test]
    fn memory_has_a_bound() {
        let mut said = Said::default();
        for number in 0..MOST + 10 {
            let note = number.to_string();
            let second = i64::try_from(number).unwrap();
            said.first(&about("a"), &drifted(&note), note, at(second));
        }
        assert_eq!(said.sentences.len(), MOST);
        assert!(!said.sentences.values().any(|one| one.event == "9"));
    }

    #[test]
    fn an_event_fits_whatever_is_said_of_whom() {
        let name = "n".repeat(253);
        let event = event("i", &about(&name), &drifted(&"é".repeat(900)), at(0));
        assert!(event.note.unwrap().len() <= NOTE);
        assert!(event.metadata.name.unwrap().len() <= 253);
    }
}
