//! Does: gathers what a decision needs, asks the engine, enacts one step at a time, and reports.
//!
//! Follow one AgentInstance: a watch event wakes [`instance`], which gathers a `World` and hands it to [`pass`]; the
//! pass asks `engine::plan` and lets [`enact`] carry out one step after the other, writing the ledger before each and
//! the status at the end. [`accounts`] keeps the way to each provider and what was read there. [`account`] and [`template`] are the other two kinds, [`inquiries`] asks image registries, [`sources`] notices changed Secrets
//! and ConfigMaps, [`retries`] remembers faults, [`failures`] says when to come again after one of the API server's, [`sweep`] finds what nobody claims (and
//! [`survey`] shows it), [`audit`] logs what was changed outside, [`unreadable`] tells of objects that this version cannot
//! read, [`wiring`] connects watches.
//!
//! What holds: nothing is decided here; an outside change is sent only by the leader; no pass waits for time.

pub mod account;
pub mod accounts;
pub mod audit;
pub mod context;
pub mod enact;
pub mod failures;
pub mod inquiries;
pub mod instance;
pub mod pass;
mod restored;
pub mod retries;
pub mod sources;
pub mod survey;
pub mod sweep;
pub mod template;
pub mod unreadable;
pub mod wiring;

pub use context::{Context, Gauge, Settings};
pub use wiring::{Controllers, Woken};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks for a moment; never across an await. A panic elsewhere leaves these values usable: each change is whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
