//! What a caller remembers of files from an earlier run: the digests of unchanged ones, and how far a stopped one came.
//!
//! Nothing is looked up by path alone; whoever remembers compares the whole [`Identity`]. What is not settled
//! ([`Identity::is_settled`]) is never handed over to be remembered.

use core::fmt;

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::Blake3Digest;
use chopmark_core::manifest::FilePath;

use crate::digests::HashedFile;
use crate::identity::Identity;

/// A file that was read up to some point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedFile {
    /// Bytes read: a multiple of [`crate::SUBTREE_SIZE_BYTES`].
    pub offset_bytes: u64,
    /// The value of the SHA-256 chain over them.
    pub sha256: [u32; 8],
    /// The subtrees of the BLAKE3 tree over them, merged as far as they can be: see [`crate::tree::Tree`].
    pub tree: Vec<ChainingValue>,
    /// Every subtree's chaining value, if they are being kept.
    pub subtrees: Option<Vec<ChainingValue>>,
    /// The digests of the tensors that were read whole, in the order of the file. The one after them is read again.
    pub tensors: Vec<Blake3Digest>,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is read from the start.
    Nothing,
    /// It was read up to some point: the rest is read.
    Part(StoppedFile),
    /// Everything that a manifest holds of it: it is not read.
    Whole(HashedFile),
}

/// Remembers files from one run to the next. Calls come from several threads.
pub trait Memory: fmt::Debug + Sync {
    /// What is known of this file, as it is now.
    fn known(&self, path: &FilePath, identity: &Identity) -> Known;

    /// A file was read whole, and had this identity from the first byte to the last.
    fn finished(&self, identity: &Identity, file: &HashedFile);

    /// The reading of a file stopped.
    fn stopped(&self, path: &FilePath, identity: &Identity, part: StoppedFile);
}

#[cfg(test)]
mod tests;
