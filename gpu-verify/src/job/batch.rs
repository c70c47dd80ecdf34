//! Many small files at once: read one after the other into one buffer, then hashed together.
//!
//! Engines pay for each call, and a thread that is woken costs more than a small file; so a thread takes as many files as
//! fit into a piece.

use core::ops::Range;
use std::fs::File;
use std::mem;

use super::reading::{At, Reading};
use super::{Job, Results};
use crate::error::MeasureError;
use crate::hasher::VERITY_LEAF_SIZE_BYTES;
use crate::pass::{Buffers, PassError, read_some};
use crate::pickle;
use crate::sha256::Chain;

/// Most files in a batch, so that an interruption is noticed soon, however small they are.
pub(super) const BATCH_FILES_MAX: usize = 1024;

/// A file whose bytes lie in the buffer.
struct Held<'a> {
    reading: Reading<'a>,
    place: Range<usize>,
}

impl<'a> Job<'a> {
    /// Reads and hashes the small files at these places of the list.
    pub(super) fn batch(&self, places: Range<usize>, buffers: &mut Buffers, results: &mut Results) {
        let mut bytes = mem::take(&mut buffers.current);
        // One byte more, so that a file that grew is noticed without another call.
        bytes.resize(self.batch_size_bytes().saturating_add(1).max(bytes.len()), 0);
        let mut held: Vec<Held<'a>> = Vec::with_capacity(places.len());
        let mut used = 0;
        for (index, listed) in places.clone().zip(self.files.get(places).unwrap_or_default()) {
            let opened = if self.is_stopped() { Err(MeasureError::Interrupted) } else { self.open(index, listed) };
            let (reading, file) = match opened {
                Ok(opened) => opened,
                Err(fault) => {
                    self.fail(index, fault, results);
                    break;
                }
            };
            let size_bytes = usize::try_from(reading.before.size_bytes).unwrap_or(usize::MAX);
            let room = bytes.get_mut(used..).unwrap_or_default();
            if size_bytes >= room.len() || size_bytes > crate::SUBTREE_SIZE_BYTES {
                // It has grown since it was listed.
                let result = self.rest(reading, &file, buffers);
                self.put(index, result, results);
                continue;
            }
            match self.read_whole(&reading, &file, room) {
                Ok(()) => held.push(Held { reading, place: used..used.saturating_add(size_bytes) }),
                Err(fault) => {
                    self.fail(index, fault, results);
                    break;
                }
            }
            used = self.next_place(&mut bytes, used.saturating_add(size_bytes));
        }
        self.hash_held(&mut held, &bytes);
        for Held { reading, place } in held {
            let index = reading.index;
            let is_pickle = pickle::of_bytes(&reading.listed.path, bytes.get(place).unwrap_or_default());
            let result = self.outcome(reading, is_pickle);
            self.put(index, result, results);
        }
        buffers.current = bytes;
    }

    /// Reads a file to the start of `room`, which is longer than the file, and looks at it again.
    fn read_whole(&self, reading: &Reading<'_>, file: &File, room: &mut [u8]) -> Result<(), MeasureError> {
        let mut reader = At { file, offset_bytes: 0 };
        let mut unfilled = room;
        loop {
            let left_bytes = reading.before.size_bytes.saturating_sub(reader.offset_bytes);
            let wanted = usize::try_from(left_bytes).unwrap_or(usize::MAX).saturating_add(1);
            let wanted = unfilled.get_mut(..wanted).unwrap_or_default();
            let read = match read_some(&mut reader, wanted) {
                Ok(0) if left_bytes > 0 => Err(PassError::Shrank),
                Ok(count) if crate::size_bytes(wanted.get(..count).unwrap_or_default()) > left_bytes => {
                    Err(PassError::Grew)
                }
                result => result,
            };
            let count = read.map_err(|stop| self.stopped(reading.listed, stop))?;
            unfilled = mem::take(&mut unfilled).get_mut(count..).unwrap_or_default();
            if reader.offset_bytes == reading.before.size_bytes {
                break;
            }
        }
        self.check_unchanged(reading.listed, &reading.before, file)?;
        self.caller.progress.bytes(reading.before.size_bytes);
        Ok(())
    }

    fn hash_held(&self, held: &mut [Held<'a>], bytes: &[u8]) {
        let slices: Vec<&[u8]> = held.iter().map(|held| bytes.get(held.place.clone()).unwrap_or_default()).collect();
        if self.plan.digests.blake3 {
            for (held, root) in held.iter_mut().zip(self.hasher.roots(&slices)) {
                held.reading.state.set_root(root);
            }
        }
        for (pair, slices) in held.chunks_mut(2).zip(slices.chunks(2)) {
            if let ([first, second], [one, two]) = (&mut *pair, slices)
                && let (Some(first), Some(second)) = (&mut first.reading.state.sha256, &mut second.reading.state.sha256)
            {
                Chain::update_two((first, one), (second, two));
            } else {
                for (held, bytes) in pair.iter_mut().zip(slices) {
                    if let Some(chain) = &mut held.reading.state.sha256 {
                        chain.update(bytes);
                    }
                }
            }
        }
        // One call for all files: each begins where a leaf does.
        let used = held.last().map_or(0, |last| last.place.end);
        let all = if self.plan.digests.fsverity {
            self.hasher.verity_leaves(bytes.get(..used).unwrap_or_default())
        } else {
            Vec::new()
        };
        let mut leaves = all.into_iter();
        for (Held { reading, .. }, bytes) in held.iter_mut().zip(slices) {
            let own = leaves.by_ref().take(bytes.len().div_ceil(VERITY_LEAF_SIZE_BYTES)).collect();
            reading.state.push(crate::size_bytes(bytes), Vec::new(), own);
            if let Some(scan) = &mut reading.scan {
                scan.feed(self.hasher, bytes);
            }
        }
    }

    /// Bytes that a file takes in a batch: its own or, for the leaves of fs-verity, those of whole leaves.
    pub(super) fn room_size_bytes(&self, size_bytes: u64) -> u64 {
        let leaf_size_bytes = u64::try_from(VERITY_LEAF_SIZE_BYTES).unwrap_or(1);
        if self.plan.digests.fsverity { size_bytes.next_multiple_of(leaf_size_bytes) } else { size_bytes }
    }

    /// Where the next file of a batch begins. What lies between is zeros: so is the last leaf of a file padded.
    fn next_place(&self, bytes: &mut [u8], end: usize) -> usize {
        if !self.plan.digests.fsverity {
            return end;
        }
        let next = end.next_multiple_of(VERITY_LEAF_SIZE_BYTES);
        bytes.get_mut(end..next).unwrap_or_default().fill(0);
        next
    }

    /// Most bytes of a batch: a window, so that a thread holds no more than for a large file.
    fn batch_size_bytes(&self) -> usize {
        self.hasher.window_size_bytes().max(crate::SUBTREE_SIZE_BYTES)
    }
}
