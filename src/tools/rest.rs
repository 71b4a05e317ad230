//! The line to one account at one provider: the one way in which requests of tools are sent.
//!
//! What holds: a request has one deadline over everything; no more requests leave in a second than the account allows,
//! and none before the moment that the provider named in a refusal; whether this process still works is asked last,
//! after all waiting. Credential, URL, request and answer are never logged and never in a fault. The credential can be
//! replaced while it works. Deliberately absent: repeating anything; what a provider calls its things.

use super::faults::{
    Answer, Dialect, Kind, Reply, again, classify, later, tells_against_the_account,
};
use super::held;
use crate::model::standing::Run;
use crate::model::words::sayable;
use crate::model::{Done, Fault, Standing};
use crate::wire::{self, Unread};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::error::Error;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const USER_AGENT: &str = concat!("yardmaster/", env!("CARGO_PKG_VERSION"));

/// The largest answer that is read. A page of 250 numbers takes about a quarter of a megabyte.
const LARGEST: usize = 8 << 20;

/// The longest wait for the account's rate; then the caller hears `Throttled` and can do something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where this room takes the time of day from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Is told each request's operation, outcome and duration.
pub type Meter = Arc<dyn Fn(&'static str, &'static str, Duration) + Send + Sync>;

/// Whether requests may be sent at this moment.
pub type Permission = Arc<dyn Fn() -> bool + Send + Sync>;

/// How requests of an account are sent.
#[derive(Clone)]
pub struct Connection {
    /// Follows no redirects; proxy and authorities are its business.
    pub http: reqwest::Client,
    /// Deadline of one request, its answer included.
    pub timeout: Duration,
    /// Most requests a second. No provider of tools documents its limit; five is what their clients get along with.
    pub requests_per_second: u32,
    /// The time of day.
    pub clock: Clock,
}

/// How a provider wants to be called.
#[derive(Clone, Copy)]
pub(super) struct Manners {
    /// Everything before the path.
    pub(super) base: &'static str,
    /// The header of the credential; `None`: as a bearer.
    pub(super) header: Option<&'static str>,
    /// How it refuses.
    pub(super) dialect: Dialect,
}

/// One request.
pub(super) struct Ask {
    operation: &'static str,
    method: Method,
    path: String,
    body: Option<Value>,
    kind: Kind,
    also_good: Option<u16>,
}

impl Ask {
    /// Reads.
    pub(super) fn get(operation: &'static str, path: impl Into<String>) -> Ask {
        Ask::new(operation, Method::GET, path.into(), None, Kind::Read)
    }

    /// Makes something.
    pub(super) fn post(operation: &'static str, path: impl Into<String>, body: Value) -> Ask {
        let kind = Kind::Change;
        Ask::new(operation, Method::POST, path.into(), Some(body), kind)
    }

    /// Sets something.
    pub(super) fn patch(operation: &'static str, path: impl Into<String>, body: Value) -> Ask {
        let kind = Kind::Change;
        Ask::new(operation, Method::PATCH, path.into(), Some(body), kind)
    }

    /// Takes something away.
    pub(super) fn delete(operation: &'static str, path: impl Into<String>) -> Ask {
        Ask::new(operation, Method::DELETE, path.into(), None, Kind::Change)
    }

    fn new(
        operation: &'static str,
        method: Method,
        path: String,
        body: Option<Value>,
        kind: Kind,
    ) -> Ask {
        Ask {
            operation,
            method,
            path,
            body,
            kind,
            also_good: None,
        }
    }

    /// Does something that needs no words.
    pub(super) fn act(operation: &'static str, path: impl Into<String>) -> Ask {
        Ask::new(operation, Method::POST, path.into(), None, Kind::Change)
    }

    /// This status is a good answer as well, where its body shows an `id`.
    pub(super) fn also_good(mut self, status: u16) -> Ask {
        self.also_good = Some(status);
        self
    }

    /// With another method.
    pub(super) fn by(mut self, method: Method) -> Ask {
        self.method = method;
        self
    }
}

