//! Two large files on one thread, window by window, so that their SHA-256 chains fill the unit that one leaves half idle.

use std::fs::File;

use super::reading::{At, Reading};
use super::recall::is_due;
use super::{Job, Results};
use crate::error::MeasureError;
use crate::hasher::{SUBTREE_SIZE_BYTES, Window};
use crate::pass::{Buffers, PassError, fill, window_size_bytes_at};
use crate::sha256::Chain;

type Lane<'a> = (Reading<'a>, File);

impl<'a> Job<'a> {
    /// Reads large files two at a time until fewer than two are left, and that one with the help of other threads.
    pub(super) fn pairs(&self, first: usize, buffers: &mut Buffers, results: &mut Results) {
        let mut coming = Some(first);
        let mut lanes: Vec<Lane<'a>> = Vec::with_capacity(2);
        loop {
            while lanes.len() < 2 {
                let Some(index) = coming.take().or_else(|| self.take_large()) else { break };
                let Some(listed) = self.files.get(index) else { break };
                match self.open(index, listed) {
                    Ok(lane) => lanes.push(lane),
                    Err(fault) => return self.fail(index, fault, results),
                }
            }
            let [first, second] = lanes.as_mut_slice() else { break };
            if let Err((index, fault)) = self.step(first, second, buffers) {
                if matches!(fault, MeasureError::Interrupted) {
                    for (Reading { listed, before, is_settled, state, scan, .. }, _) in &lanes {
                        self.remember(listed, (before, *is_settled), state, scan.as_ref());
                    }
                }
                return self.fail(index, fault, results);
            }
            for (Reading { listed, before, is_settled, state, scan, remembered, .. }, _) in &lanes {
                if is_due(remembered) {
                    self.remember(listed, (before, *is_settled), state, scan.as_ref());
                }
            }
            for (reading, file) in lanes.extract_if(.., |(reading, _)| reading.left_bytes() == 0) {
                let index = reading.index;
                let result = self.end(reading, &file);
                self.put(index, result, results);
            }
        }
        for (reading, file) in lanes {
            let index = reading.index;
            let result = self.rest(reading, &file, buffers);
            self.put(index, result, results);
        }
    }

    /// One window of each, or what is left of it, in pieces that stay in the cache until they were hashed.
    fn step(
        &self,
        first: &mut Lane<'a>,
        second: &mut Lane<'a>,
        buffers: &mut Buffers,
    ) -> Result<(), (usize, MeasureError)> {
        let Buffers { current, next } = buffers;
        let mut interrupted = Ok(());
        loop {
            self.read_piece(first, current)?;
            self.read_piece(second, next)?;
            if let (Some(one), Some(two)) = (&mut first.0.state.sha256, &mut second.0.state.sha256) {
                Chain::update_two((one, current), (two, next));
            }
            // Both, since both chains have gone on, and to where a later run can go on.
            for fed in [self.feed_piece(first, current), self.feed_piece(second, next)] {
                match fed {
                    Err((_, MeasureError::Interrupted)) => interrupted = fed,
                    fed => fed?,
                }
            }
            if self.is_between_windows(&first.0) && self.is_between_windows(&second.0) {
                return interrupted;
            }
        }
    }

    /// Whether a file is where other ways of reading may go on with it.
    fn is_between_windows(&self, reading: &Reading<'_>) -> bool {
        reading.left_bytes() == 0 || reading.state.offset_bytes.is_multiple_of(self.small_size_bytes_max)
    }

    /// Reads the next piece, which is empty at the end of the file.
    fn read_piece(&self, lane: &mut Lane<'a>, buffer: &mut Vec<u8>) -> Result<(), (usize, MeasureError)> {
        let (reading, file) = lane;
        let offset_bytes = reading.state.offset_bytes;
        // A file that is no longer large has a root, for which it is needed whole.
        let is_small = reading.before.size_bytes <= self.small_size_bytes_max;
        let size_bytes = if is_small { SUBTREE_SIZE_BYTES } else { self.piece_size_bytes() };
        let size_bytes = window_size_bytes_at(offset_bytes, size_bytes);
        fill(&mut At { file, offset_bytes }, buffer, size_bytes, reading.left_bytes())
            .map_err(|stop| (reading.index, self.stopped(reading.listed, stop)))
    }

    fn feed_piece(&self, lane: &mut Lane<'a>, bytes: &[u8]) -> Result<(), (usize, MeasureError)> {
        let (reading, _) = lane;
        if bytes.is_empty() {
            return Ok(());
        }
        let window = Window::new(reading.state.offset_bytes, bytes)
            .ok_or_else(|| (reading.index, self.stopped(reading.listed, PassError::misaligned())))?;
        reading.state.feed(self.hasher, window, reading.before.size_bytes);
        if let Some(scan) = &mut reading.scan {
            scan.feed(self.hasher, bytes);
        }
        let fault = reading.scan.as_ref().and_then(|scan| scan.fault());
        self.after_window(reading.format(), crate::size_bytes(bytes), fault)
            .map_err(|stop| (reading.index, self.stopped(reading.listed, stop)))
    }
}
