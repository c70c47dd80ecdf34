//! The Merkle tree of RFC 6962, section 2.1 (RFC 9162 keeps it): hashing, and making and checking proofs.
//!
//! A proof is made in two steps so that storage may be asynchronous: a [`ProofPlan`] names the nodes it needs, the
//! caller fetches the tiles that hold them, and the plan turns them into hashes. Checking shares no code with making.

use core::ops::Range;

use crate::digest::Sha256Digest;

/// First byte hashed with an entry (RFC 6962, section 2.1), so that no entry can pass for a node.
const LEAF_PREFIX: &[u8] = &[0x00];
/// First byte hashed with two child hashes.
const NODE_PREFIX: &[u8] = &[0x01];

/// Largest log this implementation grows, in entries; leaves room for every shift and for a signed 64-bit column.
pub const SIZE_MAX: u64 = 1 << 62;

/// Hash of one entry: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Sha256Digest {
    Sha256Digest::of_parts(&[LEAF_PREFIX, entry])
}

/// Hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    Sha256Digest::of_parts(&[NODE_PREFIX, left.as_bytes(), right.as_bytes()])
}

/// Root of the tree without entries: SHA-256 of nothing.
pub fn empty_root() -> Sha256Digest {
    Sha256Digest::of(&[])
}

/// Root over the roots of perfect subtrees, given from left to right, each smaller than the one before.
///
/// Splitting at the largest power of two peels them off one by one from the left, so they fold from the right.
pub(super) fn join(subtrees: &[Sha256Digest]) -> Sha256Digest {
    subtrees.iter().copied().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}

/// Root of the perfect subtree over `hashes`, such as a full tile; their number must be a power of two, because this
/// halves where RFC 6962 splits at the largest power of two, and only then are the two the same.
pub fn perfect_root(hashes: &[Sha256Digest]) -> Sha256Digest {
    match hashes {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&perfect_root(left), &perfect_root(right))
        }
    }
}

/// A node whose subtree is perfect: it covers the 2^level leaves from `index` × 2^level on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height above the leaves, 0 for a leaf.
    pub level: u32,
    /// Position among the nodes of its level, from 0.
    pub index: u64,
}

/// Why a proof cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no such entry at this size.
    #[error("entry {index} is not in a tree of {size} entries: ask for a larger tree or a smaller index")]
    IndexOutsideTree {
        /// Index asked for, from 0.
        index: u64,
        /// Size of the tree in entries.
        size: u64,
    },
    /// Consistency is from a non-empty tree to one at least as large.
    #[error("no consistency proof leads from size {old} to size {new}: need 1 ≤ old ≤ new")]
    SizesOutOfOrder {
        /// Size of the older tree in entries.
        old: u64,
        /// Size of the newer tree in entries.
        new: u64,
    },
}

/// The nodes that a proof, or a root, is computed from; geometry only, no hashes yet.
///
/// ```
/// use std::sync::Arc;
///
/// use chopmark_core::ledger::tile::{TileNodes, TileSet};
/// use chopmark_core::ledger::tree::{ProofPlan, leaf_hash, node_hash, verify_inclusion};
///
/// let leaves = [leaf_hash(b"first"), leaf_hash(b"second")];
/// let plan = ProofPlan::inclusion(0, 2)?;
/// let mut tiles = TileSet::default();
/// for coordinate in plan.tiles() {
///     tiles.insert(coordinate, Arc::new(TileNodes::new(leaves.to_vec())))?; // from storage, possibly awaited
/// }
/// let path = plan.resolve(|node| tiles.node(node))?;
/// verify_inclusion(leaves[0], 0, 2, &path, node_hash(&leaves[0], &leaves[1]))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    size: u64,
    /// One element per hash of the proof: the perfect subtrees whose roots [`join`] to it.
    hashes: Vec<Vec<Node>>,
}

