//! Kind `correction`: an asset, a payment or a use is reversed, or another version stands in its place.
//!
//! Whoever signed the first one signs this. Corrections of one entry form a chain (`entry`, `prev`), so that each has one
//! successor at most and none is made in ignorance of another. What the first said stays in the log; reports show the pair.
//! A new version is between the same sides under the same document, or about the same asset, year and user: anything else is
//! a reversal and a new entry. A reversal is taken back by a correction that has a version in its place.

use serde::{Deserialize, Serialize};

use super::asset::AssetClaim;
use super::payment::ExpenditureClaim;
use super::used::UseClaim;
use super::{changes, refuse};
use crate::admission::{Change, Code, Entry, EvidenceKind, Reads, Rejection, Subject, View};
use crate::bundle::signing_parties;
use crate::kind::{Kind, NewReader, OpeningsOf};
use crate::sealed::{Opening, SealedField};
use crate::statement::{Statement, StatementId};
use crate::strict::{StrictError, present};

/// Why something is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionReason {
    /// A figure was wrong.
    Amount,
    /// A day or a year was wrong.
    Date,
    /// Its nature, or facts about it, were wrong.
    Classification,
    /// It names the wrong right, licence or document.
    Reference,
    /// It was entered twice.
    Duplicate,
    /// It never happened.
    NotIncurred,
    /// Something happened since: a lapse, a title that left.
    LaterEvent,
}

impl CorrectionReason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Amount,
        Self::Date,
        Self::Classification,
        Self::Reference,
        Self::Duplicate,
        Self::NotIncurred,
        Self::LaterEvent,
    ];
}

/// What stands in the place of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// Of an asset.
    Asset(Box<AssetClaim>),
    /// Of a payment.
    Expenditure(Box<ExpenditureClaim>),
    /// Of a use.
    Use(UseClaim),
}

/// What a `correction` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionClaim {
    /// The asset, payment or use: the statement that entered it first.
    pub entry: StatementId,
    /// The latest correction of it; the entry itself when this is the first.
    pub prev: StatementId,
    /// Why.
    pub reason: CorrectionReason,
    /// What stands in its place; it is reversed and nothing does, where this is absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
}

impl Replacement {
    /// What kind of entry it stands for.
    pub const fn kind(&self) -> EvidenceKind {
        match self {
            Self::Asset(_) => EvidenceKind::Asset,
            Self::Expenditure(_) => EvidenceKind::Expenditure,
            Self::Use(_) => EvidenceKind::Use,
        }
    }

    /// The member it is written as.
    const fn member(&self) -> &'static str {
        match self {
            Self::Asset(_) => "/replacement/asset",
            Self::Expenditure(_) => "/replacement/expenditure",
            Self::Use(_) => "/replacement/use",
        }
    }
}

impl CorrectionClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:correction:v1";

    /// Whether a replacement is about the same thing, and its own issuer's to say.
    fn check_replacement(
        &self,
        replacement: &Replacement,
        subject: &Subject,
        statement: &Statement,
        view: &View,
    ) -> Result<(), Rejection> {
        let at = format!("/claim{}", replacement.member());
        let is_same = match (replacement, subject) {
            (Replacement::Asset(_), Subject::Asset(id)) => *id == self.entry,
            (Replacement::Expenditure(claim), Subject::Payment(key)) => claim.key() == *key,
            (Replacement::Use(claim), Subject::Use(key)) => claim.key() == *key,
            _ => false,
        };
        if !is_same {
            let reason = "not the same sort of entry about the same thing: payer, payee and document, or asset, year and \
                          user, stay; reverse it and enter another instead";
            return Err(refuse(Code::CorrectionDiffers, &at, reason));
        }
        match replacement {
            Replacement::Asset(_) => Ok(()),
            Replacement::Expenditure(claim) => claim.is_said_by_a_side(statement),
            Replacement::Use(claim) => claim.admit_at(&at, statement, view),
        }
    }
}

impl Kind for CorrectionClaim {
    fn validate(&self) -> Result<(), StrictError> {
        let Some(replacement) = &self.replacement else { return Ok(()) };
        let checked = match replacement {
            Replacement::Asset(claim) => claim.validate_alone(),
            Replacement::Expenditure(claim) => claim.validate_alone(),
            Replacement::Use(claim) => claim.validate_alone(),
        };
        checked.map_err(|error| error.under(replacement.member()))
    }

    fn sealed_fields(&self) -> Vec<SealedField> {
        match &self.replacement {
            Some(Replacement::Expenditure(claim)) => claim.sealed(),
            Some(Replacement::Use(claim)) => claim.sealed(),
            Some(Replacement::Asset(_)) | None => Vec::new(),
        }
    }

    fn check_opened(&self, openings: &[Opening]) -> Result<(), StrictError> {
        match &self.replacement {
            Some(Replacement::Expenditure(claim)) => claim.check_figures(openings),
            Some(Replacement::Use(_)) => UseClaim::check_figures(openings),
            Some(Replacement::Asset(_)) | None => Ok(()),
        }
    }

    fn new_readers(&self, statement: &Statement) -> Vec<NewReader> {
        match &self.replacement {
            Some(Replacement::Expenditure(claim)) => claim.readers(OpeningsOf::Statement(statement.id)),
            _ => Vec::new(),
        }
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        reads.evidence.ids.push(self.entry);
        match &self.replacement {
            Some(Replacement::Asset(claim)) => claim.needs(reads),
            Some(Replacement::Expenditure(claim)) => claim.needs(reads),
            Some(Replacement::Use(claim)) => reads.evidence.ids.push(claim.asset),
            None => {}
        }
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        self.may_be_said(statement, view)?;
        let Some(replacement) = &self.replacement else { return Ok(()) };
        let at = format!("/claim{}", replacement.member());
        match replacement {
            Replacement::Asset(claim) => claim.admit_at(&at, view),
            Replacement::Expenditure(claim) => claim.admit_at(&at, statement, view),
            // Judged already: nothing else is named.
            Replacement::Use(_) => Ok(()),
        }
    }

    fn may_be_said(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let Some(entry) = view.evidence().record(&self.entry) else {
            let reason = format!("the log holds no asset, expenditure or use {}", self.entry);
            return Err(refuse(Code::UnknownStatement, "/claim/entry", reason));
        };
        if self.prev != entry.head {
            let reason = format!("its latest version is {}; a correction follows that one", entry.head);
            return Err(refuse(Code::AlreadyCorrected, "/claim/prev", reason).with_existing(entry.head));
        }
        if !entry.signers.contains(&statement.issuer()) {
            let reason = "whoever signed the entry corrects it";
            return Err(refuse(Code::NotAuthorised, "/issuer", reason));
        }
        let signing = signing_parties(statement);
        if let Some(missing) = entry.signers.iter().find(|signer| !signing.contains(signer)) {
            let reason = format!("party {missing} signed the entry and does not sign its correction");
            return Err(refuse(Code::ThresholdNotMet, "/signers", reason));
        }
        match &self.replacement {
            Some(replacement) => self.check_replacement(replacement, &entry.subject, statement, view),
            None if entry.is_reversed => {
                let reason = "it is reversed already";
                Err(refuse(Code::AlreadyCorrected, "/claim/entry", reason).with_existing(entry.head))
            }
            None => Ok(()),
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        changes(entry)
    }
}
