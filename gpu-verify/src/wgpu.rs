//! The engine for any GPU with Vulkan, Metal or Direct3D 12, through wgpu; kernels in WGSL stand beside this file.
//!
//! Never used by itself but behind [`crate::checked::Checked`].

mod batch;
mod device;
mod slot;

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};

use self::batch::{Batch, CAPACITY_BYTES_MAX};
use self::device::Device;
use self::slot::{SLOTS, Slots};
use crate::engine::EngineError;
use crate::hasher::{EngineFault, Hasher, SUBTREE_SIZE_BYTES, Window};
use crate::machine::Adapter;

const NAME: &str = "wgpu";

/// Most bytes hashed by one dispatch. Large enough that starting it costs little beside copying it.
const BATCH_SIZE_BYTES_MAX: usize = 16 << 20;
/// Files open at a time, each with two windows of 64 MiB: the CPU computes their SHA-256 meanwhile.
const FILES_IN_PARALLEL: usize = 4;

/// One GPU.
pub struct Wgpu {
    device: Device,
    slots: Slots,
    adapter: Adapter,
    sizes: Sizes,
}

impl core::fmt::Debug for Wgpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Wgpu").field("adapter", &self.adapter).field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

/// How much goes to the device at a time, in bytes; both powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    /// All slots full, so that copying and hashing overlap within a window.
    window: usize,
    /// One slot full.
    batch: usize,
}

impl Sizes {
    /// What an adapter allows whose buffers have at most so many bytes; `None` where not even 1 MiB goes.
    fn of(limit_bytes: u64) -> Option<Self> {
        // Half of it, because a batch shares its staging buffer with the descriptions of its pieces.
        let limit_bytes = usize::try_from(limit_bytes / 2).unwrap_or(usize::MAX);
        let batch = (1 << limit_bytes.checked_ilog2()?).min(BATCH_SIZE_BYTES_MAX);
        (batch >= SUBTREE_SIZE_BYTES).then_some(Self { window: batch.saturating_mul(SLOTS), batch })
    }

    /// The largest buffer that a slot has.
    fn buffer_size_bytes_max(self) -> u64 {
        u64::try_from(self.batch).unwrap_or(u64::MAX).saturating_mul(2)
    }
}

const _: () = assert!(BATCH_SIZE_BYTES_MAX <= CAPACITY_BYTES_MAX && SLOTS.is_power_of_two());

/// The adapters of this machine, in the order in which they are tried.
pub(crate) fn adapters() -> Vec<Adapter> {
    device::find().into_iter().map(|found| found.description).collect()
}

impl Wgpu {
    /// Takes the first adapter that works into use: discrete before integrated, software last.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] when there is none.
    pub fn start() -> Result<Self, EngineError> {
        let mut reasons = Vec::new();
        for found in device::find() {
            match Self::open(&found) {
                Ok(engine) => return Ok(engine),
                Err(reason) => reasons.push(format!("{}: {reason}", found.description.name)),
            }
        }
        let reason = match reasons.as_slice() {
            [] => "there is no adapter; install a driver for Vulkan (on Debian mesa-vulkan-drivers or NVIDIA's)"
                .to_owned(),
            reasons => reasons.join("; "),
        };
        Err(EngineError::NoDevice { engine: NAME, reason })
    }

    fn open(found: &device::Found) -> Result<Self, String> {
        let sizes = found.sizes.ok_or("its buffers are too small")?;
        Self::open_with(found, sizes)
    }

    fn open_with(found: &device::Found, sizes: Sizes) -> Result<Self, String> {
        let device = Device::open(found, sizes.buffer_size_bytes_max())?;
        let slots = Slots::new(&device, sizes.batch);
        match device.fault() {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(Self { device, slots, adapter: found.description.clone(), sizes }),
        }
    }

    /// The adapter in use.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }
}

impl Hasher for Wgpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn window_size_bytes(&self) -> usize {
        self.sizes.window
    }

    fn files_in_parallel(&self) -> usize {
        FILES_IN_PARALLEL
    }

    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        self.slots.run(&self.device, Batch::of_window(window, self.sizes.batch))
    }

    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        let values = self.slots.run(&self.device, Batch::of_files(files, self.sizes.batch));
        values.into_iter().map(Blake3Digest::from_bytes).collect()
    }

    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        let values = self.slots.run(&self.device, Batch::of_leaves(bytes, self.sizes.batch));
        values.into_iter().map(Sha256Digest::from_bytes).collect()
    }

    fn upload(&self, bytes: &[u8]) -> bool {
        let copied = self.slots.run(&self.device, Batch::of_nothing_but_bytes(bytes, self.sizes.batch));
        copied.len() == bytes.len().div_ceil(self.sizes.batch)
    }

    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        state.update(bytes);
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        first();
        second();
    }

    fn health(&self) -> Result<(), EngineFault> {
        match self.device.fault() {
            Some(reason) => Err(EngineFault { engine: NAME, reason: reason.to_owned() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
