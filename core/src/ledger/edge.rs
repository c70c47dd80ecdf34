//! The right edge of the growing tree: what the sequencer keeps in memory between batches.
//!
//! It holds the unfinished tile of every level, hands out tiles as they become full, and knows the root at any moment.
//! Full tiles are not kept: a clone costs at most eight partial tiles (64 KiB), so every batch works on its own copy.

use crate::digest::Sha256Digest;

use super::tile::{TILE_HEIGHT, TILE_WIDTH, Tile, TileCoordinate, partial_width};
use super::tree::{SIZE_MAX, join, node_hash, perfect_root};

/// Why stored hashes do not form the edge of a tree of the stated size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// No log grows this large; the stored size is wrong.
    #[error("a log of {size} entries is larger than this implementation allows ({SIZE_MAX}): check the stored size")]
    SizeTooLarge {
        /// The stated size in entries.
        size: u64,
    },
    /// The size fixes how many tile levels there are.
    #[error("a log of {size} entries has {expected} tile levels, {found} were given: reload the edge from storage")]
    LevelCount {
        /// The stated size in entries.
        size: u64,
        /// Number of tile levels at this size.
        expected: usize,
        /// Number of levels given.
        found: usize,
    },
    /// The size fixes how many hashes each unfinished tile holds.
    #[error("the partial tile of level {level} needs {expected} hashes, {found} were given: reload it from storage")]
    PartialWidth {
        /// Tile level, 0 for leaf hashes.
        level: u8,
        /// Number of hashes in the unfinished tile at this size.
        expected: u16,
        /// Number of hashes given.
        found: usize,
    },
}

/// The frontier of a log of [`Edge::size`] entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Per tile level, the 0 to 255 hashes that do not yet fill a tile.
    partials: Vec<Vec<Sha256Digest>>,
    /// Roots of the perfect subtrees the tree consists of, largest first: one per binary digit of the size.
    perfect: Vec<Sha256Digest>,
}

impl Edge {
    /// The edge of the empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rebuilds the edge from the size and the partial tile of every level, level 0 (leaf hashes) first.
    ///
    /// A level whose partial tile is empty is given as an empty list. Compare [`Edge::root`] with a signed checkpoint
    /// before trusting what storage returned.
    ///
    /// # Errors
    ///
    /// [`EdgeError`] when the number of levels or of hashes is not exactly what `size` demands.
    pub fn rebuild(size: u64, partials: Vec<Vec<Sha256Digest>>) -> Result<Self, EdgeError> {
        if size > SIZE_MAX {
            return Err(EdgeError::SizeTooLarge { size });
        }
        let levels: Vec<u8> = Self::levels(size).collect();
        if partials.len() != levels.len() {
            return Err(EdgeError::LevelCount { size, expected: levels.len(), found: partials.len() });
        }
        let mut perfect = Vec::new();
        for (level, hashes) in levels.into_iter().zip(&partials).rev() {
            let expected = partial_width(level, size);
            let mut rest = hashes.as_slice();
            if rest.len() != usize::from(expected) {
                return Err(EdgeError::PartialWidth { level, expected, found: rest.len() });
            }
            while let Some(power) = rest.len().checked_ilog2() {
                let (subtree, after) = rest.split_at(1 << power);
                perfect.push(perfect_root(subtree));
                rest = after;
            }
        }
        Ok(Self { size, partials, perfect })
    }

    /// The tile levels that hold at least one hash, partial or full, in a log of `size` entries.
    pub fn levels(size: u64) -> impl Iterator<Item = u8> {
        (0..8).take_while(move |level| size >> (u32::from(*level) * TILE_HEIGHT) != 0)
    }

    /// Adds the entry hashed to `leaf` at index [`Edge::size`] and returns the tiles it completed, lowest level first.
    ///
    /// Most entries complete none; every 256th completes a level-0 tile, every 65,536th one of level 1 too.
    pub fn append(&mut self, leaf: Sha256Digest) -> Vec<Tile> {
        let mut completed = Vec::new();
        // `index` is the position of `hash` among the perfect subtrees of height `height`.
        let (mut hash, mut index, mut height, mut level) = (leaf, self.size, 0, 0);
        loop {
            if height % TILE_HEIGHT == 0 {
                completed.extend(self.add_to_tile(level, index, hash));
                level += 1;
            }
            if index & 1 == 0 {
                break;
            }
            let Some(left) = self.perfect.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            height += 1;
        }
        self.perfect.push(hash);
        self.size += 1;
        completed
    }

    /// Puts the hash with this position in its level into the level's partial tile, and takes the tile if it is full.
    fn add_to_tile(&mut self, level: u8, position: u64, hash: Sha256Digest) -> Option<Tile> {
        let slot = usize::from(level);
        if self.partials.len() <= slot {
            self.partials.resize_with(slot + 1, Vec::new);
        }
        let hashes = self.partials.get_mut(slot)?;
        hashes.push(hash);
        if hashes.len() < usize::from(TILE_WIDTH) {
            return None;
        }
        let coordinate = TileCoordinate { level, n: position >> TILE_HEIGHT, width: TILE_WIDTH };
        Some(Tile { coordinate, hashes: core::mem::take(hashes) })
    }

    /// Number of entries in the log.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over all entries so far; the empty root when there are none.
    pub fn root(&self) -> Sha256Digest {
        join(&self.perfect)
    }

    /// The 0 to 255 hashes of the unfinished tile at `level`; its prefixes are the partial tiles of earlier sizes.
    pub fn partial(&self, level: u8) -> &[Sha256Digest] {
        self.partials.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
