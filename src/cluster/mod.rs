//! Effects on Kubernetes: reading what a decision needs, and the few writes that the controller makes.
//!
//! What holds: every write carries the resourceVersion that was read, or creates; every call has a deadline, because
//! the client itself would retry for minutes; a Secret is read by name and never listed.
//! Deliberately absent: decisions.

pub mod call;
pub mod claim_secret;
pub mod claims;
pub mod credentials;
pub mod events;
pub mod finalizer;
pub mod installation;
pub mod left_behind;
pub mod secret;
pub mod status;
pub mod values;

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

pub use call::{ClusterError, Refusal, RefusalClass, Written};
