//! Models behind OpenRouter: whose key a call is on, whether that still opens anything, and what it costs it.

use jiff::Timestamp;
use serde_json::json;

use super::{OpenRouter, missing, refuse};
use crate::clock;
use crate::exchange::{Answer, Request};
use crate::llm::openai;
use crate::rest::Call;

/// Why a call to a model is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpaid {
    NoKey,
    /// There is no such key, or it is switched off.
    Closed,
    /// Nothing is left of its limit.
    Spent,
}

/// What belongs to models, and not to the management of keys.
pub(super) fn is_for_models(request: &Request) -> bool {
    let rest = request.path.strip_prefix("/api/v1/");
    let first = rest.and_then(|rest| rest.split('/').next());
    !matches!(first, Some("keys" | "key" | "credits" | "workspaces"))
}

impl OpenRouter {
    /// The account that has a key.
    pub(crate) fn holder(&self, secret: &str) -> Option<String> {
        let accounts = self.accounts();
        let has = |account: &super::Account| account.keys.iter().any(|key| key.secret == secret);
        let mut found = accounts.iter().filter(|(_, account)| has(account));
        found.next().map(|(name, _)| name.clone())
    }

    /// Spends one call on a key; answers the account that it is of.
    pub(crate) fn pay(&self, secret: Option<&str>, now: Timestamp) -> Result<String, Unpaid> {
        let secret = secret.ok_or(Unpaid::NoKey)?;
        let account = self.holder(secret).ok_or(Unpaid::Closed)?;
        let cost = self.settings.of(&account).llm_call_cost;
        let mut accounts = self.accounts();
        let keys = accounts.get_mut(&account).map(|row| &mut row.keys);
        let mut keys = keys.into_iter().flatten();
        let key = keys
            .find(|key| key.secret == secret)
            .ok_or(Unpaid::Closed)?;
        if !key.works(now) {
            return Err(Unpaid::Closed);
        }
        // As at the real one, a call is made as long as anything is left, and may cost more than that.
        if key.remaining(now).is_some_and(|left| left <= 0.0) {
            return Err(Unpaid::Spent);
        }
        key.spent.push((now, cost));
        drop(accounts);
        Ok(account)
    }

    /// What an agent's key is for.
    pub(super) fn ask_model(&self, request: &Request) -> Result<Answer, Answer> {
        let call = Call::below("/api/v1", request).ok_or_else(missing)?;
        match (request.method.as_str(), &call.parts()[..]) {
            ("GET", ["models", ..]) => Ok(openai::models()),
            ("GET", ["providers"]) => Ok(Answer::json(200, json!({ "data": [] }))),
            ("POST", ["chat", "completions"]) => {
                let now = clock::now();
                let account = self.pay(request.bearer(), now).map_err(refusal)?;
                let asked = request
                    .body
                    .json()
                    .filter(|body| body["messages"].is_array());
                let asked = asked.ok_or_else(|| refuse(400, "messages is missing"))?;
                Ok(openai::answer(asked, &self.settings.of(&account), now))
            }
            _ => Err(missing()),
        }
    }
}

fn refusal(unpaid: Unpaid) -> Answer {
    match unpaid {
        Unpaid::NoKey => refuse(401, "No auth credentials found"),
        Unpaid::Closed => refuse(401, "User not found."),
        Unpaid::Spent => refuse(
            402,
            "This request requires more credits, or fewer max_tokens: nothing is left of the key's limit.",
        ),
    }
}
