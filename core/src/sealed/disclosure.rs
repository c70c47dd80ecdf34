//! Disclosures: one sealed field, opened, with everything that proves it offline. No other field becomes any easier to
//! open: each has a salt of its own, and this file holds one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Field, Opening, Place};
use crate::bundle::{BUNDLE_BYTES_MAX, BUNDLE_SCHEMA, Bundle, BundleError};
use crate::ledger::checkpoint::Checkpoint;
use crate::statement::Statement;
use crate::strict::{self, StrictError};
use crate::trust::TrustPolicy;

/// Schema name of the document.
pub const DISCLOSURE_SCHEMA: &str = "chopmark.disclosure/v1";

/// Most bytes of a disclosure: a bundle and one value.
pub const DISCLOSURE_BYTES_MAX: usize = BUNDLE_BYTES_MAX + (64 << 10);

/// A disclosure as it is written and read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// [`DISCLOSURE_SCHEMA`].
    pub schema: String,
    /// Proof of the statement, with the documents that hold its commitments.
    pub bundle: Bundle,
    /// The one field.
    pub opening: Opening,
}

/// What a disclosure proves.
#[derive(Debug, Clone)]
pub struct Disclosed {
    /// The statement the field belongs to.
    pub statement: Statement,
    /// Its position in the log.
    pub index: u64,
    /// The checkpoint it is proved against.
    pub checkpoint: Checkpoint,
    /// Which field.
    pub field: Field,
    /// Its value; `None` when what is proved is that there is none.
    pub value: Option<Value>,
}

fn invalid(place: &str, reason: impl core::fmt::Display) -> BundleError {
    BundleError::Invalid { place: place.to_owned(), reason: reason.to_string() }
}

impl Disclosure {
    /// Reads a disclosure. It has one spelling: canonical JSON (RFC 8785) and a line end.
    ///
    /// # Errors
    /// [`BundleError::Invalid`] naming the member.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > DISCLOSURE_BYTES_MAX {
            return Err(invalid("disclosure", format!("larger than {DISCLOSURE_BYTES_MAX} bytes")));
        }
        let disclosure: Self = strict::from_slice(bytes)
            .map_err(|StrictError { pointer, reason }| invalid(&format!("disclosure{pointer}"), reason))?;
        if disclosure.schema != DISCLOSURE_SCHEMA {
            return Err(invalid("disclosure/schema", format!("must be {DISCLOSURE_SCHEMA}")));
        }
        if disclosure.bundle.schema != BUNDLE_SCHEMA {
            return Err(invalid("disclosure/bundle/schema", format!("must be {BUNDLE_SCHEMA}")));
        }
        match disclosure.to_bytes() {
            Ok(written) if written == bytes => Ok(disclosure),
            Ok(_) => Err(invalid("disclosure", "is not spelled as disclosures are written")),
            Err(error) => Err(invalid("disclosure", error)),
        }
    }

    /// The file: canonical JSON and a line end.
    ///
    /// # Errors
    /// A [`StrictError`] when it can't be written as JSON, which no disclosure causes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StrictError> {
        let mut bytes = strict::to_canonical(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Checks everything the file claims, trusting only `trust`: the log holds the statement, whoever had to has signed
    /// it, and this is the value that its commitment is to.
    ///
    /// # Errors
    /// A [`BundleError`]: what does not hold and where, or which trust is missing.
    pub fn verify(&self, trust: &TrustPolicy) -> Result<Disclosed, BundleError> {
        let proved = self.bundle.prove(trust)?;
        let statement = proved.submission.statement;
        let claim = &statement.claim;
        let sealed = claim.kind().sealed_fields();
        let there = sealed.iter().find(|there| there.field == self.opening.field);
        let there = there.ok_or_else(|| {
            invalid("opening/field", format!("the statement has no sealed field {}", self.opening.field))
        })?;
        let place = Place::of(&statement.header, claim.predicate_type());
        if self.opening.commitment(&place) != there.commitment {
            return Err(invalid("opening", format!("is not what {} commits to", there.field)));
        }
        let value = self.opening.value().map(strict::value_from_slice).transpose();
        let value = value.map_err(|error| invalid("opening/value", error))?;
        Ok(Disclosed {
            index: proved.index,
            checkpoint: proved.checkpoint,
            field: there.field.clone(),
            value,
            statement,
        })
    }
}
