//! What people and counters hear of a claim that is served.
//!
//! Holds: nobody waits for it (`announcing`).

use super::Serving;
use crate::api::{AgentClaim, AgentClaimStatus};
use crate::controllers::uid::Uid;
use crate::engine::claiming::{ClaimNews, heard, outcome};
use kube::{Resource, ResourceExt};
use std::time::Duration;

impl Serving<'_> {
    /// Something became so, and is written. `before`: what the status was.
    pub(super) fn became(&self, before: &AgentClaimStatus, news: &ClaimNews) {
        let said = heard(before, &self.claim);
        let about = self.claim.object_ref(&());
        self.ctx.memories.announcements.later(about, said);
        if let Some(outcome) = outcome(&self.claim, news) {
            let gauge = &self.ctx.around.gauge;
            gauge.claim(outcome, self.waited());
        }
    }

    /// For how long it has waited until now.
    fn waited(&self) -> Option<Duration> {
        let uid = Uid::from(self.claim.uid()?.as_str());
        let seen = self.ctx.memories.since.of(&uid);
        let created = self.claim.metadata.creation_timestamp.as_ref();
        let since = seen.or_else(|| created.map(|created| created.0))?;
        Duration::try_from(self.ctx.around.now().duration_since(since)).ok()
    }

    /// A claim that was seen being made is served for the first time: the API server keeps its age in whole seconds.
    pub(super) fn begins(&self, claim: &AgentClaim) {
        let uid = Uid::from(claim.uid().unwrap_or_default().as_str());
        self.ctx.memories.since.begins(uid, self.ctx.around.now());
    }
}
