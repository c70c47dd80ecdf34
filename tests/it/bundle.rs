//! Offline bundles under attack: thousands of changed ones, none accepted; and exactly what the format ignores.
//!
//! Everything here is in memory. `proof_invalid` and `could_not_check` are told apart, because they are different exit codes.

use std::collections::BTreeMap;

use chopmark_core::bundle::{Bundle, BundleError, ProvenEntry};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::submission::Submission;
use chopmark_core::trust::TrustPolicy;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::json;
use crate::make::{Author, Random, key, manifest};
use crate::memory::{MemoryRegistry, sign_with};

pub const ORIGIN: &str = "registry.example.hk/log";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// Result state `proof_invalid`, exit code 6; with the place.
    ProofInvalid(String),
    /// Result state `could_not_check`, exit code 9.
    CouldNotCheck,
}

pub fn judge(bytes: &[u8], trust: &TrustPolicy) -> Verdict {
    match Bundle::parse(bytes).and_then(|bundle| bundle.verify(trust)) {
        Ok(_) => Verdict::Accepted,
        Err(BundleError::Invalid { place, reason }) => {
            assert!(!reason.is_empty());
            Verdict::ProofInvalid(place)
        }
        Err(BundleError::NoTrust { .. } | BundleError::Policy(_)) => Verdict::CouldNotCheck,
    }
}

pub fn judge_bundle(bundle: &Bundle, trust: &TrustPolicy) -> Verdict {
    judge(&bundle.to_bytes().unwrap(), trust)
}

/// An honest registration among others, in a log of uneven size, by a party whose two keys must sign together.
pub struct Case {
    pub registry: MemoryRegistry,
    pub owner: Author,
    pub owner_index: u64,
    pub submission: Submission,
    pub index: u64,
    pub bundle: Bundle,
}

impl Case {
    pub fn new() -> Self {
        let mut registry = MemoryRegistry::new(ORIGIN, "honest");
        let (other, other_party) = Author::new(&registry.reference, "Other", 1, 1);
        registry.append(&other_party);
        let (owner, owner_party) = Author::new(&registry.reference, "Lam AI Limited", 2, 2);
        let owner_index = registry.append(&owner_party);
        for number in 0..9 {
            registry.append(&other.artefact(&format!("before {number}")));
        }
        let files = manifest(&[("config.json", b"{}"), ("model.bin", b"weights")]);
        let payload = owner.payload("Lam-7B", "2", &files);
        let submission = owner.sign(payload, vec![files.to_canonical_bytes()]);
        let index = registry.append(&submission);
        for number in 0..7 {
            registry.append(&other.artefact(&format!("after {number}")));
        }
        let bundle = registry.bundle(&submission, index, (owner.party, owner_index));
        Self { registry, owner, owner_index, submission, index, bundle }
    }

    fn value(&self) -> Value {
        serde_json::to_value(&self.bundle).unwrap()
    }
}

#[test]
fn an_honest_bundle_is_accepted() {
    let case = Case::new();
    let proven = Bundle::parse(&case.bundle.to_bytes().unwrap()).unwrap().verify(&case.registry.trust()).unwrap();
    assert_eq!(proven.index, case.index);
    assert_eq!(proven.owner.id, case.owner.party);
    assert_eq!(proven.owner.name.display(), "Lam AI Limited");
    assert_eq!(proven.manifest.digest(), case.submission.statement.subject);
    assert_eq!(proven.checkpoint.size(), case.registry.size());
    assert_eq!(proven.checkpoint.origin(), ORIGIN);
}

/// Another character of the same sort, so that the change is not caught by mere spelling where it can be avoided.
fn other_character(character: char, random: &mut Random) -> char {
    let alphabet: &[u8] = match character {
        '0'..='9' | 'a'..='f' => b"0123456789abcdef",
        'A'..='Z' | 'g'..='z' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz",
        _ => b"+/=-_ .:\n",
    };
    loop {
        let other = char::from(alphabet[random.below(alphabet.len())]);
        if other != character {
            return other;
        }
    }
}

