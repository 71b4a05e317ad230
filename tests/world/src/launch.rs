//! How the controller is run in a world: its flags, its environment, its port.
//!
//! Holds: it gets nothing of the user's environment but what [`INHERITED`] names, the credentials of the chart's
//! ServiceAccount, and no hint that it is in a world: only the proxy and the authority it trusts differ from a cluster.
//! Absent: its process (`controller`).

use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Result, bail};
use rand::RngExt as _;

use crate::directory::{self, Directory};
use crate::install::SYSTEM_NAMESPACE;

/// How the controller runs in a world, by environment so that a flag wins: in seconds instead of minutes.
const CONTROLLER_PACE: [(&str, &str); 8] = [
    // The log is searched for credentials (`canary`): it shall say all that it can.
    ("YARDMASTER_LOG", "trace"),
    ("YARDMASTER_OBSERVE_INTERVAL", "1s"),
    ("YARDMASTER_REQUEST_TIMEOUT", "2s"),
    ("YARDMASTER_SETTLE", "1s"),
    ("YARDMASTER_AGENT_TIMEOUT", "2s"),
    ("YARDMASTER_LEASE_DURATION", "3s"),
    ("YARDMASTER_LEASE_RENEW_DEADLINE", "2s"),
    ("YARDMASTER_LEASE_RETRY_PERIOD", "500ms"),
];

/// What a child process may know of the user's environment.
const INHERITED: [&str; 4] = ["PATH", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"];

/// Where a controller can listen without meeting a connection on its way out: below the range that systems take
/// outgoing ports from, so that it gets the same port again after a crash.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) log: PathBuf,
    /// `http://127.0.0.1:PORT`, where probes and metrics are.
    pub(crate) address: String,
}

impl Launch {
    /// `flags` win over the world's own.
    pub(crate) fn new(
        directory: &Directory,
        proxy: &str,
        binary: PathBuf,
        flags: Vec<String>,
        log: PathBuf,
    ) -> Result<Self> {
        let mut environment = inherited();
        environment.extend(own(&CONTROLLER_PACE));
        environment.extend(own(&directory::proxy_environment(proxy, &directory.ca())));
        let kubeconfig = directory.controller_kubeconfig().display().to_string();
        environment.push(("KUBECONFIG".to_owned(), kubeconfig));
        environment.push((
            "YARDMASTER_NAMESPACE".to_owned(),
            SYSTEM_NAMESPACE.to_owned(),
        ));

        // The address must be known here, so it is always a flag of one form.
        let listen = match flags.iter().find_map(|flag| flag.strip_prefix("--listen=")) {
            Some(address) => address.to_owned(),
            None => format!("127.0.0.1:{}", free_port()?),
        };
        let others = flags
            .into_iter()
            .filter(|flag| !flag.starts_with("--listen="));
        let mut args = vec!["run".to_owned(), format!("--listen={listen}")];
        args.extend(others);
        Ok(Self {
            binary,
            args,
            environment,
            log,
            address: format!("http://{listen}"),
        })
    }

    /// The same with other or more flags, another port and another log.
    pub(crate) fn another(
        &self,
        directory: &Directory,
        proxy: &str,
        flags: &[&str],
        log: PathBuf,
    ) -> Result<Self> {
        let names: Vec<&str> = flags
            .iter()
            .filter_map(|flag| flag.split('=').next())
            .collect();
        let mut all: Vec<String> = self.args.iter().skip(1).cloned().collect();
        all.retain(|flag| {
            let name = flag.split('=').next().unwrap_or(flag);
            name != "--listen" && !names.contains(&name)
        });
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self::new(directory, proxy, self.binary.clone(), all, log)
    }
}

pub(crate) fn inherited() -> Vec<(String, String)> {
    // What cannot be read is not passed on.
    let named = INHERITED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    named.collect()
}

fn own<V: AsRef<str>>(pairs: &[(&str, V)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_ref().to_owned()))
        .collect()
}

fn free_port() -> Result<u16> {
    for _ in 0..1000 {
        let port = rand::rng().random_range(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}
