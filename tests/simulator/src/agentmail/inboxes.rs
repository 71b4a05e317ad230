//! One inbox: what is recorded of it, and what may be written into it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::DOMAIN;
use crate::clock::{self, text};
use crate::identity;

pub(super) struct Inbox {
    /// Its place among everything that was ever made here.
    pub seq: u64,
    pub pod: String,
    /// Also its id.
    pub address: String,
    pub display_name: Option<String>,
    pub client_id: Option<String>,
    metadata: Map<String, Value>,
    pub created_at: Timestamp,
    updated_at: Timestamp,
}

/// A creation, as it is asked for.
pub(super) struct Wish {
    username: Option<String>,
    pub domain: String,
    pub client_id: Option<String>,
    display_name: Option<String>,
    metadata: Map<String, Value>,
}

impl Wish {
    /// Reads it, or says which fields are wrong and why.
    pub(super) fn read(order: &Value) -> Result<Self, Value> {
        let given = |name: &str| order[name].as_str().map(str::to_owned);
        let username = given("username").map(|name| name.to_ascii_lowercase());
        let legal = |name: &String| {
            let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._+".contains(letter);
            (1..=64).contains(&name.len()) && name.chars().all(fits)
        };
        if !username.as_ref().is_none_or(legal) {
            return Err(wrong("username", "Invalid username"));
        }
        let client_id = check_client_id(order)?;
        check_metadata(&order["metadata"])?;
        let metadata = order["metadata"].as_object().cloned();
        Ok(Self {
            username,
            domain: given("domain").unwrap_or_else(|| DOMAIN.to_owned()),
            client_id,
            display_name: given("display_name"),
            metadata: metadata.unwrap_or_default(),
        })
    }

    pub(super) fn address(&self) -> String {
        match &self.username {
            Some(username) => format!("{username}@{}", self.domain),
            None => format!("agent-{}@{}", identity::short(), self.domain),
        }
    }
}

/// 1 to 256 of `A-Z a-z 0-9 - . _ ~`.
pub(super) fn check_client_id(order: &Value) -> Result<Option<String>, Value> {
    let Some(id) = order["client_id"].as_str() else {
        return Ok(None);
    };
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
    match (1..=256).contains(&id.len()) && id.chars().all(legal) {
        true => Ok(Some(id.to_owned())),
        false => Err(wrong("client_id", "Invalid client_id")),
    }
}

fn check_metadata(metadata: &Value) -> Result<(), Value> {
    let Some(fields) = metadata.as_object() else {
        return match metadata.is_null() {
            true => Ok(()),
            false => Err(wrong("metadata", "Expected object")),
        };
    };
    let short = |text: &str| text.chars().count() <= 256;
    let fits = |value: &Value| match value {
        Value::String(text) => short(text),
        Value::Number(_) | Value::Bool(_) | Value::Null => true,
        Value::Array(_) | Value::Object(_) => false,
    };
    let all_fit = fields.iter().all(|(key, value)| short(key) && fits(value));
    match fields.len() <= 256 && all_fit {
        true => Ok(()),
        false => Err(wrong("metadata", "Invalid metadata")),
    }
}

fn wrong(field: &str, message: &str) -> Value {
    json!([{ "path": [field], "message": message }])
}

impl Inbox {
    pub(super) fn new(seq: u64, pod: &str, address: String, wish: Wish) -> Self {
        let now = clock::now();
        let mut metadata = wish.metadata;
        metadata.retain(|_, value| !value.is_null());
        Self {
            seq,
            pod: pod.to_owned(),
            address,
            display_name: wish.display_name,
            client_id: wish.client_id,
            metadata,
            created_at: now,
            updated_at: now,
        }
    }

    /// Metadata is merged; null takes a key away, or all of them.
    pub(super) fn edit(&mut self, edit: &Value) -> Result<(), Value> {
        check_metadata(&edit["metadata"])?;
        if let Some(name) = edit["display_name"].as_str() {
            self.display_name = Some(name.to_owned());
        }
        match edit.get("metadata") {
            Some(Value::Null) => self.metadata.clear(),
            Some(Value::Object(fields)) => {
                self.metadata.extend(fields.clone());
                self.metadata.retain(|_, value| !value.is_null());
            }
            _ => {}
        }
        self.updated_at = clock::now();
        Ok(())
    }

    pub(super) fn json(&self) -> Value {
        let mut inbox = json!({
            "pod_id": self.pod,
            "inbox_id": self.address,
            "email": self.address,
            "created_at": text(self.created_at),
            "updated_at": text(self.updated_at),
        });
        if let Some(name) = &self.display_name {
            inbox["display_name"] = json!(name);
        }
        if let Some(client_id) = &self.client_id {
            inbox["client_id"] = json!(client_id);
        }
        if !self.metadata.is_empty() {
            inbox["metadata"] = Value::Object(self.metadata.clone());
        }
        inbox
    }
}
