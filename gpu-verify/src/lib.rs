//! Hashing of model weights: from a path of unknown content to a [`chopmark_core::manifest::Manifest`].
//!
//! [`measure()`] walks and reads each file once; the engines behind [`Hasher`] do the BLAKE3 work and all answer to
//! `vectors.json`. Relies on `blake3::hazmat` for subtrees and `sha2` for SHA-256.

pub mod cache;
pub mod checked;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod digests;
pub mod engine;
pub mod error;
pub mod hasher;
pub mod identity;
pub mod image;
pub mod known_answers;
pub mod machine;
pub mod measure;
pub mod memory;
pub mod pickle;
pub mod portable;
pub mod progress;
pub mod rayon;
pub mod share;
pub mod tree;
pub mod verity;
#[cfg(feature = "gpu")]
pub mod wgpu;

mod job;
mod look;
mod open;
mod pass;
mod scan;
mod sha256;
mod walk;

pub use self::cache::{CachedRepository, RepositoryKind};
pub use self::digests::{DigestKind, DigestSelection, FileDigests, HashedFile};
pub use self::engine::{Engine, EngineChoice, EngineError};
pub use self::error::MeasureError;
pub use self::hasher::{EngineFault, Hasher, SUBTREE_SIZE_BYTES, VERITY_LEAF_SIZE_BYTES};
pub use self::identity::Identity;
pub use self::image::{find_image, images_in_layout, is_image_layout, measure_image};
pub use self::look::{Looked, Seen, look};
pub use self::measure::{Hashed, MeasureOptions, Measured, Purpose, hash_files, measure};
pub use self::memory::{Known, Memory, StoppedFile};
pub use self::pickle::{FileNote, FileNoteKind};
pub use self::progress::{Progress, Silent};
pub use self::share::Share;
pub use self::verity::FsverityDigest;

/// Length of a slice in bytes, as sizes and offsets are kept everywhere here. No platform has slices past 64 bits.
pub(crate) fn size_bytes(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod every_type;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod optional;
#[cfg(test)]
mod vectors;
