//! Civil dates and lengths of time in terms: `2027-01-31`, `P1Y6M`, and the day on which a term ends.
//!
//! Lengths are those of ISO 8601-1, section 5.5.2.2, in years, months, weeks or days; hours have no place in a licence.
//! A term of months ends on the day before the corresponding day (Dodds v Walker, 1981, 1 WLR 1027; Interpretation and
//! General Clauses Ordinance, Cap. 1, section 3, "month").

use core::fmt;
use core::str::FromStr;

use chrono::{Datelike as _, Days, Months, NaiveDate};

use crate::strict::as_text;
use crate::time::Timestamp;

/// Longest length of one unit; 999 years are a usual way to say "for good".
const COUNT_MAX: u32 = 9_999;

/// How far Hong Kong is ahead of UTC, in milliseconds.
const HONG_KONG_AHEAD_MS: i64 = 8 * 3_600 * 1_000;

/// The first day that can be written.
const FIRST: NaiveDate = match NaiveDate::from_ymd_opt(1, 1, 1) {
    Some(date) => date,
    None => NaiveDate::MIN,
};

/// The last day that can be written.
const LAST: NaiveDate = match NaiveDate::from_ymd_opt(9999, 12, 31) {
    Some(date) => date,
    None => NaiveDate::MAX,
};

/// A civil date between the years 1 and 9999: every one is read from what it is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(NaiveDate);

impl Date {
    /// Year, month (1 to 12) and day of the month.
    pub fn parts(self) -> (i32, u32, u32) {
        (self.0.year(), self.0.month(), self.0.day())
    }

    /// The civil date in Hong Kong at a moment. Its time has been eight hours ahead of UTC without daylight saving since
    /// 1979 (Interpretation and General Clauses Ordinance, Cap. 1, section 67). A moment of another year than 1 to 9999
    /// counts as on the nearest day of these.
    pub fn in_hong_kong(moment: Timestamp) -> Self {
        let milliseconds = moment.unix_ms().saturating_add(HONG_KONG_AHEAD_MS);
        let date = chrono::DateTime::from_timestamp_millis(milliseconds).unwrap_or_default().date_naive();
        Self(date.clamp(FIRST, LAST))
    }

    /// Days from this day to a later one; 0 when it is not later.
    pub fn days_until(self, later: Self) -> u32 {
        u32::try_from(later.0.signed_duration_since(self.0).num_days()).unwrap_or(0)
    }

    /// The day after this one; none after the last.
    pub fn day_after(self) -> Option<Self> {
        self.0.succ_opt().filter(|date| *date <= LAST).map(Self)
    }

    /// The day before this one; the first has none, and is its own.
    #[must_use]
    pub fn day_before(self) -> Self {
        Self(self.0.pred_opt().unwrap_or(FIRST).max(FIRST))
    }

    /// The last day of a length of time that begins on this day; `None` after the year 9999.
    pub fn last_day_of(self, duration: Duration) -> Option<Self> {
        let months = duration.years.checked_mul(12)?.checked_add(duration.months)?;
        let days = duration.weeks.checked_mul(7)?.checked_add(duration.days)?;
        let corresponding = self.0.checked_add_months(Months::new(months))?;
        // Where the month has no corresponding day, its last day is the last of the term.
        let next = if corresponding.day() < self.0.day() { corresponding.succ_opt()? } else { corresponding };
        next.checked_add_days(Days::new(days.into()))?.pred_opt().filter(|end| *end <= LAST).map(Self)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self);
        let date = parsed.filter(|date| (FIRST..=LAST).contains(&date.0) && date.to_string() == text);
        date.ok_or_else(|| format!("{text:?} is no date like 2027-01-31"))
    }
}

/// A length of time: years and months, weeks, days. Each only as far as it is not zero, and not all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Calendar years.
    pub years: u32,
    /// Calendar months.
    pub months: u32,
    /// Weeks; they stand alone.
    pub weeks: u32,
    /// Days.
    pub days: u32,
}

impl Duration {
    /// The most days that this length can have: 366 in a year, 31 in a month.
    pub fn days_max(self) -> u64 {
        let part = |count: u32, days: u64| u64::from(count) * days;
        part(self.years, 366) + part(self.months, 31) + part(self.weeks, 7) + u64::from(self.days)
    }

