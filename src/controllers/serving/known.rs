//! What the store shows of a claim and of what it has, and when that is enough.
//!
//! Holds: the store may be a moment old. It is enough where it shows what this process has written or read last, because every write
//! bears a version; and where nothing is to be done, because what changes comes by itself.

use super::Serving;
use super::equipping::untold;
use super::held::{shown, versions};
use crate::api::AgentClaim;
use crate::controllers::context::Context;
use crate::controllers::memories::served::LeftClaim;
use crate::controllers::uid::Uid;
use crate::engine::claiming;
use jiff::Timestamp;

impl Serving<'_> {
    /// A claim as this process has left it, where the store shows that it is so still, with all that it has.
    pub fn left(ctx: &Context, shown: &AgentClaim) -> Option<LeftClaim> {
        let versions = versions(shown, &super::held::shown(ctx, shown));
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
        let whole = whole && untold(ctx, claim, own).is_empty();
        let expires = claim.status.as_ref()?.expires_at.as_ref().map(|at| at.0);
        let has_time = expires.is_none_or(|at| at > now);
        let its_own = named.as_ref() == Some(&own.member.uid);
        (claiming::is_served(claim) && its_own && whole && has_time).then_some(expires)
    }
}
