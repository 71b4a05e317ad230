//! What the answers of tool providers mean: one table for all, and each provider's own words where they say more.
//!
//! What holds: `classify` is a pure function of the answer, the kind of request, the provider's dialect and the time. An
//! answer that is not the provider's own (no JSON: a page of a proxy or an edge) proves nothing: neither that something is
//! gone nor that nothing was changed. A fault's message is the provider's own sentence, on one line, cut to 300
//! characters, without anything that looks like a credential or a URL. Deliberately absent: what to do about a fault.

use crate::model::Fault;
use crate::model::words::sayable;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// What a request would have done, which decides what losing its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes nothing.
    Read,
    /// Makes, sets or takes away something.
    Change,
}

/// How an exchange went, as far as that is known, where it did not end in a plain success.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// No connection: the request never left.
    NotSent(String),
    /// It left, and no whole answer came back.
    Lost(String),
    /// A good answer, of a shape that we do not know.
    Strange,
    /// An HTTP answer that is no success.
    Reply(Reply),
}

/// An HTTP answer that is no success.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// HTTP status.
    pub(super) status: u16,
    /// From the headers: when to come again.
    pub(super) until: Option<Timestamp>,
    /// Its body, where it is a JSON object.
    pub(super) body: Option<Value>,
}

/// What a provider objects to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The provider's stable code, where it has one.
    pub(super) code: String,
    /// The provider's sentence; empty where it says nothing.
    pub(super) sentence: String,
}

/// What a provider's own code means where the status alone would mislead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Transient,
    Denied,
    Missing,
    Rejected,
    Exhausted,
}

/// How a provider words its refusals.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    /// Its name, as people write it.
    pub(super) name: &'static str,
    /// Finds code and sentence in a body.
    pub(super) complaint: fn(&Value) -> Complaint,
    /// What status and complaint mean, where it is not what the status means everywhere.
    pub(super) meaning: fn(u16, &Complaint) -> Option<Meaning>,
}

/// A provider whose status codes mean what they mean everywhere.
pub(super) fn plain(_: u16, _: &Complaint) -> Option<Meaning> {
    None
}

/// How long a 429 without a time of its own is respected. No provider of tools documents its window; one second is what
/// their clients use.
const UNTIMED: SignedDuration = SignedDuration::from_secs(1);

/// How long a refusal by something in front of the provider is respected.
const EDGE: SignedDuration = SignedDuration::from_secs(60);

/// No refusal is respected longer than this: a header can not stop an account for ever.
const LONGEST_REFUSAL: SignedDuration = SignedDuration::from_mins(75);

pub(super) fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The fault of a failed exchange. `what` is the operation, for where the provider says nothing itself.
pub(super) fn classify(
    answer: &Answer,
    kind: Kind,
    dialect: &Dialect,
    what: &str,
    now: Timestamp,
) -> Fault {
    let name = dialect.name;
    match answer {
        Answer::NotSent(why) => Fault::Transient {
            message: sayable(&format!("{name} cannot be reached: {why}")),
        },
        Answer::Lost(why) => lost(kind, sayable(&format!("{name}: {why}"))),
        Answer::Strange => Fault::Bug {
            message: format!("{name} answered {what} in a form that we do not know"),
        },
        Answer::Reply(reply) => refusal(reply, kind, dialect, what, now),
    }
}

/// Nobody knows whether it was applied; a read can simply be repeated.
fn lost(kind: Kind, message: String) -> Fault {
    match kind {
        Kind::Read => Fault::Transient { message },
        Kind::Change => Fault::Uncertain { message },
    }
}

fn refusal(reply: &Reply, kind: Kind, dialect: &Dialect, what: &str, now: Timestamp) -> Fault {
    let complaint = reply.body.as_ref().map(dialect.complaint);
    let complaint = complaint.unwrap_or_default();
    let sentence = complaint.sentence.trim();
    let message = if sentence.is_empty() {
        format!(
            "{} answered {what} with HTTP {}",
            dialect.name, reply.status
        )
    } else {
        sayable(&format!("{}: {sentence}", dialect.name))
    };
    let throttled = |otherwise| Fault::Throttled {
        until: reply.until.unwrap_or_else(|| later(now, otherwise)),
        message: message.clone(),
    };
    let own = reply.body.is_some();
    match reply.status {
        429 => return throttled(UNTIMED),
        401 => return Fault::Denied { message },
        // A page of an edge is no word of the provider's about the credential.
        403 if !own => return throttled(EDGE),
        // 404 included: what is not in the provider's own words proves no absence.
        _ if !own => return lost(kind, message),
        _ => {}
    }
    match (dialect.meaning)(reply.status, &complaint) {
        Some(Meaning::Transient) => return Fault::Transient { message },
        Some(Meaning::Denied) => return Fault::Denied { message },
        Some(Meaning::Missing) => return Fault::Missing { message },
        Some(Meaning::Rejected) => return Fault::Rejected { message },
        Some(Meaning::Exhausted) => return Fault::Exhausted { message },
        None => {}
    }
    match reply.status {
        402 => Fault::Exhausted { message },
        403 => Fault::Denied { message },
        404 => Fault::Missing { message },
        400 | 409 | 413 | 422 => Fault::Rejected { message },
        // 408 and 425 are the answers of something that gave up waiting; a redirect is nobody's word.
        300..=399 | 408 | 425 | 500.. => lost(kind, message),
        _ => Fault::Bug { message },
    }
}

/// Trouble of the account or of the provider, as opposed to a request that was answered and refused.
pub(super) fn tells_against_the_account(answer: &Answer, fault: &Fault) -> bool {
    match answer {
        Answer::NotSent(_) | Answer::Lost(_) => true,
        Answer::Strange => false,
        Answer::Reply(reply) => {
            reply.status >= 500
                || reply.status == 429
                || reply.body.is_none()
                || matches!(fault, Fault::Denied { .. })
        }
    }
}

/// When to come again: `Retry-After` in seconds or as a date, or else the seconds of `x-ratelimit-reset` (Telnyx) or
/// `ratelimit-reset` (AgentMail; `facts/tool-providers.md` 2, 3).
pub(super) fn again(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |value: &str| {
        let seconds: f64 = value.parse().ok()?;
        // A larger number is a moment, not a while (OpenRouter).
        let sensible = (0.0..=86_400.0).contains(&seconds);
        let by = SignedDuration::try_from_secs_f64(seconds).ok()?;
        sensible.then(|| later(now, by))
    };
    let date = |value: &str| rfc2822::DateTimeParser::new().parse_timestamp(value).ok();
    let until = text("retry-after")
        .and_then(|value| seconds(value).or_else(|| date(value)))
        .or_else(|| text("x-ratelimit-reset").and_then(seconds))
        .or_else(|| text("ratelimit-reset").and_then(seconds))?;
    Some(until.clamp(now, later(now, LONGEST_REFUSAL)))
}

#[cfg(test)]
mod tests;
