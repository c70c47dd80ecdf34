//! What is asked of a report: whose, which years, and which lines to show.

use serde::{Deserialize, Serialize};

use super::{Line, Payment, Role};
use crate::artefact::IpType;
use crate::expenditure::evidence::Status;
use crate::expenditure::payment::Nature;
use crate::expenditure::side::Side;
use crate::money::Amount;
use crate::statement::StatementId;
use crate::strict::{StrictError, present};
use crate::tax::lines::FlagCode;
use crate::tax::year::Year;

/// Most years and proposed rules of one query.
pub const LIST_MAX: usize = 100;

/// A query. Filters that are absent let everything through; those that are there hold together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Whose expenditure: a party. A service looks it up by business registration number before.
    pub taxpayer: StatementId,
    /// Years of assessment, ascending, none twice; all where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub years: Vec<Year>,
    /// Proposed rules to apply, by name, ascending, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposed_rules: Vec<String>,
    /// Only what this side paid.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub payer: Option<Side>,
    /// Only what this side was paid.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub payee: Option<Side>,
    /// Only rights of this type.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ip_type: Option<IpType>,
    /// Only payments of this nature.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub nature: Option<Nature>,
    /// Only rights registered in this place, or payments with somebody resident there.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Only payments with associates, or only others.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub associate: Option<bool>,
    /// Only payments of at least this many Hong Kong dollars.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub amount_min: Option<String>,
    /// Only payments of at most this many.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub amount_max: Option<String>,
    /// Only lines of which this is flagged.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub flag: Option<FlagCode>,
    /// Only what stands so.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

impl Query {
    /// Everything about a party.
    pub const fn all(taxpayer: StatementId) -> Self {
        Self {
            taxpayer,
            years: Vec::new(),
            proposed_rules: Vec::new(),
            payer: None,
            payee: None,
            ip_type: None,
            nature: None,
            place: None,
            associate: None,
            amount_min: None,
            amount_max: None,
            flag: None,
            status: None,
        }
    }

    /// Checks lists and amounts.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to the query.
    pub fn validate(&self) -> Result<(), StrictError> {
        let ascending = "at most 100 in ascending order, none twice";
        if self.years.len() > LIST_MAX || !self.years.is_sorted_by(|a, b| a < b) {
            return Err(StrictError::new("/years", ascending));
        }
        if self.proposed_rules.len() > LIST_MAX || !self.proposed_rules.is_sorted_by(|a, b| a < b) {
            return Err(StrictError::new("/proposed_rules", ascending));
        }
        for (member, text) in [("/amount_min", &self.amount_min), ("/amount_max", &self.amount_max)] {
            text.as_deref().map(Amount::parse).transpose().map_err(|reason| StrictError::new(member, reason))?;
        }
        if let Some(place) = &self.place {
            crate::code::Jurisdiction::new(place).map_err(|reason| StrictError::new("/place", reason))?;
        }
        Ok(())
    }

    /// Whether a year is asked about.
    pub fn asks_about(&self, year: Year) -> bool {
        self.years.is_empty() || self.years.binary_search(&year).is_ok()
    }

    /// Whether a payment is one that is asked for, whatever its year.
    pub(super) fn admits_payment(&self, payment: &Payment) -> bool {
        let taxpayer = Side::Party(self.taxpayer);
        let other = |side: &Side| match (side, payment.counterparty.party) {
            (Side::Party(asked), Some(party)) => *asked == party,
            (Side::Outside(asked), None) => {
                asked.name == payment.counterparty.name
                    && Some(asked.jurisdiction.as_str()) == payment.counterparty.residence.as_deref()
            }
            _ => false,
        };
        let stands_on = |side: &Side, role: Role| if payment.role == role { *side == taxpayer } else { other(side) };
        let bound = |text: &Option<String>| text.as_deref().and_then(|text| Amount::parse(text).ok());
        let (min, max) = (bound(&self.amount_min), bound(&self.amount_max));
        self.payer.as_ref().is_none_or(|side| stands_on(side, Role::Payer))
            && self.payee.as_ref().is_none_or(|side| stands_on(side, Role::Payee))
            && self.nature.is_none_or(|nature| nature == payment.nature)
            && self.associate.is_none_or(|associate| associate == payment.counterparty.associate)
            && min.is_none_or(|min| payment.hkd.is_some_and(|hkd| hkd >= min))
            && max.is_none_or(|max| payment.hkd.is_some_and(|hkd| hkd <= max))
            && self.status.is_none_or(|status| status == payment.status)
    }

    /// Whether any filter is about payments: lines without one are not asked for then.
    const fn is_about_payments(&self) -> bool {
        self.payer.is_some()
            || self.payee.is_some()
            || self.nature.is_some()
            || self.associate.is_some()
            || self.amount_min.is_some()
            || self.amount_max.is_some()
    }

    /// Whether what a payment or line is about is asked for: the type and the place.
    pub(super) fn admits_right(&self, ip_type: Option<IpType>, places: [Option<&str>; 2]) -> bool {
        self.ip_type.is_none_or(|asked| ip_type == Some(asked))
            && self.place.as_deref().is_none_or(|asked| places.contains(&Some(asked)))
    }

    /// Whether a line is asked for, flags apart.
    pub(super) fn admits_line(&self, line: &Line) -> bool {
        let residence = line.payment.as_ref().and_then(|payment| payment.counterparty.residence.as_deref());
        let registered = line.asset.as_ref().map(|asset| asset.jurisdiction.as_str());
        self.asks_about(line.year)
            && self.admits_right(line.ip_type, [registered, residence])
            && match &line.payment {
                Some(payment) => self.admits_payment(payment),
                None => !self.is_about_payments() && self.status.is_none_or(|status| status == line.status),
            }
    }
}
