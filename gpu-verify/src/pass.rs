//! One pass over one file: read once, feed every digest asked for and the tensors from the same buffer.
//!
//! Two windows per file are in memory: while one thread runs the SHA-256 chain over the current one, another does the
//! rest and reads the next.

use core::mem;
use std::io::{self, Read};

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::WeightFormat;
use chopmark_core::manifest::header::HeaderError;

use crate::digests::{DigestSelection, FileDigests};
use crate::hasher::{EngineFault, Hasher, SUBTREE_SIZE_BYTES, VERITY_LEAF_SIZE_BYTES, Window};
use crate::memory::StoppedFile;
use crate::scan::WeightScan;
use crate::sha256::Chain;
use crate::tree::Tree;
use crate::verity::VerityTree;

/// Below this, handing work to another thread costs more than it saves.
const TOGETHER_SIZE_BYTES_MIN: usize = 64 << 10;

/// The two windows of one reader, kept from file to file.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) current: Vec<u8>,
    pub(crate) next: Vec<u8>,
}

/// What a pass is to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// The digests.
    pub(crate) digests: DigestSelection,
    /// Whether to keep the BLAKE3 chaining values of all subtrees; for this, BLAKE3 has to be asked for.
    pub(crate) keep_subtrees: bool,
}

/// Where a pass over a file is: everything that a later one needs to go on from `offset_bytes`, tensors apart.
#[derive(Debug, Clone)]
pub(crate) struct PassState {
    /// Bytes of the file that were fed; a multiple of [`SUBTREE_SIZE_BYTES`] until the last window.
    pub(crate) offset_bytes: u64,
    /// The SHA-256 chain, if asked for.
    pub(crate) sha256: Option<Chain>,
    /// The BLAKE3 tree, if asked for.
    pub(crate) blake3: Option<Tree>,
    /// The fs-verity tree, if asked for.
    pub(crate) fsverity: Option<VerityTree>,
    /// The values pushed to the BLAKE3 tree so far, if they are to be kept.
    pub(crate) subtrees: Option<Vec<ChainingValue>>,
    /// The root of a file of one subtree.
    only_root: Option<Blake3Digest>,
    /// The part of a subtree that was fed in pieces; empty between subtrees.
    pieces: Tree,
}

impl PassState {
    /// At the start of a file.
    pub(crate) fn new(plan: Plan) -> Self {
        let Plan { digests, keep_subtrees } = plan;
        Self {
            offset_bytes: 0,
            sha256: digests.sha256.then(Chain::new),
            blake3: digests.blake3.then(Tree::default),
            fsverity: digests.fsverity.then(VerityTree::default),
            subtrees: (digests.blake3 && keep_subtrees).then(Vec::new),
            only_root: None,
            pieces: Tree::default(),
        }
    }

    /// Where an earlier pass stopped; `None` when no pass with this plan comes to such a place.
    pub(crate) fn resume(plan: Plan, part: &StoppedFile) -> Option<Self> {
        let subtree_size_bytes = u64::try_from(SUBTREE_SIZE_BYTES).ok()?;
        let leaf_size_bytes = u64::try_from(VERITY_LEAF_SIZE_BYTES).ok()?;
        let StoppedFile { offset_bytes, sha256, blake3, fsverity, subtrees, .. } = part;
        let pushed = offset_bytes.checked_div(subtree_size_bytes)?;
        let mut state = Self { offset_bytes: *offset_bytes, ..Self::new(plan) };
        if let Some(chain) = &mut state.sha256 {
            *chain = Chain::from_value((*sha256)?, *offset_bytes);
        }
        if let Some(tree) = &mut state.blake3 {
            *tree = Tree::resume(blake3.clone()?, pushed)?;
        }
        if let Some(tree) = &mut state.fsverity {
            *tree = VerityTree::resume(fsverity.as_ref()?, offset_bytes.checked_div(leaf_size_bytes)?)?;
        }
        if let Some(kept) = &mut state.subtrees {
            *kept = subtrees.clone().filter(|kept| u64::try_from(kept.len()) == Ok(pushed))?;
        }
        Some(state)
    }

    /// What a later pass needs to go on from here, the digests of whole `tensors` given; `None` where none can.
    pub(crate) fn stopped(&self, tensors: Option<Vec<Blake3Digest>>) -> Option<StoppedFile> {
        let subtree_size_bytes = u64::try_from(SUBTREE_SIZE_BYTES).ok()?;
        let sha256 = match &self.sha256 {
            Some(chain) => Some(chain.value()?),
            None => None,
        };
        self.offset_bytes.is_multiple_of(subtree_size_bytes).then(|| StoppedFile {
            offset_bytes: self.offset_bytes,
            sha256,
            blake3: self.blake3.as_ref().map(|tree| tree.pending().to_vec()),
            fsverity: self.fsverity.as_ref().map(VerityTree::pending),
            subtrees: self.subtrees.clone(),
            tensors,
        })
    }

