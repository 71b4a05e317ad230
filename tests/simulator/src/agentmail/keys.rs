//! Keys that see one inbox: their secret is shown once, and permissions are a whitelist.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock::{self, text};
use crate::identity;

pub(super) struct Key {
    pub seq: u64,
    pub id: String,
    pub name: String,
    pub inbox: String,
    prefix: String,
    /// SHA-256 of the secret.
    hash: String,
    /// None given is full access to the inbox.
    pub permissions: Option<Map<String, Value>>,
    pub created_at: Timestamp,
}

impl Key {
    /// The key, and its secret.
    pub(super) fn mint(seq: u64, inbox: &str, order: &Value) -> (Self, String) {
        // No `am_org_`, so that none is taken for a test's token of an organization.
        let secret = format!("am_us_{}", identity::uuid().replace('-', ""));
        let name = order["name"].as_str().map(str::to_owned);
        let key = Self {
            seq,
            id: identity::uuid(),
            name: name.unwrap_or_else(|| "API Key".to_owned()),
            inbox: inbox.to_owned(),
            prefix: secret[..12].to_owned(),
            hash: identity::sha256(secret.as_bytes()),
            permissions: order["permissions"].as_object().cloned(),
            created_at: clock::now(),
        };
        (key, secret)
    }

    pub(super) fn opens(&self, secret: &str) -> bool {
        secret.starts_with(&self.prefix) && self.hash == identity::sha256(secret.as_bytes())
    }

    pub(super) fn may(&self, permission: &str) -> bool {
        let Some(permissions) = &self.permissions else {
            return true;
        };
        permissions.get(permission) == Some(&Value::Bool(true))
    }

    pub(super) fn json(&self, pod: &str) -> Value {
        let mut key = json!({
            "api_key_id": self.id,
            "prefix": self.prefix,
            "name": self.name,
            "pod_id": pod,
            "inbox_id": self.inbox,
            "created_at": text(self.created_at),
        });
        if let Some(permissions) = &self.permissions {
            key["permissions"] = Value::Object(permissions.clone());
        }
        key
    }
}
