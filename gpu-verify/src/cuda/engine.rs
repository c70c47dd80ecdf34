//! The engine: bytes of the machine's memory, hashed on the GPU while more are copied there.
//!
//! Pageable memory can't be copied by the GPU itself at full speed. So several threads cut a window in slices, copy them into
//! pinned memory, and let the GPU fetch and hash each while they copy the next: two slots for each thread.

use core::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use ::rayon::{ThreadPool, ThreadPoolBuilder};
use blake3::hazmat::ChainingValue;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};

use super::error::CudaError;
use super::kernels::{Gpu, JOB_RECORD_SIZE_BYTES, JOB_SIZE_BYTES_MAX, Job, VALUE_SIZE_BYTES};
use super::slot::{Queues, Slot};
use crate::hasher::{EngineFault, Hasher, SUBTREE_SIZE_BYTES, VERITY_LEAF_SIZE_BYTES, Window};
use crate::rayon::Rayon;

const NAME: &str = "cuda";
/// Windows of 64 MiB: sixteen slices. Larger ones gain where a file is alone (docs/benchmarks.md), and take the memory of
/// several files that are hashed at the same time, which gains more.
const WINDOW_SIZE_BYTES: usize = 64 << 20;
/// Four files with two windows each: 512 MiB in memory at most.
const FILES_IN_PARALLEL: usize = 4;
/// Most jobs of one slice: small files fill a slot with many.
const JOBS_MAX: usize = 4096;
/// The job table stands before the bytes of a slice and is sent with them.
const TABLE_SIZE_BYTES: usize = JOBS_MAX * JOB_RECORD_SIZE_BYTES;
/// Files of a slice start at multiples of this, as the kernels like it.
const ALIGNMENT_BYTES: usize = 16;

const _: () = assert!(SUBTREE_SIZE_BYTES == JOB_SIZE_BYTES_MAX);
const _: () = assert!(TABLE_SIZE_BYTES.is_multiple_of(ALIGNMENT_BYTES));

/// How bytes get to the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaSettings {
    /// Threads that copy into pinned memory; 0 for one for each core, at most 16.
    pub copy_threads: usize,
    /// Bytes of one slice, at least 1 MiB. Each thread has two, in pinned memory and on the GPU: with 16 threads and 4 MiB,
    /// 128 MiB of each.
    pub slice_size_bytes: usize,
}

impl Default for CudaSettings {
    fn default() -> Self {
        Self { copy_threads: 0, slice_size_bytes: 4 << 20 }
    }
}

/// Most threads that copy: more gain nothing on any link there is.
const COPY_THREADS_MAX: usize = 16;

/// The engine for one NVIDIA GPU.
pub struct Cuda {
    gpu: Gpu,
    slice_size_bytes: usize,
    pool: ThreadPool,
    /// Two slots for each thread of the pool.
    lanes: Vec<Mutex<[Slot; 2]>>,
    /// For what the GPU is no help with: tensors, which start anywhere.
    cpu: Rayon,
    fault: OnceLock<EngineFault>,
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(NAME)
            .field("gpu", &self.gpu.name())
            .field("copy_threads", &self.lanes.len())
            .field("slice_size_bytes", &self.slice_size_bytes)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// Which kernel hashes the jobs.
#[derive(Debug, Clone, Copy)]
enum Work {
    Blake3,
    Leaves,
    /// None: the bytes are only copied.
    Nothing,
}

/// A job whose bytes are still in the machine's memory.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    bytes: &'a [u8],
    first: u64,
    is_root: bool,
}

