//! The engine for CPUs: SIMD within a core, rayon across cores, with a pool of its own.

use ::rayon::prelude::*;
use ::rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, join};
use blake3::hazmat::{ChainingValue, HasherExt as _};
use chopmark_core::digest::{Blake3Digest, Sha256Digest};

use crate::hasher::{Hasher, SUBTREE_SIZE_BYTES, Window};
use crate::sha256::verity_leaves;

/// Windows of one subtree: what a thread has just read is still in its cache when it hashes it. Cores are kept busy by
/// many windows, of one file or of several, each on the thread that read it.
const WINDOW_SIZE_BYTES: usize = SUBTREE_SIZE_BYTES;
/// Most threads that read. With two windows each, buffers stay below 64 × 2 × 1 MiB = 128 MiB on any machine.
const FILES_IN_PARALLEL_MAX: usize = 64;
/// Below this, waking another thread costs more than it saves (the `blake3` crate's own advice for `update_rayon` is half of
/// it), and a piece that a thread has just read stays in its own cache.
const SPLIT_SIZE_BYTES_MIN: usize = 256 << 10;

/// All cores, or as many as asked for.
#[derive(Debug)]
pub struct Rayon {
    pool: ThreadPool,
}

impl Rayon {
    /// An engine of `threads` threads; 0 means one per core available to this process.
    ///
    /// # Errors
    /// When the operating system refuses the threads.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let pool =
            ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("hash-{index}")).build()?;
        Ok(Self { pool })
    }

    /// Threads in the pool.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

impl Hasher for Rayon {
    fn name(&self) -> &'static str {
        "rayon"
    }

    fn window_size_bytes(&self) -> usize {
        WINDOW_SIZE_BYTES
    }

    fn files_in_parallel(&self) -> usize {
        self.threads().clamp(1, FILES_IN_PARALLEL_MAX)
    }

    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        let offset_bytes = window.offset_bytes();
        let subtree = |(index, bytes): (usize, &[u8])| {
            let before_bytes = u64::try_from(index.saturating_mul(SUBTREE_SIZE_BYTES)).unwrap_or(u64::MAX);
            let mut state = blake3::Hasher::new();
            state.set_input_offset(offset_bytes.saturating_add(before_bytes));
            state.update(bytes);
            state.finalize_non_root()
        };
        if window.bytes().len() <= SUBTREE_SIZE_BYTES {
            return vec![subtree((0, window.bytes()))];
        }
        self.pool.install(|| window.bytes().par_chunks(SUBTREE_SIZE_BYTES).enumerate().map(subtree).collect())
    }

    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        let root = |bytes: &&[u8]| Blake3Digest::of(bytes);
        if files.iter().map(|bytes| bytes.len()).sum::<usize>() <= SUBTREE_SIZE_BYTES {
            return files.iter().map(root).collect();
        }
        self.pool.install(|| files.par_iter().map(root).collect())
    }

    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        if bytes.len() <= SUBTREE_SIZE_BYTES {
            return verity_leaves(bytes);
        }
        self.pool.install(|| bytes.par_chunks(SUBTREE_SIZE_BYTES).flat_map_iter(verity_leaves).collect())
    }

    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        if bytes.len() < SPLIT_SIZE_BYTES_MIN {
            state.update(bytes);
        } else {
            self.pool.install(|| state.update_rayon(bytes));
        }
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        self.pool.install(|| join(first, second));
    }
}
