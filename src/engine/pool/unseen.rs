//! What was just written of a pool's agents and the watch has not shown yet.
//!
//! What holds: an agent that was made counts from when that was asked for, one that was deleted does no more, and one that was asked
//! to take a revision is no claim's, however late the watch is; so a pool makes exactly as many as it wants, and updates no more at
//! once than it may. What is never shown is forgotten after [`PATIENCE`].

use super::agent::{AgentStanding, AskedUpdate, PoolAgent, UpdateStage};
use crate::api::updates::UpdateTo;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Longer than any watch is late.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// Writes that were not seen yet.
#[derive(Debug, Default)]
pub struct Unseen {
    /// Agents that were made, by name: where, and when.
    made: HashMap<String, (String, Timestamp)>,
    /// Agents that were deleted, by UID: when.
    deleted: HashMap<String, Timestamp>,
    /// Whether the watch was seen to show all that there were, and has shown since then what was made.
    counted: bool,
    /// Agents that were asked to take a revision, by UID: which, and when.
    asked: HashMap<String, (String, Timestamp)>,
}

impl Unseen {
    /// Whether what the watch shows, and what is remembered here, is all.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// The watch shows all that there are.
    pub fn counted(&mut self) {
        self.counted = true;
    }

    /// An agent is being made.
    pub fn makes(&mut self, name: &str, account: &str, now: Timestamp) {
        self.made.insert(name.to_owned(), (account.to_owned(), now));
    }

    /// It certainly was not.
    pub fn not_made(&mut self, name: &str) {
        self.made.remove(name);
    }

    /// An agent was deleted.
    pub fn deleted(&mut self, uid: &str, now: Timestamp) {
        self.deleted.insert(uid.to_owned(), now);
    }

    /// An agent was asked to take a revision.
    pub fn asked(&mut self, uid: &str, to: &UpdateTo) {
        let asked = (to.revision.clone(), to.since.0);
        self.asked.insert(uid.to_owned(), asked);
    }

    /// Agents as the watch shows them, with what it does not show yet.
    pub fn complete(&mut self, agents: &mut Vec<PoolAgent>, now: Timestamp) {
        let late = |since: &Timestamp| now.duration_since(*since) < PATIENCE;
        self.made
            .retain(|name, _| !agents.iter().any(|agent| agent.name == *name));
        let waited = self.made.len();
        self.made.retain(|_, (_, since)| late(since));
        // It may be there all the same.
        self.counted &= self.made.len() == waited;
        self.deleted.retain(|uid, since| {
            let shown = agents.iter().find(|agent| agent.uid == *uid);
            late(since) && shown.is_some_and(|agent| !agent.deleting)
        });
        for agent in agents.iter_mut() {
            agent.deleting |= self.deleted.contains_key(&agent.uid);
        }
        self.asked.retain(|uid, (_, since)| {
            let shown = agents.iter().find(|agent| agent.uid == *uid);
            let update = shown.and_then(|agent| agent.update.as_ref());
            let seen = update.is_some_and(|update| update.since >= *since);
            let not_yet = shown.is_some_and(|agent| !agent.claimed) && !seen;
            late(since) && not_yet
        });
        for agent in agents.iter_mut() {
            if let Some((revision, since)) = self.asked.get(&agent.uid) {
                agent.standing = AgentStanding::Updating;
                agent.update = Some(AskedUpdate {
                    revision: revision.clone(),
                    since: *since,
                    stage: UpdateStage::Asked,
                    failed: None,
                });
            }
        }
        agents.extend(self.made.iter().map(|(name, (account, since))| PoolAgent {
            name: name.clone(),
            uid: String::new(),
            version: None,
            made: *since,
            account: account.clone(),
            standing: AgentStanding::Coming,
            current: true,
            revision: None,
            follows: false,
            settled: false,
            update: None,
            claimed: false,
            in_between: false,
            deleting: false,
            held: false,
            ready_since: None,
            patience_ends: None,
        }));
    }
}
