//! What a claim has, and what is done next.
//!
//! Holds: they are values; what they mean is known to `super`.

use crate::api::condition::{find, kind};
use crate::api::instance::ToolStatus;
use crate::api::template::ToolSpec;
use crate::api::{AgentClaim, AgentInstance, AgentTemplate, InstanceRef};
use crate::controllers::context::Context;
use crate::controllers::lines::FreeAgent;
use crate::controllers::memories::served::ServedVersions;
use crate::controllers::stores::InstanceBy;
use crate::controllers::turned::Ref;
use crate::controllers::wake::template_of;
use crate::engine::bringing::made_of;
use crate::engine::claiming::{self, ClaimNews};
use crate::engine::claims::{ClaimHold, PoolMember};
use crate::engine::pool::{is_emptied, settled};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// An instance that bears the claim's UID.
pub(super) struct HeldAgent {
    pub member: PoolMember<String>,
    pub meta: ObjectMeta,
    pub url: Option<String>,
    pub handed_over_at: Option<Timestamp>,
    /// Whether nothing outside is in flight for it.
    pub settled: bool,
    /// Whether its project was deleted at the provider, and the agent with it.
    pub emptied: bool,
    /// What its instance says of its tools.
    pub tools: Vec<ToolStatus>,
    /// The tools that its claim brought.
    pub brought: Vec<ToolSpec>,
    /// Of each of them, the resources that give what it gives.
    pub made: BTreeMap<String, String>,
    /// Why its instance needs somebody, if it does.
    pub stalled: Option<String>,
    /// The account in which it lives.
    pub account: String,
    /// Its template.
    pub template: Ref<AgentTemplate>,
}

impl HeldAgent {
    pub fn of(instance: &AgentInstance) -> HeldAgent {
        let hold = instance.spec.claim_ref.as_ref();
        let status = instance.status.as_ref();
        let said = status.map(|status| find(&status.conditions, kind::STALLED));
        let stalled = said.flatten().filter(|said| said.status == "True");
        HeldAgent {
            member: claiming::member(instance),
            meta: instance.metadata.clone(),
            url: status.and_then(|status| status.url.clone()),
            handed_over_at: hold
                .and_then(|hold| hold.handed_over_at.as_ref())
                .map(|at| at.0),
            settled: settled(instance),
            emptied: is_emptied(instance),
            tools: status.map_or_else(Vec::new, |status| status.tools.clone()),
            brought: instance.brought_tools().to_vec(),
            made: made(instance),
            stalled: stalled.map(|said| said.reason.clone()),
            account: instance.spec.account_ref.name.0.clone(),
            template: template_of(instance),
        }
    }

    /// One that a claim has just taken.
    pub fn taken(agent: FreeAgent, meta: ObjectMeta, claim: &AgentClaim) -> HeldAgent {
        HeldAgent {
            member: PoolMember {
                uid: agent.uid,
                made: agent.made.as_second(),
                hold: Some(ClaimHold {
                    claim: claim.uid().unwrap_or_default(),
                    handed_over: false,
                }),
                deleting: meta.deletion_timestamp.is_some(),
            },
            meta,
            url: agent.url,
            handed_over_at: None,
            settled: true,
            emptied: false,
            tools: Vec::new(),
            brought: Vec::new(),
            made: BTreeMap::new(),
            stalled: None,
            account: agent.account,
            template: agent.template,
        }
    }

    pub fn reference(&self) -> InstanceRef {
        InstanceRef {
            name: self.meta.name.clone().unwrap_or_default(),
            uid: self.member.uid.clone(),
        }
    }
}

fn made(instance: &AgentInstance) -> BTreeMap<String, String> {
    let tools = instance.brought_tools().iter();
    let made = tools.map(|tool| (tool.name.0.clone(), made_of(instance, &tool.name.0)));
    made.collect()
}

/// A step, by the UID of its instance.
#[derive(Clone, Debug)]
pub(super) enum Does {
    Look,
    Bind(String),
    GiveBack(String),
    HandOver(String),
    Tell(String),
    Delete(String),
    Wait,
    Become(ClaimNews),
    Rest,
}

/// Whether to go on, or when to come again.
pub(super) enum Then {
    GoOn,
    End(Option<Timestamp>),
}

/// What the store shows that a claim has.
pub(super) fn shown(ctx: &Context, claim: &AgentClaim) -> Vec<HeldAgent> {
    let (namespace, uid) = (claim.namespace(), claim.uid());
    let its = InstanceBy::Claim(namespace.unwrap_or_default(), uid.unwrap_or_default());
    let shown = ctx.stores.instances.by(&its);
    shown.iter().map(|one| HeldAgent::of(one)).collect()
}

/// A claim and what it has, each at its version.
pub(super) fn versions(claim: &AgentClaim, its: &[HeldAgent]) -> ServedVersions {
    let of = |meta: &ObjectMeta| {
        let uid = meta.uid.clone().unwrap_or_default();
        (uid, meta.resource_version.clone())
    };
    let its = its.iter().map(|one| of(&one.meta));
    its.chain([of(&claim.metadata)]).collect()
}
