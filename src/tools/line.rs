//! The line to one account at one provider: the one way in which requests of tools are sent.
//!
//! What holds: no more requests leave in a second than the account allows, and none before the moment that the provider named
//! in a refusal; the lead is taken last, after all waiting. Credential, URL, request and answer are never logged and never in a
//! fault. The credential can be replaced while it works. Deliberately absent: repeating anything; what a provider calls
//! its things.

use super::ask::Ask;
use super::faults::{Dialect, RestRefusal, Unserved, again, classify, tells_against_the_account};
use super::rate::Rate;
use crate::model::{Done, Fault, Standing};
use crate::wire::{Connection, Effect, Exchange, NoReply, Reply, held, later, trimmed};
use jiff::{SignedDuration, Timestamp};
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// The largest answer that is read. A page of 250 numbers takes about a quarter of a megabyte.
const LARGEST: usize = 8 << 20;

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

/// The line to one account. Cheap to clone; clones are the same line.
#[derive(Clone)]
pub struct Line {
    ends: Arc<Ends>,
}

struct Ends {
    manners: Manners,
    wire: Exchange,
    credential: Mutex<SecretString>,
    /// How often the credential has changed.
    changes: AtomicU64,
    rate: Mutex<Rate>,
    /// Until when the provider wants to hear nothing, and why.
    refused: Mutex<Option<(Timestamp, String)>>,
}

impl Line {
    pub(super) fn new(
        manners: Manners,
        credential: &SecretString,
        requests_per_second: u32,
        connection: Connection,
    ) -> Line {
        Line {
            ends: Arc::new(Ends {
                wire: Exchange::new(manners.dialect.name, connection),
                manners,
                rate: Mutex::new(Rate::new(requests_per_second)),
                credential: Mutex::new(trimmed(credential)),
                changes: AtomicU64::new(0),
                refused: Mutex::default(),
            }),
        }
    }

    /// Another credential, after its Secret has changed. Answers whether it is another.
    pub fn replace(&self, credential: &SecretString) -> bool {
        let credential = trimmed(credential);
        let mut current = held(&self.ends.credential);
        let changed = current.expose_secret() != credential.expose_secret();
        *current = credential;
        if changed {
            self.ends.changes.fetch_add(1, Ordering::SeqCst);
        }
        changed
    }

    /// Whether requests are sent with this credential.
    pub fn serves(&self, credential: &SecretString) -> bool {
        let current = held(&self.ends.credential);
        current.expose_secret() == trimmed(credential).expose_secret()
    }

    /// The credential that requests are sent with, for another line to the same account.
    pub fn in_service(&self) -> SecretString {
        held(&self.ends.credential).clone()
    }

    /// How often the credential has changed: what was found out about one says nothing about the next.
    pub(super) fn changes(&self) -> u64 {
        self.ends.changes.load(Ordering::SeqCst)
    }

    /// Whether the account works.
    pub fn standing(&self) -> Standing {
        self.ends.wire.standing()
    }

    /// A refusal was the good answer: the provider is there, and takes the credential.
    pub(super) fn answered(&self) {
        self.ends.wire.works();
    }

    /// Deadline of one request.
    pub(super) fn timeout(&self) -> SignedDuration {
        self.ends.wire.timeout()
    }

    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        self.ends.wire.now()
    }

    /// Sends, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Done<T> {
        self.send(ask, |body| {
            let value: Value = serde_json::from_slice(body)
                .map_err(|_| NoReply::Lost("its answer is not whole".to_owned()))?;
            // The error of serde would quote what it read.
            serde_json::from_value(value).map_err(|_| Unserved::Strange)
        })
        .await
    }

    /// Sends where a good status is all that matters.
    pub(super) async fn tell(&self, ask: Ask) -> Done<()> {
        self.send(ask, |_| Ok(())).await
    }

    async fn send<T>(&self, ask: Ask, read: impl FnOnce(&[u8]) -> Result<T, Unserved>) -> Done<T> {
        self.admit().await?;
        let wire = &self.ends.wire;
        let led = wire.led()?;
        let credential = self.credential()?;
        let understand = |reply| {
            let good = good(reply, ask.also_good, wire.now());
            let outcome = good.and_then(|body| read(&body));
            self.conclude(ask.operation, ask.effect, &credential, outcome)
        };
        let request = match self.request(&ask, &credential) {
            Ok(request) => request,
            Err(lost) => return understand(Err(lost)),
        };
        wire.send(led, ask.operation, request, LARGEST, understand)
            .await
    }

    fn request(&self, ask: &Ask, credential: &SecretString) -> Result<RequestBuilder, NoReply> {
        let Manners { base, header, .. } = self.ends.manners;
        let url = format!("{base}{}", ask.path);
        let request = self.ends.wire.request(ask.method.clone(), &url);
        let request = match header {
            None => request.bearer_auth(credential.expose_secret()),
            Some(name) => {
                let mut value = HeaderValue::from_str(credential.expose_secret())
                    .map_err(|_| NoReply::NotSent("the credential is no header".to_owned()))?;
                value.set_sensitive(true);
                request.header(name, value)
            }
        };
        Ok(match &ask.body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    /// Waits for the account's rate; why nothing may be sent now, where that is so.
    async fn admit(&self) -> Done<()> {
        self.open()?;
        let wait = held(&self.ends.rate).take(Instant::now());
        let wait = wait.ok_or_else(|| Fault::Throttled {
            until: later(self.now(), SignedDuration::from_secs(1)),
            message: format!("{}: too many requests wait", self.ends.manners.dialect.name),
        })?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            // A refusal of the meantime counts for those who waited.
            self.open()?;
        }
        Ok(())
    }

    /// Whether the provider's last refusal is over.
    fn open(&self) -> Done<()> {
        let now = self.now();
        let mut refused = held(&self.ends.refused);
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
        let credential = held(&self.ends.credential).clone();
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
        effect: Effect,
        credential: &SecretString,
        outcome: Result<T, Unserved>,
    ) -> Done<T> {
        let answer = match outcome {
            Ok(value) => return Ok(value),
            Err(answer) => answer,
        };
        let now = self.now();
        let meaning = |answer: &Unserved| {
            classify(answer, effect, &self.ends.manners.dialect, operation, now)
        };
        let mut fault = meaning(&answer);
        // A provider that repeats our credential in a form that nobody knows says nothing at all.
        if fault.message().contains(credential.expose_secret()) {
            fault = meaning(&answer.without_words());
        }
        if let Fault::Throttled { until, message } = &fault {
            *held(&self.ends.refused) = Some((*until, message.clone()));
        }
        if tells_against_the_account(&answer, &fault) {
            self.ends.wire.failed(&fault);
        }
        Err(fault)
    }
}

/// The body of a good answer.
fn good(
    reply: Result<Reply, NoReply>,
    also_good: Option<u16>,
    now: Timestamp,
) -> Result<Vec<u8>, Unserved> {
    let Reply {
        status,
        headers,
        body,
    } = reply?;
    if (200..300).contains(&status) {
        return Ok(body?);
    }
    // Whatever became of its body, the status of a refusal counts.
    let body = body.unwrap_or_default();
    let value: Option<Value> = serde_json::from_slice(&body).ok();
    let shows_an_id = value.as_ref().is_some_and(|value| value["id"].is_string());
    if also_good == Some(status) && shows_an_id {
        return Ok(body);
    }
    Err(Unserved::Refused(RestRefusal {
        status,
        until: again(&headers, now),
        body: value.filter(Value::is_object),
    }))
}

#[cfg(test)]
mod tests;
