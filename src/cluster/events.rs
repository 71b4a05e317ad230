//! Events: best effort. A pass never fails for one, and repeats are folded into one series by the recorder.

use crate::model::Announcement;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::time::Duration;

/// Publishes announcements under the controller's name.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// One for the whole process: folding repeats needs their memory in one place.
    pub fn new(client: Client, instance: Option<String>) -> Events {
        let reporter = Reporter {
            controller: "yardmaster".into(),
            instance,
        };
        Events {
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Tells people about an object.
    pub async fn publish(&self, about: &ObjectReference, said: &[Announcement]) {
        for announcement in said {
            let event = Event {
                type_: if announcement.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: announcement.reason.to_owned(),
                note: Some(announcement.note.chars().take(1000).collect()),
                action: announcement.action.to_owned(),
                secondary: None,
            };
            let publishing = self.recorder.publish(&event, about);
            match tokio::time::timeout(Duration::from_secs(5), publishing).await {
                Ok(Ok(())) => {}
                // A namespace that is being deleted takes no events; nothing is lost that status does not say.
                Ok(Err(error)) => {
                    tracing::debug!(%error, reason = announcement.reason, "event not published")
                }
                Err(_) => {
                    tracing::debug!(reason = announcement.reason, "event not published in time")
                }
            }
        }
    }
}
