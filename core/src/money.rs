//! Exact money: integer minor units, decimal numbers without floating point, checked arithmetic.
//!
//! Nothing here rounds by itself; whoever divides says how ([`Exact::floor`]). Amounts in facts have one spelling per
//! value and currency: no decimals, or exactly those of the currency (ISO 4217).

mod currency;

use core::fmt;
use core::str::FromStr;

use crate::strict::as_text;

pub use currency::Currency;

/// Most digits before the decimal point of an amount: a thousand times the world's yearly product in cents still fits.
pub const INTEGER_DIGITS_MAX: usize = 18;

/// Most decimals of a fraction, share or rate: parts per 10^8, as everywhere in Chopmark.
pub const FRACTION_DECIMALS_MAX: u32 = 8;

/// Most decimals of a conversion rate.
pub const RATE_DECIMALS_MAX: u32 = 12;

/// Decimals of a Hong Kong dollar: cents.
pub const HKD_DECIMALS: u32 = 2;

/// Arithmetic left the range of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amounts are too large to be computed exactly")]
pub struct Overflow;

/// A decimal number: `mantissa / 10^decimals`, written with exactly that many decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits, without the point.
    pub mantissa: i128,
    /// How many of them stand behind the point.
    pub decimals: u32,
}

impl Decimal {
    /// A whole number.
    pub fn whole(number: impl Into<i128>) -> Self {
        Self { mantissa: number.into(), decimals: 0 }
    }

    /// Reads digits with at most `decimals_max` decimals; no sign, no exponent, no leading zeros, no bare point.
    ///
    /// # Errors
    /// A sentence that quotes the text.
    pub fn parse(text: &str, decimals_max: u32) -> Result<Self, String> {
        Self::parse_within(text, INTEGER_DIGITS_MAX, decimals_max)
    }

    /// The same with at most so many digits before the point.
    ///
    /// # Errors
    /// A sentence that quotes the text.
    pub fn parse_within(text: &str, integer_digits_max: usize, decimals_max: u32) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a decimal number such as 0.5 or 1250.00; it has no sign and no exponent");
        let (integer, decimals) = text.split_once('.').map_or((text, None), |(head, tail)| (head, Some(tail)));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_padded = integer.len() > 1 && integer.starts_with('0');
        if !is_digits(integer) || decimals.is_some_and(|tail| !is_digits(tail)) || is_padded {
            return Err(wrong());
        }
        if integer.len() > integer_digits_max {
            return Err(format!("{text:?} has more than {integer_digits_max} digits before the point"));
        }
        let tail = decimals.unwrap_or_default();
        let length = u32::try_from(tail.len()).unwrap_or(u32::MAX);
        if length > decimals_max {
            return Err(format!("{text:?} has {length} decimals, at most {decimals_max} are possible here"));
        }
        let mantissa = format!("{integer}{tail}").parse().map_err(|_| wrong())?;
        Ok(Self { mantissa, decimals: length })
    }

    /// Without trailing zeros behind the point.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        while self.decimals > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.decimals -= 1;
        }
        self
    }

    /// The digits with so many decimals, none of them lost; nothing where there are more, or too many digits.
    pub fn units(self, decimals: u32) -> Option<i128> {
        power_of_ten(decimals.checked_sub(self.decimals)?)?.checked_mul(self.mantissa)
    }

    /// The same number as a ratio.
    pub fn exact(self) -> Exact {
        Exact { numerator: self.mantissa, denominator: power_of_ten(self.decimals).unwrap_or(1) }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = power_of_ten(self.decimals).unwrap_or(1).unsigned_abs();
        let (sign, digits) = (if self.mantissa < 0 { "-" } else { "" }, self.mantissa.unsigned_abs());
        match usize::try_from(self.decimals) {
            Ok(width) if width > 0 => write!(f, "{sign}{}.{:0width$}", digits / scale, digits % scale),
            _ => write!(f, "{sign}{digits}"),
        }
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// An exact ratio, kept in lowest terms; the denominator is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    numerator: i128,
    denominator: i128,
}

