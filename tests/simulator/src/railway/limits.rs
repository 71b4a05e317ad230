//! Rate limits and throttles: how often somebody may ask, and what a limit says of itself.
//!
//! Three of them: the edge's, for requests without a query string; the API's hour and second, by plan; and the waiting
//! time between two creations of the same kind.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::token::Token;
use crate::clock::{after, text};
use crate::exchange::Answer;
use crate::settings::{PlanName, ResetFormat, Scope, Settings};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Limits(Mutex<Counters>);

#[derive(Default)]
struct Counters {
    edge: Window,
    buckets: HashMap<String, Bucket>,
    /// (mutation, workspace or token) to the time of the last success.
    created: HashMap<(&'static str, String), Timestamp>,
}

#[derive(Default)]
struct Bucket {
    hour: Window,
    second: Window,
}

#[derive(Default)]
struct Window {
    begun: Timestamp,
    used: u64,
}

impl Window {
    fn roll(&mut self, now: Timestamp, length: Duration) {
        if after(self.begun, length) <= now {
            *self = Self {
                begun: now,
                used: 0,
            };
        }
    }
}

/// What is left of an hour's budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub limit: u64,
    pub remaining: u64,
    pub resets_at: Timestamp,
}

impl Budget {
    pub(crate) fn headers(&self, answer: Answer, now: Timestamp, settings: &Settings) -> Answer {
        let reset = match settings.reset_format {
            ResetFormat::Epoch => self.resets_at.as_second().to_string(),
            ResetFormat::Iso => text(self.resets_at),
            ResetFormat::Seconds => seconds_until(self.resets_at, now).to_string(),
        };
        answer
            .with("X-RateLimit-Limit", self.limit)
            .with("X-RateLimit-Remaining", self.remaining)
            .with("X-RateLimit-Reset", reset)
    }
}

fn seconds_until(moment: Timestamp, now: Timestamp) -> i64 {
    let wait = moment.duration_since(now);
    (wait.as_secs() + i64::from(wait.subsec_nanos() > 0)).max(1)
}

impl Limits {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The edge's refusal of a request without a query string.
    pub(crate) fn edge(&self, now: Timestamp, settings: &Settings) -> Option<Answer> {
        let mut counters = self.counters();
        counters.edge.roll(now, SECOND);
        counters.edge.used += 1;
        let over = counters.edge.used > settings.edge_per_second;
        (settings.edge_per_second > 0 && over).then(|| Answer::text(429, "error code: 1015"))
    }

    /// Takes points from a token's budget, or refuses with 429.
    pub(crate) fn spend(
        &self,
        token: &Token,
        points: u64,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Budget, Answer> {
        let (per_hour, per_second) = allowed(settings);
        let mut counters = self.counters();
        let bucket = counters
            .buckets
            .entry(key(token, settings.rate_scope))
            .or_default();
        bucket.hour.roll(now, HOUR);
        bucket.second.roll(now, SECOND);
        let over_hour = bucket.hour.used + points > per_hour;
        let over_second = per_second > 0 && bucket.second.used + points > per_second;
        if !over_hour && !over_second {
            bucket.hour.used += points;
            bucket.second.used += points;
        }
        let budget = bucket.budget(per_hour);
        if !over_hour && !over_second {
            return Ok(budget);
        }
        let until = match over_hour {
            true => budget.resets_at,
            false => after(bucket.second.begun, SECOND),
        };
        Err(budget.headers(too_many(seconds_until(until, now)), now, settings))
    }

    pub(crate) fn budget(&self, token: &Token, now: Timestamp, settings: &Settings) -> Budget {
        let mut counters = self.counters();
        let bucket = counters
            .buckets
            .entry(key(token, settings.rate_scope))
            .or_default();
        bucket.hour.roll(now, HOUR);
        bucket.budget(allowed(settings).0)
    }

    /// Is it too soon for another creation of this kind?
    pub(crate) fn too_soon(
        &self,
        kind: &'static str,
        interval: Duration,
        (workspace, token): (&str, &Token),
        now: Timestamp,
        settings: &Settings,
    ) -> bool {
        // Two at once may come with their times the wrong way round, which is no reason where there is no interval.
        if interval.is_zero() {
            return false;
        }
        let key = (kind, creation_key(workspace, token, settings));
        self.counters()
            .created
            .get(&key)
            .is_some_and(|last| after(*last, interval) > now)
    }

    /// Something of this kind was created.
    pub(crate) fn created(
        &self,
        kind: &'static str,
        (workspace, token): (&str, &Token),
        now: Timestamp,
        settings: &Settings,
    ) {
        let key = (kind, creation_key(workspace, token, settings));
        self.counters().created.insert(key, now);
    }
}

impl Bucket {
    fn budget(&self, limit: u64) -> Budget {
        let remaining = limit.saturating_sub(self.hour.used);
        Budget {
            limit,
            remaining,
            resets_at: after(self.hour.begun, HOUR),
        }
    }
}

/// A 429 that says when to come back.
pub(crate) fn too_many(seconds: i64) -> Answer {
    Answer::text(429, "Too Many Requests").with("Retry-After", seconds)
}

fn allowed(settings: &Settings) -> (u64, u64) {
    let (hour, second) = match settings.plan {
        PlanName::Free | PlanName::Trial => (100, 0),
        PlanName::Hobby => (1_000, 10),
        PlanName::Pro => (10_000, 50),
    };
    let or = |set: u64, plan| if set > 0 { set } else { plan };
    (
        or(settings.requests_per_hour, hour),
        or(settings.requests_per_second, second),
    )
}

fn key(token: &Token, scope: Scope) -> String {
    match (scope, token.workspaces().first()) {
        (Scope::Workspace, Some(workspace)) => format!("workspace {workspace}"),
        _ => format!("token {}", token.text()),
    }
}

fn creation_key(workspace: &str, token: &Token, settings: &Settings) -> String {
    match settings.throttle_scope {
        Scope::Workspace => format!("workspace {workspace}"),
        Scope::Token => format!("token {}", token.text()),
    }
}
