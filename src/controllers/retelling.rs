//! Telling an agent that knows who it is what its claim says by now, beside all passes; the claim is woken by the answer.
//!
//! What holds: an agent is told one thing at a time; to tell the same again does no harm, and each telling says when it was said, so
//! that an agent which hears an older one late can leave it. Deliberately absent: whether there is something to tell (`serving`).

use super::context::Context;
use super::queue::Rank;
use super::telling::{Reachable, reach, words};
use super::turned::named;
use super::uid::Uid;
use crate::api::{AgentClaim, InstanceRef, Seen};
use crate::cluster::ClusterError;
use crate::engine::compose::Broken;
use crate::model::{Provision, TellOutcome};
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// What an agent is told that knows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retold {
    /// All that its claim says by now.
    Words,
    /// What its tools give it by now, and nothing else: whatever its persona says meanwhile is for claims that come later.
    Tools,
}

/// Begins to tell a claim's agent what the claim says now, which is named so.
pub fn begin(
    ctx: &Arc<Context>,
    (claim, retold): (&AgentClaim, Retold),
    instance: InstanceRef,
    said: &str,
) {
    let key = Uid::from(instance.uid.as_str());
    ctx.memories.retellings.begun(&key, said);
    let (ctx, claim) = (Arc::clone(ctx), claim.clone());
    tokio::spawn(async move {
        let telling = {
            let (ctx, claim, instance) = (Arc::clone(&ctx), claim.clone(), instance.clone());
            tokio::spawn(async move { tell(&ctx, (claim, retold), &instance).await })
        };
        // Nobody would tell it again that is believed to be told still.
        let outcome = match telling.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => TellOutcome::Unknown {
                why: error.to_string(),
            },
            Err(_) => TellOutcome::Unknown {
                why: "telling it came to no end, by a fault of Yardmaster's".to_owned(),
            },
        };
        tracing::info!(
            namespace = claim.namespace(),
            claim = claim.name_any(),
            instance = instance.name,
            taken = matches!(outcome, TellOutcome::Told(_)),
            "an agent was told what its claim says by now"
        );
        ctx.memories.retellings.answered(&key, outcome);
        let named = named(&Seen::Read(Arc::new(claim)));
        let queue = &ctx.stores.claims.queue;
        queue.add(named, Rank::Person, Duration::ZERO);
    });
}

async fn tell(
    ctx: &Context,
    (mut claim, retold): (AgentClaim, Retold),
    instance: &InstanceRef,
) -> Result<TellOutcome, ClusterError> {
    // Its own variables do not change any more, and it is not told of them again.
    claim.spec.env.clear();
    let claim = &claim;
    let found = match retold {
        Retold::Words => words(ctx, claim).await?,
        Retold::Tools => Ok(Provision::of(claim.uid().unwrap_or_default())),
    };
    let mut provision = match found {
        Ok(provision) => provision,
        Err(Broken { reason, message }) => return Ok(TellOutcome::Unsaid { reason, message }),
    };
    let not_sent = |why: &str| TellOutcome::NotSent {
        why: why.to_owned(),
    };
    let Some(agent) = reach(ctx, claim, instance).await? else {
        return Ok(not_sent("it has no address or no token"));
    };
    let Reachable {
        host,
        row,
        token,
        equipment,
    } = &agent;
    provision.env.clone_from(&equipment.variables);
    let moment = ctx.around.now().to_string();
    Ok(match ctx.around.leave.take() {
        Ok(led) => {
            let said = (&provision, moment.as_str());
            match ctx.agents.tell_anew(led, host, row, said, token).await {
                TellOutcome::Told(mut answer) => {
                    answer.tools.clone_from(&equipment.tools);
                    TellOutcome::Told(answer)
                }
                other => other,
            }
        }
        Err(fault) => not_sent(fault.message()),
    })
}
