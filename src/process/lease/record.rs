//! The record of an election, kept as a Lease in Kubernetes.
//!
//! What holds: a write replaces exactly the version it names, and what others put on the Lease (labels, annotations)
//! stays. Times in it are for people; nobody decides by them.

use super::election::Record;
use crate::process::config::LeaseConfig;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use std::time::Duration;

/// The record, wherever it is kept.
pub(super) trait Records: Send + 'static {
    /// Reads it; `None` where there is none.
    fn read(&mut self) -> impl Future<Output = Result<Option<Record>, kube::Error>> + Send;

    /// Replaces that version of it, or makes it, with us (`hold`) or with nobody as its holder.
    fn write(
        &mut self,
        replaces: Option<&str>,
        hold: bool,
        transitions: i32,
    ) -> impl Future<Output = Result<Record, WriteError>> + Send;
}

/// Why a write did not happen.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The record is not (any more) what we took it for: someone else was faster.
    Conflict,
    /// Anything else. It may have happened all the same.
    Other(kube::Error),
}

/// The record as a Lease.
pub(super) struct KubeRecords {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// In whole seconds, at least 1 (checked in `config`).
    duration_seconds: i32,
    /// The Lease as it was last read or written.
    last: Option<Lease>,
}

impl KubeRecords {
    pub(super) fn new(client: Client, namespace: &str, config: &LeaseConfig) -> KubeRecords {
        KubeRecords {
            api: Api::namespaced(client, namespace),
            name: config.name.clone(),
            identity: config.identity.clone(),
            duration_seconds: i32::try_from(config.duration.as_secs()).unwrap_or(i32::MAX),
            last: None,
        }
    }
}

impl Records for KubeRecords {
    async fn read(&mut self) -> Result<Option<Record>, kube::Error> {
        self.last = self.api.get_opt(&self.name).await?;
        Ok(self.last.as_ref().map(to_record))
    }

    async fn write(
        &mut self,
        replaces: Option<&str>,
        hold: bool,
        transitions: i32,
    ) -> Result<Record, WriteError> {
        let holder = hold.then_some(self.identity.as_str());
        let now = Timestamp::now();
        let base = self.last.take().filter(|_| replaces.is_some());
        let mut lease = to_lease(base, holder, transitions, self.duration_seconds, now);
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.resource_version = replaces.map(str::to_owned);
        let parameters = PostParams::default();
        let written = match replaces {
            Some(_) => self.api.replace(&self.name, &parameters, &lease).await,
            None => self.api.create(&parameters, &lease).await,
        };
        match written {
            Ok(lease) => Ok(to_record(self.last.insert(lease))),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                Err(WriteError::Conflict)
            }
            Err(error) => Err(WriteError::Other(error)),
        }
    }
}

/// What the election wants to know of a Lease.
fn to_record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    Record {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or(0),
        duration: Duration::from_secs(u64::try_from(seconds.unwrap_or(0)).unwrap_or(0)),
    }
}

/// The Lease to write: `base` with a holder, times and counts; a term that goes on keeps its time of acquisition.
fn to_lease(
    base: Option<Lease>,
    holder: Option<&str>,
    transitions: i32,
    duration_seconds: i32,
    now: Timestamp,
) -> Lease {
    let (metadata, before) = match base {
        Some(lease) => (lease.metadata, lease.spec.unwrap_or_default()),
        None => (ObjectMeta::default(), LeaseSpec::default()),
    };
    let goes_on = before.lease_transitions == Some(transitions) && before.acquire_time.is_some();
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(duration_seconds),
            lease_transitions: Some(transitions),
            acquire_time: if goes_on {
                before.acquire_time
            } else {
                Some(MicroTime(now))
            },
            renew_time: Some(MicroTime(now)),
            ..before
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_first_holder_a_renewal_a_release_and_the_next() {
        let first = to_lease(None, Some("me"), 0, 15, at(100));
        let spec = first.spec.clone().unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("me"));
        assert_eq!(spec.lease_duration_seconds, Some(15));
        assert_eq!(spec.acquire_time, Some(MicroTime(at(100))));
        assert_eq!(spec.renew_time, Some(MicroTime(at(100))));

        let renewed = to_lease(Some(first), Some("me"), 0, 15, at(102));
        let spec = renewed.spec.clone().unwrap();
        assert_eq!(spec.acquire_time, Some(MicroTime(at(100))));
        assert_eq!(spec.renew_time, Some(MicroTime(at(102))));

        let released = to_lease(Some(renewed), None, 0, 15, at(104));
        assert_eq!(to_record(&released).holder, None);

        let next = to_lease(Some(released), Some("other"), 1, 15, at(105));
        let spec = next.spec.clone().unwrap();
        assert_eq!(spec.acquire_time, Some(MicroTime(at(105))));
        assert_eq!(spec.lease_transitions, Some(1));
    }

    #[test]
    fn what_others_put_on_the_lease_stays() {
        let mut lease = to_lease(None, Some("me"), 3, 15, at(100));
        let labels = [("team".to_owned(), "a".to_owned())];
        lease.metadata.labels = Some(labels.into());
        lease.metadata.resource_version = Some("7".to_owned());
        let renewed = to_lease(Some(lease), Some("me"), 3, 15, at(102));
        assert_eq!(renewed.metadata.labels.unwrap()["team"], "a");
    }

    #[test]
    fn a_lease_without_anything_is_free_at_once() {
        let record = to_record(&Lease::default());
        assert_eq!(record.holder, None);
        assert_eq!(record.transitions, 0);
        assert_eq!(record.duration, Duration::ZERO);
    }
}