/// Percent-encodes a piece of a path or a value of a query: everything but the unreserved characters, so `@` in a path
/// too (`facts/tool-providers.md` 2).
pub(super) fn piece(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The line to one account. Cheap to clone; clones are the same line.
#[derive(Clone)]
pub struct Line {
    inner: Arc<Inner>,
}

struct Inner {
    manners: Manners,
    connection: Connection,
    credential: Mutex<SecretString>,
    /// How often the credential has changed.
    changes: AtomicU64,
    rate: Mutex<Rate>,
    refused: Mutex<Option<(Timestamp, String)>>,
    trouble: Mutex<Run>,
    meter: Mutex<Option<Meter>>,
    permission: Mutex<Option<Permission>>,
}

impl Line {
    pub(super) fn new(manners: Manners, credential: &SecretString, connection: Connection) -> Line {
        Line {
            inner: Arc::new(Inner {
                manners,
                rate: Mutex::new(Rate::new(connection.requests_per_second)),
                connection,
                credential: Mutex::new(trimmed(credential)),
                changes: AtomicU64::new(0),
                refused: Mutex::default(),
                trouble: Mutex::default(),
                meter: Mutex::default(),
                permission: Mutex::default(),
            }),
        }
    }

    /// Another credential, after its Secret has changed. Answers whether it is another.
    pub fn replace(&self, credential: &SecretString) -> bool {
        let credential = trimmed(credential);
        let mut current = held(&self.inner.credential);
        let changed = current.expose_secret() != credential.expose_secret();
        *current = credential;
        if changed {
            self.inner.changes.fetch_add(1, Ordering::SeqCst);
        }
        changed
    }

    /// Whether requests are sent with this credential.
    pub fn serves(&self, credential: &SecretString) -> bool {
        let current = held(&self.inner.credential);
        current.expose_secret() == trimmed(credential).expose_secret()
    }

    /// The credential that requests are sent with, for another line to the same account.
    pub fn in_service(&self) -> SecretString {
        held(&self.inner.credential).clone()
    }

    /// How often the credential has changed: what was found out about one says nothing about the next.
    pub(super) fn changes(&self) -> u64 {
        self.inner.changes.load(Ordering::SeqCst)
    }

    /// Tells each request's operation, outcome (`Done`, or the fault's class) and duration from now on.
    pub fn report_to(&self, meter: Meter) {
        *held(&self.inner.meter) = Some(meter);
    }

    /// Asks this right before each request, after all waiting: a process that has slept meanwhile may no longer be the
    /// one that works.
    pub fn only_while(&self, permission: Permission) {
        *held(&self.inner.permission) = Some(permission);
    }

    /// Whether the account works: an outage is a run of failures that tell against the account and not against one
    /// request, and one good answer ends it.
    pub fn standing(&self) -> Standing {
        held(&self.inner.trouble).standing()
    }

    /// A refusal was the good answer: the provider is there, and takes the credential.
    pub(super) fn answered(&self) {
        held(&self.inner.trouble).ended();
    }

    /// Deadline of one request.
    pub(super) fn timeout(&self) -> SignedDuration {
        SignedDuration::try_from(self.inner.connection.timeout).unwrap_or(SignedDuration::MAX)
    }

    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        (self.inner.connection.clock)()
    }

    /// Sends, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Done<T> {
        self.send(ask, |body| {
            let value: Value = serde_json::from_slice(body)
                .map_err(|_| Answer::Lost("its answer is not whole".to_owned()))?;
            // The error of serde would quote what it read.
            serde_json::from_value(value).map_err(|_| Answer::Strange)
        })
        .await
    }

    /// Sends where a good status is all that matters.
    pub(super) async fn tell(&self, ask: Ask) -> Done<()> {
        self.send(ask, |_| Ok(())).await
    }

    async fn send<T>(&self, ask: Ask, read: impl FnOnce(&[u8]) -> Result<T, Answer>) -> Done<T> {
        self.admit().await?;
        let inner = &*self.inner;
        let credential = self.credential()?;
        let began = Instant::now();
        let (operation, kind) = (ask.operation, ask.kind);
        let timeout = inner.connection.timeout;
        let exchange = tokio::time::timeout(timeout, self.exchange(ask, &credential));
        let outcome = exchange.await.unwrap_or_else(|_| {
            let what = format!("no answer within {} s", timeout.as_secs());
            Err(Answer::Lost(what))
        });
        let result = self.conclude(
            operation,
            kind,
            &credential,
            outcome.and_then(|body| read(&body)),
        );
        let outcome = result.as_ref().map_or_else(Fault::class, |_| "Done");
        if let Some(meter) = held(&inner.meter).clone() {
            meter(operation, outcome, began.elapsed());
        }
        tracing::debug!(
            provider = inner.manners.dialect.name,
            operation,
            outcome,
            millis = began.elapsed().as_millis(),
            "tool provider"
        );
        result
    }

    /// Waits for the account's rate; why nothing may be sent now, where that is so.
    async fn admit(&self) -> Done<()> {
        self.open()?;
        let wait = held(&self.inner.rate).take(Instant::now());
        let wait = wait.ok_or_else(|| Fault::Throttled {
            until: later(self.now(), SignedDuration::from_secs(1)),
            message: format!(
                "{}: too many requests wait",
                self.inner.manners.dialect.name
            ),
        })?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            // A refusal of the meantime counts for those who waited.
            self.open()?;
        }
        let permission = held(&self.inner.permission).clone();
        if permission.is_none_or(|permission| permission()) {
            return Ok(());
        }
        Err(Fault::Transient {
            message: "this process does not lead".to_owned(),
        })
    }

    /// Whether the provider's last refusal is over.
    fn open(&self) -> Done<()> {
        let now = self.now();
        let mut refused = held(&self.inner.refused);
        match &*refused {
            Some((until, message)) if *until > now => Err(Fault::Throttled {
                until: *until,
                message: message.clone(),
            }),
            _ => {
                *refused = None;
                Ok(())
            }
        }
    }

    fn credential(&self) -> Done<SecretString> {
        let credential = held(&self.inner.credential).clone();
        if credential.expose_secret().is_empty() {
            return Err(Fault::Denied {
                message: "the account's Secret holds no credential".to_owned(),
            });
        }
        Ok(credential)
    }

    /// Classifies and remembers.
    fn conclude<T>(
        &self,
        operation: &str,
        kind: Kind,
        credential: &SecretString,
        outcome: Result<T, Answer>,
    ) -> Done<T> {
        let answer = match outcome {
            Ok(value) => {
                held(&self.inner.trouble).ended();
                return Ok(value);
            }
            Err(answer) => answer,
        };
        let now = self.now();
        let fault = classify(&answer, kind, &self.inner.manners.dialect, operation, now);
        // A provider that repeats our credential in a form that nobody knows says nothing at all.
        let fault = match fault.message().contains(credential.expose_secret()) {
            false => fault,
            true => classify(
                &without_words(answer.clone()),
                kind,
                &self.inner.manners.dialect,
                operation,
                now,
            ),
        };
        if let Fault::Throttled { until, message } = &fault {
            *held(&self.inner.refused) = Some((*until, message.clone()));
        }
        if tells_against_the_account(&answer, &fault) {
            held(&self.inner.trouble).failed(&fault, now);
        }
        Err(fault)
    }

    async fn exchange(&self, ask: Ask, credential: &SecretString) -> Result<Vec<u8>, Answer> {
        let Manners { base, header, .. } = self.inner.manners;
        let mut request = self
            .inner
            .connection
            .http
            .request(ask.method, format!("{base}{}", ask.path))
            .header(reqwest::header::USER_AGENT, USER_AGENT)
            .header(reqwest::header::ACCEPT, "application/json");
        request = match header {
            None => request.bearer_auth(credential.expose_secret()),
            Some(name) => {
                let mut value = HeaderValue::from_str(credential.expose_secret())
                    .map_err(|_| Answer::NotSent("the credential is no header".to_owned()))?;
                value.set_sensitive(true);
                request.header(name, value)
            }
        };
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        let until = again(response.headers(), self.now());
        let body = whole(response).await;
        if status.is_success() {
            return body;
        }
        let shows_an_id = |body: &[u8]| {
            let value: Option<Value> = serde_json::from_slice(body).ok();
            value.is_some_and(|value| value["id"].is_string())
        };
        if ask.also_good == Some(status.as_u16())
            && let Ok(body) = &body
            && shows_an_id(body)
        {
            return Ok(body.clone());
        }
        // Whatever became of its body, the status of a refusal counts.
        let body = body
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok());
        Err(Answer::Reply(Reply {
            status: status.as_u16(),
            until,
            body: body.filter(Value::is_object),
        }))
    }
}

