//! C2SP tlog-tiles: names, widths and bytes of tiles and entry bundles, and finding a tree node in a tile.
//!
//! A tile of level `l` holds up to 256 hashes; hash `i` of tile `n` is the root over the 256^l entries from
//! (n × 256 + i) × 256^l on. Relies on [`super::tree`] for node geometry.

use core::fmt;
use core::ops::Range;
use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::Sha256Digest;

use super::tree::{Node, ProofPlan, SIZE_MAX, node_hash};

/// Number of hashes in a full tile, and of entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Number of tree levels one tile spans; 2^8 hashes.
pub const TILE_HEIGHT: u32 = 8;
/// Highest level a tile path may name. Levels above 7 exist in the format, not in any log of at most 2^64 entries.
pub const TILE_LEVEL_MAX: u8 = 63;
/// Largest entry in bytes: bundles state lengths in 16 bits.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Longest text read as a path; the longest tile path that can exist has 45 characters.
const PATH_BYTES_MAX: usize = 64;
/// Tile numbers are below this in any log of at most [`SIZE_MAX`] entries.
const TILE_COUNT_MAX: u64 = SIZE_MAX >> TILE_HEIGHT;

/// Why a tile or bundle, its name or its bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// The text does not name a tile or bundle in the one spelling each has.
    #[error("not a tile path: expected /tile/<L>/<N>[.p/<W>] or /tile/entries/<N>[.p/<W>], as in /tile/0/x001/234.p/5")]
    Path,
    /// Level, number or width lie outside the format, or outside any log.
    #[error("no log has a tile of level {level}, number {n}, width {width}: level 0–63 and width 1–256 are possible")]
    Coordinate {
        /// Tile level.
        level: u8,
        /// Number of the tile in its level.
        n: u64,
        /// Number of hashes or entries.
        width: u16,
    },
    /// Tile bytes are 32 for each hash.
    #[error("{coordinate} must hold {} bytes, it has {found}: fetch it again", u32::from(coordinate.width()) * 32)]
    HashBytes {
        /// The tile asked for.
        coordinate: TileCoordinate,
        /// Number of bytes found.
        found: usize,
    },
    /// A tile was given with fewer hashes than its name says.
    #[error("{coordinate} must hold {} hashes, only {found} were given: fetch it again", coordinate.width())]
    HashCount {
        /// The tile in question.
        coordinate: TileCoordinate,
        /// Number of hashes given.
        found: usize,
    },
    /// A node was asked for whose tile was not supplied.
    #[error("node {} of tree level {} is in none of the tiles supplied: fetch every tile of the plan", node.index, node.level)]
    NodeMissing {
        /// The node asked for.
        node: Node,
    },
    /// Entries do not fit the 16-bit length of the bundle format.
    #[error(
        "entry {position} of the bundle has {bytes} bytes, at most {ENTRY_BYTES_MAX} are possible: refer to large content by digest"
    )]
    EntryTooLarge {
        /// Place in the bundle, from 0.
        position: usize,
        /// Size of the entry in bytes.
        bytes: usize,
    },
    /// The bundle does not hold exactly the entries its name says.
    #[error(
        "the entry bundle must hold exactly {expected} whole entries; it breaks off or goes on at entry {position}: fetch it again"
    )]
    BundleEntries {
        /// Number of entries expected.
        expected: u16,
        /// Number of entries that could be read whole.
        position: usize,
    },
}

/// Which tile: level, number in the level, and how many of its hashes (256 when full).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileCoordinate {
    pub(super) level: u8,
    pub(super) n: u64,
    pub(super) width: u16,
}

impl TileCoordinate {
    /// Names the tile `n` of `level` with its first `width` hashes.
    ///
    /// # Errors
    ///
    /// [`TileError::Coordinate`] unless level ≤ 63, 1 ≤ width ≤ 256 and the number can occur in a log.
    pub fn new(level: u8, n: u64, width: u16) -> Result<Self, TileError> {
        if level <= TILE_LEVEL_MAX && (1..=TILE_WIDTH).contains(&width) && n < TILE_COUNT_MAX {
            Ok(Self { level, n, width })
        } else {
            Err(TileError::Coordinate { level, n, width })
        }
    }

    /// Names the full tile `n` of `level`.
    ///
    /// # Errors
    ///
    /// As [`TileCoordinate::new`].
    pub fn full(level: u8, n: u64) -> Result<Self, TileError> {
        Self::new(level, n, TILE_WIDTH)
    }

    /// Level, 0 for leaf hashes.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Number of the tile in its level, from 0.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Number of hashes, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether all 256 hashes are meant; if not, the path ends in `.p/<W>`.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The hashes meant, as positions among all hashes of the level.
    pub fn positions(&self) -> Range<u64> {
        let first = self.n << TILE_HEIGHT;
        first..first + u64::from(self.width)
    }

    /// Whether every hash of the tile exists in a log of `size` entries, at its latest or any later width.
    pub fn is_covered_by(&self, size: u64) -> bool {
        self.positions().end <= hashes_at(self.level, size)
    }

