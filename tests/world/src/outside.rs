//! The simulator's control API: what lives outside, what the agents say, and switches; faults are [`Control`]'s.
//!
//! Absent: what the answers mean (the simulator's README).

use std::ops::Deref;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::control::Control;
use crate::tellings::Telling;

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

/// The simulator's control API.
#[derive(Debug, Clone)]
pub struct Outside(Control);

impl Deref for Outside {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.0
    }
}

impl Outside {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self(Control::new(url)?))
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

    /// What every agent was told so far, in the order in which it arrived.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn tellings(&self) -> Result<Vec<Telling>> {
        let mut answer = self.call(Method::GET, "/tellings", None).await?;
        serde_json::from_value(answer["tellings"].take()).context("what the agents were told")
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
}
