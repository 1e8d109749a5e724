//! Points in time as milliseconds since 1970, UTC, and durations as whole seconds.

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An instant: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Moment(pub i64);

impl Moment {
    /// Adds a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.milliseconds()))
    }

    /// Subtracts a duration.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.milliseconds()))
    }

    /// Whether it can be written as a calendar date.
    #[must_use]
    pub fn is_date(self) -> bool {
        jiff::Timestamp::from_millisecond(self.0).is_ok()
    }

    /// Time since `earlier`, in milliseconds; negative if this is before it.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A source of the present time. A trait, because tests must replace it.
pub trait Clock {
    /// The present time.
    fn now(&self) -> Moment;
}

impl fmt::Display for Moment {
    /// RFC 3339 with milliseconds, UTC: `2026-01-02T03:04:05.678Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => f.write_str("0000-01-01T00:00:00.000Z"),
        }
    }
}

/// A duration as in the configuration: an integer and `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Duration {
    seconds: u32,
}

impl Duration {
    /// From whole seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self { seconds }
    }

    /// Parses `30s`, `5m`, `26h`, `365d`.
    ///
    /// # Errors
    /// The expected form, if the text is not a duration.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "a duration is an integer and s, m, h or d, like \"30s\"";
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => 86_400,
            Some(_) | None => return Err(SHAPE),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SHAPE);
        }
        let count: u32 = digits.parse().map_err(|_| "a duration is at most 136 years")?;
        count.checked_mul(unit).map(Self::from_seconds).ok_or("a duration is at most 136 years")
    }

    /// The length in milliseconds.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        i64::from(self.seconds) * 1000
    }

    /// The same as a [`std::time::Duration`].
    #[must_use]
    pub fn std(self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.seconds))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds;
        match seconds {
            0 => f.write_str("0s"),
            _ if seconds.is_multiple_of(86_400) => write!(f, "{}d", seconds / 86_400),
            _ if seconds.is_multiple_of(3600) => write!(f, "{}h", seconds / 3600),
            _ if seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            _ => write!(f, "{seconds}s"),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_one_unit_and_no_sign() {
        for (text, seconds) in [("0s", Some(0)), ("30s", Some(30)), ("26h", Some(93_600)), ("365d", Some(31_536_000))] {
            assert_eq!(Duration::parse(text).ok().map(|d| d.seconds), seconds, "{text}");
        }
        for text in ["", "s", "-3s", "30", "1h30m", "1.5h", " 3s", "3 s", "99999999999s", "4294967295d", "3é"] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }
}
