//! What an account at OpenRouter has: workspaces, one of them the default, and keys in them.
//!
//! Nothing here knows HTTP. Names of keys are not unique, as at the real one.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::key::Key;
use crate::clock::{after, text};
use crate::identity;
use crate::settings::Settings;

#[derive(Debug)]
pub(super) struct Workspace {
    pub id: String,
    pub name: String,
    pub slug: String,
    created_at: Timestamp,
}

impl Workspace {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "slug": self.slug,
            "description": null,
            "default_guardrail_id": identity::uuid_of(&format!("guardrail of {}", self.id)),
            "default_text_model": null,
            "default_image_model": null,
            "default_provider_sort": null,
            "include_byok_in_budgets": false,
            "is_observability_io_logging_enabled": false,
            "is_observability_broadcast_enabled": false,
            "is_data_discount_logging_enabled": false,
            "io_logging_sampling_rate": 1,
            "io_logging_api_key_ids": null,
            "created_at": text(self.created_at),
            "updated_at": null,
            "created_by": null,
        })
    }
}

#[derive(Debug)]
pub(super) struct Account {
    /// The first is the default workspace; its id depends on the account's name alone.
    pub workspaces: Vec<Workspace>,
    /// In the order of creation.
    pub keys: Vec<Key>,
    /// USD that were spent with keys that are gone.
    spent: f64,
}

impl Account {
    pub(super) fn new(name: &str, now: Timestamp) -> Self {
        let default = Workspace {
            id: identity::uuid_of(&format!("default workspace of {name}")),
            name: "Default Workspace".to_owned(),
            slug: "default".to_owned(),
            created_at: now,
        };
        Self {
            workspaces: vec![default],
            keys: Vec::new(),
            spent: 0.0,
        }
    }

    pub(super) fn add_workspace(&mut self, name: String, now: Timestamp) -> &Workspace {
        let plain = |letter: char| match letter.is_ascii_alphanumeric() {
            true => letter.to_ascii_lowercase(),
            false => '-',
        };
        let made = Workspace {
            id: identity::uuid(),
            slug: name.chars().map(plain).collect(),
            name,
            created_at: now,
        };
        let at = self.workspaces.len();
        self.workspaces.push(made);
        &self.workspaces[at]
    }

    pub(super) fn workspace(&self, id: &str) -> Option<&Workspace> {
        self.workspaces.iter().find(|row| row.id == id)
    }

    /// By id, or by its slug.
    pub(super) fn workspace_or_slug(&self, id: &str) -> Option<&Workspace> {
        let by_slug = || self.workspaces.iter().find(|row| row.slug == id);
        self.workspace(id).or_else(by_slug)
    }

    pub(super) fn default_workspace(&self) -> String {
        self.workspaces
            .first()
            .map(|row| row.id.clone())
            .unwrap_or_default()
    }

    pub(super) fn key(&mut self, hash: &str) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.hash == hash)
    }

    /// Keys that reads show already, newest first.
    pub(super) fn shown(
        &self,
        now: Timestamp,
        settings: &Settings,
    ) -> impl Iterator<Item = &Key> + use<'_> {
        let lag = settings.openrouter_read_lag;
        let shown = move |key: &&Key| after(key.created_at, lag) <= now;
        self.keys.iter().rev().filter(shown)
    }

    /// Whether there was one.
    pub(super) fn delete(&mut self, hash: &str) -> bool {
        let Some(at) = self.keys.iter().position(|key| key.hash == hash) else {
            return false;
        };
        self.spent += self.keys.remove(at).usage();
        true
    }

    pub(super) fn total_usage(&self) -> f64 {
        self.spent + self.keys.iter().map(Key::usage).sum::<f64>()
    }
}