impl Exact {
    /// `numerator / denominator`; nothing when the denominator is not positive.
    pub fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator <= 0 {
            return None;
        }
        let common = greatest_common_divisor(numerator.unsigned_abs(), denominator.unsigned_abs());
        let common = i128::try_from(common).ok().filter(|common| *common > 0)?;
        Some(Self { numerator: numerator / common, denominator: denominator / common })
    }

    /// The sum.
    ///
    /// # Errors
    /// [`Overflow`], as all arithmetic here.
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        let left = self.numerator.checked_mul(other.denominator);
        let right = other.numerator.checked_mul(self.denominator);
        let sum = left.zip(right).and_then(|(left, right)| left.checked_add(right));
        let denominator = self.denominator.checked_mul(other.denominator);
        sum.zip(denominator).and_then(|(sum, denominator)| Self::new(sum, denominator)).ok_or(Overflow)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        let negative = other.numerator.checked_neg().ok_or(Overflow)?;
        self.plus(Self { numerator: negative, ..other })
    }

    /// The product, reduced crosswise first so that it overflows as late as possible.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn times(self, other: Self) -> Result<Self, Overflow> {
        let left = Self::new(self.numerator, other.denominator).ok_or(Overflow)?;
        let right = Self::new(other.numerator, self.denominator).ok_or(Overflow)?;
        let numerator = left.numerator.checked_mul(right.numerator);
        let denominator = left.denominator.checked_mul(right.denominator);
        numerator.zip(denominator).and_then(|(top, bottom)| Self::new(top, bottom)).ok_or(Overflow)
    }

    /// The quotient.
    ///
    /// # Errors
    /// [`Overflow`], also when the divisor is not positive: nothing here divides by anything else.
    pub fn divided_by(self, other: Self) -> Result<Self, Overflow> {
        self.times(Self::new(other.denominator, other.numerator).ok_or(Overflow)?)
    }

    /// The largest decimal number of so many decimals that is not above this one.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn floor(self, decimals: u32) -> Result<Decimal, Overflow> {
        let scaled = power_of_ten(decimals).and_then(|scale| self.numerator.checked_mul(scale)).ok_or(Overflow)?;
        Ok(Decimal { mantissa: scaled.div_euclid(self.denominator), decimals })
    }

    /// Whether it is this decimal number exactly.
    pub fn is(self, decimal: Decimal) -> bool {
        let other = decimal.exact();
        Self::new(other.numerator, other.denominator) == Self::new(self.numerator, self.denominator)
    }
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// An amount of Hong Kong dollars, in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From cents.
    pub const fn from_cents(cents: i128) -> Self {
        Self(cents)
    }

    /// In cents.
    pub const fn cents(self) -> i128 {
        self.0
    }

    /// Whether there is none.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_add(other.0).map(Self).ok_or(Overflow)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_sub(other.0).map(Self).ok_or(Overflow)
    }

    /// As a decimal number of dollars.
    pub const fn decimal(self) -> Decimal {
        Decimal { mantissa: self.0, decimals: HKD_DECIMALS }
    }

    /// Reads dollars and cents as rules and facts write them.
    ///
    /// # Errors
    /// A sentence that quotes the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse_minor(text, HKD_DECIMALS).map(Self)
    }

    /// Whole dollars as a return shows them: down to the dollar, towards less.
    pub const fn whole_dollars(self) -> i128 {
        self.0.div_euclid(100)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decimal().fmt(f)
    }
}

impl serde::Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads an amount with no decimals or exactly `decimals` of them, into minor units.
///
/// # Errors
/// A sentence that quotes the text.
pub fn parse_minor(text: &str, decimals: u32) -> Result<i128, String> {
    let read = Decimal::parse(text, decimals)?;
    if read.decimals != 0 && read.decimals != decimals {
        return Err(format!("{text:?} has {} decimals; write none, or {decimals}", read.decimals));
    }
    read.units(decimals).ok_or_else(|| format!("{text:?} is too large"))
}

/// A part of a whole in parts per 10^8, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u32);

