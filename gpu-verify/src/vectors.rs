//! Every engine against the one file of expected digests, and against the `blake3` crate on inputs of random size.

use std::sync::atomic::{AtomicUsize, Ordering};

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root};
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use proptest::prelude::*;
use serde::Deserialize;

use crate::hasher::{Hasher, SUBTREE_SIZE_BYTES, VERITY_LEAF_SIZE_BYTES, Window};
use crate::pass::{Buffers, PassState, Plan, read_once};
use crate::portable::Portable;
use crate::rayon::Rayon;

#[derive(Deserialize)]
struct Vectors {
    files: Vec<FileVector>,
    windows: Vec<WindowVector>,
}

#[derive(Deserialize)]
struct FileVector {
    size_bytes: usize,
    sha256: Sha256Digest,
    blake3: Blake3Digest,
}

#[derive(Deserialize)]
struct WindowVector {
    offset_bytes: u64,
    size_bytes: usize,
    chaining_value: Blake3Digest,
}

fn engines() -> Vec<Box<dyn Hasher>> {
    let mut engines: Vec<Box<dyn Hasher>> = vec![
        Box::new(Portable),
        Box::new(Rayon::new(1).unwrap()),
        Box::new(Rayon::new(0).unwrap()),
        Box::new(Rayon::new(5).unwrap()),
    ];
    #[cfg(feature = "gpu")]
    engines.extend(crate::wgpu::tests::engines().into_iter().map(|engine| -> Box<dyn Hasher> { Box::new(engine) }));
    engines.extend(cuda());
    engines
}

/// The engine for NVIDIA GPUs, where there is one.
fn cuda() -> Option<Box<dyn Hasher>> {
    #[cfg(feature = "cuda")]
    return crate::cuda::tests::gpu().map(|gpu| -> Box<dyn Hasher> {
        Box::new(crate::cuda::Cuda::new(&gpu, crate::cuda::CudaSettings::default()).unwrap())
    });
    #[cfg(not(feature = "cuda"))]
    None
}

fn pattern(size_bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(size_bytes).collect()
}

/// The chaining value above those of a window.
fn merged(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [only] => *only,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

#[test]
fn every_engine_gives_the_vectors() {
    let vectors: Vectors = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    let longest = vectors.files.iter().map(|vector| vector.size_bytes).max().unwrap();
    let input = pattern(longest);
    for engine in engines() {
        let mut buffers = Buffers::default();
        for vector in &vectors.files {
            let bytes = &input[..vector.size_bytes];
            let size_bytes = crate::size_bytes(bytes);
            let told = AtomicUsize::new(0);
            let on_window = |size_bytes: u64, _: &PassState, _: Option<&_>| {
                told.fetch_add(usize::try_from(size_bytes).unwrap(), Ordering::Relaxed);
                Ok(())
            };
            let start = PassState::new(Plan::default());
            let end = read_once(&mut &*bytes, size_bytes, &*engine, &mut buffers, start, None, &on_window);
            let (digests, _) = end.unwrap().finish();
            let place = format!("{} at {}", engine.name(), vector.size_bytes);
            assert_eq!(digests.blake3, Some(vector.blake3), "{place}");
            assert_eq!(digests.sha256, Some(vector.sha256), "{place}");
            assert_eq!(told.into_inner(), vector.size_bytes, "{place}");
            if vector.size_bytes <= SUBTREE_SIZE_BYTES {
                assert_eq!(engine.roots(&[bytes, bytes]), [vector.blake3, vector.blake3], "{place}");
            }
        }
        for vector in &vectors.windows {
            let window = Window::new(vector.offset_bytes, &input[..vector.size_bytes]).unwrap();
            let value = merged(&engine.subtrees(window));
            let place = format!("{} at {} + {}", engine.name(), vector.offset_bytes, vector.size_bytes);
            assert_eq!(Blake3Digest::from_bytes(value), vector.chaining_value, "{place}");
        }
    }
}

#[test]
fn the_vectors_hold_every_size_that_matters() {
    let vectors: Vectors = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    let sizes: Vec<usize> = vectors.files.iter().map(|vector| vector.size_bytes).collect();
    let mut wanted = vec![0, 1, 63, 64, 65, 1023, 1024, 1025, 4095, 4096, 4097, 16383, 16384, 16385];
    for engine in engines() {
        let window = engine.window_size_bytes();
        assert!(window.is_power_of_two() && window >= SUBTREE_SIZE_BYTES);
        wanted.extend([SUBTREE_SIZE_BYTES, window].into_iter().flat_map(|size| [size - 1, size, size + 1]));
    }
    for size in wanted {
        assert!(sizes.contains(&size), "no vector of {size} bytes");
    }
    assert!(vectors.windows.iter().filter(|window| window.offset_bytes >= 1 << 32).count() >= 10);
    assert!(vectors.windows.iter().any(|window| window.offset_bytes >= 1 << 42));
}

#[test]
fn both_runs_both() {
    for engine in engines() {
        let (mut first, mut second) = (0, 0);
        engine.both(&mut || first += 1, &mut || second += 2);
        assert_eq!((first, second), (1, 2), "{}", engine.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_sizes_and_splits_equal_the_crate(
        size_bytes in prop_oneof![0usize..5000, 0usize..3_000_000],
        split: proptest::sample::Index,
        offset_chunks in 0u64..(1 << 40),
    ) {
        let input = pattern(size_bytes);
        let rayon = Rayon::new(2).unwrap();
        let cuda = cuda();
        let engines: [Option<&dyn Hasher>; 3] = [Some(&Portable), Some(&rayon), cuda.as_deref()];
        let offset_bytes = (offset_chunks << 22) & !(1 << 63);
        for engine in engines.into_iter().flatten() {
            let small = &input[..size_bytes.min(SUBTREE_SIZE_BYTES)];
            prop_assert_eq!(engine.roots(&[small, &[], small]), [small, &[], small].map(Blake3Digest::of));
            let leaves = input.chunks(VERITY_LEAF_SIZE_BYTES).map(|leaf| {
                let mut padded = leaf.to_vec();
                padded.resize(VERITY_LEAF_SIZE_BYTES, 0);
                Sha256Digest::of(&padded)
            });
            prop_assert_eq!(engine.verity_leaves(&input), leaves.collect::<Vec<_>>());
            let start = PassState::new(Plan::default());
            let end = read_once(&mut &*input, crate::size_bytes(&input), engine, &mut Buffers::default(), start, None, &|_, _, _| Ok(()));
            prop_assert_eq!(end.unwrap().finish().0.blake3, Some(Blake3Digest::of(&input)));
            let mut state = blake3::Hasher::new();
            let (left, right) = input.split_at(split.index(size_bytes + 1));
            engine.extend(&mut state, left);
            engine.extend(&mut state, right);
            prop_assert_eq!(state.finalize(), blake3::hash(&input));
            if let Some(window) = Window::new(offset_bytes, &input) {
                let expected = blake3::Hasher::new().set_input_offset(offset_bytes).update(&input).finalize_non_root();
                prop_assert_eq!(merged(&engine.subtrees(window)), expected);
            }
        }
    }
}
