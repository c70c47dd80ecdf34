//! What an audit found, in words and as JSON, and the checkpoint kept for the next one.

use chopmark_store::audit::{Clean, Finding, Verdict};
use serde_json::json;

use super::Audited;
use crate::arguments::AuditArguments;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{Report, Tone};
use crate::units;

/// Reports, and keeps the newest checkpoint where that was asked for.
///
/// # Errors
/// When there is no checkpoint to keep, or it can't be written.
pub(super) fn report(context: &Context<'_>, arguments: &AuditArguments, audited: &Audited) -> Result<Exit, Failure> {
    match &audited.verdict {
        Verdict::Clean(clean) => {
            save(arguments, clean)?;
            report_clean(context, arguments, audited, clean)
        }
        Verdict::Found(finding) => report_damage(context, audited, finding),
    }
}

fn save(arguments: &AuditArguments, clean: &Clean) -> Result<(), Failure> {
    let Some(path) = &arguments.save else { return Ok(()) };
    let Some(newest) = &clean.newest else {
        return Err(Failure::new(
            Exit::CouldNotCheck,
            "no_checkpoint",
            "everything holds, but no signed checkpoint was among what was checked, so there is none to keep",
        ));
    };
    files::replace(path, newest.note.as_bytes(), Access::Shared).map_err(|error| Failure::file("write", path, &error))
}

fn report_clean(
    context: &Context<'_>,
    arguments: &AuditArguments,
    audited: &Audited,
    clean: &Clean,
) -> Result<Exit, Failure> {
    let saved = arguments.save.as_deref().map(files::text);
    let from = audited.from.as_ref().map(|from| json!({ "size": from.size, "root": from.root }));
    let members = json!({
        "state": "clean",
        "origin": audited.origin,
        "entries": clean.entries,
        "judged": clean.judged,
        "tiles": clean.tiles,
        "checkpoints": clean.checkpoints,
        "documents": clean.documents,
        "accesses": clean.accesses,
        "openings": clean.openings,
        "kept_elsewhere": clean.kept_elsewhere,
        "tables": clean.tables,
        "outside_roots": audited.outside_roots,
        "root": clean.root,
        "from": from,
        "not_repeated": audited.not_repeated,
        "saved": saved,
    });
    let mut report = Report::default();
    if let Some(origin) = &audited.origin {
        report = report.row("Registry", origin);
    }
    report = report
        .row("Entries", clean.entries.to_string())
        .row("Judged", format!("{} (admission and signatures)", clean.judged))
        .row("Full tiles", clean.tiles.to_string())
        .row("Checkpoints", clean.checkpoints.to_string())
        .row("Documents", clean.documents.to_string())
        .row("Read tables", clean.tables.to_string())
        .row("Outside roots", audited.outside_roots.to_string())
        .row("Root", clean.root.to_hex());
    if let Some(records) = clean.accesses {
        report = report.row("Access log", units::count(records, "record"));
    }
    if let Some(openings) = clean.openings {
        report = report.row("Sealed values", format!("{} opened", units::count(openings, "opening")));
    }
    if let Some(statements) = clean.kept_elsewhere.filter(|statements| *statements > 0) {
        report = report.row("Not kept here", format!("openings of {}", units::count(statements, "statement")));
    }
    for (position, sentence) in audited.not_repeated.iter().enumerate() {
        report = report.row(if position == 0 { "Not repeated" } else { "" }, sentence);
    }
    if let (Some(saved), Some(newest)) = (&saved, &clean.newest) {
        report = report.row("Saved", format!("{saved}, the checkpoint over {} entries", newest.size));
    }
    let headline = match &audited.from {
        Some(from) => {
            format!("CLEAN: the log extends the saved checkpoint over {} entries, and all after it holds", from.size)
        }
        None if clean.tables == 0 => {
            "CLEAN: every entry, signature, document, tile, root and checkpoint holds".to_owned()
        }
        None => "CLEAN: every entry, signature, document, tile, root, checkpoint and table holds".to_owned(),
    };
    context.done(members, &report.headline(Tone::Good, headline))
}

fn report_damage(context: &Context<'_>, audited: &Audited, finding: &Finding) -> Result<Exit, Failure> {
    let members = json!({
        "state": "damaged",
        "origin": audited.origin,
        "finding": { "object": finding.object, "index": finding.index, "reason": finding.reason },
    });
    let mut report = Report::default();
    if let Some(origin) = &audited.origin {
        report = report.row("Registry", origin);
    }
    if let Some(index) = finding.index {
        report = report.row("First entry", index.to_string());
    }
    let report = report.headline(Tone::Bad, format!("DAMAGED: {}: {}", finding.object, finding.reason));
    context.printer.result(context.command, Exit::ProofInvalid, members, &report)
}
