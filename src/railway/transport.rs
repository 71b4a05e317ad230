//! One request: permit, token, exchange, what became of it.
//!
//! What holds: every answer, good or bad, is counted and teaches us the budget. Variables, answers
//! and tokens are never logged. Deliberately absent: repeating anything.

use super::account::Class;
use super::allowance::Budget;
use super::documents::Operation;
use super::faults::{Complaint, GraphqlRefusal, Meant, Unanswered, classify, stops_the_account};
use super::gateway::Shared;
use super::lanes;
use crate::model::{Done, Fault};
use crate::wire::{Effect, NoReply, Reply, headers, held, later};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The query string keeps us out of the edge's limit for anonymous traffic (`facts/railway.md` 1.3).
const URL: &str = "https://backboard.railway.com/graphql/v2?source=yardmaster";

/// The largest answer that is read. A page of 100 projects takes about half a megabyte.
const LARGEST: usize = 16 << 20;

/// A GraphQL answer.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default = "Option::default")]
    data: Option<T>,
    #[serde(default)]
    errors: Option<Vec<Complaint>>,
}

impl Shared {
    /// One request under any token that has budget left.
    pub(super) async fn ask<Q: Operation>(
        &self,
        class: Class,
        variables: Q::Variables,
    ) -> Result<Q::Answer, Meant> {
        let token = self.admit(class, &self.usable()).await?;
        self.send::<Q>(token, variables).await
    }

    /// Waits for a permit; the token to use, or why nothing may be sent now.
    pub(super) async fn admit(&self, class: Class, tokens: &[usize]) -> Done<usize> {
        held(&self.allowance).choose(class, tokens, self.now())?;
        if !self.lanes.permit(class).await {
            return Err(Fault::Throttled {
                until: later(self.now(), SignedDuration::from_secs(1)),
                message: format!(
                    "no permit to send within {} seconds: too many requests wait",
                    lanes::PATIENCE.as_secs()
                ),
            });
        }
        held(&self.allowance).spend(class, tokens, self.now())
    }

    /// Sends under this token.
    pub(super) async fn send<Q: Operation>(
        &self,
        token: usize,
        variables: Q::Variables,
    ) -> Result<Q::Answer, Meant> {
        let led = self.wire.led()?;
        let secret = self.secret(token)?;
        let body = serde_json::to_vec(&Q::build_query(variables)).map_err(|_| Fault::Bug {
            message: format!("{}: our request cannot be written down", Q::NAME),
        })?;
        let request = self
            .wire
            .request(Method::POST, URL)
            .header(CONTENT_TYPE, "application/json")
            .bearer_auth(secret.expose_secret())
            .body(body);
        let understand = |reply| self.conclude::<Q>(self.answer(token, reply));
        let sent = self.wire.send(led, Q::NAME, request, LARGEST, understand);
        sent.await
    }

    /// The data, and what the answer's head tells of the budget.
    fn answer<T: DeserializeOwned>(
        &self,
        token: usize,
        reply: Result<Reply, NoReply>,
    ) -> Result<T, Unanswered> {
        let reply = reply.map_err(Unanswered::NoReply)?;
        let now = self.now();
        if let Some(budget) = budget(&reply.headers, now) {
            held(&self.allowance).told(token, budget, now);
        }
        let retry_after = headers::text(&reply.headers, "retry-after")
            .and_then(|value| headers::retry_after(value, now));
        let body = reply.body.map_err(Unanswered::NoReply)?;
        understand(reply.status, retry_after, &body)
    }

    /// Classifies and remembers.
    fn conclude<Q: Operation>(
        &self,
        outcome: Result<Q::Answer, Unanswered>,
    ) -> Result<Q::Answer, Meant> {
        let answer = match outcome {
            Ok(data) => return Ok(data),
            Err(answer) => answer,
        };
        let interval = self.settings().project_interval;
        let meant = classify(&answer, Q::EFFECT, self.now(), interval);
        // Who sent a configuration gets Railway's words about it, and takes care that they quote nothing. Whoever reads of
        // the account's troubles gets none.
        let for_all = match Q::EFFECT {
            Effect::Change => meant
                .fault
                .clone()
                .reworded(|_| format!("{} was not answered as it should be", Q::NAME)),
            _ => meant.fault.clone(),
        };
        let stops = stops_the_account(&answer);
        if let (true, Fault::Throttled { until, message }) = (stops, &for_all) {
            held(&self.allowance).stop(*until, message);
        }
        if stops || tells_against_the_account(&answer, &meant.fault) {
            self.wire.failed(&for_all);
        }
        Err(meant)
    }
}

