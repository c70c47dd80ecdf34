//! The compiled kernels, and a GPU that has them loaded.
//!
//! `kernels/built` holds machine code for compute capability 9.0 and PTX for others, compiled beforehand and compared with
//! its sources by `scripts/cuda-kernels.sh check` and by a test here. Nothing is compiled from C at run time.

#![expect(unsafe_code, reason = "loads and launches kernels")]

use core::ffi::c_void;
use std::ffi::CString;
use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::driver::{Device, Memory, Room, Stream, call};
use super::error::CudaError;
use super::resident::known_answers;
use crate::machine::CudaDevice;

const BLAKE3_MACHINE_CODE: &[u8] = include_bytes!("../../kernels/built/blake3.sm_90.cubin");
const BLAKE3_PTX: &[u8] = include_bytes!("../../kernels/built/blake3.ptx");
const SHA256_MACHINE_CODE: &[u8] = include_bytes!("../../kernels/built/sha256.sm_90.cubin");
const SHA256_PTX: &[u8] = include_bytes!("../../kernels/built/sha256.ptx");

/// Most bytes of one job, hashed by one block of threads.
pub(super) const JOB_SIZE_BYTES_MAX: usize = 1 << 20;
/// A job in the GPU's memory (`Job` in `kernels/stage.cuh`).
pub(super) const JOB_RECORD_SIZE_BYTES: usize = 24;
/// A chaining value, root or hash.
pub(super) const VALUE_SIZE_BYTES: usize = 32;
/// Tiles of `kernels/stage.cuh` for one warp: two of 32 × 64 bytes.
const TILES_SIZE_BYTES: u32 = 2 * 32 * 64;
const LANES: u32 = 32;

/// Some bytes in the GPU's memory to be hashed (`Job` in `kernels/stage.cuh`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Where they are.
    pub(super) address: u64,
    /// BLAKE3: the index of the first chunk in its file. SHA-256: the index of the first leaf's hash.
    pub(super) first: u64,
    /// How many, at most [`JOB_SIZE_BYTES_MAX`].
    pub(super) size_bytes: u32,
    /// A whole file or tensor: its root is wanted.
    pub(super) is_root: bool,
    /// At least 16 more bytes of the same memory follow.
    pub(super) goes_on: bool,
}

impl Job {
    pub(super) fn to_bytes(self) -> [u8; JOB_RECORD_SIZE_BYTES] {
        let mut bytes = [0; JOB_RECORD_SIZE_BYTES];
        let flags = u32::from(self.is_root) | (u32::from(self.goes_on) << 1);
        let parts: [&[u8]; 4] = [
            &self.address.to_ne_bytes(),
            &self.first.to_ne_bytes(),
            &self.size_bytes.to_ne_bytes(),
            &flags.to_ne_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }
}

/// The jobs' values of one file or tensor (`Span` in `kernels/blake3.cu`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Index of the first.
    pub(super) first: u32,
    /// How many.
    pub(super) count: u32,
}

impl Span {
    pub(super) fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(self.first.to_ne_bytes().into_iter().chain(self.count.to_ne_bytes())) {
            *to = from;
        }
        bytes
    }
}

/// Loaded code.
#[derive(Debug)]
struct Module {
    device: Arc<Device>,
    raw: sys::CUmodule,
}

// SAFETY: the driver takes modules and functions from any thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    fn load(device: &Arc<Device>, code: &[u8]) -> Result<Arc<Self>, CudaError> {
        device.enter()?;
        // PTX is read up to a zero; machine code knows its length.
        let mut code = code.to_vec();
        code.push(0);
        // SAFETY: either form, whole.
        let raw = unsafe { result::module::load_data(code.as_ptr().cast()) }.map_err(call("load the kernels"))?;
        Ok(Arc::new(Self { device: Arc::clone(device), raw }))
    }

    fn kernel(self: &Arc<Self>, name: &str, threads: u32, shared_bytes: u32) -> Result<Kernel, CudaError> {
        self.device.enter()?;
        let what = "find a kernel";
        let name = CString::new(name).map_err(|fault| CudaError::Call { what, fault: fault.to_string() })?;
        // SAFETY: the module is loaded, and is kept as long as the kernel.
        let raw = unsafe { result::module::get_function(self.raw, name) }.map_err(call(what))?;
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let shared = i32::try_from(shared_bytes).unwrap_or(i32::MAX);
        // SAFETY: as above.
        unsafe { result::function::set_function_attribute(raw, attribute, shared) }
            .map_err(call("give a kernel its shared memory"))?;
        Ok(Kernel { module: Arc::clone(self), raw, threads, shared_bytes })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.device.finish().is_ok() {
            // SAFETY: loaded in `load`, unloaded once, and nothing of it runs any more.
            let _ = unsafe { result::module::unload(self.raw) };
        }
    }
}

