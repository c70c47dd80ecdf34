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
    /// The value of the SHA-256 chain over them, if it is asked for.
    pub sha256: Option<[u32; 8]>,
    /// The subtrees of the BLAKE3 tree over them, merged as far as they can be, if it is asked for: see
    /// [`crate::tree::Tree`].
    pub blake3: Option<Vec<ChainingValue>>,
    /// Of each level of the fs-verity tree over them, from the lowest, the hashes that fill no block yet, if it is asked
    /// for.
    pub fsverity: Option<Vec<Vec<[u8; 32]>>>,
    /// Every subtree's chaining value, if they are being kept.
    pub subtrees: Option<Vec<ChainingValue>>,
    /// Of a weight file whose tensors are asked for, the digests of the tensors that were read whole, in the order of the
    /// file. The one after them is read again.
    pub tensors: Option<Vec<Blake3Digest>>,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is read from the start.
    Nothing,
    /// It was read up to some point: the rest is read.
    Part(StoppedFile),
    /// Digests of the whole of it: if they are those asked for, it is not read.
    Whole(HashedFile),
}

/// Remembers files from one run to the next. Calls come from several threads.
pub trait Memory: fmt::Debug + Sync {
    /// Whether nothing is known of any file, so that there is no need to ask.
    fn is_empty(&self) -> bool;

    /// What is known of this file, as it is now.
    fn known(&self, path: &FilePath, identity: &Identity) -> Known;

    /// What is known of this file is put to use.
    fn used(&self, path: &FilePath);

    /// A file was read whole, and had this identity from the first byte to the last.
    fn finished(&self, identity: &Identity, file: &HashedFile);

    /// So much of a file was read, and its reading stopped or goes on: told about once a second, too.
    fn stopped(&self, path: &FilePath, identity: &Identity, part: StoppedFile);
}

#[cfg(test)]
mod tests;
