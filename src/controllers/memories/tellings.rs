//! What agents are being told, and what came of it last.
//!
//! Holds: one agent is told once at a time, and after a try that came to nothing ever more slowly. All of it may be lost:
//! an agent that is told the same again does nothing again.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use crate::model::TellOutcome;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::Mutex;

/// The pause after the first try; each next is twice as long, up to [`LONGEST`].
const PAUSE: SignedDuration = SignedDuration::from_millis(500);

/// The longest pause.
const LONGEST: SignedDuration = SignedDuration::from_secs(10);

/// How the telling of an agent stands.
#[derive(Clone, Debug)]
pub enum Telling {
    /// Nothing was begun.
    None,
    /// It is being told.
    UnderWay,
    /// It has answered, or did not.
    Answered(TellOutcome),
    /// It is told again, not before this.
    Later(Timestamp),
}

#[derive(Debug)]
struct ToldAgent {
    tries: u32,
    now: Telling,
}

/// What agents are being told, by instance.
#[derive(Debug, Default)]
pub struct Tellings(Mutex<HashMap<Uid, ToldAgent>>);

impl Tellings {
    /// How it stands.
    pub fn of(&self, agent: &Uid, now: Timestamp) -> Telling {
        let known = held(&self.0);
        let known = known
            .get(agent)
            .map_or(Telling::None, |told| told.now.clone());
        match known {
            Telling::Later(at) if at <= now => Telling::None,
            other => other,
        }
    }

    /// It is being told.
    pub fn begun(&self, agent: &Uid) {
        let mut all = held(&self.0);
        let told = all.entry(agent.clone()).or_insert(ToldAgent {
            tries: 0,
            now: Telling::None,
        });
        told.tries = told.tries.saturating_add(1);
        told.now = Telling::UnderWay;
    }

    /// What came of it. Of one that was forgotten meanwhile nobody wants to know.
    pub fn answered(&self, agent: &Uid, outcome: TellOutcome) {
        if let Some(told) = held(&self.0).get_mut(agent) {
            told.now = Telling::Answered(outcome);
        }
    }

    /// It came to nothing: when it is told again.
    pub fn later(&self, agent: &Uid, now: Timestamp) -> Timestamp {
        let mut all = held(&self.0);
        let Some(told) = all.get_mut(agent) else {
            return now + PAUSE;
        };
        let factor = 2_i32.saturating_pow(told.tries.saturating_sub(1).min(5));
        let at = now + (PAUSE * factor).min(LONGEST);
        told.now = Telling::Later(at);
        at
    }

    /// Nothing is to be known of it any more.
    pub fn forget(&self, agent: &Uid) {
        held(&self.0).remove(agent);
    }
}
