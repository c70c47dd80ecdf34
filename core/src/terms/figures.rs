//! Amounts and rates in terms, as decimal strings with one spelling. Commitments may stand in their place (`crate::sealed`).
//!
//! They are strings because JSON numbers become binary floating point in most readers (RFC 8785, section 3.2.2.3).
//! Inside they are integers: minor units of the currency, and parts of 10^8 for rates.

use core::fmt;
use core::str::FromStr;

use crate::money::{Currency, Decimal, FRACTION_DECIMALS_MAX};
use crate::strict::as_text;

/// Digits of an amount before the point; with four behind it, every amount fits an `i128` many times over.
const AMOUNT_DIGITS_MAX: usize = 20;

/// Digits of a rate before the point: one more than a whole needs, so that a check can name what is too much.
const RATE_DIGITS_MAX: usize = 2;

/// Parts of a whole, in which rates count.
pub const RATE_WHOLE: u64 = 100_000_000;

/// An amount of money, with as many digits behind the point as its currency has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Amount(Decimal);

impl Amount {
    /// The amount in minor units of a currency with so many digits behind the point.
    ///
    /// # Errors
    /// A sentence that says how many digits are right.
    pub fn minor_units(&self, currency: Currency) -> Result<i128, String> {
        let digits = currency.decimals();
        if self.0.decimals != digits {
            return Err(format!(
                "amounts in {currency} have {digits} digits behind the point; {self} has another number"
            ));
        }
        Ok(self.0.mantissa)
    }

    /// The amount with its thousands apart: `1,200.00`.
    pub fn grouped(&self) -> String {
        let text = self.to_string();
        let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |parts| parts);
        let mut grouped = String::new();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        if fraction.is_empty() { grouped } else { grouped + "." + fraction }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = |_| format!("{text:?} is no amount like \"1200.00\"");
        Decimal::parse_within(text, AMOUNT_DIGITS_MAX, 4).map(Self).map_err(error)
    }
}

/// A share, as a decimal fraction of one with at most eight digits: `0.0725` is 7.25 %.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rate(Decimal);

impl Rate {
    /// The share in parts of [`RATE_WHOLE`]. More than the whole can be written, so that a check can name it.
    pub fn parts(&self) -> u64 {
        let parts = self.0.units(FRACTION_DECIMALS_MAX).and_then(|parts| u64::try_from(parts).ok());
        parts.unwrap_or(u64::MAX)
    }

    /// The share in hundredths, without needless zeros: `7.25`.
    pub fn percent(&self) -> String {
        percent(self.parts())
    }
}

/// Parts of [`RATE_WHOLE`] in hundredths, without needless zeros.
pub fn percent(parts: u64) -> String {
    let hundredth = RATE_WHOLE / 100;
    let fraction = format!("{:06}", parts % hundredth);
    let fraction = fraction.trim_end_matches('0');
    let whole = parts / hundredth;
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = |_| format!("{text:?} is no rate like \"0.0725\", a fraction of one");
        let decimal = Decimal::parse_within(text, RATE_DIGITS_MAX, FRACTION_DECIMALS_MAX).map_err(error)?;
        let is_short = decimal.decimals == 0 || !text.ends_with('0');
        if is_short {
            Ok(Self(decimal))
        } else {
            Err(format!("{text:?} ends in zeros that say nothing; leave them out"))
        }
    }
}

/// A number of things, as a string of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(u64);

impl Count {
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_number =
            (1..=18).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = text.parse().ok().filter(|_| is_number);
        count.map(Self).ok_or_else(|| format!("{text:?} is no count like \"50\""))
    }
}

as_text!(Amount, Rate, Count);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for good in ["0", "0.00", "1200.00", "1", "99999999999999999999.9999"] {
            assert_eq!(good.parse::<Amount>().unwrap().to_string(), good);
        }
        for bad in ["", ".5", "1.", "01", "-1", "1e3", "1,000", "+1", " 1", "1.00000", "100000000000000000000", "٣"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
        for bad in ["0.50", "1.0", "0.123456789", "100", "7.25%"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        for bad in ["0", "007", "1.5", "", "1000000000000000000000"] {
            assert!(bad.parse::<Count>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_exact_parts() {
        for (text, parts, shown) in [
            ("0.0725", 7_250_000, "7.25"),
            ("1", RATE_WHOLE, "100"),
            ("0", 0, "0"),
            ("0.00000001", 1, "0.000001"),
            ("1.5", 150_000_000, "150"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.parts(), rate.percent().as_str()), (parts, shown));
        }
    }

    #[test]
    fn an_amount_has_the_digits_of_its_currency() {
        for (code, text, units) in
            [("HKD", "1200.00", Some(120_000)), ("JPY", "1200", Some(1_200)), ("KWD", "0.001", Some(1))]
        {
            let currency: Currency = code.parse().unwrap();
            assert_eq!(text.parse::<Amount>().unwrap().minor_units(currency).ok(), units);
        }
        for (code, text) in [("HKD", "1200"), ("JPY", "1200.00"), ("KWD", "1.00")] {
            assert!(text.parse::<Amount>().unwrap().minor_units(code.parse().unwrap()).is_err());
        }
        assert_eq!("1234567.80".parse::<Amount>().unwrap().grouped(), "1,234,567.80");
        assert_eq!("999".parse::<Amount>().unwrap().grouped(), "999");
    }
}