#[test]
fn every_character_of_every_string_counts() {
    let case = Case::new();
    let (value, trust) = (case.value(), case.registry.trust());
    let mut random = Random::new(1);
    let mut tried = BTreeMap::<String, u32>::new();
    for pointer in json::pointers(&value) {
        let Some(text) = value.pointer(&pointer).and_then(Value::as_str) else { continue };
        // Documents and payloads are one run of base64: every third character covers every byte.
        let step = if text.len() > 1_200 { 3 } else { 1 };
        for (position, character) in text.char_indices().step_by(step) {
            let mut changed = text.to_owned();
            let other = other_character(character, &mut random);
            changed.replace_range(position..position + character.len_utf8(), other.encode_utf8(&mut [0; 4]));
            let document = json::with(&value, &pointer, Value::from(changed));
            let verdict = judge(document.to_string().as_bytes(), &trust);
            let expected_state = match pointer.as_str() {
                "/registry/origin" => matches!(verdict, Verdict::CouldNotCheck),
                _ => matches!(verdict, Verdict::ProofInvalid(_)),
            };
            assert!(expected_state, "{pointer} at {position}, {character:?} → {other:?}: {verdict:?}");
            *tried.entry(pointer.clone()).or_default() += 1;
        }
    }
    let total: u32 = tried.values().sum();
    println!("{total} bundles with one changed character in {} strings: none accepted", tried.len());
    assert!(total >= 4_000, "{total}");
    assert!(tried.len() >= 17, "{tried:?}");
}

#[test]
fn no_changed_byte_of_the_file_is_accepted() {
    let case = Case::new();
    let (bytes, trust) = (case.bundle.to_bytes().unwrap(), case.registry.trust());
    let mut random = Random::new(2);
    // The last byte is the line end, which is white space.
    for _ in 0..2_000 {
        let position = random.below(bytes.len() - 1);
        let mut changed = bytes.clone();
        changed[position] ^= 1 << random.below(8);
        let verdict = judge(&changed, &trust);
        assert_ne!(verdict, Verdict::Accepted, "byte {position}");
    }
    for length in (0..bytes.len() - 1).step_by(29) {
        assert!(matches!(judge(&bytes[..length], &trust), Verdict::ProofInvalid(_)), "cut after {length} bytes");
    }
}

#[test]
fn no_member_may_be_absent_of_another_type_doubled_or_new() {
    let case = Case::new();
    let (value, trust) = (case.value(), case.registry.trust());
    let mut tried = 0;
    let mut refuse = |text: String, what: &str| {
        let verdict = judge(text.as_bytes(), &trust);
        assert!(matches!(verdict, Verdict::ProofInvalid(_)), "{what}: {verdict:?}");
        tried += 1;
    };
    for pointer in json::pointers(&value) {
        let here = value.pointer(&pointer).unwrap();
        for other in json::other_types(here) {
            refuse(json::with(&value, &pointer, other.clone()).to_string(), &format!("{pointer} as {other}"));
        }
        if !pointer.is_empty() {
            refuse(json::without(&value, &pointer).to_string(), &format!("{pointer} gone"));
        }
        if let Some(text) = json::twice(&value, &pointer) {
            refuse(text, &format!("{pointer} twice"));
        }
        if here.is_object() {
            let text = json::with_member(&value, &pointer, "note", json!("x")).to_string();
            refuse(text, &format!("{pointer} with a member more"));
        }
    }
    println!("{tried} bundles of another structure: none accepted");
    assert!(tried > 200, "{tried}");
}

/// The same bundle with every proof rewritten by `change`.
pub fn with_proofs(bundle: &Bundle, change: impl Fn(&TlogProof) -> String) -> Bundle {
    let mut bundle = bundle.clone();
    let rewrite = |entry: &mut ProvenEntry| entry.proof = change(&entry.proof.parse().unwrap());
    rewrite(&mut bundle.statement);
    rewrite(&mut bundle.genesis);
    bundle.key_chains.iter_mut().flat_map(|chain| &mut chain.entries).for_each(rewrite);
    bundle
}

pub fn with_note(bundle: &Bundle, note: &str) -> Bundle {
    with_proofs(bundle, |proof| TlogProof::new(proof.index(), proof.path().to_vec(), note).unwrap().to_string())
}

