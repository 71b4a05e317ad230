//! Yardmaster: a Kubernetes operator that runs fleets of AI agents on Railway.

pub mod agent;
pub mod api;
pub mod cluster;
pub mod controllers;
pub mod engine;
pub mod model;
pub mod passes;
pub mod process;
pub mod railway;
pub mod registry;
pub mod tools;
pub mod wire;

#[cfg(test)]
mod rooms;
