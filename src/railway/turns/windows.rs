//! The windows in which Railway lets something be made: when each opens, by what was sent and what was answered.
//!
//! Holds: a window is closed from the moment a request is sent, and follows what Railway answers: it alone knows whose window
//! it is. Deliberately absent: who may use one.

use super::super::throttle::{Binds, Throttle};
use crate::wire::later;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A window in use by a request.
#[derive(Debug)]
pub(in crate::railway) struct InUse {
    /// The token to send it with.
    pub(in crate::railway) token: usize,
    sent: Timestamp,
}

impl InUse {
    /// The same, sent only now.
    pub(in crate::railway) fn sent_at(self, sent: Timestamp) -> InUse {
        InUse { sent, ..self }
    }
}

/// What became of it.
pub(in crate::railway) enum Landing {
    /// Created.
    Created,
    /// Perhaps created.
    Unknown,
    /// Refused by the throttle.
    Throttled(Throttle),
    /// Certainly not created, for another reason.
    NotCreated,
}

/// From when Railway counts a window: from somewhere between our request and its answer, and nobody says where.
#[derive(Debug, Default)]
struct Pace {
    /// How often in a row counting from the request was too early.
    too_early: u8,
    /// Whether it was, for the creation that is being tried now.
    now: bool,
}

impl Pace {
    /// Once is chance (a slow connection), twice is a rule.
    fn counts_from_the_answer(&self) -> bool {
        self.too_early >= 2
    }

    fn was_too_early(&mut self) {
        self.too_early = self.too_early.saturating_add(1);
        self.now = true;
    }

    fn created(&mut self) {
        if !self.now && !self.counts_from_the_answer() {
            self.too_early = 0;
        }
        self.now = false;
    }
}

#[derive(Clone, Copy, Debug)]
struct Window {
    opens: Timestamp,
    /// When the last creation was sent and answered.
    last: Option<(Timestamp, Timestamp)>,
}

const OPEN: Window = Window {
    opens: Timestamp::UNIX_EPOCH,
    last: None,
};

/// The windows of an account's tokens.
#[derive(Debug)]
pub(super) struct Windows {
    interval: SignedDuration,
    all: Vec<Window>,
    /// All tokens share one window.
    shared: bool,
    pace: Pace,
}

impl Windows {
    /// One for each token, all open.
    pub(super) fn new(interval: Duration, tokens: usize) -> Windows {
        Windows {
            interval: signed(interval),
            all: vec![OPEN; tokens],
            shared: false,
            pace: Pace::default(),
        }
    }

    /// Another interval from now on.
    pub(super) fn adjust(&mut self, interval: Duration) {
        self.interval = signed(interval);
    }

    /// For so many tokens.
    pub(super) fn resize(&mut self, tokens: usize) {
        self.all.resize(tokens, OPEN);
    }

    /// How long a window is closed.
    pub(super) fn interval(&self) -> SignedDuration {
        self.interval
    }

    /// Whether all tokens share one.
    pub(super) fn shared(&self) -> bool {
        self.shared
    }

    /// When a token's opens, or opened.
    pub(super) fn opens(&self, token: usize) -> Timestamp {
        self.window(token).opens
    }

    /// Closes a window, whatever becomes of the request.
    pub(super) fn begin(&mut self, token: usize, now: Timestamp) -> InUse {
        self.close(token, later(now, self.interval), None);
        InUse { token, sent: now }
    }

    /// What became of a request; returns when its window opens again.
    pub(super) fn settle(&mut self, used: &InUse, landing: Landing, now: Timestamp) -> Timestamp {
        let slack = slack(self.interval);
        match landing {
            Landing::NotCreated => self.close(used.token, now, None),
            Landing::Unknown => {
                let opens = later(now, self.interval + slack);
                self.close(used.token, opens, Some((used.sent, now)));
            }
            Landing::Created => {
                self.pace.created();
                let from = if self.pace.counts_from_the_answer() {
                    now
                } else {
                    used.sent
                };
                let opens = later(from, self.interval + slack);
                self.close(used.token, opens, Some((used.sent, now)));
            }
            Landing::Throttled(throttle) => self.throttled(used, throttle, now),
        }
        self.window(used.token).opens
    }

    fn throttled(&mut self, used: &InUse, throttle: Throttle, now: Timestamp) {
        let interval = throttle.window.map_or(self.interval, signed);
        match throttle.binds {
            Some(Binds::Workspace) => self.share(),
            Some(Binds::User) => self.shared = false,
            None if self.another_was_used(used, interval) => self.share(),
            None => {}
        }
        let answered = self.window(used.token).last.map(|(_, answered)| answered);
        let own = answered.map(|answered| later(answered, interval + slack(interval)));
        let opens = match own {
            // Our own last creation explains it: Railway counts from later than we do.
            Some(own) if own > now => {
                self.pace.was_too_early();
                own
            }
            // Somebody else creates here too, and nobody says since when.
            _ => later(now, interval),
        };
        let last = self.window(used.token).last;
        self.close(used.token, opens, last);
    }

    /// Another token created within the window, though this one had not: they share it.
    fn another_was_used(&self, used: &InUse, interval: SignedDuration) -> bool {
        self.all.iter().enumerate().any(|(token, window)| {
            token != used.token
                && window
                    .last
                    .is_some_and(|(sent, _)| later(sent, interval) > used.sent)
        })
    }

    fn share(&mut self) {
        self.shared = true;
        if let Some(latest) = self.all.iter().copied().max_by_key(|window| window.opens) {
            self.all.fill(latest);
        }
    }

    fn window(&self, token: usize) -> Window {
        self.all.get(token).copied().unwrap_or(OPEN)
    }

    fn close(&mut self, token: usize, opens: Timestamp, last: Option<(Timestamp, Timestamp)>) {
        let shared = self.shared;
        for (index, window) in self.all.iter_mut().enumerate() {
            if shared || index == token {
                window.opens = opens;
                window.last = last.or(window.last);
            }
        }
    }
}

/// The moments at which windows open, if each is used as soon as it does.
pub(super) struct Expected {
    opens: Vec<Timestamp>,
    interval: SignedDuration,
}

impl Expected {
    /// With these moments, and so far apart for each window.
    pub(super) fn new(opens: Vec<Timestamp>, interval: SignedDuration) -> Expected {
        Expected { opens, interval }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Timestamp {
        let Some(earliest) = self.opens.iter_mut().min() else {
            return Timestamp::MAX;
        };
        let at = *earliest;
        *earliest = later(at, self.interval);
        at
    }
}

/// What a window is given beyond its interval, so that a little delay on the way does not make us early.
fn slack(interval: SignedDuration) -> SignedDuration {
    let least = SignedDuration::from_millis(20).min(interval / 20);
    (interval / 100).max(least)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