fn without_words(answer: Answer) -> Answer {
    match answer {
        Answer::Reply(reply) => Answer::Reply(Reply {
            body: reply.body.map(|_| Value::Object(serde_json::Map::new())),
            ..reply
        }),
        Answer::NotSent(_) => Answer::NotSent("no connection".to_owned()),
        _ => Answer::Lost("no answer".to_owned()),
    }
}

/// Secrets made from files end in a newline as a rule.
fn trimmed(credential: &SecretString) -> SecretString {
    SecretString::from(credential.expose_secret().trim())
}

/// Whether the request was sent at all is what matters.
fn failed(error: &reqwest::Error) -> Answer {
    let mut what = "the connection failed".to_owned();
    let mut cause = error.source();
    // The causes, without the outermost error: that one names the URL.
    while let Some(error) = cause {
        what.push_str(": ");
        what.push_str(&error.to_string());
        cause = error.source();
    }
    let what = sayable(&what);
    if error.is_connect() || error.is_builder() {
        Answer::NotSent(what)
    } else {
        Answer::Lost(what)
    }
}

async fn whole(response: reqwest::Response) -> Result<Vec<u8>, Answer> {
    let body = wire::body(response, LARGEST).await;
    body.map_err(|unread| match unread {
        Unread::Lost(error) => failed(&error),
        Unread::TooLarge => Answer::Lost("its answer is too large".to_owned()),
    })
}

/// So many requests a second, as many at once.
struct Rate {
    spacing: Duration,
    at_once: u32,
    /// When the next request would leave, if they left evenly.
    next: Option<Instant>,
}

