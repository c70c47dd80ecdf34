//! Points in time as Chopmark writes them: UTC milliseconds, one spelling.
//!
//! The text form is `2026-05-02T08:30:00.000Z` and nothing else (RFC 3339 allows many). Reading a clock is the caller's job.

use core::fmt;
use core::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// Why a text is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is written in UTC milliseconds like 2026-05-02T08:30:00.000Z")]
pub struct ParseTimestampError;

impl Timestamp {
    /// From milliseconds since the Unix epoch, when that is a year chrono can express.
    pub fn from_unix_ms(milliseconds: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(milliseconds).map(Self)
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// The same moment as chrono writes it, which databases take.
    pub const fn to_utc(self) -> DateTime<Utc> {
        self.0
    }

    /// This moment plus a number of days; saturates at the end of the calendar.
    #[must_use]
    pub fn plus_days(self, days: u16) -> Self {
        self.plus(chrono::TimeDelta::days(i64::from(days)))
    }

    /// This moment plus a number of minutes; saturates likewise.
    #[must_use]
    pub fn plus_minutes(self, minutes: u16) -> Self {
        self.plus(chrono::TimeDelta::minutes(i64::from(minutes)))
    }

    fn plus(self, delta: chrono::TimeDelta) -> Self {
        self.0.checked_add_signed(delta).map_or(self, Self)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Drops what is finer than a millisecond.
    fn from(moment: DateTime<Utc>) -> Self {
        Self::from_unix_ms(moment.timestamp_millis()).unwrap_or(Self(moment))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| ParseTimestampError)?;
        let moment = Self::from(parsed.with_timezone(&Utc));
        // Leap seconds, other offsets and other precisions all fail this comparison: one moment, one spelling.
        if moment.to_string() == text { Ok(moment) } else { Err(ParseTimestampError) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_one_spelling() {
        let text = "2026-05-02T08:30:00.000Z";
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        for bad in [
            "2026-05-02T08:30:00Z",
            "2026-05-02T08:30:00.0000Z",
            "2026-05-02T16:30:00.000+08:00",
            "2026-05-02t08:30:00.000z",
            "2026-02-30T08:30:00.000Z",
            "2026-06-30T23:59:60.000Z",
            "2026-05-02",
            "",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad} parsed");
        }
    }
}
