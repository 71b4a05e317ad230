//! `yardmaster run`: the parts put together, from the command line's settings to the end of the process.
//!
//! What holds: the controllers run only while this process leads; when leadership is lost the process ends at once,
//! because whoever leads now must not meet it; at a graceful end passes come to their end first, and the Lease is freed
//! last. Deliberately absent: anything that a part could do itself.

use super::config::Config;
use super::connect::{RunError, because, connect, now};
use super::https;
use super::lease::Seat;
use super::metrics::Metrics;
use super::probes::{Probes, listen};
use super::shutdown::Shutdown;
use crate::agent::Agents;
use crate::api::limits::MonthlyUsd;
use crate::api::money::Money;
use crate::cluster::events::Events;
use crate::cluster::installation::{InstallationError, establish};
use crate::controllers::accounts::Accounts;
use crate::controllers::memories::Memories;
use crate::controllers::stores::Stores;
use crate::controllers::{self, Around, Context, Gauge, Settings};
use crate::engine::world::Limits;
use crate::registry::Registry;
use crate::tools::Wallet;
use crate::wire::Leave;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Runs until asked to end, or until leadership is lost.
///
/// # Errors
/// [`RunError`] where something that the process cannot do without is not to be had.
pub async fn run(config: Config) -> Result<(), RunError> {
    let shutdown =
        Shutdown::on_signals(config.shutdown_deadline).map_err(because("signal handlers"))?;
    let listener = listen(config.listen).await.map_err(because("probes"))?;
    let probes = Probes::default();
    let metrics = probes.metrics.clone();
    probes
        .readiness
        .lacks("start", "connecting to the API server");
    let served = tokio::spawn(probes.clone().serve(listener, shutdown.clone()));
    let client = connect().await?;
    let limit = config.lease.duration * 4;
    let heartbeat = probes.liveness.watch("lease", limit, Instant::now());
    let seat = Seat::campaign(client.clone(), &config.namespace, &config.lease, heartbeat);
    let gauge: Arc<dyn Gauge> = Arc::new(Instruments {
        metrics: metrics.clone(),
    });
    let stores = Arc::new(Stores::default());
    probes
        .readiness
        .lacks("stores", "reading instances, templates and accounts");
    let watches = watch(&client, &gauge, &stores, &probes);
    probes.readiness.arrived("start");
    tracing::info!(identity = config.lease.identity, "waiting to lead");
    tokio::select! {
        won = seat.won() => { won.map_err(because("leader election"))?; }
        () = shutdown.asked() => {
            seat.release().await;
            return Ok(());
        }
    }
    metrics.leader(true);
    tracing::info!(identity = config.lease.identity, "leading");
    let permit = seat.permit();
    let leave = Leave::only_while(move || permit.is_current(Instant::now()));
    let led = lead(&config, client, (gauge, leave), stores, shutdown.clone());
    tokio::select! {
        done = led => done?,
        loss = seat.lost() => {
            metrics.leader(false);
            return Err(RunError(format!("no longer leading: {loss}; ending so that nothing is done twice")));
        }
    }
    metrics.leader(false);
    seat.release().await;
    watches.abort();
    served.abort();
    tracing::info!("ended");
    Ok(())
}

/// Begins to fill the stores. A standby is ready once they are whole, because then it can take over at once.
fn watch(
    client: &Client,
    gauge: &Arc<dyn Gauge>,
    stores: &Arc<Stores>,
    probes: &Probes,
) -> JoinHandle<()> {
    let (client, gauge, stores) = (client.clone(), Arc::clone(gauge), Arc::clone(stores));
    let readiness = probes.readiness.clone();
    tokio::spawn(async move {
        let told = async {
            stores.filled().await;
            readiness.arrived("stores");
        };
        futures::join!(stores.watch(&client, gauge.as_ref()), told);
    })
}

