//! Which digests of a file are wanted, and what came out. Only what is wanted is computed.
//!
//! A digest is a claim of its own: no one of them ever stands in for another.

use core::fmt;
use core::str::FromStr;

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::{FilePath, WeightIndex};

use crate::verity::FsverityDigest;

/// A digest that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestKind {
    /// SHA-256 of the whole file.
    Sha256,
    /// BLAKE3 of the whole file.
    Blake3,
    /// The Linux fs-verity digest with SHA-256, blocks of 4096 bytes and no salt.
    Fsverity,
}

impl DigestKind {
    /// Every kind, in the order of help texts and columns.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Blake3, Self::Fsverity];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Fsverity => "fsverity",
        }
    }
}

impl fmt::Display for DigestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no digest of this name; choose from sha256, blake3 and fsverity")]
pub struct UnknownDigest;

impl FromStr for DigestKind {
    type Err = UnknownDigest;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownDigest)
    }
}

/// The digests asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestSelection {
    /// SHA-256 of the whole file.
    pub sha256: bool,
    /// BLAKE3 of the whole file.
    pub blake3: bool,
    /// The fs-verity digest.
    pub fsverity: bool,
}

impl DigestSelection {
    /// Nothing yet.
    pub const NONE: Self = Self { sha256: false, blake3: false, fsverity: false };
    /// What a manifest holds of each file.
    pub const MANIFEST: Self = Self { sha256: true, blake3: true, fsverity: false };

    /// These and those of a manifest.
    #[must_use]
    pub const fn with_manifest(self) -> Self {
        Self { sha256: true, blake3: true, ..self }
    }

    /// Whether this kind is asked for.
    pub const fn has(self, kind: DigestKind) -> bool {
        match kind {
            DigestKind::Sha256 => self.sha256,
            DigestKind::Blake3 => self.blake3,
            DigestKind::Fsverity => self.fsverity,
        }
    }

    /// The kinds asked for, in the order of [`DigestKind::ALL`].
    pub fn kinds(self) -> impl Iterator<Item = DigestKind> {
        DigestKind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

/// What a manifest holds.
impl Default for DigestSelection {
    fn default() -> Self {
        Self::MANIFEST
    }
}

impl FromIterator<DigestKind> for DigestSelection {
    fn from_iter<I: IntoIterator<Item = DigestKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, |selection, kind| match kind {
            DigestKind::Sha256 => Self { sha256: true, ..selection },
            DigestKind::Blake3 => Self { blake3: true, ..selection },
            DigestKind::Fsverity => Self { fsverity: true, ..selection },
        })
    }
}

/// The digests of one file, each there if it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileDigests {
    /// SHA-256 of the whole file.
    pub sha256: Option<Sha256Digest>,
    /// BLAKE3 of the whole file.
    pub blake3: Option<Blake3Digest>,
    /// The fs-verity digest.
    pub fsverity: Option<FsverityDigest>,
}

/// One file, hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFile {
    /// Where it lies below the artefact's root.
    pub path: FilePath,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its digests.
    pub digests: FileDigests,
    /// The BLAKE3 chaining values of its subtrees of [`crate::SUBTREE_SIZE_BYTES`], in order; empty unless asked for, and
    /// for a file of one subtree or none, which has a root only.
    pub subtrees: Vec<ChainingValue>,
    /// Its tensors, for a well-formed file of a weight format whose tensors were asked for.
    pub weights: Option<WeightIndex>,
}

impl HashedFile {
    /// The file with no other digests than these, if it has all of them.
    pub(crate) fn only(self, selection: DigestSelection) -> Option<Self> {
        let FileDigests { sha256, blake3, fsverity } = self.digests;
        let digests = FileDigests {
            sha256: sha256.filter(|_| selection.sha256),
            blake3: blake3.filter(|_| selection.blake3),
            fsverity: fsverity.filter(|_| selection.fsverity),
        };
        let found = [digests.sha256.is_some(), digests.blake3.is_some(), digests.fsverity.is_some()];
        (found == [selection.sha256, selection.blake3, selection.fsverity]).then_some(Self { digests, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_has_what_it_was_made_of() {
        for kind in DigestKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let only = DigestSelection::from_iter([kind]);
            assert_eq!(only.kinds().collect::<Vec<_>>(), [kind]);
            assert!(only.with_manifest().sha256 && only.with_manifest().blake3 && only.with_manifest().has(kind));
        }
        assert_eq!(DigestSelection::from_iter([DigestKind::Blake3, DigestKind::Sha256]), DigestSelection::default());
        assert_eq!("md5".parse::<DigestKind>(), Err(UnknownDigest));
    }
}
