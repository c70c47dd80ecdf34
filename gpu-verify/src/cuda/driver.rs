//! The CUDA driver as safe types, as far as hashing needs it. With `slot.rs` and `kernels.rs` the only place with unsafe code.
//!
//! Three rules make it sound. Nothing is called before [`Device::open`] has found the driver, because cudarc panics without
//! one. Memory is freed only when the device has nothing left to do. Bytes that a copy under way still reads or writes are
//! inside a `Slot` (`slot.rs`), which lends them only after it has waited.

#![expect(unsafe_code, reason = "calls into the CUDA driver")]

use core::ffi::c_int;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUdevice_attribute, CUevent_flags, CUevent_wait_flags, CUpointer_attribute};
use cudarc::driver::{DriverError, result};

use super::error::CudaError;
use crate::machine::CudaDevice;

/// Size of a handle to memory of another process (`CUipcMemHandle`), in bytes.
pub const IPC_HANDLE_SIZE_BYTES: usize = 64;

/// All that is called here and in `slot.rs`.
const FUNCTIONS: [&str; 34] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGet",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuStreamCreate",
    "cuStreamSynchronize",
    "cuStreamDestroy_v2",
    "cuStreamWaitEvent",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventElapsedTime",
    "cuEventDestroy_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemGetAddressRange_v2",
    "cuPointerGetAttribute",
    "cuIpcOpenMemHandle_v2",
    "cuIpcCloseMemHandle",
    "cuIpcGetMemHandle",
];
/// Needed to run kernels.
const KERNEL_FUNCTIONS: [&str; 5] =
    ["cuModuleLoadData", "cuModuleUnload", "cuModuleGetFunction", "cuFuncSetAttribute", "cuLaunchKernel"];

/// What failed, in the driver's words.
pub(super) fn call(what: &'static str) -> impl Fn(DriverError) -> CudaError {
    move |fault| CudaError::Call { what, fault: words(fault) }
}

fn words(fault: DriverError) -> String {
    match (fault.error_name(), fault.error_string()) {
        (Ok(name), Ok(text)) => format!("{}, {}", name.to_string_lossy(), text.to_string_lossy()),
        _ => format!("error {:?}", fault.0),
    }
}

/// A GPU, and the context that every library of this process shares.
#[derive(Debug)]
pub(super) struct Device {
    raw: sys::CUdevice,
    context: sys::CUcontext,
    ordinal: u32,
}

// SAFETY: the driver takes contexts from any thread (CUDA C++ Programming Guide, "Driver API", "Context").
unsafe impl Send for Device {}
// SAFETY: as above; the driver does its own locking.
unsafe impl Sync for Device {}

