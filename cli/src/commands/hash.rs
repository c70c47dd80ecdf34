//! `chopmark hash`: what would be registered, without registering it; or only the digests asked for.

mod list;

use std::path::Path;

use chopmark_core::manifest::{FileEntry, FilePath};
use chopmark_gpu_verify::{
    DigestKind, DigestSelection, FileDigests, FsverityDigest, Hashed, HashedFile, Measured, Purpose,
};
use serde_json::{Map, Value, json};

use super::measuring::{Aim, Measuring, image_reference, require};
use super::recall::{Reading, Recall};
use super::{Context, notes, output, sidecar};
use crate::arguments::{HashArguments, HashFormat};
use crate::config::Directories;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::interrupt;
use crate::printer::{self, Report, Tone};
use crate::remembered::Kind;
use crate::units;

/// Measures a path and shows its manifest, or the digests asked for, or lists them for another program.
///
/// # Errors
/// Why there is no manifest or digest, naming the file; a usage failure for digests of a container image.
pub(crate) fn run(context: &Context<'_>, arguments: &HashArguments) -> Result<Exit, Failure> {
    interrupt::install(context.printer, context.command)?;
    require(&arguments.path, &arguments.form)?;
    check_output(arguments)?;
    if let Some(checker) = list::Checker::of(arguments.format) {
        return list::run(context, arguments, checker);
    }
    sidecar::check(arguments.sidecar.as_deref())?;
    if arguments.sidecar.is_some() && image_reference(&arguments.path)?.is_some() {
        return Err(Failure::usage("a container image is known by SHA-256 alone; leave out --sidecar"));
    }
    if !arguments.digests.is_empty() && image_reference(&arguments.path)?.is_some() {
        return Err(Failure::usage("a container image is known by SHA-256 alone; leave out --digest"));
    }
    let digests = match arguments.digests.as_slice() {
        [] => DigestSelection::MANIFEST,
        kinds => kinds.iter().copied().collect(),
    };
    let keep_subtrees = arguments.sidecar.is_some();
    let measuring = Measuring::start(arguments.engine, context.printer)?.keeping_subtrees(keep_subtrees);
    let aim = Aim { digests, ..Aim::register(&arguments.form) };
    let directories = Directories::of(&|name| std::env::var_os(name));
    let recall = Recall { directories: &directories, kind: Kind::Checkpoint, is_wanted: arguments.resume };
    if digests.with_manifest() == digests {
        let (measured, reading) = recall.measure(&measuring, &arguments.path, aim, context.printer)?;
        let written = sidecar::write(arguments.sidecar.as_deref(), &measured, context.printer);
        let shown = written.and_then(|()| show_manifest(context, &measuring, arguments, &measured, &reading));
        return reading.settle(shown);
    }
    // An empty directory has no digests, and nothing is to be signed.
    let aim = Aim { purpose: Purpose::Verify, ..aim };
    let (hashed, reading) = recall.hash_files(&measuring, &arguments.path, aim, context.printer)?;
    reading.settle(show_digests(context, &measuring, arguments, digests, (&hashed, &reading)))
}

