//! What the checks catch, with engines that flip bits: everything before a signature, the promised share otherwise.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use chopmark_core::manifest::ExclusionProfile;

use super::*;
use crate::digests::DigestSelection;
use crate::measure::{MeasureOptions, Purpose, measure};
use crate::portable::Portable;
use crate::progress::Silent;
use crate::rayon::Rayon;

/// Right, but for one bit of one result in `one_in`, at random.
struct Flipping {
    one_in: u64,
    state: Mutex<u64>,
    flipped: AtomicU64,
}

impl Flipping {
    fn new(seed: u64, one_in: u64) -> Self {
        Self { one_in, state: Mutex::new(seed), flipped: AtomicU64::new(0) }
    }

    /// `SplitMix64`.
    fn random(&self) -> u64 {
        let mut state = self.state.lock().unwrap();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn flip(&self, mut bytes: [u8; 32]) -> [u8; 32] {
        if self.random().is_multiple_of(self.one_in) {
            let bit = usize::try_from(self.random() % 256).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.flipped.fetch_add(1, Ordering::Relaxed);
        }
        bytes
    }
}

impl Hasher for Flipping {
    fn name(&self) -> &'static str {
        "flipping"
    }
    fn window_size_bytes(&self) -> usize {
        2 * SUBTREE_SIZE_BYTES
    }
    fn files_in_parallel(&self) -> usize {
        2
    }
    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        Portable.subtrees(window).into_iter().map(|value| self.flip(value)).collect()
    }
    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        let flip = |root: Blake3Digest| Blake3Digest::from_bytes(self.flip(*root.as_bytes()));
        Portable.roots(files).into_iter().map(flip).collect()
    }
    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        let flip = |leaf: Sha256Digest| Sha256Digest::from_bytes(self.flip(*leaf.as_bytes()));
        Portable.verity_leaves(bytes).into_iter().map(flip).collect()
    }
    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        Portable.extend(state, bytes);
    }
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        Portable.both(first, second);
    }
}

fn checked<E: Hasher + Send>(engine: E, seed: u64) -> Checked<E> {
    Checked::with_seed(engine, Arc::new(Portable), seed)
}

fn is_within_four_deviations(caught: u32, trials: u32, probability: f64) -> bool {
    let trials = f64::from(trials);
    let deviation = (trials * probability * (1.0 - probability)).sqrt();
    (f64::from(caught) - trials * probability).abs() < 4.0 * deviation
}

#[test]
fn one_wrong_value_is_caught_as_often_as_promised() {
    let bytes = [7; 100];
    let right = Portable.subtrees(Window::new(0, &bytes).unwrap());
    let mut caught = 0;
    for seed in 0..8192 {
        let engine = checked(Flipping::new(seed, 1), seed << 20);
        let values = engine.subtrees(Window::new(0, &bytes).unwrap());
        match engine.health() {
            Ok(()) => assert_ne!(values, right, "a bit was flipped"),
            Err(fault) => {
                caught += 1;
                assert_eq!(values, right, "what was caught is not returned: {fault}");
            }
        }
    }
    assert_eq!(caught, 256, "the seeds are fixed");
    assert!(is_within_four_deviations(caught, 8192, 1.0 / f64::from(CHECKED_ONE_IN)));
    assert!(promise().contains("with probability 3.1 %"), "{}", promise());
}

#[test]
fn of_many_wrong_values_one_is_caught_as_often_as_promised() {
    let files = [b"abc".as_slice(); 256];
    for (wrong, expected, words) in [(32, 1312, "of 32 with 63.8 %"), (256, 2048, "of 256 with 99.97 %")] {
        let mut caught = 0;
        for seed in 0..2048 {
            let engine = checked(Flipping::new(seed, 1), seed << 20);
            engine.roots(&files[..wrong]);
            caught += u32::from(engine.health().is_err());
        }
        assert_eq!(caught, expected, "the seeds are fixed");
        let missed = (1.0 - 1.0 / f64::from(CHECKED_ONE_IN)).powi(i32::try_from(wrong).unwrap());
        assert!(is_within_four_deviations(caught, 2048, 1.0 - missed));
        assert!(promise().contains(words), "{}", promise());
    }
}

#[test]
fn before_a_signature_every_flipped_bit_is_caught() {
    let bytes = vec![3; 2 * SUBTREE_SIZE_BYTES + 5];
    let files: Vec<&[u8]> = bytes.chunks(700).take(40).collect();
    let mut damaged = 0;
    for seed in 0..60 {
        let flipping = || checked(Flipping::new(seed, 40), seed);
        let engine = flipping();
        let full = engine.fully_checked().unwrap();
        let window = || Window::new(4 << 40, &bytes).unwrap();
        assert_eq!(full.subtrees(window()), Portable.subtrees(window()));
        damaged += is_noticed(&engine);
        let engine = flipping();
        assert_eq!(engine.fully_checked().unwrap().roots(&files), Portable.roots(&files));
        damaged += is_noticed(&engine);
        let engine = flipping();
        let leaves = &bytes[..100_000];
        assert_eq!(engine.fully_checked().unwrap().verity_leaves(leaves), Portable.verity_leaves(leaves));
        damaged += is_noticed(&engine);
    }
    assert!((30..150).contains(&damaged), "both kinds of runs are there: {damaged}");
}

