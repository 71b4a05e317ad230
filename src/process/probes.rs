//! What the process says of itself over HTTP: /livez, /readyz and /metrics.
//!
//! What holds: alive means that the runtime turns and that every watched loop has turned lately, whatever the world
//! outside does, since a restart cures neither an API server nor a provider. Ready means that nothing is missing that
//! was announced as needed; a standby announces nothing it does not need to stand by. No answer says anything about an
//! agent. Deliberately absent: TLS and authentication (a NetworkPolicy's matter; there is nothing here to protect).

use super::metrics::{Metrics, OPEN_METRICS, PLAIN_TEXT};
use super::shutdown::Shutdown;
use crate::wire::held;
use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What is still missing before this process is ready. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    missing: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// Not ready until `what` [arrives](Self::arrived); `why` says what is being waited for.
    pub fn lacks(&self, what: &'static str, why: impl Into<String>) {
        held(&self.missing).insert(what, why.into());
    }

    /// `what` is there.
    pub fn arrived(&self, what: &'static str) {
        held(&self.missing).remove(what);
    }

    /// What is missing, one sentence each; empty when ready.
    pub fn missing(&self) -> Vec<String> {
        let missing = held(&self.missing);
        missing
            .iter()
            .map(|(what, why)| format!("{what}: {why}"))
            .collect()
    }
}

/// The sign of life of one loop. Cheap to clone; one that nobody watches may beat for nothing.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    last: Arc<Mutex<Option<Instant>>>,
}

impl Heartbeat {
    /// The loop has turned at `now`.
    pub fn beat(&self, now: Instant) {
        *held(&self.last) = Some(now);
    }
}

/// The loops whose standstill means that this process should be restarted.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    watched: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    what: &'static str,
    heartbeat: Heartbeat,
    limit: Duration,
}

impl Liveness {
    /// A heartbeat that must beat at least once every `limit`, from `now` on.
    pub fn watch(&self, what: &'static str, limit: Duration, now: Instant) -> Heartbeat {
        let heartbeat = Heartbeat::default();
        heartbeat.beat(now);
        held(&self.watched).push(Watched {
            what,
            heartbeat: heartbeat.clone(),
            limit,
        });
        heartbeat
    }

    /// What stands still at `now`, one sentence each; empty when alive.
    pub fn still(&self, now: Instant) -> Vec<String> {
        let watched = held(&self.watched);
        let still = watched.iter().filter_map(|watched| {
            let last = (*held(&watched.heartbeat.last))?;
            let silent = now.saturating_duration_since(last);
            (silent > watched.limit).then(|| {
                format!(
                    "{}: no sign of life for {}s",
                    watched.what,
                    silent.as_secs()
                )
            })
        });
        still.collect()
    }
}

/// What the endpoints show.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    /// Behind /livez.
    pub liveness: Liveness,
    /// Behind /readyz.
    pub readiness: Readiness,
    /// Behind /metrics.
    pub metrics: Metrics,
}

impl Probes {
    /// The endpoints.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// Serves the endpoints until `shutdown` is asked for, and answers what was asked before.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> std::io::Result<()> {
        axum::serve(listener, self.router())
            .with_graceful_shutdown(shutdown.asked())
            .await
    }
}

/// The place to serve from cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; give another address with --listen")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Takes the address of the probes.
///
/// # Errors
/// [`ListenError`] when it is taken or not ours.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError { address, source })
}

async fn livez(State(probes): State<Probes>) -> impl IntoResponse {
    verdict("alive", &probes.liveness.still(Instant::now()))
}

async fn readyz(State(probes): State<Probes>) -> impl IntoResponse {
    verdict("ready", &probes.readiness.missing())
}

async fn metrics(State(probes): State<Probes>, headers: HeaderMap) -> impl IntoResponse {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("application/openmetrics-text")) {
        (
            [(CONTENT_TYPE, OPEN_METRICS)],
            probes.metrics.open_metrics(),
        )
    } else {
        ([(CONTENT_TYPE, PLAIN_TEXT)], probes.metrics.plain_text())
    }
}

/// 200 and the word when nothing speaks against it, else 503 and what does, a line each.
fn verdict(word: &str, against: &[String]) -> (StatusCode, String) {
    if against.is_empty() {
        (StatusCode::OK, format!("{word}\n"))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, against.join("\n") + "\n")
    }
}

#[cfg(test)]
#[path = "probes_tests.rs"]
mod tests;
