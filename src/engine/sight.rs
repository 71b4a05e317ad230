//! What a reading of the project is worth: whether it began late enough to be believed, and when to look again.
//!
//! Holds: absence is believed only from a reading that began when what is missing could no longer land unseen.

use super::draft::{Draft, Phase, act};
use super::ledger;
use super::step::Step;
use super::world::World;
use crate::api::Slot;
use crate::model::{Home, Sight};
use jiff::{SignedDuration, Timestamp};

/// What to make of something that a reading lacks, or shows otherwise than it was left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The reading began late enough to be believed.
    None,
    /// It did not, and by now one would: look.
    Look,
    /// It did not. Where it shows more than that it is old, there is a time to look again: no news may come of itself,
    /// because the next listing shows the same.
    Wait,
}

/// How far a reading begun then is believed about something that was written at `since`.
pub(super) fn doubt(w: &World, d: &mut Draft, begun: Timestamp, since: Timestamp) -> Doubt {
    let believable = w.limits.landed_by(since);
    if begun >= believable {
        return Doubt::None;
    }
    if begun < since {
        return Doubt::Wait;
    }
    if w.now >= believable && w.outside.looked.is_none() {
        return Doubt::Look;
    }
    d.again(believable.max(w.now + SignedDuration::from_secs(1)));
    Doubt::Wait
}

/// Reads the recorded project.
pub(super) fn look_at(d: &Draft) -> Phase {
    look(&ledger::id(&d.status, Slot::Project).unwrap_or_default())
}

/// Reads a project.
pub(super) fn look(project: &str) -> Phase {
    let project = project.to_owned();
    act(Step::Look { project })
}

/// The project as read by itself in this pass.
pub(super) fn seen_now(w: &World) -> Option<&Home> {
    w.outside.looked.as_ref().and_then(Sight::seen)
}
