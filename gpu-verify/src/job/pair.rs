//! Two large files on one thread, window by window, so that their SHA-256 chains fill the unit that one leaves half idle.

use std::fs::File;

use super::reading::{At, Reading};
use super::{Job, Results};
use crate::error::MeasureError;
use crate::hasher::Window;
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

    /// One window of each.
    fn step(
        &self,
        first: &mut Lane<'a>,
        second: &mut Lane<'a>,
        buffers: &mut Buffers,
    ) -> Result<(), (usize, MeasureError)> {
        let Buffers { current, next } = buffers;
        self.read_window(first, current)?;
        self.read_window(second, next)?;
        if let (Some(one), Some(two)) = (&mut first.0.state.sha256, &mut second.0.state.sha256) {
            Chain::update_two((one, current), (two, next));
        }
        // Both, since both chains have gone on: when they stop here, both are a whole window further.
        let fed = [self.feed_window(first, current), self.feed_window(second, next)];
        fed.into_iter().collect()
    }

    fn read_window(&self, lane: &mut Lane<'a>, buffer: &mut Vec<u8>) -> Result<(), (usize, MeasureError)> {
        let (reading, file) = lane;
        let offset_bytes = reading.state.offset_bytes;
        let size_bytes = window_size_bytes_at(offset_bytes, self.hasher.window_size_bytes());
        fill(&mut At { file, offset_bytes }, buffer, size_bytes, reading.left_bytes())
            .map_err(|stop| (reading.index, self.stopped(reading.listed, stop)))
    }

    fn feed_window(&self, lane: &mut Lane<'a>, bytes: &[u8]) -> Result<(), (usize, MeasureError)> {
        let (reading, _) = lane;
        let fed = match Window::new(reading.state.offset_bytes, bytes) {
            Some(window) => {
                reading.state.feed(self.hasher, window, reading.before.size_bytes);
                if let Some(scan) = &mut reading.scan {
                    scan.feed(self.hasher, bytes);
                }
                let fault = reading.scan.as_ref().and_then(|scan| scan.fault());
                self.after_window(reading.format(), crate::size_bytes(bytes), fault)
            }
            // An empty file: it was longer when it was listed.
            None => Err(PassError::Shrank),
        };
        fed.map_err(|stop| (reading.index, self.stopped(reading.listed, stop)))
    }
}
