//! The kinds of statement, and the one shape they all have.
//!
//! A kind is a module of its own: the claim's type, what makes it well formed, which keys of the registry's state it
//! reads, who may sign it, and a pure fold of it into the read tables. This file only lists them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::admission::{Change, Entry, PartyRecord, Reads, Rejection, View};
use crate::artefact::ArtefactClaim;
use crate::attestation::AttestationClaim;
use crate::digest::Sha256Digest;
use crate::endorsement::EndorsementClaim;
use crate::erased::ErasedClaim;
use crate::expenditure::{
    AssetClaim, CorrectionClaim, ExpenditureClaim, FxRateClaim, RelationClaim, TaxProfileClaim, UseClaim,
};
use crate::key::PublicKey;
use crate::licensing::{GrantClaim, LicenceStatusClaim, OfferClaim, TermsClaim};
use crate::manifest::Manifest;
use crate::party::{KeyClaim, PartyClaim};
use crate::policy::PolicyClaim;
use crate::sealed::{Opening, SealedField};
use crate::statement::{Statement, StatementId};
use crate::strict::{self, StrictError};
use crate::terms::TermsId;

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

    /// What the statement's only subject must be; where nothing is said, the canonical JSON of the claim.
    fn subject(&self) -> Option<Sha256Digest> {
        self.documents().first().copied()
    }

    /// Checks what the claim says of its documents against the documents themselves.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to the claim.
    fn check_documents(&self, _: &BTreeMap<Sha256Digest, Manifest>) -> Result<(), StrictError> {
        Ok(())
    }

    /// The sealed fields of the claim, in schema order.
    fn sealed_fields(&self) -> Vec<SealedField> {
        Vec::new()
    }

    /// Checks the values that were sealed: what would not be accepted openly must not be sealed either.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to the claim.
    fn check_opened(&self, _: &[Opening]) -> Result<(), StrictError> {
        Ok(())
    }

    /// Who may read which openings from this entry on, beside the parties that signed what they belong to.
    fn new_readers(&self, _: &Statement) -> Vec<NewReader> {
        Vec::new()
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

    /// Decides who may say this by the entries that it is about: the part of [`Kind::admit`] that is judged also where nothing
    /// else that it names is at hand.
    ///
    /// # Errors
    /// A [`Rejection`], as [`Kind::admit`].
    fn may_be_said(&self, _: &Statement, _: &View) -> Result<(), Rejection> {
        Ok(())
    }

    /// What the entry changes: a pure function of the entry and its documents.
    fn apply(&self, entry: &Entry<'_>) -> Vec<Change>;
}

/// A party that may read openings from some entry on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewReader {
    /// The party.
    pub party: StatementId,
    /// What it may read.
    pub of: OpeningsOf,
}

/// Whose openings somebody may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpeningsOf {
    /// Those of a statement.
    Statement(StatementId),
    /// Those of terms, in the statement by which this party published them.
    Terms {
        /// The terms.
        id: TermsId,
        /// The party.
        publisher: StatementId,
    },
}

/// Lists the kinds once: the enum, the predicate types, the names in tables and filters, the prefixes of shown ids.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($claim:ty) = $name:literal, $prefix:literal;)*) => {
        /// A claim of any kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Claim { $($(#[$doc])* $variant($claim),)* }

        impl Claim {
            /// Predicate types of all kinds.
            pub const PREDICATE_TYPES: &'static [&'static str] = &[$(<$claim>::PREDICATE_TYPE,)*];

            /// Short names of all kinds.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The kind's behaviour.
            pub fn kind(&self) -> &dyn Kind {
                match self { $(Self::$variant(claim) => claim,)* }
            }

            /// The predicate type URN.
            pub fn predicate_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$claim>::PREDICATE_TYPE,)* }
            }

            /// The claim as JSON.
            ///
            /// # Errors
            /// When the claim can't be written as JSON, which none causes.
            pub fn to_value(&self) -> Result<Value, StrictError> {
                match self { $(Self::$variant(claim) => strict::to_value(claim),)* }
            }

            /// The kind's short name, as used in tables and filters.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Prefix of ids shown to people, of the kind with this short name.
            pub fn id_prefix_of(name: &str) -> Option<&'static str> {
                match name { $($name => Some($prefix),)* _ => None }
            }

            /// Prefix of ids shown to people.
            pub fn id_prefix(&self) -> &'static str {
                match self { $(Self::$variant(_) => $prefix,)* }
            }

            /// Decodes a claim; `None` when the predicate type is of no known kind.
            pub(crate) fn decode(predicate_type: &str, value: &Value) -> Option<Result<Self, StrictError>> {
                match predicate_type {
                    $(<$claim>::PREDICATE_TYPE => Some(strict::decode(value).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Registry rules and trust anchors.
    Policy(PolicyClaim) = "policy", "pol";
    /// An organisation exists.
    Party(PartyClaim) = "party", "pty";
    /// A party's keys change.
    Key(KeyClaim) = "key", "kev";
    /// Software, a model or a dataset is registered.
    Artefact(ArtefactClaim) = "artefact", "art";
    /// Somebody checked something.
    Attestation(AttestationClaim) = "attestation", "att";
    /// A party signs an earlier statement too.
    Endorsement(EndorsementClaim) = "endorsement", "end";
    /// The openings of sealed fields were destroyed.
    Erased(ErasedClaim) = "erased", "era";
    /// Somebody paid for intellectual property.
    Expenditure(ExpenditureClaim) = "expenditure", "exp";
    /// A licensor publishes terms.
    Terms(TermsClaim) = "terms", "tms";
    /// A licensor offers terms for artefacts.
    Offer(OfferClaim) = "offer", "off";
    /// A licence is granted.
    Grant(GrantClaim) = "grant", "lic";
    /// A licence is suspended, taken up again or terminated.
    LicenceStatus(LicenceStatusClaim) = "licence_status", "lst";
    /// A party has an intellectual property right.
    Asset(AssetClaim) = "asset", "ast";
    /// A right was used in a year.
    Use(UseClaim) = "use", "use";
    /// A party says who its associates are.
    Relation(RelationClaim) = "relation", "rel";
    /// A party says how it is assessed.
    TaxProfile(TaxProfileClaim) = "tax_profile", "tpf";
    /// A rate of exchange was published.
    FxRate(FxRateClaim) = "fx_rate", "fxr";
    /// An asset, a payment or a use is corrected.
    Correction(CorrectionClaim) = "correction", "cor";
}

impl Claim {
    /// The digest a statement's only subject must have: that of the document the claim is about, or else the SHA-256 of
    /// the canonical JSON (RFC 8785) of the claim as it is written, which may say what goes without saying.
    ///
    /// # Errors
    /// When the claim can't be written in canonical form, which none causes.
    pub(crate) fn subject(&self, written: &Value) -> Result<Sha256Digest, StrictError> {
        match self.kind().subject() {
            Some(subject) => Ok(subject),
            None => Ok(Sha256Digest::of(&strict::to_canonical(written)?)),
        }
    }

    /// The sentence for a predicate type nobody here knows.
    pub(crate) fn unknown_type(predicate_type: &str) -> String {
        let known = Self::PREDICATE_TYPES.join(", ");
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
