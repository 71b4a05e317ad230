//! What Railway's answers mean: the only place that knows its error shapes (`facts/railway.md` 1.3 to 1.5).
//!
//! What holds: `classify` is a pure function of the answer, the kind of request and the time. Railway answers almost
//! everything with HTTP 200 and a message, so the class is read from the message; a message that nobody has seen
//! before is `Transient` for a read and `Uncertain` for everything else, never taken for "not applied". A fault's
//! message is Railway's own sentence, cut to 300 characters. Deliberately absent: what to do about a fault.

use crate::model::Fault;
use crate::model::words::traced;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::time::Duration;

/// What a request would have done, which decides what losing its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes nothing.
    Read,
    /// Makes something new; twice makes two.
    Create,
    /// Sets something; twice is the same as once.
    Change,
    /// Takes something away.
    Delete,
}

/// How an exchange went, as far as that is known.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// No connection: the request never left.
    NotSent(String),
    /// It left, and no whole answer came back.
    Lost(String),
    /// An HTTP answer.
    Reply(Reply),
}

/// An HTTP answer that is not a plain success.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
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

/// The longest sentence of a provider that goes into a fault, in characters.
const SENTENCE: usize = 300;

/// A text cut to what a fault may carry, on one line.
pub(super) fn cut(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SENTENCE)
        .collect()
}

/// The class of a failed exchange. `window` is how long a throttle without a time of its own lasts.
pub(super) fn classify(answer: &Answer, kind: Kind, now: Timestamp, window: Duration) -> Fault {
    match answer {
        Answer::NotSent(why) => Fault::Transient { message: cut(why) },
        Answer::Lost(why) => lost(kind, cut(why)),
        Answer::Reply(reply) if !reply.errors.is_empty() => {
            let fault = complaint(reply, kind, now, window);
            match reply.errors.iter().find_map(Complaint::trace) {
                Some(id) => fault.reworded(|sentence| traced(sentence, id)),
                None => fault,
            }
        }
        Answer::Reply(reply) => status(reply, kind, now),
    }
}

/// Whether this answer stops every request of the account for a while, not only this one.
pub(super) fn stops_the_account(answer: &Answer) -> bool {
    match answer {
        Answer::Reply(reply) => {
            reply.status == 429 || edge_refusal(reply) || reply.errors.iter().any(rate_limited)
        }
        _ => false,
    }
}

/// Nobody knows whether it was applied; a read can simply be repeated.
fn lost(kind: Kind, message: String) -> Fault {
    match kind {
        Kind::Read => Fault::Transient { message },
        _ => Fault::Uncertain { message },
    }
}

/// An "Access denied" page of the edge, which is no word of Railway's about the token (`facts/railway.md` 1.3).
fn edge_refusal(reply: &Reply) -> bool {
    reply.status == 403 && !reply.graphql
}

fn rate_limited(complaint: &Complaint) -> bool {
    complaint.code() == "RATE_LIMITED" || complaint.message.to_lowercase().contains("rate limit")
}

/// An answer that is not GraphQL, or says nothing: only its status speaks.
fn status(reply: &Reply, kind: Kind, now: Timestamp) -> Fault {
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
        _ => lost(kind, said("not a GraphQL answer")),
    }
}

fn throttled(reply: &Reply, now: Timestamp, message: String) -> Fault {
    Fault::Throttled {
        until: reply.retry_after.unwrap_or_else(|| later(now, UNTIMED)),
        message,
    }
}

pub(super) fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `errors[]`: the first that says something definite speaks for all.
fn complaint(reply: &Reply, kind: Kind, now: Timestamp, window: Duration) -> Fault {
    // Data beside errors, or an error below the root field, means that the field itself succeeded and something inside
    // the answer could not be read (`facts/railway.md` 0.10, 3.2). A change was made; and of a read it must not be
    // taken for a word about the whole.
    let first = cut(&reply.errors[0].message);
    if reply.status == 429 {
        return throttled(reply, now, first);
    }
    if reply.data || reply.status >= 500 || reply.errors.iter().any(Complaint::below_the_root) {
        return lost(kind, first);
    }
    reply
        .errors
        .iter()
        .find_map(|complaint| meaning(complaint, kind, reply, now, window))
        .unwrap_or_else(|| unknown(reply, kind))
}

/// A message without a known meaning.
fn unknown(reply: &Reply, kind: Kind) -> Fault {
    let complaint = &reply.errors[0];
    let message = match complaint.message.as_str() {
        "" => format!("Railway answered HTTP {} without a message", reply.status),
        message => cut(message),
    };
    match reply.status {
        401 | 403 => Fault::Denied { message },
        _ => lost(kind, message),
    }
}