/// `X-RateLimit-*` (`facts/railway.md` 1.3); `None` unless both numbers are there.
fn budget(headers: &HeaderMap, now: Timestamp) -> Option<Budget> {
    let number = |name| headers::text(headers, name)?.parse::<u32>().ok();
    Some(Budget {
        limit: number("x-ratelimit-limit")?,
        remaining: number("x-ratelimit-remaining")?,
        resets_at: headers::text(headers, "x-ratelimit-reset")
            .and_then(|value| headers::reset(value, now)),
    })
}

/// The data, or the answer for `classify`. An answer counts as good only where it is whole: no errors at all.
fn understand<T: DeserializeOwned>(
    status: u16,
    retry_after: Option<Timestamp>,
    body: &[u8],
) -> Result<T, Unanswered> {
    if (200..300).contains(&status)
        && let Ok(envelope) = serde_json::from_slice::<Envelope<T>>(body)
        && envelope.errors.is_none_or(|errors| errors.is_empty())
        && let Some(data) = envelope.data
    {
        return Ok(data);
    }
    let mut reply = GraphqlRefusal {
        status,
        retry_after,
        ..GraphqlRefusal::default()
    };
    if let Ok(envelope) = serde_json::from_slice::<Envelope<IgnoredAny>>(body) {
        reply.data = envelope.data.is_some();
        reply.graphql = reply.data || envelope.errors.is_some();
        reply.errors = envelope.errors.unwrap_or_default();
    }
    Err(Unanswered::Refused(reply))
}

/// Trouble of the account or of Railway, as opposed to a request that was answered and refused.
fn tells_against_the_account(answer: &Unanswered, fault: &Fault) -> bool {
    match answer {
        Unanswered::NoReply(_) => true,
        Unanswered::Refused(reply) => {
            reply.status >= 500 || !reply.graphql || matches!(fault, Fault::Denied { .. })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn reply(status: u16, body: &str) -> GraphqlRefusal {
        match understand::<Value>(status, None, body.as_bytes()) {
            Err(Unanswered::Refused(reply)) => reply,
            _ => unreachable!("{body}"),
        }
    }

    #[test]
    fn only_a_whole_answer_is_good() {
        let good = understand::<Value>(200, None, br#"{"data":{"a":1}}"#);
        assert_eq!(good.ok(), Some(serde_json::json!({ "a": 1 })));
        assert!(understand::<Value>(200, None, br#"{"data":{"a":1},"errors":[]}"#).is_ok());

        let partial = reply(200, r#"{"data":{"a":1},"errors":[{"message":"no"}]}"#);
        assert!(partial.data && partial.graphql);
        assert_eq!(partial.errors[0].message, "no");

        let failed = reply(
            200,
            r#"{"data":null,"errors":[{"message":"no","path":["a",0]}]}"#,
        );
        assert!(!failed.data && failed.graphql);

        for body in [
            "",
            "<html>",
            r#"{"data":{"a""#,
            r#"{"code":404}"#,
            r#"{"data":null}"#,
            "[]",
        ] {
            let reply = reply(200, body);
            assert!(
                !reply.graphql && !reply.data && reply.errors.is_empty(),
                "{body}"
            );
        }
        assert!(!reply(503, r#"{"message":"no healthy upstream"}"#).graphql);
    }

    #[test]
    fn data_of_another_shape_is_no_success() {
        let read = understand::<Vec<u8>>(200, None, br#"{"data":{"a":1}}"#);
        assert!(matches!(read, Err(Unanswered::Refused(reply)) if reply.graphql && reply.data));
    }

    #[test]
    fn a_budget_needs_both_numbers() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-limit", "1000".parse().unwrap());
        assert_eq!(budget(&headers, now), None);
        headers.insert("X-RateLimit-Remaining", "7".parse().unwrap());
        headers.insert("x-ratelimit-reset", "60".parse().unwrap());
        let wanted = Budget {
            limit: 1000,
            remaining: 7,
            resets_at: Some(Timestamp::from_second(1_800_000_060).unwrap()),
        };
        assert_eq!(budget(&headers, now), Some(wanted));
    }
}