#[test]
fn proofs_that_are_consistent_among_themselves_still_need_the_log() {
    let case = Case::new();
    let trust = case.registry.trust();
    let bundle = &case.bundle;
    let note = bundle.statement.proof.parse::<TlogProof>().unwrap().checkpoint_note().to_owned();
    let root = Sha256Digest::of(b"any root");
    let attacker = NoteSigner::new(ORIGIN, key("attacker")).unwrap();
    let size = case.registry.size();
    let honest_root = note.lines().nth(2).unwrap();

    let place = |bundle: &Bundle, what: &str| match judge_bundle(bundle, &trust) {
        Verdict::ProofInvalid(place) => place,
        other => panic!("{what}: {other:?}"),
    };
    let signed_by_attacker = sign_with(&attacker, size, root);
    assert_eq!(place(&with_note(bundle, &signed_by_attacker), "attacker's checkpoint"), "statement/proof");
    // The attacker's line beside the log's own, under the log's name: another key id, so it is nobody's line.
    let mut lines = signed_by_attacker.lines();
    let foreign = lines.next_back().unwrap();
    let (text, _) = note.split_once("\n\n").unwrap();
    place(&with_note(bundle, &format!("{text}\n\n{foreign}\n")), "the honest text signed by the attacker alone");
    for (what, from, to) in [
        ("size", format!("\n{size}\n"), format!("\n{}\n", size + 1)),
        ("root", honest_root.to_owned(), BASE64.encode(root.as_bytes())),
        ("origin", format!("{ORIGIN}\n"), "registry.example.cn/log\n".to_owned()),
    ] {
        let changed = note.replacen(&from, &to, 1);
        assert_ne!(changed, note, "{what}");
        place(&with_note(bundle, &changed), what);
    }
    // A genuine checkpoint of another moment does not fit the paths.
    place(&with_note(bundle, &case.registry.checkpoint(size - 1)), "an older checkpoint");
    // One proof from another moment, each part genuine: all must speak of one tree.
    let mut mixed = bundle.clone();
    mixed.genesis.proof = case.registry.proof(0, size - 1).to_string();
    assert_eq!(place(&mixed, "two moments"), "genesis/proof");
    mixed = bundle.clone();
    mixed.key_chains[0].entries[0].proof = case.registry.proof(case.owner_index, size - 1).to_string();
    assert!(place(&mixed, "two moments").starts_with("key_chains/"));
    // A proof that is genuine for its neighbour.
    mixed = bundle.clone();
    mixed.statement.proof = case.registry.proof(case.index + 1, size).to_string();
    assert_eq!(place(&mixed, "another index"), "statement/proof");
    // Extra data is authenticated by nothing.
    let extra = with_proofs(bundle, |proof| proof.to_string().replacen("\nindex", "\nextra AAAA\nindex", 1));
    assert_eq!(place(&extra, "extra"), "genesis/proof");
}

#[test]
fn every_path_must_be_the_path() {
    let case = Case::new();
    let trust = case.registry.trust();
    let mut random = Random::new(3);
    let mut tried = 0;
    for which in 0..3 {
        let get = |bundle: &Bundle| match which {
            0 => bundle.statement.proof.clone(),
            1 => bundle.genesis.proof.clone(),
            _ => bundle.key_chains[0].entries[0].proof.clone(),
        };
        let set = |proof: String| {
            let mut bundle = case.bundle.clone();
            match which {
                0 => bundle.statement.proof = proof,
                1 => bundle.genesis.proof = proof,
                _ => bundle.key_chains[0].entries[0].proof = proof,
            }
            bundle
        };
        let honest: TlogProof = get(&case.bundle).parse().unwrap();
        let mut refuse = |index: u64, path: Vec<Sha256Digest>, what: &str| {
            let proof = TlogProof::new(index, path, honest.checkpoint_note()).unwrap();
            let verdict = judge_bundle(&set(proof.to_string()), &trust);
            assert!(matches!(verdict, Verdict::ProofInvalid(_)), "{which} {what}: {verdict:?}");
            tried += 1;
        };
        let path = honest.path().to_vec();
        for index in (0..case.registry.size() + 3).filter(|index| *index != honest.index()) {
            refuse(index, path.clone(), "index");
        }
        for position in 0..path.len() {
            let mut shorter = path.clone();
            shorter.remove(position);
            refuse(honest.index(), shorter, "removed");
            let mut longer = path.clone();
            longer.insert(position, path[random.below(path.len())]);
            refuse(honest.index(), longer, "inserted");
            for other in 0..position {
                let mut swapped = path.clone();
                swapped.swap(position, other);
                refuse(honest.index(), swapped, "swapped");
            }
            for _ in 0..20 {
                let mut flipped = path.clone();
                let mut bytes = *flipped[position].as_bytes();
                bytes[random.below(32)] ^= 1 << random.below(8);
                flipped[position] = Sha256Digest::from_bytes(bytes);
                refuse(honest.index(), flipped, "flipped");
            }
        }
        let mut longer = path.clone();
        longer.push(Sha256Digest::of(b"more"));
        refuse(honest.index(), longer, "longer");
    }
    println!("{tried} bundles with another path: none accepted");
    assert!(tried > 300, "{tried}");
}