    /// Takes the next window of a file of `size_bytes`, for all but the SHA-256 chain. It may be a piece of a subtree, if
    /// the others of that subtree are of the same size, the last of a file apart.
    pub(crate) fn feed(&mut self, hasher: &dyn Hasher, window: Window<'_>, size_bytes: u64) {
        let bytes = window.bytes();
        let mut subtrees = Vec::new();
        if self.blake3.is_some() && usize::try_from(size_bytes).is_ok_and(|size| size <= SUBTREE_SIZE_BYTES) {
            self.only_root = hasher.roots(&[bytes]).pop();
        } else if self.blake3.is_some() {
            subtrees = whole_subtrees(&mut self.pieces, window, hasher.subtrees(window), size_bytes);
        }
        let leaves = if self.fsverity.is_some() { hasher.verity_leaves(bytes) } else { Vec::new() };
        self.push(crate::size_bytes(bytes), subtrees, leaves);
    }

    /// Takes what an engine found in the next `size_bytes`: as far as asked for, the values of the subtrees of a file that
    /// has more than one, and the leaves.
    pub(crate) fn push(&mut self, size_bytes: u64, subtrees: Vec<ChainingValue>, leaves: Vec<Sha256Digest>) {
        self.offset_bytes = self.offset_bytes.saturating_add(size_bytes);
        if let Some(tree) = &mut self.blake3 {
            for value in &subtrees {
                tree.push(*value);
            }
        }
        if let Some(kept) = &mut self.subtrees {
            kept.extend(subtrees);
        }
        if let Some(tree) = &mut self.fsverity {
            for leaf in leaves {
                tree.push(leaf);
            }
        }
    }

    /// Takes the BLAKE3 digest of a file of one subtree or none.
    pub(crate) fn set_root(&mut self, root: Blake3Digest) {
        self.only_root = Some(root);
    }

    /// The digests, after the last byte, and the subtrees that were to be kept.
    pub(crate) fn finish(self) -> (FileDigests, Vec<ChainingValue>) {
        let Self { offset_bytes, sha256, blake3, fsverity, subtrees, only_root, pieces: _ } = self;
        let digests = FileDigests {
            sha256: sha256.map(Chain::finish),
            blake3: blake3.map(|tree| only_root.or_else(|| tree.root()).unwrap_or_else(|| Blake3Digest::of(&[]))),
            fsverity: fsverity.map(|tree| tree.finish(offset_bytes)),
        };
        (digests, subtrees.unwrap_or_default())
    }
}

/// Why a pass stopped.
#[derive(Debug)]
pub(crate) enum PassError {
    Read(io::Error),
    /// Fewer bytes than announced.
    Shrank,
    /// More bytes than announced.
    Grew,
    /// The weight file is malformed and the caller wants none of that.
    Malformed(WeightFormat, HeaderError),
    /// The engine gave a wrong result or stopped working.
    Engine(EngineFault),
    Interrupted,
}

impl PassError {
    /// A mistake of this program: no engine takes a window that starts there.
    pub(crate) fn misaligned() -> Self {
        Self::Read(io::Error::other("the engine's windows are not aligned"))
    }
}

/// Told, after each window, its size in bytes, the state after it, and the scan of the weights; may stop the pass.
pub(crate) type OnWindow<'a> = dyn Fn(u64, &PassState, Option<&WeightScan>) -> Result<(), PassError> + 'a;

/// Reads a file of `size_bytes` from `reader`, which stands where `state` is, calling `on_window` after each window, and
/// returns the state after the last byte.
pub(crate) fn read_once(
    reader: &mut (dyn Read + Send),
    size_bytes: u64,
    hasher: &dyn Hasher,
    buffers: &mut Buffers,
    mut state: PassState,
    mut scan: Option<&mut WeightScan>,
    on_window: &OnWindow<'_>,
) -> Result<PassState, PassError> {
    let Buffers { current, next } = buffers;
    let window_size_bytes = hasher.window_size_bytes();

    let left_bytes = size_bytes.saturating_sub(state.offset_bytes);
    fill(reader, current, window_size_bytes_at(state.offset_bytes, window_size_bytes), left_bytes)?;
    while !current.is_empty() {
        let window = Window::new(state.offset_bytes, current).ok_or_else(PassError::misaligned)?;
        let next_offset_bytes = state.offset_bytes.saturating_add(crate::size_bytes(current));
        let left_bytes = size_bytes.saturating_sub(next_offset_bytes);
        let next_size_bytes = window_size_bytes_at(next_offset_bytes, window_size_bytes);
        let mut read = Ok(());
        let mut sha256 = state.sha256.take();
        let mut serial = || {
            if let Some(chain) = &mut sha256 {
                chain.update(window.bytes());
            }
        };
        let mut others = || {
            state.feed(hasher, window, size_bytes);
            if let Some(scan) = scan.as_deref_mut() {
                scan.feed(hasher, window.bytes());
            }
            read = fill(reader, next, next_size_bytes, left_bytes);
        };
        if window.bytes().len() < TOGETHER_SIZE_BYTES_MIN {
            serial();
            others();
        } else {
            hasher.both(&mut serial, &mut others);
        }
        state.sha256 = sha256;
        on_window(crate::size_bytes(current), &state, scan.as_deref())?;
        read?;
        mem::swap(current, next);
    }
    Ok(state)
}

