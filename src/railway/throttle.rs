//! Railway's refusals to make more than one of a kind in some seconds, read from their sentences (`facts/railway.md` 1.4).

use std::time::Duration;

/// Railway's refusal to create more than one of a kind in some seconds (`facts/railway.md` 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Throttle {
    /// How long the window is, where the text says so.
    pub(super) window: Option<Duration>,
    /// Whom it binds, where the text says so.
    pub(super) binds: Option<Binds>,
}

/// Whom a throttle binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binds {
    /// Everyone in the workspace.
    Workspace,
    /// One user, so each token of another user has a window of its own.
    User,
}

impl Throttle {
    /// Reads a message; `None` where it is no throttle.
    pub(super) fn read(message: &str) -> Option<Throttle> {
        let text = message.to_lowercase();
        let allows = text.contains("allows ") && text.contains(" per ") && text.contains("second");
        let only_one = text.contains("only one ") && text.contains(" every ");
        let words = ["whoa there pal", "too quickly", "try again in a "];
        if !allows && !only_one && !words.iter().any(|words| text.contains(words)) {
            return None;
        }
        let binds = if text.contains("workspace") {
            Some(Binds::Workspace)
        } else if text.contains("per user") {
            Some(Binds::User)
        } else {
            None
        };
        Some(Throttle {
            window: seconds(&text),
            binds,
        })
    }
}

/// The number before "second" or "s" after "per" or "every": `per 30 seconds`, `every 30s`. Never more than an hour.
fn seconds(text: &str) -> Option<Duration> {
    let (_, rest) = text
        .split_once(" every ")
        .or_else(|| text.rsplit_once(" per "))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let unit = rest[digits.len()..].trim_start();
    let number: u64 = digits.parse().ok()?;
    (unit.starts_with('s') && (1..=3600).contains(&number)).then(|| Duration::from_secs(number))
}
