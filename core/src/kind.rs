//! The kinds of statement, and the one shape they all have.
//!
//! A kind is a module of its own: the claim's type, what makes it well formed, which keys of the registry's state it
//! reads, who may sign it, and a pure fold of it into the read tables. This file only lists them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::admission::{Change, Entry, PartyRecord, Reads, Rejection, View};
use crate::artefact::ArtefactClaim;
use crate::digest::Sha256Digest;
use crate::key::PublicKey;
use crate::manifest::Manifest;
use crate::party::{KeyClaim, PartyClaim};
use crate::policy::PolicyClaim;
use crate::statement::Statement;
use crate::strict::{self, StrictError};

/// What every kind of statement defines.
pub trait Kind {
    /// Checks the claim alone.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to the claim.
    fn validate(&self) -> Result<(), StrictError>;

    /// Documents that must travel beside the statement or be known already; the first is what the claim is about.
    fn documents(&self) -> Vec<Sha256Digest> {
        Vec::new()
    }

    /// Checks what the claim says of its documents against the documents themselves.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to the claim.
    fn check_documents(&self, _: &BTreeMap<Sha256Digest, Manifest>) -> Result<(), StrictError> {
        Ok(())
    }

    /// Keys the claim itself introduces, which sign it to prove possession.
    fn own_keys(&self) -> &[PublicKey] {
        &[]
    }

    /// How many root keys of the issuer must sign, when no signing key does.
    fn root_signatures_needed(&self, _: &Statement, issuer: &PartyRecord) -> u32 {
        issuer.threshold
    }

    /// Adds what admission must look up before [`Kind::admit`] can decide.
    fn reads(&self, statement: &Statement, reads: &mut Reads);

    /// Decides whether the registry's state and the listed signers allow this statement.
    ///
    /// # Errors
    /// A [`Rejection`] with a stable code.
    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection>;

    /// What the entry changes: a pure function of the entry and its documents.
    fn apply(&self, entry: &Entry<'_>) -> Vec<Change>;
}

/// A claim of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Registry rules and trust anchors.
    Policy(PolicyClaim),
    /// An organisation exists.
    Party(PartyClaim),
    /// A party's keys change.
    Key(KeyClaim),
    /// Software, a model or a dataset is registered.
    Artefact(ArtefactClaim),
}

impl Claim {
    /// The kind's behaviour.
    pub fn kind(&self) -> &dyn Kind {
        match self {
            Self::Policy(claim) => claim,
            Self::Party(claim) => claim,
            Self::Key(claim) => claim,
            Self::Artefact(claim) => claim,
        }
    }

    /// The predicate type URN.
    pub fn predicate_type(&self) -> &'static str {
        match self {
            Self::Policy(_) => PolicyClaim::PREDICATE_TYPE,
            Self::Party(_) => PartyClaim::PREDICATE_TYPE,
            Self::Key(_) => KeyClaim::PREDICATE_TYPE,
            Self::Artefact(_) => ArtefactClaim::PREDICATE_TYPE,
        }
    }

    /// The claim as JSON.
    ///
    /// # Errors
    /// When the claim can't be written as JSON, which none causes.
    pub fn to_value(&self) -> Result<Value, StrictError> {
        match self {
            Self::Policy(claim) => strict::to_value(claim),
            Self::Party(claim) => strict::to_value(claim),
            Self::Key(claim) => strict::to_value(claim),
            Self::Artefact(claim) => strict::to_value(claim),
        }
    }

    /// The digest a statement's only subject must have: that of the document the claim is about, or else the SHA-256 of
    /// the claim's own canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// When the claim can't be written in canonical form, which none causes.
    pub fn subject(&self) -> Result<Sha256Digest, StrictError> {
        match self.kind().documents().first() {
            Some(document) => Ok(*document),
            None => Ok(Sha256Digest::of(&strict::to_canonical(&self.to_value()?)?)),
        }
    }

    /// The kind's short name, as used in tables and filters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Policy(_) => "policy",
            Self::Party(_) => "party",
            Self::Key(_) => "key",
            Self::Artefact(_) => "artefact",
        }
    }

    /// Prefix of ids shown to people.
    pub fn id_prefix(&self) -> &'static str {
        match self {
            Self::Policy(_) => "pol",
            Self::Party(_) => "pty",
            Self::Key(_) => "kev",
            Self::Artefact(_) => "art",
        }
    }

    /// Decodes a claim; `None` when the predicate type is of no known kind.
    pub(crate) fn decode(predicate_type: &str, value: Value) -> Option<Result<Self, StrictError>> {
        match predicate_type {
            PolicyClaim::PREDICATE_TYPE => Some(strict::decode(value).map(Self::Policy)),
            PartyClaim::PREDICATE_TYPE => Some(strict::decode(value).map(Self::Party)),
            KeyClaim::PREDICATE_TYPE => Some(strict::decode(value).map(Self::Key)),
            ArtefactClaim::PREDICATE_TYPE => Some(strict::decode(value).map(Self::Artefact)),
            _ => None,
        }
    }

    /// The sentence for a predicate type nobody here knows.
    pub(crate) fn unknown_type(predicate_type: &str) -> String {
        let known = [
            PolicyClaim::PREDICATE_TYPE,
            PartyClaim::PREDICATE_TYPE,
            KeyClaim::PREDICATE_TYPE,
            ArtefactClaim::PREDICATE_TYPE,
        ]
        .join(", ");
        format!("{predicate_type:?} is not a kind of statement this registry admits; known kinds: {known}")
    }

    /// Whether this claim founds a registry: entry 0 and nothing else.
    pub fn founds_registry(&self) -> bool {
        matches!(self, Self::Policy(PolicyClaim::Descriptor(_)))
    }

    /// Whether this claim creates the party that issues it.
    pub fn creates_party(&self) -> bool {
        self.founds_registry() || matches!(self, Self::Party(_))
    }
}
