//! What a caller remembers, put to use: unchanged files are not read, and a file whose reading stopped goes on.

use core::cell::Cell;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use chopmark_core::manifest::WeightFormat;

use super::reading::Reading;
use super::{Caller, Job, Outcome, Tensors};
use crate::digests::HashedFile;
use crate::error::MeasureError;
use crate::hasher::SUBTREE_SIZE_BYTES;
use crate::identity::Identity;
use crate::memory::{Known, StoppedFile};
use crate::open::Root;
use crate::pass::{PassError, PassState, Plan};
use crate::pickle;
use crate::scan::WeightScan;
use crate::walk::Listed;

/// How often it is handed over how far the reading of a file came.
const REMEMBERED_EVERY: Duration = Duration::from_secs(1);

/// Takes the files that are known whole off the list, as far as everything planned for them is known.
pub(super) fn recall_whole(
    root: &Root,
    files: &mut Vec<Listed>,
    plan: Plan,
    tensors: Tensors,
    caller: Caller<'_>,
) -> Result<Vec<Outcome>, MeasureError> {
    let Some(memory) = caller.memory.filter(|memory| !memory.is_empty()) else { return Ok(Vec::new()) };
    let sufficient = |file: HashedFile| {
        let is_one_subtree = usize::try_from(file.size_bytes).is_ok_and(|size_bytes| size_bytes <= SUBTREE_SIZE_BYTES);
        let has_subtrees = !plan.keep_subtrees || is_one_subtree || !file.subtrees.is_empty();
        let is_indexed = file.weights.is_some() || WeightFormat::of(file.path.as_str()).is_none();
        match tensors {
            Tensors::Ignored => file.only(plan.digests).map(|file| HashedFile { weights: None, ..file }),
            Tensors::Required | Tensors::Noted => file.only(plan.digests).filter(|_| is_indexed),
        }
        .filter(|_| has_subtrees)
    };
    let mut known = Vec::new();
    let mut left = Vec::with_capacity(files.len());
    for listed in files.drain(..) {
        let opened = File::from(root.open_file(&listed.below)?);
        let identity = Identity::of(&opened, || root.shown(&listed.found))?;
        let file = match memory.known(&listed.path, &identity) {
            Known::Whole(file) => sufficient(file),
            Known::Part(_) | Known::Nothing => None,
        };
        match file {
            Some(file) => {
                memory.used(&listed.path);
                caller.progress.file(listed.path.as_str());
                caller.progress.recalled(identity.size_bytes);
                let is_pickle = pickle::of_file(&listed.path, &opened);
                known.push(Outcome { file, identity, note: None, is_pickle });
            }
            None => left.push(listed),
        }
    }
    *files = left;
    Ok(known)
}

/// Whether it is time to hand over again how far the reading of a file came; if so, it begins anew.
pub(super) fn is_due(remembered: &Cell<Instant>) -> bool {
    let is_due = remembered.get().elapsed() >= REMEMBERED_EVERY;
    if is_due {
        remembered.set(Instant::now());
    }
    is_due
}

impl Job<'_> {
    /// Brings a file that was just opened to where an earlier reading stopped, if that is known and of any use. Of a weight
    /// file, its header and the tensor that was being read are read again.
    pub(super) fn go_on(&self, reading: &mut Reading<'_>, file: &File) -> Result<(), MeasureError> {
        let memory = self.caller.memory.filter(|memory| !memory.is_empty());
        let known = memory.map(|memory| (memory, memory.known(&reading.listed.path, &reading.before)));
        let Some((memory, Known::Part(part))) = known else { return Ok(()) };
        match self.resume(reading, file, &part) {
            Ok(Some((state, scan))) => {
                memory.used(&reading.listed.path);
                (reading.state, reading.scan) = (state, scan);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(stop) => Err(self.stopped(reading.listed, stop)),
        }
    }

    fn resume(
        &self,
        reading: &Reading<'_>,
        file: &File,
        part: &StoppedFile,
    ) -> Result<Option<(PassState, Option<WeightScan>)>, PassError> {
        let StoppedFile { offset_bytes, tensors, .. } = part;
        let size_bytes = reading.before.size_bytes;
        let Some(state) = PassState::resume(self.plan, part).filter(|_| *offset_bytes < size_bytes) else {
            return Ok(None);
        };
        let mut again_size_bytes = 0_u64;
        let mut read_at = |bytes: &mut [u8], at: u64| {
            file.read_exact_at(bytes, at).map_err(|fault| match fault.kind() {
                ErrorKind::UnexpectedEof => PassError::Shrank,
                _ => PassError::Read(fault),
            })?;
            again_size_bytes = again_size_bytes.saturating_add(crate::size_bytes(bytes));
            self.after_window(None, crate::size_bytes(bytes), None)
        };
        let scan = match reading.format() {
            None => None,
            Some(format) => {
                let Some(tensors) = tensors else { return Ok(None) };
                let place = (*offset_bytes, tensors.as_slice());
                let scan = WeightScan::resume(format, size_bytes, place, self.hasher, &mut read_at)?;
                let Some(scan) = scan else { return Ok(None) };
                Some(scan)
            }
        };
        self.caller.progress.recalled(offset_bytes.saturating_sub(again_size_bytes));
        Ok(Some((state, scan)))
    }

    /// Hands over how far the reading of a file came, after a whole window.
    pub(super) fn remember(
        &self,
        listed: &Listed,
        (identity, is_settled): (&Identity, bool),
        state: &PassState,
        scan: Option<&WeightScan>,
    ) {
        let Some(memory) = self.caller.memory.filter(|_| is_settled) else { return };
        let tensors = scan.map(WeightScan::whole_tensors);
        // A file that is refused is not gone on with.
        if !matches!(tensors, Some(None))
            && let Some(part) = state.stopped(tensors.flatten())
        {
            memory.stopped(&listed.path, identity, part);
        }
    }
}
