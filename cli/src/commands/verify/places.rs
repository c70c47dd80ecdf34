//! Where in a file the damage is, by the sidecar that was written when the artefact was registered.
//!
//! The verdict never depends on it: a sidecar that is absent, damaged or of other bytes costs the places and nothing else.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chopmark_core::manifest::{FilePath, Manifest};
use chopmark_core::sidecar::{
    Damage, DamageKind, SIDECAR_ENDING, SIDECAR_SIZE_BYTES_MAX, SUBTREE_SIZE_BYTES, Sidecar, locate,
};
use chopmark_core::verify::{Difference, FileChange};
use serde_json::json;

use super::verdict::{LISTED_MAX, more};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{Printer, Report};
use crate::units;

/// A sidecar at hand.
pub(super) struct Places {
    path: PathBuf,
    sidecar: Sidecar,
}

/// What the sidecar says about a comparison.
pub(super) struct Damages {
    sidecar: PathBuf,
    ranges: Vec<Damage>,
    /// Changed files about which it says nothing.
    unplaced: Vec<FilePath>,
}

impl Places {
    /// The sidecar that was named, or the one beside the bundle.
    ///
    /// # Errors
    /// Only when it was named and can't be used: then somebody relies on it, and should know before hours of hashing.
    pub(super) fn find(
        named: Option<&Path>,
        bundle: Option<&Path>,
        printer: &Printer,
    ) -> Result<Option<Self>, Failure> {
        if let Some(path) = named {
            return Self::read(path).map(Some);
        }
        let beside = bundle.map(beside);
        let Some(beside) = beside.filter(|path| path.is_file()) else { return Ok(None) };
        Ok(match Self::read(&beside) {
            Ok(places) => Some(places),
            Err(failure) => {
                printer.note(format!("without places of damage: {failure}"));
                None
            }
        })
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let unusable = |exit, reason: String| Failure::new(exit, "sidecar", format!("{}: {reason}", path.display()));
        let bytes = files::read(path, SIDECAR_SIZE_BYTES_MAX).map_err(|error| match error.kind() {
            ErrorKind::NotFound => unusable(Exit::Usage, "there is no such sidecar; check the path".to_owned()),
            _ => unusable(Exit::CouldNotCheck, format!("the sidecar can't be read: {error}")),
        })?;
        let sidecar = Sidecar::parse(&bytes).map_err(|fault| unusable(Exit::CouldNotCheck, fault.to_string()))?;
        Ok(Self { path: path.to_owned(), sidecar })
    }

    /// The damaged ranges of every changed file, as far as the sidecar is of the registered bytes.
    pub(super) fn locate(
        self,
        registered: &Manifest,
        difference: &Difference,
        found: &BTreeMap<FilePath, Vec<[u8; 32]>>,
    ) -> Damages {
        let (mut ranges, mut unplaced) = (Vec::new(), Vec::new());
        for change in &difference.changed {
            let file = registered.file(&change.path);
            let values = file.and_then(|file| match file.size_bytes {
                ..=SUBTREE_SIZE_BYTES => Some([].as_slice()),
                _ => self.sidecar.values_of(file),
            });
            match file.zip(values) {
                Some((file, values)) => {
                    let found = found.get(&change.path).map(Vec::as_slice).unwrap_or_default();
                    ranges.extend(locate(file, change, values, found));
                }
                None => unplaced.push(change.path.clone()),
            }
        }
        Damages { sidecar: self.path, ranges, unplaced }
    }
}

impl Damages {
    /// For JSON: the sidecar, and its ranges.
    pub(super) fn members(damages: Option<&Self>) -> (serde_json::Value, serde_json::Value) {
        match damages {
            Some(Self { sidecar, ranges, .. }) => (json!(files::text(sidecar)), json!(ranges)),
            None => (json!(null), json!(null)),
        }
    }

    /// Lines about one changed file.
    pub(super) fn rows(damages: Option<&Self>, mut report: Report, change: &FileChange) -> Report {
        let is_large = change.expected.size_bytes > SUBTREE_SIZE_BYTES;
        let Some(Self { sidecar, ranges, unplaced }) = damages else {
            let hint = "unknown without a sidecar, which `register --sidecar` writes and --sidecar names here";
            return if is_large { report.row("  place", hint) } else { report };
        };
        if unplaced.contains(&change.path) {
            return report.row("  place", format!("unknown: {} is not of the registered bytes", sidecar.display()));
        }
        let ranges: Vec<&Damage> = ranges.iter().filter(|damage| damage.file == change.path).collect();
        for damage in ranges.iter().take(LISTED_MAX) {
            report = report.row("  damaged", range_line(damage));
        }
        more(report, ranges.len(), "ranges")
    }
}

/// Where the sidecar of a bundle's artefact lies, if it has one.
pub(super) fn beside(bundle: &Path) -> PathBuf {
    bundle.with_extension(ending())
}

/// How names of sidecars end, without the dot.
fn ending() -> &'static str {
    SIDECAR_ENDING.trim_start_matches('.')
}

fn range_line(damage: &Damage) -> String {
    let Damage { kind, begin, end, header, tensors, .. } = damage;
    let size = units::bytes(end.saturating_sub(*begin));
    let what = match kind {
        DamageKind::Differs => "",
        DamageKind::Missing => ", missing",
        DamageKind::Extra => ", beyond the registered end",
    };
    let mut within: Vec<String> = header.then(|| "the header".to_owned()).into_iter().collect();
    within.extend(tensors.iter().take(3).cloned());
    if let Some(left) = tensors.len().checked_sub(3).filter(|left| *left > 0) {
        within.push(format!("{left} more"));
    }
    let within = if within.is_empty() { String::new() } else { format!(": {}", within.join(", ")) };
    format!("bytes {begin} to {end} ({size}{what}){within}")
}
