//! Telling an agent who it is, and asking it whose it is: both happen beside all passes, and the claim is woken by the answer.
//!
//! What holds: an agent is told only after it was handed over, and by who leads; one claim's agent is told once at a time; what came
//! of it is a memory that may be lost, because an agent that is told the same again does nothing again. Deliberately absent: what
//! follows from an answer (`serving`).

use super::context::Context;
use super::equipment::Equipment;
pub use super::memories::askings::Asking;
pub use super::memories::tellings::Telling;
use super::memories::tellings::TriedTelling;
use super::queue::Rank;
use super::turned::{Ref, named};
use super::uid::Uid;
use super::wake::{persona_of, template_of};
use crate::api::{AgentClaim, AgentInstance, AgentTemplate, InstanceRef, Seen};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, claims, values};
use crate::engine::compose::Broken;
use crate::engine::persona;
use crate::model::runner::spoken;
use crate::model::telling::is_another;
use crate::model::{
    AgentBinding, AgentResult, ClaimKept, Provision, TellOutcome, TellingRow, harness,
};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

/// An agent has at least so long to answer, however late its claim is: who leads since a moment tells it as well.
const LEAST: Duration = Duration::from_secs(5);

/// How an agent of a template is told. `None`: it cannot be.
pub fn row_of(template: &AgentTemplate) -> Option<TellingRow> {
    let runtime = template.spec.runtime.as_ref()?;
    spoken(runtime).telling
}

/// An agent that can be called.
pub struct Reachable {
    /// Where it answers: a DNS name alone.
    pub host: String,
    /// How it is spoken to.
    pub row: TellingRow,
    /// What opens it.
    pub token: SecretString,
    /// What it has by its claim.
    pub equipment: Equipment,
}

/// What a claim's agent is to be told, from what stands there now.
pub async fn words(
    ctx: &Context,
    claim: &AgentClaim,
) -> Result<Result<Provision, Broken>, ClusterError> {
    let found = persona_template(ctx, claim).await?;
    words_of(ctx, claim, found.as_ref()).await
}

/// The template that a claim names for its persona, as it stands there now.
pub async fn persona_template(
    ctx: &Context,
    claim: &AgentClaim,
) -> Result<Option<Seen<AgentTemplate>>, ClusterError> {
    let Some(named) = persona_of(claim) else {
        return Ok(None);
    };
    let namespace = claim.namespace().unwrap_or_default();
    let api = Api::namespaced(ctx.around.client.clone(), &namespace);
    find("reading the persona's template", api.get_opt(&named.name)).await
}

/// What a claim's agent is to be told. `found`: what there is of the template that it names for its persona.
pub async fn words_of(
    ctx: &Context,
    claim: &AgentClaim,
    found: Option<&Seen<AgentTemplate>>,
) -> Result<Result<Provision, Broken>, ClusterError> {
    let namespace = claim.namespace().unwrap_or_default();
    let template = match persona::template(claim, found) {
        Ok(template) => template,
        Err(broken) => return Ok(Err(broken)),
    };
    let referred = persona::references(claim, template.map(|template| &template.spec));
    let found = values::read(&ctx.around.client, &namespace, &referred).await?;
    let values = values::values(found);
    Ok(persona::provision(claim, template, &values))
}

/// Begins to tell a claim's agent who it is. `words`: what it is told, where that was just put together.
pub fn begin(
    ctx: &Arc<Context>,
    (claim, words): (&AgentClaim, Option<Provision>),
    instance: InstanceRef,
    until: Timestamp,
) {
    let key = Uid::from(instance.uid.as_str());
    ctx.memories.tellings.begun(&key);
    let (ctx, claim) = (Arc::clone(ctx), claim.clone());
    tokio::spawn(async move {
        let named = named(&Seen::Read(Arc::new(claim.clone())));
        let telling = {
            let (ctx, claim, instance) = (Arc::clone(&ctx), claim.clone(), instance.clone());
            tokio::spawn(async move { tell(&ctx, (&claim, words), &instance, until).await })
        };
        // Nobody would tell it again that is believed to be told still.
        let (outcome, tried) = telling.await.unwrap_or_else(|_| {
            let why = "telling it came to no end, by a fault of Yardmaster's".to_owned();
            (TellOutcome::Unknown { why }, TriedTelling::NotAtAll)
        });
        tracing::info!(
            namespace = claim.namespace(),
            claim = claim.name_any(),
            instance = instance.name,
            outcome = word(&outcome),
            "an agent was told who it is"
        );
        let namespace = claim.namespace().unwrap_or_default();
        let (now, tellings) = (ctx.around.now(), &ctx.memories.tellings);
        tellings.answered((&namespace, &key), outcome, tried, now);
        ctx.stores
            .claims
            .queue
            .add(named, Rank::News, Duration::ZERO);
    });
}

