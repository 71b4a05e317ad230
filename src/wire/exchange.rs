//! Sending one request and reading its answer.
//!
//! Holds: a deadline covers sending, waiting and reading; an answer is read up to a limit and no further; a status that came
//! counts, whatever became of the rest of its answer. URL, request and answer are never logged and never in a fault.
//! Deliberately absent: who may send when (each account has its own rule), repeating.

use super::leave::{Leave, Led};
use super::lock::held;
use crate::model::standing::Run;
use crate::model::words::sayable;
use crate::model::{Done, Fault, Standing};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Method, RequestBuilder, Response};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How we call ourselves.
pub const USER_AGENT: &str = concat!("yardmaster/", env!("CARGO_PKG_VERSION"));

/// Where the time of day comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Is told each request's operation, outcome (`Done`, or the fault's class) and duration.
pub type Meter = Arc<dyn Fn(&'static str, &'static str, Duration) + Send + Sync>;

/// How the requests of an account leave.
#[derive(Clone)]
pub struct Connection {
    /// Follows no redirects; proxy and authorities are its business.
    pub http: reqwest::Client,
    /// Deadline of one request, its answer included.
    pub timeout: Duration,
    /// The time of day.
    pub clock: Clock,
    /// Who counts requests.
    pub meter: Meter,
    /// Whether they may leave.
    pub leave: Leave,
}

impl Connection {
    /// That of one who only looks: needs no lead, and is counted by nobody.
    pub fn of_an_onlooker(http: reqwest::Client, timeout: Duration, clock: Clock) -> Connection {
        Connection {
            http,
            timeout,
            clock,
            meter: Arc::new(|_, _, _| ()),
            leave: Leave::always(),
        }
    }
}

/// What a request would have done, which decides what losing its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Makes something new; twice makes two.
    Create,
    /// Sets something; twice is the same as once.
    Change,
    /// Takes something away.
    Delete,
}

impl Effect {
    /// The fault of a lost answer: nobody knows whether the request was applied; a read can simply be repeated.
    pub fn lost(self, message: String) -> Fault {
        match self {
            Effect::Read => Fault::Transient { message },
            _ => Fault::Uncertain { message },
        }
    }
}

/// Why there is no whole answer, in words that may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// No connection: the request never left.
    NotSent(String),
    /// It left, and no whole answer came back.
    Lost(String),
}

impl NoReply {
    /// What it means for a request of this effect.
    pub fn fault(&self, provider: &str, effect: Effect) -> Fault {
        match self {
            NoReply::NotSent(why) => Fault::Transient {
                message: sayable(&format!("{provider} cannot be reached: {why}")),
            },
            NoReply::Lost(why) => effect.lost(sayable(&format!("{provider}: {why}"))),
        }
    }
}

/// The causes of a failure, without the outermost error: that one names the URL. Whether the request was sent at all is
/// what matters.
impl From<reqwest::Error> for NoReply {
    fn from(error: reqwest::Error) -> NoReply {
        let mut what = "the connection failed".to_owned();
        let mut cause = error.source();
        while let Some(error) = cause {
            what.push_str(": ");
            what.push_str(&error.to_string());
            cause = error.source();
        }
        let what = sayable(&what);
        if error.is_connect() || error.is_builder() {
            NoReply::NotSent(what)
        } else {
            NoReply::Lost(what)
        }
    }
}

/// Why an answer was not read to its end.
#[derive(Debug)]
pub enum Unread {
    /// The connection failed.
    Lost(reqwest::Error),
    /// It is larger than it may be.
    TooLarge,
}

impl From<Unread> for NoReply {
    fn from(unread: Unread) -> NoReply {
        match unread {
            Unread::Lost(error) => error.into(),
            Unread::TooLarge => NoReply::Lost("its answer is too large".to_owned()),
        }
    }
}

/// The body of an answer, of at most so many bytes.
///
/// # Errors
/// The connection fails, or there is more.
pub async fn body(response: Response, largest: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    read(response, largest, |chunk| body.extend_from_slice(chunk)).await?;
    Ok(body)
}

