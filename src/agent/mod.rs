//! The HTTP contract of a running agent (`facts/predecessors.md` A6, A7): whether it is ready; who it is (`telling.rs`).
//!
//! What holds: a host name comes from a provider and is still checked, so that a request with an agent's token goes
//! to a public name over HTTPS and nowhere else; no redirect is followed; an answer is read up to a limit, within one
//! deadline. Whatever the agent answers is a value, never an error. Deliberately absent: repeating, deciding what an
//! answer means for anybody, and the rest of the contract (reset, update).

mod telling;

use crate::model::words::cut;
use crate::model::{Answer, Done, Expects, Fault, Health, ReadinessProbe};
use crate::wire::{self, Unread, is_public_name};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::Duration;

/// The largest answer that is read.
const LARGEST: usize = 64 << 10;

/// The longest text of an agent that is passed on, in characters: it ends up in status.
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
        let ReadinessProbe { path, expects } = readiness;
        if !is_public_name(host) || !is_path(path) {
            return Health::NotReady(Answer::NotAsked);
        }
        let ask = self.ask(format!("https://{host}{path}"), expects, token);
        tokio::time::timeout(self.timeout, ask)
            .await
            .unwrap_or(Health::NotReady(Answer::NoAnswer))
    }

    async fn ask(&self, url: String, expects: &Expects, token: &SecretString) -> Health {
        let request = self
            .http
            .get(url)
            .header(reqwest::header::ACCEPT, "application/json")
            .bearer_auth(token.expose_secret());
        let response = match request.send().await {
            Ok(response) => response,
            Err(_) => return Health::NotReady(Answer::NotReached),
        };
        let status = response.status().as_u16();
        // Where the status alone counts, a page of any length will do.
        let reads = matches!(expects, Expects::Value { .. }) && status == 200;
        if !reads && !is_of_the_edge(status) {
            return understand(status, &[], expects);
        }
        match wire::body(response, LARGEST).await {
            Ok(body) => understand(status, &body, expects),
            Err(Unread::TooLarge) if !reads => understand(status, &[], expects),
            Err(Unread::TooLarge) => Health::NotReady(Answer::TooLong),
            Err(Unread::Lost(_)) => Health::NotReady(Answer::NotReached),
        }
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
fn understand(status: u16, body: &[u8], expects: &Expects) -> Health {
    if is_the_edge(status, body) {
        return Health::NotReady(Answer::NotRunning);
    }
    match expects {
        Expects::Status(wanted) if status == *wanted => Health::Ready { version: None },
        Expects::Value { pointer, equals } if status == 200 => value(body, pointer, equals),
        _ => Health::NotReady(Answer::Status(status)),
    }
}

/// Whether the value stands where it is expected: a scalar, compared by its text.
fn value(body: &[u8], pointer: &str, equals: &str) -> Health {
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
        version: answer["version"].as_str().map(word),
    }
}

/// A word of an agent's, as it is passed on.
fn word(text: &str) -> String {
    cut(text.trim(), WORD)
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
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_called() {
        for path in ["/", "/pool/health", "/a-b/c_d.e~"] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "",
            "pool",
            "//evil.example/",
            "/a?b",
            "/a#b",
            "/a b",
            "/a%2e",
            "/a\n",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn what_an_agent_says() {
        let other = |status| Health::NotReady(Answer::Status(status));
        for (status, body, health) in [
            (
                200,
                r#"{"ready": true, "version": "1.4", "runtime": "openclaw", "more": 1}"#,
                Health::Ready {
                    version: Some("1.4".into()),
                },
            ),
            (
                200,
                r#"{"ready": true, "version": null}"#,
                Health::Ready { version: None },
            ),
            (
                200,
                r#"{"ready": false}"#,
                Health::NotReady(Answer::OtherValue),
            ),
            (
                200,
                r#"{"ready": "yes"}"#,
                Health::NotReady(Answer::OtherValue),
            ),
            (200, r#"{"ok": true}"#, Health::NotReady(Answer::NoValue)),
            (200, "<html>", Health::NotReady(Answer::NotJson)),
            (503, r#"{"ready": false}"#, other(503)),
            (302, "", other(302)),
            (401, r#"{"error": "token"}"#, other(401)),
            (
                404,
                r#"{"status":"error","code":404,"message":"Application not found"}"#,
                Health::NotReady(Answer::NotRunning),
            ),
            (
                502,
                r#"{"status":"error","code":502,"message":"Application failed to respond"}"#,
                Health::NotReady(Answer::NotRunning),
            ),
            (404, "not found", other(404)),
        ] {
            assert_eq!(
                understand(status, body.as_bytes(), &Expects::default()),
                health,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn any_image_can_say_that_it_is_ready() {
        let ready = Health::Ready { version: None };
        let not = Health::NotReady;
        let value = |pointer: &str, equals: &str| Expects::Value {
            pointer: pointer.into(),
            equals: equals.into(),
        };
        for (expects, status, body, health) in [
            (Expects::Status(200), 200, "<html>", ready.clone()),
            (Expects::Status(401), 401, "", ready.clone()),
            (Expects::Status(204), 200, "", not(Answer::Status(200))),
            (
                Expects::Status(404),
                404,
                r#"{"status":"error","code":404,"message":"Application not found"}"#,
                not(Answer::NotRunning),
            ),
            (
                value("/status/0", "ok"),
                200,
                r#"{"status": ["ok"]}"#,
                ready.clone(),
            ),
            (value("/n", "1.5"), 200, r#"{"n": 1.5}"#, ready.clone()),
            (value("/n", "null"), 200, r#"{"n": null}"#, ready.clone()),
            (value("", "up"), 200, r#""up""#, ready.clone()),
            (value("/a~1b", "true"), 200, r#"{"a/b": true}"#, ready),
            (
                value("/a", "{}"),
                200,
                r#"{"a": {}}"#,
                not(Answer::OtherValue),
            ),
            (
                value("/a", "1"),
                503,
                r#"{"a": 1}"#,
                not(Answer::Status(503)),
            ),
        ] {
            let said = understand(status, body.as_bytes(), &expects);
            assert_eq!(said, health, "{expects}: {status} {body}");
        }
    }

    #[test]
    fn what_an_agent_says_is_cut() {
        let body = format!(r#"{{"ready": true, "version": "{}\n"}}"#, "v".repeat(500));
        let health = understand(200, body.as_bytes(), &Expects::default());
        assert!(
            matches!(health, Health::Ready { version: Some(version), .. } if version == "v".repeat(64))
        );
    }

    #[tokio::test]
    async fn a_bad_address_is_never_called() {
        let agents = Agents::new(reqwest::Client::builder, Duration::from_secs(5)).unwrap();
        let readiness = ReadinessProbe {
            path: "/".into(),
            expects: Expects::default(),
        };
        let health = agents.health("127.0.0.1", &readiness, &"t".into()).await;
        assert_eq!(health, Health::NotReady(Answer::NotAsked));
    }
}
