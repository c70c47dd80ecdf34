use proptest::prelude::*;

use super::*;
use crate::ledger::checkpoint::sign_checkpoint;
use crate::ledger::fixtures::{MemoryTree, Random, signer};
use crate::ledger::note::{NoteError, NoteSigner};
use crate::ledger::tree::{PlanError, empty_root};

const ORIGIN: &str = "log.example/chop";

fn log_signer() -> NoteSigner {
    signer(ORIGIN, 1)
}

fn log_keys() -> [VerifierKey; 1] {
    [log_signer().verifier_key().clone()]
}

fn note(tree: &MemoryTree, size: u64) -> String {
    let checkpoint = Checkpoint::new(ORIGIN, size, tree.root(size)).unwrap();
    sign_checkpoint(&checkpoint, &[log_signer()]).unwrap()
}

fn proof(tree: &MemoryTree, index: u64, size: u64) -> TlogProof {
    TlogProof::new(index, tree.inclusion(index, size), note(tree, size)).unwrap()
}

#[test]
fn a_proof_is_written_as_specified_and_verifies() {
    let tree = MemoryTree::of_size(5);
    let written = proof(&tree, 4, 5).to_string();
    let expected = format!(
        "c2sp.org/tlog-proof@v1\nindex 4\n{}\n\n{ORIGIN}\n5\n{}\n\n— {ORIGIN} ",
        format_hash(&tree.root(4)),
        format_hash(&tree.root(5)),
    );
    assert!(written.starts_with(&expected), "{written}");
    let read: TlogProof = written.parse().unwrap();
    assert_eq!(read, proof(&tree, 4, 5));
    assert_eq!((read.index(), read.path(), read.extra()), (4, [tree.root(4)].as_slice(), None));
    assert_eq!(read.checkpoint_note(), note(&tree, 5));
    let checkpoint = read.verify(tree.leaf(4), &log_keys()).unwrap();
    assert_eq!((checkpoint.size(), checkpoint.root()), (5, tree.root(5)));
}

#[test]
fn every_entry_of_every_small_tree_has_a_proof() {
    let tree = MemoryTree::of_size(40);
    for size in 2..=40 {
        for index in 0..size {
            let read: TlogProof = proof(&tree, index, size).to_string().parse().unwrap();
            assert!(read.verify(tree.leaf(index), &log_keys()).is_ok());
            assert_eq!(
                read.verify(tree.leaf((index + 1) % size), &log_keys()),
                Err(ProofError::RootMismatch.into()),
                "{index} of {size}"
            );
        }
    }
}

#[test]
fn malformed_proofs_name_the_line() {
    let tree = MemoryTree::of_size(8);
    let good = proof(&tree, 3, 8).to_string();
    assert!(good.parse::<TlogProof>().is_ok());
    let hash = format_hash(&tree.leaf(2));
    let refused = [
        (String::new(), 1),
        (good.replace("@v1", "@v2"), 1),
        (good.replace("c2sp.org", "C2SP.org"), 1),
        (format!("\n{good}"), 1),
        (format!("\u{feff}{good}"), 1),
        (good.replace("\nindex", " \nindex"), 1),
        (good.replacen("\n\n", "\n", 2), 1),
        (good.replace("index 3\n", ""), 2),
        (good.replace("index 3", "Index 3"), 2),
        (good.replace("index 3", "index  3"), 2),
        (good.replace("index 3", "index 03"), 2),
        (good.replace("index 3", "index +3"), 2),
        (good.replace("index 3", "index 3 "), 2),
        (good.replace("index 3", "index"), 2),
        (good.replace("index 3", "index 18446744073709551616"), 2),
        (good.replace("index 3", "extra AA==\nindex 03"), 3),
        (good.replace("index 3", "extra \nindex 3"), 2),
        (good.replace("index 3", "extra AA\nindex 3"), 2),
        (good.replace("index 3", "extra AB==\nindex 3"), 2),
        (good.replace("index 3", "extra\nindex 3"), 2),
        (good.replace("index 3", "extra AA==\nextra AA==\nindex 3"), 3),
        (good.replace("index 3", "index 3\nextra AA=="), 3),
        (good.replace("index 3", "index 3\nindex 3"), 3),
        (good.replace(&hash, hash.trim_end_matches('=')), 3),
        (good.replace(&hash, &format!("{hash} ")), 3),
        (good.replace(&hash, &format!("{hash}\r")), 3),
        (good.replace(&format!("{hash}\n"), &format!("{hash}\n").repeat(65)), 3 + PATH_HASHES_MAX),
    ];
    for (text, line) in refused {
        let verdict = text.parse::<TlogProof>();
        assert!(
            matches!(verdict, Err(TlogProofError::Line { line: found, .. }) if found == line),
            "{text}\n{verdict:?}"
        );
    }
    let too_large = "x".repeat(TLOG_PROOF_BYTES_MAX + 1);
    assert_eq!(too_large.parse::<TlogProof>(), Err(TlogProofError::TooLarge { found: too_large.len() }));
    for text in [good.trim_end(), &format!("{good}\n"), &good.replace("\n8\n", "\n08\n"), &good.replace("\n8\n", "\n")]
    {
        assert!(matches!(text.parse::<TlogProof>(), Err(TlogProofError::Checkpoint(_))), "{text}");
    }
}