impl Rate {
    fn new(per_second: u32) -> Rate {
        let at_once = per_second.max(1);
        Rate {
            spacing: Duration::from_secs(1) / at_once,
            at_once,
            next: None,
        }
    }

    /// Takes a place; how long to wait for it. `None`, and nothing taken, where that is too long.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let even = self.next.map_or(now, |next| next.max(now));
        let ahead = self.spacing * (self.at_once - 1);
        let wait = even.duration_since(now).saturating_sub(ahead);
        if wait > PATIENCE {
            return None;
        }
        self.next = Some(even + self.spacing);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{Complaint, plain};
    use super::*;

    const MANNERS: Manners = Manners {
        base: "http://127.0.0.1:9",
        header: None,
        dialect: Dialect {
            name: "Acme",
            complaint: |body| Complaint {
                code: String::new(),
                sentence: body["error"].as_str().unwrap_or_default().to_owned(),
            },
            meaning: plain,
        },
    };

    fn line(credential: &str) -> Line {
        let connection = Connection {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            timeout: Duration::from_secs(5),
            requests_per_second: 5,
            clock: Arc::new(Timestamp::now),
        };
        Line::new(MANNERS, &SecretString::from(credential), connection)
    }

    fn refusal(status: u16, body: Value) -> Result<(), Answer> {
        Err(Answer::Reply(Reply {
            status,
            until: None,
            body: Some(body),
        }))
    }

    #[test]
    fn pieces_are_encoded_whole() {
        assert_eq!(piece("a/b?c@d+e f~-._"), "a%2Fb%3Fc%40d%2Be%20f~-._");
        assert_eq!(piece("ü"), "%C3%BC");
    }

    #[test]
    fn as_many_at_once_as_a_second_allows_and_then_evenly() {
        let mut rate = Rate::new(5);
        let now = Instant::now();
        let waits: Vec<u128> = (0..8)
            .map(|_| rate.take(now).map_or(0, |wait| wait.as_millis()))
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 200, 400, 600]);
        let later = now + Duration::from_secs(60);
        assert_eq!(rate.take(later), Some(Duration::ZERO));
        while rate.take(later).is_some() {}
        assert_eq!(rate.take(later), None, "nothing is taken by the impatient");
        assert!(rate.take(later + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn a_credential_is_trimmed_and_replaced() {
        let line = line("one\n");
        assert!(!line.replace(&SecretString::from("one")));
        assert!(line.replace(&SecretString::from("two ")));
        assert_eq!(line.credential().unwrap().expose_secret(), "two");
        assert!(line.replace(&SecretString::from("\n")));
        assert_eq!(line.credential().unwrap_err().class(), "Denied");
    }

    #[test]
    fn a_refusal_holds_the_account_back_and_a_run_of_failures_is_trouble() {
        let line = line("secret");
        let conclude = |outcome| {
            let credential = SecretString::from("secret");
            line.conclude("keys", Kind::Read, &credential, outcome)
        };
        assert!(line.open().is_ok());
        for status in [500, 404, 503] {
            let _ = conclude(refusal(status, serde_json::json!({ "error": "no" })));
        }
        assert_eq!(line.standing(), Standing::Fine, "a 404 tells nothing");
        let fault = conclude(refusal(429, serde_json::json!({ "error": "slow" }))).unwrap_err();
        assert_eq!(line.open(), Err(fault));
        assert!(matches!(line.standing(), Standing::Trouble { .. }));
        assert!(conclude(Ok(())).is_ok());
        assert_eq!(line.standing(), Standing::Fine);
    }

    #[test]
    fn an_answer_that_repeats_the_credential_says_nothing() {
        let line = line("hush");
        let credential = SecretString::from("hush");
        let body = serde_json::json!({ "error": "hush is wrong" });
        let fault = line.conclude("keys", Kind::Read, &credential, refusal(401, body));
        assert_eq!(
            fault.unwrap_err().message(),
            "Acme answered keys with HTTP 401"
        );
    }

    #[tokio::test]
    async fn what_cannot_connect_was_not_sent_and_who_may_not_send_does_not() {
        let line = line("secret");
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        line.report_to(Arc::new(move |operation, outcome, _| {
            held(&tell).push((operation, outcome));
        }));
        let ask = || Ask::post("key.make", "/keys", Value::Null);
        let fault = line.tell(ask()).await.unwrap_err();
        assert_eq!(fault.class(), "Transient", "{fault}");
        assert!(!fault.message().contains("127.0.0.1:9/"), "{fault}");
        line.only_while(Arc::new(|| false));
        let fault = line.tell(ask()).await.unwrap_err();
        assert_eq!(fault.message(), "this process does not lead");
        assert_eq!(*held(&told), [("key.make", "Transient")]);
    }
}
