//! AgentInstance: each visit reads the object, gathers what a pass needs, runs the pass and tells the workqueue when to come again.
//!
//! Holds: nothing is decided here. What is read is in `gather`, the pass in `passes`, its effects in `enact`.

use super::context::Context;
use super::failures;
use super::gather::{blind, gather};
use super::unreadable;
use crate::api::{AgentInstance, Seen};
use crate::cluster::ClusterError;
use crate::engine::view;
use crate::passes::end::finished;
use crate::passes::pass::pass;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::controller::Action;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reconciles one instance.
pub async fn reconcile(
    instance: Arc<Seen<AgentInstance>>,
    ctx: Arc<Context>,
) -> Result<Action, Infallible> {
    ctx.caches_read().await;
    let begun = Instant::now();
    let (outcome, action) = match run(&instance, &ctx).await {
        Ok(ended) => {
            failures::none(&ctx, instance.as_ref());
            ended
        }
        Err(error) => failures::again(&ctx, instance.as_ref(), &error).await,
    };
    ctx.gauge
        .reconciled("AgentInstance", outcome, begun.elapsed());
    Ok(action)
}

/// Something that a visit needs is not known yet, and will wake the instance; or there is nothing to visit.
const WAITS: (&str, Action) = ("waiting", Action::await_change());

/// One visit: how it went, and when to come again.
async fn run(
    watched: &Seen<AgentInstance>,
    ctx: &Arc<Context>,
) -> Result<(&'static str, Action), ClusterError> {
    let api = Api::namespaced(ctx.client.clone(), &watched.namespace().unwrap_or_default());
    let instance = match unreadable::get(ctx, &api, "reading the instance", watched).await? {
        Some(Seen::Read(instance)) => Arc::unwrap_or_clone(instance),
        Some(Seen::Unreadable(_)) => return Ok(WAITS),
        None => {
            forget(ctx, watched);
            return Ok(WAITS);
        }
    };
    let (mut world, mut hands) = match gather(ctx, instance.clone()).await {
        Ok(Some(gathered)) => gathered,
        Ok(None) => return Ok(WAITS),
        Err(ClusterError::Refused { what, refusal }) => {
            blind(ctx, instance.clone(), refusal.fault(what))
        }
        Err(error) => return Err(error),
    };
    let about = view::tried(&world);
    let uid = world.instance.uid().unwrap_or_default();
    ctx.retries.of_instance(&uid, |troubles| {
        world.patience = troubles.patience(&about);
        world.tools.patience = troubles.of_tools(&about);
    });
    let ended = pass(&mut hands, world, instance).await;
    hands.give_back(&uid, ended.as_ref().ok().and_then(|end| end.line));
    let (end, now) = (ended?, ctx.now());
    let (went, wake) = ctx
        .retries
        .of_instance(&uid, |troubles| finished(troubles, &end, &about, &uid, now));
    let action = wake.map_or_else(Action::await_change, |at| Action::requeue(until(at, now)));
    Ok((went.word(), action))
}

/// The object is gone: so is what was remembered of it, and the place that it held.
fn forget(ctx: &Context, watched: &Seen<AgentInstance>) {
    let uid = watched.uid().unwrap_or_default();
    ctx.retries.forget(&uid);
    let home = watched
        .read()
        .and_then(|one| ctx.accounts.get(one.spec.account_ref.name.as_str()));
    if let Some(account) = home {
        account.give_back(ctx, &uid, None);
        ctx.wake_those_without_a_place(&account.name);
    }
}

fn until(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

/// `reconcile` gives every error its time itself.
pub fn on_error(_: Arc<Seen<AgentInstance>>, error: &Infallible, _: Arc<Context>) -> Action {
    match *error {}
}
