//! A control API: of the simulator, or of the API server. Both take faults alike.
//!
//! Holds: it talks HTTP, as a script would, so what a test does can be done from a shell. Absent: which faults there are
//! (`tests/simulator/README.md`, `tests/control-plane/README.md`).

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::Value;

/// An HTTP client for loopback: past any proxy, and without kept connections, which would belong to a runtime.
pub(crate) fn http() -> Result<Client> {
    let client = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        // A busy test process may come to an answer late that the simulator gave at once: what is awaited has its own deadline.
        .timeout(Duration::from_secs(60))
        .build()?;
    Ok(client)
}

/// A fault that was posted, and what became of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Fault {
    pub id: String,
    /// Of the simulator's; the API server's are told by user, verb and resource.
    #[serde(default)]
    pub operation: String,
    pub effect: Value,
    /// How many requests it was meant for, until now.
    pub matched: u64,
    /// To how many it happened. A test whose fault did not fire has shown nothing.
    pub fired: u64,
}

/// A control API.
#[derive(Debug, Clone)]
pub struct Control {
    url: String,
    http: Client,
}

impl Control {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            http: http()?,
        })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Orders a fault, such as `{"provider": "railway", "operation": "projectCreate", "effect": "reset_after"}`
    /// (the simulator) or `{"verb": "create", "resource": "secrets", "effect": {"status": 403}}` (the API server), and
    /// gives its id.
    ///
    /// # Errors
    /// It does not understand it.
    pub async fn post_fault(&self, fault: Value) -> Result<String> {
        let answer = self.call(Method::POST, "/faults", Some(fault)).await?;
        let posted: Fault =
            serde_json::from_value(answer).context("the answer to a posted fault")?;
        Ok(posted.id)
    }

    /// All faults, and how often each has fired.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn faults(&self) -> Result<Vec<Fault>> {
        let answer = self.call(Method::GET, "/faults", None).await?;
        serde_json::from_value(answer).context("the list of faults")
    }

    /// How often a fault has fired.
    ///
    /// # Errors
    /// There is no such fault.
    pub async fn fired(&self, id: &str) -> Result<u64> {
        let faults = self.faults().await?;
        let fault = faults.iter().find(|fault| fault.id == id);
        Ok(fault
            .with_context(|| format!("there is no fault {id}"))?
            .fired)
    }

    /// Takes one fault away.
    ///
    /// # Errors
    /// There is no such fault.
    pub async fn remove_fault(&self, id: &str) -> Result<()> {
        self.call(Method::DELETE, &format!("/faults/{id}"), None)
            .await?;
        Ok(())
    }

    /// Takes all faults away: also those of other tests in a shared world.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn clear_faults(&self) -> Result<()> {
        self.call(Method::DELETE, "/faults", None).await?;
        Ok(())
    }

    /// Any request to the control API, for what this client has no name for.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let what = format!("{method} {}{path}", self.url);
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| what.clone())?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| what.clone())?;
        if !status.is_success() {
            bail!("{what}: {status}: {}", text.trim());
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{what}: {text}"))
    }
}
