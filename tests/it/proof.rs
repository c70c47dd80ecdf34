//! C2SP tlog-proofs under attack: thousands of changed ones over trees of many shapes, none accepted.
//!
//! The proofs of `chopmark-core`'s own tests are made by its own tree; here they are also what a reader of `.tlog-proof`
//! files gets from a stranger, byte by byte.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tree::leaf_hash;

use crate::make::{Random, key};
use crate::memory::{MemoryRegistry, sign_with};

const ORIGIN: &str = "registry.example.hk/log";

fn log_of(size: u64) -> MemoryRegistry {
    let mut log = MemoryRegistry::new(ORIGIN, "proofs");
    while log.size() < size {
        log.append_bytes(format!("entry {}", log.size()).into_bytes());
    }
    log
}

fn is_accepted(log: &MemoryRegistry, proof: &str, leaf: Sha256Digest) -> bool {
    let keys = [log.log_key().clone()];
    proof.parse::<TlogProof>().is_ok_and(|proof| proof.verify(leaf, &keys).is_ok())
}

/// Sizes on both sides of every boundary that paths and tiles have, and an index in each interesting place.
fn places() -> Vec<(u64, u64)> {
    let sizes = [2, 3, 4, 5, 7, 8, 9, 31, 64, 65, 255, 256, 257, 300];
    sizes
        .into_iter()
        .flat_map(|size| [0, 1, size / 2, size - 2, size - 1].map(|index| (index, size)))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[test]
fn no_changed_character_of_a_proof_is_accepted() {
    let log = log_of(300);
    let mut random = Random::new(4);
    let mut tried = 0;
    for (index, size) in places() {
        let honest = log.proof(index, size).to_string();
        assert!(is_accepted(&log, &honest, log.leaf(index)), "{index} of {size}");
        for _ in 0..60 {
            let mut bytes = honest.clone().into_bytes();
            let position = random.below(bytes.len());
            bytes[position] ^= 1 << random.below(8);
            tried += 1;
            // What is no longer UTF-8 is not a proof at all.
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(!is_accepted(&log, &changed, log.leaf(index)), "{index} of {size}, byte {position}:\n{changed}");
        }
        for cut in (0..honest.len()).step_by(97) {
            if let Some(shorter) = honest.get(..cut) {
                assert!(!is_accepted(&log, shorter, log.leaf(index)), "{index} of {size}, cut after {cut}");
                tried += 1;
            }
        }
    }
    println!("{tried} proofs with a flipped bit or cut short: none accepted");
    assert!(tried >= 3_000, "{tried}");
}

#[test]
fn no_other_path_index_or_leaf_is_accepted() {
    let log = log_of(300);
    let mut random = Random::new(5);
    let mut tried = 0;
    for (index, size) in places() {
        let (path, note) = (log.path(index, size), log.checkpoint(size));
        let mut refuse = |index: u64, path: Vec<Sha256Digest>, leaf: Sha256Digest, what: &str| {
            let proof = TlogProof::new(index, path, note.clone()).unwrap().to_string();
            assert!(!is_accepted(&log, &proof, leaf), "{what} at {index} of {size}");
            tried += 1;
        };
        let leaf = log.leaf(index);
        for other in [0, index ^ 1, index + 1, index + 256, size, u64::MAX].into_iter().filter(|other| *other != index)
        {
            refuse(other, path.clone(), leaf, "another index");
        }
        // A node of the tree offered as a leaf, and a leaf of the same path (RFC 6962's prefixes keep them apart).
        let parent = [leaf.as_bytes().as_slice(), path[0].as_bytes()].concat();
        refuse(index >> 1, path[1..].to_vec(), leaf_hash(&parent), "a node as a leaf");
        refuse(index, path.clone(), path[0], "the sibling as the leaf");
        refuse(index, path.clone(), leaf_hash(b"something else"), "another leaf");
        for position in 0..path.len() {
            let mut changed = path.clone();
            changed.remove(position);
            refuse(index, changed, leaf, "a hash removed");
            let mut changed = path.clone();
            changed.insert(position, leaf);
            refuse(index, changed, leaf, "a hash inserted");
            for other in 0..position {
                let mut changed = path.clone();
                changed.swap(position, other);
                refuse(index, changed, leaf, "two hashes swapped");
            }
            for _ in 0..2 {
                let mut changed = path.clone();
                let mut bytes = *changed[position].as_bytes();
                bytes[random.below(32)] ^= 1 << random.below(8);
                changed[position] = Sha256Digest::from_bytes(bytes);
                refuse(index, changed, leaf, "a bit flipped in the middle");
            }
        }
        let longer = [path.clone(), vec![leaf]].concat();
        refuse(index, longer, leaf, "a hash appended");
    }
    println!("{tried} proofs with another path, index or leaf: none accepted");
    assert!(tried >= 2_000, "{tried}");
}

#[test]
fn no_other_checkpoint_is_accepted() {
    let log = log_of(300);
    let fork = {
        let mut fork = log_of(150);
        while fork.size() < 300 {
            fork.append_bytes(format!("forked {}", fork.size()).into_bytes());
        }
        fork
    };
    let attacker = NoteSigner::new(ORIGIN, key("attacker")).unwrap();
    let other_name = NoteSigner::new("registry.example.cn/log", key("proofs/log")).unwrap();
    let mut tried = 0;
    for (index, size) in places() {
        let (path, leaf) = (log.path(index, size), log.leaf(index));
        let root = fork.path(0, 2)[0];
        let mut refuse = |note: String, path: Vec<Sha256Digest>, what: &str| {
            let proof = TlogProof::new(index, path, note).unwrap().to_string();
            assert!(!is_accepted(&log, &proof, leaf), "{what} at {index} of {size}");
            tried += 1;
        };
        let honest_root = log.checkpoint(size).lines().nth(2).map(str::to_owned).unwrap();
        let honest_root = data_encoding::BASE64.decode(honest_root.as_bytes()).unwrap();
        let honest_root = Sha256Digest::from_slice(&honest_root).unwrap();
        refuse(sign_with(&attacker, size, honest_root), path.clone(), "another key's signature");
        refuse(sign_with(&other_name, size, honest_root), path.clone(), "the log's key under another name");
        refuse(sign_with(&attacker, size, root), path.clone(), "another key and root");
        for other in [2, 3, 64, 255, 256, 257, 299, 300] {
            // RFC 6962: paths of some sizes serve for another; the root does not.
            if other != size && other > index {
                refuse(log.checkpoint(other), path.clone(), "a genuine checkpoint of another size");
            }
        }
        if index >= 150 {
            refuse(fork.checkpoint(size), fork.path(index, size), "the fork's own proof for an entry it does not hold");
        }
        if size > 151 {
            refuse(fork.checkpoint(size), path.clone(), "the fork's checkpoint over the honest path");
        }
        refuse(log.checkpoint(size).replacen(ORIGIN, "registry.example.cn/log", 1), path.clone(), "another origin");
        refuse(
            log.checkpoint(size).replacen(&format!("\n{size}\n"), &format!("\n{}\n", size + 1), 1),
            path,
            "size + 1",
        );
    }
    println!("{tried} proofs with another checkpoint: none accepted");
    assert!(tried >= 700, "{tried}");
}

/// What no signature covers, and the format says so.
#[test]
fn only_extra_and_unknown_signature_lines_are_ignored() {
    let log = log_of(9);
    let honest = log.proof(5, 9).to_string();
    let witness = NoteSigner::new("witness.example", key("witness")).unwrap();
    let line = sign_with(&witness, 9, log.leaf(0)).lines().next_back().unwrap().to_owned();
    for ignored in [honest.replacen("\nindex", "\nextra AAAA\nindex", 1), format!("{honest}{line}\n")] {
        assert_ne!(ignored, honest);
        assert!(is_accepted(&log, &ignored, log.leaf(5)));
    }
    // A line under a name and id that are known must verify, or nothing is believed.
    let mut own_line = honest.lines().next_back().unwrap().to_owned();
    let last = own_line.len() - 4;
    own_line.replace_range(last..=last, if own_line[last..].starts_with('A') { "B" } else { "A" });
    assert!(!is_accepted(&log, &format!("{honest}{own_line}\n"), log.leaf(5)));
}
