use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use proptest::prelude::*;

use super::driver::{Memory, Stream};
use super::kernels::Code;
use super::*;
use crate::hasher::{Hasher as _, VERITY_LEAF_SIZE_BYTES, Window, verity_leaf};
use crate::optional::can_test;

/// The GPU, where there is one. `CHOPMARK_TEST_CUDA=required` makes its absence a failure.
pub(crate) fn gpu() -> Option<Gpu> {
    match Gpu::open(0) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            assert_eq!(error.code(), "engine_unavailable", "{error}");
            can_test("the engine cuda on a GPU", "CHOPMARK_TEST_CUDA", false);
            None
        }
    }
}

/// Bytes that repeat nowhere near.
fn bytes(size_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; size_bytes];
    blake3::Hasher::new().update(b"tests").finalize_xof().fill(&mut bytes);
    bytes
}

/// The fs-verity digest, written after the kernel's page once more, without any tree on a GPU.
fn fsverity(bytes: &[u8]) -> Sha256Digest {
    let mut level = bytes.to_vec();
    let mut root = [0; 32];
    while !level.is_empty() {
        let hashes: Vec<_> = level.chunks(VERITY_LEAF_SIZE_BYTES).map(|leaf| *verity_leaf(leaf).as_bytes()).collect();
        if let [only] = hashes[..] {
            root = only;
            break;
        }
        level = hashes.concat();
    }
    let mut descriptor = [0; 256];
    descriptor[..3].copy_from_slice(&[1, 1, 12]);
    descriptor[8..16].copy_from_slice(&crate::size_bytes(bytes).to_le_bytes());
    descriptor[16..48].copy_from_slice(&root);
    Sha256Digest::of(&descriptor)
}

fn resident(name: &str, address: u64, size_bytes: u64) -> Resident {
    Resident { name: name.to_owned(), place: Place::Address(address), size_bytes }
}

/// Tensors at these offsets and of these sizes in one piece of memory, hashed there and here.
fn agree(gpu: &Gpu, bytes: &[u8], memory: &Memory, parts: &[(usize, usize)]) {
    let tensors: Vec<_> = parts
        .iter()
        .map(|(start, size)| {
            let address = memory.address() + u64::try_from(*start).unwrap();
            resident(&format!("{start}+{size}"), address, u64::try_from(*size).unwrap())
        })
        .collect();
    let found = hash_resident(gpu, &tensors, true).unwrap();
    assert_eq!(found.len(), parts.len());
    for (digests, (start, size)) in found.iter().zip(parts) {
        let part = &bytes[*start..start + size];
        assert_eq!(digests.name, format!("{start}+{size}"));
        assert_eq!(digests.size_bytes, u64::try_from(*size).unwrap());
        assert_eq!(digests.blake3, Blake3Digest::of(part), "{}", digests.name);
        assert_eq!(digests.fsverity.map(|digest| digest.to_hex()), Some(fsverity(part).to_hex()), "{}", digests.name);
    }
    let (sampled, sample) = hash_resident_sampled(gpu, &tensors, true).unwrap();
    assert_eq!(sampled, found);
    assert!(sample.checked <= sample.results && (sample.checked > 0 || parts.is_empty()), "{sample:?}");
    let without = hash_resident(gpu, &tensors, false).unwrap();
    assert!(without.iter().zip(&found).all(|(a, b)| a.blake3 == b.blake3 && a.fsverity.is_none()));
}

/// Every opening tests the GPU and gives everything back.
#[test]
fn a_gpu_is_opened_again_and_by_several_threads() {
    if gpu().is_none() {
        return;
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| drop(Gpu::open(0).unwrap())));
        }
    });
}

/// What runs on GPUs that there is no machine code for; on others it can be tested as well.
#[test]
fn portable_code_gives_the_same() {
    if gpu().is_none() {
        return;
    }
    let gpu = Gpu::open_with(0, Code::Ptx).unwrap();
    let bytes = bytes((3 << 20) + 70_001);
    let memory = Stream::new(gpu.device()).unwrap().uploaded(&bytes).unwrap();
    agree(&gpu, &bytes, &memory, &[(0, bytes.len()), (7, 2_000_000), (16, 32_768), (3, 70_000), (9, 0)]);
}

#[test]
fn devices_are_listed() {
    match (devices(), gpu()) {
        (Ok(devices), Some(gpu)) => assert_eq!(devices[0].name, gpu.name()),
        (Ok(devices), None) => assert!(devices.is_empty(), "{devices:?}"),
        (Err(error), gpu) => {
            assert!(gpu.is_none());
            assert_eq!(error.code(), "engine_unavailable", "{error}");
        }
    }
}

#[test]
fn the_test_itself_knows_what_the_fsverity_tool_prints() {
    let digest = fsverity(b"abc");
    assert_eq!(digest.to_hex(), "700b6bd8510f0b4f9bac8b9cf0459151a1c4a99f467892bb4bd289a67df8e19c");
    let digest = fsverity(&vec![b'a'; 600_000]);
    assert_eq!(digest.to_hex(), "1dbcfd45ca6c4a34e3bdd875ae84c6624a0cbe31327e0d5ddb6e08b89a9140ab");
}

