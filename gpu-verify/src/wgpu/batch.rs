//! What one dispatch hashes, laid out as the kernels read it.
//!
//! Here is all index arithmetic of the host: where pieces start, how they are padded, how their chunks count. Capacities are
//! those of a slot; `capacity_bytes` is always a multiple of 1 MiB.

use crate::hasher::{SUBTREE_SIZE_BYTES, VERITY_LEAF_SIZE_BYTES, Window};

/// Pieces in one dispatch: far fewer than the 65535 workgroups that every adapter allows.
pub(super) const PIECES_MAX: usize = 8192;
/// Size of a piece's description, in bytes: `Piece` in the kernels.
pub(super) const PIECE_SIZE_BYTES: usize = 32;
/// Results of one dispatch.
pub(super) const VALUES_MAX: usize = PIECES_MAX;
/// Size of a result, in bytes.
pub(super) const VALUE_SIZE_BYTES: usize = 32;
/// What starts of pieces are counted in, and padded to.
pub(super) const BLOCK_SIZE_BYTES: usize = 64;
/// The flag that makes a value a root (BLAKE3 paper, table 3).
const ROOT: u32 = 8;

/// The largest capacity: each leaf has a result.
pub(super) const CAPACITY_BYTES_MAX: usize = VALUES_MAX * VERITY_LEAF_SIZE_BYTES;

/// Which kernel a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// One workgroup per piece.
    Blake3,
    /// One invocation per leaf.
    Verity,
}

/// One dispatch.
#[derive(Debug, Clone)]
pub(super) struct Batch<'a> {
    pub(super) kernel: Kernel,
    /// Slices of input, each with the place in bytes where it lies; zeros follow each up to a whole block, of leaves up to
    /// a whole leaf.
    pub(super) inputs: Vec<(usize, &'a [u8])>,
    /// Bytes that are filled, zeros included.
    pub(super) size_bytes: usize,
    pub(super) pieces: Vec<[u32; 8]>,
    /// Results.
    pub(super) values: usize,
}

impl<'a> Batch<'a> {
    fn empty(kernel: Kernel) -> Self {
        Self { kernel, inputs: Vec::new(), size_bytes: 0, pieces: Vec::new(), values: 0 }
    }

    /// Workgroups to dispatch.
    pub(super) fn workgroups(&self) -> usize {
        match self.kernel {
            Kernel::Blake3 => self.values,
            Kernel::Verity => self.values.div_ceil(64),
        }
    }

    /// A window, in slices: one value for each MiB.
    pub(super) fn of_window(window: Window<'a>, capacity_bytes: usize) -> impl Iterator<Item = Self> {
        let slices = window.bytes().chunks(capacity_bytes);
        let offsets_bytes = (window.offset_bytes()..).step_by(capacity_bytes);
        slices.zip(offsets_bytes).map(move |(bytes, offset_bytes)| {
            let mut batch = Self::empty(Kernel::Blake3);
            let subtrees = bytes.chunks(SUBTREE_SIZE_BYTES).zip((offset_bytes..).step_by(SUBTREE_SIZE_BYTES));
            for (subtree, at_bytes) in subtrees {
                batch.add(subtree, at_bytes / 1024, 0);
            }
            batch
        })
    }

