//! What becomes of a pass that the API server did not let come to its end: the one place where its errors become times.
//!
//! Holds: it is tried again ever more slowly, as a fault is (`engine::retry`), after a conflict at first nearly at once; the
//! log warns of it once, and people hear once of a refusal. Deliberately absent: conditions (`kind`).

use super::context::Context;
use super::ended::Ended;
use super::memories::retries::Tried;
use super::uid::Uid;
use crate::api::condition::reason;
use crate::cluster::ClusterError;
use crate::model::{Announcement, Fault};
use kube::{Resource, ResourceExt};
use std::time::Duration;

/// Whether the last pass did not come to its end, for a fault of the API server.
pub fn known<K: Resource>(ctx: &Context, object: &K) -> bool {
    let tried = Tried::api_server(Uid::of(object));
    ctx.memories.retries.patience(&tried, "").is_some()
}

/// How the pass over an object ended.
pub async fn ended<K>(ctx: &Context, object: &K, error: &ClusterError) -> Ended
where
    K: Resource<DynamicType = ()>,
{
    let (uid, retries) = (Uid::of(object), &ctx.memories.retries);
    let (word, fault) = match error {
        // Somebody was faster, or it is gone: the watch brings what is true now.
        ClusterError::Stale { .. } => {
            return Ended {
                word: "stale",
                again: Some(retries.conflict(&uid)),
            };
        }
        ClusterError::Gone { .. } => {
            return Ended {
                word: "gone",
                again: None,
            };
        }
        ClusterError::Refused { what, refusal } => ("refused", refusal.fault(what)),
        ClusterError::Slow { .. } | ClusterError::Absent { .. } | ClusterError::Failed { .. } => {
            let message = error.to_string();
            ("error", Fault::Transient { message })
        }
    };
    let (tried, now) = (Tried::api_server(uid), ctx.around.now());
    let known = retries.patience(&tried, "");
    let until = retries.failed(&tried, "", &fault, now);
    if known.is_none_or(|known| known.fault != fault) {
        let (kind, namespace, name) = (K::kind(&()), object.namespace(), object.name_any());
        tracing::warn!(%kind, namespace, name, "pass failed: {fault}");
        if matches!(fault, Fault::Refused { .. }) {
            let said = Announcement {
                warning: true,
                reason: reason::REFUSED_BY_CLUSTER,
                action: "Reconcile",
                note: fault.message().to_owned(),
            };
            ctx.events.publish(&object.object_ref(&()), &[said]).await;
        }
    }
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    Ended {
        word,
        again: Some(wait),
    }
}
