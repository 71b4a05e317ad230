//! AgentInstance: each visit reads the object, gathers what a pass needs, runs the pass and says when to come again.
//!
//! Holds: nothing is decided here. What is read is in `gather`, the pass in `passes`, its effects in `enact`.

use super::context::Context;
use super::ended::Ended;
use super::gather::{blind, gather};
use super::kind::Kind;
use super::store::Store;
use super::stores::Stores;
use super::uid::Uid;
use super::unreadable;
use super::wake::Change;
use crate::api::{AgentInstance, AgentInstanceStatus, Seen};
use crate::cluster::ClusterError;
use crate::engine::view;
use crate::passes::end::finished;
use crate::passes::pass::pass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::Api;
use std::sync::Arc;
use std::time::Duration;

/// Something that a visit needs is not known yet, and will wake the instance; or there is nothing to visit.
const WAITS: Ended = Ended {
    word: "waiting",
    again: None,
};

impl Kind for AgentInstance {
    const NAME: &'static str = "AgentInstance";

    const GIVES_WAY: bool = true;

    fn store(stores: &Stores) -> &Store<AgentInstance> {
        &stores.instances
    }

    async fn reconcile(
        seen: &Seen<AgentInstance>,
        ctx: &Arc<Context>,
    ) -> Result<Ended, ClusterError> {
        let around = &ctx.around;
        let namespace = seen.namespace().unwrap_or_default();
        let api = Api::namespaced(around.client.clone(), &namespace);
        let instance = match unreadable::get(ctx, &api, "reading the instance", seen).await? {
            Some(Seen::Read(instance)) => Arc::unwrap_or_clone(instance),
            Some(Seen::Unreadable(_)) | None => return Ok(WAITS),
        };
        let (mut world, mut hands) = match gather(ctx, instance.clone()).await {
            Ok(Some(gathered)) => gathered,
            Ok(None) => return Ok(WAITS),
            Err(ClusterError::Refused { what, refusal }) => {
                blind(ctx, instance.clone(), refusal.fault(what))
            }
            Err(error) => return Err(error),
        };
        let (about, uid) = (view::tried(&world), Uid::of(&world.instance));
        let identity = world.instance.identity();
        let retries = &ctx.memories.retries;
        retries.of_instance(&uid, |troubles| {
            world.patience = troubles.patience(&about);
            world.tools.patience = troubles.of_tools(&about);
        });
        let ended = pass(&mut hands, world, instance).await;
        let line = ended.as_ref().ok().and_then(|end| end.line);
        hands.give_back(&uid.to_string(), line);
        ctx.memories.places.ended(&identity, around.now());
        let (end, now) = (ended?, around.now());
        let (went, wake) = retries.of_instance(&uid, |troubles| {
            finished(troubles, &end, &about, &uid.to_string(), now)
        });
        let until = |at: jiff::Timestamp| Duration::try_from(at.duration_since(now));
        Ok(Ended {
            word: went.word(),
            again: wake.map(|at| until(at).unwrap_or_default()),
        })
    }

    /// Its passes tell.
    fn conditions(_: &mut AgentInstanceStatus) -> Option<&mut Vec<Condition>> {
        None
    }

    fn gone(last: &Seen<AgentInstance>, ctx: &Context) {
        if let Some(last) = last.read() {
            // Several accounts may lead to the place in which it had something.
            for account in ctx.accounts.all() {
                account.recollection().parted(last, ctx.around.now());
            }
            ctx.memories.places.gone(&last.identity());
        }
        let home = last
            .read()
            .and_then(|one| ctx.accounts.workspace(one.spec.account_ref.name.as_str()));
        if let Some(account) = home {
            let uid = last.uid().unwrap_or_default();
            account.give_back(ctx.around.gauge.as_ref(), &uid, None);
            ctx.stores.tell(&Change::PlaceFree(account.name.clone()));
        }
    }
}