    /// Where `node` is found in a tree of `size` entries: the tile as wide as it is at that size, and the positions in
    /// it of the 1 to 128 hashes the node is the perfect root of.
    ///
    /// # Errors
    ///
    /// [`TileError::NodeMissing`] when the node is not a perfect subtree of such a tree.
    pub fn holding(node: Node, size: u64) -> Result<(Self, Range<usize>), TileError> {
        let missing = TileError::NodeMissing { node };
        let end = (node.level < u64::BITS).then(|| node.index.checked_add(1)?.checked_mul(1 << node.level)).flatten();
        if end.is_none_or(|end| end > size) {
            return Err(missing);
        }
        let (level, n, range) = slot(node).ok_or(missing)?;
        let width = if n < full_tiles(level, size) { TILE_WIDTH } else { partial_width(level, size) };
        Ok((Self { level, n, width }, range))
    }
}

/// The tile that `node` lies in and the positions of the hashes it is the root of, whatever the size of the tree.
fn slot(node: Node) -> Option<(u8, u64, Range<usize>)> {
    let level = u8::try_from(node.level / TILE_HEIGHT).ok()?;
    let height = node.level % TILE_HEIGHT;
    let first = node.index.checked_mul(1 << height)?;
    let offset = usize::try_from(first % u64::from(TILE_WIDTH)).ok()?;
    Some((level, first >> TILE_HEIGHT, offset..offset + (1 << height)))
}

/// Number of hashes at tile level `level`, in full and partial tiles together, in a log of `size` entries.
fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * TILE_HEIGHT).unwrap_or(0)
}

/// Number of full tiles of `level` in a log of `size` entries.
pub fn full_tiles(level: u8, size: u64) -> u64 {
    hashes_at(level, size) >> TILE_HEIGHT
}

/// Width of the partial tile of `level` in a log of `size` entries: floor(size / 256^level) mod 256; 0 means no tile.
pub fn partial_width(level: u8, size: u64) -> u16 {
    let [.., low] = hashes_at(level, size).to_be_bytes();
    u16::from(low)
}

/// Every tile of a log of `size` entries (at most [`SIZE_MAX`]): level by level, full ones first, then the partial one.
pub fn tiles_for(size: u64) -> impl Iterator<Item = TileCoordinate> {
    (0..=7).flat_map(move |level| {
        let full = full_tiles(level, size);
        let partial = Some(partial_width(level, size)).filter(|width| *width > 0);
        (0..full)
            .map(|n| (n, TILE_WIDTH))
            .chain(partial.map(|width| (full, width)))
            .map(move |(n, width)| TileCoordinate { level, n, width })
    })
}

/// Writes `/tile/<L>/<N>[.p/<W>]`.
impl fmt::Display for TileCoordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/tile/{}/", self.level)?;
        write_number_and_width(f, self.n, self.width)
    }
}

/// Which entry bundle: the entries behind the hashes of one level-0 tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleCoordinate(TileCoordinate);

impl BundleCoordinate {
    /// Names the first `width` entries of bundle `n`.
    ///
    /// # Errors
    ///
    /// [`TileError::Coordinate`] as for the level-0 tile with the same number and width.
    pub fn new(n: u64, width: u16) -> Result<Self, TileError> {
        TileCoordinate::new(0, n, width).map(Self)
    }

    /// The level-0 tile with the hashes of these entries.
    pub fn leaf_tile(&self) -> TileCoordinate {
        self.0
    }

    /// Indices of the entries, 1 to 256 of them.
    pub fn indices(&self) -> Range<u64> {
        self.0.positions()
    }
}

/// Writes `/tile/entries/<N>[.p/<W>]`.
impl fmt::Display for BundleCoordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/tile/entries/")?;
        write_number_and_width(f, self.0.n, self.0.width)
    }
}

fn write_number_and_width(f: &mut fmt::Formatter<'_>, n: u64, width: u16) -> fmt::Result {
    let groups = core::iter::successors(Some(n), |rest| Some(rest / 1000).filter(|higher| *higher > 0));
    let mut higher: Vec<u64> = groups.map(|rest| rest % 1000).collect();
    higher.reverse();
    let last = higher.pop().unwrap_or(0);
    for group in higher {
        write!(f, "x{group:03}/")?;
    }
    write!(f, "{last:03}")?;
    if width == TILE_WIDTH { Ok(()) } else { write!(f, ".p/{width}") }
}

/// What a path under `/tile/` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TilePath {
    /// Hashes of the tree.
    Hashes(TileCoordinate),
    /// The entries themselves.
    Entries(BundleCoordinate),
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashes(tile) => tile.fmt(f),
            Self::Entries(bundle) => bundle.fmt(f),
        }
    }
}

/// Reads a whole path, from `/tile/` on. Only the spelling that [`TilePath`] writes is accepted, so every tile has one
/// address in caches and logs.
impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let read = read_path(path).ok_or(TileError::Path)?;
        if read.to_string() == path { Ok(read) } else { Err(TileError::Path) }
    }
}