impl Device {
    /// Finds the driver; how many GPUs it shows.
    fn count() -> Result<u32, CudaError> {
        // SAFETY: loads a library by the driver's name; whoever can put another in its place runs as this user anyway.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        for function in FUNCTIONS.into_iter().chain(KERNEL_FUNCTIONS) {
            // SAFETY: the library is there, and the symbol is not called through this type.
            if unsafe { sys::culib().get::<unsafe extern "C" fn()>(function.as_bytes()) }.is_err() {
                return Err(CudaError::OldDriver { function });
            }
        }
        match result::init().and_then(|()| result::device::get_count()) {
            Ok(count) => Ok(u32::try_from(count).unwrap_or(0)),
            Err(fault) if fault.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => Ok(0),
            Err(fault) => Err(call("start")(fault)),
        }
    }

    /// The GPUs, as the driver describes them.
    pub(super) fn list() -> Result<Vec<CudaDevice>, CudaError> {
        let count = Self::count()?;
        let mut version = 0;
        // SAFETY: the place is valid.
        unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().map_err(call("say its version"))?;
        let describe = |ordinal: u32| {
            let what = "describe the GPU";
            let raw = result::device::get(c_int::try_from(ordinal).unwrap_or(c_int::MAX)).map_err(call(what))?;
            // SAFETY: the device is one the driver has just named, here and below.
            let attribute = |attribute| unsafe { result::device::get_attribute(raw, attribute) }.map_err(call(what));
            let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
            let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
            // SAFETY: as above.
            let memory_size_bytes = unsafe { result::device::total_mem(raw) }.map_err(call(what))?;
            Ok(CudaDevice {
                name: result::device::get_name(raw).map_err(call(what))?,
                driver: format!("{}.{}", version / 1000, version % 1000 / 10),
                capability: format!("{major}.{minor}"),
                memory_size_bytes: u64::try_from(memory_size_bytes).unwrap_or(u64::MAX),
            })
        };
        (0..count).map(describe).collect()
    }

    /// Finds the driver and opens a GPU by number.
    pub(super) fn open(ordinal: u32) -> Result<Arc<Self>, CudaError> {
        let count = Self::count()?;
        let number = c_int::try_from(ordinal).ok().filter(|_| ordinal < count);
        let number = number.ok_or(CudaError::NoDevice { ordinal, count })?;
        let raw = result::device::get(number).map_err(call("open the GPU"))?;
        // SAFETY: the device is one the driver has just named. Released in `drop`.
        let context = unsafe { result::primary_ctx::retain(raw) }.map_err(call("open a context"))?;
        Ok(Arc::new(Self { raw, context, ordinal }))
    }

    /// Its number.
    pub(super) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Its name, such as `NVIDIA H200`.
    pub(super) fn name(&self) -> Result<String, CudaError> {
        result::device::get_name(self.raw).map_err(call("name the GPU"))
    }

    /// Its compute capability.
    pub(super) fn capability(&self) -> Result<(i32, i32), CudaError> {
        let major = self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok((major, minor))
    }

    /// How many multiprocessors it has, and their highest clock in kHz.
    pub(super) fn multiprocessors(&self) -> Result<(i32, i32), CudaError> {
        let count = self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let clock = self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?;
        Ok((count, clock))
    }

    fn attribute(&self, attribute: CUdevice_attribute) -> Result<i32, CudaError> {
        // SAFETY: the device is open.
        unsafe { result::device::get_attribute(self.raw, attribute) }.map_err(call("describe the GPU"))
    }

    /// Makes the context the one of this thread; everything else relies on it.
    pub(super) fn enter(&self) -> Result<(), CudaError> {
        // SAFETY: the context is retained for as long as `self` is there.
        unsafe { result::ctx::set_current(self.context) }.map_err(call("enter the context"))
    }

    /// Waits until everything that this process has asked of the GPU is done.
    pub(super) fn finish(&self) -> Result<(), CudaError> {
        self.enter()?;
        result::ctx::synchronize().map_err(call("finish its work"))
    }

    /// Whether `address` is in the memory of this GPU; if not, what is there.
    pub(super) fn holds(&self, address: u64) -> Result<(), &'static str> {
        let nothing = "nothing that CUDA knows is there";
        self.enter().map_err(|_| nothing)?;
        let mut kind = 0_u32;
        let mut ordinal = -1_i32;
        // SAFETY: both attributes are of 32 bits, as the variables are; any address may be asked about.
        let (kind_found, ordinal_found) = unsafe {
            let kind = sys::cuPointerGetAttribute(
                (&raw mut kind).cast(),
                CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                address,
            );
            let ordinal = sys::cuPointerGetAttribute(
                (&raw mut ordinal).cast(),
                CUpointer_attribute::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                address,
            );
            (kind.result(), ordinal.result())
        };
        match (kind_found, ordinal_found) {
            (Ok(()), Ok(())) if kind == DEVICE_MEMORY && u32::try_from(ordinal) == Ok(self.ordinal) => Ok(()),
            (Ok(()), Ok(())) if kind == DEVICE_MEMORY => Err("it is in the memory of another GPU"),
            (Ok(()), _) => Err("it is in the memory of the machine"),
            _ => Err(nothing),
        }
    }

    /// How many bytes are allocated from `address` on, up to `wanted`.
    pub(super) fn allocated_from(&self, address: u64, wanted_bytes: u64) -> Result<u64, CudaError> {
        self.enter()?;
        let mut found_bytes = 0_u64;
        // Memory that is mapped piece by piece (PyTorch's expandable segments) has a range for each piece.
        while found_bytes < wanted_bytes {
            let at = address.saturating_add(found_bytes);
            let (mut base, mut size_bytes) = (0_u64, 0_usize);
            // SAFETY: both places are valid; any address may be asked about.
            let range = unsafe { sys::cuMemGetAddressRange_v2(&raw mut base, &raw mut size_bytes, at) }.result();
            let end = base.saturating_add(u64::try_from(size_bytes).unwrap_or(0));
            if range.is_err() || end <= at {
                break;
            }
            found_bytes = end.saturating_sub(address);
        }
        Ok(found_bytes.min(wanted_bytes))
    }
}

/// `CU_MEMORYTYPE_DEVICE`, as the attribute of a pointer is given.
const DEVICE_MEMORY: u32 = 2;

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: retained in `open`, and nothing that uses it is left: all of it holds an `Arc` of this.
        let _ = unsafe { result::primary_ctx::release(self.raw) };
    }
}

/// Memory of the GPU.
#[derive(Debug)]
pub(super) struct Memory {
    device: Arc<Device>,
    address: u64,
    size_bytes: usize,
}

