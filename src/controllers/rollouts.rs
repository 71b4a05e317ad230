//! Where each template's rollout stands, computed once between two changes of the template or a member.
//!
//! Holds: an answer is given again only while nothing has changed that a rollout sees (`wake`), nothing else is asked, and no
//! moment has passed at which it changes by itself. Deliberately absent: the computation (`engine::rollout`).

use super::held;
use super::turned::Ref;
use crate::api::AgentTemplate;
use crate::api::template::Rollout;
use crate::engine::rollout::RolloutProgress;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Of which rollout settings, and of the rollout to which revision.
pub type Asked = (Rollout, String);

/// The rollouts that somebody has asked for.
#[derive(Debug, Default)]
pub struct Rollouts(Mutex<HashMap<Ref<AgentTemplate>, Arc<CachedProgress>>>);

#[derive(Debug)]
struct CachedProgress {
    asked: Asked,
    standing: Mutex<Option<Arc<RolloutProgress>>>,
}

impl Rollouts {
    /// Something has changed that a rollout sees.
    pub fn changed(&self, template: &Ref<AgentTemplate>) {
        held(&self.0).remove(template);
    }

    /// The answer that is known, or else what `compute` says.
    pub fn standing(
        &self,
        template: &Ref<AgentTemplate>,
        asked: Asked,
        now: Timestamp,
        compute: impl FnOnce(&Asked) -> RolloutProgress,
    ) -> Arc<RolloutProgress> {
        // The entry is there before the members are looked at: a change meanwhile takes it away, and with it the answer.
        let known = {
            let mut all = held(&self.0);
            let known = all.get(template).filter(|known| known.asked == asked);
            let known = known.cloned().unwrap_or_else(|| {
                let standing = Mutex::default();
                Arc::new(CachedProgress { asked, standing })
            });
            all.insert(template.clone(), Arc::clone(&known));
            known
        };
        // Who asks the same waits for the one who computes.
        let mut standing = held(&known.standing);
        if let Some(standing) = standing.as_ref()
            && standing.deadline.is_none_or(|until| now < until)
        {
            return Arc::clone(standing);
        }
        let computed = Arc::new(compute(&known.asked));
        *standing = Some(Arc::clone(&computed));
        computed
    }
}
