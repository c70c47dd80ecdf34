//! Offline bundles (`.chop`): one JSON document that proves a registration without the registry.
//!
//! It holds the statement, its manifest, the founding entry and the key chain of every signer, each with an inclusion
//! proof in one checkpoint. Verification replays admission over the key chain; trust comes from the verifier alone.

use core::fmt;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admission::{PartyRecord, Rejection, View};
use crate::artefact::ArtefactClaim;
use crate::base64;
use crate::digest::Sha256Digest;
use crate::kind::Claim;
use crate::ledger::checkpoint::{Checkpoint, open_checkpoint};
use crate::ledger::note::VerifierKey;
use crate::ledger::proof::TlogProof;
use crate::ledger::tree::leaf_hash;
use crate::licensing::{LicenceProof, ProvenLicence};
use crate::manifest::Manifest;
use crate::policy::PolicyClaim;
use crate::statement::{Envelope, Issuer, RegistryRef, Statement, StatementId};
use crate::strict::{self, StrictError, present};
use crate::submission::{DOCUMENT_BYTES_MAX, Submission};
use crate::trust::TrustPolicy;

/// Schema name of the document.
pub const BUNDLE_SCHEMA: &str = "chopmark.bundle/v1";

/// Most bytes of a bundle: the largest manifest in base64, and generous room for proofs and key chains.
pub const BUNDLE_BYTES_MAX: usize = DOCUMENT_BYTES_MAX / 3 * 4 + (8 << 20);

/// Most entries of one key chain.
pub const KEY_CHAIN_MAX: usize = 1_000;

/// A bundle as it is written and read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`BUNDLE_SCHEMA`].
    pub schema: String,
    /// The registry it is from.
    pub registry: RegistryRef,
    /// What shows that nothing later contradicts it.
    pub closure: Closure,
    /// The registration.
    pub statement: ProvenEntry,
    /// The documents it names, in padded base64.
    pub documents: Vec<String>,
    /// Entry 0 of the registry.
    pub genesis: ProvenEntry,
    /// Key chain of every party that signed.
    pub key_chains: Vec<KeyChain>,
    /// A licence in the artefact, where the bundle is one of a licence.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub licence: Option<LicenceProof>,
}

/// What shows that no later entry (a revocation, say) was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closure {
    /// Nothing but the registry's word.
    RegistryAsserted,
}

impl Closure {
    /// What a person must know about it.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::RegistryAsserted => {
                "registry_asserted: the registry says that no later entry changes this; the bundle itself does not prove it"
            }
        }
    }
}

/// An entry and the proof that the log holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenEntry {
    /// The DSSE envelope.
    pub envelope: Value,
    /// C2SP tlog-proof text.
    pub proof: String,
}

/// All key events of one party up to the proven statement, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChain {
    /// The party.
    pub party: StatementId,
    /// Its creation, then every later key event.
    pub entries: Vec<ProvenEntry>,
}

/// What a bundle proves.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The registration.
    pub statement: Statement,
    /// What it says.
    pub artefact: ArtefactClaim,
    /// What the artefact consists of.
    pub manifest: Manifest,
    /// The party that registered it.
    pub owner: PartyRecord,
    /// Position in the log.
    pub index: u64,
    /// The checkpoint everything is proved against.
    pub checkpoint: Checkpoint,
    /// What shows that nothing was left out.
    pub closure: Closure,
    /// A licence in the artefact, where the bundle proves one.
    pub licence: Option<ProvenLicence>,
}

/// A statement that the log is proved to hold.
#[derive(Debug, Clone)]
pub struct ProvenStatement {
    /// The statement and its documents.
    pub submission: Submission,
    /// What the registry knew of its signers.
    pub view: View,
    /// Position in the log.
    pub index: u64,
    /// The checkpoint it is proved against.
    pub checkpoint: Checkpoint,
    /// A licence in what it registers, where the bundle proves one.
    pub licence: Option<ProvenLicence>,
}

/// Why a bundle proves nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is not a bundle, or something in it does not hold: result state `proof_invalid`.
    #[error("{place}: {reason}")]
    Invalid {
        /// The part of the bundle.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The verifier trusts no registry of this origin: result state `could_not_check`.
    #[error(
        "no trust for the registry {origin}: name its log key and genesis in a policy file and pass --trust FILE \
         (a bundle never supplies its own trust)"
    )]
    NoTrust {
        /// Origin the bundle is from.
        origin: String,
    },
    /// The verifier's policy does not accept this sort of proof: result state `could_not_check`.
    #[error("refused by the trust policy: {0}")]
    Policy(String),
}

pub(crate) fn invalid(place: impl Into<String>, reason: impl fmt::Display) -> BundleError {
    BundleError::Invalid { place: place.into(), reason: format!("{reason}") }
}

pub(crate) fn rejected(place: &str) -> impl Fn(Rejection) -> BundleError + '_ {
    move |rejection| invalid(place, rejection)
}

