use ct_merkle::mem_backed_tree::MemoryBackedTree;
use data_encoding::BASE64;
use serde::Deserialize;

use super::*;
use crate::ledger::fixtures::{MemoryTree, Random, entry};

const ALL_PAIRS_SIZE: u64 = 1024;

/// Leaf inputs and roots of the sizes 0 to 8, as published with the Certificate Transparency code and kept in
/// transparency-dev/merkle (`testonly/constants.go`).
#[test]
fn roots_are_those_published_for_rfc_6962() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = MemoryTree::default();
    assert_eq!(empty_root().to_hex(), roots[0]);
    for (size, root) in (0..).zip(roots) {
        assert_eq!(tree.root(size).to_hex(), root, "size {size}");
        if let Some(entry) = entries.get(usize::try_from(size).unwrap()) {
            tree.append(entry);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionVector {
    name: String,
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Vec<String>,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConsistencyVector {
    name: String,
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Vec<String>,
    want_err: bool,
}

/// `None` for the vectors that put other bytes, or none, where a hash belongs; the digest type cannot hold those.
fn vector_hash(base64: &str) -> Option<Sha256Digest> {
    Sha256Digest::from_slice(&BASE64.decode(base64.as_bytes()).unwrap())
}

#[test]
fn published_inclusion_vectors_hold() {
    let vectors: Vec<InclusionVector> = serde_json::from_str(include_str!("../testdata/inclusion.json")).unwrap();
    assert_eq!(vectors.len(), 98);
    assert_eq!(vectors.iter().filter(|vector| !vector.want_err).count(), 6);
    for vector in vectors {
        let path = vector.proof.iter().map(|hash| vector_hash(hash)).collect::<Option<Vec<_>>>();
        let accepted = (|| {
            let (leaf, root) = (vector_hash(&vector.leaf_hash)?, vector_hash(&vector.root)?);
            verify_inclusion(leaf, vector.leaf_idx, vector.tree_size, &path?, root).ok()
        })();
        assert_eq!(accepted.is_none(), vector.want_err, "{}", vector.name);
    }
}

#[test]
fn published_consistency_vectors_hold() {
    let vectors: Vec<ConsistencyVector> = serde_json::from_str(include_str!("../testdata/consistency.json")).unwrap();
    assert_eq!(vectors.len(), 98);
    assert_eq!(vectors.iter().filter(|vector| !vector.want_err).count(), 6);
    // One accepted vector has the words "don't care" for both roots. Hashing what is no hash keeps equal things equal.
    let hash = |base64: &str| vector_hash(base64).unwrap_or_else(|| Sha256Digest::of(base64.as_bytes()));
    for vector in vectors {
        let path: Vec<_> = vector.proof.iter().map(|base64| hash(base64)).collect();
        let (old, new) = (hash(&vector.root1), hash(&vector.root2));
        let verdict = verify_consistency(vector.size1, old, vector.size2, new, &path);
        assert_eq!(verdict.is_err(), vector.want_err, "{}: {verdict:?}", vector.name);
    }
}

/// The recursive definitions of RFC 6962, section 2.1, written down as they stand there.
mod definition {
    use super::*;

    fn split(n: usize) -> usize {
        (0..usize::BITS).map(|power| 1 << power).filter(|k| *k < n).max().unwrap()
    }

    pub(super) fn root(leaves: &[Sha256Digest]) -> Sha256Digest {
        match leaves.len() {
            0 => empty_root(),
            1 => leaves[0],
            n => node_hash(&root(&leaves[..split(n)]), &root(&leaves[split(n)..])),
        }
    }

    pub(super) fn path(m: usize, leaves: &[Sha256Digest]) -> Vec<Sha256Digest> {
        let n = leaves.len();
        if n == 1 {
            return Vec::new();
        }
        let k = split(n);
        let (mut below, sibling) = if m < k {
            (path(m, &leaves[..k]), root(&leaves[k..]))
        } else {
            (path(m - k, &leaves[k..]), root(&leaves[..k]))
        };
        below.push(sibling);
        below
    }

    pub(super) fn consistency(m: usize, leaves: &[Sha256Digest], whole: bool) -> Vec<Sha256Digest> {
        let n = leaves.len();
        if m == n {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let k = split(n);
        let (mut below, sibling) = if m <= k {
            (consistency(m, &leaves[..k], whole), root(&leaves[k..]))
        } else {
            (consistency(m - k, &leaves[k..], false), root(&leaves[..k]))
        };
        below.push(sibling);
        below
    }
}

#[test]
fn plans_give_what_the_definitions_give() {
    let tree = MemoryTree::of_size(70);
    let leaves: Vec<_> = (0..70).map(|index| tree.leaf(index)).collect();
    for size in 1..=70 {
        let leaves = &leaves[..size];
        let size_entries = u64::try_from(size).unwrap();
        assert_eq!(tree.root(size_entries), definition::root(leaves));
        for at in 0..size {
            let index = u64::try_from(at).unwrap();
            assert_eq!(tree.inclusion(index, size_entries), definition::path(at, leaves));
            assert_eq!(
                tree.consistency(index + 1, size_entries),
                definition::consistency(at + 1, leaves, true),
                "{} → {size}",
                index + 1
            );
        }
    }
}

/// On which side the siblings of a leaf stand, leaf first: all that a path says about the size of its tree.
fn inclusion_shape(index: u64, size: u64) -> Vec<bool> {
    let (mut subtree, mut is_left) = (0..size, Vec::new());
    while subtree.end - subtree.start > 1 {
        let (left, right) = split(&subtree);
        is_left.push(index >= right.start);
        subtree = if index < right.start { left } else { right };
    }
    is_left.reverse();
    is_left
}

/// The same for consistency, with whether the path states where to start; `None` where no path leads.
fn consistency_shape(old: u64, new: u64) -> Option<(bool, Vec<bool>)> {
    if old == 0 || old >= new {
        return None;
    }
    let (mut subtree, mut is_left) = (0..new, Vec::new());
    while subtree.end != old {
        let (left, right) = split(&subtree);
        is_left.push(old > right.start);
        subtree = if old > right.start { right } else { left };
    }
    is_left.reverse();
    Some((subtree.start != 0, is_left))
}

fn bytes_of(path: &[Sha256Digest]) -> Vec<u8> {
    path.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Every pair: equal to ct-merkle's proof byte for byte, accepted, and refused for the next index, another root, and
/// the next size wherever that size gives paths another shape. (Where it does not, RFC 6962 binds the size through the
/// signed checkpoint only; ct-merkle documents the same.)
#[test]
fn every_inclusion_pair_up_to_1024_verifies_and_its_neighbours_do_not() {
    let tree = MemoryTree::of_size(ALL_PAIRS_SIZE + 1);
    let roots: Vec<_> = (0..=ALL_PAIRS_SIZE + 1).map(|size| tree.root(size)).collect();
    let root_of = |size: u64| roots[usize::try_from(size).unwrap()];
    let mut oracle = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let (mut pairs, mut other_sizes_refused) = (0, 0);
    for size in 1..=ALL_PAIRS_SIZE {
        oracle.push(entry(size - 1));
        assert_eq!(oracle.root().as_bytes().as_slice(), root_of(size).as_bytes());
        for index in 0..size {
            let (leaf, path) = (tree.leaf(index), tree.inclusion(index, size));
            assert_eq!(bytes_of(&path), oracle.prove_inclusion(usize::try_from(index).unwrap()).as_bytes());
            assert_eq!(verify_inclusion(leaf, index, size, &path, root_of(size)), Ok(()), "{index} of {size}");
            pairs += 1;

            // Up and down in turn, so that every neighbour of some pair is met.
            let up = (index + size) % 2 == 0;
            let neighbour = |number: u64| if up { number + 1 } else { number.saturating_sub(1) };
            if neighbour(index) != index {
                assert!(verify_inclusion(leaf, neighbour(index), size, &path, root_of(size)).is_err());
            }
            assert!(verify_inclusion(leaf, index, size, &path, root_of(neighbour(size))).is_err());
            let other = neighbour(size);
            let same_shape = index < other && inclusion_shape(index, other) == inclusion_shape(index, size);
            assert_eq!(verify_inclusion(leaf, index, other, &path, root_of(size)).is_ok(), same_shape);
            other_sizes_refused += u64::from(!same_shape);
        }
    }
    assert_eq!(pairs, ALL_PAIRS_SIZE * (ALL_PAIRS_SIZE + 1) / 2);
    assert!(other_sizes_refused > 0);
}

#[test]
fn every_consistency_pair_up_to_1024_verifies_and_its_neighbours_do_not() {
    let tree = MemoryTree::of_size(ALL_PAIRS_SIZE + 1);
    let roots: Vec<_> = (0..=ALL_PAIRS_SIZE + 1).map(|size| tree.root(size)).collect();
    let root_of = |size: u64| roots[usize::try_from(size).unwrap()];
    let mut oracle = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let (mut pairs, mut other_sizes_refused) = (0, 0);
    for new in 1..=ALL_PAIRS_SIZE {
        oracle.push(entry(new - 1));
        for old in 1..=new {
            let path = tree.consistency(old, new);
            assert_eq!(verify_consistency(old, root_of(old), new, root_of(new), &path), Ok(()), "{old} → {new}");
            pairs += 1;
            if old == new {
                assert_eq!(path, []);
                continue;
            }
            let additions = usize::try_from(new - old).unwrap();
            assert_eq!(bytes_of(&path), oracle.prove_consistency(additions).as_bytes(), "{old} → {new}");

            let up = (old + new) % 2 == 0;
            let neighbour = |number: u64| if up { number + 1 } else { number - 1 };
            assert!(verify_consistency(old, root_of(neighbour(old)), new, root_of(new), &path).is_err());
            assert!(verify_consistency(old, root_of(old), new, root_of(neighbour(new)), &path).is_err());
            for (other_old, other_new) in [(neighbour(old), new), (old, neighbour(new))] {
                let same_shape = consistency_shape(other_old, other_new) == consistency_shape(old, new);
                let verdict = verify_consistency(other_old, root_of(old), other_new, root_of(new), &path);
                assert_eq!(verdict.is_ok(), same_shape, "{old} → {new} read as {other_old} → {other_new}");
                other_sizes_refused += u64::from(!same_shape);
            }
        }
    }
    assert_eq!(pairs, ALL_PAIRS_SIZE * (ALL_PAIRS_SIZE + 1) / 2);
    assert!(other_sizes_refused > 0);
}

#[test]
fn no_mutated_inclusion_proof_is_accepted() {
    const MUTATIONS: usize = 20_000;
    const SIZE: u64 = 700;
    let tree = MemoryTree::of_size(SIZE);
    let mut random = Random(0x6962);
    let mut tried = [0; 9];
    while tried.iter().sum::<usize>() < MUTATIONS {
        let size = 2 + random.next() % (SIZE - 1);
        let index = random.next() % size;
        let (leaf, path, root) = (tree.leaf(index), tree.inclusion(index, size), tree.root(size));
        assert_eq!(verify_inclusion(leaf, index, size, &path, root), Ok(()));

        let kind = random.below(tried.len());
        let mut mutant = (leaf, index, size, path.clone(), root);
        let place = random.below(path.len());
        match kind {
            0 => mutant.3[place] = random.flip(path[place]),
            1 => mutant.0 = random.flip(leaf),
            2 => mutant.4 = random.flip(root),
            3 => drop(mutant.3.remove(place)),
            4 => {
                let stuffing = [random.hash(), leaf, root, path[place], empty_root()][random.below(5)];
                mutant.3.insert(random.below(path.len() + 1), stuffing);
            }
            5 => mutant.3.swap(place, random.below(path.len())),
            6 => mutant.1 = random.next() % size,
            7 => mutant.2 = 1 + random.next() % SIZE,
            _ => mutant.3 = tree.inclusion(random.next() % size, size),
        }
        // Not mutations: a swap of one hash with itself, the same index, the path of the same entry; and a size that
        // gives this very path, which only the checkpoint's signature can tell apart.
        let same_shape = mutant.1 < mutant.2 && inclusion_shape(mutant.1, mutant.2) == inclusion_shape(index, size);
        if (mutant.0, &mutant.3, mutant.4) == (leaf, &path, root) && same_shape {
            continue;
        }
        let verdict = verify_inclusion(mutant.0, mutant.1, mutant.2, &mutant.3, mutant.4);
        assert!(verdict.is_err(), "kind {kind} of entry {index} of {size}: {mutant:?}");
        tried[kind] += 1;
    }
    assert!(tried.iter().all(|count| *count > 1_000), "{tried:?}");
}

#[test]
fn no_mutated_consistency_proof_is_accepted() {
    const MUTATIONS: usize = 20_000;
    const SIZE: u64 = 700;
    let tree = MemoryTree::of_size(SIZE);
    let mut random = Random(0x9162);
    let mut tried = [0; 6];
    while tried.iter().sum::<usize>() < MUTATIONS {
        let new = 2 + random.next() % (SIZE - 1);
        let old = 1 + random.next() % (new - 1);
        let (old_root, new_root, path) = (tree.root(old), tree.root(new), tree.consistency(old, new));
        let kind = random.below(tried.len());
        let mut mutant = (old_root, new_root, path.clone());
        let place = random.below(path.len());
        match kind {
            0 => mutant.2[place] = random.flip(path[place]),
            1 => mutant.0 = random.flip(old_root),
            2 => mutant.1 = random.flip(new_root),
            3 => drop(mutant.2.remove(place)),
            4 => mutant.2.insert(random.below(path.len() + 1), [random.hash(), old_root, new_root][random.below(3)]),
            _ => mutant.2.swap(place, random.below(path.len())),
        }
        if mutant == (old_root, new_root, path) {
            continue;
        }
        let verdict = verify_consistency(old, mutant.0, new, mutant.1, &mutant.2);
        assert!(verdict.is_err(), "kind {kind}, {old} → {new}: {mutant:?}");
        tried[kind] += 1;
    }
    assert!(tried.iter().all(|count| *count > 1_000), "{tried:?}");
}

/// An entry made of two child hashes must not pass for the node above them in a tree half the size.
#[test]
fn an_entry_shaped_like_a_node_is_not_that_node() {
    let tree = MemoryTree::of_size(64);
    for index in 0..32 {
        let (left, right) = (tree.leaf(2 * index), tree.leaf(2 * index + 1));
        let path = &tree.inclusion(2 * index, 64)[1..];
        let root = tree.root(64);
        // Control: the node itself does fit there, so nothing but the leaf prefix keeps the forgery out.
        assert_eq!(verify_inclusion(node_hash(&left, &right), index, 32, path, root), Ok(()));
        let bare = [left.as_bytes().as_slice(), right.as_bytes()].concat();
        for forged in [bare.clone(), [&[0x01], bare.as_slice()].concat(), [&[0x00], bare.as_slice()].concat()] {
            assert_eq!(verify_inclusion(leaf_hash(&forged), index, 32, path, root), Err(ProofError::RootMismatch));
        }
    }
}

#[test]
fn impossible_claims_are_named() {
    let tree = MemoryTree::of_size(8);
    let (root, leaf) = (tree.root(8), tree.leaf(0));
    let outside = |index, size| PlanError::IndexOutsideTree { index, size };
    let order = |old, new| PlanError::SizesOutOfOrder { old, new };
    assert_eq!(ProofPlan::inclusion(8, 8), Err(outside(8, 8)));
    assert_eq!(ProofPlan::inclusion(0, 0), Err(outside(0, 0)));
    assert_eq!(ProofPlan::consistency(0, 8), Err(order(0, 8)));
    assert_eq!(ProofPlan::consistency(9, 8), Err(order(9, 8)));
    assert_eq!(verify_inclusion(leaf, 8, 8, &[], root), Err(outside(8, 8).into()));
    assert_eq!(verify_inclusion(leaf, 0, 0, &[], empty_root()), Err(outside(0, 0).into()));
    assert_eq!(verify_inclusion(leaf, 0, 8, &[], root), Err(ProofError::PathLength { expected: 3, found: 0 }));
    assert_eq!(verify_consistency(0, empty_root(), 8, root, &[]), Err(order(0, 8).into()));
    assert_eq!(verify_consistency(8, root, 7, tree.root(7), &[]), Err(order(8, 7).into()));
    let path = tree.consistency(5, 8);
    assert_eq!(verify_consistency(5, root, 8, root, &path), Err(ProofError::OldRootMismatch));
    assert_eq!(verify_consistency(5, tree.root(5), 8, leaf, &path), Err(ProofError::RootMismatch));
}

#[test]
fn the_largest_sizes_overflow_nothing() {
    for size in [u64::MAX, 1 << 63, (1 << 63) + 1, SIZE_MAX, SIZE_MAX - 1] {
        for index in [0, 1, size / 2, size - 2, size - 1] {
            let path = vec![empty_root(); ProofPlan::inclusion(index, size).unwrap().hashes.len()];
            assert_eq!(path.len(), inclusion_shape(index, size).len());
            let verdict = verify_inclusion(empty_root(), index, size, &path, empty_root());
            assert_eq!(verdict, Err(ProofError::RootMismatch), "{index} of {size}");
            let path = vec![empty_root(); ProofPlan::consistency(index + 1, size).unwrap().hashes.len()];
            let verdict = verify_consistency(index + 1, empty_root(), size, leaf_hash(b""), &path);
            assert!(
                !matches!(verdict, Ok(()) | Err(ProofError::PathLength { .. })),
                "{index} + 1 → {size}: {verdict:?}"
            );
        }
    }
}