    /// Whole files of at most 1 MiB each, as many together as fit.
    pub(super) fn of_files(files: &[&'a [u8]], capacity_bytes: usize) -> impl Iterator<Item = Self> {
        let mut left = files.iter().peekable();
        core::iter::from_fn(move || {
            let mut batch = Self::empty(Kernel::Blake3);
            while let Some(file) = left.next_if(|file| batch.has_room_for(file, capacity_bytes)) {
                batch.add(file, 0, ROOT);
            }
            (batch.values > 0).then_some(batch)
        })
    }

    /// The leaves of an fs-verity tree, in slices.
    pub(super) fn of_leaves(bytes: &'a [u8], capacity_bytes: usize) -> impl Iterator<Item = Self> {
        bytes.chunks(capacity_bytes).map(|bytes| {
            let leaves = bytes.len().div_ceil(VERITY_LEAF_SIZE_BYTES);
            Self {
                kernel: Kernel::Verity,
                inputs: vec![(0, bytes)],
                size_bytes: leaves.saturating_mul(VERITY_LEAF_SIZE_BYTES),
                pieces: vec![[0, narrowed(leaves), 0, 0, 0, 0, 0, 0]],
                values: leaves,
            }
        })
    }

    /// Bytes to be copied and not hashed, in slices, each with one value of no use.
    pub(super) fn of_nothing_but_bytes(bytes: &'a [u8], capacity_bytes: usize) -> impl Iterator<Item = Self> {
        bytes.chunks(capacity_bytes).map(|bytes| Self {
            kernel: Kernel::Blake3,
            inputs: vec![(0, bytes)],
            size_bytes: padded(bytes.len()),
            pieces: vec![[0; 8]],
            values: 1,
        })
    }

    /// Never for a file that is no piece; the results are too few then, which is noticed.
    fn has_room_for(&self, file: &[u8], capacity_bytes: usize) -> bool {
        file.len() <= SUBTREE_SIZE_BYTES
            && self.values < PIECES_MAX
            && self.size_bytes.saturating_add(padded(file.len())) <= capacity_bytes
    }

    fn add(&mut self, bytes: &'a [u8], counter: u64, root: u32) {
        let low = u32::try_from(counter & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let high = u32::try_from(counter >> 32).unwrap_or(u32::MAX);
        let start_block = narrowed(self.size_bytes / BLOCK_SIZE_BYTES);
        self.pieces.push([start_block, narrowed(bytes.len()), low, high, root, 0, 0, 0]);
        self.inputs.push((self.size_bytes, bytes));
        self.size_bytes = self.size_bytes.saturating_add(padded(bytes.len()));
        self.values = self.values.saturating_add(1);
    }
}

/// The place that a piece takes: whole blocks, and one even for an empty file.
fn padded(size_bytes: usize) -> usize {
    size_bytes.max(1).next_multiple_of(BLOCK_SIZE_BYTES)
}

/// For what is at most [`CAPACITY_BYTES_MAX`].
fn narrowed(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the kernels take for granted; with it, none of their indices leaves its array.
    fn check(batch: &Batch<'_>, capacity_bytes: usize) {
        assert!(batch.values > 0 && batch.values <= VALUES_MAX && batch.pieces.len() <= PIECES_MAX);
        assert!(batch.size_bytes <= capacity_bytes && batch.size_bytes.is_multiple_of(BLOCK_SIZE_BYTES));
        let mut end = 0;
        for (at, bytes) in &batch.inputs {
            assert!(*at >= end && at.is_multiple_of(BLOCK_SIZE_BYTES));
            end = at + bytes.len();
        }
        assert!(end <= batch.size_bytes);
        match batch.kernel {
            Kernel::Blake3 => {
                assert_eq!((batch.pieces.len(), batch.inputs.len()), (batch.values, batch.values));
                assert_eq!(batch.workgroups(), batch.values);
                for (piece, (at, bytes)) in batch.pieces.iter().zip(&batch.inputs) {
                    let [start_block, size_bytes, ..] = piece.map(|word| usize::try_from(word).unwrap());
                    assert_eq!((start_block * BLOCK_SIZE_BYTES, size_bytes), (*at, bytes.len()));
                    assert!(size_bytes <= SUBTREE_SIZE_BYTES, "four quarters of 256 chunks");
                    let chunks = size_bytes.div_ceil(1024).max(1);
                    let in_last = (size_bytes - (chunks - 1) * 1024).div_ceil(64).max(1);
                    let last_block = start_block + (chunks - 1) * 16 + in_last - 1;
                    assert!((last_block + 1) * BLOCK_SIZE_BYTES <= batch.size_bytes);
                }
            }
            Kernel::Verity => {
                assert_eq!(batch.pieces.len(), 1);
                assert_eq!(usize::try_from(batch.pieces[0][1]).unwrap(), batch.values);
                assert_eq!(batch.values * VERITY_LEAF_SIZE_BYTES, batch.size_bytes);
                assert!(batch.workgroups() * 64 >= batch.values);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn every_batch_stays_in_its_buffers(
            sizes in proptest::collection::vec(prop_oneof![0usize..200, 0usize..=SUBTREE_SIZE_BYTES], 0..60),
            window_size_bytes in 1usize..(40 << 20),
            offset_chunks in 0u64..(1 << 38),
            capacity_mib in 1usize..=32,
        ) {
            let capacity_bytes = capacity_mib << 20;
            assert!(capacity_bytes <= CAPACITY_BYTES_MAX);
            let bytes = vec![0; window_size_bytes.max(SUBTREE_SIZE_BYTES)];
            let files: Vec<&[u8]> = sizes.iter().map(|size| &bytes[..*size]).collect();
            let batches: Vec<_> = Batch::of_files(&files, capacity_bytes).collect();
            for batch in &batches {
                check(batch, capacity_bytes);
            }
            let lengths: Vec<_> = batches.iter().flat_map(|batch| batch.inputs.iter().map(|(_, file)| file.len())).collect();
            prop_assert_eq!(lengths, sizes);

            let bytes = &bytes[..window_size_bytes];
            let offset_bytes = offset_chunks << 26;
            {
                let window = Window::new(offset_bytes, bytes).unwrap();
                let batches: Vec<_> = Batch::of_window(window, capacity_bytes).collect();
                for batch in &batches {
                    check(batch, capacity_bytes);
                }
                for (index, piece) in batches.iter().flat_map(|batch| &batch.pieces).enumerate() {
                    let counter = u64::from(piece[2]) | u64::from(piece[3]) << 32;
                    prop_assert_eq!(counter, offset_bytes / 1024 + u64::try_from(index).unwrap() * 1024);
                }
                prop_assert_eq!(batches.iter().map(|batch| batch.values).sum::<usize>(), bytes.len().div_ceil(SUBTREE_SIZE_BYTES));
            }
            let batches: Vec<_> = Batch::of_leaves(bytes, capacity_bytes).collect();
            for batch in &batches {
                check(batch, capacity_bytes);
            }
            prop_assert_eq!(batches.iter().map(|batch| batch.values).sum::<usize>(), bytes.len().div_ceil(VERITY_LEAF_SIZE_BYTES));
        }
    }

    #[test]
    fn a_file_that_is_no_piece_has_no_result() {
        let large = vec![0; SUBTREE_SIZE_BYTES + 1];
        let results: usize = Batch::of_files(&[b"a", &large, b"b"], 16 << 20).map(|batch| batch.values).sum();
        assert_eq!(results, 1);
    }

    #[test]
    fn many_tiny_files_fill_a_batch_and_go_on_in_the_next() {
        let capacity_bytes = 16 << 20;
        let files = vec![b"".as_slice(); PIECES_MAX + 1];
        let batches: Vec<_> = Batch::of_files(&files, capacity_bytes).collect();
        for batch in &batches {
            check(batch, capacity_bytes);
        }
        assert_eq!(batches.iter().map(|batch| batch.values).collect::<Vec<_>>(), [PIECES_MAX, 1]);
    }
}
