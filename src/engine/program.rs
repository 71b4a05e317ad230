//! What a template's harness and contract make of its agents: variables, start command, port, and what is asked of them.
//!
//! What holds: the contract comes before the harness's row, field by field. Token and port are the controller's, whatever `env` says; the
//! row's other variables give way to `env`. Where the runner is in front of a program, its own row is what an agent is spoken to by, and
//! the contract is for the runner alone (`engine::runner`). Of a row that says nothing (`convos`, `http`) nothing reaches a deployment but token and port,
//! in the variables that they always had, so that no revision changes.

use super::pull::Broken;
use crate::api::condition::{Statement, kind, reason};
use crate::api::template::{AuthType, Contract, Entrypoint, HealthCheck, HealthContract, Runtime};
use crate::api::text::Amount;
use crate::model::harness::HarnessRow;
use crate::model::runner::spoken;
use crate::model::{Expects, ReadinessProbe, ShownToken, TokenForm, VersionPlace};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// Runs a program as root whose image would run as another user: Railway mounts volumes as root.
const RUN_AS: &str = "RAILWAY_RUN_UID";

/// What is said of an agent that is as its row says.
const AS_ITS_ROW: Contract = Contract {
    health: None,
    auth: None,
    token_variable: None,
    port_variable: None,
};

/// What the controller gives a program.
pub struct ProgramSettings {
    row: HarnessRow,
    token: Option<String>,
    port: Option<u16>,
    port_variable: Option<String>,
    usual: BTreeMap<String, SecretString>,
}

impl ProgramSettings {
    /// What a template says of it.
    pub fn of(runtime: &Runtime) -> ProgramSettings {
        let row = spoken(runtime);
        let contract = contract(runtime);
        let token = credential(contract, &row).map(|shown| shown.variable);
        let own = contract.port_variable.as_ref().map(|name| name.0.clone());
        let port_variable = own.or_else(|| row.port_variable.map(str::to_owned));
        ProgramSettings {
            token,
            port: port(runtime),
            port_variable,
            usual: usual(runtime, &row),
            row,
        }
    }

    /// Variables that the row gives, and that give way to the template's own.
    pub fn usual(&self) -> BTreeMap<String, SecretString> {
        self.usual.clone()
    }

    /// The command that starts it. `None`: the image's own.
    pub fn start(&self, runtime: &Runtime) -> Option<String> {
        if runtime.entrypoint == Entrypoint::Runner {
            return None;
        }
        runtime.start_command.clone().or_else(|| {
            let port = self.port.map(|port| port.to_string());
            let words = self.row.start?;
            Some(words.replace("{port}", &port.unwrap_or_default()))
        })
    }

    /// Names its token, whatever else has that name.
    pub fn give_token(&self, variables: &mut BTreeMap<String, SecretString>, token: &SecretString) {
        if let Some(name) = &self.token {
            variables.insert(name.clone(), token.clone());
        }
    }

    /// Names its port, whatever else has that name.
    pub fn give_port(&self, variables: &mut BTreeMap<String, SecretString>) {
        if let (Some(name), Some(port)) = (&self.port_variable, self.port) {
            variables.insert(name.clone(), SecretString::from(port.to_string()));
        }
    }

    /// Whether the controller gives that variable its value.
    pub fn gives(&self, name: &str) -> bool {
        let port = self
            .port_variable
            .as_deref()
            .filter(|_| self.port.is_some());
        self.token.as_deref() == Some(name) || port == Some(name)
    }

    /// What of token and port reaches a deployment, for a revision; nothing where that is as it always was.
    pub fn marks(&self) -> BTreeMap<String, SecretString> {
        let token = self.token.as_deref().unwrap_or("none");
        let port = self
            .port_variable
            .as_deref()
            .filter(|_| self.port.is_some());
        let mut marks = BTreeMap::new();
        if token != "GATEWAY_TOKEN" {
            marks.insert("given/token".to_owned(), SecretString::from(token));
        }
        if let (Some(name), Some(port)) = (port.filter(|name| *name != "PORT"), self.port) {
            let what = format!("{name} {port}");
            marks.insert("given/port".to_owned(), SecretString::from(what));
        }
        marks
    }
}

/// The port on which an agent of the template listens, where that is known.
pub fn port(runtime: &Runtime) -> Option<u16> {
    let own = runtime.port.and_then(|port| u16::try_from(port).ok());
    own.or_else(|| spoken(runtime).port)
}

/// How an agent of the template is spoken to, where that is not as its row has it.
fn contract(runtime: &Runtime) -> &Contract {
    match runtime.entrypoint {
        Entrypoint::Harness => &runtime.contract,
        Entrypoint::Runner => &AS_ITS_ROW,
    }
}

