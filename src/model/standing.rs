//! How an account does, by what became of its requests.
//!
//! What holds: trouble is several failures in a row that tell against the account or its provider and not against one
//! request, and one success ends it. Which failures do is the business of whoever knows the provider's refusals.

use super::Fault;
use jiff::Timestamp;

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
        /// The last failure's message.
        message: String,
    },
}

/// The failures since the last success.
#[derive(Debug, Default)]
pub struct Run {
    failures: u32,
    first: Option<Timestamp>,
    last: String,
}

impl Run {
    /// A request failed in a way that tells against the account.
    pub fn failed(&mut self, fault: &Fault, now: Timestamp) {
        self.failures += 1;
        self.first.get_or_insert(now);
        fault.message().clone_into(&mut self.last);
    }

    /// A request succeeded.
    pub fn ended(&mut self) {
        *self = Run::default();
    }

    /// How the account does.
    pub fn standing(&self) -> Standing {
        match self.first {
            Some(since) if self.failures >= RUN => Standing::Trouble {
                since,
                message: self.last.clone(),
            },
            _ => Standing::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_a_run_of_failures_and_one_success_ends_it() {
        let mut run = Run::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let fault = |message: &str| Fault::Transient {
            message: message.into(),
        };
        run.failed(&fault("refused"), at(1));
        run.failed(&fault("refused"), at(2));
        assert_eq!(run.standing(), Standing::Fine);
        run.failed(&fault("reset"), at(4));
        let (since, message) = (at(1), "reset".to_owned());
        assert_eq!(run.standing(), Standing::Trouble { since, message });
        run.ended();
        assert_eq!(run.standing(), Standing::Fine);
    }
}