/// Hands on the body of an answer piece by piece, of at most so many bytes.
///
/// # Errors
/// The connection fails, or there is more.
pub async fn read(
    mut response: Response,
    largest: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Unread> {
    let mut left = largest;
    while let Some(chunk) = response.chunk().await.map_err(Unread::Lost)? {
        left = left.checked_sub(chunk.len()).ok_or(Unread::TooLarge)?;
        take(&chunk);
    }
    Ok(())
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unless that got lost on the way.
    pub body: Result<Vec<u8>, NoReply>,
}

/// Sends, and reads an answer of at most so many bytes. Of what belongs to no account; those of one go through [`Exchange::send`].
///
/// # Errors
/// There is no answer, and whether the request was sent.
pub async fn reply(
    request: RequestBuilder,
    largest: usize,
    within: Duration,
) -> Result<Reply, NoReply> {
    let deadline = Instant::now() + within;
    let late = || NoReply::Lost(format!("no answer within {} s", within.as_secs()));
    let response = timeout_at(deadline, request.send())
        .await
        .map_err(|_| late())??;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = match timeout_at(deadline, body(response, largest)).await {
        Ok(read) => read.map_err(NoReply::from),
        Err(_) => Err(late()),
    };
    Ok(Reply {
        status,
        headers,
        body,
    })
}

/// The exchanges of one account: how they leave, who counts them, and how the account does.
pub struct Exchange {
    provider: &'static str,
    connection: Connection,
    trouble: Mutex<Run>,
}

impl Exchange {
    /// With the provider of this name.
    pub fn new(provider: &'static str, connection: Connection) -> Exchange {
        Exchange {
            provider,
            connection,
            trouble: Mutex::default(),
        }
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        (self.connection.clock)()
    }

    /// Deadline of one request.
    pub fn timeout(&self) -> SignedDuration {
        SignedDuration::try_from(self.connection.timeout).unwrap_or(SignedDuration::MAX)
    }

    /// A proof that this process leads, to be taken right before a request, after all waiting: a process that has slept
    /// meanwhile may no longer be the one that works.
    ///
    /// # Errors
    /// `Transient` where it does not lead.
    pub fn led(&self) -> Done<Led<'_>> {
        self.connection.leave.take()
    }

    /// Whether the account works: an outage is a run of failures that tell against the account and not against one request,
    /// and one good answer ends it.
    pub fn standing(&self) -> Standing {
        held(&self.trouble).standing()
    }

    /// The account gave a good answer.
    pub fn works(&self) {
        held(&self.trouble).ended();
    }

    /// A request failed in a way that tells against the account.
    pub fn failed(&self, fault: &Fault) {
        held(&self.trouble).failed(fault, self.now());
    }

    /// A request, with what all have.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let request = self.connection.http.request(method, url);
        request
            .header(reqwest::header::USER_AGENT, USER_AGENT)
            .header(ACCEPT, "application/json")
    }

    /// Sends, reads an answer of at most so many bytes, and hands it to whoever knows what it means.
    ///
    /// # Errors
    /// What `understand` makes of it.
    pub async fn send<T, E: AsRef<Fault>>(
        &self,
        _: Led<'_>,
        operation: &'static str,
        request: RequestBuilder,
        largest: usize,
        understand: impl FnOnce(Result<Reply, NoReply>) -> Result<T, E>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let reply = reply(request, largest, self.connection.timeout).await;
        let result = understand(reply);
        if result.is_ok() {
            self.works();
        }
        let failed = result.as_ref().err().map(AsRef::as_ref);
        let outcome = failed.map_or("Done", Fault::class);
        (self.connection.meter)(operation, outcome, began.elapsed());
        tracing::debug!(
            provider = self.provider,
            operation,
            outcome,
            millis = began.elapsed().as_millis(),
            "exchange"
        );
        result
    }
}

#[cfg(test)]
mod tests;
