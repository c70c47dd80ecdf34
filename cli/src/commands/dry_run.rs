//! `--dry-run`: the very bytes that would become public, and nothing sent.

use chopmark_core::statement::RegistryRef;
use serde_json::json;

use super::Context;
use super::submit::Signed;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Prints what is agreed to, the entry, the statement inside it, and the documents beside it.
///
/// # Errors
/// When stdout can't be written.
pub(super) fn print(
    context: &Context<'_>,
    signed: &Signed,
    registry: &RegistryRef,
    agreed: &[String],
) -> Result<Exit, Failure> {
    let shown = agreed.iter().fold(Report::default(), Report::line);
    let (mut members, report, public) = describe(signed, registry, shown);
    let report = headline(report, public);
    if let serde_json::Value::Object(members) = &mut members {
        members.insert("dry_run".to_owned(), true.into());
        if !agreed.is_empty() {
            members.insert("agreed".to_owned(), json!(agreed));
        }
        members.insert("registry".to_owned(), json!({ "origin": registry.origin, "genesis": registry.genesis }));
    }
    context.done(members, &report)
}

/// Says how much would become public in all.
pub(super) fn headline(report: Report, public_size_bytes: usize) -> Report {
    let size = units::bytes(units::length(public_size_bytes));
    report.headline(
        Tone::Neutral,
        format!("DRY RUN: {size} would become public; nothing was sent, and time and nonce will be others"),
    )
}

/// What would become public of one statement: as members, as further lines of a report, and how many bytes.
pub(super) fn describe(signed: &Signed, registry: &RegistryRef, report: Report) -> (serde_json::Value, Report, usize) {
    let submission = &signed.submission;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (entry, payload) = (text(&submission.entry), text(submission.envelope.payload()));
    let size = |bytes: usize| units::bytes(units::length(bytes));
    let mut report = report
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
    let members = json!({
        "entry": entry,
        "payload": payload,
        "documents": documents,
        "public_size_bytes": public,
        "resumed": signed.is_resumed,
    });
    (members, report, public)
}
