//! Hashing what lies in a GPU's memory already, in place: nothing but digests comes back to the host.
//!
//! A tensor is found by its address in this process or by a handle that another process exported, and is read at any address
//! and in any length. Its BLAKE3 is the digest of its bytes, the one that stands in a manifest beside a tensor's name.

use std::collections::HashMap;

use blake3::hazmat::{ChainingValue, HasherExt as _};
use chopmark_core::digest::{Blake3Digest, Sha256Digest};

pub use super::driver::IPC_HANDLE_SIZE_BYTES;
use super::driver::{Memory, Shared, Stream};
use super::error::CudaError;
use super::kernels::{Gpu, JOB_SIZE_BYTES_MAX, Job, Span, VALUE_SIZE_BYTES};
use crate::checked::{is_drawn, seed};
use crate::hasher::{VERITY_LEAF_SIZE_BYTES, verity_leaf};
use crate::sha256::verity_leaves;
use crate::tree::Tree;
use crate::verity::{FsverityDigest, VerityTree};

/// Tensors of about so many bytes are hashed together, so that the leaf hashes of fs-verity trees (1/128 of this) and
/// tables take little of a GPU that may be almost full. One larger tensor is hashed alone.
const BATCH_SIZE_BYTES: u64 = 8 << 30;
/// Bytes behind a job that let its last rows be read in whole units (`stage.cuh`).
const UNIT_SIZE_BYTES: u64 = 16;

/// Largest level of fs-verity trees that is copied to the host whole.
const LEVEL_SIZE_BYTES_COPIED_MAX: usize = 1 << 20;

/// Where a tensor's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At an address in the memory of the GPU, in this process.
    Address(u64),
    /// In memory of another process, which exported it with `cuIpcGetMemHandle`.
    Ipc {
        /// The handle.
        handle: [u8; IPC_HANDLE_SIZE_BYTES],
        /// Where the tensor starts in what the handle opens, in bytes.
        offset_bytes: u64,
    },
}

/// A tensor in the memory of a GPU: contiguous bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// Its name, for errors and results.
    pub name: String,
    /// Where it is; of no importance where it is empty.
    pub place: Place,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// The digests of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidentDigests {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: Blake3Digest,
    /// The fs-verity digest that a file of these bytes would have, if asked for.
    pub fsverity: Option<FsverityDigest>,
}

/// Hashes tensors in the memory of `gpu`, in the order given. Waits first for all work of this process on that GPU; another
/// process must itself have waited for what it writes. Whoever writes to a tensor meanwhile gets a digest of nothing in
/// particular.
///
/// # Errors
/// [`CudaError`] naming the tensor that is not in the GPU's memory or is shorter than it is said to be, or what the driver
/// could not do. Nothing is hashed then.
pub fn hash_resident(gpu: &Gpu, tensors: &[Resident], with_fsverity: bool) -> Result<Vec<ResidentDigests>, CudaError> {
    hash(gpu, tensors, with_fsverity, None)
}

/// As [`hash_resident`]; one result in [`crate::checked::CHECKED_ONE_IN`], drawn at random, and at least one is computed
/// again on the CPU, for which its bytes, at most 1 MiB each, are copied to the host. So is all that puts results together.
///
/// # Errors
/// As [`hash_resident`]; [`CudaError::Disagrees`] when the CPU comes to another result.
pub fn hash_resident_sampled(
    gpu: &Gpu,
    tensors: &[Resident],
    with_fsverity: bool,
) -> Result<(Vec<ResidentDigests>, Sampled), CudaError> {
    let mut sample = Sample { seed: seed(), sampled: Sampled::default() };
    let digests = hash(gpu, tensors, with_fsverity, Some(&mut sample))?;
    Ok((digests, sample.sampled))
}

