//! What a claim brought stays its agent's: its variables are set beside all passes, without deploying anything, so that whatever is
//! deployed next has them; the claim is woken when that is done.
//!
//! What holds: nothing of it is sent before the agent was told the same; the same again changes nothing, so that what is not certain is
//! repeated. Deliberately absent: the deployment itself, of which they are a part by then (`engine::compose`).

use super::context::Context;
use super::equipment::Equipment;
use super::queue::Rank;
use super::turned::named;
use super::uid::Uid;
use crate::api::{AgentClaim, InstanceRef, Seen, Slot};
use crate::cluster::{ClusterError, claims, values};
use crate::engine::compose::{Broken, references, resolve};
use crate::engine::ledger;
use crate::model::{AgentResult, TellOutcome};
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Begins to set the variables of a claim's agent, which lives in this account.
pub fn begin(ctx: &Arc<Context>, claim: &AgentClaim, instance: InstanceRef, account: String) {
    let key = Uid::from(instance.uid.as_str());
    ctx.memories.keepings.begun(&key, "");
    let (ctx, claim) = (Arc::clone(ctx), claim.clone());
    tokio::spawn(async move {
        let keeping = {
            let (ctx, claim) = (Arc::clone(&ctx), claim.clone());
            tokio::spawn(async move { keep(&ctx, &claim, &instance, &account).await })
        };
        // Nobody would begin again what is believed to be under way still.
        let outcome = match keeping.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => TellOutcome::Unknown {
                why: error.to_string(),
            },
            Err(_) => TellOutcome::Unknown {
                why: "it came to no end, by a fault of Yardmaster's".to_owned(),
            },
        };
        let (namespace, claim_name) = (claim.namespace(), claim.name_any());
        match &outcome {
            TellOutcome::Told(_) => {
                tracing::info!(namespace, claim = claim_name, "its variables are kept");
            }
            TellOutcome::Unsaid { message: why, .. }
            | TellOutcome::Refused { message: why }
            | TellOutcome::OfAnother { why }
            | TellOutcome::NotSent { why }
            | TellOutcome::Unknown { why } => {
                tracing::warn!(
                    namespace,
                    claim = claim_name,
                    why,
                    "its variables are not kept yet"
                );
            }
        }
        ctx.memories.keepings.answered(&key, outcome);
        let named = named(&Seen::Read(Arc::new(claim)));
        ctx.stores
            .claims
            .queue
            .add(named, Rank::Fleet, Duration::ZERO);
    });
}

async fn keep(
    ctx: &Context,
    claim: &AgentClaim,
    named: &InstanceRef,
    account: &str,
) -> Result<TellOutcome, ClusterError> {
    let namespace = claim.namespace().unwrap_or_default();
    // Its own variables alone: what becomes of the persona is nothing to them.
    let referred = [references(None, &claim.spec.env)];
    let values = values::values(values::read(&ctx.around.client, &namespace, &referred).await?);
    let mut env = match resolve(&claim.spec.env, &values) {
        Ok(env) => env,
        Err(Broken { reason, message }) => return Ok(TellOutcome::Unsaid { reason, message }),
    };
    let not_sent = |why: &str| TellOutcome::NotSent {
        why: why.to_owned(),
    };
    let found = claims::get(&ctx.around.client, &namespace, named).await?;
    let Some(instance) = found else {
        return Ok(not_sent("it is gone"));
    };
    let equipment = Equipment::of(ctx, &instance).await?;
    let status = instance.status;
    // What its tools give it has their value, here as in whatever is deployed.
    let ledger = status.iter().flat_map(|status| &status.external);
    for name in ledger.flat_map(|entry| entry.row().gives.names()) {
        env.remove(name);
    }
    env.extend(equipment.variables);
    let id = |slot: Slot| ledger::id(status.as_ref()?, slot);
    let place = (
        id(Slot::Project),
        id(Slot::Environment),
        id(Slot::Service),
        ctx.accounts.workspace(account),
    );
    let (Some(project), Some(environment), Some(service), Some(workspace)) = place else {
        return Ok(not_sent("it is not known where the agent is"));
    };
    let _led = match ctx.around.leave.take() {
        Ok(led) => led,
        Err(fault) => return Ok(not_sent(fault.message())),
    };
    let place = (project.as_str(), environment.as_str(), service.as_str());
    let set = workspace.gateway.set_variables(place, &env).await;
    Ok(match set {
        Ok(()) => TellOutcome::Told(AgentResult::default()),
        Err(fault) => TellOutcome::Unknown {
            why: fault.message().to_owned(),
        },
    })
}