fn any(text: &str, fragments: &[&str]) -> bool {
    fragments.iter().any(|fragment| text.contains(fragment))
}

/// What one complaint means (`facts/railway.md` 1.4, 1.5).
fn meaning(
    complaint: &Complaint,
    kind: Kind,
    reply: &Reply,
    now: Timestamp,
    window: Duration,
) -> Option<Fault> {
    let text = complaint.message.trim().to_lowercase();
    let code = complaint.code();
    let message = cut(&complaint.message);
    if rate_limited(complaint) {
        return Some(throttled(reply, now, message));
    }
    if let Some(throttle) = Throttle::read(&complaint.message) {
        let window = throttle.window.unwrap_or(window);
        let until = later(
            now,
            SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX),
        );
        return Some(Fault::Throttled { until, message });
    }
    if any(code, &["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"]) {
        return Some(Fault::Bug { message });
    }
    if text.starts_with("not authorized") && kind == Kind::Delete {
        // Also said of what is already deleted: look, do not despair.
        return Some(Fault::Uncertain { message });
    }
    if any(code, &["UNAUTHENTICATED", "FORBIDDEN"])
        || any(
            &text,
            &[
                "not authorized",
                "unauthorized",
                "two factor authentication",
                "invalid token",
            ],
        )
    {
        return Some(Fault::Denied { message });
    }
    if any(code, &["PLAN_LIMIT", "SUBSCRIPTION_REQUIRED"])
        || any(
            &text,
            &[
                "provision limit exceeded",
                "please upgrade",
                "has been restricted",
                "usage limit",
                "limit reached",
            ],
        )
    {
        return Some(Fault::Exhausted { message });
    }
    if code == "NOT_FOUND"
        || text.trim_end_matches('.').ends_with(" not found")
        || text.starts_with("could not find")
    {
        return Some(Fault::Missing { message });
    }
    conflict(&text, code, message)
}

/// The rest of the table: conflicts, not yet, invalid input.
fn conflict(text: &str, code: &str, message: String) -> Option<Fault> {
    if text.contains("already exists") {
        // An earlier attempt landed after all: `Uncertain` is the class that makes the caller look it up.
        return Some(Fault::Uncertain { message });
    }
    if any(
        text,
        &[
            "already in progress",
            "cannot redeploy yet",
            "cannot redeploy without a snapshot",
        ],
    ) || (text.starts_with("failed to create") && text.contains("please try again"))
    {
        return Some(Fault::Transient { message });
    }
    if text.starts_with("no patch to apply")
        || text.starts_with("invalid ")
        || text.starts_with("expected ")
        || text.starts_with("can't ")
        || any(text, &["is not a valid", "invalid input"])
    {
        return Some(Fault::Rejected { message });
    }
    // "Problem processing request" is said of fresh objects, of deleted ones and of wrong requests alike, so its code
    // says nothing; any other bad input is a request that we built wrong.
    (code == "BAD_USER_INPUT" && !text.starts_with("problem processing request"))
        .then_some(Fault::Bug { message })
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

/// Railway's refusal to create more than one of a kind in some seconds (`facts/railway.md` 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Throttle {
    /// How long the window is, where the text says so.
    pub(super) window: Option<Duration>,
    /// Whom it binds, where the text says so.
    pub(super) scope: Option<Scope>,
}

/// Whom a throttle binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everyone in the workspace.
    Workspace,
    /// One user, so each token of another user has a window of its own.
    User,
}

impl Throttle {
    /// Reads a message; `None` where it is no throttle.
    pub(super) fn read(message: &str) -> Option<Throttle> {
        let text = message.to_lowercase();
        let allows = text.contains("allows ") && text.contains(" per ") && text.contains("second");
        let only_one = text.contains("only one ") && text.contains(" every ");
        if !allows
            && !only_one
            && !any(&text, &["whoa there pal", "too quickly", "try again in a "])
        {
            return None;
        }
        let scope = if text.contains("workspace") {
            Some(Scope::Workspace)
        } else if text.contains("per user") {
            Some(Scope::User)
        } else {
            None
        };
        Some(Throttle {
            window: seconds(&text),
            scope,
        })
    }
}

/// The number before "second" or "s" after "per" or "every": `per 30 seconds`, `every 30s`. Never more than an hour.
fn seconds(text: &str) -> Option<Duration> {
    let (_, rest) = text
        .split_once(" every ")
        .or_else(|| text.rsplit_once(" per "))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let unit = rest[digits.len()..].trim_start();
    let number: u64 = digits.parse().ok()?;
    (unit.starts_with('s') && (1..=3600).contains(&number)).then(|| Duration::from_secs(number))
}

#[cfg(test)]
mod tests;