    /// The fewest days that this length can have: 365 in a year, 28 in a month.
    pub fn days_min(self) -> u64 {
        let part = |count: u32, days: u64| u64::from(count) * days;
        part(self.years, 365) + part(self.months, 28) + part(self.weeks, 7) + u64::from(self.days)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        for (count, unit) in [(self.years, 'Y'), (self.months, 'M'), (self.weeks, 'W'), (self.days, 'D')] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is no length of time like P3Y, P1Y6M, P2W or P90D");
        let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or_else(error)?;
        let mut duration = Self { years: 0, months: 0, weeks: 0, days: 0 };
        let fields = [
            ('Y', &mut duration.years),
            ('M', &mut duration.months),
            ('W', &mut duration.weeks),
            ('D', &mut duration.days),
        ];
        for (unit, field) in fields {
            let Some((digits, after)) = rest.split_once(unit) else { continue };
            let is_number = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            let count = digits.parse().ok().filter(|count| is_number && (1..=COUNT_MAX).contains(count));
            *field = count.ok_or_else(error)?;
            rest = after;
        }
        let is_whole = rest.is_empty() && duration.to_string() == text;
        let is_weeks = duration.weeks > 0;
        let is_alone = !is_weeks || (duration.years, duration.months, duration.days) == (0, 0, 0);
        if is_whole && is_alone { Ok(duration) } else { Err(error()) }
    }
}

as_text!(Date, Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_one_spelling() {
        for good in ["P3Y", "P1Y6M", "P90D", "P2W", "P1Y2M3D", "P999Y"] {
            assert_eq!(good.parse::<Duration>().unwrap().to_string(), good);
        }
        for bad in [
            "", "P", "3Y", "P0D", "P01Y", "P1M1Y", "P1W1D", "PT1H", "P1YT1H", "P1.5Y", "P-1Y", "p1y", "P1Y ",
            "P10000Y", "P1Y1Y",
        ] {
            assert!(bad.parse::<Duration>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_term_ends_on_the_day_before_the_corresponding_day() {
        for (start, duration, last) in [
            ("2027-01-01", "P1Y", "2027-12-31"),
            ("2027-01-31", "P1M", "2027-02-28"),
            ("2028-02-29", "P1Y", "2029-02-28"),
            ("2027-03-01", "P90D", "2027-05-29"),
            ("2027-03-01", "P2W", "2027-03-14"),
            ("2026-12-15", "P1Y6M", "2028-06-14"),
        ] {
            let start: Date = start.parse().unwrap();
            let end = start.last_day_of(duration.parse().unwrap()).unwrap();
            assert_eq!(end.to_string(), last, "{start} {duration}");
        }
        let last: Date = "9999-12-31".parse().unwrap();
        assert_eq!(last.last_day_of("P1D".parse().unwrap()), Some(last));
        for beyond in ["P2D", "P1M", "P9999Y"] {
            assert_eq!(last.last_day_of(beyond.parse().unwrap()), None, "{beyond}");
        }
    }

    #[test]
    fn every_date_is_read_from_what_it_is_written_as() {
        for (moment, day) in [
            ("0000-01-01T00:00:00.000Z", "0001-01-01"),
            ("0000-12-31T15:59:59.999Z", "0001-01-01"),
            ("0000-12-31T16:00:00.000Z", "0001-01-01"),
            ("2027-01-31T15:59:59.999Z", "2027-01-31"),
            ("2027-01-31T16:00:00.000Z", "2027-02-01"),
            ("9999-12-31T15:59:59.999Z", "9999-12-31"),
            ("9999-12-31T16:00:00.000Z", "9999-12-31"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31"),
        ] {
            let date = Date::in_hong_kong(moment.parse().unwrap());
            assert_eq!((date.to_string(), date.to_string().parse()), (day.to_owned(), Ok(date)), "{moment}");
        }
        let (first, last): (Date, Date) = ("0001-01-01".parse().unwrap(), "9999-12-31".parse().unwrap());
        assert_eq!((first.day_before(), last.day_after()), (first, None));
        let (earlier, later): (Date, Date) = ("2027-12-31".parse().unwrap(), "2028-01-01".parse().unwrap());
        assert_eq!((later.day_before(), earlier.day_after()), (earlier, Some(later)));
    }

    #[test]
    fn dates_are_of_the_calendar() {
        for bad in ["2027-02-29", "2027-1-1", "27-01-01", "2027-01-01T00:00:00Z", "", "0000-01-01", "+2027-01-01"] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }
}