impl ProvenEntry {
    /// Reads the envelope, which must be spelled as the log stores it.
    pub(crate) fn envelope(&self, place: &str) -> Result<Envelope, BundleError> {
        stored_envelope(&self.envelope).map_err(|reason| invalid(place, reason))
    }
}

/// Reads an envelope that must be spelled as the log stores it.
///
/// # Errors
/// A sentence saying what is wrong.
pub(crate) fn stored_envelope(value: &Value) -> Result<Envelope, String> {
    let envelope = Envelope::from_value(value).map_err(|error| error.to_string())?;
    let stored = strict::value_from_slice(&envelope.to_bytes()).map_err(|error| error.to_string())?;
    if stored == *value { Ok(envelope) } else { Err("the envelope is not in the form the log stores".to_owned()) }
}

/// Shared by the steps of one verification.
pub(crate) struct Verifier<'a> {
    pub(crate) key: VerifierKey,
    /// Every proof must carry this checkpoint, so that all of them speak of one tree.
    checkpoint_note: &'a str,
    pub(crate) checkpoint: Checkpoint,
}

impl Verifier<'_> {
    /// Checks that the log holds `entry`, and where.
    pub(crate) fn prove(&self, place: &str, entry: &[u8], proof: &str) -> Result<u64, BundleError> {
        let place = format!("{place}/proof");
        let proof: TlogProof = proof.parse().map_err(|error| invalid(place.clone(), error))?;
        if proof.checkpoint_note() != self.checkpoint_note {
            return Err(invalid(place, "carries another checkpoint than the statement's proof"));
        }
        if proof.extra().is_some() {
            return Err(invalid(place, "carries extra data, which nothing authenticates"));
        }
        proof.verify(leaf_hash(entry), core::slice::from_ref(&self.key)).map_err(|error| invalid(place, error))?;
        Ok(proof.index())
    }
}

