//! Which agents are being told anew, because their claims say something else by now.
//!
//! Holds: one agent is told one thing at a time, so that an older one is not the last; after a try that came to nothing ever more
//! slowly. All of it may be lost: what was told stands in the claim's status.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use crate::model::TellOutcome;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::Mutex;

/// The pause after the first try; each next is twice as long, up to [`LONGEST`].
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// The longest pause.
const LONGEST: SignedDuration = SignedDuration::from_mins(1);

/// How the telling of something new stands.
#[derive(Clone, Debug)]
pub enum Retelling {
    /// It may be told.
    None,
    /// The agent is being told, this or something older.
    UnderWay,
    /// It has answered, or did not.
    Answered(TellOutcome),
    /// It is told again, not before this.
    Later(Timestamp),
}

#[derive(Debug)]
struct RetoldAgent {
    /// Names what it is told.
    said: String,
    tries: u32,
    now: Retelling,
}

/// Which agents are being told anew, by instance.
#[derive(Debug, Default)]
pub struct Retellings(Mutex<HashMap<Uid, RetoldAgent>>);

impl Retellings {
    /// How it stands with what is named so.
    pub fn of(&self, agent: &Uid, said: &str, now: Timestamp) -> Retelling {
        let all = held(&self.0);
        let Some(known) = all.get(agent) else {
            return Retelling::None;
        };
        match &known.now {
            Retelling::UnderWay => Retelling::UnderWay,
            _ if known.said != said => Retelling::None,
            Retelling::Later(at) if *at <= now => Retelling::None,
            other => other.clone(),
        }
    }

    /// The agent is being told this.
    pub fn begun(&self, agent: &Uid, said: &str) {
        let mut all = held(&self.0);
        let known = all.entry(agent.clone()).or_insert_with(|| RetoldAgent {
            said: said.to_owned(),
            tries: 0,
            now: Retelling::None,
        });
        if known.said != said {
            (known.said, known.tries) = (said.to_owned(), 0);
        }
        known.tries = known.tries.saturating_add(1);
        known.now = Retelling::UnderWay;
    }

    /// What came of it.
    pub fn answered(&self, agent: &Uid, outcome: TellOutcome) {
        if let Some(known) = held(&self.0).get_mut(agent) {
            known.now = Retelling::Answered(outcome);
        }
    }

    /// It came to nothing: when it is told again.
    pub fn later(&self, agent: &Uid, now: Timestamp) -> Timestamp {
        let mut all = held(&self.0);
        let Some(known) = all.get_mut(agent) else {
            return now + PAUSE;
        };
        let factor = 2_i32.saturating_pow(known.tries.saturating_sub(1).min(6));
        let at = now + (PAUSE * factor).min(LONGEST);
        known.now = Retelling::Later(at);
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
    fn an_older_word_is_never_the_last() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (all, agent) = (Retellings::default(), Uid::from("i"));
        all.begun(&agent, "old");
        // Whatever is said by now: the older one has to land first.
        assert!(matches!(all.of(&agent, "new", at(0)), Retelling::UnderWay));
        let unknown = || TellOutcome::Unknown { why: String::new() };
        all.answered(&agent, unknown());
        assert!(matches!(all.of(&agent, "new", at(0)), Retelling::None));
        assert!(matches!(
            all.of(&agent, "old", at(0)),
            Retelling::Answered(_)
        ));
        assert_eq!(all.later(&agent, at(0)), at(1));
        assert!(matches!(all.of(&agent, "old", at(0)), Retelling::Later(_)));
        all.begun(&agent, "old");
        all.answered(&agent, unknown());
        assert_eq!(all.later(&agent, at(1)), at(3));
        all.begun(&agent, "new");
        all.answered(&agent, unknown());
        assert_eq!(all.later(&agent, at(3)), at(4));
    }
}
