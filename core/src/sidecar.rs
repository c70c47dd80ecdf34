//! The sidecar of an artefact: the BLAKE3 chaining value of every MiB of its larger files, so that damage has a place.
//!
//! It needs no signature. The values of a file merge to its BLAKE3 digest (BLAKE3 paper, section 2.1), which the manifest
//! holds; whoever could find other values with the same root could find two files with the same digest.

mod damage;

use std::ops::Range;

use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};
use serde::{Deserialize, Serialize};

pub use self::damage::{Damage, DamageKind, locate};
use crate::digest::Blake3Digest;
use crate::manifest::{FILES_MAX, FileEntry, FilePath};
use crate::strict::{self, StrictError};

/// How the names of sidecars end: the exclusion profile leaves such files out, so that none becomes part of an artefact.
pub const SIDECAR_ENDING: &str = ".b3tree";
/// Bytes of a file under one value.
pub const SUBTREE_SIZE_BYTES: u64 = 1 << 20;
/// Most values in a sidecar: those of 8 TiB, the largest file there may be; 256 MiB.
pub const VALUES_MAX: usize = 8 << 20;
/// Longest first line in bytes, as that of a manifest of as many files.
pub const HEADER_SIZE_BYTES_MAX: usize = 32 << 20;
/// Largest sidecar in bytes.
pub const SIDECAR_SIZE_BYTES_MAX: usize = HEADER_SIZE_BYTES_MAX + 1 + VALUES_MAX * VALUE_SIZE_BYTES;

const VALUE_SIZE_BYTES: usize = 32;

/// The only schema there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "chopmark.b3tree/v1")]
    V1,
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema: Schema,
    files: Vec<Covered>,
}

/// A file whose values follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Covered {
    path: FilePath,
    size_bytes: u64,
    blake3: Blake3Digest,
}

/// The values of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileValues {
    /// The file.
    pub path: FilePath,
    /// Its size in bytes, above [`SUBTREE_SIZE_BYTES`].
    pub size_bytes: u64,
    /// The root of its tree.
    pub blake3: Blake3Digest,
    /// The non-root chaining values, one for each [`SUBTREE_SIZE_BYTES`] in order; the last may stand for fewer bytes.
    pub values: Vec<ChainingValue>,
}

/// A sidecar whose values are those of the files it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    header: Header,
    values: Vec<ChainingValue>,
}

/// Why a sidecar was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SidecarError {
    /// More bytes or values than a limit of this module.
    #[error("a sidecar of more than {VALUES_MAX} values (8 TiB of files) or {FILES_MAX} files is not written or read")]
    TooLarge,
    /// The first line is not what it should be.
    #[error("the first line is not that of a sidecar: {0}")]
    Header(StrictError),
    /// The first line does not end, or too few or too many bytes follow it.
    #[error("{found} bytes of values follow the first line where {expected} should; it is cut off or padded")]
    Length {
        /// Bytes that the first line promises.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The values of a file do not merge to its digest.
    #[error("the values of {path} do not merge to its BLAKE3 digest; the sidecar is damaged")]
    Root {
        /// The file.
        path: FilePath,
    },
}

