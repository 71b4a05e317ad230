//! The world as values: what was observed outside, how a request can fail, what an instance needs outside and in
//! which order.
//!
//! What holds here: plain data and pure functions over it. Nothing here can wait, fail for an outside reason, or
//! knows the name of a provider's operation. Deliberately absent: clients, clocks, Kubernetes effects.

pub mod announcement;
pub mod configuration;
pub mod fault;
pub mod harness;
pub mod health;
pub mod identity;
pub mod left;
pub mod marker;
pub mod monthly;
pub mod outside;
pub mod pause;
pub mod runner;
pub mod slot;
pub mod standing;
pub mod telling;
pub mod tool;
pub mod values;
pub mod words;

pub use announcement::Announcement;
pub use configuration::{Configuration, RegistryCredentials, Restart, Variable};
pub use fault::{Done, Fault};
pub use harness::{HarnessRow, TellingRow};
pub use health::{Answer, Expects, Health, ReadinessProbe, ShownToken, TokenForm, VersionPlace};
pub use marker::{InstallationId, Marker};
pub use outside::{
    Deployment, DeploymentState, Domain, Gate, Home, Listing, Service, Sight, Turn, Volume,
};
pub use pause::{PausedBy, Pauses};
pub use slot::{Slot, SlotRow};
pub use standing::Standing;
pub use telling::{AgentBinding, AgentResult, ClaimKept, Provision, TellOutcome};
