//! A key: its limits, what was spent with it, and how OpenRouter shows it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::text;
use crate::identity;

/// When a limit is full again: at midnight UTC, and weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Period {
    Daily,
    Weekly,
    Monthly,
}

impl Period {
    /// How often within a month, at most.
    fn times_a_month(self) -> f64 {
        match self {
            Self::Daily => 31.0,
            Self::Weekly => 5.0,
            Self::Monthly => 1.0,
        }
    }

    fn begun(self, now: Timestamp) -> Timestamp {
        let today = now.to_zoned(TimeZone::UTC).date();
        let first: Date = match self {
            Self::Daily => today,
            Self::Weekly => {
                let weekday = today.weekday().to_monday_zero_offset();
                today.saturating_sub(i64::from(weekday).days())
            }
            Self::Monthly => today.first_of_month(),
        };
        first
            .to_zoned(TimeZone::UTC)
            .map_or(now, |midnight| midnight.timestamp())
    }
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub hash: String,
    /// What an agent signs in with. It is shown once, in the answer to the creation.
    pub secret: String,
    pub name: String,
    pub disabled: bool,
    pub limit: Option<f64>,
    pub limit_reset: Option<Period>,
    pub include_byok_in_limit: bool,
    pub expires_at: Option<Timestamp>,
    pub workspace_id: String,
    pub creator_user_id: String,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
    /// When, and how many USD.
    pub spent: Vec<(Timestamp, f64)>,
}

impl Key {
    pub(super) fn new(name: String, workspace_id: String, creator: String, now: Timestamp) -> Self {
        Self {
            // The real hash is not the SHA-256 of the key either.
            hash: identity::long(),
            secret: format!("sk-or-v1-{}", identity::long()),
            name,
            disabled: false,
            limit: None,
            limit_reset: None,
            include_byok_in_limit: false,
            expires_at: None,
            workspace_id,
            creator_user_id: creator,
            created_at: now,
            updated_at: None,
            spent: Vec::new(),
        }
    }

    /// Does it open anything?
    pub(super) fn works(&self, now: Timestamp) -> bool {
        !self.disabled && self.expires_at.is_none_or(|end| now < end)
    }

    pub(super) fn usage(&self) -> f64 {
        self.spent.iter().map(|(_, usd)| usd).sum()
    }

    /// Makes `usage` the total, spent at this moment as far as it is new.
    pub(super) fn set_usage(&mut self, usage: f64, now: Timestamp) {
        self.spent.push((now, usage - self.usage()));
    }

    fn usage_of(&self, period: Period, now: Timestamp) -> f64 {
        let begun = period.begun(now);
        let own = self.spent.iter().filter(|(at, _)| *at >= begun);
        own.map(|(_, usd)| usd).sum()
    }

    /// What it can cost within a month at most: its limit as often as that comes back, and what is left of one that never does.
    /// One without a limit says nothing.
    pub(super) fn can_cost_a_month(&self) -> f64 {
        let limit = self.limit.unwrap_or(0.0);
        match self.limit_reset {
            Some(period) => limit * period.times_a_month(),
            None => (limit - self.usage()).max(0.0),
        }
    }

    /// What was spent with it since the month began.
    pub(super) fn spent_in_month(&self, now: Timestamp) -> f64 {
        self.usage_of(Period::Monthly, now)
    }

    /// What is left of its limit, where it has one.
    pub(super) fn remaining(&self, now: Timestamp) -> Option<f64> {
        let used = match self.limit_reset {
            Some(period) => self.usage_of(period, now),
            None => self.usage(),
        };
        self.limit.map(|limit| (limit - used).max(0.0))
    }

    /// What `GET /key` and the key object have in common.
    pub(super) fn budget(&self, now: Timestamp) -> Value {
        json!({
            "label": masked(&self.secret),
            "limit": self.limit,
            "limit_remaining": self.remaining(now),
            "limit_reset": self.limit_reset,
            "include_byok_in_limit": self.include_byok_in_limit,
            "usage": self.usage(),
            "usage_daily": self.usage_of(Period::Daily, now),
            "usage_weekly": self.usage_of(Period::Weekly, now),
            "usage_monthly": self.usage_of(Period::Monthly, now),
            "byok_usage": 0,
            "byok_usage_daily": 0,
            "byok_usage_weekly": 0,
            "byok_usage_monthly": 0,
            "creator_user_id": self.creator_user_id,
            "expires_at": self.expires_at.map(text),
        })
    }

    /// The key object of the management API.
    pub(super) fn json(&self, now: Timestamp) -> Value {
        let mut shown = self.budget(now);
        let more = json!({
            "hash": self.hash,
            "name": self.name,
            "disabled": self.disabled,
            "workspace_id": self.workspace_id,
            "created_at": text(self.created_at),
            "updated_at": self.updated_at.map(text),
        });
        if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
            shown.extend(more);
        }
        shown
    }
}

/// `sk-or-v1-0e6...1c96`
fn masked(secret: &str) -> String {
    let head: String = secret.chars().take("sk-or-v1-".len() + 3).collect();
    format!("{head}...{}", &secret[secret.len().saturating_sub(4)..])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Key, Period, masked};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_label_hides_the_key() {
        assert_eq!(masked("sk-or-v1-0e6f44a1c96"), "sk-or-v1-0e6...1c96");
    }

    #[test]
    fn a_key_works_until_it_expires_or_is_disabled() {
        let now = at("2026-11-20T10:00:00Z");
        let mut key = Key::new("a".to_owned(), String::new(), String::new(), now);
        assert!(key.works(now));
        key.expires_at = Some(at("2026-11-20T10:00:01Z"));
        assert!(key.works(now) && !key.works(at("2026-11-20T10:00:01Z")));
        key.disabled = true;
        assert!(!key.works(now));
    }

    #[test]
    fn a_limit_that_resets_comes_back_on_monday() {
        let now = at("2026-11-20T10:00:00Z"); // a Friday
        let mut key = Key::new("a".to_owned(), String::new(), String::new(), now);
        (key.limit, key.limit_reset) = (Some(5.0), Some(Period::Weekly));
        key.set_usage(4.0, now);
        let remaining = |now| key.budget(at(now))["limit_remaining"].as_f64();
        assert_eq!(remaining("2026-11-22T23:59:59Z"), Some(1.0));
        assert_eq!(remaining("2026-11-23T00:00:00Z"), Some(5.0));
        let later = key.json(at("2026-11-23T00:00:00Z"));
        assert_eq!(later["usage"], 4.0);
        assert_eq!(
            (&later["usage_weekly"], &later["usage_monthly"]),
            (&0.0.into(), &4.0.into())
        );
    }
}
