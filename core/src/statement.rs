//! Statements: what is signed. An in-toto Statement v1 whose predicate carries one Chopmark claim.
//!
//! The exact payload bytes are what is signed and are never re-serialised; this module reads them strictly into types
//! and knows nothing of who may sign (each kind's module) or of what came before (`admission`).

mod envelope;
mod header;
mod id;

pub(crate) use envelope::WireEnvelope;
pub use envelope::{ENTRY_BYTES_MAX, Envelope, PAYLOAD_TYPE, SIGNATURES_MAX, Signature};
pub use header::{Header, Issuer, Nonce, RegistryRef, SignerGroup};
pub use id::{IdReference, ShownId, StatementId};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admission::{Code, Rejection};
use crate::artefact::ArtefactClaim;
use crate::digest::Sha256Digest;
use crate::kind::Claim;
use crate::strict::{self, StrictError};
use crate::time::Timestamp;

/// The in-toto statement type this registry reads (in-toto attestation framework v1).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Longest subject name, in characters; it is a label and decides nothing.
const SUBJECT_NAME_CHARACTERS_MAX: usize = 200;

/// A parsed and validated statement. Holding one says nothing about its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// SHA-256 of the payload bytes.
    pub id: StatementId,
    /// Digest of the thing the statement is about: a manifest or a descriptor.
    pub subject: Sha256Digest,
    /// Who says it, where, when, signed by whom.
    pub header: Header,
    /// What is said.
    pub claim: Claim,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireStatement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubject {
    name: String,
    digest: WireDigests,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDigests {
    sha256: Sha256Digest,
}

#[derive(Serialize)]
struct WirePredicate<'a> {
    #[serde(flatten)]
    header: &'a Header,
    claim: Value,
}

impl Statement {
    /// Reads payload bytes.
    ///
    /// # Errors
    /// A [`Rejection`] whose pointer leads into the payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Rejection> {
        Self::parse_strict(payload).map_err(|error| Rejection::in_payload(Code::InvalidStatement, error))
    }

    fn parse_strict(payload: &[u8]) -> Result<Self, StrictError> {
        let (wire, written) = match WireParts::of_registration(payload) {
            Some(parts) => (parts, None),
            None => WireParts::of_any(payload).map(|(parts, written)| (parts, Some(written)))?,
        };
        let WireParts { subject, header, claim } = wire;
        header.validate(&claim).map_err(|error| error.under("/predicate"))?;
        claim.kind().validate().map_err(|error| error.under("/predicate/claim"))?;
        let expected = match written {
            Some(written) => claim.subject(&written)?,
            // An artefact's subject is its manifest, however the claim is written.
            None => claim.subject(&Value::Null)?,
        };
        if subject != expected {
            let reason = format!("the subject of this kind of statement is the digest {expected}");
            return Err(StrictError::new("/subject/0/digest/sha256", reason));
        }
        Ok(Self { id: StatementId::of(payload), subject: expected, header, claim })
    }

    /// Writes the payload of a new statement, in canonical JSON.
    ///
    /// # Errors
    /// A [`Rejection`] when the statement would not be accepted when read back: what can't be parsed must not be signed.
    pub fn compose(subject_name: &str, header: &Header, claim: &Claim) -> Result<Vec<u8>, Rejection> {
        let compose = || {
            let value = claim.to_value()?;
            let wire = WireStatement {
                statement_type: STATEMENT_TYPE.to_owned(),
                subject: vec![WireSubject {
                    name: subject_name.chars().take(SUBJECT_NAME_CHARACTERS_MAX).collect(),
                    digest: WireDigests { sha256: claim.subject(&value)? },
                }],
                predicate_type: claim.predicate_type().to_owned(),
                predicate: strict::to_value(&WirePredicate { header, claim: value })?,
            };
            strict::to_canonical(&wire)
        };
        let payload = compose().map_err(|error| Rejection::in_payload(Code::InvalidStatement, error))?;
        Self::parse(&payload)?;
        Ok(payload)
    }

    /// The party that makes the statement: for a registration of a party, the party it creates.
    pub fn issuer(&self) -> StatementId {
        match self.header.issuer {
            Issuer::Own => self.id,
            Issuer::Party(id) => id,
        }
    }

    /// Digests of the documents that must be at hand to apply this statement.
    pub fn documents(&self) -> Vec<Sha256Digest> {
        self.claim.kind().documents()
    }
}

