//! The ledger as strangers read it: checkpoint, tiles, entries and proofs over HTTP, checked by other implementations
//! (crates `ct-merkle` and `signed_note`, the `openssl` program) that share no code with ours.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use data_encoding::BASE64;
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use signed_note::{Note, StandardVerifier, VerifierList};

use crate::harness::{Service, place};
use crate::repeat::at_once;
use crate::shared::{self, check_receipt};

/// Entries beside genesis and the party: enough for a full tile and a partial one behind it.
const ENTRIES: usize = 360;

/// What a stranger reads from a checkpoint, line by line, with the signature checked by `signed_note`.
struct Read {
    origin: String,
    size: usize,
    root: [u8; 32],
    text: String,
    signature: Vec<u8>,
}

fn read_checkpoint(note: &str, log_key: &str) -> Read {
    let keys = VerifierList::new(vec![Box::new(StandardVerifier::new(log_key).unwrap())]);
    let parsed = Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, unverified) = parsed.verify(&keys).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let signature = verified[0].signature().to_vec();
    let text = String::from_utf8(parsed.text().to_vec()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [origin, size, root] = lines.as_slice() else { panic!("{text:?}") };
    let root = BASE64.decode(root.as_bytes()).unwrap().try_into().unwrap();
    Read { origin: (*origin).to_owned(), size: size.parse().unwrap(), root, text: text.clone(), signature }
}

/// The whole answer as it is on the wire: nothing is decoded behind our back.
fn raw_get(service: &Service, path: &str) -> (String, Vec<u8>) {
    let address = service.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase(), bytes[end + 4..].to_vec())
}

/// Entries of a bundle, read by hand: each behind its length as a big-endian 16-bit number.
pub fn entries_of(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        bytes = rest;
    }
    entries
}

fn leaf(entry: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a perfect tree, pair by pair.
fn perfect_root(mut row: Vec<[u8; 32]>) -> [u8; 32] {
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node(&pair[0], &pair[1])).collect();
    }
    row[0]
}

fn tree_of(entries: &[Vec<u8>]) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    for entry in entries {
        tree.push(entry.clone());
    }
    tree
}

fn digests(hashes: &[u8]) -> Vec<ct_merkle::digest::Output<Sha256>> {
    hashes.chunks_exact(32).map(|hash| ct_merkle::digest::Output::<Sha256>::try_from(hash).unwrap()).collect()
}

/// One service, written to by many at once, then read by strangers. One test, because filling the log is the slow part.
#[test]
fn strangers_agree_on_every_tile_entry_and_proof() {
    let place = place();
    let service = Service::start(place.path());
    let (_, log_key) = shared::registry(&service);
    let author = shared::author(&service, "ledger");
    let submissions: Vec<_> = (0..ENTRIES).map(|number| author.artefact(&format!("ledger {number}"))).collect();
    let requests: Vec<_> = submissions.iter().map(chopmark_core::submission::Submission::to_request).collect();

    // Dense indices, every receipt true, every checkpoint on the way kept.
    let answers = at_once(&service, &requests, |position, answer| {
        assert_eq!(answer.status, 201, "{}", answer.text());
        let (index, checkpoint) = check_receipt(&answer, &submissions[position].entry, &log_key);
        (index, checkpoint.size(), answer.json())
    });
    let mut indices: Vec<_> = answers.iter().map(|(index, ..)| *index).collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(3..3 + u64::try_from(ENTRIES).unwrap()), "indices are not dense");
    let size = 3 + ENTRIES;
    assert_eq!(shared::size(&service), u64::try_from(size).unwrap());

    let vkey = log_key.to_string();
    let answer = service.get("/checkpoint");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(!answer.header("cache-control").unwrap().contains("immutable"));
    let newest = read_checkpoint(answer.text(), &vkey);
    assert_eq!((newest.size, newest.origin.as_str()), (size, log_key.name()));
    openssl_accepts(&newest, &vkey);

    let entries = check_entry_bundles(&service, size);
    let tree = tree_of(&entries);
    assert_eq!(*tree.root().as_bytes(), newest.root, "ct-merkle computes another root");
    for (submission, (index, ..)) in submissions.iter().zip(&answers) {
        assert_eq!(entries[usize::try_from(*index).unwrap()], submission.entry, "entry {index} is not what was sent");
    }
    check_tiles(&service, &entries);
    check_history(&entries, &answers, &vkey);
    check_inclusion(&service, &entries, &newest, &vkey);
    service.stop();
}

