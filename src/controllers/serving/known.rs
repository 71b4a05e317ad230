//! What the store shows of a claim and of what it has, and when that is enough.
//!
//! Holds: the store may be a moment old. It is enough where it shows what this process has written or read last, because every write
//! bears a version; and where nothing is to be done, because what changes comes by itself.

use super::Serving;
use super::held::HeldAgent;
use crate::api::AgentClaim;
use crate::controllers::context::Context;
use crate::controllers::memories::served::{LeftClaim, ServedVersions};
use crate::controllers::stores::InstanceBy;
use crate::controllers::uid::Uid;
use crate::engine::claiming;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

/// What the store shows that a claim has.
pub(super) fn shown(ctx: &Context, claim: &AgentClaim) -> Vec<HeldAgent> {
    let uid = claim.uid().unwrap_or_default();
    let shown = ctx.stores.instances.by(&InstanceBy::Claim(uid));
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

impl Serving<'_> {
    /// A claim as this process has left it, where the store shows that it is so still, with all that it has.
    pub fn left(ctx: &Context, shown: &AgentClaim) -> Option<LeftClaim> {
        let versions = versions(shown, &self::shown(ctx, shown));
        ctx.memories.served.take(&Uid::of(shown), &versions)
    }

    /// Whether a claim has its agent, which knows who it is, and nothing is to be done: then when its time comes, if it has one.
    pub fn rests(ctx: &Context, claim: &AgentClaim, now: Timestamp) -> Option<Option<Timestamp>> {
        let its = shown(ctx, claim);
        let [own] = its.as_slice() else {
            return None;
        };
        let named = claiming::view(claim).names;
        let whole = own.handed_over_at.is_some() && !own.member.deleting && !own.emptied;
        let expires = claim.status.as_ref()?.expires_at.as_ref().map(|at| at.0);
        let has_time = expires.is_none_or(|at| at > now);
        let its_own = named.as_ref() == Some(&own.member.uid);
        (claiming::is_served(claim) && its_own && whole && has_time).then_some(expires)
    }
}
