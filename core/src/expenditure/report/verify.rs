//! Checking a report with nothing but its file and a trust policy: no vault, no network.
//!
//! What is proved: the log's own key signed this very file; the log holds every entry it rests on, at the index stated, in
//! the tree stated; whoever had to has signed each, with keys that were valid at its index; every opened value is the one
//! that was committed to; and the lines, flags and sums are what these rules make of it, to the byte. What only the registry
//! says is that nothing was left out, or how much (`left_out`): a correction, an endorsement, another payment. A trust policy may
//! refuse that (`allow_registry_asserted = false`).

use serde_json::Value;

use super::document::{self, DocumentError, REPORT_BYTES_MAX, REPORT_SCHEMA, TreeHead, WireCheckpoint, WireItem};
use super::query::Query;
use super::{ComputeError, Report, compute};
use crate::admission::View;
use crate::bundle::{Closure, stored_envelope};
use crate::digest::Sha256Digest;
use crate::expenditure::evidence::{Evidence, Item};
use crate::kind::Claim;
use crate::ledger::note::{Note, VerifierKey};
use crate::ledger::tree::{leaf_hash, verify_inclusion};
use crate::policy::PolicyClaim;
use crate::sealed::Place;
use crate::statement::{RegistryRef, Statement, StatementId};
use crate::strict;
use crate::submission::Submission;
use crate::tax;
use crate::trust::TrustPolicy;

/// A report that holds.
#[derive(Debug)]
pub struct Verified {
    /// What it says, computed again.
    pub report: Report,
    /// The evidence it was computed from.
    pub evidence: Evidence,
    /// The entries as they lie in the log.
    pub items: Vec<Item>,
    /// The tree they lie in.
    pub head: TreeHead,
}

/// Why a report does not hold, or could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is not a report as they are written.
    #[error("{place}: {reason}")]
    Malformed {
        /// The part of the file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// No registry of this origin is trusted.
    #[error("no trust for the registry {origin}: name its log key and genesis in a policy file and pass --trust FILE")]
    NoTrust {
        /// The origin.
        origin: String,
    },
    /// The trust policy does not accept this sort of proof.
    #[error("refused by the trust policy: {0}")]
    Policy(String),
    /// The log's own key did not sign this file.
    #[error("note: {0}")]
    NotSigned(String),
    /// An entry is not proved.
    #[error("{place}: {reason}")]
    Proof {
        /// The entry.
        place: String,
        /// What does not hold.
        reason: String,
    },
    /// A value is not what was committed to.
    #[error("{place}: {reason}")]
    Opening {
        /// The opening.
        place: String,
        /// What does not hold.
        reason: String,
    },
    /// It was computed under rules that this program does not have.
    #[error(
        "the report was computed under the rules {found}; this program has {known}: use the release that has them \
         (`chopmark tax rules` prints the digest)"
    )]
    RulesUnknown {
        /// Digest in the report.
        found: Sha256Digest,
        /// Digest of the rules here.
        known: Sha256Digest,
    },
    /// Its evidence gives no report.
    #[error("the report can't be computed again: {0}")]
    NotComputed(#[from] ComputeError),
    /// Computed again, it is another.
    #[error("report/{member}: is not what the evidence gives under these rules")]
    Differs {
        /// The first member that differs.
        member: String,
    },
}

impl ReportError {
    /// A stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed_report",
            Self::NoTrust { .. } => "no_trust",
            Self::Policy(_) => "refused_by_policy",
            Self::NotSigned(_) => "report_not_signed",
            Self::Proof { .. } => "proof_invalid",
            Self::Opening { .. } => "commitment_mismatch",
            Self::RulesUnknown { .. } => "rules_unknown",
            Self::NotComputed(_) => "report_not_computed",
            Self::Differs { .. } => "report_differs",
        }
    }
}

fn malformed(place: impl Into<String>, reason: impl core::fmt::Display) -> ReportError {
    ReportError::Malformed { place: place.into(), reason: reason.to_string() }
}

fn unproved(place: &str, reason: impl core::fmt::Display) -> ReportError {
    ReportError::Proof { place: place.to_owned(), reason: reason.to_string() }
}

/// What is read of a report; the rest is computed again and compared.
struct Read {
    registry: RegistryRef,
    checkpoint: WireCheckpoint,
    jurisdiction: String,
    rules_digest: Sha256Digest,
    openings_digest: Sha256Digest,
    query: Query,
    left_out: u64,
    evidence: Vec<WireItem>,
    note: String,
    /// The `report` member in canonical JSON.
    body: Vec<u8>,
}

