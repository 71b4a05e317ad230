//! The hour's budget of an account, and the times in which Railway wants to hear nothing.
//!
//! What holds: a request leaves only while Railway has not told us to stop, our own count of this hour is below what
//! the account allows, and the token it goes out under has something left by Railway's last word. What Railway tells
//! counts for the token that it was told to (`facts/railway.md` 1.3: nobody knows whether the limit is the token's or
//! the workspace's); with one token left that has budget, work goes on. The last tenth of an hour is not spent on
//! watching, the last twentieth not on filling pools: stopping a bill must not wait for the next hour.

use super::account::Class;
use crate::model::Fault;
use crate::wire::later;
use jiff::{SignedDuration, Timestamp};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// How long "nothing left" is believed where Railway does not say until when.
const UNDATED: SignedDuration = SignedDuration::from_secs(60);

/// What is left of an account's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests a window, an hour as a rule.
    pub limit: u32,
    /// Requests left in it.
    pub remaining: u32,
    /// When the window ends, once there is one.
    pub resets_at: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Allowance {
    per_hour: u32,
    began: Option<Timestamp>,
    used: u32,
    told: Vec<Option<LastWord>>,
    stopped: Option<Stop>,
}

#[derive(Clone, Copy, Debug)]
struct LastWord {
    budget: Budget,
    at: Timestamp,
}

#[derive(Clone, Debug)]
struct Stop {
    until: Timestamp,
    why: String,
}

impl LastWord {
    /// Until when this is Railway's last word.
    fn expires(&self) -> Timestamp {
        match self.budget.resets_at {
            Some(at) => at,
            None if self.budget.remaining == 0 => later(self.at, UNDATED),
            None => later(self.at, HOUR),
        }
    }
}

impl Allowance {
    pub(super) fn new(per_hour: u32, tokens: usize) -> Allowance {
        Allowance {
            per_hour,
            began: None,
            used: 0,
            told: vec![None; tokens],
            stopped: None,
        }
    }

    pub(super) fn adjust(&mut self, per_hour: u32) {
        self.per_hour = per_hour;
    }

    /// Other tokens: what was told to the old ones is void, our own count is not.
    pub(super) fn tokens_replaced(&mut self, tokens: usize) {
        self.told = vec![None; tokens];
        self.stopped = None;
    }

    /// Railway wants to hear nothing until then.
    pub(super) fn stop(&mut self, until: Timestamp, why: &str) {
        if self.stopped.as_ref().is_none_or(|stop| stop.until < until) {
            let why = why.to_owned();
            self.stopped = Some(Stop { until, why });
        }
    }

    /// Railway's word on a token's budget.
    pub(super) fn told(&mut self, token: usize, budget: Budget, now: Timestamp) {
        if let Some(told) = self.told.get_mut(token) {
            *told = Some(LastWord { budget, at: now });
        }
    }