/// A kernel that takes a table, the place of its results, and the number 1.
#[derive(Debug)]
struct Kernel {
    module: Arc<Module>,
    raw: sys::CUfunction,
    threads: u32,
    shared_bytes: u32,
}

// SAFETY: as for `Module`, which it keeps.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

impl Kernel {
    /// Starts one block of threads for each entry of the table at `table`, which the kernel trusts.
    fn launch(&self, stream: &Stream, entries: usize, table: u64, results: u64) -> Result<(), CudaError> {
        self.module.device.enter()?;
        if entries == 0 {
            return Ok(());
        }
        let blocks = u32::try_from(entries)
            .map_err(|_| CudaError::Call { what: "start a kernel", fault: "too many entries".to_owned() })?;
        let one = 1_u32;
        let mut arguments: [*mut c_void; 3] = [
            (&raw const table).cast_mut().cast(),
            (&raw const results).cast_mut().cast(),
            (&raw const one).cast_mut().cast(),
        ];
        // SAFETY: the arguments are those of the kernel's signature and are read before this returns. What the kernel
        // reads and writes is in the GPU's memory, where `Gpu` has checked that results have room.
        unsafe {
            result::launch_kernel(
                self.raw,
                (blocks, 1, 1),
                (self.threads, 1, 1),
                self.shared_bytes,
                stream.raw,
                &mut arguments,
            )
        }
        .map_err(call("start a kernel"))
    }
}

/// Which form of the kernels to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Machine code where there is some for the GPU.
    Best,
    /// What the driver translates, everywhere.
    #[cfg_attr(not(test), expect(dead_code, reason = "tried by tests on GPUs that do not need it"))]
    Ptx,
}

/// The GPUs that the driver shows, in its order. None is taken into use.
///
/// # Errors
/// [`CudaError`] when there is no driver, or it can't describe them.
pub fn devices() -> Result<Vec<CudaDevice>, CudaError> {
    Device::list()
}

/// An NVIDIA GPU with the kernels loaded; clones share it.
#[derive(Debug, Clone)]
pub struct Gpu {
    device: Arc<Device>,
    kernels: Arc<Kernels>,
    name: String,
    capability: (i32, i32),
}

/// Bytes in the memory of a GPU, until this is dropped.
#[derive(Debug)]
pub struct Kept(Memory);

impl Kept {
    /// Where they start, as the GPU sees it.
    pub fn address(&self) -> u64 {
        self.0.address()
    }

    /// How many they are.
    pub fn size_bytes(&self) -> u64 {
        u64::try_from(self.0.size_bytes()).unwrap_or(u64::MAX)
    }
}

#[derive(Debug)]
struct Kernels {
    subtrees: Kernel,
    roots: Kernel,
    leaves: Kernel,
}

impl Gpu {
    /// Opens a GPU by number, as the driver counts (`CUDA_VISIBLE_DEVICES` has a say), loads the kernels, and hashes some
    /// bytes of which the CPU computes the digests, too.
    ///
    /// # Errors
    /// [`CudaError`] when there is no driver, no such GPU, one that is too old, or one that computes wrong digests.
    pub fn open(ordinal: u32) -> Result<Self, CudaError> {
        Self::open_with(ordinal, Code::Best)
    }