/// What a payload consists of, each well formed by itself.
#[derive(Debug, PartialEq, Eq)]
struct WireParts {
    subject: Sha256Digest,
    header: Header,
    claim: Claim,
}

/// The registration of an artefact, read in one go: most of a log is that.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRegistration {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: WireRegistrationPredicate,
}

/// [`Header`]'s members and the claim.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRegistrationPredicate {
    registry: RegistryRef,
    issuer: Issuer,
    issued_at: Timestamp,
    not_after: Timestamp,
    nonce: Nonce,
    signers: Vec<SignerGroup>,
    claim: ArtefactClaim,
}

impl WireParts {
    /// Of a payload that registers an artefact and is in order; `None` for every other.
    fn of_registration(payload: &[u8]) -> Option<Self> {
        if !str::from_utf8(payload).ok()?.contains(ArtefactClaim::PREDICATE_TYPE) {
            return None;
        }
        let wire: WireRegistration = strict::quick(payload)?;
        if wire.predicate_type != ArtefactClaim::PREDICATE_TYPE {
            return None;
        }
        let subject = check_frame(&wire.statement_type, &wire.subject).ok()?;
        let WireRegistrationPredicate { registry, issuer, issued_at, not_after, nonce, signers, claim } =
            wire.predicate;
        let header = Header { registry: Some(registry), issuer, issued_at, not_after, nonce, signers };
        Some(Self { subject, header, claim: Claim::Artefact(claim) })
    }

    /// Of any payload, with the claim as it is written.
    fn of_any(payload: &[u8]) -> Result<(Self, Value), StrictError> {
        let wire: WireStatement = strict::from_slice(payload)?;
        let subject = check_frame(&wire.statement_type, &wire.subject)?;
        let (header, written) = split_predicate(wire.predicate).map_err(|error| error.under("/predicate"))?;
        let header = strict::decode(&header).map_err(|error| error.under("/predicate"))?;
        let claim = Claim::decode(&wire.predicate_type, &written)
            .ok_or_else(|| StrictError::new("/predicateType", Claim::unknown_type(&wire.predicate_type)))?
            .map_err(|error| error.under("/predicate/claim"))?;
        Ok((Self { subject, header, claim }, written))
    }
}

/// What surrounds the predicate; gives the digest of the subject.
fn check_frame(statement_type: &str, subject: &[WireSubject]) -> Result<Sha256Digest, StrictError> {
    if statement_type != STATEMENT_TYPE {
        return Err(StrictError::new("/_type", format!("must be {STATEMENT_TYPE}")));
    }
    let [subject] = subject else {
        return Err(StrictError::new("/subject", format!("exactly one subject is needed, not {}", subject.len())));
    };
    if subject.name.is_empty() || subject.name.chars().count() > SUBJECT_NAME_CHARACTERS_MAX {
        let reason = format!("a label of 1 to {SUBJECT_NAME_CHARACTERS_MAX} characters is needed");
        return Err(StrictError::new("/subject/0/name", reason));
    }
    Ok(subject.digest.sha256)
}

/// Takes `claim` out of the predicate; what is left is the header.
fn split_predicate(predicate: Value) -> Result<(Value, Value), StrictError> {
    let Value::Object(mut members) = predicate else {
        return Err(StrictError::new("", "the predicate must be an object"));
    };
    let claim = members.remove("claim").ok_or_else(|| StrictError::new("", "missing field `claim`"))?;
    Ok((Value::Object(members), claim))
}

#[cfg(test)]
pub(crate) mod tests;
