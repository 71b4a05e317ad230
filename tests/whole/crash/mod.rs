//! Crash and fault campaigns: the controller dies, or an answer is lost, late or refused, at every exchange of a life.
//! In the end there is exactly what the objects imply, and it came to be by no more creations than the fault excuses.
//!
//! Crashes at writes to Kubernetes are not here: the laws of the engine hold those (`src/engine/laws`).

mod equipped;
mod faults;
mod kill;
mod life;
mod rivals;
mod tools_faults;
mod tools_kill;
