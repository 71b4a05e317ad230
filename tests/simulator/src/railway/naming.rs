//! Names and wordings: what Railway accepts as a name, what it makes up, and the exact text of its throttles.

use std::time::Duration;

use super::access::Refusal;
use crate::identity::short;
use crate::settings::{Settings, Wording};

pub(crate) const VOLUMES_TOO_QUICKLY: &str =
    "Whoa there pal! You are creating volumes too quickly. Try again in a sec";

pub(crate) fn projects_too_quickly(settings: &Settings) -> String {
    let seconds = whole_seconds(settings.project_interval);
    match settings.throttle_wording {
        Wording::New => format!(
            "You are creating projects too quickly. This workspace allows 1 project per {seconds} seconds. \
             Try again shortly."
        ),
        Wording::Old => {
            format!("Whoa there pal! Only one project can be created per user every {seconds}s")
        }
    }
}

fn whole_seconds(interval: Duration) -> u64 {
    interval.as_secs().max(1)
}

/// `[a-z0-9-]`, 1 to 32 characters.
pub(crate) fn check_project_name(name: &str) -> Result<(), Refusal> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !name.is_empty() && name.len() <= 32 && name.chars().all(fine) {
        true => Ok(()),
        false => Err(Refusal::new("Invalid project name")),
    }
}

/// The name of something that was created without one.
pub(crate) fn made_up() -> String {
    format!("simulated-{}", short())
}

/// A generated service domain: unique, and one DNS label.
pub(crate) fn service_domain(service: &str, environment: &str) -> String {
    let label = |text: &str, length: usize| {
        let fine = text.chars().map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        });
        let text: String = fine.take(length).collect();
        text.trim_matches('-').to_owned()
    };
    format!(
        "{}-{}-{}.up.railway.app",
        label(service, 36),
        label(environment, 14),
        short()
    )
}
