//! A part of an engine, for one of several measurements that run at the same time: together they open no more files
//! than one.

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};

use crate::hasher::{EngineFault, Hasher, Window};

/// An engine that reads fewer files at a time, and is the same otherwise.
#[derive(Clone, Copy)]
pub struct Share<'a> {
    whole: &'a dyn Hasher,
    files_in_parallel: usize,
}

impl<'a> Share<'a> {
    /// A share of `files_in_parallel` files, at least one and at most as many as the whole engine reads.
    pub fn new(whole: &'a dyn Hasher, files_in_parallel: usize) -> Self {
        Self { whole, files_in_parallel: files_in_parallel.clamp(1, whole.files_in_parallel().max(1)) }
    }
}

impl core::fmt::Debug for Share<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Share").field("of", &self.name()).field("files_in_parallel", &self.files_in_parallel).finish()
    }
}

impl Hasher for Share<'_> {
    fn name(&self) -> &'static str {
        self.whole.name()
    }

    fn window_size_bytes(&self) -> usize {
        self.whole.window_size_bytes()
    }

    fn files_in_parallel(&self) -> usize {
        self.files_in_parallel
    }

    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        self.whole.subtrees(window)
    }

    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        self.whole.roots(files)
    }

    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        self.whole.verity_leaves(bytes)
    }

    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        self.whole.extend(state, bytes);
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        self.whole.both(first, second);
    }

    fn upload(&self, bytes: &[u8]) -> bool {
        self.whole.upload(bytes)
    }

    fn health(&self) -> Result<(), EngineFault> {
        self.whole.health()
    }

    fn fully_checked(&self) -> Option<&dyn Hasher> {
        self.whole.fully_checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rayon::Rayon;

    #[test]
    fn a_share_is_never_more_than_the_whole() {
        let whole = Rayon::new(3).unwrap();
        for (asked, given) in [(0, 1), (1, 1), (2, 2), (3, 3), (100, 3)] {
            let share = Share::new(&whole, asked);
            assert_eq!(share.files_in_parallel(), given);
            assert_eq!((share.name(), share.window_size_bytes()), (whole.name(), whole.window_size_bytes()));
        }
    }
}