async fn lead(
    config: &Config,
    client: Client,
    (gauge, leave): (Arc<dyn Gauge>, Leave),
    stores: Arc<Stores>,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let installation = loop {
        match establish(&client, &config.namespace, random_bytes()).await {
            Ok(installation) => break installation,
            // The API server is busy or starting: ending would only give the Lease away.
            Err(InstallationError::Cluster(error)) => {
                tracing::warn!(%error, "installation: trying again");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    () = shutdown.asked() => return Ok(()),
                }
            }
            Err(error) => return Err(because("installation")(error)),
        }
    };
    tracing::info!(installation = %installation.id, "installation");
    let around = Arc::new(Around {
        settings: settings(config),
        gauge,
        leave,
        clock: Arc::new(now),
        http: https::client().map_err(because("HTTPS client"))?,
        installation,
        client: client.clone(),
    });
    let context = Arc::new(Context {
        events: Events::new(client, Some(config.lease.identity.clone())),
        registry: Registry::new(
            https::for_registries(&config.registries).map_err(because("HTTPS client"))?,
            config.request_timeout.min(Duration::from_secs(30)),
            config.registries.clone(),
        ),
        agents: Agents::new(reqwest::Client::builder, config.agent_timeout)
            .map_err(because("HTTPS client"))?,
        accounts: Accounts::new(Arc::clone(&around), Arc::clone(&stores)),
        wallets: Arc::new(Wallet::new(Arc::new(rand::random))),
        memories: Memories::default(),
        around,
        stores,
    });
    controllers::run(context, shutdown.asked().boxed().shared()).await;
    Ok(())
}

fn settings(config: &Config) -> Settings {
    let span = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    Settings {
        namespace: config.namespace.clone(),
        observe_interval: config.observe_interval,
        request_timeout: config.request_timeout,
        limits: Limits {
            request: span(config.request_timeout),
            settle: span(config.settle),
        },
        concurrency: config.concurrency,
        observe_only: config.observe_only,
    }
}

/// The controllers' view of the process.
struct Instruments {
    metrics: Metrics,
}

impl Gauge for Instruments {
    fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.metrics.reconciled(kind, outcome, took);
    }

    fn requested(
        &self,
        provider: &'static str,
        operation: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        self.metrics.requested(provider, operation, outcome, took);
    }

    fn account(&self, name: &str, healthy: bool, left: Option<u64>) {
        self.metrics.account_healthy(name, healthy);
        if let Some(left) = left {
            self.metrics.budget(name, left);
        }
    }

    fn waiting(&self, account: &str, gate: &'static str, count: usize) {
        self.metrics.waiting(account, gate, count);
    }

    fn slots(&self, slot: &str, state: &'static str, count: usize) {
        self.metrics.slots(slot, state, count);
    }

    fn orphans(&self, account: &str, kinds: &BTreeMap<String, usize>, monthly_usd: Money) {
        self.metrics.orphans(account, kinds, monthly_usd);
    }

    fn monthly(&self, account: &str, costs: &BTreeMap<String, MonthlyUsd>) {
        self.metrics.monthly(account, costs);
    }

    fn swept(&self, account: &str, outcome: &'static str) {
        self.metrics.swept(account, outcome);
    }

    fn sweep_held_back(&self, account: &str, reason: Option<&'static str>) {
        self.metrics.sweep_held_back(account, reason);
    }

    fn recovery(&self, account: &str, recovers: bool) {
        self.metrics.account_recovery(account, recovers);
    }

    fn forget(&self, account: &str) {
        self.metrics.forget_account(account);
    }

    fn unreadable(&self, kind: &str, count: usize) {
        self.metrics.unreadable(kind, count);
    }

    fn pool_waiting(&self, pool: (&str, &str), count: usize, since: Option<Timestamp>) {
        self.metrics.pool_waiting(pool, count, since);
    }

    fn forget_pool(&self, pool: (&str, &str)) {
        self.metrics.forget_pool(pool);
    }

    fn claim(&self, outcome: &'static str, after: Option<Duration>) {
        self.metrics.claim(outcome, after);
    }

    fn watch_failed(&self, kind: &str) {
        self.metrics.watch_failed(kind);
    }
}

fn random_bytes() -> [u8; 48] {
    std::array::from_fn(|_| rand::random())
}
