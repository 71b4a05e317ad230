//! The product as a whole: its own binary, chart and kinds in the local world (`tests/world`).

// Marked as tests, so that clippy lets their helpers unwrap and panic, too.
#[cfg(test)]
mod change;
mod creation;
mod drift;
mod manifests;
mod rollout;
mod support;
