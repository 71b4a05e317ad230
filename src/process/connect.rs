//! What every command begins with: a client of the API server, the time of day, and the words in which a command fails.

use jiff::Timestamp;
use kube::Client;

/// Why the process could not go on, for the one who reads its last line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(pub(super) String);

pub(super) fn because<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> RunError {
    move |error| RunError(format!("{what}: {error}"))
}

pub(super) async fn connect() -> Result<Client, RunError> {
    let mut config = kube::Config::infer()
        .await
        .map_err(because("finding the API server"))?;
    // Every call has a deadline and a next pass; the client's own retries would hide both.
    config.default_retry = false;
    Client::try_from(config).map_err(because("connecting to the API server"))
}

pub(super) fn now() -> Timestamp {
    Timestamp::now()
}