impl Fraction {
    /// Parts of a whole.
    pub const PARTS: u32 = 100_000_000;
    /// The whole.
    pub const ONE: Self = Self(Self::PARTS);
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads a fraction such as `0.5`.
    ///
    /// # Errors
    /// A sentence that quotes the text, also when it is more than 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = Decimal::parse(text, FRACTION_DECIMALS_MAX)?;
        let parts = read.units(FRACTION_DECIMALS_MAX).and_then(|parts| u32::try_from(parts).ok());
        parts
            .filter(|parts| *parts <= Self::PARTS)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is more than 1; a part of a whole lies between 0 and 1"))
    }

    /// In parts per 10^8.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// From parts per 10^8, at most the whole.
    pub fn from_parts(parts: u32) -> Option<Self> {
        (parts <= Self::PARTS).then_some(Self(parts))
    }

    /// The sum, when it is no more than the whole.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::from_parts)
    }

    /// As a decimal number without trailing zeros.
    pub fn decimal(self) -> Decimal {
        Decimal { mantissa: i128::from(self.0), decimals: FRACTION_DECIMALS_MAX }.trimmed()
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decimal().fmt(f)
    }
}

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

as_text!(Fraction);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        assert_eq!(Amount::parse("2000000.00"), Ok(Amount(200_000_000)));
        assert_eq!(Amount::parse("5"), Ok(Amount(500)));
        let minor = |text, code: &str| parse_minor(text, code.parse::<Currency>().unwrap().decimals());
        assert_eq!((minor("100", "JPY"), minor("1.234", "KWD")), (Ok(100), Ok(1_234)));
        for bad in [
            "",
            "-1.00",
            "+1",
            "1.5",
            "1.001",
            "1e400",
            "NaN",
            "inf",
            "1,000.00",
            " 1",
            "01",
            ".5",
            "5.",
            "1.0.0",
            "0x1",
            "1234567890123456789",
            "٣",
        ] {
            assert!(Amount::parse(bad).is_err(), "{bad:?} parsed");
        }
        assert!(minor("1.00", "JPY").is_err(), "yen have no decimals");
    }

    #[test]
    fn fractions_are_parts_of_a_whole() {
        assert_eq!(Fraction::parse("0.55").unwrap().to_string(), "0.55");
        assert_eq!(Fraction::parse("1"), Ok(Fraction::ONE));
        assert_eq!(Fraction::parse("1.00000000"), Ok(Fraction::ONE));
        assert_eq!(Fraction::parse("0"), Ok(Fraction::ZERO));
        for bad in ["1.00000001", "2", "0.123456789", "-0.5", "50%", "1/2", "", "1e-1"] {
            assert!(Fraction::parse(bad).is_err(), "{bad:?} parsed");
        }
        assert_eq!(Fraction::ONE.plus(Fraction::parse("0.1").unwrap()), None);
    }

    #[test]
    fn ratios_are_exact_and_round_only_down_and_only_on_request() {
        let ratio = Exact::new(100, 3).unwrap();
        assert_eq!(ratio.times(Decimal::whole(3).exact()).unwrap(), Exact::new(100, 1).unwrap());
        assert_eq!(ratio.floor(2).unwrap().to_string(), "33.33");
        assert_eq!(Exact::new(-100, 3).unwrap().floor(2).unwrap().to_string(), "-33.34");
        assert!(Exact::new(1, 2).unwrap().is(Decimal { mantissa: 50, decimals: 2 }));
        assert_eq!(Exact::new(1, 0), None);
        let huge = Decimal::whole(i128::MAX).exact();
        assert_eq!(huge.times(huge), Err(Overflow));
        assert_eq!(huge.plus(huge), Err(Overflow));
        assert_eq!(Amount(i128::MAX).plus(Amount(1)), Err(Overflow));
    }

    #[test]
    fn amounts_are_shown_with_cents_and_returns_in_whole_dollars() {
        assert_eq!(Amount(5).to_string(), "0.05");
        assert_eq!(Amount(-123).to_string(), "-1.23");
        assert_eq!(Amount(199).whole_dollars(), 1);
        assert_eq!(Decimal { mantissa: 7_826_900, decimals: 6 }.trimmed().to_string(), "7.8269");
    }
}
