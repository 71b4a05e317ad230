//! When to come again, as headers tell it: `Retry-After` (RFC 9110, 10.2.3) and the undocumented resets of rate limits.
//!
//! Holds: a value that nobody can read, or that lies outside what is sensible, counts as absent; so a header can neither
//! stop an account for ever nor wind its clock back. Nobody documents the format of a reset, hence four of them.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::header::HeaderMap;

/// No refusal is respected longer than this: hourly windows, with room.
const LONGEST_REFUSAL: SignedDuration = SignedDuration::from_mins(75);

/// No window of a budget is longer than this: the documentation speaks of a day in one place.
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(25);

/// Below this a bare number is seconds from now; from here on it is a moment.
const SMALLEST_EPOCH: f64 = 1e8;

/// From here on a bare number is a moment in milliseconds.
const SMALLEST_MILLIS: f64 = 1e11;

/// A moment that much later, or the last one that there is.
pub fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A header as text.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `Retry-After`: seconds from now, whole or not, or a date.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Timestamp> {
    wait(value, now).or_else(|| Some(sensible(date(value.trim())?, now)))
}

/// Seconds from now. A number too large for that is a moment, and absent here.
pub fn wait(value: &str, now: Timestamp) -> Option<Timestamp> {
    let seconds = value.trim().parse().ok()?;
    Some(sensible(from_now(seconds, now)?, now))
}

fn sensible(until: Timestamp, now: Timestamp) -> Timestamp {
    until.clamp(now, later(now, LONGEST_REFUSAL))
}

/// `X-RateLimit-Reset`: seconds from now, a moment in seconds or milliseconds, or a date. Absent where it has passed.
pub fn reset(value: &str, now: Timestamp) -> Option<Timestamp> {
    let value = value.trim();
    let at = match value.parse::<f64>() {
        Ok(number) if number < SMALLEST_EPOCH => from_now(number, now)?,
        Ok(number) if number < SMALLEST_MILLIS => moment(number)?,
        Ok(number) => moment(number / 1e3)?,
        Err(_) => date(value)?,
    };
    (at > now && at <= later(now, LONGEST_WINDOW)).then_some(at)
}

fn from_now(seconds: f64, now: Timestamp) -> Option<Timestamp> {
    if !(0.0..=SMALLEST_EPOCH).contains(&seconds) {
        return None;
    }
    let by = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Some(later(now, by))
}

fn moment(seconds: f64) -> Option<Timestamp> {
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since).ok()
}

fn date(value: &str) -> Option<Timestamp> {
    value
        .parse::<Timestamp>()
        .ok()
        .or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_reset_is_understood_in_every_form() {
        let wanted = at("2026-11-21T10:30:00Z");
        let seconds = now().as_second() + 1800;
        for form in [
            "1800".to_owned(),
            "1800.0".to_owned(),
            seconds.to_string(),
            format!("{seconds}000"),
            "2026-11-21T10:30:00Z".to_owned(),
            "2026-11-21T10:30:00.000Z".to_owned(),
            "2026-11-21T11:30:00+01:00".to_owned(),
            "Sat, 21 Nov 2026 10:30:00 GMT".to_owned(),
            " 1800 ".to_owned(),
        ] {
            assert_eq!(reset(&form, now()), wanted, "{form}");
        }
    }

    #[test]
    fn a_reset_without_sense_is_none() {
        for form in [
            "",
            "soon",
            "-5",
            "NaN",
            "inf",
            "0",
            "1e300",
            "2026-11-21T09:00:00Z",
            "2036-11-21T09:00:00Z",
            "1700000000",
        ] {
            assert_eq!(reset(form, now()), None, "{form}");
        }
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date_and_never_long() {
        assert_eq!(retry_after("30", now()), at("2026-11-21T10:00:30Z"));
        assert_eq!(retry_after("1.5", now()), at("2026-11-21T10:00:01.5Z"));
        assert_eq!(
            retry_after("Sat, 21 Nov 2026 10:00:10 GMT", now()),
            at("2026-11-21T10:00:10Z")
        );
        assert_eq!(retry_after("86400", now()), at("2026-11-21T11:15:00Z"));
        assert_eq!(
            retry_after("Fri, 20 Nov 2026 10:00:10 GMT", now()),
            Some(now())
        );
        assert_eq!(retry_after("a while", now()), None);
        assert_eq!(retry_after("-1", now()), None);
        assert_eq!(retry_after("NaN", now()), None);
    }
}
