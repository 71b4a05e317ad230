//! Telling an agent who it is: the call happens beside all passes, and its claim is woken by the answer.
//!
//! What holds: an agent is told only after it was handed over, and by who leads; one claim's agent is told once at a time; what came
//! of it is a memory that may be lost, because an agent that is told the same again does nothing again. Deliberately absent: what
//! follows from an answer (`serving`).

use super::context::Context;
pub use super::memories::tellings::Telling;
use super::queue::Rank;
use super::turned::{Ref, named};
use super::uid::Uid;
use super::wake::template_of;
use crate::api::{AgentClaim, AgentInstance, AgentTemplate, InstanceRef, Seen};
use crate::cluster::{ClusterError, claims, secret};
use crate::model::{AgentBinding, Provision, TellOutcome, TellingRow, harness};
use jiff::Timestamp;
use kube::ResourceExt;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How an agent of a template is told. `None`: it cannot be.
pub fn row_of(template: &AgentTemplate) -> Option<TellingRow> {
    harness::row(template.spec.runtime.harness).telling
}

/// An agent that can be called.
struct Reachable {
    host: String,
    row: TellingRow,
    token: SecretString,
}

/// Begins to tell a claim's agent who it is.
pub fn begin(ctx: &Arc<Context>, claim: &AgentClaim, instance: InstanceRef, until: Timestamp) {
    let key = Uid::from(instance.uid.as_str());
    ctx.memories.tellings.begun(&key);
    let (ctx, claim) = (Arc::clone(ctx), claim.clone());
    tokio::spawn(async move {
        let named = named(&Seen::Read(Arc::new(claim.clone())));
        let outcome = tell(&ctx, &claim, &instance, until).await;
        tracing::info!(
            namespace = claim.namespace(),
            claim = claim.name_any(),
            instance = instance.name,
            outcome = word(&outcome),
            "an agent was told who it is"
        );
        ctx.memories.tellings.answered(&key, outcome);
        ctx.stores
            .claims
            .queue
            .add(named, Rank::Person, Duration::ZERO);
    });
}

fn word(outcome: &TellOutcome) -> &'static str {
    match outcome {
        TellOutcome::Told(_) => "told",
        TellOutcome::Refused { .. } => "refused",
        TellOutcome::NotSent { .. } => "not sent",
        TellOutcome::Unknown { .. } => "unknown",
    }
}

async fn tell(
    ctx: &Context,
    claim: &AgentClaim,
    instance: &InstanceRef,
    until: Timestamp,
) -> TellOutcome {
    let unknown = |why: String| TellOutcome::Unknown { why };
    let agent = match reach(ctx, claim, instance).await {
        Ok(Some(agent)) => agent,
        Ok(None) => return unknown("it has no address or no token".to_owned()),
        Err(error) => return unknown(error.to_string()),
    };
    let spec = &claim.spec.agent;
    let provision = Provision {
        claim: claim.uid().unwrap_or_default(),
        agent_name: spec.name.clone().unwrap_or_else(|| claim.name_any()),
        instructions: spec.instructions.clone(),
        join_url: spec.join_url.clone().map(SecretString::from),
        profile_image: None,
        metadata: BTreeMap::new(),
        env: BTreeMap::new(),
    };
    let left = Duration::try_from(until.duration_since(ctx.around.now())).unwrap_or_default();
    let within = left.max(Duration::from_secs(1));
    match ctx.around.leave.take() {
        Ok(led) => {
            let Reachable { host, row, token } = &agent;
            ctx.agents
                .tell(led, host, row, &provision, token, within)
                .await
        }
        Err(fault) => unknown(fault.message().to_owned()),
    }
}

/// Asks a claim's agent whose it is. `None`: it cannot be called.
pub async fn ask(
    ctx: &Context,
    claim: &AgentClaim,
    instance: &InstanceRef,
) -> Result<Option<AgentBinding>, ClusterError> {
    let Some(agent) = reach(ctx, claim, instance).await? else {
        return Ok(None);
    };
    let Reachable { host, row, token } = &agent;
    Ok(Some(ctx.agents.binding(host, row, token).await))
}

async fn reach(
    ctx: &Context,
    claim: &AgentClaim,
    named: &InstanceRef,
) -> Result<Option<Reachable>, ClusterError> {
    let namespace = claim.namespace().unwrap_or_default();
    let known = ctx
        .stores
        .instances
        .get(&Ref::new(&named.name).within(&namespace));
    let known = known.as_ref().and_then(Seen::read).cloned();
    let client = &ctx.around.client;
    let instance: Option<Arc<AgentInstance>> =
        match known.filter(|one| one.uid().as_ref() == Some(&named.uid)) {
            Some(known) => Some(known),
            None => claims::get(client, &namespace, named).await?.map(Arc::new),
        };
    let Some(instance) = instance else {
        return Ok(None);
    };
    let template = ctx.stores.templates.get(&template_of(&instance));
    // Without its template an agent speaks as most do.
    let row = match template.as_ref().and_then(Seen::read) {
        Some(template) => row_of(template),
        None => harness::row(Default::default()).telling,
    };
    let url = instance
        .status
        .as_ref()
        .and_then(|status| status.url.clone());
    let host = url.as_deref().and_then(|url| url.strip_prefix("https://"));
    let token = secret::read(client, &instance, &[]).await?.token;
    Ok(match (host, row, token) {
        (Some(host), Some(row), Some(token)) => Some(Reachable {
            host: host.to_owned(),
            row,
            token,
        }),
        _ => None,
    })
}