    pub(super) fn open_with(ordinal: u32, code: Code) -> Result<Self, CudaError> {
        let device = Device::open(ordinal)?;
        let name = device.name()?;
        let (major, minor) = device.capability()?;
        let (blake3, sha256) = match (major, minor, code) {
            // Machine code runs on its own major version, from its minor version on.
            (9, _, Code::Best) => (BLAKE3_MACHINE_CODE, SHA256_MACHINE_CODE),
            (8.., _, _) => (BLAKE3_PTX, SHA256_PTX),
            _ => return Err(CudaError::OldDevice { name, major, minor }),
        };
        let blake3 = Module::load(&device, blake3)?;
        let sha256 = Module::load(&device, sha256)?;
        // Threads and shared memory as the kernels' sources say.
        let tree_size_bytes = 1024 * 32;
        let kernels = Kernels {
            subtrees: blake3.kernel("blake3_subtrees", 16 * LANES, tree_size_bytes + 16 * TILES_SIZE_BYTES)?,
            roots: blake3.kernel("blake3_roots", 16 * LANES, 0)?,
            leaves: sha256.kernel("verity_leaves", 8 * LANES, 8 * TILES_SIZE_BYTES)?,
        };
        let gpu = Self { device, kernels: Arc::new(kernels), name, capability: (major, minor) };
        known_answers(&gpu)?;
        Ok(gpu)
    }

    /// Its name, such as `NVIDIA H200`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its compute capability: major and minor version.
    pub fn capability(&self) -> (i32, i32) {
        self.capability
    }

    /// The number it was opened by.
    pub fn ordinal(&self) -> u32 {
        self.device.ordinal()
    }

    /// How many multiprocessors it has, and their highest clock in kHz: what the arithmetic of hashing is bound by.
    ///
    /// # Errors
    /// When the driver can't say.
    pub fn multiprocessors(&self) -> Result<(i32, i32), CudaError> {
        self.device.multiprocessors()
    }

    /// Copies bytes into memory of the GPU, for whoever has none there yet.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn keep(&self, bytes: &[u8]) -> Result<Kept, CudaError> {
        Stream::new(&self.device)?.uploaded(bytes).map(Kept)
    }

    pub(super) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Starts hashing BLAKE3 jobs; each gives one value.
    pub(super) fn subtrees(&self, stream: &Stream, jobs: u64, count: usize, values: Room) -> Result<(), CudaError> {
        has_room(values, count)?;
        self.kernels.subtrees.launch(stream, count, jobs, values.address)
    }

    /// Starts merging spans of values; each root takes the place of its first value. The spans lie within the values.
    pub(super) fn roots(&self, stream: &Stream, spans: u64, count: usize, values: Room) -> Result<(), CudaError> {
        self.kernels.roots.launch(stream, count, spans, values.address)
    }

    /// Starts hashing fs-verity leaves; `leaves` of them over all jobs.
    pub(super) fn leaves(
        &self,
        stream: &Stream,
        jobs: u64,
        count: usize,
        leaves: usize,
        hashes: Room,
    ) -> Result<(), CudaError> {
        has_room(hashes, leaves)?;
        self.kernels.leaves.launch(stream, count, jobs, hashes.address)
    }
}

fn has_room(values: Room, count: usize) -> Result<(), CudaError> {
    if values.size_bytes / VALUE_SIZE_BYTES < count {
        let fault = format!("{count} results need more than {} bytes", values.size_bytes);
        return Err(CudaError::Call { what: "keep the results", fault });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chopmark_core::digest::Sha256Digest;

    /// What `scripts/cuda-kernels.sh` wrote when it compiled. Compiling again is that script's business.
    #[test]
    fn artefacts_belong_to_their_sources() {
        let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
        let record = std::fs::read_to_string(kernels.join("built/record.txt")).unwrap();
        let (mut sources, mut artefacts) = (Vec::new(), Vec::new());
        for line in record.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["compiler", "nvidia-cuda-nvrtc", version] => assert!(version.starts_with("13.0."), "{version}"),
                [kind, digest, name] => {
                    let path = if kind == "source" { kernels.join(name) } else { kernels.join("built").join(name) };
                    let found = Sha256Digest::of(&std::fs::read(&path).unwrap()).to_hex();
                    assert_eq!(found, digest, "{name}: run scripts/cuda-kernels.sh build");
                    if kind == "source" { sources.push(name.to_owned()) } else { artefacts.push(name.to_owned()) }
                }
                _ => panic!("{line}"),
            }
        }
        let mut found: Vec<_> = std::fs::read_dir(&kernels)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "built")
            .collect();
        found.sort();
        assert_eq!(sources, found, "every source is recorded");
        assert_eq!(artefacts, ["blake3.sm_90.cubin", "sha256.sm_90.cubin", "blake3.ptx", "sha256.ptx"]);
    }
}
