//! `yardmaster sweep`: what lives in all accounts and no ledger claims, for people and for scripts.
//!
//! What holds: it reads with the code of the operator's own sweep and changes nothing. As `kubectl diff` does, it ends
//! with 0 where there is nothing to see to, with 1 where there are orphans, and with 2 where it could not tell.

use super::https;
use super::run::{RunError, because, channels, connect, now};
use crate::agent::Agents;
use crate::cluster::events::Events;
use crate::cluster::installation;
use crate::controllers::context::{Cache, Context, Gauge, Settings};
use crate::controllers::survey::{Surveyed, What, survey};
use crate::engine::world::Limits;
use crate::registry::Registry;
use crate::tools::Wallet;
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use kube::runtime::reflector;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The flags of `yardmaster sweep`.
#[derive(Debug, Args)]
pub struct SweepFlags {
    /// The operator's own namespace, where the Secrets of accounts live.
    #[arg(
        long,
        short,
        env = "YARDMASTER_NAMESPACE",
        value_name = "NAME",
        default_value = super::config::DEFAULT_NAMESPACE
    )]
    pub namespace: String,
    /// How it is written.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// How what was found is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Table,
    /// JSON: a list of accounts.
    Json,
}

/// What there is to say, and how the process ends.
#[derive(Debug)]
pub struct Told {
    /// For standard output.
    pub text: String,
    /// 0: nothing to see to; 1: orphans; 2: an account could not be read.
    pub code: u8,
}

/// Reads everything once.
///
/// # Errors
/// [`RunError`] where Kubernetes cannot be read.
pub async fn run(flags: SweepFlags) -> Result<Told, RunError> {
    let timeout = Duration::from_secs(60);
    let client = connect().await?;
    let installation = installation::look(&client, &flags.namespace)
        .await
        .map_err(because("installation"))?;
    let http = https::client().map_err(because("HTTPS client"))?;
    let (wake, _woken) = channels();
    let (_read, reading) = tokio::sync::watch::channel(true);
    let limit = SignedDuration::from_secs(60);
    let ctx = Context {
        events: Events::new(client.clone(), None),
        registry: Registry::new(http.clone(), timeout, Vec::new()),
        inquiries: Default::default(),
        agents: Agents::new(reqwest::Client::builder(), timeout)
            .map_err(because("HTTPS client"))?,
        gauge: Arc::new(Onlooker),
        clock: Arc::new(now),
        accounts: Default::default(),
        wallets: Arc::new(Wallet::new(Arc::new(rand::random))),
        counted: Default::default(),
        warned: Default::default(),
        retries: Default::default(),
        sweeps: Default::default(),
        settings: Settings {
            namespace: flags.namespace,
            observe_interval: timeout,
            request_timeout: timeout,
            limits: Limits {
                request: limit,
                settle: limit,
            },
            concurrency: 1,
        },
        client,
        installation,
        http,
        instances: Cache(reflector::store().0),
        templates: Cache(reflector::store().0),
        provider_accounts: Cache(reflector::store().0),
        caches: reading,
        wake,
    };
    let found = survey(&ctx).await.map_err(because("reading ledgers"))?;
    let text = match flags.output {
        Output::Table => table(&found),
        Output::Json => serde_json::to_string_pretty(&found).map_err(because("JSON"))? + "\n",
    };
    Ok(Told {
        text,
        code: code(&found),
    })
}

fn code(found: &[Surveyed]) -> u8 {
    let orphans = found
        .iter()
        .flat_map(|one| &one.found)
        .any(|one| one.verdict == What::Orphan);
    if orphans {
        1
    } else if found.iter().any(|one| one.trouble.is_some()) {
        2
    } else {
        0
    }
}

fn table(found: &[Surveyed]) -> String {
    let mut rows = vec![
        [
            "ACCOUNT",
            "VERDICT",
            "KIND",
            "ID",
            "NAME",
            "SINCE",
            "USD/MONTH",
            "INSTANCE",
        ]
        .map(str::to_owned),
    ];
    for account in found {
        for one in &account.found {
            let none = || "-".to_owned();
            rows.push([
                account.account.clone(),
                format!("{:?}", one.verdict),
                one.kind.clone(),
                one.id.clone(),
                one.name.clone(),
                one.since
                    .map_or_else(none, |since| since.strftime("%F %R").to_string()),
                one.monthly_cost_usd
                    .map_or_else(none, |usd| format!("{usd:.2}")),
                one.instance.clone().unwrap_or_else(none),
            ]);
        }
    }
    let mut text = String::new();
    if rows.len() > 1 {
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|at| {
                rows.iter()
                    .map(|row| row[at].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for row in &rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    for account in found {
        // Writing to a String cannot fail.
        let _ = match &account.trouble {
            Some(why) => writeln!(text, "{}: could not be read: {why}", account.account),
            None if !account.listed => writeln!(
                text,
                "{}: opens, and {} shows nobody what lives there",
                account.account, account.provider
            ),
            None => writeln!(
                text,
                "{}: {} claimed, {} orphans, {} others'",
                account.account,
                account.claimed,
                account
                    .found
                    .iter()
                    .filter(|one| one.verdict == What::Orphan)
                    .count(),
                account.foreign
                    + account
                        .found
                        .iter()
                        .filter(|one| one.verdict == What::Foreign)
                        .count(),
            ),
        };
    }
    text
}

/// Who only looks: may send requests, and is told nothing.
struct Onlooker;

impl Gauge for Onlooker {
    fn may_act(&self) -> bool {
        true
    }
    fn reconciled(&self, _: &'static str, _: &'static str, _: Duration) {}
    fn requested(&self, _: &'static str, _: &'static str, _: &'static str, _: Duration) {}
    fn account(&self, _: &str, _: bool, _: Option<u64>) {}
    fn waiting(&self, _: &str, _: &'static str, _: usize) {}
    fn slots(&self, _: &str, _: &'static str, _: usize) {}
    fn orphans(&self, _: &str, _: &BTreeMap<String, usize>, _: f64) {}
    fn swept(&self, _: &str, _: &'static str) {}
    fn sweep_held_back(&self, _: &str, _: Option<&'static str>) {}
    fn forget(&self, _: &str) {}
    fn unreadable(&self, _: &str, _: usize) {}
    fn watch_failed(&self, _: &str) {}
}
