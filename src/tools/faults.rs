//! What the answers of tool providers mean: one table for all, and each provider's own words where they say more.
//!
//! What holds: `classify` is a pure function of the answer, the kind of request, the provider's dialect and the time. An
//! answer that is not the provider's own (no JSON: a page of a proxy or an edge) proves nothing: neither that something is
//! gone nor that nothing was changed. A fault's message is the provider's own sentence, on one line, cut to 300
//! characters, without anything that looks like a credential or a URL. Deliberately absent: what to do about a fault.

use crate::model::Fault;
use crate::model::words::sayable;
use crate::wire::{Effect, NoReply, headers, later};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Why a request was no plain success.
#[derive(Clone, Debug)]
pub(super) enum Unserved {
    /// There is no whole answer.
    NoReply(NoReply),
    /// A good answer, of a shape that we do not know.
    Strange,
    /// An HTTP answer that is no success.
    Refused(RestRefusal),
}

impl From<NoReply> for Unserved {
    fn from(lost: NoReply) -> Unserved {
        Unserved::NoReply(lost)
    }
}

impl Unserved {
    /// The same without a word of the provider's.
    pub(super) fn without_words(&self) -> Unserved {
        match self {
            Unserved::Refused(reply) => Unserved::Refused(RestRefusal {
                body: reply.body.as_ref().map(|_| json!({})),
                ..*reply
            }),
            Unserved::NoReply(NoReply::NotSent(_)) => {
                NoReply::NotSent("no connection".to_owned()).into()
            }
            _ => NoReply::Lost("no answer".to_owned()).into(),
        }
    }
}

/// An HTTP answer that is no success.
#[derive(Clone, Debug, Default)]
pub(super) struct RestRefusal {
    /// HTTP status.
    pub(super) status: u16,
    /// From the headers: when to come again.
    pub(super) until: Option<Timestamp>,
    /// Its body, where it is a JSON object.
    pub(super) body: Option<Value>,
}

/// What a provider objects to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Objection {
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
    pub(super) objection: fn(&Value) -> Objection,
    /// What status and objection mean, where it is not what the status means everywhere.
    pub(super) meaning: fn(u16, &Objection) -> Option<Meaning>,
}

/// A provider whose status codes mean what they mean everywhere.
pub(super) fn plain(_: u16, _: &Objection) -> Option<Meaning> {
    None
}

/// How long a 429 without a time of its own is respected. No provider of tools documents its window; one second is what
/// their clients use.
const UNTIMED: SignedDuration = SignedDuration::from_secs(1);

/// How long a refusal by something in front of the provider is respected.
const EDGE: SignedDuration = SignedDuration::from_secs(60);

/// The fault of a failed exchange. `what` is the operation, for where the provider says nothing itself.
pub(super) fn classify(
    answer: &Unserved,
    effect: Effect,
    dialect: &Dialect,
    what: &str,
    now: Timestamp,
) -> Fault {
    let name = dialect.name;
    match answer {
        Unserved::NoReply(lost) => lost.fault(name, effect),
        Unserved::Strange => Fault::Bug {
            message: format!("{name} answered {what} in a form that we do not know"),
        },
        Unserved::Refused(reply) => refusal(reply, effect, dialect, what, now),
    }
}

fn refusal(
    reply: &RestRefusal,
    effect: Effect,
    dialect: &Dialect,
    what: &str,
    now: Timestamp,
) -> Fault {
    let objection = reply.body.as_ref().map(dialect.objection);
    let objection = objection.unwrap_or_default();
    let sentence = objection.sentence.trim();
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
        _ if !own => return effect.lost(message),
        _ => {}
    }
    match (dialect.meaning)(reply.status, &objection) {
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
        300..=399 | 408 | 425 | 500.. => effect.lost(message),
        _ => Fault::Bug { message },
    }
}

/// Trouble of the account or of the provider, as opposed to a request that was answered and refused.
pub(super) fn tells_against_the_account(answer: &Unserved, fault: &Fault) -> bool {
    match answer {
        Unserved::NoReply(_) => true,
        Unserved::Strange => false,
        Unserved::Refused(reply) => {
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
    let told = |name| headers::text(headers, name);
    let seconds = |name| headers::wait(told(name)?, now);
    told("retry-after")
        .and_then(|value| headers::retry_after(value, now))
        .or_else(|| seconds("x-ratelimit-reset"))
        .or_else(|| seconds("ratelimit-reset"))
}

#[cfg(test)]
mod tests;