#[test]
fn without_a_driver_there_is_an_error_that_says_so() {
    // On a machine with one, a number that no GPU has.
    let error = Gpu::open(4096).unwrap_err();
    assert_eq!(error.code(), "engine_unavailable");
    match error {
        CudaError::NoDriver => assert!(error.to_string().contains("libcuda.so.1"), "{error}"),
        CudaError::NoDevice { ordinal, .. } => assert_eq!(ordinal, 4096),
        CudaError::OldDriver { .. } | CudaError::Call { .. } => {}
        other => panic!("{other}"),
    }
}

#[test]
fn tensors_at_odd_addresses_of_odd_lengths_are_hashed_in_place() {
    let Some(gpu) = gpu() else { return };
    let mib = 1 << 20;
    let bytes = bytes(5 * mib + 100);
    let memory = Stream::new(gpu.device()).unwrap().uploaded(&bytes).unwrap();
    let mut parts = Vec::new();
    for start in [0, 1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 14, 15, 16, 17, 33] {
        for size in [0, 1, 63, 64, 65, 1023, 1024, 1025, 4095, 4096, 4097, 32_767, 32_768, 32_769, 131_072, 131_073] {
            parts.push((start, size));
        }
        for size in [mib - 1, mib, mib + 1, mib + 15, mib + 16, mib + 32_768, 2 * mib + 4_097, 5 * mib] {
            parts.push((start, size));
        }
    }
    // The very end of the allocation, where nothing may be read behind it.
    for size in [1, 15, 16, 17, 100, 1024, 32_768, 32_769, mib, mib + 32_768] {
        parts.push((bytes.len() - size, size));
    }
    agree(&gpu, &bytes, &memory, &parts);
}

/// Few bytes on every path of the kernels, for tools that watch every access.
#[test]
fn one_of_each() {
    let Some(gpu) = gpu() else { return };
    let bytes = bytes((1 << 20) + 70_000);
    let memory = Stream::new(gpu.device()).unwrap().uploaded(&bytes).unwrap();
    let end = bytes.len();
    agree(
        &gpu,
        &bytes,
        &memory,
        &[(0, end), (1, 40_000), (6, 65_536), (end - 35_000, 35_000), (2, 150_000), (4, 3), (5, 0)],
    );
}

#[test]
fn many_tensors_and_one_large_one_are_hashed_together() {
    let Some(gpu) = gpu() else { return };
    let bytes = bytes(300 << 20);
    let memory = Stream::new(gpu.device()).unwrap().uploaded(&bytes).unwrap();
    let mut parts: Vec<_> = (0..3000).map(|index| (index * 2 + index % 3, index * 7 % 20_000)).collect();
    parts.push((0, bytes.len()));
    parts.push((3, bytes.len() - 5));
    agree(&gpu, &bytes, &memory, &parts);
    agree(&gpu, &bytes, &memory, &[]);
}

