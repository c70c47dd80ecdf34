//! The file: a report, the entries it rests on with their proofs, and a note by the log's own key over all of it.
//!
//! One JSON document in canonical spelling with a line end: `schema`, `report`, `note`. The note's text has seven lines:
//! `chopmark/ip-expenditure-report/v1`; the origin; the size; the root, the digests of rules and openings, and SHA-256 of
//! the canonical JSON of `report`, each in base64. No checkpoint and no status list has such a first line, so none can be
//! taken for another. The same tree, rules, query and openings give the same bytes on every replica.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Report;
use crate::digest::Sha256Digest;
use crate::expenditure::evidence::Item;
use crate::ledger::format_hash;
use crate::ledger::note::{Note, NoteError, NoteSigner};
use crate::sealed::Opening;
use crate::statement::RegistryRef;
use crate::strict::{self, StrictError};

/// Schema name of the document.
pub const REPORT_SCHEMA: &str = "chopmark.report.ip-expenditure/v1";

/// First line of the note's text.
pub const REPORT_NOTE_HEADER: &str = "chopmark/ip-expenditure-report/v1";

/// Most bytes of a report that is read: [`super::super::evidence::ENTRIES_MAX`] entries of the usual length, their openings
/// and proofs, and the lines.
pub const REPORT_BYTES_MAX: usize = 256 << 20;

/// The tree a report is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// The registry.
    pub registry: RegistryRef,
    /// Entries of the log.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Sha256Digest,
}

/// The tree as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireCheckpoint {
    pub origin: String,
    pub size: u64,
    pub root: Sha256Digest,
}

/// An entry of the evidence as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireItem {
    pub index: u64,
    pub envelope: Value,
    /// Inclusion path at the report's size, sibling of the leaf first.
    pub path: Vec<Sha256Digest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub openings: Vec<Opening>,
}

#[derive(Serialize)]
struct WireBody<'a> {
    registry: &'a RegistryRef,
    checkpoint: WireCheckpoint,
    #[serde(flatten)]
    report: &'a Report,
    evidence: Vec<WireItem>,
}

/// Why a report can't be written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Proofs and entries do not belong together, or report and tree.
    #[error("{0}")]
    Parts(&'static str),
    /// It can't be written as JSON.
    #[error(transparent)]
    Json(#[from] StrictError),
    /// It can't be signed.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// The `report` member in canonical JSON.
pub(super) fn body(
    report: &Report,
    head: &TreeHead,
    items: &[Item],
    paths: &[Vec<Sha256Digest>],
) -> Result<Vec<u8>, DocumentError> {
    if items.len() != paths.len() {
        return Err(DocumentError::Parts("every entry of the evidence has one inclusion path"));
    }
    if report.size != head.size {
        return Err(DocumentError::Parts("the report is of another size than the tree"));
    }
    let mut evidence = Vec::with_capacity(items.len());
    for (item, path) in items.iter().zip(paths) {
        let envelope = strict::value_from_slice(&item.envelope.to_bytes())?;
        evidence.push(WireItem { index: item.index, envelope, path: path.clone(), openings: item.openings.clone() });
    }
    let checkpoint = WireCheckpoint { origin: head.registry.origin.clone(), size: head.size, root: head.root };
    Ok(strict::to_canonical(&WireBody { registry: &head.registry, checkpoint, report, evidence })?)
}

/// The text that the log's key signs.
pub(super) fn note_text(head: &TreeHead, rules: Sha256Digest, openings: Sha256Digest, body: &[u8]) -> String {
    let TreeHead { registry, size, root } = head;
    let hashes = [*root, rules, openings, Sha256Digest::of(body)];
    let [root, rules, openings, body] = hashes.map(|hash| format_hash(&hash));
    format!("{REPORT_NOTE_HEADER}\n{}\n{size}\n{root}\n{rules}\n{openings}\n{body}\n", registry.origin)
}

/// The whole file from its two parts.
pub(super) fn file(body: &[u8], note: &str) -> Result<Vec<u8>, StrictError> {
    // Members in canonical order: note, report, schema.
    let note = strict::to_canonical(&note)?;
    let schema = strict::to_canonical(&REPORT_SCHEMA)?;
    let parts: [&[u8]; 7] = [b"{\"note\":", &note, b",\"report\":", body, b",\"schema\":", &schema, b"}\n"];
    Ok(parts.concat())
}

/// Writes and signs a report. A service signs only for a tree that it has published, or for one of its earlier sizes, with
/// the root it has computed for it: the note speaks for both. `items` is the evidence it was computed from, `paths` the inclusion path of each at the
/// report's size.
///
/// # Errors
/// A [`DocumentError`] where the parts do not belong together.
pub fn document(
    report: &Report,
    head: &TreeHead,
    items: &[Item],
    paths: &[Vec<Sha256Digest>],
    signer: &NoteSigner,
) -> Result<Vec<u8>, DocumentError> {
    let body = body(report, head, items, paths)?;
    let text = note_text(head, report.rules_digest, report.openings_digest, &body);
    let note = Note::sign(text, [signer])?.to_string();
    Ok(file(&body, &note)?)
}
