//! What Railway's answers mean: the only place that knows its error shapes (`facts/railway.md` 1.3 to 1.5).
//!
//! What holds: `classify` is a pure function of the answer, the kind of request and the time. Railway answers almost
//! everything with HTTP 200 and a message, so the class is read from the message; a message that nobody has seen
//! before is `Transient` for a read and `Uncertain` for everything else, never taken for "not applied". A fault's
//! message is Railway's own sentence, cut to 300 characters. Deliberately absent: what to do about a fault.

use super::throttle::Throttle;
use crate::model::Fault;
use crate::model::words::{SENTENCE, cut, traced};
use crate::wire::{Effect, NoReply, later};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::time::Duration;

/// Why a request was no plain success.
#[derive(Clone, Debug)]
pub(super) enum Unanswered {
    /// There is no whole answer.
    NoReply(NoReply),
    /// An HTTP answer that is none.
    Refused(GraphqlRefusal),
}

/// An HTTP answer that is not a plain success.
#[derive(Clone, Debug, Default)]
pub(super) struct GraphqlRefusal {
    /// HTTP status.
    pub(super) status: u16,
    /// From `Retry-After`.
    pub(super) retry_after: Option<Timestamp>,
    /// Whether the body is a GraphQL answer.
    pub(super) graphql: bool,
    /// Whether it carries data besides its errors.
    pub(super) data: bool,
    /// Its errors.
    pub(super) errors: Vec<Complaint>,
}

/// One entry of `errors[]`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Complaint {
    /// What Railway says.
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    extensions: Option<Extensions>,
    /// By which Railway's support finds the request.
    #[serde(default, rename = "traceId")]
    trace_id: Option<String>,
    /// Where in the answer.
    #[serde(default)]
    path: Option<Vec<IgnoredAny>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Extensions {
    #[serde(default)]
    code: Option<String>,
    #[serde(default, rename = "traceId")]
    trace_id: Option<String>,
}

/// How long a refusal without a time of its own is respected: Railway's edge and rate limits.
const UNTIMED: SignedDuration = SignedDuration::from_secs(60);

/// A fault, and what it is about, for whoever does more with it than report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) fault: Fault,
    pub(super) about: About,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Nothing that would have to be known.
    Nothing,
    /// The project that was named: it does not exist.
    Project,
    /// Something else that was named: it does not exist, is not shown yet, or is somebody else's.
    Unseen,
    /// What Railway makes only once in a while: when it will again.
    Window(Throttle),
    /// What was to be set: it is so already.
    Unchanged,
}

impl About {
    /// Whether it is said of what does not exist, or not yet.
    pub(super) fn is_unseen(self) -> bool {
        matches!(self, About::Project | About::Unseen)
    }
}

impl From<Fault> for Meant {
    fn from(fault: Fault) -> Meant {
        let about = About::Nothing;
        Meant { fault, about }
    }
}

impl AsRef<Fault> for Meant {
    fn as_ref(&self) -> &Fault {
        &self.fault
    }
}

impl From<Meant> for Fault {
    fn from(meant: Meant) -> Fault {
        meant.fault
    }
}

impl Fault {
    fn about(self, about: About) -> Meant {
        Meant { fault: self, about }
    }
}

/// What a failed exchange means. `window` is how long a throttle without a time of its own lasts.
pub(super) fn classify(
    answer: &Unanswered,
    effect: Effect,
    now: Timestamp,
    window: Duration,
) -> Meant {
    match answer {
        Unanswered::NoReply(lost) => lost.fault("Railway", effect).into(),
        Unanswered::Refused(reply) if !reply.errors.is_empty() => {
            let Meant { fault, about } = complaint(reply, effect, now, window);
            match reply.errors.iter().find_map(Complaint::trace) {
                Some(id) => fault.reworded(|sentence| traced(sentence, id)).about(about),
                None => fault.about(about),
            }
        }
        Unanswered::Refused(reply) => status(reply, effect, now).into(),
    }
}

