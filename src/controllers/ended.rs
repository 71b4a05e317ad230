//! How a pass ended: in a word, and when it comes again.

use std::time::Duration;

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// In a word, for the metrics.
    pub word: &'static str,
    /// In how long it comes again by itself, if at all.
    pub again: Option<Duration>,
}

impl Ended {
    /// It comes again when it is woken.
    pub fn at_rest() -> Ended {
        let word = "done";
        Ended { word, again: None }
    }

    /// It comes again by itself, where there is a time for that.
    pub fn until(again: impl Into<Option<Duration>>) -> Ended {
        Ended {
            word: "done",
            again: again.into(),
        }
    }
}