impl Sidecar {
    /// A sidecar of these files, given in any order. Files of at most [`SUBTREE_SIZE_BYTES`] have no values and no place
    /// in it.
    ///
    /// # Errors
    /// [`SidecarError`] for values that are not those of their file, a repeated path, or too many of anything.
    pub fn new(mut files: Vec<FileValues>) -> Result<Self, SidecarError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut header = Header { schema: Schema::V1, files: Vec::with_capacity(files.len()) };
        let mut values = Vec::new();
        for file in files {
            let FileValues { path, size_bytes, blake3, values: own } = file;
            header.files.push(Covered { path, size_bytes, blake3 });
            values.extend(own);
        }
        let sidecar = Self { header, values };
        sidecar.check()?;
        Ok(sidecar)
    }

    /// Reads a sidecar. What parses is byte for byte what would be written, and every value is one of the file it is
    /// said to be of.
    ///
    /// # Errors
    /// [`SidecarError`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, SidecarError> {
        if bytes.len() > SIDECAR_SIZE_BYTES_MAX {
            return Err(SidecarError::TooLarge);
        }
        let line_end = bytes.iter().take(HEADER_SIZE_BYTES_MAX + 1).position(|byte| *byte == b'\n');
        let no_line = || SidecarError::Header(StrictError::new("", "no line ends within the limit"));
        let (line, rest) = line_end.and_then(|at| bytes.split_at_checked(at)).ok_or_else(no_line)?;
        let header: Header = strict::from_slice(line).map_err(SidecarError::Header)?;
        if strict::to_canonical(&header).map_err(SidecarError::Header)? != line {
            return Err(SidecarError::Header(StrictError::new("", "not in canonical form (RFC 8785)")));
        }
        let rest = rest.get(1..).unwrap_or_default();
        let (values, odd) = rest.as_chunks::<VALUE_SIZE_BYTES>();
        let sidecar = Self { header, values: values.to_vec() };
        let expected = sidecar.check_header()?.saturating_mul(VALUE_SIZE_BYTES);
        if expected != rest.len() || !odd.is_empty() {
            return Err(SidecarError::Length { expected: length(expected), found: length(rest.len()) });
        }
        sidecar.check()?;
        Ok(sidecar)
    }

    /// The sidecar as a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising texts and integers into memory has no way to fail; an empty result would not parse.
        let mut bytes = strict::to_canonical(&self.header).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(self.values.as_flattened());
        bytes
    }

    /// The values of a registered file; `None` where the sidecar has none or is of other bytes.
    pub fn values_of(&self, registered: &FileEntry) -> Option<&[ChainingValue]> {
        let (covered, range) = self.covered().find(|(covered, _)| covered.path == registered.path)?;
        let is_same = covered.size_bytes == registered.size_bytes && Some(covered.blake3) == registered.blake3;
        self.values.get(range).filter(|_| is_same)
    }

    /// Number of files whose values are here.
    pub fn files(&self) -> usize {
        self.header.files.len()
    }

    /// The files, each with the place of its values.
    fn covered(&self) -> impl Iterator<Item = (&Covered, Range<usize>)> {
        let mut begin = 0_usize;
        self.header.files.iter().map(move |covered| {
            let end = begin.saturating_add(values_of_size(covered.size_bytes));
            (covered, core::mem::replace(&mut begin, end)..end)
        })
    }

    /// Checks what can be known from the first line, and returns how many values it promises.
    fn check_header(&self) -> Result<usize, SidecarError> {
        let files = &self.header.files;
        if files.len() > FILES_MAX {
            return Err(SidecarError::TooLarge);
        }
        for (index, covered) in files.iter().enumerate() {
            let refuse = |member: &str, reason: &str| {
                Err(SidecarError::Header(StrictError::new(format!("/files/{index}/{member}"), reason)))
            };
            if index.checked_sub(1).and_then(|at| files.get(at)).is_some_and(|before| before.path >= covered.path) {
                return refuse("path", "paths must be unique and in the order of their bytes");
            }
            if covered.size_bytes <= SUBTREE_SIZE_BYTES {
                return refuse("size_bytes", "a file of at most one MiB has no values");
            }
        }
        let values = files.iter().map(|covered| values_of_size(covered.size_bytes)).fold(0, usize::saturating_add);
        if values > VALUES_MAX { Err(SidecarError::TooLarge) } else { Ok(values) }
    }

    fn check(&self) -> Result<(), SidecarError> {
        let expected = self.check_header()?;
        if expected != self.values.len() {
            let bytes = |values: usize| length(values.saturating_mul(VALUE_SIZE_BYTES));
            return Err(SidecarError::Length { expected: bytes(expected), found: bytes(self.values.len()) });
        }
        for (covered, range) in self.covered() {
            if self.values.get(range).and_then(root) != Some(covered.blake3) {
                return Err(SidecarError::Root { path: covered.path.clone() });
            }
        }
        Ok(())
    }
}

fn length(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Values that a file of this size has.
fn values_of_size(size_bytes: u64) -> usize {
    usize::try_from(size_bytes.div_ceil(SUBTREE_SIZE_BYTES)).unwrap_or(usize::MAX)
}

/// The digest of a file with these values; `None` below two, since a chaining value is no root.
fn root(values: &[ChainingValue]) -> Option<Blake3Digest> {
    let (left, right) = split(values)?;
    let root = merge_subtrees_root(&merged(left)?, &merged(right)?, Mode::Hash);
    Some(Blake3Digest::from_bytes(*root.as_bytes()))
}

fn merged(values: &[ChainingValue]) -> Option<ChainingValue> {
    match values {
        [only] => Some(*only),
        many => {
            let (left, right) = split(many)?;
            Some(merge_subtrees_non_root(&merged(left)?, &merged(right)?, Mode::Hash))
        }
    }
}

/// The left child takes the largest power of two that leaves something for the right.
fn split(values: &[ChainingValue]) -> Option<(&[ChainingValue], &[ChainingValue])> {
    let before_the_last = values.len().saturating_sub(1);
    values.split_at_checked(1 << before_the_last.checked_ilog2()?)
}

#[cfg(test)]
mod tests;
