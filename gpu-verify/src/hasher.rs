//! The seam between engines and everything else: aligned windows of a file in, BLAKE3 chaining values out.
//!
//! An engine sees one window of 2^k bytes at a time and knows nothing of files; it returns one value for each MiB, whatever
//! its window, and [`crate::tree::Tree`] merges them. The SHA-256 of a file is a serial chain that no engine can speed up, so
//! it is not part of the seam (see `pass.rs`); that of the equal leaves of an fs-verity tree is.

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use sha2::{Digest as _, Sha256};

/// Bytes under one chaining value that an engine returns: small enough to name the damaged place in a file, large enough
/// that the values of a terabyte are 32 MB. A file of at most this size has a root and no values.
pub const SUBTREE_SIZE_BYTES: usize = 1 << 20;

/// Bytes under one leaf of an fs-verity tree (Linux `Documentation/filesystems/fsverity.rst`, "Merkle tree"; the only block
/// size that every kernel takes).
pub const VERITY_LEAF_SIZE_BYTES: usize = 4096;

/// A part of a file that is one subtree of its BLAKE3 tree: not empty, and aligned as BLAKE3 (paper, section 2.1) wants.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    offset_bytes: u64,
    bytes: &'a [u8],
}

impl<'a> Window<'a> {
    /// The window of `bytes` that starts `offset_bytes` into its file.
    ///
    /// `None` unless `bytes` is non-empty, the offset a multiple of the 1024-byte chunk, and (past the start of the
    /// file) the length at most the largest power of two that divides the offset; anything else is no subtree.
    pub fn new(offset_bytes: u64, bytes: &'a [u8]) -> Option<Self> {
        let chunk_size_bytes = u64::try_from(blake3::CHUNK_LEN).ok()?;
        let size_bytes = crate::size_bytes(bytes);
        let size_bytes_max = match offset_bytes {
            0 => u64::MAX,
            _ => 1 << offset_bytes.trailing_zeros(),
        };
        let is_subtree = !bytes.is_empty()
            && offset_bytes.is_multiple_of(chunk_size_bytes)
            && size_bytes <= size_bytes_max
            && offset_bytes.checked_add(size_bytes).is_some();
        is_subtree.then_some(Self { offset_bytes, bytes })
    }

    /// Where the window starts in its file, in bytes.
    pub fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    /// The window's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// An engine gave a wrong result, or stopped working. Nothing that it gave is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the engine `{engine}` cannot be trusted on this machine: {reason}; nothing it computed was used; use `--engine rayon`, \
     and have the device, its memory and its driver checked"
)]
pub struct EngineFault {
    /// Name of the engine.
    pub engine: &'static str,
    /// What was noticed.
    pub reason: String,
}

/// A hashing engine. Every engine gives the same values; they differ in what they need and how fast they are.
pub trait Hasher: Sync {
    /// Short name, as written after `--engine`.
    fn name(&self) -> &'static str;

    /// Size of the windows this engine wants, in bytes: a power of two, at least [`SUBTREE_SIZE_BYTES`]. Two are held per
    /// open file.
    fn window_size_bytes(&self) -> usize;

    /// Files worth reading at the same time.
    fn files_in_parallel(&self) -> usize;

    /// The non-root chaining values of a window, one for each [`SUBTREE_SIZE_BYTES`] in order; the last may stand for fewer
    /// bytes.
    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue>;

    /// The digests of whole files, each of at most [`SUBTREE_SIZE_BYTES`], in order. One call for many files, because
    /// engines pay for each call.
    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest>;

    /// The leaf hashes of an fs-verity tree, one for each [`VERITY_LEAF_SIZE_BYTES`] in order; the last leaf is padded with
    /// zeros.
    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest>;

    /// Feeds a running BLAKE3 state. For tensors, which start anywhere in a window and so never align with it.
    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]);

    /// Runs both, at the same time where the engine has the threads.
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send));

    /// Copies bytes to the engine's device and does nothing with them, so that the copy can be measured; whether there is
    /// such a device and it went well.
    fn upload(&self, _bytes: &[u8]) -> bool {
        false
    }

    /// Whether all that was returned so far may be used. Asked after every window and once more before digests leave
    /// [`crate::measure()`]; an engine that can fail returns anything of the right shape meanwhile.
    ///
    /// # Errors
    /// The first fault; it stays for as long as the engine lives.
    fn health(&self) -> Result<(), EngineFault> {
        Ok(())
    }

    /// The same engine with every result computed again on the CPU, for digests that are about to be signed; `None` where
    /// results come from the CPU anyway.
    fn fully_checked(&self) -> Option<&dyn Hasher> {
        None
    }
}

/// The leaf hash of at most [`VERITY_LEAF_SIZE_BYTES`] bytes, padded with zeros.
pub(crate) fn verity_leaf(bytes: &[u8]) -> Sha256Digest {
    let mut state = Sha256::new();
    state.update(bytes);
    let missing = VERITY_LEAF_SIZE_BYTES.saturating_sub(bytes.len());
    state.update([0; VERITY_LEAF_SIZE_BYTES].get(..missing).unwrap_or_default());
    Sha256Digest::from_bytes(state.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_subtrees_are_windows() {
        let bytes = vec![0; 8192];
        let accepts = |offset, length: usize| Window::new(offset, &bytes[..length]).is_some();
        assert!(accepts(0, 1) && accepts(0, 8192) && accepts(1024, 1024) && accepts(4096, 4096) && accepts(4096, 1));
        assert!(accepts(1 << 63, 8192) && accepts(u64::MAX - 1023, 1023));
        assert!(!accepts(0, 0) && !accepts(1, 1) && !accepts(512, 1) && !accepts(1024, 1025) && !accepts(6144, 2049));
        assert!(!accepts(u64::MAX - 1023, 1024));
    }
}
