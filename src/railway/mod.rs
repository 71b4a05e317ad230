//! Railway: one gateway per account.
//!
//! Owns everything that is Railway's: its GraphQL documents, the transport, its limits (a second, an hour, one new
//! project in 30 seconds), what its errors mean, and the mapping to the words of `model`. What holds: every method of
//! `Gateway` is one attempt, except that a listing reads every page; nothing is retried here, and no request leaves
//! without a permit. Nobody outside this room needs to say patch, GraphQL or meta. Deliberately absent: decisions
//! (`engine`), Kubernetes, and any memory that would have to survive a restart.

mod account;
mod allowance;
mod costs;
mod documents;
mod drift;
mod faults;
mod fresh;
mod gateway;
mod lanes;
mod patch;
mod projects;
mod reading;
mod services;
mod throttle;
mod transport;
mod turns;

pub use crate::model::Gate;
pub use account::{AccountSettings, Class, Identity, NewProject};
pub use allowance::Budget;
#[cfg(test)]
pub(crate) use documents::NAMES;
pub use gateway::Gateway;
pub use turns::Applicant;
