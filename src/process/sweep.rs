//! `yardmaster sweep`: what lives in all accounts and no ledger claims, for people and for scripts.
//!
//! What holds: it reads with the code of the operator's own sweep and changes nothing. As `kubectl diff` does, it ends
//! with 0 where there is nothing to see to, with 1 where there are orphans, and with 2 where it could not tell.

use super::connect::{RunError, because, connect, now};
use super::https;
use crate::cluster::installation;
use crate::controllers::survey::{Surveyed, What, survey};
use crate::controllers::{Around, Gauge, Settings};
use crate::engine::world::Limits;
use crate::wire::Leave;
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
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
    let client = connect().await?;
    let installation = installation::look(&client, &flags.namespace)
        .await
        .map_err(because("installation"))?;
    let around = Around {
        settings: settings(flags.namespace),
        gauge: Arc::new(Onlooker),
        leave: Leave::always(),
        clock: Arc::new(now),
        http: https::client().map_err(because("HTTPS client"))?,
        installation,
        client,
    };
    let found = survey(&around).await.map_err(because("reading ledgers"))?;
    let text = match flags.output {
        Output::Table => table(&found),
        Output::Json => serde_json::to_string_pretty(&found).map_err(because("JSON"))? + "\n",
    };
    Ok(Told {
        text,
        code: code(&found),
    })
}

/// One look, with a minute for each request.
fn settings(namespace: String) -> Settings {
    let (timeout, limit) = (Duration::from_secs(60), SignedDuration::from_secs(60));
    Settings {
        namespace,
        observe_interval: timeout,
        request_timeout: timeout,
        limits: Limits {
            request: limit,
            settle: limit,
        },
        concurrency: 1,
        observe_only: true,
    }
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
                    .map_or_else(none, |usd| usd.to_string()),
                one.instance.clone().unwrap_or_else(none),
            ]);
        }
    }
    let mut text = match rows.len() {
        1 => String::new(),
        _ => aligned(&rows) + "\n",
    };
    for account in found {
        text.push_str(&summary(account));
        text.push('\n');
    }
    text
}

/// Rows with columns as wide as what is in them.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let widths: [usize; COLUMNS] = std::array::from_fn(|at| width(at).unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What is to be said of an account as a whole.
fn summary(account: &Surveyed) -> String {
    let name = &account.account;
    let count = |verdict| {
        let found = account.found.iter();
        found.filter(|one| one.verdict == verdict).count()
    };
    match &account.trouble {
        Some(why) => format!("{name}: could not be read: {why}"),
        None if !account.listed => format!(
            "{name}: opens, and {} shows nobody what lives there",
            account.provider
        ),
        None => format!(
            "{name}: {} claimed, {} orphans, {} others'",
            account.claimed,
            count(What::Orphan),
            account.foreign + count(What::Foreign),
        ),
    }
}

/// Who only looks, and is told nothing.
struct Onlooker;

impl Gauge for Onlooker {}