fn hash(
    gpu: &Gpu,
    tensors: &[Resident],
    with_fsverity: bool,
    mut sample: Option<&mut Sample>,
) -> Result<Vec<ResidentDigests>, CudaError> {
    gpu.device().finish()?;
    let mut opened = HashMap::new();
    let mut found = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let address = address(gpu, tensor, &mut opened)?;
        found.push((tensor, address));
    }
    let stream = Stream::new(gpu.device())?;
    let mut digests = Vec::with_capacity(tensors.len());
    let mut rest = found.as_slice();
    while !rest.is_empty() {
        let mut size_bytes = 0_u64;
        let fit = rest.iter().take_while(|(tensor, _)| {
            size_bytes = size_bytes.saturating_add(tensor.size_bytes);
            size_bytes <= BATCH_SIZE_BYTES
        });
        let (batch, after) = rest.split_at(fit.count().clamp(1, rest.len()));
        let blake3 = roots(gpu, &stream, batch, sample.as_deref_mut())?;
        let fsverity =
            if with_fsverity { Some(verity_roots(gpu, &stream, batch, sample.as_deref_mut())?) } else { None };
        for (index, ((tensor, _), blake3)) in batch.iter().zip(blake3).enumerate() {
            let root = fsverity.as_ref().and_then(|roots| roots.get(index));
            digests.push(ResidentDigests {
                name: tensor.name.clone(),
                size_bytes: tensor.size_bytes,
                blake3: Blake3Digest::from_bytes(blake3),
                fsverity: root.map(|root| FsverityDigest::above(&Sha256Digest::from_bytes(*root), tensor.size_bytes)),
            });
        }
        rest = after;
    }
    Ok(digests)
}

/// Where a tensor starts, as the GPU sees it, after a look whether all of it is there.
fn address(
    gpu: &Gpu,
    tensor: &Resident,
    opened: &mut HashMap<[u8; IPC_HANDLE_SIZE_BYTES], Shared>,
) -> Result<u64, CudaError> {
    let name = || tensor.name.clone();
    if tensor.size_bytes == 0 {
        return Ok(0);
    }
    let address = match tensor.place {
        Place::Address(address) => address,
        Place::Ipc { handle, offset_bytes } => {
            let base = if let Some(shared) = opened.get(&handle) {
                shared.address()
            } else {
                // The driver opens a handle once; tensors of one allocation share it.
                let shared =
                    Shared::open(gpu.device(), handle).map_err(|fault| CudaError::Handle { name: name(), fault })?;
                let base = shared.address();
                opened.insert(handle, shared);
                base
            };
            base.saturating_add(offset_bytes)
        }
    };
    let device = gpu.device();
    device.holds(address).map_err(|found| CudaError::NotResident {
        name: name(),
        address,
        ordinal: device.ordinal(),
        found,
    })?;
    let available_bytes = device.allocated_from(address, tensor.size_bytes)?;
    if available_bytes < tensor.size_bytes {
        return Err(CudaError::TooShort { name: name(), size_bytes: tensor.size_bytes, available_bytes });
    }
    Ok(address)
}

type Found<'a> = (&'a Resident, u64);

/// The jobs that `size_bytes` at `address` are cut into; `first` counts on by `step` from job to job.
fn jobs(address: u64, size_bytes: u64, first: u64, step: u64) -> impl Iterator<Item = Job> {
    let job_size_bytes = u64::try_from(JOB_SIZE_BYTES_MAX).unwrap_or(u64::MAX);
    let count = size_bytes.div_ceil(job_size_bytes).max(1);
    (0..count).map(move |index| {
        let before_bytes = index.saturating_mul(job_size_bytes);
        let left_bytes = size_bytes.saturating_sub(before_bytes);
        Job {
            address: address.saturating_add(before_bytes),
            first: first.saturating_add(index.saturating_mul(step)),
            size_bytes: u32::try_from(left_bytes.min(job_size_bytes)).unwrap_or(0),
            is_root: count == 1,
            goes_on: left_bytes >= job_size_bytes.saturating_add(UNIT_SIZE_BYTES),
        }
    })
}