/// Checks a report file, trusting only `trust`.
///
/// # Errors
/// A [`ReportError`]: what does not hold and where, or what is missing to check it.
pub fn verify(bytes: &[u8], trust: &TrustPolicy) -> Result<Verified, ReportError> {
    let read = Read::parse(bytes)?;
    let origin = &read.registry.origin;
    let Some(registry) = trust.registry(origin) else { return Err(ReportError::NoTrust { origin: origin.clone() }) };
    if !registry.allow_registry_asserted {
        let closure = Closure::RegistryAsserted.explanation();
        return Err(ReportError::Policy(format!("{closure}; {origin} has allow_registry_asserted = false")));
    }
    let key = registry.verifier_key().map_err(ReportError::Policy)?;
    if read.registry.genesis != registry.genesis {
        return Err(unproved("report/registry/genesis", "is not the genesis the trust policy names for this origin"));
    }
    if read.checkpoint.origin != *origin {
        return Err(malformed("report/checkpoint/origin", "is not that of the registry"));
    }
    let head = TreeHead { registry: read.registry.clone(), size: read.checkpoint.size, root: read.checkpoint.root };
    if open_note(&read.note, &key)? != document::note_text(&head, read.rules_digest, read.openings_digest, &read.body) {
        return Err(ReportError::NotSigned("the text is not that of this report".to_owned()));
    }
    let items = prove(&read.evidence, &head, &key)?;
    let Some(jurisdiction) = tax::jurisdiction(&read.jurisdiction.to_ascii_lowercase()) else {
        return Err(malformed("report/jurisdiction", format!("{:?} is none that is known here", read.jurisdiction)));
    };
    let rules = jurisdiction.rules().map_err(|error| malformed("report/rules_digest", error))?;
    if rules.digest() != read.rules_digest {
        return Err(ReportError::RulesUnknown { found: read.rules_digest, known: rules.digest() });
    }
    let mut evidence = Evidence::gather(read.query.taxpayer, head.size, &items).map_err(ComputeError::Evidence)?;
    evidence.left_out = read.left_out;
    let report = compute(&evidence, &read.query, jurisdiction, &rules)?;
    let paths: Vec<_> = read.evidence.iter().map(|item| item.path.clone()).collect();
    let again =
        document::body(&report, &head, &items, &paths).map_err(|error: DocumentError| malformed("report", error))?;
    if again != read.body {
        return Err(ReportError::Differs { member: first_difference(&again, &read.body) });
    }
    Ok(Verified { report, evidence, items, head })
}

impl Read {
    fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(malformed("report", format!("larger than {REPORT_BYTES_MAX} bytes")));
        }
        let value = strict::value_from_slice(bytes).map_err(|error| malformed("report", error))?;
        let Value::Object(mut members) = value else { return Err(malformed("report", "is no object")) };
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(malformed(name, "a text is expected")),
        };
        let (schema, note) = (text("schema")?, text("note")?);
        if schema != REPORT_SCHEMA {
            return Err(malformed("schema", format!("must be {REPORT_SCHEMA}")));
        }
        let body = members.remove("report").ok_or_else(|| malformed("report", "is missing"))?;
        let canonical = strict::value_to_canonical(&body).map_err(|error| malformed("report", error))?;
        let again = document::file(&canonical, &note).map_err(|error| malformed("report", error))?;
        if again != bytes {
            return Err(malformed("report", "is not spelled as reports are written"));
        }
        let Value::Object(mut members) = body else { return Err(malformed("report", "is no object")) };
        Ok(Self {
            registry: member(&mut members, "registry")?,
            checkpoint: member(&mut members, "checkpoint")?,
            jurisdiction: member(&mut members, "jurisdiction")?,
            rules_digest: member(&mut members, "rules_digest")?,
            openings_digest: member(&mut members, "openings_digest")?,
            query: member(&mut members, "query")?,
            left_out: member(&mut members, "left_out")?,
            evidence: member(&mut members, "evidence")?,
            note,
            body: canonical,
        })
    }
}

fn member<T: serde::de::DeserializeOwned>(
    members: &mut serde_json::Map<String, Value>,
    name: &str,
) -> Result<T, ReportError> {
    let value = members.remove(name).ok_or_else(|| malformed(format!("report/{name}"), "is missing"))?;
    strict::decode(&value).map_err(|error| malformed(format!("report/{name}{}", error.pointer), error.reason))
}

