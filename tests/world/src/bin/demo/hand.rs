//! A person's hand at Railway: changing a variable of a running agent past the operator, as its web page allows.
//!
//! Absent: the product's own Railway code; a person has none either.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use world::World;

const RAILWAY: &str = "https://backboard.railway.com/graphql/v2?source=by-hand";

/// One agent's service at Railway, as its ledger names it.
pub(crate) struct Hand {
    http: reqwest::Client,
    token: String,
    environment: String,
    service: String,
}

impl Hand {
    pub(crate) fn on(world: &World, token: &str, instance: &DynamicObject) -> Result<Self> {
        Ok(Self {
            http: world.http(Duration::from_secs(10))?,
            token: token.to_owned(),
            environment: ledger_id(instance, "environment")?,
            service: ledger_id(instance, "service")?,
        })
    }

    /// The service's variables.
    pub(crate) async fn variables(&self) -> Result<Value> {
        let query =
            "query ($id: String!) { environment(id: $id) { config(decryptVariables: true) } }";
        let answer = self.ask(query, json!({"id": self.environment})).await?;
        Ok(answer["environment"]["config"]["services"][&self.service]["variables"].clone())
    }

    /// A variable's value, if it has one.
    pub(crate) async fn variable(&self, name: &str) -> Result<Option<String>> {
        Ok(self.variables().await?[name]["value"]
            .as_str()
            .map(str::to_owned))
    }

    /// Changes a variable.
    pub(crate) async fn set_variable(&self, name: &str, value: &str) -> Result<()> {
        let query = "mutation ($id: String!, $patch: EnvironmentConfig) { \
                     environmentPatchCommit(environmentId: $id, patch: $patch) }";
        let variables = json!({name: {"value": value}});
        let patch = json!({"services": {&self.service: {"variables": variables}}});
        self.ask(query, json!({"id": self.environment, "patch": patch}))
            .await?;
        Ok(())
    }

    async fn ask(&self, query: &str, variables: Value) -> Result<Value> {
        let request = self.http.post(RAILWAY).bearer_auth(&self.token);
        let answer = request
            .json(&json!({"query": query, "variables": variables}))
            .send()
            .await?;
        let mut answer: Value = answer.json().await?;
        if !answer["errors"].is_null() {
            bail!("Railway refuses: {}", answer["errors"]);
        }
        Ok(answer["data"].take())
    }
}

fn ledger_id(instance: &DynamicObject, slot: &str) -> Result<String> {
    let entries = instance.data["status"]["external"].as_array();
    let mut entries = entries.into_iter().flatten();
    let id = entries
        .find(|entry| entry["slot"] == slot)
        .and_then(|entry| entry["id"].as_str());
    id.map(str::to_owned)
        .with_context(|| format!("the ledger has no id for the {slot}"))
}