fn check_entry_bundles(service: &Service, size: usize) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    for path in ["/tile/entries/000".to_owned(), format!("/tile/entries/001.p/{}", size - 256)] {
        let (head, body) = raw_get(service, &path);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        for header in [
            "content-encoding: gzip",
            "content-type: application/octet-stream",
            "cache-control: public, max-age=31536000, immutable",
        ] {
            assert!(head.lines().any(|line| line == header), "{path}: no {header} in\n{head}");
        }
        let mut bytes = Vec::new();
        GzDecoder::new(body.as_slice()).read_to_end(&mut bytes).unwrap();
        entries.extend(entries_of(&bytes));
    }
    assert_eq!(entries.len(), size);
    entries
}

fn check_tiles(service: &Service, entries: &[Vec<u8>]) {
    let leaves: Vec<_> = entries.iter().map(|entry| leaf(entry)).collect();
    let immutable = "public, max-age=31536000, immutable";
    let tile = |path: &str| {
        let answer = service.get(path);
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some(immutable)), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"), "{path}");
        answer.body
    };
    assert_eq!(tile("/tile/0/000"), leaves[..256].concat());
    assert_eq!(tile("/tile/1/000.p/1"), perfect_root(leaves[..256].to_vec()));
    // Partial tiles of every size there ever was, the present one last, and those of the tile that is full now.
    let width = entries.len() - 256;
    for partial in [1, 2, 63, width - 1, width] {
        assert_eq!(tile(&format!("/tile/0/001.p/{partial}")), leaves[256..256 + partial].concat());
    }
    for partial in [1, 2, 128, 255] {
        assert_eq!(tile(&format!("/tile/0/000.p/{partial}")), leaves[..partial].concat());
    }
    for path in [
        format!("/tile/0/001.p/{}", width + 1),
        "/tile/0/001".to_owned(),
        "/tile/0/002".to_owned(),
        "/tile/0/x001/000".to_owned(),
        "/tile/1/000".to_owned(),
        "/tile/1/000.p/2".to_owned(),
        "/tile/2/000.p/1".to_owned(),
        "/tile/63/000".to_owned(),
        format!("/tile/entries/001.p/{}", width + 1),
        "/tile/entries/002".to_owned(),
    ] {
        let answer = service.get(&path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}: a 404 may be true only today");
        answer.problem();
    }
    for path in [
        "/tile/0/0",
        "/tile/0/00",
        "/tile/0/0000",
        "/tile/0/1000",
        "/tile/0/x000/000",
        "/tile/00/000",
        "/tile/+0/000",
        "/tile/64/000",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/0/000.p/01",
        "/tile/0/000.p/",
        "/tile/0/000.p/1/",
        "/tile/0/000/",
        "/tile/0/x001",
        "/tile/0/001/x000",
        "/tile/entries/0",
        "/tile/entries/000.p/257",
        "/tile/-1/000",
        "/tile/",
        "/tile/0",
        "/tile/0/%30%30%30.p/%2b1",
    ] {
        let answer = service.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert_ne!(answer.header("cache-control"), Some(immutable), "{path}");
        answer.problem();
    }
}

/// Every checkpoint handed out on the way is over a prefix of the present log, and each is consistent with the next.
fn check_history(entries: &[Vec<u8>], answers: &[(u64, u64, serde_json::Value)], vkey: &str) {
    let mut history = BTreeMap::new();
    for (_, size, receipt) in answers {
        let read = read_checkpoint(receipt["checkpoint"].as_str().unwrap(), vkey);
        assert_eq!(u64::try_from(read.size).unwrap(), *size);
        if let Some(before) = history.insert(read.size, read.root) {
            assert_eq!(before, read.root, "two roots at size {size}");
        }
    }
    let history: Vec<_> = history.into_iter().collect();
    for (size, root) in &history {
        assert_eq!(tree_of(&entries[..*size]).root().as_bytes(), root, "at size {size}");
    }
    for [(old_size, old_root), (new_size, new_root)] in history.array_windows() {
        let additions = new_size - old_size;
        let theirs = tree_of(&entries[..*new_size]).prove_consistency(additions);
        let ours = consistency(entries, *old_size, *new_size);
        assert_eq!(theirs.as_bytes(), ours.concat(), "{old_size} to {new_size}");
        let proof = ConsistencyProof::<Sha256>::from_digests(&digests(&ours.concat()));
        let root = |root: &[u8; 32], size: usize| RootHash::<Sha256>::new((*root).into(), u64::try_from(size).unwrap());
        root(new_root, *new_size).verify_consistency(&root(old_root, *old_size), &proof).unwrap();
    }
    println!("{} checkpoints were handed out on the way, each consistent with the next", history.len());
}