/// 1 if a bit was flipped; it was noticed exactly then, also by those who look at sampled results.
fn is_noticed(engine: &Checked<Flipping>) -> u32 {
    let was_flipped = engine.shared.engine.flipped.load(Ordering::Relaxed) > 0;
    assert_eq!(engine.fully_checked().unwrap().health().is_err(), was_flipped);
    assert_eq!(engine.health().is_err(), was_flipped);
    u32::from(was_flipped)
}

#[test]
fn no_manifest_to_be_signed_has_a_wrong_digest() {
    let directory = tempfile::tempdir().unwrap();
    for (name, size_bytes) in [("large.bin", 3 * SUBTREE_SIZE_BYTES + 1), ("small.txt", 900), ("empty", 0)] {
        fs::write(directory.path().join(name), vec![1; size_bytes]).unwrap();
    }
    let running = AtomicBool::new(false);
    let run = |purpose, hasher: &dyn Hasher| {
        let exclusions = ExclusionProfile::V1;
        let options = MeasureOptions {
            exclusions,
            purpose,
            file_name: None,
            revision: None,
            digests: DigestSelection::MANIFEST,
            keep_subtrees: false,
            memory: None,
            interrupted: &running,
        };
        measure(directory.path(), &options, &Silent, hasher)
    };
    let right = run(Purpose::Register, &Portable).unwrap().manifest;
    let (mut stopped, mut wrong) = (0, 0);
    for seed in 0..40 {
        for purpose in [Purpose::Register, Purpose::Attest] {
            let engine = checked(Flipping::new(seed, 10), seed);
            match run(purpose, &engine) {
                Ok(measured) => {
                    assert_eq!(measured.manifest, right);
                    assert_eq!(is_noticed(&engine), 0);
                }
                Err(error) => {
                    stopped += 1;
                    assert_eq!(error.code(), "engine_fault", "{error}");
                    let words = error.to_string();
                    assert!(words.contains("`flipping`") && words.contains("--engine rayon"), "{words}");
                }
            }
        }
        // Without the full check, what the sample does not catch gets through, and is a difference to whoever compares.
        let found = run(Purpose::Verify, &checked(Flipping::new(seed, 1), seed + 1));
        wrong += u32::from(found.is_ok_and(|measured| measured.manifest != right));
    }
    assert!((20..60).contains(&stopped), "both kinds of runs are there: {stopped}");
    assert!(wrong > 0, "the full check is what catches everything");
}

#[test]
fn a_sound_engine_is_never_accused() {
    let engine = checked(Portable, 1);
    let files = vec![b"abc".as_slice(); 10_000];
    engine.roots(&files);
    engine.fully_checked().unwrap().roots(&files);
    assert_eq!(engine.health(), Ok(()));
    assert_eq!(engine.shared.results.load(Ordering::Relaxed), 10_000);
    let engine = Checked::start(Portable, Arc::new(Rayon::new(2).unwrap())).unwrap();
    assert_eq!((engine.name(), engine.health()), ("portable", Ok(())));
}

#[test]
fn an_engine_that_fails_the_known_answers_does_not_start() {
    let fault = Checked::start(Flipping::new(0, 1), Arc::new(Portable)).unwrap_err();
    assert!(fault.reason.contains("known-answer test"), "{fault}");
}

/// An engine whose device went away: it returns less than it should, and may say so.
struct Lost {
    says_so: bool,
}

impl Hasher for Lost {
    fn name(&self) -> &'static str {
        "lost"
    }
    fn window_size_bytes(&self) -> usize {
        SUBTREE_SIZE_BYTES
    }
    fn files_in_parallel(&self) -> usize {
        1
    }
    fn subtrees(&self, _: Window<'_>) -> Vec<ChainingValue> {
        Vec::new()
    }
    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        Portable.roots(files.split_last().unwrap().1)
    }
    fn verity_leaves(&self, _: &[u8]) -> Vec<Sha256Digest> {
        Vec::new()
    }
    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        Portable.extend(state, bytes);
    }
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        Portable.both(first, second);
    }
    fn health(&self) -> Result<(), EngineFault> {
        let fault = EngineFault { engine: "lost", reason: "the device was lost".to_owned() };
        if self.says_so { Err(fault) } else { Ok(()) }
    }
}

#[test]
fn missing_results_are_a_fault_and_come_from_the_cpu() {
    let bytes = [5; 3000];
    let files = [&bytes[..10], &bytes];
    for says_so in [true, false] {
        for is_full in [true, false] {
            let engine = checked(Lost { says_so }, 0);
            let hasher = if is_full { engine.fully_checked().unwrap() } else { &engine };
            assert_eq!(hasher.roots(&files), Portable.roots(&files));
            let fault = hasher.health().unwrap_err();
            let words = if says_so { "the device was lost" } else { "it gave 1 digests where there are 2" };
            assert_eq!(fault.reason, words);
            let window = Window::new(0, &bytes).unwrap();
            assert_eq!(hasher.subtrees(window), Portable.subtrees(window));
            assert_eq!(hasher.verity_leaves(&bytes), Portable.verity_leaves(&bytes));
            assert_eq!(engine.health(), Err(fault), "the first fault stays");
        }
    }
}