#[test]
fn what_is_not_in_the_memory_of_the_gpu_is_named() {
    let Some(gpu) = gpu() else { return };
    let memory = Memory::new(gpu.device(), 1 << 20).unwrap();
    let refused = |tensor: Resident| hash_resident(&gpu, &[tensor], false).unwrap_err();
    let on_the_host = vec![0_u8; 4096];
    let error =
        refused(resident("weights\u{202e}", on_the_host.as_ptr().expose_provenance().try_into().unwrap(), 4096));
    assert_eq!(error.code(), "not_resident");
    assert!(error.to_string().contains(r"weights\u{202e}"), "{error}");
    assert_eq!(refused(resident("null", 0, 1)).code(), "not_resident");
    assert_eq!(refused(resident("wild", 0x1234_5678_9abc, 1)).code(), "not_resident");
    let size_bytes = 1 << 30;
    match refused(resident("long", memory.address() + 5, size_bytes)) {
        CudaError::TooShort { name, size_bytes: said, available_bytes } => {
            assert_eq!((name.as_str(), said), ("long", size_bytes));
            assert!(((1 << 20) - 5..size_bytes).contains(&available_bytes), "{available_bytes}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(refused(resident("endless", memory.address(), u64::MAX)).code(), "tensor_too_short");
    let nonsense = Place::Ipc { handle: [0x5A; IPC_HANDLE_SIZE_BYTES], offset_bytes: 0 };
    let error = refused(Resident { name: "shared".to_owned(), place: nonsense, size_bytes: 4 });
    assert_eq!(error.code(), "ipc_handle", "{error}");
    // The GPU works on after all that.
    let empty = hash_resident(&gpu, &[resident("empty", 0, 0)], true).unwrap();
    assert_eq!(empty[0].blake3, Blake3Digest::of(b""));
    assert_eq!(empty[0].fsverity.map(|digest| digest.to_hex()), Some(fsverity(b"").to_hex()));
}

const EXPORT: &str = "CHOPMARK_TEST_CUDA_EXPORT";
const EXPORTED_SIZE_BYTES: usize = (3 << 20) + 12_345;

/// Not a test by itself: the other process of the test below, which exports memory and keeps it until its input ends.
#[test]
fn exporting_process() {
    if std::env::var_os(EXPORT).is_none() {
        return;
    }
    let gpu = Gpu::open(0).unwrap();
    let memory = Stream::new(gpu.device()).unwrap().uploaded(&bytes(EXPORTED_SIZE_BYTES)).unwrap();
    let handle = memory.ipc_handle().unwrap();
    let (first, second) = handle.split_at(IPC_HANDLE_SIZE_BYTES / 2);
    let handle = [first, second].map(|half| Sha256Digest::from_slice(half).unwrap().to_hex()).concat();
    // Not through `println!`, which tests capture.
    writeln!(std::io::stdout(), "\nhandle {handle}").unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn tensors_of_another_process_are_hashed_in_place() {
    let Some(gpu) = gpu() else { return };
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["cuda::tests::exporting_process", "--exact", "--nocapture"])
        .env(EXPORT, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    let handle = lines.find_map(|line| line.unwrap().strip_prefix("handle ").map(str::to_owned)).expect("no handle");
    let handle: Vec<u8> =
        (0..handle.len()).step_by(2).map(|at| u8::from_str_radix(&handle[at..at + 2], 16).unwrap()).collect();
    let handle = handle.try_into().unwrap();
    let expected = bytes(EXPORTED_SIZE_BYTES);
    let part = |name: &str, start: usize, size: usize| Resident {
        name: name.to_owned(),
        place: Place::Ipc { handle, offset_bytes: u64::try_from(start).unwrap() },
        size_bytes: u64::try_from(size).unwrap(),
    };
    let parts = [("all", 0, EXPORTED_SIZE_BYTES), ("part", 1_000_001, 2_000_000), ("none", 7, 0)];
    let tensors = parts.map(|(name, start, size)| part(name, start, size));
    for _ in 0..2 {
        let found = hash_resident(&gpu, &tensors, true).unwrap();
        for ((name, start, size), digests) in parts.iter().zip(found) {
            let bytes = &expected[*start..start + size];
            assert_eq!(digests.blake3, Blake3Digest::of(bytes), "{name}");
            assert_eq!(digests.fsverity.map(|digest| digest.to_hex()), Some(fsverity(bytes).to_hex()), "{name}");
        }
    }
    let error = hash_resident(&gpu, &[part("long", 1 << 20, 1 << 40)], false).unwrap_err();
    assert_eq!(error.code(), "tensor_too_short", "{error}");
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}

#[test]
fn the_engine_hashes_windows_larger_and_more_numerous_than_its_slots() {
    let Some(gpu) = gpu() else { return };
    let bytes = bytes((70 << 20) + 4321);
    for settings in [
        CudaSettings::default(),
        CudaSettings { copy_threads: 1, slice_size_bytes: 1 << 20 },
        CudaSettings { copy_threads: 3, slice_size_bytes: (2 << 20) + 5 },
    ] {
        let cuda = Cuda::new(&gpu, settings).unwrap();
        let files: Vec<&[u8]> = bytes.chunks(9_999).take(6_000).collect();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let window = Window::new(1 << 42, &bytes).unwrap();
                    let expected = crate::portable::Portable.subtrees(window);
                    assert!(cuda.subtrees(window) == expected, "{cuda:?}");
                    let expected: Vec<_> = files.iter().map(|file| Blake3Digest::of(file)).collect();
                    assert!(cuda.roots(&files) == expected, "{cuda:?}");
                    let expected: Vec<_> = bytes.chunks(VERITY_LEAF_SIZE_BYTES).map(verity_leaf).collect();
                    assert!(cuda.verity_leaves(&bytes) == expected, "{cuda:?}");
                });
            }
        });
        assert!(cuda.upload(&bytes) && cuda.upload(&[]));
        assert_eq!(cuda.health(), Ok(()));
        assert!(cuda.roots(&[]).is_empty() && cuda.verity_leaves(&[]).is_empty());
    }
}

#[test]
fn rates_are_measured() {
    let Some(gpu) = gpu() else { return };
    let CudaRates { device_copy, blake3, blake3_unaligned, verity_leaves, upload, pinning } =
        rates(&gpu, 64, 3).unwrap();
    for rate in [device_copy, blake3, blake3_unaligned, verity_leaves, upload, pinning] {
        assert!(rate.slowest > 0.0 && rate.slowest <= rate.median && rate.median <= rate.fastest, "{rate:?}");
        assert!(rate.fastest.is_finite());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tensors_anywhere_equal_the_crate(
        parts in proptest::collection::vec(
            (0_usize..2_000_000, prop_oneof![0_usize..5_000, 0_usize..2_100_000]), 1..12,
        ),
    ) {
        let Some(gpu) = gpu() else { return Ok(()) };
        let bytes = bytes(4_100_001);
        let memory = Stream::new(gpu.device()).unwrap().uploaded(&bytes).unwrap();
        agree(&gpu, &bytes, &memory, &parts);
    }
}