#[test]
fn claims_that_do_not_belong_together_are_refused() {
    let tree = MemoryTree::of_size(9);
    let verify =
        |proof: Result<TlogProof, TlogProofError>| proof.and_then(|proof| proof.verify(tree.leaf(3), &log_keys()));
    let path = || tree.inclusion(3, 8);
    assert!(verify(TlogProof::new(3, path(), note(&tree, 8))).is_ok());
    let outside = ProofError::Impossible(PlanError::IndexOutsideTree { index: 8, size: 8 });
    assert_eq!(verify(TlogProof::new(8, path(), note(&tree, 8))), Err(outside.into()));
    let length = ProofError::PathLength { expected: 3, found: 0 };
    assert_eq!(verify(TlogProof::new(3, Vec::new(), note(&tree, 8))), Err(length.into()));
    assert_eq!(verify(TlogProof::new(2, path(), note(&tree, 8))), Err(ProofError::RootMismatch.into()));
    assert!(verify(TlogProof::new(3, path(), note(&tree, 9))).is_err());
    assert!(TlogProof::new(3, vec![empty_root(); 65], note(&tree, 8)).is_err());
    assert!(TlogProof::new(3, path(), "not a note").is_err());
    let no_key = TlogProofError::Checkpoint(NoteError::NoKnownKey.into());
    assert_eq!(proof(&tree, 3, 8).verify(tree.leaf(3), &[]), Err(no_key.clone()));
    let stranger = [signer(ORIGIN, 2).verifier_key().clone()];
    assert_eq!(proof(&tree, 3, 8).verify(tree.leaf(3), &stranger), Err(no_key));
}

/// What the format leaves unauthenticated, on purpose: `extra`, lines by unknown keys, and repeats and order of lines.
#[test]
fn only_unauthenticated_material_may_change() {
    let tree = MemoryTree::of_size(8);
    let good = proof(&tree, 3, 8).to_string();
    let line = format!("{}\n", good.lines().last().unwrap());
    let witness = format!("— witness.example {}\n", BASE64.encode(&[7; 76]));
    for text in [
        good.replace("index", "extra AA==\nindex"),
        format!("{good}{witness}"),
        format!("{good}{line}"),
        good.replace(&line, &format!("{witness}{line}")),
    ] {
        let read: TlogProof = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        assert!(read.verify(tree.leaf(3), &log_keys()).is_ok(), "{text}");
    }
    let read: TlogProof = good.replace("index", "extra AA==\nindex").parse().unwrap();
    assert_eq!(read.extra(), Some([0].as_slice()));
}

