//! Licence terms: a document of enumerated clauses that programs can compare and people can read in three languages.
//!
//! Terms are content-addressed: their id is the SHA-256 of their canonical JSON, so nothing changes under a licensee.
//! [`Terms::parse`] is the only way in for documents from elsewhere: strict JSON, then the rules that hold between clauses.
//! Free text stands only in `rider` and in a notice to be reproduced; whoever compares terms has to read a rider.

mod check;
mod clauses;
mod consideration;
pub mod field;
pub mod figures;
pub mod period;
pub mod place;
pub mod preset;
mod sealing;
mod summary;
pub mod vocabulary;
pub mod words;

#[cfg(test)]
pub(crate) mod generate;
#[cfg(test)]
mod tests;

use core::fmt;

use serde::{Deserialize, Serialize};

pub use self::check::CONSIDERATIONS_MAX;
pub use self::clauses::{
    ApprovalNumber, Article, Audit, CatalogueNumber, Compliance, Derivatives, Ending, ExclusiveScope, Exclusivity,
    Grant, Law, Metric, Outputs, Redistribution, Renewal, Sublicensing, Tax, TechnologyExport, Term, Termination,
    Treaty, UseRestrictions,
};
pub use self::consideration::{Consideration, Figures, Schedule, SealedFigures, TIERS_MAX, Tier};
pub use self::field::FieldOfUse;
pub use self::place::Territory;
pub use self::preset::Preset;
pub use self::summary::{Section, Summary};
use crate::digest::{Sha256Digest, digest_type};
use crate::licence::DeclaredLicence;
use crate::statement::ShownId;
use crate::strict::{self, StrictError, present};
use crate::text::Texts;

/// Most bytes of a terms document. The largest preset has 2 kB; riders are texts, not contracts.
pub const TERMS_SIZE_BYTES_MAX: usize = 64 * 1024;

/// Start of the name by which an SPDX expression refers to terms; their id follows.
pub const LICENCE_REF_PREFIX: &str = "LicenseRef-chopmark-";

digest_type! {
    /// SHA-256 of the canonical JSON (RFC 8785) of a terms document.
    TermsId
}

impl TermsId {
    /// The form shown to people: `trm_…`.
    pub fn shown(&self) -> ShownId {
        ShownId::of("trm", self.as_bytes())
    }

    /// The name of these terms in an SPDX expression.
    pub fn licence_ref(&self) -> String {
        format!("{LICENCE_REF_PREFIX}{self}")
    }
}

/// The only schema there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schema {
    /// The first.
    #[serde(rename = "chopmark.terms/v1")]
    V1,
}

/// A terms document. What [`Terms::parse`] returns also satisfies every rule of [`Terms::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// How the document is to be read.
    pub schema: Schema,
    /// The public licence whose terms these restate, where they do. Its own text is then what counts.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub licence: Option<DeclaredLicence>,
    /// What is granted.
    pub grant: Grant,
    /// Whether others may be licensed as well.
    pub exclusivity: Exclusivity,
    /// How far rights may be passed on.
    pub sublicensing: Sublicensing,
    /// Where.
    pub territory: Territory,
    /// For what.
    pub field: FieldOfUse,
    /// For how long.
    pub term: Term,
    /// How much; as much as anybody likes when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric: Vec<Metric>,
    /// What may be made of it.
    pub derivatives: Derivatives,
    /// What a model puts out.
    pub outputs: Outputs,
    /// Uses that are ruled out.
    pub use_restrictions: UseRestrictions,
    /// Copies for others.
    pub redistribution: Redistribution,
    /// What is paid; nothing when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consideration: Vec<Consideration>,
    /// Which law. Terms under which something is paid name one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub law: Option<Law>,
    /// Reports, and looking at the books.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Why it may be ended.
    pub termination: Termination,
    /// What the parties say about withholding tax.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
    /// What public law asks about.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance>,
    /// Anything that no clause above can say. No program understands it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub rider: Option<Texts>,
}

impl Terms {
    /// Reads a terms document, in any JSON spelling.
    ///
    /// # Errors
    /// A [`StrictError`] with a JSON pointer for what is not strict JSON of the schema, for more than
    /// [`TERMS_SIZE_BYTES_MAX`] bytes, and for everything that [`Terms::validate`] refuses.
    pub fn parse(bytes: &[u8]) -> Result<Self, StrictError> {
        if bytes.len() > TERMS_SIZE_BYTES_MAX {
            return Err(StrictError::new("", format!("terms have at most {TERMS_SIZE_BYTES_MAX} bytes")));
        }
        let terms: Self = strict::from_slice(bytes)?;
        terms.validate()?;
        Ok(terms)
    }

    /// The canonical bytes (RFC 8785), over which the id is taken.
    ///
    /// # Errors
    /// None in practice: see [`strict::to_canonical`].
    pub fn to_canonical(&self) -> Result<Vec<u8>, StrictError> {
        strict::to_canonical(self)
    }

    /// `sha256(JCS(terms))`.
    ///
    /// # Errors
    /// None in practice: see [`strict::to_canonical`].
    pub fn id(&self) -> Result<TermsId, StrictError> {
        Ok(TermsId::from_bytes(*Sha256Digest::of(&self.to_canonical()?).as_bytes()))
    }

    /// Whether some of what is paid is confidential.
    pub fn is_sealed(&self) -> bool {
        self.consideration.iter().any(|consideration| consideration.sealed.is_some())
    }
}

impl fmt::Display for Terms {
    /// The document as people edit it: two spaces a level, members in the order of this module.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}
