//! What admission knows of expenditure: assets, payments and uses, each with its latest version.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::expenditure::{CorrectionClaim, Side};
use crate::kind::Claim;
use crate::statement::StatementId;
use crate::strict::{self, StrictError};
use crate::tax::facts::UsedBy;
use crate::tax::year::Year;

/// A statement of one of the kinds that reports on expenditure rest on, as it was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceChange {
    /// The statement.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// Who says it.
    pub issuer: StatementId,
    /// The parties that sign it, in its order.
    pub signers: Vec<StatementId>,
    /// What is said: a claim of kind `asset`, `expenditure`, `use`, `relation`, `tax_profile`, `fx_rate` or `correction`.
    pub claim: Claim,
}

/// What sort of entry can be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceKind {
    /// A right.
    Asset,
    /// A payment.
    Expenditure,
    /// A use.
    Use,
}

/// What makes a payment the same as an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentKey {
    /// Who paid.
    pub payer: Side,
    /// Who was paid.
    pub payee: Side,
    /// Number of the document.
    pub document: String,
}

/// What makes a use the same as an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseKey {
    /// The right.
    pub asset: StatementId,
    /// The year of assessment.
    pub year: Year,
    /// Who used it.
    pub by: UsedBy,
}

/// What an entry is about; no two entries are about the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A right: itself.
    Asset(StatementId),
    /// A payment.
    Payment(PaymentKey),
    /// A use.
    Use(UseKey),
}

impl Subject {
    /// SHA-256 of its canonical JSON: by this it is found, for names may be long.
    ///
    /// # Errors
    /// When it can't be written, which none causes.
    pub fn digest(&self) -> Result<Sha256Digest, StrictError> {
        Ok(Sha256Digest::of(&strict::to_canonical(self)?))
    }

    /// What kind of entry it is of.
    pub const fn kind(&self) -> EvidenceKind {
        match self {
            Self::Asset(_) => EvidenceKind::Asset,
            Self::Payment(_) => EvidenceKind::Expenditure,
            Self::Use(_) => EvidenceKind::Use,
        }
    }
}

/// An asset, a payment or a use as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// The statement that entered it first.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// Who said it.
    pub issuer: StatementId,
    /// The parties that signed it, and that sign its corrections.
    pub signers: Vec<StatementId>,
    /// What it is about.
    pub subject: Subject,
    /// The latest correction, or itself.
    pub head: StatementId,
    /// Whether the latest correction has nothing in its place.
    pub is_reversed: bool,
}

impl EvidenceRecord {
    /// What it is about.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }
}

impl EvidenceChange {
    /// The record it makes, where it is an asset, a payment or a use.
    pub fn record(&self) -> Option<EvidenceRecord> {
        let subject = match &self.claim {
            Claim::Asset(_) => Subject::Asset(self.id),
            Claim::Expenditure(claim) => Subject::Payment(claim.key()),
            Claim::Use(claim) => Subject::Use(claim.key()),
            _ => return None,
        };
        Some(EvidenceRecord {
            id: self.id,
            index: self.index,
            issuer: self.issuer,
            signers: self.signers.clone(),
            subject,
            head: self.id,
            is_reversed: false,
        })
    }

    /// The correction it is, if it is one.
    pub const fn correction(&self) -> Option<&CorrectionClaim> {
        match &self.claim {
            Claim::Correction(claim) => Some(claim),
            _ => None,
        }
    }
}

/// What must be looked up about expenditure before a batch can be judged.
#[derive(Debug, Clone, Default)]
pub struct EvidenceReads {
    /// Assets, payments and uses by id.
    pub ids: Vec<StatementId>,
    /// The same by what they are about.
    pub subjects: Vec<Subject>,
}

impl EvidenceReads {
    /// Whether nothing has to be looked up.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.subjects.is_empty()
    }
}

/// The part of the state that is about expenditure.
#[derive(Debug, Clone, Default)]
pub struct Evidenced {
    records: HashMap<StatementId, EvidenceRecord>,
    by_subject: HashMap<Subject, StatementId>,
}

impl Evidenced {
    /// An asset, a payment or a use.
    pub fn record(&self, id: &StatementId) -> Option<&EvidenceRecord> {
        self.records.get(id)
    }

    /// The same, where it is of this kind and was not reversed.
    pub fn standing(&self, id: &StatementId, kind: EvidenceKind) -> Option<&EvidenceRecord> {
        self.record(id).filter(|record| record.subject.kind() == kind && !record.is_reversed)
    }

    /// The entry that is about this.
    pub fn about(&self, subject: &Subject) -> Option<StatementId> {
        self.by_subject.get(subject).copied()
    }

    /// Takes in an asset, a payment or a use.
    pub fn load(&mut self, record: EvidenceRecord) {
        self.by_subject.insert(record.subject.clone(), record.id);
        self.records.insert(record.id, record);
    }

    /// Takes in what an entry says.
    pub(super) fn absorb(&mut self, change: &EvidenceChange) {
        if let Some(record) = change.record() {
            self.load(record);
        } else if let Some(correction) = change.correction()
            && let Some(record) = self.records.get_mut(&correction.entry)
        {
            record.head = change.id;
            record.is_reversed = correction.replacement.is_none();
        }
    }
}
