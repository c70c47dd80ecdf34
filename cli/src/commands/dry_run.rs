//! `--dry-run`: the very bytes that would become public, and nothing sent.

use chopmark_core::statement::RegistryRef;
use serde_json::json;

use super::Context;
use super::submit::Signed;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Prints the entry, the statement inside it, and the documents beside it.
///
/// # Errors
/// When stdout can't be written.
pub(super) fn print(context: &Context<'_>, signed: &Signed, registry: &RegistryRef) -> Result<Exit, Failure> {
    let submission = &signed.submission;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (entry, payload) = (text(&submission.entry), text(submission.envelope.payload()));
    let size = |bytes: usize| units::bytes(units::length(bytes));
    let mut report = Report::default()
        .line(format!("# Entry in the log of {}: {}, public for ever", registry.origin, size(entry.len())))
        .line(entry.clone())
        .line(format!("# The statement inside it, as signed: {}", size(payload.len())))
        .line(payload.clone());
    let mut documents = Vec::new();
    for (digest, bytes) in &submission.documents {
        report =
            report.line(format!("# Document beside it, SHA-256 {digest}: {}", size(bytes.len()))).line(text(bytes));
        documents.push(json!({ "sha256": digest, "size_bytes": bytes.len(), "content": text(bytes) }));
    }
    let public: usize = entry.len() + submission.documents.values().map(Vec::len).sum::<usize>();
    let report = report.headline(
        Tone::Neutral,
        format!("DRY RUN: {} would become public; nothing was sent, and time and nonce will be others", size(public)),
    );
    let members = json!({
        "dry_run": true,
        "registry": { "origin": registry.origin, "genesis": registry.genesis },
        "entry": entry,
        "payload": payload,
        "documents": documents,
        "public_size_bytes": public,
        "resumed": signed.is_resumed,
    });
    context.done(members, &report)
}
