//! `chopmark hash`: what would be registered, without registering it.

use chopmark_core::manifest::{FileEntry, FilePath};
use serde_json::json;

use super::Context;
use super::measuring::{Aim, Measuring, require};
use crate::arguments::HashArguments;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::printer::{Report, Tone};
use crate::units;

/// Measures a path and shows its manifest.
///
/// # Errors
/// Why there is no manifest, naming the file.
pub(crate) fn run(context: &Context<'_>, arguments: &HashArguments) -> Result<Exit, Failure> {
    interrupt::install(context.printer, context.command)?;
    require(&arguments.path, &arguments.form)?;
    let measuring = Measuring::start(arguments.engine, context.printer)?;
    let measured = measuring.measure(&arguments.path, Aim::register(&arguments.form))?;
    let manifest = &measured.manifest;
    let digest = manifest.digest();
    let files = units::length(manifest.files().len());

    let mut report = Report::default().line(format!("{:<64}  {:>9}  path", "sha256", "size"));
    for file in manifest.files() {
        report = report.line(row(file));
    }
    if !measured.excluded.is_empty() {
        let excluded: Vec<&str> = measured.excluded.iter().map(FilePath::as_str).collect();
        report = report.row("left out", format!("{} (by {})", excluded.join(", "), manifest.exclusions().id()));
    }
    if let Some(commit) = &measured.revision {
        report = report.row("revision", commit);
    }
    if !measured.not_read.is_empty() {
        let not_read = units::count(units::length(measured.not_read.len()), "blob");
        report = report.row("not read", format!("{not_read}, known by the digests in the image's manifest"));
    }
    let report = report
        .row("files", format!("{files}, {} in all", units::bytes(manifest.size_bytes())))
        .headline(Tone::Neutral, format!("manifest sha256 {digest}"));
    let members = json!({
        "manifest_sha256": digest,
        "files": files,
        "content_size_bytes": manifest.size_bytes(),
        "engine": measuring.engine_name(),
        "excluded": measured.excluded,
        "revision": measured.revision,
        "not_read": measured.not_read,
        "manifest": manifest,
    });
    context.done(members, &report)
}

fn row(file: &FileEntry) -> String {
    let tensors = match &file.weights {
        Some(weights) => format!(" ({})", units::count(units::length(weights.tensors.len()), "tensor")),
        None => String::new(),
    };
    format!("{}  {:>9}  {}{tensors}", file.sha256, units::bytes(file.size_bytes), file.path)
}