/// What the row gives beside token and port: what is to be switched on, and what moves its state onto the volume.
fn usual(runtime: &Runtime, row: &HarnessRow) -> BTreeMap<String, SecretString> {
    let switches = row.switches.iter().copied();
    let mut usual: BTreeMap<String, SecretString> = switches
        .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
        .collect();
    let Some(volume) = &runtime.volume else {
        return usual;
    };
    let behind = runtime.entrypoint == Entrypoint::Runner;
    if let Some(state) = row.state.filter(|_| !behind) {
        let place = format!("{}{}", volume.mount_path.0, state.below);
        usual.insert(state.variable.to_owned(), SecretString::from(place));
    }
    if (row.state.is_some() || behind) && row.uid != Some(0) {
        usual.insert(RUN_AS.to_owned(), SecretString::from("0"));
    }
    usual
}

/// How an agent of the template is shown its token. `None`: it has none.
pub(super) fn credential(contract: &Contract, row: &HarnessRow) -> Option<ShownToken> {
    let form = match &contract.auth {
        None => row.form.clone(),
        Some(auth) => match auth.kind {
            AuthType::None => return None,
            AuthType::Bearer => TokenForm::Bearer,
            AuthType::Basic => TokenForm::Basic {
                user: auth.username.clone().unwrap_or_default(),
            },
            AuthType::Header => TokenForm::Header {
                name: auth
                    .header
                    .as_ref()
                    .map_or_else(String::new, |name| name.0.clone()),
            },
        },
    };
    let own = contract.token_variable.as_ref().map(|name| name.0.clone());
    let variable = own.unwrap_or_else(|| row.token_variable.to_owned());
    Some(ShownToken { form, variable })
}

/// What an agent of the template is asked, and what says that it is ready: the template's own words before its harness's. In no revision:
/// to ask otherwise deploys nothing.
///
/// # Errors
/// The template's words are none that this version understands.
pub fn readiness(runtime: &Runtime) -> Result<ReadinessProbe, Broken> {
    asked(contract(runtime), &spoken(runtime))
}

/// What a program of that row is asked, with what a contract says of it.
///
/// # Errors
/// The contract's words are none that this version understands.
pub(super) fn asked(contract: &Contract, row: &HarnessRow) -> Result<ReadinessProbe, Broken> {
    let credential = credential(contract, row);
    // What the row says is open is open; of another path nobody knows.
    let sent = |path: &str| credential.clone().filter(|_| !row.open || path != row.path);
    let (path, expects) = match &contract.health {
        None => (row.path.to_owned(), Some(row.expects.clone())),
        Some(HealthContract::Path(path)) => (path.0.clone(), Some(row.expects.clone())),
        Some(HealthContract::Check(HealthCheck { path, ready })) => {
            let status = ready.status.and_then(|status| u16::try_from(status).ok());
            let expects = match (status, &ready.pointer, &ready.equals) {
                (Some(status), None, None) => Some(Expects::Status(status)),
                (None, Some(pointer), Some(equals)) => Some(Expects::Value {
                    pointer: pointer.clone(),
                    equals: equals.clone(),
                }),
                _ => None,
            };
            (path.0.clone(), expects)
        }
        Some(HealthContract::Other(_)) => return Err(unreadable_health()),
    };
    let expects = expects.ok_or_else(unreadable_health)?;
    // An answer of which only the status counts is not read.
    let in_it = |place: &str| place == path && matches!(expects, Expects::Value { .. });
    let version = row.versions.filter(|place| !in_it(place.path));
    let version = version.map(|place| VersionPlace {
        path: place.path.to_owned(),
        pointer: place.pointer.to_owned(),
        credential: sent(place.path),
    });
    Ok(ReadinessProbe {
        credential: sent(&path),
        path,
        expects,
        version,
    })
}

/// That a template gives its agents less memory than their program needs. It is told, not refused.
pub fn too_little(runtime: &Runtime) -> Option<Statement> {
    let row = spoken(runtime);
    let given = runtime.resources.as_ref()?.memory.as_ref()?;
    let least = row.least_memory?;
    (given.units()? < Amount::from(least).units()?).then(|| {
        Statement::no(
            kind::HARNESS_SUPPORTED,
            reason::TOO_LITTLE_MEMORY,
            format!(
                "runtime.resources.memory is {}, and {} needs {least} at least: its agents may be killed while they start; write more",
                given.0, row.name
            ),
        )
    })
}

fn unreadable_health() -> Broken {
    Broken {
        reason: reason::VALUE_NOT_USABLE,
        message: "runtime.contract.health must be a path such as /pool/health, or {path, ready: {pointer, equals}}, or {path, ready: {status}}; write one of these".into(),
    }
}

#[cfg(test)]
mod tests;
