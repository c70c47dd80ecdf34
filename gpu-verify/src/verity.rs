//! The Linux fs-verity digest: a tree of SHA-256 over 4096-byte blocks, and the descriptor that is hashed last.
//!
//! Leaves come from an engine; the levels above are made here as they fill, so that a file of any size takes one block of
//! 4096 bytes per level, of which a file of 2^63 bytes has eight. Rules: Linux `Documentation/filesystems/fsverity.rst`,
//! "Merkle tree" and "fs-verity descriptor", with SHA-256, no salt and no built-in signature.

use core::fmt;
use core::str::FromStr;

use chopmark_core::digest::Sha256Digest;

use crate::hasher::VERITY_LEAF_SIZE_BYTES;

/// Bytes of a hash within a block.
const HASH_SIZE_BYTES: usize = 32;
/// Bytes of `struct fsverity_descriptor`.
const DESCRIPTOR_SIZE_BYTES: usize = 256;

/// The digest that `fsverity digest --hash-alg=sha256 --block-size=4096` prints and Linux enforces. Not the SHA-256 of the
/// file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsverityDigest(Sha256Digest);

impl FsverityDigest {
    /// The algorithm and its parameters, wherever the digest stands beside others.
    pub const NAME: &'static str = "fsverity-sha256-4096";

    /// The digest of a file of `size_bytes` above the root of its tree.
    #[cfg(feature = "cuda")]
    pub(crate) fn above(root: &Sha256Digest, size_bytes: u64) -> Self {
        Self(Sha256Digest::of(&descriptor(size_bytes, root)))
    }

    /// 64 lowercase hexadecimal characters.
    pub fn to_hex(&self) -> String {
        self.0.to_hex()
    }
}

/// The hexadecimal characters, as they are written.
impl FromStr for FsverityDigest {
    type Err = <Sha256Digest as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The hexadecimal characters.
impl fmt::Display for FsverityDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tree of one file so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct VerityTree {
    /// For each level from the lowest, the hashes of its block that is not yet full.
    levels: Vec<Vec<u8>>,
}

impl VerityTree {
    /// The tree after `pushed` leaves that came to these `levels`, as [`VerityTree::pending`] gave them; `None` when so
    /// many leaves never come to such levels.
    pub(crate) fn resume(levels: &[Vec<[u8; HASH_SIZE_BYTES]>], pushed: u64) -> Option<Self> {
        let hashes_in_block = u64::try_from(VERITY_LEAF_SIZE_BYTES / HASH_SIZE_BYTES).ok()?;
        let mut left = pushed;
        for level in levels {
            // A level is begun by the first hash that comes to it, and is empty whenever its block is full.
            if left == 0 || u64::try_from(level.len()) != Ok(left.checked_rem(hashes_in_block)?) {
                return None;
            }
            left = left.checked_div(hashes_in_block)?;
        }
        (left == 0).then(|| Self { levels: levels.iter().map(|level| level.as_flattened().to_vec()).collect() })
    }

    /// The hashes that fill no block yet, from the lowest level.
    pub(crate) fn pending(&self) -> Vec<Vec<[u8; HASH_SIZE_BYTES]>> {
        self.levels.iter().map(|level| level.as_chunks().0.to_vec()).collect()
    }

    /// Adds the next leaf hash.
    pub(crate) fn push(&mut self, leaf: Sha256Digest) {
        let mut hash = leaf;
        for level in &mut self.levels {
            level.extend_from_slice(hash.as_bytes());
            if level.len() < VERITY_LEAF_SIZE_BYTES {
                return;
            }
            hash = Sha256Digest::of(level);
            level.clear();
        }
        let mut level = Vec::with_capacity(VERITY_LEAF_SIZE_BYTES);
        level.extend_from_slice(hash.as_bytes());
        self.levels.push(level);
    }

    /// The digest of a file of `size_bytes`, after its last leaf.
    pub(crate) fn finish(self, size_bytes: u64) -> FsverityDigest {
        FsverityDigest(Sha256Digest::of(&descriptor(size_bytes, &self.root())))
    }

