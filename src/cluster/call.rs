//! One call to the API server, with a deadline and an outcome that says what to do.

use std::future::Future;
use std::time::Duration;

/// Longest that one call may take, its retries by the client included.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Somebody else was faster: read again and decide anew.
    #[error("{what}: changed by somebody else meanwhile")]
    Stale {
        /// What was being done.
        what: &'static str,
    },
    /// The object is gone.
    #[error("{what}: the object is gone")]
    Gone {
        /// What was being done.
        what: &'static str,
    },
    /// Something that the operator cannot do without is not there.
    #[error("{what}: it is missing; restore it from a backup")]
    Absent {
        /// What was being done.
        what: &'static str,
    },
    /// No answer in time.
    #[error("{what}: the API server did not answer in time")]
    Slow {
        /// What was being done.
        what: &'static str,
    },
    /// Refused or broken.
    #[error("{what}: {source}")]
    Failed {
        /// What was being done.
        what: &'static str,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Result of a write.
pub type Written<T> = Result<T, ClusterError>;

/// Runs a call within the deadline.
pub async fn call<T>(
    what: &'static str,
    future: impl Future<Output = kube::Result<T>>,
) -> Written<T> {
    match tokio::time::timeout(DEADLINE, future).await {
        Err(_) => Err(ClusterError::Slow { what }),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            Err(ClusterError::Stale { what })
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(ClusterError::Gone { what }),
        Ok(Err(source)) => Err(ClusterError::Failed {
            what,
            source: Box::new(source),
        }),
    }
}

/// The same, where an object that is not there is an answer and not an error.
pub async fn find<T>(
    what: &'static str,
    future: impl Future<Output = kube::Result<Option<T>>>,
) -> Written<Option<T>> {
    match call(what, future).await {
        Err(ClusterError::Gone { .. }) => Ok(None),
        other => other,
    }
}