/// Whether this answer stops every request of the account for a while, not only this one.
pub(super) fn stops_the_account(answer: &Unanswered) -> bool {
    match answer {
        Unanswered::Refused(reply) => {
            reply.status == 429 || edge_refusal(reply) || reply.errors.iter().any(rate_limited)
        }
        _ => false,
    }
}

/// An "Access denied" page of the edge, which is no word of Railway's about the token (`facts/railway.md` 1.3).
fn edge_refusal(reply: &GraphqlRefusal) -> bool {
    reply.status == 403 && !reply.graphql
}

fn rate_limited(complaint: &Complaint) -> bool {
    complaint.code() == "RATE_LIMITED" || complaint.message.to_lowercase().contains("rate limit")
}

/// An answer that is not GraphQL, or says nothing: only its status speaks.
fn status(reply: &GraphqlRefusal, effect: Effect, now: Timestamp) -> Fault {
    let said = |what: &str| format!("Railway answered HTTP {}: {what}", reply.status);
    match reply.status {
        429 => throttled(reply, now, said("too many requests")),
        403 if edge_refusal(reply) => throttled(reply, now, said("refused at its edge")),
        401 | 403 => Fault::Denied {
            message: said("the token is refused"),
        },
        413 => Fault::Rejected {
            message: said("the request is too large"),
        },
        400 if reply.graphql => Fault::Bug {
            message: said("it does not understand our request"),
        },
        // An unreadable answer (cut short, or a page instead of JSON) may well follow a change that was made.
        200 if reply.graphql => Fault::Bug {
            message: said("neither data that we can read nor an error"),
        },
        _ => effect.lost(said("not a GraphQL answer")),
    }
}

fn throttled(reply: &GraphqlRefusal, now: Timestamp, message: String) -> Fault {
    Fault::Throttled {
        until: reply.retry_after.unwrap_or_else(|| later(now, UNTIMED)),
        message,
    }
}

/// `errors[]`: the first that says something definite speaks for all.
fn complaint(reply: &GraphqlRefusal, effect: Effect, now: Timestamp, window: Duration) -> Meant {
    // Data beside errors, or an error below the root field, means that the field itself succeeded and something inside
    // the answer could not be read (`facts/railway.md` 0.10, 3.2). A change was made; and of a read it must not be
    // taken for a word about the whole.
    let first = cut(&reply.errors[0].message, SENTENCE);
    if reply.status == 429 {
        return throttled(reply, now, first).into();
    }
    if reply.data || reply.status >= 500 || reply.errors.iter().any(Complaint::below_the_root) {
        return effect.lost(first).into();
    }
    reply
        .errors
        .iter()
        .find_map(|complaint| meaning(complaint, effect, reply, now, window))
        .unwrap_or_else(|| unknown(reply, effect).into())
}

/// A message without a known meaning.
fn unknown(reply: &GraphqlRefusal, effect: Effect) -> Fault {
    let complaint = &reply.errors[0];
    let message = match complaint.message.as_str() {
        "" => format!("Railway answered HTTP {} without a message", reply.status),
        message => cut(message, SENTENCE),
    };
    match reply.status {
        401 | 403 => Fault::Denied { message },
        _ => effect.lost(message),
    }
}

fn any(text: &str, fragments: &[&str]) -> bool {
    fragments.iter().any(|fragment| text.contains(fragment))
}

