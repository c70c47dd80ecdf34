//! Tax on intellectual property: dated, cited rules applied to what happened, every figure with its arithmetic.
//!
//! Nothing here decides what anybody owes. Facts ([`Facts`]) come from the ledger or a file and say what happened; rules
//! ([`rules::RuleSet`]) are data; [`Jurisdiction::compute`] is a pure function of the two. The same facts and the same digest of
//! rules give the same report for ever. A jurisdiction is a folder of rules and one implementation of the trait.

pub mod facts;
pub mod fx;
pub mod hk;
pub mod lines;
mod reasons;
pub mod rules;
pub mod steps;
pub mod words;
pub mod year;

pub use facts::Facts;
pub use lines::Report;
pub use rules::{RuleError, RuleSet};

use crate::money::Overflow;
use crate::strict::StrictError;

/// Why nothing could be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxError {
    /// The facts are not as the format or a rule needs them.
    #[error(transparent)]
    Facts(#[from] StrictError),
    /// The amounts leave the range of exact arithmetic.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A rule lacks a figure; the loader refuses such sets.
    #[error("the rule {id} has no {parameter}")]
    Rule {
        /// The rule.
        id: String,
        /// The figure.
        parameter: String,
    },
}

/// What a jurisdiction brings.
pub trait Jurisdiction {
    /// Its name on the command line and in the names of its rules.
    fn code(&self) -> &'static str;

    /// Its rules.
    ///
    /// # Errors
    /// A [`RuleError`] naming file and line; never for the rules shipped, as a test shows.
    fn rules(&self) -> Result<RuleSet, RuleError>;

    /// Applies rules to facts.
    ///
    /// # Errors
    /// A [`TaxError`]; nothing is half computed.
    fn compute<'a>(&self, facts: &'a Facts, rules: &'a RuleSet) -> Result<Report<'a>, TaxError>;
}

/// Every jurisdiction there is.
pub const JURISDICTIONS: [&(dyn Jurisdiction + Sync); 1] = [&hk::HongKong];

/// The jurisdiction of this name.
pub fn jurisdiction(code: &str) -> Option<&'static (dyn Jurisdiction + Sync)> {
    JURISDICTIONS.into_iter().find(|known| known.code() == code)
}

#[cfg(test)]
mod properties;
