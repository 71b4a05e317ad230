//! PID 1 of an agent's container: lays files, starts the harness and watches it, and is the only door to it.
//!
//! Holds: nothing but `GET /pool/health` is answered without the gateway token; no harness is known by name, all that differs comes
//! in `YARDMASTER_RUNNER`. Absent: TLS, which the platform's edge has, and any call to the outside.

mod apply;
mod children;
mod contract;
mod door;
mod environment;
mod files;
mod harness;
mod lines;
mod memory;
mod output;
mod passing;
mod pool;
mod probe;
mod secret;
mod start;
mod telling;

use std::process::ExitCode;

/// The word with which the runner calls itself: the process becomes the harness.
pub const BECOME: &str = "become";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == BECOME => children::become_harness(words),
        Some(word) if word == "--version" => {
            println!("yardmaster-runner {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(_) => {
            eprintln!("yardmaster-runner takes no words: all it needs is in YARDMASTER_RUNNER");
            ExitCode::from(2)
        }
        None => start::run(),
    }
}
