//! What a caller remembers, put to use: unchanged files are not read, and a file whose reading stopped goes on.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use super::reading::Reading;
use super::{Caller, Job, Outcome};
use crate::digests::{DigestSelection, HashedFile};
use crate::error::MeasureError;
use crate::hasher::SUBTREE_SIZE_BYTES;
use crate::identity::Identity;
use crate::memory::{Known, StoppedFile};
use crate::open::Root;
use crate::pass::{PassError, PassState, Plan};
use crate::scan::WeightScan;
use crate::walk::Listed;

/// Takes the files that are known whole off the list, as far as everything planned for them is known.
pub(super) fn recall_whole(
    root: &Root,
    files: &mut Vec<Listed>,
    plan: Plan,
    caller: Caller<'_>,
) -> Result<Vec<Outcome>, MeasureError> {
    let Some(memory) = caller.memory.filter(|_| plan.digests == DigestSelection::MANIFEST) else {
        return Ok(Vec::new());
    };
    let is_sufficient = |file: &HashedFile| {
        let is_one_subtree = usize::try_from(file.size_bytes).is_ok_and(|size_bytes| size_bytes <= SUBTREE_SIZE_BYTES);
        !plan.keep_subtrees || is_one_subtree || !file.subtrees.is_empty()
    };
    let mut known = Vec::new();
    let mut left = Vec::with_capacity(files.len());
    for listed in files.drain(..) {
        let file = File::from(root.open_file(&listed.below)?);
        let identity = Identity::of(&file, || root.shown(&listed.found))?;
        match memory.known(&listed.path, &identity) {
            Known::Whole(file) if is_sufficient(&file) => {
                caller.progress.file(listed.path.as_str());
                caller.progress.recalled(identity.size_bytes);
                known.push((file, None));
            }
            _ => left.push(listed),
        }
    }
    *files = left;
    Ok(known)
}

impl Job<'_> {
    /// Brings a file that was just opened to where an earlier reading stopped, if that is known and of any use. Of a weight
    /// file, its header and the tensor that was being read are read again.
    pub(super) fn go_on(&self, reading: &mut Reading<'_>, file: &File) -> Result<(), MeasureError> {
        let known = self.caller.memory.map(|memory| memory.known(&reading.listed.path, &reading.before));
        let Some(Known::Part(part)) = known else { return Ok(()) };
        match self.resume(reading, file, &part) {
            Ok(Some((state, scan))) => {
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
            None if tensors.is_empty() => None,
            None => return Ok(None),
            Some(format) => {
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
        let tensors = scan.map_or(Some(Vec::new()), WeightScan::whole_tensors);
        let part = tensors.and_then(|tensors| state.stopped(tensors));
        if let (Some(memory), Some(part), true) = (self.caller.memory, part, is_settled) {
            memory.stopped(&listed.path, identity, part);
        }
    }
}
