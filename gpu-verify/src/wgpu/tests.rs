//! The engine on whatever adapter there is; in CI on Mesa's software Vulkan. `vectors.rs` holds it to the vector file.
//!
//! Without an adapter nothing is tested, and `CHOPMARK_TEST_VULKAN=required` makes that a failure.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::thread;

use chopmark_core::manifest::ExclusionProfile;
use proptest::prelude::*;

use super::*;
use crate::checked::Checked;
use crate::digests::DigestSelection;
use crate::known_answers::known_answers;
use crate::measure::{MeasureOptions, Purpose, measure};
use crate::optional::can_test;
use crate::portable::Portable;
use crate::progress::Silent;

/// Batches of 1 MiB, so that a few MiB pass through all slots.
const SMALL: Sizes = Sizes { window: SUBTREE_SIZE_BYTES * SLOTS, batch: SUBTREE_SIZE_BYTES };

/// One for all tests that don't break it.
static ENGINE: LazyLock<Option<Wgpu>> = LazyLock::new(|| open(SMALL));

fn open(sizes: Sizes) -> Option<Wgpu> {
    let found = device::find();
    can_test("the engine wgpu on an adapter", "CHOPMARK_TEST_VULKAN", !found.is_empty());
    let found = found.first()?;
    Some(Wgpu::open_with(found, sizes).unwrap())
}

/// The engine as users get it, and one with small batches; none without an adapter.
pub(crate) fn engines() -> Vec<Wgpu> {
    let found = device::find();
    let sizes = found.first().and_then(|found| found.sizes);
    sizes.into_iter().chain([SMALL]).filter_map(open).collect()
}

fn pattern(size_bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(size_bytes).collect()
}

#[test]
fn limits_of_an_adapter_decide_sizes() {
    let sizes = |limit_bytes| Sizes::of(limit_bytes).map(|sizes| (sizes.window, sizes.batch));
    // Mesa's software adapter; no limit; as low as it goes; too low.
    assert_eq!(sizes(128 << 20), Some((64 << 20, 16 << 20)));
    assert_eq!(sizes(u64::MAX), Some((64 << 20, 16 << 20)));
    assert_eq!(sizes((8 << 20) - 1), Some((8 << 20, 2 << 20)));
    assert_eq!(sizes(2 << 20), Some((4 << 20, 1 << 20)));
    assert_eq!((sizes((2 << 20) - 1), sizes(0)), (None, None));
}

#[test]
fn it_gives_the_known_answers() {
    for engine in engines() {
        assert_eq!(known_answers(&engine), Ok(()));
    }
}

#[test]
fn every_number_of_chunks_in_a_piece_equals_the_reference() {
    let Some(engine) = &*ENGINE else { return };
    let input = pattern(SUBTREE_SIZE_BYTES);
    let sizes = (0..1024).map(|chunks| chunks * 1024 + 1 + chunks % 1024);
    let files: Vec<&[u8]> = sizes.map(|size_bytes| &input[..size_bytes]).collect();
    assert_eq!(engine.roots(&files), Portable.roots(&files));
    for file in files.iter().step_by(97) {
        let window = Window::new(1 << 42, file).unwrap();
        assert_eq!(engine.subtrees(window), Portable.subtrees(window), "{}", file.len());
    }
    assert_eq!(engine.health(), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_inputs_equal_the_reference(
        seed in any::<[u8; 32]>(),
        size_bytes in prop_oneof![1usize..5000, 1usize..7_000_000],
        sizes in proptest::collection::vec(prop_oneof![0usize..3000, 0usize..=SUBTREE_SIZE_BYTES], 0..20),
        offset_chunks in 0u64..(1 << 36),
    ) {
        let Some(engine) = &*ENGINE else { return Ok(()) };
        let mut input = vec![0; size_bytes.max(SUBTREE_SIZE_BYTES)];
        blake3::Hasher::new_keyed(&seed).finalize_xof().fill(&mut input);
        let files: Vec<&[u8]> = sizes.iter().map(|size| &input[..*size]).collect();
        prop_assert_eq!(engine.roots(&files), Portable.roots(&files));
        let window = Window::new(offset_chunks << 23, &input[..size_bytes]).unwrap();
        prop_assert_eq!(engine.subtrees(window), Portable.subtrees(window));
        prop_assert_eq!(engine.verity_leaves(window.bytes()), Portable.verity_leaves(window.bytes()));
        prop_assert_eq!(engine.health(), Ok(()));
    }
}

#[test]
fn bytes_can_be_copied_to_it_for_nothing() {
    let Some(engine) = &*ENGINE else { return };
    assert!(engine.upload(&pattern(5 * SUBTREE_SIZE_BYTES + 3)));
    assert!(!Portable.upload(b"abc"), "there is no device");
    assert_eq!(engine.health(), Ok(()));
}

#[test]
fn many_threads_may_call_it() {
    let Some(engine) = &*ENGINE else { return };
    let input = pattern(6 * SUBTREE_SIZE_BYTES + 77);
    thread::scope(|scope| {
        for number in 0..8 {
            let bytes = &input[number..];
            scope.spawn(move || {
                let window = Window::new(1 << 40, bytes).unwrap();
                let files = [&bytes[..number], &bytes[..70_000], &bytes[..SUBTREE_SIZE_BYTES]];
                for _ in 0..3 {
                    assert_eq!(engine.subtrees(window), Portable.subtrees(window));
                    assert_eq!(engine.roots(&files), Portable.roots(&files));
                    assert_eq!(engine.verity_leaves(files[1]), Portable.verity_leaves(files[1]));
                }
            });
        }
    });
    assert_eq!(engine.health(), Ok(()));
}

#[test]
fn a_measurement_is_that_of_the_reference() {
    let Some(engine) = open(SMALL) else { return };
    let engine = Checked::start(engine, Arc::new(Portable)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (index, size_bytes) in [0, 1, 70_000, SUBTREE_SIZE_BYTES, SUBTREE_SIZE_BYTES + 1, 9_000_000].iter().enumerate()
    {
        fs::write(directory.path().join(format!("{index}.bin")), pattern(*size_bytes)).unwrap();
    }
    let interrupted = AtomicBool::new(false);
    for purpose in [Purpose::Register, Purpose::Attest, Purpose::Verify] {
        let run = |hasher: &dyn Hasher| {
            let exclusions = ExclusionProfile::V1;
            let options = MeasureOptions {
                exclusions,
                purpose,
                file_name: None,
                revision: None,
                digests: DigestSelection::default(),
                keep_subtrees: false,
                memory: None,
                interrupted: &interrupted,
            };
            measure(directory.path(), &options, &Silent, hasher).unwrap().manifest
        };
        assert_eq!(run(&engine), run(&Portable));
    }
}

#[test]
fn a_device_that_goes_away_is_a_fault() {
    let Some(engine) = open(SMALL) else { return };
    let input = pattern(3 * SUBTREE_SIZE_BYTES);
    let window = Window::new(0, &input).unwrap();
    assert_eq!(engine.subtrees(window), Portable.subtrees(window));
    engine.device.handle.destroy();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| engine.subtrees(window));
        }
    });
    let fault = engine.health().unwrap_err();
    assert!(!fault.reason.is_empty(), "{fault}");
    assert_eq!(known_answers(&engine).map_err(|fault| fault.engine), Err("wgpu"));
}