fn word(outcome: &TellOutcome) -> &'static str {
    match outcome {
        TellOutcome::Told(_) => "told",
        TellOutcome::Refused { .. } => "refused",
        TellOutcome::OfAnother { .. } => "another claim's",
        TellOutcome::Unsaid { .. } => "not put together",
        TellOutcome::NotSent { .. } => "not sent",
        TellOutcome::Unknown { .. } => "unknown",
    }
}

async fn tell(
    ctx: &Context,
    (claim, provision): (&AgentClaim, Option<Provision>),
    instance: &InstanceRef,
    until: Timestamp,
) -> (TellOutcome, TriedTelling) {
    let unknown = |why: String| TellOutcome::Unknown { why };
    let mut provision = match provision {
        Some(provision) => provision,
        None => match words(ctx, claim).await {
            Ok(Ok(provision)) => provision,
            Ok(Err(Broken { reason, message })) => {
                let outcome = TellOutcome::Unsaid { reason, message };
                return (outcome, TriedTelling::Unsaid);
            }
            Err(error) => return (unknown(error.to_string()), TriedTelling::NotAtAll),
        },
    };
    let agent = match reach(ctx, claim, instance).await {
        Ok(Some(agent)) => agent,
        Ok(None) => {
            let why = "it has no address or no token".to_owned();
            return (unknown(why), TriedTelling::InVain);
        }
        Err(error) => return (unknown(error.to_string()), TriedTelling::NotAtAll),
    };
    if let Some(tool) = &agent.equipment.lacks {
        let why = format!("what its tool {tool} gives it is not there yet");
        return (unknown(why), TriedTelling::NotAtAll);
    }
    // A tool's value wins, as it does in whatever is deployed.
    provision.env.extend(agent.equipment.variables.clone());
    let left = Duration::try_from(until.duration_since(ctx.around.now())).unwrap_or_default();
    let within = left.max(LEAST);
    let Reachable {
        host, row, token, ..
    } = &agent;
    let told = match ctx.around.leave.take() {
        Ok(led) => {
            let telling = ctx.agents.tell(led, host, row, &provision, token, within);
            telling.await
        }
        Err(fault) => {
            let why = fault.message().to_owned();
            return (unknown(why), TriedTelling::NotAtAll);
        }
    };
    match told {
        TellOutcome::NotSent { .. } => (told, TriedTelling::NotSent),
        // It may have heard, now or before: it knows.
        TellOutcome::Unknown { .. } => {
            let said = ctx.agents.binding(host, row, token).await;
            let told = took(&said, &provision.claim).unwrap_or(told);
            (told, TriedTelling::Sent)
        }
        TellOutcome::Told(mut answer) => {
            answer.tools.clone_from(&agent.equipment.tools);
            (TellOutcome::Told(answer), TriedTelling::Sent)
        }
        told => (told, TriedTelling::Sent),
    }
}

/// What an agent that says that it keeps this very claim was told. It keeps it before it acts: only with a conversation it has acted;
/// without one it is told again, and does what is left. One that keeps another claim is that one's.
fn took(said: &AgentBinding, own: &str) -> Option<TellOutcome> {
    let AgentBinding::Says {
        claim: ClaimKept::Of(claim),
        conversation,
        pending,
        ..
    } = said
    else {
        return None;
    };
    if claim != own && !is_another(claim, own) {
        return None;
    }
    if claim != own {
        let why = "it says that it keeps another claim".to_owned();
        return Some(TellOutcome::OfAnother { why });
    }
    let shown = [("conversationId".to_owned(), conversation.clone()?)];
    Some(TellOutcome::Told(AgentResult {
        pending: *pending,
        shown: shown.into(),
        ..AgentResult::default()
    }))
}

