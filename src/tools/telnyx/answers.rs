//! What Telnyx answers, as far as it is used, and what it means in the words of `model`.
//!
//! What holds: a status that nobody has seen before is "not yet", neither usable nor gone. `v1_secret` of a profile is
//! never read.

use crate::model::slot::Part;
use crate::model::tool::{Resource, Stage};
use serde::Deserialize;

/// A number by its own digits.
pub(super) fn number(id: &str, name: &str, stage: Stage) -> Resource {
    Resource {
        address: Some(id.to_owned()),
        ..Resource::bare(Part::Main, id.to_owned(), name.to_owned(), stage)
    }
}

pub(super) fn pending(why: &str) -> Stage {
    Stage::Pending {
        why: why.to_owned(),
    }
}

/// Of a messaging profile, whose it is.
#[derive(Deserialize)]
pub(super) struct Owned {
    pub(super) organization_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NumberedPage<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Default, Deserialize)]
pub(super) struct Meta {
    pub(super) total_pages: Option<usize>,
    pub(super) total_results: Option<usize>,
}

/// A number that can be ordered.
#[derive(Deserialize)]
pub(super) struct Available {
    pub(super) phone_number: String,
    /// Not quite what was searched for.
    #[serde(default)]
    pub(super) best_effort: bool,
    cost_information: Option<Cost>,
}

#[derive(Deserialize)]
struct Cost {
    upfront_cost: Option<String>,
    monthly_cost: Option<String>,
    currency: Option<String>,
}

impl Available {
    /// What it costs a month, and once. `None` where a price is not told, or not in US dollars: then nobody can say that it
    /// is within the limit.
    pub(super) fn usd(&self) -> Option<(f64, f64)> {
        let cost = self.cost_information.as_ref()?;
        let dollars = cost
            .currency
            .as_deref()
            .is_none_or(|currency| currency == "USD");
        let price = |told: &Option<String>| {
            let price: f64 = told.as_deref()?.parse().ok()?;
            (dollars && price.is_finite() && price >= 0.0).then_some(price)
        };
        Some((price(&cost.monthly_cost)?, price(&cost.upfront_cost)?))
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderState {
    Pending,
    Filled,
    Failed,
}

#[derive(Deserialize)]
pub(super) struct NumberOrder {
    pub(super) id: String,
    status: Option<String>,
    #[serde(default)]
    phone_numbers: Vec<OrderedNumber>,
    requirements_met: Option<bool>,
    pub(super) customer_reference: Option<String>,
    pub(super) created_at: Option<String>,
}

#[derive(Deserialize)]
struct OrderedNumber {
    phone_number: String,
}

impl NumberOrder {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn state(&self) -> OrderState {
        match self.status.as_deref() {
            Some("success") => OrderState::Filled,
            Some("failure") => OrderState::Failed,
            _ => OrderState::Pending,
        }
    }

    /// What a pending order waits for.
    pub(super) fn waits_for(&self) -> &'static str {
        match self.requirements_met {
            Some(false) => {
                "the order waits for documents that the number's country requires; give them at Telnyx"
            }
            _ => "Telnyx is still working on the order",
        }
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = &str> {
        self.phone_numbers
            .iter()
            .map(|line| line.phone_number.as_str())
    }

    pub(super) fn holds(&self, number: &str) -> bool {
        self.numbers().any(|one| one == number)
    }
}

#[derive(Deserialize)]
pub(super) struct SubOrder {
    pub(super) id: String,
}

/// A number of the account.
#[derive(Deserialize)]
pub(super) struct Number {
    pub(super) id: String,
    pub(super) phone_number: String,
    status: String,
    customer_reference: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) messaging_profile_id: Option<String>,
    #[serde(default)]
    pub(super) deletion_lock_enabled: bool,
    created_at: Option<String>,
}

impl Number {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn reference(&self) -> &str {
        self.customer_reference.as_deref().unwrap_or_default()
    }

    /// Whether it can be the one of this name. One without a reference can: an order's does not always come to its
    /// number. Without a name it was taken over by its number, whatever it bears.
    pub(super) fn may_be(&self, key: &str) -> bool {
        key.is_empty() || self.reference().is_empty() || self.reference() == key
    }

    /// Listed, and not the account's any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(
            self.status.as_str(),
            "deleted" | "ported-out" | "purchase-failed"
        )
    }

    pub(super) fn stage(&self) -> Stage {
        match self.status.as_str() {
            "active" => Stage::Ready,
            "port-failed" => Stage::Failed {
                why: "the number could not be brought to Telnyx".to_owned(),
            },
            status => pending(&format!("Telnyx says {status}")),
        }
    }

    pub(super) fn resource(&self, stage: Stage) -> Resource {
        Resource {
            created: self.created_at.as_deref().and_then(|at| at.parse().ok()),
            ..number(&self.phone_number, self.reference(), stage)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Profile {
    id: String,
    #[serde(default)]
    pub(super) name: String,
    created_at: Option<String>,
}

impl Profile {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn resource(self) -> Resource {
        Resource {
            created: self.created_at.as_deref().and_then(|at| at.parse().ok()),
            ..Resource::bare(Part::Profile, self.id, self.name, Stage::Ready)
        }
    }
}
