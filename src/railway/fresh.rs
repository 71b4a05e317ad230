//! What this process made a moment ago: Railway may not show it yet, or not allow us to touch it yet.
//!
//! What holds: for a while after a creation "not found" and "not authorized" mean "not yet"
//! (`facts/railway.md` 1.5, 4). A restart forgets all of it, which makes such an answer look final once: whoever
//! decides on an absence looks at a complete listing anyway.

use crate::model::Fault;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// How long reads were seen to lag behind writes, with room.
const LAG: SignedDuration = SignedDuration::from_secs(90);

#[derive(Debug, Default)]
pub(super) struct Fresh {
    made: HashMap<String, Timestamp>,
}

impl Fresh {
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

    /// The same fault, unless it says of something fresh what is said of things that do not exist.
    pub(super) fn soften(&self, fault: Fault, ids: &[&str], now: Timestamp) -> Fault {
        let not_yet = match &fault {
            Fault::Missing { .. } => true,
            Fault::Denied { message } => message.to_lowercase().starts_with("not authorized"),
            _ => false,
        };
        if not_yet && ids.iter().any(|id| self.has(id, now)) {
            return Fault::Transient {
                message: format!("{fault} (made a moment ago)"),
            };
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_made_is_not_missing_yet() {
        let mut fresh = Fresh::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        fresh.made("p", at(0));
        let missing = || Fault::Missing {
            message: "Project not found".into(),
        };
        let denied = || Fault::Denied {
            message: "Not Authorized".into(),
        };
        let class = |fault, ids: &[&str], now| fresh.soften(fault, ids, at(now)).class();
        assert_eq!(class(missing(), &["e", "p"], 89), "Transient");
        assert_eq!(class(denied(), &["p"], 1), "Transient");
        assert_eq!(class(missing(), &["p"], 90), "Missing");
        assert_eq!(class(missing(), &["q"], 1), "Missing");
        let refused = Fault::Denied {
            message: "Railway answered HTTP 401: the token is refused".into(),
        };
        assert_eq!(class(refused, &["p"], 1), "Denied");
    }
}
