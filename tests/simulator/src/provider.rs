//! What an outside provider is to the simulator: something that answers requests below its host names, speaks its own
//! dialect of refusal, and owns resources that cost money.
//!
//! A new provider is one folder or file that implements [`Provider`] and one row in the host table (`hosts.rs`).

use async_trait::async_trait;
use serde_json::Value;

use crate::exchange::{Answer, Request};
use crate::inventory::Resource;

#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// The stem of its description below `schemas/`; also its name in faults, journal and inventory.
    fn name(&self) -> &'static str;

    /// What the request asks for, besides `METHOD /path`: the root fields of a GraphQL document.
    fn operations(&self, _request: &Request) -> Vec<String> {
        Vec::new()
    }

    /// The Railway workspace or other account that the request belongs to, where it can be told.
    fn account(&self, _request: &Request) -> Option<String> {
        None
    }

    /// Whether nothing takes connections at this host.
    fn is_unreachable(&self, _host: &str) -> bool {
        false
    }

    /// Whether the exchange stands in the journal. What real programs are asked, and what they ask models, stands in
    /// `harness.jsonl`: no description of a provider's API holds it.
    fn is_journaled(&self, _request: &Request) -> bool {
        true
    }

    /// The port of the program of this machine that requests to this host are passed to, unread and streamed.
    async fn program(&self, _host: &str) -> Option<u16> {
        None
    }

    /// Carries the request out and answers it.
    async fn answer(&self, request: &Request) -> Answer;

    /// How it says "slow down".
    fn throttled(&self, _request: &Request) -> Answer {
        Answer::error(429, "Too Many Requests").with("Retry-After", 1)
    }

    /// A refusal with this message, for the `graphql_error` fault; `None` where the provider speaks no GraphQL.
    fn refusal(&self, _message: &str) -> Option<Answer> {
        None
    }

    /// Cuts every list in an answer down to its first `keep` items, as if there were no more.
    fn shorten(&self, body: &mut Value, keep: usize) {
        match body {
            Value::Array(items) => items.truncate(keep),
            Value::Object(fields) => {
                for value in fields.values_mut() {
                    if let Value::Array(items) = value {
                        items.truncate(keep);
                    }
                }
            }
            _ => {}
        }
    }

    /// Everything that lives at this provider now.
    fn resources(&self) -> Vec<Resource> {
        Vec::new()
    }
}
