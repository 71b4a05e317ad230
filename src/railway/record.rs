//! What became of an account's requests: counters, and whether the account is in trouble.
//!
//! What holds: trouble is several failures in a row that are the account's or Railway's and not the request's, and one
//! success ends it. A refusal of one request (not found, invalid, a creation throttle) says nothing either way.

use crate::model::Fault;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// So many failures in a row are trouble.
const RUN: u32 = 3;

/// How an account does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works, as far as is known.
    Fine,
    /// It does not.
    Trouble {
        /// The first failure of the run.
        since: Timestamp,
        /// The last failure's class, as `Fault::class` has it.
        class: &'static str,
        /// The last failure's message.
        message: String,
    },
}

/// How many requests of a kind ended in a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Railway's root field.
    pub operation: &'static str,
    /// `Done`, or the fault's class.
    pub outcome: &'static str,
    /// How many, since this process began.
    pub count: u64,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    counts: BTreeMap<(&'static str, &'static str), u64>,
    run: Option<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    since: Timestamp,
    failures: u32,
    class: &'static str,
    message: String,
}

impl Record {
    pub(super) fn success(&mut self, operation: &'static str) {
        *self.counts.entry((operation, "Done")).or_default() += 1;
        self.run = None;
    }

    /// `trouble`: whether it tells against the account and not only against the request.
    pub(super) fn failure(
        &mut self,
        operation: &'static str,
        fault: &Fault,
        trouble: bool,
        now: Timestamp,
    ) {
        *self.counts.entry((operation, fault.class())).or_default() += 1;
        if trouble {
            let run = self.run.get_or_insert(Run {
                since: now,
                failures: 0,
                class: "",
                message: String::new(),
            });
            run.failures += 1;
            run.class = fault.class();
            run.message = fault.to_string();
        }
    }

    pub(super) fn standing(&self) -> Standing {
        match &self.run {
            Some(run) if run.failures >= RUN => Standing::Trouble {
                since: run.since,
                class: run.class,
                message: run.message.clone(),
            },
            _ => Standing::Fine,
        }
    }

    pub(super) fn counts(&self) -> Vec<Count> {
        self.counts
            .iter()
            .map(|(&(operation, outcome), &count)| Count {
                operation,
                outcome,
                count,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_a_run_of_failures_and_one_success_ends_it() {
        let mut record = Record::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let fault = || Fault::Transient {
            message: "connection refused".into(),
        };
        let missing = Fault::Missing {
            message: "Project not found".into(),
        };
        record.failure("projects", &fault(), true, at(1));
        record.failure("projects", &fault(), true, at(2));
        record.failure("project", &missing, false, at(3));
        assert_eq!(record.standing(), Standing::Fine);
        record.failure("projects", &fault(), true, at(4));
        assert_eq!(
            record.standing(),
            Standing::Trouble {
                since: at(1),
                class: "Transient",
                message: "connection refused".into()
            }
        );
        record.success("project");
        assert_eq!(record.standing(), Standing::Fine);
        let count = |operation, outcome, count| Count {
            operation,
            outcome,
            count,
        };
        assert_eq!(
            record.counts(),
            [
                count("project", "Done", 1),
                count("project", "Missing", 1),
                count("projects", "Transient", 3)
            ]
        );
    }
}