impl Memory {
    /// As many bytes, whatever they hold.
    pub(super) fn new(device: &Arc<Device>, size_bytes: usize) -> Result<Self, CudaError> {
        device.enter()?;
        // SAFETY: a size that is not 0; freed in `drop`.
        let address = unsafe { result::malloc_sync(size_bytes.max(1)) }.map_err(call("allocate memory of the GPU"))?;
        Ok(Self { device: Arc::clone(device), address, size_bytes })
    }

    /// Where it starts, as the GPU sees it.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// Its size in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// All of it, for kernels to write to.
    pub(super) fn room(&self) -> Room {
        Room { address: self.address, size_bytes: self.size_bytes }
    }

    /// A handle with which another process can open it.
    #[cfg(test)]
    pub(super) fn ipc_handle(&self) -> Result<[u8; IPC_HANDLE_SIZE_BYTES], CudaError> {
        self.device.enter()?;
        let mut handle = sys::CUipcMemHandle { reserved: [0; IPC_HANDLE_SIZE_BYTES] };
        // SAFETY: the place is valid and the memory allocated.
        unsafe { sys::cuIpcGetMemHandle(&raw mut handle, self.address) }.result().map_err(call("export memory"))?;
        Ok(handle.reserved.map(i8::cast_unsigned))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // After an error nothing may be known about what still runs; the driver refuses then, and the memory is kept.
        if self.device.finish().is_ok() {
            // SAFETY: allocated in `new`, freed once, and nothing on the device can use it any more.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// Where a kernel may write: memory that is there for as long as the kernel runs, since none is freed before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) address: u64,
    pub(super) size_bytes: usize,
}

/// Memory of another process.
#[derive(Debug)]
pub(super) struct Shared {
    device: Arc<Device>,
    address: u64,
}

impl Shared {
    /// Opens what another process exported; the driver's words where it can't.
    pub(super) fn open(device: &Arc<Device>, handle: [u8; IPC_HANDLE_SIZE_BYTES]) -> Result<Self, String> {
        device.enter().map_err(|error| error.to_string())?;
        let handle = sys::CUipcMemHandle { reserved: handle.map(u8::cast_signed) };
        let mut address = 0;
        // SAFETY: the place is valid; the driver checks the handle. Closed in `drop`.
        unsafe { sys::cuIpcOpenMemHandle_v2(&raw mut address, handle, IPC_LAZY_PEER_ACCESS) }
            .result()
            .map_err(words)?;
        Ok(Self { device: Arc::clone(device), address })
    }

    /// Where it starts, as this process sees it.
    pub(super) fn address(&self) -> u64 {
        self.address
    }
}

/// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`, the only flag there is, which the driver wants.
const IPC_LAZY_PEER_ACCESS: u32 = 1;

impl Drop for Shared {
    fn drop(&mut self) {
        if self.device.finish().is_ok() {
            // SAFETY: opened in `open`, closed once, and nothing on the device can use it any more.
            let _ = unsafe { sys::cuIpcCloseMemHandle(self.address) };
        }
    }
}

/// A queue of work for the GPU.
#[derive(Debug)]
pub(super) struct Stream {
    device: Arc<Device>,
    pub(super) raw: sys::CUstream,
}

// SAFETY: the driver takes streams from any thread.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    /// An empty queue that waits for no other.
    pub(super) fn new(device: &Arc<Device>) -> Result<Self, CudaError> {
        device.enter()?;
        let raw = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(call("make a stream"))?;
        Ok(Self { device: Arc::clone(device), raw })
    }

    /// The device, entered.
    pub(super) fn device(&self) -> Result<&Arc<Device>, CudaError> {
        self.device.enter()?;
        Ok(&self.device)
    }

    /// Waits until everything in it is done.
    pub(super) fn finish(&self) -> Result<(), CudaError> {
        self.device.enter()?;
        // SAFETY: the stream is there until `drop`.
        unsafe { result::stream::synchronize(self.raw) }.map_err(call("hash"))
    }

    /// Lets what follows wait for an event.
    pub(super) fn wait_for(&self, event: &Event) -> Result<(), CudaError> {
        // SAFETY: stream and event are there; the only flag is the default.
        unsafe { result::stream::wait_event(self.raw, event.raw, CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT) }
            .map_err(call("wait for a copy"))
    }

    /// Memory of the GPU with these bytes. Waits.
    pub(super) fn uploaded(&self, bytes: &[u8]) -> Result<Memory, CudaError> {
        let memory = Memory::new(&self.device, bytes.len())?;
        if !bytes.is_empty() {
            // SAFETY: the memory is as large as the bytes, and both are there until the copy is done: see `finish`.
            unsafe { result::memcpy_htod_async(memory.address, bytes, self.raw) }.map_err(call("copy to the GPU"))?;
        }
        self.finish()?;
        Ok(memory)
    }

    /// A part of memory of the GPU, as far as it goes, behind everything in the queue. Waits.
    pub(super) fn downloaded(&self, memory: &Memory, start: usize, size_bytes: usize) -> Result<Vec<u8>, CudaError> {
        let mut bytes = vec![0; size_bytes.min(memory.size_bytes.saturating_sub(start))];
        if !bytes.is_empty() {
            self.device.enter()?;
            let address = memory.address.saturating_add(u64::try_from(start).unwrap_or(u64::MAX));
            // SAFETY: the memory goes on for at least as long, and both are there until the copy is done.
            unsafe { result::memcpy_dtoh_async(&mut bytes, address, self.raw) }.map_err(call("copy from the GPU"))?;
        }
        self.finish()?;
        Ok(bytes)
    }

    /// The bytes at an address of the GPU, behind everything in the queue; the driver refuses what is not allocated. Waits.
    pub(super) fn bytes_at(&self, address: u64, size_bytes: usize) -> Result<Vec<u8>, CudaError> {
        let mut bytes = vec![0; size_bytes];
        if !bytes.is_empty() {
            self.device.enter()?;
            // SAFETY: the place is as large as what is copied, and there until the copy is done; the driver checks the
            // address.
            unsafe { result::memcpy_dtoh_async(&mut bytes, address, self.raw) }.map_err(call("copy from the GPU"))?;
        }
        self.finish()?;
        Ok(bytes)
    }

    /// Copies memory of the GPU to a place in other memory of it, as far as both reach. Does not wait.
    pub(super) fn copy(&self, from: &Memory, to: &Memory, start: usize) -> Result<(), CudaError> {
        self.device.enter()?;
        let size_bytes = from.size_bytes.min(to.size_bytes.saturating_sub(start));
        let address = to.address.saturating_add(u64::try_from(start).unwrap_or(u64::MAX));
        // SAFETY: neither end is passed, and memory is freed only when the device has finished.
        unsafe { result::memcpy_dtod_async(address, from.address, size_bytes, self.raw) }
            .map_err(call("copy on the GPU"))
    }

    /// How long `work`, put into this queue, takes on the GPU, in milliseconds. Waits.
    pub(super) fn timed_ms(&self, work: impl FnOnce() -> Result<(), CudaError>) -> Result<f32, CudaError> {
        let (start, end) = (Event::new(&self.device)?, Event::new(&self.device)?);
        start.record(self)?;
        work()?;
        end.record(self)?;
        self.finish()?;
        start.before_ms(&end)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.device.enter().is_ok() {
            // SAFETY: made in `new`, destroyed once; what is still in the queue goes on.
            let _ = unsafe { result::stream::destroy(self.raw) };
        }
    }
}

/// A point in a queue.
#[derive(Debug)]
pub(super) struct Event {
    device: Arc<Device>,
    raw: sys::CUevent,
}

impl Event {
    pub(super) fn new(device: &Arc<Device>) -> Result<Self, CudaError> {
        Self::with(device, CUevent_flags::CU_EVENT_DEFAULT)
    }

