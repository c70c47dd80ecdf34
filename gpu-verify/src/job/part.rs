//! One large file on several threads, where no digest is a chain: each takes the next part, and what they found is put
//! together in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::Sha256Digest;

use super::reading::{At, Reading};
use super::recall::is_due;
use super::{Job, Results};
use crate::hasher::Window;
use crate::pass::{PassError, fill, whole_subtrees, window_size_bytes_at};
use crate::tree::Tree;

/// Bytes of a part, unless the engine's windows are larger: enough for the disk to read ahead, little enough for many
/// threads to share a file.
pub(super) const PART_SIZE_BYTES: u64 = 8 << 20;

/// A file that several threads read.
pub(super) struct Shared<'a> {
    pub(super) index: usize,
    pub(super) size_bytes: u64,
    file: File,
    together: Mutex<Together<'a>>,
}

/// What is known so far.
struct Together<'a> {
    /// Up to the first part that is missing; taken by whoever brings the last part.
    reading: Option<Reading<'a>>,
    /// Parts after that, by where they start. What waits here is 32 bytes for each MiB, and for each 4 KiB if fs-verity
    /// was asked for, of what the other threads read while one was held up.
    ahead: BTreeMap<u64, Found>,
}

/// What one thread found in a part.
struct Found {
    size_bytes: u64,
    subtrees: Vec<ChainingValue>,
    leaves: Vec<Sha256Digest>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(reading: Reading<'a>, file: File) -> Arc<Self> {
        let (index, size_bytes) = (reading.index, reading.before.size_bytes);
        let together = Mutex::new(Together { reading: Some(reading), ahead: BTreeMap::new() });
        Arc::new(Self { index, size_bytes, file, together })
    }

    /// Adds a part; returns the file when nothing is missing any more.
    fn add(&self, offset_bytes: u64, found: Found) -> Option<Reading<'a>> {
        let mut together = self.together.lock().unwrap_or_else(PoisonError::into_inner);
        let Together { reading, ahead } = &mut *together;
        ahead.insert(offset_bytes, found);
        let state = &mut reading.as_mut()?.state;
        while let Some(Found { size_bytes, subtrees, leaves }) = ahead.remove(&state.offset_bytes) {
            state.push(size_bytes, subtrees, leaves);
        }
        if state.offset_bytes == self.size_bytes { reading.take() } else { None }
    }
}

impl<'a> Job<'a> {
    /// Reads one part of a file.
    pub(super) fn part(&self, shared: &Shared<'a>, offset_bytes: u64, buffer: &mut Vec<u8>, results: &mut Results) {
        let Some(listed) = self.files.get(shared.index) else { return };
        match self.find(shared, offset_bytes, buffer) {
            Err(stop) => {
                if matches!(stop, PassError::Interrupted) {
                    self.remember_together(shared, true);
                }
                self.fail(shared.index, self.stopped(listed, stop), results);
            }
            Ok(found) => {
                if let Some(reading) = shared.add(offset_bytes, found) {
                    let result = self.end(reading, &shared.file);
                    self.put(shared.index, result, results);
                } else {
                    self.remember_together(shared, false);
                }
            }
        }
    }

    /// Hands over how far all parts without a gap came, now or when it is time.
    fn remember_together(&self, shared: &Shared<'_>, now: bool) {
        let together = shared.together.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Reading { listed, before, is_settled, state, remembered, .. }) = &together.reading
            && (is_due(remembered) || now)
        {
            self.remember(listed, (before, *is_settled), state, None);
        }
    }

    fn find(&self, shared: &Shared<'_>, offset_bytes: u64, buffer: &mut Vec<u8>) -> Result<Found, PassError> {
        let end_bytes = self.part_end_bytes(offset_bytes).min(shared.size_bytes);
        let size_bytes = end_bytes.saturating_sub(offset_bytes);
        let mut found = Found { size_bytes, subtrees: Vec::new(), leaves: Vec::new() };
        let mut reader = At { file: &shared.file, offset_bytes };
        let mut pieces = Tree::default();
        while reader.offset_bytes < end_bytes {
            let left_bytes = end_bytes.saturating_sub(reader.offset_bytes);
            let at_bytes = reader.offset_bytes;
            let window_size_bytes = window_size_bytes_at(at_bytes, self.piece_size_bytes());
            fill(&mut reader, buffer, window_size_bytes, left_bytes)?;
            let window = Window::new(at_bytes, buffer).ok_or_else(PassError::misaligned)?;
            if self.plan.digests.blake3 {
                let values = self.hasher.subtrees(window);
                found.subtrees.extend(whole_subtrees(&mut pieces, window, values, shared.size_bytes));
            }
            if self.plan.digests.fsverity {
                found.leaves.extend(self.hasher.verity_leaves(buffer));
            }
            self.after_window(None, crate::size_bytes(buffer), None)?;
        }
        Ok(found)
    }

    /// Where the part that starts here ends, if the file goes on: parts are whole windows, but for the first of a file
    /// that is gone on with.
    pub(super) fn part_end_bytes(&self, offset_bytes: u64) -> u64 {
        let size_bytes = u64::try_from(self.hasher.window_size_bytes()).unwrap_or(u64::MAX).max(PART_SIZE_BYTES);
        offset_bytes.saturating_add(1).next_multiple_of(size_bytes)
    }
}
