//! What becomes of a pass that the API server did not let come to its end.
//!
//! What holds: it is tried again ever more slowly, as a fault is (`engine::retry`); the log warns of it once, and people hear
//! once of a refusal. Deliberately absent: conditions, which each kind says for itself.

use super::context::Context;
use crate::api::condition::reason;
use crate::cluster::ClusterError;
use crate::model::{Announcement, Fault};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use std::time::Duration;

/// The pass came to its end: what was wrong with the API server is forgotten.
pub fn none<K: Resource>(ctx: &Context, object: &K) {
    ctx.retries.clear(&of_api_server(object));
}

/// Whether the last pass did not come to its end, for a fault of the API server.
pub fn known<K: Resource>(ctx: &Context, object: &K) -> bool {
    ctx.retries.patience(&of_api_server(object), "").is_some()
}

/// A word for how the pass ended, and when to come again.
pub async fn again<K>(ctx: &Context, object: &K, error: &ClusterError) -> (&'static str, Action)
where
    K: Resource<DynamicType = ()>,
{
    let (outcome, fault) = match error {
        // Somebody was faster, or it is gone: the watch brings what is true now.
        ClusterError::Stale { .. } => {
            return ("stale", Action::requeue(Duration::from_millis(50)));
        }
        ClusterError::Gone { .. } => return ("gone", Action::await_change()),
        ClusterError::Refused { what, refusal } => ("refused", refusal.fault(what)),
        ClusterError::Slow { .. } | ClusterError::Absent { .. } | ClusterError::Failed { .. } => {
            let message = error.to_string();
            ("error", Fault::Transient { message })
        }
    };
    let (key, now) = (of_api_server(object), ctx.now());
    let known = ctx.retries.patience(&key, "");
    let until = ctx.retries.failed(&key, "", &fault, now);
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
    (outcome, Action::requeue(wait))
}

/// Under which the API server's faults are remembered. They go with the object's own.
fn of_api_server<K: Resource>(object: &K) -> String {
    format!(
        "{} api-server",
        object.meta().uid.as_deref().unwrap_or_default()
    )
}