/// The BLAKE3 root of each tensor.
fn roots(
    gpu: &Gpu,
    stream: &Stream,
    tensors: &[Found<'_>],
    sample: Option<&mut Sample>,
) -> Result<Vec<[u8; VALUE_SIZE_BYTES]>, CudaError> {
    let chunks_in_job = u64::try_from(JOB_SIZE_BYTES_MAX / blake3::CHUNK_LEN).unwrap_or(u64::MAX);
    let (mut list, mut spans, mut firsts) = (Vec::new(), Vec::new(), Vec::with_capacity(tensors.len()));
    for (tensor, address) in tensors {
        let first = list.len();
        list.extend(jobs(*address, tensor.size_bytes, 0, chunks_in_job));
        let count = list.len();
        firsts.push(first);
        if count - first > 1 {
            let too_many = |_| CudaError::Call { what: "hash", fault: "too many bytes at once".to_owned() };
            let span = Span {
                first: u32::try_from(first).map_err(too_many)?,
                count: u32::try_from(count - first).map_err(too_many)?,
            };
            spans.push(span);
        }
    }
    let count = list.len();
    let mut table: Vec<u8> = list.iter().flat_map(|job| job.to_bytes()).collect();
    let spans_before = u64::try_from(table.len()).unwrap_or(u64::MAX);
    table.extend(spans.iter().flat_map(|span| span.to_bytes()));
    let jobs = stream.uploaded(&table)?;
    let spans_start = jobs.address().saturating_add(spans_before);
    let values = Memory::new(gpu.device(), count.saturating_mul(VALUE_SIZE_BYTES))?;
    gpu.subtrees(stream, jobs.address(), count, values.room())?;
    let parts = match &sample {
        Some(_) => stream.downloaded(&values, 0, count.saturating_mul(VALUE_SIZE_BYTES))?,
        None => Vec::new(),
    };
    gpu.roots(stream, spans_start, spans.len(), values.room())?;
    let values = stream.downloaded(&values, 0, count.saturating_mul(VALUE_SIZE_BYTES))?;
    let (values, _) = values.as_chunks();
    if let Some(sample) = sample {
        let (parts, _) = parts.as_chunks();
        sample.check(gpu, stream, &list, |index, job, bytes| {
            let expected = if job.is_root { *blake3::hash(bytes).as_bytes() } else { subtree(job, bytes) };
            Ok(parts.get(index) == Some(&expected))
        })?;
        for Span { first, count } in &spans {
            let first = usize::try_from(*first).unwrap_or(usize::MAX);
            let parts = parts.iter().skip(first).take(usize::try_from(*count).unwrap_or(usize::MAX));
            let mut tree = Tree::default();
            parts.for_each(|value| tree.push(*value));
            let root = tree.root().map(|root| *root.as_bytes());
            if root.is_none() || root.as_ref() != values.get(first) {
                return Err(CudaError::Disagrees { name: gpu.name().to_owned() });
            }
        }
    }
    Ok(firsts.into_iter().map(|first| values.get(first).copied().unwrap_or_default()).collect())
}

/// The root hash of each tensor's fs-verity tree: level by level, all tensors of a level in one launch.
fn verity_roots(
    gpu: &Gpu,
    stream: &Stream,
    tensors: &[Found<'_>],
    mut sample: Option<&mut Sample>,
) -> Result<Vec<[u8; VALUE_SIZE_BYTES]>, CudaError> {
    /// What is left to hash of a tensor: its index, where, and how many bytes.
    struct Level {
        index: usize,
        address: u64,
        size_bytes: u64,
    }
    let leaf_size_bytes = u64::try_from(VERITY_LEAF_SIZE_BYTES).unwrap_or(u64::MAX);
    let value_size_bytes = u64::try_from(VALUE_SIZE_BYTES).unwrap_or(u64::MAX);
    let leaves_in_job = u64::try_from(JOB_SIZE_BYTES_MAX / VERITY_LEAF_SIZE_BYTES).unwrap_or(u64::MAX);
    // A tensor without bytes has a root of zeros (Linux, "Merkle tree": "if the file is empty").
    let mut roots = vec![[0; VALUE_SIZE_BYTES]; tensors.len()];
    let mut level: Vec<Level> = tensors
        .iter()
        .enumerate()
        .filter(|(_, (tensor, _))| tensor.size_bytes > 0)
        .map(|(index, (tensor, address))| Level { index, address: *address, size_bytes: tensor.size_bytes })
        .collect();
    // The hashes below, which are read while the next level is made.
    let mut below: Option<Memory> = None;
    while !level.is_empty() {
        let (mut list, mut hashes) = (Vec::new(), 0_u64);
        for tree in &level {
            list.extend(jobs(tree.address, tree.size_bytes, hashes, leaves_in_job));
            hashes += tree.size_bytes.div_ceil(leaf_size_bytes);
        }
        let hash_count = usize::try_from(hashes).unwrap_or(usize::MAX);
        let table: Vec<u8> = list.iter().flat_map(|job| job.to_bytes()).collect();
        let jobs = stream.uploaded(&table)?;
        let memory = Memory::new(gpu.device(), hash_count.saturating_mul(VALUE_SIZE_BYTES))?;
        gpu.leaves(stream, jobs.address(), list.len(), hash_count, memory.room())?;
        if let Some(sample) = sample.as_deref_mut() {
            sample.check(gpu, stream, &list, |_, job, bytes| {
                let expected: Vec<u8> = verity_leaves(bytes).iter().flat_map(|leaf| *leaf.as_bytes()).collect();
                let start = usize::try_from(job.first).unwrap_or(usize::MAX).saturating_mul(VALUE_SIZE_BYTES);
                Ok(stream.downloaded(&memory, start, expected.len())? == expected)
            })?;
        }
        let mut first = 0_u64;
        let mut next = Vec::new();
        let mut done = Vec::new();
        for tree in &level {
            let leaves = tree.size_bytes.div_ceil(leaf_size_bytes);
            if leaves == 1 {
                done.push((tree.index, first));
            } else {
                next.push(Level {
                    index: tree.index,
                    address: memory.address().saturating_add(first.saturating_mul(value_size_bytes)),
                    size_bytes: leaves.saturating_mul(value_size_bytes),
                });
            }
            first += leaves;
        }
        // One copy where the level is small, as all but the lowest are; otherwise one for each tensor of a single block.
        let is_small = memory.size_bytes() <= LEVEL_SIZE_BYTES_COPIED_MAX;
        let all = if is_small { stream.downloaded(&memory, 0, memory.size_bytes())? } else { Vec::new() };
        for (index, first) in done {
            let start = usize::try_from(first).unwrap_or(usize::MAX).saturating_mul(VALUE_SIZE_BYTES);
            let one = if is_small { Vec::new() } else { stream.downloaded(&memory, start, VALUE_SIZE_BYTES)? };
            let hash = if is_small { all.get(start..).unwrap_or_default() } else { &one };
            if let (Some(root), Some((hash, _))) = (roots.get_mut(index), hash.split_first_chunk()) {
                *root = *hash;
            }
        }
        // What was below is freed only now, and only when the level made from it is complete.
        drop(below.replace(memory));
        level = next;
    }
    Ok(roots)
}

/// How many of the results of a GPU were computed again on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampled {
    /// Results: of at most 1 MiB each.
    pub results: u64,
    /// Those of them that the CPU computed again, and came to the same.
    pub checked: u64,
}

/// A sample of results that is drawn as they come.
struct Sample {
    seed: u64,
    sampled: Sampled,
}

impl Sample {
    /// Draws from the results of these jobs. `is_right` tells, from a job's place in the list, the job and its bytes,
    /// whether the GPU's result is what the CPU computes.
    fn check(
        &mut self,
        gpu: &Gpu,
        stream: &Stream,
        jobs: &[Job],
        is_right: impl Fn(usize, &Job, &[u8]) -> Result<bool, CudaError>,
    ) -> Result<(), CudaError> {
        for (index, job) in jobs.iter().enumerate() {
            let number = self.sampled.results;
            self.sampled.results += 1;
            if number > 0 && !is_drawn(self.seed, number) {
                continue;
            }
            let bytes = stream.bytes_at(job.address, usize::try_from(job.size_bytes).unwrap_or(usize::MAX))?;
            if !is_right(index, job, &bytes)? {
                return Err(CudaError::Disagrees { name: gpu.name().to_owned() });
            }
            self.sampled.checked += 1;
        }
        Ok(())
    }
}

/// The value of a job that is a part of a tensor.
fn subtree(job: &Job, bytes: &[u8]) -> ChainingValue {
    let chunk_size_bytes = u64::try_from(blake3::CHUNK_LEN).unwrap_or(u64::MAX);
    let mut state = blake3::Hasher::new();
    state.set_input_offset(job.first.saturating_mul(chunk_size_bytes)).update(bytes);
    state.finalize_non_root()
}

/// Whether the GPU gives the CPU's digests for some bytes, on every path of the kernels.
pub(super) fn known_answers(gpu: &Gpu) -> Result<(), CudaError> {
    let mut bytes = vec![0; JOB_SIZE_BYTES_MAX + 70_000];
    blake3::Hasher::new().update(b"known").finalize_xof().fill(&mut bytes);
    let memory = Stream::new(gpu.device())?.uploaded(&bytes)?;
    // A whole job and the part of one, at even and odd addresses, and less than a row.
    let parts = [0..bytes.len(), 1..40_001, 6..65_542, 3..1029, 4..7]
        .map(|part| (part.start, bytes.get(part).unwrap_or_default()));
    let tensors = parts.map(|(start, part)| Resident {
        name: String::new(),
        place: Place::Address(memory.address().saturating_add(u64::try_from(start).unwrap_or(u64::MAX))),
        size_bytes: crate::size_bytes(part),
    });
    let found = hash_resident(gpu, &tensors, true)?;
    let is_right = parts.iter().zip(&found).all(|((_, part), found)| {
        found.blake3 == Blake3Digest::of(part) && found.fsverity == Some(fsverity_on_cpu(part))
    });
    if is_right && found.len() == parts.len() {
        Ok(())
    } else {
        Err(CudaError::WrongAnswer { name: gpu.name().to_owned() })
    }
}

fn fsverity_on_cpu(bytes: &[u8]) -> FsverityDigest {
    let mut tree = VerityTree::default();
    bytes.chunks(VERITY_LEAF_SIZE_BYTES).for_each(|leaf| tree.push(verity_leaf(leaf)));
    tree.finish(crate::size_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_cut_into_jobs_that_cover_it_once() {
        let cut = |size_bytes| jobs(5, size_bytes, 0, 1024).collect::<Vec<_>>();
        let empty = cut(0);
        assert!(matches!(empty[..], [Job { size_bytes: 0, is_root: true, goes_on: false, .. }]));
        let one = cut(1 << 20);
        assert!(matches!(one[..], [Job { size_bytes: 0x10_0000, is_root: true, goes_on: false, .. }]));
        for (more, goes_on) in [(15, false), (16, true)] {
            let two = cut((1 << 20) + more);
            assert_eq!(two.len(), 2);
            assert_eq!((two[0].is_root, two[0].goes_on, two[0].address, two[0].first), (false, goes_on, 5, 0));
            assert_eq!(u64::from(two[1].size_bytes), more);
            assert_eq!((two[1].is_root, two[1].goes_on, two[1].address), (false, false, 5 + (1 << 20)));
            assert_eq!(two[1].first, 1024);
        }
        let many = cut(140 << 30);
        assert_eq!(many.iter().map(|job| u64::from(job.size_bytes)).sum::<u64>(), 140 << 30);
    }
}
