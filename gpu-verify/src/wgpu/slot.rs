//! The buffers of one dispatch, and the way of a batch through them: copied to staging memory, from there to the device,
//! hashed, and the values copied back.
//!
//! A slot is with one thread at a time. While one thread waits for a slot's values, others are filled and submitted.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::batch::{Batch, PIECE_SIZE_BYTES, PIECES_MAX, VALUE_SIZE_BYTES, VALUES_MAX};
use super::device::Device;

/// Slots of an engine: while one is copied and hashed, the next is filled; twice that for more than one thread.
pub(super) const SLOTS: usize = 4;
/// A dispatch takes milliseconds on a GPU and seconds in software; after this time the device hangs.
const WAIT_LIMIT: Duration = Duration::from_mins(2);

/// A result: a chaining value or a digest.
pub(super) type Value = [u8; VALUE_SIZE_BYTES];

/// Buffers for one batch. `staging` is mapped whenever the slot is idle.
pub(super) struct Slot {
    staging: ::wgpu::Buffer,
    data: ::wgpu::Buffer,
    pieces: ::wgpu::Buffer,
    values: ::wgpu::Buffer,
    read_back: ::wgpu::Buffer,
    bindings: ::wgpu::BindGroup,
}

/// A batch on its way.
struct Flight {
    slot: Slot,
    values: usize,
    submission: ::wgpu::SubmissionIndex,
    /// Whether both buffers could be mapped again.
    mapped: Receiver<bool>,
}

/// The slots, and who waits for them.
pub(super) struct Slots {
    free: Mutex<Vec<Slot>>,
    returned: Condvar,
    capacity_bytes: usize,
}

impl Slots {
    /// Makes the slots; whether there was memory for them is known to the device afterwards.
    pub(super) fn new(device: &Device, capacity_bytes: usize) -> Self {
        let free = (0..SLOTS).map(|_| Slot::new(device, capacity_bytes)).collect();
        Self { free: Mutex::new(free), returned: Condvar::new(), capacity_bytes }
    }

    /// Computes what the batches ask for, in order.
    ///
    /// Too few values when the device fails, which it knows afterwards.
    pub(super) fn run<'a>(&self, device: &Device, batches: impl Iterator<Item = Batch<'a>>) -> Vec<Value> {
        let mut values = Vec::new();
        if let Err(reason) = self.try_run(device, batches, &mut values) {
            device.fail(reason);
            // Whoever waits for a slot that will not come back looks at the device again.
            drop(self.free.lock());
            self.returned.notify_all();
        }
        values
    }

    fn try_run<'a>(
        &self,
        device: &Device,
        batches: impl Iterator<Item = Batch<'a>>,
        values: &mut Vec<Value>,
    ) -> Result<(), String> {
        let mut flights = VecDeque::new();
        for batch in batches {
            // Only who holds no slot waits for one, so that nobody waits for ever.
            let slot = match self.take(device, flights.is_empty()) {
                Some(slot) => slot,
                None => match flights.pop_front() {
                    Some(oldest) => land(device, oldest, values)?,
                    None => return Err("the device failed".to_owned()),
                },
            };
            flights.push_back(self.launch(device, slot, &batch)?);
        }
        for flight in flights {
            let slot = land(device, flight, values)?;
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
            self.returned.notify_one();
        }
        Ok(())
    }

    /// A free slot; `None` when there is none and waiting is not wanted, or of no use.
    fn take(&self, device: &Device, may_wait: bool) -> Option<Slot> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while free.is_empty() && may_wait && device.fault().is_none() {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        free.pop()
    }

    /// Fills a slot and submits it.
    fn launch(&self, device: &Device, slot: Slot, batch: &Batch<'_>) -> Result<Flight, String> {
        slot.fill(batch, self.capacity_bytes)?;
        slot.staging.unmap();
        let pieces_size_bytes = size(batch.pieces.len().saturating_mul(PIECE_SIZE_BYTES));
        let values_size_bytes = size(batch.values.saturating_mul(VALUE_SIZE_BYTES));
        let workgroups = u32::try_from(batch.workgroups()).map_err(|_| "a batch is too large".to_owned())?;
        let mut encoder = device.handle.create_command_encoder(&::wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&slot.staging, 0, &slot.data, 0, size(batch.size_bytes));
        encoder.copy_buffer_to_buffer(&slot.staging, size(self.capacity_bytes), &slot.pieces, 0, pieces_size_bytes);
        let mut pass = encoder.begin_compute_pass(&::wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(device.pipeline(batch.kernel));
        pass.set_bind_group(0, &slot.bindings, &[]);
        pass.dispatch_workgroups(workgroups, 1, 1);
        drop(pass);
        encoder.copy_buffer_to_buffer(&slot.values, 0, &slot.read_back, 0, values_size_bytes);
        let submission = device.queue.submit([encoder.finish()]);
        let (sender, mapped) = channel();
        let answer = |sender: Sender<bool>| {
            // Nobody listens any more when the flight was given up.
            move |result: Result<(), ::wgpu::BufferAsyncError>| {
                let _ = sender.send(result.is_ok());
            }
        };
        slot.read_back.map_async(::wgpu::MapMode::Read, .., answer(sender.clone()));
        slot.staging.map_async(::wgpu::MapMode::Write, .., answer(sender));
        Ok(Flight { slot, values: batch.values, submission, mapped })
    }
}

