//! The HTTP contract of a running agent (`facts/predecessors.md` A6): for now, whether it is ready.
//!
//! What holds: a host name comes from a provider and is still checked, so that a request with an agent's token goes
//! to a public name over HTTPS and nowhere else; no redirect is followed; an answer is read up to a limit, within one
//! deadline. Whatever the agent answers is a `Health`, never an error. Deliberately absent: repeating, deciding what an
//! unready agent means, and the rest of the contract (provision, reset, update).

use crate::model::{Done, Fault, Health};
use crate::wire;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::time::Duration;

/// The largest answer that is read.
const LARGEST: usize = 64 << 10;

/// The longest text of an agent that is passed on, in characters: it ends up in status.
const WORD: usize = 64;

/// Calls agents. Cheap to clone.
#[derive(Clone)]
pub struct Agents {
    http: reqwest::Client,
    timeout: Duration,
}

#[derive(Deserialize)]
struct Answer {
    ready: bool,
    #[serde(default)]
    version: Option<String>,
}

impl Agents {
    /// Calls agents with what this builder says of proxy and authorities; `timeout` is for a whole exchange (the
    /// predecessors use 5 s). Fails with `Bug` where no client can be built from it.
    pub fn new(builder: reqwest::ClientBuilder, timeout: Duration) -> Done<Agents> {
        let http = builder
            .redirect(reqwest::redirect::Policy::none())
            .https_only(true)
            .user_agent(concat!("yardmaster/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Fault::Bug {
                message: format!("no client for agents: {}", error.without_url()),
            })?;
        Ok(Agents { http, timeout })
    }

    /// Asks an agent whether it is ready. `host` is a DNS name alone, `path` begins with a slash.
    ///
    /// `NotReady` says `not_ready`, or `http_` and the status. `Silent` says `timeout`, `unreachable`, `unreadable`,
    /// `not_running` (the edge answered in its place) or `bad_address` (never called).
    pub async fn health(&self, host: &str, path: &str, token: &SecretString) -> Health {
        if !is_public_name(host) || !is_path(path) {
            return Health::Silent {
                why: "bad_address".to_owned(),
            };
        }
        let ask = self.ask(format!("https://{host}{path}"), token);
        tokio::time::timeout(self.timeout, ask)
            .await
            .unwrap_or_else(|_| silent("timeout"))
    }

    async fn ask(&self, url: String, token: &SecretString) -> Health {
        let request = self
            .http
            .get(url)
            .header(reqwest::header::ACCEPT, "application/json")
            .bearer_auth(token.expose_secret());
        let response = match request.send().await {
            Ok(response) => response,
            Err(_) => return silent("unreachable"),
        };
        let status = response.status().as_u16();
        match wire::body(response, LARGEST).await {
            Ok(body) => understand(status, &body),
            Err(_) => silent("unreadable"),
        }
    }
}

fn silent(why: &str) -> Health {
    Health::Silent {
        why: why.to_owned(),
    }
}

/// What an answer says. The provider's edge answers in the place of an agent that does not run or sleeps
/// (`facts/railway.md` 2.5), and that is no word of the agent's.
fn understand(status: u16, body: &[u8]) -> Health {
    if status == 200 {
        return match serde_json::from_slice::<Answer>(body) {
            Ok(answer) if answer.ready => Health::Ready {
                version: answer.version.map(|text| cut(&text)),
            },
            Ok(_) => Health::NotReady {
                why: "not_ready".to_owned(),
            },
            Err(_) => silent("unreadable"),
        };
    }
    let edge = matches!(status, 404 | 502..=504)
        && String::from_utf8_lossy(body).contains("\"Application ");
    if edge {
        return silent("not_running");
    }
    Health::NotReady {
        why: format!("http_{status}"),
    }
}

fn cut(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(WORD)
        .collect()
}

/// A DNS name of at least two labels that is no address: `agent-1.up.railway.app`.
fn is_public_name(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_word = labels
        .last()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let private = ["local", "internal", "localhost", "svc", "lan", "home"];
    host.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(is_label)
        && last_is_word
        && labels
            .last()
            .is_some_and(|last| !private.contains(&last.to_ascii_lowercase().as_str()))
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
    fn only_public_names_are_called() {
        for host in ["agent-1.up.railway.app", "a.example", "A1.Example.COM"] {
            assert!(is_public_name(host), "{host}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for host in [
            "",
            "agent",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "a.example:8080",
            "a.example/x",
            "user@a.example",
            "a..example",
            "-a.example",
            "a.example.",
            "kubernetes.default.svc",
            "x.svc.cluster.local",
            "metadata.google.internal",
            "a b.example",
            "a.example\r\nx",
            long.as_str(),
        ] {
            assert!(!is_public_name(host), "{host}");
        }
    }

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
        let not_ready = |why: &str| Health::NotReady { why: why.into() };
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
            (200, r#"{"ready": false}"#, not_ready("not_ready")),
            (200, r#"{"ready": "yes"}"#, silent("unreadable")),
            (200, "<html>", silent("unreadable")),
            (503, r#"{"ready": false}"#, not_ready("http_503")),
            (302, "", not_ready("http_302")),
            (401, r#"{"error": "token"}"#, not_ready("http_401")),
            (
                404,
                r#"{"status":"error","code":404,"message":"Application not found"}"#,
                silent("not_running"),
            ),
            (
                502,
                r#"{"status":"error","code":502,"message":"Application failed to respond"}"#,
                silent("not_running"),
            ),
            (404, "not found", not_ready("http_404")),
        ] {
            assert_eq!(
                understand(status, body.as_bytes()),
                health,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn what_an_agent_says_is_cut() {
        let body = format!(r#"{{"ready": true, "version": "{}\n"}}"#, "v".repeat(500));
        let health = understand(200, body.as_bytes());
        assert!(
            matches!(health, Health::Ready { version: Some(version), .. } if version == "v".repeat(64))
        );
    }

    #[tokio::test]
    async fn a_bad_address_is_never_called() {
        let agents = Agents::new(reqwest::Client::builder(), Duration::from_secs(5)).unwrap();
        let health = agents.health("127.0.0.1", "/", &"t".into()).await;
        assert_eq!(health, silent("bad_address"));
    }
}