/// Ten kinds of damage to the text of proofs that carry nothing the format ignores, so that every mutant must fail.
#[test]
fn no_mutated_proof_text_is_accepted() {
    const MUTATIONS: usize = 15_000;
    const KINDS: usize = 10;
    let tree = MemoryTree::of_size(300);
    let mut random = Random(0xc25b);
    let mut drawn = || {
        let size = 2 + random.next() % 299;
        let index = random.next() % size;
        (index, size, proof(&tree, index, size).to_string())
    };
    let proofs: Vec<_> = (0..60).map(|_| drawn()).collect();
    let mut tried = [0; KINDS];
    while tried.iter().sum::<usize>() < MUTATIONS {
        let (index, size, good) = &proofs[random.below(proofs.len())];
        let (_, _, other) = &proofs[random.below(proofs.len())];
        let kind = random.below(KINDS);
        let Some(mutant) = mutate(kind, good, other, &mut random) else { continue };
        if mutant == *good {
            continue;
        }
        let verdict = mutant.parse::<TlogProof>().and_then(|read| read.verify(tree.leaf(*index), &log_keys()));
        assert!(verdict.is_err(), "kind {kind}, entry {index} of {size}:\n{good}\nmutated to\n{mutant}");
        tried[kind] += 1;
    }
    assert!(tried.iter().all(|count| *count > 500), "{tried:?}");
}

/// Damages `good`, or returns nothing when the damage is none the format can notice (or is not UTF-8 any more, which
/// `&str` refuses before any parser does).
fn mutate(kind: usize, good: &str, other: &str, random: &mut Random) -> Option<String> {
    let mut bytes = good.as_bytes().to_vec();
    let mut lines: Vec<String> = good.split('\n').map(str::to_owned).collect();
    let place = random.below(bytes.len());
    let line = random.below(lines.len());
    let joined = |lines: Vec<String>| Some(lines.join("\n"));
    match kind {
        0 => {
            bytes[place] ^= 1 << random.below(8);
            String::from_utf8(bytes).ok()
        }
        1 => {
            bytes.remove(place);
            String::from_utf8(bytes).ok()
        }
        2 => {
            let printable = u8::try_from(0x20 + random.below(0x5f)).unwrap();
            bytes.insert(place, [printable, b'\n'][random.below(2)]);
            String::from_utf8(bytes).ok()
        }
        3 => {
            bytes.truncate(place);
            String::from_utf8(bytes).ok()
        }
        4 => {
            lines.remove(line);
            joined(lines)
        }
        5 => {
            // A repeated signature line says nothing new.
            let repeated = lines[line].clone();
            lines.insert(line, Some(repeated).filter(|line| !line.starts_with('—'))?);
            joined(lines)
        }
        6 => {
            lines.swap(line, random.below(good.split('\n').count()));
            joined(lines)
        }
        7 => {
            lines.insert(2, format_hash(&random.hash()));
            joined(lines)
        }
        8 => {
            lines[1] = format!("index {}", random.next() % 400);
            joined(lines)
        }
        // Another proof's path under this one's checkpoint, or the other way round.
        _ => {
            let (head, note) = good.split_once("\n\n").unwrap();
            let (other_head, other_note) = other.split_once("\n\n").unwrap();
            if (head == other_head) || (note == other_note) {
                return None;
            }
            Some([format!("{head}\n\n{other_note}"), format!("{other_head}\n\n{note}")][random.below(2)].clone())
        }
    }
}

proptest! {
    #[test]
    fn whatever_parses_is_written_the_same(
        head in "c2sp\\.org/tlog-proof@v1\n(extra (AA==|AB==|AAAA)\n)?index (0|[0-9]{1,3})\n([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\n){0,2}\n",
    ) {
        let tree = MemoryTree::of_size(2);
        let text = format!("{head}{}", note(&tree, 2));
        if let Ok(read) = text.parse::<TlogProof>() {
            prop_assert_eq!(read.to_string(), text);
        }
    }
}
