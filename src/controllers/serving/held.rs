//! What a claim has, and what is done next.
//!
//! Holds: they are values; what they mean is known to `super`.

use crate::api::{AgentClaim, AgentInstance, AgentTemplate, InstanceRef};
use crate::controllers::context::Context;
use crate::controllers::memories::served::ServedVersions;
use crate::controllers::stores::InstanceBy;
use crate::controllers::turned::Ref;
use crate::controllers::wake::template_of;
use crate::engine::claiming::{self, ClaimNews};
use crate::engine::claims::PoolMember;
use crate::engine::pool::{is_emptied, settled};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

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
    /// The account in which it lives.
    pub account: String,
    /// Its template.
    pub template: Ref<AgentTemplate>,
}

impl HeldAgent {
    pub fn of(instance: &AgentInstance) -> HeldAgent {
        let hold = instance.spec.claim_ref.as_ref();
        HeldAgent {
            member: claiming::member(instance),
            meta: instance.metadata.clone(),
            url: instance
                .status
                .as_ref()
                .and_then(|status| status.url.clone()),
            handed_over_at: hold
                .and_then(|hold| hold.handed_over_at.as_ref())
                .map(|at| at.0),
            settled: settled(instance),
            emptied: is_emptied(instance),
            account: instance.spec.account_ref.name.0.clone(),
            template: template_of(instance),
        }
    }

    pub fn reference(&self) -> InstanceRef {
        InstanceRef {
            name: self.meta.name.clone().unwrap_or_default(),
            uid: self.member.uid.clone(),
        }
    }
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
