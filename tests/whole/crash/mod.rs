//! Crash and fault campaigns: the controller dies, or an answer is lost, late or refused, at every exchange of a life.
//! In the end there is exactly what the objects imply, and it came to be by no more creations than the fault excuses.
//!
//! Crashes at writes to Kubernetes are not here: the laws of the engine hold those (`src/engine/laws`).
//!
//! The campaigns over an agent with all six tools are behind the feature `campaign`, because they take longer than all other
//! tests together: `cargo test --features campaign --test whole equipped_agent -- --nocapture --test-threads=1`.

#[cfg(feature = "campaign")]
mod equipped;
mod faults;
mod kill;
mod life;
mod rivals;
#[cfg(feature = "campaign")]
mod tools_faults;
#[cfg(feature = "campaign")]
mod tools_kill;
