//! What entries change: one record for each thing the registry then knows.

use super::evidence::EvidenceChange;
use super::licensing::{LicenceChange, LicenceEventRecord, OfferRecord, TermsRecord};
use crate::artefact::ArtefactClaim;
use crate::attestation::AttestationClaim;
use crate::code::Jurisdiction;
use crate::digest::Sha256Digest;
use crate::key::{KeyId, PublicKey};
use crate::party::{Identifier, KeyRole};
use crate::policy::TrustAnchors;
use crate::statement::StatementId;
use crate::text::Names;

/// One change to the read tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Trust anchors were stated.
    Policy(PolicyRecord),
    /// A party came into being.
    Party(PartyRecord),
    /// A key became valid.
    Key(KeyRecord),
    /// A key may no longer sign, from this entry on.
    KeyEnded {
        /// The key.
        key: KeyId,
        /// The entry.
        index: u64,
    },
    /// A party's chain of key events grew.
    KeyEvent(KeyEventRecord),
    /// An artefact was registered.
    Artefact(ArtefactRecord),
    /// The operator verified who a party is, or took that back.
    PartyVerified {
        /// The party.
        party: StatementId,
        /// Entry from which on it counts as verified; `None` from now on.
        verified_from: Option<u64>,
    },
    /// Something was attested.
    Attestation(AttestationRecord),
    /// A statement was endorsed.
    Endorsement(EndorsementRecord),
    /// Terms were published.
    Terms(TermsRecord),
    /// Terms were offered.
    Offer(OfferRecord),
    /// A licence was granted.
    Licence(LicenceChange),
    /// Something happened to a licence.
    LicenceEvent(LicenceEventRecord),
    /// Something was said that reports on expenditure rest on.
    Evidence(Box<EvidenceChange>),
}

/// Trust anchors in force from an index on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRecord {
    /// Entry that stated them.
    pub index: u64,
    /// Its statement.
    pub statement: StatementId,
    /// The anchors.
    pub anchors: TrustAnchors,
}

/// A party as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyRecord {
    /// The party's id: the statement that created it.
    pub id: StatementId,
    /// Entry of that statement.
    pub index: u64,
    /// Names, self-declared.
    pub name: Names,
    /// Identifiers, self-declared.
    pub identifiers: Vec<Identifier>,
    /// Where it is established; the operator's party states none.
    pub jurisdiction: Option<Jurisdiction>,
    /// How many of its keys must sign together.
    pub threshold: u32,
    /// Latest event of its key chain.
    pub key_head: StatementId,
    /// Number of that event; the party's creation is 0.
    pub key_seq: u64,
    /// Root keys that may sign now. A record made by the fold says 0, and its keys count themselves.
    pub root_keys: u32,
    /// Entry by which the operator verified who it is, while that stands.
    pub verified_from: Option<u64>,
}

/// A key and the party it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// SHA-256 of the public key.
    pub id: KeyId,
    /// The key.
    pub public_key: PublicKey,
    /// Whose it is.
    pub party: StatementId,
    /// What it may sign.
    pub role: KeyRole,
    /// Entry from which on it may sign.
    pub valid_from: u64,
    /// Entry from which on it may no longer sign.
    pub valid_until: Option<u64>,
}

impl KeyRecord {
    /// A key that may sign from entry `valid_from` on.
    pub fn new(public_key: PublicKey, party: StatementId, role: KeyRole, valid_from: u64) -> Self {
        Self { id: public_key.id(), public_key, party, role, valid_from, valid_until: None }
    }
}

/// One event of a party's key chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEventRecord {
    /// The party.
    pub party: StatementId,
    /// Position in its chain, from 1.
    pub seq: u64,
    /// The statement.
    pub event: StatementId,
    /// Its entry.
    pub index: u64,
}

/// An artefact as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtefactRecord {
    /// The artefact's id: the statement that registered it.
    pub id: StatementId,
    /// Entry of that statement.
    pub index: u64,
    /// The party that registered it.
    pub owner: StatementId,
    /// What was said.
    pub claim: ArtefactClaim,
}

/// What admission knows of an artefact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtefactHead {
    /// The party that registered it.
    pub owner: StatementId,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
}

/// An attestation as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationRecord {
    /// The statement.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// Whose word it is.
    pub issuer: StatementId,
    /// What was said.
    pub claim: AttestationClaim,
}

/// An endorsement as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsementRecord {
    /// The statement that endorses.
    pub id: StatementId,
    /// Its entry.
    pub index: u64,
    /// The statement endorsed.
    pub statement: StatementId,
    /// Who endorses it.
    pub issuer: StatementId,
}

/// What makes a registration the same as an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey {
    /// The party that registers.
    pub owner: StatementId,
    /// Digest of the manifest.
    pub manifest: Sha256Digest,
    /// Version as stated.
    pub version: String,
}