/// Refuses, before slow work begins, a file to write that can't be written.
fn check_output(arguments: &HashArguments) -> Result<(), Failure> {
    let Some(path) = &arguments.output else { return Ok(()) };
    if arguments.format == HashFormat::Text {
        return Err(Failure::usage(
            "--output writes a document or a list: say which with --format json, b3sum or sha256sum",
        ));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() || path.is_dir() {
        return Err(Failure::usage(format!("{} can't be written: it is a directory, or in none", path.display())));
    }
    match arguments.format {
        HashFormat::Text | HashFormat::Json => output::check_document(path),
        HashFormat::B3sum | HashFormat::Sha256sum => output::check_digests(path),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::replace(path, bytes, Access::Shared).map_err(|error| Failure::file("write", path, &error))
}

/// Prints the result, and writes the document where it was asked for.
/// What is shown is made only where it is: of tens of thousands of small files, it takes as long as hashing them.
fn done(
    context: &Context<'_>,
    arguments: &HashArguments,
    members: impl FnOnce() -> Value,
    report: impl FnOnce() -> Report,
) -> Result<Exit, Failure> {
    let is_json = context.printer.is_json();
    let members = if is_json || arguments.output.is_some() { members() } else { Value::Null };
    if let Some(path) = &arguments.output {
        write(path, printer::document(Some(context.command), Exit::Done, members.clone()).as_bytes())?;
    }
    if is_json { context.done(members, &Report::default()) } else { context.done(members, &report()) }
}

fn show_manifest(
    context: &Context<'_>,
    measuring: &Measuring<'_>,
    arguments: &HashArguments,
    measured: &Measured,
    reading: &Reading,
) -> Result<Exit, Failure> {
    let asked = !arguments.digests.is_empty();
    let manifest = &measured.manifest;
    let digest = manifest.digest();
    let files = units::length(manifest.files().len());
    // Nobody wants two columns of digests without having asked.
    let shown = if asked {
        arguments.digests.iter().copied().collect()
    } else {
        DigestSelection::from_iter([DigestKind::Sha256])
    };

    let report = || {
        let mut report = Report::default().line(heading(shown));
        for file in manifest.files() {
            report = report.line(row(shown, &of_entry(measured, file), file.size_bytes, &file.path) + &tensors(file));
        }
        report = left_out(report, &measured.excluded, manifest.exclusions().id());
        if let Some(commit) = &measured.revision {
            report = report.row("revision", commit);
        }
        if !measured.not_read.is_empty() {
            let not_read = units::count(units::length(measured.not_read.len()), "blob");
            report = report.row("not read", format!("{not_read}, known by the digests in the image's manifest"));
        }
        reading
            .row(notes::rows(report, &measured.notes))
            .row("files", format!("{files}, {} in all", units::bytes(manifest.size_bytes())))
            .headline(Tone::Neutral, format!("manifest sha256 {digest}"))
    };
    let members = || {
        let listed = manifest.files().iter().map(|file| member(&file.path, file.size_bytes, &of_entry(measured, file)));
        let (read_size_bytes, recalled) = reading.members();
        json!({
            "manifest_sha256": digest,
            "files": files,
            "content_size_bytes": manifest.size_bytes(),
            "engine": measuring.engine_name(),
            "excluded": measured.excluded,
            "revision": measured.revision,
            "not_read": measured.not_read,
            "notes": notes::members(&measured.notes),
            "read_size_bytes": read_size_bytes,
            "recalled": recalled,
            "sidecar": arguments.sidecar.as_deref().map(files::text),
            "manifest": manifest,
            "digests": asked.then(|| listed.collect::<Vec<_>>()),
        })
    };
    done(context, arguments, members, report)
}

fn show_digests(
    context: &Context<'_>,
    measuring: &Measuring<'_>,
    arguments: &HashArguments,
    digests: DigestSelection,
    (hashed, reading): (&Hashed, &Reading),
) -> Result<Exit, Failure> {
    let Hashed { files, exclusions, excluded, revision, notes } = hashed;
    let size_bytes = files.iter().map(|file| file.size_bytes).fold(0, u64::saturating_add);
    let count = units::length(files.len());
    let report = || {
        let mut report = Report::default().line(heading(digests));
        for HashedFile { path, size_bytes, digests: found, .. } in files {
            report = report.line(row(digests, found, *size_bytes, path));
        }
        report = left_out(report, excluded, exclusions.id());
        if let Some(commit) = revision {
            report = report.row("revision", commit);
        }
        let names: Vec<&str> = digests.kinds().map(DigestKind::name).collect();
        reading.row(notes::rows(report, notes)).headline(
            Tone::Neutral,
            format!("{} of {}, {} in all", names.join(" and "), units::count(count, "file"), units::bytes(size_bytes)),
        )
    };
    done(context, arguments, || members_of(hashed, reading, measuring.engine_name()), report)
}

fn members_of(hashed: &Hashed, reading: &Reading, engine: &str) -> Value {
    let Hashed { files, excluded, revision, notes, .. } = hashed;
    let size_bytes = files.iter().map(|file| file.size_bytes).fold(0, u64::saturating_add);
    let listed = files.iter().map(|file| member(&file.path, file.size_bytes, &file.digests));
    let (read_size_bytes, recalled) = reading.members();
    json!({
        "manifest_sha256": Value::Null,
        "files": files.len(),
        "content_size_bytes": size_bytes,
        "engine": engine,
        "excluded": excluded,
        "revision": revision,
        "not_read": [],
        "notes": notes::members(notes),
        "read_size_bytes": read_size_bytes,
        "recalled": recalled,
        "manifest": Value::Null,
        "digests": listed.collect::<Vec<_>>(),
    })
}

/// The digests of a line of the manifest, and those that a manifest has no place for.
fn of_entry(measured: &Measured, file: &FileEntry) -> FileDigests {
    let fsverity = measured.fsverity.get(&file.path).copied();
    FileDigests { sha256: Some(file.sha256), blake3: file.blake3, fsverity }
}

/// The digest of one kind, as text.
fn text(digests: &FileDigests, kind: DigestKind) -> Option<String> {
    match kind {
        DigestKind::Sha256 => digests.sha256.map(|digest| digest.to_hex()),
        DigestKind::Blake3 => digests.blake3.map(|digest| digest.to_hex()),
        DigestKind::Fsverity => digests.fsverity.map(|digest| digest.to_hex()),
    }
}

fn heading(shown: DigestSelection) -> String {
    line(shown.kinds().map(|kind| kind.name().to_owned()), "size", "path")
}

fn row(shown: DigestSelection, digests: &FileDigests, size_bytes: u64, path: &FilePath) -> String {
    let columns = shown.kinds().map(|kind| text(digests, kind).unwrap_or_default());
    line(columns, &units::bytes(size_bytes), path.as_str())
}

fn line(digests: impl Iterator<Item = String>, size: &str, path: &str) -> String {
    let mut columns: Vec<String> = digests.map(|digest| format!("{digest:<64}")).collect();
    columns.push(format!("{size:>9}"));
    columns.push(path.to_owned());
    columns.join("  ")
}

fn tensors(file: &FileEntry) -> String {
    match &file.weights {
        Some(weights) => format!(" ({})", units::count(units::length(weights.tensors.len()), "tensor")),
        None => String::new(),
    }
}

fn left_out(report: Report, excluded: &[FilePath], rule: &str) -> Report {
    if excluded.is_empty() {
        return report;
    }
    let excluded: Vec<&str> = excluded.iter().map(FilePath::as_str).collect();
    report.row("left out", format!("{} (by {rule})", excluded.join(", ")))
}

/// A file in JSON: each digest under the name of its algorithm, if it was computed.
fn member(path: &FilePath, size_bytes: u64, digests: &FileDigests) -> Value {
    let mut member = Map::new();
    member.insert("path".to_owned(), json!(path));
    member.insert("size_bytes".to_owned(), json!(size_bytes));
    for kind in DigestKind::ALL {
        let name = match kind {
            DigestKind::Fsverity => FsverityDigest::NAME,
            kind => kind.name(),
        };
        member.extend(text(digests, kind).map(|text| (name.to_owned(), Value::String(text))));
    }
    Value::Object(member)
}
