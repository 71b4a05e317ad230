//! What is run for a deployment: its words, its environment, its port.
//!
//! Pure: a deployment and the world around it go in, an order comes out. Three things differ from Railway, and only those: the
//! port is a free one, proxy and authority stand for the network, and the first words are those of the programs file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file::Program;
use super::script::Disk;
use crate::railway::deployment::Deployment;
use crate::start_command::StartCommand;

/// What of the machine a program may find in its PATH, after what its row names.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The network of a world: where requests go, and whom to trust.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub proxy: String,
    pub authority: PathBuf,
}

/// What is to be run.
#[derive(Debug)]
pub(super) struct Order {
    pub argv: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub path: String,
    pub cwd: PathBuf,
    pub disks: Vec<Disk>,
    pub restarts: Restarts,
}

/// How often a program that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restarts {
    Never,
    /// After a failure, so many times.
    OnFailure(u64),
    Always,
}

impl Order {
    /// `asked` is the port that the domain leads to, `port` the one that it gets.
    pub(super) fn of(
        deployment: &Deployment,
        program: &Program,
        asked: Option<i32>,
        port: u16,
        home: &Path,
        network: &Network,
        disks: Vec<Disk>,
    ) -> Self {
        let variables = &deployment.variables;
        let asked = asked.map(|port| port.to_string());
        let asked = asked.or_else(|| variables.get("PORT").cloned());
        let given = |word: &str| match asked.as_deref() == Some(word) {
            true => port.to_string(),
            false => word.to_owned(),
        };
        let command = StartCommand::of(deployment);
        let rest = command.words.iter().skip(1).map(|word| given(word));
        let installed = program.argv.iter().cloned().chain(rest).collect();
        let (argv, script) = command.with(installed);
        let mut environment: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| (name.clone(), given(value)))
            .collect();
        // Railway makes one up where nobody says one.
        environment
            .entry("PORT".to_owned())
            .or_insert_with(|| port.to_string());
        let home = home.display().to_string();
        environment.entry("HOME".to_owned()).or_insert(home);
        environment.extend(network.environment());
        environment.extend(script);
        let own = program.path.iter().map(|path| path.display().to_string());
        let path: Vec<String> = own.chain([PATH.to_owned()]).collect();
        Self {
            argv,
            environment,
            path: path.join(":"),
            cwd: program.cwd.clone().unwrap_or_else(|| "/".into()),
            disks,
            restarts: Restarts::of(&deployment.config["deploy"]),
        }
    }
}

impl Network {
    /// What leads curl, Python, Node, Bun and Go into the world, and keeps them off this machine's own network.
    fn environment(&self) -> impl Iterator<Item = (String, String)> {
        let authority = self.authority.display().to_string();
        let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
        let authorities = [
            "SSL_CERT_FILE",
            "NODE_EXTRA_CA_CERTS",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
        ];
        let rows = proxies.map(|name| (name, self.proxy.clone())).into_iter();
        let rows = rows.chain(authorities.map(|name| (name, authority.clone())));
        let rows = rows.chain(
            ["NO_PROXY", "no_proxy"].map(|name| (name, "127.0.0.1,localhost,::1".to_owned())),
        );
        let rows = rows.chain([("NODE_USE_ENV_PROXY", "1".to_owned())]);
        rows.map(|(name, value)| (name.to_owned(), value))
    }
}

impl Restarts {
    fn of(deploy: &serde_json::Value) -> Self {
        match deploy["restartPolicyType"].as_str() {
            Some("NEVER") => Self::Never,
            Some("ALWAYS") => Self::Always,
            _ => Self::OnFailure(deploy["restartPolicyMaxRetries"].as_u64().unwrap_or(10)),
        }
    }

    /// Is it started again, having been started `times`?
    pub(super) fn again(self, times: u64, failed: bool) -> bool {
        match self {
            Self::Never => false,
            Self::OnFailure(most) => failed && times <= most,
            Self::Always => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Restarts;

    #[test]
    fn a_restart_policy_says_when_a_program_is_started_again() {
        let usual = Restarts::of(&json!({}));
        assert!(usual.again(10, true) && !usual.again(11, true) && !usual.again(1, false));
        let never = Restarts::of(&json!({ "restartPolicyType": "NEVER" }));
        assert!(!never.again(1, true));
        let always = Restarts::of(&json!({ "restartPolicyType": "ALWAYS" }));
        assert!(always.again(100, false));
    }
}
