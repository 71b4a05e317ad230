//! What the agents were told, as the simulator kept it: the record against which claims are held.
//!
//! Holds: a telling that nobody waited for, or whose answer got lost, is there, and so are those of agents that are gone. Absent: what
//! may open something; of that there are hashes ([`shown`] makes the same).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// One provision call that reached an agent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Telling {
    /// When it arrived, RFC 3339.
    pub at: String,
    pub workspace: String,
    pub domain: String,
    /// The project's name.
    pub project: String,
    pub project_id: String,
    pub service_id: String,
    pub deployment: String,
    /// UID of the claim that it was told for.
    pub claim: Option<String>,
    pub agent_name: Option<String>,
    pub instructions: Option<String>,
    pub profile_image: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub join_url_hash: Option<String>,
    /// By name, the hash of each value.
    pub env_hashes: BTreeMap<String, String>,
    /// What the agent answered; `None` while it has not.
    pub status: Option<u16>,
}

impl Telling {
    /// Whether the agent took it, whatever became of its answer.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.status == Some(200)
    }

    /// Which agent it is: the same after a deployment, another after another project.
    #[must_use]
    pub fn agent(&self) -> (&str, &str) {
        (&self.project_id, &self.service_id)
    }
}

/// What the simulator shows of a value that may open something.
#[must_use]
pub fn shown(value: &str) -> String {
    let mut hash = String::new();
    for byte in &Sha256::digest(value)[..8] {
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

/// Agents that took what was told them for more than one claim, in words.
#[must_use]
pub fn agents_of_two_claims(tellings: &[Telling]) -> Vec<String> {
    let mut claims: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for telling in tellings.iter().filter(|telling| telling.is_taken()) {
        let claim = telling.claim.as_deref().unwrap_or_default();
        claims.entry(telling.agent()).or_default().insert(claim);
    }
    claims.retain(|_, claims| claims.len() > 1);
    let words = |((project, _), claims)| format!("the agent in {project} took {claims:?}");
    claims.into_iter().map(words).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn telling(project: &str, claim: &str, status: u16) -> Telling {
        serde_json::from_value(json!({
            "at": "2026-11-27T10:00:00Z", "workspace": "team-a", "domain": "a.up.railway.app",
            "project": "ym-a", "projectId": project, "serviceId": "s", "deployment": "d", "claim": claim,
            "agentName": "Ada", "instructions": "help", "profileImage": null, "metadata": {},
            "joinUrlHash": null, "envHashes": {}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn an_agent_of_two_claims_is_found() {
        let first = telling("p1", "c1", 200);
        let good = [
            first.clone(),
            first.clone(),
            telling("p1", "c2", 409),
            telling("p2", "c2", 200),
        ];
        assert_eq!(agents_of_two_claims(&good), [""; 0]);
        let bad = [first, telling("p1", "c2", 200)];
        let found = agents_of_two_claims(&bad);
        assert_eq!(found, [r#"the agent in p1 took {"c1", "c2"}"#]);
    }

    #[test]
    fn a_value_is_shown_by_the_beginning_of_its_hash() {
        // sha256sum of "secret".
        assert_eq!(shown("secret"), "2bb80d537b1da3e3");
    }
}