/// The values of whole subtrees, from an engine's `values` for the next window of a file: those of a piece of a subtree are
/// kept in `pieces` until the last piece is there.
pub(crate) fn whole_subtrees(
    pieces: &mut Tree,
    window: Window<'_>,
    values: Vec<ChainingValue>,
    file_size_bytes: u64,
) -> Vec<ChainingValue> {
    if window.bytes().len() >= SUBTREE_SIZE_BYTES {
        return values;
    }
    for value in values {
        pieces.push(value);
    }
    let end_bytes = window.offset_bytes().saturating_add(crate::size_bytes(window.bytes()));
    let is_whole = u64::try_from(SUBTREE_SIZE_BYTES).is_ok_and(|subtree| end_bytes.is_multiple_of(subtree));
    if is_whole || end_bytes == file_size_bytes {
        mem::take(pieces).chaining_value().into_iter().collect()
    } else {
        Vec::new()
    }
}

/// How large a window may be here: a pass that goes on first has to come to where the engine's windows start.
pub(crate) fn window_size_bytes_at(offset_bytes: u64, window_size_bytes: usize) -> usize {
    match 1_usize.checked_shl(offset_bytes.trailing_zeros()) {
        Some(aligned) => aligned.min(window_size_bytes),
        None => window_size_bytes,
    }
}

/// Reads one window, or what is left of the file, whichever is less.
pub(crate) fn fill(
    reader: &mut (dyn Read + Send),
    buffer: &mut Vec<u8>,
    window_size_bytes: usize,
    left_bytes: u64,
) -> Result<(), PassError> {
    let wanted = usize::try_from(left_bytes).map_or(window_size_bytes, |left_bytes| left_bytes.min(window_size_bytes));
    buffer.resize(wanted, 0);
    let mut unfilled = buffer.as_mut_slice();
    while !unfilled.is_empty() {
        let count = read_some(reader, unfilled)?;
        if count == 0 {
            return Err(PassError::Shrank);
        }
        unfilled = unfilled.split_at_mut_checked(count).map_or(&mut [], |(_, rest)| rest);
    }
    Ok(())
}

pub(crate) fn read_some(reader: &mut (dyn Read + Send), buffer: &mut [u8]) -> Result<usize, PassError> {
    loop {
        match reader.read(buffer) {
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(PassError::Read),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::portable::Portable;
    use crate::rayon::Rayon;

    const ALL: Plan =
        Plan { digests: DigestSelection { sha256: true, blake3: true, fsverity: true }, keep_subtrees: true };

    fn whole(bytes: &[u8], hasher: &dyn Hasher, on_window: &OnWindow<'_>) -> PassState {
        let size_bytes = crate::size_bytes(bytes);
        let start = PassState::new(ALL);
        read_once(&mut &*bytes, size_bytes, hasher, &mut Buffers::default(), start, None, on_window).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_pass_that_goes_on_from_any_window_ends_like_one_that_never_stopped(size_bytes in 0usize..11_000_000) {
            let bytes: Vec<u8> = (0..=250).cycle().take(size_bytes).collect();
            let rayon = Rayon::new(2).unwrap();
            let kept = RefCell::new(Vec::new());
            let keep = |_: u64, state: &PassState, _: Option<&WeightScan>| {
                kept.borrow_mut().push(state.clone());
                Ok(())
            };
            let expected = whole(&bytes, &Portable, &keep).finish();
            prop_assert_eq!(expected.1.len(), if size_bytes <= SUBTREE_SIZE_BYTES { 0 } else { size_bytes.div_ceil(SUBTREE_SIZE_BYTES) });
            for state in kept.into_inner() {
                let mut rest = &bytes[usize::try_from(state.offset_bytes).unwrap()..];
                let mut buffers = Buffers::default();
                let went_on =
                    read_once(&mut rest, crate::size_bytes(&bytes), &rayon, &mut buffers, state, None, &|_, _, _| Ok(()));
                prop_assert_eq!(went_on.unwrap().finish(), expected.clone());
            }
        }
    }

    #[test]
    fn only_what_is_asked_for_is_computed() {
        let bytes = vec![3; 3 << 20];
        for kind in crate::digests::DigestKind::ALL {
            let plan = Plan { digests: DigestSelection::from_iter([kind]), keep_subtrees: false };
            let start = PassState::new(plan);
            let size_bytes = crate::size_bytes(&bytes);
            let mut buffers = Buffers::default();
            let end = read_once(&mut &*bytes, size_bytes, &Portable, &mut buffers, start, None, &|_, _, _| Ok(()));
            let (digests, subtrees) = end.unwrap().finish();
            let all = whole(&bytes, &Portable, &|_, _, _| Ok(())).finish().0;
            assert_eq!(digests.sha256, all.sha256.filter(|_| plan.digests.sha256));
            assert_eq!(digests.blake3, all.blake3.filter(|_| plan.digests.blake3));
            assert_eq!(digests.fsverity, all.fsverity.filter(|_| plan.digests.fsverity));
            assert!(subtrees.is_empty());
        }
    }
}
