//! Arithmetic as data: every figure of a line with the steps that lead to it, so that anybody can do them again.
//!
//! A [`Working`] computes and writes down at once, so what is shown is what was done. Results are cut off at the cent, never
//! rounded up; a step whose result was cut off says so. Steps read from left to right, and none mixes × ÷ with + −.

use core::fmt;

use serde::{Serialize, Serializer};

use crate::money::{Amount, Decimal, Exact, HKD_DECIMALS, Overflow};

/// What a step does with the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Multiplies by it.
    Times,
    /// Divides by it.
    Over,
    /// Adds it.
    Plus,
    /// Subtracts it.
    Minus,
}

impl Operation {
    const fn sign(self) -> char {
        match self {
            Self::Times => '×',
            Self::Over => '÷',
            Self::Plus => '+',
            Self::Minus => '−',
        }
    }
}

/// One step of arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Numbers joined by operations, from left to right.
    Chain {
        /// Where it starts.
        first: Decimal,
        /// What follows.
        rest: Vec<(Operation, Decimal)>,
        /// What comes out, cut off at its last decimal.
        result: Decimal,
    },
    /// The least of several numbers.
    Least {
        /// The numbers.
        of: Vec<Decimal>,
        /// The least.
        result: Decimal,
    },
}

impl Step {
    /// What the step leads to before anything is cut off.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn value(&self) -> Result<Exact, Overflow> {
        match self {
            Self::Chain { first, rest, .. } => rest.iter().try_fold(first.exact(), |value, (operation, number)| {
                let number = number.exact();
                match operation {
                    Operation::Times => value.times(number),
                    Operation::Over => value.divided_by(number),
                    Operation::Plus => value.plus(number),
                    Operation::Minus => value.minus(number),
                }
            }),
            Self::Least { result, .. } => Ok(result.exact()),
        }
    }

    /// What the step says comes out.
    pub const fn result(&self) -> Decimal {
        match self {
            Self::Chain { result, .. } | Self::Least { result, .. } => *result,
        }
    }

    /// Whether nothing was cut off.
    pub fn is_exact(&self) -> bool {
        self.value().is_ok_and(|value| value.is(self.result()))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { first, rest, .. } => {
                write!(f, "{first}")?;
                for (operation, number) in rest {
                    write!(f, " {} {number}", operation.sign())?;
                }
            }
            Self::Least { of, .. } => {
                let numbers: Vec<String> = of.iter().map(Decimal::to_string).collect();
                write!(f, "min({})", numbers.join(", "))?;
            }
        }
        write!(f, " = {}", self.result())?;
        if self.is_exact() { Ok(()) } else { f.write_str(" (rounded down)") }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Computes, and keeps every step.
#[derive(Debug, Clone, Default)]
pub struct Working {
    steps: Vec<Step>,
}

impl Working {
    /// The steps so far, the last one's result being the figure.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Whether nothing was done yet.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Takes over steps that were done before.
    pub fn extend(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
    }

    /// Joins numbers from left to right, and cuts the result off after so many decimals.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn chain(&mut self, first: Decimal, rest: &[(Operation, Decimal)], decimals: u32) -> Result<Decimal, Overflow> {
        let mut step = Step::Chain { first, rest: rest.to_vec(), result: first };
        let value = step.value()?.floor(decimals)?;
        if let Step::Chain { result, .. } = &mut step {
            *result = value;
        }
        self.steps.push(step);
        Ok(value)
    }

    /// The same for an amount: cut off at the cent.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn amount(&mut self, first: Decimal, rest: &[(Operation, Decimal)]) -> Result<Amount, Overflow> {
        self.chain(first, rest, HKD_DECIMALS).map(|result| Amount::from_cents(result.mantissa))
    }

    /// An amount times a number.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn times(&mut self, amount: Amount, number: Decimal) -> Result<Amount, Overflow> {
        self.amount(amount.decimal(), &[(Operation::Times, number)])
    }

    /// An amount times a ratio of two amounts; the ratio itself is never rounded.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn part(&mut self, amount: Amount, of: Amount, whole: Amount) -> Result<Amount, Overflow> {
        self.amount(amount.decimal(), &[(Operation::Times, of.decimal()), (Operation::Over, whole.decimal())])
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn plus(&mut self, left: Amount, right: Amount) -> Result<Amount, Overflow> {
        self.amount(left.decimal(), &[(Operation::Plus, right.decimal())])
    }

    /// The difference of two amounts.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn minus(&mut self, left: Amount, right: Amount) -> Result<Amount, Overflow> {
        self.amount(left.decimal(), &[(Operation::Minus, right.decimal())])
    }

    /// The lesser of two amounts.
    pub fn least(&mut self, left: Amount, right: Amount) -> Amount {
        let least = left.min(right);
        self.steps.push(Step::Least { of: vec![left.decimal(), right.decimal()], result: least.decimal() });
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn steps_say_what_was_done() {
        let mut working = Working::default();
        let slice = working.amount(dollars("2000000.00").decimal(), &[(Operation::Over, Decimal::whole(5))]).unwrap();
        let half = working.times(slice, Decimal::parse("0.5", 8).unwrap()).unwrap();
        assert_eq!(half, dollars("200000.00"));
        working.part(dollars("3000000.00"), dollars("440000.00"), dollars("800000.00")).unwrap();
        working.minus(dollars("1.00"), dollars("0.25")).unwrap();
        working.least(dollars("990000.00"), dollars("440000.00"));
        working.amount(dollars("100.00").decimal(), &[(Operation::Over, Decimal::whole(3))]).unwrap();
        let said: Vec<String> = working.into_steps().iter().map(Step::to_string).collect();
        assert_eq!(
            said,
            [
                "2000000.00 ÷ 5 = 400000.00",
                "400000.00 × 0.5 = 200000.00",
                "3000000.00 × 440000.00 ÷ 800000.00 = 1650000.00",
                "1.00 − 0.25 = 0.75",
                "min(990000.00, 440000.00) = 440000.00",
                "100.00 ÷ 3 = 33.33 (rounded down)",
            ]
        );
    }

    #[test]
    fn division_by_nothing_and_overflow_are_no_results() {
        let mut working = Working::default();
        assert_eq!(working.part(dollars("1.00"), dollars("1.00"), Amount::ZERO), Err(Overflow));
        let huge = Amount::from_cents(i128::MAX);
        assert_eq!(working.part(huge, huge, dollars("7.00")), Err(Overflow));
        assert!(working.into_steps().is_empty(), "what did not work out is not shown");
    }
}
