//! The GPU beside what bounds it: `make bench-gpu`. Every figure is a line `bench: <name> = <number> <unit>`.
//!
//! Resident bytes beside the calculated bound and the copy rate of the same run; bytes of the machine's memory beside the
//! upload rate from pinned memory of the same run. Digests are compared with the CPU's before anything is timed.

use std::error::Error;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use chopmark_core::digest::Blake3Digest;
use chopmark_gpu_verify::cuda::{Cuda, CudaRates, CudaSettings, Gpu, Place, Rate, Resident, hash_resident, rates};
use chopmark_gpu_verify::hasher::Window;
use chopmark_gpu_verify::rayon::Rayon;
use chopmark_gpu_verify::{Hasher, SUBTREE_SIZE_BYTES};

/// Integer instructions for 64 bytes, all of them and those that only the integer pipe does (shifts, permutations, logic):
/// counted in the algorithms. BLAKE3: 56 mixings of six additions and rotated exclusive ors twice over, and a parent for
/// every 16 blocks. SHA-256: 64 rounds and 48 words of schedule, and one block of padding for every 64.
const BLAKE3_INSTRUCTIONS: (f64, f64) = (56.0 * 12.0 * 17.0 / 16.0, 56.0 * 8.0 * 17.0 / 16.0);
const SHA256_INSTRUCTIONS: (f64, f64) =
    ((64.0 * 14.0 + 48.0 * 10.0 + 24.0) * 65.0 / 64.0, (64.0 * 10.0 + 48.0 * 8.0 + 16.0) * 65.0 / 64.0);
/// Lanes of the integer pipe of a multiprocessor (CUDA C++ Programming Guide, "Arithmetic Instructions", 9.0).
const LANES: f64 = 64.0;

const RUNS: usize = 9;
/// Several times the cache, small enough for any GPU there is.
const RESIDENT_MIB: u32 = 8 << 10;
const HOST_GIB: usize = 4;

fn figure(name: &str, value: f64, unit: &str) {
    println!("bench: {name} = {value:.3} {unit}");
}

fn spread(name: &str, rate: Rate) {
    let giga = |rate: f64| rate / 1e9;
    println!("{name}: {:.1} GB/s ({:.1} to {:.1})", giga(rate.median), giga(rate.slowest), giga(rate.fastest));
    figure(name, giga(rate.median), "GB/s");
}

fn main() -> Result<(), Box<dyn Error>> {
    let gpu = Gpu::open(0)?;
    let (multiprocessors, clock_khz) = gpu.multiprocessors()?;
    let (major, minor) = gpu.capability();
    println!("{}, compute capability {major}.{minor}, {multiprocessors} multiprocessors, {clock_khz} kHz", gpu.name());
    let instructions_per_s = f64::from(multiprocessors) * LANES * f64::from(clock_khz) * 1000.0;
    resident(&gpu, instructions_per_s)?;
    host(&gpu)
}

fn resident(gpu: &Gpu, instructions_per_s: f64) -> Result<(), Box<dyn Error>> {
    println!("\n== in the GPU's memory: {RESIDENT_MIB} MiB, {RUNS} runs, times of the GPU");
    let CudaRates { device_copy, blake3, blake3_unaligned, verity_leaves, upload, pinning } =
        rates(gpu, RESIDENT_MIB, RUNS)?;
    spread("cuda.device_copy", device_copy);
    spread("cuda.resident_blake3", blake3);
    spread("cuda.resident_blake3_unaligned", blake3_unaligned);
    spread("cuda.resident_sha256_tree", verity_leaves);
    spread("cuda.upload_pinned", upload);
    spread("cpu.copy_into_pinned", pinning);
    for (name, rate, (all, one_pipe)) in
        [("blake3", blake3, BLAKE3_INSTRUCTIONS), ("sha256_tree", verity_leaves, SHA256_INSTRUCTIONS)]
    {
        for (bound, instructions) in [("all_on_one_pipe", all), ("additions_elsewhere", one_pipe)] {
            let bound_rate = instructions_per_s * 64.0 / instructions;
            figure(&format!("cuda.bound_{name}_{bound}"), bound_rate / 1e9, "GB/s");
            figure(&format!("cuda.resident_{name}_of_bound_{bound}"), rate.median / bound_rate, "x");
        }
        figure(&format!("cuda.resident_{name}_of_read"), rate.median / (device_copy.median / 2.0), "x");
    }
    Ok(())
}

/// The middle of several runs, in bytes per second.
fn median(size_bytes: usize, mut run: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_unstable_by(f64::total_cmp);
    let mib = u32::try_from(size_bytes >> 20).map_or(f64::NAN, f64::from);
    mib * 1_048_576.0 / seconds.get(RUNS / 2).copied().unwrap_or(f64::NAN)
}

