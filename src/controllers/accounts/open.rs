//! From the spec of an account to the way to its provider. Nothing is sent here.
//!
//! Holds: each request is counted, and leaves only while this process leads.

use super::{Account, ToolAccount, Workspace};
use crate::api::account::RailwayAccount;
use crate::api::text::Span;
use crate::api::{ProviderAccount, ProviderAccountSpec};
use crate::controllers::around::Around;
use crate::engine::places::Most;
use crate::model::slot::RAILWAY;
use crate::railway::{AccountSettings, Gateway};
use crate::tools::{
    self, AgentmailSettings, Opened, OpenrouterSettings, ProviderSettings, TelnyxSettings,
};
use crate::wire::Connection;
use kube::ResourceExt;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

/// Most requests a second to one account. No provider of tools documents its limit.
const REQUESTS_PER_SECOND: u32 = 5;

/// Opens an account for one look at it, beside whoever else has it open. `None`: its spec names no provider.
pub fn open(
    around: &Around,
    account: &ProviderAccount,
    tokens: Vec<SecretString>,
) -> Option<Box<dyn Account>> {
    let (name, provider) = (account.name_any(), account.spec.provider()?);
    if let Some(railway) = &account.spec.railway {
        let most = Most::of(&account.spec).all;
        return Some(Box::new(open_railway(
            around,
            (&name, ""),
            (railway, most),
            tokens,
        )));
    }
    let settings = tool_settings(&account.spec)?;
    let opened = open_tool(around, provider, settings.clone(), tokens.first());
    Some(Box::new(ToolAccount::new(
        (&name, ""),
        provider,
        settings,
        opened,
        None,
    )))
}

/// Opens a Railway account.
pub(super) fn open_railway(
    around: &Around,
    names: (&str, &str),
    (railway, most): (&RailwayAccount, usize),
    tokens: Vec<SecretString>,
) -> Workspace {
    let connection = connection(around, RAILWAY);
    let gateway = Gateway::new(railway_settings(railway), tokens, connection);
    Workspace::new(names, gateway, most)
}

/// What a gateway is to keep to.
pub(super) fn railway_settings(railway: &RailwayAccount) -> AccountSettings {
    AccountSettings {
        workspace: railway.workspace_id.0.clone(),
        requests_per_hour: u32::try_from(railway.requests_per_hour).unwrap_or(1),
        requests_per_second: u32::try_from(railway.requests_per_second).unwrap_or(1),
        project_interval: Span::or(Some(&railway.project_interval), Duration::from_secs(30)),
    }
}

/// What a spec says of its tool provider. `None` where it is not an account of one.
pub(super) fn tool_settings(spec: &ProviderAccountSpec) -> Option<ProviderSettings> {
    if let Some(own) = &spec.openrouter {
        return Some(ProviderSettings::Openrouter(OpenrouterSettings {
            workspace: own.workspace_id.as_ref().map(|id| id.0.clone()),
        }));
    }
    if let Some(own) = &spec.agentmail {
        return Some(ProviderSettings::Agentmail(AgentmailSettings {
            pod: own.pod_id.as_ref().map(|id| id.0.clone()),
            domain: own.domain.as_ref().map(|domain| domain.0.clone()),
        }));
    }
    if let Some(own) = &spec.telnyx {
        return Some(ProviderSettings::Telnyx(TelnyxSettings {
            messaging_profile: own.messaging_profile_id.as_ref().map(|id| id.0.clone()),
            max_monthly_usd: own.max_monthly_cost_usd.min(own.per_agent.monthly_cost_usd),
        }));
    }
    let exa = spec.exa.as_ref().map(|_| ProviderSettings::Exa);
    exa.or_else(|| spec.bankr.as_ref().map(|_| ProviderSettings::Bankr))
}

/// How the requests of an account at the provider of that name leave.
fn connection(around: &Around, provider: &'static str) -> Connection {
    let gauge = Arc::clone(&around.gauge);
    Connection {
        http: around.http.clone(),
        timeout: around.settings.request_timeout,
        clock: Arc::clone(&around.clock),
        meter: Arc::new(move |operation, outcome, took| {
            gauge.requested(provider, operation, outcome, took);
        }),
        leave: around.leave.clone(),
    }
}

/// Opens an account at the tool provider of that name. Without a credential every request is refused before it is sent.
pub(super) fn open_tool(
    around: &Around,
    provider: &'static str,
    settings: ProviderSettings,
    credential: Option<&SecretString>,
) -> Opened {
    let none = SecretString::default();
    tools::open(
        settings,
        credential.unwrap_or(&none),
        REQUESTS_PER_SECOND,
        connection(around, provider),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_tool_provider_of_a_spec_is_one_that_can_be_opened() {
        let credential = json!({"name": "s", "key": "k"});
        for (provider, own, opened) in [
            (
                "openrouter",
                json!({"workspaceId": "w"}),
                Some(ProviderSettings::Openrouter(OpenrouterSettings {
                    workspace: Some("w".into()),
                })),
            ),
            ("exa", json!({}), Some(ProviderSettings::Exa)),
            (
                "agentmail",
                json!({"podId": "p", "domain": "example.com"}),
                Some(ProviderSettings::Agentmail(AgentmailSettings {
                    pod: Some("p".into()),
                    domain: Some("example.com".into()),
                })),
            ),
            (
                "telnyx",
                json!({"messagingProfileId": "m", "maxMonthlyCostUSD": 2.5}),
                Some(ProviderSettings::Telnyx(TelnyxSettings {
                    messaging_profile: Some("m".into()),
                    max_monthly_usd: crate::api::money::Money::cents(250),
                })),
            ),
            ("bankr", json!({}), Some(ProviderSettings::Bankr)),
            (
                "railway",
                json!({"workspaceId": "w", "tokenSecretRefs": [credential]}),
                None,
            ),
        ] {
            let mut own = own;
            own["credentialSecretRef"] = credential.clone();
            let spec = serde_json::from_value(json!({ provider: own })).unwrap();
            assert_eq!(tool_settings(&spec), opened, "{provider}");
        }
    }
}
