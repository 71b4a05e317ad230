//! What the harness says of itself, and the runner's own calls to it.
//!
//! Holds: each question has a deadline and reads a bounded answer; the credential is shown only where the contract says so.
//! Absent: anything remembered. A question that many ask at once is asked once.

use crate::contract::{AuthKind, Authentication, Contract, Question};
use crate::pool::{Pool, whole};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The controller waits five seconds for all of it.
const DEADLINE: Duration = Duration::from_secs(3);

/// The longest answer that is read.
const LONGEST: usize = 64 << 10;

/// Anybody may ask for health: the harness is asked so often at most.
const FRESH: Duration = Duration::from_millis(250);

/// What it said.
#[derive(Clone, Default)]
pub struct Said {
    pub yes: bool,
    pub version: Option<String>,
}

/// Asks the harness.
pub struct Probe {
    contract: Arc<Contract>,
    pool: Arc<Pool>,
    port: u16,
    credential: Arc<Shown>,
    last: Mutex<Option<(u64, Instant, Said)>>,
    /// The number of the harness that runs, from 1.
    current: AtomicU64,
    /// The number of the last one that was ready.
    was_ready: AtomicU64,
}

/// A credential as a header.
pub struct Shown {
    header: Option<(HeaderName, HeaderValue)>,
}

