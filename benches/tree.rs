//! The tree alone: leaf hash, tiles and root, beside `ct-merkle`, which also keeps every inner node.
//!
//! Nothing here touches a disk, so no durability setting is involved.

use std::hint::black_box;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::tree::leaf_hash;
use ct_merkle::mem_backed_tree::MemoryBackedTree;

use crate::Failure;
use crate::figures::{figure, median, per_second, time};

/// Interleaved repetitions; the median is reported.
const RUNS: usize = 7;

/// Leaves per tree.
const LEAVES: u32 = 200_000;

/// Bytes per leaf: about what a small registration's envelope has.
const LEAF_BYTES: usize = 1_500;

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    println!("{LEAVES} leaves of {LEAF_BYTES} bytes, one thread, median of {RUNS} interleaved runs");
    let leaves: Vec<Vec<u8>> = (0..LEAVES).map(leaf).collect();
    if ours(&leaves) != peer(&leaves) {
        return Err("the two trees have different roots; no figure would mean anything".into());
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        let [first, second] = &mut times;
        first.push(time(|| ours(&leaves)));
        second.push(time(|| peer(&leaves)));
    }
    let [ours, peer] = times.map(median);
    figure("tree.append", per_second(leaves.len(), ours), "entries/s");
    figure("tree.append_ct_merkle", per_second(leaves.len(), peer), "entries/s");
    figure("tree.append_vs_ct_merkle", peer.as_secs_f64() / ours.as_secs_f64(), "x");
    Ok(())
}

fn leaf(index: u32) -> Vec<u8> {
    let mut leaf = vec![0x5a; LEAF_BYTES];
    for (byte, value) in leaf.iter_mut().zip(index.to_be_bytes()) {
        *byte = value;
    }
    leaf
}

fn ours(leaves: &[Vec<u8>]) -> Sha256Digest {
    let mut edge = Edge::new();
    for leaf in leaves {
        black_box(edge.append(leaf_hash(leaf)));
    }
    edge.root()
}

fn peer(leaves: &[Vec<u8>]) -> Sha256Digest {
    let mut tree = MemoryBackedTree::<sha2::Sha256, &[u8]>::new();
    for leaf in leaves {
        tree.push(leaf);
    }
    Sha256Digest::from_bytes((*tree.root().as_bytes()).into())
}