impl ProofPlan {
    /// The audit path of entry `index` in a tree of `size` entries, sibling of the leaf first (RFC 6962, 2.1.1).
    ///
    /// # Errors
    ///
    /// [`PlanError::IndexOutsideTree`] unless `index < size`.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, PlanError> {
        if index >= size {
            return Err(PlanError::IndexOutsideTree { index, size });
        }
        let mut subtree = 0..size;
        let mut siblings = Vec::new();
        while subtree.end - subtree.start > 1 {
            let (left, right) = split(&subtree);
            let (entered, sibling) = if index < right.start { (left, right) } else { (right, left) };
            siblings.push(sibling);
            subtree = entered;
        }
        Ok(Self::new(size, siblings))
    }

    /// The proof that a tree of `new` entries begins with one of `old` entries (RFC 6962, 2.1.2); empty when equal.
    ///
    /// # Errors
    ///
    /// [`PlanError::SizesOutOfOrder`] unless 1 ≤ `old` ≤ `new`.
    pub fn consistency(old: u64, new: u64) -> Result<Self, PlanError> {
        if old == 0 || old > new {
            return Err(PlanError::SizesOutOfOrder { old, new });
        }
        let mut subtree = 0..new;
        let mut siblings = Vec::new();
        while subtree.end != old {
            let (left, right) = split(&subtree);
            let (entered, sibling) = if old <= right.start { (left, right) } else { (right, left) };
            siblings.push(sibling);
            subtree = entered;
        }
        // What is left ends exactly where the old tree ended. Unless it *is* the old tree, whose root the verifier
        // already has, the verifier needs it to start from.
        if subtree.start != 0 {
            siblings.push(subtree);
        }
        Ok(Self::new(new, siblings))
    }

    /// The root of a tree of `size` entries, as a plan that resolves to exactly one hash.
    pub fn root(size: u64) -> Self {
        Self { size, hashes: vec![perfect_subtrees(0..size)] }
    }

    fn new(size: u64, mut top_down: Vec<Range<u64>>) -> Self {
        top_down.reverse();
        Self { size, hashes: top_down.into_iter().map(perfect_subtrees).collect() }
    }

    /// Size of the tree the nodes belong to, in entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Every node needed, each once.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.hashes.iter().flatten().copied()
    }

    /// Computes the hashes of the proof, in proof order, asking `read` for every node.
    ///
    /// # Errors
    ///
    /// The first error of `read`.
    pub fn resolve<E>(&self, mut read: impl FnMut(Node) -> Result<Sha256Digest, E>) -> Result<Vec<Sha256Digest>, E> {
        self.hashes
            .iter()
            .map(|subtrees| Ok(join(&subtrees.iter().map(|node| read(*node)).collect::<Result<Vec<_>, E>>()?)))
            .collect()
    }
}

/// Cuts a subtree of two or more leaves at the largest power of two below its size.
fn split(subtree: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let middle = subtree.start + (1 << (subtree.end - subtree.start - 1).ilog2());
    (subtree.start..middle, middle..subtree.end)
}

/// The perfect subtrees a subtree consists of, from left to right: one per binary digit of its size.
fn perfect_subtrees(mut subtree: Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some(level) = (subtree.end - subtree.start).checked_ilog2() {
        nodes.push(Node { level, index: subtree.start >> level });
        subtree.start += 1 << level;
    }
    nodes
}

