//! Phone numbers: what is recorded of one, and which of them a listing shows.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Account, Offer};
use crate::clock::text;
use crate::rest::Call;
use crate::settings::Settings;

pub(super) struct Number {
    /// 19 digits.
    pub id: String,
    /// E.164, with the plus.
    pub phone: String,
    country: String,
    kind: String,
    pub order: Option<String>,
    pub reference: Option<String>,
    pub tags: Vec<String>,
    pub profile: Option<String>,
    pub connection: Option<String>,
    pub billing_group: Option<String>,
    pub pin: Option<String>,
    pub hd_voice: bool,
    pub locked: bool,
    pub usd: f64,
    /// It does not exist before.
    pub since: Timestamp,
    pub seen_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

impl Number {
    pub(super) fn new(phone: &str, offer: &Offer, since: Timestamp) -> Self {
        let digits = rand::random::<u64>() % 1_000_000_000_000_000_000;
        Self {
            id: format!("{}", 1_000_000_000_000_000_000 + digits),
            phone: phone.to_owned(),
            country: offer.country.clone(),
            kind: offer.kind.clone(),
            order: None,
            reference: None,
            tags: Vec::new(),
            profile: None,
            connection: None,
            billing_group: None,
            pin: None,
            hd_voice: false,
            locked: false,
            usd: offer.monthly_cost,
            since,
            seen_at: since,
            updated_at: since,
            deleted_at: None,
        }
    }

    pub(super) fn is_owned(&self, now: Timestamp) -> bool {
        self.since <= now && self.deleted_at.is_none()
    }

    pub(super) fn status(&self) -> &'static str {
        match self.deleted_at {
            Some(_) => "deleted",
            None => "active",
        }
    }

    pub(super) fn json(&self, account: &Account) -> Value {
        let profile = self.profile.as_deref().and_then(|id| {
            let mut profiles = account.profiles.iter();
            profiles.find(|profile| profile.id == id)
        });
        json!({
            "id": self.id,
            "record_type": "phone_number",
            "phone_number": self.phone,
            "country_iso_alpha2": self.country,
            "phone_number_type": self.kind,
            "status": self.status(),
            "tags": self.tags,
            "external_pin": self.pin,
            "customer_reference": self.reference,
            "connection_id": self.connection,
            "connection_name": null,
            "billing_group_id": self.billing_group,
            "messaging_profile_id": self.profile,
            "messaging_profile_name": profile.map(|profile| profile.name()),
            "emergency_enabled": false,
            "emergency_address_id": null,
            "emergency_status": "disabled",
            "call_forwarding_enabled": true,
            "call_recording_enabled": false,
            "caller_id_name_enabled": false,
            "cnam_listing_enabled": false,
            "t38_fax_gateway_enabled": false,
            "hd_voice_enabled": self.hd_voice,
            "inbound_call_screening": "disabled",
            "deletion_lock_enabled": self.locked,
            "source_type": "number_order",
            "activated_at": text(self.since),
            "purchased_at": text(self.since),
            "created_at": text(self.since),
            "updated_at": text(self.updated_at),
        })
    }

    /// The final record that a deletion answers: it has no nulls.
    pub(super) fn last_words(&self, account: &Account) -> Value {
        let mut record = self.json(account);
        if let Value::Object(fields) = &mut record {
            fields.retain(|_, value| !value.is_null());
        }
        record
    }

    /// The same number as messaging knows it.
    pub(super) fn messaging(&self) -> Value {
        let kind = match self.kind.as_str() {
            "toll_free" => "toll-free",
            _ => "long-code",
        };
        let both_ways = json!({
            "domestic_two_way": true,
            "international_inbound": true,
            "international_outbound": false,
        });
        json!({
            "id": self.id,
            "record_type": "messaging_settings",
            "phone_number": self.phone,
            "country_code": self.country,
            "type": kind,
            "messaging_profile_id": self.profile,
            "messaging_product": "A2P",
            "eligible_messaging_products": ["A2P"],
            "traffic_type": "A2P",
            "features": { "sms": both_ways, "mms": null },
            "tags": self.tags,
            "created_at": text(self.since),
            "updated_at": text(self.updated_at),
        })
    }

    pub(super) fn edit(&mut self, edit: &Value, now: Timestamp) {
        let given = |name: &str| edit[name].as_str().map(str::to_owned);
        self.reference = given("customer_reference").or_else(|| self.reference.take());
        self.connection = given("connection_id").or_else(|| self.connection.take());
        self.billing_group = given("billing_group_id").or_else(|| self.billing_group.take());
        self.pin = given("external_pin").or_else(|| self.pin.take());
        self.hd_voice = edit["hd_voice_enabled"].as_bool().unwrap_or(self.hd_voice);
        if let Some(tags) = edit["tags"].as_array() {
            // The list is replaced, not added to.
            let tags = tags.iter().filter_map(Value::as_str);
            self.tags = tags.map(str::to_owned).collect();
        }
        self.updated_at = now;
    }

    /// Does a listing with these filters show it?
    fn passes(&self, call: &Call) -> bool {
        let is = |name: &str, own: Option<&str>| {
            call.query(&format!("filter[{name}]"))
                .is_none_or(|wanted| own == Some(wanted))
        };
        let digits = call.query("filter[phone_number]").is_none_or(|wanted| {
            // A plus sign in it finds nothing, as at Telnyx.
            wanted.len() >= 3
                && wanted.chars().all(|digit| digit.is_ascii_digit())
                && self.phone.contains(wanted)
        });
        let tagged = call
            .query("filter[tag]")
            .is_none_or(|wanted| self.tags.iter().any(|tag| tag == wanted));
        let untagged = call.query("filter[without_tags]") == Some("true");
        digits
            && tagged
            && (!untagged || self.tags.is_empty())
            && is("customer_reference", self.reference.as_deref())
            && is("status", Some(self.status()))
            && is("connection_id", self.connection.as_deref())
            && is("billing_group_id", self.billing_group.as_deref())
            && is("country_iso_alpha2", Some(&self.country))
            && is("source", Some("purchased"))
            && is("number_type][eq", Some(&self.kind))
    }
}

impl Account {
    /// The numbers that can be seen, newest first.
    pub(super) fn listed(&self, call: &Call, settings: &Settings, now: Timestamp) -> Vec<&Number> {
        let shown = |number: &&Number| {
            number.seen_at <= now
                && number.since <= now
                && (number.deleted_at.is_none() || settings.telnyx_lists_deleted)
                && number.passes(call)
        };
        self.numbers.iter().rev().filter(shown).collect()
    }

    /// Where the number with this id or, as clients write it too, in E.164 is; living ones before deleted ones.
    pub(super) fn number(&self, id: &str, settings: &Settings, now: Timestamp) -> Option<usize> {
        let is = |number: &Number| {
            (number.id == id || number.phone == id) && number.seen_at <= now && number.since <= now
        };
        let living = |number: &Number| is(number) && number.deleted_at.is_none();
        let found = self.numbers.iter().position(living);
        found.or_else(|| {
            let deleted = self.numbers.iter().rposition(is);
            deleted.filter(|_| settings.telnyx_lists_deleted)
        })
    }
}
