//! Opening accounts: from what a spec says to the provider's file.

use super::line::{Line, Manners};
use super::provider::Provider;
use super::{agentmail, bankr, exa, openrouter, telnyx};
use crate::wire::Connection;
use secrecy::SecretString;
use std::sync::Arc;

/// Which account to open: what its spec says, in the words of the provider's file.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderSettings {
    /// OpenRouter.
    Openrouter(openrouter::OpenrouterSettings),
    /// Exa.
    Exa,
    /// AgentMail.
    Agentmail(agentmail::AgentmailSettings),
    /// Telnyx.
    Telnyx(telnyx::TelnyxSettings),
    /// Bankr.
    Bankr,
}

/// An open account.
#[derive(Clone)]
pub struct Opened {
    /// What is asked of it.
    pub provider: Arc<dyn Provider>,
    /// The line under it: where its credential is replaced, its requests are counted and an outage is seen.
    pub line: Line,
}

impl ProviderSettings {
    fn manners(&self) -> Manners {
        match self {
            ProviderSettings::Openrouter(_) => openrouter::MANNERS,
            ProviderSettings::Exa => exa::MANNERS,
            ProviderSettings::Agentmail(_) => agentmail::MANNERS,
            ProviderSettings::Telnyx(_) => telnyx::MANNERS,
            ProviderSettings::Bankr => bankr::MANNERS,
        }
    }
}

/// Opens an account, of which at most so many requests leave in a second. Nothing is sent.
pub fn open(
    settings: ProviderSettings,
    credential: &SecretString,
    requests_per_second: u32,
    connection: Connection,
) -> Opened {
    let manners = settings.manners();
    let line = Line::new(manners, credential, requests_per_second, connection);
    let own = line.clone();
    let provider: Arc<dyn Provider> = match settings {
        ProviderSettings::Openrouter(settings) => {
            Arc::new(openrouter::Openrouter::new(settings, own))
        }
        ProviderSettings::Agentmail(settings) => Arc::new(agentmail::Agentmail::new(settings, own)),
        ProviderSettings::Telnyx(settings) => Arc::new(telnyx::Telnyx::new(settings, own)),
        ProviderSettings::Bankr => Arc::new(bankr::Bankr::new(own)),
        ProviderSettings::Exa => Arc::new(exa::Exa::new(own)),
    };
    Opened { provider, line }
}
