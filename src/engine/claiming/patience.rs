//! How long an agent that was handed over is waited for, and when no other one is taken.
//!
//! What holds: an agent is given up only by a process that has told or asked it itself, and has read what came of that; where
//! nothing can be sent to any agent, it is more likely our side that is at fault, and agents are not used up by it. Deliberately absent:
//! what giving up means (`claims`).

use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How long an agent to which nothing can be sent is tried, where others are reached meanwhile.
const UNREACHED: SignedDuration = SignedDuration::from_secs(5);

/// So many agents of a namespace that cannot be reached, one after the other, are no accident.
const MANY: usize = 3;

/// So long no other one is taken then.
const REST: SignedDuration = SignedDuration::from_mins(1);

/// What this process has heard of an agent that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeardOfAgent {
    /// It has neither told nor asked it: somebody else may have.
    Nothing,
    /// It is being told.
    UnderWay,
    /// Something came of telling it that nobody has read yet.
    Answer,
    /// It was tried, and may have heard.
    Silence,
    /// Nothing could ever be sent.
    Unreached {
        /// Since when.
        since: Timestamp,
        /// Whether to another agent something could be sent since then.
        others: bool,
    },
}

/// Whether an agent is given up. `deadline`: until when it may take. Before that only one that nobody can have told: from the time
/// that it was handed over on it could not be reached, and others can.
pub fn is_given_up(
    heard: HeardOfAgent,
    handed_over: Timestamp,
    deadline: Timestamp,
    now: Timestamp,
) -> bool {
    match heard {
        HeardOfAgent::Nothing | HeardOfAgent::UnderWay | HeardOfAgent::Answer => false,
        HeardOfAgent::Silence => deadline <= now,
        HeardOfAgent::Unreached { since, others } => {
            let from_the_beginning = since.duration_since(handed_over) <= UNREACHED;
            let alone = others && from_the_beginning && now.duration_since(since) > UNREACHED;
            alone || deadline <= now
        }
    }
}

/// Which agents could be reached lately.
#[derive(Debug, Default)]
pub struct Reachability {
    last: Option<Timestamp>,
    /// Since then: agents to which nothing could be sent, by namespace and UID, and since when. So those that are tried again keep
    /// nobody else from being tried.
    not: BTreeMap<(String, String), Timestamp>,
}

impl Reachability {
    /// Something was sent to an agent.
    pub fn reached(&mut self, now: Timestamp) {
        self.last = Some(now);
        self.not.clear();
    }

    /// Nothing could be sent to one.
    pub fn not_reached(&mut self, namespace: &str, agent: &str, now: Timestamp) {
        self.not
            .retain(|_, first| now.duration_since(*first) < REST * 2);
        let agent = (namespace.to_owned(), agent.to_owned());
        self.not.entry(agent).or_insert(now);
    }

    /// Whether any was reached after that.
    pub fn any_since(&self, then: Timestamp) -> bool {
        self.last.is_some_and(|last| last > then)
    }

    /// Until when no agent is taken in a namespace, because none of the last ones could be reached.
    pub fn rests(&self, namespace: &str, now: Timestamp) -> Option<Timestamp> {
        let own = self.not.iter().filter(|((of, _), _)| of == namespace);
        let own: Vec<Timestamp> = own.map(|(_, first)| *first).collect();
        let until = own.iter().max().map(|newest| *newest + REST);
        until.filter(|until| own.len() >= MANY && *until > now)
    }
}
