//! Messaging profiles: a name, which need not be unique, webhooks, and a secret that can be read again.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock::text;
use crate::identity;

/// What a client may write; everything else in a request is ignored.
const WRITABLE: &[&str] = &[
    "name",
    "enabled",
    "webhook_url",
    "webhook_failover_url",
    "webhook_api_version",
    "whitelisted_destinations",
    "number_pool_settings",
    "url_shortener_settings",
    "alpha_sender",
    "daily_spend_limit",
    "daily_spend_limit_enabled",
    "mms_fall_back_to_sms",
    "mms_transcoding",
    "mobile_only",
    "smart_encoding",
];

pub(super) struct Profile {
    pub id: String,
    organization: String,
    fields: Map<String, Value>,
    secret: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    updated_at: Timestamp,
}

impl Profile {
    pub(super) fn new(account: &str, wish: &Value, now: Timestamp, seen_at: Timestamp) -> Self {
        let mut profile = Self {
            id: identity::uuid(),
            organization: identity::uuid_of(&format!("organization of {account}")),
            fields: Map::new(),
            secret: identity::uuid().replace('-', ""),
            created_at: now,
            seen_at,
            updated_at: now,
        };
        profile.edit(
            &json!({
                "enabled": true,
                "webhook_url": "",
                "webhook_failover_url": "",
                "webhook_api_version": "2",
                "whitelisted_destinations": [],
                "number_pool_settings": null,
                "url_shortener_settings": null,
                "alpha_sender": null,
                "daily_spend_limit_enabled": false,
                "mms_fall_back_to_sms": false,
                "mms_transcoding": false,
                "mobile_only": false,
                "smart_encoding": false,
            }),
            now,
        );
        profile.edit(wish, now);
        profile
    }

    pub(super) fn name(&self) -> &str {
        let name = self.fields.get("name").and_then(Value::as_str);
        name.unwrap_or_default()
    }

    pub(super) fn edit(&mut self, edit: &Value, now: Timestamp) {
        for (name, value) in edit.as_object().into_iter().flatten() {
            if WRITABLE.contains(&name.as_str()) {
                self.fields.insert(name.clone(), value.clone());
            }
        }
        self.updated_at = now;
    }

    pub(super) fn json(&self) -> Value {
        let mut record = self.fields.clone();
        record.insert("id".to_owned(), json!(self.id));
        record.insert("organization_id".to_owned(), json!(self.organization));
        record.insert("record_type".to_owned(), json!("messaging_profile"));
        record.insert("v1_secret".to_owned(), json!(self.secret));
        record.insert("created_at".to_owned(), json!(text(self.created_at)));
        record.insert("updated_at".to_owned(), json!(text(self.updated_at)));
        Value::Object(record)
    }
}
