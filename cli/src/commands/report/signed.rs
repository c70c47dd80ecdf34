//! `chopmark report verify` of what was made of reports: an export, or the description of a dataset and the files it names, each
//! with its detached signature beside it, `….sig`. It is the registry's word; only the report itself can be computed again.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::{self, DatasetNote, ExportNote, REPORT_BYTES_MAX, ReportError};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::commands::{Context, bundle};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{Report, Tone};
use crate::trust::Trust;
use crate::units;

/// Largest signature, in bytes.
const SIGNATURE_BYTES_MAX: usize = 64 << 10;

/// How a report begins, in its one spelling.
const REPORT_START: &[u8] = b"{\"note\":";

/// What is proven of such a file, and what is not.
const PROVEN: &str = "that the registry's log key signed exactly these bytes, as what they are and as of that tree";
const ASSERTED: &str = "what they say; only a report itself, in JSON, is computed again";

/// Where the signature over a file lies.
pub(super) fn path_of(file: &Path) -> PathBuf {
    file.with_added_extension("sig")
}

/// Whether a file is one that is checked by the signature beside it, and is not a report itself.
pub(super) fn is_signed_beside(file: &Path, bytes: &[u8]) -> bool {
    !bytes.starts_with(REPORT_START) && path_of(file).is_file()
}

/// The files that the description of a dataset names.
#[derive(Deserialize)]
struct Dataset {
    place: String,
    size: u64,
    root: Sha256Digest,
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    path: PathBuf,
    rows: u64,
    size_bytes: usize,
    sha256: Sha256Digest,
}

/// What is found out about a file.
struct Found {
    what: String,
    size: u64,
    root: Sha256Digest,
    members: Map<String, Value>,
    report: Report,
}

/// Checks a file with the signature beside it.
///
/// # Errors
/// A proof failure naming what does not hold; [`Exit::CouldNotCheck`] where there is no trust or the policy refuses it.
pub(super) fn run(context: &Context<'_>, trust: &Trust, file: &Path, bytes: &[u8]) -> Result<Exit, Failure> {
    let path = path_of(file);
    let note = files::read(&path, SIGNATURE_BYTES_MAX).map_err(|error| Failure::file("read", &path, &error))?;
    let note = String::from_utf8(note).map_err(|_| not_signed("the signature is no text"))?;
    let origin = note.lines().nth(1).unwrap_or_default();
    let Some(registry) = trust.policy.registry(origin) else {
        return Err(ReportError::NoTrust { origin: origin.to_owned() }.into());
    };
    if !registry.allow_registry_asserted {
        let reason = format!("an export is the registry's word; {origin} has allow_registry_asserted = false");
        return Err(ReportError::Policy(reason).into());
    }
    let key = registry.verifier_key().map_err(ReportError::Policy)?;
    let text = report::open_note(&note, &key)?;
    let digest = Sha256Digest::of(bytes);
    let differs = || not_signed("the signature is of other bytes");
    let found = if let Some(note) = ExportNote::parse(&text) {
        if note.digest == digest { export(trust, file, &note) } else { Err(differs()) }
    } else if let Some(note) = DatasetNote::parse(&text) {
        if note.digest == digest { dataset(file, bytes) } else { Err(differs()) }
    } else {
        Err(not_signed("the signature is of something else"))
    };
    let Found { what, size, root, mut members, report } = found?;
    for (name, value) in [
        ("file", json!(files::text(file))),
        ("sha256", json!(digest)),
        ("origin", json!(origin)),
        ("size", json!(size)),
        ("root", json!(root)),
        ("trust", json!({ "source": trust.source.kind(), "path": trust.source.path() })),
        ("proven", json!(PROVEN)),
        ("asserted", json!(ASSERTED)),
    ] {
        members.insert(name.to_owned(), value);
    }
    let report = report
        .row("registry", format!("{origin} at {size} entries"))
        .row("root", root.to_string())
        .row("proven", PROVEN)
        .row("its word", ASSERTED)
        .headline(Tone::Good, format!("SIGNED: {what}"));
    context.done(Value::Object(members), &report)
}

/// An export; the report it was made of is checked as well where it lies beside.
fn export(trust: &Trust, file: &Path, note: &ExportNote) -> Result<Found, Failure> {
    let beside = file.with_extension("json");
    let known = match files::read(&beside, REPORT_BYTES_MAX) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::file("read", &beside, &error)),
    };
    if let Some(bytes) = &known {
        if Sha256Digest::of(bytes) != note.report {
            return Err(not_signed(&format!("it is an export of another report than {}", beside.display())));
        }
        let head = report::verify(bytes, &trust.policy)?.head;
        if (head.size, head.root) != (note.size, note.root) {
            return Err(not_signed(&format!("it names another tree than {}", beside.display())));
        }
    }
    let mut report = Report::default().row("form", &note.form).row("of report", note.report.to_string());
    report = match known {
        Some(_) => report.row("the report", format!("{} is that one, and verified", beside.display())),
        None => report.next(format!("chopmark report verify {}, once you have it", bundle::shell_word(&beside))),
    };
    let members = json!({ "form": note.form, "report": note.report, "report_verified": known.is_some() });
    let Value::Object(members) = members else {
        return Err(Failure::internal("the facts about an export are no object"));
    };
    Ok(Found { what: format!("an export, {}", note.form), size: note.size, root: note.root, members, report })
}

/// The description of a dataset: every file is there as it is listed, and no other.
fn dataset(file: &Path, bytes: &[u8]) -> Result<Found, Failure> {
    let described: Dataset = serde_json::from_slice(bytes).map_err(|error| not_signed(&error.to_string()))?;
    let directory = file.parent().unwrap_or_else(|| Path::new(""));
    let (mut rows, mut expected) = (0_u64, BTreeSet::from([file.to_owned(), path_of(file)]));
    for Listed { path, rows: number, size_bytes, sha256 } in &described.files {
        let wrong = |reason: &str| Failure::proof(format!("{} {reason}", path.display()));
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(wrong("lies outside the dataset"));
        }
        let path = directory.join(path);
        let is_same = match files::read(&path, *size_bytes) {
            Ok(bytes) => Sha256Digest::of(&bytes) == *sha256,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(wrong("is missing")),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => false,
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        if !is_same {
            return Err(wrong("is not the file that was signed"));
        }
        rows = rows.saturating_add(*number);
        expected.insert(path);
    }
    // Whoever reads the directory as one table would read a stranger's file along.
    let mut open = vec![directory.to_owned()];
    while let Some(at) = open.pop() {
        let listed = if at.as_os_str().is_empty() { Path::new(".") } else { &at };
        for entry in std::fs::read_dir(listed).map_err(|error| Failure::file("read", listed, &error))? {
            let entry = entry.map_err(|error| Failure::file("read", listed, &error))?;
            let path = at.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if !expected.contains(&path) {
                return Err(Failure::proof(format!("{} is none of the dataset's files", path.display())));
            }
        }
    }
    let number = units::count(units::length(described.files.len()), "file");
    let what = format!("a dataset of {}, {number}, {}", described.place, units::count(rows, "row"));
    let members = json!({ "place": described.place, "files": described.files.len(), "rows": rows });
    let Value::Object(members) = members else {
        return Err(Failure::internal("the facts about a dataset are no object"));
    };
    let report = Report::default().row("files", format!("{number}, each as it was signed, and no other"));
    Ok(Found { what, size: described.size, root: described.root, members, report })
}

fn not_signed(reason: &str) -> Failure {
    ReportError::NotSigned(reason.to_owned()).into()
}
