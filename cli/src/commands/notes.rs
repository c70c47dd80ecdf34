//! What else there is to know about files, as `hash`, `register` and `verify` say it: no fault of the bytes, and no
//! verdict.

use chopmark_gpu_verify::{FileNote, FileNoteKind};
use serde_json::{Value, json};

use crate::printer::{Printer, Report};

/// Most files that are named for people; JSON lists all.
const LISTED_MAX: usize = 10;

/// The notes for programs.
pub(crate) fn members(notes: &[FileNote]) -> Vec<Value> {
    notes
        .iter()
        .map(|FileNote { path, kind }| json!({ "path": path, "code": kind.code(), "message": kind.message() }))
        .collect()
}

/// The notes for people: what it is once, and which files it is about.
pub(crate) fn rows(mut report: Report, notes: &[FileNote]) -> Report {
    for note in notes.iter().take(LISTED_MAX) {
        report = report.row("pickle", note.path.as_str());
    }
    if let Some(left) = notes.len().checked_sub(LISTED_MAX).filter(|left| *left > 0) {
        report = report.row("  …", format!("{left} more; --json lists all"));
    }
    if notes.is_empty() { report } else { report.row("  note", FileNoteKind::Pickle.message()) }
}

/// Says on stderr what there is to know, where the result itself can't or comes too late.
pub(crate) fn tell(printer: &Printer, notes: &[FileNote]) {
    for FileNote { path, kind } in notes {
        printer.note(format!("{path}: {}", kind.message()));
    }
}
