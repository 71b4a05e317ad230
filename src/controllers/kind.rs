//! One door per kind: whoever is woken is reconciled here, whatever it is.
//!
//! Holds: as many passes of a kind as the settings allow run at once, of one object never two; each has one outcome, one
//! time at which it comes again, and one line in the metrics; an error becomes both in one place (`failures`); what is gone
//! is forgotten. Deliberately absent: what a pass does.

use super::context::Context;
use super::ended::Ended;
use super::failures;
use super::memories::retries::Tried;
use super::store::{Store, Stored};
use super::stores::Stores;
use super::turned::Ref;
use super::uid::Uid;
use crate::api::Seen;
use crate::cluster::{ClusterError, status};
use crate::engine::meaning;
use crate::model::Fault;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::object::HasStatus;
use serde::Serialize;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Who gives way looks again after so long, and so often at most: nobody keeps all others waiting for longer.
const STEP: Duration = Duration::from_millis(50);
const STEPS: usize = 20;

/// A kind that is reconciled.
pub trait Kind:
    Stored + HasStatus<Status: Clone + Default + PartialEq + Serialize + Send + Sync>
{
    /// Its name, for people and metrics.
    const NAME: &'static str;

    /// Whether its passes come later while agents are taken and more claims wait to be served: for those somebody waits.
    const GIVES_WAY: bool = false;

    /// Where its objects are kept.
    fn store(stores: &Stores) -> &Store<Self>;

    /// One pass over one object. `seen` is what the store has of it.
    fn reconcile(
        seen: &Seen<Self>,
        ctx: &Arc<Context>,
    ) -> impl Future<Output = Result<Ended, ClusterError>> + Send;

    /// The conditions in which the door tells that the API server refuses something. `None`: its own passes tell.
    fn conditions(status: &mut Self::Status) -> Option<&mut Vec<Condition>>;

    /// A pass did not come to its end.
    fn failed(_seen: &Seen<Self>, _ctx: &Context) {}

    /// An object is gone; `last` is what it was.
    fn gone(_last: &Seen<Self>, _ctx: &Context) {}

    /// Somebody was woken who is not there.
    fn absent(_named: &Ref<Self>, _ctx: &Arc<Context>) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Reconciles objects of a kind until `stop`; passes that are under way come to their end.
pub async fn run<K, S>(ctx: &Arc<Context>, stop: &S)
where
    K: Kind,
    S: Future<Output = ()> + Send + Sync + Clone + 'static,
{
    K::store(&ctx.stores).open();
    let mut workers = JoinSet::new();
    for _ in 0..ctx.around.settings.concurrency {
        workers.spawn(work::<K, S>(Arc::clone(ctx), stop.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

async fn work<K, S>(ctx: Arc<Context>, stop: S)
where
    K: Kind,
    S: Future<Output = ()> + Clone,
{
    let store = K::store(&ctx.stores);
    loop {
        let named = tokio::select! {
            biased;
            () = stop.clone() => return,
            named = store.queue.next() => named,
        };
        if K::GIVES_WAY {
            give_way(&ctx).await;
        }
        for last in store.take_gone(&named) {
            ctx.memories.forget(&Uid::of(&last));
            K::gone(&last, &ctx);
        }
        let again = match store.get(&named) {
            Some(seen) => pass(&seen, &ctx).await,
            None => {
                K::absent(&named, &ctx).await;
                None
            }
        };
        store.queue.done(&named, again);
    }
}

/// Lets claims that wait go first, for a while.
async fn give_way(ctx: &Context) {
    for _ in 0..STEPS {
        if !ctx.claims_press() {
            return;
        }
        tokio::time::sleep(STEP).await;
    }
}

/// One pass, and what becomes of its error. Answers when it comes again.
async fn pass<K: Kind>(seen: &Seen<K>, ctx: &Arc<Context>) -> Option<Duration> {
    let begun = Instant::now();
    let ended = match K::reconcile(seen, ctx).await {
        Ok(ended) => {
            let uid = Uid::of(seen);
            ctx.memories.retries.no_conflict(&uid);
            ctx.memories.retries.clear(&Tried::api_server(uid));
            ended
        }
        Err(error) => {
            if let (Some(object), ClusterError::Refused { what, refusal }) = (seen.read(), &error) {
                refused(object.as_ref(), &refusal.fault(what), ctx).await;
            }
            let ended = failures::ended(ctx, seen, &error).await;
            K::failed(seen, ctx);
            ended
        }
    };
    let gauge = &ctx.around.gauge;
    gauge.reconciled(K::NAME, ended.word, begun.elapsed());
    ended.again
}

/// Says in the status what the API server refuses. Where it refuses that, too, the event has to do.
async fn refused<K: Kind>(object: &K, fault: &Fault, ctx: &Context) {
    let mut new = object.status().cloned().unwrap_or_default();
    let Some(conditions) = K::conditions(&mut new) else {
        return;
    };
    let (generation, now) = (object.meta().generation, ctx.around.now());
    *conditions = meaning::refused(conditions, fault, generation, now);
    if object.status() != Some(&new)
        && let Err(error) = status::write(&ctx.around.client, object, &new).await
    {
        tracing::debug!(%error, "a refusal is not told in the status");
    }
}
