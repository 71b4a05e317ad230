//! Keys as Exa tells them, and what they are in the words of `model`.
//!
//! Holds: where a key's id is the key itself, a fingerprint stands for it everywhere else.

use super::super::ask::piece;
use super::super::provider::not_ours;
use crate::model::slot::Part;
use crate::model::tool::Money;
use crate::model::tool::{FINGERPRINT, Resource, Stage, Wish, fingerprint};
use crate::model::{Done, Fault};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// A key as it is told. Neither printable nor sent anywhere but to Exa.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExaKey {
    /// At the legacy API: the key itself.
    id: Option<SecretString>,
    pub(super) public_id: Option<String>,
    secret: Option<SecretString>,
    #[serde(default)]
    pub(super) name: Option<String>,
    rate_limit: Option<i64>,
    budget_cents: Option<i64>,
    created_at: Option<String>,
    pub(super) team_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OneKey {
    pub(super) api_key: ExaKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExaKeys {
    pub(super) api_keys: Vec<ExaKey>,
}

impl ExaKey {
    /// Its id outside this file.
    pub(super) fn shown(&self) -> Done<String> {
        let shown = self
            .public_id
            .clone()
            .or_else(|| self.id.as_ref().map(fingerprint));
        shown.ok_or_else(|| Fault::Bug {
            message: "Exa shows a key without an id".to_owned(),
        })
    }

    /// Its id inside a path.
    pub(super) fn path(&self) -> Done<String> {
        let id = match (&self.public_id, &self.id) {
            (Some(public), _) => piece(public),
            (None, Some(id)) => piece(id.expose_secret()),
            (None, None) => self.shown()?,
        };
        Ok(format!("/api-keys/{id}"))
    }

    /// What opens Exa: told beside the public id, or the legacy id itself.
    pub(super) fn secret(&self) -> Option<SecretString> {
        match (&self.secret, &self.public_id) {
            (Some(secret), _) => Some(secret.clone()),
            (None, None) => self.id.clone(),
            // With a public id, what `id` is, is not documented: better no secret than a wrong one.
            (None, Some(_)) => None,
        }
    }

    pub(super) fn settings(&self) -> String {
        let wish = Wish::Exa {
            rate_limit: self
                .rate_limit
                .map(|rate| i32::try_from(rate).unwrap_or(i32::MAX)),
            budget_usd: self.budget_cents.map(budget),
        };
        wish.settings()
    }

    pub(super) fn resource(self) -> Done<Resource> {
        Ok(Resource {
            settings: Some(self.settings()),
            monthly_usd: self.budget_cents.map(budget).unwrap_or_default(),
            created: self.created_at.as_deref().and_then(|at| at.parse().ok()),
            ..Resource::bare(
                Part::Main,
                self.shown()?,
                self.name.unwrap_or_default(),
                Stage::Ready,
            )
        })
    }
}

/// Whether an id stands for one that is a secret.
pub(super) fn is_fingerprint(id: &str) -> bool {
    id.starts_with(FINGERPRINT)
}

fn budget(cents: i64) -> Money {
    Money::cents(u64::try_from(cents).unwrap_or(0))
}

/// What a wish sends. Unknown fields are refused with 400; a rate cannot be null, a budget can.
pub(super) fn wished(wish: &Wish) -> Done<Value> {
    let Wish::Exa {
        rate_limit,
        budget_usd,
    } = wish
    else {
        return Err(not_ours("Exa"));
    };
    let mut body = json!({ "budgetCents": budget_usd.map(Money::in_cents) });
    if let Some(rate) = rate_limit {
        body["rateLimit"] = json!(rate);
    }
    Ok(body)
}