/// What one complaint means (`facts/railway.md` 1.4, 1.5).
fn meaning(
    complaint: &Complaint,
    effect: Effect,
    reply: &GraphqlRefusal,
    now: Timestamp,
    window: Duration,
) -> Option<Meant> {
    let text = complaint.message.trim().to_lowercase();
    let code = complaint.code();
    let message = cut(&complaint.message, SENTENCE);
    if rate_limited(complaint) {
        return Some(throttled(reply, now, message).into());
    }
    if let Some(throttle) = Throttle::read(&complaint.message) {
        let window = throttle.window.unwrap_or(window);
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        let until = later(now, window);
        return Some(Fault::Throttled { until, message }.about(About::Window(throttle)));
    }
    if any(code, &["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"]) {
        return Some(Fault::Bug { message }.into());
    }
    if let Some(about) = denied(&text, code) {
        return Some(match (about, effect) {
            // Also said of what is already deleted: look, do not despair.
            (About::Unseen, Effect::Delete) => Fault::Uncertain { message }.into(),
            (about, _) => Fault::Denied { message }.about(about),
        });
    }
    if exhausted(&text, code) {
        return Some(Fault::Exhausted { message }.into());
    }
    if code == "NOT_FOUND"
        || text.trim_end_matches('.').ends_with(" not found")
        || text.starts_with("could not find")
    {
        let about = match text.starts_with("project ") {
            true => About::Project,
            false => About::Unseen,
        };
        return Some(Fault::Missing { message }.about(about));
    }
    conflict(&text, code, message)
}

/// Whether it says that the token is not good for this. "Not authorized" is what Railway says of what it does not show.
fn denied(text: &str, code: &str) -> Option<About> {
    if text.starts_with("not authorized") {
        return Some(About::Unseen);
    }
    let words = [
        "not authorized",
        "unauthorized",
        "two factor authentication",
        "invalid token",
    ];
    (any(code, &["UNAUTHENTICATED", "FORBIDDEN"]) || any(text, &words)).then_some(About::Nothing)
}

/// Whether it says that no more is to be had under the account's plan.
fn exhausted(text: &str, code: &str) -> bool {
    let words = [
        "provision limit exceeded",
        "please upgrade",
        "has been restricted",
        "usage limit",
        "limit reached",
    ];
    any(code, &["PLAN_LIMIT", "SUBSCRIPTION_REQUIRED"]) || any(text, &words)
}

/// The rest of the table: conflicts, not yet, invalid input.
fn conflict(text: &str, code: &str, message: String) -> Option<Meant> {
    if text.contains("already exists") {
        // An earlier attempt landed after all: `Uncertain` is the class that makes the caller look it up.
        return Some(Fault::Uncertain { message }.into());
    }
    let not_yet = [
        "already in progress",
        "cannot redeploy yet",
        "cannot redeploy without a snapshot",
    ];
    if any(text, &not_yet)
        || (text.starts_with("failed to create") && text.contains("please try again"))
    {
        return Some(Fault::Transient { message }.into());
    }
    if text.starts_with("no patch to apply") {
        return Some(Fault::Rejected { message }.about(About::Unchanged));
    }
    if text.starts_with("invalid ")
        || text.starts_with("expected ")
        || text.starts_with("can't ")
        || any(text, &["is not a valid", "invalid input"])
    {
        return Some(Fault::Rejected { message }.into());
    }
    // "Problem processing request" is said of fresh objects, of deleted ones and of wrong requests alike, so its code
    // says nothing; any other bad input is a request that we built wrong.
    (code == "BAD_USER_INPUT" && !text.starts_with("problem processing request"))
        .then(|| Fault::Bug { message }.into())
}

impl Complaint {
    fn below_the_root(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.len() > 1)
    }

    /// Its trace, where it is one that can be repeated.
    fn trace(&self) -> Option<&str> {
        let inside = self.extensions.as_ref();
        let id = self
            .trace_id
            .as_deref()
            .or_else(|| inside?.trace_id.as_deref())?;
        let plain = id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        (plain && (1..=64).contains(&id.len())).then_some(id)
    }

    fn code(&self) -> &str {
        self.extensions
            .as_ref()
            .and_then(|extensions| extensions.code.as_deref())
            .unwrap_or("")
    }
}

#[cfg(test)]
mod tests;
