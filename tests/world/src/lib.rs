//! The local world: a real Kubernetes API server, the simulated outside, and the controller as a process of its own.
//!
//! Tests use it as a library, people through `cargo demo` and `cargo world` (README.md). Whoever changes the names of
//! files or fields here breaks scripts.
//!
//! Holds: everything of a world lies in its directory and ends with the process that started it; the user's kubeconfig
//! and home are not touched; what fails says what was waited for and what was there instead. Absent: the product's code,
//! except where a fleet is seeded (`seed`) and where the harness table is held against real programs (`conformance`). The
//! product's tests use this crate; all else knows the product by its binary, its chart and its kinds' names.

mod arguments;
mod binaries;
pub mod books;
mod breakers;
pub mod canary;
pub mod cases;
mod checkout;
mod commands;
mod conformance;
mod control;
mod control_plane;
mod controller;
mod directory;
mod harness;
mod install;
mod launch;
mod object;
mod objects;
mod options;
mod outside;
mod process;
mod records;
mod rush;
mod seed;
mod shared;
mod storm;
pub mod tellings;
mod tenant;
pub mod truth;
mod world;

pub use arguments::{arguments, setting};
pub use binaries::{
    cluster as build_cluster, controller as build_controller,
    optimised_controller as build_optimised_controller, runner as build_runner,
};
pub use breakers::{Breakers, Withstood};
pub use checkout::root as checkout_root;
pub use commands::Output;
pub use conformance::{Conformance, Manner, Report, Subject};
pub use control::{Control, Fault};
pub use controller::Controller;
pub use directory::{Description, Directory, Pids, Probes};
pub use harness::{Harness, Installed};
pub use install::{CONTROLLER_USER, IMAGE, SERVICE_ACCOUNT, SYSTEM_NAMESPACE};
pub use nix::sys::signal::Signal;
pub use object::{Object, condition, condition_line, conditions, eventually};
pub use objects::{Cluster, GROUP};
pub use options::{Options, PACE};
pub use outside::{Inventory, Outside, Resource};
pub use records::{Audited, Exchange, Mark, Record};
pub use rush::{Rush, Rushed};
pub use shared::directory as test_directory;
pub use storm::{Source, Storm, Weathered};
pub use tellings::Telling;
pub use tenant::{Tenant, railway_token, tool_credential};
pub use world::World;