/// Begins to ask a claim's agent whose it is. Answers whether it does: of a namespace only some are asked at once.
pub fn ask_beside(ctx: &Arc<Context>, claim: &AgentClaim, instance: InstanceRef) -> bool {
    let key = Uid::from(instance.uid.as_str());
    let namespace = claim.namespace().unwrap_or_default();
    if !ctx.memories.askings.begin(&key, &namespace) {
        return false;
    }
    let (ctx, claim) = (Arc::clone(ctx), claim.clone());
    tokio::spawn(async move {
        let asking = {
            let (ctx, claim, instance) = (Arc::clone(&ctx), claim.clone(), instance.clone());
            tokio::spawn(async move { ask(&ctx, &claim, &instance).await })
        };
        let said = asking.await.ok().and_then(Result::ok).flatten();
        ctx.memories.askings.answered(&key, said);
        let named = named(&Seen::Read(Arc::new(claim)));
        ctx.stores
            .claims
            .queue
            .add(named, Rank::News, Duration::ZERO);
    });
    true
}

/// Asks a claim's agent whose it is. `None`: it cannot be called.
async fn ask(
    ctx: &Context,
    claim: &AgentClaim,
    instance: &InstanceRef,
) -> Result<Option<AgentBinding>, ClusterError> {
    let Some(agent) = reach(ctx, claim, instance).await? else {
        return Ok(None);
    };
    let Reachable {
        host, row, token, ..
    } = &agent;
    Ok(Some(ctx.agents.binding(host, row, token).await))
}

/// A claim's agent, if it can be called.
pub async fn reach(
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
    // Without its template, or where that is of another kind by now, an agent speaks as most do: it was made to be told.
    let row = template.as_ref().and_then(Seen::read);
    let row = row.and_then(|template| row_of(template));
    let row = row.or_else(|| harness::row(Default::default()).telling);
    let url = instance
        .status
        .as_ref()
        .and_then(|status| status.url.clone());
    let host = url.as_deref().and_then(|url| url.strip_prefix("https://"));
    let mut equipment = Equipment::of(ctx, &instance).await?;
    Ok(match (host, row, equipment.token.take()) {
        (Some(host), Some(row), Some(token)) => Some(Reachable {
            host: host.to_owned(),
            row,
            token,
            equipment,
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_this_very_claim_and_has_joined_was_told() {
        const UID: &str = "0d5c2c1e-6c0e-4b5e-9c39-0b6f6f1d7c11";
        let says = |claim, pending| AgentBinding::Says {
            claim,
            conversation: Some("c-1".to_owned()),
            pending,
            clean: false,
        };
        let joining = AgentBinding::Says {
            claim: ClaimKept::Of(UID.to_owned()),
            conversation: None,
            pending: true,
            clean: false,
        };
        // It kept the claim, and may have ended before it joined.
        assert!(took(&joining, UID).is_none());
        let own = || ClaimKept::Of(UID.to_owned());
        let Some(TellOutcome::Told(answer)) = took(&says(own(), true), UID) else {
            panic!("it keeps the claim");
        };
        assert!(answer.pending && answer.shown["conversationId"] == "c-1");
        for said in [says(own(), true), joining] {
            let other = took(&said, "other");
            assert!(
                matches!(other, Some(TellOutcome::OfAnother { .. })),
                "{other:?}"
            );
        }
        // What is no claim's UID says of nobody that it is his.
        let nonsense = ClaimKept::Of("x".to_owned());
        for kept in [ClaimKept::Nothing, ClaimKept::Unsaid, nonsense] {
            assert!(took(&says(kept, false), UID).is_none());
        }
        let why = String::new();
        assert!(took(&AgentBinding::Unknown { why }, UID).is_none());
    }
}