    /// Whether anything may be sent at all now.
    fn open(&self, now: Timestamp) -> Result<(), Fault> {
        match &self.stopped {
            Some(stop) if now < stop.until => Err(Fault::Throttled {
                until: stop.until,
                message: stop.why.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes one request out of the budget of the first of these tokens that has one left, and says which.
    pub(super) fn spend(
        &mut self,
        class: Class,
        tokens: &[usize],
        now: Timestamp,
    ) -> Result<usize, Fault> {
        let token = self.choose(class, tokens, now)?;
        self.take(token, now);
        Ok(token)
    }

    /// Which token a request would be sent with now, or why none.
    pub(super) fn choose(
        &self,
        class: Class,
        tokens: &[usize],
        now: Timestamp,
    ) -> Result<usize, Fault> {
        self.open(now)?;
        self.enough(class, self.own(now))?;
        let mut refusal = None;
        for &token in tokens {
            match self.last_word(token, now) {
                None => return Ok(token),
                Some(budget) => match self.enough(class, budget) {
                    Ok(()) => return Ok(token),
                    Err(fault) => refusal = Some(sooner(refusal, fault)),
                },
            }
        }
        Err(refusal.unwrap_or_else(|| Fault::Denied {
            message: "no token of this account is accepted".to_owned(),
        }))
    }

    fn take(&mut self, token: usize, now: Timestamp) {
        if self.began.is_none_or(|began| later(began, HOUR) <= now) {
            self.began = Some(now);
            self.used = 0;
        }
        self.used = self.used.saturating_add(1);
        if let Some(Some(told)) = self.told.get_mut(token) {
            told.budget.remaining = told.budget.remaining.saturating_sub(1);
        }
    }

    fn enough(&self, class: Class, budget: Budget) -> Result<(), Fault> {
        let reserve = match class {
            Class::Poll => budget.limit / 10,
            Class::Fill => budget.limit / 20,
            _ => 0,
        };
        if budget.remaining > reserve {
            return Ok(());
        }
        Err(Fault::Throttled {
            until: budget.resets_at.unwrap_or(Timestamp::MAX),
            message: format!(
                "{} of {} requests of this hour are left, not to be spent on this",
                budget.remaining, budget.limit
            ),
        })
    }

    /// By our own count.
    fn own(&self, now: Timestamp) -> Budget {
        let ends = self
            .began
            .map(|began| later(began, HOUR))
            .filter(|ends| *ends > now);
        let used = if ends.is_some() { self.used } else { 0 };
        Budget {
            limit: self.per_hour,
            remaining: self.per_hour.saturating_sub(used),
            resets_at: ends,
        }
    }

    /// By Railway's last word to this token, while that holds.
    fn last_word(&self, token: usize, now: Timestamp) -> Option<Budget> {
        let told = self.told.get(token).copied().flatten()?;
        (told.expires() > now).then_some(Budget {
            resets_at: Some(told.expires()),
            ..told.budget
        })
    }

    /// The tightest of what we count and what Railway says.
    pub(super) fn budget(&self, now: Timestamp) -> Budget {
        (0..self.told.len())
            .filter_map(|token| self.last_word(token, now))
            .chain([self.own(now)])
            .min_by_key(|budget| budget.remaining)
            .unwrap_or_else(|| self.own(now))
    }
}

/// The refusal that ends first.
fn sooner(one: Option<Fault>, other: Fault) -> Fault {
    match (&one, &other) {
        (Some(Fault::Throttled { until, .. }), Fault::Throttled { until: later, .. })
            if until <= later =>
        {
            one.unwrap_or(other)
        }
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn budget(limit: u32, remaining: u32, resets: Option<i64>) -> Budget {
        Budget {
            limit,
            remaining,
            resets_at: resets.map(at),
        }
    }

    #[test]
    fn our_own_count_ends_an_hour_and_the_next_begins() {
        let mut allowance = Allowance::new(3, 1);
        for second in 0..3 {
            assert_eq!(allowance.spend(Class::User, &[0], at(second)), Ok(0));
        }
        let refused = allowance.spend(Class::StopBilling, &[0], at(3));
        assert!(matches!(refused, Err(Fault::Throttled { until, .. }) if until == at(3600)));
        assert_eq!(allowance.budget(at(3)), budget(3, 0, Some(3600)));
        assert_eq!(allowance.spend(Class::User, &[0], at(3600)), Ok(0));
        assert_eq!(allowance.budget(at(3600)), budget(3, 2, Some(7200)));
    }

    #[test]
    fn railways_word_counts_for_its_token_until_the_reset() {
        let mut allowance = Allowance::new(10_000, 2);
        allowance.told(0, budget(1000, 0, Some(60)), at(0));
        assert_eq!(allowance.spend(Class::User, &[0, 1], at(1)), Ok(1));
        allowance.told(1, budget(1000, 0, Some(40)), at(1));
        let refused = allowance.spend(Class::User, &[0, 1], at(2));
        assert!(matches!(refused, Err(Fault::Throttled { until, .. }) if until == at(40)));
        assert_eq!(allowance.spend(Class::User, &[0, 1], at(41)), Ok(1));
        assert_eq!(allowance.spend(Class::User, &[0, 1], at(61)), Ok(0));
    }

    #[test]
    fn nothing_left_without_a_date_is_believed_for_a_minute() {
        let mut allowance = Allowance::new(10_000, 1);
        allowance.told(0, budget(1000, 0, None), at(0));
        assert!(allowance.spend(Class::StopBilling, &[0], at(59)).is_err());
        assert!(allowance.spend(Class::StopBilling, &[0], at(60)).is_ok());
    }

    #[test]
    fn the_end_of_an_hour_is_kept_for_what_matters() {
        let mut allowance = Allowance::new(10_000, 1);
        allowance.told(0, budget(1000, 80, Some(600)), at(0));
        assert!(allowance.spend(Class::Poll, &[0], at(1)).is_err());
        assert!(allowance.spend(Class::Fill, &[0], at(1)).is_ok());
        allowance.told(0, budget(1000, 50, Some(600)), at(1));
        assert!(allowance.spend(Class::Fill, &[0], at(2)).is_err());
        for _ in 0..50 {
            assert!(allowance.spend(Class::StopBilling, &[0], at(2)).is_ok());
        }
        assert!(allowance.spend(Class::StopBilling, &[0], at(2)).is_err());
    }

    #[test]
    fn a_stop_stops_all_classes_and_is_not_shortened() {
        let mut allowance = Allowance::new(10_000, 1);
        allowance.stop(at(60), "too many requests");
        allowance.stop(at(30), "too many requests");
        for class in [Class::StopBilling, Class::Claim, Class::Poll] {
            let refused = allowance.spend(class, &[0], at(59));
            assert!(matches!(refused, Err(Fault::Throttled { until, .. }) if until == at(60)));
        }
        assert!(allowance.spend(Class::Poll, &[0], at(60)).is_ok());
        allowance.stop(at(300), "too many requests");
        allowance.tokens_replaced(1);
        assert!(allowance.spend(Class::Poll, &[0], at(61)).is_ok());
    }

    #[test]
    fn an_account_without_a_good_token_is_denied() {
        let mut allowance = Allowance::new(10_000, 0);
        let refused = allowance.spend(Class::User, &[], at(0));
        assert!(matches!(refused, Err(Fault::Denied { .. })));
    }
}