/// Our consistency proof, from tiles as a client holds them.
fn consistency(entries: &[Vec<u8>], old: usize, new: usize) -> Vec<[u8; 32]> {
    use chopmark_core::digest::Sha256Digest;
    use chopmark_core::ledger::tree::{Node, ProofPlan};
    let plan = ProofPlan::consistency(u64::try_from(old).unwrap(), u64::try_from(new).unwrap()).unwrap();
    let read = |Node { level, index }: Node| {
        let first = usize::try_from(index).unwrap() << level;
        let row: Vec<_> = entries[first..first + (1 << level)].iter().map(|entry| leaf(entry)).collect();
        Ok::<_, core::convert::Infallible>(Sha256Digest::from_bytes(perfect_root(row)))
    };
    plan.resolve(read).unwrap().iter().map(|hash| *hash.as_bytes()).collect()
}

/// The `.tlog-proof` of every 7th entry, read line by line and checked by `ct-merkle`.
fn check_inclusion(service: &Service, entries: &[Vec<u8>], newest: &Read, vkey: &str) {
    let root = RootHash::<Sha256>::new(newest.root.into(), u64::try_from(newest.size).unwrap());
    for (index, entry) in entries.iter().enumerate().step_by(7) {
        let envelope: serde_json::Value = serde_json::from_slice(entry).unwrap();
        let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
        let id = data_encoding::HEXLOWER.encode(&Sha256::digest(&payload));
        let answer = service.get(&format!("/v1/statements/{id}/receipt.tlog-proof"));
        assert_eq!(answer.status, 200);
        let (head, note) = answer.text().split_once("\n\n").unwrap();
        let read = read_checkpoint(note, vkey);
        assert_eq!((read.size, read.root), (newest.size, newest.root));
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        assert_eq!(lines.next(), Some(format!("index {index}").as_str()));
        let path: Vec<u8> = lines.flat_map(|line| BASE64.decode(line.as_bytes()).unwrap()).collect();
        let proof = InclusionProof::<Sha256>::from_digests(&digests(&path));
        root.verify_inclusion(entry, u64::try_from(index).unwrap(), &proof).unwrap();
        // The JSON receipt says the same.
        let receipt = service.get(&format!("/v1/statements/{id}/receipt")).json();
        assert_eq!((&receipt["index"], receipt["proof"].as_str()), (&index.into(), Some(answer.text())));
    }
}

/// The checkpoint's signature, by a program that shares nothing with us but the standard (RFC 8032, RFC 8410).
fn openssl_accepts(read: &Read, vkey: &str) {
    let place = place();
    let file = |name: &str| place.path().join(name);
    // vkey: name + key id + base64(0x01 ‖ public key); DER: the fixed header of an Ed25519 SubjectPublicKeyInfo.
    let material = BASE64.decode(vkey.splitn(3, '+').nth(2).unwrap().as_bytes()).unwrap();
    let header = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    fs::write(file("key.der"), [&header, &material[1..]].concat()).unwrap();
    fs::write(file("signature"), &read.signature).unwrap();
    let verdict = |text: &str| {
        fs::write(file("text"), text).unwrap();
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"]).arg(file("key.der"));
        command.arg("-sigfile").arg(file("signature")).arg("-in").arg(file("text"));
        let output = command.output().unwrap_or_else(|error| panic!("openssl: {error}; install it"));
        output.status.success()
    };
    assert!(verdict(&read.text), "openssl refuses the signature");
    assert!(!verdict(&read.text.replacen('\n', "\n1", 1)), "openssl accepts another size");
}
