//! From the spec of an account to the way to its provider.
//!
//! What holds: each request is counted, and leaves only while this process leads.

use super::context::Context;
use crate::api::ProviderAccountSpec;
use crate::tools::{
    self, AgentmailSettings, Opened, OpenrouterSettings, ProviderSettings, TelnyxSettings,
};
use crate::wire::Connection;
use secrecy::SecretString;
use std::sync::Arc;

/// Most requests a second to one account. No provider of tools documents its limit.
const REQUESTS_PER_SECOND: u32 = 5;

/// What a spec says of its tool provider. `None` where it is not an account of one.
pub fn settings(spec: &ProviderAccountSpec) -> Option<ProviderSettings> {
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
            max_monthly_usd: own.max_monthly_cost_usd,
        }));
    }
    let exa = spec.exa.as_ref().map(|_| ProviderSettings::Exa);
    exa.or_else(|| spec.bankr.as_ref().map(|_| ProviderSettings::Bankr))
}

/// How the requests of an account at the provider of that name leave.
pub fn connection(ctx: &Context, provider: &'static str) -> Connection {
    let gauge = Arc::clone(&ctx.gauge);
    Connection {
        http: ctx.http.clone(),
        timeout: ctx.settings.request_timeout,
        clock: Arc::clone(&ctx.clock),
        meter: Arc::new(move |operation, outcome, took| {
            gauge.requested(provider, operation, outcome, took);
        }),
        leave: ctx.leave.clone(),
    }
}

/// Opens an account at the provider of that name. Without a credential every request is refused before it is sent.
pub fn open(
    ctx: &Context,
    provider: &'static str,
    settings: ProviderSettings,
    credential: Option<&SecretString>,
) -> Opened {
    let none = SecretString::default();
    tools::open(
        settings,
        credential.unwrap_or(&none),
        REQUESTS_PER_SECOND,
        connection(ctx, provider),
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
                    max_monthly_usd: 2.5,
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
            assert_eq!(settings(&spec), opened, "{provider}");
        }
    }
}
