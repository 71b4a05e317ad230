//! What this process made a moment ago: Railway may not show it yet, or not allow us to touch it yet.
//!
//! What holds: for a while after a creation "not found" and "not authorized" mean "not yet"
//! (`facts/railway.md` 1.5, 4). A restart forgets all of it, which makes such an answer look final once: whoever
//! decides on an absence looks at a complete listing anyway.

use super::faults::Meant;
use crate::model::Fault;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// How long reads were seen to lag behind writes, with room.
const LAG: SignedDuration = SignedDuration::from_secs(90);

#[derive(Debug, Default)]
pub(super) struct JustMade {
    made: HashMap<String, Timestamp>,
}

impl JustMade {
    pub(super) fn made(&mut self, id: &str, now: Timestamp) {
        self.made.retain(|_, at| now.duration_since(*at) < LAG);
        self.made.insert(id.to_owned(), now);
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.made.remove(id);
    }

    pub(super) fn has(&self, id: &str, now: Timestamp) -> bool {
        self.made
            .get(id)
            .is_some_and(|at| now.duration_since(*at) < LAG)
    }

    /// The fault, unless it says of something fresh what is said of things that do not exist.
    pub(super) fn soften(&self, meant: Meant, ids: &[&str], now: Timestamp) -> Fault {
        let fault = meant.fault;
        if meant.about.is_unseen() && ids.iter().any(|id| self.has(id, now)) {
            return Fault::Transient {
                message: format!("{fault} (made a moment ago)"),
            };
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::About;
    use super::*;

    #[test]
    fn what_was_just_made_is_not_missing_yet() {
        let mut fresh = JustMade::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        fresh.made("p", at(0));
        let missing = || Meant {
            fault: Fault::Missing {
                message: "Project not found".into(),
            },
            about: About::Project,
        };
        let denied = |about| Meant {
            fault: Fault::Denied {
                message: "Not Authorized".into(),
            },
            about,
        };
        let class = |meant, ids: &[&str], now| fresh.soften(meant, ids, at(now)).class();
        assert_eq!(class(missing(), &["e", "p"], 89), "Transient");
        assert_eq!(class(denied(About::Unseen), &["p"], 1), "Transient");
        assert_eq!(class(missing(), &["p"], 90), "Missing");
        assert_eq!(class(missing(), &["q"], 1), "Missing");
        assert_eq!(class(denied(About::Nothing), &["p"], 1), "Denied");
    }
}
