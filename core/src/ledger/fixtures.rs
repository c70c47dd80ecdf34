//! What the ledger's tests share: a plain in-memory tree, a seeded source of mutations, named keys.

use core::convert::Infallible;

use ed25519_dalek::SigningKey;

use super::note::NoteSigner;
use super::tree::{Node, ProofPlan, leaf_hash, node_hash};
use crate::digest::Sha256Digest;

/// All perfect nodes of a tree, level by level; nothing clever, so that it can judge the clever parts.
#[derive(Default)]
pub(super) struct MemoryTree {
    levels: Vec<Vec<Sha256Digest>>,
}

impl MemoryTree {
    /// The tree over `entry(0)`, `entry(1)`, …
    pub(super) fn of_size(size: u64) -> Self {
        let mut tree = Self::default();
        (0..size).for_each(|index| tree.append(&entry(index)));
        tree
    }

    pub(super) fn append(&mut self, entry: &[u8]) {
        let mut hash = leaf_hash(entry);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            if row.len() % 2 == 1 {
                break;
            }
            hash = node_hash(&row[row.len() - 2], &row[row.len() - 1]);
        }
    }

    pub(super) fn node(&self, node: Node) -> Sha256Digest {
        self.levels[usize::try_from(node.level).unwrap()][usize::try_from(node.index).unwrap()]
    }

    pub(super) fn leaf(&self, index: u64) -> Sha256Digest {
        self.node(Node { level: 0, index })
    }

    pub(super) fn resolve(&self, plan: &ProofPlan) -> Vec<Sha256Digest> {
        plan.resolve(|node| Ok::<_, Infallible>(self.node(node))).unwrap()
    }

    pub(super) fn root(&self, size: u64) -> Sha256Digest {
        let [root] = self.resolve(&ProofPlan::root(size)).try_into().unwrap();
        root
    }

    pub(super) fn inclusion(&self, index: u64, size: u64) -> Vec<Sha256Digest> {
        self.resolve(&ProofPlan::inclusion(index, size).unwrap())
    }

    pub(super) fn consistency(&self, old: u64, new: u64) -> Vec<Sha256Digest> {
        self.resolve(&ProofPlan::consistency(old, new).unwrap())
    }
}

pub(super) fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

/// A signer whose secret is 32 times `seed`.
pub(super) fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name, SigningKey::from_bytes(&[seed; 32])).unwrap()
}

/// `SplitMix64` (Steele, Lea, Flood 2014): the same mutations in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; the small bias does not matter here.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(super) fn hash(&mut self) -> Sha256Digest {
        Sha256Digest::of(&self.next().to_be_bytes())
    }

    /// `hash` with one bit flipped.
    pub(super) fn flip(&mut self, hash: Sha256Digest) -> Sha256Digest {
        let mut bytes = *hash.as_bytes();
        bytes[self.below(32)] ^= 1 << self.below(8);
        Sha256Digest::from_bytes(bytes)
    }
}
