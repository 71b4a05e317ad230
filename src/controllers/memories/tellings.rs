//! What agents are being told, and what came of it last.
//!
//! Holds: one agent is told once at a time, and after a try that came to nothing ever more slowly. All of it may be lost:
//! an agent that is told the same again does nothing again; and none is given up by a process that has not tried it itself.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use crate::engine::claiming::{HeardOfAgent, Reachability};
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

/// How far a try came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriedTelling {
    /// Not to the agent: for a reason of ours, which says nothing of it.
    NotAtAll,
    /// What it is to be told could not be put together: of whatever was tried before it is not given up meanwhile.
    Unsaid,
    /// It cannot be called as it is.
    InVain,
    /// Nothing could be sent.
    NotSent,
    /// Something was sent.
    Sent,
}

#[derive(Debug)]
struct ToldAgent {
    tries: u32,
    now: Telling,
    /// Whether any try came as far as to say something of the agent.
    tried: bool,
    /// Since when nothing can be sent to it. `None` as well where something ever was: it may have heard.
    unreached: Option<Timestamp>,
    /// Whether something was ever sent.
    sent: bool,
}

/// What agents are being told, by instance; and which of all could be reached.
#[derive(Debug, Default)]
pub struct Tellings(Mutex<HashMap<Uid, ToldAgent>>, Mutex<Reachability>);

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
            tried: false,
            unreached: None,
            sent: false,
        });
        told.tries = told.tries.saturating_add(1);
        told.now = Telling::UnderWay;
    }

    /// What came of it. Of one that was forgotten meanwhile nobody wants to know.
    pub fn answered(
        &self,
        (namespace, agent): (&str, &Uid),
        outcome: TellOutcome,
        tried: TriedTelling,
        now: Timestamp,
    ) {
        match tried {
            TriedTelling::Sent => held(&self.1).reached(now),
            TriedTelling::NotSent => held(&self.1).not_reached(namespace, &agent.to_string(), now),
            TriedTelling::NotAtAll | TriedTelling::Unsaid | TriedTelling::InVain => {}
        }
        let mut all = held(&self.0);
        let Some(told) = all.get_mut(agent) else {
            return;
        };
        told.now = Telling::Answered(outcome);
        // Of one without an address its own conditions say why: its status may have been lost, and is found again.
        told.tried |= !matches!(tried, TriedTelling::NotAtAll | TriedTelling::InVain);
        told.tried &= tried != TriedTelling::Unsaid;
        match tried {
            TriedTelling::NotSent if told.sent => {}
            TriedTelling::NotSent => told.unreached = told.unreached.or(Some(now)),
            TriedTelling::Sent => (told.unreached, told.sent) = (None, true),
            TriedTelling::InVain => told.unreached = None,
            TriedTelling::NotAtAll | TriedTelling::Unsaid => {}
        }
    }

    /// What this process has heard of it.
    pub fn heard(&self, agent: &Uid) -> HeardOfAgent {
        let all = held(&self.0);
        let Some(told) = all.get(agent) else {
            return HeardOfAgent::Nothing;
        };
        match (&told.now, told.unreached) {
            (Telling::UnderWay, _) => HeardOfAgent::UnderWay,
            (Telling::Answered(_), _) => HeardOfAgent::Answer,
            _ if !told.tried => HeardOfAgent::Nothing,
            (_, None) => HeardOfAgent::Silence,
            (_, Some(since)) => HeardOfAgent::Unreached {
                since,
                others: held(&self.1).any_since(since),
            },
        }
    }

    /// Until when no agent is taken in a namespace, because none of the last ones could be reached.
    pub fn rests(&self, namespace: &str, now: Timestamp) -> Option<Timestamp> {
        held(&self.1).rests(namespace, now)
    }

    /// What was heard of it says nothing any more: meanwhile it could not be told, whatever it would have answered.
    pub fn unheard(&self, agent: &Uid) {
        if let Some(told) = held(&self.0).get_mut(agent) {
            (told.tried, told.unreached) = (false, None);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_of_an_agent_says_whether_it_was_tried() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (all, agent) = (Tellings::default(), Uid::from("i"));
        let own = || ("n", &agent);
        let unknown = || TellOutcome::Unknown { why: String::new() };
        assert_eq!(all.heard(&agent), HeardOfAgent::Nothing);
        all.begun(&agent);
        assert_eq!(all.heard(&agent), HeardOfAgent::UnderWay);
        all.answered(own(), unknown(), TriedTelling::NotAtAll, at(1));
        assert_eq!(all.heard(&agent), HeardOfAgent::Answer);
        all.later(&agent, at(1));
        // Its Secret could not be read, say: that is nothing of which it is given up.
        assert_eq!(all.heard(&agent), HeardOfAgent::Nothing);
        all.begun(&agent);
        let why = String::new();
        all.answered(
            own(),
            TellOutcome::NotSent { why },
            TriedTelling::NotSent,
            at(2),
        );
        all.later(&agent, at(2));
        let unreached = |others| HeardOfAgent::Unreached {
            since: at(2),
            others,
        };
        assert_eq!(all.heard(&agent), unreached(false));
        all.answered(("n", &Uid::from("j")), unknown(), TriedTelling::Sent, at(3));
        assert_eq!(all.heard(&agent), unreached(true));
        all.begun(&agent);
        all.answered(own(), unknown(), TriedTelling::Sent, at(4));
        all.later(&agent, at(4));
        assert_eq!(all.heard(&agent), HeardOfAgent::Silence);
        // It may have heard that one, whatever cannot be sent afterwards.
        all.begun(&agent);
        let outcome = TellOutcome::NotSent { why: String::new() };
        all.answered(own(), outcome, TriedTelling::NotSent, at(5));
        all.later(&agent, at(5));
        assert_eq!(all.heard(&agent), HeardOfAgent::Silence);
        // It has no address for a while, as after a status that was lost: that says nothing more of it.
        all.begun(&agent);
        all.answered(own(), unknown(), TriedTelling::InVain, at(5));
        all.later(&agent, at(5));
        assert_eq!(all.heard(&agent), HeardOfAgent::Silence);
        let lost = Uid::from("k");
        all.begun(&lost);
        all.answered(("n", &lost), unknown(), TriedTelling::InVain, at(5));
        all.later(&lost, at(5));
        assert_eq!(all.heard(&lost), HeardOfAgent::Nothing);
        // It was paused meanwhile, past its deadline say: nobody gives it up before it was told once more.
        all.unheard(&agent);
        assert_eq!(all.heard(&agent), HeardOfAgent::Nothing);
        all.begun(&agent);
        assert_eq!(all.heard(&agent), HeardOfAgent::UnderWay);
        // What the claim refers to is gone: the agent is not at fault, and is kept until it was tried again.
        all.begun(&agent);
        let (reason, message) = ("ReferenceNotFound", String::new());
        let outcome = TellOutcome::Unsaid { reason, message };
        all.answered(own(), outcome, TriedTelling::Unsaid, at(6));
        all.later(&agent, at(6));
        assert_eq!(all.heard(&agent), HeardOfAgent::Nothing);
        all.begun(&agent);
        all.answered(own(), unknown(), TriedTelling::Sent, at(7));
        all.later(&agent, at(7));
        assert_eq!(all.heard(&agent), HeardOfAgent::Silence);
    }
}
