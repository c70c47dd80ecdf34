//! Kind `fx_rate`: a rate of exchange as somebody published it, with its source and its date.
//!
//! The operator's count for everybody, a taxpayer's own for itself. Both quotations in use are written as they stand: 1 USD
//! is 7.8269 HKD, or 100 HKD are 90.8419 CNY.

use serde::{Deserialize, Serialize};

use super::{changes, positive};
use crate::admission::{Change, Entry, Reads, Rejection, View};
use crate::kind::Kind;
use crate::money::{Currency, RATE_DECIMALS_MAX};
use crate::statement::Statement;
use crate::strict::StrictError;
use crate::tax::fx::HKD;
use crate::tax::year::Date;
use crate::text::validate_name;

/// What an `fx_rate` statement says: `units` of `from` are `rate` of `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FxRateClaim {
    /// The currency counted in units.
    pub from: Currency,
    /// How many units, as a decimal number.
    pub units: String,
    /// The currency they are expressed in; one of the two is HKD.
    pub to: Currency,
    /// How much of it they are, as a decimal number.
    pub rate: String,
    /// Who published it, and as what.
    pub source: String,
    /// For which day, or up to which.
    pub date: Date,
}

impl FxRateClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:fx_rate:v1";

    /// The currency that is not the Hong Kong dollar.
    pub fn foreign(&self) -> Currency {
        if self.from.as_str() == HKD { self.to } else { self.from }
    }
}

impl Kind for FxRateClaim {
    fn validate(&self) -> Result<(), StrictError> {
        if (self.from.as_str() == HKD) == (self.to.as_str() == HKD) {
            return Err(StrictError::new("/to", "one of the two currencies is HKD"));
        }
        positive("/units", &self.units, RATE_DECIMALS_MAX)?;
        positive("/rate", &self.rate, RATE_DECIMALS_MAX)?;
        validate_name(&self.source).map_err(|reason| StrictError::new("/source", reason))
    }

    fn reads(&self, _: &Statement, _: &mut Reads) {}

    fn admit(&self, _: &Statement, _: &View) -> Result<(), Rejection> {
        Ok(())
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        changes(entry)
    }
}
