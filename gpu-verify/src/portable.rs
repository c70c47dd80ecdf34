//! The reference engine: one thread, the tree written out as in the BLAKE3 paper, section 2.1.
//!
//! Small enough to be checked by eye; only the hash of a single chunk comes from the `blake3` crate.

use blake3::CHUNK_LEN;
use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use chopmark_core::digest::{Blake3Digest, Sha256Digest};

use crate::hasher::{Hasher, SUBTREE_SIZE_BYTES, VERITY_LEAF_SIZE_BYTES, Window, verity_leaf};

/// One thread, no vector instructions across chunks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portable;

impl Hasher for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn window_size_bytes(&self) -> usize {
        SUBTREE_SIZE_BYTES
    }

    fn files_in_parallel(&self) -> usize {
        1
    }

    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        let offsets_bytes = (window.offset_bytes()..).step_by(SUBTREE_SIZE_BYTES);
        window.bytes().chunks(SUBTREE_SIZE_BYTES).zip(offsets_bytes).map(|(bytes, at)| subtree(bytes, at)).collect()
    }

    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        files.iter().map(|bytes| root(bytes)).collect()
    }

    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        bytes.chunks(VERITY_LEAF_SIZE_BYTES).map(verity_leaf).collect()
    }

    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        state.update(bytes);
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        first();
        second();
    }
}

fn root(bytes: &[u8]) -> Blake3Digest {
    let root = match split(bytes) {
        None => blake3::hash(bytes),
        Some((left, right)) => {
            merge_subtrees_root(&subtree(left, 0), &subtree(right, crate::size_bytes(left)), Mode::Hash)
        }
    };
    Blake3Digest::from_bytes(*root.as_bytes())
}

fn subtree(bytes: &[u8], offset_bytes: u64) -> ChainingValue {
    match split(bytes) {
        None => blake3::Hasher::new().set_input_offset(offset_bytes).update(bytes).finalize_non_root(),
        Some((left, right)) => {
            let right_offset_bytes = offset_bytes.saturating_add(crate::size_bytes(left));
            merge_subtrees_non_root(&subtree(left, offset_bytes), &subtree(right, right_offset_bytes), Mode::Hash)
        }
    }
}

/// More than one chunk: the left child takes the largest power of two of chunks that leaves something for the right.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let chunks_before_the_last = bytes.len().saturating_sub(1) / CHUNK_LEN;
    bytes.split_at_checked(CHUNK_LEN << chunks_before_the_last.checked_ilog2()?)
}
