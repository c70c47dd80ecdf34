//! What of a list came to nothing, as people are told: `register --from` and `pay import` end alike.

use crate::exit::Failure;
use crate::printer::Report;
use crate::units;

/// Most failed rows that are listed for people; the report lists all.
const LISTED_MAX: usize = 20;

/// Rows for those that failed – their line in the list, what they are about, and why – and for those that nobody tried.
pub(super) fn rows<'a>(failed: impl Iterator<Item = (u64, String, &'a Failure)>, not_tried: usize) -> Report {
    let mut failed = failed.fuse();
    let mut report = Report::default();
    for (line, about, failure) in failed.by_ref().take(LISTED_MAX) {
        report = report.row(&format!("row {line}"), format!("{about}: {failure}"));
    }
    let left = failed.count();
    if left > 0 {
        report = report.row("  …", format!("{left} more failed; the report lists all"));
    }
    if not_tried > 0 {
        report = report.row("not tried", units::count(units::length(not_tried), "row"));
    }
    report
}
