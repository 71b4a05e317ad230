//! The command line: flags, their environment variables, and what is allowed in them.
//!
//! What holds: a [`Config`] that exists is usable; it is made in one place, from the flags and an environment that the
//! caller passes in, and all complaints come at once, each with its remedy. Flags win over the environment.
//! Deliberately absent: a configuration file (flags and `YARDMASTER_*` are what a Deployment can set), credentials
//! (they live in Secrets that ProviderAccounts name), and the list of watched namespaces (an account says whom it serves).

use super::sweep::SweepFlags;
use crate::registry::is_registry;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the operator lives unless told otherwise.
pub const DEFAULT_NAMESPACE: &str = "yardmaster-system";

/// The command line of the `yardmaster` binary.
#[derive(Debug, Parser)]
#[command(name = "yardmaster", version, about, propagate_version = true)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator until SIGTERM or SIGINT.
    Run(Box<RunFlags>),
    /// Print manifests that adopt the agents which a predecessor runs; changes nothing.
    Import(Box<super::import::ImportFlags>),
    /// Show what lives in all accounts and no ledger claims; changes nothing. Ends with 0 where nothing is orphaned, with
    /// 1 where something is, and with 2 where it could not tell.
    Sweep(SweepFlags),
    /// Print the custom resource definitions as YAML.
    Crds,
    /// Rewrite the generated files of a source checkout (CRDs, chart, reference).
    #[command(hide = true)]
    Generate {
        /// The root of the checkout.
        #[arg(value_name = "DIR", default_value = ".")]
        checkout: PathBuf,
    },
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The flags of `yardmaster run`, as given. [`RunFlags::resolve`] makes them a [`Config`].
///
/// Durations are written as people write them: `500ms`, `90s`, `1h 30m`.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// The operator's own namespace: its Lease and the Secrets of accounts live there
    /// [default: POD_NAMESPACE, or yardmaster-system].
    #[arg(long, env = "YARDMASTER_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,

    /// How often everything in an account is listed; one listing serves all its instances.
    #[arg(long, env = "YARDMASTER_OBSERVE_INTERVAL", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "60s")]
    observe_interval: Duration,

    /// How long one whole exchange with an outside API may take.
    #[arg(long, env = "YARDMASTER_REQUEST_TIMEOUT", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "60s")]
    request_timeout: Duration,

    /// How long after its timeout an outside write may still land or stay invisible. Until then an absent resource
    /// is not believed absent.
    #[arg(long, env = "YARDMASTER_SETTLE", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "30s")]
    settle: Duration,

    /// How long an agent may take to answer its health or status path.
    #[arg(long, env = "YARDMASTER_AGENT_TIMEOUT", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "5s")]
    agent_timeout: Duration,

    /// The only registries whose images agents may run, as images name them (ghcr.io, registry.example.com:5000),
    /// separated by commas; they may have private addresses [default: every registry with a public name and address].
    #[arg(
        long,
        env = "YARDMASTER_REGISTRIES",
        value_name = "REGISTRIES",
        value_delimiter = ','
    )]
    registries: Vec<String>,

    /// Only observe: nothing outside is made, changed or deleted, deletions wait, and everything is still looked at and told.
    #[arg(long, env = "YARDMASTER_OBSERVE_ONLY", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    observe_only: bool,

    /// How many objects of one kind are worked on at once.
    #[arg(
        long,
        env = "YARDMASTER_CONCURRENCY",
        value_name = "NUMBER",
        default_value_t = 16
    )]
    concurrency: u16,

    /// Where probes (/livez, /readyz) and /metrics are served, over plain HTTP.
    #[arg(
        long,
        env = "YARDMASTER_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080"
    )]
    listen: SocketAddr,

    /// This process's name among those that want to lead [default: POD_NAME, or the host name and a random part].
    #[arg(long, env = "YARDMASTER_IDENTITY", value_name = "NAME")]
    identity: Option<String>,

    /// The Lease, in the operator's namespace, whose holder leads.
    #[arg(
        long,
        env = "YARDMASTER_LEASE_NAME",
        value_name = "NAME",
        default_value = "yardmaster"
    )]
    lease_name: String,

    /// How long the others wait for a silent leader before one of them takes over; whole seconds.
    #[arg(long, env = "YARDMASTER_LEASE_DURATION", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "15s")]
    lease_duration: Duration,

    /// How long a leader that cannot renew goes on before it ends itself; shorter than the lease duration.
    #[arg(long, env = "YARDMASTER_LEASE_RENEW_DEADLINE", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "10s")]
    lease_renew_deadline: Duration,

    /// How often a leader renews and the others look; shorter than half the renew deadline.
    #[arg(long, env = "YARDMASTER_LEASE_RETRY_PERIOD", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "2s")]
    lease_retry_period: Duration,

    /// How long a graceful end may take before the process ends anyway; shorter than the Pod's
    /// terminationGracePeriodSeconds.
    #[arg(long, env = "YARDMASTER_SHUTDOWN_DEADLINE", value_name = "DURATION",
          value_parser = humantime::parse_duration, default_value = "25s")]
    shutdown_deadline: Duration,

    /// How log lines are written, to standard error.
    #[arg(
        long,
        env = "YARDMASTER_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// What is logged: a level, or directives such as `info,yardmaster::engine=debug`. A bare level is for
    /// Yardmaster; libraries log warnings unless a directive names them.
    #[arg(
        long,
        env = "YARDMASTER_LOG",
        value_name = "DIRECTIVES",
        default_value = "info"
    )]
    log: String,
}