impl Bundle {
    /// Reads a bundle file.
    ///
    /// # Errors
    /// [`BundleError::Invalid`] naming the member.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(invalid("bundle", format!("larger than {BUNDLE_BYTES_MAX} bytes")));
        }
        let bundle: Self = strict::from_slice(bytes)
            .map_err(|StrictError { pointer, reason }| invalid(format!("bundle{pointer}"), reason))?;
        if bundle.schema == BUNDLE_SCHEMA {
            Ok(bundle)
        } else {
            Err(invalid("bundle/schema", format!("must be {BUNDLE_SCHEMA}")))
        }
    }

    /// The file: canonical JSON and a line end.
    ///
    /// # Errors
    /// A [`StrictError`] when it can't be written as JSON, which no bundle causes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StrictError> {
        let mut bytes = strict::to_canonical(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Checks everything the bundle claims of a registration, trusting only `trust`.
    ///
    /// # Errors
    /// A [`BundleError`]: what does not hold and where, or which trust is missing.
    pub fn verify(&self, trust: &TrustPolicy) -> Result<Proven, BundleError> {
        let ProvenStatement { submission, view, index, checkpoint, licence } = self.prove(trust)?;
        let statement = &submission.statement;
        let Claim::Artefact(artefact) = &statement.claim else {
            return Err(invalid("statement/envelope", "the statement does not register an artefact"));
        };
        let manifest = submission.manifests.get(&artefact.manifest.sha256);
        let manifest = manifest.ok_or_else(|| invalid("documents", "the manifest is missing"))?;
        let owner = view.party(&statement.issuer()).ok_or_else(|| invalid("key_chains", "the owner's is missing"))?;
        Ok(Proven {
            artefact: artefact.clone(),
            manifest: manifest.clone(),
            owner: owner.clone(),
            index,
            closure: self.closure,
            licence,
            statement: submission.statement.clone(),
            checkpoint,
        })
    }

    /// Checks that the log holds the statement, whatever its kind, and that whoever had to has signed it.
    ///
    /// # Errors
    /// As [`Bundle::verify`].
    pub fn prove(&self, trust: &TrustPolicy) -> Result<ProvenStatement, BundleError> {
        let origin = &self.registry.origin;
        let Some(registry) = trust.registry(origin) else {
            return Err(BundleError::NoTrust { origin: origin.clone() });
        };
        if self.closure == Closure::RegistryAsserted && !registry.allow_registry_asserted {
            let reason = format!("{}; {origin} has allow_registry_asserted = false", self.closure.explanation());
            return Err(BundleError::Policy(reason));
        }
        let key = registry.verifier_key().map_err(BundleError::Policy)?;
        if self.registry.genesis != registry.genesis {
            return Err(invalid("registry/genesis", "is not the genesis the trust policy names for this origin"));
        }

        let proof: TlogProof = self.statement.proof.parse().map_err(|error| invalid("statement/proof", error))?;
        let checkpoint = open_checkpoint(proof.checkpoint_note(), core::slice::from_ref(&key))
            .map_err(|error| invalid("statement/proof", error))?;
        if checkpoint.origin() != origin {
            return Err(invalid("statement/proof", format!("the checkpoint is of {}", checkpoint.origin())));
        }
        let verifier = Verifier { key, checkpoint_note: proof.checkpoint_note(), checkpoint };

        let mut view = self.found(&verifier, registry.genesis)?;
        let founded = view.clone();
        let submission = self.submission()?;
        let index = verifier.prove("statement", &submission.entry, &self.statement.proof)?;
        if !self.key_chains.iter().map(|chain| chain.party).eq(signing_parties(&submission.statement)) {
            return Err(invalid("key_chains", "must be those of the parties that sign, in their order, each once"));
        }
        self.replay_key_chains(&verifier, &mut view, index)?;

        let statement = &submission.statement;
        if statement.header.registry.as_ref() != Some(&self.registry) {
            return Err(invalid("statement/envelope", "the statement was signed for another registry"));
        }
        submission
            .verify(|id| view.key(id).map(|record| &record.public_key))
            .map_err(rejected("statement/envelope"))?;
        view.check_signers(statement, &submission.envelope).map_err(rejected("statement/envelope"))?;
        let licence = self.licence.as_ref().map(|proof| proof.verify(&verifier, founded, &statement.id)).transpose()?;
        Ok(ProvenStatement { checkpoint: verifier.checkpoint, submission, view, index, licence })
    }

    /// Checks entry 0: it has the trusted leaf hash, and it names the key that signed the checkpoint.
    fn found(&self, verifier: &Verifier<'_>, genesis: Sha256Digest) -> Result<View, BundleError> {
        let place = "genesis";
        let envelope = self.genesis.envelope(place)?;
        let submission = Submission::assemble(envelope, Vec::new()).map_err(rejected(place))?;
        if leaf_hash(&submission.entry) != genesis {
            return Err(invalid(place, "is not the entry the trust policy names"));
        }
        if verifier.prove(place, &submission.entry, &self.genesis.proof)? != 0 {
            return Err(invalid(place, "is not entry 0"));
        }
        submission.verify(|_| None::<&crate::key::PublicKey>).map_err(rejected(place))?;
        let mut view = View::new(0, None, None);
        view.replay(0, &submission.statement, &submission.envelope).map_err(rejected(place))?;
        match &submission.statement.claim {
            Claim::Policy(PolicyClaim::Descriptor(descriptor)) if descriptor.log_key == verifier.key.to_string() => {
                view.found(self.registry.clone(), submission.statement.id);
                Ok(view)
            }
            _ => Err(invalid(place, "does not name the log key that the trust policy names")),
        }
    }

    fn submission(&self) -> Result<Submission, BundleError> {
        let mut documents = Vec::with_capacity(self.documents.len());
        for (position, text) in self.documents.iter().enumerate() {
            let place = format!("documents/{position}");
            documents.push(base64::decode(&BASE64, text).map_err(|error| invalid(place, error))?);
        }
        let envelope = self.statement.envelope("statement/envelope")?;
        let attached = documents.len();
        let submission = Submission::assemble(envelope, documents).map_err(rejected("statement"))?;
        if submission.documents.len() != attached {
            return Err(invalid("documents", "holds a document twice"));
        }
        submission.check_documents().map_err(rejected("statement"))?;
        Ok(submission)
    }

    /// Replays the key events of every signer below `index`.
    fn replay_key_chains(&self, verifier: &Verifier<'_>, view: &mut View, index: u64) -> Result<(), BundleError> {
        for chain in &self.key_chains {
            let place = format!("key_chains/{}", chain.party);
            if chain.entries.len() > KEY_CHAIN_MAX {
                return Err(invalid(place, format!("more than {KEY_CHAIN_MAX} entries")));
            }
            let mut after = 0;
            for entry in &chain.entries {
                let envelope = entry.envelope(&place)?;
                let submission = Submission::assemble(envelope, Vec::new()).map_err(rejected(&place))?;
                let at = verifier.prove(&place, &submission.entry, &entry.proof)?;
                if at <= after || at >= index {
                    return Err(invalid(place, "key events must stand in order and before the statement"));
                }
                after = at;
                let issuer = submission.statement.issuer();
                if issuer != chain.party {
                    return Err(invalid(place, format!("holds an entry of the party {issuer}")));
                }
                submission.verify(|id| view.key(id).map(|record| &record.public_key)).map_err(rejected(&place))?;
                view.replay(at, &submission.statement, &submission.envelope).map_err(rejected(&place))?;
            }
        }
        Ok(())
    }
}

/// Parties whose key chains a bundle for `statement` holds, in order: every one that signs. The operator's chain has no
/// creation in it, because that is the genesis entry.
pub fn signing_parties(statement: &Statement) -> Vec<StatementId> {
    statement
        .header
        .signers
        .iter()
        .filter_map(|group| match group.party {
            Issuer::Party(party) => Some(party),
            Issuer::Own => None,
        })
        .collect()
}
