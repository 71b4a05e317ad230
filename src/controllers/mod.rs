//! Does: gathers what a decision needs, asks the engine, enacts one step at a time, and reports.
//!
//! Follow one AgentInstance: a watch event wakes [`instance`], which gathers a `World` and hands it to [`pass`]; the
//! pass asks `engine::plan` and lets [`enact`] carry out one step after the other, writing the ledger before each and
//! the status at the end. [`accounts`] keeps a gateway and an observer for each ProviderAccount, [`account`] and
//! [`template`] are the other two kinds, [`sources`] notices changed Secrets and ConfigMaps, [`retries`] remembers
//! faults, [`wiring`] connects watches.
//!
//! What holds: nothing is decided here; an outside change is sent only by the leader; no pass waits for time.

pub mod account;
pub mod accounts;
pub mod context;
pub mod enact;
pub mod instance;
pub mod pass;
pub mod retries;
pub mod sources;
pub mod template;
pub mod wiring;

pub use context::{Context, Gauge, Settings};
pub use wiring::{Controllers, Woken};