/// The text of the note, when the log's own key signed it and nobody else did.
/// The text of a note that the log's own key signed, and nobody else.
///
/// # Errors
/// [`ReportError::NotSigned`].
pub fn open_note(note: &str, key: &VerifierKey) -> Result<String, ReportError> {
    let wrong = |reason: &dyn core::fmt::Display| ReportError::NotSigned(reason.to_string());
    let note = Note::parse(note).map_err(|error| wrong(&error))?;
    let signed = note.verify(core::slice::from_ref(key)).map_err(|error| wrong(&error))?;
    // Another signature, or another spelling, would be another file.
    if signed.is_empty() || note.signatures().len() != 1 {
        return Err(wrong(&"is not signed by the log's own key, and by nobody else"));
    }
    Ok(note.text().to_owned())
}

/// Checks that the log holds every entry, that whoever had to has signed it, and that openings are those of its commitments.
fn prove(entries: &[WireItem], head: &TreeHead, key: &VerifierKey) -> Result<Vec<Item>, ReportError> {
    let mut view = View::new(0, None, None);
    let mut items = Vec::with_capacity(entries.len());
    let mut before = None;
    for (position, entry) in entries.iter().enumerate() {
        let place = format!("report/evidence/{position}");
        if before.map_or(entry.index != 0, |before| entry.index <= before) {
            return Err(unproved(&place, "entries begin with entry 0 and ascend"));
        }
        before = Some(entry.index);
        let envelope = stored_envelope(&entry.envelope).map_err(|error| unproved(&place, error))?;
        let submission = Submission::assemble(envelope, Vec::new()).map_err(|error| unproved(&place, error))?;
        let leaf = leaf_hash(&submission.entry);
        verify_inclusion(leaf, entry.index, head.size, &entry.path, head.root)
            .map_err(|error| unproved(&place, error))?;
        submission
            .verify(|id| view.key(id).map(|record| &record.public_key))
            .map_err(|error| unproved(&place, error))?;
        let statement = &submission.statement;
        match &statement.claim {
            Claim::Policy(claim) if position == 0 => {
                found(&mut view, (&submission, claim), leaf, head, key).map_err(|error| unproved(&place, error))?;
            }
            Claim::Party(_) | Claim::Key(_) => {
                view.replay(entry.index, statement, &submission.envelope).map_err(|error| unproved(&place, error))?;
            }
            _ => view.accept(entry.index, statement, &submission.envelope).map_err(|error| unproved(&place, error))?,
        }
        open(entry, statement, &place)?;
        items.push(Item { index: entry.index, envelope: submission.envelope, openings: entry.openings.clone() });
    }
    Ok(items)
}

/// Takes in entry 0: the one that is trusted, and that names the key that signs.
fn found(
    view: &mut View,
    (submission, claim): (&Submission, &PolicyClaim),
    leaf: Sha256Digest,
    head: &TreeHead,
    key: &VerifierKey,
) -> Result<(), String> {
    if leaf != head.registry.genesis {
        return Err("is not the entry the trust policy names".to_owned());
    }
    view.replay(0, &submission.statement, &submission.envelope).map_err(|error| error.to_string())?;
    match claim {
        PolicyClaim::Descriptor(descriptor) if descriptor.log_key == key.to_string() => {
            view.found(head.registry.clone(), submission.statement.id);
            Ok(())
        }
        _ => Err("does not name the log key that the trust policy names".to_owned()),
    }
}

/// Computes the commitment of every opening anew.
fn open(entry: &WireItem, statement: &Statement, place: &str) -> Result<(), ReportError> {
    let sealed = statement.claim.kind().sealed_fields();
    let bound = Place::of(&statement.header, statement.claim.predicate_type());
    let mut fields = sealed.iter();
    for (position, opening) in entry.openings.iter().enumerate() {
        let wrong = |reason: String| ReportError::Opening { place: format!("{place}/openings/{position}"), reason };
        let Some(there) = fields.find(|there| there.field == opening.field) else {
            let reason = format!("the statement has no sealed field {} at this place", opening.field);
            return Err(wrong(reason));
        };
        if opening.commitment(&bound) != there.commitment {
            return Err(wrong(format!("is not what {} commits to", there.field)));
        }
    }
    Ok(())
}

/// The first member in which two reports differ.
fn first_difference(left: &[u8], right: &[u8]) -> String {
    let members = |bytes: &[u8]| match strict::value_from_slice(bytes) {
        Ok(Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let (left, right) = (members(left), members(right));
    let names = left.keys().chain(right.keys());
    let differs = names.filter(|name| left.get(*name) != right.get(*name)).min();
    differs.cloned().unwrap_or_default()
}

impl Verified {
    /// The parties whose signatures the report rests on.
    pub fn parties(&self) -> impl Iterator<Item = &StatementId> {
        self.evidence.parties.keys()
    }
}
