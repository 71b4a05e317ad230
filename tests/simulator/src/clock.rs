//! Time: the wall clock, and how moments are written down.
//!
//! Everything in the simulator that depends on time is computed from timestamps when somebody looks. There are no
//! tickers here or anywhere else, except where real programs run (`programs`).

use std::time::Duration;

use jiff::Timestamp;

#[must_use]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// `moment + duration`, at the end of time where that would be later.
#[must_use]
pub(crate) fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    moment.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// RFC 3339 with milliseconds, as the providers write it.
#[must_use]
pub(crate) fn text(moment: Timestamp) -> String {
    format!("{moment:.3}")
}
