//! A file on its way from the list to its digests: opened, looked at, read, looked at again.

use core::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use chopmark_core::manifest::WeightFormat;
use chopmark_core::manifest::header::HeaderError;
use chopmark_core::verify::UnreadableWeights;

use super::{Job, Outcome, Tensors};
use crate::digests::HashedFile;
use crate::error::MeasureError;
use crate::identity::Identity;
use crate::pass::{PassError, PassState};
use crate::scan::WeightScan;
use crate::walk::Listed;

/// How a file changed that is not the one that was read before.
pub(crate) const BETWEEN_LOOKS: &str = "it is not the file that was looked at a moment before";

/// What is known of a file that was opened and is not yet closed; the descriptor stands beside it.
pub(super) struct Reading<'a> {
    /// Its place in the list.
    pub(super) index: usize,
    pub(super) listed: &'a Listed,
    pub(super) before: Identity,
    /// Whether it may be remembered.
    pub(super) is_settled: bool,
    pub(super) state: PassState,
    pub(super) scan: Option<WeightScan>,
    /// When it was last handed over how far its reading came.
    pub(super) remembered: Cell<Instant>,
    format: Option<WeightFormat>,
}

impl<'a> Job<'a> {
    /// Opens the file at this place of the list, at the start or where an earlier reading stopped.
    pub(super) fn open(&self, index: usize, listed: &'a Listed) -> Result<(Reading<'a>, File), MeasureError> {
        self.caller.progress.file(listed.path.as_str());
        let opened_at = SystemTime::now();
        let file = File::from(self.root.open_file(&listed.below)?);
        let before = Identity::of(&file, || self.root.shown(&listed.found))?;
        if listed.seen.is_some_and(|seen| seen != before) {
            return Err(MeasureError::FileChanged { path: self.root.shown(&listed.found), how: BETWEEN_LOOKS });
        }
        let format = match self.tensors {
            Tensors::Ignored => None,
            Tensors::Required | Tensors::Noted => WeightFormat::of(listed.path.as_str()),
        };
        let scan = format.map(|format| WeightScan::new(format, before.size_bytes));
        let state = PassState::new(self.plan);
        let is_settled = before.is_settled(opened_at);
        let mut reading =
            Reading { index, listed, before, is_settled, state, scan, remembered: Cell::new(Instant::now()), format };
        self.go_on(&mut reading, &file)?;
        Ok((reading, file))
    }

    /// After so many more bytes: says so, and whether to go on.
    pub(super) fn after_window(
        &self,
        format: Option<WeightFormat>,
        size_bytes: u64,
        fault: Option<&HeaderError>,
    ) -> Result<(), PassError> {
        self.caller.progress.bytes(size_bytes);
        self.hasher.health().map_err(PassError::Engine)?;
        match (format, fault) {
            (Some(format), Some(fault)) if self.tensors == Tensors::Required => {
                Err(PassError::Malformed(format, fault.clone()))
            }
            _ if self.is_stopped() => Err(PassError::Interrupted),
            _ => Ok(()),
        }
    }

    /// Why a file was not read to its end.
    pub(super) fn stopped(&self, listed: &Listed, stop: PassError) -> MeasureError {
        let path = self.root.shown(&listed.found);
        match stop {
            PassError::Read(source) => MeasureError::Unreadable { path, source },
            PassError::Shrank => MeasureError::FileChanged { path, how: "it became shorter" },
            PassError::Grew => MeasureError::FileChanged { path, how: "it became longer" },
            PassError::Malformed(format, fault) => MeasureError::Weights { path, format, fault },
            PassError::Engine(fault) => MeasureError::Engine(fault),
            PassError::Interrupted => MeasureError::Interrupted,
        }
    }

    /// After the last byte: is it still the file that was opened?
    pub(super) fn check_unchanged(&self, listed: &Listed, before: &Identity, file: &File) -> Result<(), MeasureError> {
        let path = || self.root.shown(&listed.found);
        if Identity::of(file, path)? == *before {
            return Ok(());
        }
        Err(MeasureError::FileChanged { path: path(), how: "its size or time changed" })
    }

    /// What came of a file that was read to its end and did not change.
    pub(super) fn outcome(&self, reading: Reading<'_>, is_pickle: bool) -> Result<Outcome, MeasureError> {
        let Reading { listed, before, is_settled, state, scan, format, .. } = reading;
        let path = || self.root.shown(&listed.found);
        let mut note = None;
        let weights = match format.zip(scan.map(WeightScan::finish)) {
            None => None,
            Some((_, Ok(index))) => Some(index),
            Some((format, Err(fault))) if self.tensors == Tensors::Required => {
                return Err(MeasureError::Weights { path: path(), format, fault });
            }
            Some((_, Err(fault))) => {
                let reason = format!("{}: {fault}", fault.code());
                note = Some(UnreadableWeights { path: listed.path.clone(), reason });
                None
            }
        };
        let tensors = weights.as_ref().map_or(0, |index| index.tensors.len());
        self.tensors_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(tensors))
            .map_err(|_| MeasureError::TooManyTensors { path: path() })?;
        let (digests, subtrees) = state.finish();
        let (path, size_bytes) = (listed.path.clone(), before.size_bytes);
        let hashed = HashedFile { path, size_bytes, digests, subtrees, weights };
        // What an engine found that has been wrong is not carried into a later run.
        if let Some(memory) = self.caller.memory.filter(|_| is_settled && self.hasher.health().is_ok()) {
            memory.finished(&before, &hashed);
        }
        Ok(Outcome { file: hashed, identity: before, note, is_pickle })
    }
}

impl Reading<'_> {
    /// The format that its name promises, where tensors are wanted.
    pub(super) fn format(&self) -> Option<WeightFormat> {
        self.format
    }

    /// Bytes that are still to be read.
    pub(super) fn left_bytes(&self) -> u64 {
        self.before.size_bytes.saturating_sub(self.state.offset_bytes)
    }
}

/// Reads a file from a place of its own, so that several can read the same descriptor.
pub(super) struct At<'a> {
    pub(super) file: &'a File,
    pub(super) offset_bytes: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset_bytes)?;
        self.offset_bytes = self.offset_bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}
