//! Kind `tax_profile`: how the issuer is assessed: when it closes its accounts, what it is, where it trades.
//!
//! A profile counts from a year of assessment on. In a year, the one for the latest year that is not after it counts; of two
//! for the same year, the later entry. When accounts close and where the trade is, the first one says for the years before it, too.

use serde::{Deserialize, Serialize};

use super::changes;
use crate::admission::{Change, Entry, Reads, Rejection, View};
use crate::kind::Kind;
use crate::money::Fraction;
use crate::statement::Statement;
use crate::strict::{StrictError, present};
use crate::tax::facts::{Entity, Trade};
use crate::tax::year::{Date, Year, YearEnd};

/// What a `tax_profile` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxProfileClaim {
    /// The year of assessment from which on it counts.
    pub from: Year,
    /// Business registration number: eight digits.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub brn: Option<String>,
    /// The Inland Revenue Department's file number: `22/12345678`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub file_number: Option<String>,
    /// What it is.
    pub entity: Entity,
    /// When it closes its accounts.
    pub year_end: YearEnd,
    /// Where it trades.
    pub trade: Trade,
    /// The part of its profits that is of Hong Kong, of a trade partly elsewhere.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub hk_proportion: Option<Fraction>,
    /// Whether it is the one of its group that two-tiered rates are for.
    pub two_tier: bool,
    /// The day on which its business began.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub commenced: Option<Date>,
    /// The day on which its business ended.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ceased: Option<Date>,
}

impl TaxProfileClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:tax_profile:v1";
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Kind for TaxProfileClaim {
    fn validate(&self) -> Result<(), StrictError> {
        if self.brn.as_deref().is_some_and(|brn| !is_digits(brn, 8)) {
            return Err(StrictError::new("/brn", "a Hong Kong Business Registration Number has 8 digits"));
        }
        let is_file_number = |text: &str| {
            text.split_once('/').is_some_and(|(section, number)| is_digits(section, 2) && is_digits(number, 8))
        };
        if self.file_number.as_deref().is_some_and(|number| !is_file_number(number)) {
            return Err(StrictError::new("/file_number", "a file number is written like 22/12345678"));
        }
        if self.hk_proportion.is_some() && self.trade == Trade::WhollyHk {
            return Err(StrictError::new("/hk_proportion", "only of a trade partly outside Hong Kong"));
        }
        if self.commenced.zip(self.ceased).is_some_and(|(from, to)| to < from) {
            return Err(StrictError::new("/ceased", "before the business began"));
        }
        Ok(())
    }

    fn reads(&self, _: &Statement, _: &mut Reads) {}

    fn admit(&self, _: &Statement, _: &View) -> Result<(), Rejection> {
        Ok(())
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        changes(entry)
    }
}
