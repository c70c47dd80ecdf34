//! Where in a file the damage is: found values against those of its sidecar, in ranges of whole MiB.
//!
//! A range says that this MiB as a whole is not the registered one; which of its bytes differ, nobody can tell without
//! the registered bytes.

use blake3::hazmat::ChainingValue;
use serde::Serialize;

use super::SUBTREE_SIZE_BYTES;
use crate::manifest::{FileEntry, FilePath, TensorEntry};
use crate::verify::FileChange;

/// What is wrong with a range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageKind {
    /// The bytes are there and not, as a whole, those registered.
    Differs,
    /// The file found ends before them.
    Missing,
    /// The file found goes on past the registered end.
    Extra,
}

/// One range of a file that is not as registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: FilePath,
    /// What is wrong.
    pub kind: DamageKind,
    /// First byte, counted from the start of the file: a multiple of [`SUBTREE_SIZE_BYTES`], or the end of the shorter
    /// of both files.
    pub begin: u64,
    /// One past the last byte.
    pub end: u64,
    /// Whether the header of a weight file lies in the range, and is not known to be as registered.
    pub header: bool,
    /// Registered tensors with bytes in the range that are not known to be as registered, in the order of the file.
    pub tensors: Vec<String>,
}

/// The damaged ranges of a changed file, in order; neighbours of one kind are one range.
///
/// `expected` are the values of the registered file, empty for one of at most [`SUBTREE_SIZE_BYTES`]; `found` those of
/// the file found, likewise.
pub fn locate(
    registered: &FileEntry,
    change: &FileChange,
    expected: &[ChainingValue],
    found: &[ChainingValue],
) -> Vec<Damage> {
    let (registered_bytes, found_bytes) = (registered.size_bytes, change.actual.size_bytes);
    let both = registered_bytes.min(found_bytes);
    let is_same_root = change.expected.blake3.is_some() && change.expected.blake3 == change.actual.blake3;
    let mut ranges: Vec<(DamageKind, u64, u64)> = Vec::new();
    let mut begin = 0;
    let mut pairs = (expected.iter(), found.iter());
    while begin < both && !is_same_root {
        let end = begin.saturating_add(SUBTREE_SIZE_BYTES).min(both);
        let is_equal = match (pairs.0.next(), pairs.1.next()) {
            // Equal values stand for equal bytes and so for equally many.
            (Some(expected), Some(found)) => expected == found,
            _ => false,
        };
        match ranges.last_mut() {
            _ if is_equal => {}
            Some((_, _, last)) if *last == begin => *last = end,
            _ => ranges.push((DamageKind::Differs, begin, end)),
        }
        begin = end;
    }
    if found_bytes < registered_bytes {
        ranges.push((DamageKind::Missing, found_bytes, registered_bytes));
    }
    if registered_bytes < found_bytes {
        ranges.push((DamageKind::Extra, registered_bytes, found_bytes));
    }
    ranges.into_iter().map(|(kind, begin, end)| damage(registered, change, kind, begin, end)).collect()
}

fn damage(registered: &FileEntry, change: &FileChange, kind: DamageKind, begin: u64, end: u64) -> Damage {
    let (mut header, mut tensors) = (false, Vec::new());
    if let Some(weights) = &registered.weights {
        // What could be compared and is not listed as changed is as registered.
        let is_compared = change.found_unreadable.is_none();
        header = begin < weights.header_size_bytes && (change.header_changed || !is_compared);
        let is_suspect = |tensor: &&TensorEntry| {
            let is_listed = change.tensors.binary_search_by(|listed| listed.name.cmp(&tensor.name)).is_ok();
            tensor.begin < end && begin < tensor.end && (is_listed || !is_compared)
        };
        tensors = weights.tensors.iter().filter(is_suspect).map(|tensor| tensor.name.clone()).collect();
    }
    Damage { file: registered.path.clone(), kind, begin, end, header, tensors }
}
