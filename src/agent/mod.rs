//! The HTTP contract of a running agent (`facts/predecessors.md` A6, A7): whether it is ready; who it is (`telling.rs`).
//!
//! What holds: a host name comes from a provider and is still checked, so that a request with an agent's token goes
//! to a public name over HTTPS and nowhere else; the token is shown as the agent's harness takes it, and not where it wants none;
//! no redirect is followed; an answer is read up to a limit, within one
//! deadline. Whatever the agent answers is a value, never an error. Deliberately absent: repeating, deciding what an
//! answer means for anybody, and the rest of the contract (reset, update).

mod telling;

use crate::model::words::quotes;
use crate::model::{
    Answer, Done, Expects, Fault, Health, ReadinessProbe, ShownToken, TokenForm, VersionPlace,
};
use crate::wire::{self, Unread, is_public_name};
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::Duration;

/// The largest answer that is read.
const LARGEST: usize = 64 << 10;

/// The longest version of an agent that is passed on.
const WORD: usize = 64;

/// Calls agents. Cheap to clone.
#[derive(Clone)]
pub struct Agents {
    http: reqwest::Client,
    /// Keeps no connection: see `telling`.
    anew: reqwest::Client,
    timeout: Duration,
}

impl Agents {
    /// Calls agents with what these builders say of proxy and authorities; `timeout` is for a whole exchange (the
    /// predecessors use 5 s), but for telling. Fails with `Bug` where no client can be built from it.
    pub fn new(builder: impl Fn() -> reqwest::ClientBuilder, timeout: Duration) -> Done<Agents> {
        let http = client(builder())?;
        let anew = builder().pool_max_idle_per_host(0).connect_timeout(timeout);
        let anew = client(anew)?;
        Ok(Agents {
            http,
            anew,
            timeout,
        })
    }

    /// Asks an agent whether it is ready. `host` is a DNS name alone, the path begins with a slash.
    pub async fn health(
        &self,
        host: &str,
        readiness: &ReadinessProbe,
        token: &SecretString,
    ) -> Health {
        let ReadinessProbe { path, expects, .. } = readiness;
        if !is_public_name(host) || !is_path(path) {
            return Health::NotReady(Answer::NotAsked);
        }
        let Some(request) = self.request(host, path, &readiness.credential, token) else {
            return Health::NotReady(Answer::NotAsked);
        };
        let asked = tokio::time::timeout(self.timeout, ask(request, expects, token)).await;
        match (asked, &readiness.version) {
            (Err(_), _) => Health::NotReady(Answer::NoAnswer),
            (Ok(Health::Ready { .. }), Some(place)) => Health::Ready {
                version: self.version(host, place, token).await,
            },
            (Ok(health), _) => health,
        }
    }

    /// A request that shows the token as it is to be shown. `None`: the header is none.
    fn request(
        &self,
        host: &str,
        path: &str,
        credential: &Option<ShownToken>,
        token: &SecretString,
    ) -> Option<reqwest::RequestBuilder> {
        let request = self
            .http
            .get(format!("https://{host}{path}"))
            .header(reqwest::header::ACCEPT, "application/json");
        let token = token.expose_secret();
        Some(match credential.as_ref().map(|shown| &shown.form) {
            None => request,
            Some(TokenForm::Bearer) => request.bearer_auth(token),
            Some(TokenForm::Basic { user }) => request.basic_auth(user, Some(token)),
            Some(TokenForm::Header { name }) => {
                let name = HeaderName::try_from(name.as_str()).ok()?;
                let mut value = HeaderValue::try_from(token).ok()?;
                value.set_sensitive(true);
                request.header(name, value)
            }
        })
    }

    /// The version of an agent that is ready. What it does not tell, or not in time, stays unknown: it is ready all the same.
    async fn version(
        &self,
        host: &str,
        place: &VersionPlace,
        token: &SecretString,
    ) -> Option<String> {
        let request = self.request(host, &place.path, &place.credential, token)?;
        let read = async {
            let response = request.send().await.ok()?;
            let told = response.status().as_u16() == 200;
            let body = wire::body(response, LARGEST).await.ok()?;
            let answer = serde_json::from_slice::<Value>(&body).ok();
            version(answer.filter(|_| told)?.pointer(&place.pointer)?, token)
        };
        let read = tokio::time::timeout(self.timeout, read).await;
        read.ok().flatten()
    }
}

async fn ask(request: reqwest::RequestBuilder, expects: &Expects, token: &SecretString) -> Health {
    let response = match request.send().await {
        Ok(response) => response,
        Err(_) => return Health::NotReady(Answer::NotReached),
    };
    let status = response.status().as_u16();
    // Where the status alone counts, a page of any length will do.
    let reads = matches!(expects, Expects::Value { .. }) && status == 200;
    if !reads && !is_of_the_edge(status) {
        return understand(status, &[], expects, token);
    }
    match wire::body(response, LARGEST).await {
        Ok(body) => understand(status, &body, expects, token),
        Err(Unread::TooLarge) if !reads => understand(status, &[], expects, token),
        Err(Unread::TooLarge) => Health::NotReady(Answer::TooLong),
        Err(Unread::Lost(_)) => Health::NotReady(Answer::NotReached),
    }
}

fn client(builder: reqwest::ClientBuilder) -> Done<reqwest::Client> {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .https_only(true)
        .user_agent(wire::USER_AGENT)
        .build()
        .map_err(|error| Fault::Bug {
            message: format!("no client for agents: {}", error.without_url()),
        })
}

/// The provider's edge answers in the place of an agent that does not run or sleeps (`facts/railway.md` 2.5), and that is
/// no word of the agent's.
fn is_of_the_edge(status: u16) -> bool {
    matches!(status, 404 | 502..=504)
}

/// Whether it is the edge that answered.
fn is_the_edge(status: u16, body: &[u8]) -> bool {
    is_of_the_edge(status) && String::from_utf8_lossy(body).contains("\"Application ")
}

/// What an answer says.
fn understand(status: u16, body: &[u8], expects: &Expects, token: &SecretString) -> Health {
    if is_the_edge(status, body) {
        return Health::NotReady(Answer::NotRunning);
    }
    match expects {
        Expects::Status(wanted) if status == *wanted => Health::Ready { version: None },
        Expects::Value { pointer, equals } if status == 200 => value(body, pointer, equals, token),
        _ => Health::NotReady(Answer::Status(status)),
    }
}

/// Whether the value stands where it is expected: a scalar, compared by its text.
fn value(body: &[u8], pointer: &str, equals: &str, token: &SecretString) -> Health {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Health::NotReady(Answer::NotJson);
    };
    let text = match answer.pointer(pointer) {
        None => return Health::NotReady(Answer::NoValue),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(_) | Value::Object(_)) => {
            return Health::NotReady(Answer::OtherValue);
        }
        Some(scalar) => scalar.to_string(),
    };
    if text != equals {
        return Health::NotReady(Answer::OtherValue);
    }
    Health::Ready {
        version: version(&answer["version"], token),
    }
}

/// A version as an agent tells it: a short word that begins with a number. It ends up in status, so nothing else is taken for one.
fn version(told: &Value, token: &SecretString) -> Option<String> {
    let text = told.as_str()?.trim();
    let bare = text.strip_prefix('v').unwrap_or(text);
    let fits = text.len() <= WORD
        && bare.starts_with(|c: char| c.is_ascii_digit())
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte));
    (fits && !quotes(text, token.expose_secret())).then(|| text.to_owned())
}

/// An absolute path and nothing after it.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 256
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte))
}

#[cfg(test)]
mod tests;
