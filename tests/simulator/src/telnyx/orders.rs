//! Orders: pending until their time has come, then success, when their numbers begin to exist, or failure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::numbers::Number;
use super::{Account, Offer, seen_after};
use crate::clock::{after, text};
use crate::identity;
use crate::settings::Settings;

pub(super) struct Order {
    pub id: String,
    pub reference: Option<String>,
    /// Telnyx splits an order by country and kind; here each order has one part.
    pub part: String,
    pub lines: Vec<Line>,
    pub profile: Option<String>,
    connection: Option<String>,
    billing_group: Option<String>,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub ends_at: Timestamp,
    pub fails: bool,
    pub cancelled_at: Option<Timestamp>,
}

/// One number of an order. Its id is not that of the number.
pub(super) struct Line {
    id: String,
    pub phone: String,
    offer: Offer,
}

impl Order {
    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        match self.cancelled_at {
            Some(_) => "failure",
            None if now < self.ends_at => "pending",
            None if self.fails => "failure",
            None => "success",
        }
    }

    pub(super) fn is_pending(&self, now: Timestamp) -> bool {
        self.status(now) == "pending"
    }

    /// As the list has it.
    pub(super) fn json(&self, now: Timestamp) -> Value {
        let mut order = json!({
            "id": self.id,
            "record_type": "number_order",
            "status": self.status(now),
            "phone_numbers_count": self.lines.len(),
            "phone_numbers": self.lines.iter().map(|line| json!({ "id": line.id, "phone_number": line.phone })).collect::<Value>(),
            "sub_number_orders_ids": [self.part],
            "requirements_met": true,
            "created_at": text(self.created_at),
            "updated_at": text(self.updated_at(now)),
        });
        for (name, value) in [
            ("customer_reference", &self.reference),
            ("messaging_profile_id", &self.profile),
            ("connection_id", &self.connection),
            ("billing_group_id", &self.billing_group),
        ] {
            if let Some(value) = value {
                order[name] = json!(value);
            }
        }
        order
    }

    /// As it is by itself: the lines have more to say.
    pub(super) fn whole(&self, now: Timestamp) -> Value {
        let mut order = self.json(now);
        let line = |line: &Line| {
            json!({
                "id": line.id,
                "record_type": "number_order_phone_number",
                "phone_number": line.phone,
                "country_code": line.offer.country,
                "country_iso_alpha2": line.offer.country,
                "phone_number_type": line.offer.kind,
                "regulatory_requirements": [],
                "requirements_met": true,
                "requirements_status": "approved",
                "status": self.status(now),
            })
        };
        order["phone_numbers"] = self.lines.iter().map(line).collect();
        order
    }

    /// The part that can be cancelled.
    pub(super) fn part(&self, now: Timestamp) -> Value {
        let first = self.lines.first();
        let mut part = json!({
            "id": self.part,
            "order_request_id": self.id,
            "record_type": "sub_number_order",
            "country_code": first.map_or("US", |line| line.offer.country.as_str()),
            "phone_number_type": first.map_or("local", |line| line.offer.kind.as_str()),
            "phone_numbers_count": self.lines.len(),
            "is_block_sub_number_order": false,
            "regulatory_requirements": [],
            "requirements_met": true,
            "status": self.status(now),
            "created_at": text(self.created_at),
            "updated_at": text(self.updated_at(now)),
        });
        if let Some(reference) = &self.reference {
            part["customer_reference"] = json!(reference);
        }
        part
    }

    fn updated_at(&self, now: Timestamp) -> Timestamp {
        let ended = (self.ends_at <= now).then_some(self.ends_at);
        self.cancelled_at.or(ended).unwrap_or(self.created_at)
    }
}

/// What is wrong with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Empty,
    /// No search has shown this number to the account.
    NotSearched,
    NoProfile,
}

impl Account {
    /// Places an order. Whether somebody else has its numbers is for the caller to know.
    pub(super) fn order(
        &mut self,
        wish: &Value,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<&Order, Wrong> {
        let given = |name: &str| wish[name].as_str().map(str::to_owned);
        let profile = given("messaging_profile_id");
        if profile.as_deref().is_some_and(|id| !self.has_profile(id)) {
            return Err(Wrong::NoProfile);
        }
        let mut lines = Vec::new();
        for phone in phones(wish) {
            let offer = self.offered.get(phone).ok_or(Wrong::NotSearched)?;
            lines.push(Line {
                id: identity::uuid(),
                phone: phone.to_owned(),
                offer: offer.clone(),
            });
        }
        if lines.is_empty() {
            return Err(Wrong::Empty);
        }
        let order = Order {
            id: identity::uuid(),
            reference: given("customer_reference"),
            part: identity::uuid(),
            lines,
            profile,
            connection: given("connection_id"),
            billing_group: given("billing_group_id"),
            created_at: now,
            seen_at: seen_after(settings, now),
            ends_at: after(now, settings.telnyx_order_time),
            fails: settings.telnyx_order_fails,
            cancelled_at: None,
        };
        if !order.fails {
            self.fill(&order, settings);
        }
        self.orders.push(order);
        self.orders.last().ok_or(Wrong::Empty)
    }

    /// The numbers of an order, from the moment when it ends.
    pub(super) fn fill(&mut self, order: &Order, settings: &Settings) {
        for line in &order.lines {
            let mut number = Number::new(&line.phone, &line.offer, order.ends_at);
            number.order = Some(order.id.clone());
            number.seen_at = seen_after(settings, order.ends_at);
            number.profile = order.profile.clone();
            number.connection = order.connection.clone();
            number.billing_group = order.billing_group.clone();
            if settings.telnyx_copies_reference {
                number.reference = order.reference.clone();
            }
            self.numbers.push(number);
        }
    }

    /// Takes back what a pending order was to bring.
    pub(super) fn empty(&mut self, order: &str) {
        self.numbers
            .retain(|number| number.order.as_deref() != Some(order));
    }
}

/// The numbers that an order wishes for.
pub(super) fn phones(wish: &Value) -> impl Iterator<Item = &str> {
    let lines = wish["phone_numbers"].as_array().into_iter().flatten();
    lines.filter_map(|line| line["phone_number"].as_str())
}
