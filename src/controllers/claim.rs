//! AgentClaim: each visit goes on with what is next for the claim, until it waits for something.
//!
//! Holds: nothing is decided here (`engine::claims`, `engine::claiming`). A claim that was seen being made is served without a
//! read: a free agent is taken, the claim bound to it, both with the versions that were watched. So is one that this process has
//! left, as long as the watch shows what it has written.

use super::context::Context;
use super::ended::Ended;
use super::kind::Kind;
use super::serving::Serving;
use super::store::Store;
use super::stores::Stores;
use super::unreadable;
use crate::api::{AgentClaim, AgentClaimStatus, Seen};
use crate::cluster::ClusterError;
use crate::engine::persona;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::Api;
use std::sync::Arc;
use std::time::Duration;

impl Kind for AgentClaim {
    const NAME: &'static str = "AgentClaim";

    fn store(stores: &Stores) -> &Store<AgentClaim> {
        &stores.claims
    }

    async fn reconcile(seen: &Seen<AgentClaim>, ctx: &Arc<Context>) -> Result<Ended, ClusterError> {
        let now = ctx.around.now();
        if let Some(expires) = seen
            .read()
            .and_then(|claim| Serving::rests(ctx, claim, now))
        {
            return Ok(Ended::until(expires.map(|at| wait(at, now))));
        }
        let fresh = |claim: &AgentClaim| ctx.stores.lines.is_fresh(claim);
        let known = match seen.read() {
            // What stores leave out, and somebody has to judge, is read.
            Some(claim) if fresh(claim) && !persona::refers(claim) => {
                Some(Serving::of(ctx, claim.as_ref().clone()))
            }
            Some(claim) => Serving::left(ctx, claim).map(|left| Serving::again(ctx, left)),
            None => None,
        };
        let serving = match known {
            Some(serving) => serving,
            None => {
                let namespace = seen.namespace().unwrap_or_default();
                let api = Api::namespaced(ctx.around.client.clone(), &namespace);
                match unreadable::get(ctx, &api, "reading the claim", seen).await? {
                    Some(Seen::Read(claim)) => Serving::of(ctx, Arc::unwrap_or_clone(claim)),
                    _ => return Ok(Ended::at_rest()),
                }
            }
        };
        let again = serving.run().await?;
        let now = ctx.around.now();
        Ok(Ended::until(again.map(|at| wait(at, now))))
    }

    fn conditions(status: &mut AgentClaimStatus) -> Option<&mut Vec<Condition>> {
        Some(&mut status.conditions)
    }

    fn failed(seen: &Seen<AgentClaim>, ctx: &Context) {
        let Some(claim) = seen.read() else {
            return;
        };
        // Nobody waits behind one that cannot be served.
        ctx.stores.lines.doubt(claim);
        for next in ctx.stores.lines.stand_aside(claim) {
            ctx.stores
                .claims
                .queue
                .add(next, super::queue::Rank::News, Duration::ZERO);
        }
    }
}

/// A time that has come meanwhile is one to come again.
fn wait(at: Timestamp, now: Timestamp) -> Duration {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    wait.max(Duration::from_millis(50))
}