    /// One that says only whether it has happened.
    pub(super) fn without_time(device: &Arc<Device>) -> Result<Self, CudaError> {
        Self::with(device, CUevent_flags::CU_EVENT_DISABLE_TIMING)
    }

    fn with(device: &Arc<Device>, flags: CUevent_flags) -> Result<Self, CudaError> {
        device.enter()?;
        let raw = result::event::create(flags).map_err(call("make an event"))?;
        Ok(Self { device: Arc::clone(device), raw })
    }

    /// Waits until it has happened; at once if it was never recorded.
    pub(super) fn wait(&self) -> Result<(), CudaError> {
        self.device.enter()?;
        // SAFETY: the event is there.
        unsafe { result::event::synchronize(self.raw) }.map_err(call("hash"))
    }

    pub(super) fn record(&self, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: event and stream are there.
        unsafe { result::event::record(self.raw, stream.raw) }.map_err(call("record an event"))
    }

    /// Milliseconds from this to another, after both.
    pub(super) fn before_ms(&self, end: &Self) -> Result<f32, CudaError> {
        // SAFETY: the events are there; the driver refuses those that have not happened.
        unsafe { result::event::elapsed(self.raw, end.raw) }.map_err(call("measure time"))
    }
}

// SAFETY: the driver takes events from any thread.
unsafe impl Send for Event {}

impl Drop for Event {
    fn drop(&mut self) {
        if self.device.enter().is_ok() {
            // SAFETY: made in `new`, destroyed once.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}
