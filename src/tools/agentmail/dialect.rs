//! How AgentMail is called and how it refuses (`facts/tool-providers.md` 2).

use super::super::faults::{Dialect, Meaning, Objection};
use super::super::line::Manners;
use serde_json::Value;

pub(in crate::tools) const MANNERS: Manners = Manners {
    base: "https://api.agentmail.to/v0",
    header: None,
    dialect: Dialect {
        name: "AgentMail",
        objection,
        meaning,
    },
};

pub(super) fn objection(body: &Value) -> Objection {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let code = text("code");
    let sentence = match code {
        // The provider's sentence does not always say what is to be done.
        "already_exists" | "resource_taken" => {
            format!(
                "the address is taken, choose another username: {}",
                text("message")
            )
        }
        _ => text("message").to_owned(),
    };
    Objection {
        code: code.to_owned(),
        sentence,
    }
}

/// The codes decide, not the status (vendor). What is not named here means what its status means everywhere.
fn meaning(_: u16, objection: &Objection) -> Option<Meaning> {
    match objection.code.as_str() {
        "limit_exceeded" => Some(Meaning::Exhausted),
        "already_exists" | "resource_taken" | "domain_not_verified" => Some(Meaning::Rejected),
        "race_condition" | "resource_deleting" => Some(Meaning::Transient),
        "account_suspended" => Some(Meaning::Denied),
        "not_found" => Some(Meaning::Missing),
        _ => None,
    }
}
