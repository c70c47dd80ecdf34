//! Foreign money: a rate with its direction, its source and its date, and the exact way to Hong Kong dollars.
//!
//! A rate says how many units of one currency are how much of another, so that both quotations in use – 1 USD = 7.8269 HKD,
//! HK$100 = RMB 90.8419 – are written as they are published.

use super::steps::{Operation, Step, Working};
use super::year::Date;
use crate::money::{Amount, Currency, Decimal, HKD_DECIMALS, Overflow};

/// The currency of everything that is computed.
pub const HKD: &str = "HKD";

/// A published rate: `units` of `from` are `rate` of `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// The currency counted in units.
    pub from: String,
    /// How many units.
    pub units: Decimal,
    /// The currency they are expressed in.
    pub to: String,
    /// How much of it they are.
    pub rate: Decimal,
    /// Who published it.
    pub source: Option<String>,
    /// For which day; of an average, the last one of its period.
    pub date: Option<Date>,
    /// Of an average: the first day of its period.
    pub since: Option<Date>,
}

/// How an amount was converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The currency it was in.
    pub currency: String,
    /// How much it was, in that currency.
    pub original: Decimal,
    /// The rate.
    pub rate: Rate,
    /// The arithmetic.
    pub step: Step,
}

impl Rate {
    /// Whether it says something about this currency and the Hong Kong dollar.
    pub fn is_for(&self, currency: &str) -> bool {
        (self.from == currency && self.to == HKD) || (self.from == HKD && self.to == currency)
    }

    /// The rate of a day: the average of a period it falls in, of several the one that ends first; else the newest that is
    /// not of a later day. A rate without a date is older than all others.
    pub fn of_day<'r>(rates: impl Iterator<Item = &'r Self> + Clone, day: Date) -> Option<&'r Self> {
        let averages = rates.clone().filter(|rate| rate.since.is_some_and(|since| since <= day));
        let averages = averages.filter(|rate| rate.date.is_some_and(|last| day <= last));
        let of_days = rates.filter(|rate| rate.since.is_none() && rate.date.is_none_or(|date| date <= day));
        let average = averages.min_by_key(|rate| (rate.date, core::cmp::Reverse(rate.since)));
        average.or_else(|| of_days.max_by_key(|rate| rate.date))
    }

    /// Converts minor units of a currency, cut off at the cent.
    ///
    /// # Errors
    /// [`Overflow`]; also when the rate is for other currencies, which callers have checked.
    pub fn convert(&self, minor: i128, currency: Currency) -> Result<(Amount, Conversion), Overflow> {
        let original = Decimal { mantissa: minor, decimals: currency.decimals() };
        let (times, over) =
            if self.from == currency.as_str() { (self.rate, self.units) } else { (self.units, self.rate) };
        let mut rest = vec![(Operation::Times, times)];
        if over != Decimal::whole(1) {
            rest.push((Operation::Over, over));
        }
        let mut working = Working::default();
        let amount = working.chain(original, &rest, HKD_DECIMALS)?;
        let step = working.into_steps().pop().ok_or(Overflow)?;
        let conversion = Conversion { currency: currency.to_string(), original, rate: self.clone(), step };
        Ok((Amount::from_cents(amount.mantissa), conversion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(from: &str, units: &str, to: &str, rate: &str) -> Rate {
        let number = |text| Decimal::parse(text, 12).unwrap();
        let (from, to) = (from.into(), to.into());
        Rate { from, units: number(units), to, rate: number(rate), source: None, date: None, since: None }
    }

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn both_quotations_lead_to_the_same_money() {
        let dollars = rate("USD", "1", "HKD", "7.8269");
        let (amount, conversion) = dollars.convert(100_000_000, currency("USD")).unwrap();
        assert_eq!(amount.to_string(), "7826900.00");
        assert_eq!(conversion.step.to_string(), "1000000.00 × 7.8269 = 7826900.00");
        // HK$100 = RMB 90.8419
        let yuan = rate("HKD", "100", "CNY", "90.8419");
        let (amount, conversion) = yuan.convert(90_841_900, currency("CNY")).unwrap();
        assert_eq!(amount.to_string(), "1000000.00");
        assert_eq!(conversion.step.to_string(), "908419.00 × 100 ÷ 90.8419 = 1000000.00");
        let (cut_off, conversion) = yuan.convert(100, currency("CNY")).unwrap();
        assert_eq!(cut_off.to_string(), "1.10");
        assert_eq!(conversion.step.to_string(), "1.00 × 100 ÷ 90.8419 = 1.10 (rounded down)");
        // Yen have no decimals: 100 JPY = 5.2 HKD.
        assert_eq!(
            rate("JPY", "100", "HKD", "5.2").convert(1_000_000, currency("JPY")).unwrap().0.to_string(),
            "52000.00"
        );
        assert!(!dollars.is_for("CNY") && dollars.is_for("USD") && yuan.is_for("CNY"));
    }

    #[test]
    fn a_day_has_the_average_of_its_period_else_the_newest_rate() {
        let of = |digits: &str, since: Option<&str>, date: Option<&str>| {
            let day = |text: &str| text.parse().unwrap();
            Rate { since: since.map(day), date: date.map(day), ..rate("USD", "1", "HKD", digits) }
        };
        let rates = [
            of("7", None, None),
            of("7.1", None, Some("2023-06-30")),
            of("7.2", Some("2023-04-01"), Some("2024-03-31")),
            of("7.3", Some("2024-03-01"), Some("2024-03-31")),
            of("7.4", None, Some("2024-06-30")),
            of("7.5", Some("2025-04-01"), Some("2026-03-31")),
        ];
        for (day, expected) in [
            ("2023-03-31", "7"),
            ("2023-04-01", "7.2"),
            ("2023-06-30", "7.2"),
            ("2024-03-31", "7.3"),
            ("2024-04-01", "7.1"),
            ("2024-06-30", "7.4"),
            ("2025-03-31", "7.4"),
            ("2026-03-31", "7.5"),
            ("2026-04-01", "7.4"),
        ] {
            let found = Rate::of_day(rates.iter(), day.parse().unwrap()).unwrap();
            assert_eq!(found.rate.to_string(), expected, "{day}");
        }
        assert_eq!(Rate::of_day(rates[4..].iter(), "2024-06-29".parse().unwrap()), None);
    }
}
