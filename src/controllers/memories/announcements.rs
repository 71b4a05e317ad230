//! What is to be told of claims once nobody waits for one.
//!
//! Holds: it is bounded; what is too much is dropped, the oldest first, for nothing is lost that a status does not say. Deliberately
//! absent: telling (`controllers::announcing`).

use crate::controllers::held;
use crate::model::Announcement;
use k8s_openapi::api::core::v1::ObjectReference;
use std::collections::VecDeque;
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
    waiting: Mutex<VecDeque<(Instant, ToTell)>>,
    more: Notify,
}

impl Announcements {
    /// Something is to be told, later.
    pub fn later(&self, about: ObjectReference, said: Vec<Announcement>) {
        if said.is_empty() {
            return;
        }
        let mut waiting = held(&self.waiting);
        if waiting.len() >= MOST {
            waiting.pop_front();
        }
        waiting.push_back((Instant::now() + CALM, (about, said)));
        self.more.notify_one();
    }

    /// What is to be told next, as soon as it is.
    pub async fn next(&self) -> ToTell {
        loop {
            let first = held(&self.waiting).front().map(|(due, _)| *due);
            match first {
                Some(due) => sleep_until(due).await,
                None => {
                    self.more.notified().await;
                    continue;
                }
            }
            if let Some((_, next)) = held(&self.waiting).pop_front() {
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
}
