//! What is told about an account, and what it tells about itself.

use std::time::Duration;

/// An account's workspace and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Workspace id.
    pub workspace: String,
    /// Most requests an hour, counted here, whatever Railway would allow.
    pub requests_per_hour: u32,
    /// Most requests a second. Nine stays within every plan and the edge's limit (`facts/railway.md` 1.3).
    pub requests_per_second: u32,
    /// One new project in so long, and one new volume (`facts/railway.md` 1.4).
    pub project_interval: Duration,
}

/// How urgent a request is. The order is the order of precedence; as a number, lower goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Takes back what costs money.
    StopBilling = 0,
    /// Somebody waits for an agent.
    Claim = 1,
    /// Somebody changed something.
    User = 2,
    /// Keeps a pool filled.
    Fill = 3,
    /// Watches.
    Poll = 4,
}

/// Who we are to Railway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Workspace id.
    pub workspace: String,
    /// Its name.
    pub name: String,
    /// Its plan, as Railway calls it.
    pub plan: String,
    /// How many projects live in it, those of others included.
    pub projects: u64,
    /// Tokens that are good for this workspace.
    pub tokens: usize,
    /// Tokens that Railway refuses, set aside.
    pub refused_tokens: usize,
}

/// A project that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProject {
    /// Project id.
    pub project: String,
    /// The environment that came with it; `None` where the answer did not show it yet, `look` will.
    pub environment: Option<String>,
}
