//! The providers of tools, behind one trait: a file each, and nothing outside these files knows what a provider calls
//! its things.
//!
//! What is where: [`provider`] says what each can be asked for, [`open`] opens an account, [`line`] sends its requests
//! ([`ask`], [`rate`]), [`faults`] says what refusals mean, [`taken_back`] is what a process remembers. What holds: nothing is
//! concluded from a 404 that a narrower credential could have caused; no secret, id that is a secret, or URL with one
//! gets into a fault's message or a log. Deliberately absent: retrying, memory of what was made, Kubernetes.

mod agentmail;
mod ask;
mod bankr;
mod exa;
mod faults;
mod line;
mod open;
mod openrouter;
mod provider;
mod rate;
mod taken_back;
mod telnyx;
mod wallet;

pub use agentmail::AgentmailSettings;
pub use line::Line;
pub use open::{Opened, ProviderSettings, open};
pub use openrouter::OpenrouterSettings;
pub use provider::Provider;
pub use telnyx::TelnyxSettings;
pub use wallet::{Randomness, Wallet};
