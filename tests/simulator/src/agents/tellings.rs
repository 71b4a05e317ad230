//! What each agent was told, for as long as the simulator runs: also agents that are gone, and also what they did not take.
//!
//! Holds: a row is written when the request arrives, so one that is never answered is there. What may open something is shown by a
//! hash, as variables are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Running;
use super::control::hashed;
use crate::exchange::Request;

/// One provision call that reached an agent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Telling {
    at: Timestamp,
    workspace: String,
    domain: String,
    project: String,
    project_id: String,
    service_id: String,
    deployment: String,
    claim: Option<String>,
    agent_name: Option<String>,
    instructions: Option<String>,
    profile_image: Option<String>,
    metadata: BTreeMap<String, String>,
    join_url_hash: Option<String>,
    env_hashes: BTreeMap<String, String>,
    /// What the agent answered; `None` while it has not. What a fault made of that on the way back is in the journal.
    status: Option<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Tellings(Mutex<Vec<Telling>>);

impl Tellings {
    /// Its number.
    pub(super) fn heard(&self, running: &Running, request: &Request, now: Timestamp) -> usize {
        let body = request.body.json().unwrap_or(&Value::Null);
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let texts = |name: &str| -> BTreeMap<String, String> {
            let rows = body[name].as_object().into_iter().flatten();
            let rows = rows.filter_map(|(name, value)| Some((name, value.as_str()?)));
            rows.map(|(name, value)| (name.clone(), value.to_owned()))
                .collect()
        };
        let mut env_hashes = texts("env");
        for value in env_hashes.values_mut() {
            *value = hashed(value);
        }
        let telling = Telling {
            at: now,
            workspace: running.project.workspace.clone(),
            domain: request.host.clone(),
            project: running.project.name.clone(),
            project_id: running.project.id.clone(),
            service_id: running.deployment.service_id.clone(),
            deployment: running.deployment.id.clone(),
            claim: text("claim"),
            agent_name: text("agentName"),
            instructions: text("instructions"),
            profile_image: text("profileImage"),
            metadata: texts("metadata"),
            join_url_hash: text("joinUrl").as_deref().map(hashed),
            env_hashes,
            status: None,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(telling);
        all.len() - 1
    }

    pub(super) fn answered(&self, number: usize, status: u16) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(telling) = all.get_mut(number) {
            telling.status = Some(status);
        }
    }

    /// Those after so many, perhaps of one workspace alone; and the number that continues from here.
    pub(super) fn since(&self, skip: usize, workspace: Option<&str>) -> (Vec<Telling>, usize) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |one: &&Telling| workspace.is_none_or(|workspace| one.workspace == workspace);
        (
            all.iter().skip(skip).filter(wanted).cloned().collect(),
            all.len(),
        )
    }
}
