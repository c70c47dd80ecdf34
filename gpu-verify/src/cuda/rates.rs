//! What a GPU does here and now, measured on the GPU: the figures that digests are compared with.

use std::time::Instant;

use ::rayon::prelude::*;

use super::driver::{Memory, Stream};
use super::error::CudaError;
use super::kernels::{Gpu, JOB_SIZE_BYTES_MAX, Job, VALUE_SIZE_BYTES};
use super::slot::Queues;
use crate::hasher::VERITY_LEAF_SIZE_BYTES;

const MIB_BYTES: f64 = 1_048_576.0;
/// Bytes that are made on the host and copied over the whole memory.
const SAMPLE_MIB: u32 = 64;
/// Runs before those that count: the first ones wake the GPU up.
const WARMING_RUNS: usize = 2;

/// A rate in bytes per second: the middle of several runs, and the ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The middle one.
    pub median: f64,
    /// The slowest run.
    pub slowest: f64,
    /// The fastest run.
    pub fastest: f64,
}

/// What a GPU was seen to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CudaRates {
    /// Copying from its memory to its memory; bytes read and written both count.
    pub device_copy: Rate,
    /// BLAKE3 values of each MiB, of bytes in its memory.
    pub blake3: Rate,
    /// The same of bytes that start at an odd address.
    pub blake3_unaligned: Rate,
    /// fs-verity leaves, of bytes in its memory.
    pub verity_leaves: Rate,
    /// Copying to it from pinned memory.
    pub upload: Rate,
    /// Copying into pinned memory with all cores, by the clock of the host.
    pub pinning: Rate,
}

/// Measures with `size_mib` MiB in the GPU's memory, twice, `runs` times each.
///
/// # Errors
/// [`CudaError`], such as that the memory is not there.
pub fn rates(gpu: &Gpu, size_mib: u32, runs: usize) -> Result<CudaRates, CudaError> {
    let size_mib = size_mib.max(1);
    let stream = Stream::new(gpu.device())?;
    let mib = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(JOB_SIZE_BYTES_MAX);
    let bytes = Memory::new(gpu.device(), mib(size_mib))?;
    let sample = stream.uploaded(&sample(mib(SAMPLE_MIB.min(size_mib))))?;
    for start in (0..bytes.size_bytes()).step_by(sample.size_bytes()) {
        stream.copy(&sample, &bytes, start)?;
    }
    let copy = Memory::new(gpu.device(), bytes.size_bytes())?;
    let device_copy = rate(2.0 * f64::from(size_mib), runs, || stream.timed_ms(|| stream.copy(&bytes, &copy, 0)))?;
    drop(copy);

    let leaves = bytes.size_bytes() / VERITY_LEAF_SIZE_BYTES;
    let values = Memory::new(gpu.device(), leaves.saturating_mul(VALUE_SIZE_BYTES))?;
    let start = bytes.address();
    let jobs = |shift: u64, size_mib: u32, step: u64| {
        let table = (0..size_mib).flat_map(|index| {
            let job = Job {
                address: start + shift + (u64::from(index) << 20),
                first: u64::from(index) * step,
                size_bytes: 1 << 20,
                is_root: false,
                goes_on: index + 1 < size_mib,
            };
            job.to_bytes()
        });
        stream.uploaded(&table.collect::<Vec<u8>>())
    };
    let count = |size_mib: u32| usize::try_from(size_mib).unwrap_or(usize::MAX);
    let subtrees = |shift, size_mib| {
        let table = jobs(shift, size_mib, 1024)?;
        rate(f64::from(size_mib), runs, || {
            stream.timed_ms(|| gpu.subtrees(&stream, table.address(), count(size_mib), values.room()))
        })
    };
    let blake3 = subtrees(0, size_mib)?;
    let blake3_unaligned = subtrees(7, size_mib.saturating_sub(1).max(1))?;
    let table = jobs(0, size_mib, 256)?;
    let verity_leaves = rate(f64::from(size_mib), runs, || {
        stream.timed_ms(|| gpu.leaves(&stream, table.address(), count(size_mib), leaves, values.room()))
    })?;
    drop((values, table));

    let upload_mib = size_mib.min(256);
    let mut slots = Queues::new(gpu.device())?.slots(gpu.device(), 1, mib(upload_mib), 0)?;
    let slot = slots.first_mut().ok_or(CudaError::Call { what: "pin memory", fault: "no slot".to_owned() })?;
    let upload = rate(f64::from(upload_mib), runs, || slot.timed_upload_ms())?;
    let source = self::sample(mib(upload_mib));
    let input = slot.input()?;
    let pinning = rate(f64::from(upload_mib), runs, || {
        let start = Instant::now();
        let parts = input.par_chunks_mut(JOB_SIZE_BYTES_MAX).zip(source.par_chunks(JOB_SIZE_BYTES_MAX));
        parts.for_each(|(to, from)| to.copy_from_slice(from));
        Ok(start.elapsed().as_secs_f32() * 1000.0)
    })?;
    Ok(CudaRates { device_copy, blake3, blake3_unaligned, verity_leaves, upload, pinning })
}

fn rate(size_mib: f64, runs: usize, mut run_ms: impl FnMut() -> Result<f32, CudaError>) -> Result<Rate, CudaError> {
    for _ in 0..WARMING_RUNS {
        run_ms()?;
    }
    let mut rates = Vec::new();
    for _ in 0..runs.max(1) {
        rates.push(size_mib * MIB_BYTES * 1000.0 / f64::from(run_ms()?));
    }
    rates.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| rates.get(index).copied().unwrap_or(f64::NAN);
    Ok(Rate { median: at(rates.len() / 2), slowest: at(0), fastest: at(rates.len() - 1) })
}

/// Bytes without a pattern: equal bits take a GPU less power, and it runs faster than on weights.
fn sample(size_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; size_bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}
