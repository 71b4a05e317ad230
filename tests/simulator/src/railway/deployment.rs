//! One deployment and its course through time.
//!
//! What will become of it is decided when it is created; what it is *now* is computed from timestamps whenever somebody
//! asks. Deliberately absent: builds and logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_graphql::Enum;
use jiff::Timestamp;
use serde_json::Value;

use crate::clock::after;
use crate::nature::Nature;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "DeploymentStatus", rename_items = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Building,
    Crashed,
    Deploying,
    Failed,
    Initializing,
    NeedsApproval,
    Queued,
    Removed,
    Removing,
    Skipped,
    Sleeping,
    Success,
    Waiting,
}

impl Status {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let all = <Self as async_graphql::resolver_utils::EnumType>::items();
        all.iter()
            .find(|item| item.name == text)
            .map(|item| item.value)
    }

    /// Something runs, or would as soon as it is asked: it costs money.
    pub(crate) fn is_alive(self) -> bool {
        !matches!(
            self,
            Self::Crashed | Self::Failed | Self::Removed | Self::Skipped
        )
    }
}

/// What was decided at creation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Fails {
        at: Timestamp,
    },
    Starts {
        at: Timestamp,
        crashes_after: Option<Duration>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Removed,
    Stopped,
}

#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub id: String,
    pub service_id: String,
    pub created_at: Timestamp,
    pub image: String,
    pub digest: Option<String>,
    /// The tag behind the image, where one is known.
    pub version: Option<String>,
    pub nature: Nature,
    pub variables: BTreeMap<String, String>,
    /// The service's part of the environment's config when this was deployed.
    pub config: Value,
    pub fate: Fate,
    pub problem: Option<&'static str>,
    /// Time from the start until the agent is ready.
    pub boot: Duration,
    pub sleep_after: Option<Duration>,
    pub restarted_at: Option<Timestamp>,
    pub ended: Option<(End, Timestamp)>,
    /// A status set by hand.
    pub forced: Option<(Status, Timestamp)>,
    /// Milliseconds since the epoch of the last request; shared, so that serving one never copies a project.
    pub last_used: Arc<AtomicI64>,
    /// What a stop shows, as the settings were at creation.
    pub stop_removes: bool,
}

/// What a deployment is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub status: Status,
    pub since: Timestamp,
    pub stopped: bool,
}

impl Deployment {
    /// When it began to run, if it has by `now` and was not taken away before.
    pub(crate) fn started(&self, now: Timestamp) -> Option<Timestamp> {
        let Fate::Starts { at, .. } = self.fate else {
            return None;
        };
        let in_time = self.ended.is_none_or(|(_, ended)| ended >= at);
        (at <= now && in_time).then_some(at)
    }

    /// Its state, given when a newer deployment took its place.
    pub(crate) fn state(&self, now: Timestamp, superseded: Option<Timestamp>) -> State {
        let running = |status, since| State {
            status,
            since,
            stopped: false,
        };
        let ended = |status, since| State {
            status,
            since,
            stopped: true,
        };
        if let Some((End::Removed, at)) = self.ended {
            return ended(Status::Removed, at);
        }
        if let Some(at) = superseded {
            // What had failed by then stays failed.
            return match self.course(at) {
                (Status::Failed, since) => running(Status::Failed, since),
                _ => ended(Status::Removed, at),
            };
        }
        if let Some((End::Stopped, at)) = self.ended {
            let status = if self.stop_removes {
                Status::Removed
            } else {
                self.course(at).0
            };
            return ended(status, at);
        }
        if let Some((status, at)) = self.forced {
            return running(status, at);
        }
        let (status, since) = self.course(now);
        running(status, since)
    }

    fn course(&self, now: Timestamp) -> (Status, Timestamp) {
        let begun = self.created_at;
        let (Fate::Fails { at } | Fate::Starts { at, .. }) = self.fate;
        if now < at {
            let whole = at.duration_since(begun).as_secs_f64();
            let part = |share: f64| after(begun, Duration::from_secs_f64((whole * share).max(0.0)));
            return if now < part(0.1) {
                (Status::Initializing, begun)
            } else if now < part(0.6) {
                (Status::Building, part(0.1))
            } else {
                (Status::Deploying, part(0.6))
            };
        }
        let Fate::Starts { crashes_after, .. } = self.fate else {
            return (Status::Failed, at);
        };
        let up = self.up_since(at);
        if let Some(crashed) = crashes_after
            .map(|time| after(up, time))
            .filter(|at| *at <= now)
        {
            return (Status::Crashed, crashed);
        }
        match self
            .sleep_after
            .map(|idle| after(self.last_used_at(up), idle))
        {
            Some(asleep) if asleep <= now => (Status::Sleeping, asleep),
            _ => (Status::Success, up),
        }
    }

    fn up_since(&self, started: Timestamp) -> Timestamp {
        self.restarted_at
            .map_or(started, |restarted| restarted.max(started))
    }

    fn last_used_at(&self, up: Timestamp) -> Timestamp {
        let used = Timestamp::from_millisecond(self.last_used.load(Ordering::Relaxed));
        used.unwrap_or(up).max(up)
    }

    /// When the agent in it is ready, once the deployment has started.
    pub(crate) fn ready_at(&self, started: Timestamp) -> Timestamp {
        after(self.up_since(started), self.boot)
    }

    /// A request arrived: a sleeping deployment wakes.
    pub(crate) fn touch(&self, now: Timestamp) {
        self.last_used
            .store(now.as_millisecond(), Ordering::Relaxed);
    }
}
