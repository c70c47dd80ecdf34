//! Kind `use`: how much of a right was used in a year of assessment, and by whom; the fraction is sealed.
//!
//! Its owner says so. The same asset, year and user once: whoever has to say otherwise says it by a correction, so that
//! which one counts is never a question of order.

use serde::{Deserialize, Serialize};

use super::{changes, opened, refuse, sealed_fields};
use crate::admission::{Change, Code, Entry, EvidenceKind, Reads, Rejection, Subject, UseKey, View};
use crate::kind::Kind;
use crate::money::Fraction;
use crate::sealed::{Commitment, Opening, SealedField};
use crate::statement::{Statement, StatementId};
use crate::strict::{StrictError, present};
use crate::tax::facts::UsedBy;
use crate::tax::year::Year;

/// What a `use` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseClaim {
    /// The right.
    pub asset: StatementId,
    /// The year of assessment.
    pub year: Year,
    /// Who used it.
    pub by: UsedBy,
    /// Whether what a licensee abroad pays is taxed in Hong Kong.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub taxed_in_hk: Option<bool>,
    /// The fraction, as a commitment.
    pub sealed: SealedUse,
}

/// The figure of a use as a commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedUse {
    /// Commitment to the part of the right that was used so, from 0 to 1.
    pub fraction: Commitment,
}

impl SealedUse {
    /// Name of the field.
    pub const FIELD: &'static str = "/fraction";
}

impl UseClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:use:v1";

    /// What makes it the same as another.
    pub const fn key(&self) -> UseKey {
        UseKey { asset: self.asset, year: self.year, by: self.by }
    }

    pub(super) fn validate_alone(&self) -> Result<(), StrictError> {
        if self.taxed_in_hk.is_some() && self.by != UsedBy::LicenseeAbroad {
            return Err(StrictError::new("/taxed_in_hk", "only of use by a licensee abroad"));
        }
        Ok(())
    }

    pub(super) fn sealed(&self) -> Vec<SealedField> {
        sealed_fields([(SealedUse::FIELD, self.sealed.fraction)])
    }

    pub(super) fn check_figures(openings: &[Opening]) -> Result<(), StrictError> {
        let fraction = opened(openings, SealedUse::FIELD, Fraction::parse)?;
        fraction.map(|_| ()).ok_or_else(|| StrictError::new(SealedUse::FIELD, "a fraction is needed"))
    }

    pub(super) fn admit_at(&self, at: &str, statement: &Statement, view: &View) -> Result<(), Rejection> {
        match view.evidence().standing(&self.asset, EvidenceKind::Asset) {
            Some(asset) if asset.issuer == statement.issuer() => Ok(()),
            Some(_) => Err(refuse(Code::NotAuthorised, "/issuer", "the owner of an asset says how it was used")),
            None => {
                let reason = format!("no asset {} is registered here, or it was reversed", self.asset);
                Err(refuse(Code::UnknownAsset, &format!("{at}/asset"), reason))
            }
        }
    }
}

impl Kind for UseClaim {
    fn validate(&self) -> Result<(), StrictError> {
        self.validate_alone()
    }

    fn sealed_fields(&self) -> Vec<SealedField> {
        self.sealed()
    }

    fn check_opened(&self, openings: &[Opening]) -> Result<(), StrictError> {
        Self::check_figures(openings)
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        reads.evidence.ids.push(self.asset);
        reads.evidence.subjects.push(Subject::Use(self.key()));
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        self.admit_at("/claim", statement, view)?;
        match view.evidence().about(&Subject::Use(self.key())) {
            Some(existing) => {
                let reason = "the use of this asset in this year by them is stated already; correct that statement";
                Err(refuse(Code::AlreadyRegistered, "/claim/year", reason).with_existing(existing))
            }
            None => Ok(()),
        }
    }

    fn may_be_said(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        self.admit_at("/claim", statement, view)
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        changes(entry)
    }
}