/// Waits for a batch and takes its values.
fn land(device: &Device, flight: Flight, values: &mut Vec<Value>) -> Result<Slot, String> {
    let Flight { slot, values: count, submission, mapped } = flight;
    let wait = ::wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(WAIT_LIMIT) };
    device.handle.poll(wait).map_err(|fault| format!("the device does not answer ({fault})"))?;
    if let Some(reason) = device.fault() {
        return Err(reason.to_owned());
    }
    // The callbacks have run by now, on this thread or on another one that was waiting.
    for _ in 0..2 {
        if mapped.recv_timeout(WAIT_LIMIT) != Ok(true) {
            return Err("its memory could not be mapped".to_owned());
        }
    }
    let range = ..size(count.saturating_mul(VALUE_SIZE_BYTES));
    let view = slot.read_back.get_mapped_range(range).map_err(|fault| format!("no values came back ({fault})"))?;
    let (found, _) = view.as_chunks::<VALUE_SIZE_BYTES>();
    values.extend_from_slice(found);
    drop(view);
    slot.read_back.unmap();
    Ok(slot)
}

impl Slot {
    fn new(device: &Device, capacity_bytes: usize) -> Self {
        use ::wgpu::BufferUsages as Usage;
        let pieces_size_bytes = size(PIECES_MAX * PIECE_SIZE_BYTES);
        let values_size_bytes = size(VALUES_MAX * VALUE_SIZE_BYTES);
        let buffer = |label, size, usage, mapped_at_creation| {
            let label = Some(label);
            device.handle.create_buffer(&::wgpu::BufferDescriptor { label, size, usage, mapped_at_creation })
        };
        let staging_size_bytes = size(capacity_bytes).saturating_add(pieces_size_bytes);
        let staging = buffer("staging", staging_size_bytes, Usage::MAP_WRITE | Usage::COPY_SRC, true);
        let data = buffer("data", size(capacity_bytes), Usage::STORAGE | Usage::COPY_DST, false);
        let pieces = buffer("pieces", pieces_size_bytes, Usage::STORAGE | Usage::COPY_DST, false);
        let values = buffer("values", values_size_bytes, Usage::STORAGE | Usage::COPY_SRC, false);
        let read_back = buffer("read back", values_size_bytes, Usage::MAP_READ | Usage::COPY_DST, false);
        let bindings = device.handle.create_bind_group(&::wgpu::BindGroupDescriptor {
            label: None,
            layout: &device.layout,
            entries: &[entry(0, &data), entry(1, &pieces), entry(2, &values)],
        });
        Self { staging, data, pieces, values, read_back, bindings }
    }

    /// Writes inputs, the zeros after them and the pieces.
    fn fill(&self, batch: &Batch<'_>, capacity_bytes: usize) -> Result<(), String> {
        let view = self.staging.get_mapped_range_mut(..);
        let mut view = view.map_err(|fault| format!("its memory cannot be written ({fault})"))?;
        let mut at = 0;
        for (start, bytes) in &batch.inputs {
            view.slice(at..*start).fill(0);
            at = start.saturating_add(bytes.len());
            view.slice(*start..at).copy_from_slice(bytes);
        }
        view.slice(at..batch.size_bytes).fill(0);
        let words = batch.pieces.iter().flatten().flat_map(|word| word.to_le_bytes());
        let words: Vec<u8> = words.collect();
        let end = capacity_bytes.saturating_add(words.len());
        view.slice(capacity_bytes..end).copy_from_slice(&words);
        Ok(())
    }
}

fn entry(binding: u32, buffer: &::wgpu::Buffer) -> ::wgpu::BindGroupEntry<'_> {
    ::wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }
}

/// As wgpu counts. No platform has sizes past 64 bits.
fn size(size_bytes: usize) -> u64 {
    u64::try_from(size_bytes).unwrap_or(u64::MAX)
}