/// Reads generously; the caller compares with what the result would be written as.
fn read_path(path: &str) -> Option<TilePath> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let (kind, rest) = path.strip_prefix("/tile/")?.split_once('/')?;
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok()?),
        None => (rest, TILE_WIDTH),
    };
    let n = number.replace(['x', '/'], "").parse().ok()?;
    if kind == "entries" {
        BundleCoordinate::new(n, width).ok().map(TilePath::Entries)
    } else {
        TileCoordinate::new(kind.parse().ok()?, n, width).ok().map(TilePath::Hashes)
    }
}

/// A tile together with its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Which tile.
    pub coordinate: TileCoordinate,
    /// Its hashes, as many as the coordinate says.
    pub hashes: Vec<Sha256Digest>,
}

/// The bytes of a tile: its hashes, 32 bytes each, one after the other.
pub fn encode_hashes(hashes: &[Sha256Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes in the bytes of the tile `coordinate`.
///
/// # Errors
///
/// [`TileError::HashBytes`] unless there are exactly 32 bytes for each hash.
pub fn decode_hashes(coordinate: TileCoordinate, bytes: &[u8]) -> Result<Vec<Sha256Digest>, TileError> {
    if bytes.len() != usize::from(coordinate.width) * 32 {
        return Err(TileError::HashBytes { coordinate, found: bytes.len() });
    }
    Ok(bytes.chunks_exact(32).filter_map(Sha256Digest::from_slice).collect())
}

/// The bytes of an entry bundle: every entry behind its length in bytes as a big-endian 16-bit number.
///
/// # Errors
///
/// [`TileError::EntryTooLarge`] for an entry above 65,535 bytes.
pub fn encode_entry_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        let length =
            u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLarge { position, bytes: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries in the bytes of a bundle that must hold `width` of them.
///
/// # Errors
///
/// [`TileError::BundleEntries`] when an entry is cut short, one is missing, or bytes follow the last.
pub fn decode_entry_bundle(width: u16, bytes: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    while entries.len() < usize::from(width) {
        let wrong = TileError::BundleEntries { expected: width, position: entries.len() };
        let Some((length, after)) = rest.split_first_chunk() else { return Err(wrong) };
        let Some((entry, after)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
            return Err(wrong);
        };
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(TileError::BundleEntries { expected: width, position: entries.len() })
    }
}

impl ProofPlan {
    /// The tiles that hold every node of the plan, each as wide as it is in a tree of the plan's size.
    pub fn tiles(&self) -> BTreeSet<TileCoordinate> {
        self.nodes().filter_map(|node| TileCoordinate::holding(node, self.size()).ok()).map(|(tile, _)| tile).collect()
    }
}

/// The hashes of a tile with every node above them that lies in it, each hashed once: whoever proves more than one entry of
/// a tile keeps these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileNodes {
    /// By height above the tile's own hashes; a node is there once everything below it is.
    rows: Vec<Vec<Sha256Digest>>,
}

impl TileNodes {
    /// Computes the nodes over the hashes of a tile, at most 256.
    pub fn new(hashes: Vec<Sha256Digest>) -> Self {
        let mut rows = vec![hashes];
        for _ in 1..TILE_HEIGHT {
            let below = rows.last().map(Vec::as_slice).unwrap_or_default();
            let pairs = below.as_chunks::<2>().0;
            if pairs.is_empty() {
                break;
            }
            rows.push(pairs.iter().map(|[left, right]| node_hash(left, right)).collect());
        }
        Self { rows }
    }

    /// The tile's own hashes.
    pub fn hashes(&self) -> &[Sha256Digest] {
        self.rows.first().map(Vec::as_slice).unwrap_or_default()
    }
}

/// The tiles fetched for a plan. A wider tile serves where a narrower one was asked for: it begins with the same hashes.
#[derive(Debug, Clone, Default)]
pub struct TileSet(BTreeMap<(u8, u64), Arc<TileNodes>>);

impl TileSet {
    /// Adds a tile, unless a wider version of it is already there.
    ///
    /// # Errors
    ///
    /// [`TileError::HashCount`] when there are fewer hashes than the coordinate says.
    pub fn insert(&mut self, coordinate: TileCoordinate, nodes: Arc<TileNodes>) -> Result<(), TileError> {
        let found = nodes.hashes().len();
        if found < usize::from(coordinate.width) {
            return Err(TileError::HashCount { coordinate, found });
        }
        let stored = self.0.entry((coordinate.level, coordinate.n)).or_insert_with(|| Arc::clone(&nodes));
        if stored.hashes().len() < found {
            *stored = nodes;
        }
        Ok(())
    }

    /// The hash of `node`.
    ///
    /// # Errors
    ///
    /// [`TileError::NodeMissing`] when the tile is not here or not wide enough.
    pub fn node(&self, node: Node) -> Result<Sha256Digest, TileError> {
        let find = |(level, n, positions): (u8, u64, Range<usize>)| {
            let row = self.0.get(&(level, n))?.rows.get(usize::try_from(node.level % TILE_HEIGHT).ok()?)?;
            row.get(positions.start / positions.len().max(1)).copied()
        };
        slot(node).and_then(find).ok_or(TileError::NodeMissing { node })
    }
}

#[cfg(test)]
mod tests;