    /// The only hash that has none beside it; zeros for an empty file.
    fn root(mut self) -> Sha256Digest {
        let Some(mut top) = self.levels.pop() else { return Sha256Digest::from_bytes([0; HASH_SIZE_BYTES]) };
        let mut below = None;
        for level in &mut self.levels {
            below = close(level, below);
        }
        match Sha256Digest::from_slice(&top) {
            Some(only) if below.is_none() => only,
            _ => close(&mut top, below).unwrap_or(Sha256Digest::from_bytes([0; HASH_SIZE_BYTES])),
        }
    }
}

/// The hash of a level's last block, padded with zeros, after `below`, the last hash of the level below it; `None` when
/// there is neither.
fn close(level: &mut Vec<u8>, below: Option<Sha256Digest>) -> Option<Sha256Digest> {
    level.extend(below.iter().flat_map(Sha256Digest::as_bytes));
    if level.is_empty() {
        return None;
    }
    level.resize(VERITY_LEAF_SIZE_BYTES, 0);
    Some(Sha256Digest::of(level))
}

/// `struct fsverity_descriptor` as it is hashed: without a signature, everything little-endian.
fn descriptor(size_bytes: u64, root: &Sha256Digest) -> Vec<u8> {
    let (version, sha256, log2_of_block_size, salt_size_bytes) = (1, 1, 12, 0);
    let mut bytes = vec![version, sha256, log2_of_block_size, salt_size_bytes, 0, 0, 0, 0];
    bytes.extend_from_slice(&size_bytes.to_le_bytes());
    bytes.extend_from_slice(root.as_bytes());
    // The rest of the 64 bytes of the root, the salt, and what is reserved.
    bytes.resize(DESCRIPTOR_SIZE_BYTES, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use chopmark_core::manifest::ExclusionProfile;

    use super::*;
    use crate::digests::DigestSelection;
    use crate::hasher::Hasher;
    use crate::measure::{MeasureOptions, Purpose, hash_files};
    use crate::portable::Portable;
    use crate::progress::Silent;
    use crate::rayon::Rayon;

    /// The same the other way round: level by level, all of each at once.
    fn by_levels(leaves: &[Sha256Digest]) -> Sha256Digest {
        match leaves {
            [] => Sha256Digest::from_bytes([0; 32]),
            [only] => *only,
            many => {
                let blocks = many.chunks(128).map(|hashes| {
                    let mut block: Vec<u8> = hashes.iter().flat_map(Sha256Digest::as_bytes).copied().collect();
                    block.resize(4096, 0);
                    Sha256Digest::of(&block)
                });
                by_levels(&blocks.collect::<Vec<_>>())
            }
        }
    }

    #[test]
    fn every_count_of_leaves_gives_the_root_made_level_by_level() {
        let leaves: Vec<Sha256Digest> = (0..20_000_u32).map(|leaf| Sha256Digest::of(&leaf.to_le_bytes())).collect();
        let near = [127, 128, 129, 255, 256, 257, 16_255, 16_256, 16_257, 16_383, 16_384, 16_385, 16_512, 20_000];
        for count in (0..40).chain(near) {
            let mut tree = VerityTree::default();
            leaves[..count].iter().for_each(|leaf| tree.push(*leaf));
            let pushed = u64::try_from(count).unwrap();
            let mut resumed = VerityTree::resume(&tree.pending(), pushed).unwrap();
            assert!(VerityTree::resume(&tree.pending(), pushed + 1).is_none(), "{count}");
            assert_eq!(tree.root(), by_levels(&leaves[..count]), "{count}");
            leaves[count..].iter().take(300).for_each(|leaf| resumed.push(*leaf));
            let goes_on = leaves.len().min(count + 300);
            assert_eq!(resumed.root(), by_levels(&leaves[..goes_on]), "{count}");
        }
    }

    #[test]
    fn an_empty_file_has_the_digest_that_the_tool_prints() {
        // Printed by `fsverity digest` (fsverity-utils 1.5) for an empty file.
        let expected = "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95";
        assert_eq!(VerityTree::default().finish(0).to_hex(), expected);
    }

    /// Sizes on both sides of every boundary of the tree: of a block, of 128 hashes and of 128² hashes.
    const SIZES_BYTES: [usize; 30] = [
        0,
        1,
        63,
        64,
        65,
        255,
        256,
        4095,
        4096,
        4097,
        8191,
        8192,
        8193,
        128 * 4096 - 1,
        128 * 4096,
        128 * 4096 + 1,
        129 * 4096 - 1,
        129 * 4096,
        129 * 4096 + 1,
        (1 << 20) - 1,
        1 << 20,
        (1 << 20) + 1,
        256 * 4096 + 4096,
        (8 << 20) - 1,
        8 << 20,
        (8 << 20) + 1,
        128 * 128 * 4096 - 1,
        128 * 128 * 4096,
        128 * 128 * 4096 + 1,
        128 * 128 * 4096 + 4097,
    ];

    #[test]
    fn digests_are_those_of_the_fsverity_tool() {
        let tool = "fsverity";
        let is_there = std::process::Command::new(tool).arg("--version").output().is_ok();
        if !crate::optional::can_test("digests beside `fsverity`", "CHOPMARK_TEST_FSVERITY", is_there) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let name = |size_bytes: usize| directory.path().join(format!("{size_bytes:09}"));
        for size_bytes in SIZES_BYTES {
            let bytes: Vec<u8> = (0..=250).cycle().take(size_bytes).collect();
            std::fs::write(name(size_bytes), bytes).unwrap();
        }
        let said = std::process::Command::new(tool)
            .args(["digest", "--hash-alg=sha256", "--block-size=4096", "--compact"])
            .args(SIZES_BYTES.map(name))
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let said = String::from_utf8(said.stdout).unwrap();
        let theirs: Vec<&str> = said.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(theirs.len(), SIZES_BYTES.len());

        let options = MeasureOptions {
            exclusions: ExclusionProfile::None,
            purpose: Purpose::Verify,
            file_name: None,
            revision: None,
            digests: DigestSelection { fsverity: true, ..DigestSelection::NONE },
            keep_subtrees: false,
            memory: None,
            interrupted: &AtomicBool::new(false),
        };
        let engines: [&dyn Hasher; 2] = [&Portable, &Rayon::new(3).unwrap()];
        for engine in engines {
            let ours = hash_files(directory.path(), &options, &Silent, engine).unwrap();
            for ((file, size_bytes), theirs) in ours.files.iter().zip(SIZES_BYTES).zip(&theirs) {
                assert_eq!(file.size_bytes, u64::try_from(size_bytes).unwrap());
                assert_eq!(file.digests.fsverity.unwrap().to_hex(), **theirs, "{} {size_bytes}", engine.name());
            }
        }
    }
}