/// Why a proof was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The claim itself is impossible.
    #[error(transparent)]
    Impossible(#[from] PlanError),
    /// A proof for this place has exactly one length.
    #[error("the proof has {found} hashes where this place in the tree needs exactly {expected}")]
    PathLength {
        /// Number of hashes the geometry of the tree demands.
        expected: u32,
        /// Number of hashes in the proof.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to a root other than the signed one")]
    RootMismatch,
    /// The hashes do not contain the old tree.
    #[error("the proof does not start from the old root")]
    OldRootMismatch,
}

/// The way up from one leaf: below `meeting` the level's bit of the index says on which side the sibling is; from
/// there on the node lies on the right edge, where only the levels with a set bit have a sibling, always on the left.
struct Ascent {
    index: u64,
    meeting: u32,
    edge_siblings: u32,
}

impl Ascent {
    fn new(index: u64, last: u64) -> Self {
        let meeting = (index ^ last).checked_ilog2().map_or(0, |bit| bit + 1);
        Self { index, meeting, edge_siblings: index.checked_shr(meeting).unwrap_or(0).count_ones() }
    }

    /// For each sibling from `level` upwards: whether it is the left one.
    fn siblings_are_left(&self, level: u32) -> impl Iterator<Item = bool> {
        let below = (level..self.meeting).map(|bit| self.index >> bit & 1 == 1);
        below.chain((0..self.edge_siblings).map(|_| true))
    }

    fn siblings(&self, level: u32) -> u32 {
        self.meeting.saturating_sub(level) + self.edge_siblings
    }
}

fn expect_length(path: &[Sha256Digest], expected: u32) -> Result<(), ProofError> {
    let found = path.len();
    if u32::try_from(found) == Ok(expected) { Ok(()) } else { Err(ProofError::PathLength { expected, found }) }
}

/// Checks that the entry hashed to `leaf` is entry `index` of the tree with `size` entries and root `root`.
///
/// The length of `path` must be exact. As with every RFC 6962 proof, `size` is bound only as far as it shapes the path:
/// take size and root from one signed checkpoint, never from the party that sends the proof.
///
/// # Errors
///
/// [`ProofError`]: the index is outside the tree, the path has the wrong length, or it leads to another root.
pub fn verify_inclusion(
    leaf: Sha256Digest,
    index: u64,
    size: u64,
    path: &[Sha256Digest],
    root: Sha256Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(PlanError::IndexOutsideTree { index, size }.into());
    }
    let ascent = Ascent::new(index, size - 1);
    expect_length(path, ascent.siblings(0))?;
    let computed = path.iter().zip(ascent.siblings_are_left(0)).fold(leaf, |hash, (sibling, is_left)| {
        if is_left { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) }
    });
    if computed == root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// Checks that the tree (`new_size`, `new_root`) begins with the whole tree (`old_size`, `old_root`).
///
/// Equal sizes need an empty path and equal roots. An old size of 0 is refused: every tree extends the empty one, so
/// such a proof says nothing. As for inclusion, sizes and roots come from signed checkpoints.
///
/// # Errors
///
/// [`ProofError`]: the sizes are impossible, the path has the wrong length, or it leads to another old or new root.
pub fn verify_consistency(
    old_size: u64,
    old_root: Sha256Digest,
    new_size: u64,
    new_root: Sha256Digest,
    path: &[Sha256Digest],
) -> Result<(), ProofError> {
    if old_size == 0 || old_size > new_size {
        return Err(PlanError::SizesOutOfOrder { old: old_size, new: new_size }.into());
    }
    if old_size == new_size {
        expect_length(path, 0)?;
        return if old_root == new_root { Ok(()) } else { Err(ProofError::RootMismatch) };
    }
    // The climb starts at the last perfect subtree of the old tree and passes everything right and left of it. The
    // left siblings alone rebuild the old root; all siblings rebuild the new one.
    let ascent = Ascent::new(old_size - 1, new_size - 1);
    let start_level = old_size.trailing_zeros();
    let start_given = !old_size.is_power_of_two();
    expect_length(path, ascent.siblings(start_level) + u32::from(start_given))?;
    let (start, siblings) = match path.split_first() {
        Some((first, rest)) if start_given => (*first, rest),
        _ => (old_root, path),
    };
    let (mut old, mut new) = (start, start);
    for (sibling, is_left) in siblings.iter().zip(ascent.siblings_are_left(start_level)) {
        if is_left {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
        } else {
            new = node_hash(&new, sibling);
        }
    }
    if old != old_root {
        return Err(ProofError::OldRootMismatch);
    }
    if new == new_root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

#[cfg(test)]
mod tests;