fn host(gpu: &Gpu) -> Result<(), Box<dyn Error>> {
    println!("\n== from the machine's memory: {HOST_GIB} GiB in pageable memory, {RUNS} runs, clock of the host");
    let mut bytes = vec![0; HOST_GIB << 30];
    for (index, part) in (0_u64..).zip(bytes.chunks_mut(64 << 20)) {
        blake3::Hasher::new().update(&index.to_le_bytes()).finalize_xof().fill(part);
    }
    let upload = rates(gpu, 512, RUNS)?.upload.median;
    figure("cuda.upload_pinned_again", upload / 1e9, "GB/s");
    let rayon = Rayon::new(0)?;
    let by_windows = |hasher: &dyn Hasher, window_size_bytes: usize, threads: usize| {
        let windows: Vec<_> = (0_u64..)
            .zip(bytes.chunks(window_size_bytes))
            .map(|(index, bytes)| (index * u64::try_from(window_size_bytes).unwrap_or(0), bytes))
            .collect();
        let mut values = Vec::new();
        thread::scope(|scope| {
            let workers: Vec<_> = windows
                .chunks(windows.len().div_ceil(threads))
                .map(|part| {
                    scope.spawn(move || {
                        let windows = part.iter().filter_map(|(at, bytes)| Window::new(*at, bytes));
                        windows.flat_map(|window| hasher.subtrees(window)).collect::<Vec<_>>()
                    })
                })
                .collect();
            for worker in workers {
                values.extend(worker.join().unwrap_or_default());
            }
        });
        values
    };
    let expected = by_windows(&rayon, 64 << 20, 1);
    if expected.len() != bytes.len() / SUBTREE_SIZE_BYTES {
        return Err("the CPU gave too few values".into());
    }
    let rate = median(bytes.len(), || drop(black_box(by_windows(&rayon, 64 << 20, 1))));
    figure("cpu.rayon_blake3", rate / 1e9, "GB/s");
    // The default, and what else was tried.
    for (copy_threads, slice_mib) in [(0, 4), (0, 8), (0, 2), (12, 4), (8, 4), (4, 4)] {
        let cuda = Cuda::new(gpu, CudaSettings { copy_threads, slice_size_bytes: slice_mib << 20 })?;
        for (window_mib, threads) in [(64, 1), (64, 4), (256, 1)] {
            if by_windows(&cuda, window_mib << 20, threads) != expected {
                return Err("the GPU gave other values than the CPU".into());
            }
            let rate = median(bytes.len(), || drop(black_box(by_windows(&cuda, window_mib << 20, threads))));
            let copiers = cuda.copy_threads();
            let name = format!("cuda.host_{copiers}x{slice_mib}mib_window_{window_mib}mib_{threads}_at_once");
            println!("{name}: {:.1} GB/s, {:.3} of the upload", rate / 1e9, rate / upload);
            if (copy_threads, slice_mib) == (0, 4) {
                figure(&format!("cuda.host_to_digest_window_{window_mib}mib_{threads}_at_once"), rate / 1e9, "GB/s");
                figure(
                    &format!("cuda.host_to_digest_of_upload_window_{window_mib}mib_{threads}_at_once"),
                    rate / upload,
                    "x",
                );
            }
        }
    }
    let cuda = Cuda::new(gpu, CudaSettings::default())?;
    #[cfg(feature = "gpu")]
    match chopmark_gpu_verify::wgpu::Wgpu::start() {
        Err(error) => println!("wgpu: {error}"),
        Ok(wgpu) => {
            println!("wgpu on {}", wgpu.adapter());
            for threads in [1, 4] {
                if by_windows(&wgpu, wgpu.window_size_bytes(), threads) != expected {
                    return Err("wgpu gave other values than the CPU".into());
                }
                let rate = median(bytes.len(), || {
                    drop(black_box(by_windows(&wgpu, wgpu.window_size_bytes(), threads)));
                });
                figure(&format!("wgpu.host_to_digest_{threads}_at_once"), rate / 1e9, "GB/s");
            }
        }
    }
    let files: Vec<&[u8]> = bytes.chunks(64 << 10).collect();
    if cuda.roots(&files) != rayon.roots(&files) {
        return Err("the GPU gave other roots than the CPU".into());
    }
    let rate = median(bytes.len(), || drop(black_box(cuda.roots(&files))));
    figure("cuda.host_small_files_64_kib", rate / 1e9, "GB/s");
    whole_calls(gpu, &bytes)
}

/// [`hash_resident`] with everything it does on the host.
fn whole_calls(gpu: &Gpu, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    println!("\n== whole calls of hash_resident, clock of the host");
    let memory = gpu.keep(bytes)?;
    let one =
        [Resident { name: "one".to_owned(), place: Place::Address(memory.address()), size_bytes: memory.size_bytes() }];
    let found = hash_resident(gpu, &one, false)?;
    if found.first().map(|digests| digests.blake3)
        != Some(Blake3Digest::from_bytes(*blake3::Hasher::new().update_rayon(bytes).finalize().as_bytes()))
    {
        return Err("the GPU gave another root than the CPU".into());
    }
    // As the layers of a model are: matrices of 16 to 64 MiB and vectors of some KiB.
    let mut many = Vec::new();
    let mut at = 0;
    for size_bytes in [64_u64 << 20, 8 << 10, 16 << 20, 48 << 20, 8 << 10, 2].into_iter().cycle() {
        if at + size_bytes > memory.size_bytes() {
            break;
        }
        many.push(Resident {
            name: format!("tensor {}", many.len()),
            place: Place::Address(memory.address() + at),
            size_bytes,
        });
        at += size_bytes;
    }
    for (name, tensors) in [("one_tensor", &one[..]), ("many_tensors", &many)] {
        let size_bytes = usize::try_from(tensors.iter().map(|tensor| tensor.size_bytes).sum::<u64>())?;
        println!("{name}: {} tensors, {size_bytes} bytes", tensors.len());
        for (digest, with_fsverity) in [("blake3", false), ("blake3_and_fsverity", true)] {
            let rate = median(size_bytes, || drop(black_box(hash_resident(gpu, tensors, with_fsverity))));
            figure(&format!("cuda.hash_resident_{name}_{digest}"), rate / 1e9, "GB/s");
        }
    }
    Ok(())
}
