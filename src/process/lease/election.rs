//! Who leads: the decision, as a value, without a clock or a client of its own.
//!
//! What holds, as long as clocks of two machines run at about the same *rate*:
//! - Nobody takes the record from a holder before the record stood still for its whole duration *as seen by this
//!   process*. Times written by another machine are never compared with anything.
//! - A leader's time is counted from before its last successful write was sent, and is shorter than that duration. So a
//!   leader that cannot renew has stopped before another may start.
//! - Whoever leads has written the record with the version it had read (the caller's part), so of two that try one wins.
//!
//! Election is not a lock on the outside: a request sent by a leader may land after its time. That is what the
//! protocol for outside resources (intend, observe, act) is for; [`Leader::is_current`] only makes it rare.

use std::time::Duration;
use tokio::time::Instant;

/// How long things take in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a silent holder is waited for.
    pub duration: Duration,
    /// How long a leader goes on without a renewal; less than `duration`.
    pub renew_deadline: Duration,
}

/// The record all contenders share, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Changes with every write; a write must name the version it replaces.
    pub version: String,
    /// Who holds it; nobody after a release.
    pub holder: Option<String>,
    /// How often it was taken so far.
    pub transitions: i32,
    /// How long its holder wants to be waited for.
    pub duration: Duration,
}

/// Proof of leadership for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Counts the takings of the record, so a later leader has a higher term (unless someone deletes the record).
    pub term: i32,
    /// Up to when, by this machine's monotonic clock.
    pub valid_until: Instant,
}

impl Leader {
    /// Whether this process leads at `now`. To be asked right before a request is sent.
    pub fn is_current(&self, now: Instant) -> bool {
        now < self.valid_until
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Read the record: it has never been read.
    Read,
    /// Make the record, as its first holder.
    Create,
    /// Replace the record of this version, as its holder, with this many transitions.
    Take {
        /// The version to replace.
        version: String,
        /// The transitions to write; the term that this begins.
        transitions: i32,
    },
    /// Replace the record of this version, changing only its times.
    Renew {
        /// The version to replace.
        version: String,
        /// The transitions to keep.
        transitions: i32,
    },
    /// Someone else holds it.
    Wait,
    /// This process led and does not any more; it must not go on.
    Lost(Loss),
}

/// How leadership ended against our will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// Not renewed in time.
    #[error("the lease could not be renewed before its deadline")]
    Expired,
    /// The record names another holder or a later term.
    #[error("another process has taken the lease")]
    Taken,
    /// The record is gone.
    #[error("the lease was deleted")]
    Deleted,
    /// Nobody renews any more, though nobody asked for that.
    #[error("the election has stopped")]
    Stopped,
}

/// The record as last seen, and since when it stands still.
#[derive(Clone, Debug)]
struct ObservedRecord {
    record: Option<Record>,
    since: Instant,
}

/// One contender: what it has seen, and what it holds.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    seen: Option<ObservedRecord>,
    held: Option<Leader>,
}

impl Election {
    /// A contender that has seen nothing yet.
    pub fn new(identity: String, timing: Timing) -> Election {
        Election {
            identity,
            timing,
            seen: None,
            held: None,
        }
    }

    /// The record was read; the answer came at `now`.
    pub fn observe(&mut self, record: Option<Record>, now: Instant) {
        let version = |record: &Option<Record>| record.as_ref().map(|r| r.version.clone());
        let still = match &self.seen {
            Some(seen) => version(&seen.record) == version(&record),
            None => false,
        };
        let since = match &self.seen {
            Some(seen) if still => seen.since,
            // Any change at all is a sign of life: waiting too long is safe, too short is not.
            _ => now,
        };
        self.seen = Some(ObservedRecord { record, since });
    }

    /// Our write was accepted: it was sent at `sent`, and this is what it made.
    ///
    /// Time counts from `sent`, since the others may have seen the change that early.
    pub fn wrote(&mut self, record: Record, sent: Instant) {
        self.held = Some(Leader {
            term: record.transitions,
            valid_until: sent + self.timing.renew_deadline,
        });
        self.seen = Some(ObservedRecord {
            record: Some(record),
            since: sent,
        });
    }

    /// The leadership that was last won or renewed, however old.
    pub fn held(&self) -> Option<Leader> {
        self.held
    }

    /// Who was last seen holding the record.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.record.as_ref()?.holder.as_deref()
    }

    /// The version to release: only of a record that is ours.
    pub fn to_release(&self) -> Option<&Record> {
        let (held, record) = (self.held?, self.seen.as_ref()?.record.as_ref()?);
        self.is_ours(record, held).then_some(record)
    }

    /// What to do at `now`.
    pub fn next(&self, now: Instant) -> Move {
        if self.held.is_some_and(|held| !held.is_current(now)) {
            return Move::Lost(Loss::Expired);
        }
        let Some(seen) = &self.seen else {
            return Move::Read;
        };
        match (&seen.record, self.held) {
            (None, None) => Move::Create,
            // Another may have made, held and deleted one meanwhile: there is no way to know.
            (None, Some(_)) => Move::Lost(Loss::Deleted),
            (Some(record), Some(held)) if self.is_ours(record, held) => Move::Renew {
                version: record.version.clone(),
                transitions: record.transitions,
            },
            (Some(_), Some(_)) => Move::Lost(Loss::Taken),
            (Some(record), None) if self.is_free(record, seen.since, now) => Move::Take {
                version: record.version.clone(),
                transitions: record.transitions.saturating_add(1),
            },
            (Some(_), None) => Move::Wait,
        }
    }

    /// A holder of our name with another term is another process (an earlier life of this container, or a mistake).
    fn is_ours(&self, record: &Record, held: Leader) -> bool {
        record.holder.as_deref() == Some(&self.identity) && record.transitions == held.term
    }

    fn is_free(&self, record: &Record, since: Instant, now: Instant) -> bool {
        match record.holder.as_deref() {
            None | Some("") => true,
            // An earlier life of this container, which has ended; and if it has not, its next renewal fails.
            Some(holder) if holder == self.identity => true,
            Some(_) => {
                // Settings may differ between two versions during a rollout: the longer wait is right for both.
                let wait = record.duration.max(self.timing.duration);
                now.saturating_duration_since(since) >= wait
            }
        }
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