impl Cuda {
    /// The engine on a GPU.
    ///
    /// # Errors
    /// [`CudaError`] when memory or threads are refused.
    pub fn new(gpu: &Gpu, settings: CudaSettings) -> Result<Self, CudaError> {
        let refused = |fault: &dyn fmt::Display| CudaError::Call { what: "start threads", fault: fault.to_string() };
        let cpu = Rayon::new(0).map_err(|fault| refused(&fault))?;
        let threads = match settings.copy_threads {
            0 => cpu.threads().clamp(1, COPY_THREADS_MAX),
            asked => asked,
        };
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("copy-{index}"))
            .build()
            .map_err(|fault| refused(&fault))?;
        let slice_size_bytes =
            settings.slice_size_bytes.max(JOB_SIZE_BYTES_MAX) / JOB_SIZE_BYTES_MAX * JOB_SIZE_BYTES_MAX;
        let results = JOBS_MAX.max(slice_size_bytes / VERITY_LEAF_SIZE_BYTES);
        let output_bytes = results * VALUE_SIZE_BYTES;
        let mut slots = Queues::new(gpu.device())?
            .slots(gpu.device(), 2 * threads, TABLE_SIZE_BYTES + slice_size_bytes, output_bytes)?
            .into_iter();
        let mut lanes = Vec::with_capacity(threads);
        while let (Some(first), Some(second)) = (slots.next(), slots.next()) {
            lanes.push(Mutex::new([first, second]));
        }
        Ok(Self { gpu: gpu.clone(), slice_size_bytes, pool, lanes, cpu, fault: OnceLock::new() })
    }

    /// Threads that copy.
    pub fn copy_threads(&self) -> usize {
        self.lanes.len()
    }

    /// Hashes pieces in order, or notes why not and returns nothing but zeros.
    fn values(&self, work: Work, pieces: &[Piece<'_>]) -> Vec<[u8; VALUE_SIZE_BYTES]> {
        let values = if self.fault.get().is_some() { None } else { self.hashed(work, pieces) };
        values.unwrap_or_else(|| vec![[0; VALUE_SIZE_BYTES]; pieces.iter().map(|piece| work.values(piece)).sum()])
    }

    fn hashed(&self, work: Work, pieces: &[Piece<'_>]) -> Option<Vec<[u8; VALUE_SIZE_BYTES]>> {
        let slices = self.slices(pieces);
        let next = AtomicUsize::new(0);
        let worked = self.pool.broadcast(|thread| {
            let lane = self.lanes.get(thread.index())?;
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            self.work(work, &slices, &next, &mut lane).map_err(|error| self.failed(&error)).ok()
        });
        let mut parts: Vec<(usize, Vec<u8>)> = Vec::with_capacity(slices.len());
        for part in worked {
            parts.extend(part?);
        }
        parts.sort_unstable_by_key(|(index, _)| *index);
        Some(parts.iter().flat_map(|(_, bytes)| bytes.as_chunks().0).copied().collect())
    }

    fn failed(&self, error: &CudaError) {
        self.fault.get_or_init(|| EngineFault { engine: NAME, reason: error.to_string() });
    }

    /// As many pieces as fit, for each slot.
    fn slices<'a, 'b>(&self, pieces: &'a [Piece<'b>]) -> Vec<&'a [Piece<'b>]> {
        let mut slices = Vec::new();
        let mut rest = pieces;
        while !rest.is_empty() {
            let mut size_bytes = 0_usize;
            let fit = rest.iter().take(JOBS_MAX).take_while(|piece| {
                size_bytes = size_bytes.saturating_add(piece.bytes.len().next_multiple_of(ALIGNMENT_BYTES));
                size_bytes <= self.slice_size_bytes
            });
            // A piece has at most as many bytes as a job, and a slice has room for one.
            let (slice, after) = rest.split_at(fit.count().clamp(1, rest.len()));
            slices.push(slice);
            rest = after;
        }
        slices
    }

    /// One thread: takes slices until none is left, with both slots in turn.
    fn work(
        &self,
        work: Work,
        slices: &[&[Piece<'_>]],
        next: &AtomicUsize,
        lane: &mut [Slot; 2],
    ) -> Result<Vec<(usize, Vec<u8>)>, CudaError> {
        let mut done = Vec::new();
        let mut under_way: [Option<(usize, usize)>; 2] = [None, None];
        let mut left = true;
        while left {
            for (slot, under_way) in lane.iter_mut().zip(&mut under_way) {
                if let Some((index, size_bytes)) = under_way.take() {
                    done.push((index, slot.output()?.get(..size_bytes).unwrap_or_default().to_vec()));
                }
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(pieces) = slices.get(index) else {
                    left = false;
                    continue;
                };
                *under_way = Some((index, self.start(work, pieces, slot)?));
            }
        }
        for (slot, under_way) in lane.iter_mut().zip(under_way) {
            if let Some((index, size_bytes)) = under_way {
                done.push((index, slot.output()?.get(..size_bytes).unwrap_or_default().to_vec()));
            }
        }
        Ok(done)
    }

    /// Copies pieces into a slot and starts all that the GPU has to do with them; how many bytes will come back.
    fn start(&self, work: Work, pieces: &[Piece<'_>], slot: &mut Slot) -> Result<usize, CudaError> {
        let memory = slot.memory().address();
        let input = slot.input()?;
        let table_start = TABLE_SIZE_BYTES.saturating_sub(pieces.len().saturating_mul(JOB_RECORD_SIZE_BYTES));
        let (table, bytes) = input.split_at_mut(TABLE_SIZE_BYTES.min(input.len()));
        let records = table.get_mut(table_start..).unwrap_or_default().chunks_exact_mut(JOB_RECORD_SIZE_BYTES);
        let (mut at, mut values) = (0_usize, 0_usize);
        for (piece, record) in pieces.iter().zip(records) {
            let end = at.saturating_add(piece.bytes.len());
            if let Some(room) = bytes.get_mut(at..end) {
                room.copy_from_slice(piece.bytes);
            }
            let start = u64::try_from(TABLE_SIZE_BYTES.saturating_add(at)).unwrap_or(u64::MAX);
            let job = Job {
                address: memory.saturating_add(start),
                first: match work {
                    Work::Blake3 | Work::Nothing => piece.first,
                    Work::Leaves => u64::try_from(values).unwrap_or(u64::MAX),
                },
                size_bytes: u32::try_from(piece.bytes.len()).unwrap_or(0),
                is_root: piece.is_root,
                goes_on: false,
            };
            record.copy_from_slice(&job.to_bytes());
            values = values.saturating_add(work.values(piece));
            at = end.next_multiple_of(ALIGNMENT_BYTES);
        }
        let table = memory.saturating_add(u64::try_from(table_start).unwrap_or(u64::MAX));
        slot.run(table_start..TABLE_SIZE_BYTES.saturating_add(at), |stream, room| match work {
            Work::Blake3 => self.gpu.subtrees(stream, table, pieces.len(), room),
            Work::Leaves => self.gpu.leaves(stream, table, pieces.len(), values, room),
            Work::Nothing => Ok(()),
        })?;
        Ok(values.saturating_mul(VALUE_SIZE_BYTES))
    }
}

/// Pieces of which nobody cares where they come from.
fn cut(bytes: &[u8]) -> Vec<Piece<'_>> {
    bytes.chunks(JOB_SIZE_BYTES_MAX).map(|bytes| Piece { bytes, first: 0, is_root: false }).collect()
}

impl Work {
    /// How many values a piece gives.
    fn values(self, piece: &Piece<'_>) -> usize {
        match self {
            Self::Blake3 => 1,
            Self::Leaves => piece.bytes.len().div_ceil(VERITY_LEAF_SIZE_BYTES),
            Self::Nothing => 0,
        }
    }
}

impl Hasher for Cuda {
    fn name(&self) -> &'static str {
        NAME
    }

    fn window_size_bytes(&self) -> usize {
        WINDOW_SIZE_BYTES
    }

    fn files_in_parallel(&self) -> usize {
        FILES_IN_PARALLEL
    }

    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        let chunks = (window.offset_bytes() / CHUNK_SIZE_BYTES..).step_by(SUBTREE_SIZE_BYTES / blake3::CHUNK_LEN);
        let pieces: Vec<_> = window
            .bytes()
            .chunks(SUBTREE_SIZE_BYTES)
            .zip(chunks)
            .map(|(bytes, first)| Piece { bytes, first, is_root: false })
            .collect();
        self.values(Work::Blake3, &pieces)
    }

    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        let pieces: Vec<_> = files.iter().map(|bytes| Piece { bytes, first: 0, is_root: true }).collect();
        if pieces.iter().any(|piece| piece.bytes.len() > JOB_SIZE_BYTES_MAX) {
            return self.cpu.roots(files);
        }
        self.values(Work::Blake3, &pieces).into_iter().map(Blake3Digest::from_bytes).collect()
    }

    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        self.values(Work::Leaves, &cut(bytes)).into_iter().map(Sha256Digest::from_bytes).collect()
    }

    fn upload(&self, bytes: &[u8]) -> bool {
        self.values(Work::Nothing, &cut(bytes));
        self.fault.get().is_none()
    }

    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        self.cpu.extend(state, bytes);
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        self.cpu.both(first, second);
    }

    fn health(&self) -> Result<(), EngineFault> {
        self.fault.get().map_or(Ok(()), |fault| Err(fault.clone()))
    }
}

/// [`blake3::CHUNK_LEN`], as offsets are counted.
const CHUNK_SIZE_BYTES: u64 = 1024;
const _: () = assert!(blake3::CHUNK_LEN == 1024);
