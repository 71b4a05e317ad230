//! What AgentMail answers, as far as it is used, and what it means in the words of `model`.

use crate::model::slot::Part;
use crate::model::tool::{INBOX_USD, Resource, Stage};
use secrecy::SecretString;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Inbox {
    pub(super) inbox_id: String,
    pub(super) email: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) created_at: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct InboxKey {
    pub(super) api_key_id: String,
    pub(super) name: Option<String>,
    pub(super) created_at: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NewInboxKey {
    #[serde(flatten)]
    pub(super) key: InboxKey,
    pub(super) api_key: SecretString,
}

#[derive(Deserialize)]
pub(super) struct TokenPage<T> {
    #[serde(alias = "inboxes", alias = "api_keys")]
    pub(super) items: Vec<T>,
    pub(super) count: Option<usize>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Me {
    pub(super) scope_type: String,
    pub(super) scope_id: String,
    pub(super) organization_id: String,
    pub(super) pod_id: Option<String>,
}

impl Me {
    /// Whether what this credential does not see is not there.
    pub(super) fn sees_all(&self, pod: Option<&str>) -> Result<(), String> {
        let own = self.pod_id.as_deref().unwrap_or(&self.scope_id);
        match (self.scope_type.as_str(), pod) {
            ("organization", _) => Ok(()),
            ("pod", Some(pod)) if pod == own => Ok(()),
            ("pod", _) => Err(format!("the key sees only the pod {own}")),
            (scope, _) => Err(format!("the key sees only one {scope}")),
        }
    }

    pub(super) fn told(&self) -> String {
        match self.scope_type.as_str() {
            "organization" => format!("organization {}", self.organization_id),
            scope => format!(
                "{scope} {} of organization {}",
                self.scope_id, self.organization_id
            ),
        }
    }
}

fn bare(part: Part, id: String, name: Option<String>, created: Option<String>) -> Resource {
    Resource {
        created: created.and_then(|at| at.parse().ok()),
        ..Resource::bare(part, id, name.unwrap_or_default(), Stage::Ready)
    }
}

impl Inbox {
    pub(super) fn resource(self) -> Resource {
        let address = self.email.unwrap_or_else(|| self.inbox_id.clone());
        Resource {
            address: Some(address),
            monthly_usd: INBOX_USD,
            ..bare(Part::Main, self.inbox_id, self.client_id, self.created_at)
        }
    }
}

impl InboxKey {
    pub(super) fn resource(self) -> Resource {
        bare(Part::Key, self.api_key_id, self.name, self.created_at)
    }
}
