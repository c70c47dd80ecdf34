//! Side-by-side benchmarks: ours and a peer doing the same work, interleaved in one run.
//!
//! `make bench-ledger`. Every figure ends as a line `bench: <name> = <number> <unit>`; conditions stand above them.
//! Nothing here touches a disk, so no durability setting is involved; those benchmarks print theirs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use chopmark_core::code::Jurisdiction;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::party::{KeySet, PartyClaim};
use chopmark_core::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup, Statement};
use chopmark_core::submission::Submission;
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ed25519_dalek::SigningKey;

/// Interleaved repetitions; the median is reported.
const RUNS: usize = 7;

/// Leaves per tree.
const LEAVES: u64 = 200_000;

/// Bytes per leaf: about what a small registration's envelope has.
const LEAF_BYTES: usize = 1_500;

/// Statements judged per run.
const STATEMENTS: u32 = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    figure("tree.append", per_second(LEAVES, ours), "entries/s");
    figure("tree.append_ct_merkle", per_second(LEAVES, peer), "entries/s");
    figure("tree.append_vs_ct_merkle", peer.as_secs_f64() / ours.as_secs_f64(), "x");

    let request = request()?;
    println!("{STATEMENTS} requests of {} bytes: strict parse, key admission, one verify_strict", request.len());
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..STATEMENTS {
            let submission = Submission::parse(black_box(&request))?;
            submission.verify(|_| None)?;
        }
        times.push(start.elapsed());
    }
    figure("statement.parse_and_verify_us", median(times).as_secs_f64() * 1e6 / f64::from(STATEMENTS), "us");
    Ok(())
}

fn leaf(index: u64) -> Vec<u8> {
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

/// A party registration: the smallest request that exercises every step of the way in.
fn request() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let secret = SigningKey::from_bytes(&[7; 32]);
    let key = PublicKey::from(&secret);
    let now: Timestamp = "2026-01-01T00:00:00.000Z".parse()?;
    let claim = Claim::Party(PartyClaim {
        name: Names { en: Some("Lam AI Limited".to_owned()), ..Names::default() },
        identifiers: Vec::new(),
        jurisdiction: Jurisdiction::new("HK")?,
        root_keys: KeySet::new(vec![key], 1),
    });
    let header = Header {
        registry: Some(RegistryRef { origin: "bench".to_owned(), genesis: Sha256Digest::of(b"") }),
        issuer: Issuer::Own,
        issued_at: now,
        not_after: now.plus_days(1),
        nonce: Nonce::from_random([7; 16]),
        signers: vec![SignerGroup { party: Issuer::Own, key_head: None, keys: vec![key.id()], threshold: 1 }],
    };
    let payload = Statement::compose("bench", &header, &claim)?;
    Ok(Submission::assemble(Envelope::sign(payload, &[&secret]), Vec::new())?.to_request())
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn per_second(number: u64, time: Duration) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from) / time.as_secs_f64()
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("bench: {name} = {value:.3} {unit}");
}
