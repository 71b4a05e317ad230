//! When an instance deletes itself: `expiresAfter` becomes a time in the status, and that time alone is acted upon.
//!
//! What holds: what was not on record yet, or comes earlier than what is, is at least [`NOTICE`] away, so that nobody
//! loses an agent in the pass that first sees the field; a later time counts at once; every change is told. Deliberately
//! absent: the deletion (`plan`).

use super::draft::Draft;
use super::world::World;
use crate::api::condition::reason;
use crate::model::Announcement;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// At least so long from when an expiry is first seen, or is brought forward.
pub(super) const NOTICE: SignedDuration = SignedDuration::from_hours(1);

/// Brings the recorded time up to the spec.
pub(super) fn settle(w: &World, d: &mut Draft) {
    let recorded = d.status.expires_at.as_ref().map(|at| at.0);
    let due = due(w, recorded);
    if due == recorded {
        return;
    }
    d.status.expires_at = due.map(Time);
    d.announcements.push(Announcement {
        warning: false,
        reason: reason::EXPIRY_CHANGED,
        action: "Reconcile",
        note: match due {
            Some(at) => format!(
                "deletes itself at {at}, with everything outside; expiresAfter says when: raise it or take it away to keep the agent"
            ),
            None => "does not delete itself any more: expiresAfter was taken away".into(),
        },
    });
}

/// Whether the time on record has come.
pub(super) fn passed(w: &World, d: &Draft) -> bool {
    let at = d.status.expires_at.as_ref();
    at.is_some_and(|at| at.0 <= w.now) && !w.instance.spec.deletion_protection
}

/// When the spec wants it gone, but without haste: a time on record moves forward to no less than a notice from now, and
/// stays where it is once it is nearer.
fn due(w: &World, recorded: Option<Timestamp>) -> Option<Timestamp> {
    let after = w.instance.spec.expires_after.as_ref()?.duration()?;
    let created = w.instance.metadata.creation_timestamp.as_ref()?.0;
    // More than a calendar has: never.
    let wanted = created
        .checked_add(SignedDuration::try_from(after).ok()?)
        .ok()?;
    let soonest = whole(w.now.checked_add(NOTICE).ok()?);
    Some(wanted.max(recorded.map_or(soonest, |at| at.min(soonest))))
}

/// Kubernetes keeps such times in whole seconds: the next one, because a notice is not shortened.
fn whole(at: Timestamp) -> Timestamp {
    let up = i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second().saturating_add(up)).unwrap_or(at)
}
