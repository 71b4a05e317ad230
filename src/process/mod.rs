//! The process around the controllers: its command line, its seat as the leader, its end, and what it shows of itself.
//!
//! What holds here: settings are checked once, before anything runs, and every complaint says its remedy; leadership is
//! proven right before it is used and its loss ends the process; nothing here but `import` knows an agent or a provider.
//! Deliberately absent: what the controllers do (`controllers`), and traces to a collector.

pub mod config;
mod connect;
pub mod generate;
mod https;
pub mod import;
pub mod lease;
pub mod metrics;
pub mod probes;
pub mod run;
pub mod shutdown;
pub mod sweep;
pub mod telemetry;

#[cfg(test)]
mod chart_tests;
