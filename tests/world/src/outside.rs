//! The simulator's control API: what lives outside, what the agents say, switches, and faults.
//!
//! Holds: it talks HTTP, as a script would, so what a test does can be done from a shell. Absent: what the answers mean
//! (the simulator's README).

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// An HTTP client for loopback: past any proxy, and without kept connections, which would belong to a runtime.
pub(crate) fn http() -> Result<Client> {
    let client = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(10))
        .build()?;
    Ok(client)
}

/// One thing that lives at a provider.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub provider: String,
    pub kind: String,
    pub id: String,
    pub name: String,
    /// The account it belongs to; at Railway the workspace id.
    #[serde(default)]
    pub workspace: String,
    #[serde(default)]
    pub description: Option<String>,
    /// What it is part of: the project of a service.
    #[serde(default)]
    pub parent: Option<String>,
    #[serde(rename = "monthlyUSD", default)]
    pub monthly_usd: f64,
}

/// Everything that lives outside.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Inventory {
    pub resources: Vec<Resource>,
}

impl Inventory {
    /// What belongs to one workspace.
    #[must_use]
    pub fn of_workspace(mut self, workspace: &str) -> Self {
        self.resources
            .retain(|resource| resource.workspace == workspace);
        self
    }

    /// Those of one kind, such as `project`.
    pub fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources
            .iter()
            .filter(move |resource| resource.kind == kind)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// What all of it costs a month.
    #[must_use]
    pub fn monthly_usd(&self) -> f64 {
        // Not `sum`: that of nothing is -0.0, and people see it.
        let costs = self.resources.iter().map(|resource| resource.monthly_usd);
        costs.fold(0.0, |total, cost| total + cost)
    }
}

/// A fault that was posted, and what became of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Fault {
    pub id: String,
    pub operation: String,
    pub effect: Value,
    /// How many exchanges it was meant for, until now.
    pub matched: u64,
    /// To how many it happened. A test whose fault did not fire has shown nothing.
    pub fired: u64,
}

/// The simulator's control API.
#[derive(Debug, Clone)]
pub struct Outside {
    url: String,
    http: Client,
}

impl Outside {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            http: http()?,
        })
    }

    /// The control API's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything that lives outside, in all workspaces.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn inventory(&self) -> Result<Inventory> {
        let answer = self.call(Method::GET, "/inventory", None).await?;
        serde_json::from_value(answer).context("the inventory")
    }

    /// The deployed agents, as the simulator tells them.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn agents(&self) -> Result<Value> {
        self.call(Method::GET, "/agents", None).await
    }

    /// All settings.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn settings(&self) -> Result<Value> {
        self.call(Method::GET, "/settings", None).await
    }

    /// Changes settings; `key@workspace` changes one for a single workspace.
    ///
    /// # Errors
    /// The simulator refuses one; then it has changed none.
    pub async fn set(&self, settings: &[(&str, &str)]) -> Result<()> {
        let wanted: Map<String, Value> = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        self.call(Method::PUT, "/settings", Some(Value::Object(wanted)))
            .await?;
        Ok(())
    }

    /// Orders a fault, such as `{"provider": "railway", "operation": "projectCreate", "effect": "reset_after"}`,
    /// and gives its id.
    ///
    /// # Errors
    /// The simulator does not understand it.
    pub async fn post_fault(&self, fault: Value) -> Result<String> {
        let answer = self.call(Method::POST, "/faults", Some(fault)).await?;
        let posted: Fault =
            serde_json::from_value(answer).context("the answer to a posted fault")?;
        Ok(posted.id)
    }

    /// All faults, and how often each has fired.
    ///
    /// # Errors
    /// The simulator does not answer.
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
    /// The simulator does not answer.
    pub async fn clear_faults(&self) -> Result<()> {
        self.call(Method::DELETE, "/faults", None).await?;
        Ok(())
    }

    /// Any request to the control API, for what this client has no name for.
    ///
    /// # Errors
    /// The simulator does not answer, or refuses.
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
