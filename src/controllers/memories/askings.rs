//! Which agents are being asked whose they are, and what they said last.
//!
//! Holds: one agent is asked once at a time, of a namespace only [`AT_ONCE`], so that agents that hang keep nobody else's waiting; and
//! each ever more slowly. All of it may be lost.

use crate::controllers::held;
use crate::controllers::uid::Uid;
use crate::model::AgentBinding;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::Mutex;

/// So many agents of a namespace are asked at once.
const AT_ONCE: usize = 8;

/// The first pauses; after every third they are twice as long, up to [`LONGEST`].
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// The longest pause.
const LONGEST: SignedDuration = SignedDuration::from_mins(1);

/// How the asking of an agent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It may be asked.
    None,
    /// It is being asked.
    UnderWay,
    /// It has said this; nothing where it cannot be called.
    Answered(Option<AgentBinding>),
    /// It is asked again, not before this.
    Later(Timestamp),
}

#[derive(Debug)]
struct AskedAgent {
    namespace: String,
    tries: u32,
    now: Asking,
}

/// Which agents are being asked, by instance.
#[derive(Debug, Default)]
pub struct Askings(Mutex<HashMap<Uid, AskedAgent>>);

impl Askings {
    /// How it stands.
    pub fn of(&self, agent: &Uid, now: Timestamp) -> Asking {
        let all = held(&self.0);
        let known = all.get(agent).map(|asked| asked.now.clone());
        match known {
            None => Asking::None,
            Some(Asking::Later(at)) if at <= now => Asking::None,
            Some(other) => other,
        }
    }

    /// It is being asked, unless as many are already as may be. Answers whether it is.
    pub fn begin(&self, agent: &Uid, namespace: &str) -> bool {
        let mut all = held(&self.0);
        let own = all.values().filter(|one| one.namespace == namespace);
        if own.filter(|one| one.now == Asking::UnderWay).count() >= AT_ONCE {
            return false;
        }
        let asked = all.entry(agent.clone()).or_insert_with(|| AskedAgent {
            namespace: namespace.to_owned(),
            tries: 0,
            now: Asking::None,
        });
        asked.now = Asking::UnderWay;
        true
    }

    /// What came of it. Of one that was forgotten meanwhile nobody wants to know.
    pub fn answered(&self, agent: &Uid, said: Option<AgentBinding>) {
        if let Some(asked) = held(&self.0).get_mut(agent) {
            asked.now = Asking::Answered(said);
        }
    }

    /// That was not what its claim waits for: when it is asked again.
    pub fn later(&self, agent: &Uid, now: Timestamp) -> Timestamp {
        let mut all = held(&self.0);
        let Some(asked) = all.get_mut(agent) else {
            return now + PAUSE;
        };
        let factor = 2_i32.saturating_pow((asked.tries / 3).min(5));
        let at = now + (PAUSE * factor).min(LONGEST);
        asked.tries = asked.tries.saturating_add(1);
        asked.now = Asking::Later(at);
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
    fn agents_that_hang_are_asked_ever_more_slowly_and_hold_up_no_other_namespace() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let all = Askings::default();
        let agent = |number: usize| Uid::from(format!("i{number}").as_str());
        for number in 0..AT_ONCE {
            assert!(all.begin(&agent(number), "n"));
        }
        assert!(!all.begin(&agent(8), "n") && all.begin(&agent(9), "other"));
        assert_eq!(all.of(&agent(0), at(1)), Asking::UnderWay);
        all.answered(&agent(0), None);
        assert_eq!(all.of(&agent(0), at(1)), Asking::Answered(None));
        assert_eq!(all.later(&agent(0), at(1)), at(6));
        assert_eq!(all.of(&agent(0), at(5)), Asking::Later(at(6)));
        assert_eq!(all.of(&agent(0), at(6)), Asking::None);
        assert!(all.begin(&agent(8), "n"));
        let pauses: Vec<i64> = (0..16)
            .map(|_| all.later(&agent(0), at(0)).as_second())
            .collect();
        assert_eq!(pauses[..4], [5, 5, 10, 10]);
        assert_eq!(pauses[15], 60);
    }
}
