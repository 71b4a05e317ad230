//! What people should hear of once.
//!
//! What holds: a reason is a stable word that alerts can rely on; a note names no secret.

/// Something that people should hear of once: an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whether it calls for a person.
    pub warning: bool,
    /// A stable reason.
    pub reason: &'static str,
    /// What was being done.
    pub action: &'static str,
    /// What happened.
    pub note: String,
}
