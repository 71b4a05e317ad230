//! What the end of a pass means: when the instance is visited again, and what is remembered of its faults until then.
//!
//! Holds: a memory ends with a success, and counts for nothing once something else is tried, because the object, its template or
//! its account has changed. It is a courtesy and may be lost: a restart tries once more. A fault of one tool puts off that tool.

use super::pass::End;
use crate::api::Slot;
use crate::engine::retry::Trouble;
use crate::engine::view::Try;
use crate::engine::world::Patience;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Soonest that an instance is visited again by itself.
const SOONEST: SignedDuration = SignedDuration::from_millis(5);

/// What is remembered of one instance's faults.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    /// Of the pass as a whole.
    home: Option<Trouble<Try>>,
    /// Of single tools.
    tools: BTreeMap<Slot, Trouble<Try>>,
}

impl Troubles {
    /// What an earlier fault of the pass still asks for, where the same is tried.
    pub fn patience(&self, about: &Try) -> Option<Patience> {
        self.home.as_ref()?.patience(about)
    }

    /// What earlier faults of tools still ask for, where the same is tried.
    pub fn of_tools(&self, about: &Try) -> BTreeMap<Slot, Patience> {
        let all = self.tools.iter();
        all.filter_map(|(slot, trouble)| Some((*slot, trouble.patience(about)?)))
            .collect()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.home.is_none() && self.tools.is_empty()
    }
}

/// How a pass went, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// It met a fault.
    Fault,
    /// It took a step.
    Changed,
    /// There was nothing to do.
    Unchanged,
}

impl Went {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Went::Fault => "fault",
            Went::Changed => "changed",
            Went::Unchanged => "unchanged",
        }
    }
}

/// Takes the end of a pass into what is remembered. The answer: how it went, and when to visit again by itself.
pub fn finished(
    troubles: &mut Troubles,
    end: &End,
    about: &Try,
    uid: &str,
    now: Timestamp,
) -> (Went, Option<Timestamp>) {
    let answered = end.answered.iter();
    for slot in answered.filter(|slot| !end.faults.contains_key(slot)) {
        troubles.tools.remove(slot);
    }
    let mut wake = end.wake;
    for (slot, fault) in &end.faults {
        let trouble = Trouble::again(troubles.tools.get(slot), about, fault, uid, now);
        wake = Some(wake.map_or(trouble.until, |wake| wake.min(trouble.until)));
        troubles.tools.insert(*slot, trouble);
    }
    if let Some(fault) = &end.fault {
        let trouble = Trouble::again(troubles.home.as_ref(), about, fault, uid, now);
        // What keeps the whole pass keeps its tools as well.
        wake = Some(trouble.until);
        troubles.home = Some(trouble);
    } else if end.steps > 0 {
        // A pass that took no step proves nothing about an earlier fault.
        troubles.home = None;
    }
    let went = match (end.fault.is_some() || !end.faults.is_empty(), end.steps) {
        (true, _) => Went::Fault,
        (false, 0) => Went::Unchanged,
        (false, _) => Went::Changed,
    };
    (went, wake.map(|wake| wake.max(now + SOONEST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Part;
    use crate::model::Fault;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fault() -> Fault {
        Fault::Transient {
            message: "no answer".into(),
        }
    }

    fn llm() -> Slot {
        Slot::tool("llm", Part::Main).unwrap()
    }

    fn after(end: &End, troubles: &mut Troubles, second: i64) -> (Went, Option<Timestamp>) {
        finished(troubles, end, &Try::default(), "u", at(second))
    }

    #[test]
    fn a_fault_is_remembered_until_a_step_succeeds() {
        let mut troubles = Troubles::default();
        let failed = End {
            fault: Some(fault()),
            steps: 1,
            ..End::default()
        };
        let (went, first) = after(&failed, &mut troubles, 0);
        assert_eq!(went, Went::Fault);
        let (_, second) = after(&failed, &mut troubles, 10);
        assert!(second.unwrap().duration_since(at(10)) > first.unwrap().duration_since(at(0)));
        assert_eq!(troubles.patience(&Try::default()).unwrap().failures, 2);

        assert_eq!(
            after(&End::default(), &mut troubles, 20),
            (Went::Unchanged, None)
        );
        assert!(
            troubles.patience(&Try::default()).is_some(),
            "nothing was tried"
        );
        let stepped = End {
            steps: 1,
            ..End::default()
        };
        assert_eq!(after(&stepped, &mut troubles, 30).0, Went::Changed);
        assert!(troubles.is_empty());
    }

    #[test]
    fn another_try_asks_for_no_patience() {
        let mut troubles = Troubles::default();
        let failed = End {
            fault: Some(fault()),
            faults: BTreeMap::from([(llm(), fault())]),
            ..End::default()
        };
        after(&failed, &mut troubles, 0);
        let other = Try {
            generation: Some(7),
            ..Try::default()
        };
        assert!(troubles.patience(&other).is_none());
        assert!(troubles.of_tools(&other).is_empty());
        assert_eq!(troubles.of_tools(&Try::default()).len(), 1);
    }

    #[test]
    fn a_tools_fault_puts_off_that_tool_and_nothing_that_is_due_earlier() {
        let mut troubles = Troubles::default();
        let failed = End {
            wake: Some(at(0)),
            faults: BTreeMap::from([(llm(), fault())]),
            steps: 2,
            ..End::default()
        };
        let (went, wake) = after(&failed, &mut troubles, 0);
        assert_eq!((went, wake), (Went::Fault, Some(at(0) + SOONEST)));
        let answered = End {
            answered: [llm()].into(),
            ..End::default()
        };
        after(&answered, &mut troubles, 1);
        assert!(troubles.is_empty());
    }
}