impl Shown {
    /// As the contract says it is shown.
    pub fn new(auth: &Authentication, credential: &Secret) -> Result<Shown, String> {
        let credential = credential.expose();
        let (name, text) = match auth.kind {
            AuthKind::None => return Ok(Shown { header: None }),
            AuthKind::Bearer => (AUTHORIZATION, format!("Bearer {credential}")),
            AuthKind::Basic => {
                let user = auth.username.as_deref().unwrap_or_default();
                let both = STANDARD.encode(format!("{user}:{credential}"));
                (AUTHORIZATION, format!("Basic {both}"))
            }
            AuthKind::Header => {
                let name = auth.header.as_deref().unwrap_or_default();
                let name = HeaderName::from_bytes(name.as_bytes());
                (
                    name.map_err(|_| "no header's name".to_owned())?,
                    credential.to_owned(),
                )
            }
        };
        let value = HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| "the credential cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Shown {
            header: Some((name, value)),
        })
    }

    /// Puts it in place of whatever was there.
    pub fn show(&self, headers: &mut HeaderMap) {
        headers.remove(AUTHORIZATION);
        if let Some((name, value)) = &self.header {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl Probe {
    /// Of this harness.
    pub fn new(
        contract: Arc<Contract>,
        pool: Arc<Pool>,
        port: u16,
        credential: Arc<Shown>,
    ) -> Probe {
        Probe {
            contract,
            pool,
            port,
            credential,
            last: Mutex::default(),
            current: AtomicU64::new(1),
            was_ready: AtomicU64::default(),
        }
    }

    /// Whether it is ready.
    pub async fn ready(&self) -> Said {
        let mut last = self.last.lock().await;
        let current = self.current.load(Ordering::Relaxed);
        if let Some((of, at, said)) = &*last
            && *of == current
            && at.elapsed() < FRESH
        {
            return said.clone();
        }
        let said = self.ask(&self.contract.readiness).await;
        if said.yes {
            self.was_ready.store(current, Ordering::Relaxed);
        }
        *last = Some((current, Instant::now(), said.clone()));
        said
    }

    /// Whether it has been ready since it was started.
    pub async fn has_been_ready(&self) -> bool {
        let of = self.was_ready.load(Ordering::Relaxed);
        of == self.current.load(Ordering::Relaxed) || self.ready().await.yes
    }

    /// Forgets what it said: it has ended.
    pub fn forget(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is busy. `None`: it does not say.
    pub async fn busy(&self) -> Option<bool> {
        for question in &self.contract.busy {
            if self.ask(question).await.yes {
                return Some(true);
            }
        }
        (!self.contract.busy.is_empty()).then_some(false)
    }

    /// Whether it says itself that nothing of anybody is in it, where it is to say so.
    pub async fn clean(&self) -> bool {
        let answer = self
            .contract
            .clean
            .as_ref()
            .and_then(|clean| clean.answer.as_ref());
        match answer {
            Some(question) => self.ask(question).await.yes,
            None => true,
        }
    }

    /// Calls a path of it, and wants a success.
    pub async fn post(&self, path: &str) -> Result<(), String> {
        let (status, _) = self.call(Method::POST, path, true).await?;
        match status {
            200..300 => Ok(()),
            _ => Err(format!("the harness answers {status} to {path}")),
        }
    }

    async fn ask(&self, question: &Question) -> Said {
        let answer = self
            .call(Method::GET, &question.path, question.credential)
            .await;
        let Ok((status, body)) = answer else {
            return Said::default();
        };
        judge(question, status, &body)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        shown: bool,
    ) -> Result<(u16, Vec<u8>), String> {
        let mut request = Request::new(whole(""));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| "no path".to_owned())?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let host = HeaderValue::from_str(&format!("127.0.0.1:{}", self.port));
        headers.insert(HOST, host.map_err(|_| "no host".to_owned())?);
        if shown {
            self.credential.show(headers);
        }
        let answer = async {
            let response = self.pool.send(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body =
                body.map_err(|_| "the harness's answer is cut off, or too long".to_owned())?;
            Ok((status, body.to_bytes().to_vec()))
        };
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        answer.unwrap_or_else(|_| Err("the harness does not answer".to_owned()))
    }
}

fn judge(question: &Question, status: u16, body: &[u8]) -> Said {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let text = |pointer: &String| -> Option<String> {
        match json.as_ref()?.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    };
    let yes = match (&question.pointer, question.status) {
        (Some(pointer), _) => {
            let wanted = question.equals.as_deref().unwrap_or("true");
            let found = text(pointer).filter(|_| status == 200);
            found.is_some_and(|found| match &question.unlike {
                Some(unlike) => found != *unlike,
                None => found == wanted,
            })
        }
        (None, wanted) => Some(status) == wanted,
    };
    let version = question.version.as_ref().and_then(text);
    let plain = |version: &String| version.len() <= 64 && !version.contains(char::is_control);
    Said {
        yes,
        version: version.filter(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(text: &str) -> Question {
        serde_json::from_str(text).expect("a question")
    }

    #[test]
    fn a_page_is_no_readiness() {
        let asked =
            question(r#"{"path": "/", "pointer": "/status", "equals": "ok", "version": "/v"}"#);
        let yes = |status, body: &str| judge(&asked, status, body.as_bytes()).yes;
        assert!(yes(200, r#"{"status": "ok"}"#));
        assert!(!yes(200, "<html>ok</html>"));
        assert!(!yes(503, r#"{"status": "ok"}"#));
        assert!(!yes(200, r#"{"status": "starting"}"#));
        assert!(!yes(200, r#"{"status": null}"#));
        let said = judge(&asked, 200, br#"{"status": "ok", "v": "1.2"}"#);
        assert_eq!(said.version.as_deref(), Some("1.2"));
        let plain = question(r#"{"path": "/", "pointer": "/ready"}"#);
        assert!(judge(&plain, 200, br#"{"ready": true}"#).yes);
        let none = question(r#"{"path": "/", "pointer": "", "equals": "[]"}"#);
        assert!(judge(&none, 200, b"[ ]").yes && !judge(&none, 200, b"[{}]").yes);
        let some = question(r#"{"path": "/", "pointer": "/agents", "unlike": "0"}"#);
        assert!(judge(&some, 200, br#"{"agents": 2}"#).yes);
        assert!(!judge(&some, 200, br#"{"agents": 0}"#).yes);
        assert!(!judge(&some, 200, br#"{}"#).yes, "it does not say");
        let status = question(r#"{"path": "/", "status": 204}"#);
        assert!(judge(&status, 204, b"").yes && !judge(&status, 200, b"").yes);
    }

    #[test]
    fn a_credential_takes_the_place_of_what_was_shown() {
        let auth = |text: &str| -> Authentication { serde_json::from_str(text).expect("auth") };
        let shown = |text: &str| {
            let shown = Shown::new(&auth(text), &Secret::new("own".to_owned())).expect("shown");
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer gateway"));
            headers.insert("x-key", HeaderValue::from_static("theirs"));
            shown.show(&mut headers);
            let text = |name: &str| {
                headers
                    .get(name)
                    .and_then(|value| value.to_str().ok().map(str::to_owned))
            };
            (text("authorization"), text("x-key"))
        };
        let (bearer, _) = shown(r#"{"type": "Bearer"}"#);
        assert_eq!(bearer.as_deref(), Some("Bearer own"));
        let (basic, _) = shown(r#"{"type": "Basic", "username": "opencode"}"#);
        assert_eq!(basic.as_deref(), Some("Basic b3BlbmNvZGU6b3du"));
        let header = shown(r#"{"type": "Header", "header": "X-Key"}"#);
        assert_eq!(header, (None, Some("own".to_owned())));
        assert_eq!(shown(r#"{"type": "None"}"#).0, None);
    }
}
