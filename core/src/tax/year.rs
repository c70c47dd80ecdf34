//! Days, years of assessment, and which accounting year belongs to which.
//!
//! A year of assessment runs from 1 April to 31 March. A business is assessed on the accounting year that ends within it
//! (section 18B(2) of the Inland Revenue Ordinance, DIPN 1), so only the day on which accounts are closed decides.

use core::fmt;
use core::str::FromStr;

use chrono::{Datelike as _, NaiveDate};

use crate::strict::as_text;

/// A day of the calendar, written `2016-06-30`; years 2000 to 2099, like years of assessment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(NaiveDate);

impl Date {
    /// The day with these numbers, where the calendar has it.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        (2000..=2099).contains(&year).then(|| NaiveDate::from_ymd_opt(year, month, day).map(Self)).flatten()
    }

    /// The day after.
    pub fn next(self) -> Option<Self> {
        self.0.succ_opt().map(Self)
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a day of the years 2000 to 2099, written like 2016-06-30");
        let number = |range: core::ops::Range<usize>| {
            let part = text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            part.and_then(|part| part.parse::<u32>().ok()).ok_or_else(wrong)
        };
        if text.len() != 10 || text.get(4..5) != Some("-") || text.get(7..8) != Some("-") {
            return Err(wrong());
        }
        let year = i32::try_from(number(0..4)?).map_err(|_| wrong())?;
        Self::new(year, number(5..7)?, number(8..10)?).ok_or_else(wrong)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A year of assessment, written `2016/17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Year(i32);

impl Year {
    /// The first one that can be written.
    pub const FIRST: Self = Self(2000);

    /// So many years later.
    #[must_use]
    pub fn plus(self, years: u32) -> Self {
        Self(self.0.saturating_add(i32::try_from(years).unwrap_or(i32::MAX)))
    }

    /// The year before.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many years this one is after another; nothing when it is before.
    pub fn years_since(self, earlier: Self) -> Option<u32> {
        u32::try_from(self.0.checked_sub(earlier.0)?).ok()
    }

    /// Its first day, 1 April.
    pub fn first_day(self) -> Option<Date> {
        Date::new(self.0, 4, 1)
    }
}

impl FromStr for Year {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a year of assessment, written like 2016/17: two years, one after the other");
        let (first, second) = text.split_once('/').ok_or_else(wrong)?;
        let is_number = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(first, 4) || !is_number(second, 2) || !first.starts_with("20") {
            return Err(wrong());
        }
        let year = Self(first.parse().map_err(|_| wrong())?);
        if year.to_string() == text { Ok(year) } else { Err(wrong()) }
    }
}

impl fmt::Display for Year {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:02}", self.0, self.0.saturating_add(1).rem_euclid(100))
    }
}

/// The day on which a business closes its accounts, written `03-31`; `02-29` is the last day of February.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct YearEnd {
    month: u32,
    day: u32,
}

impl YearEnd {
    /// 31 March, when the year of assessment ends too.
    pub const MARCH: Self = Self { month: 3, day: 31 };

    /// The year of assessment in whose basis period a day falls.
    pub fn year_of(self, date: Date) -> Year {
        let (year, month, day) = (date.0.year(), date.0.month(), date.0.day());
        let closes = if (month, day) <= (self.month, self.day) { year } else { year.saturating_add(1) };
        if self.month <= 3 { Year(closes.saturating_sub(1)) } else { Year(closes) }
    }

    /// The first and last day of a year's basis period.
    pub fn basis_period(self, year: Year) -> Option<(Date, Date)> {
        let closes = if self.month <= 3 { year.0.saturating_add(1) } else { year.0 };
        let last = |year| {
            let day = NaiveDate::from_ymd_opt(year, self.month, self.day);
            // Only 29 February is missing in some years.
            day.or_else(|| NaiveDate::from_ymd_opt(year, self.month, 28))
        };
        Some((Date(last(closes.saturating_sub(1))?.succ_opt()?), Date(last(closes)?)))
    }
}

impl FromStr for YearEnd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not the day of a year, written like 03-31");
        if text.len() != 5 || text.get(2..3) != Some("-") {
            return Err(wrong());
        }
        // 2000 is a leap year: whatever day there ever is, it has.
        let date: Date = format!("2000-{text}").parse().map_err(|_| wrong())?;
        Ok(Self { month: date.0.month(), day: date.0.day() })
    }
}

impl fmt::Display for YearEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

as_text!(Date, Year, YearEnd);

#[cfg(test)]
mod tests {
    use super::*;

    fn year(text: &str) -> Year {
        text.parse().unwrap()
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn years_are_consecutive() {
        assert_eq!(year("2016/17").to_string(), "2016/17");
        assert_eq!(year("2099/00").to_string(), "2099/00");
        for bad in
            ["2016/18", "2016/16", "2016-17", "16/17", "2016/2017", "1999/00", "2016/7", "", "2016/17 ", "2O16/17"]
        {
            assert!(bad.parse::<Year>().is_err(), "{bad:?} parsed");
        }
        assert_eq!(year("2018/19").years_since(year("2016/17")), Some(2));
        assert_eq!(year("2016/17").years_since(year("2018/19")), None);
    }

    #[test]
    fn days_are_days() {
        assert_eq!(date("2020-02-29").to_string(), "2020-02-29");
        for bad in
            ["2019-02-29", "2020-13-01", "2020-1-1", "20200101", "1999-12-31", "2100-01-01", "", "2020-01-01T00:00"]
        {
            assert!(bad.parse::<Date>().is_err(), "{bad:?} parsed");
        }
    }

    /// DIPN 1, paragraph 3: accounts closed on 30 June 2019, 31 December 2019 and 31 March 2020 are all of 2019/20.
    #[test]
    fn the_accounting_year_that_ends_within_is_assessed() {
        for (end, last, next) in [
            ("06-30", "2019-06-30", "2019-07-01"),
            ("12-31", "2019-12-31", "2020-01-01"),
            ("03-31", "2020-03-31", "2020-04-01"),
            ("04-01", "2019-04-01", "2019-04-02"),
            ("04-30", "2019-04-30", "2019-05-01"),
            ("01-15", "2020-01-15", "2020-01-16"),
        ] {
            let end: YearEnd = end.parse().unwrap();
            assert_eq!(end.year_of(date(last)), year("2019/20"), "{end} {last}");
            assert_eq!(end.year_of(date(next)), year("2020/21"), "{end} {next}");
            let (first, closing) = end.basis_period(year("2019/20")).unwrap();
            assert_eq!(closing, date(last));
            assert_eq!(end.year_of(first), year("2019/20"));
            assert_eq!(end.basis_period(year("2020/21")).unwrap().0, date(next));
        }
    }

    #[test]
    fn the_end_of_february_moves_with_leap_years() {
        let end: YearEnd = "02-29".parse().unwrap();
        assert_eq!(end.year_of(date("2020-02-29")), year("2019/20"));
        assert_eq!(end.year_of(date("2021-02-28")), year("2020/21"));
        assert_eq!(end.year_of(date("2021-03-01")), year("2021/22"));
        assert_eq!(end.basis_period(year("2020/21")), Some((date("2020-03-01"), date("2021-02-28"))));
        // 28 February is that day, in leap years too.
        let end: YearEnd = "02-28".parse().unwrap();
        assert_eq!(end.year_of(date("2020-02-29")), year("2020/21"));
        for bad in ["02-30", "13-01", "3-31", "0331", "03/31", ""] {
            assert!(bad.parse::<YearEnd>().is_err(), "{bad:?} parsed");
        }
    }

    #[test]
    fn every_day_lies_in_the_basis_period_of_its_year() {
        for end in ["03-31", "04-01", "12-31", "02-29", "02-28", "06-30", "01-01"] {
            let end: YearEnd = end.parse().unwrap();
            let mut day = NaiveDate::from_ymd_opt(2018, 1, 1).unwrap();
            while day < NaiveDate::from_ymd_opt(2022, 1, 1).unwrap() {
                let (first, last) = end.basis_period(end.year_of(Date(day))).unwrap();
                assert!(first <= Date(day) && Date(day) <= last, "{end} {day}: {first}..{last}");
                day = day.succ_opt().unwrap();
            }
        }
    }
}
