//! What was just written of a pool's agents and the watch has not shown yet.
//!
//! What holds: an agent that was made counts from when that was asked for, one that was deleted does no more, and one that was asked
//! to take a revision is no claim's, however late the watch is; so a pool makes exactly as many as it wants, and updates no more at
//! once than it may. What was made and is not shown for long is looked for live ([`Unseen::overdue`]): an agent that was deleted
//! before the watch showed it is made up for, and one of whose making nothing was heard is asked for again, under its name, so that
//! it never is two. The rest is forgotten after [`PATIENCE`].

use super::agent::{AgentStanding, AskedUpdate, PoolAgent, UpdateStage};
use crate::api::updates::UpdateTo;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Longer than any watch is late.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// A watch that works has shown by then what was made.
const SHOWN_BY: SignedDuration = SignedDuration::from_secs(10);

/// An agent that was made.
#[derive(Debug)]
struct Unshown {
    account: String,
    since: Timestamp,
    /// Whether the API server said that it was.
    certain: bool,
}

/// An agent that was made, and that the watch should have shown by now.
#[derive(Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Its name.
    pub name: String,
    /// The account in which it lives.
    pub account: String,
    /// Whether the API server said that it was made. Else nobody knows what came of that.
    pub certain: bool,
}

/// Writes that were not seen yet.
#[derive(Debug, Default)]
pub struct Unseen {
    /// Agents that were made, by name.
    made: HashMap<String, Unshown>,
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
        let made = Unshown {
            account: account.to_owned(),
            since: now,
            certain: false,
        };
        self.made.insert(name.to_owned(), made);
    }

    /// It certainly was.
    pub fn is_made(&mut self, name: &str) {
        if let Some(made) = self.made.get_mut(name) {
            made.certain = true;
        }
    }

    /// It certainly was not.
    pub fn not_made(&mut self, name: &str) {
        self.made.remove(name);
    }

    /// Agents that the watch should have shown by now.
    pub fn overdue(&self, now: Timestamp) -> Vec<Overdue> {
        let late = self.made.iter();
        let late = late.filter(|(_, made)| now.duration_since(made.since) >= SHOWN_BY);
        let overdue = late.map(|(name, made)| Overdue {
            name: name.clone(),
            account: made.account.clone(),
            certain: made.certain,
        });
        overdue.collect()
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
        self.made.retain(|_, made| late(&made.since));
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
        agents.extend(self.made.iter().map(|(name, made)| PoolAgent {
            name: name.clone(),
            uid: String::new(),
            version: None,
            made: made.since,
            account: made.account.clone(),
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