/// Settings that are known to be usable.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's own namespace.
    pub namespace: String,
    /// One listing of each account per interval.
    pub observe_interval: Duration,
    /// Longest exchange with an outside API.
    pub request_timeout: Duration,
    /// How long after `request_timeout` an outside write may still land or stay invisible.
    pub settle: Duration,
    /// Longest wait for an agent's answer.
    pub agent_timeout: Duration,
    /// The registries whose images agents may run; none for every public one.
    pub registries: Vec<String>,
    /// Whether nothing outside is made, changed or deleted.
    pub observe_only: bool,
    /// Reconciles at once, per kind; never 0, which kube would take for "unbounded".
    pub concurrency: u16,
    /// Where probes and metrics are served.
    pub listen: SocketAddr,
    /// Who leads, when, and for how long.
    pub lease: LeaseConfig,
    /// Longest graceful end.
    pub shutdown_deadline: Duration,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Filter directives for the log.
    pub log: String,
}

/// Settings of the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// The Lease's name, in the operator's namespace.
    pub name: String,
    /// This process among the contenders.
    pub identity: String,
    /// How long a silent leader is waited for.
    pub duration: Duration,
    /// How long a leader goes on without a renewal; less than `duration`.
    pub renew_deadline: Duration,
    /// How often it is renewed or looked at; less than half of `renew_deadline`.
    pub retry_period: Duration,
}

/// Settings that cannot be used: one sentence each, with its remedy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings cannot be used:\n  {}", .0.join("\n  "))]
pub struct InvalidConfig(pub Vec<String>);

