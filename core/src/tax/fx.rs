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
    /// For which day.
    pub date: Option<Date>,
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
        Rate { from: from.into(), units: number(units), to: to.into(), rate: number(rate), source: None, date: None }
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
}
