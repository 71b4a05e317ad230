//! The simulator's behaviour as clients meet it: through the real proxy, trusting its CA file.
//!
//! One module an area. Time is never slept away: where something takes time, a test waits for what it will see.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may end where something is missing"
)]

mod agentmail;
mod agents;
mod bankr;
mod client;
mod control;
mod deployments;
mod exa;
mod faults;
mod imitated;
mod limits;
mod models;
mod openrouter;
mod programs;
mod projects;
mod provision;
mod proxy;
mod registry;
mod schema;
mod services;
mod speed;
mod telnyx;
mod visibility;
