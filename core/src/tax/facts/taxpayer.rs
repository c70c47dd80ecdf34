//! Whose tax it is, and how that one is assessed from year to year.
//!
//! Accounts close once in every year of assessment, so basis periods follow each other without a gap and no day is in two,
//! also where the closing day changes: the period of that year is shorter or longer. The Commissioner may compute that year and
//! the one before otherwise (section 18E; Advance Rulings 29 and 63 take these very periods), so their lines want a review.

use super::{Entity, Trade};
use crate::money::Fraction;
use crate::tax::year::{Date, Year, YearEnd};

/// Whose tax it is.
#[derive(Debug, Clone)]
pub struct Taxpayer {
    /// Its name.
    pub name: String,
    /// Its business registration number, eight digits.
    pub brn: Option<String>,
    /// What it is.
    pub entity: Entity,
    /// How it is assessed at first.
    pub first: Assessed,
    /// From which years on it is assessed otherwise, ascending.
    pub changes: Vec<(Year, Assessed)>,
    /// The day on which its business began: purchases and research before count from it.
    pub commenced: Option<Date>,
    /// The day on which its business ended: receipts after count on it, and no year after it has a slice.
    pub ceased: Option<Date>,
}

/// How somebody is assessed in a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessed {
    /// When it closes its accounts.
    pub year_end: YearEnd,
    /// Where it trades.
    pub trade: Trade,
    /// The part of its profits that is of Hong Kong, for overseas research that says no proportion itself.
    pub hk_proportion: Option<Fraction>,
}

impl Taxpayer {
    /// How it is assessed in a year.
    pub fn assessed(&self, year: Year) -> &Assessed {
        let in_force = self.changes.iter().rev().find(|(from, _)| *from <= year);
        in_force.map_or(&self.first, |(_, assessed)| assessed)
    }

    /// The year of assessment in whose basis period a day falls: the one in which the day lies, or the next.
    pub fn year_of(&self, day: Date) -> Year {
        let year = YearEnd::MARCH.year_of(day);
        if self.closes(year).is_none_or(|last| day <= last) { year } else { year.plus(1) }
    }

    /// The first and last day of a year's basis period.
    pub fn basis_period(&self, year: Year) -> Option<(Date, Date)> {
        Some((self.closes(year.previous())?.next()?, self.closes(year)?))
    }

    /// Whether its accounts of this year or the next close on another day than those before.
    pub fn moves_accounts(&self, year: Year) -> bool {
        let year_end = |year| self.assessed(year).year_end;
        year_end(year.previous()) != year_end(year) || year_end(year) != year_end(year.plus(1))
    }

    /// The day on which its accounts of a year close.
    fn closes(&self, year: Year) -> Option<Date> {
        self.assessed(year).year_end.basis_period(year).map(|(_, last)| last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taxpayer(first: &str, changes: &[(&str, &str)]) -> Taxpayer {
        let assessed = |year_end: &str| Assessed {
            year_end: year_end.parse().unwrap(),
            trade: Trade::WhollyHk,
            hk_proportion: None,
        };
        Taxpayer {
            name: "Company".to_owned(),
            brn: None,
            entity: Entity::Corporation,
            first: assessed(first),
            changes: changes.iter().map(|(from, end)| (from.parse().unwrap(), assessed(end))).collect(),
            commenced: None,
            ceased: None,
        }
    }

    /// Advance Ruling 29: 9 months to 31 December 2006; Advance Ruling 63: 3 months to 30 June 2016.
    #[test]
    fn the_period_of_a_change_follows_the_one_before() {
        for (first, change, periods) in [
            (
                "03-31",
                ("2006/07", "12-31"),
                ["2005-04-01/2006-03-31", "2006-04-01/2006-12-31", "2007-01-01/2007-12-31"],
            ),
            (
                "03-31",
                ("2006/07", "06-30"),
                ["2005-04-01/2006-03-31", "2006-04-01/2006-06-30", "2006-07-01/2007-06-30"],
            ),
            (
                "12-31",
                ("2006/07", "03-31"),
                ["2005-01-01/2005-12-31", "2006-01-01/2007-03-31", "2007-04-01/2008-03-31"],
            ),
        ] {
            let taxpayer = taxpayer(first, &[change]);
            let years = ["2005/06", "2006/07", "2007/08"].map(|year| year.parse().unwrap());
            let found = years.map(|year| {
                let (from, to) = taxpayer.basis_period(year).unwrap();
                format!("{from}/{to}")
            });
            assert_eq!(found, periods);
            let reviewed =
                ["2004/05", "2005/06", "2006/07", "2007/08"].map(|year| taxpayer.moves_accounts(year.parse().unwrap()));
            assert_eq!(reviewed, [false, true, true, false]);
        }
    }

    #[test]
    fn every_day_lies_in_one_basis_period() {
        for changes in [
            &[("2018/19", "12-31"), ("2019/20", "03-31"), ("2021/22", "04-01")][..],
            &[("2019/20", "02-29"), ("2020/21", "02-28"), ("2021/22", "06-30")],
            &[],
        ] {
            for first in ["03-31", "12-31", "02-29", "04-01"] {
                let taxpayer = taxpayer(first, changes);
                let mut day: Date = "2017-01-01".parse().unwrap();
                while day < "2023-01-01".parse().unwrap() {
                    let year = taxpayer.year_of(day);
                    let (from, to) = taxpayer.basis_period(year).unwrap();
                    assert!(from <= day && day <= to, "{first} {changes:?} {day}: {from}..{to}");
                    assert_eq!(taxpayer.basis_period(year.plus(1)).unwrap().0, to.next().unwrap());
                    if changes.is_empty() {
                        assert_eq!(year, taxpayer.first.year_end.year_of(day));
                    }
                    day = day.next().unwrap();
                }
            }
        }
    }
}