impl RunFlags {
    /// Fills what was left open from the environment and checks everything.
    ///
    /// `environment` answers for variables (in `main`: `std::env::var(name).ok()`), `host` is this machine's name, and
    /// `random` makes an identity unique where the Pod's name is not known.
    ///
    /// # Errors
    /// [`InvalidConfig`] with every complaint, not only the first.
    pub fn resolve(
        self,
        environment: impl Fn(&str) -> Option<String>,
        host: Option<String>,
        random: u32,
    ) -> Result<Config, InvalidConfig> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let namespace = self
            .namespace
            .or_else(|| set("POD_NAMESPACE"))
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let identity = self
            .identity
            .or_else(|| set("POD_NAME"))
            .unwrap_or_else(|| {
                let host = host.unwrap_or_else(|| "yardmaster".to_owned());
                format!("{}-{random:08x}", host.trim())
            });
        let config = Config {
            namespace,
            observe_interval: self.observe_interval,
            request_timeout: self.request_timeout,
            settle: self.settle,
            agent_timeout: self.agent_timeout,
            registries: self
                .registries
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
            observe_only: self.observe_only,
            concurrency: self.concurrency,
            listen: self.listen,
            lease: LeaseConfig {
                name: self.lease_name,
                identity,
                duration: self.lease_duration,
                renew_deadline: self.lease_renew_deadline,
                retry_period: self.lease_retry_period,
            },
            shutdown_deadline: self.shutdown_deadline,
            log_format: self.log_format,
            log: self.log,
        };
        let complaints = config.complaints();
        if complaints.is_empty() {
            Ok(config)
        } else {
            Err(InvalidConfig(complaints))
        }
    }
}

impl Config {
    /// Everything that is wrong, each as a sentence with its remedy.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut require = |holds: bool, sentence: &dyn Fn() -> String| {
            if !holds {
                complaints.push(sentence());
            }
        };
        require(is_label(&self.namespace), &|| {
            format!(
                "--namespace is {:?}, which is no namespace; give a name of a-z, 0-9 and '-', at most 63 characters",
                self.namespace
            )
        });
        for name in &self.registries {
            require(is_registry(name), &|| {
                format!(
                    "--registries names {name:?}, which is no registry with a public name; write it as images do, such as ghcr.io or registry.example.com:5000"
                )
            });
        }
        require(self.concurrency > 0, &|| {
            "--concurrency is 0, so nothing would run; give at least 1".to_owned()
        });
        for (flag, value) in [
            ("--observe-interval", self.observe_interval),
            ("--request-timeout", self.request_timeout),
            ("--agent-timeout", self.agent_timeout),
            ("--shutdown-deadline", self.shutdown_deadline),
        ] {
            require(!value.is_zero(), &|| {
                format!("{flag} is 0; give a duration such as 30s")
            });
        }
        self.lease.complain(&mut require);
        complaints
    }
}

impl LeaseConfig {
    fn complain(&self, require: &mut dyn FnMut(bool, &dyn Fn() -> String)) {
        require(self.name.split('.').all(is_label), &|| {
            format!(
                "--lease-name is {:?}, which is no object name; give a name of a-z, 0-9, '-' and '.'",
                self.name
            )
        });
        let clean = !self.identity.is_empty() && !self.identity.contains(char::is_control);
        require(clean, &|| {
            "--identity is empty or holds control characters; give each replica a name of its own"
                .to_owned()
        });
        let whole = self.duration.subsec_nanos() == 0 && !self.duration.is_zero();
        // A Lease stores whole seconds in 32 bits.
        require(whole && self.duration.as_secs() <= 86_400, &|| {
            format!(
                "--lease-duration is {}; a Lease holds whole seconds: give 1s to 1day",
                humantime::format_duration(self.duration)
            )
        });
        require(self.renew_deadline < self.duration, &|| {
            format!(
                "--lease-renew-deadline ({}) must be shorter than --lease-duration ({}), or a leader that cannot \
                 renew goes on when another has taken over; try two thirds of it",
                humantime::format_duration(self.renew_deadline),
                humantime::format_duration(self.duration)
            )
        });
        let tries = !self.retry_period.is_zero() && self.retry_period * 2 < self.renew_deadline;
        require(tries, &|| {
            format!(
                "--lease-retry-period ({}) must be above 0 and shorter than half of --lease-renew-deadline ({}), or \
                 one lost request ends the leader; try a fifth of it",
                humantime::format_duration(self.retry_period),
                humantime::format_duration(self.renew_deadline)
            )
        });
    }
}

/// Whether this is a DNS label, as Kubernetes wants of a namespace.
fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests;
