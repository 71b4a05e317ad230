//! What a claim's agent has by way of tools with `when: Claim`: the variables that it is told, and that whatever is deployed later has.
//!
//! Holds: a credential is read when it is needed and kept by nobody. Deliberately absent: how the tools come to be (`engine::tools`).

use super::context::Context;
use super::wake::template_of;
use crate::api::claim::ToldTool;
use crate::api::text::ToolName;
use crate::api::{AgentInstance, Part, Seen, Slot};
use crate::cluster::{ClusterError, secret};
use crate::engine::bringing::made_of;
use crate::engine::tools::{GivenVariables, given, wanted};
use secrecy::SecretString;

/// What an agent's Secrets hold for who tells it something.
pub struct Equipment {
    /// What opens the agent.
    pub token: Option<SecretString>,
    /// What its tools give it.
    pub variables: GivenVariables,
    /// The tools of which that is.
    pub tools: Vec<ToldTool>,
    /// A tool that it needs, and of which that is not all.
    pub lacks: Option<String>,
}

impl Equipment {
    /// What this agent has now.
    pub async fn of(ctx: &Context, instance: &AgentInstance) -> Result<Equipment, ClusterError> {
        let template = ctx.stores.templates.get(&template_of(instance));
        let template = template.as_ref().and_then(Seen::read);
        let offered = template.map_or(&[][..], |template| &template.spec.tools);
        let (mut its, _) = wanted(offered, instance);
        its.retain(|tool| tool.for_claim);
        let wallets = its.iter().filter(|tool| tool.account.is_empty());
        let wallets: Vec<Slot> = wallets
            .filter_map(|tool| Slot::tool(&tool.name, Part::Main))
            .collect();
        let secrets = secret::read(&ctx.around.client, instance, &wallets).await?;
        let given = given(instance, &its, &secrets.values);
        let mut needed = its.iter().filter(|tool| tool.required);
        let lacks = needed.find(|tool| !given.whole.contains(&tool.name));
        let seal = &ctx.around.installation.seal;
        let tools = given.whole.iter().map(|tool| ToldTool {
            name: ToolName(tool.clone()),
            of: seal.hex(&made_of(instance, tool)),
        });
        let tools = tools.collect();
        Ok(Equipment {
            token: secrets.token,
            lacks: lacks.map(|tool| tool.name.clone()),
            variables: given.brought,
            tools,
        })
    }
}
