//! How many requests of an account leave in a second.

use std::time::Duration;
use tokio::time::Instant;

/// The longest wait for the account's rate; then the caller hears `Throttled` and can do something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many requests a second, as many at once.
pub(super) struct Rate {
    spacing: Duration,
    at_once: u32,
    /// When the next request would leave, if they left evenly.
    next: Option<Instant>,
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Rate {
        let at_once = per_second.max(1);
        Rate {
            spacing: Duration::from_secs(1) / at_once,
            at_once,
            next: None,
        }
    }

    /// Takes a place; how long to wait for it. `None`, and nothing taken, where that is too long.
    pub(super) fn take(&mut self, now: Instant) -> Option<Duration> {
        let even = self.next.map_or(now, |next| next.max(now));
        let ahead = self.spacing * (self.at_once - 1);
        let wait = even.duration_since(now).saturating_sub(ahead);
        if wait > PATIENCE {
            return None;
        }
        self.next = Some(even + self.spacing);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_at_once_as_a_second_allows_and_then_evenly() {
        let mut rate = Rate::new(5);
        let now = Instant::now();
        let waits: Vec<u128> = (0..8)
            .map(|_| rate.take(now).map_or(0, |wait| wait.as_millis()))
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 200, 400, 600]);
        let later = now + Duration::from_secs(60);
        assert_eq!(rate.take(later), Some(Duration::ZERO));
        while rate.take(later).is_some() {}
        assert_eq!(rate.take(later), None, "nothing is taken by the impatient");
        assert!(rate.take(later + Duration::from_secs(1)).is_some());
    }
}
