//! Bytes on their way to the GPU and back, in memory that the GPU reads and writes by itself.
//!
//! A [`Slot`] owns both ends of its copies; it lends its bytes only when nothing that uses them is under way.

#![expect(unsafe_code, reason = "hands pinned memory to the CUDA driver and back")]

use core::ffi::c_void;
use core::ops::Range;
use core::ptr;
use core::slice;
use std::sync::Arc;

use cudarc::driver::result;

use super::driver::{Device, Event, Memory, Room, Stream, call};
use super::error::CudaError;

/// Queues for kernels. With the one for copies they stay below the eight that a GPU serves independently by default
/// (`CUDA_DEVICE_MAX_CONNECTIONS`): more would wait for one another. Fewer would let single jobs, which take 0.1 ms, stand in
/// line.
const COMPUTE_QUEUES: usize = 6;

/// The queues that slots share: copies to the GPU follow one another without a gap, and kernels run beside them.
#[derive(Debug)]
pub(super) struct Queues {
    upload: Arc<Stream>,
    compute: Vec<Arc<Stream>>,
}

impl Queues {
    pub(super) fn new(device: &Arc<Device>) -> Result<Self, CudaError> {
        let compute = (0..COMPUTE_QUEUES).map(|_| Stream::new(device).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { upload: Arc::new(Stream::new(device)?), compute })
    }

    /// Slots that use the queues in turn.
    pub(super) fn slots(
        &self,
        device: &Arc<Device>,
        count: usize,
        input_bytes: usize,
        output_bytes: usize,
    ) -> Result<Vec<Slot>, CudaError> {
        let slot = |compute: &Arc<Stream>| {
            Ok(Slot {
                upload: Arc::clone(&self.upload),
                compute: Arc::clone(compute),
                uploaded: Event::without_time(device)?,
                done: Event::without_time(device)?,
                input: Pinned::new(device, input_bytes)?,
                memory: Memory::new(device, input_bytes)?,
                output: Pinned::new(device, output_bytes)?,
            })
        };
        self.compute.iter().cycle().take(count).map(slot).collect()
    }
}

/// Memory of the machine that the GPU reads and writes by itself, because the system can't move it.
#[derive(Debug)]
struct Pinned {
    device: Arc<Device>,
    start: *mut u8,
    size_bytes: usize,
}

// SAFETY: plain memory, owned.
unsafe impl Send for Pinned {}

impl Pinned {
    fn new(device: &Arc<Device>, size_bytes: usize) -> Result<Self, CudaError> {
        device.enter()?;
        // SAFETY: a size that is not 0; freed in `drop`.
        let start = unsafe { result::malloc_host(size_bytes.max(1), 0) }.map_err(call("pin memory"))?.cast::<u8>();
        // SAFETY: allocated with at least this size; never read before it is written.
        unsafe { ptr::write_bytes(start, 0, size_bytes) };
        Ok(Self { device: Arc::clone(device), start, size_bytes })
    }

    /// Only while the GPU does not use it: see [`Slot`].
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: allocated and initialised in `new`; borrowed from `self`.
        unsafe { slice::from_raw_parts_mut(self.start, self.size_bytes) }
    }

    /// The same for the GPU, at the same address (CUDA C++ Programming Guide, "Unified Virtual Address Space").
    fn room(&self) -> Room {
        let address = u64::try_from(self.start.expose_provenance()).unwrap_or(0);
        Room { address, size_bytes: self.size_bytes }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.device.finish().is_ok() {
            // SAFETY: allocated in `new`, freed once, and the GPU has finished.
            let _ = unsafe { result::free_host(self.start.cast::<c_void>()) };
        }
    }
}

/// Room for some bytes on their way to the GPU, their copy there, and what comes back.
#[derive(Debug)]
pub(super) struct Slot {
    upload: Arc<Stream>,
    compute: Arc<Stream>,
    uploaded: Event,
    done: Event,
    input: Pinned,
    memory: Memory,
    output: Pinned,
}

impl Slot {
    /// Where the copy on the GPU is.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The bytes to send. Waits for all work under way.
    pub(super) fn input(&mut self) -> Result<&mut [u8], CudaError> {
        self.done.wait()?;
        Ok(self.input.bytes())
    }

    /// What came back. Waits for all work under way.
    pub(super) fn output(&mut self) -> Result<&[u8], CudaError> {
        self.done.wait()?;
        Ok(self.output.bytes())
    }

    /// Starts copying a part of the input to the same place on the GPU, and behind that what `launch` starts there, which
    /// writes to the room it is given.
    pub(super) fn run(
        &mut self,
        part: Range<usize>,
        launch: impl FnOnce(&Stream, Room) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let started = self.start(part, launch);
        let noted = self.done.record(&self.compute);
        if started.is_err() || noted.is_err() {
            // `done` may say too early that the copy is over.
            self.compute.device()?.finish()?;
        }
        started.and(noted)
    }

    fn start(
        &mut self,
        part: Range<usize>,
        launch: impl FnOnce(&Stream, Room) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let what = "copy to the GPU";
        let missing = || CudaError::Call { what, fault: "there is no such part".to_owned() };
        let address = self.memory.address().saturating_add(u64::try_from(part.start).map_err(|_| missing())?);
        self.upload.device()?.enter()?;
        self.done.wait()?;
        let bytes = self.input.bytes().get(part).ok_or_else(missing)?;
        // SAFETY: the memory is as large as the input. Nobody gets at the input before `done`, and both are freed only when
        // the device has finished.
        unsafe { result::memcpy_htod_async(address, bytes, self.upload.raw) }.map_err(call(what))?;
        self.uploaded.record(&self.upload)?;
        self.compute.wait_for(&self.uploaded)?;
        launch(&self.compute, self.output.room())
    }

    /// How long copying the input to the GPU takes, in milliseconds. Waits.
    pub(super) fn timed_upload_ms(&mut self) -> Result<f32, CudaError> {
        let (start, end) = (Event::new(self.upload.device()?)?, Event::new(self.upload.device()?)?);
        start.record(&self.upload)?;
        self.run(0..self.input.size_bytes, |_, _| Ok(()))?;
        end.record(&self.upload)?;
        self.upload.finish()?;
        start.before_ms(&end)
    }
}
